/* SPDX-License-Identifier: MIT */
/*
 * Weft's select over eight queues. Between threads: one puts into the eight in turn, the other selects. Alone: one thread puts into one
 * of the eight, any of them, and selects. VARIANT "plain": the same with one queue and a plain get.
 */
#include <weft.h>

#include "bench.h"

enum { QUEUES = 8, CAPACITY = 1024 };

static weft_queue *queues[QUEUES];
static int64_t sum;

static void queues_make(void)
{
    for (int i = 0; i < QUEUES; i++)
        bench_need((queues[i] = weft_queue_new(.capacity = CAPACITY)) != NULL, "weft_queue_new");
}

static int64_t take_selecting(weft_case *cases, const weft_value *value)
{
    int done = weft_select(cases, QUEUES, WEFT_FOREVER);
    bench_need(done >= 0 && cases[done].error == 0, "weft_select");
    return weft_as_int(*value);
}

static int64_t take_plainly(void)
{
    weft_value value;
    bench_need(weft_queue_get(queues[0], &value, WEFT_FOREVER) == 0, "weft_queue_get");
    return weft_as_int(value);
}

static void give(long i, int queue)
{
    bench_need(weft_queue_put(queues[queue], weft_int(i), WEFT_FOREVER) == 0, "weft_queue_put");
}

/* Member 0 produces, 1 consumes; `data`: whether plainly. */
static void work(long share, int member, void *data)
{
    const bool *plain = (const bool *)data;
    weft_value value;
    weft_case cases[QUEUES];
    int64_t seen = 0;
    for (int i = 0; i < QUEUES; i++)
        cases[i] = weft_case_get(queues[i], &value);
    for (long i = 1; i <= share; i++)
        if (member == 0)
            give(i, *plain ? 0 : (int)(i % QUEUES));
        else
            seen += *plain ? take_plainly() : take_selecting(cases, &value);
    __atomic_fetch_add(&sum, seen, __ATOMIC_RELAXED);
}

static double between(long iterations, const char *variant)
{
    bool plain = strcmp(variant, "plain") == 0;
    queues_make();
    bench_team_seconds(2, iterations / 10, work, &plain);
    sum = 0;
    double seconds = bench_team_seconds(2, iterations, work, &plain);
    bench_need(sum == iterations * (iterations + 1) / 2, "select: items were lost");
    return seconds / (double)iterations * 1e9;
}

static void alone_work(long times, bool plain)
{
    uint32_t random = 1;
    weft_value value;
    weft_case cases[QUEUES];
    for (int i = 0; i < QUEUES; i++)
        cases[i] = weft_case_get(queues[i], &value);
    for (long i = 1; i <= times; i++) {
        random = random * 1664525 + 1013904223;
        give(i, plain ? 0 : (int)(random >> 29));
        int64_t seen = plain ? take_plainly() : take_selecting(cases, &value);
        bench_need(seen == i, "select: another item");
    }
}

static double alone(long iterations, const char *variant)
{
    bool plain = strcmp(variant, "plain") == 0;
    queues_make();
    alone_work(iterations / 10, plain);
    double start = bench_clock();
    alone_work(iterations, plain);
    return (bench_clock() - start) / (double)iterations * 1e9;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"select-8", between}, {"select-8-alone", alone}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
