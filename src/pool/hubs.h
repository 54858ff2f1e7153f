/* SPDX-License-Identifier: MIT */
/* The threads of a pool of coroutines; see hubs.c. */
#ifndef WEFTI_HUBS_H
#define WEFTI_HUBS_H

#include "pool/pool.h"

struct wefti_hubs;

/* For up to `count` threads. NULL with ENOMEM. */
struct wefti_hubs *wefti_hubs_new(unsigned count);
/*
 * Has the worker begun (wefti_worker_begin) on the thread whose turn it is by `number`, which is started if it is not there. -1 with
 * EAGAIN, ENOMEM and what weft_task_start gives for a thread: then the worker is gone, as one that could not be started.
 */
int wefti_hubs_begin(struct weft_pool *pool, struct wefti_worker *worker, unsigned number);
/* Ends the threads, whose workers have ended, and joins them. -1 as any wait: it can be repeated. */
int wefti_hubs_end(struct wefti_hubs *hubs, weft_time deadline);
/* The pool goes: the threads end by themselves. NULL is allowed. */
void wefti_hubs_free(struct wefti_hubs *hubs);

#endif
