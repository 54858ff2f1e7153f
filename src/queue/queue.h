/* SPDX-License-Identifier: MIT */
/*
 * What queues are made of.
 *
 * A weft_queue is the first member of each kind's own struct. A new kind (far away, say) is a file with a table and
 * a line in weft_queue_new_with; callers and select see no difference. Queues in the arena have a number in place of the table's address,
 * which would mean nothing in another process: queue_shared.h. queue.c has what is the same in all: what waits for values being
 * dealt with, batches, closing at once. How one waits for the other side is the door below.
 */
#ifndef WEFTI_QUEUE_H
#define WEFTI_QUEUE_H

#include "base/latch.h"
#include "wait/waitable.h"
#include <weft/queue.h>

struct wefti_queue_kind {
    /* As the public calls of the same names. */
    int (*put)(struct weft_queue *queue, weft_value value, weft_time deadline);
    int (*get)(struct weft_queue *queue, weft_value *value, weft_time deadline);
    /*
     * As many of `count` values as can be at once, never waiting: how many; *error says what came between: EPIPE, EAGAIN, ENOMEM, EINVAL.
     */
    size_t (*put_some)(struct weft_queue *queue, const weft_value *values, size_t count, int *error);
    size_t (*get_some)(struct weft_queue *queue, weft_value *values, size_t count, int *error);
    size_t (*size)(const struct weft_queue *queue);
    /* NULL: by size and capacity, as queue.c has it. */
    bool (*full)(const struct weft_queue *queue);
    /* Puts back what was got, to be the next that comes out, whatever the capacity, closed or not. 0; -1 with ENOMEM. NULL: as put. */
    int (*back)(struct weft_queue *queue, weft_value value);
    /* Of a kind that does not count here what was dealt with; NULL: as queue.c has it. */
    int (*task_done)(struct weft_queue *queue);
    int (*join)(struct weft_queue *queue, weft_time deadline);
    void (*close)(struct weft_queue *queue);
    /* Nobody uses it any more; the last who did may be on his way out, so it passes the latches before it frees. */
    void (*free)(struct weft_queue *queue);
    /*
     * Cases of a select: the object is the queue, the operation points to the value, which is filled in, or given away once the put is
     * done.
     */
    const struct weft_waitable *get_case;
    const struct weft_waitable *put_case;
    bool far; /* it is not in this machine's memory: each look at it is a call */
};

struct weft_queue {
    const struct wefti_queue_kind *kind; /* or a number below WEFTI_QUEUE_NUMBERS */
    size_t capacity;                     /* as it was asked for; the default filled in */
    const uint64_t *puts;                /* how many values were put since the beginning; the kind's, written atomically */
    uint32_t closed;                     /* 1: closed; the kind's, written under its latch */
    uint32_t reserved[25];               /* so that what is written often does not lie beside what is only read */
    struct {
        struct wefti_latch latch; /* of all here */
        uint32_t bell;            /* changes when joiners are to look again */
        uint64_t count;           /* values that have been dealt with */
        bool joiners;             /* somebody waits for that to reach *puts */
    } done __attribute__((aligned(64)));
};

enum { WEFTI_QUEUE_NUMBERS = 16 };

/* The table of a queue in the arena. */
const struct wefti_queue_kind *wefti_queue_shared_calls(const struct weft_queue *queue);

static inline bool wefti_queue_is_shared(const struct weft_queue *queue)
{
    return (uintptr_t)queue->kind < WEFTI_QUEUE_NUMBERS;
}

static inline const struct wefti_queue_kind *wefti_queue_kind(const struct weft_queue *queue)
{
    return __builtin_expect(wefti_queue_is_shared(queue), 0) ? wefti_queue_shared_calls(queue) : queue->kind;
}

static inline bool wefti_queue_is_closed(const struct weft_queue *queue)
{
    return __atomic_load_n(&queue->closed, __ATOMIC_ACQUIRE);
}

/* Comes back when who holds the latch has opened it. */
static inline void wefti_queue_latch_pass(struct wefti_latch *latch)
{
    wefti_latch_close(latch);
    wefti_latch_open(latch);
}

/* What a try says to select: 0, EAGAIN or another errno number. */
static inline int wefti_queue_outcome(int error)
{
    if (error == 0)
        return 1;
    if (error == EAGAIN)
        return 0;
    errno = error;
    return -1;
}

/*
 * A door at which tasks wait for something to be had. All-zero is ready. All is written under the latch of what is behind it.
 *
 * A waiter adds himself to `waiting`, arms the door, and notes its bell, for whose change he waits. Who brings something to an armed door
 * disarms it, changes the bell and wakes one waiter; so a burst costs one wake, and the 32 bits of the bell move only when there is
 * somebody to wake. Who stops waiting, for whatever reason, hands on: while others wait, he wakes one of them if there is something to be
 * had, and arms the door if there is not. This always holds: while somebody waits, the door is armed, or nothing is to be had, or a
 * waiter is awake that will hand on.
 */
struct wefti_door {
    uint32_t bell;    /* changes when one who waits is to look again; read without the latch */
    uint32_t waiting; /* how many wait */
    bool armed;       /* who brings something next wakes one of them */
};

static inline void wefti_door_ring(struct wefti_door *door)
{
    /* Who waits for it took its old state under the latch that is held now. */
    __atomic_store_n(&door->bell, door->bell + 1, __ATOMIC_RELAXED);
}

/* Something has come. True: one who waits at the bell is to be woken once the latch is open. */
static inline bool wefti_door_bring(struct wefti_door *door)
{
    if (__builtin_expect(!door->armed, 1))
        return false;
    door->armed = false;
    wefti_door_ring(door);
    return true;
}

/* Makes the caller one who waits: until the bell differs from what this gives. */
static inline uint32_t wefti_door_watch(struct wefti_door *door)
{
    door->waiting++;
    door->armed = true;
    return door->bell;
}

/* The caller waits no more; `some`: there is something to be had. True: as bring. */
static inline bool wefti_door_leave(struct wefti_door *door, bool some)
{
    bool others = --door->waiting > 0;
    if (others && !some)
        door->armed = true;
    return others && some;
}

/* Puts a value back that was got and never reached anybody: it is the next that comes out. Given away on success; -1 with ENOMEM, and as
 * weft_queue_put. */
int wefti_queue_back(struct weft_queue *queue, weft_value value);
/* Whether all has been dealt with; if not, what changes when that is to be looked at again: a word, NULL for a queue that has none, and its
 * value now. */
bool wefti_queue_joined(struct weft_queue *queue, const uint32_t **bell, uint32_t *seen);

/*
 * A case that is ready when a get (or a put) could be done, or never can be, and does nothing; to be dropped once select is through with
 * it, and then tried. Somebody else may have been quicker. Who waits so is told like those who take, and hands on to the next. False with
 * ENOTSUP: a rendezvous, or a queue that is far.
 */
bool wefti_case_look(struct weft_queue *queue, bool put, weft_case *one);

/* First in, first out, in memory of this process; bounded by capacity, or WEFT_UNBOUNDED. NULL with ENOMEM, EINVAL. */
struct weft_queue *wefti_queue_fifo_new(size_t capacity);
/* Last in, first out, or by priority. NULL with ENOMEM, EINVAL. */
struct weft_queue *wefti_queue_ordered_new(const struct weft_queue_options *options);
/* Without room. NULL with ENOMEM. */
struct weft_queue *wefti_queue_rendezvous_new(void);

/* In the arena, by options that are valid. NULL with ENOTSUP (a kind that there is none of), and as weft_shared_alloc. */
struct weft_queue *wefti_queue_shared_new(const struct weft_queue_options *options);
int wefti_queue_shared_task_done(struct weft_queue *queue);
int wefti_queue_shared_join(struct weft_queue *queue, weft_time deadline);
size_t wefti_queue_shared_drop_all(struct weft_queue *queue);

#endif
