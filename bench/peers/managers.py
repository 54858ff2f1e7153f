#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""CPython's managers: managers.py ROW ITERATIONS [ADDRESS]. The client is always CPython's; without an address, or with the word unix for one, so is the server. Prints microseconds of one operation. The row "serve" is a server only, which prints its number and address."""
import multiprocessing
import os
import sys
import threading
import time
from multiprocessing.managers import BaseManager, DictProxy

KEY = b'secret'


class Manager(BaseManager):
    pass


def serve(pipe, where):
    import queue
    words, jobs = {}, queue.Queue()
    Manager.register('get_dict', callable=lambda: words, proxytype=DictProxy)
    Manager.register('get_queue', callable=lambda: jobs)
    server = Manager(where, KEY).get_server()
    if pipe:
        pipe.send(server.address)
    else:
        print(os.getpid(), '%s:%d' % server.address, flush=True)
    server.serve_forever()


def reach(address):
    Manager.register('get_dict', proxytype=DictProxy)
    Manager.register('get_queue')
    manager = Manager(address, KEY)
    manager.connect()
    return manager


def sets_of(manager):
    words = manager.get_dict()

    def call(i):
        words['key'] = i
    return call


def gets_of(manager):
    words = manager.get_dict()
    words['key'] = 12345

    def call(i):
        words['key']
    return call


def pairs_of(manager):
    jobs = manager.get_queue()

    def call(i):
        jobs.put(i)
        jobs.get()
    return call


def one(address, times, run):
    call = run(reach(address))
    call(0)
    start = time.perf_counter()
    for i in range(times):
        call(i)
    return time.perf_counter() - start


def sets(address, times):
    return one(address, times, sets_of)


def gets(address, times):
    return one(address, times, gets_of)


def pairs(address, times):
    return one(address, times, pairs_of)


def four(address, times, run=sets_of):
    ready = multiprocessing.Barrier(5)

    def one():
        call = run(reach(address))
        call(0)
        ready.wait()
        for i in range(times // 4):
            call(i)
        ready.wait()
    children = [multiprocessing.Process(target=one) for _ in range(4)]
    for child in children:
        child.start()
    ready.wait()
    start = time.perf_counter()
    ready.wait()
    took = time.perf_counter() - start
    for child in children:
        child.join()
    return took


def four_pairs(address, times):
    return four(address, times, pairs_of)


def connects(address, times):
    took = 0
    for _ in range(times):
        start = time.perf_counter()
        jobs = reach(address).get_queue()
        jobs.qsize()
        took += time.perf_counter() - start
        del jobs
    return took


def server_end(server, address):
    server.terminate()
    server.join()
    if isinstance(address, str):
        os.unlink(address)


def used(process):
    """Nanoseconds of the processor that all threads of a process have used, those that have ended too."""
    return time.clock_gettime_ns(~process << 3 | 2)  # what clock_getcpuclockid gives


def main(row, iterations, where=None):
    multiprocessing.set_start_method('fork')
    if row == 'serve':
        serve(None, ('127.0.0.1', 0))
    server = None
    if where and where.startswith('unix:'):
        address = where[5:]
    elif where and where != 'unix':
        host, port = where.split(':')
        address = (host, int(port))
    else:
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.Process(target=serve, args=(theirs, f'/tmp/weft-bench-{os.getpid()}' if where else ('127.0.0.1', 0)), daemon=True)
        server.start()
        address = ours.recv()
    run = {'manager-python': sets, 'manager-python-pairs': pairs, 'manager-python-four': four, 'manager-python-four-pairs': four_pairs, 'manager-connect': connects, 'manager-call': sets, 'manager-calls': four,
           'manager-call-unix': sets, 'manager-calls-unix': four, 'manager-call-pinned': sets, 'manager-call-unix-pinned': sets, 'manager-get': gets, 'manager-processor': sets, 'manager-processor-four': four}[row]
    before = used(server.pid) if server and row.startswith('manager-processor') else None
    took = run(address, iterations)
    if before is not None:
        took = (used(server.pid) - before) / 1e9
    print('%.6g' % (took / iterations * 1e6))
    if server:
        server_end(server, address)


main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:4])
