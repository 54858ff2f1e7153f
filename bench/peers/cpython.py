#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""CPython's own: queue.Queue, threading.Thread, ThreadPoolExecutor, subprocess, multiprocessing, ProcessPoolExecutor."""
import multiprocessing
import queue
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor


def seconds(work, *arguments, **options):
    start = time.perf_counter()
    work(*arguments, **options)
    return time.perf_counter() - start


def produce_and_consume(pairs, share):
    items = queue.Queue(1024)
    ready = threading.Barrier(2 * pairs + 1)

    def produce():
        ready.wait()
        for i in range(share):
            items.put(i)

    def consume():
        ready.wait()
        for _ in range(share):
            items.get()

    threads = [threading.Thread(target=work) for work in (produce, consume) * pairs]
    for thread in threads:
        thread.start()
    ready.wait()
    return seconds(lambda: [thread.join() for thread in threads])


def queue_pairs(pairs):
    def measure(iterations):
        produce_and_consume(pairs, iterations // pairs // 10)
        return produce_and_consume(pairs, iterations // pairs) / iterations * 1e9
    return measure


def put_all(items, message, count):
    for _ in range(count):
        items.put(message)


def shared_queue(message):
    def measure(iterations):
        items = multiprocessing.Queue(1024)
        warm = iterations // 10
        child = multiprocessing.Process(target=put_all, args=(items, message, warm + iterations))
        child.start()
        for _ in range(warm):
            items.get()
        taken = seconds(lambda: [items.get() for _ in range(iterations)] and None)
        child.join()
        return taken / iterations * 1e9
    return measure


def put_and_get(items, steps):
    last = 0
    for step in steps:
        items.put(last + step)
        last = items.get()


def priority(iterations):
    items = queue.PriorityQueue(1024)
    steps = [random.randrange(2**20) for _ in range(iterations)]
    for step in steps[:1000]:
        items.put(step)
    put_and_get(items, steps[:iterations // 10])
    return seconds(put_and_get, items, steps) / iterations * 1e9


def start_and_join(times):
    for _ in range(times):
        thread = threading.Thread(target=nothing)
        thread.start()
        thread.join()


def start_and_join_processes(context, times):
    for _ in range(times):
        process = context.Process(target=nothing)
        process.start()
        process.join()


def processes(iterations, method="fork"):
    context = multiprocessing.get_context(method)
    start_and_join_processes(context, iterations // 10)
    return seconds(start_and_join_processes, context, iterations) / iterations * 1e6


def thread(iterations):
    start_and_join(iterations // 10)
    return seconds(start_and_join, iterations) / iterations * 1e6


def nothing():
    pass


def submit_all(tasks):
    with ThreadPoolExecutor(2) as pool:
        for _ in range(tasks):
            pool.submit(nothing)


def empty(iterations):
    submit_all(iterations // 10)
    return seconds(submit_all, iterations) / iterations * 1e9


def round_trips(pool, times):
    for _ in range(times):
        pool.submit(nothing).result()


def round_trip(iterations):
    with ThreadPoolExecutor(2) as pool:
        round_trips(pool, iterations // 10 + 1)
        return seconds(round_trips, pool, iterations) / iterations * 1e9


def nothing_of(_):
    pass


def process_empty(iterations, variant="map"):
    if variant == "executor":
        with ProcessPoolExecutor(2) as pool:
            for future in [pool.submit(nothing) for _ in range(100)]:
                future.result()
            return seconds(lambda: [f.result() for f in [pool.submit(nothing) for _ in range(iterations)]]) / iterations * 1e9
    with multiprocessing.Pool(2) as pool:
        pool.map(nothing_of, range(100), 1)
        return seconds(pool.map, nothing_of, range(iterations), 1) / iterations * 1e9


def process_round_trip(iterations, variant="apply"):
    if variant == "executor":
        with ProcessPoolExecutor(2) as pool:
            round_trips(pool, iterations // 10 + 1)
            return seconds(round_trips, pool, iterations) / iterations * 1e9
    with multiprocessing.Pool(2) as pool:
        pool.apply(nothing)
        return seconds(lambda: [pool.apply(nothing) for _ in range(iterations)]) / iterations * 1e9


def commands(times, **options):
    for _ in range(times):
        subprocess.run(["/bin/true"], check=True, **options)


def start_and_wait(iterations):
    commands(iterations // 10 + 1)
    return seconds(commands, iterations) / iterations * 1e6


def capture(iterations):
    commands(iterations // 10 + 1, capture_output=True)
    return seconds(commands, iterations, capture_output=True) / iterations * 1e6


def through_cat(data, times):
    for _ in range(times):
        child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if len(child.communicate(data)[0]) != len(data):
            raise RuntimeError("cat: octets were lost")


def cat(iterations):
    data = bytes(range(256)) * (64 * 1024 * 1024 // 256)
    through_cat(data, 1)
    return len(data) * iterations / seconds(through_cat, data, iterations) / 1e6


def get_all(shared, keys, times):
    for i in range(times):
        shared[keys[i % 10]]


def set_all(shared, keys, times):
    for i in range(times):
        shared[keys[i % 10]] = i


def add_all(shared, keys, times):
    for _ in range(times):
        with shared.get_lock():
            shared[0] += 1


def process(work, shared, number, ready, times):
    keys = [f"{number} {i}" for i in range(10)]
    if work is not add_all:
        set_all(shared, keys, 10)
    work(shared, keys, times // 10)
    ready.wait()
    work(shared, keys, times)
    ready.wait()


def side_by_side(processes, work, shared, iterations):
    ready = multiprocessing.Barrier(processes + 1)
    members = [multiprocessing.Process(target=process, args=(work, shared, i, ready, iterations // processes)) for i in range(processes)]
    for member in members:
        member.start()
    ready.wait()
    spent = seconds(ready.wait)
    for member in members:
        member.join()
    return spent / iterations * 1e9


def managed(processes, work):
    def measure(iterations):
        with multiprocessing.Manager() as manager:
            return side_by_side(processes, work, manager.dict(), iterations)
    return measure


def array_add(iterations):
    return side_by_side(1, add_all, multiprocessing.Array("i", 10), iterations)


ROWS = {
    "map-get": managed(1, get_all),
    "map-set": managed(1, set_all),
    "map-get-4": managed(4, get_all),
    "map-set-4": managed(4, set_all),
    "array-add": array_add,
    "shared-queue-8": shared_queue(7),
    "shared-queue-100": shared_queue(bytes(100)),
    "shared-queue-64k": shared_queue(bytes(65536)),
    "queue-1p1c": queue_pairs(1),
    "queue-2p2c": queue_pairs(2),
    "queue-priority": priority,
    "thread": thread,
    "process": processes,
    "pool-empty": empty,
    "pool-round-trip": round_trip,
    "pool-process-empty": process_empty,
    "pool-process-round-trip": process_round_trip,
    "command-wait": start_and_wait,
    "command-capture": capture,
    "command-cat": cat,
}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ROWS:
        sys.exit(f"usage: {sys.argv[0]} ROW ITERATIONS")
    print(f"{ROWS[sys.argv[1]](int(sys.argv[2]), *sys.argv[3:]):.6g}")
