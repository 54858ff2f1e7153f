/* SPDX-License-Identifier: MIT */
/*
 * What pools of all kinds have in common: each test runs once for threads, once for processes and once for coroutines, with one word
 * changed. What tasks share with the test lies in shared memory, which is right for both.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "family_root.h"
#include "pool_tasks.h"

static const enum weft_task_kind kinds[] = {WEFT_THREAD, WEFT_PROCESS, WEFT_COROUTINE};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static enum weft_task_kind kind;

#define POOL(...) made(weft_pool_new(kind, __VA_ARGS__))

static weft_pool *made(weft_pool *pool)
{
    MUST(pool);
    return pool;
}

/* Submits and results. */

static int64_t result_of(weft_future *future)
{
    weft_value value = weft_none;
    MUST(future && weft_future_result(future, &value, weft_in(20)) == 0);
    weft_future_free(future);
    int64_t number = weft_as_int(value);
    weft_drop(value);
    return number;
}

static void submits(void)
{
    enum { MANY = 500 };
    weft_pool *pool = POOL(.workers = 3);
    weft_future *futures[MANY];
    for (int i = 0; i < MANY; i++)
        MUST((futures[i] = weft_pool_submit(pool, twice, weft_int(i))));
    for (int i = 0; i < MANY; i++)
        MUST(result_of(futures[i]) == 2 * i);
    weft_pool_free(pool);
}

static void failures(void)
{
    weft_pool *pool = POOL(.workers = 1);
    weft_future *future = weft_pool_submit(pool, not_there, weft_str("page"));
    weft_value error;
    MUST(future && weft_future_result(future, &error, weft_in(20)) == 0);
    MUST(weft_is_error(error) && weft_error_code(error) == ENOENT && strcmp(weft_error_text(error), "page") == 0);
    MUST(weft_future_outcome(future) == WEFT_FAILED && weft_future_done(future) && !weft_future_running(future));
    weft_drop(error);
    weft_future_free(future);
    MUST(!weft_pool_submit(pool, NULL, weft_none) && errno == EINVAL);
    weft_pool_free(pool);
}

static void futures_outlive(void)
{
    weft_pool *pool = POOL(.workers = 2);
    weft_future *future = weft_pool_submit(pool, twice, weft_int(4)), *other = weft_future_keep(future);
    weft_pool_free(pool);
    MUST(weft_future_outcome(future) == WEFT_DONE);
    MUST(result_of(future) == 8 && result_of(other) == 8);
}

/* Many at once. */

static weft_value sum(const weft_value *arguments, size_t count)
{
    int64_t all = 0;
    for (size_t i = 0; i < count; i++)
        all += weft_as_int(arguments[i]);
    return weft_int(all);
}

static weft_value three_or_less(weft_value number)
{
    return weft_as_int(number) <= 3 ? weft_keep(number) : weft_error(ERANGE, NULL);
}

static weft_value numbers(int64_t count)
{
    weft_value list = weft_list();
    for (int64_t i = 0; i < count; i++)
        MUST(weft_list_append(list, weft_int(i)) == 0);
    return list;
}

static void maps(void)
{
    weft_pool *pool = POOL(.workers = 2);
    weft_value items = numbers(50), results;
    for (size_t chunk = 0; chunk < 60; chunk += 7) {
        MUST(weft_pool_map(pool, twice, items, &results, weft_in(20), .chunk = chunk) == 0 && weft_length(results) == 50);
        for (int i = 0; i < 50; i++)
            MUST(weft_as_int(weft_list_at(results, i)) == 2 * i);
        weft_drop(results);
        MUST(weft_pool_map(pool, three_or_less, items, &results, weft_in(20), .chunk = chunk) == 0 && weft_length(results) == 50);
        for (int i = 0; i < 50; i++)
            MUST(weft_is_error(weft_list_at(results, i)) == (i > 3));
        weft_drop(results);
    }
    weft_drop(items);
    weft_pool_free(pool);
}

static void star_maps(void)
{
    weft_pool *pool = POOL(.workers = 2);
    weft_value pairs = weft_list(), results;
    for (int i = 0; i < 20; i++)
        MUST(weft_list_append(pairs, numbers(i)) == 0);
    for (size_t chunk = 1; chunk < 9; chunk += 3) {
        MUST(weft_pool_starmap(pool, sum, pairs, &results, weft_in(20), .chunk = chunk) == 0 && weft_length(results) == 20);
        for (int i = 0; i < 20; i++)
            MUST(weft_as_int(weft_list_at(results, i)) == i * (i - 1) / 2);
        weft_drop(results);
    }
    weft_drop(pairs);
    weft_pool_free(pool);
}

static void iterations(void)
{
    weft_pool *pool = POOL(.workers = 2);
    weft_value items = numbers(200), value;
    for (size_t chunk = 1; chunk < 50; chunk *= 3) {
        int64_t next = 0, all = 0;
        weft_results *results = weft_pool_imap(pool, twice, items, .chunk = chunk);
        while (weft_results_next(results, &value, weft_in(20)) == 0)
            MUST(weft_as_int(value) == 2 * next++);
        MUST(errno == EPIPE && next == 200);
        weft_results_free(results);
        results = weft_pool_imap_unordered(pool, twice, items, .chunk = chunk);
        for (next = 0; weft_results_next(results, &value, weft_in(20)) == 0; next++)
            all += weft_as_int(value);
        MUST(errno == EPIPE && next == 200 && all == 199 * 200);
        weft_results_free(results);
        results = weft_pool_imap_unordered(pool, twice, items, .chunk = chunk); /* freed early */
        MUST(weft_results_next(results, &value, weft_in(20)) == 0);
        weft_results_free(results);
    }
    weft_drop(items);
    weft_pool_free(pool);
}

static void completions(void)
{
    enum { MANY = 60 };
    weft_pool *pool = POOL(.workers = 2);
    weft_future *futures[MANY];
    bool seen[MANY] = {false};
    long i;
    for (i = 0; i < MANY; i++)
        MUST((futures[i] = weft_pool_submit(pool, twice, weft_int(i))));
    weft_completed *completed = weft_as_completed(futures, MANY);
    while ((i = weft_completed_next(completed, weft_in(20))) >= 0) {
        MUST(!seen[i] && weft_future_done(futures[i]));
        seen[i] = true;
    }
    MUST(errno == EPIPE);
    weft_completed_free(completed);
    for (i = 0; i < MANY; i++)
        MUST(seen[i] && result_of(futures[i]) == 2 * i);
    weft_pool_free(pool);
}

static void first_and_all(void)
{
    struct gate *gate = weft_shared_new(struct gate);
    weft_pool *pool = POOL(.workers = 2);
    weft_future *futures[2] = {weft_pool_submit(pool, wait_at, weft_ptr(gate)), weft_pool_submit(pool, twice, weft_int(3))};
    MUST(futures[0] && futures[1] && weft_wait_any(futures, 2, weft_in(20)) == 1);
    MUST(weft_wait_any(futures, 1, WEFT_NOW) == -1 && errno == EAGAIN);
    MUST(weft_wait_all(futures, 2, weft_in(0.02)) == -1 && errno == ETIMEDOUT);
    weft_event_set(&gate->open);
    MUST(weft_wait_all(futures, 2, weft_in(20)) == 0 && weft_wait_any(futures, 1, WEFT_NOW) == 0);
    weft_future_free(futures[0]);
    weft_future_free(futures[1]);
    weft_pool_free(pool);
    weft_shared_free(gate);
}

static void selects(void)
{
    struct gate *gate = weft_shared_new(struct gate);
    weft_pool *pool = POOL(.workers = 2);
    weft_value value = weft_none;
    weft_future *slow = weft_pool_submit(pool, wait_at, weft_ptr(gate)), *fast = weft_pool_submit(pool, twice, weft_int(3));
    weft_case cases[2] = {weft_case_future(slow, NULL), weft_case_future(fast, &value)};
    MUST(weft_select(cases, 2, weft_in(20)) == 1 && weft_as_int(value) == 6);
    weft_event_set(&gate->open);
    MUST(weft_future_result(slow, NULL, weft_in(20)) == 0);
    weft_future_free(slow);
    weft_future_free(fast);
    weft_pool_free(pool);
    weft_shared_free(gate);
}

/* Callbacks. */

static uint32_t calls, order[3];

static int note_call(weft_future *future, void *data)
{
    MUST(weft_future_done(future));
    order[__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED)] = *(uint32_t *)data;
    weft_wake(&calls, 1);
    return 0;
}

static void callbacks(void)
{
    struct gate *gate = weft_shared_new(struct gate);
    weft_pool *pool = POOL(.workers = 1);
    uint32_t numbers_of[3] = {7, 8, 9};
    weft_future *future = weft_pool_submit(pool, wait_at, weft_ptr(gate), .on_done = note_call, .data = &numbers_of[0]);
    MUST(future && weft_future_on_done(future, note_call, &numbers_of[1]) == 0 && calls == 0);
    weft_event_set(&gate->open);
    MUST(weft_future_result(future, NULL, weft_in(20)) == 0 && root_until(&calls, 2));
    MUST(weft_future_on_done(future, note_call, &numbers_of[2]) == 0 && root_until(&calls, 3));
    MUST(order[0] == 7 && order[1] == 8 && order[2] == 9);
    MUST(weft_future_on_done(NULL, note_call, NULL) == -1 && errno == EINVAL);
    weft_future_free(future);
    weft_pool_free(pool);
    weft_shared_free(gate);
}

static int count_call(weft_future *future, void *data)
{
    (void)future;
    __atomic_add_fetch((uint32_t *)data, 1, __ATOMIC_RELAXED);
    return 0;
}

static void many_callbacks(void)
{
    enum { MANY = 700 };
    weft_pool *pool = POOL(.workers = 2);
    for (int i = 0; i < MANY; i++)
        MUST(weft_pool_start(pool, twice, weft_int(i), .on_done = count_call, .data = &calls) == 0);
    MUST(weft_pool_shutdown(pool, false, weft_in(20)) == 0 && calls == MANY);
    weft_pool_free(pool);
}

static uint32_t shut;

static int shut_down(weft_future *future, void *pool)
{
    (void)future;
    if (weft_pool_shutdown(pool, false, weft_in(20)) == -1 && errno == EDEADLK)
        __atomic_store_n(&shut, 1, __ATOMIC_RELEASE);
    return 0;
}

static void a_callback_shuts_down(void)
{
    weft_pool *pool = POOL(.workers = 1);
    MUST(weft_pool_start(pool, twice, weft_int(1), .on_done = shut_down, .data = pool) == 0);
    MUST(root_until(&shut, 1));
    MUST(!weft_pool_submit(pool, twice, weft_int(1)) && errno == ESHUTDOWN);
    MUST(weft_pool_shutdown(pool, false, weft_in(20)) == 0);
    weft_pool_free(pool);
}

static uint32_t uncollected;

static void note_uncollected(const char *what, weft_value error, void *data)
{
    (void)data;
    if (strstr(what, "lonely") && weft_error_code(error) == ENOENT)
        __atomic_store_n(&uncollected, 1, __ATOMIC_RELEASE);
}

static void failures_nobody_collects(void)
{
    weft_on_uncollected(note_uncollected, NULL);
    weft_pool *pool = POOL(.workers = 1);
    MUST(weft_pool_start(pool, not_there, weft_str("x"), .name = "lonely") == 0 && root_until(&uncollected, 1));
    uncollected = 0;
    weft_future *future = weft_pool_submit(pool, not_there, weft_str("x"), .name = "lonely");
    while (!weft_future_done(future))
        weft_sleep(0.001);
    weft_future_free(future);
    MUST(root_until(&uncollected, 1));
    weft_pool_free(pool);
}

/* Cancelling. */

static void cancels(void)
{
    struct gate *gate = weft_shared_new(struct gate);
    weft_pool *pool = POOL(.workers = 1);
    weft_value value;
    weft_future *running = weft_pool_submit(pool, wait_at, weft_ptr(gate)), *waiting = weft_pool_submit(pool, twice, weft_int(1));
    MUST(root_until(&gate->reached, 1) && weft_future_running(running) && !weft_future_running(waiting));
    MUST(weft_future_cancel(waiting) && !weft_future_cancel(waiting) && weft_future_outcome(waiting) == WEFT_CANCELLED);
    MUST(weft_future_result(waiting, &value, WEFT_NOW) == 0 && weft_error_code(value) == ECANCELED);
    weft_drop(value);
    MUST(weft_future_cancel(running) && weft_future_result(running, &value, weft_in(20)) == 0 && weft_error_code(value) == ECANCELED);
    MUST(weft_future_outcome(running) == WEFT_CANCELLED && !weft_future_cancel(running));
    weft_drop(value);
    MUST(result_of(weft_pool_submit(pool, twice, weft_int(4))) == 8); /* the next is not hit */
    MUST(counts_of(pool).cancelled == 2);
    weft_future_free(running);
    weft_future_free(waiting);
    weft_pool_free(pool);
    weft_shared_free(gate);
}

/* Bounds. */

static void bounds(void)
{
    enum { BOUND = 4 };
    struct gate *gate = weft_shared_new(struct gate);
    weft_pool *pool = POOL(.workers = 1, .backlog = BOUND, .when_full = WEFT_FULL_FAIL);
    weft_future *futures[BOUND];
    MUST(weft_pool_start(pool, wait_at, weft_ptr(gate)) == 0 && root_until(&gate->reached, 1));
    for (int i = 0; i < BOUND; i++)
        MUST((futures[i] = weft_pool_submit(pool, twice, weft_int(i))));
    for (int i = 0; i < 3; i++)
        MUST(!weft_pool_submit(pool, twice, weft_int(9), .priority = (enum weft_priority)(i - 1)) && errno == EAGAIN);
    MUST(counts_of(pool).queued == BOUND && counts_of(pool).running == 1);
    for (int round = 0; round < 3 * BOUND; round++) { /* what is cancelled makes room at once, however often */
        int one = round % (BOUND - 1) + 1;
        MUST(weft_future_cancel(futures[one]));
        weft_future_free(futures[one]);
        MUST((futures[one] = weft_pool_submit(pool, twice, weft_int(one))));
        MUST(!weft_pool_submit(pool, twice, weft_int(9)) && errno == EAGAIN);
    }
    weft_event_set(&gate->open);
    for (int i = 0; i < BOUND; i++)
        MUST(result_of(futures[i]) == 2 * i);
    weft_pool_free(pool);
    weft_shared_free(gate);
}

static void waits_for_room(void)
{
    struct gate *gate = weft_shared_new(struct gate);
    weft_pool *pool = POOL(.workers = 1, .backlog = 1);
    MUST(weft_pool_start(pool, wait_at, weft_ptr(gate)) == 0 && root_until(&gate->reached, 1));
    MUST(weft_pool_start(pool, twice, weft_int(1)) == 0);
    MUST(weft_pool_start(pool, twice, weft_int(1), .deadline = weft_in(0.02)) == -1 && errno == ETIMEDOUT);
    weft_event_set(&gate->open);
    for (int i = 0; i < 300; i++)
        MUST(weft_pool_start(pool, twice, weft_int(1)) == 0);
    MUST(weft_pool_shutdown(pool, false, weft_in(20)) == 0 && counts_of(pool).done == 302);
    weft_pool_free(pool);
    weft_shared_free(gate);
}

static weft_value where(weft_value unused)
{
    (void)unused;
    return weft_int(gettid());
}

static void runs_in_the_caller(void)
{
    struct gate *gate = weft_shared_new(struct gate);
    weft_pool *pool = POOL(.workers = 1, .backlog = 1, .when_full = WEFT_FULL_RUN);
    MUST(weft_pool_start(pool, wait_at, weft_ptr(gate)) == 0 && root_until(&gate->reached, 1));
    MUST(weft_pool_start(pool, twice, weft_int(1)) == 0);
    MUST(result_of(weft_pool_submit(pool, where, weft_none)) == gettid());
    weft_event_set(&gate->open);
    weft_pool_free(pool);
    weft_shared_free(gate);
}

/* Order. */

struct log {
    uint32_t count;
    int64_t entries[200];
};

static weft_value log_it(weft_value pair)
{
    struct log *log = weft_as_ptr(weft_list_at(pair, 0));
    log->entries[log->count++] = weft_as_int(weft_list_at(pair, 1)); /* one worker writes */
    return weft_none;
}

static void log_later(weft_pool *pool, struct log *log, int64_t number, enum weft_priority priority)
{
    weft_value pair = weft_list();
    MUST(weft_list_append(pair, weft_ptr(log)) == 0 && weft_list_append(pair, weft_int(number)) == 0);
    MUST(weft_pool_start(pool, log_it, pair, .priority = priority) == 0);
}

static void priorities(void)
{
    struct gate *gate = weft_shared_new(struct gate);
    struct log *log = weft_shared_new(struct log);
    weft_pool *pool = POOL(.workers = 1, .backlog = 100);
    MUST(weft_pool_start(pool, wait_at, weft_ptr(gate)) == 0 && root_until(&gate->reached, 1));
    for (int i = 0; i < 40; i++)
        log_later(pool, log, 100 + i, WEFT_PRIORITY_NORMAL);
    for (int i = 0; i < 5; i++)
        log_later(pool, log, 200 + i, WEFT_PRIORITY_HIGH);
    log_later(pool, log, 300, WEFT_PRIORITY_LOW);
    weft_event_set(&gate->open);
    MUST(weft_pool_shutdown(pool, false, weft_in(20)) == 0 && log->count == 46);
    for (int i = 0; i < 5; i++)
        MUST(log->entries[i] == 200 + i);
    int low = 0, last = 99;
    for (int i = 5; i < 46; i++) {
        if (log->entries[i] == 300)
            low = i;
        else
            MUST(log->entries[i] == ++last);
    }
    MUST(low >= WEFT_PRIORITY_TURNS - 1 && low <= WEFT_PRIORITY_TURNS + 1);
    weft_pool_free(pool);
    weft_shared_free(gate);
    weft_shared_free(log);
}

/* Tasks that wait for tasks. */

static weft_value fibonacci(weft_value pair)
{
    weft_pool *pool = weft_as_ptr(weft_list_at(pair, 0));
    int64_t n = weft_as_int(weft_list_at(pair, 1)), all = 0;
    if (n < 2)
        return weft_int(n);
    weft_future *futures[2];
    for (int i = 0; i < 2; i++) {
        weft_value next = weft_list();
        weft_list_append(next, weft_ptr(pool));
        weft_list_append(next, weft_int(n - 1 - i));
        futures[i] = weft_pool_submit(pool, fibonacci, next);
        if (!futures[i])
            return weft_error(errno, "submit");
    }
    for (int i = 0; i < 2; i++) {
        weft_value value;
        if (weft_future_result(futures[i], &value, WEFT_FOREVER) != 0)
            return weft_error(errno, "result");
        weft_future_free(futures[i]);
        all += weft_as_int(value);
    }
    return weft_int(all);
}

static void tasks_wait_for_tasks(void)
{
    weft_pool *pool = POOL(.workers = 2);
    weft_value pair = weft_list(), value;
    weft_list_append(pair, weft_ptr(pool));
    weft_list_append(pair, weft_int(6));
    MUST(weft_pool_apply(pool, fibonacci, pair, &value, weft_in(25)) == 0);
    MUST(weft_as_int(value) == 8);
    weft_pool_free(pool);
}

/* Workers. */

static weft_value begin_with(weft_value argument)
{
    return weft_int(weft_as_int(argument) + 1);
}

static weft_value value_of_worker(weft_value unused)
{
    (void)unused;
    return weft_keep(weft_worker_value());
}

static uint32_t *finalized;

static weft_value count_finalized(weft_value value)
{
    if (weft_as_int(value) == 42)
        __atomic_add_fetch(finalized, 1, __ATOMIC_RELAXED);
    return weft_none;
}

static void initializers(void)
{
    finalized = weft_shared_new(uint32_t);
    weft_pool *pool = POOL(.workers = 2, .initializer = begin_with, .initializer_argument = weft_int(41), .finalizer = count_finalized);
    for (int i = 0; i < 10; i++)
        MUST(result_of(weft_pool_submit(pool, value_of_worker, weft_none)) == 42);
    uint32_t workers = counts_of(pool).workers;
    MUST(weft_pool_shutdown(pool, false, weft_in(20)) == 0 && *finalized >= workers && *finalized <= 2);
    MUST(weft_kind(weft_worker_value()) == WEFT_NONE);
    weft_pool_free(pool);
    weft_shared_free(finalized);
}

static weft_value begin_badly(weft_value unused)
{
    (void)unused;
    return weft_error(ENOENT, "no model");
}

static void broken_initializers(void)
{
    weft_pool *pool = POOL(.workers = 1, .initializer = begin_badly);
    weft_future *future = weft_pool_submit(pool, twice, weft_int(1));
    weft_value error;
    if (future) { /* accepted before that was known */
        MUST(weft_future_result(future, &error, weft_in(20)) == 0 && weft_future_outcome(future) == WEFT_LOST);
        MUST(weft_error_code(error) == EOWNERDEAD && strstr(weft_error_text(error), "no model"));
        weft_drop(error);
        weft_future_free(future);
    } else {
        MUST(errno == EOWNERDEAD);
    }
    MUST(!weft_pool_submit(pool, twice, weft_int(1)) && errno == EOWNERDEAD);
    weft_pool_free(pool);
}

static weft_value name_of_worker(weft_value unused)
{
    (void)unused;
    return weft_str(weft_task_name(weft_current()));
}

static void names(void)
{
    weft_pool *pool = POOL(.workers = 1, .name = "squares");
    weft_value name;
    MUST(weft_pool_apply(pool, name_of_worker, weft_none, &name, weft_in(20)) == 0 && strcmp(weft_as_str(name), "squares-1") == 0);
    weft_drop(name);
    weft_pool_free(pool);
}

static void sizes(void)
{
    struct gate *gate = weft_shared_new(struct gate);
    weft_pool *pool = POOL(.workers = 1);
    for (int i = 0; i < 3; i++)
        MUST(weft_pool_start(pool, wait_at, weft_ptr(gate)) == 0);
    MUST(root_until(&gate->reached, 1) && counts_of(pool).workers == 1);
    MUST(weft_pool_resize(pool, 3) == 0 && root_until(&gate->reached, 3) && counts_of(pool).workers == 3);
    MUST(weft_pool_resize(pool, 1) == 0 && counts_of(pool).limit == 1);
    weft_event_set(&gate->open);
    while (counts_of(pool).workers > 1)
        weft_sleep(0.001);
    MUST(result_of(weft_pool_submit(pool, twice, weft_int(2))) == 4);
    weft_pool_free(pool);
    weft_shared_free(gate);
}

/* The end. */

static void shutdowns(void)
{
    struct gate *gate = weft_shared_new(struct gate);
    weft_pool *pool = POOL(.workers = 1);
    MUST(weft_pool_start(pool, wait_at, weft_ptr(gate)) == 0 && root_until(&gate->reached, 1));
    weft_future *waiting = weft_pool_submit(pool, twice, weft_int(1));
    MUST(weft_pool_shutdown(pool, false, WEFT_NOW) == -1 && errno == EAGAIN);
    MUST(weft_pool_shutdown(pool, false, weft_in(0.02)) == -1 && errno == ETIMEDOUT);
    MUST(!weft_pool_submit(pool, twice, weft_int(1)) && errno == ESHUTDOWN && weft_pool_resize(pool, 2) == -1 && errno == ESHUTDOWN);
    MUST(!weft_future_done(waiting) && weft_pool_shutdown(pool, true, WEFT_NOW) == -1);
    MUST(weft_future_outcome(waiting) == WEFT_CANCELLED);
    weft_event_set(&gate->open);
    MUST(weft_pool_shutdown(pool, false, weft_in(20)) == 0 && weft_pool_shutdown(pool, false, WEFT_NOW) == 0);
    struct weft_pool_counts counts = counts_of(pool);
    MUST(counts.submitted == 2 && counts.done == 1 && counts.cancelled == 1 && counts.workers == 0);
    weft_future_free(waiting);
    weft_pool_free(pool);
    weft_shared_free(gate);
}

static void terminations(void)
{
    struct gate *gate = weft_shared_new(struct gate);
    weft_pool *pool = POOL(.workers = 1);
    weft_future *running = weft_pool_submit(pool, wait_at, weft_ptr(gate));
    MUST(root_until(&gate->reached, 1));
    weft_future *waiting = weft_pool_submit(pool, twice, weft_int(1));
    MUST(weft_pool_terminate(pool, weft_in(20)) == 0 && weft_pool_terminate(pool, WEFT_NOW) == 0);
    MUST(weft_future_outcome(running) == WEFT_CANCELLED && weft_future_outcome(waiting) == WEFT_CANCELLED);
    weft_future_free(running);
    weft_future_free(waiting);
    weft_pool_free(pool);
    weft_shared_free(gate);
}

static void forks(void)
{
    weft_pool *pool = POOL(.workers = 1);
    weft_future *future = weft_pool_submit(pool, twice, weft_int(1));
    MUST(weft_future_result(future, NULL, weft_in(20)) == 0);
    pid_t child = fork();
    if (child == 0) {
        MUST(!weft_pool_submit(pool, twice, weft_int(1)) && errno == ESTALE);
        MUST(weft_pool_shutdown(pool, false, WEFT_FOREVER) == -1 && errno == ESTALE);
        MUST(weft_future_done(future));
        weft_future_free(future);
        weft_pool_free(pool);
        fixture_leave(0);
    }
    int status;
    MUST(waitpid(child, &status, 0) == child && status == 0);
    MUST(result_of(weft_pool_submit(pool, twice, weft_int(2))) == 4);
    weft_future_free(future);
    weft_pool_free(pool);
}

static void (*const bodies[])(void) = {submits, failures, futures_outlive, maps, star_maps, iterations, completions, first_and_all, selects,
    callbacks, many_callbacks, a_callback_shuts_down, failures_nobody_collects, cancels, bounds, waits_for_room, runs_in_the_caller,
    priorities, tasks_wait_for_tasks, initializers, broken_initializers, names, sizes, shutdowns, terminations, forks};
enum { BODIES = sizeof(bodies) / sizeof(bodies[0]) };

static void root(void)
{
    (void)weft_main(); /* the first task of the program */
    int index = (int)strtol(getenv("WEFT_BODY"), NULL, 10);
    kind = kinds[index % KINDS];
    bodies[index / KINDS]();
}

/* Of every body for every kind. */
START_TEST(all_kinds_do_the_same)
{
    NEEDS_PIDFDS;
    char number[16];
    snprintf(number, sizeof(number), "%d", _i);
    setenv("WEFT_BODY", number, 1);
    root_runs(root);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, all_kinds_do_the_same, 0, BODIES * KINDS);
}

int main(void)
{
    return fixture_main("pool_kinds", add);
}
