/* SPDX-License-Identifier: MIT */
/* Commands started, waited for, stopped and let go by several threads at once, in all their ways; at the end nothing is left. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "fixture.h"

enum { THREADS = 4, WAYS = 8 };

static const double SECONDS = 2;
static weft_time finish;

static void drop(struct weft_command_result *result)
{
    weft_drop(result->output);
    weft_drop(result->error);
}

static void captures(bool ends, double limit)
{
    struct weft_command_result result;
    ck_assert_int_eq(weft_command_run(weft_argv("echo out; echo err >&2; exit 3"), &result, WEFT_FOREVER, .shell = true,
                         .end_with_us = ends, .time_limit = limit),
        0);
    ck_assert_int_eq(result.status.exitcode, 3);
    ck_assert_uint_eq(weft_length(result.output), 4);
    ck_assert_uint_eq(weft_length(result.error), 4);
    drop(&result);
}

/* The limit comes somewhere between the start and the end: either may be first. */
static void runs_into_its_limit(unsigned *seed)
{
    struct weft_command_result result;
    double limit = 0.0001 + 0.00001 * (double)(rand_r(seed) % 500);
    ck_assert_int_eq(
        weft_command_run(weft_argv("(setsid sleep 0.002 &) ; sleep 0.002"), &result, WEFT_FOREVER, .shell = true, .time_limit = limit), 0);
    ck_assert(result.status.timed_out ? result.status.exitcode <= 0 : result.status.exitcode == 0);
    drop(&result);
}

static void runs_out_of_time(unsigned *seed)
{
    struct weft_command_result result;
    double patience = 0.00001 * (double)(rand_r(seed) % 500);
    if (weft_command_run(weft_argv("sleep 0.002 & sleep 0.002"), &result, weft_in(patience), .shell = true) == 0)
        drop(&result);
    else
        ck_assert(errno == ETIMEDOUT || errno == EAGAIN);
}

static weft_value waits(weft_value command)
{
    struct weft_command_status status;
    return weft_int(weft_command_wait(weft_as_ptr(command), &status, WEFT_FOREVER) ? 1 : status.exitcode);
}

/* Two wait, one signals, one stops: all see one end. */
static void is_stopped_while_waited_for(double limit)
{
    weft_command *command = weft_command_start(weft_argv("sleep", "600"), .time_limit = limit, .stop_grace = 60);
    ck_assert_ptr_nonnull(command);
    weft_task *first = weft_spawn(WEFT_THREAD, waits, weft_ptr(command)), *second = weft_spawn(WEFT_THREAD, waits, weft_ptr(command));
    ck_assert(first && second);
    ck_assert_int_eq(weft_command_terminate(command, WEFT_FOREVER), 0);
    weft_value ends[2];
    ck_assert_int_eq(weft_task_result(first, &ends[0], WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_task_result(second, &ends[1], WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(ends[0]), -SIGTERM);
    ck_assert_int_eq(weft_as_int(ends[1]), -SIGTERM);
    weft_task_free(first);
    weft_task_free(second);
    weft_command_free(command);
}

static void is_let_go(bool ends)
{
    weft_command *command = weft_command_start(weft_argv("sleep", "0.002"), .end_with_us = ends, .standard_output = {.kind = WEFT_PIPE});
    ck_assert_ptr_nonnull(command);
    weft_command_free(command);
}

/* Under Valgrind the table of those that end with the host is shared memory, and stays: a leak to the fixture. */
static bool may_end(void)
{
    return !fixture_copies();
}

static void one_way(unsigned *seed)
{
    switch (rand_r(seed) % WAYS) {
    case 0:
        captures(false, 0);
        break;
    case 1:
        captures(may_end(), 0);
        break;
    case 2:
        captures(false, 60);
        break;
    case 3:
        runs_into_its_limit(seed);
        break;
    case 4:
        runs_out_of_time(seed);
        break;
    case 5:
        is_stopped_while_waited_for(0);
        break;
    case 6:
        is_stopped_while_waited_for(60);
        break;
    default:
        is_let_go(rand_r(seed) % 2 && may_end());
    }
}

static weft_value works(weft_value number)
{
    unsigned seed = (unsigned)weft_as_int(number);
    while (weft_clock() < finish)
        one_way(&seed);
    return weft_none;
}

/* Any start sweeps what was let go. */
static bool childless(void)
{
    siginfo_t info;
    captures(false, 0);
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0;
}

START_TEST(many_threads_run_commands)
{
    weft_task *tasks[THREADS];
    finish = weft_in(SECONDS);
    for (int i = 0; i < THREADS; i++)
        ck_assert_ptr_nonnull(tasks[i] = weft_spawn(WEFT_THREAD, works, weft_int(i + 1)));
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(weft_task_join(tasks[i], WEFT_FOREVER), 0);
        weft_task_free(tasks[i]);
    }
    fixture_until(childless());
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, many_threads_run_commands);
}

int main(void)
{
    return fixture_main("stress_command", add);
}
