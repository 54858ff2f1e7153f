// SPDX-License-Identifier: MIT
// Boost.Fiber: fibers of one thread, buffered and unbuffered channels.
#include <vector>

#include <boost/fiber/all.hpp>

#include "../bench.h"

namespace fibers = boost::fibers;

static double yield(long iterations, const char *)
{
    auto work = [iterations] {
        for (long i = iterations / 2; i > 0; i--)
            boost::this_fiber::yield();
    };
    fibers::fiber one(work), other(work);
    double start = bench_clock();
    one.join();
    other.join();
    return (bench_clock() - start) / static_cast<double>(iterations) * 1e9;
}

static double spawn(long iterations, const char *)
{
    double start = bench_clock();
    for (long i = 0; i < iterations; i++)
        fibers::fiber([] {}).join();
    return (bench_clock() - start) / static_cast<double>(iterations) * 1e9;
}

static double alive(long iterations, const char *)
{
    constexpr int many = 1000;
    std::vector<fibers::fiber> all(many);
    double start = bench_clock();
    for (long round = 0; round < iterations / many; round++) {
        fibers::mutex lock;
        fibers::condition_variable opened;
        bool open = false;
        for (auto &one : all)
            one = fibers::fiber([&] {
                std::unique_lock<fibers::mutex> held(lock);
                opened.wait(held, [&] { return open; });
            });
        boost::this_fiber::yield();
        open = true;
        opened.notify_all();
        for (auto &one : all)
            one.join();
    }
    return (bench_clock() - start) / static_cast<double>(iterations) * 1e9;
}

static double rendezvous(long iterations, const char *)
{
    fibers::unbuffered_channel<long> there, back;
    fibers::fiber echo([&] {
        for (long i = iterations; i > 0; i--)
            back.push(there.value_pop());
    });
    fibers::fiber call([&] {
        for (long i = iterations; i > 0; i--) {
            there.push(i);
            back.value_pop();
        }
    });
    double start = bench_clock();
    echo.join();
    call.join();
    return (bench_clock() - start) / static_cast<double>(iterations) * 1e9;
}

static double queue(long iterations, const char *)
{
    fibers::buffered_channel<long> channel(1024);
    fibers::fiber produce([&] {
        for (long i = iterations; i > 0; i--)
            channel.push(i);
    });
    fibers::fiber consume([&] {
        for (long i = iterations; i > 0; i--)
            channel.value_pop();
    });
    double start = bench_clock();
    produce.join();
    consume.join();
    return (bench_clock() - start) / static_cast<double>(iterations) * 1e9;
}

int main(int argc, char **argv)
{
    static const bench_row rows[] = {{"coroutine-yield", yield}, {"coroutine-spawn", spawn}, {"coroutine-alive", alive},
        {"coroutine-rendezvous", rendezvous}, {"coroutine-queue", queue}, {nullptr, nullptr}};
    return bench_main(argc, argv, rows);
}
