/* SPDX-License-Identifier: MIT */
/*
 * Between line.c and the files of its parts. What each of them does beside the line, for other files, stands in pool.h. What is asked for
 * each task is inline as far as it usually goes.
 */
#ifndef WEFTI_LINE_H
#define WEFTI_LINE_H

#include <errno.h>

#include "pool/pool.h"

/* Under `in`: why nothing is taken any more. */
static inline int wefti_line_closed(const struct weft_pool *pool)
{
    return pool->broken ? EOWNERDEAD : ESHUTDOWN;
}

/* crew.c */

struct wefti_summons {
    const uint32_t *call; /* wake this */
    bool start;           /* start a worker, counted already */
};

/* Under `in`, as all that follow unless they say otherwise. */
static inline unsigned wefti_crew_running(const struct weft_pool *pool)
{
    return pool->alive - pool->away - pool->resting;
}

/* To be called after alive, away, resting, lent or surplus have changed. */
void wefti_crew_balance(struct weft_pool *pool);
/* The worker rests from now on. */
void wefti_crew_rest(struct weft_pool *pool, struct wefti_worker *worker);
/* Takes one out of those who rest, if there is one: the word to wake. Its thread may go on, and end, as soon as `in` is open. */
const uint32_t *wefti_crew_unrest(struct weft_pool *pool);
/* Whether the worker that asks is to end, since the pool has been made smaller. */
bool wefti_crew_is_left(struct weft_pool *pool);
/* The rest of the next. */
struct wefti_summons wefti_crew_summon_one(struct weft_pool *pool, bool start);

/* Calls or starts one more worker, if more tasks wait than workers are coming, and one more may run. */
static inline struct wefti_summons wefti_crew_summon(struct weft_pool *pool, bool start)
{
    if (__builtin_expect(wefti_crew_running(pool) >= pool->workers, 1))
        return (struct wefti_summons){0}; /* before a look at `begun`, which costs a submitter a miss in its cache */
    return wefti_crew_summon_one(pool, start);
}

/* Outside of latches: does what a summons says. 0, or -1 when a worker could not be started: those who are there do the work. */
static inline int wefti_crew_follow(struct weft_pool *pool, const struct wefti_summons *summons)
{
    if (summons->call)
        weft_wake(summons->call, 1);
    return summons->start ? wefti_worker_start(pool) : 0;
}

/* Outside of latches: calls or starts workers for all that waits. */
void wefti_crew_summon_all(struct weft_pool *pool);

/* budget.c */

/* Under `in`: what has changed counts in the budget. */
void wefti_budget_count(struct weft_pool *pool);
/* Under `in`: counts one more, if it may run. */
bool wefti_budget_take(struct weft_pool *pool);

/* Whether more workers of the whole family run than should. */
static inline bool wefti_budget_exceeded(const struct weft_pool *pool)
{
    return pool->limited && __atomic_load_n(&pool->root->used, __ATOMIC_RELAXED) > pool->root->budget;
}

/* lanes.c */

/* Under both latches: a task of another priority than the normal one. */
void wefti_lanes_add(struct weft_pool *pool, int priority, struct weft_future *task);
/* Under `out`: takes the next out of the line, when there are tasks of several priorities. */
struct weft_future *wefti_lanes_take(struct weft_pool *pool);

/* room.c */

uint32_t wefti_room_count(struct weft_pool *pool);

/* Under `out`: how many submitters to call, there being room now. */
static inline uint32_t wefti_room_made(struct weft_pool *pool)
{
    return pool->room_waiting == 0 || pool->room_told ? 0 : wefti_room_count(pool);
}

/* Calls all who wait, as there will be no room any more. */
void wefti_room_close(struct weft_pool *pool);

#endif
