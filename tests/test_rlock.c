/* SPDX-License-Identifier: MIT */
#include "beside.h"

static weft_value take(weft_value data)
{
    weft_rlock *lock = weft_as_ptr(data);
    int taken = weft_rlock_acquire(lock, WEFT_FOREVER);
    return outcome(taken < 0 ? taken : weft_rlock_release(lock));
}

static weft_value try(weft_value data)
{
    return outcome(weft_rlock_acquire(weft_as_ptr(data), WEFT_NOW));
}

static weft_value try_for_a_moment(weft_value data)
{
    return outcome(weft_rlock_acquire(weft_as_ptr(data), weft_in(0.01)));
}

static weft_value give(weft_value data)
{
    return outcome(weft_rlock_release(weft_as_ptr(data)));
}

START_TEST(its_owner_takes_it_again)
{
    static weft_rlock lock;
    ck_assert(!weft_rlock_locked(&lock));
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(weft_rlock_acquire(&lock, i == 1 ? WEFT_NOW : WEFT_FOREVER), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert(weft_rlock_locked(&lock));
        ck_assert_int_eq(beside_end(beside(try, &lock)), -EAGAIN);
        ck_assert_int_eq(weft_rlock_release(&lock), 0);
    }
    ck_assert(!weft_rlock_locked(&lock));
    ck_assert_int_eq(beside_end(beside(take, &lock)), 0);
    ck_assert_uint_eq(sizeof(weft_rlock), 32);
}
END_TEST

START_TEST(others_wait_until_it_is_given_back_as_often)
{
    weft_rlock lock = {0};
    ck_assert_int_eq(weft_rlock_acquire(&lock, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_rlock_acquire(&lock, WEFT_FOREVER), 0);
    ck_assert_int_eq(beside_end(beside(try_for_a_moment, &lock)), -ETIMEDOUT);
    weft_task *task = beside(take, &lock);
    ck_assert_int_eq(weft_rlock_release(&lock), 0);
    ck_assert(weft_task_is_alive(task));
    ck_assert_int_eq(weft_rlock_release(&lock), 0);
    ck_assert_int_eq(beside_end(task), 0);
}
END_TEST

START_TEST(mistakes_are_errors)
{
    weft_rlock lock = {0};
    ck_fails(weft_rlock_release(&lock), EPERM);
    ck_assert_int_eq(weft_rlock_acquire(&lock, WEFT_FOREVER), 0);
    ck_assert_int_eq(beside_end(beside(give, &lock)), -EPERM);
    lock.depth = UINT32_MAX - 1;
    ck_fails(weft_rlock_acquire(&lock, WEFT_FOREVER), EOVERFLOW);
    lock.depth = 0;
    ck_assert_int_eq(weft_rlock_release(&lock), 0);
    ck_fails(weft_rlock_release(&lock), EPERM);
}
END_TEST

START_TEST(cancellation_ends_the_waiting)
{
    weft_rlock lock = {0};
    ck_assert_int_eq(weft_rlock_acquire(&lock, WEFT_FOREVER), 0);
    weft_task *task = beside(take, &lock);
    weft_task_cancel(task);
    ck_assert_int_eq(beside_end(task), -ECANCELED);
    ck_assert_int_eq(weft_rlock_release(&lock), 0);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, its_owner_takes_it_again);
    tcase_add_test(tests, others_wait_until_it_is_given_back_as_often);
    tcase_add_test(tests, mistakes_are_errors);
    tcase_add_test(tests, cancellation_ends_the_waiting);
}

int main(void)
{
    return fixture_main("rlock", add);
}
