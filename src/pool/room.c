/* SPDX-License-Identifier: MIT */
/*
 * Room: how who submits waits until a full line has a place.
 *
 * It counts itself under `out`, where workers look each time they take a task. They call it when a quarter of the line has become free, so
 * that it puts many at a time instead of one a wake; when that takes longer than PATIENCE, at the first place. They call once (room_told),
 * until one of those who wait has come: it goes on to put a task, whose beginning calls the next.
 */

#include "pool/line.h"

enum { PATIENCE = 200000 /* ns */ };

uint32_t wefti_room_count(struct weft_pool *pool)
{
    uint64_t waiting = __atomic_load_n(&pool->submitted, __ATOMIC_RELAXED) - pool->begun;
    if (!pool->eager && waiting > pool->backlog - (pool->backlog + 3) / 4)
        return 0;
    pool->room_told = true;
    __atomic_add_fetch(&pool->room, 1, __ATOMIC_RELEASE);
    uint64_t free = waiting < pool->backlog ? pool->backlog - waiting : 1;
    return free < UINT32_MAX ? (uint32_t)free : UINT32_MAX;
}

/* Counts the caller among those who wait for room, if there is none. */
static bool room_enter(struct weft_pool *pool, bool eager, uint32_t *seen)
{
    wefti_latch_close(&pool->out);
    *seen = __atomic_load_n(&pool->room, __ATOMIC_ACQUIRE); /* before `closed`, which wefti_line_close sets before it changes the word */
    wefti_latch_close(&pool->in);
    bool full = !pool->closed && pool->submitted - pool->begun >= pool->backlog;
    wefti_latch_open(&pool->in);
    if (full) {
        pool->blocked++;
        pool->room_waiting++;
        pool->room_told = false;
        pool->eager |= eager;
    }
    wefti_latch_open(&pool->out);
    return full;
}

static void room_leave(struct weft_pool *pool)
{
    wefti_latch_close(&pool->out);
    pool->room_told = false;
    if (--pool->room_waiting == 0)
        pool->eager = false;
    wefti_latch_open(&pool->out);
}

int wefti_room_wait(struct weft_pool *pool, unsigned *patience, weft_time deadline)
{
    bool eager = *patience > 0;
    uint32_t seen;
    if (!room_enter(pool, eager, &seen))
        return 0;
    weft_time until = eager ? WEFT_FOREVER : weft_clock() + PATIENCE;
    bool whole = until >= deadline;
    int result = weft_wait(&pool->room, seen, whole ? deadline : until);
    int error = errno;
    room_leave(pool);
    if (result != 0 && !whole && error == ETIMEDOUT) {
        *patience = 1;
        return 0;
    }
    errno = error;
    return result;
}

void wefti_room_close(struct weft_pool *pool)
{
    __atomic_add_fetch(&pool->room, 1, __ATOMIC_RELEASE);
    weft_wake(&pool->room, UINT32_MAX);
}
