#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""serve.py WEFT: what weft serve does, with each kind of task."""

import http.client
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

WEFT = os.path.abspath(sys.argv[1])
LATE = 30  # seconds until a test gives up waiting
WAYS = [["--task=coroutine"], ["--task", "coroutine", "--threads", "2"], ["-t", "thread"], ["-t", "thread", "-n", "5"]]
if "-fsanitize=thread" not in os.environ.get("WEFT_BUILD", ""):
    WAYS += [["-t", "process"], ["-t", "process", "-n", "2"]]


class Server:
    """weft serve, while a with block lasts; ended by SIGTERM."""

    def __init__(self, *words, status=0, start=None):
        self.words, self.status, self.start = words, status, start

    def __enter__(self):
        self.program = subprocess.Popen([WEFT, "serve", *self.words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=self.start)
        self.address = self.program.stdout.readline().strip()
        return self

    def __exit__(self, *what):
        self.program.send_signal(signal.SIGTERM)
        out, self.errors = self.program.communicate(timeout=LATE)
        assert self.program.returncode == self.status, (self.program.returncode, out, self.errors)

    def dial(self):
        if self.address.startswith("unix:"):
            made = socket.socket(socket.AF_UNIX)
            made.connect(self.address[5:])
        else:
            host, port = self.address.rsplit(":", 1)
            made = socket.create_connection((host.strip("[]"), int(port)))
        made.settimeout(LATE)
        return made


def receive(made, count):
    """So many octets, or what came before the end."""
    got = b""
    while len(got) < count and (more := made.recv(count - len(got))):
        got += more
    return got


class Serve(unittest.TestCase):
    """All of it."""

    def test_echo(self):
        for way in WAYS:
            with self.subTest(way), Server("echo", *way) as server:
                dialled = [server.dial() for _ in range(2)]
                for i, made in enumerate(dialled):
                    made.sendall(b"hello %d" % i)
                for i, made in enumerate(dialled):
                    self.assertEqual(receive(made, 7), b"hello %d" % i)
                    made.shutdown(socket.SHUT_WR)
                    self.assertEqual(receive(made, 1), b"")
                    made.close()

    def test_much(self):
        octets = os.urandom(1 << 20)
        with Server("echo") as server, server.dial() as made:
            sender = threading.Thread(target=made.sendall, args=(octets,))
            sender.start()
            self.assertEqual(receive(made, len(octets)), octets)
            sender.join()

    def test_upper_over_a_local_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            with Server("upper", "-l", f"unix:{folder}/s") as server, server.dial() as made:
                made.sendall(b"Weft, 1 2 3")
                self.assertEqual(receive(made, 11), b"WEFT, 1 2 3")
            self.assertEqual(os.listdir(folder), [])

    def test_who_resets_harms_nobody(self):
        with Server("upper", "-t", "thread", "-n", "2") as server:
            for _ in range(10):
                made = server.dial()
                made.sendall(b"x")
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                made.close()
            with server.dial() as made:
                made.sendall(b"x")
                self.assertEqual(receive(made, 1), b"X")

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(f"{folder}/in")
            os.mkdir(f"{folder}/in/sub")
            for name, text in (("in/a.txt", "first"), ("in/b c.html", "x" * 300000), ("in/sub/index.html", "index"), ("out", "secret")):
                with open(f"{folder}/{name}", "w", encoding="ascii") as file:
                    file.write(text)
            os.symlink("../out", f"{folder}/in/link")
            for way in WAYS:
                with self.subTest(way), Server("files", f"{folder}/in", *way) as server:
                    self.ask(server)

    def ask(self, server):
        client = http.client.HTTPConnection(server.address, timeout=LATE)
        for path, status, body in (("/a.txt?x=1", 200, b"first"), ("/b%20c.html", 200, b"x" * 300000), ("/sub", 200, b"index"), ("/sub/", 200, b"index"),
                                   ("/", 404, None), ("/none", 404, None), ("/../out", 403, None), ("/%2e%2e/out", 403, None), ("/link", 403, None)):
            client.request("GET", path)
            answer = client.getresponse()
            got = answer.read()
            self.assertEqual((answer.status, len(got)), (status, len(got) if body is None else len(body)), path)
            if body is not None:
                self.assertEqual(got, body)
        client.request("HEAD", "/a.txt")
        answer = client.getresponse()
        self.assertEqual((answer.status, answer.getheader("Content-Length"), answer.read()), (200, "5", b""))
        client.request("POST", "/a.txt", b"body")
        self.assertEqual(client.getresponse().status, 501)
        client.close()
        for request, status in ((b"nonsense\r\n\r\n", b"400"), (b"GET / HTTP/1.1\r\nX: " + b"x" * 40000 + b"\r\n\r\n", b"431"), (b"x" * 40000, b"431"),
                                (b"GET / HTTP/1.1\r\n" + b"X: 1234567890\r\n" * 3000 + b"\r\n", b"431"),
                                (b"POST / HTTP/1.1\r\nContent-Length: 40000\r\n\r\n" + b"x" * 40000, b"501")):
            with server.dial() as made:
                made.sendall(request)
                self.assertEqual(receive(made, 1000)[:12], b"HTTP/1.1 " + status)

    def test_who_stays_is_ended(self):
        with Server("echo", "--grace=0.05", status=1) as server, server.dial() as made:
            made.sendall(b"x")
            self.assertEqual(receive(made, 1), b"x")
            server.program.send_signal(signal.SIGINT)
            self.assertEqual(receive(made, 1), b"")
            server.program.wait(LATE)
        self.assertIn("have been ended", server.errors)

    def test_a_second_signal_ends_who_stays_at_once(self):
        for way in WAYS:
            with self.subTest(way), Server("echo", "--grace=1000", *way, status=1) as server, server.dial() as made:
                made.sendall(b"x")
                self.assertEqual(receive(made, 1), b"x")
                late, ended = time.monotonic() + LATE, False
                while not ended and time.monotonic() < late:  # two that come together are one
                    server.program.send_signal(signal.SIGINT)
                    ended = bool(select.select([made], [], [], 0.02)[0])
                self.assertEqual(receive(made, 1), b"")
                server.program.wait(LATE)
            self.assertIn("second signal", server.errors)

    def test_two_signals_to_who_has_no_connections(self):
        for _ in range(5):  # the second one comes when it comes
            with Server("echo") as server:
                server.program.send_signal(signal.SIGTERM)

    def test_who_is_silent_is_ended(self):
        with Server("echo", "--idle=0.05") as server, server.dial() as made:
            self.assertEqual(receive(made, 1), b"")

    def test_the_limit(self):
        with Server("echo", "--limit=1") as server, server.dial() as one, server.dial() as other:
            one.sendall(b"x")
            self.assertEqual(receive(one, 1), b"x")
            other.sendall(b"y")
            other.settimeout(0.05)
            self.assertRaises(TimeoutError, other.recv, 1)
            one.close()
            other.settimeout(LATE)
            self.assertEqual(receive(other, 1), b"y")

    def test_mistakes(self):
        for words, text in (([], "no service"), (["ecoh"], "did you mean echo"), (["echo", "x"], "no arguments"), (["echo", "--tusk=x"], "unknown option"),
                            (["echo", "--task=x"], "not 'x'"), (["echo", "--limit=-1"], "from 0"), (["echo", "-n", "1.5"], "whole"), (["echo", "-n", "10001"], "from 0 to 10000"), (["echo", "-l"], "no value"),
                            (["echo", "-l", "nowhere"], "HOST:PORT"), (["echo", "-l", "127.0.0.1:65536"], "up to 65535"), (["echo", "-l", "1.2.3.4.5:99"], "no such host"),
                            (["echo", "-l", "unix:/none/none"], "No such file"), (["files", "/none"], "/none")):
            done = subprocess.run([WEFT, "serve", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=LATE, check=False)
            self.assertEqual(done.returncode, 255, words)
            self.assertIn(text, done.stderr)
        with Server("echo") as server:
            done = subprocess.run([WEFT, "serve", "echo", "-l", server.address], stderr=subprocess.PIPE, text=True, timeout=LATE, check=False)
            self.assertEqual((done.returncode, done.stderr), (255, f"weft serve: cannot listen at {server.address}: Address already in use\n"))
        self.assertEqual(subprocess.run([WEFT, "serve", "--help"], stdout=subprocess.PIPE, check=False).returncode, 0)

    def test_more_descriptors_than_are_given(self):
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (30, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

        with Server("echo", start=few) as server:
            dialled = [server.dial() for _ in range(60)]
            for made in dialled:
                made.sendall(b"x")
            for made in dialled:
                self.assertEqual(receive(made, 1), b"x")
                made.close()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
