#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""CPython's pickle module, which is in C: pickles.py ROW ITERATIONS [VARIANT]. Prints ns of its processor for each item (of bytes: each KiB), of the quickest rounds."""
import pickle
import sys
import time

ITEMS, OCTETS = 100000, 16 << 20
VALUES = {
    'codec-bytes': (lambda: b'x' * OCTETS, OCTETS / 1024),
    'codec-ints': (lambda: [i % 256 for i in range(ITEMS)], ITEMS),
    'codec-tuples': (lambda: [(i, 'item %d' % i, i * 0.5) for i in range(ITEMS)], ITEMS),
}


def quickest(times, call):
    best = 1e9
    for _ in range(times):
        start = time.process_time()
        made = call()
        del made
        best = min(best, time.process_time() - start)
    return best


def main(row, iterations, variant=''):
    make, items = VALUES[row]
    value = make()
    octets = pickle.dumps(value, 4)
    took = 0
    if variant != 'load':
        took += quickest(iterations, lambda: pickle.dumps(value, 4))
    if variant != 'dump':
        took += quickest(iterations, lambda: pickle.loads(octets))
    print('%.6g' % (took / items * 1e9))


main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:4])
