/* SPDX-License-Identifier: MIT */
/*
 * What a task by a process that sleeps costs at least, where a death is to be noticed: two processes take numbers from a ring in shared
 * memory under a robust mutex and a condition, and put each back into a second one. Nobody looks again before sleeping. No functions, no
 * values, and what a death leaves in a ring nobody repairs. One number at a time.
 */
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bench.h"

enum { CAPACITY = 1024, WORKERS = 2 };

struct ring {
    pthread_mutex_t mutex;
    pthread_cond_t some;
    uint64_t put, got;
    long places[CAPACITY];
};

static struct shared {
    struct ring tasks, results;
} * shared;

/* Never more than the workers and one are under way: no ring is ever full. */
static void put(struct ring *ring, long number)
{
    bench_need(pthread_mutex_lock(&ring->mutex) == 0, "pthread_mutex_lock");
    ring->places[ring->put++ % CAPACITY] = number;
    pthread_cond_signal(&ring->some);
    pthread_mutex_unlock(&ring->mutex);
}

static long get(struct ring *ring)
{
    bench_need(pthread_mutex_lock(&ring->mutex) == 0, "pthread_mutex_lock");
    while (ring->put == ring->got)
        pthread_cond_wait(&ring->some, &ring->mutex);
    long number = ring->places[ring->got++ % CAPACITY];
    pthread_mutex_unlock(&ring->mutex);
    return number;
}

static void worker(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (long number; (number = get(&shared->tasks)) != 0;)
        put(&shared->results, number);
    _exit(0);
}

static void ring_begin(struct ring *ring)
{
    pthread_mutexattr_t mutex;
    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&ring->mutex, &mutex);
    pthread_condattr_t condition;
    pthread_condattr_init(&condition);
    pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&ring->some, &condition);
}

static void one_by_one(long tasks)
{
    for (long i = 1; i <= tasks; i++) {
        put(&shared->tasks, i);
        get(&shared->results);
    }
}

static double round_trip(long iterations, const char *variant)
{
    (void)variant;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bench_need(shared != MAP_FAILED, "mmap");
    ring_begin(&shared->tasks);
    ring_begin(&shared->results);
    for (int i = 0; i < WORKERS; i++)
        if (fork() == 0)
            worker();
    one_by_one(iterations / 10);
    double start = bench_clock();
    one_by_one(iterations);
    double seconds = bench_clock() - start;
    for (int i = 0; i < WORKERS; i++)
        put(&shared->tasks, 0);
    while (wait(NULL) > 0)
        ;
    return seconds / (double)iterations * 1e9;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {
        {"pool-process-round-trip", round_trip}, {"pool-process-round-trip-pinned", round_trip}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
