/* SPDX-License-Identifier: MIT */
/*
 * Pools and futures under many hands: for ThreadSanitizer, and for what is lost or done twice only when threads meet in the wrong
 * moment. Each test runs for a bounded time, and counts what went in against what came out.
 */
#include <string.h>

#include "fixture.h"
#include "many_hands.h"
#include "pool/pool.h"
#include "pool_tasks.h"

static weft_pool *pool;

/* What all tasks and callbacks of a test have done. */
static struct {
    uint64_t submitted, run, called, done, cancelled;
} sums;

static void add_to(uint64_t *sum, uint64_t count)
{
    __atomic_add_fetch(sum, count, __ATOMIC_RELAXED);
}

static weft_value run(weft_value number)
{
    add_to(&sums.run, 1);
    return weft_int(weft_as_int(number) + 1);
}

static int called(weft_future *future, void *data)
{
    (void)data;
    add_to(&sums.called, 1);
    return weft_future_done(future) ? 0 : -1;
}

/* Runs `function` on several threads until the test's time is over. */
static void stress(weft_function *function)
{
    memset(&sums, 0, sizeof(sums));
    many_hands(function);
}

/* Submits, cancels some, adds callbacks, waits for some, leaves some. */
static void hand_round(uint32_t *seed)
{
    enum { SOME = 20 };
    weft_future *futures[SOME];
    for (int i = 0; i < SOME; i++) {
        enum weft_priority priority = (enum weft_priority)((int)(draw(seed) % 3) - 1);
        ck_assert_ptr_nonnull(futures[i] = weft_pool_submit(pool, run, weft_int(i), .on_done = called, .priority = priority));
        add_to(&sums.submitted, 1);
    }
    for (int i = 0; i < SOME; i++) {
        weft_value value;
        if (draw(seed) % 3 == 0)
            weft_future_cancel(futures[i]);
        if (draw(seed) % 3 == 0 && weft_future_on_done(futures[i], called, NULL) == 0)
            add_to(&sums.submitted, 1);
        if (draw(seed) % 2 == 0) {
            ck_assert_int_eq(weft_future_result(futures[i], &value, WEFT_FOREVER), 0);
            ck_assert(weft_is_error(value) ? weft_future_outcome(futures[i]) == WEFT_CANCELLED : weft_as_int(value) == i + 1);
            weft_drop(value);
        }
        weft_future_free(futures[i]);
    }
}

static weft_value rounds(weft_value number)
{
    uint32_t seed = (uint32_t)weft_as_int(number);
    while (weft_clock() < end)
        hand_round(&seed);
    return weft_none;
}

static void submit_from_many(size_t backlog, enum weft_full_policy when_full, unsigned workers)
{
    pool = many_pool_new(.workers = workers, .backlog = backlog, .when_full = when_full);
    stress(rounds);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    struct weft_pool_counts counts;
    weft_pool_count(pool, &counts);
    ck_assert_uint_eq(sums.called, sums.submitted);
    ck_assert_uint_eq(counts.done, sums.run);
    ck_assert_uint_eq(counts.done + counts.cancelled, counts.submitted);
    weft_pool_free(pool);
    ck_assert_uint_eq(weft_uncollected_count(), 0);
}

START_TEST(every_task_ends_once_and_calls_back_once)
{
    submit_from_many(100, WEFT_FULL_WAIT, 2);
}
END_TEST

START_TEST(so_in_a_narrow_pool)
{
    submit_from_many(1, WEFT_FULL_WAIT, 2);
}
END_TEST

START_TEST(so_when_submitters_run_tasks)
{
    submit_from_many(2, WEFT_FULL_RUN, 1);
}
END_TEST

static weft_value resizes(weft_value number)
{
    uint32_t seed = (uint32_t)weft_as_int(number);
    if (seed > 1)
        return rounds(number);
    while (weft_clock() < end) {
        ck_assert_int_eq(weft_pool_resize(pool, 1 + draw(&seed) % 4), 0);
        weft_yield();
    }
    return weft_none;
}

static weft_value once_a_worker(weft_value unused)
{
    (void)unused;
    add_to(&sums.done, 1);
    return weft_none;
}

START_TEST(so_while_its_size_changes)
{
    pool = many_pool_new(.workers = 2, .backlog = 10, .initializer = once_a_worker, .finalizer = once_a_worker);
    stress(resizes);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    struct weft_pool_counts counts = counts_of(pool);
    ck_assert_uint_eq(sums.called, sums.submitted);
    ck_assert_uint_eq(counts.done, sums.run);
    ck_assert_uint_eq(counts.done + counts.cancelled, counts.submitted);
    ck_assert_uint_eq(sums.done % 2, 0);
    weft_pool_free(pool);
}
END_TEST

/* Pools inside a pool's tasks, with more to do than the budget has room for. */
static weft_value inner_pool(weft_value number)
{
    uint32_t seed = (uint32_t)weft_as_int(number);
    weft_pool *inner = weft_pool_new(WEFT_THREAD, .workers = draw(&seed) % 4 == 0 ? 2 : 0, .backlog = 10);
    weft_value items = integers(30), sums_of = weft_none;
    if (draw(&seed) % 2 == 0)
        ck_assert_int_eq(weft_pool_map(inner, twice, items, &sums_of, WEFT_FOREVER), 0);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(weft_pool_start(inner, nothing, weft_none), 0);
    weft_drop(sums_of);
    weft_drop(items);
    weft_pool_free(inner);
    return weft_int(1);
}

static weft_value inner_pools(weft_value number)
{
    uint32_t seed = (uint32_t)weft_as_int(number);
    while (weft_clock() < end) {
        weft_future *futures[3];
        for (int i = 0; i < 3; i++)
            futures[i] = weft_pool_submit(pool, inner_pool, weft_int(draw(&seed)));
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq((int)integer_of(futures[i]), 1);
    }
    return weft_none;
}

START_TEST(pools_inside_pools_share_a_budget)
{
    pool = many_pool_new(.workers = 2);
    stress(inner_pools);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    ck_assert_uint_eq(pool->used, 0);
    ck_assert_uint_eq(pool->family, 0);
    weft_pool_free(pool);
}
END_TEST

/* A task that sleeps on a word that never changes: only a cancel of its own ends it. */
static weft_value wait_for_cancel(weft_value unused)
{
    (void)unused;
    uint32_t word = 0;
    add_to(&sums.run, 1);
    while (weft_wait(&word, 0, WEFT_FOREVER) == 0)
        continue;
    return weft_error(errno, NULL);
}

/* A task that must never see a cancel that was meant for another. */
static weft_value expect_none(weft_value unused)
{
    (void)unused;
    uint32_t word = 0;
    bool wrong = weft_cancelled() || weft_wait(&word, 0, weft_clock() + 1000) == 0 || errno != ETIMEDOUT;
    add_to(&sums.done, wrong);
    return weft_none;
}

static weft_value cancel_rounds(weft_value number)
{
    uint32_t seed = (uint32_t)weft_as_int(number);
    while (weft_clock() < end) {
        weft_future *victim = weft_pool_submit(pool, draw(&seed) % 2 ? wait_for_cancel : run, weft_int(1));
        weft_future *bystander = weft_pool_submit(pool, expect_none, weft_none);
        for (uint32_t i = draw(&seed) % 200; i > 0; i--)
            weft_future_running(victim);
        weft_future_cancel(victim);
        ck_assert_int_eq(weft_future_result(victim, NULL, WEFT_FOREVER), 0);
        ck_assert_int_eq(weft_future_result(bystander, NULL, WEFT_FOREVER), 0);
        weft_future_free(victim);
        weft_future_free(bystander);
    }
    return weft_none;
}

START_TEST(a_cancel_hits_its_own_task_only)
{
    pool = many_pool_new(.workers = 2);
    stress(cancel_rounds);
    weft_pool_free(pool);
    ck_assert_uint_eq(sums.done, 0);
}
END_TEST

static weft_value fibonacci(weft_value number)
{
    int64_t n = weft_as_int(number);
    if (n < 2)
        return weft_int(n);
    weft_future *one = weft_pool_submit(pool, fibonacci, weft_int(n - 1)), *two = weft_pool_submit(pool, fibonacci, weft_int(n - 2));
    return weft_int(integer_of(one) + integer_of(two));
}

static weft_value recursions(weft_value unused)
{
    (void)unused;
    while (weft_clock() < end)
        ck_assert_int_eq((int)integer_of(weft_pool_submit(pool, fibonacci, weft_int(3))), 2);
    return weft_none;
}

START_TEST(tasks_wait_for_tasks)
{
    for (unsigned workers = 1; workers <= 3; workers++) {
        pool = many_pool_new(.workers = workers, .backlog = 8);
        stress(recursions);
        weft_pool_free(pool);
    }
}
END_TEST

static weft_value any_rounds(weft_value unused)
{
    (void)unused;
    while (weft_clock() < end) {
        weft_future *futures[3];
        for (int i = 0; i < 3; i++)
            futures[i] = weft_pool_submit(pool, run, weft_int(i));
        long first = weft_wait_any(futures, 3, WEFT_FOREVER);
        ck_assert_int_ge(first, 0);
        ck_assert(weft_future_done(futures[first]));
        ck_assert_int_eq(weft_wait_all(futures, 3, WEFT_FOREVER), 0);
        for (int i = 0; i < 3; i++)
            weft_future_free(futures[i]);
    }
    return weft_none;
}

START_TEST(any_end_is_seen)
{
    pool = many_pool_new(.workers = 2);
    stress(any_rounds);
    weft_pool_free(pool);
}
END_TEST

/* Pools are made, used and ended, in one way after the other. */
static weft_value lives(weft_value number)
{
    uint32_t seed = (uint32_t)weft_as_int(number);
    while (weft_clock() < end) {
        weft_pool *own = many_pool_new(.workers = 1 + draw(&seed) % 3, .backlog = 50);
        weft_future *future = NULL;
        for (uint32_t i = draw(&seed) % 10; i > 0; i--) {
            weft_future_free(future);
            future = weft_pool_submit(own, draw(&seed) % 4 == 0 ? expect_none : run, weft_int(1));
        }
        if (draw(&seed) % 3 == 0)
            weft_pool_terminate(own, WEFT_FOREVER);
        else if (draw(&seed) % 2 == 0)
            weft_pool_shutdown(own, draw(&seed) % 2 == 0, draw(&seed) % 2 == 0 ? WEFT_FOREVER : WEFT_NOW);
        weft_pool_free(own);
        ck_assert(!future || weft_future_done(future));
        weft_future_free(future);
    }
    return weft_none;
}

START_TEST(pools_come_and_go)
{
    stress(lives);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, every_task_ends_once_and_calls_back_once);
    tcase_add_test(tests, so_in_a_narrow_pool);
    tcase_add_test(tests, so_when_submitters_run_tasks);
    tcase_add_test(tests, so_while_its_size_changes);
    if (BESIDE_KIND == WEFT_THREAD) /* of threads it is */
        tcase_add_test(tests, pools_inside_pools_share_a_budget);
    tcase_add_test(tests, a_cancel_hits_its_own_task_only);
    tcase_add_test(tests, tasks_wait_for_tasks);
    tcase_add_test(tests, any_end_is_seen);
    tcase_add_test(tests, pools_come_and_go);
}

int main(void)
{
    return fixture_main("stress_pool", add);
}
