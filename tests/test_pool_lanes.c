/* SPDX-License-Identifier: MIT */
/* Priorities: which tasks of those that wait begin first, and that none waits for ever. */
#include "fixture.h"
#include "pool/pool.h"
#include "pool_tasks.h"

enum { MOST = 200, HIGH = 0, NORMAL = 1000, LOW = 2000 };

static weft_pool *pool;
static struct gate gate;
static int order[MOST]; /* what has begun */
static int begun;

static void set_up(void)
{
    gate = (struct gate){0};
    begun = 0;
    pool = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = WEFT_UNBOUNDED);
    occupy_at(pool, &gate);
}

static void tear_down(void)
{
    weft_event_set(&gate.open);
    weft_pool_free(pool);
}

/* There is one worker. */
static weft_value note(weft_value number)
{
    order[begun++] = (int)weft_as_int(number);
    return weft_none;
}

static enum weft_priority priority_of(int lane)
{
    return lane == HIGH ? WEFT_PRIORITY_HIGH : lane == NORMAL ? WEFT_PRIORITY_NORMAL : WEFT_PRIORITY_LOW;
}

static void start(int lane, int count)
{
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(weft_pool_start(pool, note, weft_int(lane + i), .priority = priority_of(lane)), 0);
}

static void run_all(int count)
{
    weft_event_set(&gate.open);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    ck_assert_int_eq(begun, count);
}

/* So many of one lane began next, in their order. */
static void assert_begun(int *at, int *next, int count)
{
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(order[(*at)++], (*next)++);
}

START_TEST(higher_lanes_begin_first)
{
    start(LOW, 5);
    start(NORMAL, 5);
    start(HIGH, 5);
    run_all(15);
    int at = 0, high = HIGH, normal = NORMAL, low = LOW;
    assert_begun(&at, &high, 5);
    assert_begun(&at, &normal, 5);
    assert_begun(&at, &low, 5);
}
END_TEST

START_TEST(a_lane_has_its_turn_after_so_many_others)
{
    static const int lanes[][2] = {{HIGH, LOW}, {HIGH, NORMAL}, {NORMAL, LOW}};
    for (int i = 0; i < 3; i++) {
        int at = 0, first = lanes[i][0], second = lanes[i][1];
        start(second, 3);
        start(first, 2 * WEFT_PRIORITY_TURNS + 5);
        run_all(2 * WEFT_PRIORITY_TURNS + 8);
        assert_begun(&at, &first, WEFT_PRIORITY_TURNS);
        assert_begun(&at, &second, 1);
        assert_begun(&at, &first, WEFT_PRIORITY_TURNS);
        assert_begun(&at, &second, 1);
        assert_begun(&at, &first, 5);
        assert_begun(&at, &second, 1);
        weft_pool_free(pool);
        set_up();
    }
}
END_TEST

/* The most tasks that began between two of a lane, or before its first. */
static int longest_wait(int lane)
{
    int longest = 0, waited = 0, next = lane;
    for (int i = 0; i < begun; i++) {
        bool own = order[i] / 1000 == lane / 1000;
        if (own)
            ck_assert_int_eq(order[i], next++);
        longest = !own || waited <= longest ? longest : waited;
        waited = own ? 0 : waited + 1;
    }
    return longest;
}

START_TEST(of_three_lanes_none_waits_longer)
{
    start(LOW, 5);
    start(HIGH, 100);
    start(NORMAL, 5);
    run_all(110);
    ck_assert_int_eq(longest_wait(LOW), WEFT_PRIORITY_TURNS);
    ck_assert_int_eq(longest_wait(NORMAL), WEFT_PRIORITY_TURNS + 1);
    ck_assert_int_le(longest_wait(HIGH), 2);
}
END_TEST

START_TEST(the_bound_is_that_of_all_lanes)
{
    weft_pool *narrow = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = 2, .when_full = WEFT_FULL_FAIL);
    struct gate other = {0};
    occupy_at(narrow, &other);
    ck_assert_int_eq(weft_pool_start(narrow, nothing, weft_none, .priority = WEFT_PRIORITY_HIGH), 0);
    weft_future *low = weft_pool_submit(narrow, nothing, weft_none, .priority = WEFT_PRIORITY_LOW);
    ck_fails(weft_pool_start(narrow, nothing, weft_none, .priority = WEFT_PRIORITY_HIGH), EAGAIN);
    ck_fails(weft_pool_start(narrow, nothing, weft_none), EAGAIN);
    ck_assert(weft_future_cancel(low));
    ck_assert_int_eq(weft_pool_start(narrow, nothing, weft_none, .priority = WEFT_PRIORITY_HIGH), 0);
    ck_assert_uint_eq(counts_of(narrow).queued, 2);
    weft_event_set(&other.open);
    weft_pool_free(narrow);
    weft_future_free(low);
}
END_TEST

START_TEST(what_is_cancelled_leaves_its_lane)
{
    enum { SOME = 60 };
    weft_future *futures[SOME];
    for (int i = 0; i < SOME; i++)
        futures[i] = weft_pool_submit(pool, note, weft_int(i), .priority = i % 2 ? WEFT_PRIORITY_HIGH : WEFT_PRIORITY_LOW);
    for (int i = 4; i < SOME; i++)
        ck_assert(weft_future_cancel(futures[i])); /* more than may stand there dead */
    start(NORMAL, 1);
    ck_assert_uint_eq(counts_of(pool).queued, 5);
    run_all(5);
    static const int expected[] = {1, 3, NORMAL, 0, 2};
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(order[i], expected[i]);
    for (int i = 0; i < SOME; i++)
        weft_future_free(futures[i]);
}
END_TEST

START_TEST(a_pools_end_reaches_all_lanes)
{
    weft_future *futures[3];
    for (int i = 0; i < 3; i++)
        futures[i] = weft_pool_submit(pool, note, weft_int(i), .priority = (enum weft_priority)(i - 1));
    ck_fails(weft_pool_shutdown(pool, true, WEFT_NOW), EAGAIN);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(weft_future_outcome(futures[i]), WEFT_CANCELLED);
        weft_future_free(futures[i]);
    }
    run_all(0);
}
END_TEST

static weft_value wait_for_low(weft_value own)
{
    return weft_int(integer_of(weft_pool_submit(weft_as_ptr(own), twice, weft_int(4), .priority = WEFT_PRIORITY_LOW)));
}

START_TEST(who_waits_for_a_low_one_runs_it)
{
    weft_future *future = weft_pool_submit(pool, wait_for_low, weft_ptr(pool), .priority = WEFT_PRIORITY_HIGH);
    start(NORMAL, 3);
    weft_event_set(&gate.open);
    ck_assert_int_eq((int)integer_of(future), 8);
    ck_assert_uint_eq(counts_of(pool).helped, 1);
}
END_TEST

START_TEST(a_worker_without_work_is_called_for_each_lane)
{
    weft_event_set(&gate.open);
    for (int i = 0; i < 30; i++)
        ck_assert_int_eq((int)integer_of(weft_pool_submit(pool, twice, weft_int(i), .priority = (enum weft_priority)(i % 3 - 1))), 2 * i);
    ck_assert_uint_eq(counts_of(pool).workers, 1);
}
END_TEST

/* The normal task was there before all others. */
START_TEST(many_calls_have_a_lane_too)
{
    weft_value items = weft_list(), value;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(weft_list_append(items, weft_int(HIGH + i)), 0);
    start(NORMAL, 1);
    weft_results *low = weft_pool_imap(pool, note, items, .priority = WEFT_PRIORITY_LOW);
    weft_results *high = weft_pool_imap_unordered(pool, note, items, .priority = WEFT_PRIORITY_HIGH);
    weft_event_set(&gate.open);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(weft_results_next(low, &value, WEFT_FOREVER), 0);
    weft_results_free(low);
    weft_results_free(high);
    ck_assert_int_eq(order[2], HIGH + 2);
    ck_assert_int_eq(order[3], NORMAL);
    ck_assert_int_eq(order[6], HIGH + 2);
    ck_assert_int_eq(weft_pool_map(pool, note, items, &value, WEFT_FOREVER, .priority = WEFT_PRIORITY_HIGH), 0);
    weft_drop(value);
    ck_fails(weft_pool_map(pool, note, items, &value, WEFT_FOREVER, .priority = (enum weft_priority)2), EINVAL);
    ck_fails_null(weft_pool_imap(pool, note, items, .priority = (enum weft_priority) - 2), EINVAL);
    weft_drop(items);
}
END_TEST

START_TEST(there_are_three_lanes)
{
    ck_fails(weft_pool_start(pool, nothing, weft_none, .priority = (enum weft_priority)2), EINVAL);
    ck_fails_null(weft_pool_submit(pool, nothing, weft_none, .priority = (enum weft_priority) - 2), EINVAL);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, higher_lanes_begin_first);
    tcase_add_test(tests, a_lane_has_its_turn_after_so_many_others);
    tcase_add_test(tests, of_three_lanes_none_waits_longer);
    tcase_add_test(tests, the_bound_is_that_of_all_lanes);
    tcase_add_test(tests, what_is_cancelled_leaves_its_lane);
    tcase_add_test(tests, a_pools_end_reaches_all_lanes);
    tcase_add_test(tests, who_waits_for_a_low_one_runs_it);
    tcase_add_test(tests, a_worker_without_work_is_called_for_each_lane);
    tcase_add_test(tests, many_calls_have_a_lane_too);
    tcase_add_test(tests, there_are_three_lanes);
}

int main(void)
{
    return fixture_main("pool_lanes", add);
}
