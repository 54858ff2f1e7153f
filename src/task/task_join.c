/* SPDX-License-Identifier: MIT */
/*
 * Who waits for a task: joins it, asks for its result, or has it among what he selects.
 *
 * STOPPED is loaded with acquire before anything of the end is read (task.c).
 *
 * Who joins a coroutine, and has others to let run, leaves his wait in `joiner` under the guard, unless there is one or the state is
 * STOPPED already; who stores STOPPED takes it out of there afterwards, under the guard, and ends it (wait/direct.h): so one of the two
 * sees the other. All others wait for the state.
 */

#include "task/task.h"

#include <errno.h>

#include "value/value.h"
#include "wait/direct.h"
#include "wait/waitable.h"

/* Waits while the state is `from`. */
static int state_pass(weft_task *task, uint32_t from, weft_time deadline)
{
    while (wefti_task_state(task) == from)
        if (weft_wait(&task->state, from, deadline) != 0)
            return -1;
    return 0;
}

void wefti_task_settle(weft_task *task)
{
    wefti_shield_raise();
    state_pass(task, WEFTI_STARTING, WEFT_FOREVER);
    wefti_shield_lower();
}

/* Waits until a task that is being started has been. False with EINVAL when nobody starts it, else as any wait. */
static bool task_begun(weft_task *task, weft_time deadline)
{
    uint32_t state;
    while ((state = wefti_task_state(task)) == WEFTI_STARTING)
        if (state_pass(task, WEFTI_STARTING, deadline) != 0)
            return false;
    if (state == WEFT_INITIAL)
        errno = EINVAL;
    return state != WEFT_INITIAL;
}

/*
 * What has stopped may have coroutines that have not, and these may wait for some of the caller's thread: which runs on meanwhile. Who does
 * not wait leaves it to another, or to the last handle, of which the thread has one until then.
 */
static int task_reap(weft_task *task, weft_time deadline)
{
    while (!__atomic_load_n(&task->gone, __ATOMIC_ACQUIRE)) {
        if (deadline <= WEFT_NOW) {
            __atomic_store_n(&task->reaped, 0, __ATOMIC_RELEASE);
            return 0;
        }
        if (weft_wait(&task->gone, 0, deadline) != 0)
            return -1;
    }
    task->carrier->reap(task);
    return 0;
}

/* Waits for the end; `reaps`: as the one who clears up. */
static int task_wait(weft_task *task, bool reaps, weft_time deadline)
{
    if (reaps && task->carrier->wait_and_reap && !wefti_task_stopped(task) && deadline > WEFT_NOW)
        return task->carrier->wait_and_reap(task, deadline);
    if (state_pass(task, WEFT_STARTED, deadline) != 0)
        return -1;
    return reaps && task->carrier->reap ? task_reap(task, deadline) : 0;
}

/*
 * The same for a coroutine's end, by a context that has others to let run: whoever ends it calls. 0 when somebody else joins in this way
 * already, too: its state is still to be looked at.
 */
static int task_wait_directly(weft_task *task, struct wefti_context *context, weft_time deadline)
{
    struct wefti_wait wait;
    wefti_direct_begin(&wait, context);
    wefti_latch_close(&task->guard);
    bool waits = !task->joiner && !wefti_task_stopped(task); /* who ends it looks for a joiner after he has stored STOPPED */
    if (waits)
        task->joiner = &wait;
    wefti_latch_open(&task->guard);
    if (!waits || __builtin_expect(wefti_direct_wait(&wait, deadline) == 0, 1))
        return 0;
    int error = errno;
    wefti_latch_close(&task->guard);
    if (task->joiner == &wait)
        task->joiner = NULL;
    wefti_latch_open(&task->guard);
    errno = error;
    return -1;
}

/* Whether the context is the task's own. */
static bool task_is_of(const weft_task *task, const struct wefti_context *context)
{
    return (context->task ? context->task : weft_current()) == task;
}

/* A coroutine leaves nothing to clear up. */
static int coroutine_join(weft_task *task, struct wefti_context *context, weft_time deadline)
{
    uint32_t state = wefti_task_state(task);
    if (state == WEFT_STARTED && deadline > WEFT_NOW && wefti_direct_pays(context) && task_wait_directly(task, context, deadline) != 0)
        return -1;
    if (__builtin_expect(wefti_task_stopped(task), 1))
        return 0;
    return task_begun(task, deadline) ? state_pass(task, WEFT_STARTED, deadline) : -1;
}

static __attribute__((noinline)) int other_join(weft_task *task, weft_time deadline)
{
    if (!task_begun(task, deadline))
        return -1;
    if (task->carrier->wait)
        return wefti_task_look(task) == WEFT_STOPPED ? 0 : task->carrier->wait(task, deadline);
    bool reaps = wefti_move(&task->reaped, 0, 1);
    int waited = task_wait(task, reaps, deadline);
    if (waited != 0 && reaps)
        __atomic_store_n(&task->reaped, 0, __ATOMIC_RELEASE);
    return waited;
}

int weft_task_join(weft_task *task, weft_time deadline)
{
    struct wefti_context *context = wefti_context_current();
    if (__builtin_expect(!task || task_is_of(task, context), 0)) {
        errno = task ? EDEADLK : EINVAL;
        return -1;
    }
    return task->kind == WEFT_COROUTINE ? coroutine_join(task, context, deadline) : other_join(task, deadline);
}

int weft_task_result(weft_task *task, weft_value *value, weft_time deadline)
{
    if (weft_task_join(task, deadline) != 0)
        return -1;
    if (value && task->process && task->carrier->collect(task, value) != 0)
        return -1;
    if (value && !task->process)
        *value = weft_keep(task->result);
    __atomic_store_n(&task->collected, 1, __ATOMIC_RELAXED);
    return 0;
}

static int task_case_ready(weft_case *one)
{
    int error = errno;
    if (weft_task_result(one->object, one->operation, WEFT_NOW) == 0)
        return 1;
    if (errno != EAGAIN)
        return -1;
    errno = error;
    return 0;
}

static bool task_case_enqueue(weft_case *one, struct wefti_item *item)
{
    weft_task *task = one->object;
    item->kind = WEFTI_WORD;
    item->word = &task->state;
    item->expected = wefti_task_look(task);
    bool stopped = item->expected == WEFT_STOPPED;
    if (item->expected == WEFT_STARTED && task->carrier->word)
        task->carrier->word(task, item);
    return stopped;
}

static void task_case_dequeue(weft_case *one)
{
    (void)one; /* a task that has ended wakes all */
}

static const struct weft_waitable task_waitable = {.ready = task_case_ready, .enqueue = task_case_enqueue, .dequeue = task_case_dequeue};

weft_case weft_case_task(weft_task *task, weft_value *value)
{
    return (weft_case){.waitable = &task_waitable, .object = task, .operation = value};
}
