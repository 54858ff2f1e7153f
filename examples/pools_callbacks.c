/* SPDX-License-Identifier: MIT */
/*
 * Two ways to hear of a result: wait for it, or be called. A callback is called once, when the result is there, by the worker that had the
 * task; waiting and callbacks go together.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

enum { TASKS = 10 };

static atomic_int calls, called_sum;

static weft_value square(weft_value number)
{
    return weft_int(weft_as_int(number) * weft_as_int(number));
}

static int add_up(weft_future *future, void *sum)
{
    weft_value result;
    if (weft_future_result(future, &result, WEFT_NOW) != 0)
        return -1;
    calls++;
    atomic_fetch_add((atomic_int *)sum, (int)weft_as_int(result));
    return 0;
}

int main(void)
{
    weft_future *futures[TASKS];
    int64_t waited_sum = 0;
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 2);
    for (int i = 0; i < TASKS; i++) {
        futures[i] = pool ? weft_pool_submit(pool, square, weft_int(i), .on_done = add_up, .data = &called_sum) : NULL;
        if (!futures[i]) {
            perror("pool");
            return EXIT_FAILURE;
        }
    }
    long first = weft_wait_any(futures, TASKS, WEFT_FOREVER);
    printf("one of them has ended: %s\n", first >= 0 && weft_future_done(futures[first]) ? "yes" : "no");
    weft_wait_all(futures, TASKS, WEFT_FOREVER);
    for (int i = 0; i < TASKS; i++) {
        weft_value result = weft_none;
        weft_future_result(futures[i], &result, WEFT_NOW);
        waited_sum += weft_as_int(result);
        weft_future_free(futures[i]);
    }
    weft_pool_free(pool); /* the last callbacks have returned then */
    printf("waiting: the squares add up to %lld\n", (long long)waited_sum);
    printf("callbacks: %d calls, the squares add up to %d\n", calls, called_sum);
    return EXIT_SUCCESS;
}
