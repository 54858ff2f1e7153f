/* SPDX-License-Identifier: MIT */
/* Submitting and waiting in one call. */

#include <errno.h>

#include "base/memory.h"
#include "pool/pool.h"
#include "shared/arena.h"

static struct weft_future *bulk_submit(weft_pool *pool, weft_function *function, weft_value argument, weft_time deadline)
{
    if (!wefti_is_shared(pool) && __atomic_load_n(&pool->lost, __ATOMIC_RELAXED)) {
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
