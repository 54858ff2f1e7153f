/* SPDX-License-Identifier: MIT */
/*
 * GLib: GAsyncQueue and GThreadPool. GAsyncQueue has no bound, so its producers never wait: a producer that runs ahead costs memory
 * and not time, which is to GLib's advantage. The pool is exclusive (its two threads are there before the clock starts).
 */
#include <glib.h>
#include <semaphore.h>

#include "../bench.h"

static GAsyncQueue *queue;

/* The even members produce, the odd ones consume. */
static void queue_work(long share, int member, void *data)
{
    (void)data;
    for (long i = 1; i <= share; i++)
        if (member % 2 == 0)
            g_async_queue_push(queue, GSIZE_TO_POINTER(i));
        else
            bench_need(g_async_queue_pop(queue) != NULL, "g_async_queue_pop");
}

static double queue_measure(long iterations, int pairs)
{
    queue = g_async_queue_new();
    bench_team_seconds(2 * pairs, iterations / pairs / 10, queue_work, NULL);
    return bench_team_seconds(2 * pairs, iterations / pairs, queue_work, NULL) / (double)iterations * 1e9;
}

static double one_pair(long iterations, const char *variant)
{
    (void)variant;
    return queue_measure(iterations, 1);
}

static double two_pairs(long iterations, const char *variant)
{
    (void)variant;
    return queue_measure(iterations, 2);
}

static gint left;
static sem_t done;

static void count_down(gpointer data, gpointer user_data)
{
    (void)data;
    (void)user_data;
    if (g_atomic_int_dec_and_test(&left))
        sem_post(&done);
}

/* Pushes `tasks` tasks at a time, waits until all are done, `times` over; gives the seconds. */
static double pool_seconds(GThreadPool *pool, long times, gint tasks)
{
    double start = bench_clock();
    for (long i = 0; i < times; i++) {
        g_atomic_int_set(&left, tasks);
        for (gint j = 0; j < tasks; j++)
            g_thread_pool_push(pool, GINT_TO_POINTER(1), NULL);
        while (sem_wait(&done) != 0)
            continue;
    }
    return bench_clock() - start;
}

static GThreadPool *pool_new(void)
{
    sem_init(&done, 0, 0);
    GThreadPool *pool = g_thread_pool_new(count_down, NULL, 2, TRUE, NULL);
    pool_seconds(pool, 1, 1000);
    return pool;
}

static double empty(long iterations, const char *variant)
{
    (void)variant;
    GThreadPool *pool = pool_new();
    pool_seconds(pool, 1, (gint)iterations / 10);
    return pool_seconds(pool, 1, (gint)iterations) / (double)iterations * 1e9;
}

static double round_trip(long iterations, const char *variant)
{
    (void)variant;
    GThreadPool *pool = pool_new();
    pool_seconds(pool, iterations / 10, 1);
    return pool_seconds(pool, iterations, 1) / (double)iterations * 1e9;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"queue-1p1c", one_pair}, {"queue-2p2c", two_pairs}, {"pool-empty", empty},
        {"pool-round-trip", round_trip}, {"pool-round-trip-pinned", round_trip}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
