/* SPDX-License-Identifier: MIT */
/*
 * glibc's mutex (VARIANT "adaptive": PTHREAD_MUTEX_ADAPTIVE_NP) and its sem_t. While a process has but one thread glibc's mutex leaves the
 * atomic operations out; a lock is for programs with threads, so a second one sleeps meanwhile (VARIANT "alone": it does not).
 */
#include <semaphore.h>
#include <unistd.h>

#include "../bench.h"

static struct {
    pthread_mutex_t lock;
    long counter;
} shared;

static void lock_init(const char *variant)
{
    pthread_mutexattr_t how;
    pthread_mutexattr_init(&how);
    if (strcmp(variant, "adaptive") == 0)
        pthread_mutexattr_settype(&how, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(&shared.lock, &how);
    pthread_mutexattr_destroy(&how);
}

static void take_and_give(long times, int member, void *data)
{
    (void)member;
    (void)data;
    for (long i = 0; i < times; i++) {
        pthread_mutex_lock(&shared.lock);
        shared.counter++;
        pthread_mutex_unlock(&shared.lock);
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
    pthread_t sleeper;
    if (strcmp(variant, "alone") != 0)
        bench_need(pthread_create(&sleeper, NULL, sleep_on, NULL) == 0, "pthread_create");
    lock_init(variant);
    take_and_give(iterations / 10, 0, NULL);
    double start = bench_clock();
    take_and_give(iterations, 0, NULL);
    return (bench_clock() - start) / (double)iterations * 1e9;
}

static double contended(long iterations, const char *variant)
{
    lock_init(variant);
    bench_team_seconds(2, iterations / 20, take_and_give, NULL);
    return bench_team_seconds(2, iterations / 2, take_and_give, NULL) / (double)iterations * 1e9;
}

static double semaphore(long iterations, const char *variant)
{
    (void)variant;
    sem_t permits;
    sem_init(&permits, 0, 1);
    double start = 0;
    for (long i = -iterations / 10; i < iterations; i++) {
        if (i == 0)
            start = bench_clock();
        sem_wait(&permits);
        sem_post(&permits);
    }
    return (bench_clock() - start) / (double)iterations * 1e9;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {
        {"lock-uncontended", uncontended}, {"lock-contended", contended}, {"semaphore", semaphore}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
