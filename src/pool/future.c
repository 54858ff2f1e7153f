/* SPDX-License-Identifier: MIT */
/*
 * Futures: the end of a task, waited for, cancelled, called back.
 *
 * state, the word that is waited for:
 *   bits 0-2  the outcome, WEFT_PENDING until it has ended; set once, by who ends it, by compare-and-swap. Release: the result is final;
 *             everybody who reads the result has loaded the state with acquire
 *   WAITED    somebody sleeps on this word, or is about to: who ends it wakes them
 *   WATCHED   weft_wait_any looks at it: who ends it rings any_ended
 *   CANCEL    weft_future_cancel came while it ran. Set under the latch, and the context is cancelled before the latch is opened; who
 *             ends it and finds the bit closes the latch once, so that no cancel is under way when its context goes on to another task
 *   CALLS     there are callbacks: who ends it calls them, one by one, taking each out under the latch, until it finds none and sets
 *             `called`. So a callback is called exactly once, in the order in which they were added, whoever adds it when
 *
 * References: the pool has one until the callbacks have been called, the user has the others. So who ends a future may use it after the
 * end.
 *
 * In a forked child the workers of an inherited pool are not there: what had not ended is WEFT_LOST, and latches, which a thread of the
 * parent may have held, are not touched.
 */

#include "pool/future.h"

#include <errno.h>
#include <stdio.h>

#include "base/memory.h"
#include "pool/pool.h"
#include "pool/process.h"
#include "task/task.h"
#include "value/value.h"
#include "wait/waitable.h"

enum { OUTCOME = 7, WAITED = 8, WATCHED = 16, CANCEL = 32, CALLS = 64 };

static uint32_t any_ended; /* changes when a future that is WATCHED ends */

static bool future_lost(const struct weft_future *future)
{
    if (wefti_is_shared(future))
        return false;
    return future->pool && __atomic_load_n(&future->pool->lost, __ATOMIC_RELAXED);
}

/* Acquire pairs with the release of wefti_future_publish. */
static bool future_ended(const struct weft_future *future)
{
    if (wefti_is_shared(future))
        return wefti_process_future_outcome(future) != WEFT_PENDING;
    return (__atomic_load_n(&future->state, __ATOMIC_ACQUIRE) & OUTCOME) != WEFT_PENDING || future_lost(future);
}

void wefti_future_prepare(struct weft_future *record, struct weft_pool *pool, const struct wefti_submission *what)
{
    record->state = what->on_done ? CALLS : 0;
    record->references = what->references;
    record->next = NULL;
    record->function = what->function;
    record->value = wefti_value_take(what->argument);
    record->pool = pool;
    record->context = NULL;
    record->latch = (struct wefti_latch){0};
    record->begun = record->collected = record->called = false;
    record->named = what->name;
    if (what->on_done)
        record->callbacks = (struct wefti_callback){.function = what->on_done, .data = what->data};
    if (what->name)
        record->name = what->name;
}

static enum weft_outcome result_outcome(const struct weft_future *future, uint32_t state)
{
    if (!weft_is_error(future->value))
        return WEFT_DONE;
    bool cancelled = state & CANCEL || (future->pool && __atomic_load_n(&future->pool->terminated, __ATOMIC_RELAXED));
    return cancelled && weft_error_code(future->value) == ECANCELED ? WEFT_CANCELLED : WEFT_FAILED;
}

static void tally_add(struct wefti_tally *tally, enum weft_outcome outcome, uint64_t count)
{
    if (!tally)
        return;
    uint64_t *ended = &tally->ended[outcome];
    if (tally->shared)
        __atomic_add_fetch(ended, count, __ATOMIC_RELAXED);
    else
        __atomic_store_n(ended, *ended + count, __ATOMIC_RELAXED); /* read by weft_pool_count */
}

static void future_publish_alone(struct weft_future *future, uint32_t state, enum weft_outcome outcome, struct wefti_tally *tally)
{
    enum weft_outcome ended = outcome != WEFT_PENDING ? outcome : result_outcome(future, state);
    tally_add(tally, ended, 1);
    __atomic_store_n(&future->state, state | ended, __ATOMIC_RELEASE);
}

void wefti_future_publish(struct weft_future *future, weft_value result, enum weft_outcome outcome, struct wefti_tally *tally)
{
    future->value = result;
    uint32_t state = __atomic_load_n(&future->state, __ATOMIC_RELAXED);
    if (__atomic_load_n(&future->references, __ATOMIC_ACQUIRE) == 1) { /* nobody else knows it, nor will */
        future_publish_alone(future, state, outcome, tally);
        return;
    }
    for (;;) {
        enum weft_outcome ended = outcome != WEFT_PENDING ? outcome : result_outcome(future, state);
        tally_add(tally, ended, 1);
        if (__atomic_compare_exchange_n(&future->state, &state, state | ended, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            break;
        tally_add(tally, ended, (uint64_t)-1);
    }
    if (state & CANCEL) {
        wefti_latch_close(&future->latch);
        wefti_latch_open(&future->latch);
    }
    if (state & WAITED)
        weft_wake(&future->state, UINT32_MAX);
    if (state & WATCHED) {
        __atomic_add_fetch(&any_ended, 1, __ATOMIC_RELEASE);
        weft_wake(&any_ended, UINT32_MAX);
    }
}

/* A failure that nobody collects. */
static void future_report(const struct weft_future *future, const char *what, weft_value error)
{
    char text[256];
    snprintf(text, sizeof(text), "%s%s%s%s%s", what, future->named ? " " : "", future->named ? future->name : "",
        future->pool ? " of " : "", future->pool ? future->pool->name : "");
    wefti_uncollected(text, error);
}

static void future_call(struct weft_future *future, weft_done_callback *function, void *data)
{
    errno = 0;
    if (function(future, data) == 0)
        return;
    weft_value error = weft_error(errno, "a callback failed");
    if (wefti_is_shared(future))
        wefti_uncollected("callback of task", error);
    else
        future_report(future, "callback of task", error);
    weft_drop(error);
}

/* Takes the oldest callback out; without one, says that they have been called. */
static bool future_next_callback(struct weft_future *future, struct wefti_callback *callback)
{
    wefti_latch_close(&future->latch);
    *callback = future->callbacks;
    struct wefti_callback *next = callback->next;
    future->callbacks = next ? *next : (struct wefti_callback){0};
    future->called = !callback->function;
    wefti_latch_open(&future->latch);
    wefti_release(next);
    return callback->function;
}

void wefti_future_call_back(struct weft_future *future)
{
    if (!(__atomic_load_n(&future->state, __ATOMIC_RELAXED) & CALLS))
        return;
    struct wefti_callback callback;
    while (future_next_callback(future, &callback))
        future_call(future, callback.function, callback.data);
}

void wefti_future_drop_pending(struct weft_future *future, weft_value result, enum weft_outcome outcome, struct wefti_tally *tally)
{
    weft_drop(future->value);
    wefti_future_publish(future, result, outcome, tally);
    wefti_future_call_back(future);
    weft_future_free(future);
}

bool wefti_future_withdraw(struct weft_future *future, weft_value result, enum weft_outcome outcome)
{
    if (wefti_is_shared(future)) {
        weft_drop(result);
        return wefti_process_future_withdraw(future);
    }
    bool waits = wefti_line_claim(future, NULL);
    if (waits)
        wefti_future_drop_pending(future, result, outcome, &future->pool->tally);
    return waits;
}

int wefti_future_sleep(struct weft_future *future, weft_time deadline)
{
    for (;;) {
        uint32_t state = __atomic_load_n(&future->state, __ATOMIC_ACQUIRE);
        if (!(state & (OUTCOME | WAITED)))
            state = __atomic_or_fetch(&future->state, WAITED, __ATOMIC_ACQUIRE);
        if (state & OUTCOME)
            return 0;
        if (weft_wait(&future->state, state, deadline) != 0)
            return future_ended(future) ? 0 : -1;
    }
}

bool wefti_future_cancel_asked(const struct weft_future *future)
{
    return __atomic_load_n(&future->state, __ATOMIC_RELAXED) & CANCEL;
}

int wefti_future_wait(struct weft_future *future, weft_time deadline)
{
    if (wefti_is_shared(future))
        return wefti_process_future_wait(future, deadline);
    if (future_ended(future))
        return 0;
    if (deadline <= WEFT_NOW) {
        errno = EAGAIN;
        return -1;
    }
    struct wefti_run *run = wefti_context_current()->run;
    return run ? wefti_run_wait(run, future, deadline) : wefti_future_sleep(future, deadline);
}

int weft_future_result(weft_future *future, weft_value *value, weft_time deadline)
{
    if (!future) {
        errno = EINVAL;
        return -1;
    }
    if (wefti_is_shared(future))
        return wefti_process_future_result(future, value, deadline);
    if (wefti_future_wait(future, deadline) != 0)
        return -1;
    __atomic_store_n(&future->collected, true, __ATOMIC_RELAXED);
    if (value)
        *value = weft_future_outcome(future) == WEFT_LOST && future_lost(future) ? weft_error(EOWNERDEAD, NULL) : weft_keep(future->value);
    return 0;
}

enum weft_outcome weft_future_outcome(const weft_future *future)
{
    if (wefti_is_shared(future))
        return wefti_process_future_outcome(future);
    enum weft_outcome outcome = (enum weft_outcome)(__atomic_load_n(&future->state, __ATOMIC_ACQUIRE) & OUTCOME);
    return outcome == WEFT_PENDING && future_lost(future) ? WEFT_LOST : outcome;
}

bool weft_future_done(const weft_future *future)
{
    return future_ended(future);
}

bool weft_future_running(const weft_future *future)
{
    if (wefti_is_shared(future))
        return wefti_process_future_running(future);
    return future->pool && __atomic_load_n(&future->begun, __ATOMIC_ACQUIRE) && !future_ended(future);
}

/* Ends one that was made by weft_future_new. False when another has. */
static bool future_settle(struct weft_future *future, weft_value result, enum weft_outcome outcome)
{
    if (__atomic_exchange_n(&future->begun, true, __ATOMIC_ACQ_REL))
        return false;
    weft_future_keep(future); /* who waits for it may free it as soon as it has ended */
    wefti_future_publish(future, wefti_value_take(result), outcome, NULL);
    wefti_future_call_back(future);
    weft_future_free(future);
    return true;
}

/* Sets CANCEL. False when it has ended. */
static bool state_cancel(uint32_t *word)
{
    uint32_t state = __atomic_load_n(word, __ATOMIC_RELAXED);
    while (!(state & OUTCOME))
        if (__atomic_compare_exchange_n(word, &state, state | CANCEL, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return true;
    return false;
}

static bool future_cancel_running(struct weft_future *future)
{
    wefti_latch_close(&future->latch);
    bool running = state_cancel(&future->state);
    if (running && future->context)
        wefti_context_cancel(future->context);
    if (running && future->part)
        future_cancel_running(future->part);
    wefti_latch_open(&future->latch);
    return running;
}

bool weft_future_cancel(weft_future *future)
{
    if (wefti_is_shared(future))
        return wefti_process_future_cancel(future);
    if (future_ended(future))
        return false;
    if (!future->pool)
        return future_settle(future, weft_error(ECANCELED, NULL), WEFT_CANCELLED);
    return wefti_future_withdraw(future, weft_error(ECANCELED, NULL), WEFT_CANCELLED) || future_cancel_running(future);
}

enum added { ADDED, ENDED, NO_ROOM };

/*
 * Adds a callback, as the last or as the first; `node` is for it if there are others, and NULL afterwards if it was used. One that would be
 * the first is not added any more when the future has ended.
 */
static enum added future_add(struct weft_future *future, const struct wefti_callback *callback, bool first, struct wefti_callback **node)
{
    uint32_t state = __atomic_load_n(&future->state, __ATOMIC_ACQUIRE);
    if (!(state & OUTCOME))
        state = __atomic_fetch_or(&future->state, CALLS, __ATOMIC_ACQ_REL);
    if (future->called || ((state & OUTCOME) && !(state & CALLS))) {
        future->called = true; /* who ended it has seen no callbacks, and calls none */
        return ENDED;
    }
    if (first && (state & OUTCOME))
        return ENDED;
    struct wefti_callback *oldest = &future->callbacks, *last = oldest;
    if (!oldest->function) {
        *oldest = *callback;
        return ADDED;
    }
    if (!*node)
        return NO_ROOM;
    while (!first && last->next)
        last = last->next;
    **node = first ? *oldest : *callback;
    (first ? oldest : last)->next = *node;
    if (first)
        *oldest = (struct wefti_callback){.function = callback->function, .data = callback->data, .next = *node};
    *node = NULL;
    return ADDED;
}

/* 0 or -1 with ENOMEM; *ended says that it was not added, as the future has ended. */
static int future_add_callback(struct weft_future *future, const struct wefti_callback *callback, bool first, bool *ended)
{
    if (wefti_is_shared(future))
        return wefti_process_future_add(future, callback, first, ended);
    struct wefti_callback *node = NULL;
    enum added added = ENDED;
    for (bool again = !future_lost(future); again; again = added == NO_ROOM) {
        if (added == NO_ROOM && !(node = wefti_alloc_raw(sizeof(*node))))
            return -1;
        wefti_latch_close(&future->latch);
        added = future_add(future, callback, first, &node);
        wefti_latch_open(&future->latch);
    }
    wefti_release(node);
    *ended = added == ENDED;
    return 0;
}

int wefti_future_watch(struct weft_future *future, weft_done_callback *callback, void *data, bool *ended)
{
    const struct wefti_callback given = {.function = callback, .data = data};
    return future_add_callback(future, &given, true, ended);
}

int weft_future_on_done(weft_future *future, weft_done_callback *callback, void *data)
{
    if (!future || !callback) {
        errno = EINVAL;
        return -1;
    }
    const struct wefti_callback given = {.function = callback, .data = data};
    bool ended;
    if (future_add_callback(future, &given, false, &ended) != 0)
        return -1;
    if (ended)
        future_call(future, callback, data);
    return 0;
}

/* The first that has ended, or -1; each is WATCHED from now on. */
static long futures_look(weft_future *const *futures, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t state = __atomic_load_n(&futures[i]->state, __ATOMIC_ACQUIRE);
        if (!(state & (OUTCOME | WATCHED)))
            state = __atomic_fetch_or(&futures[i]->state, WATCHED, __ATOMIC_ACQ_REL);
        if (state & OUTCOME || future_lost(futures[i]))
            return (long)i;
    }
    return -1;
}

static bool futures_given(weft_future *const *futures, size_t count)
{
    bool given = futures && count > 0;
    for (size_t i = 0; given && i < count; i++)
        given = futures[i] != NULL;
    if (!given)
        errno = EINVAL;
    return given;
}

/*
 * No end is missed: any_ended is read (acquire) before the futures are looked at. Who ends one after that look finds WATCHED, and
 * changes any_ended (release) before it wakes.
 */
static long futures_wait(weft_future *const *futures, size_t count, weft_time deadline)
{
    for (;;) {
        uint32_t seen = __atomic_load_n(&any_ended, __ATOMIC_ACQUIRE);
        long ended = futures_look(futures, count);
        if (ended >= 0)
            return ended;
        if (weft_wait(&any_ended, seen, deadline) != 0) {
            int error = errno;
            ended = futures_look(futures, count);
            errno = error;
            return ended;
        }
    }
}

static bool futures_shared(weft_future *const *futures, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (wefti_is_shared(futures[i]))
            return true;
    return false;
}

/* Some are of pools of processes, which cannot change any_ended. */
static long futures_wait_mixed(weft_future *const *futures, size_t count, weft_time deadline)
{
    for (size_t i = 0; i < count; i++)
        if (future_ended(futures[i]))
            return (long)i;
    weft_completed *completed = weft_as_completed(futures, count);
    if (!completed)
        return -1;
    long ended = weft_completed_next(completed, deadline);
    int error = errno;
    weft_completed_free(completed);
    errno = error;
    return ended;
}

/* The pool whose worker the caller is, if one of the futures is that pool's: another worker has to stand in. */
static struct weft_pool *futures_own_pool(weft_future *const *futures, size_t count)
{
    struct wefti_run *run = wefti_context_current()->run;
    if (!run || !run->worker)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (!wefti_is_shared(futures[i]) && futures[i]->pool == run->worker->pool)
            return futures[i]->pool;
    return NULL;
}

long weft_wait_any(weft_future *const *futures, size_t count, weft_time deadline)
{
    if (!futures_given(futures, count))
        return -1;
    if (count == 1)
        return wefti_future_wait(futures[0], deadline);
    if (futures_shared(futures, count))
        return futures_wait_mixed(futures, count, deadline);
    long ended = futures_look(futures, count);
    if (ended >= 0)
        return ended;
    if (deadline <= WEFT_NOW) {
        errno = EAGAIN;
        return -1;
    }
    struct weft_pool *pool = futures_own_pool(futures, count);
    if (pool && !wefti_crew_stand_in(pool)) {
        errno = EDEADLK;
        return -1;
    }
    ended = futures_wait(futures, count, deadline);
    if (pool)
        wefti_crew_return(pool);
    return ended;
}

int weft_wait_all(weft_future *const *futures, size_t count, weft_time deadline)
{
    if (!futures_given(futures, count))
        return -1;
    for (size_t i = 0; i < count; i++)
        if (wefti_future_wait(futures[i], deadline) != 0)
            return -1;
    return 0;
}

weft_future *weft_future_new(void)
{
    struct weft_future *future = wefti_alloc_aligned(_Alignof(struct weft_future), sizeof(*future));
    if (future)
        *future = (struct weft_future){.references = 1};
    return future;
}

int weft_future_set(weft_future *future, weft_value value)
{
    if (!future || wefti_is_shared(future) || future->pool) {
        errno = EINVAL;
        return -1;
    }
    if (future_settle(future, value, WEFT_PENDING))
        return 0;
    errno = EALREADY;
    return -1;
}

weft_future *weft_future_keep(weft_future *future)
{
    if (wefti_is_shared(future)) {
        wefti_process_future_keep(future);
        return future;
    }
    __atomic_add_fetch(&future->references, 1, __ATOMIC_RELAXED);
    return future;
}

/* One of one's own that was never set: who waits to be called is called. Whether nobody has kept it then. */
static bool future_abandon(struct weft_future *future)
{
    __atomic_store_n(&future->references, 1, __ATOMIC_RELAXED);
    future_settle(future, weft_error(EOWNERDEAD, NULL), WEFT_LOST);
    return __atomic_sub_fetch(&future->references, 1, __ATOMIC_ACQ_REL) == 0;
}

static void future_destroy(struct weft_future *future)
{
    if (!future->pool && (future->state & (OUTCOME | CALLS)) == CALLS && !future_abandon(future))
        return;
    if ((future->state & OUTCOME) == WEFT_FAILED && !future->collected)
        future_report(future, "task", future->value);
    weft_drop(future->value);
    if (future->pool)
        wefti_pool_recycle(future);
    else
        wefti_release(future);
}

void weft_future_free(weft_future *future)
{
    if (!future)
        return;
    if (wefti_is_shared(future)) {
        wefti_process_future_free(future);
        return;
    }
    /* Who has the only reference is alone. Release: what this owner did comes before the end; acquire: the last sees what all did. */
    if (__atomic_load_n(&future->references, __ATOMIC_ACQUIRE) == 1 || __atomic_sub_fetch(&future->references, 1, __ATOMIC_ACQ_REL) == 0)
        future_destroy(future);
}

static int future_case_ready(weft_case *one)
{
    struct weft_future *future = one->object;
    if (wefti_is_shared(future)) {
        struct wefti_place *place = wefti_case_place(one);
        if (!place->noted) {
            place->noted = true;
            place->note = wefti_process_future_age(future);
        }
        return wefti_process_future_look(future, place->note, one->operation);
    }
    if (!future_ended(future))
        return 0;
    return weft_future_result(future, one->operation, WEFT_NOW) == 0 ? 1 : -1;
}

static bool future_case_enqueue(weft_case *one, struct wefti_item *item)
{
    struct weft_future *future = one->object;
    bool ended = false;
    item->kind = WEFTI_WORD;
    item->word = &future->state;
    if (wefti_is_shared(future)) {
        item->expected = wefti_process_future_watch(future, wefti_case_place(one)->note, &ended);
        return ended;
    }
    wefti_run_select(future->pool);
    item->expected = __atomic_or_fetch(&future->state, WAITED, __ATOMIC_ACQUIRE);
    return (item->expected & OUTCOME) != WEFT_PENDING;
}

static void future_case_dequeue(weft_case *one)
{
    const struct weft_future *future = one->object;
    if (!wefti_is_shared(future))
        wefti_run_select_end(future->pool); /* there is no wake to hand on: a future that has ended wakes all */
}

static const struct weft_waitable future_waitable = {
    .ready = future_case_ready, .enqueue = future_case_enqueue, .dequeue = future_case_dequeue};

weft_case weft_case_future(weft_future *future, weft_value *value)
{
    return (weft_case){.waitable = &future_waitable, .object = future, .operation = value};
}
