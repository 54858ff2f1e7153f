#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""preload.py LIBRARY CALLS PRELOADED: programs with libweft-patch preloaded, and without."""

import os
import subprocess
import sys
import unittest

LIBRARY, CALLS, PRELOADED = (os.path.abspath(path) for path in sys.argv[1:4])
PYTHON = """
import asyncio, socket, subprocess, threading
async def main():
    async def serve(reader, writer):
        writer.write((await reader.readline()).upper()); await writer.drain(); writer.close()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    def ask(word):
        with socket.create_connection(("127.0.0.1", port), 20) as s:
            s.sendall(word + b"\\n"); return s.makefile("rb").read()
    print(await asyncio.gather(*(asyncio.to_thread(ask, b"%d words" % i) for i in range(8))))
    server.close()
asyncio.run(main())
print(subprocess.run(["tr", "a-z", "A-Z"], input=b"piped", capture_output=True).stdout)
seen, condition = [], threading.Condition()
def put():
    with condition: seen.append(1); condition.notify()
with condition:
    threading.Thread(target=put).start(); print(condition.wait_for(lambda: seen, 20))
"""


def outcome(*words, preload):
    """Status, output and errors of a program."""
    environment = os.environ | ({"LD_PRELOAD": LIBRARY} if preload else {})
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, env=environment)
    return done.returncode, done.stdout, done.stderr


class Preload(unittest.TestCase):
    def same(self, *words):
        """Asserts that it makes no difference, and gives what came."""
        without = outcome(*words, preload=False)
        self.assertEqual(outcome(*words, preload=True), without)
        return without

    def test_a_program_that_knows_nothing_of_weft(self):
        status, out, errors = self.same(CALLS)
        self.assertEqual((status, errors), (5, ""))
        self.assertIn("read -1 EINTR\n", out)
        self.assertIn("read 5 \n", out)

    def test_programs_of_the_system(self):
        self.assertEqual(self.same("sh", "-c", "seq 1000 | (read first; sort -r | head -1; echo $first); sleep 0.01; exit 9"), (9, "999\n1\n", ""))
        status, out, errors = self.same(sys.executable, "-c", PYTHON)
        self.assertEqual((status, errors), (0, ""))
        self.assertIn("7 WORDS", out)

    def test_a_program_that_switches_it_on(self):
        self.assertEqual(outcome(PRELOADED, preload=False), (0, "nothing is preloaded\n", ""))
        self.assertEqual(outcome(PRELOADED, preload=True), (0, "read what the other wrote\n", ""))


unittest.main(argv=sys.argv[:1])
