#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The list of exports: scripts/exports.py ROOT SHARED STATIC, or scripts/exports.py ROOT --write

What the public headers declare with WEFT_API, what src/weft.map lists and what the shared library offers must be the same, each name under the
version of the map; the static library may define private names besides, which begin with wefti_. With --write src/weft.map is made from the
headers."""

import re
import subprocess
import sys
from pathlib import Path

VERSION = "WEFT_0.1"
OF_SMALL_BUILDS = "weft_small_"  # what tests of -Dsmall=true call; other builds have none
COMMENT = re.compile(r"/\*.*?\*/", re.S)
DECLARED = re.compile(r"^WEFT_API\b[^;{]*?\b(weft_\w+)\s*\(", re.M)


def declared(root):
    names = []
    for header in sorted((root / "include/weft").glob("*.h")):
        names += DECLARED.findall(COMMENT.sub("", header.read_text(encoding="utf-8")))
    return names


def listed(root):
    text = COMMENT.sub("", (root / "src/weft.map").read_text(encoding="utf-8"))
    return re.findall(r"^\s+(weft_\w+);", text, re.M)


def offered(library):
    """Name to version. nm prints name@@version for what a program that is linked now would get."""
    said = subprocess.run(["nm", "-D", "--defined-only", library], check=True, stdout=subprocess.PIPE, text=True).stdout
    names = [line.split()[-1] for line in said.splitlines() if line.split()[-2] != "A"]
    return dict(name.partition("@@")[::2] for name in names if not name.startswith(OF_SMALL_BUILDS))


def strangers(library):
    """Names of the static library that could meet a program's own. Those of compilers begin with an underscore."""
    said = subprocess.run(["nm", "-g", "--defined-only", library], check=True, stdout=subprocess.PIPE, text=True).stdout
    names = {fields[-1] for fields in map(str.split, said.splitlines()) if len(fields) == 3}
    return sorted(name for name in names if not re.match(r"wefti?_|_", name))


def write(root):
    lines = [f"    {name};" for name in sorted(declared(root))]
    text = ["/* SPDX-License-Identifier: MIT */", "/* Made from the public headers by `scripts/exports.py . --write`, to be run after a change of a WEFT_API declaration; a test compares them. */",
            VERSION + " {", "global:", *lines, f"    {OF_SMALL_BUILDS}*;", "local:", "    *;", "};", ""]
    (root / "src/weft.map").write_text("\n".join(text), encoding="utf-8")


def differences(what, these, other, those):
    return ([f"{name} is in {what}, not in {other}" for name in sorted(set(these) - set(those))]
            + [f"{name} is in {other}, not in {what}" for name in sorted(set(those) - set(these))])


def compare(root, shared, static):
    headers, exports = declared(root), offered(shared)
    complaints = differences("the headers", headers, "src/weft.map", listed(root))
    complaints += differences("the headers", headers, "the library", exports)
    complaints += [f"{name} is declared twice" for name in sorted({name for name in headers if headers.count(name) > 1})]
    complaints += [f"{name} of the static library is neither weft_ nor wefti_" for name in strangers(static)]
    complaints += [f"{name} has the version {version or 'none'}" for name, version in exports.items() if version != VERSION]
    if complaints:
        complaints.append("scripts/exports.py . --write makes src/weft.map anew")
    print("\n".join(complaints) or f"{len(headers)} functions are declared, listed and exported as {VERSION}")
    return 1 if complaints else 0


if __name__ == "__main__":
    place, targets = Path(sys.argv[1]), sys.argv[2:]
    sys.exit(write(place) if targets == ["--write"] else compare(place, *targets))
