/* SPDX-License-Identifier: MIT */
/* Futures in the order in which they end. */
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "pool/pool.h"
#include "pool_tasks.h"

enum { MANY = 200 };

static weft_pool *pool;
static struct gate gate;

static void set_up(void)
{
    gate = (struct gate){0};
    pool = weft_pool_new(WEFT_THREAD, .workers = 2, .backlog = WEFT_UNBOUNDED);
}

static void tear_down(void)
{
    weft_event_set(&gate.open);
    weft_pool_free(pool);
}

static void futures_free(weft_future **futures, size_t count)
{
    for (size_t i = 0; i < count; i++)
        weft_future_free(futures[i]);
}

START_TEST(they_come_in_the_order_of_their_ends)
{
    weft_future *futures[] = {weft_future_new(), weft_future_new(), weft_future_new(), weft_future_new()};
    ck_assert_int_eq(weft_future_set(futures[3], weft_none), 0);
    weft_completed *completed = weft_as_completed(futures, 4);
    ck_assert_int_eq(weft_completed_next(completed, WEFT_NOW), 3); /* had ended before */
    ck_fails(weft_completed_next(completed, WEFT_NOW), EAGAIN);
    ck_fails(weft_completed_next(completed, weft_in(0.01)), ETIMEDOUT);
    ck_assert_int_eq(weft_future_set(futures[2], weft_none), 0);
    ck_assert(weft_future_cancel(futures[0]));
    ck_assert_int_eq(weft_completed_next(completed, WEFT_FOREVER), 2);
    ck_assert_int_eq(weft_completed_next(completed, WEFT_FOREVER), 0);
    ck_fails(weft_completed_next(completed, weft_in(0.01)), ETIMEDOUT); /* as does the last, which is waited for alone */
    ck_assert_int_eq(weft_future_set(futures[1], weft_none), 0);
    ck_assert_int_eq(weft_completed_next(completed, WEFT_FOREVER), 1);
    ck_fails(weft_completed_next(completed, WEFT_FOREVER), EPIPE);
    weft_completed_free(completed);
    futures_free(futures, 4);
}
END_TEST

START_TEST(bad_calls_are_refused)
{
    weft_future *futures[] = {weft_future_new(), NULL};
    ck_fails_null(weft_as_completed(futures, 2), EINVAL);
    ck_fails_null(weft_as_completed(NULL, 1), EINVAL);
    ck_fails(weft_completed_next(NULL, WEFT_NOW), EINVAL);
    weft_completed_free(NULL);
    weft_completed *none = weft_as_completed(NULL, 0);
    ck_assert_ptr_nonnull(none);
    ck_fails(weft_completed_next(none, WEFT_FOREVER), EPIPE);
    weft_completed_free(none);
    weft_future_free(futures[0]);
}
END_TEST

START_TEST(one_may_stand_there_twice)
{
    weft_future *one = weft_future_new(), *futures[] = {one, one};
    weft_completed *completed = weft_as_completed(futures, 2);
    ck_assert_int_eq(weft_future_set(one, weft_none), 0);
    long first = weft_completed_next(completed, WEFT_FOREVER), second = weft_completed_next(completed, WEFT_FOREVER);
    ck_assert_int_eq(first + second, 1);
    weft_completed_free(completed);
    weft_future_free(one);
}
END_TEST

START_TEST(many_are_each_given_once)
{
    weft_future *futures[MANY];
    for (int i = 0; i < MANY; i++)
        futures[i] = weft_pool_submit(pool, twice, weft_int(i));
    weft_completed *completed = weft_as_completed(futures, MANY);
    bool seen[MANY] = {false};
    for (int i = 0; i < MANY; i++) {
        long at = weft_completed_next(completed, WEFT_FOREVER);
        ck_assert(at >= 0 && at < MANY && !seen[at] && weft_future_done(futures[at]));
        seen[at] = true;
    }
    ck_fails(weft_completed_next(completed, WEFT_FOREVER), EPIPE);
    weft_completed_free(completed);
    futures_free(futures, MANY);
}
END_TEST

START_TEST(it_holds_the_futures_and_may_be_freed_before_they_end)
{
    occupy_at(pool, &gate);
    occupy_at(pool, &gate);
    weft_future *futures[] = {weft_pool_submit(pool, twice, weft_int(1)), weft_pool_submit(pool, twice, weft_int(2)), weft_future_new()};
    weft_completed *first = weft_as_completed(futures, 3), *second = weft_as_completed(futures, 2);
    futures_free(futures, 3); /* the last is never set */
    weft_completed_free(first);
    weft_event_set(&gate.open);
    ck_assert_int_ge(weft_completed_next(second, WEFT_FOREVER), 0);
    weft_completed_free(second);
}
END_TEST

static int note_outcome(weft_future *future, void *outcome)
{
    *(enum weft_outcome *)outcome = weft_future_outcome(future);
    return 0;
}

static int keep_it(weft_future *future, void *kept)
{
    *(weft_future **)kept = weft_future_keep(future);
    return 0;
}

START_TEST(one_that_nobody_will_set_ends_as_lost)
{
    enum weft_outcome outcome = WEFT_PENDING;
    weft_future *kept = NULL, *future = weft_future_new();
    ck_assert_int_eq(weft_future_on_done(future, note_outcome, &outcome), 0);
    ck_assert_int_eq(weft_future_on_done(future, keep_it, &kept), 0);
    weft_future_free(future);
    ck_assert_int_eq(outcome, WEFT_LOST);
    weft_value value;
    ck_assert_int_eq(weft_future_result(kept, &value, WEFT_NOW), 0);
    ck_assert_int_eq(weft_error_code(value), EOWNERDEAD);
    ck_fails(weft_future_set(kept, weft_none), EALREADY);
    weft_future_free(kept);
}
END_TEST

static int wait_in_callback(weft_future *future, void *unused)
{
    (void)future;
    (void)unused;
    weft_drop(wait_at(weft_ptr(&gate)));
    return 0;
}

START_TEST(no_callback_is_in_the_way)
{
    weft_future *futures[] = {weft_pool_submit(pool, nothing, weft_none, .on_done = wait_in_callback), weft_future_new()};
    weft_completed *completed = weft_as_completed(futures, 2);
    ck_assert_int_eq(weft_completed_next(completed, WEFT_FOREVER), 0);
    fixture_until(gate_reached(&gate) == 1);
    weft_completed *after = weft_as_completed(futures, 2);
    ck_assert_int_eq(weft_completed_next(after, WEFT_FOREVER), 0);
    weft_event_set(&gate.open);
    weft_completed_free(after);
    weft_completed_free(completed);
    futures_free(futures, 2);
}
END_TEST

static int count_call(weft_future *future, void *calls)
{
    (void)future;
    ++*(int *)calls;
    return 0;
}

START_TEST(other_callbacks_are_called_as_before)
{
    int calls = 0;
    weft_future *future = weft_future_new();
    ck_assert_int_eq(weft_future_on_done(future, count_call, &calls), 0);
    weft_completed *first = weft_as_completed(&future, 1);
    ck_assert_int_eq(weft_future_on_done(future, count_call, &calls), 0);
    weft_completed *second = weft_as_completed(&future, 1);
    ck_assert_int_eq(weft_future_on_done(future, count_call, &calls), 0);
    ck_assert_int_eq(weft_future_set(future, weft_none), 0);
    ck_assert_int_eq(calls, 3);
    ck_assert_int_eq(weft_completed_next(first, WEFT_NOW), 0);
    ck_assert_int_eq(weft_completed_next(second, WEFT_NOW), 0);
    weft_completed_free(first);
    weft_completed_free(second);
    weft_future_free(future);
}
END_TEST

/* In a task of the pool, over tasks of the pool. */
static weft_value complete_inside(weft_value seconds)
{
    double limit = weft_as_float(seconds);
    weft_future *futures[6];
    for (int i = 0; i < 6; i++)
        futures[i] = weft_pool_submit(pool, twice, weft_int(i));
    weft_completed *completed = weft_as_completed(futures, 6);
    int64_t sum = 0;
    for (long at; (at = weft_completed_next(completed, limit > 0 ? weft_in(limit) : WEFT_FOREVER)) >= 0;)
        sum += at;
    weft_completed_free(completed);
    futures_free(futures, 6);
    return weft_int(errno == EPIPE ? sum : -errno);
}

START_TEST(tasks_may_wait_so_for_their_own_pool)
{
    for (unsigned workers = 1; workers <= 3; workers++) {
        weft_pool_free(pool);
        pool = weft_pool_new(WEFT_THREAD, .workers = workers, .backlog = WEFT_UNBOUNDED);
        ck_assert_int_eq(integer_of(weft_pool_submit(pool, complete_inside, weft_float(0))), 15);
        ck_assert_int_eq(integer_of(weft_pool_submit(pool, complete_inside, weft_float(60))), 15);
        weft_value items = weft_list(), sums;
        for (int i = 0; i < 10; i++)
            weft_list_append(items, weft_float(i % 2 * 60));
        ck_assert_int_eq(weft_pool_map(pool, complete_inside, items, &sums, WEFT_FOREVER), 0);
        for (int i = 0; i < 10; i++)
            ck_assert_int_eq(weft_as_int(weft_list_at(sums, i)), 15);
        weft_drop(sums);
        weft_drop(items);
    }
}
END_TEST

static weft_future *itself;

static weft_value complete_itself(weft_value unused)
{
    (void)unused;
    weft_event_wait(&gate.open, WEFT_FOREVER);
    weft_completed *completed = weft_as_completed(&itself, 1);
    long at = weft_completed_next(completed, WEFT_FOREVER);
    int error = at == -1 ? errno : 0;
    weft_completed_free(completed);
    if (weft_wait_any(&itself, 1, WEFT_FOREVER) != -1 || errno != EDEADLK)
        error = 0;
    return weft_int(error);
}

START_TEST(a_circle_is_told)
{
    itself = weft_pool_submit(pool, complete_itself, weft_none);
    weft_event_set(&gate.open);
    ck_assert_int_eq(integer_of(itself), EDEADLK);
}
END_TEST

static weft_value next_in_a_thread(weft_value completed)
{
    return weft_int(weft_completed_next(weft_as_ptr(completed), WEFT_FOREVER) == -1 ? errno : 0);
}

START_TEST(who_waits_can_be_cancelled)
{
    weft_future *futures[] = {weft_future_new(), weft_future_new()};
    weft_completed *completed = weft_as_completed(futures, 2);
    weft_task *thread = weft_spawn(WEFT_THREAD, next_in_a_thread, weft_ptr(completed));
    weft_task_cancel(thread);
    weft_value value;
    ck_assert_int_eq(weft_task_result(thread, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(value), ECANCELED);
    weft_task_free(thread);
    weft_completed_free(completed);
    futures_free(futures, 2);
}
END_TEST

START_TEST(a_forked_child_is_told)
{
    weft_future *future = weft_pool_submit(pool, wait_at, weft_ptr(&gate));
    weft_completed *completed = weft_as_completed(&future, 1);
    pid_t child = fork();
    if (child == 0) {
        bool stale = weft_completed_next(completed, WEFT_FOREVER) == -1 && errno == ESTALE;
        weft_completed_free(completed);
        weft_completed *anew = weft_as_completed(&future, 1);
        fixture_leave(stale && weft_completed_next(anew, WEFT_NOW) == 0 ? 0 : 1); /* it is lost, which is an end */
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    weft_event_set(&gate.open);
    ck_assert_int_eq(weft_completed_next(completed, WEFT_FOREVER), 0);
    weft_completed_free(completed);
    weft_future_free(future);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, they_come_in_the_order_of_their_ends);
    tcase_add_test(tests, bad_calls_are_refused);
    tcase_add_test(tests, one_may_stand_there_twice);
    tcase_add_test(tests, many_are_each_given_once);
    tcase_add_test(tests, it_holds_the_futures_and_may_be_freed_before_they_end);
    tcase_add_test(tests, one_that_nobody_will_set_ends_as_lost);
    tcase_add_test(tests, no_callback_is_in_the_way);
    tcase_add_test(tests, other_callbacks_are_called_as_before);
    tcase_add_test(tests, tasks_may_wait_so_for_their_own_pool);
    tcase_add_test(tests, a_circle_is_told);
    tcase_add_test(tests, who_waits_can_be_cancelled);
    tcase_add_test(tests, a_forked_child_is_told);
}

int main(void)
{
    return fixture_main("completed", add);
}
