/* SPDX-License-Identifier: MIT */
/*
 * The crew: how many workers a pool has, which of them rest, and who is called for a task.
 *
 * Who is called: a worker without work rests, on a stack, in the same closing of `in` in which it saw that nothing has arrived; so a
 * submitter, which adds under `in`, finds it there. A submit calls at most one, the youngest sleeper, or has one started: only when more
 * tasks wait than workers are coming (called or started, and not there yet), and fewer than `workers` run. So no more wake than there is
 * work for. What a worker does before it rests stands in line.c.
 *
 * Stand-ins: a worker that waits for a task of its own pool is `away`, and another may run in its place. Once it has come back more than
 * `workers` run (the pool is crowded) and whoever is first to want another task rests instead. While tasks wait, at least `workers` run,
 * or all there are, or no thread could be started.
 *
 * A smaller pool: `surplus` workers are to end. Those that rest are called to do so, others see it when they want a task. Who is called
 * and ends has not taken the call for a task from anybody: as many are called as end, and one that departs calls or starts another for what
 * waits.
 *
 * All of it is under the latch `in`, which is the only barrier but for `called`: that is released by who calls, and acquired by who rests.
 */

#include "pool/line.h"

void wefti_crew_balance(struct weft_pool *pool)
{
    wefti_budget_count(pool);
    bool crowded = wefti_crew_running(pool) > pool->workers || pool->surplus > 0;
    if (__atomic_load_n(&pool->crowded, __ATOMIC_RELAXED) != crowded) /* workers look at it all the time */
        __atomic_store_n(&pool->crowded, crowded, __ATOMIC_RELAXED);
}

const uint32_t *wefti_crew_unrest(struct weft_pool *pool)
{
    struct wefti_worker *worker = pool->rest;
    if (!worker)
        return NULL;
    pool->rest = worker->next;
    pool->resting--;
    worker->coming = true;
    pool->coming++;
    wefti_crew_balance(pool);
    __atomic_store_n(&worker->called, 1, __ATOMIC_RELEASE);
    return &worker->called;
}

bool wefti_crew_reserve(struct weft_pool *pool)
{
    if (pool->alive >= pool->workers + pool->away)
        return false;
    pool->alive++;
    pool->coming++;
    wefti_crew_balance(pool);
    return true;
}

struct wefti_summons wefti_crew_summon_one(struct weft_pool *pool, bool start)
{
    struct wefti_summons summons = {0};
    uint64_t waiting = pool->submitted - __atomic_load_n(&pool->begun, __ATOMIC_RELAXED);
    if (waiting <= pool->coming || !wefti_budget_take(pool))
        return summons;
    summons.call = wefti_crew_unrest(pool);
    summons.start = !summons.call && start && wefti_crew_reserve(pool);
    if (!summons.call && !summons.start)
        wefti_budget_count(pool);
    return summons;
}

void wefti_crew_summon_all(struct weft_pool *pool)
{
    struct wefti_summons summons;
    do {
        wefti_latch_close(&pool->in);
        summons = pool->closed ? (struct wefti_summons){0} : wefti_crew_summon(pool, true);
        wefti_latch_open(&pool->in);
    } while (wefti_crew_follow(pool, &summons) == 0 && (summons.call || summons.start));
}

void wefti_crew_rest(struct weft_pool *pool, struct wefti_worker *worker)
{
    __atomic_store_n(&worker->called, 0, __ATOMIC_RELAXED);
    worker->next = pool->rest;
    pool->rest = worker;
    pool->resting++;
    wefti_crew_balance(pool);
}

bool wefti_crew_is_left(struct weft_pool *pool)
{
    if (pool->surplus == 0 || pool->settled <= 1)
        return false;
    pool->settled--;
    pool->surplus--;
    wefti_crew_balance(pool);
    return true;
}

bool wefti_crew_stand_in(struct weft_pool *pool)
{
    struct wefti_summons summons = {0};
    wefti_latch_close(&pool->in);
    bool allowed = pool->away < WEFTI_POOL_STAND_INS;
    if (allowed) {
        pool->away++;
        pool->waits++;
        wefti_crew_balance(pool);
        summons = wefti_crew_summon(pool, true);
    }
    wefti_latch_open(&pool->in);
    if (summons.call)
        weft_wake(summons.call, 1);
    if (!summons.start || wefti_worker_start(pool) == 0)
        return allowed;
    wefti_latch_close(&pool->in);
    bool others = pool->alive > pool->away;
    if (!others) {
        pool->away--;
        wefti_crew_balance(pool);
    }
    wefti_latch_open(&pool->in);
    return others;
}

void wefti_crew_return(struct weft_pool *pool)
{
    wefti_latch_close(&pool->in);
    pool->away--;
    wefti_crew_balance(pool);
    wefti_latch_open(&pool->in);
}

/* Under `in`: one worker less is alive. */
static void crew_lose(struct weft_pool *pool)
{
    pool->alive--;
    unsigned most = pool->workers + pool->away, surplus = pool->alive > most ? pool->alive - most : 0;
    if (pool->surplus > surplus)
        pool->surplus = surplus;
    wefti_crew_balance(pool);
}

void wefti_crew_settle(struct weft_pool *pool, bool started)
{
    wefti_latch_close(&pool->in);
    pool->settled += started;
    __atomic_add_fetch(&pool->settling, 1, __ATOMIC_RELEASE);
    /* It may have come before it was settled, and have rested instead of ending. */
    const uint32_t *call = started && pool->surplus > 0 ? wefti_crew_unrest(pool) : NULL;
    wefti_latch_open(&pool->in);
    if (call)
        weft_wake(call, 1);
}

void wefti_crew_depart(struct weft_pool *pool)
{
    wefti_latch_close(&pool->in);
    crew_lose(pool);
    wefti_latch_open(&pool->in);
    wefti_crew_summon_all(pool);
}

void wefti_crew_unreserve(struct weft_pool *pool)
{
    wefti_latch_close(&pool->in);
    pool->coming--;
    crew_lose(pool);
    struct wefti_summons summons = wefti_crew_summon(pool, false);
    wefti_latch_open(&pool->in);
    if (summons.call)
        weft_wake(summons.call, 1);
}

int wefti_crew_resize(struct weft_pool *pool, unsigned workers)
{
    wefti_latch_close(&pool->in);
    int closed = pool->closed ? wefti_line_closed(pool) : 0;
    if (!closed) {
        __atomic_store_n(&pool->workers, workers, __ATOMIC_RELAXED);
        unsigned most = workers + pool->away;
        pool->surplus = pool->alive > most ? pool->alive - most : 0;
        wefti_crew_balance(pool);
    }
    unsigned calls = closed ? 0 : pool->surplus;
    wefti_latch_open(&pool->in);
    for (; calls > 0; calls--) {
        wefti_latch_close(&pool->in);
        const uint32_t *call = wefti_crew_unrest(pool);
        wefti_latch_open(&pool->in);
        if (!call)
            break;
        weft_wake(call, 1);
    }
    if (!closed)
        wefti_crew_summon_all(pool);
    return closed;
}
