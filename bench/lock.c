/* SPDX-License-Identifier: MIT */
/*
 * Weft's lock and semaphore. Contended: two threads take and give one lock back as fast as they can, a counter between. As in
 * peers/glibc_lock.c a second thread sleeps while nobody else wants the lock, for the sake of likeness: Weft never leaves the atomic
 * operations out.
 */
#include <unistd.h>
#include <weft.h>

#include "bench.h"

static struct {
    weft_lock lock;
    long counter;
} shared;

static void take_and_give(long times, int member, void *data)
{
    (void)member;
    (void)data;
    for (long i = 0; i < times; i++) {
        weft_lock_acquire(&shared.lock, WEFT_FOREVER);
        shared.counter++;
        weft_lock_release(&shared.lock);
    }
}

static void *sleep_on(void *data)
{
    for (;;)
        pause();
    return data;
}

static double uncontended(long iterations, const char *variant)
{
    (void)variant;
    pthread_t sleeper;
    bench_need(pthread_create(&sleeper, NULL, sleep_on, NULL) == 0, "pthread_create");
    take_and_give(iterations / 10, 0, NULL);
    double start = bench_clock();
    take_and_give(iterations, 0, NULL);
    return (bench_clock() - start) / (double)iterations * 1e9;
}

static double contended(long iterations, const char *variant)
{
    (void)variant;
    bench_team_seconds(2, iterations / 20, take_and_give, NULL);
    return bench_team_seconds(2, iterations / 2, take_and_give, NULL) / (double)iterations * 1e9;
}

static double semaphore(long iterations, const char *variant)
{
    (void)variant;
    weft_semaphore permits = WEFT_SEMAPHORE(1);
    double start = 0;
    for (long i = -iterations / 10; i < iterations; i++) {
        if (i == 0)
            start = bench_clock();
        weft_semaphore_acquire(&permits, WEFT_FOREVER);
        weft_semaphore_release(&permits, 1);
    }
    return (bench_clock() - start) / (double)iterations * 1e9;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {
        {"lock-uncontended", uncontended}, {"lock-contended", contended}, {"semaphore", semaphore}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
