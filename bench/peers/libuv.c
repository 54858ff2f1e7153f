/* SPDX-License-Identifier: MIT */
/*
 * libuv: uv_queue_work with two threads (UV_THREADPOOL_SIZE=2), each request in memory made beforehand; the loop runs until the
 * `after` callback of every request has been called, in the thread that submitted.
 */
#include <uv.h>

#include "../bench.h"

static void nothing(uv_work_t *request)
{
    (void)request;
}

static void after(uv_work_t *request, int status)
{
    (void)request;
    (void)status;
}

static double seconds(uv_work_t *requests, long times, long tasks)
{
    uv_loop_t *loop = uv_default_loop();
    double start = bench_clock();
    for (long i = 0; i < times; i++) {
        for (long j = 0; j < tasks; j++)
            bench_need(uv_queue_work(loop, &requests[j], nothing, after) == 0, "uv_queue_work");
        uv_run(loop, UV_RUN_DEFAULT);
    }
    return bench_clock() - start;
}

static double measure(long times, long tasks)
{
    bench_need(setenv("UV_THREADPOOL_SIZE", "2", 1) == 0, "setenv");
    uv_work_t *requests = calloc((size_t)tasks, sizeof(*requests));
    bench_need(requests != NULL, "calloc");
    if (tasks == 1)
        seconds(requests, times / 10, 1);
    else
        seconds(requests, 1, tasks); /* touches all requests too */
    double result = seconds(requests, times, tasks);
    free(requests);
    return result / (double)(times * tasks) * 1e9;
}

static double empty(long iterations, const char *variant)
{
    (void)variant;
    return measure(1, iterations);
}

static double round_trip(long iterations, const char *variant)
{
    (void)variant;
    return measure(iterations, 1);
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {
        {"pool-empty", empty}, {"pool-round-trip", round_trip}, {"pool-round-trip-pinned", round_trip}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
