/* SPDX-License-Identifier: MIT */
/* Processes under stress: several threads start, join, cancel, kill and let go of them, look at each other's handles, and count. */
#include <signal.h>
#include <stdio.h>

#include "family_root.h"
#include "shared/block.h"

enum { THREADS = 4, ROUNDS = 40 };

static weft_task *shown; /* a handle that somebody has just made, kept by who looks at it */
static weft_lock lock;   /* of that */
static uint32_t ended;   /* threads that have */

static weft_value work(weft_value how)
{
    if (weft_as_int(how) % 2)
        return weft_sleep(1000) == 0 ? weft_none : weft_error(errno, NULL);
    return weft_keep(how);
}

static void show(weft_task *task)
{
    weft_task *before = NULL;
    weft_with (&lock) {
        before = shown;
        shown = task ? weft_task_keep(task) : NULL;
    }
    weft_task_free(before);
}

/* Four ways to end one. */
static void one(int64_t how)
{
    weft_value value;
    weft_task *task = weft_spawn(WEFT_PROCESS, work, weft_int(how), .daemon = how % 8 == 0);
    MUST(task);
    show(task);
    if (how % 4 == 1)
        weft_task_cancel(task);
    if (how % 4 == 3)
        MUST((how % 8 == 3 ? weft_task_kill(task) : weft_task_terminate(task)) == 0);
    if (how % 8 != 6) { /* else the process has no handle here */
        MUST(weft_task_result(task, &value, WEFT_FOREVER) == 0);
        enum weft_outcome outcome = weft_task_outcome(task);
        MUST(how % 2 == 0 ? outcome == WEFT_DONE && weft_as_int(value) == how : weft_is_error(value));
        MUST(how % 4 != 1 || outcome == WEFT_CANCELLED);
        MUST(how % 4 != 3 || (outcome == WEFT_LOST && weft_task_exitcode(task) == (how % 8 == 3 ? -SIGKILL : -SIGTERM)));
        weft_drop(value);
    }
    weft_task_free(task);
}

static weft_value starts(weft_value first)
{
    for (int64_t i = 0; i < ROUNDS; i++)
        one(weft_as_int(first) + i);
    __atomic_add_fetch(&ended, 1, __ATOMIC_RELEASE);
    return weft_none;
}

/* Asks all that can be asked of whatever handle is shown, and counts. */
static weft_value looks(weft_value unused)
{
    (void)unused;
    while (__atomic_load_n(&ended, __ATOMIC_ACQUIRE) < THREADS) {
        weft_task *tasks[8], *task = NULL;
        char text[300];
        weft_with (&lock)
            task = shown ? weft_task_keep(shown) : NULL;
        if (task) {
            bool stopped = weft_task_state_of(task) == WEFT_STOPPED;
            MUST(weft_task_repr(task, text, sizeof(text)) > 0 && (!stopped || weft_task_outcome(task) != WEFT_PENDING));
            MUST(!stopped || !weft_task_is_alive(task));
            MUST(weft_task_join(task, weft_in(0.001)) == 0 || errno == ETIMEDOUT || errno == EAGAIN);
        }
        weft_task_free(task);
        size_t count = weft_tasks(tasks, 8);
        for (size_t i = 0; i < count && i < 8; i++)
            weft_task_free(tasks[i]);
    }
    return weft_none;
}

static void root_of_many(void)
{
    weft_task *tasks[THREADS + 1];
    struct wefti_blocks_census census;
    one(1); /* before there are threads */
    for (int i = 0; i < THREADS; i++)
        MUST((tasks[i] = weft_spawn(WEFT_THREAD, starts, weft_int(i * 3))));
    MUST((tasks[THREADS] = weft_spawn(WEFT_THREAD, looks, weft_none)));
    for (int i = 0; i <= THREADS; i++) {
        MUST(weft_task_join(tasks[i], WEFT_FOREVER) == 0 && weft_task_outcome(tasks[i]) == WEFT_DONE);
        weft_task_free(tasks[i]);
    }
    show(NULL);
    for (weft_time late = weft_in(20); weft_active_count() > 1;)
        MUST(weft_clock() < late);
    wefti_blocks_count(&census);
    MUST(census.wrong == 0);
}

START_TEST(many_start_and_end_them)
{
    NEEDS_PIDFDS;
    root_runs(root_of_many);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, many_start_and_end_them);
}

int main(void)
{
    return fixture_main("stress_process", add);
}
