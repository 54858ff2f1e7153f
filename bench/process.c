/* SPDX-License-Identifier: MIT */
/*
 * Weft's processes: a task is spawned, joined and its handle freed, one after another, default options. Of the row "process-large" by a
 * parent that has touched two gigabytes since its family began, but in the variant "small". The variant "fork" is fork, _exit and waitpid in
 * this program: what the C library and Weft's cost in its image.
 */
#include <sys/mman.h>

#include <weft.h>

#include "forks.h"

static const size_t large = (size_t)2 << 30;

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

static double start_and_join(long iterations, const char *variant)
{
    double (*measured)(long times) = strcmp(variant, "fork") == 0 ? bench_forks : seconds;
    measured(iterations / 10 + 1);
    return measured(iterations) / (double)iterations * 1e6;
}

static double start_and_join_large(long iterations, const char *variant)
{
    if (strcmp(variant, "small") == 0)
        return start_and_join(iterations, "");
    seconds(iterations / 10 + 1);
    void *memory = mmap(NULL, large, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bench_need(memory != MAP_FAILED, "mmap");
    madvise(memory, large, MADV_NOHUGEPAGE);
    memset(memory, 1, large);
    return seconds(iterations) / (double)iterations * 1e6;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"process", start_and_join}, {"process-large", start_and_join_large}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
