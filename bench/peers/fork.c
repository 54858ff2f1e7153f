/* SPDX-License-Identifier: MIT */
/* Plain POSIX processes: fork, _exit and waitpid, one after another; of the row "process-large" by a parent that has touched two
 * gigabytes. */
#include <sys/mman.h>

#include "../forks.h"

static const size_t large = (size_t)2 << 30;

static double start_and_join(long iterations, const char *variant)
{
    (void)variant;
    bench_forks(iterations / 10 + 1);
    return bench_forks(iterations) / (double)iterations * 1e6;
}

static double start_and_join_large(long iterations, const char *variant)
{
    (void)variant;
    void *memory = mmap(NULL, large, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bench_need(memory != MAP_FAILED, "mmap");
    madvise(memory, large, MADV_NOHUGEPAGE);
    memset(memory, 1, large);
    return start_and_join(iterations, "");
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"process", start_and_join}, {"process-large", start_and_join_large}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
