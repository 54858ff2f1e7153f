/* SPDX-License-Identifier: MIT */
/*
 * Weft's pool of two threads. pool-empty: tasks without futures, all waited for by shutting the pool down, as the peers wait for all at
 * once. Variant `futures`: each task has a future, which is waited for and freed; a thousand are under way at a time. pool-process-...: the
 * same with two processes.
 */
#include <signal.h>
#include <unistd.h>

#include <weft.h>

#include "bench.h"

enum { WINDOW = 1000 };

static weft_value nothing(weft_value argument)
{
    (void)argument;
    return weft_none;
}

static enum weft_task_kind kind = WEFT_THREAD;

static weft_pool *pool_new(void)
{
    weft_pool *pool = weft_pool_new(kind, .workers = 2);
    bench_need(pool != NULL, "weft_pool_new");
    return pool;
}

static void submit_and_wait(weft_pool *pool, long tasks)
{
    weft_future *futures[WINDOW];
    for (long i = 0; i < tasks; i++) {
        futures[i] = weft_pool_submit(pool, nothing, weft_none);
        bench_need(futures[i] != NULL, "weft_pool_submit");
    }
    for (long i = 0; i < tasks; i++) {
        bench_need(weft_future_result(futures[i], NULL, WEFT_FOREVER) == 0, "weft_future_result");
        weft_future_free(futures[i]);
    }
}

static void submit_all(weft_pool *pool, long tasks)
{
    for (long left = tasks; left > 0; left -= WINDOW)
        submit_and_wait(pool, left < WINDOW ? left : WINDOW);
}

static void start_all(weft_pool *pool, long tasks)
{
    for (long i = 0; i < tasks; i++)
        bench_need(weft_pool_start(pool, nothing, weft_none) == 0, "weft_pool_start");
    bench_need(weft_pool_shutdown(pool, false, WEFT_FOREVER) == 0, "weft_pool_shutdown");
}

static double empty(long iterations, const char *variant)
{
    weft_pool *pool = pool_new();
    submit_all(pool, iterations / 10);
    double start = bench_clock();
    (strcmp(variant, "futures") == 0 ? submit_all : start_all)(pool, iterations);
    double seconds = bench_clock() - start;
    weft_pool_free(pool);
    return seconds / (double)iterations * 1e9;
}

static void round_trips(weft_pool *pool, long times)
{
    for (long i = 0; i < times; i++)
        submit_and_wait(pool, 1);
}

static double round_trip(long iterations, const char *variant)
{
    (void)variant;
    weft_pool *pool = pool_new();
    round_trips(pool, iterations / 10);
    double start = bench_clock();
    round_trips(pool, iterations);
    double seconds = bench_clock() - start;
    weft_pool_free(pool);
    return seconds / (double)iterations * 1e9;
}

static double process_empty(long iterations, const char *variant)
{
    kind = WEFT_PROCESS;
    return empty(iterations, variant);
}

static double process_round_trip(long iterations, const char *variant)
{
    kind = WEFT_PROCESS;
    return round_trip(iterations, variant);
}

static weft_value own_pid(weft_value argument)
{
    (void)argument;
    return weft_int(getpid());
}

static int less(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

/* The only worker is killed at rest: until the next task is done by another. The median, in milliseconds. */
static double recovery(long iterations, const char *variant)
{
    (void)variant;
    double *times = malloc((size_t)iterations * sizeof(*times));
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 1);
    bench_need(pool != NULL && times != NULL, "weft_pool_new");
    for (long i = 0; i < iterations; i++) {
        weft_value pid, next;
        bench_need(weft_pool_apply(pool, own_pid, weft_none, &pid, WEFT_FOREVER) == 0, "weft_pool_apply");
        double start = bench_clock();
        bench_need(kill((pid_t)weft_as_int(pid), SIGKILL) == 0, "kill");
        do /* the signal may come after the task */
            bench_need(weft_pool_apply(pool, own_pid, weft_none, &next, WEFT_FOREVER) == 0, "weft_pool_apply");
        while (weft_is_error(next) || weft_as_int(next) == weft_as_int(pid));
        times[i] = bench_clock() - start;
        weft_drop(next);
    }
    weft_pool_free(pool);
    qsort(times, (size_t)iterations, sizeof(*times), less);
    double median = times[iterations / 2];
    free(times);
    return median * 1e3;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"pool-empty", empty}, {"pool-round-trip", round_trip}, {"pool-round-trip-pinned", round_trip},
        {"pool-process-empty", process_empty}, {"pool-process-round-trip", process_round_trip},
        {"pool-process-round-trip-pinned", process_round_trip}, {"pool-process-recovery", recovery}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
