/* SPDX-License-Identifier: MIT */
/*
 * libgomp's loop side by side, schedule(dynamic, chunk), with an iteration that does nothing, on two threads. Each iteration calls a
 * function through a pointer, as a library's loop must; variant `ranges`: the iteration stands in the loop, where the compiler sees it.
 */
#include "../bench.h"

typedef int iteration(size_t index, void *data);

static int nothing(size_t index, void *data)
{
    (void)index;
    (void)data;
    return 0;
}

static void loop(long iterations, int chunk, iteration *function)
{
    __asm__ volatile("" : "+r"(function)); /* not known to be `nothing` */
#pragma omp parallel for schedule(dynamic, chunk) num_threads(2)
    for (long i = 0; i < iterations; i++)
        function((size_t)i, NULL);
}

static void loop_in_place(long iterations, int chunk)
{
#pragma omp parallel for schedule(dynamic, chunk) num_threads(2)
    for (long i = 0; i < iterations; i++)
        __asm__ volatile("" ::"r"(i));
}

static void loop_once(long iterations, int chunk, const char *variant)
{
    if (strcmp(variant, "ranges") == 0)
        loop_in_place(iterations, chunk);
    else
        loop(iterations, chunk, nothing);
}

static double loops(long iterations, int chunk, const char *variant)
{
    enum { LOOP = 1000000 };
    loop_once(iterations / 10, chunk, variant);
    double start = bench_clock();
    for (long left = iterations; left > 0; left -= LOOP)
        loop_once(left < LOOP ? left : LOOP, chunk, variant);
    return (bench_clock() - start) / (double)iterations * 1e9;
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
