/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "beside.h"
#include "pool/future.h"
#include "pool_tasks.h"

static weft_pool *pool;
static struct gate gate;

/* Of the kind that waits beside the test. */
static weft_pool *pool_of(unsigned workers)
{
    weft_pool *made = weft_pool_new(BESIDE_KIND, .workers = workers, .backlog = 1000, .threads = BESIDE_KIND == WEFT_COROUTINE);
    ck_assert_ptr_nonnull(made);
    return made;
}

static void set_up(void)
{
    gate = (struct gate){0};
    pool = pool_of(1);
}

static void tear_down(void)
{
    weft_event_set(&gate.open);
    weft_pool_free(pool);
}

/* Occupies the one worker until the gate opens. */
static weft_future *occupy(void)
{
    weft_future *future = weft_pool_submit(pool, wait_at, weft_ptr(&gate));
    ck_assert_ptr_nonnull(future);
    fixture_until(gate_reached(&gate) > 0);
    return future;
}

START_TEST(a_result_can_be_asked_for_again)
{
    weft_future *future = weft_pool_submit(pool, twice, weft_int(21));
    weft_value value;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(weft_future_result(future, &value, WEFT_FOREVER), 0);
        ck_assert_int_eq(weft_as_int(value), 42);
    }
    ck_assert_int_eq(weft_future_result(future, NULL, WEFT_NOW), 0);
    ck_assert_int_eq(weft_future_outcome(future), WEFT_DONE);
    ck_assert(weft_future_done(future));
    ck_assert(!weft_future_running(future));
    weft_future_free(future);
    ck_fails(weft_future_result(NULL, &value, WEFT_NOW), EINVAL);
    weft_future_free(NULL);
}
END_TEST

static weft_value own_text(weft_value argument)
{
    return weft_str_f("<%s>", weft_as_str(argument));
}

START_TEST(a_result_outlives_pool_and_task)
{
    weft_pool *other = pool_of(2);
    weft_future *future = weft_pool_submit(other, own_text, weft_str("a text of one's own"));
    weft_future *kept = weft_future_keep(future);
    ck_assert_ptr_eq(kept, future);
    weft_pool_free(other);
    weft_future_free(future);
    weft_value first, second;
    ck_assert_int_eq(weft_future_result(kept, &first, WEFT_NOW), 0);
    ck_assert_int_eq(weft_future_result(kept, &second, WEFT_NOW), 0);
    weft_future_free(kept);
    ck_assert_str_eq(weft_as_str(first), "<a text of one's own>");
    weft_drop(first);
    ck_assert_str_eq(weft_as_str(second), "<a text of one's own>");
    weft_drop(second);
}
END_TEST

START_TEST(an_error_is_a_result)
{
    weft_future *future = weft_pool_submit(pool, not_there, weft_str("no such page"));
    weft_value value;
    ck_assert_int_eq(weft_future_result(future, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_error_code(value), ENOENT);
    ck_assert_str_eq(weft_error_text(value), "no such page");
    ck_assert_int_eq(weft_future_outcome(future), WEFT_FAILED);
    weft_drop(value);
    weft_future_free(future);
    ck_assert_int_eq((int)weft_uncollected_count(), 0);
}
END_TEST

START_TEST(a_wait_ends_at_its_deadline)
{
    weft_future *future = occupy();
    weft_value value = weft_int(7);
    ck_fails(weft_future_result(future, &value, WEFT_NOW), EAGAIN);
    ck_fails(weft_future_result(future, &value, weft_in(0.01)), ETIMEDOUT);
    ck_assert_int_eq(weft_as_int(value), 7);
    ck_assert(weft_future_running(future));
    ck_assert(!weft_future_done(future));
    ck_assert_int_eq(weft_future_outcome(future), WEFT_PENDING);
    weft_future *waiting = weft_pool_submit(pool, nothing, weft_none);
    ck_assert(!weft_future_running(waiting));
    weft_event_set(&gate.open);
    ck_assert_int_eq(weft_future_result(future, &value, weft_in(20)), 0);
    weft_future_free(future);
    weft_future_free(waiting);
}
END_TEST

static weft_value result_of(weft_value future)
{
    return weft_future_result(weft_as_ptr(future), NULL, WEFT_FOREVER) == 0 ? weft_none : weft_int(errno);
}

START_TEST(a_waiter_can_be_cancelled)
{
    weft_future *future = occupy();
    weft_task *waiter = beside(result_of, future);
    weft_task_cancel(waiter);
    weft_value value;
    ck_assert_int_eq(weft_task_result(waiter, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(value), ECANCELED);
    weft_task_free(waiter);
    ck_assert(weft_future_running(future));
    weft_future_free(future);
}
END_TEST

START_TEST(many_may_wait)
{
    weft_future *future = occupy();
    weft_task *waiters[4];
    for (int i = 0; i < 4; i++)
        waiters[i] = beside(result_of, future);
    weft_event_set(&gate.open);
    for (int i = 0; i < 4; i++) {
        weft_value value;
        ck_assert_int_eq(weft_task_result(waiters[i], &value, WEFT_FOREVER), 0);
        ck_assert(weft_is_none(value));
        weft_task_free(waiters[i]);
    }
    weft_future_free(future);
}
END_TEST

START_TEST(cancelled_before_it_began_it_never_runs)
{
    int runs = 0;
    weft_future *occupant = occupy();
    weft_future *before = weft_pool_submit(pool, count_up, weft_ptr(&runs));
    weft_future *future = weft_pool_submit(pool, own_text, weft_str("an argument that is dropped"));
    weft_future *after = weft_pool_submit(pool, count_up, weft_ptr(&runs));
    ck_assert(weft_future_cancel(future));
    ck_assert(!weft_future_cancel(future));
    ck_assert_int_eq(weft_future_outcome(future), WEFT_CANCELLED);
    weft_value value;
    ck_assert_int_eq(weft_future_result(future, &value, WEFT_NOW), 0);
    ck_assert_int_eq(weft_error_code(value), ECANCELED);
    weft_drop(value);
    weft_event_set(&gate.open);
    ck_assert_int_eq(weft_future_result(before, NULL, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_future_result(after, NULL, WEFT_FOREVER), 0);
    ck_assert_int_eq(runs, 2);
    ck_assert(!weft_future_cancel(after));
    ck_assert_int_eq(weft_future_outcome(after), WEFT_DONE);
    weft_future_free(occupant);
    weft_future_free(before);
    weft_future_free(future);
    weft_future_free(after);
}
END_TEST

/* Whatever place in the line it had, the others keep theirs. */
START_TEST(any_of_those_that_wait_can_be_cancelled)
{
    enum { MANY = 6 };
    for (unsigned set = 0; set < 1U << MANY; set++) {
        gate = (struct gate){0};
        weft_future *occupant = occupy(), *futures[MANY];
        int runs = 0;
        for (int i = 0; i < MANY; i++) {
            if (i == MANY / 2) { /* some of them in the older part of the line, some in the younger */
                struct gate second = {0};
                weft_future *next = weft_pool_submit(pool, wait_at, weft_ptr(&second));
                weft_event_set(&second.open);
                weft_future_cancel(next);
                weft_future_free(next);
            }
            futures[i] = weft_pool_submit(pool, count_up, weft_ptr(&runs));
        }
        int cancelled = 0;
        for (int i = MANY - 1; i >= 0; i--)
            if (set & 1U << i)
                cancelled += weft_future_cancel(futures[i]);
        ck_assert_int_eq(cancelled, __builtin_popcount(set));
        weft_event_set(&gate.open);
        ck_assert_int_eq(weft_wait_all(futures, MANY, WEFT_FOREVER), 0);
        ck_assert_int_eq(runs, MANY - cancelled);
        for (int i = 0; i < MANY; i++)
            weft_future_free(futures[i]);
        weft_future_free(occupant);
    }
}
END_TEST

START_TEST(cancelled_while_it_runs_its_waits_fail)
{
    weft_future *future = occupy();
    ck_assert(weft_future_cancel(future));
    weft_value value;
    ck_assert_int_eq(weft_future_result(future, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_error_code(value), ECANCELED);
    ck_assert_int_eq(weft_future_outcome(future), WEFT_CANCELLED);
    weft_drop(value);
    weft_future_free(future);
    struct gate second = {0};
    weft_future *next = weft_pool_submit(pool, wait_at, weft_ptr(&second)); /* on the same thread, which is cancelled no more */
    fixture_until(gate_reached(&second) == 1);
    ck_fails(weft_future_result(next, NULL, weft_in(0.01)), ETIMEDOUT);
    weft_event_set(&second.open);
    ck_assert_int_eq(weft_future_result(next, NULL, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_future_outcome(next), WEFT_DONE);
    weft_future_free(next);
}
END_TEST

static weft_value finish_all_the_same(weft_value pointer)
{
    struct gate *at = weft_as_ptr(pointer);
    __atomic_add_fetch(&at->reached, 1, __ATOMIC_RELEASE);
    while (!weft_cancelled())
        weft_yield();
    return weft_int(3);
}

START_TEST(a_task_may_finish_though_it_was_cancelled)
{
    weft_future *future = weft_pool_submit(pool, finish_all_the_same, weft_ptr(&gate));
    fixture_until(gate_reached(&gate) == 1);
    ck_assert(weft_future_cancel(future));
    weft_value value;
    ck_assert_int_eq(weft_future_result(future, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(value), 3);
    ck_assert_int_eq(weft_future_outcome(future), WEFT_DONE);
    weft_future_free(future);
}
END_TEST

/* What callbacks have seen, in order. */
static struct {
    char letters[16];
    size_t count;
    weft_task *task;
    enum weft_outcome outcome;
} seen;

static int note(weft_future *future, void *letter)
{
    seen.task = weft_current();
    seen.outcome = weft_future_outcome(future);
    seen.letters[seen.count++] = *(char *)letter;
    return 0;
}

static weft_value who(weft_value unused)
{
    (void)unused;
    return weft_ptr(weft_current());
}

static weft_value wait_and_tell_who(weft_value pointer)
{
    wait_at(pointer);
    return weft_ptr(weft_current());
}

START_TEST(callbacks_are_called_in_order_by_the_worker)
{
    memset(&seen, 0, sizeof(seen));
    weft_future *future = weft_pool_submit(pool, wait_and_tell_who, weft_ptr(&gate), .on_done = note, .data = "a");
    ck_assert_int_eq(weft_future_on_done(future, note, "b"), 0);
    ck_assert_int_eq(weft_future_on_done(future, note, "c"), 0);
    ck_assert_int_eq(weft_future_on_done(future, note, "d"), 0);
    weft_event_set(&gate.open);
    weft_value worker;
    ck_assert_int_eq(weft_future_result(future, &worker, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0); /* callbacks over */
    ck_assert_str_eq(seen.letters, "abcd");
    ck_assert_int_eq(seen.outcome, WEFT_DONE);
    ck_assert_ptr_eq(seen.task, weft_as_ptr(worker));
    ck_assert_int_eq(weft_future_on_done(future, note, "e"), 0);
    ck_assert_str_eq(seen.letters, "abcde");
    ck_assert_ptr_eq(seen.task, weft_current());
    ck_fails(weft_future_on_done(future, NULL, NULL), EINVAL);
    ck_fails(weft_future_on_done(NULL, note, NULL), EINVAL);
    weft_future_free(future);
}
END_TEST

START_TEST(a_callback_of_one_cancelled_in_line_is_called_by_who_cancels)
{
    memset(&seen, 0, sizeof(seen));
    weft_future *occupant = occupy();
    weft_future *future = weft_pool_submit(pool, nothing, weft_none);
    ck_assert_int_eq(weft_future_on_done(future, note, "x"), 0);
    ck_assert(weft_future_cancel(future));
    ck_assert_str_eq(seen.letters, "x");
    ck_assert_int_eq(seen.outcome, WEFT_CANCELLED);
    ck_assert_ptr_eq(seen.task, weft_current());
    weft_future_free(future);
    weft_future_free(occupant);
}
END_TEST

static int add_another(weft_future *future, void *letter)
{
    note(future, letter);
    ck_assert_int_eq(weft_future_on_done(future, note, "2"), 0);
    return note(future, letter);
}

START_TEST(a_callback_may_add_another_which_comes_after_it)
{
    memset(&seen, 0, sizeof(seen));
    ck_assert_int_eq(weft_pool_start(pool, nothing, weft_none, .on_done = add_another, .data = "1"), 0);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    ck_assert_str_eq(seen.letters, "112");
}
END_TEST

static struct {
    char what[256];
    int code;
} uncollected;

static void collect(const char *what, weft_value error, void *data)
{
    (void)data;
    strncpy(uncollected.what, what, sizeof(uncollected.what) - 1);
    uncollected.code = weft_error_code(error);
}

static int fail_to_note(weft_future *future, void *letter)
{
    note(future, letter);
    errno = ENOSPC;
    return -1;
}

START_TEST(a_failing_callback_is_counted_and_harms_no_other)
{
    memset(&seen, 0, sizeof(seen));
    weft_on_uncollected(collect, NULL);
    weft_future *future = weft_pool_submit(pool, wait_at, weft_ptr(&gate), .on_done = fail_to_note, .data = "a", .name = "gatekeeper");
    ck_assert_int_eq(weft_future_on_done(future, note, "b"), 0);
    weft_event_set(&gate.open);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    ck_assert_str_eq(seen.letters, "ab");
    ck_assert_int_eq((int)weft_uncollected_count(), 1);
    ck_assert_int_eq(uncollected.code, ENOSPC);
    ck_assert_str_eq(uncollected.what, "callback of task gatekeeper of Pool-1");
    ck_assert_int_eq(weft_future_outcome(future), WEFT_DONE);
    weft_future_free(future);
    weft_on_uncollected(NULL, NULL);
}
END_TEST

START_TEST(a_failure_nobody_collects_is_told)
{
    weft_on_uncollected(collect, NULL);
    ck_assert_int_eq(weft_pool_start(pool, not_there, weft_str("unseen"), .name = "hermit"), 0);
    weft_future *future = weft_pool_submit(pool, not_there, weft_str("unread"));
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    ck_assert_int_eq((int)weft_uncollected_count(), 1);
    ck_assert_str_eq(uncollected.what, "task hermit of Pool-1");
    ck_assert_int_eq(uncollected.code, ENOENT);
    weft_future_free(future);
    ck_assert_int_eq((int)weft_uncollected_count(), 2);
    ck_assert_str_eq(uncollected.what, "task of Pool-1");
    weft_on_uncollected(NULL, NULL);
}
END_TEST

START_TEST(any_of_several_is_waited_for)
{
    struct gate second = {0};
    weft_pool *two = pool_of(2);
    weft_future *futures[2] = {weft_pool_submit(two, wait_at, weft_ptr(&gate)), weft_pool_submit(two, wait_at, weft_ptr(&second))};
    ck_fails((int)weft_wait_any(futures, 2, WEFT_NOW), EAGAIN);
    ck_fails((int)weft_wait_any(futures, 2, weft_in(0.01)), ETIMEDOUT);
    ck_fails(weft_wait_all(futures, 2, weft_in(0.01)), ETIMEDOUT);
    ck_fails(weft_wait_all(futures, 2, WEFT_NOW), EAGAIN);
    weft_event_set(&second.open);
    ck_assert_int_eq(weft_wait_any(futures, 2, WEFT_FOREVER), 1);
    ck_assert_int_eq(weft_wait_any(futures, 2, WEFT_NOW), 1);
    weft_event_set(&gate.open);
    ck_assert_int_eq(weft_wait_all(futures, 2, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_wait_any(futures, 2, WEFT_NOW), 0);
    ck_fails((int)weft_wait_any(futures, 0, WEFT_FOREVER), EINVAL);
    ck_fails((int)weft_wait_any(NULL, 2, WEFT_FOREVER), EINVAL);
    ck_fails(weft_wait_all(futures, 0, WEFT_FOREVER), EINVAL);
    ck_fails(weft_wait_all((weft_future *[]){futures[0], NULL}, 2, WEFT_FOREVER), EINVAL);
    weft_pool_free(two);
    weft_future_free(futures[0]);
    weft_future_free(futures[1]);
}
END_TEST

static weft_value any_of(weft_value future)
{
    weft_future *one = weft_as_ptr(future);
    return weft_wait_any(&one, 1, WEFT_FOREVER) == 0 ? weft_none : weft_int(errno);
}

START_TEST(a_wait_for_any_sleeps_and_can_be_cancelled)
{
    weft_future *future = occupy();
    weft_task *woken = beside(any_of, future), *cancelled = beside(any_of, future);
    weft_value value;
    weft_task_cancel(cancelled);
    ck_assert_int_eq(weft_task_result(cancelled, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(value), ECANCELED);
    weft_event_set(&gate.open);
    ck_assert_int_eq(weft_task_result(woken, &value, WEFT_FOREVER), 0);
    ck_assert(weft_is_none(value));
    weft_task_free(woken);
    weft_task_free(cancelled);
    weft_future_free(future);
}
END_TEST

START_TEST(one_of_ones_own_is_set_once)
{
    memset(&seen, 0, sizeof(seen));
    weft_future *future = weft_future_new();
    ck_assert_ptr_nonnull(future);
    ck_assert_int_eq(weft_future_outcome(future), WEFT_PENDING);
    ck_assert(!weft_future_running(future));
    ck_fails(weft_future_result(future, NULL, weft_in(0.001)), ETIMEDOUT);
    ck_assert_int_eq(weft_future_on_done(future, note, "s"), 0);
    ck_assert_int_eq(weft_future_set(future, weft_str("set")), 0);
    ck_assert_str_eq(seen.letters, "s");
    ck_fails(weft_future_set(future, weft_none), EALREADY);
    ck_assert(!weft_future_cancel(future));
    weft_value value;
    ck_assert_int_eq(weft_future_result(future, &value, WEFT_FOREVER), 0);
    ck_assert_str_eq(weft_as_str(value), "set");
    weft_drop(value);
    weft_future_free(future);
    ck_fails(weft_future_set(NULL, weft_none), EINVAL);
    future = weft_pool_submit(pool, nothing, weft_none);
    ck_fails(weft_future_set(future, weft_none), EINVAL);
    weft_future_free(future);
}
END_TEST

static weft_value set_late(weft_value pointer)
{
    weft_sleep(0.01);
    ck_assert_int_eq(weft_future_set(weft_as_ptr(pointer), weft_int(5)), 0);
    return weft_none;
}

START_TEST(one_of_ones_own_is_waited_for)
{
    weft_future *future = weft_future_new();
    ck_assert_int_eq(weft_pool_start(pool, set_late, weft_ptr(future)), 0);
    ck_assert_int_eq((int)integer_of(weft_future_keep(future)), 5);
    weft_future_free(future);
    future = weft_future_new();
    ck_assert(weft_future_cancel(future));
    ck_assert_int_eq(weft_future_outcome(future), WEFT_CANCELLED);
    ck_fails(weft_future_set(future, weft_none), EALREADY);
    weft_future_free(future);
}
END_TEST

START_TEST(a_future_can_be_selected)
{
    weft_future *future = weft_pool_submit(pool, wait_and_tell_who, weft_ptr(&gate));
    weft_future *late = weft_pool_submit(pool, who, weft_none);
    weft_value value;
    weft_case cases[] = {weft_case_future(late, &value), weft_case_future(future, &value)};
    ck_fails(weft_select(cases, 2, WEFT_NOW), EAGAIN);
    ck_fails(weft_select(cases, 2, weft_in(0.01)), ETIMEDOUT);
    weft_event_set(&gate.open);
    ck_assert_int_ge(weft_select(cases, 2, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_select(cases, 1, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_kind(value), WEFT_PTR);
    weft_future_free(future);
    weft_future_free(late);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_result_can_be_asked_for_again);
    tcase_add_test(tests, a_result_outlives_pool_and_task);
    tcase_add_test(tests, an_error_is_a_result);
    tcase_add_test(tests, a_wait_ends_at_its_deadline);
    tcase_add_test(tests, a_waiter_can_be_cancelled);
    tcase_add_test(tests, many_may_wait);
    tcase_add_test(tests, cancelled_before_it_began_it_never_runs);
    tcase_add_test(tests, any_of_those_that_wait_can_be_cancelled);
    tcase_add_test(tests, cancelled_while_it_runs_its_waits_fail);
    tcase_add_test(tests, a_task_may_finish_though_it_was_cancelled);
    tcase_add_test(tests, callbacks_are_called_in_order_by_the_worker);
    tcase_add_test(tests, a_callback_of_one_cancelled_in_line_is_called_by_who_cancels);
    tcase_add_test(tests, a_callback_may_add_another_which_comes_after_it);
    tcase_add_test(tests, a_failing_callback_is_counted_and_harms_no_other);
    tcase_add_test(tests, a_failure_nobody_collects_is_told);
    tcase_add_test(tests, any_of_several_is_waited_for);
    tcase_add_test(tests, a_wait_for_any_sleeps_and_can_be_cancelled);
    tcase_add_test(tests, one_of_ones_own_is_set_once);
    tcase_add_test(tests, one_of_ones_own_is_waited_for);
    tcase_add_test(tests, a_future_can_be_selected);
}

int main(void)
{
    return fixture_main("future", add);
}
