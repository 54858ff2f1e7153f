# SPDX-License-Identifier: MIT
"""A program in Python that has its work done by a worker in C: python3 managers_tasks.py ./managers_worker"""
import multiprocessing
import os
import queue
import subprocess
import sys
import tempfile
from multiprocessing.managers import BaseManager


class QueueManager(BaseManager):
    pass


tasks, results = queue.Queue(), queue.Queue()


def get_task_queue():
    return tasks


def get_result_queue():
    return results


QueueManager.register('get_task_queue', callable=get_task_queue)
QueueManager.register('get_result_queue', callable=get_result_queue)


def main(worker):
    key = os.urandom(32)
    manager = QueueManager(address=('127.0.0.1', 0), authkey=key)
    manager.start()
    task, result = manager.get_task_queue(), manager.get_result_queue()
    with tempfile.NamedTemporaryFile() as file:
        file.write(key + b'\n')  # one newline at its end is not part of it
        file.flush()
        with subprocess.Popen([worker, '%s:%d' % manager.address, file.name]):
            for limit in (10, 100, 1000, 10000):
                task.put(limit)
            for _ in range(4):
                print('%d: %d primes' % result.get(timeout=10))
            task.put(None)
    manager.shutdown()


if __name__ == '__main__':
    multiprocessing.set_start_method('fork')
    main(sys.argv[1])
