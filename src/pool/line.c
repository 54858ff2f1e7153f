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
 * Who is called: a worker without work rests, on a stack, in the same closing of `in` in which it saw that nothing has arrived; so a
 * submitter, which adds under `in`, finds it there. A submit calls at most one, the youngest sleeper, or has one started: only when more
 * tasks wait than workers are coming (called or started, and not there yet), and fewer than `workers` run. So no more wake than there is
 * work for. Before it rests, a worker searches for a moment, one at a time: it is coming, so nobody has to be called for the next task.
 * Where looking has not paid, because its submitter wants the same processor, a worker that has just had several tasks gives way once
 * instead: when it runs again it finds many, where sleeping and being woken for each would cost far more.
 *
 * Stand-ins: a worker that waits for a task of its own pool is `away`, and another may run in its place. Once it has come back more than
 * `workers` run (the pool is crowded) and whoever is first to want another task rests instead. While tasks wait, at least `workers` run,
 * or all there are, or no thread could be started.
 *
 * Lanes: tasks of the other priorities stand in lists of their own, which are all under `out`; so only who submits such a task closes both
 * latches, and the lines above say what is done for all others. A lane whose first task has been passed over by WEFT_PRIORITY_TURNS others has its
 * turn (`passed`); the lowest first when several have, so the normal one begins one later at most.
 *
 * A smaller pool: `surplus` workers are to end. Those that rest are called to do so, others see it when they want a task. Who is called
 * and ends has not taken the call for a task from anybody: as many are called as end, and one that departs calls or starts another for what waits.
 *
 * The budget: `counted` of the pool's workers count in its root's `used`, namely all that run but those that wait for tasks of other pools
 * (`lent`). A worker of a limited pool is called or started only if `used` can be raised within the budget, by compare-and-swap, or if it is
 * the only one; so each pool goes on, and the sum is exact. Others raise it as they come, also above the budget: then limited pools' workers but
 * one rest when they want a task. A limited pool that was refused asks again whenever it begins a task.
 *
 * Room: a submitter that waits for room counts itself under `out`, where workers look each time they take a task. They call it when a
 * quarter of the line has become free, so that it puts many at a time instead of one a wake; when that takes longer than PATIENCE, at
 * the first place. They call once (room_told), until one of those who wait has come: it goes on to put a task, whose beginning calls the
 * next.
 */

#include <errno.h>

#include "hint.h"
#include "pool/pool.h"

enum { PATIENCE = 200000 /* ns */, SEARCH_TIME = 20000 /* ns */, SEARCH_LOOKS = 16, SEARCH_REST_BITS = 8, MANY_TAKEN = 4 };

static unsigned line_running(const struct weft_pool *pool)
{
    return pool->alive - pool->away - pool->resting;
}

/* Under `in`: what has changed counts in the budget. */
static void budget_count(struct weft_pool *pool)
{
    unsigned counts = line_running(pool) - pool->lent;
    if (counts != pool->counted)
        __atomic_add_fetch(&pool->root->used, counts - pool->counted, __ATOMIC_RELAXED);
    pool->counted = counts;
}

/* Under `in`: counts one more, if it may run. */
static bool budget_take(struct weft_pool *pool)
{
    if (!pool->limited || pool->counted == 0)
        return true;
    uint32_t used = __atomic_load_n(&pool->root->used, __ATOMIC_RELAXED);
    do {
        if (used >= pool->root->budget)
            return false;
    } while (!__atomic_compare_exchange_n(&pool->root->used, &used, used + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    pool->counted++;
    return true;
}

/* Whether more workers of the whole family run than should. */
static bool budget_exceeded(const struct weft_pool *pool)
{
    return pool->limited && __atomic_load_n(&pool->root->used, __ATOMIC_RELAXED) > pool->root->budget;
}

/* To be called under `in` after alive, away, resting, lent or surplus have changed. Written only when it changes: workers look at it all the time. */
static void line_balance(struct weft_pool *pool)
{
    budget_count(pool);
    bool crowded = line_running(pool) > pool->workers || pool->surplus > 0;
    if (__atomic_load_n(&pool->crowded, __ATOMIC_RELAXED) != crowded)
        __atomic_store_n(&pool->crowded, crowded, __ATOMIC_RELAXED);
}

/* Under `in`: takes one out of those who rest, if there is one. Its thread may go on, and end, as soon as `in` is open. */
static const uint32_t *line_unrest(struct weft_pool *pool)
{
    struct wefti_worker *worker = pool->rest;
    if (!worker)
        return NULL;
    pool->rest = worker->next;
    pool->resting--;
    worker->coming = true;
    pool->coming++;
    line_balance(pool);
    __atomic_store_n(&worker->called, 1, __ATOMIC_RELEASE);
    return &worker->called;
}

bool wefti_line_reserve(struct weft_pool *pool)
{
    if (pool->alive >= pool->workers + pool->away)
        return false;
    pool->alive++;
    pool->coming++;
    line_balance(pool);
    return true;
}

struct summons {
    const uint32_t *call; /* wake this */
    bool start;           /* start a worker, counted already */
};

/* Under `in`: calls or starts one more worker, if more tasks wait than workers are coming, and one more may run. */
static struct summons line_summon(struct weft_pool *pool, bool start)
{
    struct summons summons = {0};
    if (line_running(pool) >= pool->workers)
        return summons; /* before the next line, which costs a submitter a miss in its cache */
    uint64_t waiting = pool->submitted - __atomic_load_n(&pool->begun, __ATOMIC_RELAXED);
    if (waiting <= pool->coming || !budget_take(pool))
        return summons;
    summons.call = line_unrest(pool);
    summons.start = !summons.call && start && wefti_line_reserve(pool);
    if (!summons.call && !summons.start)
        budget_count(pool);
    return summons;
}

/* Does what line_summon says. 0, or -1 when a worker could not be started: those who are there do the work. */
static int summons_follow(struct weft_pool *pool, const struct summons *summons)
{
    if (summons->call)
        weft_wake(summons->call, 1);
    return summons->start ? wefti_worker_start(pool) : 0;
}

/* Calls or starts workers for all that waits. */
static void line_summon_all(struct weft_pool *pool)
{
    struct summons summons;
    do {
        wefti_latch_close(&pool->in);
        summons = pool->closed ? (struct summons){0} : line_summon(pool, true);
        wefti_latch_open(&pool->in);
    } while (summons_follow(pool, &summons) == 0 && (summons.call || summons.start));
}

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

/* Under `out`: how many submitters to call, there being room now. */
static uint32_t line_room_made(struct weft_pool *pool)
{
    if (pool->room_waiting == 0 || pool->room_told)
        return 0;
    uint64_t waiting = __atomic_load_n(&pool->submitted, __ATOMIC_RELAXED) - pool->begun;
    if (!pool->eager && waiting > pool->backlog - (pool->backlog + 3) / 4)
        return 0;
    pool->room_told = true;
    __atomic_add_fetch(&pool->room, 1, __ATOMIC_RELEASE);
    uint64_t free = waiting < pool->backlog ? pool->backlog - waiting : 1;
    return free < UINT32_MAX ? (uint32_t)free : UINT32_MAX;
}

/* Under `in`: why nothing is taken any more. */
static int line_closed(const struct weft_pool *pool)
{
    return pool->broken ? EOWNERDEAD : ESHUTDOWN;
}

/* Under `in`: the errno number of what is in the way of a put, or 0. */
static int line_obstacle(struct weft_pool *pool, const struct weft_future *fresh)
{
    if (pool->closed)
        return line_closed(pool);
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

/* Under both latches. */
static void lane_add(struct weft_pool *pool, struct wefti_lane *lane, struct weft_future *task)
{
    *(lane->first ? &lane->last->next : &lane->first) = task;
    lane->last = task;
    __atomic_store_n(&pool->laned, pool->laned + 1, __ATOMIC_RELAXED); /* a worker that searches looks at it without the latch */
}

/* Under `in`, and `out` too when the priority is not the normal one. */
static struct weft_future *line_add(struct weft_pool *pool, const struct wefti_submission *what, struct weft_future **fresh)
{
    struct weft_future *task = line_record(pool, fresh);
    wefti_future_prepare(task, pool, what);
    __atomic_store_n(&pool->submitted, pool->submitted + 1, __ATOMIC_RELAXED);
    if (__builtin_expect(what->priority != WEFT_PRIORITY_NORMAL, 0)) {
        lane_add(pool, what->priority > WEFT_PRIORITY_NORMAL ? &pool->high : &pool->low, task);
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
    struct summons summons = {0};
    bool laned = what->priority != WEFT_PRIORITY_NORMAL;
    if (laned)
        wefti_latch_close(&pool->out);
    wefti_latch_close(&pool->in);
    int obstacle = line_obstacle(pool, *fresh);
    if (!obstacle) {
        *future = line_add(pool, what, fresh);
        summons = line_summon(pool, true);
    }
    wefti_latch_open(&pool->in);
    if (laned)
        wefti_latch_open(&pool->out);
    summons_follow(pool, &summons);
    return obstacle;
}

/* Under `in`: the worker rests from now on. */
static void line_rest(struct weft_pool *pool, struct wefti_worker *worker)
{
    __atomic_store_n(&worker->called, 0, __ATOMIC_RELAXED);
    worker->next = pool->rest;
    pool->rest = worker;
    pool->resting++;
    line_balance(pool);
}

/* Whether a worker without work is to look for some time before it rests. */
static bool worker_may_search(struct wefti_worker *worker)
{
    if (worker->search_rest == 0)
        return wefti_many_processors();
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

/* Under `in`: whether the worker that asks is to end, since the pool has been made smaller. */
static bool line_is_left(struct weft_pool *pool)
{
    if (pool->surplus == 0 || pool->settled <= 1)
        return false;
    pool->settled--;
    pool->surplus--;
    line_balance(pool);
    return true;
}

/*
 * Under `out`: what a worker is to do. When it says REST, the worker rests already. A worker has come before the task that it takes
 * counts as begun: so a submitter may call one too many, never too few.
 */
static enum next line_next(struct weft_pool *pool, struct wefti_worker *worker)
{
    if (pool->first && !worker->coming && !__atomic_load_n(&pool->crowded, __ATOMIC_RELAXED) && !budget_exceeded(pool))
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
    if (line_is_left(pool))
        next = END;
    else if (!pool->first && pool->laned == 0)
        next = line_idle(pool, worker);
    else if (!pool->closed && (line_running(pool) > pool->workers || (pool->counted > 1 && budget_exceeded(pool))))
        next = REST;
    if (next == REST)
        line_rest(pool, worker);
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

static struct weft_future *lane_first(const struct weft_pool *pool, enum wefti_lanes lane)
{
    return lane == WEFTI_LANE_NORMAL ? pool->first : lane == WEFTI_LANE_HIGH ? pool->high.first : pool->low.first;
}

/* Under `out`: the lane whose first task is next; there is one. */
static enum wefti_lanes line_lane(const struct weft_pool *pool)
{
    for (enum wefti_lanes lane = WEFTI_LANES; lane-- > 0;)
        if (pool->passed[lane] >= WEFT_PRIORITY_TURNS && lane_first(pool, lane))
            return lane;
    enum wefti_lanes lane = WEFTI_LANE_HIGH;
    while (!lane_first(pool, lane))
        lane++;
    return lane;
}

/* Under `out`: the first of this lane begins. */
static void line_pass(struct weft_pool *pool, enum wefti_lanes begins)
{
    for (enum wefti_lanes lane = 0; lane < WEFTI_LANES; lane++)
        pool->passed[lane] = lane != begins && lane_first(pool, lane) ? pool->passed[lane] + 1 : 0;
}

/* Under `out`: takes the next out of the line, where there are lanes. */
static struct weft_future *lane_take(struct weft_pool *pool)
{
    enum wefti_lanes from = line_lane(pool);
    struct weft_future *task = lane_first(pool, from);
    if (!task->begun)
        line_pass(pool, from);
    if (from == WEFTI_LANE_NORMAL) {
        pool->first = task->next;
        return task;
    }
    (from == WEFTI_LANE_HIGH ? &pool->high : &pool->low)->first = task->next;
    __atomic_store_n(&pool->laned, pool->laned - 1, __ATOMIC_RELAXED);
    return task;
}

/* Under `out`: the next in the line, which may wait no more: then it is only to be freed. */
static struct weft_future *line_take(struct weft_pool *pool, struct wefti_worker *worker, bool *dead)
{
    struct weft_future *task = pool->first;
    if (__builtin_expect(pool->laned > 0, 0))
        task = lane_take(pool);
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
        uint32_t room = task ? line_room_made(pool) : 0;
        wefti_latch_open(&pool->out);
        if (room)
            weft_wake(&pool->room, room);
        if (task && pool->limited)
            line_summon_all(pool);
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
        room = line_room_made(pool);
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

/* Counts the caller among those who wait for room, if there is none. */
static bool line_await_room(struct weft_pool *pool, bool eager, uint32_t *seen)
{
    wefti_latch_close(&pool->out);
    *seen = __atomic_load_n(&pool->room, __ATOMIC_ACQUIRE); /* before `closed`, which wefti_line_close sets before it changes the word */
    wefti_latch_close(&pool->in);
    bool full = !pool->closed && pool->submitted - pool->begun >= pool->backlog;
    wefti_latch_open(&pool->in);
    if (full) {
        pool->blocked++;
        pool->room_waiting++;
        pool->room_told = false;
        pool->eager |= eager;
    }
    wefti_latch_open(&pool->out);
    return full;
}

static void line_leave_room(struct weft_pool *pool)
{
    wefti_latch_close(&pool->out);
    pool->room_told = false;
    if (--pool->room_waiting == 0)
        pool->eager = false;
    wefti_latch_open(&pool->out);
}

int wefti_line_room(struct weft_pool *pool, unsigned *patience, weft_time deadline)
{
    bool eager = *patience > 0;
    uint32_t seen;
    if (!line_await_room(pool, eager, &seen))
        return 0;
    weft_time until = eager ? WEFT_FOREVER : weft_clock() + PATIENCE;
    bool whole = until >= deadline;
    int result = weft_wait(&pool->room, seen, whole ? deadline : until);
    int error = errno;
    line_leave_room(pool);
    if (result != 0 && !whole && error == ETIMEDOUT) {
        *patience = 1;
        return 0;
    }
    errno = error;
    return result;
}

void wefti_line_close(struct weft_pool *pool)
{
    for (;;) {
        wefti_latch_close(&pool->in);
        __atomic_store_n(&pool->closed, true, __ATOMIC_RELAXED);
        const uint32_t *call = line_unrest(pool);
        wefti_latch_open(&pool->in);
        if (!call)
            break;
        weft_wake(call, 1);
    }
    __atomic_add_fetch(&pool->room, 1, __ATOMIC_RELEASE);
    weft_wake(&pool->room, UINT32_MAX);
}

bool wefti_line_stand_in(struct weft_pool *pool)
{
    struct summons summons = {0};
    wefti_latch_close(&pool->in);
    bool allowed = pool->away < WEFTI_POOL_STAND_INS;
    if (allowed) {
        pool->away++;
        pool->waits++;
        line_balance(pool);
        summons = line_summon(pool, true);
    }
    wefti_latch_open(&pool->in);
    if (summons.call)
        weft_wake(summons.call, 1);
    if (!summons.start || wefti_worker_start(pool) == 0)
        return allowed;
    wefti_latch_close(&pool->in);
    bool others = pool->alive > pool->away;
    if (!others) {
        pool->away--;
        line_balance(pool);
    }
    wefti_latch_open(&pool->in);
    return others;
}

/* Under `in`: one worker less is alive. */
static void line_lose(struct weft_pool *pool)
{
    pool->alive--;
    unsigned most = pool->workers + pool->away, surplus = pool->alive > most ? pool->alive - most : 0;
    if (pool->surplus > surplus)
        pool->surplus = surplus;
    line_balance(pool);
}

void wefti_line_settle(struct weft_pool *pool, bool started)
{
    wefti_latch_close(&pool->in);
    pool->settled += started;
    __atomic_add_fetch(&pool->settling, 1, __ATOMIC_RELEASE);
    /* It may have come before it was settled, and have rested instead of ending. */
    const uint32_t *call = started && pool->surplus > 0 ? line_unrest(pool) : NULL;
    wefti_latch_open(&pool->in);
    if (call)
        weft_wake(call, 1);
}

void wefti_line_depart(struct weft_pool *pool)
{
    wefti_latch_close(&pool->in);
    line_lose(pool);
    wefti_latch_open(&pool->in);
    line_summon_all(pool);
}

int wefti_line_resize(struct weft_pool *pool, unsigned workers)
{
    wefti_latch_close(&pool->in);
    int closed = pool->closed ? line_closed(pool) : 0;
    if (!closed) {
        __atomic_store_n(&pool->workers, workers, __ATOMIC_RELAXED);
        unsigned most = workers + pool->away;
        pool->surplus = pool->alive > most ? pool->alive - most : 0;
        line_balance(pool);
    }
    unsigned calls = closed ? 0 : pool->surplus;
    wefti_latch_open(&pool->in);
    for (; calls > 0; calls--) {
        wefti_latch_close(&pool->in);
        const uint32_t *call = line_unrest(pool);
        wefti_latch_open(&pool->in);
        if (!call)
            break;
        weft_wake(call, 1);
    }
    if (!closed)
        line_summon_all(pool);
    return closed;
}

void wefti_line_lend(struct weft_pool *pool)
{
    wefti_latch_close(&pool->in);
    pool->lent++;
    pool->waits++;
    line_balance(pool);
    wefti_latch_open(&pool->in);
}

void wefti_line_take_back(struct weft_pool *pool)
{
    wefti_latch_close(&pool->in);
    pool->lent--;
    line_balance(pool);
    wefti_latch_open(&pool->in);
}

void wefti_line_unreserve(struct weft_pool *pool)
{
    wefti_latch_close(&pool->in);
    pool->coming--;
    line_lose(pool);
    struct summons summons = line_summon(pool, false);
    wefti_latch_open(&pool->in);
    if (summons.call)
        weft_wake(summons.call, 1);
}

void wefti_line_return(struct weft_pool *pool)
{
    wefti_latch_close(&pool->in);
    pool->away--;
    line_balance(pool);
    wefti_latch_open(&pool->in);
}
