/* SPDX-License-Identifier: MIT */
/* fork, _exit and waitpid, one after another: what a process costs that is nobody's task. */
#ifndef FORKS_H
#define FORKS_H

#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

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
