/* SPDX-License-Identifier: MIT */
/*
 * Pools of processes: a task is put in, by any process of the family.
 *
 * A submit writes a record, makes it WAITING, and puts a hint into the line. It looks at `closed` again after that: either it sees there
 * that the pool was closed meanwhile, and takes the task back if nobody has begun it, or whoever closed it finds the task.
 *
 * A line that is full is room that is waited for; a worker of the pool, for whom nobody else may make room, runs the task itself.
 */

#include <errno.h>
#include <stdio.h>

#include "base/memory.h"
#include "pool/process.h"
#include "task/function.h"
#include "value/value.h"
#include "wait/wait.h"

enum { PATIENCE = 200000 /* ns */ };

/* Waits until there has been a worker. 0, or an errno number. */
static int pool_settle(struct wefti_process_pool *pool, weft_time deadline)
{
    for (;;) {
        uint32_t settled = __atomic_load_n(&pool->settled, __ATOMIC_SEQ_CST);
        int closed = wefti_process_pool_closed(pool);
        if (settled == 1 || closed)
            return closed;
        if (settled == 2 && pool->refusal)
            return __atomic_exchange_n(&pool->settled, 0, __ATOMIC_SEQ_CST), pool->refusal;
        __atomic_store_n(&pool->wanted, 1, __ATOMIC_SEQ_CST);
        wefti_process_ring_bell(pool);
        if (weft_wait(&pool->settled, settled, deadline) != 0)
            return errno;
    }
}

/* What is touched rarely, as a task begins with it. It is written only where it is something else: the processor of the worker that had the
 * record has a copy of this line, too, which comes along with the one it needs, and a submit would have to wait until that is gone. */
static void task_reset(struct wefti_process_task *task, uint64_t offset, weft_time limit, const char *name)
{
    if (task->offset != offset)
        task->offset = offset;
    if (task->limit != limit)
        task->limit = limit;
    if (task->callbacks)
        task->callbacks = NULL;
    if (task->pid || task->peak)
        task->pid = 0, task->peak = 0;
    if (task->cancel)
        task->cancel = 0;
    if (task->collected || task->called || task->again)
        task->collected = task->called = task->again = 0;
    if (__atomic_load_n(&task->stop, __ATOMIC_RELAXED))
        __atomic_store_n(&task->stop, 0, __ATOMIC_RELAXED);
    if (name)
        snprintf(task->name, sizeof(task->name), "%s", name);
    else if (task->name[0])
        task->name[0] = 0;
}

/* What stands in the record of a task that is to be put in; RESERVED. 0, or an errno number. */
static int task_fill(struct wefti_process_task *task, const struct weft_submit_options *options, uint32_t holds, unsigned call)
{
    struct wefti_process_pool *pool = task->pool;
    struct wefti_function packed;
    __atomic_store_n(&task->owner, wefti_member, __ATOMIC_RELAXED);
    uint32_t age = wefti_task_age(__atomic_load_n(&task->state, __ATOMIC_RELAXED));
    __atomic_store_n(&task->holds, (uint64_t)(holds | age << WEFTI_TASK_AGE_SHIFT), __ATOMIC_RELAXED);
    task->function = options->function;
    if (wefti_function_pack(options->function, &packed) != 0)
        return errno;
    weft_time limit = options->timeout > 0 ? wefti_process_duration(options->timeout) : pool->limit;
    task->module = packed.module;
    task_reset(task, packed.offset, limit, options->name);
    task->call = (uint8_t)(call | (limit ? WEFTI_CALL_LIMITED : 0));
    if (limit && !__atomic_load_n(&pool->limits, __ATOMIC_RELAXED))
        __atomic_store_n(&pool->limits, 1, __ATOMIC_RELAXED); /* before the task is in a ring, and so before it begins */
    task->tries = (uint8_t)(options->retries > 0   ? (options->retries < UINT8_MAX ? options->retries : UINT8_MAX)
                            : options->retries < 0 ? 0
                                                   : pool->tries);
    task->result.form = WEFT_NONE;
    return wefti_pack(options->argument, &task->argument, task->argument_room) == 0 ? 0 : errno;
}

static int task_watch(struct wefti_process_task *task, const struct weft_submit_options *options)
{
    struct wefti_process_handle *handle = options->on_done ? wefti_process_handle_of(task->pool, true) : NULL;
    if (!options->on_done)
        return 0;
    if (!handle || wefti_process_caller_want(handle) != 0)
        return errno;
    struct wefti_callback *callback = wefti_alloc_raw(sizeof(*callback));
    if (!callback)
        return ENOMEM;
    *callback = (struct wefti_callback){.function = options->on_done, .data = options->data};
    task->callbacks = callback;
    return 0;
}

/* A record ready to be put in, RESERVED. NULL with errno. */
static struct wefti_process_task *task_make(const struct weft_submit_options *options, uint32_t holds, unsigned call)
{
    struct wefti_process_task *task = wefti_process_task_new(wefti_process_pool_of(options->pool));
    if (!task)
        return NULL;
    int error = task_fill(task, options, holds, call);
    if (!error)
        error = task_watch(task, options);
    if (!error)
        return task;
    wefti_process_task_clear(task, __atomic_load_n(&task->state, __ATOMIC_RELAXED), wefti_member);
    errno = error;
    return NULL;
}

/* Takes back what is in no ring, or was not begun. False: somebody has begun or ended it. */
static bool task_unmake(struct wefti_process_task *task)
{
    uint32_t left, state = __atomic_load_n(&task->state, __ATOMIC_SEQ_CST);
    if (wefti_task_phase(state) != WEFTI_TASK_WAITING || !wefti_process_task_move(task, state, WEFTI_TASK_FREEING, wefti_member, 0, &left))
        return false;
    wefti_release(task->callbacks);
    wefti_process_task_clear(task, left, wefti_member);
    return true;
}

static struct wefti_process_ring *lane_of(struct wefti_process_pool *pool, enum weft_priority priority)
{
    return &pool->rings[priority > 0 ? WEFTI_RING_HIGH : priority < 0 ? WEFTI_RING_LOW : WEFTI_RING_NORMAL];
}

/* When the line looks full: whether it is, with all in it counted that really wait; if not, puts it in. */
static bool full_put(struct wefti_process_pool *pool, struct wefti_process_ring *ring, const struct wefti_process_task *task)
{
    uint64_t living = 0;
    for (int i = WEFTI_RING_HIGH; i < WEFTI_RINGS; i++)
        living += wefti_ring_living(pool, &pool->rings[i]);
    return living < pool->backlog && (wefti_ring_put(pool, ring, task, UINT64_MAX) || wefti_ring_reuse(pool, ring, task));
}

static bool task_put(struct wefti_process_pool *pool, const struct wefti_process_task *task, enum weft_priority priority)
{
    struct wefti_process_ring *ring = lane_of(pool, priority);
    uint64_t others = 0;
    for (int i = WEFTI_RING_HIGH; i < WEFTI_RINGS; i++)
        others += ring != &pool->rings[i] ? wefti_ring_length(&pool->rings[i]) : 0;
    if (others < pool->backlog && wefti_ring_put(pool, ring, task, pool->backlog - others))
        return true;
    return full_put(pool, ring, task);
}

/* Runs it in the caller. */
static void task_visit(struct wefti_process_pool *pool, struct wefti_process_task *task, weft_value argument)
{
    uint32_t left, state = __atomic_load_n(&task->state, __ATOMIC_SEQ_CST);
    bool failed = false;
    if (!wefti_process_task_move(task, state, WEFTI_TASK_RUNNING, WEFTI_TASK_VISIT, 0, &left))
        return; /* it was cancelled with all that waited */
    __atomic_add_fetch(&pool->direct, 1, __ATOMIC_RELAXED);
    weft_value result = wefti_value_take(wefti_process_call_function(task->function, task->call, argument, &failed));
    enum weft_outcome outcome = wefti_process_task_outcome(task, failed, result);
    wefti_process_task_answer(task, result, &failed);
    state = wefti_task_turn(left, WEFTI_TASK_RUNNING, WEFTI_TASK_VISIT);
    wefti_process_task_end(task, state, failed && outcome == WEFT_DONE ? WEFT_FAILED : outcome);
    if (__atomic_load_n(&pool->closed, __ATOMIC_SEQ_CST))
        wefti_process_ring_bell(pool);
}

static __thread unsigned visits; /* tasks that run inside one another on this stack */

enum remedy { AGAIN, HERE, FAILED };

/* Waits for room. */
static enum remedy room_await(struct wefti_process_pool *pool, unsigned *patience, weft_time deadline)
{
    if (deadline <= WEFT_NOW) {
        errno = EAGAIN;
        return FAILED;
    }
    if (*patience == 0)
        __atomic_add_fetch(&pool->blocked, 1, __ATOMIC_RELAXED);
    uint32_t room = wefti_process_room_want(pool, *patience > 0);
    if (wefti_process_waiting(pool) < pool->backlog || __atomic_load_n(&pool->closed, __ATOMIC_SEQ_CST))
        return AGAIN;
    weft_time soon = *patience > 0 ? WEFT_FOREVER : weft_clock() + PATIENCE;
    int waited = weft_wait(&pool->room, room, soon < deadline ? soon : deadline);
    bool impatient = waited != 0 && errno == ETIMEDOUT && soon < deadline;
    *patience += impatient;
    return waited == 0 || impatient ? AGAIN : FAILED;
}

static enum remedy full_remedy(struct wefti_process_pool *pool, unsigned *patience, weft_time deadline)
{
    const struct wefti_process_worker *worker = wefti_process_worker_here();
    bool inside = worker && worker->pool == pool;
    if (pool->when_full == WEFT_FULL_FAIL || deadline == WEFTI_IF_ROOM) {
        errno = EAGAIN;
        return FAILED;
    }
    if (visits < WEFTI_POOL_DEPTH && (inside || pool->when_full == WEFT_FULL_RUN))
        return HERE;
    if (inside) {
        errno = EDEADLK;
        return FAILED;
    }
    return room_await(pool, patience, deadline);
}

/* Puts it into the line, or runs it. 0, or an errno number, and it was not accepted. */
static int task_accept(
    struct wefti_process_pool *pool, struct wefti_process_task *task, const struct weft_submit_options *options, weft_time deadline)
{
    unsigned patience = 0;
    while (!task_put(pool, task, options->priority)) {
        enum remedy remedy = full_remedy(pool, &patience, wefti_deadline(deadline));
        int closed = wefti_process_pool_closed(pool), error = closed ? closed : errno;
        if (closed || remedy == FAILED)
            return error;
        if (remedy == AGAIN)
            continue;
        visits++;
        task_visit(pool, task, options->argument);
        visits--;
        return 0;
    }
    return wefti_process_pool_closed(pool);
}

struct weft_future *wefti_process_pool_submit(
    const struct weft_submit_options *options, uint32_t references, weft_time deadline, unsigned call)
{
    struct wefti_process_pool *pool = wefti_process_pool_of(options->pool);
    int error = !wefti_member ? ESTALE : wefti_process_pool_closed(pool);
    if (!error && __builtin_expect(__atomic_load_n(&pool->settled, __ATOMIC_RELAXED) != 1, 0))
        error =
            deadline == WEFTI_IF_ROOM && pool->settled ? EAGAIN : pool_settle(pool, deadline == WEFTI_IF_ROOM ? WEFT_FOREVER : deadline);
    if (!error && pool->maker != wefti_member && !wefti_process_handle_of(pool, true))
        error = errno;
    if (error) {
        errno = error;
        return NULL;
    }
    bool mine = pool->maker == wefti_member && references > 1;
    if (mine)
        __atomic_add_fetch(&pool->handle->references, 1, __ATOMIC_RELAXED);
    struct wefti_process_task *task = task_make(options, references - 1, call);
    error = task ? 0 : errno;
    if (task) {
        uint32_t state = __atomic_load_n(&task->state, __ATOMIC_RELAXED);
        uint32_t waiting = wefti_task_turn(state, WEFTI_TASK_WAITING, 0) | (options->on_done ? WEFTI_TASK_CALLS : 0);
        __atomic_store_n(&task->state, waiting, __ATOMIC_RELEASE);
        error = task_accept(pool, task, options, deadline);
        if (error && !task_unmake(task))
            error = 0; /* it has been begun, or ended with all that waited */
    }
    if (error) {
        if (mine)
            wefti_process_pool_release(pool->handle);
        errno = error;
        return NULL;
    }
    wefti_process_call(pool);
    weft_drop(wefti_value_take(options->argument));
    return (struct weft_future *)(void *)task;
}
