/* SPDX-License-Identifier: MIT */
/*
 * All pools there are: at exit each finishes what was submitted, in a forked child each is lost.
 *
 * The function for the exit is registered when the library is loaded, so it comes after what the program registers, and after the
 * program's own threads have been joined (task/register.c): they find their pools working to the last.
 *
 * The register does not own: a pool leaves it before its memory goes, and who finds one in it has it only if it can be kept.
 */

#include <pthread.h>
#include <stdlib.h>

#include "base/opening.h"
#include "pool/pool.h"
#include "pool/process.h"
#include "task/task.h"

static struct wefti_latch registry_latch; /* of the next, and of every pool's `next` and `previous` */
static struct weft_pool *registry_head;
uint32_t wefti_registry_forks;
static struct weft_pool *registry_default; /* weft_default_pool's */

void wefti_registry_add(struct weft_pool *pool)
{
    wefti_latch_close(&registry_latch);
    pool->next = registry_head;
    if (registry_head)
        registry_head->previous = pool;
    registry_head = pool;
    wefti_latch_open(&registry_latch);
}

void wefti_registry_remove(struct weft_pool *pool)
{
    wefti_latch_close(&registry_latch);
    *(pool->previous ? &pool->previous->next : &registry_head) = pool->next;
    if (pool->next)
        pool->next->previous = pool->previous;
    wefti_latch_open(&registry_latch);
}

/* Keeps the pool unless its last reference has gone. */
static bool pool_keep(struct weft_pool *pool)
{
    uint32_t references = __atomic_load_n(&pool->references, __ATOMIC_RELAXED);
    while (references > 0)
        if (__atomic_compare_exchange_n(&pool->references, &references, references + 1, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
    return false;
}

/* One that has not finished, kept; NULL when there is none. */
static struct weft_pool *exit_next(void)
{
    wefti_latch_close(&registry_latch);
    struct weft_pool *pool = registry_head;
    while (pool && (pool->finished || pool->lost || !pool_keep(pool)))
        pool = pool->next;
    if (pool)
        pool->finished = true;
    wefti_latch_open(&registry_latch);
    return pool;
}

static void exit_finish(void)
{
    wefti_shield_raise();
    for (struct weft_pool *pool; (pool = exit_next());) {
        wefti_line_close(pool);
        wefti_pool_wait(pool, wefti_run_present(pool), WEFT_FOREVER);
        wefti_worker_reap(pool);
        wefti_pool_drop(pool);
    }
    wefti_process_pools_finish();
    wefti_shield_lower();
}

static WEFTI_FORKED void fork_prepare(void)
{
    wefti_latch_close(&registry_latch);
}

static WEFTI_FORKED void fork_parent(void)
{
    wefti_latch_open(&registry_latch);
}

static WEFTI_FORKED void fork_child(void)
{
    registry_latch = (struct wefti_latch){0};
    wefti_registry_forks++;
    for (struct weft_pool *pool = registry_head; pool; pool = pool->next)
        pool->lost = true;
    wefti_run_forget();
}

static bool pool_works(const struct weft_pool *pool)
{
    return pool && !__atomic_load_n(&pool->lost, __ATOMIC_RELAXED) && !__atomic_load_n(&pool->closed, __ATOMIC_RELAXED);
}

/* One that was shut down is never freed, since anybody may still have it. */
weft_pool *weft_default_pool(void)
{
    struct weft_pool *pool = __atomic_load_n(&registry_default, __ATOMIC_ACQUIRE);
    while (!pool_works(pool)) {
        struct weft_pool *fresh = weft_pool_new(WEFT_THREAD, .name = "Default");
        if (!fresh)
            return NULL;
        /* Release: who finds it finds it made. */
        if (__atomic_compare_exchange_n(&registry_default, &pool, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return fresh;
        weft_pool_free(fresh);
    }
    return pool;
}

WEFTI_OPENING_POOL static void registry_open(void)
{
    atexit(exit_finish);
    wefti_exit_hook = exit_finish;
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}
