/* SPDX-License-Identifier: MIT */
/*
 * Loops side by side.
 *
 * Who takes part: the caller, in a visit of its own (run.c), so that it is a task like the others: it can be cancelled alone, and
 * terminating the pool reaches it. And helpers, tasks of the pool. Each who takes part calls up to two helpers before it begins, as long as
 * there are chunks left, so many of them come in few steps; and takes those back at its end that no worker has begun. So nobody ever waits
 * for a task in the line, and the caller waits at last only for helpers that run: loops inside loops end by induction, whatever the workers
 * do.
 *
 * Who takes what: `taken` counts the chunks that were taken out of the loop. Who takes part takes several at a time, at most STOCK and a
 * small part of what is left, and has them as a stock of its own, in a line of the cache of its own: `begun`, from where it goes on by
 * fetch-and-add, and `end`. So the threads seldom meet at `taken`, which costs them a multiple of what the rest of an iteration does. When
 * the loop has no more (`taken` >= chunks, from then on for ever), they take single chunks from the stocks of each other, by the same
 * fetch-and-add.
 *
 * A stock is filled only before that: first `begun` is set, then `end` (release). So who has seen that there are no more (acquire of
 * `taken`, which pairs with the release of whoever added to it) sees stocks that will not be filled again: of one that is just about to be,
 * it sees the old `end` with a `begun` that is not below it, and passes on; who sees the new `end` (acquire) sees the new `begun`. One that
 * it passes on is done by its owner alone.
 *
 * What the caller wrote before the loop is visible to helpers through the pool's latches, and what they wrote to the caller through
 * `present` (released by each, acquired by the caller).
 *
 * How it ends: `present` counts helpers from before their submit until they have ended in whatever way, their callback being the one thing
 * that happens to every task. The loop lies on the caller's stack, and is touched by nobody after that. The first failure is written
 * under the latch, where it also cancels whoever is in `members`: they leave that list under the latch too, so each cancelled is still
 * there.
 */

#include <weft/parallel.h>

#include <errno.h>

#include "base/options.h"
#include "pool/pool.h"
#include "shared/arena.h"

enum { CALLS = 2, SHARES = 8, STOCK = 64, LINE = 128 /* two lines of the cache, as they are fetched in pairs */ };

struct member {
    struct weft_future *task;
    struct wefti_context *context;
    struct member *next;
    size_t begun __attribute__((aligned(LINE))); /* of the stock; others add to it too */
    size_t end;                                  /* of the stock */
};

struct loop {
    /* Constant. */
    weft_index_function *each; /* one of these two */
    weft_range_function *range;
    void *data;
    size_t count, chunk, chunks;
    size_t shares; /* a stock is at most this part of what is left */
    struct weft_pool *pool;
    bool shielded;   /* the caller's waits cannot be cancelled */
    weft_time limit; /* the deadline of the block of weft_deadline around it */
    /* Rarely written. */
    uint32_t calls;   /* helpers that may still be called */
    uint32_t stopped; /* no chunk is taken any more; written under the latch */
    uint32_t present; /* a word that is waited for */
    int error;        /* of the first failure; guarded by the latch */
    struct wefti_latch latch;
    struct member *members;                      /* who runs iterations; guarded by the latch */
    size_t taken __attribute__((aligned(LINE))); /* written by all, often */
};

/* Ends the loop; the first who says so is heard. */
static void loop_fail(struct loop *loop, const struct wefti_context *context, int error)
{
    wefti_latch_close(&loop->latch);
    if (!loop->stopped) {
        loop->error = error;
        __atomic_store_n(&loop->stopped, 1, __ATOMIC_RELAXED);
        for (struct member *member = loop->members; member; member = member->next)
            if (member->context != context)
                weft_future_cancel(member->task);
    }
    wefti_latch_open(&loop->latch);
}

static void member_enter(struct loop *loop, struct member *member)
{
    wefti_latch_close(&loop->latch);
    member->next = loop->members;
    loop->members = member;
    wefti_latch_open(&loop->latch);
}

static void member_leave(struct loop *loop, struct member *member)
{
    wefti_latch_close(&loop->latch);
    struct member **link = &loop->members;
    while (*link != member)
        link = &(*link)->next;
    *link = member->next;
    wefti_latch_open(&loop->latch);
}

/* Whether its waits fail by now: then it takes no more. */
static bool context_ends(const struct wefti_context *context)
{
    return wefti_context_cancelled(context) && context->shield == 0;
}

/* Takes chunks out of the loop; false when there are no more. */
static bool stock_fill(struct loop *loop, struct member *self)
{
    size_t taken = __atomic_load_n(&loop->taken, __ATOMIC_RELAXED);
    if (taken >= loop->chunks)
        return false;
    size_t most = (loop->chunks - taken) / loop->shares, count = most < 1 ? 1 : most < STOCK ? most : STOCK;
    size_t first = __atomic_fetch_add(&loop->taken, count, __ATOMIC_ACQ_REL); /* it seldom exceeds `chunks`, by a STOCK for each at most */
    if (first >= loop->chunks)
        return false;
    __atomic_store_n(&self->begun, first, __ATOMIC_RELAXED);
    __atomic_store_n(&self->end, loop->chunks - first < count ? loop->chunks : first + count, __ATOMIC_RELEASE);
    return true;
}

/* The next of a stock. False: it is empty. */
static inline bool stock_take(struct member *member, size_t *number)
{
    size_t end = __atomic_load_n(&member->end, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&member->begun, __ATOMIC_RELAXED) >= end)
        return false;
    *number = __atomic_fetch_add(&member->begun, 1, __ATOMIC_RELAXED);
    return *number < end;
}

/* Takes the next from another's stock, once the loop has no more. */
static bool loop_take_from_others(struct loop *loop, size_t *number)
{
    if (__atomic_load_n(&loop->taken, __ATOMIC_ACQUIRE) < loop->chunks)
        return false;
    bool took = false;
    wefti_latch_close(&loop->latch);
    for (struct member *member = loop->members; member && !took; member = member->next)
        took = stock_take(member, number);
    wefti_latch_open(&loop->latch);
    return took;
}

static bool loop_take(struct loop *loop, struct member *self, size_t *number)
{
    while (!stock_take(self, number))
        if (!stock_fill(loop, self))
            return loop_take_from_others(loop, number);
    return true;
}

/* What the iterations from `first` on return: that of the first that fails. */
static inline int loop_run_chunk(const struct loop *loop, size_t first, size_t end)
{
    if (loop->range)
        return loop->range(first, end, loop->data);
    weft_index_function *each = loop->each;
    void *data = loop->data;
    for (size_t index = first; index < end; index++)
        if (__builtin_expect(each(index, data), 0) != 0)
            return -1;
    return 0;
}

static void loop_take_chunks(struct loop *loop, struct member *self)
{
    size_t number;
    while (!__atomic_load_n(&loop->stopped, __ATOMIC_RELAXED) && !context_ends(self->context)) {
        if (!loop_take(loop, self, &number))
            return;
        size_t first = number * loop->chunk, left = loop->count - first;
        errno = 0;
        if (loop_run_chunk(loop, first, first + (left < loop->chunk ? left : loop->chunk)) != 0)
            loop_fail(loop, self->context, errno ? errno : EINVAL);
    }
    if (__atomic_load_n(&self->begun, __ATOMIC_RELAXED) <
        self->end) /* it was cancelled, as the pool is terminated, and leaves what it had taken */
        loop_fail(loop, self->context, ECANCELED);
}

/* Counts the caller out; the loop may be gone after that. */
static void loop_release(struct loop *loop)
{
    if (__atomic_sub_fetch(&loop->present, 1, __ATOMIC_RELEASE) == 0)
        weft_wake(&loop->present, 1);
}

static int helper_ended(struct weft_future *helper, void *loop)
{
    (void)helper;
    loop_release(loop);
    return 0;
}

static weft_value helper_main(weft_value loop);

/* Asks the pool for one more, if there is something left to do. NULL: it comes not. */
static struct weft_future *loop_call(struct loop *loop)
{
    uint32_t calls = __atomic_load_n(&loop->calls, __ATOMIC_RELAXED);
    do {
        if (calls == 0 || __atomic_load_n(&loop->taken, __ATOMIC_RELAXED) + 1 >= loop->chunks)
            return NULL;
    } while (!__atomic_compare_exchange_n(&loop->calls, &calls, calls - 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    const struct weft_submit_options options = {
        .pool = loop->pool, .function = helper_main, .argument = weft_ptr(loop), .on_done = helper_ended, .data = loop};
    __atomic_add_fetch(&loop->present, 1, __ATOMIC_RELAXED);
    struct weft_future *helper = wefti_pool_submit(&options, 2, WEFTI_IF_ROOM);
    if (!helper)
        __atomic_sub_fetch(
            &loop->present, 1, __ATOMIC_RELAXED); /* never to 0 while the caller waits: a helper that calls is counted itself */
    return helper;
}

static void helper_take_back(struct weft_future *helper)
{
    wefti_future_withdraw(helper, weft_none, WEFT_DONE);
    weft_future_free(helper);
}

/* Runs iterations until there are none. */
static void loop_take_part(struct loop *loop, const struct wefti_run *run)
{
    struct member self = {.task = run->task, .context = run->context};
    struct weft_future *called[CALLS];
    unsigned count = 0;
    while (count < CALLS && (called[count] = loop_call(loop)))
        count++;
    member_enter(loop, &self);
    loop_take_chunks(loop, &self);
    member_leave(loop, &self);
    while (count > 0)
        helper_take_back(called[--count]);
}

static weft_value helper_main(weft_value pointer)
{
    struct loop *loop = weft_as_ptr(pointer);
    struct wefti_context *context = wefti_context_current();
    context->limit = loop->limit;
    loop_take_part(loop, context->run);
    context->limit = WEFT_FOREVER;
    return weft_none;
}

/* Waits until no helper is there. A cancel that comes meanwhile, or the deadline of a block around, ends the loop, but not the wait. */
static void loop_join(struct loop *loop, const struct wefti_run *run)
{
    bool ended = false;
    uint32_t present;
    while ((present = __atomic_load_n(&loop->present, __ATOMIC_ACQUIRE)) > 0) {
        if (weft_wait(&loop->present, present, WEFT_FOREVER) == 0 || ended)
            continue;
        ended = true;
        loop_fail(loop, run->context, errno);
        wefti_shield_raise();
    }
    if (ended)
        wefti_shield_lower();
}

static weft_value caller_main(weft_value pointer)
{
    struct loop *loop = weft_as_ptr(pointer);
    struct wefti_run *run = wefti_context_current()->run;
    if (loop->shielded)
        wefti_shield_raise();
    loop_take_part(loop, run);
    if (context_ends(run->context))
        loop_fail(loop, run->context, ECANCELED);
    if (__atomic_load_n(&loop->present, __ATOMIC_ACQUIRE) > 0) {
        bool away = run->worker && run->worker->pool == loop->pool && wefti_crew_stand_in(loop->pool);
        loop_join(loop, run);
        if (away)
            wefti_crew_return(loop->pool);
    }
    if (loop->shielded)
        wefti_shield_lower();
    return weft_none;
}

/* 0, or the errno number of what forbids it. */
static int loop_obstacle(const struct weft_pool *pool, const struct wefti_context *context)
{
    if (__atomic_load_n(&pool->lost, __ATOMIC_RELAXED))
        return ESTALE;
    if (__atomic_load_n(&pool->closed, __ATOMIC_RELAXED))
        return ESHUTDOWN;
    return context_ends(context) ? ECANCELED : 0;
}

/* How many may help the caller. */
static uint32_t loop_helpers(const struct weft_pool *pool, unsigned workers, size_t count)
{
    unsigned most = __atomic_load_n(&pool->workers, __ATOMIC_RELAXED);
    unsigned helpers = (workers ? workers : most) - 1;
    helpers = helpers < most ? helpers : most;
    return count <= helpers ? (uint32_t)count - 1 : helpers;
}

static int loop_run(struct loop *loop, unsigned workers)
{
    struct wefti_context *context = wefti_context_current();
    int obstacle = loop_obstacle(loop->pool, context);
    if (!obstacle && loop->count > 0) {
        loop->calls = loop_helpers(loop->pool, workers, loop->count);
        if (loop->chunk == 0)
            loop->chunk = loop->count / ((size_t)SHARES * (loop->calls + 1));
        if (loop->chunk == 0)
            loop->chunk = 1;
        loop->chunks = loop->count / loop->chunk + (loop->count % loop->chunk != 0);
        loop->shares = (size_t)SHARES * (loop->calls + 1);
        loop->shielded = context->shield > 0;
        loop->limit = wefti_deadline(WEFT_FOREVER);
        wefti_run_part(loop->pool, caller_main, weft_ptr(loop));
        obstacle = loop->error;
    }
    if (!obstacle)
        return 0;
    errno = obstacle;
    return -1;
}

static struct weft_pool *pool_of_caller(void)
{
    const struct wefti_run *run = wefti_context_current()->run;
    return run ? run->pool : weft_default_pool();
}

static int loop_begin(struct loop *loop, struct weft_pool *pool, unsigned workers)
{
    if ((!loop->range && !loop->each) || loop->count > PTRDIFF_MAX || loop->chunk > PTRDIFF_MAX) {
        errno = EINVAL;
        return -1;
    }
    if (pool && wefti_is_shared(pool)) { /* its tasks could not see what the loop works on */
        errno = ENOTSUP;
        return -1;
    }
    loop->pool = pool ? pool : pool_of_caller();
    return loop->pool ? loop_run(loop, workers) : -1;
}

int weft_parallel_ranges_with(const struct weft_parallel_ranges_options *given)
{
    struct weft_parallel_ranges_options options;
    if (!wefti_options_read(&options, sizeof(options), given, offsetof(struct weft_parallel_ranges_options, guard)))
        return -1;
    struct loop loop = {.range = options.function, .data = options.data, .count = options.count, .chunk = options.chunk};
    return loop_begin(&loop, options.pool, options.workers);
}

int weft_parallel_for_with(const struct weft_parallel_for_options *given)
{
    struct weft_parallel_for_options options;
    if (!wefti_options_read(&options, sizeof(options), given, offsetof(struct weft_parallel_for_options, guard)))
        return -1;
    struct loop loop = {.each = options.function, .data = options.data, .count = options.count, .chunk = options.chunk};
    return loop_begin(&loop, options.pool, options.workers);
}
