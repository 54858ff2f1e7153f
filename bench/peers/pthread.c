/* SPDX-License-Identifier: MIT */
/* Plain POSIX threads: pthread_create and pthread_join, one after another, default attributes. */
#include "../bench.h"

static void *nothing(void *data)
{
    return data;
}

static double seconds(long times)
{
    double start = bench_clock();
    for (long i = 0; i < times; i++) {
        pthread_t thread;
        errno = pthread_create(&thread, NULL, nothing, NULL);
        bench_need(errno == 0, "pthread_create");
        pthread_join(thread, NULL);
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
