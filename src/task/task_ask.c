/* SPDX-License-Identifier: MIT */
/*
 * What a task can be asked, by anybody who has a handle, at any time: how far it is, how it ended, who it is.
 *
 * A name is set under the guard. Who reads it needs no latch: one that is there stays until another is set, and to keep those two apart is
 * the callers' affair. A task that was given none has that which its number makes, and gets it when somebody first asks.
 */

#include "task/task.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

/* NULL, which a spawn that failed gives, is a task that was never started. */

enum weft_outcome weft_task_outcome(const weft_task *task)
{
    return task && wefti_task_look(task) == WEFT_STOPPED ? (enum weft_outcome)__atomic_load_n(&task->outcome, __ATOMIC_RELAXED)
                                                         : WEFT_PENDING;
}

enum weft_task_state weft_task_state_of(const weft_task *task)
{
    uint32_t state = task ? wefti_task_look(task) : WEFT_INITIAL;
    return state == WEFTI_STARTING || state == WEFTI_ENDING ? WEFT_STARTED : (enum weft_task_state)state;
}

bool weft_task_is_alive(const weft_task *task)
{
    return weft_task_state_of(task) == WEFT_STARTED;
}

int weft_task_exitcode(const weft_task *task)
{
    if (!task || wefti_task_look(task) != WEFT_STOPPED)
        return -1;
    return task->process ? task->carrier->exitcode(task) : weft_is_error(task->result);
}

const char *wefti_task_digits(uint32_t number, char digits[WEFTI_DIGITS])
{
    char *first = digits + WEFTI_DIGITS - 1;
    *first = 0;
    do
        *--first = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    return first;
}

void wefti_task_default_name(const weft_task *task, char *name)
{
    char digits[WEFTI_DIGITS];
    const char *parts[] = {
        task->carrier->noun, "-", task->carrier->lineage ? task->carrier->lineage : "", wefti_task_digits(task->number, digits)};
    char *end = name;
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        end = stpcpy(end, parts[i]); /* the longest without a lineage is Coroutine-4294967295 */
}

/* The name that the task's number makes, from here on its own, unless somebody else was faster. */
static const char *task_name_make(weft_task *task)
{
    char name[WEFTI_OWN_NAME];
    wefti_task_default_name(task, name);
    wefti_latch_close(&task->guard);
    if (!task->name) {
        memcpy(task->own_name, name, sizeof(name));
        __atomic_store_n(&task->name, task->own_name, __ATOMIC_RELEASE); /* pairs with the acquire of weft_task_name */
    }
    wefti_latch_open(&task->guard);
    return task->name;
}

const char *weft_task_name(const weft_task *task)
{
    if (!task)
        return "";
    const char *name = __atomic_load_n(&task->name, __ATOMIC_ACQUIRE);
    return __builtin_expect(name != NULL, 1) ? name : task_name_make((weft_task *)task); /* what is known of it changes, not what it is */
}

int weft_task_set_name(weft_task *task, const char *name)
{
    size_t length = name ? strlen(name) : WEFTI_NAME_LIMIT + 1;
    if (!task || length > WEFTI_NAME_LIMIT) {
        errno = EINVAL;
        return -1;
    }
    char *copy = wefti_alloc_raw(length + 1);
    if (!copy)
        return -1;
    memcpy(copy, name, length + 1);
    wefti_latch_close(&task->guard);
    char *old = task->name;
    __atomic_store_n(&task->name, copy, __ATOMIC_RELEASE);
    if (task->context && task->carrier->renamed)
        task->carrier->renamed(task);
    wefti_latch_open(&task->guard);
    if (old != task->own_name)
        wefti_release(old);
    return 0;
}

uint64_t weft_task_ident(const weft_task *task)
{
    return weft_task_state_of(task) != WEFT_INITIAL ? task->ident : 0;
}

int weft_task_native_id(const weft_task *task)
{
    return task ? __atomic_load_n(&task->native_id, __ATOMIC_RELAXED) : 0;
}

bool weft_task_daemon(const weft_task *task)
{
    return task && task->daemon;
}

enum weft_task_kind weft_task_kind_of(const weft_task *task)
{
    return task ? task->kind : (enum weft_task_kind)0;
}

int weft_task_repr(const weft_task *task, char *buffer, size_t size)
{
    static const char *const states[] = {"initial", "started", "stopped"};
    if (!task)
        return snprintf(buffer, size, "<no task>");
    return snprintf(buffer, size, "<%s(%s, %s%s)>", task->carrier->noun, weft_task_name(task), states[weft_task_state_of(task)],
        task->daemon ? " daemon" : "");
}
