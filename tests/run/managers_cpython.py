#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
managers_cpython.py WEFT: CPython's own tests of managers (test._test_multiprocessing, in Debian's libpython3.11-testsuite) against `weft manager --python`. Ends with 77, which skips, where Python has no tests.
What cannot apply is left out by name, with its reason.
"""
import multiprocessing
import os
import subprocess
import sys
import tempfile
import unittest
from multiprocessing.managers import SyncManager

try:
    from test import _test_multiprocessing as cpython
except ImportError:
    print("this Python has no tests of its own")
    sys.exit(77)

KEY = b"secret"
CANNOT = {
    "_TestPool": "the arguments of a Pool are functions",
    "_TestMyManager": "starts a server of Python's with types of its own",
    "_TestRemoteManager": "the same",
    "_TestManagerRestart": "the same",
    "test_action": "the action of a Barrier is a function",
    "test_dict_iter": "wants an iterator to fail when its dict has changed size; ours goes over the keys as they were",
}


def connected(address):
    manager = SyncManager(address, KEY)
    manager.connect()
    return manager


def tests_of(name, kind):
    for test in unittest.defaultTestLoader.loadTestsFromTestCase(kind):
        why = CANNOT.get("_" + name.replace("WithManager", ""), CANNOT.get(test.id().rsplit(".", 1)[1]))
        if why:
            print(f"left out: {test.id()}: {why}")
        else:
            yield test


def run(address):
    multiprocessing.set_start_method("fork", force=True)
    multiprocessing.current_process().authkey = KEY
    cpython.ManagerMixin.setUpClass = classmethod(lambda cls: setattr(cls, "manager", connected(address)))
    cpython.ManagerMixin.tearDownClass = classmethod(lambda cls: setattr(cls, "manager", None))
    found = {"__name__": __name__}
    cpython.install_tests_in_module_dict(found, "fork")
    suite = unittest.TestSuite(
        test for name, kind in sorted(found.items()) if name.startswith("WithManager") and isinstance(kind, type) for test in tests_of(name, kind))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    return not result.wasSuccessful() or result.testsRun < 30


def main(weft):
    with tempfile.NamedTemporaryFile() as file:
        file.write(KEY)
        file.flush()
        with subprocess.Popen([weft, "manager", "--python", "--authkey-file", file.name], stdout=subprocess.PIPE, text=True) as manager:
            host, port = manager.stdout.readline().split(":")
            try:
                return run((host, int(port)))
            finally:
                manager.terminate()


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[1])))
