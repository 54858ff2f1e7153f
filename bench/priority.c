/* SPDX-License-Identifier: MIT */
/*
 * Weft's queue by priority, of ints, used as a list of moments is: with a thousand in it, one is put that lies at random behind the one
 * taken last, and the least is taken; by one thread. peers/heap.c says why a second one sleeps.
 */
#include <unistd.h>
#include <weft.h>

#include "bench.h"

enum { WITHIN = 1000, RANGE = 20 /* bits of a number */ };

static void *sleep_on(void *data)
{
    for (;;)
        pause();
    return data;
}

static void put_after(weft_queue *queue, int64_t last, uint32_t *random)
{
    *random = *random * 1664525 + 1013904223;
    bench_need(weft_queue_put(queue, weft_int(last + (*random >> (32 - RANGE))), WEFT_FOREVER) == 0, "weft_queue_put");
}

static double priority(long iterations, const char *variant)
{
    (void)variant;
    pthread_t sleeper;
    weft_value value = weft_int(0);
    uint32_t random = 1;
    double start = 0;
    bench_need(pthread_create(&sleeper, NULL, sleep_on, NULL) == 0, "pthread_create");
    weft_queue *queue = weft_queue_new(.order = WEFT_PRIORITY);
    bench_need(queue != NULL, "weft_queue_new");
    for (int i = 0; i < WITHIN; i++)
        put_after(queue, 0, &random);
    for (long i = -iterations / 10; i < iterations; i++) {
        if (i == 0)
            start = bench_clock();
        put_after(queue, weft_as_int(value), &random);
        bench_need(weft_queue_get(queue, &value, WEFT_FOREVER) == 0, "weft_queue_get");
    }
    return (bench_clock() - start) / (double)iterations * 1e9;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"queue-priority", priority}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
