/* SPDX-License-Identifier: MIT */
/*
 * Weft's lock in shared memory. Contended: two processes take and give one lock back as fast as they can, a counter between.
 */
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

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"lock-shared", uncontended}, {"lock-shared-contended", contended}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
