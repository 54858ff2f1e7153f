#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""gdb.py SCRIPT PROGRAM: `weft bt` in gdb, of a running program and of its core file."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

script, program = (os.path.abspath(path) for path in sys.argv[1:3])
if not shutil.which("gdb"):
    print("no gdb here")
    sys.exit(77)


def gdb(*words):
    done = subprocess.run(["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=100)
    return done.stdout


def stacks(text):
    """The functions of each coroutine's stack, innermost first."""
    found = {}
    for name, frames in re.findall(r"(?m)^(\S+), of thread \d+:\n((?:  #.*\n)+)", text):
        found[name] = re.findall(r"(?m)^  #\d+ +(?:0x\w+ in )?(\w+)", frames)
    return found


def check(text, where):
    found = stacks(text)
    waiter, dozer = found.get("Waiter", []), found.get("Coroutine-1", [])
    if waiter.count("wait_for_ever") != 4 or "waiter_main" not in waiter or "doze" not in dozer or "dozer_main" not in dozer:
        print(f"{where}:\n{text}\n{found}")
        sys.exit(1)


def cores_allow():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)


with tempfile.TemporaryDirectory() as folder:
    parked = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder, preexec_fn=cores_allow)
    assert parked.stdout.readline() == "ready\n"
    live = gdb("-p", str(parked.pid), "-x", script, "-ex", "weft bt", "-ex", "weft bt Nobody")
    parked.send_signal(signal.SIGABRT)
    parked.wait(20)
    parked.stdin.close()
    parked.stdout.close()
    if "ptrace: Operation not permitted" in live:
        print("no process may be looked at here")
        sys.exit(77)
    check(live, "the running program")
    assert "no coroutine is named Nobody" in live
    cores = [name for name in os.listdir(folder) if name.startswith("core")]
    for core in cores:  # the kernel may be told to put them elsewhere
        check(gdb(program, f"{folder}/{core}", "-x", script, "-ex", "weft bt"), "its core file")
print(f"the stacks of parked coroutines, live and from {len(cores)} core file")
