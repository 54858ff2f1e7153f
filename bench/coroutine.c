/* SPDX-License-Identifier: MIT */
/* Weft's coroutines: all of one thread, but for what the operating system does beside. */
#include <unistd.h>

#include <weft.h>

#include "bench.h"

static weft_task *spawn(weft_function *function, int64_t argument)
{
    weft_task *task = weft_spawn(WEFT_COROUTINE, function, weft_int(argument));
    bench_need(task != NULL, "weft_spawn");
    return task;
}

static void end(weft_task *task)
{
    bench_need(weft_task_join(task, WEFT_FOREVER) == 0, "weft_task_join");
    weft_task_free(task);
}

static weft_value nothing(weft_value argument)
{
    return argument;
}

static weft_value yields(weft_value times)
{
    for (int64_t i = weft_as_int(times); i > 0; i--)
        weft_yield();
    return weft_none;
}

/* Two that yield to each other. */
static double yield(long iterations, const char *variant)
{
    (void)variant;
    weft_task *one = spawn(yields, iterations / 2), *other = spawn(yields, iterations / 2);
    double start = bench_clock();
    end(one);
    end(other);
    return (bench_clock() - start) / (double)iterations * 1e9;
}

static double spawn_and_join(long iterations, const char *variant)
{
    (void)variant;
    for (long i = 0; i < 1000; i++)
        end(spawn(nothing, 0));
    double start = bench_clock();
    for (long i = 0; i < iterations; i++)
        end(spawn(nothing, 0));
    return (bench_clock() - start) / (double)iterations * 1e9;
}

static weft_event gate;

static weft_value pass(weft_value argument)
{
    weft_event_wait(&gate, WEFT_FOREVER);
    return argument;
}

/* A thousand are started, all wait for one event, all end. */
static double alive(long iterations, const char *variant)
{
    (void)variant;
    enum { MANY = 1000 };
    static weft_task *tasks[MANY];
    double start = bench_clock();
    for (long round = 0; round < iterations / MANY; round++) {
        weft_event_clear(&gate);
        for (int i = 0; i < MANY; i++)
            tasks[i] = spawn(pass, i);
        weft_yield();
        weft_event_set(&gate);
        for (int i = 0; i < MANY; i++)
            end(tasks[i]);
    }
    return (bench_clock() - start) / (double)iterations * 1e9;
}

/* So many are made; that they run, wait and end is not counted. */
static double create(long iterations, const char *variant)
{
    (void)variant;
    weft_task **tasks = calloc((size_t)iterations, sizeof(*tasks));
    memset(tasks, 1, (size_t)iterations * sizeof(*tasks));
    double start = bench_clock();
    for (long i = 0; i < iterations; i++)
        tasks[i] = spawn(nothing, i);
    double seconds = bench_clock() - start;
    for (long i = 0; i < iterations; i++)
        end(tasks[i]);
    free(tasks);
    return seconds / (double)iterations * 1e9;
}

static weft_queue *there, *back;

static weft_value echo(weft_value times)
{
    weft_value value;
    for (int64_t i = weft_as_int(times); i > 0; i--) {
        weft_queue_get(there, &value, WEFT_FOREVER);
        weft_queue_put(back, value, WEFT_FOREVER);
    }
    return weft_none;
}

static weft_value call(weft_value times)
{
    weft_value value;
    for (int64_t i = weft_as_int(times); i > 0; i--) {
        weft_queue_put(there, weft_int(i), WEFT_FOREVER);
        weft_queue_get(back, &value, WEFT_FOREVER);
    }
    return weft_none;
}

static double rendezvous(long iterations, const char *variant)
{
    (void)variant;
    there = weft_queue_new(.capacity = WEFT_RENDEZVOUS);
    back = weft_queue_new(.capacity = WEFT_RENDEZVOUS);
    weft_task *one = spawn(echo, iterations), *other = spawn(call, iterations);
    double start = bench_clock();
    end(one);
    end(other);
    return (bench_clock() - start) / (double)iterations * 1e9;
}

static weft_value produce(weft_value times)
{
    for (int64_t i = weft_as_int(times); i > 0; i--)
        weft_queue_put(there, weft_int(i), WEFT_FOREVER);
    return weft_none;
}

static weft_value consume(weft_value times)
{
    weft_value value;
    for (int64_t i = weft_as_int(times); i > 0; i--)
        weft_queue_get(there, &value, WEFT_FOREVER);
    return weft_none;
}

static double queue(long iterations, const char *variant)
{
    (void)variant;
    there = weft_queue_new(.capacity = 1024);
    weft_task *one = spawn(produce, iterations), *other = spawn(consume, iterations);
    double start = bench_clock();
    end(one);
    end(other);
    return (bench_clock() - start) / (double)iterations * 1e9;
}

/* Octets of this kind that one has that sleeps, the task's handle included. */
static double memory_each(long iterations, const char *kind)
{
    weft_task **tasks = calloc((size_t)iterations, sizeof(*tasks));
    weft_event_clear(&gate);
    end(spawn(nothing, 0));
    memset(tasks, 1, (size_t)iterations * sizeof(*tasks));
    double before = bench_memory(kind);
    for (long i = 0; i < iterations; i++)
        tasks[i] = spawn(pass, i);
    weft_yield();
    double after = bench_memory(kind);
    weft_event_set(&gate);
    for (long i = 0; i < iterations; i++)
        end(tasks[i]);
    free(tasks);
    return (after - before) / (double)iterations;
}

static double memory(long iterations, const char *variant)
{
    (void)variant;
    return memory_each(iterations, "VmRSS:");
}

static double memory_tables(long iterations, const char *variant)
{
    (void)variant;
    return memory_each(iterations, "VmPTE:");
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"coroutine-yield", yield}, {"coroutine-spawn", spawn_and_join}, {"coroutine-alive", alive},
        {"coroutine-rendezvous", rendezvous}, {"coroutine-queue", queue}, {"coroutine-create", create}, {"coroutine-memory", memory},
        {"coroutine-memory-tables", memory_tables}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
