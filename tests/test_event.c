/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "beside.h"

enum { WAITERS = 2, TASKS = 4 };

static uint32_t word_of(const weft_event *event)
{
    return __atomic_load_n(&event->word, __ATOMIC_ACQUIRE);
}

static weft_value wait_for(weft_value data)
{
    return outcome(weft_event_wait(weft_as_ptr(data), WEFT_FOREVER));
}

static weft_value wait_a_moment(weft_value data)
{
    return outcome(weft_event_wait(weft_as_ptr(data), weft_in(0.01)));
}

START_TEST(set_it_stays_set)
{
    static weft_event event;
    ck_assert(!weft_event_is_set(&event));
    ck_fails(weft_event_wait(&event, WEFT_NOW), EAGAIN);
    ck_fails(weft_event_wait(&event, weft_in(0.01)), ETIMEDOUT);
    weft_event_set(&event);
    weft_event_set(&event);
    ck_assert(weft_event_is_set(&event));
    ck_assert_int_eq(weft_event_wait(&event, WEFT_NOW), 0);
    ck_assert_int_eq(weft_event_wait(&event, WEFT_FOREVER), 0);
    weft_event_clear(&event);
    weft_event_clear(&event);
    ck_assert(!weft_event_is_set(&event));
    ck_fails(weft_event_wait(&event, WEFT_NOW), EAGAIN);
    ck_assert_uint_eq(sizeof(weft_event), 8);
}
END_TEST

START_TEST(a_set_lets_all_through)
{
    weft_event event = {0};
    weft_task *tasks[TASKS];
    for (int i = 0; i < TASKS; i++)
        tasks[i] = beside(wait_for, &event);
    fixture_until(word_of(&event) & WAITERS);
    weft_event_set(&event);
    for (int i = 0; i < TASKS; i++)
        ck_assert_int_eq(beside_end(tasks[i]), 0);
    ck_assert_uint_eq(word_of(&event) & WAITERS, 0);
}
END_TEST

START_TEST(a_set_that_is_cleared_at_once_lets_through_who_waited)
{
    weft_event event = {0};
    for (int i = 0; i < 100; i++) {
        weft_task *task = beside(wait_for, &event);
        fixture_until(word_of(&event) & WAITERS);
        weft_event_set(&event);
        weft_event_clear(&event);
        ck_assert_int_eq(beside_end(task), 0);
        ck_assert(!weft_event_is_set(&event));
    }
}
END_TEST

START_TEST(deadline_and_cancellation_end_the_waiting)
{
    weft_event event = {0};
    weft_task *task = beside(wait_for, &event);
    fixture_until(word_of(&event) & WAITERS);
    ck_assert_int_eq(beside_end(beside(wait_a_moment, &event)), -ETIMEDOUT);
    weft_event_clear(&event); /* of what is not set: nothing */
    weft_task_cancel(task);
    ck_assert_int_eq(beside_end(task), -ECANCELED);
}
END_TEST

static weft_value set_later(weft_value data)
{
    weft_event *event = weft_as_ptr(data);
    weft_event_set(event);
    return weft_none;
}

START_TEST(the_waiter_may_free_it)
{
    for (int i = 0; i < 200; i++) {
        weft_event *event = calloc(1, sizeof(*event));
        weft_task *task = beside(set_later, event);
        ck_assert_int_eq(weft_event_wait(event, WEFT_FOREVER), 0);
        memset(event, 0xff, sizeof(*event)); /* ThreadSanitizer sees a set that touches it now */
        free(event);
        beside_end(task);
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, set_it_stays_set);
    tcase_add_test(tests, a_set_lets_all_through);
    tcase_add_test(tests, a_set_that_is_cleared_at_once_lets_through_who_waited);
    tcase_add_test(tests, deadline_and_cancellation_end_the_waiting);
    tcase_add_test(tests, the_waiter_may_free_it);
}

int main(void)
{
    return fixture_main("event", add);
}
