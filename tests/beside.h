/* SPDX-License-Identifier: MIT */
/*
 * A function run beside the test, on a task of its own, and what its call gave: its return, or minus its errno. What those tasks are is
 * said by FIXTURE_BESIDE in the environment, so that one program has the same tests three times over:
 *   not set        beside threads
 *   "coroutines"   beside coroutines of the test's own thread
 *   "elsewhere"    in a coroutine, beside coroutines of two other threads, which are there as long as the test
 */
#ifndef BESIDE_H
#define BESIDE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

enum beside_where { BESIDE_THREADS, BESIDE_COROUTINES, BESIDE_ELSEWHERE };

static inline enum beside_where beside_where(void)
{
    const char *said = getenv("FIXTURE_BESIDE");
    return !said ? BESIDE_THREADS : strcmp(said, "elsewhere") == 0 ? BESIDE_ELSEWHERE : BESIDE_COROUTINES;
}

#define BESIDE_KIND (beside_where() == BESIDE_THREADS ? WEFT_THREAD : WEFT_COROUTINE)

/* Of a call's return, so that a task can hand it over. */
static inline weft_value outcome(int result)
{
    return weft_int(result < 0 ? -errno : result);
}

/* The other threads, and a task that one of them is to start. */
enum { BESIDE_HOMES = 2 };

struct beside_home {
    weft_queue *tasks;
    weft_task *thread;
};
static struct beside_home beside_homes[BESIDE_HOMES];

struct beside_starting {
    weft_task *task;
    int result;
    weft_event done;
};

static inline weft_value beside_live(weft_value tasks)
{
    weft_value pointer;
    while (weft_queue_get(weft_as_ptr(tasks), &pointer, WEFT_FOREVER) == 0) {
        struct beside_starting *starting = weft_as_ptr(pointer);
        starting->result = weft_task_start(starting->task);
        weft_event_set(&starting->done);
    }
    return weft_none;
}

static inline void beside_homes_open(void)
{
    for (int i = 0; i < BESIDE_HOMES; i++) {
        ck_assert_ptr_nonnull(beside_homes[i].tasks = weft_queue_new());
        beside_homes[i].thread = weft_spawn(WEFT_THREAD, beside_live, weft_ptr(beside_homes[i].tasks), .daemon = true);
        ck_assert_ptr_nonnull(beside_homes[i].thread);
    }
}

static inline void beside_homes_close(void)
{
    for (int i = 0; i < BESIDE_HOMES; i++) {
        weft_queue_close(beside_homes[i].tasks);
        ck_assert_int_eq(weft_task_join(beside_homes[i].thread, weft_in(25)), 0);
        weft_task_free(beside_homes[i].thread);
        weft_queue_free(beside_homes[i].tasks);
    }
}

/* Starts a task where those beside the test are. */
static inline void beside_start(weft_task *task)
{
    static unsigned turn;
    struct beside_starting starting = {.task = task};
    if (beside_where() == BESIDE_ELSEWHERE) {
        unsigned home = __atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) % BESIDE_HOMES;
        ck_assert_int_eq(weft_queue_put(beside_homes[home].tasks, weft_ptr(&starting), WEFT_FOREVER), 0);
        weft_shield ck_assert_int_eq(weft_event_wait(&starting.done, WEFT_FOREVER), 0);
    } else {
        starting.result = weft_task_start(task);
    }
    ck_assert_int_eq(starting.result, 0);
}

static inline weft_task *beside_with(weft_function *function, weft_value argument)
{
    weft_task *task = weft_task_new(BESIDE_KIND, function, argument);
    ck_assert_ptr_nonnull(task);
    beside_start(task);
    return task;
}

static inline weft_task *beside(weft_function *function, void *data)
{
    return beside_with(function, weft_ptr(data));
}

/* Waits for the task's end. */
static inline int beside_end(weft_task *task)
{
    weft_value value = weft_none;
    ck_assert_int_eq(weft_task_result(task, &value, weft_in(25)), 0);
    weft_task_free(task);
    return (int)weft_as_int(value);
}

/* Whether the thread of a task that has been started sleeps in the kernel; a coroutine of this thread that has had its turn does, as far as
 * anybody can tell. */
static inline bool beside_sleeps(weft_task *task)
{
    char path[64], line[256] = "";
    int id = weft_task_native_id(task);
    weft_yield();
    if (beside_where() == BESIDE_COROUTINES)
        return true;
    if (id <= 0)
        return false;
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", id);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    bool read = fgets(line, sizeof(line), file) != NULL;
    fclose(file);
    const char *end = strrchr(line, ')');
    return read && end && end[1] && end[2] == 'S';
}

/* A test, and what it is called with. */
struct beside_test {
    void (*run)(int number);
    int number;
};

static inline weft_value beside_test_body(weft_value pointer)
{
    struct beside_test *test = weft_as_ptr(pointer);
    test->run(test->number);
    return weft_none;
}

static inline void beside_test(void (*run)(int number), int number)
{
    struct beside_test test = {run, number};
    if (beside_where() != BESIDE_ELSEWHERE) {
        run(number);
        return;
    }
    beside_homes_open();
    weft_task *body = weft_spawn(WEFT_COROUTINE, beside_test_body, weft_ptr(&test), .stack_size = 1 << 20);
    ck_assert_ptr_nonnull(body);
    ck_assert_int_eq(weft_task_join(body, WEFT_FOREVER), 0);
    weft_task_free(body);
    beside_homes_close();
}

/* As Check has it, with the test's body by way of beside_test. */
#undef START_TEST
#define START_TEST(name_)                                                              \
    static void name_##_fn(int _i CK_ATTRIBUTE_UNUSED);                                \
    static void name_##_outer(int number)                                              \
    {                                                                                  \
        beside_test(name_##_fn, number);                                               \
    }                                                                                  \
    static const TTest name_##_ttest = {"" #name_, name_##_outer, __FILE__, __LINE__}; \
    static const TTest *name_ = &name_##_ttest;                                        \
    static void name_##_fn(int _i CK_ATTRIBUTE_UNUSED)

#endif
