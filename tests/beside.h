/* SPDX-License-Identifier: MIT */
/*
 * A function run beside the test, on a task of its own, and what its call gave: its return, or minus its errno. The same tests are built a
 * second time with coroutines as these tasks.
 */
#ifndef BESIDE_H
#define BESIDE_H

#include <stdio.h>
#include <string.h>

#include "fixture.h"

#ifndef BESIDE_KIND
#define BESIDE_KIND WEFT_THREAD
#endif

/* Of a call's return, so that a task can hand it over. */
static inline weft_value outcome(int result)
{
    return weft_int(result < 0 ? -errno : result);
}

static inline weft_task *beside(weft_function *function, void *data)
{
    weft_task *task = weft_spawn(BESIDE_KIND, function, weft_ptr(data));
    ck_assert_ptr_nonnull(task);
    return task;
}

/* Waits for the task's end. */
static inline int beside_end(weft_task *task)
{
    weft_value value = weft_none;
    ck_assert_int_eq(weft_task_result(task, &value, weft_in(25)), 0);
    weft_task_free(task);
    return (int)weft_as_int(value);
}

/* Whether the thread of a task that has been started sleeps in the kernel; a coroutine that has had its turn does, as far as anybody can
 * tell. */
static inline bool beside_sleeps(weft_task *task)
{
    char path[64], line[256] = "";
    int id = weft_task_native_id(task);
    weft_yield();
    if (BESIDE_KIND == WEFT_COROUTINE)
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

#endif
