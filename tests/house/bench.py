#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Tests what bench/run writes down when some rows of a table are measured again, and whose children it counts. Usage: bench.py ROOT"""
import importlib.machinery
import importlib.util
import os
import resource
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("bench", os.path.join(sys.argv.pop(1), "bench/run"))
bench = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench", loader))
loader.exec_module(bench)
ORDER = ["first", "second", "third"]


def host(date):
    return {"date": date, "commit": f"c{date}", "processor": "P", "virtual": True, "used": [0, 1], "processors": 2, "memory": "1 GiB",
            "kernel": "6", "system": "S", "versions": {"gcc": "12"}}


def line(row, unit, median, others=0.0):
    return {"row": row, "what": "what it is", "unit": unit, "peer": "Weft", "runs": 1, "median": median, "low": median, "high": median,
            "ratio": None, "target": "", "verdict": "", "problem": None, "others": others}


def lines(rows, median, others=0.0):
    return [line(row, unit, median, others) for row in rows for unit in (["us", "ns"] if row == "second" else ["us"])]


class Markdown(unittest.TestCase):
    def setUp(self):
        self.whole = bench.markdown(host("one"), lines(ORDER, 1), "", ORDER)

    def again(self, old, date, rows, others=0.0, order=None):
        return bench.markdown(host(date), lines(rows, 2, others), old, order or ORDER)

    def test_a_whole_run_is_of_one_day(self):
        self.assertNotIn(bench.ANEW, self.whole)
        self.assertIn("one, commit cone: P (virtual machine)", self.whole)
        self.assertEqual(self.whole.count("## "), 4)

    def test_rows_that_are_not_measured_stay(self):
        new = self.again(self.whole, "two", ["second"])
        self.assertEqual(new.replace("| Weft | 2 | 2 to 2 |", "| Weft | 1 | 1 to 1 |").split("\n\n\n")[1], self.whole.split("\n\n\n")[1])
        self.assertEqual(new.count("| Weft | 2 | 2 to 2 |"), 2)
        self.assertIn("one, commit cone: P (virtual machine)", new)
        self.assertIn(f"{bench.ANEW}two, commit ctwo, ", new)
        self.assertIn(": second.\n", new)

    def test_the_head_says_what_is_of_when(self):
        new = self.again(self.again(self.whole, "two", ["first", "second"]), "three", ["second"])
        self.assertRegex(new, r"anew on two.*: first\.\n\nMeasured anew on three.*: second\.\n")
        self.assertRegex(self.again(new, "four", ["first"]), r"gcc 12\.\n\nMeasured anew on three.*: second\.\n\n.*anew on four.*: first\.\n")

    def test_what_is_measured_all_again_is_a_whole_run(self):
        self.assertEqual(self.again(self.again(self.whole, "two", ["second"]), "one", ORDER).replace("| 2 | 2 to 2 |", "| 1 | 1 to 1 |"),
                         self.whole)

    def test_a_row_that_is_new_and_one_that_is_no_more(self):
        new = self.again(self.whole, "two", ["fourth"], order=["first", "fourth", "third"])
        self.assertEqual([part.split("\n")[0] for part in new.split("\n## ")[1:]], ["first", "fourth", "third"])

    def test_a_busy_machine_is_said_while_a_row_says_so(self):
        busy = self.again(self.whole, "two", ["first"], others=0.5)
        self.assertIn(bench.PROVISIONAL, busy)
        self.assertIn(bench.PROVISIONAL, self.again(busy, "three", ["second"]))
        self.assertNotIn(bench.PROVISIONAL, self.again(busy, "three", ["first"]))


class Orphans(unittest.TestCase):
    def test_their_time_is_counted(self):
        bench.adopt_orphans()
        work = "t=$(($(date +%s%N) + 50000000)); while [ $(date +%s%N) -lt $t ]; do :; done"
        subprocess.run(["bash", "-c", f"( ( {work} ) >/dev/null 2>&1 & )"], check=True)
        before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        bench.reap_orphans(60)
        self.assertGreater(sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]), before)
        self.assertRaises(ChildProcessError, os.waitpid, -1, os.WNOHANG)


if __name__ == "__main__":
    unittest.main(verbosity=0)
