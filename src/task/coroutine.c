/* SPDX-License-Identifier: MIT */
/*
 * Tasks as coroutines of the thread that starts them (coroutine floor). There is nothing to reap: a coroutine that has ended gives its
 * stack back itself.
 *
 * A thread whose function has returned goes on until its coroutines have ended (wefti_coroutines_join). Which are its own is told by the
 * kernel's number of the thread, that is in the handle.
 */

#include "coroutine/coroutine.h"

#include <errno.h>

#include "base/opening.h"
#include "base/peek.h"
#include "task/task.h"

static void coroutine_run(void *data)
{
    weft_task *task = data;
    wefti_task_run(task);
    wefti_context_current()->task = NULL;
    weft_task_free(task);
}

static int coroutine_start(weft_task *task)
{
    if (!task->plain && wefti_placement_any(&task->placement)) {
        errno = ENOTSUP;
        return -1;
    }
    int thread = wefti_coroutine_start(task->stack_size, coroutine_run, task);
    if (thread < 0)
        return -1;
    __atomic_store_n(&task->native_id, thread, __ATOMIC_RELAXED); /* it has not run yet: it is this thread that would run it */
    return 0;
}

static int coroutine_kill(weft_task *task)
{
    (void)task;
    errno = ENOTSUP;
    return -1;
}

/* Whoever starts it says that it has begun. */
struct wefti_task_carrier wefti_task_coroutine = {.noun = "Coroutine", .start = coroutine_start, .kill = coroutine_kill};

static bool task_is_mine(const weft_task *task, bool daemons)
{
    return task->kind == WEFT_COROUTINE && task->daemon == daemons &&
           __atomic_load_n(&task->native_id, __ATOMIC_RELAXED) == wefti_hub_thread();
}

static bool task_is_joined(const weft_task *task)
{
    return task_is_mine(task, false);
}

static bool task_is_daemon(const weft_task *task)
{
    return task_is_mine(task, true);
}

static void tasks_join(bool (*is)(const weft_task *task), bool cancels)
{
    for (weft_task *task; (task = wefti_register_find(is));) {
        if (cancels)
            weft_task_cancel(task);
        weft_task_join(task, WEFT_FOREVER);
        weft_task_free(task);
    }
}

void wefti_coroutines_join(void)
{
    wefti_shield_raise();
    while (wefti_coroutines_alive() > 0) {
        tasks_join(task_is_joined, false);
        tasks_join(task_is_daemon, true);
        wefti_yield(); /* to those that have stopped, and are about to end */
    }
    wefti_shield_lower();
    wefti_hub_finish();
}

/* For the report of an overflow, in a signal handler: the task is there as long as its coroutine runs. */
static const char *coroutine_name(const struct wefti_context *context)
{
    static char numbered[WEFTI_OWN_NAME]; /* the process is about to die of this one */
    const weft_task *task = context->task;
    if (!task)
        return NULL;
    const char *name = __atomic_load_n(&task->name, __ATOMIC_ACQUIRE);
    if (!name)
        wefti_task_default_name(task, numbered);
    return name ? name : numbered;
}

static void coroutine_name_at(pid_t pid, const void *task, char *name, size_t size)
{
    weft_task seen; /* a copy: none of its pointers is followed but by a read that may fail */
    name[0] = 0;
    if (!wefti_peek(pid, task, &seen, sizeof(seen)))
        return;
    if (seen.name)
        wefti_peek_string(pid, seen.name, name, size);
    else if (size >= WEFTI_OWN_NAME) {
        seen.carrier = seen.kind == WEFT_COROUTINE ? &wefti_task_coroutine : &wefti_task_thread;
        wefti_task_default_name(&seen, name);
    }
}

WEFTI_OPENING_TASK static void coroutine_open(void)
{
    wefti_coroutine_name_at = coroutine_name_at;
    wefti_coroutine_name = coroutine_name;
}
