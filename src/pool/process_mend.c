/* SPDX-License-Identifier: MIT */
/*
 * What the death of a process leaves in a pool of processes, and how that is put right: by the supervisor, before anybody else can have the
 * dead one's seat.
 *
 * Every process that has to do with a pool says so among what it holds (life.h), before it touches it: with 0; a worker's keeper says it
 * for that, in the record of its process (family.h, `born`), with its place + 1. So it is known also of one that never came to run. The
 * mender goes through all records, and finds what bears the mark of the dead:
 *   RUNNING in its place    what it was running: waits again if it has a try left, else is lost, or what it was STOPPED for
 *   RUNNING, VISIT, its own it ran that itself: lost
 *   RESERVED, FREEING by it the record is cleared
 *   its own                 it holds nothing of it, and nobody calls back; one that waits and stands in no ring was never accepted, and is
 *   cleared
 * Each step is one compare-and-swap, or may be done twice. Whoever waits is woken; so are all workers that sleep, as the dead one may have
 * been called or have owed a call.
 *
 * The maker's death closes the pool: what waits is lost, and the workers end when they have ended what they run. With the last one's death
 * the pool's memory goes into the hands of that one, whose blocks the sweep gives back next.
 */

#include "family/family.h"
#include "pool/process.h"
#include "shared/life.h"

/* Whether the task that is to begin again could be put into the ring for that. */
static bool task_again(struct wefti_process_pool *pool, struct wefti_process_task *task, uint32_t state)
{
    uint32_t left;
    if (task->tries == 0 || (state & (WEFTI_TASK_CANCEL | WEFTI_TASK_STOPPED)) || pool->terminated || !pool->maker)
        return false;
    wefti_packed_free(&task->result, wefti_member);
    task->again = 1;
    task->tries--;
    if (!wefti_process_task_move(task, state, WEFTI_TASK_WAITING, 0, 0, &left))
        return false;
    return wefti_ring_put(pool, &pool->rings[WEFTI_RING_AGAIN], task, UINT64_MAX) ||
           !wefti_process_task_end(task, wefti_task_turn(left, WEFTI_TASK_WAITING, 0), WEFT_LOST);
}

/* What the worker was running. */
static void running_mend(
    struct wefti_process_pool *pool, struct wefti_process_task *task, uint32_t seat, const struct wefti_process_worker *worker)
{
    uint32_t state = __atomic_load_n(&task->state, __ATOMIC_SEQ_CST);
    enum weft_outcome outcome = state & WEFTI_TASK_STOPPED ? (enum weft_outcome)(task->stop & 15) : WEFT_LOST;
    if (task_again(pool, task, state))
        return;
    task->pid = worker->pid;
    task->status = worker->process ? worker->process->status : 0;
    task->peak = worker->process ? worker->process->peak : 0;
    wefti_process_crash_note(task, seat);
    wefti_packed_free(&task->result, wefti_member);
    wefti_process_task_end(task, state, outcome);
}

/*
 * Nobody calls back for the task any more, and its submitter holds nothing of it. Each of the two steps may let somebody else free the
 * record, and another have it: so they change what is of this generation only.
 */
static void owner_leave(struct wefti_process_task *task, uint32_t seen)
{
    uint32_t state = __atomic_load_n(&task->state, __ATOMIC_SEQ_CST), age = wefti_task_age(seen);
    while (wefti_task_age(state) == age && (state & WEFTI_TASK_CALLS))
        if (__atomic_compare_exchange_n(
                &task->state, &state, state & ~(uint32_t)WEFTI_TASK_CALLS, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            break;
    uint64_t holds = __atomic_load_n(&task->holds, __ATOMIC_SEQ_CST);
    while (wefti_task_age((uint32_t)holds) == age && (holds & WEFTI_TASK_HOLDS))
        if (__atomic_compare_exchange_n(
                &task->holds, &holds, holds & ~(uint64_t)WEFTI_TASK_HOLDS, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            break;
}

/* A record of a process that is dead: what it submitted. `seen` is a state in which it was that. */
static void owned_mend(struct wefti_process_task *task, uint32_t seen)
{
    uint32_t left, phase = wefti_task_phase(seen);
    bool visit = phase == WEFTI_TASK_RUNNING && wefti_task_who(seen) == WEFTI_TASK_VISIT;
    owner_leave(task, seen);
    if (visit)
        wefti_process_task_end(task, seen, WEFT_LOST);
    bool stranded = phase == WEFTI_TASK_WAITING && !task->listed;
    if (stranded && wefti_process_task_move(task, seen, WEFTI_TASK_FREEING, wefti_member, 0, &left))
        wefti_process_task_clear(task, left, wefti_member);
}

static void task_mend(
    struct wefti_process_pool *pool, struct wefti_process_task *task, uint32_t seat, const struct wefti_process_worker *worker)
{
    uint32_t state = __atomic_load_n(&task->state, __ATOMIC_SEQ_CST), phase = wefti_task_phase(state), who = wefti_task_who(state);
    if (phase == WEFTI_TASK_FREE)
        return;
    bool keeper = who >= WEFTI_SEAT_KEEPER && who < WEFTI_SEAT_FIRST; /* one that died in here */
    if ((phase == WEFTI_TASK_RESERVED && who == seat) || (phase == WEFTI_TASK_FREEING && (who == seat || keeper))) {
        wefti_process_task_clear(task, state, (uint16_t)seat);
        return;
    }
    if (phase == WEFTI_TASK_RESERVED)
        return;
    if (worker && phase == WEFTI_TASK_RUNNING && who == worker->place)
        running_mend(pool, task, seat, worker);
    if (task->again && phase == WEFTI_TASK_WAITING && !task->listed)
        wefti_ring_put(pool, &pool->rings[WEFTI_RING_AGAIN], task, UINT64_MAX);
    state = __atomic_load_n(&task->state, __ATOMIC_SEQ_CST); /* before the owner: a record of a dead one that is freed never is his again */
    phase = wefti_task_phase(state);
    if (phase > WEFTI_TASK_RESERVED && phase != WEFTI_TASK_FREEING && __atomic_load_n(&task->owner, __ATOMIC_SEQ_CST) == seat)
        owned_mend(task, state);
    if (wefti_task_ended(state) &&
        (state & WEFTI_TASK_CALLS)) /* who ended it may not have come to say so; its caller looks twice at worst */
        __atomic_or_fetch(wefti_process_task_bits(pool, task->number), UINT64_C(1) << task->number % 64, __ATOMIC_SEQ_CST);
    wefti_process_task_release(task);
}

/* The place is free. */
static void worker_mend(struct wefti_process_pool *pool, struct wefti_process_worker *worker)
{
    uint32_t searching = worker->place + 1;
    __atomic_compare_exchange_n(&pool->searching, &searching, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    __atomic_store_n(&worker->idle, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&worker->away, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&worker->runs, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&worker->state, WEFTI_WORKER_LEFT, __ATOMIC_SEQ_CST);
}

static bool workers_left(const struct wefti_process_pool *pool)
{
    for (uint32_t i = 0; i < wefti_process_places(pool); i++) {
        uint32_t state = __atomic_load_n(&pool->table[i]->state, __ATOMIC_SEQ_CST);
        if (state == WEFTI_WORKER_COMING || state == WEFTI_WORKER_THERE)
            return true;
    }
    return false;
}

/* Nobody keeps it any more. */
static void maker_mend(struct wefti_process_pool *pool)
{
    pool->maker = 0;
    for (uint32_t i = 0; i < WEFTI_PROCESS_WORKERS && pool->table[i]; i++) {
        wefti_block_commit(pool->table[i], sizeof(*pool->table[i]));
        pool->places = pool->places > i ? pool->places : i + 1;
        pool->table[i]->process = NULL; /* its maker is dead: the record is nobody's */
    }
    __atomic_store_n(&pool->closed, 1, __ATOMIC_SEQ_CST);
    wefti_process_end_pending(pool, WEFT_LOST);
}

void wefti_process_pool_mend(uint32_t dead, void *object, uint64_t detail)
{
    struct wefti_process_pool *pool = object;
    uint32_t seat = wefti_life_seat(dead);
    if (wefti_block_size(pool) < sizeof(*pool) || pool->magic != WEFTI_PROCESS_MAGIC)
        return;
    wefti_process_slabs_mend(pool);
    struct wefti_process_worker *worker = detail > 0 && detail <= pool->places ? pool->table[detail - 1] : NULL;
    if (worker && worker->process && worker->process->seat != seat)
        worker = NULL; /* this was done before, by one that died: the place is another's by now */
    uint32_t records = wefti_process_records(pool->slabs);
    for (uint32_t i = 0; i < records; i++)
        wefti_process_task_at(pool, i)->listed = 0;
    for (int i = 0; i < WEFTI_RINGS; i++)
        wefti_ring_list(pool, &pool->rings[i]);
    for (uint32_t i = 0; i < records; i++)
        task_mend(pool, wefti_process_task_at(pool, i), seat, worker);
    if (worker)
        worker_mend(pool, worker);
    if (pool->maker == seat)
        maker_mend(pool);
    wefti_process_wake_all(pool);
    wefti_process_ring_bell(pool);
    wefti_process_ring_chime(pool);
    if (!pool->maker && !workers_left(pool))
        wefti_process_pool_withdraw(pool, (uint16_t)seat);
}
