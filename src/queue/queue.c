/* SPDX-License-Identifier: MIT */
/* The public face of queues: every call goes to the table of the queue's kind. And queues as cases of a select. */

#include "queue/queue.h"

#include <errno.h>

#include "base/options.h"

enum { DEFAULT_CAPACITY = 1024 };

weft_queue *weft_queue_new_with(const struct weft_queue_options *options)
{
    struct weft_queue_options read;
    if (!wefti_options_read(&read, sizeof(read), options, offsetof(struct weft_queue_options, capacity)))
        return NULL;
    if (read.capacity == WEFT_RENDEZVOUS) {
        errno = ENOTSUP;
        return NULL;
    }
    return wefti_queue_fifo_new(read.capacity ? read.capacity : DEFAULT_CAPACITY);
}

void weft_queue_free(weft_queue *queue)
{
    if (queue)
        queue->kind->free(queue);
}

int weft_queue_put(weft_queue *queue, weft_value value, weft_time deadline)
{
    return queue->kind->put(queue, value, deadline);
}

int weft_queue_get(weft_queue *queue, weft_value *value, weft_time deadline)
{
    return queue->kind->get(queue, value, deadline);
}

size_t weft_queue_size(const weft_queue *queue)
{
    return queue->kind->size(queue);
}

bool weft_queue_empty(const weft_queue *queue)
{
    return queue->kind->size(queue) == 0;
}

bool weft_queue_full(const weft_queue *queue)
{
    return queue->kind->size(queue) >= queue->capacity;
}

size_t weft_queue_capacity(const weft_queue *queue)
{
    return queue->capacity;
}

int weft_queue_task_done(weft_queue *queue)
{
    return queue->kind->task_done(queue);
}

int weft_queue_join(weft_queue *queue, weft_time deadline)
{
    return queue->kind->join(queue, deadline);
}

void weft_queue_close(weft_queue *queue)
{
    queue->kind->close(queue);
}

bool weft_queue_closed(const weft_queue *queue)
{
    return queue->kind->closed(queue);
}

static int case_outcome(int result)
{
    if (result == 0)
        return 1;
    return errno == EAGAIN ? 0 : -1;
}

static int case_get(void *object, void *operation)
{
    return case_outcome(weft_queue_get(object, operation, WEFT_NOW));
}

static int case_put(void *object, void *operation)
{
    return case_outcome(weft_queue_put(object, *(weft_value *)operation, WEFT_NOW));
}

static void case_get_enqueue(void *object, void *operation, struct wefti_item *item)
{
    (void)operation;
    weft_queue *queue = object;
    queue->kind->watch(queue, WEFTI_QUEUE_IN, item);
}

static void case_put_enqueue(void *object, void *operation, struct wefti_item *item)
{
    (void)operation;
    weft_queue *queue = object;
    queue->kind->watch(queue, WEFTI_QUEUE_OUT, item);
}

static void case_get_dequeue(void *object, void *operation, bool woken)
{
    (void)operation, (void)woken;
    weft_queue *queue = object;
    queue->kind->unwatch(queue, WEFTI_QUEUE_IN);
}

static void case_put_dequeue(void *object, void *operation, bool woken)
{
    (void)operation, (void)woken;
    weft_queue *queue = object;
    queue->kind->unwatch(queue, WEFTI_QUEUE_OUT);
}

const struct wefti_waitable wefti_queue_get_case = {case_get, case_get_enqueue, case_get_dequeue};
const struct wefti_waitable wefti_queue_put_case = {case_put, case_put_enqueue, case_put_dequeue};
