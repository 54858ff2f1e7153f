/* SPDX-License-Identifier: MIT */
/* The bare switch, which is no public call: taken from the static library. */
#include "bench.h"

/* Not for programs: included here to measure the very thing. */
#if defined(__x86_64__)
#include "../src/arch/x86_64/frame.h"
#include "../src/arch/x86_64/switch.h"
#else
#include "../src/arch/aarch64/frame.h"
#include "../src/arch/aarch64/switch.h"
#endif

static void *here, *there;

static void other(void *message)
{
    bench_clock(); /* who switches calls others */
    for (;;)
        message = wefti_switch(&there, here, message);
}

static double switches(long iterations, const char *variant)
{
    (void)variant;
    static _Alignas(16) char stack[65536];
    there = wefti_frame_make(stack + sizeof(stack), other);
    double start = bench_clock();
    for (long i = 0; i < iterations; i += 2)
        wefti_switch(&here, there, NULL);
    return (bench_clock() - start) / (double)iterations * 1e9;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"coroutine-switch", switches}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
