/* SPDX-License-Identifier: MIT */
/* Weft's queue of 1024 in shared memory: a producer process and a consumer process. */
#include <weft.h>

#include "bench.h"

enum { CAPACITY = 1024, CAPACITY_LARGE = 64 };

struct run {
    weft_queue *queue;
    long messages;
    size_t size;  /* octets of a message; 0: a number */
    bool pointer; /* a block of that size is handed over by its pointer */
    bool same;    /* it is one value, put again and again; else each is made for itself, which is a copy more */
    bool joinable;
    void *block;
};

static weft_value message_make(const struct run *run, const void *octets)
{
    if (run->block)
        return weft_ptr(run->block);
    return run->size ? weft_bytes(octets, run->size) : weft_int(7);
}

static weft_value produce(weft_value argument)
{
    const struct run *run = weft_as_ptr(argument);
    char *octets = calloc(1, run->size + 1);
    weft_value message = message_make(run, octets);
    for (long i = 0; i < run->messages; i++) {
        weft_value next = run->same ? weft_keep(message) : message_make(run, octets);
        bench_need(weft_queue_put(run->queue, next, WEFT_FOREVER) == 0, "weft_queue_put");
    }
    weft_drop(message);
    free(octets);
    return weft_none;
}

static void take(const struct run *run, long messages)
{
    weft_value got;
    for (long i = 0; i < messages; i++) {
        bench_need(weft_queue_get(run->queue, &got, WEFT_FOREVER) == 0, "weft_queue_get");
        weft_drop(got);
        if (run->joinable)
            bench_need(weft_queue_task_done(run->queue) == 0, "weft_queue_task_done");
    }
}

static double measure(long iterations, const struct run *how)
{
    struct run *run = weft_shared_new(struct run);
    long warm = iterations / 10;
    bench_need(run != NULL, "weft_shared_new");
    *run = *how;
    run->messages = warm + iterations;
    run->block = run->pointer ? weft_shared_alloc(run->size) : NULL;
    long capacity = run->size > 1000 && !run->pointer ? CAPACITY_LARGE : CAPACITY;
    run->queue = weft_queue_new(.shared = true, .capacity = capacity, .joinable = run->joinable);
    bench_need(run->queue != NULL, "weft_queue_new");
    weft_task *producer = weft_spawn(WEFT_PROCESS, produce, weft_ptr(run));
    bench_need(producer != NULL, "weft_spawn");
    take(run, warm);
    double start = bench_clock();
    take(run, iterations);
    double seconds = bench_clock() - start;
    bench_need(weft_task_join(producer, WEFT_FOREVER) == 0, "weft_task_join");
    weft_task_free(producer);
    weft_queue_free(run->queue);
    return seconds / (double)iterations * 1e9;
}

static double numbers(long iterations, const char *variant)
{
    return measure(iterations, &(struct run){.joinable = strcmp(variant, "joinable") == 0});
}

static double hundred(long iterations, const char *variant)
{
    return measure(iterations, &(struct run){.size = 100, .joinable = strcmp(variant, "joinable") == 0});
}

static double large(long iterations, const char *variant)
{
    return measure(iterations, &(struct run){.size = 65536, .same = strcmp(variant, "made") != 0});
}

static double block(long iterations, const char *variant)
{
    return strcmp(variant, "number") == 0 ? numbers(iterations, "") : measure(iterations, &(struct run){.size = 65536, .pointer = true});
}

static double joinable(long iterations, const char *variant)
{
    return hundred(iterations, strcmp(variant, "plain") == 0 ? "" : "joinable");
}

static double joinable_numbers(long iterations, const char *variant)
{
    return numbers(iterations, strcmp(variant, "plain") == 0 ? "" : "joinable");
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"shared-queue-8", numbers}, {"shared-queue-100", hundred}, {"shared-queue-64k", large},
        {"shared-queue-block", block}, {"shared-queue-joinable", joinable}, {"shared-queue-joinable-8", joinable_numbers}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
