/* SPDX-License-Identifier: MIT */
/* A pool's workers: what they do first and last, how many there are, what is counted, and what pools inside pools share. */
#include <stdio.h>
#include <string.h>

#include "fixture.h"
#include "pool/pool.h"
#include "pool_tasks.h"

static struct gate gate;
static weft_pool *pool;

static struct {
    uint32_t begun, ended, wrong, now, most;
} seen;

static void set_up(void)
{
    gate = (struct gate){0};
    memset(&seen, 0, sizeof(seen));
    pool = NULL;
}

static void tear_down(void)
{
    weft_event_set(&gate.open);
    weft_pool_free(pool);
}

static void add_one(uint32_t *count)
{
    __atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
}

static uint32_t read_count(const uint32_t *count)
{
    return __atomic_load_n(count, __ATOMIC_ACQUIRE);
}

/* Initializers and finalizers. */

static weft_value begin_worker(weft_value text)
{
    add_one(&seen.begun);
    return weft_str_f("%s of %s", weft_as_str(text), weft_task_name(weft_current()));
}

static weft_value end_worker(weft_value made)
{
    char expected[100];
    snprintf(expected, sizeof(expected), "tools of %s", weft_task_name(weft_current()));
    if (strcmp(weft_as_str(made), expected) != 0)
        add_one(&seen.wrong);
    add_one(&seen.ended);
    return weft_none;
}

static weft_value use_worker(weft_value unused)
{
    (void)unused;
    return weft_keep(weft_worker_value());
}

START_TEST(each_worker_is_begun_and_ended_once)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = 2, .name = "bench", .initializer = begin_worker, .initializer_argument = weft_str("tools"),
        .finalizer = end_worker);
    ck_assert_uint_eq(seen.begun, 0);
    occupy_at(pool, &gate);
    weft_value value;
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(weft_pool_apply(pool, use_worker, weft_none, &value, WEFT_FOREVER), 0);
        ck_assert_str_eq(weft_as_str(value), "tools of bench-2");
        weft_drop(value);
    }
    ck_assert_uint_eq(read_count(&seen.begun), 2);
    ck_assert_uint_eq(read_count(&seen.ended), 0);
    weft_event_set(&gate.open);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    ck_assert_uint_eq(seen.begun, 2);
    ck_assert_uint_eq(seen.ended, 2);
    ck_assert_uint_eq(seen.wrong, 0);
    ck_assert(weft_is_none(weft_worker_value())); /* here */
}
END_TEST

START_TEST(the_argument_stays_the_callers_when_no_pool_is_made)
{
    weft_value text = weft_str("mine");
    ck_fails_null(weft_pool_new((enum weft_task_kind)99, .initializer = begin_worker, .initializer_argument = text), EINVAL);
    ck_assert_str_eq(weft_as_str(text), "mine");
    weft_drop(text);
}
END_TEST

static weft_value end_alone(weft_value none)
{
    add_one(weft_is_none(none) && weft_sleep(0.0001) == 0 ? &seen.ended : &seen.wrong);
    return weft_error(EIO, "not closed");
}

static void hear(const char *what, weft_value error, void *heard)
{
    snprintf(heard, 300, "%s: %s", what, weft_error_text(error));
}

START_TEST(a_finalizer_needs_no_initializer_and_is_not_cancelled)
{
    char heard[300] = "";
    weft_on_uncollected(hear, heard);
    pool = weft_pool_new(WEFT_THREAD, .workers = 1, .name = "alone", .finalizer = end_alone);
    occupy_at(pool, &gate);
    ck_assert_int_eq(weft_pool_terminate(pool, WEFT_FOREVER), 0);
    ck_assert_uint_eq(seen.ended, 1);
    ck_assert_str_eq(heard, "finalizer of alone-1: not closed");
    weft_on_uncollected(NULL, NULL);
}
END_TEST

/* Fails once told to, and only then. */
static weft_value fail_at_gate(weft_value pointer)
{
    struct gate *open = weft_as_ptr(pointer);
    weft_drop(wait_at(pointer));
    return open == &gate ? weft_error(ENOENT, "no tools") : weft_none;
}

START_TEST(an_initializer_that_fails_breaks_the_pool)
{
    char heard[300] = "";
    weft_on_uncollected(hear, heard);
    pool = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = 2, .name = "broken", .initializer = fail_at_gate,
        .initializer_argument = weft_ptr(&gate), .finalizer = end_worker);
    weft_future *futures[] = {weft_pool_submit(pool, nothing, weft_none), weft_pool_submit(pool, nothing, weft_none)};
    fixture_until(gate_reached(&gate) == 1);
    ck_assert_int_eq(weft_future_outcome(futures[0]), WEFT_PENDING);
    weft_event_set(&gate.open);
    weft_value value;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(weft_future_result(futures[i], &value, WEFT_FOREVER), 0);
        ck_assert_int_eq(weft_future_outcome(futures[i]), WEFT_LOST);
        ck_assert_int_eq(weft_error_code(value), EOWNERDEAD);
        ck_assert_str_eq(weft_error_text(value), "the initializer of broken-1 failed: no tools");
        weft_drop(value);
        weft_future_free(futures[i]);
    }
    ck_fails_null(weft_pool_submit(pool, nothing, weft_none), EOWNERDEAD);
    ck_fails(weft_pool_start(pool, nothing, weft_none), EOWNERDEAD);
    ck_fails(weft_pool_apply(pool, nothing, weft_none, NULL, WEFT_FOREVER), EOWNERDEAD);
    ck_fails(weft_pool_resize(pool, 3), EOWNERDEAD);
    ck_assert_uint_eq(counts_of(pool).lost, 2);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    ck_assert_str_eq(heard, "initializer of broken-1: no tools");
    ck_assert_uint_eq(seen.ended, 0);
    weft_on_uncollected(NULL, NULL);
}
END_TEST

static weft_value fail_second(weft_value unused)
{
    (void)unused;
    return __atomic_fetch_add(&seen.begun, 1, __ATOMIC_RELAXED) == 0 ? weft_none : weft_error(ENOENT, "no tools");
}

static weft_value submit_one(weft_value own)
{
    return weft_pool_start(weft_as_ptr(own), nothing, weft_none) == 0 ? weft_none : weft_int(errno);
}

START_TEST(what_runs_in_a_broken_pool_goes_on)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = 2, .initializer = fail_second);
    weft_future *first = weft_pool_submit(pool, wait_at, weft_ptr(&gate));
    fixture_until(gate_reached(&gate) == 1);
    weft_future *second = weft_pool_submit(pool, nothing, weft_none); /* for which another worker starts */
    ck_assert_int_eq(weft_future_result(second, NULL, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_future_outcome(second), WEFT_LOST);
    weft_event_set(&gate.open);
    ck_assert_int_eq(weft_future_result(first, NULL, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_future_outcome(first), WEFT_DONE);
    weft_future_free(first);
    weft_future_free(second);
}
END_TEST

START_TEST(who_waits_for_room_is_told_that_it_broke)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = 1, .initializer = fail_at_gate, .initializer_argument = weft_ptr(&gate));
    ck_assert_int_eq(weft_pool_start(pool, nothing, weft_none), 0);
    fixture_until(gate_reached(&gate) == 1);
    weft_task *thread = weft_spawn(WEFT_THREAD, submit_one, weft_ptr(pool));
    fixture_until(counts_of(pool).blocked > 0);
    weft_event_set(&gate.open);
    weft_value value;
    ck_assert_int_eq(weft_task_result(thread, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(value), EOWNERDEAD);
    weft_task_free(thread);
}
END_TEST

START_TEST(terminate_ends_an_initializer_and_breaks_nothing)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = 1, .initializer = wait_at, .initializer_argument = weft_ptr(&gate));
    weft_future *future = weft_pool_submit(pool, nothing, weft_none);
    fixture_until(gate_reached(&gate) == 1);
    ck_assert_int_eq(weft_pool_terminate(pool, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_future_outcome(future), WEFT_CANCELLED);
    ck_fails(weft_pool_start(pool, nothing, weft_none), ESHUTDOWN);
    ck_assert_uint_eq(weft_uncollected_count(), 0);
    weft_future_free(future);
}
END_TEST

static weft_value ask_own_pool(weft_value pointer)
{
    weft_pool **own = weft_as_ptr(pointer);
    return weft_int(integer_of(weft_pool_submit(*own, twice, weft_int(21))));
}

START_TEST(an_initializer_may_wait_for_a_task_of_its_pool)
{
    pool = weft_pool_new(
        WEFT_THREAD, .workers = 1, .initializer = ask_own_pool, .initializer_argument = weft_ptr(&pool), .finalizer = nothing);
    weft_value value;
    ck_assert_int_eq(weft_pool_apply(pool, use_worker, weft_none, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(value), 42);
}
END_TEST

START_TEST(a_submitter_that_runs_a_task_is_no_worker)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = 1, .when_full = WEFT_FULL_RUN, .initializer = begin_worker,
        .initializer_argument = weft_str("tools"), .finalizer = end_worker);
    occupy_at(pool, &gate);
    ck_assert_int_eq(weft_pool_start(pool, nothing, weft_none), 0);
    weft_future *here = weft_pool_submit(pool, use_worker, weft_none);
    weft_value value = weft_int(1);
    ck_assert_int_eq(weft_future_result(here, &value, WEFT_NOW), 0);
    ck_assert(weft_is_none(value));
    weft_future_free(here);
}
END_TEST

/* Sizes. */

START_TEST(more_workers_come_at_once)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = WEFT_UNBOUNDED);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(weft_pool_start(pool, wait_at, weft_ptr(&gate)), 0);
    fixture_until(gate_reached(&gate) == 1);
    ck_assert_uint_eq(counts_of(pool).workers, 1);
    ck_assert_int_eq(weft_pool_resize(pool, 3), 0);
    fixture_until(gate_reached(&gate) == 3);
    ck_assert_uint_eq(counts_of(pool).workers, 3);
    ck_assert_uint_eq(counts_of(pool).limit, 3);
    ck_assert_int_eq(weft_pool_resize(pool, 0), 0);
    ck_assert_uint_eq(counts_of(pool).limit, weft_cpu_count());
}
END_TEST

static weft_value count_end(weft_value unused)
{
    add_one(&seen.ended);
    return weft_keep(unused);
}

START_TEST(fewer_workers_end_when_they_can)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = 4, .backlog = WEFT_UNBOUNDED, .finalizer = count_end);
    struct gate second = {0};
    occupy_at(pool, &gate);
    occupy_at(pool, &gate);
    occupy_at(pool, &second);
    occupy_at(pool, &second);
    weft_event_set(&second.open);
    fixture_until(counts_of(pool).resting == 2);
    ck_assert_int_eq(weft_pool_resize(pool, 3), 0); /* one that rests ends */
    fixture_until(counts_of(pool).workers == 3);
    ck_assert_int_eq(weft_pool_resize(pool, 1), 0); /* the other, and one that works, when it is done */
    fixture_until(counts_of(pool).workers == 2);
    ck_assert_uint_eq(counts_of(pool).running, 2);
    weft_event_set(&gate.open);
    fixture_until(counts_of(pool).workers == 1);
    fixture_until(read_count(&seen.ended) == 3);
    ck_assert_int_eq((int)integer_of(weft_pool_submit(pool, twice, weft_int(3))), 6);
    ck_assert_int_eq(weft_pool_resize(pool, 2), 0);
    gate = (struct gate){0};
    occupy_at(pool, &gate);
    occupy_at(pool, &gate);
    ck_assert_uint_eq(counts_of(pool).workers, 2);
}
END_TEST

START_TEST(a_size_that_changes_loses_no_task)
{
    int runs = 0;
    pool = weft_pool_new(WEFT_THREAD, .workers = 3, .backlog = 4);
    for (unsigned i = 0; i < 300; i++) {
        ck_assert_int_eq(weft_pool_start(pool, count_up, weft_ptr(&runs)), 0);
        if (i % 10 == 0)
            ck_assert_int_eq(weft_pool_resize(pool, 1 + i / 10 % 4), 0);
    }
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    ck_assert_int_eq(runs, 300);
    ck_fails(weft_pool_resize(pool, 2), ESHUTDOWN);
    ck_fails(weft_pool_resize(NULL, 2), EINVAL);
}
END_TEST

static weft_value resize_own(weft_value own)
{
    return weft_int(weft_pool_resize(weft_as_ptr(own), 1));
}

START_TEST(a_task_may_resize_its_own_pool)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = 3);
    occupy_at(pool, &gate);
    occupy_at(pool, &gate);
    ck_assert_int_eq((int)integer_of(weft_pool_submit(pool, resize_own, weft_ptr(pool))), 0);
    fixture_until(counts_of(pool).workers == 2);
    weft_event_set(&gate.open);
    fixture_until(counts_of(pool).workers == 1);
}
END_TEST

/* What is counted. */

static weft_value wait_in_time(weft_value own)
{
    weft_future *inner = weft_pool_submit(weft_as_ptr(own), wait_at, weft_ptr(&gate));
    int result = weft_future_result(inner, NULL, weft_in(60));
    weft_future_free(inner);
    return weft_int(result);
}

START_TEST(waits_are_counted)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = 1);
    weft_future *outer = weft_pool_submit(pool, wait_in_time, weft_ptr(pool));
    fixture_until(gate_reached(&gate) == 1);
    struct weft_pool_counts counts = counts_of(pool);
    ck_assert_uint_eq(counts.waits, 1);
    ck_assert_uint_eq(counts.waiting, 1);
    ck_assert_uint_eq(counts.workers, 2);
    ck_assert_uint_eq(counts.limit, 1);
    ck_assert_uint_eq(counts.running, 2);
    ck_assert_uint_eq(counts.helped + counts.blocked + counts.lost + counts.timed_out, 0);
    for (size_t i = 0; i < sizeof(counts.reserved) / sizeof(counts.reserved[0]); i++)
        ck_assert_uint_eq(counts.reserved[i], 0);
    weft_event_set(&gate.open);
    ck_assert_int_eq((int)integer_of(outer), 0);
    ck_assert_uint_eq(counts_of(pool).waiting, 0);
}
END_TEST

/* The budget. */

static weft_semaphore turns;

static weft_value take_turn(weft_value unused)
{
    (void)unused;
    uint32_t now = __atomic_add_fetch(&seen.now, 1, __ATOMIC_ACQ_REL), most = read_count(&seen.most);
    while (now > most && !__atomic_compare_exchange_n(&seen.most, &most, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
    weft_semaphore_acquire(&turns, WEFT_FOREVER);
    __atomic_sub_fetch(&seen.now, 1, __ATOMIC_ACQ_REL);
    add_one(&seen.ended);
    return weft_none;
}

static void turns_give(uint32_t count)
{
    ck_assert_int_eq(weft_semaphore_release(&turns, count), 0);
}

static weft_pool *pool_of_turns(unsigned workers, unsigned tasks)
{
    weft_pool *inner = weft_pool_new(WEFT_THREAD, .workers = workers, .backlog = WEFT_UNBOUNDED);
    for (unsigned i = 0; i < tasks; i++)
        ck_assert_int_eq(weft_pool_start(inner, take_turn, weft_none), 0);
    return inner;
}

/* Waits until all of the outer tasks are here. */
static void meet(uint32_t *count)
{
    add_one(count);
    fixture_until(read_count(count) == weft_cpu_count());
}

static weft_value pool_among_many(weft_value unused)
{
    (void)unused;
    meet(&seen.begun);
    weft_pool *inner = pool_of_turns(0, 4);
    uint32_t workers = counts_of(inner).workers;
    meet(&seen.wrong); /* now all have looked */
    turns_give(4);
    weft_pool_free(inner);
    return weft_int(workers);
}

START_TEST(where_all_processors_are_taken_an_inner_pool_has_one_worker)
{
    turns = (weft_semaphore)WEFT_SEMAPHORE(0);
    pool = weft_pool_new(WEFT_THREAD, .workers = weft_cpu_count());
    weft_value items = integers(weft_cpu_count()), workers;
    ck_assert_int_eq(weft_pool_map(pool, pool_among_many, items, &workers, WEFT_FOREVER), 0);
    for (unsigned i = 0; i < weft_cpu_count(); i++)
        ck_assert_int_eq(weft_as_int(weft_list_at(workers, i)), 1);
    weft_drop(workers);
    weft_drop(items);
    ck_assert_uint_eq(seen.ended, 4 * weft_cpu_count());
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    ck_assert_uint_eq(pool->used, 0);
    ck_assert_uint_eq(pool->family, 0);
}
END_TEST

static weft_pool *inner_pool;

static weft_value pool_alone(weft_value unused)
{
    (void)unused;
    inner_pool = pool_of_turns(0, weft_cpu_count() + 3);
    uint32_t workers = counts_of(inner_pool).workers;
    weft_future *last = weft_pool_submit(inner_pool, take_turn, weft_none);
    ck_assert_int_eq(weft_future_result(last, NULL, WEFT_FOREVER), 0);
    weft_future_free(last);
    weft_pool_free(inner_pool);
    return weft_int(workers);
}

START_TEST(a_worker_that_waits_for_the_inner_pool_lends_its_processor)
{
    unsigned processors = weft_cpu_count();
    turns = (weft_semaphore)WEFT_SEMAPHORE(0);
    pool = weft_pool_new(WEFT_THREAD, .workers = processors);
    weft_future *outer = weft_pool_submit(pool, pool_alone, weft_none);
    fixture_until(counts_of(pool).waiting == 1);
    ck_assert_uint_eq(counts_of(pool).waits, 1);
    turns_give(1); /* whoever begins the next task asks again */
    fixture_until(counts_of(inner_pool).workers == processors && read_count(&seen.now) == processors);
    turns_give(processors + 3);
    ck_assert_int_eq(integer_of(outer), processors > 1 ? processors - 1 : 1);
    ck_assert_uint_eq(seen.ended, processors + 4);
    ck_assert_uint_eq(seen.most, processors);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    ck_assert_uint_eq(pool->used, 0);
}
END_TEST

static weft_value pool_as_said(weft_value unused)
{
    (void)unused;
    unsigned workers = weft_cpu_count() + 2;
    weft_pool *inner = pool_of_turns(workers, workers);
    fixture_until(read_count(&seen.now) == workers);
    turns_give(workers);
    weft_pool_free(inner);
    return weft_none;
}

START_TEST(an_inner_pool_has_the_workers_that_it_was_promised)
{
    turns = (weft_semaphore)WEFT_SEMAPHORE(0);
    pool = weft_pool_new(WEFT_THREAD, .workers = 1);
    ck_assert_int_eq(weft_pool_apply(pool, pool_as_said, weft_none, NULL, WEFT_FOREVER), 0);
    ck_assert_uint_eq(seen.most, weft_cpu_count() + 2);
}
END_TEST

static weft_value pools_inside_pools(weft_value depth)
{
    int64_t deeper = weft_as_int(depth) - 1;
    if (deeper < 0)
        return weft_int(1);
    weft_pool *inner = weft_pool_new(WEFT_THREAD);
    weft_value items = weft_list(), sums = weft_none;
    for (int i = 0; i < 3; i++)
        weft_list_append(items, weft_int(deeper));
    int64_t sum = 0;
    if (weft_pool_map(inner, pools_inside_pools, items, &sums, WEFT_FOREVER) == 0)
        for (int i = 0; i < 3; i++)
            sum += weft_as_int(weft_list_at(sums, i));
    weft_drop(sums);
    weft_drop(items);
    weft_pool_free(inner);
    return weft_int(sum);
}

START_TEST(pools_stand_inside_pools_inside_pools)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = 2);
    ck_assert_int_eq((int)integer_of(weft_pool_submit(pool, pools_inside_pools, weft_int(3))), 27);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    ck_assert_uint_eq(pool->used, 0);
    ck_assert_uint_eq(pool->family, 0);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, each_worker_is_begun_and_ended_once);
    tcase_add_test(tests, the_argument_stays_the_callers_when_no_pool_is_made);
    tcase_add_test(tests, a_finalizer_needs_no_initializer_and_is_not_cancelled);
    tcase_add_test(tests, an_initializer_that_fails_breaks_the_pool);
    tcase_add_test(tests, what_runs_in_a_broken_pool_goes_on);
    tcase_add_test(tests, who_waits_for_room_is_told_that_it_broke);
    tcase_add_test(tests, terminate_ends_an_initializer_and_breaks_nothing);
    tcase_add_test(tests, an_initializer_may_wait_for_a_task_of_its_pool);
    tcase_add_test(tests, a_submitter_that_runs_a_task_is_no_worker);
    tcase_add_test(tests, more_workers_come_at_once);
    tcase_add_test(tests, fewer_workers_end_when_they_can);
    tcase_add_test(tests, a_size_that_changes_loses_no_task);
    tcase_add_test(tests, a_task_may_resize_its_own_pool);
    tcase_add_test(tests, waits_are_counted);
    tcase_add_test(tests, where_all_processors_are_taken_an_inner_pool_has_one_worker);
    tcase_add_test(tests, a_worker_that_waits_for_the_inner_pool_lends_its_processor);
    tcase_add_test(tests, an_inner_pool_has_the_workers_that_it_was_promised);
    tcase_add_test(tests, pools_stand_inside_pools_inside_pools);
}

int main(void)
{
    return fixture_main("pool_workers", add);
}
