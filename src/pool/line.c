/* SPDX-License-Identifier: MIT */
/*
 * The line: tasks that wait to begin, first in, first out, within an exact bound; and the workers that wait for tasks.
 *
 * It is two lists, so that those who submit and those who run seldom meet: submitters add to `arrived` under the latch `in`, workers
 * take from `first` under the latch `out`, and a worker that finds `first` empty moves all that has arrived there at once. `out` is
 * closed before `in`; neither is held while anything is called but a context's cancel. All barriers are the latches'.
 *
 * A task that is cancelled in the line, or begun by who waits for it, stays where it is until it is its turn, or until such dead ones
 * are more than those that wait: then the lists are looked through. So taking one out costs the same however long the line is, and the
 * line is at most twice as long as it says.
 *
 * The bound: submitted - begun tasks wait. `submitted` grows under `in`, `begun` under `out`; a submitter who looks at an old `begun`
 * sees more waiting than there are, never fewer, and looks again before it calls the line full.
 *
 * Before it rests, a worker searches for a moment, one at a time: it is coming, so nobody has to be called for the next task.
 * Where looking has not paid, because its submitter wants the same processor, a worker that has just had several tasks gives way once
 * instead: when it runs again it finds many, where sleeping and being woken for each would cost far more.
 *
 * Files of their own have: who is called, and how many workers there are (crew.c); the other priorities (lanes.c); the processors that
 * pools share (budget.c); waiting for a place in a full line (room.c).
 */

#include <errno.h>

#include "hint.h"
#include "pool/line.h"

enum { SEARCH_TIME = 20000 /* ns */, SEARCH_LOOKS = 16, SEARCH_REST_BITS = 8, MANY_TAKEN = 4 };

/* Takes what no longer waits out of the list, and puts it on another. Gives what was the last. */
static struct weft_future *list_sweep(struct weft_future **list, struct weft_future **dead)
{
    struct weft_future *last = NULL;
    while (*list) {
        struct weft_future *task = *list;
        if (!task->begun) {
            last = task;
            list = &task->next;
            continue;
        }
        *list = task->next;
        task->next = *dead;
        *dead = task;
    }
    return last;
}

static size_t list_length(const struct weft_future *list)
{
    size_t length = 0;
    for (; list; list = list->next)
        length++;
    return length;
}

/* Under both latches: takes all that no longer wait out of the line. */
static struct weft_future *line_sweep(struct weft_pool *pool)
{
    struct weft_future *dead = NULL, *arrived = pool->arrived;
    list_sweep(&pool->first, &dead);
    pool->high.last = list_sweep(&pool->high.first, &dead);
    pool->low.last = list_sweep(&pool->low.first, &dead);
    __atomic_store_n(&pool->laned, list_length(pool->high.first) + list_length(pool->low.first), __ATOMIC_RELAXED);
    pool->last = list_sweep(&arrived, &dead);
    __atomic_store_n(&pool->arrived, arrived, __ATOMIC_RELAXED);
    pool->dead = 0;
    return dead;
}

static void list_free(struct weft_future *list)
{
    while (list) {
        struct weft_future *next = list->next;
        weft_future_free(list);
        list = next;
    }
}

/* Under `out`: one fewer waits. */
static void line_begin(struct weft_pool *pool, struct weft_future *task, struct wefti_context *context)
{
    task->context = context;
    __atomic_store_n(&task->begun, true, __ATOMIC_RELEASE); /* the context is there before; pairs with wefti_line_claim */
    __atomic_store_n(&pool->begun, pool->begun + 1, __ATOMIC_RELEASE);
}

/* Under `in`: the errno number of what is in the way of a put, or 0. */
static int line_obstacle(struct weft_pool *pool, const struct weft_future *fresh)
{
    if (pool->closed)
        return wefti_line_closed(pool);
    if (pool->settled == 0)
        return ECHILD;
    if (pool->submitted - pool->begun_seen >= pool->backlog) {
        pool->begun_seen = __atomic_load_n(&pool->begun, __ATOMIC_ACQUIRE);
        if (pool->submitted - pool->begun_seen >= pool->backlog)
            return EAGAIN;
    }
    if (!pool->spare && !fresh)
        pool->spare = __atomic_exchange_n(&pool->returned, NULL, __ATOMIC_ACQUIRE);
    return pool->spare || fresh ? 0 : ENOMEM;
}

static struct weft_future *line_record(struct weft_pool *pool, struct weft_future **fresh)
{
    struct weft_future *record = pool->spare;
    if (record) {
        pool->spare = record->next;
        __builtin_prefetch(pool->spare, 1);
        return record;
    }
    record = *fresh;
    *fresh = NULL;
    return record;
}

/* Under `in`, and `out` too when the priority is not the normal one. */
static struct weft_future *line_add(struct weft_pool *pool, const struct wefti_submission *what, struct weft_future **fresh)
{
    struct weft_future *task = line_record(pool, fresh);
    wefti_future_prepare(task, pool, what);
    __atomic_store_n(&pool->submitted, pool->submitted + 1, __ATOMIC_RELAXED);
    if (__builtin_expect(what->priority != WEFT_PRIORITY_NORMAL, 0)) {
        wefti_lanes_add(pool, what->priority, task);
        return task;
    }
    if (pool->arrived)
        pool->last->next = task;
    else
        __atomic_store_n(&pool->arrived, task, __ATOMIC_RELAXED); /* a worker that searches looks at it without the latch */
    pool->last = task;
    return task;
}

int wefti_line_put(struct weft_pool *pool, const struct wefti_submission *what, struct weft_future **fresh, struct weft_future **future)
{
    struct wefti_summons summons = {0};
    bool laned = what->priority != WEFT_PRIORITY_NORMAL;
    if (laned)
        wefti_latch_close(&pool->out);
    wefti_latch_close(&pool->in);
    int obstacle = line_obstacle(pool, *fresh);
    if (!obstacle) {
        *future = line_add(pool, what, fresh);
        summons = wefti_crew_summon(pool, true);
    }
    wefti_latch_open(&pool->in);
    if (laned)
        wefti_latch_open(&pool->out);
    wefti_crew_follow(pool, &summons);
    return obstacle;
}

/* Whether a worker without work is to look for some time before it rests. */
static bool worker_may_search(struct wefti_worker *worker)
{
    if (worker->search_rest == 0)
        return wefti_may_spin();
    worker->search_rest--;
    return false;
}

static void line_search_begin(struct weft_pool *pool, struct wefti_worker *worker)
{
    pool->searched = worker->searches = true;
    worker->coming = true;
    pool->coming++;
}

/* Under `in`: the worker has come, whether called, just started, or from a search. */
static void line_come(struct weft_pool *pool, struct wefti_worker *worker)
{
    pool->coming -= worker->coming;
    worker->coming = false;
}

enum next { TAKE, SEARCH, GIVE_WAY, REST, END };

/* Under `in`: what a worker is to do that finds nothing. One at a time searches or gives way, as the next task is for one. */
static enum next line_idle(struct weft_pool *pool, struct wefti_worker *worker)
{
    if (pool->closed)
        return END;
    if (pool->searched || worker->searches)
        return REST;
    enum next next = worker_may_search(worker) ? SEARCH : worker->taken >= MANY_TAKEN ? GIVE_WAY : REST;
    worker->taken = 0;
    if (next != REST)
        line_search_begin(pool, worker);
    return next;
}

/*
 * Under `out`: what a worker is to do. When it says REST, the worker rests already. A worker has come before the task that it takes
 * counts as begun: so a submitter may call one too many, never too few.
 */
static enum next line_next(struct weft_pool *pool, struct wefti_worker *worker)
{
    if (pool->first && !worker->coming && !__atomic_load_n(&pool->crowded, __ATOMIC_RELAXED) && !wefti_budget_exceeded(pool))
        return TAKE;
    wefti_latch_close(&pool->in);
    line_come(pool, worker);
    if (!pool->first) {
        pool->first = pool->arrived;
        __atomic_store_n(&pool->arrived, NULL, __ATOMIC_RELAXED);
        pool->last = NULL;
    }
    bool ended_search = worker->searches;
    enum next next = TAKE;
    if (wefti_crew_is_left(pool))
        next = END;
    else if (!pool->first && pool->laned == 0)
        next = line_idle(pool, worker);
    else if (!pool->closed && (wefti_crew_running(pool) > pool->workers || (pool->counted > 1 && wefti_budget_exceeded(pool))))
        next = REST;
    if (next == REST)
        wefti_crew_rest(pool, worker);
    if (ended_search)
        pool->searched = worker->searches = false;
    wefti_latch_open(&pool->in);
    return next;
}

/* Looks for a while whether something arrives. Spins in vain make it look less often. */
static void line_search(struct weft_pool *pool, struct wefti_worker *worker)
{
    weft_time end = weft_clock() + SEARCH_TIME;
    do {
        for (int i = 0; i < SEARCH_LOOKS; i++) {
            if (__atomic_load_n(&pool->arrived, __ATOMIC_RELAXED) || __atomic_load_n(&pool->laned, __ATOMIC_RELAXED) ||
                __atomic_load_n(&pool->closed, __ATOMIC_RELAXED)) {
                worker->search_failures = 0;
                return;
            }
            wefti_pause();
        }
    } while (weft_clock() < end);
    if (worker->search_failures < SEARCH_REST_BITS)
        worker->search_failures++;
    worker->search_rest = (1U << worker->search_failures) - 1;
}

/* Under `out`: the next in the line, which may wait no more: then it is only to be freed. */
static struct weft_future *line_take(struct weft_pool *pool, struct wefti_worker *worker, bool *dead)
{
    struct weft_future *task = pool->first;
    if (__builtin_expect(pool->laned > 0, 0))
        task = wefti_lanes_take(pool);
    else
        pool->first = task->next;
    __builtin_prefetch(task->next, 1);
    *dead = task->begun;
    if (*dead) {
        pool->dead--;
    } else {
        line_begin(pool, task, worker->context);
        worker->taken++;
    }
    return task;
}

/* What a worker does that has found nothing. */
static void worker_idle(struct wefti_worker *worker, enum next next)
{
    if (next == SEARCH)
        line_search(worker->pool, worker);
    else if (next == GIVE_WAY)
        wefti_yield();
    while (next == REST && __atomic_load_n(&worker->called, __ATOMIC_ACQUIRE) == 0)
        wefti_wait_quiet(&worker->called, 0, WEFT_FOREVER);
}

struct weft_future *wefti_line_next(struct wefti_worker *worker)
{
    struct weft_pool *pool = worker->pool;
    for (;;) {
        bool dead = false;
        wefti_latch_close(&pool->out);
        enum next next = line_next(pool, worker);
        struct weft_future *task = next == TAKE ? line_take(pool, worker, &dead) : NULL;
        uint32_t room = task ? wefti_room_made(pool) : 0;
        wefti_latch_open(&pool->out);
        if (room)
            weft_wake(&pool->room, room);
        if (task && pool->limited)
            wefti_crew_summon_all(pool);
        if (dead)
            weft_future_free(task);
        else if (task || next == END)
            return task;
        else
            worker_idle(worker, next);
    }
}

/* Under `out`: the task begins otherwise than by being taken. What it leaves in the line has a reference, until the line is swept. */
static struct weft_future *line_kill(struct weft_pool *pool, struct weft_future *task, struct wefti_context *context)
{
    line_begin(pool, task, context);
    weft_future_keep(task);
    pool->dead++;
    pool->helped += context != NULL;
    uint64_t waiting = __atomic_load_n(&pool->submitted, __ATOMIC_RELAXED) - pool->begun;
    if (pool->dead <= WEFTI_POOL_DEAD || pool->dead <= waiting)
        return NULL;
    wefti_latch_close(&pool->in);
    struct weft_future *dead = line_sweep(pool);
    wefti_latch_open(&pool->in);
    return dead;
}

bool wefti_line_claim(struct weft_future *future, struct wefti_context *context)
{
    struct weft_pool *pool = future->pool;
    if (__atomic_load_n(&future->begun, __ATOMIC_ACQUIRE)) /* pairs with line_begin: who cancels it then sees its context */
        return false;
    uint32_t room = 0;
    struct weft_future *dead = NULL;
    wefti_latch_close(&pool->out);
    bool waits = !future->begun;
    if (waits) {
        dead = line_kill(pool, future, context);
        room = wefti_room_made(pool);
    }
    wefti_latch_open(&pool->out);
    list_free(dead);
    if (room)
        weft_wake(&pool->room, room);
    return waits;
}

struct weft_future *wefti_line_clear(struct weft_pool *pool)
{
    wefti_latch_close(&pool->out);
    wefti_latch_close(&pool->in);
    struct weft_future *dead = line_sweep(pool);
    struct weft_future *list = NULL, *lists[] = {pool->high.first, pool->first, pool->arrived, pool->low.first};
    for (struct weft_future **end = &list, **next = lists; next < lists + 4; next++) {
        *end = *next;
        while (*end)
            end = &(*end)->next;
    }
    pool->first = pool->last = pool->high.first = pool->low.first = NULL;
    __atomic_store_n(&pool->laned, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&pool->arrived, NULL, __ATOMIC_RELAXED);
    for (struct weft_future *task = list; task; task = task->next)
        line_begin(pool, task, NULL);
    wefti_latch_open(&pool->in);
    wefti_latch_open(&pool->out);
    list_free(dead);
    return list;
}

void wefti_line_close(struct weft_pool *pool)
{
    for (;;) {
        wefti_latch_close(&pool->in);
        __atomic_store_n(&pool->closed, true, __ATOMIC_RELAXED);
        const uint32_t *call = wefti_crew_unrest(pool);
        wefti_latch_open(&pool->in);
        if (!call)
            break;
        weft_wake(call, 1);
    }
    wefti_room_close(pool);
}
