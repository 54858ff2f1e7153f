/* SPDX-License-Identifier: MIT */
/*
 * What workers bring along: an initializer makes something in each worker that its tasks may use, and a finalizer puts it away. Urgent
 * tasks go before others. A pool may become larger. And what happens when an initializer fails.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

static weft_event begin;

/* Each worker has a counter of its own, which needs no lock. */
static weft_value open_counter(weft_value first)
{
    int64_t *counter = malloc(sizeof(*counter));
    if (!counter)
        return weft_error(ENOMEM, NULL);
    *counter = weft_as_int(first);
    return weft_ptr(counter);
}

static weft_value close_counter(weft_value counter)
{
    printf("the counter stood at %lld\n", (long long)*(int64_t *)weft_as_ptr(counter));
    free(weft_as_ptr(counter));
    return weft_none;
}

static weft_value count_one(weft_value name)
{
    int64_t *counter = weft_as_ptr(weft_worker_value());
    printf("%lld: %s\n", (long long)++*counter, weft_as_str(name));
    return weft_none;
}

static weft_value wait_to_begin(weft_value unused)
{
    (void)unused;
    return weft_int(weft_event_wait(&begin, WEFT_FOREVER));
}

static int number_tasks(void)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1, .name = "counters", .initializer = open_counter,
        .initializer_argument = weft_int(100), .finalizer = close_counter);
    if (!pool || weft_pool_start(pool, wait_to_begin, weft_none) != 0 || weft_pool_start(pool, count_one, weft_str("as usual")) != 0 ||
        weft_pool_start(pool, count_one, weft_str("when there is time"), .priority = WEFT_PRIORITY_LOW) != 0 ||
        weft_pool_start(pool, count_one, weft_str("urgent"), .priority = WEFT_PRIORITY_HIGH) != 0)
        return -1;
    weft_event_set(&begin);
    weft_pool_shutdown(pool, false, WEFT_FOREVER);
    struct weft_pool_counts counts;
    weft_pool_count(pool, &counts);
    printf("%llu done, %llu failed\n", (unsigned long long)counts.done, (unsigned long long)counts.failed);
    weft_pool_free(pool);
    return 0;
}

static weft_value meet(weft_value barrier)
{
    return weft_barrier_wait(weft_as_ptr(barrier), WEFT_FOREVER) >= 0 ? weft_none : weft_error(errno, NULL);
}

/* Three that wait for each other need three workers. */
static int grow(void)
{
    static weft_barrier three = WEFT_BARRIER(3);
    weft_value barriers = weft_tuple((weft_value[]){weft_ptr(&three), weft_ptr(&three), weft_ptr(&three)}, 3), results;
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1);
    if (!pool || weft_pool_resize(pool, 3) != 0 || weft_pool_map(pool, meet, barriers, &results, WEFT_FOREVER) != 0)
        return -1;
    printf("%zu have met\n", weft_length(results));
    weft_drop(results);
    weft_drop(barriers);
    weft_pool_free(pool);
    return 0;
}

static weft_event submitted;

static weft_value fail(weft_value unused)
{
    (void)unused;
    weft_event_wait(&submitted, WEFT_FOREVER); /* a pool that is broken already would not take the task */
    return weft_error(ENOENT, "no such ledger");
}

static int breaks(void)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1, .name = "ledger", .initializer = fail);
    weft_future *future = pool ? weft_pool_submit(pool, count_one, weft_none) : NULL;
    weft_value result;
    weft_event_set(&submitted);
    if (!future || weft_future_result(future, &result, WEFT_FOREVER) != 0)
        return -1;
    printf("%s\n", weft_error_text(result));
    if (weft_pool_start(pool, count_one, weft_none) != 0)
        printf("broken: %s\n", strerror(errno));
    weft_drop(result);
    weft_future_free(future);
    weft_pool_free(pool);
    return 0;
}

int main(void)
{
    if (number_tasks() == 0 && grow() == 0 && breaks() == 0)
        return EXIT_SUCCESS;
    perror("pool");
    return EXIT_FAILURE;
}
