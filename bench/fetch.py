#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures a command that fetches pages: fetch.py ROW ITERATIONS SERVER COMMAND...

SERVER is peers/fetch_server, which answers each request after 50 ms, and is started anew. COMMAND is given so many addresses as its stdin. Printed are seconds by the clock until its end; of a ROW that
ends in -processor, seconds of its processor time.
"""
import os
import subprocess
import sys
import tempfile
import time


def main(row, iterations, program, *command):
    pages = int(iterations)
    with subprocess.Popen([program, "50"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server, tempfile.TemporaryFile("w+") as urls:
        port = int(server.stdout.readline())
        urls.writelines(f"http://127.0.0.1:{port}/{number}\n" for number in range(pages))
        urls.seek(0)
        with tempfile.TemporaryFile("w+") as out:
            start = time.perf_counter()
            child = subprocess.Popen(command, stdin=urls, stdout=out)
            _, status, used = os.wait4(child.pid, 0)
            seconds = time.perf_counter() - start
            child.returncode = status
            out.seek(0)
            fetched = sum("\t200\t" in line for line in out)
        server.stdin.close()
    if status != 0 or fetched != pages:
        sys.exit(f"{command[0]}: status {status}, {fetched} of {pages} pages")
    print(used.ru_utime + used.ru_stime if row.endswith("-processor") else seconds)


main(*sys.argv[1:])
