/* SPDX-License-Identifier: MIT */
/*
 * A function called with each of many items: map, starmap, imap, imap_unordered.
 *
 * All are the same thing: batches of `chunk` items, each a task, of which so many are under way; and one who takes the results. It submits
 * another batch for each that it has given, so nothing is read ahead of it but what was asked for, and no thread feeds the pool.
 *
 * Memory: one block, made at the beginning, with all batches that can be under way. It is owned by who takes the results and by each batch
 * that has a task, from before the submit until the task has called back, which every task does once, however it ends. So freeing it
 * early waits for nobody.
 *
 * Who waits: in order, for the future of the oldest batch, as anybody waits for a future (run.c). Out of order, for the first arrival; a
 * task of the same pool first runs itself whatever of its batches nobody has begun, as that is what it waits for.
 */

#include <errno.h>

#include "base/memory.h"
#include "base/options.h"
#include "value/recursive.h"
#include "pool/arrivals.h"
#include "pool/pool.h"
#include "pool/process.h"
#include "value/value.h"

enum { AHEAD_A_WORKER = 4, AHEAD_LEAST = 16, FEW = 8 };

struct batch {
    struct wefti_arrival arrival; /* first */
    struct weft_results *owner;
    struct weft_future *future;
    struct batch *next, *previous; /* among those under way, the oldest first; among the unused */
    size_t first, count;           /* items */
    weft_value *answers;           /* where there are several */
    bool ran;                      /* the task's: they are there */
};

struct weft_results {
    uint32_t references;
    bool unordered;
    enum weft_priority priority;
    struct weft_pool *pool;
    weft_function *function;
    weft_star_function *star; /* instead */
    weft_value items;
    size_t total, chunk;
    size_t submitted; /* items */
    struct wefti_arrivals arrivals;
    struct batch *oldest, *youngest; /* under way */
    struct batch *helped;            /* all before this one have begun */
    struct batch *unused;
    struct batch *current; /* it has ended; its results are being given */
    size_t given;          /* of current */
    struct batch batches[];
};

static void batch_clear(struct batch *batch)
{
    for (size_t i = 0; batch->ran && batch->answers && i < batch->count; i++)
        weft_drop(batch->answers[i]);
    batch->ran = false;
}

static void results_release(struct weft_results *results)
{
    /* Release: what this owner did comes before the end; acquire: the last sees what all did. */
    if (__atomic_sub_fetch(&results->references, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    for (struct batch *batch = results->oldest; batch; batch = batch->next)
        batch_clear(batch);
    weft_drop(results->items);
    if (wefti_is_shared(results->pool))
        wefti_process_pool_let_go(results->pool);
    else
        wefti_pool_drop(results->pool);
    wefti_release(results);
}

static bool pool_is_lost(const struct weft_pool *pool)
{
    return wefti_is_shared(pool) ? !wefti_member : __atomic_load_n(&pool->lost, __ATOMIC_RELAXED);
}

/* The same items, yours: of data that lies in itself as they are outside of it. An error as weft_unfold. */
static weft_value items_outside(weft_value items)
{
    return wefti_item_recursive(items) ? wefti_recursive_items(items) : weft_keep(items);
}

weft_value wefti_results_star(weft_star_function *function, weft_value item)
{
    weft_value few[FEW], *arguments = few;
    size_t count = weft_length(item);
    if (count > FEW && !(arguments = wefti_alloc_raw(count * sizeof(*arguments))))
        return weft_error(ENOMEM, NULL);
    weft_value outside = items_outside(item);
    for (size_t i = 0; i < count && !weft_is_error(outside); i++)
        arguments[i] = weft_list_at(outside, (ptrdiff_t)i);
    weft_value result = weft_is_error(outside) ? weft_keep(outside) : function(arguments, count);
    weft_drop(outside);
    if (arguments != few)
        wefti_release(arguments);
    return result;
}

static weft_value item_call(const struct weft_results *results, size_t index)
{
    weft_value item = weft_list_at(results->items, (ptrdiff_t)index);
    return results->star ? wefti_results_star(results->star, item) : results->function(item);
}

/* The task of a batch; the first error that one of its items gives is the task's. */
static weft_value batch_main(weft_value pointer)
{
    struct batch *batch = weft_as_ptr(pointer);
    if (!batch->answers)
        return item_call(batch->owner, batch->first);
    weft_value failure = weft_none;
    for (size_t i = 0; i < batch->count; i++) {
        weft_value answer = weft_cancelled() ? weft_error(ECANCELED, NULL) : item_call(batch->owner, batch->first + i);
        batch->answers[i] = wefti_value_take(answer);
        if (weft_is_error(batch->answers[i]) && !weft_is_error(failure))
            failure = weft_keep(batch->answers[i]);
    }
    batch->ran = true;
    return failure;
}

static int batch_ended(struct weft_future *future, void *pointer)
{
    (void)future;
    struct batch *batch = pointer;
    struct weft_results *results = batch->owner;
    if (results->unordered)
        wefti_arrivals_put(&results->arrivals, &batch->arrival);
    results_release(results);
    return 0;
}

static void batch_link(struct weft_results *results, struct batch *batch)
{
    batch->next = NULL;
    batch->previous = results->youngest;
    *(results->youngest ? &results->youngest->next : &results->oldest) = batch;
    results->youngest = batch;
    if (!results->helped)
        results->helped = batch;
}

static void batch_unlink(struct weft_results *results, struct batch *batch)
{
    *(batch->previous ? &batch->previous->next : &results->oldest) = batch->next;
    *(batch->next ? &batch->next->previous : &results->youngest) = batch->previous;
    if (results->helped == batch)
        results->helped = batch->next;
}

/* The items of a batch, for another process: one, or the list of them. Yours. */
static weft_value batch_items(const struct weft_results *results, const struct batch *batch)
{
    if (!batch->answers)
        return weft_keep(weft_list_at(results->items, (ptrdiff_t)batch->first));
    weft_value list = weft_list();
    for (size_t i = 0; i < batch->count && !weft_is_error(list); i++) {
        weft_value item = weft_keep(weft_list_at(results->items, (ptrdiff_t)(batch->first + i)));
        if (weft_list_append(list, item) == 0)
            continue;
        weft_drop(item);
        weft_drop(list);
        list = weft_error(ENOMEM, NULL);
    }
    return list;
}

/* Of a pool of processes, which cannot reach the batch: the task has the items, and returns the answers. */
static struct weft_future *batch_send(struct weft_results *results, struct batch *batch, weft_time deadline)
{
    weft_value items = batch_items(results, batch);
    const struct weft_submit_options options = {.pool = results->pool,
        .function = results->star ? (weft_function *)(void (*)(void))results->star : results->function,
        .argument = items,
        .on_done = batch_ended,
        .data = batch,
        .priority = results->priority};
    unsigned call = (results->star ? WEFTI_CALL_STAR : 0) | (batch->answers ? WEFTI_CALL_EACH : 0);
    bool made = !(batch->answers && weft_is_error(items));
    struct weft_future *future = made ? wefti_process_pool_submit(&options, 2, deadline, call) : (errno = ENOMEM, NULL);
    if (!future) {
        int error = errno;
        weft_drop(items);
        errno = error;
    }
    return future;
}

/* What a task in another process has returned. */
static void batch_receive(struct batch *batch)
{
    weft_value list = weft_none;
    if (!batch->answers || weft_future_result(batch->future, &list, WEFT_NOW) != 0)
        return;
    batch->ran = weft_kind(list) == WEFT_LIST && weft_length(list) == batch->count;
    for (size_t i = 0; batch->ran && i < batch->count; i++)
        batch->answers[i] = weft_keep(weft_list_at(list, (ptrdiff_t)i));
    weft_drop(list);
}

static int batch_submit(struct weft_results *results, struct batch *batch, weft_time deadline)
{
    const struct weft_submit_options options = {.pool = results->pool,
        .function = batch_main,
        .argument = weft_ptr(batch),
        .on_done = batch_ended,
        .data = batch,
        .priority = results->priority};
    size_t left = results->total - results->submitted;
    batch->first = results->submitted;
    batch->count = left < results->chunk ? left : results->chunk;
    __atomic_add_fetch(&results->references, 1, __ATOMIC_RELAXED);
    batch->future = wefti_is_shared(results->pool) ? batch_send(results, batch, deadline) : wefti_pool_submit(&options, 2, deadline);
    if (!batch->future) {
        __atomic_sub_fetch(&results->references, 1, __ATOMIC_RELAXED);
        return -1;
    }
    results->submitted += batch->count;
    return 0;
}

/* Submits what may be under way: the first waits until the deadline if there is none, the others only with `wait`. */
static int results_submit(struct weft_results *results, bool wait, weft_time deadline)
{
    while (results->unused && results->submitted < results->total) {
        struct batch *batch = results->unused;
        if (batch_submit(results, batch, wait || !results->oldest ? deadline : WEFTI_IF_ROOM) != 0)
            return results->oldest && !wait ? 0 : -1;
        results->unused = batch->next;
        batch_link(results, batch);
    }
    return 0;
}

/* The first that arrives. NULL with errno. */
static struct batch *results_first(struct weft_results *results, weft_time deadline)
{
    for (;;) {
        uint32_t seen;
        struct wefti_arrival *arrival = wefti_arrivals_take(&results->arrivals, &seen);
        if (arrival)
            return (struct batch *)arrival;
        struct batch *help = results->helped;
        if (help && deadline == WEFT_FOREVER && wefti_run_may_help(results->pool)) {
            results->helped = help->next;
            wefti_run_help(help->future);
            continue;
        }
        bool last = results->oldest == results->youngest && !weft_future_done(results->oldest->future);
        int waited = last ? wefti_future_wait(results->oldest->future, deadline)
                          : wefti_run_wait_word(&results->arrivals.word, seen, results->pool, deadline);
        if (waited != 0)
            return NULL;
    }
}

static struct batch *results_oldest(struct weft_results *results, weft_time deadline)
{
    struct batch *batch = results->oldest;
    return wefti_future_wait(batch->future, deadline) == 0 ? batch : NULL;
}

/* Gives the next result of the current batch; it is done with after its last. */
static weft_value results_give(struct weft_results *results)
{
    struct batch *batch = results->current;
    weft_value value = weft_none;
    if (batch->answers && batch->ran)
        value = batch->answers[results->given++];
    else if (weft_future_result(batch->future, &value, WEFT_NOW) == 0)
        results->given++;
    if (results->given < batch->count)
        return value;
    if (batch->ran)
        weft_future_result(batch->future, NULL, WEFT_NOW); /* its failure has been collected with the answers */
    batch->ran = false;
    weft_future_free(batch->future);
    batch_unlink(results, batch);
    batch->next = results->unused;
    results->unused = batch;
    results->current = NULL;
    if (!results->oldest &&
        results->submitted == results->total) { /* no task looks at them any more, though one may still be calling back */
        weft_drop(results->items);
        results->items = weft_none;
    }
    return value;
}

int weft_results_next(weft_results *results, weft_value *value, weft_time deadline)
{
    if (!results) {
        errno = EINVAL;
        return -1;
    }
    if (pool_is_lost(results->pool)) {
        errno = ESTALE;
        return -1;
    }
    if (!results->current) {
        if (results_submit(results, false, deadline) != 0)
            return -1;
        if (!results->oldest) {
            errno = EPIPE;
            return -1;
        }
        deadline = wefti_deadline(deadline);
        results->current = (results->unordered ? results_first : results_oldest)(results, deadline);
        results->given = 0;
        if (results->current && wefti_is_shared(results->pool))
            batch_receive(results->current);
    }
    if (!results->current)
        return -1;
    weft_value given = results_give(results);
    if (value)
        *value = given;
    else
        weft_drop(given);
    return 0;
}

/* Takes back what no worker has begun. What was given of the current batch is not its own any more. */
static void results_withdraw(struct weft_results *results)
{
    for (size_t i = 0; results->current && results->current->ran && i < results->given; i++)
        results->current->answers[i] = weft_none;
    bool lost = pool_is_lost(results->pool);
    for (struct batch *batch = results->oldest; batch; batch = batch->next) {
        if (!lost)
            wefti_future_withdraw(batch->future, weft_error(ECANCELED, NULL), WEFT_CANCELLED);
        weft_future_free(batch->future);
    }
}

void weft_results_free(weft_results *results)
{
    if (!results)
        return;
    int error = errno;
    results_withdraw(results);
    results_release(results);
    errno = error;
}

struct plan {
    struct weft_pool *pool;
    weft_function *function;
    weft_star_function *star;
    weft_value items;
    size_t chunk;
    size_t ahead; /* items; SIZE_MAX: all */
    bool unordered;
    enum weft_priority priority;
};

static bool is_sequence(weft_value value)
{
    return weft_kind(value) == WEFT_LIST || weft_kind(value) == WEFT_TUPLE;
}

static bool plan_valid(const struct plan *plan)
{
    bool known = plan->priority >= WEFT_PRIORITY_LOW && plan->priority <= WEFT_PRIORITY_HIGH;
    bool valid = known && plan->pool && (plan->function || plan->star) && is_sequence(plan->items);
    for (size_t i = 0; valid && plan->star && i < weft_length(plan->items); i++)
        valid = is_sequence(weft_list_at(plan->items, (ptrdiff_t)i));
    if (valid && !pool_is_lost(plan->pool))
        return true;
    errno = valid ? ESTALE : EINVAL;
    return false;
}

static unsigned pool_workers(const struct weft_pool *pool)
{
    if (wefti_is_shared(pool))
        return wefti_process_pool_workers(pool);
    return __atomic_load_n(&pool->workers, __ATOMIC_RELAXED);
}

/* How many batches may be under way. */
static size_t plan_batches(const struct plan *plan, size_t chunk)
{
    size_t total = weft_length(plan->items), all = total / chunk + (total % chunk != 0);
    size_t ahead = plan->ahead / chunk + (plan->ahead % chunk != 0);
    if (plan->ahead == 0)
        ahead = (size_t)AHEAD_A_WORKER * pool_workers(plan->pool);
    if (plan->ahead == 0 && ahead < AHEAD_LEAST)
        ahead = AHEAD_LEAST;
    return ahead < all ? ahead : all;
}

static struct weft_results *results_new(const struct plan *plan)
{
    if (!plan_valid(plan))
        return NULL;
    size_t total = weft_length(plan->items), chunk = plan->chunk && total ? plan->chunk : 1;
    chunk = chunk < total || !total ? chunk : total;
    size_t batches = plan_batches(plan, chunk), answers = chunk > 1 ? batches * chunk : 0;
    struct weft_results *results = wefti_alloc_raw(sizeof(*results) + batches * sizeof(struct batch) + answers * sizeof(weft_value));
    weft_value items = results ? items_outside(plan->items) : weft_none;
    if (!results || weft_is_error(items)) {
        errno = weft_is_error(items) ? weft_error_code(items) : errno;
        weft_drop(items);
        wefti_release(results);
        return NULL;
    }
    *results = (struct weft_results){.references = 1,
        .unordered = plan->unordered,
        .priority = plan->priority,
        .pool = plan->pool,
        .function = plan->function,
        .star = plan->star,
        .items = items,
        .total = total,
        .chunk = chunk};
    if (wefti_is_shared(plan->pool))
        wefti_process_pool_hold(plan->pool);
    else
        wefti_pool_keep(plan->pool);
    weft_value *answer = (weft_value *)(void *)&results->batches[batches];
    for (size_t i = batches; i-- > 0;) {
        results->batches[i] = (struct batch){.owner = results, .next = results->unused, .answers = answers ? answer + i * chunk : NULL};
        results->unused = &results->batches[i];
    }
    return results;
}

/* The list of all results. */
static int results_collect(struct weft_results *results, weft_value *given, weft_time deadline)
{
    weft_value list = weft_list(), value;
    if (weft_is_error(list))
        return -1;
    while (weft_results_next(results, &value, deadline) == 0) {
        if (weft_list_append(list, value) == 0)
            continue;
        weft_drop(value);
        break;
    }
    if (errno == EPIPE && weft_length(list) == results->total) {
        *given = list;
        return 0;
    }
    int error = errno;
    weft_drop(list);
    errno = error;
    return -1;
}

static int plan_map(const struct plan *plan, weft_value *given, weft_time deadline)
{
    if (!given) {
        errno = EINVAL;
        return -1;
    }
    struct weft_results *results = results_new(plan);
    if (!results)
        return -1;
    int error = errno;
    bool mapped = results_submit(results, true, deadline) == 0 && results_collect(results, given, deadline) == 0;
    weft_results_free(results);
    if (mapped)
        errno = error;
    return mapped ? 0 : -1;
}

int weft_pool_map_with(const struct weft_map_options *given)
{
    struct weft_map_options options;
    if (!wefti_options_read(&options, sizeof(options), given, offsetof(struct weft_map_options, guard)))
        return -1;
    const struct plan plan = {.pool = options.pool,
        .function = options.function,
        .items = options.items,
        .chunk = options.chunk,
        .ahead = SIZE_MAX,
        .priority = options.priority};
    return plan_map(&plan, options.results, options.deadline);
}

int weft_pool_starmap_with(const struct weft_starmap_options *given)
{
    struct weft_starmap_options options;
    if (!wefti_options_read(&options, sizeof(options), given, offsetof(struct weft_starmap_options, guard)))
        return -1;
    const struct plan plan = {.pool = options.pool,
        .star = options.function,
        .items = options.items,
        .chunk = options.chunk,
        .ahead = SIZE_MAX,
        .priority = options.priority};
    return plan_map(&plan, options.results, options.deadline);
}

static weft_results *options_iterate(const struct weft_imap_options *given, bool unordered)
{
    struct weft_imap_options options;
    if (!wefti_options_read(&options, sizeof(options), given, offsetof(struct weft_imap_options, guard)))
        return NULL;
    const struct plan plan = {.pool = options.pool,
        .function = options.function,
        .items = options.items,
        .chunk = options.chunk,
        .ahead = options.ahead,
        .unordered = unordered,
        .priority = options.priority};
    struct weft_results *results = results_new(&plan);
    if (!results || results_submit(results, false, WEFTI_IF_ROOM) == 0 || errno == EAGAIN)
        return results;
    weft_results_free(results);
    return NULL;
}

weft_results *weft_pool_imap_with(const struct weft_imap_options *options)
{
    return options_iterate(options, false);
}

weft_results *weft_pool_imap_unordered_with(const struct weft_imap_options *options)
{
    return options_iterate(options, true);
}
