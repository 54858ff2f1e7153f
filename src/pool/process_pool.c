/* SPDX-License-Identifier: MIT */
/*
 * Pools of processes: made, shut down, freed, counted.
 *
 * A pool belongs to the process that made it: that has the keeper, and frees the memory, when the pool's handle and the last future there
 * are freed. Other processes of the family may use the pool and their futures of it as long as that has not happened. What a process has of
 * a pool in its own memory is a handle (struct wefti_process_handle).
 *
 * Who closes a pool says so in `closed` before he looks for tasks that wait: process_submit.c looks at that again after a put.
 *
 * fork: in a child of the host's own, which is no member of the family, a pool is lost: ESTALE.
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/opening.h"
#include "family/family.h"
#include "pool/process.h"
#include "shared/life.h"
#include "task/task.h"
#include "value/value.h"

enum { UNBOUNDED = 1 << 20, UNBOUNDED_LANE = 1 << 16 };

static struct wefti_latch handles_latch; /* of the list */
static struct wefti_process_handle *handles;

/* Handles. */

static struct wefti_process_handle *handle_find(const struct wefti_process_pool *pool)
{
    struct wefti_process_handle *handle = handles;
    while (handle && handle->pool != pool)
        handle = handle->next;
    return handle;
}

/* `held`: the process says already that it has to do with the pool. */
static struct wefti_process_handle *handle_make(struct wefti_process_pool *pool, bool held)
{
    struct wefti_process_handle *handle = wefti_alloc(sizeof(*handle));
    const struct wefti_process_worker *worker = wefti_process_worker_here();
    if (!handle)
        return NULL;
    handle->pool = pool;
    handle->references = 1;
    held |= worker && worker->pool == pool; /* with its place */
    if (!held && wefti_hold_process(WEFTI_HOLD_POOL, pool, 0) != 0) {
        wefti_release(handle);
        return NULL;
    }
    handle->next = handles;
    handles = handle;
    return handle;
}

struct wefti_process_handle *wefti_process_handle_of(struct wefti_process_pool *pool, bool make)
{
    if (pool->maker == wefti_member)
        return pool->handle;
    wefti_latch_close(&handles_latch);
    struct wefti_process_handle *handle = handle_find(pool);
    if (!handle && make)
        handle = handle_make(pool, false);
    wefti_latch_open(&handles_latch);
    return handle;
}

static void handle_remove(struct wefti_process_handle *handle)
{
    wefti_latch_close(&handles_latch);
    struct wefti_process_handle **link = &handles;
    while (*link && *link != handle)
        link = &(*link)->next;
    if (*link)
        *link = handle->next;
    wefti_latch_open(&handles_latch);
}

/* Making. */

static uint64_t power_of_two(uint64_t least)
{
    uint64_t power = 8;
    while (power < least)
        power *= 2;
    return power;
}

static int ring_make(struct wefti_process_ring *ring, uint64_t cells)
{
    uint64_t *room = wefti_block_take(cells * sizeof(uint64_t));
    if (!room)
        return -1;
    ring->mask = cells - 1;
    memset(room, 0, cells * sizeof(uint64_t));
    __atomic_store_n(&ring->cells, room, __ATOMIC_RELEASE); /* before it is committed, for the mender */
    wefti_block_commit(room, cells * sizeof(uint64_t));
    return 0;
}

/* Twice what may wait: hints of what was cancelled stand in the line for a while. */
static int rings_make(struct wefti_process_pool *pool)
{
    bool unbounded = pool->backlog > UNBOUNDED / 2;
    uint64_t cells = unbounded ? UNBOUNDED : power_of_two(2 * pool->backlog), lane = unbounded ? UNBOUNDED_LANE : cells;
    return ring_make(&pool->rings[WEFTI_RING_AGAIN], WEFTI_PROCESS_WORKERS) == 0 && ring_make(&pool->rings[WEFTI_RING_HIGH], lane) == 0 &&
                   ring_make(&pool->rings[WEFTI_RING_NORMAL], cells) == 0 && ring_make(&pool->rings[WEFTI_RING_LOW], lane) == 0
               ? 0
               : -1;
}

static void pool_block_withdraw(void *block, uint16_t member)
{
    wefti_block_withdraw(block, member); /* fails for what has been withdrawn before */
}

static void pool_block_discard(void *block, uint16_t member)
{
    (void)member;
    wefti_block_discard(block);
}

static void packed_step(const struct wefti_packed *packed, void (*step)(void *block, uint16_t member), uint16_t member)
{
    if (packed->form == WEFTI_PACKED_BLOCK)
        step(packed->as.pointer, member);
}

/* Does this with each of the pool's blocks, the pool's own last. */
static void pool_blocks(struct wefti_process_pool *pool, void (*step)(void *block, uint16_t member), uint16_t member)
{
    for (uint32_t slab = 0; slab < WEFTI_PROCESS_SLABS && pool->slab[slab]; slab++)
        step(pool->slab[slab], member);
    for (int i = 0; i < WEFTI_RINGS; i++)
        if (pool->rings[i].cells)
            step(pool->rings[i].cells, member);
    for (uint32_t i = 0; i < wefti_process_places(pool); i++)
        step(pool->table[i], member);
    packed_step(&pool->initial, step, member);
    packed_step(&pool->failure, step, member);
    if (pool->cpus)
        step(pool->cpus, member);
    step(pool, member);
}

void wefti_process_pool_withdraw(struct wefti_process_pool *pool, uint16_t member)
{
    pool_blocks(pool, pool_block_withdraw, member);
    __atomic_store_n(&pool->magic, 0, __ATOMIC_RELEASE);
}

void wefti_process_pool_unmake(struct wefti_process_pool *pool)
{
    wefti_process_pool_withdraw(pool, wefti_member);
    pool_blocks(pool, pool_block_discard, wefti_member);
}

void wefti_process_pool_release(struct wefti_process_handle *handle)
{
    /* Release: what this owner did comes before the end; acquire: the last sees what all did. */
    if (__atomic_sub_fetch(&handle->references, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    handle_remove(handle);
    weft_task_free(handle->keeper);
    wefti_process_pool_unmake(handle->pool);
    wefti_unhold_process(WEFTI_HOLD_POOL, handle->pool);
    wefti_release(handle);
}

static void pool_fill(struct wefti_process_pool *pool, const struct weft_pool_options *options)
{
    memset(pool, 0, sizeof(*pool));
    pool->workers = options->workers ? options->workers : weft_cpu_count();
    pool->when_full = options->when_full;
    pool->tasks_a_worker = options->max_tasks_per_worker;
    pool->backlog = options->backlog ? options->backlog : WEFTI_POOL_BACKLOG;
    pool->backlog = pool->backlog <= UNBOUNDED / 2 ? pool->backlog : UNBOUNDED;
    pool->limit = wefti_process_duration(options->task_timeout);
    pool->limits = pool->limit > 0;
    pool->memory = options->memory;
    pool->tries = (uint8_t)options->retries;
    pool->initializer = options->initializer;
    pool->finalizer = options->finalizer;
    pool->maker = wefti_member;
    pool->spare = 1;
    pool->watched = WEFT_FOREVER;
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &pool->signals, sizeof(pool->signals));
}

/* How its workers are placed. */
static bool pool_place_workers(struct wefti_process_pool *pool, const struct weft_pool_options *options)
{
    struct wefti_placement valid;
    if (!wefti_placement_make(&valid, options->cpus, options->nice))
        return false;
    wefti_placement_clear(&valid);
    pool->nice = options->nice;
    pool->niceness = wefti_placement_niceness() + options->nice;
    if (!options->cpus)
        return true;
    size_t size = strlen(options->cpus) + 1;
    pool->cpus = wefti_block_take(size);
    if (!pool->cpus)
        return false;
    memcpy(pool->cpus, options->cpus, size);
    wefti_block_commit(pool->cpus, size);
    return true;
}

/* Of one that is held: all of it, whole or not. */
static void pool_unmake(struct wefti_process_pool *pool)
{
    int error = errno;
    wefti_process_pool_unmake(pool);
    wefti_unhold_process(WEFTI_HOLD_POOL, pool);
    errno = error;
}

/* All that a pool is made of, but its keeper, and held, from before it is committed: who dies in the midst leaves it a pool, whose maker is
 * dead. NULL with errno. */
struct wefti_process_pool *wefti_process_pool_make(const struct weft_pool_options *options)
{
    struct wefti_process_pool *pool = wefti_block_take(sizeof(*pool));
    if (!pool)
        return NULL;
    pool_fill(pool, options);
    bool named = wefti_pool_name(options->name, pool->name, sizeof(pool->name));
    pool->magic = WEFTI_PROCESS_MAGIC;
    if (wefti_hold_process(WEFTI_HOLD_POOL, pool, 0) != 0) {
        wefti_block_cancel(pool, sizeof(*pool));
        return NULL;
    }
    wefti_block_commit(pool, sizeof(*pool));
    if (named && pool_place_workers(pool, options) && wefti_pack(options->initializer_argument, &pool->initial, pool->initial_room) == 0 &&
        rings_make(pool) == 0)
        return pool;
    pool_unmake(pool);
    return NULL;
}

static bool options_possible(const struct weft_pool_options *options)
{
    bool possible = options->workers <= WEFTI_PROCESS_WORKERS && options->retries <= UINT8_MAX;
    if (!possible)
        errno = EINVAL;
    return possible;
}

weft_pool *wefti_process_pool_new(const struct weft_pool_options *options)
{
    if (!options_possible(options) || wefti_family_begin() != 0)
        return NULL;
    struct wefti_process_pool *pool = wefti_process_pool_make(options);
    if (!pool)
        return NULL;
    wefti_latch_close(&handles_latch);
    struct wefti_process_handle *handle = handle_make(pool, true);
    wefti_latch_open(&handles_latch);
    if (!handle) {
        pool_unmake(pool);
        return NULL;
    }
    pool->handle = handle;
    if (wefti_process_keeper_start(handle) != 0) {
        int error = errno;
        wefti_process_pool_release(handle);
        errno = error;
        return NULL;
    }
    weft_drop(wefti_value_take(options->initializer_argument));
    return (weft_pool *)(void *)pool;
}

/* The end. */

void wefti_process_end_pending(struct wefti_process_pool *pool, enum weft_outcome outcome)
{
    uint32_t records = wefti_process_records(__atomic_load_n(&pool->slabs, __ATOMIC_ACQUIRE));
    for (uint32_t i = 0; i < records; i++) {
        struct wefti_process_task *task = wefti_process_task_at(pool, i);
        uint32_t state = __atomic_load_n(&task->state, __ATOMIC_SEQ_CST);
        if (wefti_task_phase(state) == WEFTI_TASK_WAITING)
            wefti_process_task_end(task, state, outcome);
    }
    wefti_process_wake_all(pool);
}

static void pool_close(struct wefti_process_pool *pool)
{
    __atomic_store_n(&pool->closed, 1, __ATOMIC_SEQ_CST);
    wefti_process_wake_all(pool);
    wefti_process_ring_bell(pool);
}

/* Whether the caller is one of its workers, or calls back for it. */
static bool pool_inside(const struct wefti_process_pool *pool)
{
    const struct wefti_process_worker *worker = wefti_process_worker_here();
    const struct wefti_process_handle *handle = pool->maker == wefti_member ? pool->handle : NULL;
    const struct wefti_context *self = handle ? wefti_context_current() : NULL;
    return (worker && worker->pool == pool) || (self && (__atomic_load_n(&handle->context, __ATOMIC_RELAXED) == self ||
                                                            __atomic_load_n(&handle->calling, __ATOMIC_RELAXED) == self));
}

static int pool_join(struct wefti_process_pool *pool, weft_time deadline)
{
    if (pool_inside(pool)) {
        errno = EDEADLK;
        return -1;
    }
    while (!__atomic_load_n(&pool->finished, __ATOMIC_SEQ_CST))
        if (weft_wait(&pool->finished, 0, deadline) != 0)
            return -1;
    return 0;
}

static bool pool_usable(void)
{
    if (!wefti_member)
        errno = ESTALE;
    return wefti_member;
}

int wefti_process_pool_shutdown(weft_pool *given, bool cancel_pending, weft_time deadline)
{
    struct wefti_process_pool *pool = wefti_process_pool_of(given);
    if (!pool_usable())
        return -1;
    pool_close(pool);
    if (cancel_pending)
        wefti_process_end_pending(pool, WEFT_CANCELLED);
    return pool_join(pool, deadline);
}

/* Stops what runs; a worker that is still in its initializer is killed too. */
static void running_stop(struct wefti_process_pool *pool)
{
    uint32_t records = wefti_process_records(__atomic_load_n(&pool->slabs, __ATOMIC_ACQUIRE));
    for (uint32_t i = 0; i < records; i++) {
        struct wefti_process_task *task = wefti_process_task_at(pool, i);
        uint32_t state = __atomic_load_n(&task->state, __ATOMIC_SEQ_CST), who = wefti_task_who(state);
        if (wefti_task_phase(state) == WEFTI_TASK_RUNNING && who < wefti_process_places(pool))
            wefti_process_stop(pool, pool->table[who], task, state, WEFT_CANCELLED);
    }
    for (uint32_t i = 0; i < wefti_process_places(pool); i++)
        if (__atomic_load_n(&pool->table[i]->state, __ATOMIC_SEQ_CST) == WEFTI_WORKER_THERE &&
            !__atomic_load_n(&pool->table[i]->ready, __ATOMIC_SEQ_CST))
            wefti_process_stop_worker(__atomic_load_n(&pool->table[i]->pid, __ATOMIC_RELAXED));
}

int wefti_process_pool_terminate(weft_pool *given, weft_time deadline)
{
    struct wefti_process_pool *pool = wefti_process_pool_of(given);
    if (!pool_usable())
        return -1;
    __atomic_store_n(&pool->terminated, 1, __ATOMIC_SEQ_CST);
    pool_close(pool);
    wefti_process_end_pending(pool, WEFT_CANCELLED);
    running_stop(pool);
    return pool_join(pool, deadline);
}

int wefti_process_pool_resize(weft_pool *given, unsigned workers)
{
    struct wefti_process_pool *pool = wefti_process_pool_of(given);
    int closed = wefti_process_pool_closed(pool);
    workers = workers ? workers : weft_cpu_count();
    if (!wefti_member || closed || workers > WEFTI_PROCESS_WORKERS) {
        errno = !wefti_member ? ESTALE : closed ? closed : EINVAL;
        return -1;
    }
    __atomic_store_n(&pool->workers, workers, __ATOMIC_SEQ_CST);
    wefti_process_ring_bell(pool);
    return 0;
}

void wefti_process_pool_free(weft_pool *given)
{
    struct wefti_process_pool *pool = wefti_process_pool_of(given);
    if (!wefti_member || pool->maker != wefti_member)
        return;
    int error = errno;
    struct wefti_process_handle *handle = pool->handle;
    pool_close(pool);
    wefti_shield_raise();
    bool inside = pool_join(pool, WEFT_FOREVER) != 0;
    if (!inside)
        weft_task_join(handle->keeper, WEFT_FOREVER);
    wefti_shield_lower();
    uint32_t running = 0;
    if (!inside || !__atomic_compare_exchange_n(&handle->stop, &running, 2, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        wefti_process_pool_release(handle);
    errno = error;
}

void wefti_process_pool_hold(weft_pool *pool)
{
    if (wefti_member && wefti_process_pool_of(pool)->maker == wefti_member)
        __atomic_add_fetch(&wefti_process_pool_of(pool)->handle->references, 1, __ATOMIC_RELAXED);
}

void wefti_process_pool_let_go(weft_pool *pool)
{
    if (wefti_member && wefti_process_pool_of(pool)->maker == wefti_member)
        wefti_process_pool_release(wefti_process_pool_of(pool)->handle);
}

unsigned wefti_process_pool_workers(const weft_pool *pool)
{
    const struct wefti_process_pool *shared = (const struct wefti_process_pool *)(const void *)pool;
    return __atomic_load_n(&shared->workers, __ATOMIC_RELAXED);
}

void wefti_process_pools_finish(void)
{
    for (;;) {
        wefti_latch_close(&handles_latch);
        struct wefti_process_handle *handle = handles;
        while (handle && (handle->finished || handle->pool->maker != wefti_member))
            handle = handle->next;
        if (handle)
            handle->finished = true;
        wefti_latch_open(&handles_latch);
        if (!handle)
            return;
        pool_close(handle->pool);
        if (pool_join(handle->pool, WEFT_FOREVER) == 0)
            weft_task_join(handle->keeper, WEFT_FOREVER);
    }
}

void wefti_process_pool_count(weft_pool *given, struct weft_pool_counts *counts)
{
    const struct wefti_process_pool *pool = wefti_process_pool_of(given);
    if (!wefti_member)
        return;
    uint64_t ended[WEFT_LOST + 1], direct = __atomic_load_n(&pool->direct, __ATOMIC_RELAXED);
    *counts = (struct weft_pool_counts){.submitted = direct,
        .waits = __atomic_load_n(&pool->waits, __ATOMIC_RELAXED),
        .blocked = __atomic_load_n(&pool->blocked, __ATOMIC_RELAXED),
        .limit = __atomic_load_n(&pool->workers, __ATOMIC_RELAXED)};
    for (int i = 0; i <= WEFT_LOST; i++)
        ended[i] = __atomic_load_n(&pool->tally[i], __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < wefti_process_places(pool); i++) {
        const struct wefti_process_worker *worker = pool->table[i];
        bool there = __atomic_load_n(&worker->state, __ATOMIC_SEQ_CST) == WEFTI_WORKER_THERE;
        counts->workers += there;
        counts->resting += there && __atomic_load_n(&worker->idle, __ATOMIC_RELAXED);
        counts->waiting += there && __atomic_load_n(&worker->away, __ATOMIC_RELAXED);
        counts->waits += __atomic_load_n(&worker->waits, __ATOMIC_RELAXED);
        for (int j = 0; j <= WEFT_LOST; j++)
            ended[j] += __atomic_load_n(&worker->ended[j], __ATOMIC_RELAXED);
    }
    for (int i = WEFTI_RING_HIGH; i < WEFTI_RINGS; i++)
        counts->submitted += __atomic_load_n(&pool->rings[i].tail, __ATOMIC_RELAXED);
    counts->submitted += __atomic_load_n(&pool->reused, __ATOMIC_RELAXED);
    uint32_t records = wefti_process_records(__atomic_load_n(&pool->slabs, __ATOMIC_ACQUIRE));
    for (uint32_t i = 0; i < records; i++) {
        uint32_t phase = wefti_task_phase(__atomic_load_n(&wefti_process_task_at(pool, i)->state, __ATOMIC_RELAXED));
        counts->queued += phase == WEFTI_TASK_WAITING;
        counts->running += phase == WEFTI_TASK_RUNNING;
    }
    counts->done = ended[WEFT_DONE];
    counts->failed = ended[WEFT_FAILED];
    counts->cancelled = ended[WEFT_CANCELLED];
    counts->timed_out = ended[WEFT_TIMED_OUT];
    counts->lost = ended[WEFT_LOST];
}

/* In a forked child of the host's own. */
static WEFTI_FORKED void handles_forked(void)
{
    handles_latch = (struct wefti_latch){0};
    for (struct wefti_process_handle *handle = handles; handle; handle = handle->next) {
        handle->lost = 1;
        handle->latch = (struct wefti_latch){0};
    }
    handles = NULL;
}

WEFTI_OPENING_POOL static void process_pool_open(void)
{
    wefti_menders[WEFTI_HOLD_POOL] = wefti_process_pool_mend;
    pthread_atfork(NULL, NULL, handles_forked);
}
