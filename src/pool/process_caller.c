/* SPDX-License-Identifier: MIT */
/*
 * The caller of a process: the thread that calls back, when tasks end that this process has submitted to a pool of processes. A callback
 * may take its time, and may wait for other tasks of the pool, so it is never on the keeper, who has to look after the workers meanwhile.
 *
 * It sleeps on `chime`, which who ends a task with CALLS changes after setting the task's bit. In the maker the keeper starts it when there
 * is something to call for the first time, which may be a failure that nobody collects, and ends it when the pool has ended: so nobody
 * starts one that nobody ends. As long as it is not there (`called_by`) who ends a task rings the keeper, too, who calls by himself if no
 * thread can be had. In other processes it is started by the first who wants to be called, and ends with the process.
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "pool/process.h"
#include "task/task.h"
#include "wait/wait.h"

enum { NONE = 0, STARTS = 1, THERE = 2 };

/* Whether there is something to call here among the 64 records of this word; does so if `make`. */
static bool word_call(struct wefti_process_handle *handle, uint64_t *word, uint32_t first, bool make)
{
    bool any = false;
    uint64_t bits = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    for (; bits; bits &= bits - 1) {
        uint32_t at = (uint32_t)__builtin_ctzll(bits);
        struct wefti_process_task *task = wefti_process_task_at(handle->pool, first + at);
        if (__atomic_load_n(&task->owner, __ATOMIC_RELAXED) != wefti_member)
            continue;
        any = true;
        if (!make)
            continue;
        __atomic_and_fetch(word, ~(UINT64_C(1) << at), __ATOMIC_SEQ_CST);
        uint32_t state = __atomic_load_n(&task->state, __ATOMIC_SEQ_CST);
        if (wefti_task_ended(state) && (state & WEFTI_TASK_CALLS))
            wefti_process_future_call_back(handle, task);
    }
    return any;
}

static bool calls_see(struct wefti_process_handle *handle, bool make)
{
    bool any = false;
    uint32_t records = wefti_process_records(__atomic_load_n(&handle->pool->slabs, __ATOMIC_ACQUIRE));
    for (uint32_t first = 0; first < records; first += 64)
        any |= word_call(handle, wefti_process_task_bits(handle->pool, first), first, make);
    return any;
}

static weft_value caller_main(weft_value pointer)
{
    struct wefti_process_handle *handle = weft_as_ptr(pointer);
    struct wefti_process_pool *pool = handle->pool;
    wefti_shield_raise();
    __atomic_store_n(&handle->calling, wefti_context_current(), __ATOMIC_RELAXED);
    while (!__atomic_load_n(&handle->callless, __ATOMIC_SEQ_CST)) {
        uint32_t chime = __atomic_load_n(&pool->chime, __ATOMIC_SEQ_CST);
        if (calls_see(handle, true) && __atomic_load_n(&pool->closed, __ATOMIC_SEQ_CST))
            wefti_process_ring_bell(pool); /* the keeper may have waited for just that */
        if (!__atomic_load_n(&handle->callless, __ATOMIC_SEQ_CST))
            weft_wait(&pool->chime, chime, WEFT_FOREVER);
    }
    __atomic_store_n(&handle->calling, NULL, __ATOMIC_RELAXED);
    wefti_shield_lower();
    return weft_none;
}

weft_task *wefti_process_thread(struct wefti_process_handle *handle, weft_function *function)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    weft_task *thread = weft_spawn(WEFT_THREAD, function, weft_ptr(handle), .name = handle->pool->name, .daemon = true);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = error;
    return thread;
}

/* By the one who has made `caller_state` STARTS. */
static int caller_begin(struct wefti_process_handle *handle)
{
    handle->caller = wefti_process_thread(handle, caller_main);
    int error = errno;
    __atomic_store_n(&handle->caller_state, handle->caller ? THERE : NONE, __ATOMIC_RELEASE);
    weft_wake(&handle->caller_state, UINT32_MAX);
    errno = error;
    return handle->caller ? 0 : -1;
}

int wefti_process_caller_want(struct wefti_process_handle *handle)
{
    uint32_t state;
    if (handle->pool->maker == wefti_member)
        return 0;
    wefti_shield_raise();
    while ((state = __atomic_load_n(&handle->caller_state, __ATOMIC_ACQUIRE)) != THERE) { /* pairs with the release of caller_begin */
        if (state == STARTS)
            weft_wait(&handle->caller_state, STARTS, WEFT_FOREVER);
        else if (__atomic_compare_exchange_n(&handle->caller_state, &state, STARTS, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED) &&
                 caller_begin(handle) != 0)
            break;
    }
    wefti_shield_lower();
    return state == THERE ? 0 : -1;
}

void wefti_process_caller_see(struct wefti_process_handle *handle)
{
    if (handle->caller || !calls_see(handle, false))
        return;
    if (caller_begin(handle) == 0)
        __atomic_store_n(&handle->pool->called_by, 1, __ATOMIC_SEQ_CST);
    else
        calls_see(handle, true);
}

void wefti_process_caller_end(struct wefti_process_handle *handle)
{
    if (!handle->caller)
        return;
    __atomic_store_n(&handle->callless, 1, __ATOMIC_SEQ_CST);
    wefti_process_ring_chime(handle->pool);
    weft_task_join(handle->caller, WEFT_FOREVER);
    weft_task_free(handle->caller);
    handle->caller = NULL;
}
