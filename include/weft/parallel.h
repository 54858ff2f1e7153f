/* SPDX-License-Identifier: MIT */
/*
 * A loop whose iterations run side by side, on the tasks of a pool: #pragma omp parallel for schedule(dynamic), as a call.
 */
#ifndef WEFT_PARALLEL_H
#define WEFT_PARALLEL_H

#include <weft/base.h>
#include <weft/pool.h>

/* One iteration. 0; anything else, with errno set (0 becomes EINVAL), ends the loop. */
typedef int weft_index_function(size_t index, void *data);
/* The iterations from `first` up to, not including, `end`: a loop of its own, which the compiler can see into. Returns as above. */
typedef int weft_range_function(size_t first, size_t end, void *data);

struct weft_parallel_for_options {
    size_t size; /* set by the macro */
    size_t count;
    weft_index_function *function;
    void *data;
    struct weft_guard *guard;
    weft_pool *pool;  /* NULL: that of the task that calls; outside of pools weft_default_pool() */
    size_t chunk;     /* iterations taken at a time; 0: an eighth of a fair share, at least 1 */
    unsigned workers; /* how many may take part, the caller included; 0: as many as the pool has workers */
};

struct weft_parallel_ranges_options {
    size_t size; /* set by the macro */
    size_t count;
    weft_range_function *function;
    void *data;
    struct weft_guard *guard;
    weft_pool *pool;
    size_t chunk;
    unsigned workers;
};

WEFT_BEGIN

/*
 * Calls function(0, data) ... function(count - 1, data), each once, in no stated order, and comes back when all have returned.
 * weft_parallel_for(count, function, data, .pool = ..., .chunk = ..., .workers = ...)
 *
 * The caller takes part, as a task of the pool; tasks of the pool join it as its workers become free. Who takes part takes the next `chunk`
 * iterations whenever it is done with its last (while many are left, some more chunks besides, which whoever has nothing to do takes over).
 * Nothing ever waits for a worker that has not come: so loops may stand inside loops, in tasks of the same pool too, and a loop always
 * ends, in the caller alone if need be. It allocates nothing that it could not do without.
 *
 * The first function that fails ends the loop: nobody takes another chunk, and the iterations that run elsewhere have their waits fail with
 * ECANCELED. The same happens when the caller is cancelled, or the pool terminated. The deadline of a block of weft_deadline holds in all
 * of them. From any kind of task. 0 when every function has returned 0; -1 with the errno that the first failing function left, ECANCELED,
 * ETIMEDOUT (inside weft_deadline), ENOTSUP (a pool of processes), EINVAL (no function, a count or chunk above PTRDIFF_MAX), ESHUTDOWN (the
 * pool has been shut down), ESTALE (the pool of a forked child's parent), ENOMEM (no default pool).
 */
WEFT_API int weft_parallel_for_with(const struct weft_parallel_for_options *options);
#define weft_parallel_for(count_, function_, ...)               \
    weft_parallel_for_with(&(struct weft_parallel_for_options){ \
        .size = sizeof(struct weft_parallel_for_options), .count = (count_), .function = (function_), .data = __VA_ARGS__})
/*
 * The same with a function that is given a chunk: function(first, end, data). For bodies of a few instructions, where a call for
 * each would cost more than they do. Options, returns and errors of weft_parallel_for.
 */
WEFT_API int weft_parallel_ranges_with(const struct weft_parallel_ranges_options *options);
#define weft_parallel_ranges(count_, function_, ...)                  \
    weft_parallel_ranges_with(&(struct weft_parallel_ranges_options){ \
        .size = sizeof(struct weft_parallel_ranges_options), .count = (count_), .function = (function_), .data = __VA_ARGS__})

WEFT_END

#endif
