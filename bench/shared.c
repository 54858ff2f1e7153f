/* SPDX-License-Identifier: MIT */
/*
 * Weft's lock in shared memory. Contended: two processes take and give one lock back as fast as they can, a counter between. Recovery: its
 * owner is killed while another process waits for it; from the signal until that one has it and is told that it is the next. The 99th of a
 * hundred such times.
 */
#include <stdlib.h>
#include <weft.h>

#include "bench.h"

struct shared {
    weft_lock lock;
    long counter;
    long times;
    uint32_t ready, go;
};

static void take_and_give(struct shared *shared, long times)
{
    for (long i = 0; i < times; i++) {
        weft_lock_acquire(&shared->lock, WEFT_FOREVER);
        shared->counter++;
        weft_lock_release(&shared->lock);
    }
}

static double uncontended(long iterations, const char *variant)
{
    (void)variant;
    struct shared *shared = weft_shared_new(struct shared);
    bench_need(shared != NULL, "weft_shared_new");
    take_and_give(shared, iterations / 10);
    double start = bench_clock();
    take_and_give(shared, iterations);
    return (bench_clock() - start) / (double)iterations * 1e9;
}

static weft_value other(weft_value argument)
{
    struct shared *shared = weft_as_ptr(argument);
    __atomic_store_n(&shared->ready, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&shared->go, __ATOMIC_ACQUIRE))
        bench_pause();
    take_and_give(shared, shared->times);
    return weft_none;
}

static double contended(long iterations, const char *variant)
{
    (void)variant;
    struct shared *shared = weft_shared_new(struct shared);
    bench_need(shared != NULL, "weft_shared_new");
    shared->times = iterations / 2;
    weft_task *task = weft_spawn(WEFT_PROCESS, other, weft_ptr(shared));
    bench_need(task != NULL, "weft_spawn");
    while (!__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE))
        bench_pause();
    double start = bench_clock();
    __atomic_store_n(&shared->go, 1, __ATOMIC_RELEASE);
    take_and_give(shared, shared->times);
    bench_need(weft_task_join(task, WEFT_FOREVER) == 0, "weft_task_join");
    double seconds = bench_clock() - start;
    bench_need(shared->counter == 2 * shared->times, "the counter");
    weft_task_free(task);
    return seconds / (double)iterations * 1e9;
}

static weft_value own(weft_value argument)
{
    struct shared *shared = weft_as_ptr(argument);
    bench_need(weft_lock_acquire(&shared->lock, WEFT_FOREVER) >= 0, "weft_lock_acquire");
    __atomic_store_n(&shared->ready, 1, __ATOMIC_RELEASE);
    weft_sleep(3600);
    return weft_none;
}

static weft_value wait_for(weft_value argument)
{
    struct shared *shared = weft_as_ptr(argument);
    __atomic_store_n(&shared->go, 1, __ATOMIC_RELEASE);
    bench_need(weft_lock_acquire(&shared->lock, WEFT_FOREVER) == 1, "weft_lock_acquire, told of a death");
    double now = bench_clock();
    weft_lock_repaired(&shared->lock);
    weft_lock_release(&shared->lock);
    return weft_float(now);
}

static weft_task *begin(struct shared *shared, weft_function *function, uint32_t *sign)
{
    weft_task *task = weft_spawn(WEFT_PROCESS, function, weft_ptr(shared));
    bench_need(task != NULL, "weft_spawn");
    while (!__atomic_load_n(sign, __ATOMIC_ACQUIRE))
        bench_pause();
    return task;
}

static double recover(struct shared *shared)
{
    weft_value told;
    shared->ready = shared->go = 0;
    weft_task *owner = begin(shared, own, &shared->ready), *waiter = begin(shared, wait_for, &shared->go);
    weft_sleep(0.002); /* it has gone to sleep, most likely: if not, the time is shorter by the way there */
    double killed = bench_clock();
    bench_need(weft_task_kill(owner) == 0, "weft_task_kill");
    bench_need(weft_task_result(waiter, &told, WEFT_FOREVER) == 0 && !weft_is_error(told), "weft_task_result");
    bench_need(weft_task_join(owner, WEFT_FOREVER) == 0, "weft_task_join");
    weft_task_free(owner);
    weft_task_free(waiter);
    return weft_as_float(told) - killed;
}

static int less(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static double recovery(long iterations, const char *variant)
{
    double *times = malloc((size_t)iterations * sizeof(*times));
    struct shared *shared = weft_shared_new(struct shared);
    bench_need(times != NULL && shared != NULL, "memory");
    for (long i = 0; i < iterations; i++)
        times[i] = recover(shared);
    qsort(times, (size_t)iterations, sizeof(*times), less);
    double seconds = times[strcmp(variant, "worst") == 0 ? iterations - 1 : iterations * 99 / 100];
    free(times);
    return seconds * 1e3;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {
        {"lock-shared", uncontended}, {"lock-shared-contended", contended}, {"lock-shared-recovery", recovery}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
