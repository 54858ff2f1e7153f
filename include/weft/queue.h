/* SPDX-License-Identifier: MIT */
/*
 * A queue: where tasks meet. First in, first out, bounded unless told otherwise, safe between any kinds of task.
 */
#ifndef WEFT_QUEUE_H
#define WEFT_QUEUE_H

#include <weft/base.h>
#include <weft/select.h>
#include <weft/value.h>

typedef struct weft_queue weft_queue;

#define WEFT_UNBOUNDED ((size_t)-1)
#define WEFT_RENDEZVOUS ((size_t)-2)

struct weft_queue_options {
    size_t size;     /* set by the macro */
    size_t capacity; /* how many items it holds, exactly; 0: 1024; WEFT_UNBOUNDED */
    struct weft_guard *guard;
};

WEFT_BEGIN

/*
 * weft_queue_new(), weft_queue_new(.capacity = 10), weft_queue_new(.capacity = WEFT_UNBOUNDED). From any task. Yours: weft_queue_free.
 * NULL with ENOMEM, EINVAL (a capacity beyond memory), ENOTSUP (WEFT_RENDEZVOUS in this build).
 */
WEFT_API weft_queue *weft_queue_new_with(const struct weft_queue_options *options) WEFT_WARN_UNUSED;
#define weft_queue_new(...) weft_queue_new_with(&(struct weft_queue_options){.size = sizeof(struct weft_queue_options), __VA_ARGS__})
/*
 * Frees it and drops what is in it; NULL is allowed. Nobody may be using it, nor come later. Who has got a value or has come back from
 * join need not care about the put or task_done that let him: a queue made for one answer can be freed by the one who got it.
 */
WEFT_API void weft_queue_free(weft_queue *queue);

/*
 * Puts a value at the end, waiting while the queue is full. The value is given away on success. From any kind of task.
 * 0; -1 with EPIPE (closed), EAGAIN, ETIMEDOUT, ECANCELED, ENOMEM (unbounded only).
 */
WEFT_API int weft_queue_put(weft_queue *queue, weft_value value, weft_time deadline);
/* Takes the value at the head, waiting while there is none; it is yours. 0; -1 with EPIPE (closed and empty), EAGAIN, ETIMEDOUT, ECANCELED. */
WEFT_API int weft_queue_get(weft_queue *queue, weft_value *value, weft_time deadline);
/* How many values are in it, whether none, whether full: true at some moment during the call. Any task; cannot fail. */
WEFT_API size_t weft_queue_size(const weft_queue *queue);
WEFT_API bool weft_queue_empty(const weft_queue *queue);
WEFT_API bool weft_queue_full(const weft_queue *queue);
/* The capacity it was made with. */
WEFT_API size_t weft_queue_capacity(const weft_queue *queue);
/* Says that one value which was taken is dealt with. -1 with EINVAL when that is said more often than values were put. */
WEFT_API int weft_queue_task_done(weft_queue *queue);
/* Waits until every value that was put has been dealt with. 0; -1 with EAGAIN, ETIMEDOUT, ECANCELED. */
WEFT_API int weft_queue_join(weft_queue *queue, weft_time deadline);
/* No more puts: EPIPE from now on, for those who wait too. What is in it can still be taken; then getters get EPIPE. Can be repeated; cannot fail. */
WEFT_API void weft_queue_close(weft_queue *queue);
WEFT_API bool weft_queue_closed(const weft_queue *queue);

/*
 * For weft_select. A get is ready when there is a value, which is then written to *value and yours; a put when there is room, and *value is then given away:
 * put the next one there before the case is used again. Errors: EPIPE as weft_queue_get and weft_queue_put; ENOMEM of a put.
 */
WEFT_API weft_case weft_case_get(weft_queue *queue, weft_value *value);
WEFT_API weft_case weft_case_put(weft_queue *queue, weft_value *value);

WEFT_END

#endif
