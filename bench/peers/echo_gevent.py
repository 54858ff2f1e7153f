#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Echo by gevent: a greenlet a connection."""

import os
import resource
import subprocess
import sys

from gevent.server import StreamServer
from gevent import subprocess as cooperative


def echo(connection, _address):
    """Gives back what comes."""
    while octets := connection.recv(4096):
        connection.sendall(octets)


def spent():
    """Processor time so far, in microseconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return (usage.ru_utime + usage.ru_stime) * 1e6


def main():
    """PROGRAM ROW MESSAGES GENERATOR"""
    row, messages, generator = sys.argv[1:4]
    server = StreamServer(("127.0.0.1", 0), echo, backlog=2048)
    server.start()
    load = cooperative.Popen([generator, str(server.server_port), row.rpartition("-")[2], messages, "pin"], stdout=subprocess.PIPE)
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    before = spent()
    out = load.stdout.read()
    if load.wait() != 0:
        sys.exit(1)
    print(out.decode(), end="")
    print(f"{(spent() - before) / float(messages) / 1.1:.4g}")


main()
