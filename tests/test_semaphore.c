/* SPDX-License-Identifier: MIT */
#include "beside.h"

enum { TASKS = 4 };

static uint32_t waiting(const weft_semaphore *semaphore)
{
    return __atomic_load_n(&semaphore->waiting, __ATOMIC_SEQ_CST);
}

static weft_value take(weft_value data)
{
    return outcome(weft_semaphore_acquire(weft_as_ptr(data), WEFT_FOREVER));
}

static weft_value take_for_a_moment(weft_value data)
{
    return outcome(weft_semaphore_acquire(weft_as_ptr(data), weft_in(0.01)));
}

static weft_value give(weft_value data)
{
    return outcome(weft_semaphore_release(weft_as_ptr(data), 1));
}

START_TEST(permits_are_counted)
{
    weft_semaphore permits = WEFT_SEMAPHORE(2);
    ck_assert_uint_eq(weft_semaphore_value(&permits), 2);
    ck_assert_int_eq(weft_semaphore_acquire(&permits, WEFT_NOW), 0);
    ck_assert_int_eq(weft_semaphore_acquire(&permits, WEFT_FOREVER), 0);
    ck_assert_uint_eq(weft_semaphore_value(&permits), 0);
    ck_fails(weft_semaphore_acquire(&permits, WEFT_NOW), EAGAIN);
    ck_fails(weft_semaphore_acquire(&permits, weft_in(0.01)), ETIMEDOUT);
    ck_fails(weft_semaphore_acquire(&permits, 1), ETIMEDOUT);
    ck_assert_int_eq(beside_end(beside(give, &permits)), 0); /* by anybody */
    ck_assert_int_eq(weft_semaphore_release(&permits, 5), 0);
    ck_assert_uint_eq(weft_semaphore_value(&permits), 6);
    ck_assert_uint_eq(permits.word, 6);
    ck_assert_uint_eq(sizeof(weft_semaphore), 24);
}
END_TEST

START_TEST(all_zero_has_no_permit)
{
    weft_semaphore permits = {0};
    ck_fails(weft_semaphore_acquire(&permits, WEFT_NOW), EAGAIN);
    ck_assert_int_eq(weft_semaphore_release(&permits, 1), 0);
    ck_assert_int_eq(weft_semaphore_acquire(&permits, WEFT_NOW), 0);
}
END_TEST

START_TEST(mistakes_are_errors)
{
    weft_semaphore permits = WEFT_SEMAPHORE(0), bounded = WEFT_BOUNDED_SEMAPHORE(3);
    ck_fails(weft_semaphore_release(&permits, 0), EINVAL);
    ck_assert_int_eq(weft_semaphore_release(&permits, INT32_MAX), 0);
    ck_fails(weft_semaphore_release(&permits, 1), EOVERFLOW);
    ck_assert_uint_eq(weft_semaphore_value(&permits), INT32_MAX);
    ck_fails(weft_semaphore_release(&bounded, 1), EOVERFLOW);
    ck_assert_int_eq(weft_semaphore_acquire(&bounded, WEFT_NOW), 0);
    ck_fails(weft_semaphore_release(&bounded, 2), EOVERFLOW);
    ck_fails(weft_semaphore_release(&bounded, UINT32_MAX), EOVERFLOW);
    ck_assert_uint_eq(weft_semaphore_value(&bounded), 2);
    ck_assert_int_eq(weft_semaphore_release(&bounded, 1), 0);
}
END_TEST

START_TEST(as_many_go_as_permits_are_given)
{
    weft_semaphore permits = WEFT_SEMAPHORE(0);
    weft_task *tasks[TASKS];
    for (int i = 0; i < TASKS; i++)
        tasks[i] = beside(take, &permits);
    fixture_until(waiting(&permits) == TASKS);
    ck_assert_int_eq(weft_semaphore_release(&permits, 1), 0);
    fixture_until(waiting(&permits) == TASKS - 1);
    ck_assert_int_eq(weft_semaphore_release(&permits, TASKS - 1), 0);
    for (int i = 0; i < TASKS; i++)
        ck_assert_int_eq(beside_end(tasks[i]), 0);
    ck_assert_uint_eq(permits.word, 0); /* the last took the waiters' bit with him */
}
END_TEST

START_TEST(who_leaves_takes_no_permit)
{
    weft_semaphore permits = WEFT_SEMAPHORE(0);
    weft_task *cancelled = beside(take, &permits), *other = beside(take, &permits);
    fixture_until(waiting(&permits) == 2);
    weft_task_cancel(cancelled);
    ck_assert_int_eq(beside_end(cancelled), -ECANCELED);
    ck_assert_int_eq(beside_end(beside(take_for_a_moment, &permits)), -ETIMEDOUT);
    ck_assert_int_eq(weft_semaphore_release(&permits, 1), 0);
    ck_assert_int_eq(beside_end(other), 0);
    ck_assert_uint_eq(permits.word, 0);
}
END_TEST

START_TEST(the_last_to_leave_by_a_deadline_leaves_no_mark)
{
    weft_semaphore permits = WEFT_SEMAPHORE(0);
    ck_fails(weft_semaphore_acquire(&permits, weft_in(0.005)), ETIMEDOUT);
    ck_assert_uint_eq(permits.word, 0);
    ck_assert_uint_eq(waiting(&permits), 0);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, permits_are_counted);
    tcase_add_test(tests, all_zero_has_no_permit);
    tcase_add_test(tests, mistakes_are_errors);
    tcase_add_test(tests, as_many_go_as_permits_are_given);
    tcase_add_test(tests, who_leaves_takes_no_permit);
    tcase_add_test(tests, the_last_to_leave_by_a_deadline_leaves_no_mark);
}

int main(void)
{
    return fixture_main("semaphore", add);
}
