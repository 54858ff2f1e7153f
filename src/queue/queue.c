/* SPDX-License-Identifier: MIT */
/* The public face of queues: every call goes to the table of the queue's kind. */

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

static weft_case queue_case(const struct weft_waitable *waitable, weft_queue *queue, void *operation)
{
    return (weft_case){.waitable = waitable, .object = queue, .operation = operation};
}

/* Of the case of no queue, which select refuses before it looks. */
static const struct weft_waitable nothing_waitable = {.ready = NULL};

weft_case weft_case_get(weft_queue *queue, weft_value *value)
{
    return queue_case(queue ? queue->kind->get_case : &nothing_waitable, queue, value);
}

weft_case weft_case_put(weft_queue *queue, weft_value *value)
{
    return queue_case(queue ? queue->kind->put_case : &nothing_waitable, queue, value);
}
