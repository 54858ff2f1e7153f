/* SPDX-License-Identifier: MIT */
/*
 * What the benchmark programs in C share. A program is called as `PROGRAM ROW ITERATIONS [VARIANT]`, measures that row once (after a
 * warm-up that is not counted) and prints one number in the row's unit. It lists its rows in a table that ends with {NULL, NULL}:
 *
 *     static double uncontended(long iterations, const char *variant) { ... return nanoseconds of one operation; }
 *
 *     int main(int argc, char **argv)
 *     {
 *         static const struct bench_row rows[] = {{"lock-uncontended", uncontended}, {NULL, NULL}};
 *         return bench_main(argc, argv, rows);
 *     }
 */
#ifndef BENCH_H
#define BENCH_H

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Measures `iterations` operations; gives the figure in the row's unit. `variant` is "" when the call names none. */
typedef double bench_measure(long iterations, const char *variant);

struct bench_row {
    const char *name;
    bench_measure *measure;
};

/* Seconds on the monotonic clock. */
static inline double bench_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* A line of /proc/self/status, in octets. */
static inline double bench_memory(const char *name)
{
    char line[128];
    double kilobytes = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof(line), status))
        if (strncmp(line, name, strlen(name)) == 0)
            kilobytes = strtod(line + strlen(name), NULL);
    if (status)
        fclose(status);
    return kilobytes * 1024;
}

/* Ends the program: a benchmark whose calls fail measures nothing. */
static inline void bench_need(int holds, const char *what)
{
    if (holds)
        return;
    perror(what);
    exit(EXIT_FAILURE);
}

/* Tells the processor that a loop is only looking. */
static inline void bench_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

static inline int bench_main(int argc, char **argv, const struct bench_row *rows)
{
    long iterations = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    for (const struct bench_row *row = rows; iterations > 0 && row->name; row++) {
        if (strcmp(row->name, argv[1]) != 0)
            continue;
        printf("%.6g\n", row->measure(iterations, argc > 3 ? argv[3] : ""));
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "usage: %s ROW ITERATIONS [VARIANT]\n", argv[0]);
    return EXIT_FAILURE;
}

/* Threads that begin together: each does its share between the moment the last is ready and the moment the last is done. */
struct bench_team {
    pthread_barrier_t ready;
    long share;
    void (*work)(long share, int member, void *data);
    void *data;
};

struct bench_member {
    struct bench_team *team;
    pthread_t thread;
    int number;
};

static inline void *bench_member_run(void *pointer)
{
    struct bench_member *member = (struct bench_member *)pointer;
    pthread_barrier_wait(&member->team->ready);
    member->team->work(member->team->share, member->number, member->team->data);
    return NULL;
}

/* Seconds that `threads` (at most 8) pthreads take for work(share, 0 ... threads - 1, data), side by side. */
static inline double bench_team_seconds(int threads, long share, void (*work)(long share, int member, void *data), void *data)
{
    struct bench_team team;
    struct bench_member members[8];
    team.share = share;
    team.work = work;
    team.data = data;
    pthread_barrier_init(&team.ready, NULL, (unsigned)threads + 1);
    for (int i = 0; i < threads; i++) {
        members[i].team = &team;
        members[i].number = i;
        errno = pthread_create(&members[i].thread, NULL, bench_member_run, &members[i]);
        bench_need(errno == 0, "pthread_create");
    }
    double start = bench_clock(); /* before, not after: the threads may be done before this one runs again */
    pthread_barrier_wait(&team.ready);
    for (int i = 0; i < threads; i++)
        pthread_join(members[i].thread, NULL);
    double seconds = bench_clock() - start;
    pthread_barrier_destroy(&team.ready);
    return seconds;
}

#endif
