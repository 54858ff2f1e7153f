/* SPDX-License-Identifier: MIT */
/*
 * The public face of queues, and what all kinds have in common: whether all values have been dealt with, batches, closing at once.
 *
 * Dealt with: `done.count` counts the calls of task_done, under a latch of its own, against the kind's count of puts. Opening that latch
 * is the last that task_done touches (a wake uses the bell's address only), and free passes it: so who has come back from join may free
 * the queue.
 */

#include "queue/queue.h"

#include <errno.h>

#include "base/options.h"

enum { DEFAULT_CAPACITY = 1024, DROPPED_TOGETHER = 16 };

static bool options_valid(const struct weft_queue_options *options)
{
    bool priority = options->order == WEFT_PRIORITY;
    if (options->order != WEFT_FIFO && options->order != WEFT_LIFO && !priority)
        return false;
    if ((options->key || options->compare) && !priority)
        return false;
    if (options->capacity == WEFT_RENDEZVOUS && options->order != WEFT_FIFO)
        return false;
    if (options->compare && options->shared)
        return false;
    return !options->key || !options->compare;
}

weft_queue *weft_queue_new_with(const struct weft_queue_options *options)
{
    struct weft_queue_options read;
    if (!wefti_options_read(&read, sizeof(read), options, offsetof(struct weft_queue_options, capacity)))
        return NULL;
    if (!options_valid(&read)) {
        errno = EINVAL;
        return NULL;
    }
    if (!read.capacity)
        read.capacity = DEFAULT_CAPACITY;
    if (read.shared)
        return wefti_queue_shared_new(&read);
    if (read.capacity == WEFT_RENDEZVOUS)
        return wefti_queue_rendezvous_new();
    return read.order == WEFT_FIFO ? wefti_queue_fifo_new(read.capacity) : wefti_queue_ordered_new(&read);
}

void weft_queue_free(weft_queue *queue)
{
    if (!queue)
        return;
    if (!wefti_queue_is_shared(queue))
        wefti_queue_latch_pass(&queue->done.latch);
    wefti_queue_kind(queue)->free(queue);
}

/* NULL: a weft_queue_new that failed, and nobody looked. */
static int fails_no_queue(void)
{
    errno = EINVAL;
    return -1;
}

int weft_queue_put(weft_queue *queue, weft_value value, weft_time deadline)
{
    if (__builtin_expect(!queue, 0))
        return fails_no_queue();
    return wefti_queue_kind(queue)->put(queue, value, deadline);
}

int weft_queue_get(weft_queue *queue, weft_value *value, weft_time deadline)
{
    if (__builtin_expect(!queue, 0))
        return fails_no_queue();
    return wefti_queue_kind(queue)->get(queue, value, deadline);
}

long weft_queue_put_many(weft_queue *queue, const weft_value *values, size_t count, weft_time deadline)
{
    if (__builtin_expect(!queue, 0))
        return fails_no_queue();
    size_t put = 0;
    int error = 0;
    while (put < count) {
        put += wefti_queue_kind(queue)->put_some(queue, values + put, count - put, &error);
        if (put == count)
            break;
        if (error == EAGAIN && deadline > WEFT_NOW) {
            if (weft_queue_put(queue, values[put], deadline) == 0) {
                put++;
                continue;
            }
            error = errno;
        }
        errno = error;
        return put > 0 ? (long)put : -1;
    }
    return (long)put;
}

long weft_queue_get_many(weft_queue *queue, weft_value *values, size_t count, weft_time deadline)
{
    if (__builtin_expect(!queue, 0))
        return fails_no_queue();
    int error = 0;
    size_t got = wefti_queue_kind(queue)->get_some(queue, values, count, &error);
    if (got > 0 || count == 0)
        return (long)got;
    if (error != EAGAIN || deadline <= WEFT_NOW) {
        errno = error;
        return -1;
    }
    if (weft_queue_get(queue, values, deadline) != 0)
        return -1;
    return 1 + (long)wefti_queue_kind(queue)->get_some(queue, values + 1, count - 1, &error);
}

size_t weft_queue_size(const weft_queue *queue)
{
    if (__builtin_expect(!queue, 0))
        return 0;
    return wefti_queue_kind(queue)->size(queue);
}

bool weft_queue_empty(const weft_queue *queue)
{
    if (__builtin_expect(!queue, 0))
        return true;
    return wefti_queue_kind(queue)->size(queue) == 0;
}

bool weft_queue_full(const weft_queue *queue)
{
    if (__builtin_expect(!queue, 0))
        return false;
    if (wefti_queue_kind(queue)->full)
        return wefti_queue_kind(queue)->full(queue);
    return queue->capacity == WEFT_RENDEZVOUS || wefti_queue_kind(queue)->size(queue) >= queue->capacity;
}

size_t weft_queue_capacity(const weft_queue *queue)
{
    if (__builtin_expect(!queue, 0))
        return 0;
    return queue->capacity;
}

static uint64_t queue_puts(const weft_queue *queue)
{
    return __atomic_load_n(queue->puts, __ATOMIC_ACQUIRE);
}

/* So many more have been dealt with. False when fewer have been put. */
static bool queue_done(weft_queue *queue, size_t count)
{
    wefti_latch_close(&queue->done.latch);
    bool known = queue_puts(queue) - queue->done.count >= count;
    if (known)
        queue->done.count += count;
    bool wake = queue->done.joiners && queue->done.count == queue_puts(queue);
    if (wake) {
        queue->done.joiners = false;
        __atomic_store_n(&queue->done.bell, queue->done.bell + 1, __ATOMIC_RELAXED);
    }
    wefti_latch_open(&queue->done.latch);
    if (wake)
        weft_wake(&queue->done.bell, UINT32_MAX);
    return known;
}

int weft_queue_task_done(weft_queue *queue)
{
    if (__builtin_expect(!queue, 0))
        return fails_no_queue();
    if (wefti_queue_is_shared(queue))
        return wefti_queue_shared_task_done(queue);
    if (queue->kind->task_done)
        return queue->kind->task_done(queue);
    if (queue_done(queue, 1))
        return 0;
    errno = EINVAL;
    return -1;
}

bool wefti_queue_joined(weft_queue *queue, const uint32_t **bell, uint32_t *seen)
{
    *bell = NULL;
    if (wefti_queue_is_shared(queue))
        return wefti_queue_shared_join(queue, WEFT_NOW) == 0;
    wefti_latch_close(&queue->done.latch);
    bool all = queue->done.count == queue_puts(queue);
    *bell = &queue->done.bell;
    *seen = queue->done.bell;
    queue->done.joiners |= !all;
    wefti_latch_open(&queue->done.latch);
    return all;
}

int weft_queue_join(weft_queue *queue, weft_time deadline)
{
    if (__builtin_expect(!queue, 0))
        return fails_no_queue();
    const uint32_t *bell;
    uint32_t seen = 0;
    if (wefti_queue_is_shared(queue))
        return wefti_queue_shared_join(queue, deadline);
    if (queue->kind->join)
        return queue->kind->join(queue, deadline);
    while (!wefti_queue_joined(queue, &bell, &seen))
        if (weft_wait(bell, seen, deadline) < 0)
            return -1;
    return 0;
}

int wefti_queue_back(weft_queue *queue, weft_value value)
{
    const struct wefti_queue_kind *kind = wefti_queue_kind(queue);
    return kind->back ? kind->back(queue, value) : kind->put(queue, value, WEFT_NOW);
}

void weft_queue_close(weft_queue *queue)
{
    if (__builtin_expect(!queue, 0))
        return;
    wefti_queue_kind(queue)->close(queue);
}

size_t weft_queue_close_now(weft_queue *queue)
{
    if (__builtin_expect(!queue, 0))
        return 0;
    weft_value values[DROPPED_TOGETHER];
    size_t dropped = 0, some;
    int error;
    wefti_queue_kind(queue)->close(queue);
    if (wefti_queue_is_shared(queue))
        return wefti_queue_shared_drop_all(queue);
    while ((some = wefti_queue_kind(queue)->get_some(queue, values, DROPPED_TOGETHER, &error)) > 0) {
        for (size_t i = 0; i < some; i++)
            weft_drop(values[i]);
        queue_done(queue, some);
        dropped += some;
    }
    return dropped;
}

bool weft_queue_closed(const weft_queue *queue)
{
    if (__builtin_expect(!queue, 0))
        return false;
    return wefti_queue_is_closed(queue);
}

/* Of the case of no queue, which select refuses before it looks. */
static const struct weft_waitable nothing_waitable = {.ready = NULL};

weft_case weft_case_get(weft_queue *queue, weft_value *value)
{
    return (weft_case){.waitable = queue ? wefti_queue_kind(queue)->get_case : &nothing_waitable, .object = queue, .operation = value};
}

weft_case weft_case_put(weft_queue *queue, weft_value *value)
{
    return (weft_case){.waitable = queue ? wefti_queue_kind(queue)->put_case : &nothing_waitable, .object = queue, .operation = value};
}

/* Looking only: as the queue's own case, but for what is done in the end. */

static int look_get_ready(weft_case *one)
{
    return !weft_queue_empty(one->object) || weft_queue_closed(one->object);
}

static int look_put_ready(weft_case *one)
{
    return !weft_queue_full(one->object) || weft_queue_closed(one->object);
}

static bool look_get_enqueue(weft_case *one, struct wefti_item *item)
{
    return wefti_queue_kind(one->object)->get_case->enqueue(one, item);
}

static bool look_put_enqueue(weft_case *one, struct wefti_item *item)
{
    return wefti_queue_kind(one->object)->put_case->enqueue(one, item);
}

static void look_get_dequeue(weft_case *one)
{
    wefti_queue_kind(one->object)->get_case->dequeue(one);
}

static void look_put_dequeue(weft_case *one)
{
    wefti_queue_kind(one->object)->put_case->dequeue(one);
}

static const struct weft_waitable look_get = {.ready = look_get_ready, .enqueue = look_get_enqueue, .dequeue = look_get_dequeue};
static const struct weft_waitable look_put = {.ready = look_put_ready, .enqueue = look_put_enqueue, .dequeue = look_put_dequeue};

bool wefti_case_look(struct weft_queue *queue, bool put, weft_case *one)
{
    if (queue->capacity == WEFT_RENDEZVOUS || wefti_queue_kind(queue)->far) {
        errno = ENOTSUP;
        return false;
    }
    *one = (weft_case){.waitable = put ? &look_put : &look_get, .object = queue};
    return true;
}
