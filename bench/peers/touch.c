/* SPDX-License-Identifier: MIT */
/* What the kernel takes to give one page to each of many stacks: the topmost of each 64 KiB, touched. */
#include <sys/mman.h>

#include "../bench.h"

enum { STACK = 65536, SLAB = 256 };

static double touch(long iterations, const char *variant)
{
    (void)variant;
    double start = bench_clock();
    for (long i = 0; i < iterations; i += SLAB) {
        char *slab = mmap(NULL, (size_t)SLAB * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        bench_need(slab != MAP_FAILED, "mmap");
        madvise(slab, (size_t)SLAB * STACK, MADV_NOHUGEPAGE);
        for (int j = 1; j <= SLAB; j++)
            *(volatile char *)(slab + (size_t)j * STACK - 1) = 1;
    }
    return (bench_clock() - start) / (double)iterations * 1e9;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"coroutine-create", touch}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
