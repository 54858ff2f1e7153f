/* SPDX-License-Identifier: MIT */
/*
 * Who looks for work in a pool of processes, and who calls them.
 *
 * A worker that finds nothing searches for a moment, if nobody else does (`searching`), and then sleeps on `work`. It sets bit 0 of that
 * word, looks once more, and sleeps only if the word is still what it was. Who has put a task in looks after that: when somebody searches
 * he need not call; when the bit is set he changes the word, takes the bit away and wakes one, unless one is called already and has not
 * come (`called`); when nobody sleeps and there may be more workers he asks the keeper. Who comes from a sleep says so first, and then
 * takes a task; who comes from a search takes one first, and then says so. Either then calls another if there are more. All these steps
 * are sequentially consistent: of a put and a look, or of a look and a store that says "I look no more", one sees the other.
 *
 * A worker that dies in between: the mender takes away what it said (`searching`, `called`), and lets all who sleep look again. The bit may
 * be set with nobody asleep: that costs a wake in vain. It is never away while somebody sleeps and nobody is on his way: it is taken away
 * by the same step that changes the word, before the wake, so that who has not gone to sleep yet does not; and who was woken sets it again,
 * first of all, as others may sleep on.
 *
 * Room: who waits for it sets bit 0 of `room`, looks again, and sleeps on the word; who takes a task looks at the bit after that, and wakes
 * all when a quarter of the line is free, or, with bit 1, at the first place (line.c says why).
 */

#include "pool/process.h"

enum { SLEEPERS = 1, CALL = 2, ROOM_WANTED = 1, ROOM_EAGER = 2, ROOM_STEP = 4 };

uint64_t wefti_process_waiting(const struct wefti_process_pool *pool)
{
    uint64_t waiting = 0;
    for (int i = 0; i < WEFTI_RINGS; i++)
        waiting += wefti_ring_length(&pool->rings[i]);
    return waiting;
}

bool wefti_process_any(const struct wefti_process_pool *pool)
{
    bool any = false;
    for (int i = 0; i < WEFTI_RINGS && !any; i++)
        any = wefti_ring_any(&pool->rings[i]);
    return any;
}

/* Wakes one who sleeps. False when nobody does. */
static bool sleeper_wake(struct wefti_process_pool *pool)
{
    uint32_t work = __atomic_load_n(&pool->work, __ATOMIC_SEQ_CST);
    while (work & SLEEPERS)
        if (__atomic_compare_exchange_n(&pool->work, &work, (work + CALL) & ~(uint32_t)SLEEPERS, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return weft_wake(&pool->work, 1) > 0;
    return false;
}

void wefti_process_call(struct wefti_process_pool *pool)
{
    if (__atomic_load_n(&pool->searching, __ATOMIC_SEQ_CST))
        return;
    if (__atomic_load_n(&pool->work, __ATOMIC_SEQ_CST) & SLEEPERS) {
        if (__atomic_load_n(&pool->called, __ATOMIC_SEQ_CST) || __atomic_exchange_n(&pool->called, 1, __ATOMIC_SEQ_CST))
            return;
        if (sleeper_wake(pool))
            return;
        __atomic_store_n(&pool->called, 0, __ATOMIC_SEQ_CST);
    }
    if (__atomic_load_n(&pool->spare, __ATOMIC_RELAXED) && !__atomic_load_n(&pool->asked, __ATOMIC_RELAXED) &&
        !__atomic_exchange_n(&pool->asked, 1, __ATOMIC_SEQ_CST))
        wefti_process_ring_bell(pool);
}

void wefti_process_wake_all(struct wefti_process_pool *pool)
{
    __atomic_store_n(&pool->called, 0, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&pool->work, CALL, __ATOMIC_SEQ_CST);
    weft_wake(&pool->work, UINT32_MAX);
    __atomic_add_fetch(&pool->room, ROOM_STEP, __ATOMIC_SEQ_CST);
    weft_wake(&pool->room, UINT32_MAX);
}

void wefti_process_room_made(struct wefti_process_pool *pool)
{
    uint32_t room = __atomic_load_n(&pool->room, __ATOMIC_SEQ_CST);
    while (room & ROOM_WANTED) {
        if (!(room & ROOM_EAGER) && wefti_process_waiting(pool) > pool->backlog - (pool->backlog + 3) / 4)
            return;
        uint32_t next = (room & ~(uint32_t)(ROOM_WANTED | ROOM_EAGER)) + ROOM_STEP;
        if (!__atomic_compare_exchange_n(&pool->room, &room, next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            continue;
        weft_wake(&pool->room, UINT32_MAX);
        return;
    }
}

uint32_t wefti_process_room_want(struct wefti_process_pool *pool, bool eager)
{
    uint32_t wanted = ROOM_WANTED | (eager ? ROOM_EAGER : 0);
    return __atomic_or_fetch(&pool->room, wanted, __ATOMIC_SEQ_CST);
}

/* Which lane is next, where other lanes than the normal one have tasks. */
static enum wefti_process_lane lane_choose(const struct wefti_process_pool *pool, const bool *any)
{
    if (any[WEFTI_RING_LOW] && pool->passed[WEFTI_RING_LOW] >= WEFT_PRIORITY_TURNS)
        return WEFTI_RING_LOW;
    if (any[WEFTI_RING_NORMAL] && pool->passed[WEFTI_RING_NORMAL] >= WEFT_PRIORITY_TURNS)
        return WEFTI_RING_NORMAL;
    return any[WEFTI_RING_HIGH] ? WEFTI_RING_HIGH : any[WEFTI_RING_NORMAL] ? WEFTI_RING_NORMAL : WEFTI_RING_LOW;
}

static struct wefti_process_task *lanes_take(struct wefti_process_pool *pool, uint32_t place, const bool *any)
{
    enum wefti_process_lane lane = lane_choose(pool, any);
    struct wefti_process_task *task = wefti_ring_take(pool, &pool->rings[lane], place);
    if (!task)
        return NULL;
    for (int i = WEFTI_RING_HIGH; i < WEFTI_RINGS; i++)
        __atomic_store_n(&pool->passed[i], any[i] && i != (int)lane ? pool->passed[i] + 1 : 0, __ATOMIC_RELAXED);
    return task;
}

struct wefti_process_task *wefti_process_take(struct wefti_process_pool *pool, uint32_t place)
{
    bool any[WEFTI_RINGS];
    struct wefti_process_task *task = NULL;
    for (int i = 0; i < WEFTI_RINGS; i++)
        any[i] = wefti_ring_any(&pool->rings[i]);
    if (any[WEFTI_RING_AGAIN])
        task = wefti_ring_take(pool, &pool->rings[WEFTI_RING_AGAIN], place);
    if (!task && (any[WEFTI_RING_HIGH] || any[WEFTI_RING_LOW]))
        task = lanes_take(pool, place, any);
    for (int i = WEFTI_RING_HIGH; !task && i < WEFTI_RINGS; i++)
        if (any[i])
            task = wefti_ring_take(pool, &pool->rings[i], place);
    if (__builtin_expect(__atomic_load_n(&pool->room, __ATOMIC_SEQ_CST) & ROOM_WANTED, 0))
        wefti_process_room_made(pool);
    return task;
}

/* Says that the worker sleeps, and looks once more: whether it may. *work is what to sleep on. */
bool wefti_process_may_sleep(struct wefti_process_pool *pool, uint32_t *work)
{
    *work = __atomic_or_fetch(&pool->work, SLEEPERS, __ATOMIC_SEQ_CST);
    return !wefti_process_any(pool) && !__atomic_load_n(&pool->closed, __ATOMIC_SEQ_CST) &&
           !__atomic_load_n(&pool->surplus, __ATOMIC_SEQ_CST);
}

void wefti_process_come(struct wefti_process_pool *pool)
{
    __atomic_fetch_or(&pool->work, SLEEPERS, __ATOMIC_SEQ_CST);
    __atomic_store_n(&pool->called, 0, __ATOMIC_SEQ_CST);
}
