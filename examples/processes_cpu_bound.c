/* SPDX-License-Identifier: MIT */
/* The same counting on a pool of threads and on a pool of processes: one word differs. The times depend on the machine, so they go to
 * stderr. */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

enum { COUNTERS = 4 };

static const int64_t goal = 10000000;

static weft_value count(weft_value to)
{
    volatile int64_t n = 0;
    while (n < weft_as_int(to))
        n = n + 1;
    return weft_int(n);
}

static int measure(const char *how, weft_pool *pool)
{
    weft_value goals = weft_list(), counted = weft_none;
    int64_t sum = 0;
    for (int i = 0; i < COUNTERS; i++)
        if (weft_list_append(goals, weft_int(goal)) != 0)
            return -1;
    weft_time start = weft_clock();
    int failed = pool ? weft_pool_map(pool, count, goals, &counted, WEFT_FOREVER) : -1;
    double seconds = (double)(weft_clock() - start) / 1e9;
    for (int i = 0; failed == 0 && i < COUNTERS; i++)
        sum += weft_as_int(weft_list_at(counted, i));
    printf("%s: %lld\n", how, (long long)sum);
    fprintf(stderr, "%s: %.2f s\n", how, seconds);
    weft_drop(goals);
    weft_drop(counted);
    weft_pool_free(pool);
    return failed;
}

int main(void)
{
    /* Processes first: they are copies of the program, made before it has threads. */
    if (measure("processes", weft_pool_new(WEFT_PROCESS, .workers = 2)) == 0 &&
        measure("threads", weft_pool_new(WEFT_THREAD, .workers = 2)) == 0)
        return EXIT_SUCCESS;
    perror("pool");
    return EXIT_FAILURE;
}
