/* SPDX-License-Identifier: MIT */
/*
 * Weft's shared map and array, between processes. In the rows of the map each process has ten keys of its own with small ints; "-4" is four
 * processes side by side, whose figure is the time of the whole by all operations. In array-add a process adds 1 to one element as often,
 * under the array's lock.
 */
#include <weft.h>

#include "bench.h"

enum { KEYS = 10, PROCESSES = 4 };

static struct shared {
    weft_barrier ready;
    weft_map *map;
    weft_array *array;
    long share;
} * shared;

static char keys[KEYS][32];

static void get(long times)
{
    weft_value value;
    for (long i = 0; i < times; i++)
        bench_need(weft_map_get(shared->map, keys[i % KEYS], &value) == 0, "weft_map_get");
}

static void set(long times)
{
    for (long i = 0; i < times; i++)
        bench_need(weft_map_set(shared->map, keys[i % KEYS], weft_int(i)) == 0, "weft_map_set");
}

static void add(long times)
{
    for (long i = 0; i < times; i++)
        weft_with (weft_array_lock(shared->array))
            weft_array_set_int(shared->array, 0, weft_array_get_int(shared->array, 0) + 1);
}

/* A process: warms up, waits for the others, works, waits for them again. */
static weft_value run(weft_value number, void (*work)(long times))
{
    for (int i = 0; i < KEYS; i++)
        snprintf(keys[i], sizeof(keys[i]), "%d %d", (int)weft_as_int(number), i);
    set(KEYS);
    work(shared->share / 10);
    weft_barrier_wait(&shared->ready, WEFT_FOREVER);
    work(shared->share);
    weft_barrier_wait(&shared->ready, WEFT_FOREVER);
    return weft_none;
}

static weft_value runs_get(weft_value number)
{
    return run(number, get);
}

static weft_value runs_set(weft_value number)
{
    return run(number, set);
}

static weft_value runs_add(weft_value number)
{
    return run(number, add);
}

static double measure(int processes, long iterations, weft_function *function)
{
    weft_task *tasks[PROCESSES];
    shared = weft_shared_new(struct shared);
    bench_need(shared != NULL, "weft_shared_new");
    *shared = (struct shared){.ready = WEFT_BARRIER((uint32_t)processes + 1),
        .map = weft_map_new(),
        .array = weft_array_new('i', 10),
        .share = iterations / processes};
    for (int i = 0; i < processes; i++)
        bench_need((tasks[i] = weft_spawn(WEFT_PROCESS, function, weft_int(i))) != NULL, "weft_spawn");
    weft_barrier_wait(&shared->ready, WEFT_FOREVER);
    double start = bench_clock();
    weft_barrier_wait(&shared->ready, WEFT_FOREVER);
    double seconds = bench_clock() - start;
    for (int i = 0; i < processes; i++)
        weft_task_join(tasks[i], WEFT_FOREVER);
    return seconds / (double)iterations * 1e9;
}

static double map_get(long iterations, const char *variant)
{
    (void)variant;
    return measure(1, iterations, runs_get);
}

static double map_set(long iterations, const char *variant)
{
    (void)variant;
    return measure(1, iterations, runs_set);
}

static double map_get_four(long iterations, const char *variant)
{
    (void)variant;
    return measure(PROCESSES, iterations, runs_get);
}

static double map_set_four(long iterations, const char *variant)
{
    (void)variant;
    return measure(PROCESSES, iterations, runs_set);
}

static double array_add(long iterations, const char *variant)
{
    (void)variant;
    return measure(1, iterations, runs_add);
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"map-get", map_get}, {"map-set", map_set}, {"map-get-4", map_get_four},
        {"map-set-4", map_set_four}, {"array-add", array_add}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
