/* SPDX-License-Identifier: MIT */
/* Plain POSIX processes: fork, _exit and waitpid, one after another, by a parent that has touched ten megabytes (row "process"), nothing
 * ("process-bare") or two gigabytes ("process-large"). */
#include "../forks.h"

static double start_and_join_bare(long iterations, const char *variant)
{
    (void)variant;
    bench_forks(iterations / 10 + 1);
    return bench_forks(iterations) / (double)iterations * 1e6;
}

static double start_and_join(long iterations, const char *variant)
{
    bench_touch(bench_small);
    return start_and_join_bare(iterations, variant);
}

static double start_and_join_large(long iterations, const char *variant)
{
    bench_touch(bench_large);
    return start_and_join_bare(iterations, variant);
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {
        {"process", start_and_join}, {"process-bare", start_and_join_bare}, {"process-large", start_and_join_large}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
