# SPDX-License-Identifier: MIT
"""Python as the server of test_manager.c: manager_master.py tutorial|standard|everywhere KEY. Says its port first."""
import multiprocessing
import queue
import sys
from multiprocessing.managers import BaseManager, SyncManager


class QueueManager(BaseManager):
    pass


task_queue, result_queue = queue.Queue(), queue.Queue()


def get_task_queue():
    return task_queue


def get_result_queue():
    return result_queue


def tutorial(key):
    QueueManager.register('get_task_queue', callable=get_task_queue)
    QueueManager.register('get_result_queue', callable=get_result_queue)
    manager = QueueManager(address=('127.0.0.1', 0), authkey=key)
    manager.start()
    print(manager.address[1], flush=True)
    task, result = manager.get_task_queue(), manager.get_result_queue()
    for n in range(10):
        task.put(n * 1111)
    for n in range(10):
        r = result.get(timeout=20)
        assert r == '%d * %d = %d' % (n * 1111, n * 1111, n * n * 1111 * 1111), r
    manager.shutdown()
    print('master exit.', flush=True)


def standard(key):
    multiprocessing.current_process().authkey = key  # what proxies inside the server use
    serve(key, '127.0.0.1')


def everywhere(key):
    """One that knows only proxies with its own address for its own, and has no key to call itself."""
    serve(key, '0.0.0.0')


def serve(key, host):
    manager = SyncManager(address=(host, 0), authkey=key)
    manager.start()
    print(manager.address[1], flush=True)
    sys.stdin.read()
    manager.shutdown()


if __name__ == '__main__':
    multiprocessing.set_start_method('fork')
    globals()[sys.argv[1]](sys.argv[2].encode())
