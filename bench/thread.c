/* SPDX-License-Identifier: MIT */
/* Weft's threads: a task is spawned, joined and its handle freed, one after another, default options. */
#include <weft.h>

#include "bench.h"

static weft_value nothing(weft_value argument)
{
    (void)argument;
    return weft_none;
}

static double seconds(long times)
{
    double start = bench_clock();
    for (long i = 0; i < times; i++) {
        weft_task *task = weft_spawn(WEFT_THREAD, nothing, weft_none);
        bench_need(task != NULL, "weft_spawn");
        bench_need(weft_task_join(task, WEFT_FOREVER) == 0, "weft_task_join");
        weft_task_free(task);
    }
    return bench_clock() - start;
}

static double start_and_join(long iterations, const char *variant)
{
    (void)variant;
    seconds(iterations / 10);
    return seconds(iterations) / (double)iterations * 1e6;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"thread", start_and_join}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
