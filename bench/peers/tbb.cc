// SPDX-License-Identifier: MIT
// oneTBB: concurrent_bounded_queue with a capacity of 1024, task_group, and task_arena::enqueue.
// task_group's wait lets the caller run tasks too; the arena of the round trip has no place for the caller, so that
// each task is handed to another thread, as the other pools do.
#include <semaphore.h>

#include <oneapi/tbb/concurrent_queue.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include "../bench.h"

static tbb::concurrent_bounded_queue<long> *queue;

// The even members produce, the odd ones consume.
static void queue_work(long share, int member, void *)
{
    long item;
    for (long i = 1; i <= share; i++)
        if (member % 2 == 0)
            queue->push(i);
        else
            queue->pop(item);
}

static double queue_measure(long iterations, int pairs)
{
    queue = new tbb::concurrent_bounded_queue<long>;
    queue->set_capacity(1024);
    bench_team_seconds(2 * pairs, iterations / pairs / 10, queue_work, nullptr);
    return bench_team_seconds(2 * pairs, iterations / pairs, queue_work, nullptr) / static_cast<double>(iterations) * 1e9;
}

static double one_pair(long iterations, const char *)
{
    return queue_measure(iterations, 1);
}

static double two_pairs(long iterations, const char *)
{
    return queue_measure(iterations, 2);
}

static double group_seconds(long tasks)
{
    tbb::task_group group;
    double start = bench_clock();
    for (long i = 0; i < tasks; i++)
        group.run([] {});
    group.wait();
    return bench_clock() - start;
}

static double empty(long iterations, const char *)
{
    tbb::task_arena arena(2);
    double seconds = 0;
    arena.execute([&] {
        group_seconds(iterations / 10);
        seconds = group_seconds(iterations);
    });
    return seconds / static_cast<double>(iterations) * 1e9;
}

static double enqueue_seconds(tbb::task_arena &arena, sem_t *done, long times)
{
    double start = bench_clock();
    for (long i = 0; i < times; i++) {
        arena.enqueue([done] { sem_post(done); });
        while (sem_wait(done) != 0)
            continue;
    }
    return bench_clock() - start;
}

static double round_trip(long iterations, const char *)
{
    tbb::global_control threads(tbb::global_control::max_allowed_parallelism, 3);
    tbb::task_arena arena(2, 0);
    sem_t done;
    sem_init(&done, 0, 0);
    enqueue_seconds(arena, &done, iterations / 10);
    return enqueue_seconds(arena, &done, iterations) / static_cast<double>(iterations) * 1e9;
}

int main(int argc, char **argv)
{
    static const bench_row rows[] = {{"queue-1p1c", one_pair}, {"queue-2p2c", two_pairs}, {"pool-empty", empty},
        {"pool-round-trip", round_trip}, {"pool-round-trip-pinned", round_trip}, {nullptr, nullptr}};
    return bench_main(argc, argv, rows);
}
