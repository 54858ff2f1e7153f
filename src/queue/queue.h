/* SPDX-License-Identifier: MIT */
/*
 * What a kind of queue is made of, and what the floors above may use besides <weft/queue.h>: queues as cases of a select.
 *
 * A weft_queue is the first member of each kind's own struct. A new kind (last in first out, by priority, shared between processes, far
 * away) is a file with a table and a line in weft_queue_new_with; callers and select see no difference.
 */
#ifndef WEFTI_QUEUE_H
#define WEFTI_QUEUE_H

#include "wait/waitable.h"
#include <weft/queue.h>

/* Where values go in, and where they come out. A putter waits for the far end to move on, a getter for the near one. */
enum wefti_queue_side { WEFTI_QUEUE_IN, WEFTI_QUEUE_OUT };

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
    /* Makes the caller one who waits for `side` to move on, and says for which change of which word. */
    void (*watch)(struct weft_queue *queue, enum wefti_queue_side side, struct wefti_item *item);
    /* Ends that; a wake that the caller had no use for goes to the next who waits. */
    void (*unwatch)(struct weft_queue *queue, enum wefti_queue_side side);
};

struct weft_queue {
    const struct wefti_queue_kind *kind;
    size_t capacity; /* as it was asked for; the default filled in */
};

/* First in, first out, in memory of this process; bounded by capacity, or WEFT_UNBOUNDED. NULL with ENOMEM, EINVAL. */
struct weft_queue *wefti_queue_fifo_new(size_t capacity);

/*
 * Cases for wefti_select: the object is the queue. The operation of a get is a weft_value *, filled in; of a put a weft_value *, the value,
 * which is given away when the put is done.
 */
extern const struct wefti_waitable wefti_queue_get_case;
extern const struct wefti_waitable wefti_queue_put_case;

#endif
