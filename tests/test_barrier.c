/* SPDX-License-Identifier: MIT */
#include "beside.h"

enum { PARTIES = 3, ROUNDS = 300 };

struct meeting {
    weft_barrier barrier;
    weft_time deadline;
    int actions;
    int result; /* of the action */
    int inside; /* errno of a wait from inside it */
    bool aborts, resets;
    weft_event began, goes_on;
    uint32_t places[ROUNDS];
};

static int act(void *data)
{
    struct meeting *meeting = data;
    meeting->actions++;
    meeting->inside = weft_barrier_wait(&meeting->barrier, WEFT_FOREVER) < 0 ? errno : 0;
    if (meeting->aborts)
        weft_barrier_abort(&meeting->barrier);
    if (meeting->resets)
        weft_barrier_reset(&meeting->barrier);
    return meeting->result;
}

static int act_slowly(void *data)
{
    struct meeting *meeting = data;
    weft_event_set(&meeting->began);
    weft_event_wait(&meeting->goes_on, WEFT_FOREVER);
    return 0;
}

static weft_value meet(weft_value data)
{
    struct meeting *meeting = weft_as_ptr(data);
    return outcome(weft_barrier_wait(&meeting->barrier, meeting->deadline));
}

static weft_value meet_for_a_moment(weft_value data)
{
    struct meeting *meeting = weft_as_ptr(data);
    return outcome(weft_barrier_wait(&meeting->barrier, weft_in(0.02)));
}

static void until_waiting(struct meeting *meeting, uint32_t count)
{
    fixture_until(weft_barrier_waiting(&meeting->barrier) == count);
}

START_TEST(alone_nobody_is_waited_for)
{
    weft_barrier barrier = WEFT_BARRIER(1);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(weft_barrier_wait(&barrier, WEFT_NOW), 0);
    ck_assert_uint_eq(weft_barrier_waiting(&barrier), 0);
    ck_assert_uint_eq(sizeof(weft_barrier), 72);
    ck_assert(!weft_barrier_broken(&barrier));
}
END_TEST

START_TEST(mistakes_are_errors)
{
    weft_barrier barrier = {0};
    ck_fails(weft_barrier_wait(&barrier, WEFT_FOREVER), EINVAL);
}
END_TEST

static weft_value meet_often(weft_value data)
{
    struct meeting *meeting = weft_as_ptr(data);
    for (int i = 0; i < ROUNDS; i++) {
        int place = weft_barrier_wait(&meeting->barrier, WEFT_FOREVER);
        if (place < 0)
            return outcome(place);
        __atomic_fetch_or(&meeting->places[i], 1U << place, __ATOMIC_RELAXED);
    }
    return weft_int(0);
}

START_TEST(it_is_used_again_and_again)
{
    struct meeting meeting = {.barrier = WEFT_BARRIER(PARTIES, .action = act, .data = &meeting)};
    weft_task *tasks[PARTIES];
    for (int i = 0; i < PARTIES; i++)
        tasks[i] = beside(meet_often, &meeting);
    for (int i = 0; i < PARTIES; i++)
        ck_assert_int_eq(beside_end(tasks[i]), 0);
    ck_assert_int_eq(meeting.actions, ROUNDS);
    ck_assert_int_eq(meeting.inside, EDEADLK);
    for (int i = 0; i < ROUNDS; i++)
        ck_assert_uint_eq(meeting.places[i], (1U << PARTIES) - 1); /* each place once a round */
}
END_TEST

START_TEST(who_leaves_by_a_deadline_breaks_it)
{
    struct meeting meeting = {.barrier = WEFT_BARRIER(PARTIES), .deadline = WEFT_FOREVER};
    weft_task *task = beside(meet, &meeting);
    until_waiting(&meeting, 1);
    ck_fails(weft_barrier_wait(&meeting.barrier, weft_in(0.01)), ETIMEDOUT);
    ck_assert_int_eq(beside_end(task), -EPIPE);
    ck_assert(weft_barrier_broken(&meeting.barrier));
    ck_fails(weft_barrier_wait(&meeting.barrier, WEFT_FOREVER), EPIPE);
    weft_barrier_reset(&meeting.barrier);
    ck_assert(!weft_barrier_broken(&meeting.barrier));
    ck_fails(weft_barrier_wait(&meeting.barrier, WEFT_NOW), EAGAIN);
    ck_assert(weft_barrier_broken(&meeting.barrier));
}
END_TEST

START_TEST(who_is_cancelled_breaks_it)
{
    struct meeting meeting = {.barrier = WEFT_BARRIER(PARTIES), .deadline = WEFT_FOREVER};
    weft_task *cancelled = beside(meet, &meeting), *other = beside(meet, &meeting);
    until_waiting(&meeting, 2);
    weft_task_cancel(cancelled);
    ck_assert_int_eq(beside_end(cancelled), -ECANCELED);
    ck_assert_int_eq(beside_end(other), -EPIPE);
    ck_assert_uint_eq(weft_barrier_waiting(&meeting.barrier), 0);
}
END_TEST

START_TEST(abort_and_reset_send_off_who_waits)
{
    struct meeting meeting = {.barrier = WEFT_BARRIER(2), .deadline = WEFT_FOREVER};
    for (int i = 0; i < 10; i++) {
        weft_task *task = beside(meet, &meeting);
        until_waiting(&meeting, 1);
        if (i % 2)
            weft_barrier_reset(&meeting.barrier);
        else
            weft_barrier_abort(&meeting.barrier);
        ck_assert_int_eq(beside_end(task), -EPIPE);
        ck_assert_int_eq(weft_barrier_broken(&meeting.barrier), !(i % 2));
        weft_barrier_reset(&meeting.barrier);
    }
    weft_task *task = beside(meet, &meeting);
    ck_assert_int_ge(weft_barrier_wait(&meeting.barrier, WEFT_FOREVER), 0);
    ck_assert_int_ge(beside_end(task), 0);
    weft_barrier_abort(&meeting.barrier); /* with nobody there */
    ck_fails(weft_barrier_wait(&meeting.barrier, WEFT_FOREVER), EPIPE);
}
END_TEST

START_TEST(an_action_that_fails_breaks_it)
{
    struct meeting meeting = {.barrier = WEFT_BARRIER(2, .action = act, .data = &meeting), .deadline = WEFT_FOREVER, .result = -1};
    for (int i = 0; i < 3; i++) {
        meeting.aborts = i == 1;
        meeting.resets = i == 2;
        weft_task *task = beside(meet, &meeting);
        until_waiting(&meeting, 1);
        ck_fails(weft_barrier_wait(&meeting.barrier, WEFT_FOREVER), EPIPE);
        ck_assert_int_eq(beside_end(task), -EPIPE);
        ck_assert_int_eq(weft_barrier_broken(&meeting.barrier), i < 2);
        ck_assert_int_eq(meeting.actions, i + 1);
        weft_barrier_reset(&meeting.barrier);
    }
}
END_TEST

START_TEST(others_wait_while_the_action_runs)
{
    struct meeting meeting = {.barrier = WEFT_BARRIER(2, .action = act_slowly, .data = &meeting), .deadline = WEFT_FOREVER};
    weft_task *first = beside(meet, &meeting), *second = beside(meet, &meeting);
    ck_assert_int_eq(weft_event_wait(&meeting.began, weft_in(20)), 0);
    ck_fails(weft_barrier_wait(&meeting.barrier, weft_in(0.01)), ETIMEDOUT); /* comes too early: breaks nothing */
    ck_fails(weft_barrier_wait(&meeting.barrier, WEFT_NOW), EAGAIN);
    ck_assert(!weft_barrier_broken(&meeting.barrier));
    weft_task *third = beside(meet, &meeting);
    weft_event_set(&meeting.goes_on);
    ck_assert_int_eq(beside_end(first) + beside_end(second), 1);
    ck_assert_int_eq(weft_barrier_wait(&meeting.barrier, WEFT_FOREVER) + beside_end(third), 1);
}
END_TEST

START_TEST(a_deadline_during_the_action_breaks_it)
{
    struct meeting meeting = {.barrier = WEFT_BARRIER(2, .action = act_slowly, .data = &meeting), .deadline = WEFT_FOREVER};
    weft_task *hasty = beside(meet_for_a_moment, &meeting);
    until_waiting(&meeting, 1);
    weft_task *task = beside(meet, &meeting);
    ck_assert_int_eq(beside_end(hasty), -ETIMEDOUT);
    weft_event_set(&meeting.goes_on);
    ck_assert_int_eq(beside_end(task), -EPIPE);
}
END_TEST

START_TEST(a_place_is_waited_for)
{
    weft_barrier barrier = WEFT_BARRIER(2);
    barrier.leaving[0] = 1; /* as if one of the round before the last were still on his way out */
    ck_fails(weft_barrier_wait(&barrier, weft_in(0.01)), ETIMEDOUT);
    ck_assert(!weft_barrier_broken(&barrier));
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, alone_nobody_is_waited_for);
    tcase_add_test(tests, mistakes_are_errors);
    tcase_add_test(tests, it_is_used_again_and_again);
    tcase_add_test(tests, who_leaves_by_a_deadline_breaks_it);
    tcase_add_test(tests, who_is_cancelled_breaks_it);
    tcase_add_test(tests, abort_and_reset_send_off_who_waits);
    tcase_add_test(tests, an_action_that_fails_breaks_it);
    tcase_add_test(tests, others_wait_while_the_action_runs);
    tcase_add_test(tests, a_deadline_during_the_action_breaks_it);
    tcase_add_test(tests, a_place_is_waited_for);
}

int main(void)
{
    return fixture_main("barrier", add);
}
