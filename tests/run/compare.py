#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""compare.py WEFT TABLE: runs each command line of the table with GNU parallel and with `WEFT run`, and compares stdout and exit status."""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

LIMIT = 30  # seconds for one command line


def make_files(folder):
    """The files that the table's command lines use."""
    os.makedirs(f"{folder}/tree/a.b")
    files = {
        "lines": b"1\n2\n3\n", "pairs": b"p\nq\n", "last": b"r\ns", "nul": b"a\0b c\0d\ne\0", "blanks": b"a\n\n \nb\n",
        "cmds": b"echo a\necho b | cat\n", "big": b"x" * 60000 + b"\n", "tree/a.b/c.d.e": b"content\n",
        "noshebang": b"echo no first line: $1\n", "script": b"#!/bin/sh\necho script: $1\n", "notexecutable": b"#!/bin/sh\n",
    }
    for name, octets in files.items():
        with open(f"{folder}/{name}", "wb") as file:
            file.write(octets)
    for name in ("noshebang", "script"):
        os.chmod(f"{folder}/{name}", 0o755)


def answer(line, command, home):
    """What a command line prints and its status, with `command` in the place of PAR."""
    folder = tempfile.mkdtemp(prefix="weft-compare-")
    make_files(folder)
    environment = dict(os.environ, HOME=home, SHELL="/bin/bash", LC_ALL="C.UTF-8", PARALLEL_HOME=home)
    for name in ("PARALLEL", "PARALLEL_SHELL", "BASH_ENV"):
        environment.pop(name, None)
    try:
        done = subprocess.run(["/bin/bash", "-c", re.sub(r"\bPAR\b", lambda _: command, line)], cwd=folder, env=environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
        return done.stdout, done.returncode, done.stderr
    except subprocess.TimeoutExpired as late:
        return late.stdout or b"", "no end", late.stderr or b""
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def differs(line, weft, home):
    """A text that says how the two differ, or None. Where jobs sleep, the order of what they print is that of the clock, and a busy machine may
    keep either of the two waiting for longer than the sleeps differ: such a line has three tries."""
    for _ in range(3 if re.search(r"\bsleep\b", line) else 1):
        theirs = answer(line, "parallel", home)
        ours = answer(line, f"{weft} run", home)
        if theirs[:2] == ours[:2]:
            return None
    return (f"{line}\n  parallel: {theirs[1]} {theirs[0][:400]!r} {theirs[2][-200:]!r}\n"
            f"  weft run: {ours[1]} {ours[0][:400]!r} {ours[2][-200:]!r}")


def main():
    weft, table = os.path.abspath(sys.argv[1]), sys.argv[2]
    if not shutil.which("parallel"):
        print("compare: GNU parallel is not here")
        return 77
    with open(table, encoding="utf-8") as file:
        rows = [row.rstrip("\n") for row in file]
    rows = [row for row in rows if row and not row.startswith("#")]
    home = tempfile.mkdtemp(prefix="weft-home-")
    open(f"{home}/will-cite", "w", encoding="utf-8").close()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        found = [text for text in pool.map(lambda row: differs(row, weft, home), rows) if text]
    shutil.rmtree(home, ignore_errors=True)
    for text in found:
        print(text)
    print(f"{len(rows)} command lines, {len(found)} answered otherwise than GNU parallel answers them")
    print(f"{len(rows) - len(found)} passed, {len(found)} failed, 0 skipped")
    return 1 if found or len(rows) < 120 else 0


if __name__ == "__main__":
    sys.exit(main())
