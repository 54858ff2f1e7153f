#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""managers.py WEFT: weft manager, weft call and weft worker, with each other and with Python's managers."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from decimal import Decimal
from multiprocessing.managers import BaseManager, SyncManager

WEFT = os.path.abspath(sys.argv[1])
LATE = 60  # seconds until a test gives up waiting
FOLDER = tempfile.TemporaryDirectory()
KEY = os.path.join(FOLDER.name, "key")


def write(name, text):
    path = os.path.join(FOLDER.name, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def weft(*words):
    """Runs it: status, output, errors."""
    done = subprocess.run([WEFT, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=LATE, check=False)
    return done.returncode, done.stdout, done.stderr


class Manager:
    """A weft manager, while a with block lasts."""

    def __init__(self, *words):
        self.words = words

    def __enter__(self):
        self.program = subprocess.Popen([WEFT, "manager", "--authkey-file", KEY, *self.words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.address = self.program.stdout.readline().strip()
        return self

    def __exit__(self, *what):
        self.program.terminate()
        self.status = self.program.wait(LATE)
        self.program.stdout.close()
        self.said = self.program.stderr.read()
        self.program.stderr.close()

    def call(self, *words):
        return weft("call", "--authkey-file", KEY, self.address, *words)

    def python(self, kind, *names):
        for name in names:
            kind.register(name)
        host, port = self.address.split(":")
        made = kind((host, int(port)), b"secret")
        made.connect()
        return made


class Q(BaseManager):
    pass


class Commands(unittest.TestCase):
    def test_called_from_a_shell(self):
        with Manager("--queue", "jobs:2", "--dict", "words") as manager:
            self.assertEqual(manager.call("words", "__setitem__", '"a"', "[1, 2.5, null, {\"b\": true}]"), (0, "null\n", ""))
            self.assertEqual(manager.call("words", "items"), (0, '[["a",[1,2.5,null,{"b":true}]]]\n', ""))
            self.assertEqual(manager.call("jobs", "put", "1"), (0, "null\n", ""))
            self.assertEqual(manager.call("jobs", "put", "2"), (0, "null\n", ""))
            self.assertEqual(manager.call("jobs", "put", "3", "false"), (1, "", "weft call: queue.Full\n"))
            self.assertEqual(manager.call("words", "__iter__"), (1, "", "weft call: the answer is another object, which cannot be printed\n"))
            self.assertEqual(manager.call("words", "__getitem__", '"no"'), (1, "", "weft call: KeyError: 'no'\n"))
            self.assertEqual(manager.call("nothing", "get"), (1, "", f"weft call: nothing is registered as nothing at {manager.address}\n"))
            self.assertEqual(manager.call("jobs", "qsise"), (1, "", "weft call: jobs has no method qsise; did you mean qsize?\n"))
            self.assertIn("jobs has no method frobnicate; it has empty, full, get, get_nowait, join, put,", manager.call("jobs", "frobnicate")[2])
            self.assertEqual(manager.call("words", "get", "{")[0], 255)
        self.assertEqual((manager.status, manager.said), (0, ""))

    def test_pythons_clients(self):
        with Manager("--queue", "get_task_queue", "--python", "--relay") as manager:
            task = manager.python(Q, "get_task_queue").get_task_queue()
            task.put(Decimal("1.50"))  # only we know what that is
            self.assertEqual(repr(task.get(timeout=LATE)), "Decimal('1.50')")
            task.put({"n": 1})
            self.assertEqual(manager.call("get_task_queue", "get"), (0, '{"n":1}\n', ""))
            python = manager.python(SyncManager)
            numbers = python.list([1, 2])
            numbers.append(3)
            self.assertEqual(numbers[:], [1, 2, 3])

    def test_a_worker_of_weft(self):
        with Manager("--queue", "get_task_queue", "--queue", "get_result_queue") as manager:
            for item in ("1", '"two"', "[3]", '"fail"'):
                manager.call("get_task_queue", "put", item)
            done = weft("worker", "--authkey-file", KEY, "--timeout", "0.1", manager.address, "sh", "-c", 'echo "did $1"; [ "$1" != fail ]', "sh")
            self.assertEqual(done, (0, "", ""))
            python = manager.python(Q, "get_result_queue").get_result_queue()
            self.assertEqual([python.get(timeout=LATE) for _ in range(3)], ["did 1", "did two", "did [3]"])
            self.assertEqual(repr(python.get(timeout=LATE)), repr(RuntimeError("the command ended with 1")))

    def test_a_worker_of_pythons(self):
        with SyncManagerWithQueues() as (address, task, result):
            call = ["call", "--authkey-file", KEY, address]
            self.assertEqual(weft(*call, "get_task_queue", "qsise"), (1, "", "weft call: get_task_queue has no method qsise; did you mean qsize?\n"))
            self.assertEqual(weft(*call, "nothing", "get"), (1, "", f"weft call: nothing is registered as nothing at {address}\n"))
            for n in range(20):
                task.put(n)
            done = weft("worker", "--authkey-file", KEY, "--timeout", "0.2", "--jobs", "3", address, "printf", "%s * %s", "{}", "{}")
            self.assertEqual(done, (0, "", ""))
            self.assertEqual(sorted(result.get(timeout=LATE) for _ in range(20)), sorted(f"{n} * {n}" for n in range(20)))

    def test_a_worker_that_was_killed_takes_nothing(self):
        with SyncManagerWithQueues() as (address, task, result):
            worker = subprocess.Popen([WEFT, "worker", "--authkey-file", KEY, address, "echo"])
            task.put("first")
            self.assertEqual(result.get(timeout=LATE), "first")
            time.sleep(0.5)  # for the next item it waits at once; if not, there is less to see here
            worker.kill()
            worker.wait(LATE)
            time.sleep(4)  # nobody is told when the last get that the server has of it is over: after three seconds
            task.put("second")
            self.assertEqual(task.get(timeout=1), "second")

    def test_a_worker_with_a_function_of_a_module(self):
        module = os.path.join(FOLDER.name, "twice.so")
        source = write("twice.c", """
            #include <weft.h>
            weft_value twice(weft_value item);
            weft_value twice(weft_value item)
            {
                if (item.kind != WEFT_INT)
                    return weft_error_of_type(1, "TypeError", "no number");
                return weft_int(2 * weft_as_int(item));
            }""")
        include = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "include")
        subprocess.run(["cc", "-shared", "-fPIC", f"-I{include}", "-o", module, source], check=True)
        with SyncManagerWithQueues() as (address, task, result):
            for item in (4, "four", 1 << 40):
                task.put(item)
            done = weft("worker", "--authkey-file", KEY, "--timeout", "0.2", "--module", f"{module}:twice", address)
            self.assertEqual(done, (0, "", ""))
            self.assertEqual([repr(result.get(timeout=LATE)) for _ in range(3)], ["8", "TypeError('no number')", str(1 << 41)])
            self.assertEqual(weft("worker", "--authkey-file", KEY, "--module", f"{module}:thrice", address)[0], 255)
            task.put(3)
            self.assertEqual(weft("worker", "--authkey-file", KEY, address, "--module", f"{module}:twice")[0], 255)
            words = [WEFT, "worker", "--authkey-file", KEY, "--timeout", "0.2", "--module", f"{os.path.basename(module)}:twice", address]
            self.assertEqual(subprocess.run(words, cwd=os.path.dirname(module), timeout=LATE, check=False).returncode, 0)
            self.assertEqual(result.get(timeout=LATE), 6)

    def test_a_worker_and_what_it_cannot_read_or_send(self):
        """Each item has its result, and the next one comes."""
        with SyncManagerWithQueues() as (address, task, result):
            for item in (Decimal(1), "fine", r"\377"):
                task.put(item)
            done = weft("worker", "--authkey-file", KEY, "--timeout", "0.2", address, "printf")
            self.assertEqual(done, (0, "", ""))
            self.assertEqual(repr(result.get(timeout=LATE)), repr(RuntimeError("the item cannot be read: refusing pickle global decimal.Decimal")))
            self.assertEqual([result.get(timeout=LATE) for _ in range(2)], ["fine", b"\xff"])

    def test_locks_of_who_has_gone(self):
        """Each thread is a client; what one took that has ended comes back where that was asked for."""
        for options, free in ((["--locks-return"], True), ([], False)):
            with Manager("--python", *options) as manager:
                made = manager.python(SyncManager)
                for lock in (made.Lock(), made.Semaphore(1)):
                    thread = threading.Thread(target=lock.acquire)
                    thread.start()
                    thread.join()  # and with it its connection
                    del thread
                    self.assertEqual(lock.acquire(True, LATE if free else 0.2), free)

    def test_a_call_drops_nothing_and_names_what_it_refuses(self):
        with SyncManagerWithQueues() as (address, task, _):
            task.put({"a\0b": 1, "\ud800": 2, "a": 3, (1,): 4})
            self.assertEqual(weft("call", "--authkey-file", KEY, address, "get_task_queue", "get"),
                             (0, """{"'a\\\\x00b'":1,"'\\\\ud800'":2,"a":3,"(1,)":4}\n""", ""))
            task.put(Decimal(1))
            said = weft("call", "--authkey-file", KEY, address, "get_task_queue", "get")
            self.assertEqual(said, (1, "", "weft call: _pickle.UnpicklingError: refusing pickle global decimal.Decimal\n"))

    def test_what_has_the_same_things_many_times(self):
        """Few octets to send, and a line that nobody lives to see."""
        doubled = ["lol"]
        keys = ("lol",)
        for _ in range(40):
            doubled, keys = [doubled, doubled], (keys, keys)
        texts = ["x" * (1 << 20)] * 65
        whole = ["x" * (1 << 20)] * 63
        with SyncManagerWithQueues() as (address, task, result):
            for item in (doubled, {"a": doubled}, texts, keys, slice(keys)):
                task.put(item)
                said = weft("call", "--authkey-file", KEY, address, "get_task_queue", "get")
                self.assertEqual(said, (1, "", "weft call: the answer is too much to print as JSON\n"))
            task.put(whole)
            self.assertEqual(len(weft("call", "--authkey-file", KEY, address, "get_task_queue", "get")[1]), 63 * ((1 << 20) + 3) + 2)
            for item in (doubled, 1):
                task.put(item)
            done = weft("worker", "--authkey-file", KEY, "--timeout", "0.2", address, "echo")
            self.assertEqual(done, (0, "", ""))
            self.assertEqual([repr(result.get(timeout=LATE)) for _ in range(2)], ["RuntimeError('the item is too much for JSON')", "'1'"])

    def test_keys_stay_secret(self):
        for words in (("manager",), ("call", "127.0.0.1:1", "d", "keys"), ("worker", "127.0.0.1:1", "true")):
            status, _, said = weft(words[0], "--authkey", "hidden", *words[1:])
            self.assertEqual(status, 255)
            self.assertIn("seen by everybody", said)
            self.assertNotIn("hidden", said)
            self.assertIn("empty\n", weft(words[0], "--authkey-file", write("empty", "\n"), *words[1:])[2])
        self.assertIn("empty\n", weft("manager", "--authkey-file", write("empty", ""))[2])
        self.assertIn("empty\n", weft("manager", "--authkey-file", "/dev/null")[2])
        self.assertIn("key", weft("manager")[2])
        self.assertEqual(weft("manager", "--authkey-file", "/nowhere/key")[0], 255)
        with Manager("--dict", "d") as manager:
            status, _, said = weft("call", "--authkey-file", write("other", "other"), manager.address, "d", "keys")
            self.assertEqual(status, 255)
            self.assertIn("not accepted", said)

    def test_where_it_listens(self):
        with Manager("--listen", ":0") as manager:
            self.assertTrue(manager.address.startswith("127.0.0.1:"))
        with Manager("--listen", "0.0.0.0:0") as manager:
            pass
        self.assertIn("other machines can reach", manager.said)
        with Manager("--listen", f"unix:{FOLDER.name}/socket", "--dict", "d") as manager:
            self.assertEqual(manager.call("d", "__len__"), (0, "0\n", ""))
        self.assertFalse(os.path.exists(f"{FOLDER.name}/socket"))

    def test_what_is_said_wrongly(self):
        self.assertEqual(weft("manager", "--what")[0], 255)
        self.assertEqual(weft("manager", "--authkey-file", KEY, "--queue", "a:b")[0], 255)
        for address in ("nonsense", "::1:5000", "host:5000"):
            status, _, said = weft("manager", "--authkey-file", KEY, "--listen", address)
            self.assertEqual(status, 255)
            self.assertIn(f"'{address}' is no address to listen at; they are", said)
        for names in (("--queue", "a", "--dict", "a"), ("--dict", "a", "--queue", "a:5"), ("--queue", "a", "--queue", "a")):
            self.assertIn("two of the name a\n", weft("manager", "--authkey-file", KEY, *names)[2])
        for names in (("--queue", ""), ("--queue", ":5"), ("--dict", "")):
            self.assertIn("take a name\n", weft("manager", "--authkey-file", KEY, *names)[2])
        for address in ("nonsense", "::1:5000", "127.0.0.1:70000"):
            self.assertIn(f"'{address}' is no address; they are", weft("call", "--authkey-file", KEY, address, "a", "b")[2])
        self.assertEqual(weft("call", "a")[0], 255)
        self.assertEqual(weft("call", "--authkey-file", KEY, "127.0.0.1:1", "a", "b")[0], 255)
        self.assertEqual(weft("worker", "--authkey-file", KEY, "127.0.0.1:1")[0], 255)
        self.assertEqual(weft("worker", "--authkey-file", KEY, "--module", "/nowhere.so:f", "127.0.0.1:1")[0], 255)
        for name in ("manager", "call", "worker"):
            self.assertEqual(weft(name, "--help")[0], 0)


class SyncManagerWithQueues:
    """Python's server."""

    def __enter__(self):
        self.manager = SyncManager(("127.0.0.1", 0), b"secret")
        self.manager.start()
        task, result = self.manager.Queue(), self.manager.Queue()
        self.server = Served(task, result)
        return self.server.address, task, result

    def __exit__(self, *what):
        self.server.end()
        self.manager.shutdown()


def serve_forever(queues, pipe):
    Q.register("get_task_queue", callable=lambda: queues[0])
    Q.register("get_result_queue", callable=lambda: queues[1])
    server = Q(("127.0.0.1", 0), b"secret").get_server()
    pipe.send(server.address)
    server.serve_forever()


class Served:
    """The same queues by the names that the tutorial has: from a process of its own, through proxies."""

    def __init__(self, *queues):
        ours, theirs = multiprocessing.Pipe()
        multiprocessing.current_process().authkey = b"secret"
        self.process = multiprocessing.Process(target=serve_forever, args=(queues, theirs), daemon=True)
        self.process.start()
        self.address = "%s:%d" % ours.recv()

    def end(self):
        self.process.terminate()
        self.process.join()


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    write("key", "secret\n")
    unittest.main(argv=sys.argv[:1], verbosity=1)
