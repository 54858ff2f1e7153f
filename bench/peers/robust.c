/* SPDX-License-Identifier: MIT */
/* glibc's mutex, shared by processes and robust: what else survives the death of its owner. As in ../shared.c. */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bench.h"

struct shared {
    pthread_mutex_t lock;
    long counter;
    int ready, go;
};

static struct shared *shared_new(void)
{
    struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bench_need(shared != MAP_FAILED, "mmap");
    pthread_mutexattr_t how;
    pthread_mutexattr_init(&how);
    pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&shared->lock, &how);
    return shared;
}

static void take_and_give(struct shared *shared, long times)
{
    for (long i = 0; i < times; i++) {
        pthread_mutex_lock(&shared->lock);
        shared->counter++;
        pthread_mutex_unlock(&shared->lock);
    }
}

static double uncontended(long iterations, const char *variant)
{
    (void)variant;
    struct shared *shared = shared_new();
    take_and_give(shared, iterations / 10);
    double start = bench_clock();
    take_and_give(shared, iterations);
    return (bench_clock() - start) / (double)iterations * 1e9;
}

static double contended(long iterations, const char *variant)
{
    (void)variant;
    struct shared *shared = shared_new();
    pid_t child = fork();
    bench_need(child >= 0, "fork");
    if (child == 0) {
        __atomic_store_n(&shared->ready, 1, __ATOMIC_RELEASE);
        while (!__atomic_load_n(&shared->go, __ATOMIC_ACQUIRE))
            bench_pause();
        take_and_give(shared, iterations / 2);
        _exit(0);
    }
    while (!__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE))
        bench_pause();
    double start = bench_clock();
    __atomic_store_n(&shared->go, 1, __ATOMIC_RELEASE);
    take_and_give(shared, iterations / 2);
    bench_need(waitpid(child, NULL, 0) == child, "waitpid");
    return (bench_clock() - start) / (double)iterations * 1e9;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"lock-shared", uncontended}, {"lock-shared-contended", contended}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
