/* SPDX-License-Identifier: MIT */
/* fork, _exit and waitpid, one after another: what a process costs that is nobody's task; and memory for its parent to have touched. */
#ifndef FORKS_H
#define FORKS_H

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

/* What a small parent has touched, and a large one. */
static const size_t bench_small = (size_t)10 << 20, bench_large = (size_t)2 << 30;

/* Touches `size` octets of small pages, as malloc's mostly are; what later becomes of those is up to whoever has them. */
static inline void bench_touch(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bench_need(memory != MAP_FAILED, "mmap");
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    memset(memory, 1, size);
    prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
}

static inline double bench_forks(long times)
{
    double start = bench_clock();
    for (long i = 0; i < times; i++) {
        pid_t child = fork();
        bench_need(child >= 0, "fork");
        if (child == 0)
            _exit(0);
        bench_need(waitpid(child, NULL, 0) == child, "waitpid");
    }
    return bench_clock() - start;
}

#endif
