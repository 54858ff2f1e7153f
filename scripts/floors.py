#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks that the house stands on its floors: scripts/floors.py [root of the project]

The floors are the table of docs/architecture.md, lowest first, each with its public headers. Fails, with one line for each, when
  - a file under src/ includes one from a higher floor, or a public header belonging to one,
  - a public header includes a private one, or one of a higher floor,
  - anything under tools/ or examples/ includes what is neither public nor its own,
  - a floor of the table has no folder, a folder of src/ is not in the table, src/meson.build has another order,
  - a public header stands in the table not at all or twice, or in the table only."""

import re
import sys
from pathlib import Path

ROW = re.compile(r"^\| `(\w+)` \| ([^|]*)\|", re.M)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.M)
CODE = {".c", ".h", ".S", ".cpp", ".hpp"}


class House:
    def __init__(self, root):
        self.root = root
        self.complaints = []
        rows = ROW.findall((root / "docs/architecture.md").read_text(encoding="utf-8"))
        self.floors = [floor for floor, _ in rows]
        self.headers = [(header, floor) for floor, cell in rows for header in re.findall(r"`(\w+\.h)`", cell)]
        self.floor_of_header = dict(self.headers)

    def complain(self, text):
        self.complaints.append(text)

    def code(self, folder):
        return sorted(path for path in (self.root / folder).rglob("*") if path.suffix in CODE)

    def includes(self, path):
        return INCLUDE.findall(path.read_text(encoding="utf-8", errors="replace"))

    def name(self, path):
        return str(path.relative_to(self.root))

    def private_floor(self, path, include):
        """The floor whose private file an include names, or None. src/ is where they are looked for, and src/arch/ARCHITECTURE/."""
        source = self.root / "src"
        if path.is_relative_to(source) and (path.parent / include).is_file():
            return path.relative_to(source).parts[0]
        if (source / include).is_file():
            return Path(include).parts[0]
        return "arch" if any((machine / include).is_file() for machine in (source / "arch").glob("*")) else None

    def public_floor(self, include):
        """The floor that a public header belongs to, or None. weft.h has all of them: it belongs above the highest."""
        if include == "weft.h":
            return "weft.h"
        return self.floor_of_header.get(include[len("weft/"):]) if include.startswith("weft/") else None

    def height(self, floor):
        return self.floors.index(floor) if floor in self.floors else len(self.floors)

    def check_climb(self, path, floor):
        for include in self.includes(path):
            used = self.public_floor(include) or self.private_floor(path, include)
            if used and self.height(used) > self.height(floor):
                self.complain(f"{self.name(path)}: {include} is of the floor {used}, above {floor}")

    def check_source(self):
        for path in self.code("src"):
            self.check_climb(path, path.relative_to(self.root / "src").parts[0])

    def check_public(self):
        for path in self.code("include/weft"):
            self.check_climb(path, self.floor_of_header.get(path.name))
            self.check_stranger(path)
        self.check_stranger(self.root / "include/weft.h")

    def check_stranger(self, path):
        """A file outside src/ may not reach into it."""
        for include in self.includes(path):
            if not self.public_floor(include) and not (path.parent / include).is_file() and self.private_floor(path, include):
                self.complain(f"{self.name(path)}: {include} is private")
            elif "src/" in include:
                self.complain(f"{self.name(path)}: {include} is private")

    def check_table(self):
        folders = {path.name for path in (self.root / "src").iterdir() if path.is_dir()}
        for floor in sorted(folders ^ set(self.floors)):
            self.complain(f"{floor} is a folder of src/ or a floor in docs/architecture.md, but not both")
        listed = re.search(r"foreach floor : \[([^]]*)\]", (self.root / "src/meson.build").read_text(encoding="utf-8"))
        built = re.findall(r"'(\w+)'", listed.group(1)) if listed else []
        if built != [floor for floor in self.floors if floor in built] or set(self.floors) - set(built) - {"arch"}:
            self.complain(f"src/meson.build has the floors as {built}, docs/architecture.md as {self.floors}")

    def check_headers(self):
        names = sorted(header for header, _ in self.headers)
        present = sorted(path.name for path in (self.root / "include/weft").glob("*.h"))
        for header in sorted(set(names) ^ set(present)):
            self.complain(f"{header} is in include/weft/ or in the table of docs/architecture.md, but not in both")
        for header in sorted({header for header in names if names.count(header) > 1}):
            self.complain(f"{header} stands twice in the table of docs/architecture.md")

    def check(self):
        self.check_table()
        self.check_headers()
        self.check_source()
        self.check_public()
        for folder in ("tools", "examples"):
            for path in self.code(folder):
                self.check_stranger(path)
        return self.complaints


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)
    house = House(root)
    complaints = house.check()
    for complaint in complaints:
        print(complaint)
    print("the floors do not hold" if complaints else f"the floors hold: {' < '.join(house.floors)}")
    return 1 if complaints else 0


sys.exit(main())
