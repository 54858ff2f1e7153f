/* SPDX-License-Identifier: MIT */
/*
 * Weft's loop side by side, with an iteration that does nothing, on a pool of two: the caller and a worker. The row's name ends with the
 * chunk. Variant `ranges`: the loop over a chunk is the program's own.
 */
#include <weft.h>

#include "bench.h"

static int nothing(size_t index, void *data)
{
    (void)index;
    (void)data;
    return 0;
}

static int nothing_in_range(size_t first, size_t end, void *data)
{
    (void)data;
    for (size_t index = first; index < end; index++)
        __asm__ volatile("" ::"r"(index));
    return 0;
}

static void loop(weft_pool *pool, long iterations, size_t chunk, const char *variant)
{
    int done = strcmp(variant, "ranges") == 0
                   ? weft_parallel_ranges((size_t)iterations, nothing_in_range, NULL, .pool = pool, .chunk = chunk)
                   : weft_parallel_for((size_t)iterations, nothing, NULL, .pool = pool, .chunk = chunk);
    bench_need(done == 0, "weft_parallel_for");
}

static double loops(long iterations, size_t chunk, const char *variant)
{
    enum { LOOP = 1000000 };
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 2);
    bench_need(pool != NULL, "weft_pool_new");
    loop(pool, iterations / 10, chunk, variant);
    double start = bench_clock();
    for (long left = iterations; left > 0; left -= LOOP)
        loop(pool, left < LOOP ? left : LOOP, chunk, variant);
    double seconds = bench_clock() - start;
    weft_pool_free(pool);
    return seconds / (double)iterations * 1e9;
}

static double chunk_1(long iterations, const char *variant)
{
    return loops(iterations, 1, variant);
}

static double chunk_16(long iterations, const char *variant)
{
    return loops(iterations, 16, variant);
}

static double chunk_1024(long iterations, const char *variant)
{
    return loops(iterations, 1024, variant);
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"parallel-for-1", chunk_1}, {"parallel-for-16", chunk_16}, {"parallel-for-1024", chunk_1024},
        {"parallel-ranges-1024", chunk_1024}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
