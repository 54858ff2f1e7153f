/* SPDX-License-Identifier: MIT */
/*
 * A queue: where tasks meet. First in, first out unless another order is asked for, bounded unless told otherwise, safe between any kinds
 * of task.
 *
 * With .shared it lies in shared memory (weft/shared.h), where the same pointer is the same queue in every process of the family. A value
 * goes through it as a copy: all kinds can, but a pointer in it has to lead into shared memory (or be NULL); weft_ptr(block) hands over a
 * block of any size for the cost of a number. Any process may die at any moment: what was put is there until it is taken, nothing half
 * written is ever seen, and nobody waits for the dead. A get takes the value out before it returns: what a process had taken when it died
 * is gone with it. Not so with .joinable: there a value that was taken is its taker's until weft_queue_task_done, and when he dies before
 * that (the process, or the thread that took it) it comes back, to be the next that is taken. So it is delivered at least once, and what
 * harms whoever takes it is given up after .deaths deaths: weft_queue_dead_letter. A rendezvous: a put returns when somebody has been found
 * who takes the value; if he dies before he has it, or has no memory for it, the next who gets takes it, though its putter is gone by then
 * (weft_queue_close_now counts and drops such values; size stays 0). What a dead putter offered goes with him.
 *
 * Who is in the midst of a call has an end of a shared queue for some instructions, and others wait for him to leave: if he dies there,
 * until the supervisor has put the queue right, some milliseconds; if his process is stopped there (SIGSTOP), until it goes on. A call with
 * a deadline, select too, does so for ten milliseconds, and longer only until its deadline or a cancellation: then it fails as it does when
 * there is no value or no room, and has done nothing. So after such a moment WEFT_NOW may say EAGAIN though there is one. What has no
 * deadline (task_done, deliveries, close, free) waits until he has left; size, empty and full wait for ten
 * milliseconds at most, and only after a death.
 *
 * What is asked of no queue (NULL: weft_queue_new failed, and nobody looked) fails with EINVAL; of the calls that cannot fail, close does
 * nothing, and the others find it empty, of no capacity, and neither full nor closed.
 */
#ifndef WEFT_QUEUE_H
#define WEFT_QUEUE_H

#include <weft/base.h>
#include <weft/select.h>
#include <weft/value.h>

typedef struct weft_queue weft_queue;

#define WEFT_UNBOUNDED ((size_t)-1)
#define WEFT_RENDEZVOUS ((size_t)-2)

enum weft_queue_order {
    WEFT_FIFO = 0,    /* out comes what came first */
    WEFT_LIFO = 1,    /* what came last: a stack */
    WEFT_PRIORITY = 2 /* the least; of equals the one that came first */
};

/*
 * The order of a WEFT_PRIORITY. A key is the number by which a value is ordered, the least first, and asked for by put; compare gives
 * less than, equal to or greater than 0, as its first value comes before, with or after the second. The values are borrowed. All who use
 * the queue may have to wait for the answer: it has to be quick, may not wait, and may not use the queue. Of a shared queue a key is asked
 * for in the process that puts, so `data` has to mean the same there; compare it cannot have.
 */
typedef int64_t weft_queue_key(weft_value value, void *data);
typedef int weft_queue_compare(weft_value a, weft_value b, void *data);

struct weft_queue_options {
    size_t size;     /* set by the macro */
    size_t capacity; /* how many items it holds, exactly; 0: 1024; WEFT_UNBOUNDED; WEFT_RENDEZVOUS: none, each put waits for a get */
    struct weft_guard *guard;
    enum weft_queue_order order;
    weft_queue_key *key;         /* of WEFT_PRIORITY, one of these two or none: then values are numbers, strs or bytes, or tuples or */
    weft_queue_compare *compare; /* lists that begin with one; numbers come before strs, strs before bytes */
    void *data;                  /* for key or compare */
    bool shared;                 /* it lies in shared memory, for the tasks of all processes of the family */
    bool joinable;               /* shared only: who takes a value has it until he says task_done; private queues can be joined without */
    unsigned deaths;             /* joinable: a value is given up when so many of its takers have died; 0: 3 */
};

WEFT_BEGIN

/*
 * weft_queue_new(), weft_queue_new(.capacity = 10), weft_queue_new(.order = WEFT_PRIORITY, .key = deadline_of). From any task. Yours:
 * weft_queue_free. NULL with ENOMEM, EINVAL (a capacity beyond memory, an unknown order, key or compare where the order is not
 * WEFT_PRIORITY, both of them, a rendezvous that is not WEFT_FIFO, a shared one with compare). With .shared also the errors of
 * weft_shared_alloc, and ENOTSUP (a rendezvous that is .joinable). A shared queue is freed by one process, for all.
 */
WEFT_API weft_queue *weft_queue_new_with(const struct weft_queue_options *options) WEFT_WARN_UNUSED;
#define weft_queue_new(...) weft_queue_new_with(&(struct weft_queue_options){.size = sizeof(struct weft_queue_options), __VA_ARGS__})
/*
 * Frees it and drops what is in it; NULL is allowed. Nobody may be using it, nor come later. Who has got a value or has come back from
 * join need not care about the put or task_done that let him: a queue made for one answer can be freed by the one who got it. (Not so where
 * that put was a case of a select in which a rendezvous stands twice.)
 * If a process dies in the midst of this call, a shared queue is there as it was, or is freed whole. A process that is no member of the
 * family (the host forked it) frees nothing.
 */
WEFT_API void weft_queue_free(weft_queue *queue);

/*
 * Puts a value, waiting while the queue is full; a rendezvous waits until it is taken. The value is given away on success. From any kind
 * of task. 0; -1 with EPIPE (closed), EAGAIN, ETIMEDOUT, ECANCELED, ENOMEM (unbounded, or shared), EINVAL (WEFT_PRIORITY without key and
 * compare: the value has no order). Shared: EFAULT (a pointer in it that leads out of shared memory), ENOEXEC (with .key: this process was
 * started anew, not copied, and has the function elsewhere), ESTALE (this process is no member of the family: it
 * was forked by the host), which all calls below may say of a shared queue.
 */
WEFT_API int weft_queue_put(weft_queue *queue, weft_value value, weft_time deadline);
/* Takes the next value, waiting while there is none; it is yours. 0; -1 with EPIPE (closed and empty), EAGAIN, ETIMEDOUT, ECANCELED; of a
 * shared queue ENOMEM: then the value is there still, though perhaps no longer in its place. */
WEFT_API int weft_queue_get(weft_queue *queue, weft_value *value, weft_time deadline);
/*
 * Puts `count` values in their order, waiting while there is no room, until all are put or the deadline comes. Those that find room
 * together are put together: no other task's value comes between them. Returns how many were put: the first ones, which are given away;
 * the rest is still yours, and errno says what came between: EPIPE, EAGAIN, ETIMEDOUT, ECANCELED, ENOMEM, EINVAL. -1 with one of these
 * when none was put. 0 when count is 0.
 */
WEFT_API long weft_queue_put_many(weft_queue *queue, const weft_value *values, size_t count, weft_time deadline);
/*
 * Takes up to `count` values: waits while there is none, then takes what is there and waits no more. Returns how many, which are yours;
 * -1, and none taken, with the errors of weft_queue_get. 0 when count is 0.
 */
WEFT_API long weft_queue_get_many(weft_queue *queue, weft_value *values, size_t count, weft_time deadline);
/*
 * How many values are in it, whether none, whether full: true at some moment during the call. A rendezvous is always both empty and full.
 * Any task; cannot fail.
 */
WEFT_API size_t weft_queue_size(const weft_queue *queue);
WEFT_API bool weft_queue_empty(const weft_queue *queue);
WEFT_API bool weft_queue_full(const weft_queue *queue);
/* The capacity it was made with. */
WEFT_API size_t weft_queue_capacity(const weft_queue *queue);
/*
 * Says that one value which was taken is dealt with; of a shared queue the one that the caller took first, or, if he has none, that his
 * process took first (EINVAL: nor that). -1 with EINVAL when that is said more often than values were put; ENOTSUP as join.
 */
WEFT_API int weft_queue_task_done(weft_queue *queue);
/*
 * How often the value was delivered that task_done would end: 1, or more when takers of it have died. -1 with EINVAL (the caller's process
 * has none), ENOTSUP (the queue is not shared and .joinable).
 */
WEFT_API long weft_queue_deliveries(weft_queue *queue);
/*
 * Takes, out of a shared .joinable queue, the first of the values that were given up because as many takers died as .deaths says, waiting
 * while there is none; it is yours, and needs no task_done: join does not wait for it. 0; -1 with EPIPE (closed, and nothing is left that
 * could be given up yet), EAGAIN, ETIMEDOUT, ECANCELED, ENOMEM (it is there still), ENOTSUP.
 */
WEFT_API int weft_queue_dead_letter(weft_queue *queue, weft_value *value, weft_time deadline);
/* Waits until every value that was put has been dealt with. 0; -1 with EAGAIN, ETIMEDOUT, ECANCELED, ENOTSUP (shared and not .joinable: a
 * taker that died would be waited for without end). */
WEFT_API int weft_queue_join(weft_queue *queue, weft_time deadline);
/*
 * No more puts: EPIPE from now on, for those who wait too. What is in it can still be taken; then getters get EPIPE. Can be repeated;
 * cannot fail.
 */
WEFT_API void weft_queue_close(weft_queue *queue);
/*
 * Closes it, and drops what is in it, each value counting as dealt with, so that join waits only for what was taken before. Returns how
 * many it dropped. From now on every put and get fails with EPIPE. Can be repeated, also after weft_queue_close; cannot fail.
 */
WEFT_API size_t weft_queue_close_now(weft_queue *queue);
WEFT_API bool weft_queue_closed(const weft_queue *queue);

/*
 * For weft_select. A get is ready when there is a value, which is then written to *value and yours; a put when there is room, and *value
 * is then given away:
 * put the next one there before the case is used again. Errors: EPIPE as weft_queue_get and weft_queue_put; ENOMEM and EINVAL of a put;
 * ENOTSUP of a shared rendezvous, if the select would have to wait and has a private one among its cases, too.
 */
WEFT_API weft_case weft_case_get(weft_queue *queue, weft_value *value);
WEFT_API weft_case weft_case_put(weft_queue *queue, weft_value *value);

WEFT_END

#endif
