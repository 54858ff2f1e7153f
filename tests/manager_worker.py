# SPDX-License-Identifier: MIT
"""The worker of the tutorial pair, as Python programmers write it: manager_worker.py HOST PORT KEY"""
import queue
import sys
import time
from multiprocessing.managers import BaseManager


class QueueManager(BaseManager):
    pass


QueueManager.register('get_task_queue')
QueueManager.register('get_result_queue')

m = QueueManager(address=(sys.argv[1], int(sys.argv[2])), authkey=sys.argv[3].encode())
m.connect()
task = m.get_task_queue()
result = m.get_result_queue()
for i in range(10):
    try:
        n = task.get(timeout=1)
        print('run task %d * %d...' % (n, n))
        r = '%d * %d = %d' % (n, n, n * n)
        result.put(r)
    except queue.Empty:
        print('task queue is empty.')
print('worker exit.')
