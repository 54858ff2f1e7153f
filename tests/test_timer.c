/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "beside.h"

enum { MANY = 2000 };

static uint32_t calls;

static uint32_t calls_now(void)
{
    return __atomic_load_n(&calls, __ATOMIC_ACQUIRE);
}

static weft_value count_call(weft_value argument)
{
    (void)argument;
    __atomic_add_fetch(&calls, 1, __ATOMIC_ACQ_REL);
    return weft_none;
}

START_TEST(after_calls_once)
{
    uint64_t ticks = 0;
    weft_timer *timer = weft_after(0.001, count_call, weft_str("argument"));
    ck_assert_ptr_nonnull(timer);
    ck_assert_int_eq(weft_timer_join(timer, WEFT_FOREVER), 0);
    ck_assert_uint_eq(calls_now(), 1);
    ck_assert_uint_eq(weft_timer_count(timer), 1);
    ck_fails(weft_timer_cancel(timer), EALREADY);
    ck_assert_int_eq(weft_timer_wait(timer, &ticks, WEFT_NOW), 0);
    ck_assert_uint_eq(ticks, 1);
    ck_fails(weft_timer_wait(timer, &ticks, WEFT_FOREVER), EPIPE);
    ck_assert_uint_eq(ticks, 1);
    weft_timer_free(timer);
    weft_timer_free(NULL);
    weft_timer_free(weft_after(0, count_call, weft_none)); /* goes on without its handle */
    weft_timer_free(weft_after(-5, count_call, weft_none));
    fixture_until(calls_now() == 3);
}
END_TEST

START_TEST(every_calls_until_it_is_cancelled)
{
    uint64_t ticks = 0, all = 0;
    weft_timer *timer = weft_every(0.0005, count_call, weft_str("argument"));
    while (all < 5) {
        ck_assert_int_eq(weft_timer_wait(timer, &ticks, WEFT_FOREVER), 0);
        ck_assert_uint_ge(ticks, 1);
        all += ticks;
    }
    ck_assert_uint_ge(calls_now(), all);
    ck_assert_int_eq(weft_timer_cancel(timer), 0);
    ck_fails(weft_timer_cancel(timer), EALREADY);
    ck_assert_int_eq(weft_timer_join(timer, WEFT_FOREVER), 0);
    uint64_t called = weft_timer_count(timer);
    ck_assert_uint_eq(called, calls_now());
    while (weft_timer_wait(timer, &ticks, WEFT_NOW) == 0)
        all += ticks;
    ck_assert_int_eq(errno, EPIPE);
    ck_assert_uint_eq(all, called);
    ck_assert_uint_eq(calls_now(), called);
    weft_timer_free(timer);
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
    ck_fails_null(weft_every(0, count_call, weft_none), EINVAL);
    ck_fails_null(weft_every(-1, count_call, weft_none), EINVAL);
    ck_fails_null(weft_every(1e-10, count_call, weft_none), EINVAL);
    ck_fails_null(weft_every(1e10, count_call, weft_none), EINVAL);
    ck_fails_null(weft_every(0.0 / (calls_now() ? 1 : 0.0), count_call, weft_none), EINVAL);
}
END_TEST

START_TEST(a_cancelled_one_is_never_called)
{
    uint64_t ticks = 7;
    weft_timer *timer = weft_after(1000, count_call, weft_str("argument"));
    ck_fails(weft_timer_wait(timer, &ticks, WEFT_NOW), EAGAIN);
    ck_fails(weft_timer_wait(timer, &ticks, weft_in(0.005)), ETIMEDOUT);
    ck_fails(weft_timer_join(timer, WEFT_NOW), EAGAIN);
    ck_fails(weft_timer_join(timer, weft_in(0.005)), ETIMEDOUT);
    ck_assert_int_eq(weft_timer_cancel(timer), 0);
    ck_assert_int_eq(weft_timer_join(timer, WEFT_NOW), 0);
    ck_fails(weft_timer_wait(timer, &ticks, WEFT_FOREVER), EPIPE);
    ck_assert_uint_eq(ticks, 7);
    ck_assert_uint_eq(weft_timer_count(timer), 0);
    weft_timer_free(timer);
    ck_assert_uint_eq(calls_now(), 0);
    timer = weft_after(1.0 / (calls_now() ? 1 : 0.0), NULL, weft_none); /* never */
    ck_assert_int_eq(weft_timer_cancel(timer), 0);
    weft_timer_free(timer);
}
END_TEST

static weft_value wait_for_tick(weft_value timer)
{
    return outcome(weft_timer_wait(weft_as_ptr(timer), NULL, WEFT_FOREVER));
}

static weft_value wait_for_end(weft_value timer)
{
    return outcome(weft_timer_join(weft_as_ptr(timer), WEFT_FOREVER));
}

START_TEST(a_cancel_lets_waiters_go)
{
    weft_timer *timer = weft_after(1000, NULL, weft_none);
    weft_task *ticking = beside(wait_for_tick, timer), *joining = beside(wait_for_end, timer), *leaving = beside(wait_for_end, timer);
    weft_task_cancel(leaving);
    ck_assert_int_eq(beside_end(leaving), -ECANCELED);
    fixture_until(beside_sleeps(ticking) && beside_sleeps(joining));
    ck_assert_int_eq(weft_timer_cancel(timer), 0);
    ck_assert_int_eq(beside_end(ticking), -EPIPE);
    ck_assert_int_eq(beside_end(joining), 0);
    weft_timer_free(timer);
}
END_TEST

static int order[MANY], ordered;

static weft_value put_in_order(weft_value number)
{
    order[ordered++] = (int)weft_as_int(number); /* all on one task */
    return weft_none;
}

static weft_event gate, inside;

static weft_value hold_up(weft_value none)
{
    (void)none;
    weft_event_set(&inside);
    return weft_event_wait(&gate, WEFT_FOREVER) == 0 ? weft_none : weft_error(errno, NULL);
}

/* All are due when the first lets the others go: they come in the order of their moments. */
START_TEST(they_come_in_order)
{
    static weft_timer *timers[MANY];
    weft_timer *first = weft_after(0, hold_up, weft_none);
    int cancelled = 0;
    ck_assert_int_eq(weft_event_wait(&inside, WEFT_FOREVER), 0);
    for (int i = 0; i < MANY; i++) /* neighbours lie in one moment nearly, and those made later come before those made earlier */
        timers[i] = weft_after(-1, put_in_order, weft_int(i));
    for (int i = 0; i < MANY; i += 3)
        cancelled += weft_timer_cancel(timers[i]) == 0;
    ck_assert_int_eq(cancelled, (MANY + 2) / 3);
    weft_event_set(&gate);
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(weft_timer_join(timers[i], WEFT_FOREVER), 0);
        ck_assert_uint_eq(weft_timer_count(timers[i]), i % 3 != 0);
        weft_timer_free(timers[i]);
    }
    weft_timer_free(first);
    ck_assert_int_eq(ordered, MANY - cancelled);
    for (int i = 1; i < ordered; i++)
        ck_assert_int_lt(order[i - 1], order[i]);
}
END_TEST

/* The heap: moments in an order that has nothing to do with that in which they are made. */
START_TEST(the_earlier_comes_first)
{
    weft_timer *timers[MANY], *last = NULL;
    for (int i = 0; i < MANY; i++)
        timers[i] = weft_after(1000 + i * 7 % 101, put_in_order, weft_int(i));
    weft_timer *soon = weft_after(0.001, put_in_order, weft_int(-1));
    ck_assert_int_eq(weft_timer_join(soon, WEFT_FOREVER), 0);
    ck_assert_int_eq(order[0], -1);
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(weft_timer_cancel(timers[i * 11 % MANY]), 0);
        if (i == MANY / 2) {
            last = weft_after(0.001, put_in_order, weft_int(-2));
            ck_assert_int_eq(weft_timer_join(last, WEFT_FOREVER), 0);
        }
    }
    ck_assert_int_eq(order[1], -2);
    ck_assert_int_eq(ordered, 2);
    for (int i = 0; i < MANY; i++)
        weft_timer_free(timers[i]);
    weft_timer_free(last);
    weft_timer_free(soon);
}
END_TEST

/* Moments that passed while a call was held up are made up for by one. */
START_TEST(what_was_missed_is_called_once)
{
    weft_timer *every = weft_every(0.0001, count_call, weft_none);
    weft_timer *holding = weft_after(0, hold_up, weft_none);
    ck_assert_int_eq(weft_event_wait(&inside, WEFT_FOREVER), 0);
    uint64_t before = weft_timer_count(every);
    weft_time then = weft_clock();
    while (weft_clock() - then < 5000000) /* fifty moments pass */
        ;
    ck_assert_uint_eq(weft_timer_count(every), before);
    weft_event_set(&gate);
    fixture_until(weft_timer_count(every) > before);
    ck_assert_int_eq(weft_timer_cancel(every), 0);
    ck_assert_int_eq(weft_timer_join(every, WEFT_FOREVER), 0);
    weft_time passed = weft_clock() - then;
    ck_assert_int_le((int64_t)(weft_timer_count(every) - before), passed / 100000 - 50 + 2);
    weft_timer_free(every);
    weft_timer_free(holding);
}
END_TEST

static weft_timer *own;

static weft_value look_around(weft_value none)
{
    sigset_t mask;
    (void)none;
    int joined = weft_timer_join(own, WEFT_FOREVER), error = errno;
    if (joined != -1 || error != EDEADLK)
        return weft_error(EINVAL, "it joined itself");
    if (strcmp(weft_task_name(weft_current()), "Timers") != 0 || !weft_task_daemon(weft_current()))
        return weft_error(EINVAL, "on another task");
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    if (!sigismember(&mask, SIGINT) || !sigismember(&mask, SIGTERM))
        return weft_error(EINVAL, "signals are not blocked");
    if (weft_timer_cancel(own) != 0) /* of weft_every: from inside */
        return weft_error(EINVAL, "no cancel");
    weft_timer_free(weft_after(0, count_call, weft_none));
    __atomic_store_n(&calls, calls_now() + 10, __ATOMIC_RELEASE);
    return weft_none;
}

START_TEST(a_function_may_call_everything)
{
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    weft_timer *holding = weft_after(0, hold_up, weft_none); /* until `own` is known */
    own = weft_every(0.001, look_around, weft_none);
    weft_event_set(&gate);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    ck_assert_int_eq(sigismember(&after, SIGINT), sigismember(&before, SIGINT));
    fixture_until(calls_now() == 11);
    ck_assert_int_eq(weft_timer_join(own, WEFT_FOREVER), 0);
    ck_assert_uint_eq(weft_timer_count(own), 1);
    ck_assert_uint_eq(weft_uncollected_count(), 0);
    weft_timer_free(own);
    weft_timer_free(holding);
}
END_TEST

static weft_value fail_with(weft_value text)
{
    return weft_error(ENOENT, "%s", weft_as_str(text));
}

static char failure[64];

static void note_failure(const char *what, weft_value error, void *data)
{
    (void)data;
    snprintf(failure, sizeof(failure), "%s: %d", what, weft_error_code(error));
}

START_TEST(a_failure_goes_to_the_hook)
{
    weft_on_uncollected(note_failure, NULL);
    weft_timer *timer = weft_after(0, fail_with, weft_str("no such thing"));
    ck_assert_int_eq(weft_timer_join(timer, WEFT_FOREVER), 0);
    weft_on_uncollected(NULL, NULL);
    ck_assert_str_eq(failure, "timer: 2");
    ck_assert_uint_eq(weft_uncollected_count(), 1);
    weft_timer_free(timer);
}
END_TEST

START_TEST(select_waits_for_timers)
{
    uint64_t ticks = 0;
    weft_event never = {0};
    weft_timer *every = weft_every(0.001, NULL, weft_none), *late = weft_after(1000, NULL, weft_none);
    weft_case cases[] = {weft_case_event(&never), weft_case_timer(late, NULL), weft_case_timer(every, &ticks)};
    for (int i = 0; i < 3; i++) {
        ticks = 0;
        ck_assert_int_eq(weft_select(cases, 3, WEFT_FOREVER), 2);
        ck_assert_int_eq(cases[2].error, 0);
        ck_assert_uint_ge(ticks, 1);
    }
    ck_assert_int_eq(weft_timer_cancel(late), 0);
    cases[2] = (weft_case){0};
    ck_assert_int_eq(weft_select(cases, 3, WEFT_FOREVER), 1);
    ck_assert_int_eq(cases[1].error, EPIPE);
    weft_case none = weft_case_timer(NULL, NULL);
    ck_fails(weft_select(&none, 1, WEFT_NOW), EINVAL);
    weft_timer_cancel(every);
    weft_timer_free(every);
    weft_timer_free(late);
}
END_TEST

START_TEST(a_forked_child_has_none_of_them)
{
    if (FIXTURE_TSAN)
        fixture_skip("ThreadSanitizer does not survive threads in a forked child");
    weft_timer *timer = weft_after(1000, count_call, weft_none), *every = weft_every(0.0005, count_call, weft_none);
    ck_assert_int_eq(weft_timer_wait(every, NULL, WEFT_FOREVER), 0);
    pid_t child = fork();
    if (child == 0) {
        uint32_t before = calls_now();
        if (weft_timer_join(timer, WEFT_NOW) != 0 || weft_timer_join(every, WEFT_NOW) != 0)
            fixture_leave(1);
        if (weft_timer_cancel(timer) != -1 || errno != EALREADY)
            fixture_leave(2);
        weft_timer_free(timer);
        weft_timer_free(every);
        timer = weft_after(0.001, count_call, weft_none); /* its own it may have */
        if (!timer || weft_timer_join(timer, WEFT_FOREVER) != 0 || calls_now() != before + 1)
            fixture_leave(3);
        weft_timer_free(timer);
        fixture_leave(0);
    }
    int status = 1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(weft_timer_wait(every, NULL, WEFT_FOREVER), 0);
    weft_timer_cancel(timer);
    weft_timer_cancel(every);
    weft_timer_free(timer);
    weft_timer_free(every);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, after_calls_once);
    tcase_add_test(tests, every_calls_until_it_is_cancelled);
    tcase_add_test(tests, what_cannot_be_is_refused);
    tcase_add_test(tests, a_cancelled_one_is_never_called);
    tcase_add_test(tests, a_cancel_lets_waiters_go);
    tcase_add_test(tests, they_come_in_order);
    tcase_add_test(tests, the_earlier_comes_first);
    tcase_add_test(tests, what_was_missed_is_called_once);
    tcase_add_test(tests, a_function_may_call_everything);
    tcase_add_test(tests, a_failure_goes_to_the_hook);
    tcase_add_test(tests, select_waits_for_timers);
    tcase_add_test(tests, a_forked_child_has_none_of_them);
}

int main(void)
{
    return fixture_main("timer", add);
}
