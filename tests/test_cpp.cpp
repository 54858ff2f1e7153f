/* SPDX-License-Identifier: MIT */
/*
 * weft.hpp, compiled as C++17 and as C++20: a program with checks of its own, as the fixture is C. Each test is a function; one that throws
 * fails.
 */
#include <algorithm>
#include <atomic>
#include <climits>
#include <csignal>
#include <cstdio>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <poll.h>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include <weft.hpp>

namespace
{

using namespace std::chrono_literals;

struct failure {
    int line;
    const char *what;
};

#define CHECK(expression_)                         \
    do {                                           \
        if (!(expression_))                        \
            throw failure{__LINE__, #expression_}; \
    } while (false)

/* The expression throws a weft::error of that number. */
#define THROWS(expression_, code_) CHECK(code_thrown([&] { (void)(expression_); }) == (code_))

template <class F> int code_thrown(F function)
{
    try {
        function();
    } catch (const weft::error &thrown) {
        return thrown.code().value();
    }
    return 0;
}

template <class F> std::string text_thrown(F function)
{
    try {
        function();
    } catch (const weft::error &thrown) {
        return thrown.what();
    }
    return "nothing was thrown";
}

void values_are_held_and_read()
{
    const weft::value none, text = "text", number = 12, yes = true, half = 0.5, empty = std::string_view();
    CHECK(none.is_none() && text.as_str() == "text" && number.as_int() == 12 && yes.as_bool() && half.as_float() == 0.5);
    CHECK(yes.kind() == WEFT_BOOL && number.kind() == WEFT_INT && half.kind() == WEFT_FLOAT && empty.as_str().empty());
    CHECK(weft::value(nullptr).is_none() && weft::value(std::string("a\0b", 3)).size() == 3);
    CHECK(weft::value::bytes("ab").kind() == WEFT_BYTES && weft::value::bytes("ab").as_bytes() == "ab");
    int here = 0;
    CHECK(weft::value::pointer(&here).as_pointer() == &here);
    THROWS(text.as_int(), EINVAL);
    THROWS(number.as_str(), EINVAL);
    THROWS(number.size(), EINVAL);
    errno = 17;
    CHECK(number.as_int() == 12 && errno == 17);
    CHECK(number.as<std::uint8_t>() == 12 && number.as<short>() == 12 && half.as<float>() == 0.5F && text.as<std::string>() == "text");
    THROWS(weft::value(300).as<std::uint8_t>(), ERANGE);
    THROWS(weft::value(-1).as<unsigned>(), ERANGE);
    THROWS(weft::value(-1).as<std::uint64_t>(), ERANGE);
    THROWS(weft::value(INT64_MAX).as<int>(), ERANGE);
    CHECK(weft::value(INT64_MAX).as<std::uint64_t>() == INT64_MAX);
}

void values_are_copied_and_moved()
{
    weft::value first = weft::value::list({1, "two", 3.0});
    weft::value second = first;
    CHECK(first == second && first.size() == 3 && first.at(-1).as_float() == 3.0 && first.at(1).as_str() == "two");
    THROWS(first.append(4), EBUSY); /* two hold it */
    second = std::move(first);
    CHECK(first.is_none()); /* NOLINT: what was moved from is none */
    second.append(4);
    CHECK(second.size() == 4);
    THROWS(second.at(4), ERANGE);
    second = 5;
    CHECK(second == weft::value(5) && second != weft::value(6));
    weft::value dict = weft::value::dict({{"a", 1}, {2, weft::value::list()}});
    CHECK(dict.at("a").as_int() == 1 && dict.at(2).size() == 0 && dict.contains(2) && !dict.contains("b"));
    THROWS(dict.at("b"), ENOENT);
    THROWS(weft::value(1).at("b"), EINVAL);
    THROWS(weft::value(1).contains("b"), EINVAL);
    CHECK(dict.repr() == "{'a': 1, 2: []}");
    weft_value plain = dict.release();
    CHECK(dict.is_none() && weft::value::keep(plain).size() == 2);
    weft_drop(plain);
}

void deadlines_are_what_chrono_says()
{
    const weft_time before = weft_clock();
    const weft_time at = weft::deadline(10s);
    CHECK(at >= before + 10000000000 && at <= weft_clock() + 10000000000);
    CHECK(weft::deadline(0s) == WEFT_NOW && weft::deadline(-1s) == WEFT_NOW);
    CHECK(weft::deadline(std::chrono::hours::max()) == WEFT_FOREVER);
    CHECK(weft::deadline(std::chrono::duration<double>(1e30)) == WEFT_FOREVER);
    CHECK(weft::deadline(std::chrono::steady_clock::time_point::max()) == WEFT_FOREVER);
    const auto steady = std::chrono::steady_clock::now();
    CHECK(weft::deadline(steady) >= before && weft::deadline(steady) <= weft_clock());
    CHECK(weft::deadline(std::chrono::system_clock::now() + 1h) > weft_clock());
    CHECK(weft::deadline(std::chrono::system_clock::now() - 1h) == WEFT_NOW);
    CHECK(weft::deadline(WEFT_FOREVER) == WEFT_FOREVER);
}

/* Counts how many of it there are. */
struct counted {
    static std::atomic<int> living;
    counted()
    {
        living++;
    }
    counted(const counted &)
    {
        living++;
    }
    counted &operator=(const counted &) = default;
    ~counted()
    {
        living--;
    }
};
std::atomic<int> counted::living{0};

void a_task_runs_a_callable()
{
    CHECK(weft::spawn([] { return 12; }).get() == 12);
    CHECK(weft::spawn([] { return std::string("text"); }).get() == "text");
    CHECK(weft::spawn([] { return 1.5F; }).get() == 1.5F);
    CHECK(weft::spawn([] { return weft::value("v"); }).get().as_str() == "v");
    CHECK(weft::spawn([] { return weft_int(7); }).get().as_int() == 7);
    CHECK(weft::spawn([] { return UINT64_MAX; }).get() == UINT64_MAX);
    int touched = 0;
    weft::spawn([&] { touched = 1; }).get();
    CHECK(touched == 1);
    const std::function<int()> function = [] { return 3; };
    CHECK(weft::spawn(function).get() == 3 && function() == 3);
    auto only_moved = std::make_unique<int>(41);
    auto task = weft::spawn([moved = std::move(only_moved)]() mutable {
        ++*moved;
        return std::move(moved);
    });
    CHECK(*task.get() == 42);
    CHECK(task.outcome() == WEFT_DONE && !task.is_alive() && task.joinable());
    auto twice = weft::spawn([] { return 12; });
    CHECK(twice.get() == 12 && twice.get() == 12 && twice.wait(0s));
}

void what_was_captured_goes_with_the_call()
{
    {
        auto task = weft::spawn([captured = counted()] { return 1; });
        task.join();
        CHECK(counted::living == 0);
        weft::pool pool(1U);
        auto future = pool.submit([captured = counted()] { return 1; });
        future.get();
        CHECK(counted::living == 0);
        weft::event begun, go;
        auto first = pool.submit([&] {
            begun.set();
            go.wait();
        });
        begun.wait();
        auto never = pool.submit([captured = counted()] { return 1; });
        CHECK(counted::living == 1 && never.cancel() && never.outcome() == WEFT_CANCELLED);
        THROWS(never.get(), ECANCELED);
        go.set();
        first.get();
        CHECK(pool.shutdown());
        THROWS(pool.submit([captured = counted()] { return 1; }), ESHUTDOWN);
        THROWS(pool.start([captured = counted()] { return 1; }), ESHUTDOWN);
        weft::spawn_options bad;
        bad.nice = 1000;
        THROWS(weft::spawn([captured = counted()] { return 1; }, bad), EINVAL);
    }
    CHECK(counted::living == 0);
}

void options_are_given_by_name()
{
    weft::spawn_options options;
    options.name = "reader";
    options.daemon = true;
    auto task = weft::spawn([] { return weft::this_task::name(); }, options);
    CHECK(task.get() == "reader" && task.name() == "reader" && weft_task_daemon(task.handle()));
#if __cplusplus >= 202002L
    CHECK(weft::spawn([] { return weft::this_task::name(); }, {.name = "writer", .stack_size = 1 << 20}).get() == "writer");
    weft::pool pool({.workers = 1, .name = "named"});
    CHECK(pool.submit([] { return weft::this_task::name(); }).get() == "named-1");
#endif
    weft_pool_options plain = {};
    plain.size = sizeof(plain);
    plain.kind = WEFT_THREAD;
    plain.name = "plain";
    weft::pool by_plain_options(weft_pool_new_with(&plain));
    CHECK(by_plain_options.submit([] { return weft::this_task::name(); }).get() == "plain-1");
    THROWS(weft::pool(weft_pool_new_with(nullptr)), EINVAL);
    THROWS(weft::queue(weft_queue_new_with(nullptr)), EINVAL);
    options.kind = WEFT_PROCESS;
    THROWS(weft::spawn([] { return 1; }, options), ENOTSUP);
}

struct odd {
};

void exceptions_come_out_of_get()
{
    weft::pool pool(2U);
    auto runtime = weft::spawn([]() -> int { throw std::runtime_error("no such page"); });
    CHECK(text_thrown([&] { runtime.get(); }) == "no such page");
    THROWS(runtime.get(), EINVAL);
    CHECK(runtime.outcome() == WEFT_FAILED);
    auto system = pool.submit([] { throw std::system_error(ENOENT, std::system_category(), "page"); });
    THROWS(system.get(), ENOENT);
    CHECK(text_thrown([&] { system.get(); }).find("page") == 0);
    THROWS(pool.submit([] { throw std::system_error(std::make_error_code(std::errc::timed_out)); }).get(), ETIMEDOUT);
    THROWS(pool.submit([] { throw std::future_error(std::future_errc::no_state); }).get(), EINVAL);
    THROWS(pool.submit([]() -> std::vector<int> { throw std::bad_alloc(); }).get(), ENOMEM);
    THROWS(pool.submit([] { throw odd(); }).get(), EINVAL);
    auto own = pool.submit([] { throw weft::error(EBADMSG, "100% of it"); });
    CHECK(text_thrown([&] { own.get(); }) == "100% of it");
    auto returned = pool.submit([] { return weft::value::failure(EDOM, "returned"); });
    CHECK(text_thrown([&] { returned.get(); }) == "returned");
    CHECK(text_thrown([&] { throw weft::error(ENOENT); }) == weft_error_text(weft_error(ENOENT, nullptr)));
    bool as_standard = false;
    try {
        returned.get();
    } catch (const std::system_error &thrown) {
        as_standard = thrown.code() == std::errc::argument_out_of_domain;
    }
    CHECK(as_standard);
    auto nested = pool.submit([&] { return pool.submit([]() -> int { throw weft::error(EXDEV, "inner"); }).get(); });
    CHECK(text_thrown([&] { nested.get(); }) == "inner");
}

void the_end_of_a_task_cancels_it()
{
    bool unwound = false;
    {
        auto task = weft::spawn([&] {
            try {
                weft::this_task::sleep(weft::forever);
            } catch (const weft::error &thrown) {
                unwound = thrown.code() == std::errc::operation_canceled && weft::this_task::cancelled();
                throw;
            }
        });
    }
    CHECK(unwound);
    weft::event go, ended;
    auto kept = weft::spawn([&] {
        weft::shield uncancelled;
        go.wait();
        ended.set();
    });
    kept.detach();
    CHECK(!kept.joinable());
    go.set();
    CHECK(ended.wait());
    auto sleeper = weft::spawn([] { weft::this_task::sleep(weft::forever); });
    CHECK(!sleeper.wait(0s) && !sleeper.wait(1ms));
    THROWS(sleeper.get(1ms), ETIMEDOUT);
    THROWS(sleeper.get(weft::now), EAGAIN);
    sleeper.cancel();
    THROWS(sleeper.get(), ECANCELED);
    CHECK(sleeper.outcome() == WEFT_CANCELLED);
    weft::task<void> moved = std::move(sleeper);
    CHECK(!sleeper.joinable() && moved.wait()); /* NOLINT */
    moved = weft::task<void>();
    CHECK(!moved.joinable());
}

void mutexes_work_with_the_standard_guards()
{
    static weft::mutex mutex, other;
    static weft::recursive_mutex recursive;
    int sum = 0;
    {
        weft::pool pool(4U);
        for (int i = 0; i < 1000; i++)
            pool.start([&] {
                std::lock_guard held(mutex);
                sum++;
            });
    }
    CHECK(sum == 1000);
    {
        std::unique_lock held(mutex);
        CHECK(held.owns_lock() && !mutex.try_lock());
        THROWS(mutex.lock(), EDEADLK);
        CHECK(weft::spawn([] { return mutex.try_lock(); }).get() == false);
        CHECK(weft::spawn([] { return mutex.try_lock_for(1ms); }).get() == false);
        CHECK(weft::spawn([] { return mutex.try_lock_until(std::chrono::steady_clock::now() + 1ms); }).get() == false);
        CHECK(weft::spawn([] { return std::unique_lock(mutex, std::try_to_lock).owns_lock(); }).get() == false);
        CHECK(weft::spawn([] { return std::unique_lock(mutex, 1ms).owns_lock(); }).get() == false);
        auto cancelled = weft::spawn([] { return mutex.try_lock_for(1h); });
        cancelled.cancel();
        THROWS(cancelled.get(), ECANCELED);
    }
    CHECK(mutex.try_lock_for(1h));
    mutex.unlock();
    {
        std::scoped_lock both(mutex, other, recursive);
        std::lock_guard again(recursive);
        CHECK(weft::spawn([] { return recursive.try_lock(); }).get() == false);
    }
    CHECK(!weft_lock_locked(mutex.native_handle()) && !weft_rlock_locked(recursive.native_handle()));
    /* Cancelled, a task still gets what std::lock_guard asks for. */
    std::unique_lock held(mutex);
    auto task = weft::spawn([] {
        std::lock_guard inside(mutex);
        return true;
    });
    task.cancel();
    held.unlock();
    CHECK(task.get());
}

void conditions_wait_with_the_lock_given_back()
{
    weft::mutex mutex;
    weft::condition_variable changed;
    int stage = 0;
    auto task = weft::spawn([&] {
        std::unique_lock held(mutex);
        changed.wait(held, [&] { return stage == 1; });
        stage = 2;
        changed.notify_all();
    });
    std::unique_lock held(mutex);
    CHECK(changed.wait_for(held, 1ms) == std::cv_status::timeout);
    CHECK(!changed.wait_for(held, 1ms, [&] { return stage == 2; }));
    stage = 1;
    changed.notify_one();
    CHECK(changed.wait_until(held, weft::forever, [&] { return stage == 2; }));
    CHECK(held.owns_lock());
    bool owned = false;
    auto cancelled = weft::spawn([&] {
        std::unique_lock inside(mutex);
        try {
            changed.wait(inside, [] { return false; });
        } catch (const weft::error &) {
            owned = mutex.native_handle() && !mutex.try_lock(); /* it is ours again */
            throw;
        }
    });
    cancelled.cancel();
    held.unlock();
    THROWS(cancelled.get(), ECANCELED);
    CHECK(owned && mutex.try_lock());
    mutex.unlock();
}

void the_other_meeting_places()
{
    weft::semaphore permits(2);
    permits.acquire();
    CHECK(permits.try_acquire() && !permits.try_acquire() && !permits.try_acquire_for(1ms));
    permits.release(2);
    THROWS(permits.release(0), EINVAL);
    CHECK(permits.try_acquire_until(std::chrono::steady_clock::now() + 1h));
    weft::event event;
    CHECK(!event.is_set() && !event.wait(0s) && !event.wait(1ms));
    event.set();
    CHECK(event.is_set() && event.wait());
    event.clear();
    CHECK(!event.is_set());
    weft::barrier barrier(2);
    auto other = weft::spawn([&] { return barrier.arrive_and_wait(); });
    const std::uint32_t place = barrier.arrive_and_wait();
    CHECK(place + other.get() == 1);
    weft::once_flag once;
    int calls = 0;
    bool thrown = false;
    try {
        weft::call_once(once, [&] {
            calls++;
            throw odd();
        });
    } catch (const odd &) {
        thrown = true;
    }
    for (int i = 0; i < 2; i++)
        weft::call_once(once, [&] { calls++; });
    CHECK(thrown && calls == 2 && weft_once_done(once.native_handle()));
    weft::once_flag inside;
    THROWS(weft::call_once(inside, [&] { weft::call_once(inside, [] {}); }), EDEADLK);
}

void queues_carry_values()
{
    weft::queue queue(2);
    CHECK(queue.empty() && queue.capacity() == 2 && !queue.get(weft::now) && !queue.get(1ms));
    weft::value list = weft::value::list({1});
    CHECK(queue.put(list) && queue.put("two") && queue.full() && queue.size() == 2);
    weft::value third = "three";
    CHECK(!queue.put(std::move(third), 1ms) && third.as_str() == "three"); /* NOLINT: still the caller's */
    CHECK(!queue.put(list, weft::now));
    CHECK(*queue.get() == list && queue.get()->as_str() == "two");
    queue.task_done();
    CHECK(!queue.join(1ms));
    queue.task_done();
    CHECK(queue.join());
    THROWS(queue.task_done(), EINVAL);
    auto sum = weft::spawn([&] {
        std::int64_t total = 0;
        while (auto item = queue.get())
            total += item->as_int();
        return total;
    });
    for (int i = 1; i <= 100; i++)
        queue.put(i);
    queue.close();
    CHECK(sum.get() == 5050 && queue.closed());
    THROWS(queue.put(1), EPIPE);
    auto waits = weft::spawn([other = weft::queue()]() mutable { return other.get().has_value(); });
    waits.cancel();
    THROWS(waits.get(), ECANCELED);
    weft::queue moved = std::move(queue);
    queue = weft::queue(1); /* NOLINT */
    CHECK(moved.closed() && !queue.closed());
}

void pools_take_callables()
{
    weft::pool pool(2U);
    std::vector<weft::future<int>> squares;
    for (int i = 0; i < 100; i++)
        squares.push_back(pool.submit([i] { return i * i; }));
    int sum = 0;
    for (const auto &square : squares)
        sum += square.get();
    CHECK(sum == 328350);
    auto map = pool.submit([] { return std::map<std::string, int>{{"a", 1}}; });
    CHECK(map.wait() && map.done() && map.valid() && map.get().at("a") == 1);
    weft::future<int> none;
    CHECK(!none.valid());
    weft::pool_options narrow;
    narrow.workers = 1;
    narrow.backlog = 1;
    weft::pool small(narrow);
    weft::event begun, go;
    auto first = small.submit([&] {
        begun.set();
        go.wait();
    });
    begun.wait();
    auto second = small.submit([] {});
    THROWS(small.submit([] {}, 1ms), ETIMEDOUT);
    THROWS(small.submit([] {}, weft::now), ETIMEDOUT);
    CHECK(!second.wait(1ms) && !second.wait(weft::now));
    THROWS(second.get(1ms), ETIMEDOUT);
    CHECK(!small.shutdown(false, 1ms));
    go.set();
    CHECK(small.shutdown() && second.outcome() == WEFT_DONE);
    weft::pool ended(1U);
    auto sleeper = ended.submit([] { weft::this_task::sleep(weft::forever); });
    CHECK(ended.terminate());
    THROWS(sleeper.get(), ECANCELED);
    weft::pool moved = std::move(pool);
    CHECK(moved.submit([] { return 1; }).get() == 1);
}

void shared_mutexes_let_many_read()
{
    weft::shared_mutex mutex;
    {
        std::shared_lock reads(mutex);
        auto other = weft::spawn([&] {
            std::shared_lock too(mutex);
            return mutex.try_lock() || mutex.try_lock_for(1ms);
        });
        CHECK(!other.get() && weft_rwlock_readers(mutex.native_handle()) == 1);
        auto cancelled = weft::spawn([&] { return mutex.try_lock_for(1h); });
        cancelled.cancel();
        THROWS(cancelled.get(), ECANCELED);
    }
    std::unique_lock writes(mutex);
    THROWS(mutex.lock(), EDEADLK);
    THROWS(mutex.lock_shared(), EDEADLK);
    CHECK(!weft::spawn([&] { return mutex.try_lock_shared() || mutex.try_lock_shared_for(1ms); }).get());
    CHECK(!weft::spawn([&] { return mutex.try_lock_shared_until(std::chrono::steady_clock::now() + 1ms); }).get());
    mutex.downgrade();
    writes.release();
    CHECK(weft::spawn([&] { return std::shared_lock(mutex, std::try_to_lock).owns_lock(); }).get());
    mutex.unlock_shared();
    THROWS(mutex.downgrade(), EPERM);
    CHECK(mutex.try_lock_for(1h));
    mutex.unlock();
}

void groups_end_together()
{
    std::atomic<int> ran{0}, unwound{0};
    {
        weft::group group;
        for (int i = 0; i < 10; i++)
            group.spawn([&, moved = std::make_unique<int>(i)] { ran += *moved; });
        CHECK(group.join() && ran == 45 && group.alive() == 0);
        THROWS(group.spawn([captured = counted()] {}), ESHUTDOWN);
    }
    const auto sleeps = [&] {
        try {
            weft::this_task::sleep(weft::forever);
        } catch (const weft::error &) {
            unwound++;
            throw;
        }
    };
    {
        weft::group group;
        group.spawn(sleeps);
        group.spawn([]() -> int { throw std::runtime_error("the first"); });
        CHECK(text_thrown([&] { group.join(); }) == "the first" && unwound == 1);
        CHECK(group.errors().size() == 1 && weft_error_code(group.errors()[0].get()) == EINVAL);
    }
    {
        weft::group group;
        group.spawn(sleeps);
        CHECK(!group.join(weft::now) && group.alive() == 1);
        CHECK(!group.join(1ms) && group.alive() == 0 && unwound == 2);
    }
    {
        weft::group group;
        group.spawn(sleeps);
        group.cancel();
        CHECK(group.join() && unwound == 3);
    }
    bool thrown = false;
    try {
        weft::group group;
        group.spawn(sleeps);
        throw odd();
    } catch (const odd &) {
        thrown = true;
    }
    CHECK(thrown && unwound == 4 && counted::living == 0);
}

void loops_run_side_by_side()
{
    constexpr std::size_t many = 1000;
    std::vector<int> calls(many);
    weft::pool pool(2U);
    weft::parallel_options options;
    options.pool = &pool;
    options.chunk = 3;
    weft::parallel_for(
        many, [&](std::size_t index) { calls[index]++; }, options);
    weft::parallel_ranges(many, [&, moved = std::make_unique<int>(1)](std::size_t first, std::size_t end) {
        for (std::size_t index = first; index < end; index++)
            calls[index] += *moved;
    });
    CHECK(std::count(calls.begin(), calls.end(), 2) == static_cast<std::ptrdiff_t>(many));
    bool thrown = false;
    std::atomic<int> cancelled{0};
    try {
        options.chunk = 1;
        weft::parallel_for(
            many,
            [&](std::size_t index) {
                if (index == 0)
                    throw odd();
                try {
                    weft::this_task::sleep(weft::forever);
                } catch (const weft::error &) {
                    cancelled++;
                    throw;
                }
            },
            options);
    } catch (const odd &) {
        thrown = true;
    }
    CHECK(thrown && cancelled <= 1);
    CHECK(pool.shutdown());
    THROWS(weft::parallel_for(
               many, [](std::size_t) {}, options),
        ESHUTDOWN);
}

void selects_do_one_of_several()
{
    weft::queue in(1), out(1);
    weft::event stop;
    weft::value got = "old", next = weft::value::list({1});
    CHECK(!weft::select(weft::now, weft::case_get(in, got), weft::case_event(stop)) && got.is_none());
    CHECK(!weft::select(1ms, weft::case_get(in, got), weft::case_event(stop)));
    auto done = weft::select(weft::forever, weft::case_get(in, got), weft::case_put(out, next));
    CHECK(done && done.index == 1 && done.error == 0 && next.is_none() && out.get()->size() == 1);
    in.put("there");
    std::vector<weft::select_case> cases = {weft::case_event(stop), weft::case_get(in, got), weft::case_time(1h)};
    CHECK(weft::select(weft::forever, cases).index == 1 && got.as_str() == "there");
    in.put(2);
    CHECK(weft::select(weft::forever, cases).index == 1 && got.as_int() == 2);
    CHECK(weft::select(weft::forever, weft::case_get(in, got), weft::case_time(1ms)).index == 1 && got.is_none());
    stop.set();
    CHECK(weft::select(weft::forever, cases).index == 0);
    in.close();
    done = weft::select(weft::forever, weft::case_get(in, got));
    CHECK(done && done.index == 0 && done.error == EPIPE);
    weft::value kept = weft::value::list({5});
    out.close();
    CHECK(weft::select(weft::forever, weft::case_put(out, kept)).error == EPIPE && kept.size() == 1);
    weft::pool pool(1U);
    auto task = weft::spawn([] { return 7; });
    auto future = pool.submit([] { return std::vector<int>(3); });
    weft::group group;
    group.spawn([] {});
    for (unsigned seen = 0; seen != 7;) {
        weft::select_case ends[] = {weft::case_task(task), weft::case_future(future), weft::case_group(group)};
        for (unsigned i = 0; i < 3; i++)
            if (seen & 1U << i)
                ends[i] = {};
        seen |= 1U << weft::select(weft::forever, ends[0], ends[1], ends[2]).index;
    }
    CHECK(task.get() == 7 && future.get().size() == 3 && group.join());
    short events = 0;
    weft::command cat({"cat"}, [] {
        weft::command_options options;
        options.standard_input = options.standard_output = weft::to_pipe();
        return options;
    }());
    cat.close(0);
    CHECK(weft::select(weft::forever, weft::case_descriptor(cat.stream(1), POLLIN, &events)).index == 0 && events != 0);
    THROWS(weft::select(weft::forever, std::vector<weft::select_case>()), EINVAL);
    auto cancelled = weft::spawn([&] { return weft::select(weft::forever, weft::select_case()).index; });
    cancelled.cancel();
    THROWS(cancelled.get(), ECANCELED);
    CHECK(cat.wait());
}

void commands_run_and_are_talked_to()
{
    weft::command_options options;
    options.input = "b\na\n";
    auto sorted = weft::run({"sort"}, options);
    CHECK(sorted.output.as_bytes() == "a\nb\n" && sorted.error.as_bytes().empty() && sorted.status.exitcode == 0);
    options = {};
    options.shell = true;
    options.standard_output = weft::to_null();
    CHECK(weft::run({"echo here; exit 3"}, options).output.is_none() && weft::run({"exit 3"}, options).status.exitcode == 3);
    options.standard_output = {};
    options.standard_error = weft::merged();
    options.environment_add = {"WORD=among"};
    CHECK(weft::run({"echo $WORD >&2"}, options).output.as_bytes() == "among\n");
    options.environment_add.clear();
    options.bare = true;
    CHECK(weft::run({"echo ${HOME-none}$PWD >&2; pwd"}, options).output.as_bytes().find("none") == 0);
    options.environment = {"WORD=alone"};
    options.directory = "/";
    CHECK(weft::run({"echo $WORD; pwd"}, options).output.as_bytes() == "alone\n/\n");
    THROWS(weft::run({"/no/such/program"}), ENOENT);
    THROWS(weft::run({}), EINVAL);
    THROWS(weft::run({"sleep", "1000"}, {}, 1ms), ETIMEDOUT);
    weft::command_options piped;
    piped.standard_input = piped.standard_output = weft::to_pipe();
    weft::command cat({"cat"}, piped);
    CHECK(cat.pid() > 0 && cat.write("there and ") == 10 && cat.write("back") == 4);
    CHECK(!cat.wait(1ms) && !cat.wait(weft::now));
    std::string back;
    while (back.size() < 14)
        back += *cat.read(1);
    CHECK(back == "there and back" && !cat.read(1, 1, 1ms) && !cat.read(1, 1, weft::now));
    cat.close(0);
    THROWS(cat.close(0), EINVAL);
    CHECK(cat.read(1)->empty() && cat.wait()->exitcode == 0);
    THROWS(cat.signal(SIGTERM), ESRCH);
    weft::command again({"cat"}, piped);
    const auto written = again.communicate("all at once");
    CHECK(written && written->output.as_bytes() == "all at once" && written->error.is_none());
    weft::command sleeper({"sleep", "1000"});
    sleeper.signal(SIGKILL);
    CHECK(sleeper.wait()->exitcode == -SIGKILL);
    sleeper = weft::command({"sleep", "1000"});
    CHECK(sleeper.terminate() && sleeper.wait()->exitcode == -SIGTERM);
    sleeper = weft::command({"sleep", "1000"});
    CHECK(sleeper.kill() && sleeper.wait()->exitcode == -SIGKILL);
    sleeper = weft::command({"sleep", "1000"}, piped);
    CHECK(!sleeper.communicate(weft::value(), weft::now) && sleeper.kill() && sleeper.communicate());
    piped.time_limit = 0.01;
    weft::command limited({"sleep", "1000"}, piped);
    CHECK(limited.communicate() && limited.wait()->timed_out);
}

std::atomic<int> uncollected{0};

void what_nobody_collects_is_told()
{
    weft_on_uncollected([](const char *, weft_value error, void *) { uncollected += weft_error_code(error) == EILSEQ; }, nullptr);
    {
        weft::pool pool(1U);
        pool.start([] { throw weft::error(EILSEQ, "lost"); });
    }
    CHECK(uncollected == 1);
    weft::spawn([] { throw weft::error(EILSEQ, "lost"); }).join();
    CHECK(uncollected == 2);
    weft_on_uncollected(nullptr, nullptr);
}

void locals_are_each_tasks_own()
{
    {
        static weft::local<std::vector<counted>> mine;
        mine->resize(1);
        auto task = weft::spawn([&] {
            const bool fresh = (*mine).empty();
            mine->resize(3);
            return fresh && mine.get().size() == 3;
        });
        CHECK(task.get() && mine->size() == 1 && counted::living == 1);
        std::thread([&] { mine->resize(2); }).join(); /* one of the program's own */
        CHECK(counted::living == 1);
        mine->clear();
    }
    CHECK(counted::living == 0);
}

/* Made before main and ended after it, in the order of the standard: it uses Weft in both. */
struct global {
    weft::pool pool{1U};
    weft::future<int> early = pool.submit([] { return 5; });
    ~global()
    {
        try {
            if (pool.submit([] { return 6; }).get() != 6)
                std::abort();
        } catch (...) {
            std::abort();
        }
    }
} everywhere;

void objects_may_be_global()
{
    CHECK(everywhere.early.get() == 5);
}

int passed, failed;

void run(const char *name, void (*test)())
{
    try {
        test();
        passed++;
        return;
    } catch (const failure &found) {
        std::printf("%s: line %d: %s does not hold\n", name, found.line, found.what);
    } catch (const std::exception &thrown) {
        std::printf("%s: threw %s\n", name, thrown.what());
    }
    failed++;
}

} // namespace

#define RUN(test_) run(#test_, test_)

int main()
{
    RUN(values_are_held_and_read);
    RUN(values_are_copied_and_moved);
    RUN(deadlines_are_what_chrono_says);
    RUN(a_task_runs_a_callable);
    RUN(what_was_captured_goes_with_the_call);
    RUN(options_are_given_by_name);
    RUN(exceptions_come_out_of_get);
    RUN(the_end_of_a_task_cancels_it);
    RUN(mutexes_work_with_the_standard_guards);
    RUN(conditions_wait_with_the_lock_given_back);
    RUN(the_other_meeting_places);
    RUN(queues_carry_values);
    RUN(pools_take_callables);
    RUN(shared_mutexes_let_many_read);
    RUN(groups_end_together);
    RUN(loops_run_side_by_side);
    RUN(selects_do_one_of_several);
    RUN(commands_run_and_are_talked_to);
    RUN(what_nobody_collects_is_told);
    RUN(locals_are_each_tasks_own);
    RUN(objects_may_be_global);
    std::printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
