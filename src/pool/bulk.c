/* SPDX-License-Identifier: MIT */
/* Submitting and waiting in one call. */

#include <errno.h>

#include "base/memory.h"
#include "pool/pool.h"

static struct weft_future *bulk_submit(weft_pool *pool, weft_function *function, weft_value argument, weft_time deadline)
{
    if (__atomic_load_n(&pool->lost, __ATOMIC_RELAXED)) {
        errno = ESTALE;
        return NULL;
    }
    const struct weft_submit_options options = {.pool = pool, .function = function, .argument = argument};
    return wefti_pool_submit(&options, 2, deadline);
}

/* Submits with a hold of its own on the argument, which stays the caller's. */
static struct weft_future *bulk_submit_kept(weft_pool *pool, weft_function *function, weft_value argument, weft_time deadline)
{
    weft_value hold = weft_keep(argument);
    struct weft_future *future = bulk_submit(pool, function, hold, deadline);
    if (!future)
        weft_drop(hold);
    return future;
}

int weft_pool_apply(weft_pool *pool, weft_function *function, weft_value argument, weft_value *result, weft_time deadline)
{
    if (!pool || !function) {
        errno = EINVAL;
        return -1;
    }
    struct weft_future *future = bulk_submit_kept(pool, function, argument, deadline);
    if (!future)
        return -1;
    int waited = weft_future_result(future, result, deadline);
    int error = errno;
    if (waited == 0)
        weft_drop(argument);
    else
        weft_future_cancel(future);
    weft_future_free(future);
    errno = error;
    return waited;
}

struct bulk {
    struct weft_future **futures;
    size_t count;
};

static void bulk_cancel(struct bulk *bulk)
{
    int error = errno;
    for (size_t i = 0; i < bulk->count; i++)
        if (!weft_future_running(bulk->futures[i]))
            weft_future_cancel(bulk->futures[i]);
    errno = error;
}

static void bulk_end(struct bulk *bulk)
{
    int error = errno;
    for (size_t i = 0; i < bulk->count; i++)
        weft_future_free(bulk->futures[i]);
    wefti_release(bulk->futures);
    errno = error;
}

static int bulk_submit_all(struct bulk *bulk, weft_pool *pool, weft_function *function, weft_value items, weft_time deadline)
{
    for (size_t i = 0; i < weft_length(items); i++) {
        struct weft_future *future = bulk_submit_kept(pool, function, weft_list_at(items, (ptrdiff_t)i), deadline);
        if (!future)
            return -1;
        bulk->futures[bulk->count++] = future;
    }
    return 0;
}

static int bulk_collect(struct bulk *bulk, weft_value list, weft_time deadline)
{
    for (size_t i = 0; i < bulk->count; i++) {
        weft_value value;
        if (weft_future_result(bulk->futures[i], &value, deadline) != 0)
            return -1;
        if (weft_list_append(list, value) != 0) {
            weft_drop(value);
            return -1;
        }
    }
    return 0;
}

int weft_pool_map(weft_pool *pool, weft_function *function, weft_value items, weft_value *results, weft_time deadline)
{
    if (!pool || !function || !results || (weft_kind(items) != WEFT_LIST && weft_kind(items) != WEFT_TUPLE)) {
        errno = EINVAL;
        return -1;
    }
    weft_value list = weft_list();
    struct bulk bulk = {.futures = wefti_alloc_raw(sizeof(*bulk.futures) * (weft_length(items) + 1))};
    int done = -1;
    if (bulk.futures && !weft_is_error(list) && bulk_submit_all(&bulk, pool, function, items, deadline) == 0)
        done = bulk_collect(&bulk, list, deadline);
    if (done == 0)
        *results = list;
    else
        bulk_cancel(&bulk);
    bulk_end(&bulk);
    if (done != 0) {
        int error = errno;
        weft_drop(list);
        errno = error;
    }
    return done;
}
