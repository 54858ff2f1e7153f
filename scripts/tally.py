#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Sums up a run of `meson test`: scripts/tally.py tests/skips.txt build/meson-logs/testlog.json

A test program built on tests/fixture.c says "N passed, N failed, N skipped" at its end, and why it skipped before that; any other test counts as
one. What failed is shown with its output, each skip with its reason. A skip that does not stand in the list counts as failed too, for it would
hide what is not tested. On standard output come the three numbers and then a line for each failure, its name and how it ended; all else is on
standard error."""

import fnmatch
import json
import re
import sys

SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)
SKIP = re.compile(r"^skipped (\S+?): (.*)$", re.M)
FAILED = re.compile(r":[FE]:|^FAIL|^ERROR|SUMMARY: ")
EXIT_SKIPPED = 77


def show(text):
    print(text, file=sys.stderr)


def allowed_skips(path):
    """The first word of each line: noun:test, or the name of a script's test; noun:* stands for all of a noun's."""
    with open(path, encoding="utf-8") as lines:
        return [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]


def count_program(test, summary):
    """A program of the fixture. One that died after its summary, or was stopped, has one more failure."""
    passed, failed, skipped = map(int, summary.groups())
    if not failed and test["result"] != "OK":
        failed = 1
    return passed, failed, SKIP.findall(test["stdout"])[:skipped]


def count_script(test):
    if test["result"] == "SKIP" or test["returncode"] == EXIT_SKIPPED:
        why = test.get("stdout", "").strip().splitlines()
        return 0, 0, [(test["name"].split(" / ")[-1].replace(" ", "-"), why[-1] if why else "no reason given")]
    return (1, 0, []) if test["result"] == "OK" else (0, 1, [])


def count(test):
    summaries = list(SUMMARY.finditer(test.get("stdout", "")))
    return count_program(test, summaries[-1]) if summaries else count_script(test)


def show_failure(test):
    show(f"\n--- {test['name']}: {test['result']}, exit status {test['returncode']}")
    for stream in ("stdout", "stderr"):
        lines = test.get(stream, "").splitlines()
        show("\n".join(lines[-60:]))


def failure_of(test):
    """In one line: what the test framework says of a failed test, or else the last words of whoever said any."""
    said = [line.strip() for stream in ("stdout", "stderr") for line in test.get(stream, "").splitlines() if line.strip()]
    said = [line for line in said if FAILED.search(line)] or said[-3:]
    return " | ".join([f"{test['name']}: {test['result']}, exit status {test['returncode']}"] + said[:6])


def main(list_path, log_path):
    allowed = allowed_skips(list_path)
    total, skips, failures = [0, 0, 0], [], []
    with open(log_path, encoding="utf-8", errors="replace") as log:
        tests = [json.loads(line) for line in log]
    for test in tests:
        passed, failed, skipped = count(test)
        total = [total[0] + passed, total[1] + failed, total[2] + len(skipped)]
        skips += skipped
        if failed:
            show_failure(test)
            failures.append(failure_of(test))
    for name, why in skips:
        listed = any(fnmatch.fnmatchcase(name, one) for one in allowed)
        show(f"skipped {name}: {why}" + ("" if listed else f" (FAILED: not in {list_path})"))
        if not listed:
            total[1] += 1
            failures.append(f"{name}: skipped, but not in {list_path}")
    print(*total)
    for failure in failures:
        print(failure)


main(*sys.argv[1:])
