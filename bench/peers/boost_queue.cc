// SPDX-License-Identifier: MIT
// Boost.Interprocess's message_queue: a producer process and a consumer process, in queues of 1024 (64 KiB: 64). What a death leaves in it
// nobody repairs.
#include <boost/interprocess/ipc/message_queue.hpp>

#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "../bench.h"

namespace interprocess = boost::interprocess;
using interprocess::message_queue;

static void produce(message_queue &queue, long messages, size_t size)
{
    std::vector<char> octets(size);
    for (long i = 0; i < messages; i++)
        queue.send(octets.data(), size, 0);
}

static void take(message_queue &queue, long messages, size_t size)
{
    std::vector<char> octets(size);
    message_queue::size_type got;
    unsigned priority;
    for (long i = 0; i < messages; i++)
        queue.receive(octets.data(), size, got, priority);
}

static double measure(long iterations, size_t size)
{
    char name[40];
    snprintf(name, sizeof(name), "weft-bench-%d", (int)getpid());
    message_queue queue(interprocess::create_only, name, size > 1000 ? 64 : 1024, size);
    message_queue::remove(name);
    long warm = iterations / 10;
    pid_t child = fork();
    bench_need(child >= 0, "fork");
    if (child == 0) {
        produce(queue, warm + iterations, size);
        _exit(0);
    }
    take(queue, warm, size);
    double start = bench_clock();
    take(queue, iterations, size);
    double seconds = bench_clock() - start;
    bench_need(waitpid(child, nullptr, 0) == child, "waitpid");
    return seconds / (double)iterations * 1e9;
}

static double eight(long iterations, const char *)
{
    return measure(iterations, 8);
}

static double hundred(long iterations, const char *)
{
    return measure(iterations, 100);
}

static double large(long iterations, const char *)
{
    return measure(iterations, 65536);
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {
        {"shared-queue-8", eight}, {"shared-queue-100", hundred}, {"shared-queue-64k", large}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
