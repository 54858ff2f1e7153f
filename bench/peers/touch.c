/* SPDX-License-Identifier: MIT */
/* What the kernel takes to give one page to each of many stacks: the topmost of each 64 KiB, touched. In time, and in page tables. */
#include <sys/mman.h>

#include "../bench.h"

enum { STACK = 65536, SLAB = 256 };

static void touch_all(long iterations)
{
    for (long i = 0; i < iterations; i += SLAB) {
        char *slab = mmap(NULL, (size_t)SLAB * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        bench_need(slab != MAP_FAILED, "mmap");
        madvise(slab, (size_t)SLAB * STACK, MADV_NOHUGEPAGE);
        for (int j = 1; j <= SLAB; j++)
            *(volatile char *)(slab + (size_t)j * STACK - 1) = 1;
    }
}

static double touch(long iterations, const char *variant)
{
    (void)variant;
    double start = bench_clock();
    touch_all(iterations);
    return (bench_clock() - start) / (double)iterations * 1e9;
}

static double tables(long iterations, const char *variant)
{
    (void)variant;
    double before = bench_memory("VmPTE:");
    touch_all(iterations);
    return (bench_memory("VmPTE:") - before) / (double)iterations;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"coroutine-create", touch}, {"coroutine-memory-tables", tables}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
