/* SPDX-License-Identifier: MIT */
/*
 * Thirty tasks on three processes. apply waits for each, one after another; submit hands all over and collects the results later. Then the
 * pool is closed, joined, and another is terminated in the middle of its work.
 */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

enum { TASKS = 30, PROCESSES = 3 };

static weft_value square(weft_value number)
{
    weft_sleep(0.002);
    return weft_int(weft_as_int(number) * weft_as_int(number));
}

static weft_value sleep_long(weft_value unused)
{
    (void)unused;
    weft_sleep(1000);
    return weft_none;
}

static int64_t by_apply(weft_pool *pool)
{
    int64_t sum = 0;
    for (int i = 0; i < TASKS; i++) {
        weft_value value = weft_none;
        if (weft_pool_apply(pool, square, weft_int(i), &value, WEFT_FOREVER) == 0)
            sum += weft_as_int(value);
    }
    return sum;
}

static int64_t by_submit(weft_pool *pool)
{
    weft_future *futures[TASKS];
    int64_t sum = 0;
    for (int i = 0; i < TASKS; i++)
        futures[i] = weft_pool_submit(pool, square, weft_int(i));
    for (int i = 0; i < TASKS; i++) {
        weft_value value = weft_none;
        if (futures[i] && weft_future_result(futures[i], &value, WEFT_FOREVER) == 0)
            sum += weft_as_int(value);
        weft_future_free(futures[i]);
    }
    return sum;
}

int main(void)
{
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = PROCESSES);
    if (!pool) {
        perror("pool");
        return EXIT_FAILURE;
    }
    printf("apply, one at a time: %lld\n", (long long)by_apply(pool));
    printf("submit, side by side: %lld\n", (long long)by_submit(pool));
    printf("closed and joined: %s\n", weft_pool_shutdown(pool, false, WEFT_FOREVER) == 0 ? "yes" : "no");
    printf("takes more: %s\n", weft_pool_start(pool, square, weft_int(1)) == 0 ? "yes" : "no");
    weft_pool_free(pool);

    pool = weft_pool_new(WEFT_PROCESS, .workers = PROCESSES);
    weft_future *sleeper = pool ? weft_pool_submit(pool, sleep_long, weft_none) : NULL;
    if (!sleeper) {
        perror("pool");
        return EXIT_FAILURE;
    }
    printf("terminated: %s\n", weft_pool_terminate(pool, weft_in(10)) == 0 ? "yes" : "no");
    printf("the sleeper was cancelled: %s\n", weft_future_outcome(sleeper) == WEFT_CANCELLED ? "yes" : "no");
    weft_future_free(sleeper);
    weft_pool_free(pool);
    return EXIT_SUCCESS;
}
