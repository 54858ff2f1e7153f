/* SPDX-License-Identifier: MIT */
/*
 * Weft's processes: a task is spawned, joined and its handle freed, one after another, default options. Row "process": by a parent that
 * had touched ten megabytes before its family began, so that those are in every process's image; in the variant "later", that touched
 * them since. "process-bare": by one that has touched nothing. "process-large": by one that has touched two gigabytes since its family
 * began, but in the variant "small" nothing. The variant "fork" is fork, _exit and waitpid in this program: what the C library and Weft's
 * cost in its image.
 */
#include <weft.h>

#include "forks.h"

static weft_value nothing(weft_value argument)
{
    (void)argument;
    return weft_none;
}

static double seconds(long times)
{
    double start = bench_clock();
    for (long i = 0; i < times; i++) {
        weft_task *task = weft_spawn(WEFT_PROCESS, nothing, weft_none);
        bench_need(task != NULL, "weft_spawn");
        bench_need(weft_task_join(task, WEFT_FOREVER) == 0, "weft_task_join");
        weft_task_free(task);
    }
    return bench_clock() - start;
}

static double start_and_join_bare(long iterations, const char *variant)
{
    double (*measured)(long times) = strcmp(variant, "fork") == 0 ? bench_forks : seconds;
    measured(iterations / 10 + 1);
    return measured(iterations) / (double)iterations * 1e6;
}

/* By a parent that touches `size` octets after its family has begun. */
static double start_and_join_later(long iterations, size_t size)
{
    seconds(1);
    bench_touch(size);
    return start_and_join_bare(iterations, "");
}

static double start_and_join(long iterations, const char *variant)
{
    if (strcmp(variant, "later") == 0)
        return start_and_join_later(iterations, bench_small);
    bench_touch(bench_small);
    return start_and_join_bare(iterations, variant);
}

static double start_and_join_large(long iterations, const char *variant)
{
    return strcmp(variant, "small") == 0 ? start_and_join_bare(iterations, "") : start_and_join_later(iterations, bench_large);
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {
        {"process", start_and_join}, {"process-bare", start_and_join_bare}, {"process-large", start_and_join_large}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
