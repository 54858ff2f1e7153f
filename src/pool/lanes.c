/* SPDX-License-Identifier: MIT */
/*
 * Lanes: tasks of another priority than the normal one stand in lists of their own, which are all under `out`; so only who submits such a
 * task closes both latches, and line.c says what is done for all others. A lane whose first task has been passed over by
 * WEFT_PRIORITY_TURNS others has its turn (`passed`); the lowest first when several have, so the normal one begins one later at most.
 */

#include "pool/line.h"

/* Under both latches. */
static void lane_add(struct weft_pool *pool, struct wefti_lane *lane, struct weft_future *task)
{
    *(lane->first ? &lane->last->next : &lane->first) = task;
    lane->last = task;
    __atomic_store_n(&pool->laned, pool->laned + 1, __ATOMIC_RELAXED); /* a worker that searches looks at it without the latch */
}

void wefti_lanes_add(struct weft_pool *pool, int priority, struct weft_future *task)
{
    lane_add(pool, priority > WEFT_PRIORITY_NORMAL ? &pool->high : &pool->low, task);
}

static struct weft_future *lane_first(const struct weft_pool *pool, enum wefti_lanes lane)
{
    return lane == WEFTI_LANE_NORMAL ? pool->first : lane == WEFTI_LANE_HIGH ? pool->high.first : pool->low.first;
}

/* Under `out`: the lane whose first task is next; there is one. */
static enum wefti_lanes lanes_choose(const struct weft_pool *pool)
{
    for (enum wefti_lanes lane = WEFTI_LANES; lane-- > 0;)
        if (pool->passed[lane] >= WEFT_PRIORITY_TURNS && lane_first(pool, lane))
            return lane;
    enum wefti_lanes lane = WEFTI_LANE_HIGH;
    while (!lane_first(pool, lane))
        lane++;
    return lane;
}

/* Under `out`: the first of this lane begins. */
static void lanes_pass(struct weft_pool *pool, enum wefti_lanes begins)
{
    for (enum wefti_lanes lane = 0; lane < WEFTI_LANES; lane++)
        pool->passed[lane] = lane != begins && lane_first(pool, lane) ? pool->passed[lane] + 1 : 0;
}

struct weft_future *wefti_lanes_take(struct weft_pool *pool)
{
    enum wefti_lanes from = lanes_choose(pool);
    struct weft_future *task = lane_first(pool, from);
    if (!task->begun)
        lanes_pass(pool, from);
    if (from == WEFTI_LANE_NORMAL) {
        pool->first = task->next;
        return task;
    }
    (from == WEFTI_LANE_HIGH ? &pool->high : &pool->low)->first = task->next;
    __atomic_store_n(&pool->laned, pool->laned - 1, __ATOMIC_RELAXED);
    return task;
}
