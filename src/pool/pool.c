/* SPDX-License-Identifier: MIT */
/*
 * Pools: their making and end, and what is submitted to them. How tasks wait is line.c, how they run run.c and worker.c.
 *
 * Memory. A pool lives as long as its handle, a worker, a visit or a record does, each being a reference. A record (struct weft_future)
 * belongs to its pool for good; freed by its last owner, wherever that is, it is pushed on the pool's stack `returned`, which a
 * submitter takes whole (so there is no ABA), or given back to the system when the pool has many, or when its handle is gone: then the
 * stack's head is RETIRED, which the push itself sees, as its record still holds the pool. So a steady state allocates nothing, futures
 * outlive their pool, and a freed pool leaves with its last future.
 *
 * Pools that are made inside tasks of pools share a budget with them: the outermost, `root`, has it, and is kept by the others. `used` is
 * the sum of what all count (budget.c), and only bounds those whose number of workers nobody has said.
 *
 * In a forked child an inherited pool is lost: ESTALE, and freeing it waits for nobody.
 *
 * Other kinds (coroutines, processes, a fleet) will have a line, workers and records of their own, the latter where their workers can
 * write; what stays is the order of things in wefti_pool_submit, the future's state and who calls back.
 */

#include "pool/hubs.h"
#include "pool/pool.h"
#include "pool/process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/options.h"
#include "task/placement.h"
#include "task/task.h"
#include "value/value.h"

enum { NAME_LIMIT = 240 };

static struct weft_future retired;
#define RETIRED (&retired)

static uint32_t pool_numbers; /* of default names */

void wefti_pool_keep(struct weft_pool *pool)
{
    __atomic_add_fetch(&pool->references, 1, __ATOMIC_RELAXED);
}

void wefti_pool_drop(struct weft_pool *pool)
{
    /* Release: what this owner did comes before the end; acquire: the last sees what all did. */
    if (__atomic_sub_fetch(&pool->references, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    wefti_registry_remove(pool);
    if (!pool->lost)
        wefti_worker_reap(pool);
    if (pool->root != pool) {
        __atomic_sub_fetch(&pool->root->family, 1, __ATOMIC_RELAXED);
        wefti_pool_drop(pool->root);
    }
    wefti_hubs_free(pool->hubs);
    weft_drop(pool->initial);
    wefti_release(pool->cpus);
    wefti_release(pool->name);
    wefti_release(pool);
}

struct weft_future *wefti_pool_record(struct weft_pool *pool)
{
    struct weft_future *record = wefti_alloc_aligned(_Alignof(struct weft_future), sizeof(*record));
    if (!record)
        return NULL;
    *record = (struct weft_future){.pool = pool};
    wefti_pool_keep(pool);
    return record;
}

static void record_release(struct weft_future *record)
{
    struct weft_pool *pool = record->pool;
    wefti_release(record);
    wefti_pool_drop(pool);
}

/* Release pairs with the acquire of the submitter's exchange. */
void wefti_pool_recycle(struct weft_future *record)
{
    struct weft_pool *pool = record->pool;
    struct weft_future *head = __atomic_load_n(&pool->returned, __ATOMIC_RELAXED);
    bool keep = __atomic_load_n(&pool->references, __ATOMIC_RELAXED) <= WEFTI_POOL_KEEP;
    while (keep && head != RETIRED) {
        record->next = head;
        if (__atomic_compare_exchange_n(&pool->returned, &head, record, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            return;
    }
    record_release(record);
}

static void records_release(struct weft_future *list)
{
    while (list) {
        struct weft_future *next = list->next;
        record_release(list);
        list = next;
    }
}

bool wefti_pool_name(const char *given, char *name, size_t size)
{
    if (!given) {
        snprintf(name, size, "Pool-%u", __atomic_add_fetch(&pool_numbers, 1, __ATOMIC_RELAXED));
        return true;
    }
    size_t length = strlen(given);
    if (length > NAME_LIMIT || length >= size) {
        errno = EINVAL;
        return false;
    }
    memcpy(name, given, length + 1);
    return true;
}

static bool pool_christen(struct weft_pool *pool, const char *given)
{
    char name[NAME_LIMIT + 1];
    if (!wefti_pool_name(given, name, sizeof(name)))
        return false;
    pool->name = wefti_alloc_raw(strlen(name) + 1);
    if (pool->name)
        memcpy(pool->name, name, strlen(name) + 1);
    return pool->name;
}

/* How its workers are placed. */
static bool pool_place(struct weft_pool *pool, const char *cpus, int nice)
{
    struct wefti_placement valid;
    if (!wefti_placement_make(&valid, cpus, nice))
        return false;
    wefti_placement_clear(&valid);
    pool->nice = nice;
    pool->niceness = wefti_placement_niceness() + nice;
    if (!cpus)
        return true;
    size_t size = strlen(cpus) + 1;
    pool->cpus = wefti_alloc_raw(size);
    if (pool->cpus)
        memcpy(pool->cpus, cpus, size);
    return pool->cpus;
}

static bool options_valid(const struct weft_pool_options *options)
{
    bool known = options->kind >= WEFT_THREAD && options->kind <= WEFT_FLEET;
    known = known && options->task_timeout >= 0; /* not what a NaN is */
    if (!known || (unsigned)options->when_full > WEFT_FULL_RUN || options->backlog == WEFT_RENDEZVOUS) {
        errno = EINVAL;
        return false;
    }
    bool limits = options->max_tasks_per_worker || options->task_timeout > 0 || options->retries || options->memory;
    errno = ENOTSUP;
    if (options->kind == WEFT_COROUTINE)
        return !limits;
    return !options->threads && (options->kind == WEFT_PROCESS || (options->kind == WEFT_THREAD && !limits));
}

/* Finds the pools around it, if the caller is a task of one. */
static void pool_join_family(struct weft_pool *pool, bool limited)
{
    const struct wefti_run *run = wefti_context_current()->run;
    pool->root = run ? run->pool->root : pool;
    pool->budget = weft_cpu_count();
    pool->limited = run && limited;
    if (!run)
        return;
    wefti_pool_keep(pool->root);
    __atomic_add_fetch(&pool->root->family, 1, __ATOMIC_RELAXED);
}

weft_pool *weft_pool_new_with(const struct weft_pool_options *given)
{
    struct weft_pool_options options;
    if (!wefti_options_read(&options, sizeof(options), given, offsetof(struct weft_pool_options, guard)) || !options_valid(&options))
        return NULL;
    if (options.kind == WEFT_PROCESS)
        return wefti_process_pool_new(&options);
    struct weft_pool *pool = wefti_alloc_aligned(_Alignof(struct weft_pool), sizeof(*pool));
    if (!pool)
        return NULL;
    bool coroutines = options.kind == WEFT_COROUTINE;
    *pool = (struct weft_pool){.workers = options.workers ? options.workers
                                          : coroutines    ? WEFTI_POOL_COROUTINES
                                                          : weft_cpu_count(),
        .when_full = options.when_full,
        .backlog = options.backlog ? options.backlog : WEFTI_POOL_BACKLOG,
        .stack_size = options.stack_size,
        .initializer = options.initializer,
        .finalizer = options.finalizer,
        .references = 1,
        .tally = {.shared = true}};
    if (!pool_christen(pool, options.name) || !pool_place(pool, options.cpus, options.nice) ||
        (coroutines && !(pool->hubs = wefti_hubs_new(options.threads ? options.threads : weft_cpu_count())))) {
        wefti_release(pool->cpus);
        wefti_release(pool->name);
        wefti_release(pool);
        return NULL;
    }
    pool->initial = wefti_value_take(options.initializer_argument);
    pool_join_family(pool, options.workers == 0 && !coroutines);
    wefti_registry_add(pool);
    return pool;
}

static bool pool_lost(const struct weft_pool *pool)
{
    return __atomic_load_n(&pool->lost, __ATOMIC_RELAXED);
}

/* Runs the task in the caller instead of putting it into the line. */
static struct weft_future *pool_run_here(struct weft_pool *pool, const struct wefti_submission *what, struct weft_future **fresh)
{
    struct weft_future *task = *fresh ? *fresh : wefti_pool_record(pool);
    *fresh = NULL;
    if (!task)
        return NULL;
    wefti_future_prepare(task, pool, what);
    wefti_run_visit(pool, task);
    return task;
}

/* Waits for room, in a worker of the pool with another standing in. 0; -1 with EDEADLK and what wefti_room_wait gives. */
static int pool_await_room(struct weft_pool *pool, bool inside, unsigned *patience, weft_time deadline)
{
    if (deadline <= WEFT_NOW) {
        errno = EAGAIN;
        return -1;
    }
    struct wefti_run *run = wefti_context_current()->run;
    bool away = inside && run->worker && run->worker->pool == pool;
    if (away && !wefti_crew_stand_in(pool)) {
        errno = EDEADLK;
        return -1;
    }
    int result = wefti_room_wait(pool, patience, deadline);
    if (away)
        wefti_crew_return(pool);
    return result;
}

enum remedy { AGAIN, HERE, FAILED };

static enum remedy pool_full(struct weft_pool *pool, unsigned *patience, weft_time deadline)
{
    struct wefti_run *run = wefti_context_current()->run;
    bool inside = wefti_run_inside(pool), deep = run && run->depth >= WEFTI_POOL_DEPTH;
    if (pool->when_full == WEFT_FULL_FAIL || deadline == WEFTI_IF_ROOM) {
        errno = EAGAIN;
        return FAILED;
    }
    if (!deep && (inside || pool->when_full == WEFT_FULL_RUN))
        return HERE;
    return pool_await_room(pool, inside, patience, deadline) == 0 ? AGAIN : FAILED;
}

/* What to do about that which was in the way of a put; errno when it FAILED. */
static enum remedy pool_remedy(struct weft_pool *pool, int obstacle, struct weft_future **fresh, unsigned *patience, weft_time deadline)
{
    switch (obstacle) {
    case ECHILD:
        return wefti_worker_need(pool, deadline) == 0 ? AGAIN : FAILED;
    case ENOMEM:
        *fresh = wefti_pool_record(pool);
        return *fresh ? AGAIN : FAILED;
    case EAGAIN:
        return pool_full(pool, patience, deadline);
    default:
        errno = obstacle;
        return FAILED;
    }
}

struct weft_future *wefti_pool_submit(const struct weft_submit_options *options, uint32_t references, weft_time deadline)
{
    if (wefti_is_shared(options->pool))
        return wefti_process_pool_submit(options, references, deadline, WEFTI_CALL_PLAIN);
    const struct wefti_submission what = {.function = options->function,
        .argument = options->argument,
        .on_done = options->on_done,
        .data = options->data,
        .name = options->name,
        .references = references,
        .priority = options->priority};
    struct weft_pool *pool = options->pool;
    struct weft_future *fresh = NULL, *future = NULL;
    unsigned patience = 0;
    int obstacle = wefti_line_put(pool, &what, &fresh, &future);
    while (obstacle) {
        enum remedy remedy = pool_remedy(pool, obstacle, &fresh, &patience, deadline);
        if (remedy == HERE)
            future = pool_run_here(pool, &what, &fresh);
        if (remedy != AGAIN)
            break;
        obstacle = wefti_line_put(pool, &what, &fresh, &future);
    }
    if (fresh) {
        int error = errno;
        wefti_pool_recycle(fresh);
        errno = error;
    }
    return future;
}

/* Submits for a caller from outside of the library. */
static struct weft_future *options_submit(const struct weft_submit_options *given, uint32_t references)
{
    struct weft_submit_options copy;
    const struct weft_submit_options *options = given;
    if (!given || given->size != sizeof(copy)) {
        if (!wefti_options_read(&copy, sizeof(copy), given, offsetof(struct weft_submit_options, guard)))
            return NULL;
        options = &copy;
    }
    bool known = options->priority >= WEFT_PRIORITY_LOW && options->priority <= WEFT_PRIORITY_HIGH;
    if (!options->pool || !options->function || !known || !(options->timeout >= 0)) {
        errno = EINVAL;
        return NULL;
    }
    if (!wefti_is_shared(options->pool) && (pool_lost(options->pool) || options->timeout > 0 || options->retries > 0)) {
        errno = pool_lost(options->pool) ? ESTALE : ENOTSUP;
        return NULL;
    }
    return wefti_pool_submit(options, references, options->deadline ? options->deadline : WEFT_FOREVER);
}

weft_future *weft_pool_submit_with(const struct weft_submit_options *options)
{
    return options_submit(options, 2);
}

int weft_pool_start_with(const struct weft_submit_options *options)
{
    return options_submit(options, 1) ? 0 : -1;
}

/* Ends all that waits; the error is given away. */
static void pool_end_pending(struct weft_pool *pool, weft_value error, enum weft_outcome outcome)
{
    struct weft_future *task = wefti_line_clear(pool);
    while (task) {
        struct weft_future *next = task->next;
        wefti_future_drop_pending(task, weft_keep(error), outcome, &pool->tally);
        task = next;
    }
    weft_drop(error);
}

static void pool_cancel_pending(struct weft_pool *pool)
{
    pool_end_pending(pool, weft_error(ECANCELED, NULL), WEFT_CANCELLED);
}

void wefti_pool_break(struct wefti_worker *worker, weft_value error)
{
    struct weft_pool *pool = worker->pool;
    const char *name = weft_task_name(worker->task);
    char what[300];
    snprintf(what, sizeof(what), "initializer of %s", name);
    wefti_latch_close(&pool->in);
    bool terminated = __atomic_load_n(&pool->terminated, __ATOMIC_RELAXED);
    pool->broken |= !terminated;
    wefti_latch_open(&pool->in);
    if (!terminated) { /* else it is no failure but what was asked for, and nothing waits any more */
        wefti_uncollected(what, error);
        wefti_line_close(pool);
        pool_end_pending(pool, weft_error(EOWNERDEAD, "the %s failed: %s", what, weft_error_text(error)), WEFT_LOST);
    }
    weft_drop(error);
}

int wefti_pool_wait(struct weft_pool *pool, uint32_t mine, weft_time deadline)
{
    for (;;) {
        uint32_t present = __atomic_load_n(&pool->present, __ATOMIC_ACQUIRE);
        if (present <= mine)
            return 0;
        if (weft_wait(&pool->present, present, deadline) != 0)
            return -1;
    }
}

/* Waits until all workers have ended and their threads too. */
static int pool_join(struct weft_pool *pool, weft_time deadline)
{
    if (wefti_run_inside(pool)) {
        errno = EDEADLK;
        return -1;
    }
    struct weft_pool *lent = wefti_run_lend();
    int waited = wefti_pool_wait(pool, 0, deadline);
    if (lent)
        wefti_budget_take_back(lent);
    if (waited != 0)
        return -1;
    wefti_worker_reap(pool);
    for (;;) { /* another may be joining them */
        uint32_t unreaped = __atomic_load_n(&pool->unreaped, __ATOMIC_ACQUIRE);
        if (unreaped == 0)
            return pool->hubs ? wefti_hubs_end(pool->hubs, deadline) : 0;
        if (weft_wait(&pool->unreaped, unreaped, deadline) != 0)
            return -1;
    }
}

static bool pool_usable(const struct weft_pool *pool)
{
    if (!pool || pool_lost(pool)) {
        errno = pool ? ESTALE : EINVAL;
        return false;
    }
    return true;
}

int weft_pool_shutdown(weft_pool *pool, bool cancel_pending, weft_time deadline)
{
    if (wefti_is_shared(pool))
        return wefti_process_pool_shutdown(pool, cancel_pending, deadline);
    if (!pool_usable(pool))
        return -1;
    wefti_line_close(pool);
    if (cancel_pending)
        pool_cancel_pending(pool);
    return pool_join(pool, deadline);
}

static void pool_cancel_running(struct weft_pool *pool)
{
    wefti_latch_close(&pool->in);
    __atomic_store_n(&pool->terminated, true, __ATOMIC_RELAXED);
    for (struct wefti_worker *worker = pool->all; worker; worker = worker->right)
        if (worker->context)
            wefti_context_cancel(worker->context);
    for (struct wefti_run *run = pool->visits; run; run = run->right)
        wefti_context_cancel(run->context);
    wefti_latch_open(&pool->in);
}

int weft_pool_resize(weft_pool *pool, unsigned workers)
{
    if (wefti_is_shared(pool))
        return wefti_process_pool_resize(pool, workers);
    if (!pool_usable(pool))
        return -1;
    int closed = wefti_crew_resize(pool, workers ? workers : pool->hubs ? WEFTI_POOL_COROUTINES : weft_cpu_count());
    wefti_worker_reap(pool);
    if (!closed)
        return 0;
    errno = closed;
    return -1;
}

int weft_pool_terminate(weft_pool *pool, weft_time deadline)
{
    if (wefti_is_shared(pool))
        return wefti_process_pool_terminate(pool, deadline);
    if (!pool_usable(pool))
        return -1;
    wefti_line_close(pool);
    pool_cancel_pending(pool);
    pool_cancel_running(pool);
    return pool_join(pool, deadline);
}

/* No more records are kept, now and later. */
static void pool_retire(struct weft_pool *pool)
{
    records_release(__atomic_exchange_n(&pool->returned, RETIRED, __ATOMIC_ACQUIRE));
    struct weft_future *spare = pool->spare; /* the submitters', and there are none after the close */
    pool->spare = NULL;
    records_release(spare);
}

void weft_pool_free(weft_pool *pool)
{
    if (!pool)
        return;
    if (wefti_is_shared(pool)) {
        wefti_process_pool_free(pool);
        return;
    }
    int error = errno;
    if (!pool_lost(pool)) {
        wefti_line_close(pool);
        wefti_shield_raise();
        pool_join(pool, WEFT_FOREVER); /* EDEADLK in its own worker: the last worker is the last reference */
        wefti_shield_lower();
    }
    pool_retire(pool);
    wefti_pool_drop(pool);
    errno = error;
}

static uint64_t tally_read(const uint64_t *count)
{
    return __atomic_load_n(count, __ATOMIC_RELAXED);
}

static void tally_gather(struct wefti_tally *sum, const struct wefti_tally *tally)
{
    for (int i = 0; i <= WEFT_LOST; i++)
        sum->ended[i] += tally_read(&tally->ended[i]);
}

void weft_pool_count(weft_pool *pool, struct weft_pool_counts *counts)
{
    if (pool && counts && wefti_is_shared(pool)) {
        wefti_process_pool_count(pool, counts);
        return;
    }
    if (!pool || !counts || pool_lost(pool))
        return;
    wefti_latch_close(&pool->out);
    wefti_latch_close(&pool->in);
    struct wefti_tally sum = {0};
    tally_gather(&sum, &pool->tally);
    for (struct wefti_worker *worker = pool->all; worker; worker = worker->right)
        tally_gather(&sum, &worker->tally);
    uint64_t begun = pool->begun + pool->direct, ended = 0;
    for (int i = 0; i <= WEFT_LOST; i++)
        ended += sum.ended[i];
    *counts = (struct weft_pool_counts){.submitted = pool->submitted + pool->direct,
        .done = sum.ended[WEFT_DONE],
        .failed = sum.ended[WEFT_FAILED],
        .cancelled = sum.ended[WEFT_CANCELLED],
        .timed_out = sum.ended[WEFT_TIMED_OUT],
        .lost = sum.ended[WEFT_LOST],
        .helped = pool->helped,
        .waits = pool->waits,
        .blocked = pool->blocked,
        .queued = (size_t)(pool->submitted - pool->begun),
        .running = (size_t)(begun - ended),
        .workers = pool->alive,
        .resting = pool->resting,
        .waiting = pool->away + pool->lent,
        .limit = pool->workers};
    wefti_latch_open(&pool->in);
    wefti_latch_open(&pool->out);
}
