/* SPDX-License-Identifier: MIT */
/*
 * Futures in the order in which they end.
 *
 * Each future calls back when it ends, before the callbacks of programs, and puts its node among the arrivals; so a step costs the same
 * however many there are. The one block that holds it all is owned by who takes, and by each node whose callback is still to come: a
 * callback cannot be taken away from a future, and freeing waits for nobody.
 *
 * A task that waits here for tasks of its own pool runs itself those that nobody has begun, or has a stand-in, as anywhere (run.c); and for
 * the last one it waits as for any single future, so that a circle is told.
 */

#include <errno.h>

#include "base/memory.h"
#include "pool/arrivals.h"
#include "pool/pool.h"
#include "shared/arena.h"

struct node {
    struct wefti_arrival arrival; /* first */
    struct weft_completed *owner;
    struct weft_future *future; /* a hold of it, until it is given */
};

struct weft_completed {
    uint32_t references;
    uint32_t forks; /* those of the process that made it */
    struct wefti_arrivals arrivals;
    size_t count, left;    /* futures; those not given */
    size_t helped;         /* all before this one have begun */
    struct weft_pool *own; /* of the caller, when it last waited */
    size_t own_left;       /* futures not given that are that pool's */
    struct node nodes[];
};

static void completed_release(struct weft_completed *completed, uint32_t references)
{
    /* Release: what this owner did comes before the end; acquire: the last sees what all did. */
    if (__atomic_sub_fetch(&completed->references, references, __ATOMIC_ACQ_REL) == 0)
        wefti_release(completed);
}

static int node_ended(struct weft_future *future, void *pointer)
{
    (void)future;
    struct node *node = pointer;
    struct weft_completed *completed = node->owner;
    wefti_arrivals_put(&completed->arrivals, &node->arrival);
    completed_release(completed, 1);
    return 0;
}

static int completed_watch(struct weft_completed *completed, struct weft_future *future)
{
    struct node *node = &completed->nodes[completed->count];
    *node = (struct node){.owner = completed, .future = future};
    bool ended;
    if (wefti_future_watch(future, node_ended, node, &ended) != 0)
        return -1;
    weft_future_keep(future);
    completed->count++;
    completed->left++;
    if (ended)
        node_ended(future, node);
    return 0;
}

weft_completed *weft_as_completed(weft_future *const *futures, size_t count)
{
    bool given = futures || count == 0;
    for (size_t i = 0; given && i < count; i++)
        given = futures[i] != NULL;
    if (!given) {
        errno = EINVAL;
        return NULL;
    }
    struct weft_completed *completed = wefti_alloc_raw(sizeof(*completed) + count * sizeof(struct node));
    if (!completed)
        return NULL;
    /* Those of all nodes at once: the first may end while the others are not watched yet. */
    *completed = (struct weft_completed){.references = (uint32_t)count + 1, .forks = wefti_registry_forks};
    for (size_t i = 0; i < count; i++)
        if (completed_watch(completed, futures[i]) != 0) {
            completed_release(completed, (uint32_t)(count - i));
            weft_completed_free(completed);
            return NULL;
        }
    return completed;
}

/* NULL: of none whose tasks others could run. */
static struct weft_pool *node_pool(const struct node *node)
{
    return node->future && !wefti_is_shared(node->future) ? node->future->pool : NULL;
}

static long node_give(struct weft_completed *completed, struct node *node)
{
    completed->left--;
    if (completed->own && node_pool(node) == completed->own)
        completed->own_left--;
    weft_future_free(node->future);
    node->future = NULL;
    return node - completed->nodes;
}

/* The pool on one of whose workers the caller runs, if futures of it are left. */
static struct weft_pool *completed_own_pool(struct weft_completed *completed)
{
    struct wefti_run *run = wefti_context_current()->run;
    struct weft_pool *pool = run && run->worker ? run->worker->pool : NULL;
    if (pool != completed->own) {
        completed->own = pool;
        completed->own_left = 0;
        for (size_t i = 0; pool && i < completed->count; i++)
            completed->own_left += node_pool(&completed->nodes[i]) == pool;
    }
    return completed->own_left > 0 ? pool : NULL;
}

/* Runs one that nobody has begun. */
static bool completed_help(struct weft_completed *completed)
{
    while (completed->helped < completed->count) {
        struct weft_pool *pool = node_pool(&completed->nodes[completed->helped]);
        if (pool && wefti_run_may_help(pool) && wefti_run_help(completed->nodes[completed->helped].future))
            return true;
        completed->helped++;
    }
    return false;
}

/* The only one that is left, if it has not ended. */
static struct weft_future *completed_last(const struct weft_completed *completed)
{
    const struct node *node = completed->nodes;
    if (completed->left != 1)
        return NULL;
    while (!node->future)
        node++;
    return weft_future_done(node->future) ? NULL : node->future;
}

static int completed_wait(struct weft_completed *completed, uint32_t seen, weft_time deadline)
{
    struct weft_future *last = completed_last(completed);
    if (last)
        return wefti_future_wait(last, deadline);
    if (deadline == WEFT_FOREVER && completed_help(completed))
        return 0;
    return wefti_run_wait_word(&completed->arrivals.word, seen, completed_own_pool(completed), deadline);
}

long weft_completed_next(weft_completed *completed, weft_time deadline)
{
    int obstacle = !completed ? EINVAL : completed->forks != wefti_registry_forks ? ESTALE : completed->left == 0 ? EPIPE : 0;
    if (obstacle) {
        errno = obstacle;
        return -1;
    }
    deadline = wefti_deadline(deadline);
    for (;;) {
        uint32_t seen;
        struct wefti_arrival *arrival = wefti_arrivals_take(&completed->arrivals, &seen);
        if (arrival)
            return node_give(completed, (struct node *)arrival);
        if (completed_wait(completed, seen, deadline) != 0)
            return -1;
    }
}

void weft_completed_free(weft_completed *completed)
{
    if (!completed)
        return;
    int error = errno;
    /* Freeing a future may end it, and its callback take what it has of this. */
    for (size_t i = 0; i < completed->count; i++)
        weft_future_free(completed->nodes[i].future);
    completed_release(completed, 1);
    errno = error;
}
