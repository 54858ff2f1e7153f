/* SPDX-License-Identifier: MIT */
/*
 * The budget: how many workers may run, in a pool and all that were made inside its tasks.
 *
 * `counted` of a pool's workers count in its root's `used`, namely all that run but those that wait for tasks of other pools
 * (`lent`). A worker of a limited pool is called or started only if `used` can be raised within the budget, by compare-and-swap, or if it
 * is the only one; so each pool goes on, and the sum is exact. Others raise it as they come, also above the budget: then limited pools'
 * workers but one rest when they want a task. A limited pool that was refused asks again whenever it begins a task.
 *
 * `used` orders nothing, so it needs no barrier; all else is under `in`.
 */

#include "pool/line.h"

void wefti_budget_count(struct weft_pool *pool)
{
    unsigned counts = wefti_crew_running(pool) - pool->lent;
    if (counts != pool->counted)
        __atomic_add_fetch(&pool->root->used, counts - pool->counted, __ATOMIC_RELAXED);
    pool->counted = counts;
}

bool wefti_budget_take(struct weft_pool *pool)
{
    if (!pool->limited || pool->counted == 0)
        return true;
    uint32_t used = __atomic_load_n(&pool->root->used, __ATOMIC_RELAXED);
    do {
        if (used >= pool->root->budget)
            return false;
    } while (!__atomic_compare_exchange_n(&pool->root->used, &used, used + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    pool->counted++;
    return true;
}

void wefti_budget_lend(struct weft_pool *pool)
{
    wefti_latch_close(&pool->in);
    pool->lent++;
    pool->waits++;
    wefti_crew_balance(pool);
    wefti_latch_open(&pool->in);
}

void wefti_budget_take_back(struct weft_pool *pool)
{
    wefti_latch_close(&pool->in);
    pool->lent--;
    wefti_crew_balance(pool);
    wefti_latch_open(&pool->in);
}
