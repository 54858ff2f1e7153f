/* SPDX-License-Identifier: MIT */
/*
 * What a kind of queue is made of.
 *
 * A weft_queue is the first member of each kind's own struct. A new kind (last in first out, by priority, shared between processes, far
 * away) is a file with a table and a line in weft_queue_new_with; callers and select see no difference.
 */
#ifndef WEFTI_QUEUE_H
#define WEFTI_QUEUE_H

#include "wait/waitable.h"
#include <weft/queue.h>

struct wefti_queue_kind {
    /* As the public calls of the same names. */
    int (*put)(struct weft_queue *queue, weft_value value, weft_time deadline);
    int (*get)(struct weft_queue *queue, weft_value *value, weft_time deadline);
    size_t (*size)(const struct weft_queue *queue);
    int (*task_done)(struct weft_queue *queue);
    int (*join)(struct weft_queue *queue, weft_time deadline);
    void (*close)(struct weft_queue *queue);
    bool (*closed)(const struct weft_queue *queue);
    void (*free)(struct weft_queue *queue);
    /* Cases of a select: the object is the queue, the operation points to the value, which is filled in, or given away once the put is done. */
    const struct weft_waitable *get_case;
    const struct weft_waitable *put_case;
};

struct weft_queue {
    const struct wefti_queue_kind *kind;
    size_t capacity; /* as it was asked for; the default filled in */
};

/* First in, first out, in memory of this process; bounded by capacity, or WEFT_UNBOUNDED. NULL with ENOMEM, EINVAL. */
struct weft_queue *wefti_queue_fifo_new(size_t capacity);

#endif
