#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Prints what the tests covered, floor by floor: scripts/coverage.py build-coverage. Fails when a floor has less than nine lines in ten."""

import json
import subprocess
import sys

LEAST = 90.0


def measured(build):
    """The files under src/ and tools/, as gcovr sees them."""
    command = ["gcovr", "--root", ".", "--object-directory", build, "--filter", "src/", "--filter", "tools/", "--json-summary", "-", build]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["files"]


def floor_of(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "src" else parts[0]


def sums(files):
    """Floor: lines covered, lines, branches covered, branches."""
    floors = {}
    for file in files:
        floor = floors.setdefault(floor_of(file["filename"]), [0, 0, 0, 0])
        for i, key in enumerate(("line_covered", "line_total", "branch_covered", "branch_total")):
            floor[i] += file[key]
    return floors


def percent(part, whole):
    return 100.0 * part / whole if whole else 100.0


def main(build):
    bad = 0
    print(f"\n{'coverage':10} {'lines':>14} {'':>7} {'branches':>14}")
    for floor, (lines, of_lines, branches, of_branches) in sums(measured(build)).items():
        enough = percent(lines, of_lines) >= LEAST
        bad += not enough
        print(f"{floor:10} {lines:6} of {of_lines:4} {percent(lines, of_lines):6.1f}% {branches:7} of {of_branches:4}"
              f" {percent(branches, of_branches):6.1f}%" + ("" if enough else f"  FAILED: less than {LEAST:.0f}% of the lines"))
    return 1 if bad else 0


sys.exit(main(sys.argv[1]))
