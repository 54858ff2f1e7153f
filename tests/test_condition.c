/* SPDX-License-Identifier: MIT */
#include "beside.h"

enum { TASKS = 4 };

struct shared {
    weft_lock lock;
    weft_rlock rlock;
    weft_condition condition;
    weft_time deadline;
    int count;
    bool held;
};

static uint32_t waiting(const struct shared *shared)
{
    return __atomic_load_n(&shared->condition.waiting, __ATOMIC_SEQ_CST);
}

static bool is_positive(void *data)
{
    return ((struct shared *)data)->count > 0;
}

/* Waits once, and says whether the lock was the caller's afterwards. */
static weft_value wait_once(weft_value data)
{
    struct shared *shared = weft_as_ptr(data);
    weft_with (&shared->lock) {
        int waited = weft_condition_wait(&shared->condition, &shared->lock, shared->deadline);
        int error = errno;
        shared->held = weft_lock_acquire(&shared->lock, WEFT_NOW) < 0 && errno == EDEADLK;
        errno = error;
        return outcome(waited);
    }
    return weft_none;
}

static weft_value take_one(weft_value data)
{
    struct shared *shared = weft_as_ptr(data);
    weft_with (&shared->lock) {
        int waited = weft_condition_wait_for(&shared->condition, &shared->lock, is_positive, shared, shared->deadline);
        if (waited == 0)
            shared->count--;
        return outcome(waited);
    }
    return weft_none;
}

START_TEST(a_notify_wakes_a_waiter)
{
    struct shared shared = {.deadline = WEFT_FOREVER};
    weft_task *task = beside(wait_once, &shared);
    fixture_until(waiting(&shared) == 1);
    weft_with (&shared.lock)
        weft_condition_notify(&shared.condition, 1);
    ck_assert_int_eq(beside_end(task), 0);
    ck_assert(shared.held);
    ck_assert(!weft_lock_locked(&shared.lock));
    ck_assert_uint_eq(waiting(&shared), 0);
    ck_assert_uint_eq(sizeof(weft_condition), 16);
}
END_TEST

START_TEST(a_notify_of_nobody_is_nothing)
{
    struct shared shared = {.deadline = weft_in(0.01)};
    weft_condition_notify(&shared.condition, 1);
    weft_condition_notify_all(&shared.condition);
    ck_assert_uint_eq(shared.condition.sequence, 0);
    ck_assert_int_eq(beside_end(beside(wait_once, &shared)), -ETIMEDOUT);
    weft_task *task = beside(wait_once, &shared);
    weft_condition_notify(&shared.condition, 0);
    ck_assert_int_eq(beside_end(task), -ETIMEDOUT);
}
END_TEST

START_TEST(the_lock_is_held_again_whatever_ends_the_wait)
{
    struct shared shared = {.deadline = weft_in(0.01)};
    ck_assert_int_eq(beside_end(beside(wait_once, &shared)), -ETIMEDOUT);
    ck_assert(shared.held);
    shared.held = false;
    shared.deadline = WEFT_NOW;
    ck_assert_int_eq(beside_end(beside(wait_once, &shared)), -EAGAIN);
    ck_assert(shared.held);
    shared.held = false;
    shared.deadline = WEFT_FOREVER;
    weft_task *task = beside(wait_once, &shared);
    fixture_until(waiting(&shared) == 1);
    ck_assert_int_eq(weft_lock_acquire(&shared.lock, WEFT_FOREVER), 0);
    weft_task_cancel(task);
    fixture_until(waiting(&shared) == 0); /* it has been woken, and has to wait for the lock, cancelled or not */
    ck_assert(!shared.held);
    ck_assert_int_eq(weft_lock_release(&shared.lock), 0);
    ck_assert_int_eq(beside_end(task), -ECANCELED);
    ck_assert(shared.held);
}
END_TEST

START_TEST(mistakes_are_errors)
{
    struct shared shared = {0};
    ck_fails(weft_condition_wait(&shared.condition, &shared.lock, WEFT_FOREVER), EPERM);
    ck_fails(weft_condition_wait_rlock(&shared.condition, &shared.rlock, WEFT_FOREVER), EPERM);
    ck_fails(weft_condition_wait_for(&shared.condition, &shared.lock, is_positive, &shared, WEFT_FOREVER), EPERM);
}
END_TEST

START_TEST(a_predicate_that_holds_is_not_waited_for)
{
    struct shared shared = {.count = 1, .deadline = WEFT_NOW};
    ck_assert_int_eq(beside_end(beside(take_one, &shared)), 0);
    ck_assert_int_eq(beside_end(beside(take_one, &shared)), -EAGAIN);
    shared.deadline = weft_in(0.01);
    ck_assert_int_eq(beside_end(beside(take_one, &shared)), -ETIMEDOUT);
}
END_TEST

START_TEST(each_of_many_gets_one)
{
    struct shared shared = {.deadline = WEFT_FOREVER};
    weft_task *tasks[TASKS];
    for (int i = 0; i < TASKS; i++)
        tasks[i] = beside(take_one, &shared);
    fixture_until(waiting(&shared) == TASKS);
    for (int i = 0; i < 2; i++)
        weft_with (&shared.lock) {
            shared.count++;
            weft_condition_notify(&shared.condition, 1);
        }
    weft_with (&shared.lock) {
        shared.count += TASKS - 2;
        weft_condition_notify_all(&shared.condition);
    }
    for (int i = 0; i < TASKS; i++)
        ck_assert_int_eq(beside_end(tasks[i]), 0);
    ck_assert_int_eq(shared.count, 0);
}
END_TEST

START_TEST(a_cancelled_waiter_looks_at_the_predicate_once_more)
{
    struct shared shared = {.deadline = WEFT_FOREVER};
    weft_task *task = beside(take_one, &shared);
    fixture_until(waiting(&shared) == 1);
    weft_with (&shared.lock) {
        weft_task_cancel(task);
        shared.count = 1;
    }
    ck_assert_int_eq(beside_end(task), 0);
    task = beside(take_one, &shared);
    weft_task_cancel(task);
    ck_assert_int_eq(beside_end(task), -ECANCELED);
}
END_TEST

static weft_value wait_with_rlock(weft_value data)
{
    struct shared *shared = weft_as_ptr(data);
    for (int i = 0; i < 3; i++)
        weft_rlock_acquire(&shared->rlock, WEFT_FOREVER);
    int waited = weft_condition_wait_rlock(&shared->condition, &shared->rlock, shared->deadline), error = errno;
    int released = 0;
    while (weft_rlock_release(&shared->rlock) == 0)
        released++;
    errno = error;
    return outcome(waited == 0 ? released : waited);
}

START_TEST(an_rlock_is_given_back_entirely_and_taken_as_often)
{
    struct shared shared = {.deadline = WEFT_FOREVER};
    weft_task *task = beside(wait_with_rlock, &shared);
    fixture_until(waiting(&shared) == 1);
    ck_assert_int_eq(weft_rlock_acquire(&shared.rlock, WEFT_FOREVER), 0);
    weft_condition_notify_all(&shared.condition);
    ck_assert_int_eq(weft_rlock_release(&shared.rlock), 0);
    ck_assert_int_eq(beside_end(task), 3);
    shared.deadline = weft_in(0.01);
    ck_assert_int_eq(beside_end(beside(wait_with_rlock, &shared)), -ETIMEDOUT);
    ck_assert(!weft_rlock_locked(&shared.rlock));
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_notify_wakes_a_waiter);
    tcase_add_test(tests, a_notify_of_nobody_is_nothing);
    tcase_add_test(tests, the_lock_is_held_again_whatever_ends_the_wait);
    tcase_add_test(tests, mistakes_are_errors);
    tcase_add_test(tests, a_predicate_that_holds_is_not_waited_for);
    tcase_add_test(tests, each_of_many_gets_one);
    tcase_add_test(tests, a_cancelled_waiter_looks_at_the_predicate_once_more);
    tcase_add_test(tests, an_rlock_is_given_back_entirely_and_taken_as_often);
}

int main(void)
{
    return fixture_main("condition", add);
}
