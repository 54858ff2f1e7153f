/* SPDX-License-Identifier: MIT */
/*
 * Workers: threads that take one task after another. Started as work comes, they stay for more until the pool is shut down; then each
 * ends when it finds the line empty. They are daemonic tasks, as it is the pool that is waited for at exit (registry.c).
 *
 * `alive` counts a worker from the decision to start it; `settled` once it is started. The first submits wait until there is a settled
 * one, so that no task is accepted which nobody would run.
 */

#include <errno.h>
#include <stdio.h>

#include "base/memory.h"
#include "pool/pool.h"

/* The worker's context is there: from now on terminate finds it. */
static void worker_enter(struct wefti_worker *worker, struct wefti_context *context)
{
    struct weft_pool *pool = worker->pool;
    wefti_latch_close(&pool->in);
    worker->context = context;
    bool terminated = __atomic_load_n(&pool->terminated, __ATOMIC_RELAXED);
    wefti_latch_open(&pool->in);
    if (terminated)
        wefti_context_cancel(context);
}

static void worker_unlink(struct weft_pool *pool, struct wefti_worker *worker)
{
    *(worker->left ? &worker->left->right : &pool->all) = worker->right;
    if (worker->right)
        worker->right->left = worker->left;
}

/* The worker goes among the ended, where it is found to be joined; the memory may be gone after that. */
static void worker_leave(struct wefti_worker *worker)
{
    struct weft_pool *pool = worker->pool;
    wefti_latch_close(&pool->in);
    worker->context = NULL;
    worker_unlink(pool, worker);
    for (int i = 0; i <= WEFT_LOST; i++)
        __atomic_add_fetch(&pool->tally.ended[i], worker->tally.ended[i], __ATOMIC_RELAXED);
    worker->next = pool->ended;
    pool->ended = worker;
    pool->alive--;
    __atomic_sub_fetch(&pool->present, 1, __ATOMIC_RELEASE);
    wefti_latch_open(&pool->in);
    weft_wake(&pool->present, UINT32_MAX);
    wefti_pool_drop(pool);
}

static weft_value worker_main(weft_value argument)
{
    struct wefti_worker *worker = weft_as_ptr(argument);
    struct wefti_context *context = wefti_context_current();
    struct wefti_run run = {.pool = worker->pool, .worker = worker, .depth = 1, .context = context};
    context->shield = 1;
    context->run = &run;
    worker_enter(worker, context);
    while (!__atomic_load_n(&run.pool->lost, __ATOMIC_RELAXED) && (run.task = wefti_line_next(worker)))
        wefti_run_task(&run);
    context->run = NULL;
    if (!__atomic_load_n(&run.pool->lost, __ATOMIC_RELAXED)) /* else this is a child forked by a task */
        worker_leave(worker);
    return weft_none;
}

/* Makes a worker that is not started. */
static struct wefti_worker *worker_new(struct weft_pool *pool, unsigned number)
{
    struct wefti_worker *worker = wefti_alloc_aligned(_Alignof(struct wefti_worker), sizeof(*worker));
    if (!worker)
        return NULL;
    *worker = (struct wefti_worker){.pool = pool, .coming = true};
    char name[256];
    snprintf(name, sizeof(name), "%s-%u", pool->name, number);
    worker->task = weft_task_new(WEFT_THREAD, worker_main, weft_ptr(worker), .name = name, .daemon = true, .stack_size = pool->stack_size);
    if (worker->task)
        return worker;
    wefti_release(worker);
    return NULL;
}

static void worker_free(struct wefti_worker *worker)
{
    weft_task_free(worker->task);
    wefti_release(worker);
}

/* Counts it among all, before it can run. */
static void worker_register(struct weft_pool *pool, struct wefti_worker *worker)
{
    wefti_pool_keep(pool);
    wefti_latch_close(&pool->in);
    worker->right = pool->all;
    if (worker->right)
        worker->right->left = worker;
    pool->all = worker;
    __atomic_add_fetch(&pool->present, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&pool->unreaped, 1, __ATOMIC_RELAXED);
    wefti_latch_open(&pool->in);
}

/* Tells those who wait in wefti_worker_need how a start has ended. */
static void worker_settle(struct weft_pool *pool, bool started)
{
    if (!started)
        wefti_line_unreserve(pool);
    wefti_latch_close(&pool->in);
    pool->settled += started;
    __atomic_add_fetch(&pool->settling, 1, __ATOMIC_RELEASE);
    wefti_latch_open(&pool->in);
    weft_wake(&pool->settling, UINT32_MAX);
}

static void worker_unregister(struct weft_pool *pool, struct wefti_worker *worker)
{
    wefti_latch_close(&pool->in);
    worker_unlink(pool, worker);
    __atomic_sub_fetch(&pool->present, 1, __ATOMIC_RELEASE);
    __atomic_sub_fetch(&pool->unreaped, 1, __ATOMIC_RELEASE);
    wefti_latch_open(&pool->in);
    weft_wake(&pool->present, UINT32_MAX);
    weft_wake(&pool->unreaped, UINT32_MAX);
    wefti_pool_drop(pool);
}

int wefti_worker_start(struct weft_pool *pool)
{
    unsigned number = __atomic_add_fetch(&pool->numbers, 1, __ATOMIC_RELAXED);
    struct wefti_worker *worker = worker_new(pool, number);
    bool started = false;
    int error = ENOMEM;
    if (worker) {
        worker_register(pool, worker);
        started = weft_task_start(worker->task) == 0;
        error = errno;
        if (!started) {
            worker_unregister(pool, worker);
            worker_free(worker);
        }
    }
    worker_settle(pool, started);
    errno = error;
    return started ? 0 : -1;
}

int wefti_worker_need(struct weft_pool *pool, weft_time deadline)
{
    for (;;) {
        wefti_latch_close(&pool->in);
        bool there = pool->settled > 0 || pool->closed;
        bool start = !there && wefti_line_reserve(pool);
        uint32_t seen = __atomic_load_n(&pool->settling, __ATOMIC_RELAXED);
        wefti_latch_open(&pool->in);
        if (there)
            return 0;
        if (start)
            return wefti_worker_start(pool);
        if (weft_wait(&pool->settling, seen, deadline) != 0)
            return -1;
    }
}

void wefti_worker_reap(struct weft_pool *pool)
{
    for (;;) {
        wefti_latch_close(&pool->in);
        struct wefti_worker *worker = pool->ended;
        if (worker)
            pool->ended = worker->next;
        wefti_latch_open(&pool->in);
        if (!worker)
            return;
        weft_task_join(worker->task, WEFT_FOREVER); /* it fails in the worker itself, whose thread nobody can wait for */
        worker_free(worker);
        __atomic_sub_fetch(&pool->unreaped, 1, __ATOMIC_RELEASE);
        weft_wake(&pool->unreaped, UINT32_MAX);
    }
}
