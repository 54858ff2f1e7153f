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
#include "pool/hubs.h"
#include "pool/pool.h"
#include "pool/process.h"
#include "task/placement.h"
#include "task/task.h"
#include "value/value.h"

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
    wefti_crew_depart(pool);
    wefti_latch_close(&pool->in);
    worker->context = NULL;
    worker_unlink(pool, worker);
    for (int i = 0; i <= WEFT_LOST; i++)
        __atomic_add_fetch(&pool->tally.ended[i], worker->tally.ended[i], __ATOMIC_RELAXED);
    worker->next = pool->ended;
    __atomic_store_n(&pool->ended, worker, __ATOMIC_RELAXED);
    __atomic_sub_fetch(&pool->present, 1, __ATOMIC_RELEASE);
    wefti_latch_open(&pool->in);
    weft_wake(&pool->present, UINT32_MAX);
    wefti_pool_drop(pool);
}

/* Whether it is the pool's, and not in a child that was forked by a task. */
static bool worker_is_there(const struct wefti_worker *worker)
{
    return !__atomic_load_n(&worker->pool->lost, __ATOMIC_RELAXED);
}

/* Whether it may take tasks. */
static bool worker_initialize(struct wefti_worker *worker)
{
    struct weft_pool *pool = worker->pool;
    if (!pool->initializer)
        return true;
    worker->context->shield = 0;
    worker->value = wefti_value_take(pool->initializer(pool->initial));
    worker->context->shield = 1;
    if (!weft_is_error(worker->value))
        return true;
    if (worker_is_there(worker))
        wefti_pool_break(worker, worker->value);
    return false;
}

static void worker_finalize(struct wefti_worker *worker)
{
    struct weft_pool *pool = worker->pool;
    if (pool->finalizer) {
        weft_value result = wefti_value_take(pool->finalizer(worker->value));
        char what[300];
        snprintf(what, sizeof(what), "finalizer of %s", weft_task_name(worker->task));
        if (weft_is_error(result))
            wefti_uncollected(what, result);
        weft_drop(result);
    }
    weft_drop(worker->value);
}

static weft_value worker_main(weft_value argument)
{
    struct wefti_worker *worker = weft_as_ptr(argument);
    struct wefti_context *context = wefti_context_current();
    /* What the initializer and the finalizer are run as: they may wait for tasks too. On the stack, and never the last reference's. */
    struct weft_future itself = {.references = 2, .pool = worker->pool, .context = context, .begun = true};
    struct wefti_run run = {.task = &itself, .pool = worker->pool, .worker = worker, .depth = 1, .context = context};
    context->shield = 1;
    context->run = &run;
    worker_enter(worker, context);
    if (worker_initialize(worker)) {
        while (worker_is_there(worker) && (run.task = wefti_line_next(worker)))
            wefti_run_task(&run);
        run.task = &itself;
        if (worker_is_there(worker))
            worker_finalize(worker);
    }
    context->run = NULL;
    if (worker_is_there(worker))
        worker_leave(worker);
    return weft_none;
}

/* What is to be added to the niceness of the caller, who may be anybody: it takes no right to start a worker that is nicer than the pool
 * says. */
int wefti_worker_nice(const struct weft_pool *pool)
{
    int more = pool->nice != 0 ? pool->niceness - wefti_placement_niceness() : 0;
    return pool->nice > 0 && more < 0 ? 0 : more < -39 ? -39 : more > 39 ? 39 : more;
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
    bool thread = !pool->hubs; /* else it is its thread that is placed */
    worker->task = weft_task_new(thread ? WEFT_THREAD : WEFT_COROUTINE, worker_main, weft_ptr(worker), .name = name, .daemon = true,
        .stack_size = pool->stack_size, .cpus = thread ? pool->cpus : NULL, .nice = thread ? wefti_worker_nice(pool) : 0);
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
        wefti_crew_unreserve(pool);
    wefti_crew_settle(pool, started);
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

int wefti_worker_begin(struct wefti_worker *worker)
{
    struct weft_pool *pool = worker->pool;
    weft_task *task = weft_task_keep(worker->task); /* it may have ended, and been joined, before the start comes back */
    wefti_pool_keep(pool);
    bool started = weft_task_start(task) == 0;
    int error = errno;
    weft_task_free(task);
    if (started)
        worker_settle(pool, true);
    else
        wefti_worker_abandon(worker);
    wefti_pool_drop(pool);
    errno = error;
    return started ? 0 : -1;
}

void wefti_worker_abandon(struct wefti_worker *worker)
{
    struct weft_pool *pool = worker->pool;
    worker_settle(pool, false);
    worker_unregister(pool, worker);
    worker_free(worker);
}

int wefti_worker_start(struct weft_pool *pool)
{
    wefti_worker_reap(pool); /* those that a smaller pool did not want */
    unsigned number = __atomic_add_fetch(&pool->numbers, 1, __ATOMIC_RELAXED);
    struct wefti_worker *worker = worker_new(pool, number);
    if (!worker) {
        worker_settle(pool, false);
        errno = ENOMEM;
        return -1;
    }
    worker_register(pool, worker);
    if (pool->hubs)
        return wefti_hubs_begin(pool, worker, number);
    return wefti_worker_begin(worker);
}

int wefti_worker_need(struct weft_pool *pool, weft_time deadline)
{
    for (;;) {
        wefti_latch_close(&pool->in);
        bool there = pool->settled > 0 || pool->closed;
        /* of coroutines, one that was asked for may not have begun */
        bool start = !there && !(pool->hubs && pool->alive > 0) && wefti_crew_reserve(pool);
        uint32_t seen = __atomic_load_n(&pool->settling, __ATOMIC_RELAXED);
        wefti_latch_open(&pool->in);
        if (there)
            return 0;
        if (start && !pool->hubs)
            return wefti_worker_start(pool);
        if (start && wefti_worker_start(pool) != 0)
            return -1;
        if (weft_wait(&pool->settling, seen, deadline) != 0)
            return -1;
    }
}

void wefti_worker_reap(struct weft_pool *pool)
{
    for (;;) {
        if (!__atomic_load_n(&pool->ended, __ATOMIC_RELAXED))
            return;
        wefti_latch_close(&pool->in);
        struct wefti_worker *worker = pool->ended;
        if (worker)
            __atomic_store_n(&pool->ended, worker->next, __ATOMIC_RELAXED);
        wefti_latch_open(&pool->in);
        if (!worker)
            return;
        wefti_shield_raise();
        weft_task_join(worker->task, WEFT_FOREVER); /* it fails in the worker itself, whose thread nobody can wait for */
        wefti_shield_lower();
        worker_free(worker);
        __atomic_sub_fetch(&pool->unreaped, 1, __ATOMIC_RELEASE);
        weft_wake(&pool->unreaped, UINT32_MAX);
    }
}

weft_value weft_worker_value(void)
{
    const struct wefti_run *run = wefti_context_current()->run;
    if (!run)
        return wefti_process_worker_value();
    return run->worker && run->worker->pool == run->pool ? run->worker->value : weft_none;
}
