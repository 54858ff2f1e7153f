/* SPDX-License-Identifier: MIT */
/*
 * A pool of coroutines is a pool of threads whose workers are coroutines: each takes one task after another and keeps its place when the
 * task waits. A coroutine begins on the thread that starts it, so what is here are threads that start workers for others: `count` of them,
 * each started with the first worker that is its.
 *
 * state of a thread: ABSENT; COMING, while somebody starts it; THERE. It, the list of workers that are to begin, and `over` are guarded by
 * the thread's latch; `bell` changes under it.
 *
 * A thread that is told that it is over returns, and the task floor runs what is left of its coroutines to their end. That is told when all
 * workers have been joined, or when the pool's memory goes; so nothing is left but their last instructions.
 *
 * fork: the pool is lost in the child, its threads are the parent's.
 */

#include "pool/hubs.h"

#include <errno.h>
#include <stdio.h>

#include "base/memory.h"
#include "coroutine/coroutine.h"
#include "task/task.h"

enum { ABSENT, COMING, THERE };

struct hub_thread {
    struct wefti_latch latch;
    uint32_t state;
    uint32_t bell;
    bool over;
    struct wefti_worker *first, *last; /* that are to begin, by `next` */
    weft_task *task;                   /* a handle of the pool's, while it is THERE */
    struct wefti_hubs *hubs;           /* constant */
};

struct wefti_hubs {
    uint32_t references; /* the pool, and each thread */
    unsigned count;
    struct hub_thread threads[];
};

static void hubs_drop(struct wefti_hubs *hubs)
{
    if (__atomic_sub_fetch(&hubs->references, 1, __ATOMIC_ACQ_REL) == 0)
        wefti_release(hubs);
}

/* Those that are to begin. Under the latch. */
static struct wefti_worker *thread_take(struct hub_thread *thread)
{
    struct wefti_worker *list = thread->first;
    thread->first = NULL;
    return list;
}

static uint32_t thread_ring(struct hub_thread *thread)
{
    __atomic_store_n(&thread->bell, thread->bell + 1, __ATOMIC_RELEASE);
    return thread->bell;
}

static weft_value thread_main(weft_value data)
{
    struct hub_thread *thread = weft_as_ptr(data);
    bool over;
    do {
        wefti_latch_close(&thread->latch);
        struct wefti_worker *worker = thread_take(thread);
        uint32_t bell = thread->bell;
        over = thread->over;
        wefti_latch_open(&thread->latch);
        for (struct wefti_worker *next; worker; worker = next) {
            next = worker->next; /* it is the worker's own from then on */
            wefti_worker_begin(worker);
        }
        if (!over)
            weft_wait(&thread->bell, bell, WEFT_FOREVER);
    } while (!over);
    hubs_drop(thread->hubs);
    return weft_none;
}

/* Under the latch: the thread is there, or is none. Those that can begin nowhere. */
static struct wefti_worker *thread_settle(struct hub_thread *thread, weft_task *task)
{
    thread->task = task;
    thread->state = task ? THERE : ABSENT;
    return task ? NULL : thread_take(thread);
}

static int thread_start(struct weft_pool *pool, struct hub_thread *thread)
{
    char name[256];
    snprintf(name, sizeof(name), "%s/%u", pool->name, (unsigned)(thread - thread->hubs->threads) + 1);
    __atomic_add_fetch(&thread->hubs->references, 1, __ATOMIC_RELAXED);
    weft_task *task = weft_spawn(
        WEFT_THREAD, thread_main, weft_ptr(thread), .name = name, .daemon = true, .cpus = pool->cpus, .nice = wefti_worker_nice(pool));
    int error = errno;
    wefti_latch_close(&thread->latch);
    struct wefti_worker *stranded = thread_settle(thread, task);
    wefti_latch_open(&thread->latch);
    if (task)
        return 0;
    hubs_drop(thread->hubs);
    for (struct wefti_worker *next; stranded; stranded = next) {
        next = stranded->next;
        wefti_worker_abandon(stranded);
    }
    errno = error;
    return -1;
}

struct wefti_hubs *wefti_hubs_new(unsigned count)
{
    struct wefti_hubs *hubs = wefti_alloc(sizeof(*hubs) + count * sizeof(hubs->threads[0]));
    if (!hubs)
        return NULL;
    hubs->references = 1;
    hubs->count = count;
    for (unsigned i = 0; i < count; i++)
        hubs->threads[i].hubs = hubs;
    return hubs;
}

int wefti_hubs_begin(struct weft_pool *pool, struct wefti_worker *worker, unsigned number)
{
    struct hub_thread *thread = &pool->hubs->threads[number % pool->hubs->count];
    worker->next = NULL;
    wefti_latch_close(&thread->latch);
    *(thread->first ? &thread->last->next : &thread->first) = worker;
    thread->last = worker;
    bool start = thread->state == ABSENT;
    if (start)
        thread->state = COMING;
    thread_ring(thread);
    wefti_latch_open(&thread->latch);
    if (start)
        return thread_start(pool, thread);
    weft_wake(&thread->bell, 1);
    return 0;
}

/* Tells the threads to end. */
static void hubs_stop(struct wefti_hubs *hubs)
{
    for (unsigned i = 0; i < hubs->count; i++) {
        struct hub_thread *thread = &hubs->threads[i];
        wefti_latch_close(&thread->latch);
        thread->over = true;
        thread_ring(thread);
        wefti_latch_open(&thread->latch);
        weft_wake(&thread->bell, 1);
    }
}

int wefti_hubs_end(struct wefti_hubs *hubs, weft_time deadline)
{
    hubs_stop(hubs);
    for (unsigned i = 0; i < hubs->count; i++) {
        weft_task *task = hubs->threads[i].task;
        /* a coroutine that some task has left there cannot wait for its own thread */
        if (task && weft_task_native_id(task) != wefti_hub_thread() && weft_task_join(task, deadline) != 0)
            return -1;
    }
    return 0;
}

void wefti_hubs_free(struct wefti_hubs *hubs)
{
    if (!hubs)
        return;
    hubs_stop(hubs);
    for (unsigned i = 0; i < hubs->count; i++)
        weft_task_free(hubs->threads[i].task);
    hubs_drop(hubs);
}
