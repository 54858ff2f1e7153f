/* SPDX-License-Identifier: MIT */
/*
 * Futures of pools of processes: the records of process_task.c, as who submitted sees them.
 *
 * Callbacks are in the memory of the process that submitted, in a list that the record points to, under that process's latch. While there
 * are any the record has CALLS; who ends the task then rings, and that process's caller calls them, one by one, takes CALLS away
 * under the latch when there are no more, and `called` says that nobody will call any more.
 */

#include <errno.h>
#include <stdio.h>

#include "base/memory.h"
#include "pool/process.h"
#include "task/task.h"
#include "value/value.h"

static struct wefti_process_task *task_of(const struct weft_future *future)
{
    return (struct wefti_process_task *)(uintptr_t)future; /* NOLINT: it is one, by its address */
}

static uint32_t task_look(const struct wefti_process_task *task)
{
    return __atomic_load_n(&task->state, __ATOMIC_ACQUIRE);
}

/*
 * Waiting. Who only waits for a task that another process has submitted does not hold it: when that one is dead, the record is freed as
 * soon as the task has ended, perhaps before the waiter has come to look. Nobody is woken by that; so who finds it free, or about to be, is
 * not to sleep.
 */

static bool task_free(uint32_t state)
{
    uint32_t phase = wefti_task_phase(state);
    return phase == WEFTI_TASK_FREE || phase == WEFTI_TASK_FREEING;
}

/* While it is what it was in the state `seen`. 0: it has ended; 1: it is gone; -1. WAITED, which costs who ends the task a system call, is
 * set by those only who are going to sleep. */
static int task_sleep(struct wefti_process_task *task, uint32_t seen, weft_time deadline)
{
    const uint32_t age = wefti_task_age(seen);
    for (int waited = 0;;) {
        uint32_t state = task_look(task);
        if (task_free(state) || wefti_task_age(state) != age)
            return 1;
        if (wefti_task_ended(state))
            return 0;
        if (waited < 0)
            return -1;
        if (state & WEFTI_TASK_WAITED)
            waited = wefti_wait_quiet(&task->state, state, deadline);
        else if (!wefti_wait_spin(&task->state, state, deadline))
            __atomic_compare_exchange_n(&task->state, &state, state | WEFTI_TASK_WAITED, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    }
}

static bool away_begin(struct wefti_process_worker *worker)
{
    const struct wefti_process_pool *pool = worker->pool;
    uint32_t away = 0;
    for (uint32_t i = 0; i < wefti_process_places(pool); i++)
        away += __atomic_load_n(&pool->table[i]->away, __ATOMIC_SEQ_CST) > 0;
    if (away >= WEFTI_POOL_STAND_INS) {
        errno = EDEADLK;
        return false;
    }
    __atomic_store_n(&worker->waits, worker->waits + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&worker->away, 1, __ATOMIC_SEQ_CST);
    wefti_process_ring_bell(worker->pool);
    return true;
}

static void away_end(struct wefti_process_worker *worker)
{
    __atomic_store_n(&worker->away, 0, __ATOMIC_SEQ_CST);
    wefti_process_ring_bell(worker->pool);
}

/* As task_sleep. */
static int task_wait(struct wefti_process_task *task, weft_time deadline)
{
    uint32_t state = task_look(task);
    if (wefti_task_ended(state) || !wefti_member)
        return 0;
    if (task_free(state))
        return 1;
    if (deadline <= WEFT_NOW) {
        errno = EAGAIN;
        return -1;
    }
    struct wefti_process_worker *worker = wefti_process_worker_here();
    if (!worker || worker->pool != task->pool)
        return task_sleep(task, state, deadline);
    if (!away_begin(worker))
        return -1;
    int result = task_sleep(task, state, deadline);
    away_end(worker);
    return result;
}

int wefti_process_future_wait(struct weft_future *future, weft_time deadline)
{
    return task_wait(task_of(future), deadline) < 0 ? -1 : 0;
}

static weft_value task_value(const struct wefti_process_task *task)
{
    uint32_t state = task_look(task), phase = wefti_task_phase(state);
    if (phase == WEFTI_TASK_ENDED + WEFT_DONE || phase == WEFTI_TASK_ENDED + WEFT_FAILED)
        return wefti_unpack(&task->result, task->result_room);
    if (phase == WEFTI_TASK_ENDED + WEFT_CANCELLED && task->result.form != WEFT_NONE)
        return wefti_unpack(&task->result, task->result_room);
    return wefti_task_ended(state) ? wefti_process_task_reason(task, state) : weft_error(EOWNERDEAD, NULL);
}

/* Of a task that has ended, or is gone. Whether somebody has asked matters of one that failed, and then is not to be reported. */
static void result_give(struct wefti_process_task *task, bool gone, weft_value *value)
{
    bool failed = !gone && wefti_member && wefti_task_phase(task_look(task)) == WEFTI_TASK_ENDED + WEFT_FAILED;
    if (failed && !__atomic_load_n(&task->collected, __ATOMIC_RELAXED))
        __atomic_store_n(&task->collected, 1, __ATOMIC_RELAXED);
    if (value)
        *value = gone ? weft_error(EOWNERDEAD, "the process that submitted the task is dead") : task_value(task);
}

int wefti_process_future_result(struct weft_future *future, weft_value *value, weft_time deadline)
{
    struct wefti_process_task *task = task_of(future);
    int waited = task_wait(task, deadline);
    if (waited < 0)
        return -1;
    result_give(task, waited == 1, value);
    return 0;
}

enum weft_outcome wefti_process_future_outcome(const struct weft_future *future)
{
    uint32_t state = task_look(task_of(future));
    if (!wefti_task_ended(state))
        return wefti_member && !task_free(state) ? WEFT_PENDING : WEFT_LOST;
    return (enum weft_outcome)(wefti_task_phase(state) - WEFTI_TASK_ENDED);
}

bool wefti_process_future_running(const struct weft_future *future)
{
    return wefti_member && wefti_task_phase(task_look(task_of(future))) == WEFTI_TASK_RUNNING;
}

/* Select. */

uint32_t wefti_process_future_age(const struct weft_future *future)
{
    return wefti_task_age(task_look(task_of(future)));
}

static bool task_gone(uint32_t state, uint32_t age)
{
    return task_free(state) || wefti_task_age(state) != age;
}

bool wefti_process_future_look(struct weft_future *future, uint32_t age, weft_value *value)
{
    struct wefti_process_task *task = task_of(future);
    uint32_t state = task_look(task);
    bool gone = wefti_member && task_gone(state, age);
    if (wefti_member && !gone && !wefti_task_ended(state))
        return false;
    result_give(task, gone, value);
    return true;
}

uint32_t wefti_process_future_watch(struct weft_future *future, uint32_t age, bool *ended)
{
    struct wefti_process_task *task = task_of(future);
    uint32_t state = task_look(task);
    if (!task_gone(state, age) && !wefti_task_ended(state) && !(state & WEFTI_TASK_WAITED))
        state = __atomic_or_fetch(&task->state, WEFTI_TASK_WAITED, __ATOMIC_SEQ_CST);
    *ended = wefti_task_ended(state) || task_gone(state, age);
    return state;
}

/* Cancelling. */

bool wefti_process_future_withdraw(struct weft_future *future)
{
    struct wefti_process_task *task = task_of(future);
    struct wefti_process_pool *pool = task->pool;
    uint32_t state = task_look(task);
    if (!wefti_member || wefti_task_phase(state) != WEFTI_TASK_WAITING || !wefti_process_task_end(task, state, WEFT_CANCELLED))
        return false;
    wefti_process_room_made(pool);
    return true;
}

bool wefti_process_future_cancel(struct weft_future *future)
{
    struct wefti_process_task *task = task_of(future);
    if (wefti_process_future_withdraw(future))
        return true;
    uint32_t state = task_look(task), left;
    while (wefti_member && wefti_task_phase(state) == WEFTI_TASK_RUNNING) {
        if (wefti_process_task_move(task, state, WEFTI_TASK_RUNNING, wefti_task_who(state), WEFTI_TASK_CANCEL, &left)) {
            __atomic_store_n(&task->cancel, 1, __ATOMIC_RELEASE); /* this task's still: the caller holds it */
            weft_wake(&task->cancel, UINT32_MAX);
            return true;
        }
        state = task_look(task);
        if (state & WEFTI_TASK_STOPPED)
            return true;
    }
    return false;
}

/* Callbacks. */

static void task_report(const struct wefti_process_task *task, const char *what, weft_value error)
{
    char text[300];
    snprintf(text, sizeof(text), "%s%s%s of %s", what, task->name[0] ? " " : "", task->name, task->pool->name);
    wefti_uncollected(text, error);
    weft_drop(error);
}

static void task_call_one(struct wefti_process_task *task, const struct wefti_callback *callback)
{
    errno = 0;
    if (callback->function((struct weft_future *)(void *)task, callback->data) != 0)
        task_report(task, "callback of task", weft_error(errno, "a callback failed"));
}

/* Takes the oldest out; without one, says that they have been called. */
static struct wefti_callback *callback_next(struct wefti_process_handle *handle, struct wefti_process_task *task)
{
    wefti_latch_close(&handle->latch);
    struct wefti_callback *callback = task->callbacks;
    if (callback)
        task->callbacks = callback->next;
    else
        task->called = 1;
    wefti_latch_open(&handle->latch);
    return callback;
}

void wefti_process_future_call_back(struct wefti_process_handle *handle, struct wefti_process_task *task)
{
    struct wefti_callback *callback;
    while ((callback = callback_next(handle, task))) {
        task_call_one(task, callback);
        wefti_release(callback);
    }
    bool failed = wefti_task_phase(task_look(task)) == WEFTI_TASK_ENDED + WEFT_FAILED;
    if (failed && !__atomic_load_n(&task->collected, __ATOMIC_RELAXED) && !wefti_task_held(&task->holds))
        task_report(task, "task", task_value(task));
    __atomic_and_fetch(&task->state, ~(uint32_t)WEFTI_TASK_CALLS, __ATOMIC_SEQ_CST);
    wefti_process_task_release(task);
}

/* Under the latch: sees to CALLS. False when nobody would call any more. */
static bool calls_want(struct wefti_process_task *task)
{
    uint32_t state = __atomic_load_n(&task->state, __ATOMIC_SEQ_CST);
    while (!wefti_task_ended(state) && !(state & WEFTI_TASK_CALLS))
        if (__atomic_compare_exchange_n(&task->state, &state, state | WEFTI_TASK_CALLS, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return true;
    return (state & WEFTI_TASK_CALLS) && !task->called;
}

int wefti_process_future_add(struct weft_future *future, const struct wefti_callback *callback, bool first, bool *ended)
{
    struct wefti_process_task *task = task_of(future);
    *ended = true;
    if (!wefti_member)
        return 0;
    if (task->owner != wefti_member) {
        errno = EPERM;
        return -1;
    }
    struct wefti_process_handle *handle = wefti_process_handle_of(task->pool, true);
    struct wefti_callback *node = wefti_alloc_raw(sizeof(*node));
    if (!handle || !node || wefti_process_caller_want(handle) != 0) {
        wefti_release(node);
        return -1;
    }
    *node = *callback;
    wefti_latch_close(&handle->latch);
    if (calls_want(task) && !(first && wefti_task_ended(task_look(task)))) {
        struct wefti_callback **link = &task->callbacks;
        while (!first && *link)
            link = &(*link)->next;
        node->next = *link;
        *link = node;
        node = NULL;
        *ended = false;
    }
    wefti_latch_open(&handle->latch);
    wefti_release(node);
    return 0;
}

/* Owners. */

/* What a future counts of the process that submitted the task, or of another. */
static uint64_t hold_of(bool owners)
{
    return owners ? 1 : UINT64_C(1) << WEFTI_TASK_OTHERS_SHIFT;
}

void wefti_process_future_keep(struct weft_future *future)
{
    struct wefti_process_task *task = task_of(future);
    if (wefti_member)
        __atomic_add_fetch(&task->holds, hold_of(task->owner == wefti_member), __ATOMIC_RELAXED);
}

/* One less: of those that the caller's process has, else of the other kind, which was handed to it. What is left; of none, all there is. */
static uint64_t hold_drop(struct wefti_process_task *task)
{
    uint64_t holds = __atomic_load_n(&task->holds, __ATOMIC_RELAXED), left;
    do {
        bool owners = task->owner == wefti_member ? (holds & WEFTI_TASK_HOLDS) > 0 : holds >> WEFTI_TASK_OTHERS_SHIFT == 0;
        if (wefti_task_holds(holds) == 0)
            return holds;
        left = holds - hold_of(owners);
    } while (!__atomic_compare_exchange_n(&task->holds, &holds, left, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return left;
}

void wefti_process_future_free(struct weft_future *future)
{
    struct wefti_process_task *task = task_of(future);
    struct wefti_process_pool *pool = task->pool;
    if (!wefti_member)
        return;
    bool mine = pool->maker == wefti_member && task->owner == wefti_member;
    uint64_t held = __atomic_load_n(&task->holds, __ATOMIC_SEQ_CST);
    uint32_t holds = wefti_task_holds(held), state = task_look(task);
    if (holds == 1 && wefti_task_phase(state) == WEFTI_TASK_ENDED + WEFT_FAILED && !(state & WEFTI_TASK_CALLS) &&
        !__atomic_load_n(&task->collected, __ATOMIC_RELAXED))
        task_report(task, "task", task_value(task));
    if (!mine || !wefti_process_task_stash(task, state, held)) {
        if (holds == 0 || wefti_task_holds(hold_drop(task)) > 0)
            return;
        wefti_process_task_release(task);
    }
    if (mine)
        wefti_process_pool_release(pool->handle);
}
