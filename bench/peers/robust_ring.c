/* SPDX-License-Identifier: MIT */
/*
 * What a queue between processes costs at least when it is to survive a death: a ring of 1024 places under one robust process-shared mutex,
 * in shared memory of two processes. Who finds it full or empty looks again for some microseconds, then gives up its processor. It neither
 * repairs, nor closes, nor sleeps. Places are as long as the message; with 64 KiB each message is copied in and out.
 */
#include <sched.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bench.h"

enum { CAPACITY = 1024, CAPACITY_LARGE = 64, PATIENCE = 200 };

struct ring {
    pthread_mutex_t mutex;
    _Alignas(128) uint64_t put;
    _Alignas(128) uint64_t got;
    _Alignas(128) char places[];
};

static uint64_t capacity;

static void lock(struct ring *ring)
{
    int error = pthread_mutex_lock(&ring->mutex);
    bench_need(error == 0, "pthread_mutex_lock");
}

static void pause_a_little(int *looks)
{
    if (++*looks % PATIENCE == 0)
        sched_yield();
    else
        bench_pause();
}

static void put(struct ring *ring, const void *message, size_t size)
{
    for (int looks = 0;;) {
        while (__atomic_load_n(&ring->put, __ATOMIC_RELAXED) - __atomic_load_n(&ring->got, __ATOMIC_ACQUIRE) == capacity)
            pause_a_little(&looks);
        lock(ring);
        int room = ring->put - ring->got < capacity;
        if (room) {
            memcpy(ring->places + ring->put % capacity * size, message, size);
            __atomic_store_n(&ring->put, ring->put + 1, __ATOMIC_RELEASE);
        }
        pthread_mutex_unlock(&ring->mutex);
        if (room)
            return;
    }
}

static void get(struct ring *ring, void *message, size_t size)
{
    for (int looks = 0;;) {
        while (__atomic_load_n(&ring->put, __ATOMIC_ACQUIRE) == __atomic_load_n(&ring->got, __ATOMIC_RELAXED))
            pause_a_little(&looks);
        lock(ring);
        int some = ring->put != ring->got;
        if (some) {
            memcpy(message, ring->places + ring->got % capacity * size, size);
            __atomic_store_n(&ring->got, ring->got + 1, __ATOMIC_RELEASE);
        }
        pthread_mutex_unlock(&ring->mutex);
        if (some)
            return;
    }
}

static double measure(long iterations, size_t size)
{
    capacity = size > 1000 ? CAPACITY_LARGE : CAPACITY;
    struct ring *ring = mmap(NULL, sizeof(*ring) + capacity * size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bench_need(ring != MAP_FAILED, "mmap");
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&ring->mutex, &attributes);
    char *message = calloc(1, size);
    long warm = iterations / 10;
    pid_t child = fork();
    if (child == 0) {
        for (long i = 0; i < warm + iterations; i++)
            put(ring, message, size);
        _exit(0);
    }
    for (long i = 0; i < warm; i++)
        get(ring, message, size);
    double start = bench_clock();
    for (long i = 0; i < iterations; i++)
        get(ring, message, size);
    double seconds = bench_clock() - start;
    waitpid(child, NULL, 0);
    return seconds / (double)iterations * 1e9;
}

static double numbers(long iterations, const char *variant)
{
    (void)variant;
    return measure(iterations, 8);
}

static double hundred(long iterations, const char *variant)
{
    (void)variant;
    return measure(iterations, 100);
}

static double large(long iterations, const char *variant)
{
    (void)variant;
    return measure(iterations, 65536);
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {
        {"shared-queue-8", numbers}, {"shared-queue-100", hundred}, {"shared-queue-64k", large}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
