#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""ps.py WEFT FAMILIES PARKED: what weft ps and weft clean say of families and coroutines that programs keep waiting."""

import json
import os
import re
import subprocess
import sys
import time
import unittest

WEFT, FAMILIES, PARKED = (os.path.abspath(path) for path in sys.argv[1:4])
LATE = 30  # seconds until a test gives up waiting


def weft(*words):
    """Runs it: status, output, errors."""
    done = subprocess.run([WEFT, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=LATE)
    return done.returncode, done.stdout, done.stderr


class Family:
    """A program with a family, while a with block lasts."""

    def __init__(self, kind):
        self.kind = kind

    def __enter__(self):
        self.program = subprocess.Popen([FAMILIES, self.kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = int(self.program.stdout.readline().split()[1])
        return self

    def __exit__(self, *what):
        self.program.stdin.close()
        self.program.wait(LATE)
        self.program.stdout.close()

    def report(self):
        """The family as JSON."""
        status, out, _ = weft("ps", "--json", str(self.pid))
        assert status == 0
        return json.loads(out)

    def until(self, what):
        """The report once it is so."""
        late = time.monotonic() + LATE
        while not what(report := self.report()):
            assert time.monotonic() < late, report
            time.sleep(0.02)
        return report


def waits(report, kind):
    """The waits of a kind."""
    return [wait for process in report["processes"] for task in process["tasks"] for wait in task["waits"] if wait["kind"] == kind]


class Ps(unittest.TestCase):
    """weft ps."""

    def test_a_deadlock_is_shown_as_a_chain(self):
        with Family("deadlock") as family:
            report = family.until(lambda seen: len(waits(seen, "lock")) == 2 and seen["spare"])
            self.assertEqual(report["root"], family.pid)
            self.assertTrue(report["alive"])
            self.assertEqual({wait["pid"] for wait in waits(report, "lock")}, {process["pid"] for process in report["processes"][1:]})
            status, out, errors = weft("ps", "--why", str(family.pid))
            self.assertEqual((status, errors), (0, ""))
            self.assertRegex(out, rf"(?m)^family {family.pid}, supervisor \d+, spare \d+, \d+ blocks of \d+ octets in shared memory$")
            chains = [line for line in out.splitlines() if "deadlock" in line]
            self.assertEqual(len(chains), 2)
            self.assertRegex(chains[0], r"^ +\d+/\d+ Process-\d+ waits [\d.]+ s for lock 0x[0-9a-f]+, which \d+/\d+ has, which waits .*: a deadlock$")

    def test_who_waits_for_a_deadlock_is_told_of_it_once(self):
        with Family("onlooker") as family:
            report = family.until(lambda seen: len(waits(seen, "lock")) == 3)
            holds = [hold for process in report["processes"] for task in process["tasks"] for hold in task["holds"]]
            self.assertEqual({hold["kind"]: hold["count"] for hold in holds if "count" in hold}, {"permits": 2, "rwlock read": 1})
            out = weft("ps", "--why", str(family.pid))[1]
            chain = next(line for line in out.splitlines() if " Onlooker " in line)
            self.assertRegex(chain, r": a deadlock$")
            self.assertEqual(chain.count(" has, which "), 2)
            self.assertRegex(weft("ps", str(family.pid))[1], r"permits 0x[0-9a-f]+ \(2\), rwlock read 0x[0-9a-f]+")

    def test_readers_and_writers_are_shown(self):
        with Family("table") as family:
            report = family.until(lambda seen: len(waits(seen, "rwlock")) == 2 and waits(seen, "lock"))
            pids = {task["name"]: process["pid"] for process in report["processes"] for task in process["tasks"] if task["name"]}
            self.assertEqual({wait["pid"] for wait in waits(report, "rwlock")}, {pids["Reader"], pids["Writer"]})
            self.assertEqual(len({wait["address"] for wait in waits(report, "rwlock")}), 1)
            chains = weft("ps", "--why", str(family.pid))[1].splitlines()[1:]
            self.assertEqual(len([chain for chain in chains if chain.endswith(": a deadlock")]), 3, chains)

    def test_processes_queues_and_pools_are_shown(self):
        with Family("queue") as family:
            report = family.until(lambda seen: waits(seen, "queue"))
            kinds = {one["kind"]: one for one in report["objects"]}
            self.assertEqual(kinds["queue"]["capacity"], 7)
            self.assertEqual(kinds["queue"]["getters"], 1)
            self.assertEqual(kinds["pool"]["limit"], 2)
            self.assertGreaterEqual(kinds["pool"]["workers"], 1)
            self.assertEqual(waits(report, "queue")[0]["address"], kinds["queue"]["address"])
            status, out, _ = weft("ps")
            self.assertEqual(status, 0)
            self.assertIn(f"family {family.pid},", out)
            self.assertRegex(out, r"(?m)^ +\d+ runs +[\d.]+ s Process-1$")
            self.assertRegex(out, r"waits for queue 0x[0-9a-f]+ since [\d.]+ s")
            self.assertRegex(out, r"(?m)^   queue 0x[0-9a-f]+: capacity 7 getters 1 putters 0$")

    def test_coroutines_are_shown(self):
        with subprocess.Popen([PARKED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
            self.assertEqual(program.stdout.readline(), "ready\n")
            status, out, errors = weft("ps", str(program.pid))
            if "another user's" in errors:
                program.stdin.close()
                self.skipTest("no process may be looked at here")
            self.assertEqual((status, errors), (0, ""))
            lines = out.splitlines()
            self.assertEqual((lines[0], len(lines)), (f"process {program.pid}", 3))
            since, place = r"since [\d.]+ s", r"called from parked\+0x[0-9a-f]+$"
            self.assertRegex(lines[1], rf"^      coroutine {program.pid} Waiter waits for word 0x[0-9a-f]+ {since}, in weft_event_wait, {place}")
            self.assertRegex(lines[2], rf"^      coroutine {program.pid} Coroutine-1 waits {since}, for \d+\.\d s more, in weft_sleep(_until)?, {place}")
            self.assertIn(f"process {program.pid}\n", weft("ps")[1])
            report = json.loads(weft("ps", "--json", str(program.pid))[1])
            self.assertEqual([one["state"] for one in report["coroutines"]], ["waits", "waits"])
            program.stdin.close()

    def test_what_is_no_family_is_told(self):
        status, out, errors = weft("ps", "999999999")
        self.assertEqual((status, out), (1, ""))
        self.assertEqual(errors, "weft ps: process 999999999: there is no such process, or it has no family and does not use this library\n")
        status, _, errors = weft("ps", "x")
        self.assertEqual((status, errors), (255, "weft ps: 'x' is no process number\n"))
        status, _, errors = weft("ps", "--what")
        self.assertEqual((status, errors), (255, "weft ps: unknown option --what; weft ps --help lists them\n"))
        self.assertIn("--why", weft("ps", "--help")[1])

    def test_nothing_is_left_to_clean(self):
        with Family("deadlock") as family:
            processes = [process["pid"] for process in family.report()["processes"]]
            family.program.kill()
            family.program.wait(LATE)
            late = time.monotonic() + LATE
            while any(self.runs(pid) for pid in processes):
                self.assertLess(time.monotonic(), late)
                time.sleep(0.01)
        self.assertRegex(weft("clean")[1], r"^(nothing left|ended \d+ process)")  # another family of this machine may have left something
        self.assertEqual(weft("clean", "x")[0], 255)
        self.assertIn("Usage", weft("clean", "--help")[1])

    @staticmethod
    def runs(pid):
        """Whether the process is there and no zombie."""
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                return re.sub(r".*\) ", "", file.read())[0] not in "ZX"
        except OSError:
            return False


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
