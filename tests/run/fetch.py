#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""fetch.py WEFT FETCH LIBRARY: weft fetch against a server of this test's own (FETCH is no: it was not built), and weft blocking."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WEFT, FETCH, LIBRARY = sys.argv[1:4]
WEFT = os.path.abspath(WEFT)
TOGETHER = 20
PAGE = b'<html><a href="/1">one</a> <A class=x HREF = "/2">two</A> <a name="x"> <abbr href="no"> <a\nhref=\'/3\'>three</a></html>'


class Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    together = threading.Barrier(TOGETHER)
    tries = {}

    def do_GET(self):
        status, body = 200, PAGE
        if self.path.startswith("/together"):  # nobody is answered before all have asked
            self.together.wait(30)
        elif self.path.startswith("/none"):
            status, body = 404, b"nothing"
        elif self.path.startswith("/later"):
            self.tries[self.path] = self.tries.get(self.path, 0) + 1
            status = 200 if self.tries[self.path] > 2 else 503
        elif self.path.startswith("/slow"):
            self.server.stopped.wait(30)
        elif self.path.startswith("/half"):  # the rest never comes
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"half" * 10000)
            self.wfile.flush()
            self.server.stopped.wait(30)
            self.close_connection = True
            return
        elif self.path.startswith("/cut"):  # a connection that is reset in the midst of a page
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, *what):
        pass


def weft(*words, given=None):
    done = subprocess.run([WEFT, *words], input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@unittest.skipIf(FETCH == "no", "built without libcurl")
class Fetch(unittest.TestCase):
    def setUp(self):
        self.server = Server(("127.0.0.1", 0), Pages)
        self.server.stopped = threading.Event()
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def tearDown(self):
        self.server.stopped.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def test_all_at_once(self):
        status, out, err = weft("fetch", "-j", str(TOGETHER), *(f"{self.url}/together/{i}" for i in range(TOGETHER)))
        self.assertEqual((status, err), (0, ""))
        lines = sorted(out.splitlines())
        self.assertEqual(len(lines), TOGETHER)
        for line in lines:
            self.assertRegex(line, rf"^{self.url}/together/\d+\t200\t{len(PAGE)} bytes\t3 links\t\d+\.\d+ s$")

    def test_failures_are_lines_with_a_reason(self):
        status, out, err = weft("fetch", "-j1", f"{self.url}/page", f"{self.url}/none", "http://127.0.0.1:1/", "gopher://x/", f"{self.url}/cut", "", "http://")
        self.assertEqual((status, err), (1, ""))
        page, none, refused, other, *rest = out.splitlines()
        for line in rest:
            self.assertRegex(line, "^[^\t]*\tfailed: .")
        self.assertEqual(len(rest), 3)
        self.assertIn("\t200\t", page)
        self.assertEqual(none, f"{self.url}/none\tfailed: the server answered 404")
        self.assertRegex(refused, "failed: .*[Cc]onnect")
        self.assertRegex(other, "failed: .*rotocol")

    def test_json_from_a_file_and_kept(self):
        with tempfile.TemporaryDirectory() as folder:
            status, out, _ = weft("fetch", "-a", "-", "--json", "--output", f"{folder}/pages", given=f"# addresses\n  {self.url}/a/b \r\n\n{self.url}/none\n")
            self.assertEqual(status, 1)
            page, none = sorted((json.loads(line) for line in out.splitlines()), key=lambda one: one["status"])
            self.assertEqual((page["url"], page["bytes"], page["links"], page["tries"], page["error"]), (f"{self.url}/a/b", len(PAGE), 3, 1, None))
            self.assertEqual(none["error"], "the server answered 404")
            kept, = os.listdir(f"{folder}/pages")
            self.assertTrue(kept.startswith("00001-127.0.0.1_") and kept.endswith("_a_b"), kept)
            with open(f"{folder}/pages/{kept}", "rb") as file:
                self.assertEqual(file.read(), PAGE)

    def test_a_bar_on_a_terminal(self):
        ours, theirs = pty.openpty()
        with subprocess.Popen([WEFT, "fetch", "-j1", f"{self.url}/a", f"{self.url}/none"], stdout=subprocess.PIPE, stderr=theirs) as program:
            os.close(theirs)
            drawn = b""
            try:
                while more := os.read(ours, 4096):
                    drawn += more
            except OSError:  # what a terminal says whose other end is closed
                pass
            os.close(ours)
            out = program.stdout.read()
        self.assertEqual((program.returncode, out.count(b"\n"), out.count(b"\r")), (1, 2, 0))
        shown = re.findall(rb"\[([#.]+)\] (\d) of 2, (\d) failed", drawn)
        self.assertEqual(shown, [(b"." * 40, b"0", b"0"), (b"#" * 20 + b"." * 20, b"1", b"0"), (b"#" * 40, b"2", b"1")])
        self.assertTrue(drawn.endswith(b"\r\033[K"))

    def test_each_is_told_when_it_is_there(self):
        with subprocess.Popen([WEFT, "fetch", f"{self.url}/a", f"{self.url}/slow"], stdout=subprocess.PIPE, text=True) as program:
            self.assertIn("/a\t200\t", program.stdout.readline())
            self.server.stopped.set()
            self.assertIn("/slow\t200\t", program.stdout.readline())
        self.assertEqual(program.returncode, 0)

    def test_who_interrupts_it_leaves_nothing_half(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with tempfile.TemporaryDirectory() as folder:
                words = [WEFT, "fetch", "--output", folder, f"{self.url}/a"] + [f"{self.url}/half/{i}" for i in range(5)]
                with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
                    self.assertIn("/a\t200\t", program.stdout.readline())
                    late = time.monotonic() + 30
                    while len(os.listdir(folder)) < 6 and time.monotonic() < late:
                        time.sleep(0.001)
                    self.assertEqual(len([name for name in os.listdir(folder) if name.endswith(".part")]), 5)
                    program.send_signal(number)
                    program.wait(30)
                self.assertEqual(program.returncode, -number)
                self.assertEqual([name[:5] for name in os.listdir(folder)], ["00001"])
        self.server.stopped.set()

    def test_nobody_reads_it_any_more(self):
        with tempfile.TemporaryDirectory() as folder:
            words = [WEFT, "fetch", "--output", folder, "--retries", "3", f"{self.url}/a", f"{self.url}/half/1", f"{self.url}/later/unread"]
            with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
                self.assertIn("/a\t200\t", program.stdout.readline())
                program.stdout.close()
                program.wait(30)
            self.assertEqual(program.returncode, -signal.SIGPIPE)
            self.assertEqual([name for name in os.listdir(folder) if name.endswith(".part")], [])
        self.server.stopped.set()

    def test_what_is_ignored_ends_nothing(self):  # as of nohup
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with tempfile.TemporaryDirectory() as folder:
            words = [WEFT, "fetch", "--output", folder, f"{self.url}/a", f"{self.url}/slow"]
            with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, restore_signals=False) as program:
                signal.signal(signal.SIGHUP, before)
                self.assertIn("/a\t200\t", program.stdout.readline())
                program.send_signal(signal.SIGHUP)
                program.stdout.close()
                self.server.stopped.set()
                try:
                    program.wait(30)
                finally:
                    program.kill()
            self.assertEqual(program.returncode, 1)  # what it said reached nobody
            self.assertEqual(sorted(name[:5] for name in os.listdir(folder)), ["00001", "00002"])
            self.assertEqual([name for name in os.listdir(folder) if name.endswith(".part")], [])

    def test_what_cannot_be_kept(self):
        with tempfile.TemporaryDirectory() as folder:
            status, out, err = weft("fetch", "--output", __file__, f"{self.url}/a")
            self.assertEqual((status, out, err), (255, "", f"weft fetch: {__file__} is no folder\n"))
            status, out, err = weft("fetch", "--output", f"{folder}/none/none", f"{self.url}/a")
            self.assertEqual((status, out), (255, ""))
            self.assertIn("cannot make the folder", err)
        with open("/dev/full", "w", encoding="ascii") as full:
            self.assertEqual(subprocess.run([WEFT, "fetch", f"{self.url}/a"], stdout=full, timeout=60, check=False).returncode, 1)

    def test_tries_again_and_gives_up_in_time(self):
        status, out, _ = weft("fetch", "--json", "--retries", "3", f"{self.url}/later")
        self.assertEqual((status, json.loads(out)["tries"], json.loads(out)["status"]), (0, 3, 200))
        status, out, _ = weft("fetch", "--timeout", "0.2", f"{self.url}/slow")
        self.assertEqual(status, 1)
        self.assertRegex(out, "failed: .*[Tt]imed? ?out")

    def test_usage(self):
        for words, text in (([], "no addresses"), (["--jobs", "none", "x"], "from 1 to"), (["-j0", "x"], "from 1 to"), (["-j99999999999", "x"], "from 1 to"),
                            (["--retries", "1.5", "x"], "whole"), (["--unknown"], "unknown option --unknown"), (["-j"], "no value for -j"),
                            (["-a", "/nonexistent"], "cannot read /nonexistent"), (["-a", "/"], "cannot read /: Is a directory"), (["--timeout", "-1", "x"], "from 0.001")):
            status, out, err = weft("fetch", *words)
            self.assertEqual((status, out, err.count("\n")), (255, "", 1), words)
            self.assertIn(text, err)
        self.assertIn("--retries", weft("fetch", "--help")[1])


class Blocking(unittest.TestCase):
    def test_what_a_library_calls(self):
        status, out, _ = weft("blocking", LIBRARY)
        self.assertEqual(status, 0)
        self.assertRegex(out, r"(?m)^  epoll_wait +covered$")
        self.assertRegex(out, r"(?m)^  \d+ covered, \d+ not")
        status, out, _ = weft("blocking", WEFT)
        self.assertRegex(out, r"(?m)^  printf +not covered: stdio$")

    def test_what_is_no_program(self):
        status, out, err = weft("blocking", __file__, "/nonexistent", "/dev/null")
        self.assertEqual((status, out, err.count("\n")), (1, "", 3))
        self.assertEqual(weft("blocking")[0], 255)
        with open(LIBRARY, "rb") as file:
            whole = file.read()
        for length in list(range(0, 70)) + list(range(70, len(whole), 1 + len(whole) // 60)):  # cut short anywhere
            with tempfile.NamedTemporaryFile() as part:
                part.write(whole[:length])
                part.flush()
                self.assertIn(weft("blocking", part.name)[0], (0, 1))


unittest.main(argv=sys.argv[:1])
