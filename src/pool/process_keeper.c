/* SPDX-License-Identifier: MIT */
/*
 * The keeper of a pool of processes: a thread of the process that made the pool. It starts workers, clears the places of those that have
 * ended, and stops tasks that have run for too long. Nothing that a submit or a task does waits for it, but the first submit, which waits
 * until there is a worker. It runs nothing of the program's, which could hold it up: callbacks are the caller's (process_caller.c).
 *
 * It sleeps on `bell`, which whoever wants something of it changes after saying what: the other words of the pool.
 *
 * A place of the table goes NONE -> COMING (keeper) -> THERE (worker) -> LEFT (the mender, when the worker's process is dead) -> NONE
 * (keeper). A process that died before it had joined the pool is found by the state of the process itself, which the keeper waits for too
 * while somebody is COMING.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "family/family.h"
#include "pool/process.h"
#include "shared/life.h"
#include "task/task.h"
#include "value/value.h"
#include "wait/wait.h"

enum {
    WATCHED_AT_ONCE = 16,
    MEMORY_LOOK = 20000000 /* ns between looks at the memory of workers that have a limit */,
    CRASHES = 5,
    GRACE = 200 /* ms */
};

/* What one look at the table found. */
struct census {
    uint32_t alive, coming, idle, away;
};

static struct census census_take(const struct wefti_process_pool *pool)
{
    struct census census = {0};
    for (uint32_t i = 0; i < wefti_process_places(pool); i++) {
        const struct wefti_process_worker *worker = pool->table[i];
        uint32_t state = worker ? __atomic_load_n(&worker->state, __ATOMIC_SEQ_CST) : WEFTI_WORKER_NONE;
        census.alive += state == WEFTI_WORKER_COMING || state == WEFTI_WORKER_THERE;
        census.coming +=
            state == WEFTI_WORKER_COMING || (state == WEFTI_WORKER_THERE && __atomic_load_n(&worker->taken, __ATOMIC_RELAXED) == 0 &&
                                                !__atomic_load_n(&worker->idle, __ATOMIC_RELAXED));
        census.idle += state == WEFTI_WORKER_THERE && __atomic_load_n(&worker->idle, __ATOMIC_SEQ_CST);
        census.away += state == WEFTI_WORKER_THERE && __atomic_load_n(&worker->away, __ATOMIC_SEQ_CST) > 0;
    }
    return census;
}

static uint32_t census_limit(const struct wefti_process_pool *pool, const struct census *census)
{
    uint32_t most = census->away < WEFTI_POOL_STAND_INS ? census->away : WEFTI_POOL_STAND_INS;
    uint32_t limit = __atomic_load_n(&pool->workers, __ATOMIC_SEQ_CST) + most;
    return limit < WEFTI_PROCESS_WORKERS ? limit : WEFTI_PROCESS_WORKERS;
}

/* The ended. */

static void place_clear(struct wefti_process_handle *handle, struct wefti_process_worker *worker)
{
    int status = 0;
    struct wefti_process_pool *pool = handle->pool;
    wefti_process_wait(worker->process, &status, WEFT_FOREVER); /* EPIPE: nobody can say */
    handle->crashes = worker->taken > 0 || status == 0 ? 0 : handle->crashes + 1;
    for (int i = 0; i <= WEFT_LOST; i++)
        __atomic_add_fetch(&pool->tally[i], worker->ended[i], __ATOMIC_RELAXED);
    __atomic_add_fetch(&pool->waits, worker->waits, __ATOMIC_RELAXED);
    for (int i = 0; i <= WEFT_LOST; i++)
        __atomic_store_n(&worker->ended[i], 0, __ATOMIC_RELAXED);
    wefti_process_let_go(worker->process);
    worker->process = NULL;
    __atomic_store_n(&worker->state, WEFTI_WORKER_NONE, __ATOMIC_RELEASE);
}

static void places_clear(struct wefti_process_handle *handle)
{
    for (uint32_t i = 0; i < wefti_process_places(handle->pool); i++) {
        struct wefti_process_worker *worker = handle->pool->table[i];
        uint32_t state = worker ? __atomic_load_n(&worker->state, __ATOMIC_SEQ_CST) : WEFTI_WORKER_NONE;
        bool ended = state == WEFTI_WORKER_COMING && worker->process &&
                     __atomic_load_n(&worker->process->state, __ATOMIC_ACQUIRE) == WEFTI_PROCESS_ENDED;
        if (state == WEFTI_WORKER_LEFT || ended)
            place_clear(handle, worker);
    }
}

/* The new. */

/* One more place. It stands in the table before it is committed, for the mender of this process. */
static struct wefti_process_worker *place_make(struct wefti_process_pool *pool)
{
    uint32_t number = pool->places;
    struct wefti_process_worker *worker = number < WEFTI_PROCESS_WORKERS ? wefti_block_take(sizeof(*worker)) : (errno = EAGAIN, NULL);
    if (!worker)
        return NULL;
    *worker = (struct wefti_process_worker){.place = number, .pool = pool};
    pool->table[number] = worker;
    wefti_block_commit(worker, sizeof(*worker));
    __atomic_store_n(&pool->places, number + 1, __ATOMIC_RELEASE);
    return worker;
}

/* An empty place, or NULL with EAGAIN, ENOMEM. */
static struct wefti_process_worker *place_find(struct wefti_process_pool *pool)
{
    for (uint32_t i = 0; i < wefti_process_places(pool); i++)
        if (__atomic_load_n(&pool->table[i]->state, __ATOMIC_ACQUIRE) == WEFTI_WORKER_NONE)
            return pool->table[i];
    return place_make(pool);
}

static int worker_begin(struct wefti_process_handle *handle)
{
    struct wefti_process_pool *pool = handle->pool;
    struct wefti_process_worker *worker = place_find(pool);
    struct wefti_process *process = worker ? wefti_process_new(wefti_process_worker_main, worker) : NULL;
    if (!process)
        return -1;
    worker->number = ++handle->numbers;
    __atomic_store_n(&worker->pid, 0, __ATOMIC_RELAXED); /* others may be counting */
    __atomic_store_n(&worker->idle, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&worker->away, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&worker->ready, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&worker->runs, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&worker->waits, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&worker->taken, 0, __ATOMIC_RELAXED);
    wefti_hold(&process->born, WEFTI_HOLD_POOL, pool, worker->place + 1);
    worker->process = process;
    __atomic_store_n(&worker->state, WEFTI_WORKER_COMING, __ATOMIC_SEQ_CST);
    if (wefti_process_start(process) == 0)
        return 0;
    int error = errno;
    worker->process = NULL;
    __atomic_store_n(&worker->state, WEFTI_WORKER_NONE, __ATOMIC_SEQ_CST);
    wefti_process_let_go(process);
    errno = error;
    return -1;
}

static void settled_say(struct wefti_process_pool *pool, uint32_t what)
{
    __atomic_store_n(&pool->settled, what, __ATOMIC_SEQ_CST);
    weft_wake(&pool->settled, UINT32_MAX);
}

/* Nobody can be started, and nobody is there: what waits will never run. */
static void nobody_left(struct wefti_process_pool *pool, int error)
{
    pool->refusal = error;
    if (!pool->settled || pool->settled == 2)
        settled_say(pool, 2);
    else
        wefti_process_end_pending(pool, WEFT_LOST);
}

static void workers_begin(struct wefti_process_handle *handle)
{
    struct wefti_process_pool *pool = handle->pool;
    for (;;) {
        struct census census = census_take(pool);
        uint32_t limit = census_limit(pool, &census);
        uint64_t waiting = wefti_process_any(pool) ? wefti_process_waiting(pool) : 0;
        bool wanted = (waiting > census.idle + census.coming || (__atomic_load_n(&pool->wanted, __ATOMIC_RELAXED) && census.alive == 0)) &&
                      !__atomic_load_n(&pool->broken, __ATOMIC_RELAXED);
        bool room = census.alive < limit;
        __atomic_store_n(&pool->spare, room, __ATOMIC_SEQ_CST);
        uint32_t surplus = census.alive > limit ? census.alive - limit : 0;
        if (__atomic_exchange_n(&pool->surplus, surplus, __ATOMIC_SEQ_CST) < surplus)
            wefti_process_wake_all(pool);
        if (!wanted || !room)
            return;
        if (handle->crashes >= CRASHES || worker_begin(handle) != 0) {
            if (census.alive == 0)
                nobody_left(pool, handle->crashes >= CRASHES ? EOWNERDEAD : errno);
            handle->crashes = 0;
            return;
        }
        __atomic_store_n(&pool->wanted, 0, __ATOMIC_RELAXED);
    }
}

/* Limits. */

bool wefti_process_stop(struct wefti_process_pool *pool, struct wefti_process_worker *worker, struct wefti_process_task *task,
    uint32_t state, enum weft_outcome outcome)
{
    (void)pool;
    uint32_t left;
    __atomic_store_n(&task->stop, wefti_task_stop(state, outcome), __ATOMIC_RELAXED);
    if (!wefti_process_task_move(task, state, WEFTI_TASK_RUNNING, worker->place, WEFTI_TASK_STOPPED, &left))
        return false;
    /* Its number is still its own: the supervisor reaps a worker after its task has been taken from it, and this one still had it. */
    wefti_process_stop_worker(__atomic_load_n(&worker->pid, __ATOMIC_RELAXED));
    return true;
}

/* The task that this worker runs as far as its hint says, with its state; NULL. */
static struct wefti_process_task *runs_of(const struct wefti_process_pool *pool, const struct wefti_process_worker *worker, uint32_t *state)
{
    uint64_t hint = __atomic_load_n(&worker->runs, __ATOMIC_SEQ_CST);
    struct wefti_process_task *task = hint ? wefti_process_task_at(pool, (uint32_t)hint - 1) : NULL;
    *state = task ? __atomic_load_n(&task->state, __ATOMIC_SEQ_CST) : 0;
    bool runs = task && wefti_task_phase(*state) == WEFTI_TASK_RUNNING && wefti_task_who(*state) == worker->place &&
                wefti_process_hint(task, *state) == hint;
    return runs ? task : NULL;
}

/* Stops what has run for too long. When the next one may be due. */
static weft_time limits_keep(struct wefti_process_pool *pool)
{
    weft_time next = WEFT_FOREVER, now = weft_clock();
    for (uint32_t i = 0; i < wefti_process_places(pool); i++) {
        uint32_t state;
        struct wefti_process_worker *worker = pool->table[i];
        struct wefti_process_task *task = runs_of(pool, worker, &state);
        if (!task || (state & WEFTI_TASK_STOPPED))
            continue;
        weft_time due = task->began + task->limit;
        if (due > now)
            next = due < next ? due : next;
        else
            wefti_process_stop(pool, worker, task, state, WEFT_TIMED_OUT);
    }
    return next;
}

/* What the process has for itself: resident and not shared, in octets. The arena, and what it shares with the zygote's files, is not its
 * own. */
static uint64_t memory_of(int32_t pid)
{
    char path[64];
    unsigned long long all, resident = 0, shared = 0;
    snprintf(path, sizeof(path), "/proc/%d/statm", pid);
    FILE *file = fopen(path, "re");
    bool read = file && fscanf(file, "%llu %llu %llu", &all, &resident, &shared) == 3;
    if (file)
        fclose(file);
    return read && resident > shared ? (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* The task that runs in this place, whatever its hint says: a look at all records. */
static struct wefti_process_task *task_in(const struct wefti_process_pool *pool, uint32_t place, uint32_t *state)
{
    uint32_t records = wefti_process_records(__atomic_load_n(&pool->slabs, __ATOMIC_ACQUIRE));
    for (uint32_t i = 0; i < records; i++) {
        struct wefti_process_task *task = wefti_process_task_at(pool, i);
        *state = __atomic_load_n(&task->state, __ATOMIC_SEQ_CST);
        if (wefti_task_phase(*state) == WEFTI_TASK_RUNNING && wefti_task_who(*state) == place)
            return task;
    }
    return NULL;
}

/* Stops what has too much memory; between tasks the worker alone. When to look again. */
static weft_time memory_keep(struct wefti_process_pool *pool)
{
    bool any = false;
    for (uint32_t i = 0; i < wefti_process_places(pool); i++) {
        uint32_t state;
        struct wefti_process_worker *worker = pool->table[i];
        if (__atomic_load_n(&worker->state, __ATOMIC_SEQ_CST) != WEFTI_WORKER_THERE || __atomic_load_n(&worker->idle, __ATOMIC_SEQ_CST))
            continue;
        any = true;
        if (memory_of(__atomic_load_n(&worker->pid, __ATOMIC_RELAXED)) <= pool->memory)
            continue;
        struct wefti_process_task *task = task_in(pool, i, &state);
        if (task && !(state & WEFTI_TASK_STOPPED))
            wefti_process_stop(pool, worker, task, state, WEFT_LOST);
    }
    return any ? weft_clock() + MEMORY_LOOK : WEFT_FOREVER;
}

/* The whole. */

static void pool_break(struct wefti_process_pool *pool)
{
    char what[300];
    weft_value error = wefti_unpack(&pool->failure, pool->failure_room);
    snprintf(what, sizeof(what), "initializer of %s-%u", pool->name, pool->breaker);
    __atomic_store_n(&pool->broken, 3, __ATOMIC_SEQ_CST);
    __atomic_store_n(&pool->closed, 1, __ATOMIC_SEQ_CST);
    if (!pool->terminated)
        wefti_uncollected(what, error);
    weft_drop(error);
    wefti_process_wake_all(pool);
    wefti_process_end_pending(pool, WEFT_LOST);
    settled_say(pool, 3);
}

/* Whether all that was submitted has ended, in whatever way. */
static bool tasks_ended(const struct wefti_process_pool *pool)
{
    uint32_t records = wefti_process_records(__atomic_load_n(&pool->slabs, __ATOMIC_ACQUIRE));
    for (uint32_t i = 0; i < records; i++) {
        const struct wefti_process_task *task = wefti_process_task_at(pool, i);
        uint32_t state = __atomic_load_n(&task->state, __ATOMIC_SEQ_CST), phase = wefti_task_phase(state);
        bool calls =
            wefti_task_ended(state) && (state & WEFTI_TASK_CALLS) && __atomic_load_n(&task->owner, __ATOMIC_RELAXED) == wefti_member;
        if (phase == WEFTI_TASK_WAITING || phase == WEFTI_TASK_RUNNING || calls)
            return false;
    }
    return true;
}

static bool keeper_finished(struct wefti_process_pool *pool)
{
    if (!__atomic_load_n(&pool->closed, __ATOMIC_SEQ_CST))
        return false;
    for (uint32_t i = 0; i < wefti_process_places(pool); i++)
        if (__atomic_load_n(&pool->table[i]->state, __ATOMIC_SEQ_CST) != WEFTI_WORKER_NONE)
            return false;
    return tasks_ended(pool);
}

/* Sleeps until the bell rings, somebody who is to come has died before, or something is due. */
static void keeper_sleep(struct wefti_process_pool *pool, uint32_t bell, weft_time until)
{
    struct wefti_item items[WATCHED_AT_ONCE + WEFTI_KEEPERS];
    unsigned count = wefti_family_watch(items);
    if (count == 0)
        return; /* the next round sees to it */
    items[count++] = (struct wefti_item){.kind = WEFTI_WORD, .word = &pool->bell, .expected = bell};
    for (uint32_t i = 0; i < wefti_process_places(pool) && count < WATCHED_AT_ONCE; i++)
        if (__atomic_load_n(&pool->table[i]->state, __ATOMIC_SEQ_CST) == WEFTI_WORKER_COMING)
            items[count++] =
                (struct wefti_item){.kind = WEFTI_WORD, .word = &pool->table[i]->process->state, .expected = WEFTI_PROCESS_RUNS};
    wefti_wait_items(items, count, until);
}

/*
 * The supervisor and its spare have died within a moment, and all workers with them; nobody mends, and nobody makes others. What had not
 * ended is lost, once the kernel has ended the last worker, which it does at once.
 */
static void family_lost(struct wefti_process_pool *pool)
{
    __atomic_store_n(&pool->broken, 3, __ATOMIC_SEQ_CST);
    __atomic_store_n(&pool->closed, 1, __ATOMIC_SEQ_CST);
    uint32_t records = wefti_process_records(__atomic_load_n(&pool->slabs, __ATOMIC_ACQUIRE));
    for (uint32_t i = 0; i < records; i++) {
        struct wefti_process_task *task = wefti_process_task_at(pool, i);
        uint32_t state = __atomic_load_n(&task->state, __ATOMIC_SEQ_CST), phase = wefti_task_phase(state);
        if (phase == WEFTI_TASK_WAITING || (phase == WEFTI_TASK_RUNNING && wefti_task_who(state) != WEFTI_TASK_VISIT))
            wefti_process_task_end(task, state, WEFT_LOST);
    }
    for (uint32_t i = 0; i < wefti_process_places(pool); i++)
        __atomic_store_n(&pool->table[i]->state, WEFTI_WORKER_NONE, __ATOMIC_SEQ_CST);
    wefti_process_wake_all(pool);
    settled_say(pool, 3);
}

/* A spare that was just forked, and whose supervisor died in the same moment, takes its place all the same: it is given some time to say
 * that it is there. */
static bool family_is_lost(void)
{
    struct wefti_item lives[WEFTI_KEEPERS];
    for (int i = 0; i < GRACE; i++) {
        if (wefti_family_watch(lives) > 0)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return true;
}

/* One round of the keeping. When to look again. */
static weft_time keeper_keep(struct wefti_process_handle *handle)
{
    struct wefti_process_pool *pool = handle->pool;
    __atomic_store_n(&pool->asked, 0, __ATOMIC_SEQ_CST);
    if (family_is_lost())
        family_lost(pool);
    places_clear(handle);
    if (__atomic_load_n(&pool->broken, __ATOMIC_SEQ_CST) == 2)
        pool_break(pool);
    workers_begin(handle);
    __atomic_store_n(&pool->watched, WEFT_FOREVER, __ATOMIC_SEQ_CST); /* whoever begins meanwhile rings */
    weft_time until = __atomic_load_n(&pool->limits, __ATOMIC_RELAXED) ? limits_keep(pool) : WEFT_FOREVER; /* seen late: that one rings */
    __atomic_store_n(&pool->watched, until, __ATOMIC_SEQ_CST);
    weft_time look = pool->memory ? memory_keep(pool) : WEFT_FOREVER;
    return look < until ? look : until;
}

static weft_value keeper_main(weft_value pointer)
{
    struct wefti_process_handle *handle = weft_as_ptr(pointer);
    struct wefti_process_pool *pool = handle->pool;
    wefti_shield_raise();
    __atomic_store_n(&handle->context, wefti_context_current(), __ATOMIC_RELAXED);
    for (;;) {
        uint32_t bell = __atomic_load_n(&pool->bell, __ATOMIC_SEQ_CST);
        weft_time until = keeper_keep(handle);
        wefti_process_caller_see(handle);
        if (keeper_finished(pool))
            break;
        keeper_sleep(pool, bell, until);
    }
    wefti_process_caller_end(handle);
    __atomic_store_n(&handle->context, NULL, __ATOMIC_RELAXED);
    bool freed = __atomic_exchange_n(&handle->stop, 1, __ATOMIC_SEQ_CST) == 2; /* from a callback: nobody waits */
    __atomic_store_n(&pool->finished, 1, __ATOMIC_SEQ_CST);
    weft_wake(&pool->finished, UINT32_MAX);
    wefti_shield_lower();
    if (freed)
        wefti_process_pool_release(handle);
    return weft_none;
}

int wefti_process_keeper_start(struct wefti_process_handle *handle)
{
    handle->keeper = wefti_process_thread(handle, keeper_main);
    return handle->keeper ? 0 : -1;
}
