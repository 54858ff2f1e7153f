#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures a command that works through lines: run_lines.py ROW ITERATIONS COMMAND...

Gives COMMAND a file of so many lines as its stdin, sends its output to /dev/null, waits for its end, and prints
  run-true...  seconds by the clock, and (on a second line) seconds of processor time, its children's included
  run-memory, run-memory-running
               the largest resident size of COMMAND itself in KiB (not of what it runs), read from /proc while it runs;
               with SECONDS@ before COMMAND it is killed after that time
FOLDER in COMMAND is an empty folder, made for it and removed.
"""
import os
import subprocess
import sys
import tempfile
import time


def resident_peak(pid):
    try:
        with open(f"/proc/{pid}/status") as status:
            return max((int(line.split()[1]) for line in status if line.startswith("VmHWM:")), default=0)
    except OSError:
        return 0


def watch_memory(child, limit):
    peak = 0
    end = time.monotonic() + limit
    while child.poll() is None:
        peak = max(peak, resident_peak(child.pid))
        if time.monotonic() > end:
            child.kill()
            child.wait()
            return peak, 0
        time.sleep(0.01)
    return peak, child.returncode


def memory(command, lines):
    limit = float("inf")
    if command[0].endswith("@"):
        limit = float(command.pop(0)[:-1])
    child = subprocess.Popen(command, stdin=lines, stdout=subprocess.DEVNULL)
    peak, status = watch_memory(child, limit)
    return [peak], status


def times(command, lines):
    start = time.perf_counter()
    child = subprocess.Popen(command, stdin=lines, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = status
    return [time.perf_counter() - start, used.ru_utime + used.ru_stime], status


ROWS = {"run-true": times, "run-true-joblog": times, "run-true-results": times, "run-memory": memory, "run-memory-running": memory}


def main(row, iterations, *command):
    with tempfile.TemporaryFile() as lines, tempfile.TemporaryDirectory(prefix="weft-lines-") as folder:
        command = [word.replace("FOLDER", folder) for word in command]
        lines.write(b"".join(b"%d\n" % i for i in range(1, int(iterations) + 1)))
        lines.seek(0)
        try:
            figures, status = ROWS[row](list(command), lines)
        except OSError as error:
            sys.exit(str(error))
    for figure in figures:
        print(f"{figure:.6g}")
    return 1 if status else 0


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] not in ROWS:
        sys.exit(f"usage: {sys.argv[0]} ROW ITERATIONS COMMAND...")
    sys.exit(main(*sys.argv[1:]))
