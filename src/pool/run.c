/* SPDX-License-Identifier: MIT */
/*
 * Running tasks, and waiting for one task inside another.
 *
 * A context that runs tasks has a chain of runs (wefti_context.run), innermost first. A worker's outermost run stays while the worker is
 * there; others come when a task is run inside another: because the other waits for it, or has submitted it to a full pool. Each is run
 * as itself: shields, deadlines (weft_deadline) and a cancellation of the outer task do not reach the inner one, nor the other way
 * round. While it runs, the outer
 * task's `context` is NULL, and a cancel of the outer one is delivered when it comes back. A part of what the caller does (parallel.c) is
 * run in the same way, but that a cancel of the outer task, and its deadline, go on to it.
 *
 * A cancel never hits the next task: future.c's CANCEL closes the latch once after the end, and only then is the context's cancellation
 * taken back.
 *
 * A task of a pool that waits for another of the same pool:
 *   - without a deadline: it runs that task itself if nobody has begun it, on its own stack, DEPTH runs deep at most;
 *   - otherwise it is away, and another worker stands in; when STAND_INS are away already the wait fails with EDEADLK.
 * It never runs any other task, because its stack may hold locks which that task wants.
 *
 * Tasks that wait for each other: a task that waits without a deadline for one that has begun says so in `waits_for`, under the latch
 * `graph`. Before, it follows that chain from the task that it wants: when it comes back to itself, this wait would close a circle, and
 * fails with EDEADLK. Each `waits_for` on the way is there, as who waits has a hold of it, and takes it back under the latch.
 */

#include <errno.h>

#include "base/opening.h"
#include "pool/pool.h"
#include "task/task.h"
#include "value/value.h"

static struct wefti_latch graph;

/* After a task: the context is no longer cancelled, unless the whole pool is. */
static void run_calm(struct wefti_run *run)
{
    if (!wefti_context_cancelled(run->context))
        return;
    wefti_context_uncancel(run->context);
    /* Seen when its cancel of this context came before the line above: both close the context's guard. */
    if (__atomic_load_n(&run->pool->terminated, __ATOMIC_RELAXED))
        wefti_context_cancel(run->context);
}

void wefti_run_task(struct wefti_run *run)
{
    struct weft_future *task = run->task;
    struct wefti_context *context = run->context;
    context->shield = 0;
    weft_value result = wefti_value_take(task->function(task->value));
    context->shield = 1; /* callbacks, and the worker itself, are not cancelled */
    weft_drop(task->value);
    wefti_future_publish(task, result, WEFT_PENDING, run->worker ? &run->worker->tally : &run->pool->tally);
    run_calm(run);
    wefti_future_call_back(task);
    weft_future_free(task);
}

/* Takes the context from the task that runs in it, so that no cancel of that one reaches it, but for `part`, if that is not NULL. */
static void task_suspend(struct weft_future *task, struct weft_future *part)
{
    wefti_latch_close(&task->latch);
    task->context = NULL;
    task->part = part;
    wefti_latch_open(&task->latch);
}

/* Gives it back. Whether the task was cancelled. */
static bool task_resume(struct weft_future *task, struct wefti_context *context)
{
    wefti_latch_close(&task->latch);
    task->context = context;
    task->part = NULL;
    bool cancelled = wefti_future_cancel_asked(task);
    wefti_latch_open(&task->latch);
    return cancelled;
}

/* Whether what was interrupted has been cancelled meanwhile: a task, or a thread of its own. */
static bool outer_resume(struct wefti_run *outer, struct wefti_context *context)
{
    bool cancelled = outer && task_resume(outer->task, context);
    if (outer && outer->worker)
        return cancelled || __atomic_load_n(&outer->worker->pool->terminated, __ATOMIC_RELAXED);
    struct weft_task *thread = context->task;
    return cancelled || (thread && __atomic_load_n(&thread->cancelled, __ATOMIC_RELAXED));
}

static void visit_begin(struct wefti_run *run)
{
    struct weft_pool *pool = run->pool;
    wefti_pool_keep(pool);
    wefti_latch_close(&pool->in);
    pool->direct++;
    __atomic_add_fetch(&pool->present, 1, __ATOMIC_RELAXED);
    run->right = pool->visits;
    if (run->right)
        run->right->left = run;
    pool->visits = run;
    bool terminated = __atomic_load_n(&pool->terminated, __ATOMIC_RELAXED);
    wefti_latch_open(&pool->in);
    if (terminated)
        wefti_context_cancel(run->context);
}

static void visit_end(struct wefti_run *run)
{
    struct weft_pool *pool = run->pool;
    wefti_latch_close(&pool->in);
    *(run->left ? &run->left->right : &pool->visits) = run->right;
    if (run->right)
        run->right->left = run->left;
    __atomic_sub_fetch(&pool->present, 1, __ATOMIC_RELEASE);
    wefti_latch_open(&pool->in);
    weft_wake(&pool->present, UINT32_MAX);
    wefti_pool_drop(pool);
}

enum inside { HELPS, VISITS, PART };

/* Runs a begun task inside of what the context is doing. */
static void run_inside(struct wefti_context *context, struct weft_future *task, enum inside inside)
{
    bool visits = inside != HELPS;
    struct wefti_run *outer = context->run;
    struct wefti_run run = {.task = task,
        .pool = task->pool,
        .worker = outer ? outer->worker : NULL,
        .outer = outer,
        .depth = outer ? outer->depth + 1 : 1,
        .visits = visits,
        .context = context};
    uint32_t shield = context->shield, limit_shield = context->limit_shield;
    weft_time limit = context->limit;
    context->limit = inside == PART ? wefti_context_deadline(context, WEFT_FOREVER) : WEFT_FOREVER;
    context->limit_shield = 0; /* as the task begins with none */
    if (outer)
        task_suspend(outer->task, inside == PART ? task : NULL);
    bool cancelled = wefti_context_cancelled(context);
    if (cancelled && inside != PART)
        wefti_context_uncancel(context);
    context->run = &run;
    if (visits)
        visit_begin(&run);
    wefti_run_task(&run);
    if (visits)
        visit_end(&run);
    context->run = outer;
    context->shield = shield;
    context->limit = limit;
    context->limit_shield = limit_shield;
    if (wefti_context_cancelled(context))
        wefti_context_uncancel(context);
    if (outer_resume(outer, context) || cancelled)
        wefti_context_cancel(context);
}

void wefti_run_visit(struct weft_pool *pool, struct weft_future *task)
{
    (void)pool;
    struct wefti_context *context = wefti_context_current();
    task->context = context;
    __atomic_store_n(&task->begun, true, __ATOMIC_RELEASE);
    run_inside(context, task, VISITS);
}

void wefti_run_part(struct weft_pool *pool, weft_function *function, weft_value argument)
{
    struct wefti_context *context = wefti_context_current();
    /* On the stack, and never the last reference's: nobody but the caller's cancellers gets to know it. */
    struct weft_future part = {.references = 2, .function = function, .value = argument, .pool = pool, .context = context, .begun = true};
    run_inside(context, &part, PART);
}

/* Says that the task waits for the other. False when the other, by way of others, waits for it. */
static bool graph_enter(struct weft_future *task, struct weft_future *other)
{
    wefti_latch_close(&graph);
    struct weft_future *next = other;
    while (next && next != task)
        next = next->waits_for;
    if (!next)
        task->waits_for = other;
    wefti_latch_open(&graph);
    return !next;
}

static void graph_leave(struct weft_future *task)
{
    wefti_latch_close(&graph);
    task->waits_for = NULL;
    wefti_latch_open(&graph);
}

/* Sleeps until the other has ended, unless that would be for ever. */
static int run_sleep(struct wefti_run *run, struct weft_future *other, weft_time deadline)
{
    if (deadline != WEFT_FOREVER)
        return wefti_future_sleep(other, deadline);
    if (!graph_enter(run->task, other)) {
        errno = EDEADLK;
        return -1;
    }
    int result = wefti_future_sleep(other, deadline);
    graph_leave(run->task);
    return result;
}

static bool run_is_of(const struct wefti_run *run, const struct weft_pool *pool)
{
    return run->pool == pool || (run->worker && run->worker->pool == pool);
}

bool wefti_run_may_help(const struct weft_pool *pool)
{
    const struct wefti_run *run = wefti_context_current()->run;
    return run && pool && run->depth < WEFTI_POOL_DEPTH && run_is_of(run, pool);
}

bool wefti_run_help(struct weft_future *future)
{
    struct wefti_run *run = wefti_context_current()->run;
    if (!wefti_run_may_help(future->pool) || !wefti_line_claim(future, run->context))
        return false;
    graph_enter(run->task, future); /* a task that had not begun waits for nobody */
    run_inside(run->context, future, HELPS);
    graph_leave(run->task);
    return true;
}

/* The worker that runs the caller, if it is of this pool. */
static struct wefti_worker *worker_of(const struct weft_pool *pool)
{
    const struct wefti_run *run = wefti_context_current()->run;
    return run && run->worker && run->worker->pool == pool ? run->worker : NULL;
}

void wefti_run_select(const struct weft_pool *pool)
{
    struct wefti_worker *worker = worker_of(pool);
    if (worker && worker->selects++ == 0)
        worker->stood_in = wefti_crew_stand_in(worker->pool);
}

void wefti_run_select_end(const struct weft_pool *pool)
{
    struct wefti_worker *worker = worker_of(pool);
    if (worker && --worker->selects == 0 && worker->stood_in)
        wefti_crew_return(worker->pool);
}

struct weft_pool *wefti_run_lend(void)
{
    const struct wefti_run *run = wefti_context_current()->run;
    if (!run || !run->worker || __atomic_load_n(&run->worker->pool->root->family, __ATOMIC_RELAXED) == 0)
        return NULL;
    wefti_budget_lend(run->worker->pool);
    return run->worker->pool;
}

/* What the caller has done before a wait for tasks of a pool. */
struct away {
    struct weft_pool *stood_in; /* its pool has one more worker in its place */
    struct weft_pool *lent;     /* others may run instead of it */
};

/* -1 with EDEADLK when it may not wait. */
static int away_begin(struct away *away, const struct wefti_run *run, struct weft_pool *pool)
{
    *away = (struct away){0};
    if (!run || !run->worker)
        return 0;
    if (run->worker->pool != pool) {
        away->lent = wefti_run_lend();
        return 0;
    }
    if (wefti_crew_stand_in(pool)) {
        away->stood_in = pool;
        return 0;
    }
    errno = EDEADLK;
    return -1;
}

static void away_end(const struct away *away)
{
    if (away->stood_in)
        wefti_crew_return(away->stood_in);
    if (away->lent)
        wefti_budget_take_back(away->lent);
}

int wefti_run_wait(struct wefti_run *run, struct weft_future *future, weft_time deadline)
{
    deadline = wefti_deadline(deadline);
    if (deadline == WEFT_FOREVER && wefti_run_help(future))
        return 0;
    struct away away;
    if (away_begin(&away, run, future->pool) != 0)
        return -1;
    int result = run_sleep(run, future, deadline);
    away_end(&away);
    return result;
}

int wefti_run_wait_word(const uint32_t *word, uint32_t expected, struct weft_pool *pool, weft_time deadline)
{
    if (deadline <= WEFT_NOW) {
        errno = EAGAIN;
        return -1;
    }
    struct away away;
    if (away_begin(&away, wefti_context_current()->run, pool) != 0)
        return -1;
    int result = weft_wait(word, expected, deadline);
    away_end(&away);
    return result;
}

uint32_t wefti_run_present(const struct weft_pool *pool)
{
    uint32_t count = 0;
    const struct wefti_run *run = wefti_context_current()->run;
    bool works = run && run->worker && run->worker->pool == pool;
    for (; run; run = run->outer)
        count += run->visits && run->pool == pool;
    return count + works;
}

bool wefti_run_inside(const struct weft_pool *pool)
{
    const struct wefti_run *run = wefti_context_current()->run;
    while (run && !run_is_of(run, pool))
        run = run->outer;
    return run;
}

WEFTI_FORKED void wefti_run_forget(void)
{
    graph = (struct wefti_latch){0};
}
