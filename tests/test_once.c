/* SPDX-License-Identifier: MIT */
#include "beside.h"

enum { WAITERS = 2, TASKS = 4 };

struct work {
    weft_once once;
    weft_time deadline;
    int calls, failures; /* how often it is still to fail */
    int inside;          /* errno of a call from inside */
    weft_event began, goes_on;
};

static int work_do(void *data)
{
    struct work *work = data;
    work->calls++;
    if (work->failures-- <= 0)
        return 0;
    errno = EIO;
    return -1;
}

static int work_slowly(void *data)
{
    struct work *work = data;
    weft_event_set(&work->began);
    weft_event_wait(&work->goes_on, WEFT_FOREVER);
    return work_do(data);
}

static int work_inside(void *data)
{
    struct work *work = data;
    work->inside = weft_once_call(&work->once, work_do, work, WEFT_FOREVER) < 0 ? errno : 0;
    return work_do(data);
}

static weft_value call(weft_value data)
{
    struct work *work = weft_as_ptr(data);
    return outcome(weft_once_call(&work->once, work_slowly, work, work->deadline));
}

START_TEST(once_is_once)
{
    struct work work = {0};
    ck_assert(!weft_once_done(&work.once));
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(weft_once_call(&work.once, work_do, &work, WEFT_NOW), 0);
    ck_assert(weft_once_done(&work.once));
    ck_assert_int_eq(work.calls, 1);
    ck_assert_uint_eq(sizeof(weft_once), 8);
}
END_TEST

START_TEST(a_failure_is_tried_again_by_the_next)
{
    struct work work = {.failures = 2};
    ck_fails(weft_once_call(&work.once, work_do, &work, WEFT_FOREVER), EIO);
    ck_assert(!weft_once_done(&work.once));
    ck_fails(weft_once_call(&work.once, work_do, &work, WEFT_FOREVER), EIO);
    ck_assert_int_eq(weft_once_call(&work.once, work_do, &work, WEFT_FOREVER), 0);
    ck_assert_int_eq(work.calls, 3);
}
END_TEST

START_TEST(from_inside_it_is_a_deadlock)
{
    struct work work = {0};
    ck_assert_int_eq(weft_once_call(&work.once, work_inside, &work, WEFT_FOREVER), 0);
    ck_assert_int_eq(work.inside, EDEADLK);
    ck_assert_int_eq(work.calls, 1);
}
END_TEST

static void until_one_waits(const struct work *work)
{
    fixture_until(__atomic_load_n(&work->once.word, __ATOMIC_ACQUIRE) & WAITERS);
}

START_TEST(others_wait_for_it)
{
    struct work work = {.failures = 1, .deadline = WEFT_FOREVER};
    weft_task *tasks[TASKS];
    for (int i = 0; i < TASKS; i++)
        tasks[i] = beside(call, &work);
    ck_assert_int_eq(weft_event_wait(&work.began, weft_in(20)), 0);
    until_one_waits(&work);
    ck_fails(weft_once_call(&work.once, work_do, &work, WEFT_NOW), EAGAIN);
    ck_fails(weft_once_call(&work.once, work_do, &work, weft_in(0.01)), ETIMEDOUT);
    ck_assert(!weft_once_done(&work.once));
    weft_event_set(&work.goes_on);
    int failed = 0;
    for (int i = 0; i < TASKS; i++)
        failed += beside_end(tasks[i]) == -EIO;
    ck_assert_int_eq(failed, 1); /* his alone, and one of the others did it */
    ck_assert_int_eq(work.calls, 2);
    ck_assert(weft_once_done(&work.once));
}
END_TEST

START_TEST(cancellation_ends_the_waiting)
{
    struct work work = {.deadline = WEFT_FOREVER};
    weft_task *caller = beside(call, &work);
    ck_assert_int_eq(weft_event_wait(&work.began, weft_in(20)), 0);
    weft_task *task = beside(call, &work);
    until_one_waits(&work);
    weft_task_cancel(task);
    ck_assert_int_eq(beside_end(task), -ECANCELED);
    weft_event_set(&work.goes_on);
    ck_assert_int_eq(beside_end(caller), 0);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, once_is_once);
    tcase_add_test(tests, a_failure_is_tried_again_by_the_next);
    tcase_add_test(tests, from_inside_it_is_a_deadlock);
    tcase_add_test(tests, others_wait_for_it);
    tcase_add_test(tests, cancellation_ends_the_waiting);
}

int main(void)
{
    return fixture_main("once", add);
}
