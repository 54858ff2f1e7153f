/* SPDX-License-Identifier: MIT */
/*
 * A pthread mutex around a binary heap of (number, pointer), as one writes it by hand: no order among equals, no waiting, no closing. A
 * second thread sleeps, as the mutex leaves its atomic operations out while a process has but one.
 */
#include <stdint.h>
#include <unistd.h>

#include "../bench.h"

enum { WITHIN = 1000, RANGE = 20, CAPACITY = 1024 };

struct entry {
    int64_t number;
    void *item;
};

static struct {
    pthread_mutex_t lock;
    size_t count;
    struct entry entries[CAPACITY];
} heap = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int put(int64_t number, void *item)
{
    pthread_mutex_lock(&heap.lock);
    if (heap.count == CAPACITY) {
        pthread_mutex_unlock(&heap.lock);
        return -1;
    }
    size_t at = heap.count++;
    while (at > 0 && number < heap.entries[(at - 1) / 2].number) {
        heap.entries[at] = heap.entries[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap.entries[at] = (struct entry){number, item};
    pthread_mutex_unlock(&heap.lock);
    return 0;
}

static int get(struct entry *least)
{
    pthread_mutex_lock(&heap.lock);
    if (heap.count == 0) {
        pthread_mutex_unlock(&heap.lock);
        return -1;
    }
    *least = heap.entries[0];
    struct entry last = heap.entries[--heap.count];
    size_t at = 0;
    for (;;) {
        size_t below = 2 * at + 1;
        if (below >= heap.count)
            break;
        if (below + 1 < heap.count && heap.entries[below + 1].number < heap.entries[below].number)
            below++;
        if (last.number <= heap.entries[below].number)
            break;
        heap.entries[at] = heap.entries[below];
        at = below;
    }
    heap.entries[at] = last;
    pthread_mutex_unlock(&heap.lock);
    return 0;
}

static void *sleep_on(void *data)
{
    for (;;)
        pause();
    return data;
}

static void put_after(int64_t last, uint32_t *random)
{
    *random = *random * 1664525 + 1013904223;
    bench_need(put(last + (*random >> (32 - RANGE)), NULL) == 0, "put");
}

static double priority(long iterations, const char *variant)
{
    (void)variant;
    pthread_t sleeper;
    struct entry least = {0, NULL};
    uint32_t random = 1;
    double start = 0;
    bench_need(pthread_create(&sleeper, NULL, sleep_on, NULL) == 0, "pthread_create");
    for (int i = 0; i < WITHIN; i++)
        put_after(0, &random);
    for (long i = -iterations / 10; i < iterations; i++) {
        if (i == 0)
            start = bench_clock();
        put_after(least.number, &random);
        bench_need(get(&least) == 0, "get");
    }
    return (bench_clock() - start) / (double)iterations * 1e9;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"queue-priority", priority}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
