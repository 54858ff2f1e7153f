/* SPDX-License-Identifier: MIT */
/*
 * Four counters that do nothing but count, one after another and then as threads. There is no global interpreter lock here: on two idle
 * processors the threads take half the time. The times depend on the machine, so they go to stderr.
 */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

enum { COUNTERS = 4 };

static const int64_t goal = 30000000;

static weft_value count(weft_value to)
{
    volatile int64_t n = 0;
    while (n < weft_as_int(to))
        n = n + 1;
    return weft_int(n);
}

static int64_t count_in_turn(void)
{
    int64_t sum = 0;
    for (int i = 0; i < COUNTERS; i++)
        sum += weft_as_int(count(weft_int(goal)));
    return sum;
}

static int64_t count_as_threads(void)
{
    weft_task *counters[COUNTERS];
    int64_t sum = 0;
    for (int i = 0; i < COUNTERS; i++)
        counters[i] = weft_spawn(WEFT_THREAD, count, weft_int(goal));
    for (int i = 0; i < COUNTERS; i++) {
        weft_value counted = weft_none;
        if (counters[i] && weft_task_result(counters[i], &counted, WEFT_FOREVER) == 0)
            sum += weft_as_int(counted);
        weft_task_free(counters[i]);
    }
    return sum;
}

static double measure(const char *how, int64_t (*counting)(void))
{
    weft_time start = weft_clock();
    printf("%s: %lld\n", how, (long long)counting());
    return (double)(weft_clock() - start) / 1e9;
}

int main(void)
{
    double in_turn = measure("one after another", count_in_turn);
    double as_threads = measure("as threads", count_as_threads);
    fprintf(stderr, "%.2f s one after another, %.2f s as threads: %.1f times as fast on %u processors\n", in_turn, as_threads,
        in_turn / as_threads, weft_cpu_count());
    return EXIT_SUCCESS;
}
