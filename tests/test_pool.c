/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "pool/pool.h"
#include "pool_tasks.h"

/* A child that leaves through a worker has lost its main stack, and with it what only that stack knows. */
#if defined(__SANITIZE_ADDRESS__)
#define LEAKS_ARE_LOOKED_FOR 1
#elif defined(__has_feature)
#define LEAKS_ARE_LOOKED_FOR __has_feature(address_sanitizer)
#else
#define LEAKS_ARE_LOOKED_FOR 0
#endif

static struct gate gate;

static void set_up(void)
{
    gate = (struct gate){0};
}

static void occupy(weft_pool *pool)
{
    occupy_at(pool, &gate);
}

START_TEST(a_pool_is_made_of_valid_options_only)
{
    ck_fails_null(weft_pool_new((enum weft_task_kind)99), EINVAL);
    ck_fails_null(weft_pool_new((enum weft_task_kind)0), EINVAL);
    ck_fails_null(weft_pool_new(WEFT_COROUTINE, .retries = 1), ENOTSUP);
    ck_fails_null(weft_pool_new(WEFT_THREAD, .threads = 1), ENOTSUP);
    ck_fails_null(weft_pool_new(WEFT_THREAD, .task_timeout = 1), ENOTSUP);
    ck_fails_null(weft_pool_new(WEFT_THREAD, .retries = 1), ENOTSUP);
    ck_fails_null(weft_pool_new(WEFT_THREAD, .memory = 1), ENOTSUP);
    ck_fails_null(weft_pool_new(WEFT_THREAD, .max_tasks_per_worker = 1), ENOTSUP);
    ck_fails_null(weft_pool_new(WEFT_FLEET), ENOTSUP);
    ck_fails_null(weft_pool_new(WEFT_THREAD, .backlog = WEFT_RENDEZVOUS), EINVAL);
    ck_fails_null(weft_pool_new(WEFT_THREAD, .when_full = (enum weft_full_policy)3), EINVAL);
    ck_fails_null(weft_pool_new_with(NULL), EINVAL);
    char name[300];
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = 0;
    ck_fails_null(weft_pool_new(WEFT_THREAD, .name = name), EINVAL);
    weft_pool_free(NULL);
}
END_TEST

START_TEST(a_submit_wants_a_pool_and_a_function)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD);
    ck_fails_null(weft_pool_submit(pool, NULL, weft_none), EINVAL);
    ck_fails_null(weft_pool_submit(NULL, nothing, weft_none), EINVAL);
    ck_fails_null(weft_pool_submit_with(NULL), EINVAL);
    ck_fails(weft_pool_start(pool, NULL, weft_none), EINVAL);
    ck_fails(weft_pool_apply(pool, NULL, weft_none, NULL, WEFT_FOREVER), EINVAL);
    ck_fails(weft_pool_apply(NULL, nothing, weft_none, NULL, WEFT_FOREVER), EINVAL);
    weft_value list = weft_list(), results;
    ck_fails(weft_pool_map(NULL, nothing, list, &results, WEFT_FOREVER), EINVAL);
    ck_fails(weft_pool_map(pool, NULL, list, &results, WEFT_FOREVER), EINVAL);
    ck_fails(weft_pool_map(pool, nothing, weft_int(3), &results, WEFT_FOREVER), EINVAL);
    ck_fails(weft_pool_map(pool, nothing, list, NULL, WEFT_FOREVER), EINVAL);
    weft_drop(list);
    ck_fails(weft_pool_shutdown(NULL, false, WEFT_NOW), EINVAL);
    ck_fails(weft_pool_terminate(NULL, WEFT_NOW), EINVAL);
    ck_assert_int_eq((int)counts_of(pool).workers, 0);
    weft_pool_free(pool);
}
END_TEST

static weft_value worker_name(weft_value unused)
{
    (void)unused;
    return weft_str(weft_task_name(weft_current()));
}

START_TEST(workers_are_named_after_their_pool)
{
    weft_pool *named = weft_pool_new(WEFT_THREAD, .workers = 1, .name = "squares"), *first = weft_pool_new(WEFT_THREAD, .workers = 1);
    weft_value name;
    ck_assert_int_eq(weft_pool_apply(named, worker_name, weft_none, &name, WEFT_FOREVER), 0);
    ck_assert_str_eq(weft_as_str(name), "squares-1");
    weft_drop(name);
    ck_assert_int_eq(weft_pool_apply(first, worker_name, weft_none, &name, WEFT_FOREVER), 0);
    ck_assert_str_eq(weft_as_str(name), "Pool-1-1");
    weft_drop(name);
    weft_pool_free(named);
    weft_pool_free(first);
}
END_TEST

START_TEST(workers_start_as_work_comes_and_stay)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 3, .stack_size = 256 * 1024, .backlog = 10);
    ck_assert_uint_eq(counts_of(pool).workers, 0);
    occupy(pool);
    ck_assert_uint_eq(counts_of(pool).workers, 1);
    occupy(pool);
    ck_assert_uint_eq(counts_of(pool).workers, 2);
    occupy(pool);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(weft_pool_start(pool, nothing, weft_none), 0);
    ck_assert_uint_eq(counts_of(pool).workers, 3);
    ck_assert_uint_eq(counts_of(pool).running, 3);
    ck_assert_uint_eq(counts_of(pool).queued, 5);
    weft_event_set(&gate.open);
    fixture_until(counts_of(pool).done == 8);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(weft_pool_apply(pool, twice, weft_int(i), NULL, WEFT_FOREVER), 0);
    ck_assert_uint_eq(counts_of(pool).workers, 3);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    ck_assert_uint_eq(counts_of(pool).workers, 0);
    ck_assert_uint_eq(counts_of(pool).submitted, 13);
    ck_assert_uint_eq(counts_of(pool).done, 13);
    weft_pool_free(pool);
}
END_TEST

static bool all_rest(weft_pool *pool)
{
    wefti_latch_close(&pool->in);
    bool rest = pool->resting == pool->alive;
    wefti_latch_open(&pool->in);
    return rest;
}

START_TEST(the_workers_that_rest_are_used_before_one_is_started)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 8);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(weft_pool_apply(pool, twice, weft_int(i), NULL, WEFT_FOREVER), 0);
        fixture_until(all_rest(pool));
    }
    ck_assert_uint_eq(counts_of(pool).workers, 1);
    weft_pool_free(pool);
}
END_TEST

static weft_value note_order(weft_value pair)
{
    int *place = weft_as_ptr(weft_list_at(pair, 0));
    place[__atomic_fetch_add(&place[0], 1, __ATOMIC_RELAXED)] = (int)weft_as_int(weft_list_at(pair, 1));
    return weft_none;
}

START_TEST(tasks_begin_in_the_order_of_their_submission)
{
    enum { MANY = 100 };
    int order[MANY + 1] = {1};
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = MANY);
    occupy(pool);
    for (int i = 1; i <= MANY; i++)
        ck_assert_int_eq(weft_pool_start(pool, note_order, weft_tuple((weft_value[]){weft_ptr(order), weft_int(i)}, 2)), 0);
    weft_event_set(&gate.open);
    weft_pool_free(pool);
    for (int i = 1; i <= MANY; i++)
        ck_assert_int_eq(order[i], i);
}
END_TEST

START_TEST(the_bound_is_exact_and_a_full_pool_may_refuse)
{
    for (size_t bound = 1; bound <= 5; bound++) {
        gate = (struct gate){0};
        weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = bound, .when_full = WEFT_FULL_FAIL);
        occupy(pool);
        weft_future *futures[5];
        for (size_t i = 0; i < bound; i++)
            ck_assert_ptr_nonnull(futures[i] = weft_pool_submit(pool, nothing, weft_none));
        weft_value argument = weft_str("still the caller's");
        ck_fails_null(weft_pool_submit(pool, nothing, argument), EAGAIN);
        ck_fails(weft_pool_start(pool, nothing, argument), EAGAIN);
        ck_fails(weft_pool_apply(pool, nothing, argument, NULL, WEFT_FOREVER), EAGAIN);
        ck_assert(weft_future_cancel(futures[bound / 2])); /* makes room at once */
        ck_assert_int_eq(weft_pool_start(pool, nothing, weft_none), 0);
        ck_fails(weft_pool_start(pool, nothing, argument), EAGAIN);
        weft_drop(argument);
        ck_assert_uint_eq(counts_of(pool).queued, bound);
        weft_event_set(&gate.open);
        weft_pool_free(pool);
        for (size_t i = 0; i < bound; i++)
            weft_future_free(futures[i]);
    }
}
END_TEST

START_TEST(the_default_bound)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1, .when_full = WEFT_FULL_FAIL);
    occupy(pool);
    for (int i = 0; i < WEFTI_POOL_BACKLOG; i++)
        ck_assert_int_eq(weft_pool_start(pool, nothing, weft_none), 0);
    ck_fails(weft_pool_start(pool, nothing, weft_none), EAGAIN);
    weft_event_set(&gate.open);
    weft_pool_free(pool);
}
END_TEST

START_TEST(without_a_bound_nothing_is_refused)
{
    int runs = 0;
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = WEFT_UNBOUNDED, .when_full = WEFT_FULL_FAIL);
    occupy(pool);
    for (int i = 0; i < 20000; i++)
        ck_assert_int_eq(weft_pool_start(pool, count_up, weft_ptr(&runs)), 0);
    weft_event_set(&gate.open);
    weft_pool_free(pool);
    ck_assert_int_eq(runs, 20000);
}
END_TEST

static weft_value submit_one(weft_value pool)
{
    return weft_pool_start(weft_as_ptr(pool), nothing, weft_none) == 0 ? weft_none : weft_int(errno);
}

START_TEST(a_full_pool_may_be_waited_for)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = 4);
    occupy(pool);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(weft_pool_start(pool, nothing, weft_none), 0);
    ck_fails_null(weft_pool_submit(pool, nothing, weft_none, .deadline = weft_in(0.01)), ETIMEDOUT);
    ck_fails_null(weft_pool_submit(pool, nothing, weft_none, .deadline = weft_in(-1)), ETIMEDOUT);
    ck_fails(weft_pool_apply(pool, nothing, weft_none, NULL, WEFT_NOW), EAGAIN);
    weft_task *cancelled = weft_spawn(WEFT_THREAD, submit_one, weft_ptr(pool)),
              *waiter = weft_spawn(WEFT_THREAD, submit_one, weft_ptr(pool));
    weft_task_cancel(cancelled);
    weft_value value;
    ck_assert_int_eq(weft_task_result(cancelled, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(value), ECANCELED);
    weft_event_set(&gate.open);
    ck_assert_int_eq(weft_task_result(waiter, &value, WEFT_FOREVER), 0);
    ck_assert(weft_is_none(value));
    weft_task_free(cancelled);
    weft_task_free(waiter);
    weft_pool_free(pool);
}
END_TEST

static bool is_eager(weft_pool *pool)
{
    wefti_latch_close(&pool->out);
    bool eager = pool->eager;
    wefti_latch_open(&pool->out);
    return eager;
}

/* The first place that becomes free is enough, though the workers prefer to call when there are many. */
START_TEST(who_waits_long_gets_the_first_place)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = 100);
    struct gate second = {0};
    occupy(pool);
    ck_assert_int_eq(weft_pool_start(pool, wait_at, weft_ptr(&second)), 0);
    for (int i = 0; i < 99; i++)
        ck_assert_int_eq(weft_pool_start(pool, nothing, weft_none), 0);
    weft_task *waiter = weft_spawn(WEFT_THREAD, submit_one, weft_ptr(pool));
    fixture_until(is_eager(pool));
    weft_event_set(&gate.open);
    ck_assert_int_eq(weft_task_join(waiter, weft_in(20)), 0);
    weft_task_free(waiter);
    weft_event_set(&second.open);
    weft_pool_free(pool);
}
END_TEST

START_TEST(a_full_pool_may_have_the_caller_run_the_task)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = 1, .when_full = WEFT_FULL_RUN);
    occupy(pool);
    ck_assert_int_eq(weft_pool_start(pool, nothing, weft_none), 0);
    weft_future *future = weft_pool_submit(pool, worker_name, weft_none);
    weft_value name;
    ck_assert(weft_future_done(future));
    ck_assert_int_eq(weft_future_result(future, &name, WEFT_NOW), 0);
    ck_assert_str_eq(weft_as_str(name), "MainThread");
    weft_drop(name);
    weft_future_free(future);
    ck_assert_uint_eq(counts_of(pool).submitted, 3);
    ck_assert_uint_eq(counts_of(pool).done, 1);
    ck_assert_uint_eq(counts_of(pool).running, 1);
    weft_event_set(&gate.open);
    weft_pool_free(pool);
}
END_TEST

static weft_value submit_from_within(weft_value pointer)
{
    weft_pool *pool = weft_as_ptr(pointer);
    int64_t sum = 0;
    weft_future *futures[10];
    for (int i = 0; i < 10; i++)
        futures[i] = weft_pool_submit(pool, twice, weft_int(i));
    for (int i = 0; i < 10; i++)
        sum += integer_of(futures[i]);
    return weft_int(sum);
}

START_TEST(a_worker_of_a_full_pool_runs_the_task_itself)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = 2);
    ck_assert_int_eq((int)integer_of(weft_pool_submit(pool, submit_from_within, weft_ptr(pool))), 90);
    weft_pool_free(pool);
}
END_TEST

START_TEST(apply_gives_the_result)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1);
    weft_value result = weft_none;
    ck_assert_int_eq(weft_pool_apply(pool, twice, weft_int(4), &result, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(result), 8);
    ck_assert_int_eq(weft_pool_apply(pool, nothing, weft_str("given away"), NULL, WEFT_FOREVER), 0);
    occupy(pool);
    weft_value argument = weft_str("kept by the caller");
    ck_fails(weft_pool_apply(pool, nothing, argument, &result, weft_in(0.01)), ETIMEDOUT);
    ck_assert_int_eq((int)counts_of(pool).queued, 0); /* it was cancelled */
    ck_assert_str_eq(weft_as_str(argument), "kept by the caller");
    weft_drop(argument);
    weft_event_set(&gate.open);
    weft_pool_free(pool);
}
END_TEST

START_TEST(map_gives_the_results_in_order)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 3, .backlog = 2);
    weft_value items = weft_list(), results;
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(weft_list_append(items, weft_int(i)), 0);
    ck_assert_int_eq(weft_pool_map(pool, twice, items, &results, WEFT_FOREVER), 0);
    ck_assert_uint_eq(weft_length(results), 50);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(weft_as_int(weft_list_at(results, i)), 2 * i);
    weft_drop(results);
    weft_drop(items);
    items = weft_tuple((weft_value[]){weft_str("a"), weft_str("b")}, 2);
    ck_assert_int_eq(weft_pool_map(pool, not_there, items, &results, WEFT_FOREVER), 0);
    ck_assert_str_eq(weft_error_text(weft_list_at(results, 1)), "b");
    weft_drop(results);
    weft_drop(items);
    items = weft_tuple(NULL, 0);
    ck_assert_int_eq(weft_pool_map(pool, twice, items, &results, WEFT_NOW), 0);
    ck_assert_uint_eq(weft_length(results), 0);
    weft_drop(results);
    weft_drop(items);
    weft_pool_free(pool);
}
END_TEST

START_TEST(a_map_that_ends_early_cancels_what_has_not_begun)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = 10);
    weft_value items = weft_list(), results = weft_int(1);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(weft_list_append(items, weft_ptr(&gate)), 0);
    ck_fails(weft_pool_map(pool, wait_at, items, &results, weft_in(0.05)), ETIMEDOUT);
    ck_assert_int_eq(weft_as_int(results), 1);
    ck_assert_uint_eq(counts_of(pool).queued, 0);
    weft_event_set(&gate.open);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    ck_assert_uint_le(gate_reached(&gate), 1);
    ck_assert_uint_ge(counts_of(pool).cancelled, 4);
    ck_fails(weft_pool_map(pool, wait_at, items, &results, WEFT_FOREVER), ESHUTDOWN);
    weft_drop(items);
    weft_pool_free(pool);
}
END_TEST

START_TEST(shutdown_finishes_what_was_submitted)
{
    int runs = 0;
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 2, .backlog = 100);
    occupy(pool);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(weft_pool_start(pool, count_up, weft_ptr(&runs)), 0);
    ck_fails(weft_pool_shutdown(pool, false, WEFT_NOW), EAGAIN);
    ck_fails(weft_pool_shutdown(pool, false, weft_in(0.01)), ETIMEDOUT);
    ck_fails_null(weft_pool_submit(pool, nothing, weft_none), ESHUTDOWN);
    ck_fails(weft_pool_start(pool, nothing, weft_none), ESHUTDOWN);
    ck_fails(weft_pool_apply(pool, nothing, weft_none, NULL, WEFT_FOREVER), ESHUTDOWN);
    weft_event_set(&gate.open);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_pool_shutdown(pool, true, WEFT_NOW), 0);
    ck_assert_int_eq(runs, 20);
    weft_pool_free(pool);
}
END_TEST

START_TEST(a_pool_that_was_never_used_ends_at_once)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_NOW), 0);
    ck_fails_null(weft_pool_submit(pool, nothing, weft_none), ESHUTDOWN);
    weft_pool_free(pool);
}
END_TEST

START_TEST(shutdown_may_cancel_what_has_not_begun)
{
    int runs = 0;
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = 100);
    occupy(pool);
    weft_future *future = weft_pool_submit(pool, count_up, weft_ptr(&runs));
    ck_assert_int_eq(weft_pool_start(pool, count_up, weft_ptr(&runs)), 0);
    ck_fails(weft_pool_shutdown(pool, true, weft_in(0.01)), ETIMEDOUT);
    ck_assert_int_eq(weft_future_outcome(future), WEFT_CANCELLED);
    weft_event_set(&gate.open);
    ck_assert_int_eq(weft_pool_shutdown(pool, true, WEFT_FOREVER), 0);
    ck_assert_int_eq(runs, 0);
    ck_assert_uint_eq(counts_of(pool).cancelled, 2);
    ck_assert_uint_eq(counts_of(pool).done, 1);
    weft_future_free(future);
    weft_pool_free(pool);
}
END_TEST

START_TEST(terminate_cancels_what_runs_too)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 2, .backlog = 100);
    occupy(pool);
    weft_future *running = weft_pool_submit(pool, wait_at, weft_ptr(&gate)), *waiting = weft_pool_submit(pool, wait_at, weft_ptr(&gate));
    fixture_until(gate_reached(&gate) == 2);
    ck_assert_int_eq(weft_pool_terminate(pool, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_future_outcome(running), WEFT_CANCELLED);
    ck_assert_int_eq(weft_future_outcome(waiting), WEFT_CANCELLED);
    ck_assert_uint_eq(counts_of(pool).cancelled, 3);
    weft_future_free(running);
    weft_future_free(waiting);
    weft_pool_free(pool);
}
END_TEST

static weft_value shutdown_own(weft_value pointer)
{
    weft_pool *pool = weft_as_ptr(pointer);
    errno = 0;
    int result = weft_pool_shutdown(pool, false, WEFT_FOREVER);
    return weft_int(result == -1 ? errno : 0);
}

static int shutdown_in_callback(weft_future *future, void *pool)
{
    (void)future;
    return (int)weft_as_int(shutdown_own(weft_ptr(pool))) == EDEADLK ? 0 : -1;
}

START_TEST(shutdown_by_a_worker_begins_and_says_EDEADLK)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1);
    ck_assert_int_eq((int)integer_of(weft_pool_submit(pool, shutdown_own, weft_ptr(pool))), EDEADLK);
    ck_fails(weft_pool_start(pool, nothing, weft_none), ESHUTDOWN);
    weft_pool_free(pool);
    pool = weft_pool_new(WEFT_THREAD, .workers = 1);
    ck_assert_int_eq(weft_pool_start(pool, nothing, weft_none, .on_done = shutdown_in_callback, .data = pool), 0);
    fixture_until(weft_pool_start(pool, nothing, weft_none) != 0);
    ck_assert_int_eq(errno, ESHUTDOWN);
    weft_pool_free(pool);
    ck_assert_int_eq((int)weft_uncollected_count(), 0);
}
END_TEST

static weft_value free_own(weft_value pool)
{
    weft_pool_free(weft_as_ptr(pool));
    return weft_int(1);
}

static int free_in_callback(weft_future *future, void *pool)
{
    (void)future;
    weft_pool_free(pool);
    return 0;
}

START_TEST(a_pool_can_be_freed_by_its_own_worker)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 2, .backlog = 10);
    occupy(pool);
    weft_future *future = weft_pool_submit(pool, free_own, weft_ptr(pool));
    ck_assert_int_eq((int)integer_of(future), 1);
    weft_event_set(&gate.open);
    fixture_until(weft_active_count() == 1);
}
END_TEST

START_TEST(a_pool_can_be_freed_by_its_own_callback)
{
    int runs = 0;
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = 10);
    occupy(pool);
    ck_assert_int_eq(weft_pool_start(pool, nothing, weft_none, .on_done = free_in_callback, .data = pool), 0);
    ck_assert_int_eq(weft_pool_start(pool, count_up, weft_ptr(&runs)), 0); /* submitted before, so it still runs */
    weft_event_set(&gate.open);
    fixture_until(__atomic_load_n(&runs, __ATOMIC_RELAXED) == 1);
    fixture_until(weft_active_count() == 1);
}
END_TEST

static weft_value write_late(weft_value output)
{
    weft_sleep(0.02);
    ck_assert_int_eq((int)write((int)weft_as_int(output), "x", 1), 1);
    return weft_none;
}

static void leave_work(int output)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 2, .backlog = 10);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(weft_pool_start(pool, write_late, weft_int(output)), 0);
}

static weft_value exit_here(weft_value unused)
{
    (void)unused;
    exit(0);
}

static void leave_by_worker(int output)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 2, .backlog = 10);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(weft_pool_start(pool, write_late, weft_int(output)), 0);
    ck_assert_int_eq(weft_pool_start(pool, exit_here, weft_none), 0);
    weft_sleep(20);
}

START_TEST(at_exit_what_was_submitted_is_finished)
{
    char text[32];
    fixture_exit_output(leave_work, text, sizeof(text));
    ck_assert_str_eq(text, "xxxxx");
    fixture_exit_output(leave_by_worker, text, sizeof(text));
    ck_assert_str_eq(text, "xxx");
}
END_TEST

static int count_call(weft_future *future, void *calls)
{
    (void)future;
    __atomic_add_fetch((int *)calls, 1, __ATOMIC_RELAXED);
    return 0;
}

static weft_pool *inherited;
static weft_future *pending, *ended;

static int fork_and_look(void)
{
    pid_t child = fork();
    if (child == 0) {
        weft_value value = weft_none;
        struct weft_pool_counts counts;
        bool refused = !weft_pool_submit(inherited, nothing, weft_none) && errno == ESTALE;
        refused = refused && weft_pool_apply(inherited, nothing, weft_none, NULL, WEFT_FOREVER) == -1 && errno == ESTALE;
        refused = refused && weft_pool_shutdown(inherited, true, WEFT_FOREVER) == -1 && errno == ESTALE;
        refused = refused && weft_pool_terminate(inherited, WEFT_FOREVER) == -1 && errno == ESTALE;
        weft_pool_count(inherited, &counts);
        bool lost = weft_future_result(pending, &value, WEFT_FOREVER) == 0 && weft_error_code(value) == EOWNERDEAD &&
                    weft_future_outcome(pending) == WEFT_LOST && !weft_future_cancel(pending) && !weft_future_running(pending) &&
                    weft_future_done(pending) && weft_wait_any(&pending, 1, WEFT_NOW) == 0;
        int calls = 0;
        lost = lost && weft_future_on_done(pending, count_call, &calls) == 0 && calls == 1;
        bool kept = weft_future_result(ended, &value, WEFT_NOW) == 0 && weft_as_int(value) == 4;
        weft_future_free(pending);
        weft_future_free(ended);
        weft_pool_free(inherited);
        _exit(refused && lost && kept ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

static weft_value fork_in_task(weft_value unused)
{
    (void)unused;
    return weft_int(fork_and_look());
}

static weft_value return_in_child(weft_value unused)
{
    (void)unused;
    pid_t child = fork();
    if (child == 0)
        return weft_none; /* the child's only thread ends, and so does the child */
    int status = -1;
    waitpid(child, &status, 0);
    return weft_int(status);
}

START_TEST(a_forked_child_has_lost_the_pool)
{
    inherited = weft_pool_new(WEFT_THREAD, .workers = 2, .backlog = 10);
    ended = weft_pool_submit(inherited, twice, weft_int(2));
    ck_assert_int_eq(weft_future_result(ended, NULL, WEFT_FOREVER), 0);
    pending = weft_pool_submit(inherited, wait_at, weft_ptr(&gate));
    ck_assert_int_eq(fork_and_look(), 0);
    ck_assert_int_eq((int)integer_of(weft_pool_submit(inherited, fork_in_task, weft_none)), 0);
    if (!FIXTURE_TSAN && !LEAKS_ARE_LOOKED_FOR)
        ck_assert_int_eq((int)integer_of(weft_pool_submit(inherited, return_in_child, weft_none)), 0);
    ck_assert_int_eq(weft_future_outcome(pending), WEFT_PENDING);
    weft_event_set(&gate.open);
    weft_pool_free(inherited);
    weft_future_free(pending);
    weft_future_free(ended);
}
END_TEST

START_TEST(an_older_programs_options_are_read)
{
    struct weft_submit_options options = {.size = offsetof(struct weft_submit_options, guard), .function = twice, .argument = weft_int(3)};
    options.pool = weft_pool_new_with(&(struct weft_pool_options){.size = offsetof(struct weft_pool_options, guard), .kind = WEFT_THREAD});
    ck_assert_ptr_nonnull(options.pool);
    options.name = "beyond its size, so not read";
    ck_assert_int_eq((int)integer_of(weft_pool_submit_with(&options)), 6);
    weft_pool_free(options.pool);
}
END_TEST

#ifdef WEFTI_SMALL
void weft_small_fail_after(long n);

START_TEST(a_worker_that_cannot_be_started_is_no_harm_where_another_is)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 2);
    occupy(pool);
    for (long n = 1; n < 5; n++) {
        weft_small_fail_after(n);
        weft_future *future = weft_pool_submit(pool, nothing, weft_none);
        weft_small_fail_after(0);
        if (future) /* else there was no memory for it */
            weft_future_cancel(future);
        weft_future_free(future);
    }
    weft_event_set(&gate.open);
    weft_pool_free(pool);
}
END_TEST
#endif

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, a_pool_is_made_of_valid_options_only);
    tcase_add_test(tests, a_submit_wants_a_pool_and_a_function);
    tcase_add_test(tests, workers_are_named_after_their_pool);
    tcase_add_test(tests, workers_start_as_work_comes_and_stay);
    tcase_add_test(tests, the_workers_that_rest_are_used_before_one_is_started);
    tcase_add_test(tests, tasks_begin_in_the_order_of_their_submission);
    tcase_add_test(tests, the_bound_is_exact_and_a_full_pool_may_refuse);
    tcase_add_test(tests, the_default_bound);
    tcase_add_test(tests, without_a_bound_nothing_is_refused);
    tcase_add_test(tests, a_full_pool_may_be_waited_for);
    tcase_add_test(tests, who_waits_long_gets_the_first_place);
    tcase_add_test(tests, a_full_pool_may_have_the_caller_run_the_task);
    tcase_add_test(tests, a_worker_of_a_full_pool_runs_the_task_itself);
    tcase_add_test(tests, apply_gives_the_result);
    tcase_add_test(tests, map_gives_the_results_in_order);
    tcase_add_test(tests, a_map_that_ends_early_cancels_what_has_not_begun);
    tcase_add_test(tests, shutdown_finishes_what_was_submitted);
    tcase_add_test(tests, a_pool_that_was_never_used_ends_at_once);
    tcase_add_test(tests, shutdown_may_cancel_what_has_not_begun);
    tcase_add_test(tests, terminate_cancels_what_runs_too);
    tcase_add_test(tests, shutdown_by_a_worker_begins_and_says_EDEADLK);
    tcase_add_test(tests, a_pool_can_be_freed_by_its_own_worker);
    tcase_add_test(tests, a_pool_can_be_freed_by_its_own_callback);
    tcase_add_test(tests, at_exit_what_was_submitted_is_finished);
    tcase_add_test(tests, a_forked_child_has_lost_the_pool);
    tcase_add_test(tests, an_older_programs_options_are_read);
#ifdef WEFTI_SMALL
    tcase_add_test(tests, a_worker_that_cannot_be_started_is_no_harm_where_another_is);
#endif
}

int main(void)
{
    return fixture_main("pool", add);
}
