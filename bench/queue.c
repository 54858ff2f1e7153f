/* SPDX-License-Identifier: MIT */
/* Weft's queue of 1024 between threads: as many consumers as producers, each with an equal share. */
#include <weft.h>

#include "bench.h"

enum { CAPACITY = 1024 };

static int64_t sum;

/* The even members produce, the odd ones consume. */
static void work(long share, int member, void *data)
{
    weft_queue *queue = (weft_queue *)data;
    int64_t seen = 0;
    weft_value value;
    for (long i = 1; i <= share; i++)
        if (member % 2 == 0)
            bench_need(weft_queue_put(queue, weft_int(i), WEFT_FOREVER) == 0, "weft_queue_put");
        else {
            bench_need(weft_queue_get(queue, &value, WEFT_FOREVER) == 0, "weft_queue_get");
            seen += weft_as_int(value);
        }
    __atomic_fetch_add(&sum, seen, __ATOMIC_RELAXED);
}

static double measure(long iterations, int pairs)
{
    weft_queue *queue = weft_queue_new(.capacity = CAPACITY);
    bench_need(queue != NULL, "weft_queue_new");
    bench_team_seconds(2 * pairs, iterations / pairs / 10, work, queue);
    sum = 0;
    long share = iterations / pairs;
    double seconds = bench_team_seconds(2 * pairs, share, work, queue);
    bench_need(sum == share * (share + 1) / 2 * pairs, "queue: items were lost");
    weft_queue_free(queue);
    return seconds / (double)iterations * 1e9;
}

static double one_pair(long iterations, const char *variant)
{
    (void)variant;
    return measure(iterations, 1);
}

static double two_pairs(long iterations, const char *variant)
{
    (void)variant;
    return measure(iterations, 2);
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"queue-1p1c", one_pair}, {"queue-2p2c", two_pairs}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
