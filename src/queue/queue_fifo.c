/* SPDX-License-Identifier: MIT */
/*
 * A queue in the memory of one process: first in, first out, bounded or not.
 *
 * Two ends, `in` and `out`, each with a latch and cache lines of its own: as long as there are both values and room, those who put and
 * those who get do not meet. An end counts the values that have passed it since the beginning (64 bits, which do not wrap). What lies
 * between them is in.count - out.count. A count moves only under its end's latch, and only as far as
 *
 *     in.count  < out.count + capacity     (the bound, exact)
 *     out.count < in.count
 *
 * The right-hand side is kept in `limit`, as it was when last looked at. It only grows, so an old one errs on the safe side, and the line
 * of the other end is read once for many values.
 *
 * Order. A putter writes the value, then in.count (release). A getter reads in.count (acquire), then the value, then writes out.count
 * (release); the putter that reads that (acquire) writes over the place. What one getter has seen of in.count reaches the next through the
 * latch of `out`. Puts are ordered by the latch of `in`, gets by that of `out`: values come out in the order of the puts.
 *
 * Waiting. Who finds nothing (or no room) lingers for some microseconds, watching the other end's count, and so takes a burst in one go.
 * Then he becomes a waiter at the other end's door (queue.h). No wake is lost with one who leaves by his deadline or cancellation, nor
 * between looking and sleeping: arming the door and moving the count happen under one latch, so either the waiter sees the new count, or
 * who moves it sees the door armed and changes the bell, and weft_wait does not sleep on a bell that has changed.
 *
 * Close sets `closed` under the latch of `in`: every put comes before it, and its value can be taken, or after it, and fails. A getter
 * that reads `closed` (acquire) and finds in.count reached after that knows that nothing will come. Close then changes both bells, each
 * under its latch, under which waiters look at `closed` before they wait.
 *
 * Back. What a manager had got for a client that died comes before all others: `back`, under the latch of `out`, for the count of which it
 * never left. Who waits for a value looks at `backed` under the latch of `in`, which is passed after it was raised: either he sees it, or
 * he is seen waiting, and woken.
 *
 * Places. The values lie in segments. A bounded queue has one, of `capacity` places, that is its own successor: a ring. An unbounded one
 * has a chain, lengthened by puts and shortened by gets, of which one emptied segment is kept (`spare`): at a steady length nothing is
 * allocated.
 *
 * The end of it. Opening the latch is the last that a call touches (a wake uses the bell's address only), and free passes every latch
 * once. So who has got the value may free the queue though the put that let him has not quite returned.
 *
 * After a fork the child has a copy, usable if no other thread was inside a call on it at that moment.
 */

#include <errno.h>
#include <string.h>

#include "base/latch.h"
#include "base/memory.h"
#include "hint.h"
#include "queue/queue.h"
#include "value/value.h"
#include "wait/wait.h"

#ifdef WEFTI_SMALL
enum { CHAIN_PLACES = 3 };
#else
enum { CHAIN_PLACES = 255 }; /* with its header a page */
#endif

/* How one lingers: pauses between looks, doubled from look to look; one is some 10 to 40 ns long. */
enum { LINGER_MOST = 64, GATHER_LEAST = 8, GATHER_MOST = 128, GATHER_ENOUGH = 256 /* values */ };

struct fifo_segment {
    struct fifo_segment *next;
    weft_value places[];
};

/* Everything but the constants is written under the latch; count and bell are read without. */
struct fifo_end {
    struct wefti_latch latch;
    struct wefti_door door;       /* of those who wait for this end to move on */
    uint64_t count;               /* values that have passed */
    uint64_t limit;               /* how far count may go, by what was last seen of the other end */
    weft_value *place;            /* the next value's; == stop: in the next segment */
    weft_value *stop;             /* the end of the segment */
    struct fifo_segment *segment; /* that place is in */
    struct fifo_end *other;       /* constant */
    uint64_t lead;                /* constant: how far this end's count may be ahead of the other's */
} __attribute__((aligned(128)));  /* two lines: processors fetch them in pairs */

struct fifo {
    struct weft_queue queue;
    size_t places;              /* in a segment; constant */
    struct fifo_segment *spare; /* unbounded: an empty segment, or NULL; exchanged */
    weft_value *back;           /* `backed` values, the last of which is the next that comes out; written under the latch of `out` */
    size_t backed;
    struct fifo_end in, out;
};

static uint64_t count_read(const struct fifo_end *end)
{
    return __atomic_load_n(&end->count, __ATOMIC_ACQUIRE);
}

static void end_enter(struct fifo_end *end, struct fifo_segment *segment, size_t places)
{
    end->segment = segment;
    end->place = segment->places;
    end->stop = segment->places + places;
}

/* Whether one more may pass. The latch is held. */
static bool end_may_pass(struct fifo_end *end)
{
    if (__builtin_expect(end->count != end->limit, 1))
        return true;
    __atomic_store_n(&end->limit, count_read(end->other) + end->lead, __ATOMIC_RELAXED);
    return end->count != end->limit;
}

/*
 * Whether none could pass at some moment of the call; without the latch, and as long as there is a known margin without a look at the
 * other end.
 */
static bool end_looks_shut(const struct fifo_end *end)
{
    uint64_t count = count_read(end);
    return count == __atomic_load_n(&end->limit, __ATOMIC_RELAXED) && count == count_read(end->other) + end->lead;
}

/* So many values have passed. True: one who waits is to be woken once the latch is open. */
static bool end_pass(struct fifo_end *end, size_t values)
{
    __atomic_store_n(&end->count, end->count + values, __ATOMIC_RELEASE);
    return wefti_door_bring(&end->door);
}

/* Whether those who wait for the end, whose latch is held, may pass the other. */
static bool end_is_ahead(const struct fifo_end *end)
{
    return count_read(end->other) != end->count + end->other->lead;
}

/* The caller waits for the end no more: hands on. */
static void end_unwatch(struct fifo_end *end, bool more)
{
    wefti_latch_close(&end->latch);
    bool wake = wefti_door_leave(&end->door, more || end_is_ahead(end));
    wefti_latch_open(&end->latch);
    if (wake)
        weft_wake(&end->door.bell, 1);
}

/* The count after so many pauses. */
static uint64_t end_look(const struct fifo_end *end, int pauses)
{
    while (pauses-- > 0)
        wefti_pause();
    return count_read(end);
}

/*
 * Gives the end a moment to move on from `seen`, and then, while it keeps moving, to move far: whoever goes on after each single value
 * fights with the other side for the line of the count.
 */
static void end_linger(const struct fifo_end *end, uint64_t seen)
{
    uint64_t now = seen, before = seen;
    if (!wefti_may_spin())
        return;
    for (int pauses = 1; pauses <= LINGER_MOST && now == seen; pauses *= 2)
        now = end_look(end, pauses);
    for (int pauses = GATHER_LEAST; pauses <= GATHER_MOST && now != before && now - seen < GATHER_ENOUGH; pauses *= 2) {
        before = now;
        now = end_look(end, pauses);
    }
}

static bool fifo_backed_any(const struct fifo *fifo)
{
    return __atomic_load_n(&fifo->backed, __ATOMIC_ACQUIRE) > 0;
}

/* One cannot pass `end` until the other end has moved on: waits for that, or for a close. 0: worth another look; -1 as weft_wait. */
static int fifo_wait(struct fifo *fifo, struct fifo_end *end, weft_time deadline)
{
    struct fifo_end *other = end->other;
    uint64_t seen = count_read(end) - end->lead;
    end_linger(other, seen);
    wefti_latch_close(&other->latch);
    bool moved = other->count != seen || wefti_queue_is_closed(&fifo->queue) || (end == &fifo->out && fifo_backed_any(fifo));
    uint32_t bell = moved ? 0 : wefti_door_watch(&other->door);
    wefti_latch_open(&other->latch);
    if (moved)
        return 0;
    int result = weft_wait(&other->door.bell, bell, deadline);
    int error = errno;
    end_unwatch(other, end == &fifo->out && fifo_backed_any(fifo));
    errno = error;
    return result;
}

/* Goes on to the next segment of the chain, or round the ring. False: no memory. */
static bool fifo_in_next(struct fifo *fifo)
{
    struct fifo_segment *next = fifo->in.segment->next;
    if (!next) {
        next = __atomic_exchange_n(&fifo->spare, NULL, __ATOMIC_ACQUIRE); /* pairs with the release in fifo_out_next */
        if (!next)
            next = wefti_alloc_raw(sizeof(*next) + fifo->places * sizeof(weft_value));
        if (!next)
            return false;
        next->next = NULL;
        fifo->in.segment->next = next; /* seen by who sees the count go beyond this segment */
    }
    end_enter(&fifo->in, next, fifo->places);
    return true;
}

static void fifo_out_next(struct fifo *fifo)
{
    struct fifo_segment *old = fifo->out.segment;
    end_enter(&fifo->out, old->next, fifo->places);
    if (old->next != old)
        wefti_release(__atomic_exchange_n(&fifo->spare, old, __ATOMIC_ACQ_REL));
}

/* 0, EPIPE, EAGAIN (full), ENOMEM. */
static int fifo_try_put(struct fifo *fifo, weft_value value)
{
    struct fifo_end *in = &fifo->in;
    int error = 0;
    bool wake = false;
    wefti_latch_close(&in->latch);
    if (__builtin_expect(wefti_queue_is_closed(&fifo->queue), 0))
        error = EPIPE;
    else if (!end_may_pass(in))
        error = EAGAIN;
    else if (in->place == in->stop && !fifo_in_next(fifo))
        error = ENOMEM;
    else {
        *in->place++ = wefti_value_take(value);
        wake = end_pass(in, 1);
    }
    wefti_latch_open(&in->latch);
    if (wake)
        weft_wake(&in->door.bell, 1);
    return error;
}

/* The latch of `out` is held. */
static weft_value fifo_take_back(struct fifo *fifo)
{
    weft_value value = fifo->back[fifo->backed - 1];
    __atomic_store_n(&fifo->backed, fifo->backed - 1, __ATOMIC_RELEASE);
    return value;
}

static int fifo_back(weft_queue *queue, weft_value value)
{
    struct fifo *fifo = (struct fifo *)queue;
    wefti_latch_close(&fifo->out.latch);
    weft_value *room = wefti_realloc(fifo->back, (fifo->backed + 1) * sizeof(*room));
    if (room) {
        fifo->back = room;
        room[fifo->backed] = wefti_value_take(value);
        __atomic_store_n(&fifo->backed, fifo->backed + 1, __ATOMIC_RELEASE);
    }
    wefti_latch_open(&fifo->out.latch);
    if (!room)
        return -1;
    wefti_latch_close(&fifo->in.latch);
    bool wake = wefti_door_bring(&fifo->in.door);
    wefti_latch_open(&fifo->in.latch);
    if (wake)
        weft_wake(&fifo->in.door.bell, 1);
    return 0;
}

/* 0, EPIPE (closed and empty), EAGAIN (empty). */
static int fifo_try_get(struct fifo *fifo, weft_value *value)
{
    struct fifo_end *out = &fifo->out;
    int error = 0;
    bool wake = false;
    wefti_latch_close(&out->latch);
    if (__builtin_expect(fifo->backed > 0, 0))
        *value = fifo_take_back(fifo);
    else if (end_may_pass(out)) {
        if (out->place == out->stop)
            fifo_out_next(fifo);
        *value = *out->place++;
        wake = end_pass(out, 1);
    } else
        error = wefti_queue_is_closed(&fifo->queue) && !end_may_pass(out)
                    ? EPIPE
                    : EAGAIN; /* looked at again: a put may have come before the close */
    wefti_latch_open(&out->latch);
    if (wake)
        weft_wake(&out->door.bell, 1);
    return error;
}

/* How many may pass together, in one segment, which is not used up. The latch is held. */
static size_t end_span(struct fifo_end *end, size_t wanted)
{
    uint64_t margin = end->limit - end->count;
    size_t span = margin < wanted ? (size_t)margin : wanted;
    size_t places = (size_t)(end->stop - end->place);
    return span < places ? span : places;
}

static size_t fifo_put_some(weft_queue *queue, const weft_value *values, size_t count, int *error)
{
    struct fifo *fifo = (struct fifo *)queue;
    struct fifo_end *in = &fifo->in;
    bool wake = false;
    size_t put = 0;
    wefti_latch_close(&in->latch);
    *error = wefti_queue_is_closed(queue) ? EPIPE : 0;
    while (!*error && put < count) {
        if (!end_may_pass(in))
            *error = EAGAIN;
        else if (in->place == in->stop && !fifo_in_next(fifo))
            *error = ENOMEM;
        else {
            size_t span = end_span(in, count - put);
            for (size_t i = 0; i < span; i++)
                *in->place++ = wefti_value_take(values[put++]);
            wake |= end_pass(in, span);
        }
    }
    wefti_latch_open(&in->latch);
    if (wake)
        weft_wake(&in->door.bell, 1);
    return put;
}

static size_t fifo_get_some(weft_queue *queue, weft_value *values, size_t count, int *error)
{
    struct fifo *fifo = (struct fifo *)queue;
    struct fifo_end *out = &fifo->out;
    bool wake = false;
    size_t got = 0;
    wefti_latch_close(&out->latch);
    while (got < count && fifo->backed > 0)
        values[got++] = fifo_take_back(fifo);
    while (got < count && end_may_pass(out)) {
        if (out->place == out->stop)
            fifo_out_next(fifo);
        size_t span = end_span(out, count - got);
        memcpy(values + got, out->place, span * sizeof(*values));
        out->place += span;
        got += span;
        wake |= end_pass(out, span);
    }
    *error = wefti_queue_is_closed(queue) && !end_may_pass(out) ? EPIPE : EAGAIN;
    wefti_latch_open(&out->latch);
    if (wake)
        weft_wake(&out->door.bell, 1);
    return got;
}

/* What a try that found `error` does next: 0 to try again, -1 with errno. */
static int fifo_retry(struct fifo *fifo, struct fifo_end *end, int error, weft_time deadline)
{
    if (error == EAGAIN && deadline > WEFT_NOW)
        return fifo_wait(fifo, end, deadline);
    errno = error;
    return -1;
}

static int fifo_put(weft_queue *queue, weft_value value, weft_time deadline)
{
    struct fifo *fifo = (struct fifo *)queue;
    for (;;) {
        int error = fifo_try_put(fifo, value);
        if (__builtin_expect(error == 0, 1))
            return 0;
        if (fifo_retry(fifo, &fifo->in, error, deadline) < 0)
            return -1;
    }
}

static int fifo_get(weft_queue *queue, weft_value *value, weft_time deadline)
{
    struct fifo *fifo = (struct fifo *)queue;
    for (;;) {
        int error = fifo_try_get(fifo, value);
        if (__builtin_expect(error == 0, 1))
            return 0;
        if (fifo_retry(fifo, &fifo->out, error, deadline) < 0)
            return -1;
    }
}

/* Exact at the moment at which in.count was read: out.count was the same before and after. */
static size_t fifo_size(const weft_queue *queue)
{
    const struct fifo *fifo = (const struct fifo *)queue;
    uint64_t in, out, again = count_read(&fifo->out);
    do {
        out = again;
        in = count_read(&fifo->in);
        again = count_read(&fifo->out);
    } while (again != out);
    return (size_t)(in - out) + __atomic_load_n(&fifo->backed, __ATOMIC_RELAXED);
}

/* Makes everybody who waits for the end look again. */
static void end_wake_all(struct fifo_end *end)
{
    wefti_latch_close(&end->latch);
    end->door.armed = false;
    wefti_door_ring(&end->door);
    wefti_latch_open(&end->latch);
    weft_wake(&end->door.bell, UINT32_MAX);
}

static void fifo_close(weft_queue *queue)
{
    struct fifo *fifo = (struct fifo *)queue;
    wefti_latch_close(&fifo->in.latch);
    __atomic_store_n(&queue->closed, 1, __ATOMIC_RELEASE);
    wefti_latch_open(&fifo->in.latch);
    end_wake_all(&fifo->in);
    end_wake_all(&fifo->out);
}

static int fifo_case_get(weft_case *one)
{
    struct fifo *fifo = one->object;
    return end_looks_shut(&fifo->out) && !wefti_queue_is_closed(&fifo->queue) && !fifo_backed_any(fifo)
               ? 0
               : wefti_queue_outcome(fifo_try_get(fifo, one->operation));
}

static int fifo_case_put(weft_case *one)
{
    struct fifo *fifo = one->object;
    return end_looks_shut(&fifo->in) && !wefti_queue_is_closed(&fifo->queue)
               ? 0
               : wefti_queue_outcome(fifo_try_put(fifo, *(weft_value *)one->operation));
}

/* Becomes a waiter of the end. True when it need not wait. */
static bool end_case_watch(struct fifo *fifo, struct fifo_end *end, struct wefti_item *item)
{
    wefti_latch_close(&end->latch);
    item->kind = WEFTI_WORD;
    item->word = &end->door.bell;
    item->expected = wefti_door_watch(&end->door);
    bool possible = end_is_ahead(end) || wefti_queue_is_closed(&fifo->queue) || (end == &fifo->in && fifo_backed_any(fifo));
    wefti_latch_open(&end->latch);
    return possible;
}

static bool fifo_case_get_enqueue(weft_case *one, struct wefti_item *item)
{
    struct fifo *fifo = one->object;
    return end_case_watch(fifo, &fifo->in, item);
}

static bool fifo_case_put_enqueue(weft_case *one, struct wefti_item *item)
{
    struct fifo *fifo = one->object;
    return end_case_watch(fifo, &fifo->out, item);
}

static void fifo_case_get_dequeue(weft_case *one)
{
    struct fifo *fifo = one->object;
    end_unwatch(&fifo->in, fifo_backed_any(fifo));
}

static void fifo_case_put_dequeue(weft_case *one)
{
    end_unwatch(&((struct fifo *)one->object)->out, false);
}

static const struct weft_waitable fifo_get_waitable = {
    .ready = fifo_case_get, .enqueue = fifo_case_get_enqueue, .dequeue = fifo_case_get_dequeue};
static const struct weft_waitable fifo_put_waitable = {
    .ready = fifo_case_put, .enqueue = fifo_case_put_enqueue, .dequeue = fifo_case_put_dequeue};

static void fifo_free(weft_queue *queue)
{
    struct fifo *fifo = (struct fifo *)queue;
    wefti_queue_latch_pass(&fifo->in.latch);
    weft_value value;
    while (fifo_try_get(fifo, &value) == 0)
        weft_drop(value);
    wefti_release(fifo->back);
    wefti_release(fifo->spare);
    wefti_release(fifo->in.segment); /* the only one left */
    wefti_release(fifo);
}

static const struct wefti_queue_kind fifo_kind = {
    .put = fifo_put,
    .get = fifo_get,
    .put_some = fifo_put_some,
    .get_some = fifo_get_some,
    .size = fifo_size,
    .back = fifo_back,
    .close = fifo_close,
    .free = fifo_free,
    .get_case = &fifo_get_waitable,
    .put_case = &fifo_put_waitable,
};

static struct fifo *fifo_prepare(struct fifo *fifo, struct fifo_segment *segment, size_t capacity, size_t places)
{
    memset(fifo, 0, sizeof(*fifo));
    fifo->queue.kind = &fifo_kind;
    fifo->queue.capacity = capacity;
    fifo->queue.puts = &fifo->in.count;
    fifo->places = places;
    fifo->in.other = &fifo->out;
    fifo->in.lead = fifo->in.limit = capacity == WEFT_UNBOUNDED ? UINT64_MAX / 2 : capacity;
    fifo->out.other = &fifo->in;
    end_enter(&fifo->in, segment, places);
    end_enter(&fifo->out, segment, places);
    return fifo;
}

weft_queue *wefti_queue_fifo_new(size_t capacity)
{
    bool bounded = capacity != WEFT_UNBOUNDED;
    if (bounded && capacity > (PTRDIFF_MAX - sizeof(struct fifo_segment)) / sizeof(weft_value)) {
        errno = EINVAL;
        return NULL;
    }
    size_t places = bounded ? capacity : CHAIN_PLACES;
    struct fifo *fifo = wefti_alloc_aligned(_Alignof(struct fifo), sizeof(*fifo));
    struct fifo_segment *segment = wefti_alloc_raw(sizeof(*segment) + places * sizeof(weft_value));
    if (!fifo || !segment) {
        wefti_release(fifo);
        wefti_release(segment);
        return NULL;
    }
    segment->next = bounded ? segment : NULL;
    return &fifo_prepare(fifo, segment, capacity, places)->queue;
}
