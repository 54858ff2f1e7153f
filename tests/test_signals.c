/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "beside.h"

static bool blocked(int number)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, number) == 1;
}

START_TEST(a_signal_is_waited_for)
{
    struct weft_signal caught = {.number = 77};
    weft_signals *signals = weft_signals_new(SIGINT, SIGUSR1);
    ck_assert_ptr_nonnull(signals);
    ck_assert(blocked(SIGINT) && blocked(SIGUSR1) && !blocked(SIGUSR2));
    ck_fails(weft_signals_wait(signals, &caught, WEFT_NOW), EAGAIN);
    ck_fails(weft_signals_wait(signals, &caught, weft_in(0.005)), ETIMEDOUT);
    ck_assert_int_eq(caught.number, 77);
    ck_assert_int_eq(kill(getpid(), SIGINT), 0); /* as a Ctrl-C comes: to the process */
    ck_assert_int_eq(weft_signals_wait(signals, &caught, WEFT_FOREVER), 0);
    ck_assert_int_eq(caught.number, SIGINT);
    ck_assert_int_eq(caught.code, SI_USER);
    ck_assert_int_eq(caught.pid, getpid());
    ck_assert_uint_eq(caught.uid, getuid());
    ck_assert_int_eq(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 42}), 0);
    ck_assert_int_eq(weft_signals_wait(signals, &caught, WEFT_FOREVER), 0);
    ck_assert_int_eq(caught.number, SIGUSR1);
    ck_assert_int_eq(caught.code, SI_QUEUE);
    ck_assert_int_eq((int)caught.value, 42);
    ck_assert_int_eq(kill(getpid(), SIGINT), 0);
    ck_assert_int_eq(weft_signals_wait(signals, NULL, WEFT_FOREVER), 0);
    weft_signals_free(signals);
    weft_signals_free(NULL);
    ck_assert(!blocked(SIGINT) && !blocked(SIGUSR1));
}
END_TEST

START_TEST(a_child_that_ends_is_told_of)
{
    struct weft_signal caught;
    weft_signals *signals = weft_signals_new(SIGCHLD);
    pid_t child = fork();
    if (child == 0)
        fixture_leave(3);
    ck_assert_int_eq(weft_signals_wait(signals, &caught, WEFT_FOREVER), 0);
    ck_assert_int_eq(caught.number, SIGCHLD);
    ck_assert_int_eq(caught.pid, child);
    ck_assert_int_eq(caught.code, CLD_EXITED);
    ck_assert_int_eq(caught.status, 3);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    weft_signals_free(signals);
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
    const int never[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, 0, -1, 1000};
    for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
        ck_fails_null(weft_signals_new(SIGUSR1, never[i]), EINVAL);
    ck_fails_null(weft_signals_new_with(never, 0), EINVAL);
    ck_fails_null(weft_signals_new_with(NULL, 3), EINVAL);
    ck_assert(!blocked(SIGUSR1));
}
END_TEST

static weft_value wait_for_signal(weft_value signals)
{
    struct weft_signal caught;
    int result = weft_signals_wait(weft_as_ptr(signals), &caught, WEFT_FOREVER);
    return result == 0 ? weft_int(caught.number) : outcome(result);
}

START_TEST(any_task_may_wait)
{
    weft_signals *signals = weft_signals_new(SIGUSR1);
    weft_task *task = beside(wait_for_signal, signals);
    fixture_until(beside_sleeps(task));
    ck_assert_int_eq(kill(getpid(), SIGUSR1), 0);
    ck_assert_int_eq(beside_end(task), SIGUSR1);
    task = beside(wait_for_signal, signals);
    weft_task_cancel(task);
    ck_assert_int_eq(beside_end(task), -ECANCELED);
    weft_signals_free(signals);
}
END_TEST

static weft_value look_blocked(weft_value number)
{
    return weft_int(blocked((int)weft_as_int(number)));
}

static void *start_a_task(void *task)
{
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    *(weft_task **)task = weft_spawn(WEFT_THREAD, look_blocked, weft_int(SIGUSR1));
    return NULL;
}

static int blocked_in_a_task(void)
{
    pthread_t starter;
    weft_task *task = NULL;
    ck_assert_int_eq(pthread_create(&starter, NULL, start_a_task, &task), 0);
    ck_assert_int_eq(pthread_join(starter, NULL), 0);
    return beside_end(task);
}

/* Threads that Weft starts block what is waited for, though their starter does not. */
START_TEST(threads_that_are_started_block_them)
{
    weft_signals *signals = weft_signals_new(SIGUSR1), *second = weft_signals_new(SIGUSR1, SIGUSR2);
    ck_assert_int_eq(blocked_in_a_task(), 1);
    weft_signals_free(signals);
    ck_assert_int_eq(blocked_in_a_task(), 1);
    ck_assert(blocked(SIGUSR1)); /* the second has it still */
    weft_signals_free(second);
    ck_assert_int_eq(blocked_in_a_task(), 0);
    ck_assert(!blocked(SIGUSR2));
}
END_TEST

START_TEST(what_was_blocked_stays_so)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    weft_signals *signals = weft_signals_new(SIGUSR1, SIGUSR2);
    weft_signals_free(signals);
    ck_assert(blocked(SIGUSR2));
    ck_assert(!blocked(SIGUSR1));
}
END_TEST

static volatile sig_atomic_t handled;

static void handle(int number)
{
    handled = number;
}

START_TEST(what_was_not_taken_acts_afterwards)
{
    struct sigaction action = {.sa_handler = handle};
    sigaction(SIGUSR1, &action, NULL);
    weft_signals *signals = weft_signals_new(SIGUSR1);
    ck_assert_int_eq(kill(getpid(), SIGUSR1), 0);
    ck_assert_int_eq(handled, 0);
    weft_signals_free(signals);
    ck_assert_int_eq(handled, SIGUSR1);
}
END_TEST

START_TEST(select_waits_for_signals)
{
    weft_event event = {0};
    struct weft_signal caught = {.number = 0};
    weft_signals *signals = weft_signals_new(SIGTERM, SIGINT);
    weft_case cases[] = {weft_case_event(&event), weft_case_signals(signals, &caught)};
    ck_fails(weft_select(cases, 2, WEFT_NOW), EAGAIN);
    ck_fails(weft_select(cases, 2, weft_in(0.005)), ETIMEDOUT);
    ck_assert_int_eq(kill(getpid(), SIGTERM), 0);
    ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 1);
    ck_assert_int_eq(cases[1].error, 0);
    ck_assert_int_eq(caught.number, SIGTERM);
    weft_event_set(&event);
    ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 0);
    weft_case none = weft_case_signals(NULL, NULL);
    ck_fails(weft_select(&none, 1, WEFT_NOW), EINVAL);
    weft_signals_free(signals);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_signal_is_waited_for);
    tcase_add_test(tests, a_child_that_ends_is_told_of);
    tcase_add_test(tests, what_cannot_be_is_refused);
    tcase_add_test(tests, any_task_may_wait);
    tcase_add_test(tests, threads_that_are_started_block_them);
    tcase_add_test(tests, what_was_blocked_stays_so);
    tcase_add_test(tests, what_was_not_taken_acts_afterwards);
    tcase_add_test(tests, select_waits_for_signals);
}

int main(void)
{
    return fixture_main("signals", add);
}
