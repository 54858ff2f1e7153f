/* SPDX-License-Identifier: MIT */
/*
 * A queue without room: who puts and who gets meet, and the value goes from one to the other.
 *
 * Everybody who waits is a select, or a plain put or get, which is like one of a single case, and has an offer in one of two lines, of those who give
 * and of those who take, each first in, first out. Who comes looks for an offer in the other line whose meeting (wait/waitable.h) is
 * still open, does what both want, and takes the partner's offers out. One who finds none, and may wait, puts his own offer into the line
 * under the same latch; so of two that fit the later sees the earlier, and nobody waits while a partner does.
 *
 * One who comes without an offer anywhere has only the partner to win over: the partner's latch and `done`. One whose offers lie in other
 * queues already may himself be won over there at this moment: he holds both latches, that at the lower address first. A select does not
 * meet itself.
 *
 * Order of latches: the queue's, then meetings' by address. Nobody closes a queue's latch while he holds a meeting's.
 *
 * The end of it. The value has moved, the partner's offers are gone from this queue and `done` is written when his latch opens, and he
 * then touches the queue no more; the other's last touch is opening the queue's latch, which free passes. So who has got the value may
 * free the queue, whichever of the two came first.
 *
 * `puts` counts the meetings. Close marks the queue under its latch, after which no offer is put into a line, and ends those that are
 * there with EPIPE. After a fork the child has a copy, usable if no other thread was inside a call on it, or waiting in one, at that
 * moment.
 */

#include <errno.h>

#include "base/latch.h"
#include "base/memory.h"
#include "queue/queue.h"
#include "value/value.h"

enum side { GIVES, TAKES };

struct line {
    struct wefti_offer *head, *tail;
};

struct rendezvous {
    struct weft_queue queue;
    struct wefti_latch latch; /* of all here */
    struct line lines[2];     /* by side */
    uint64_t puts;            /* read without the latch */
};

static const struct weft_waitable give_waitable, take_waitable;

static enum side case_side(const weft_case *one)
{
    return one->waitable == &give_waitable ? GIVES : TAKES;
}

static void offer_add(struct line *line, struct wefti_offer *offer)
{
    offer->next = NULL;
    offer->previous = line->tail;
    *(line->tail ? &line->tail->next : &line->head) = offer;
    line->tail = offer;
    offer->listed = true;
}

static void offer_remove(struct line *line, struct wefti_offer *offer)
{
    *(offer->previous ? &offer->previous->next : &line->head) = offer->next;
    *(offer->next ? &offer->next->previous : &line->tail) = offer->previous;
    offer->listed = false;
}

/* Ends the meeting with this case of it. Both latches are held. */
static void meeting_end(struct rendezvous *rendezvous, struct wefti_meeting *meeting, weft_case *one, int error)
{
    for (size_t i = 0; i < meeting->count; i++) {
        weft_case *other = &meeting->cases[i];
        struct wefti_offer *offer = &wefti_case_place(other)->offer;
        if (other->waitable && other->waitable->meets && other->object == rendezvous && offer->listed)
            offer_remove(&rendezvous->lines[case_side(other)], offer);
    }
    one->error = error;
    __atomic_store_n(&meeting->done, WEFTI_MEETING_DONE + (uint32_t)(one - meeting->cases), __ATOMIC_RELEASE);
}

/* Closes the latches of a meeting and of the caller's own, if it has offers out. */
static void meetings_close(struct wefti_meeting *meeting, struct wefti_meeting *own)
{
    if (own && own < meeting)
        wefti_latch_close(&own->latch);
    wefti_latch_close(&meeting->latch);
    if (own && own > meeting)
        wefti_latch_close(&own->latch);
}

static void meetings_open(struct wefti_meeting *meeting, struct wefti_meeting *own)
{
    wefti_latch_open(&meeting->latch);
    if (own)
        wefti_latch_open(&own->latch);
}

static bool meeting_is_open(const struct wefti_meeting *meeting)
{
    return meeting->done == WEFTI_MEETING_OPEN;
}

static void value_move(const weft_case *from, const weft_case *to)
{
    *(weft_value *)to->operation = wefti_value_take(*(weft_value *)from->operation);
}

/*
 * Does the case with the first partner there is; the queue's latch is held. `own`: the meeting of a caller whose offers lie about. The
 * word to wake, or NULL: there is no partner, or somebody has come to `own` meanwhile.
 */
static const uint32_t *case_meet(struct rendezvous *rendezvous, weft_case *one, struct wefti_meeting *own)
{
    enum side side = case_side(one);
    for (struct wefti_offer *offer = rendezvous->lines[!side].head; offer; offer = offer->next) {
        struct wefti_meeting *meeting = offer->meeting;
        if (meeting == own)
            continue;
        meetings_close(meeting, own);
        bool met = meeting_is_open(meeting) && (!own || meeting_is_open(own));
        if (met) {
            value_move(side == GIVES ? one : offer->one, side == GIVES ? offer->one : one);
            __atomic_store_n(&rendezvous->puts, rendezvous->puts + 1, __ATOMIC_RELEASE);
            meeting_end(rendezvous, meeting, offer->one, 0);
            if (own)
                meeting_end(rendezvous, own, one, 0);
        }
        meetings_open(meeting, own);
        if (met)
            return &meeting->done;
    }
    return NULL;
}

static int rendezvous_case_ready(weft_case *one)
{
    struct rendezvous *rendezvous = one->object;
    wefti_latch_close(&rendezvous->latch);
    bool closed = wefti_queue_is_closed(&rendezvous->queue);
    const uint32_t *word = closed ? NULL : case_meet(rendezvous, one, NULL);
    wefti_latch_open(&rendezvous->latch);
    if (word)
        weft_wake(word, 1);
    return wefti_queue_outcome(closed ? EPIPE : word ? 0 : EAGAIN);
}

static bool rendezvous_case_enqueue(weft_case *one, struct wefti_item *item)
{
    struct rendezvous *rendezvous = one->object;
    struct wefti_offer *offer = &wefti_case_place(one)->offer;
    item->kind = WEFTI_WORD;
    item->word = &offer->meeting->done;
    item->expected = WEFTI_MEETING_OPEN;
    wefti_latch_close(&rendezvous->latch);
    bool closed = wefti_queue_is_closed(&rendezvous->queue);
    const uint32_t *word = closed ? NULL : case_meet(rendezvous, one, offer->meeting);
    if (!closed && !word)
        offer_add(&rendezvous->lines[case_side(one)], offer);
    wefti_latch_open(&rendezvous->latch);
    if (word)
        weft_wake(word, 1);
    return closed || word;
}

/* The meeting is shut: nobody but the caller touches its offers. One that is not in its line may be of a queue that is gone. */
static void rendezvous_case_dequeue(weft_case *one)
{
    struct wefti_offer *offer = &wefti_case_place(one)->offer;
    if (!offer->listed)
        return;
    struct rendezvous *rendezvous = one->object;
    wefti_latch_close(&rendezvous->latch);
    offer_remove(&rendezvous->lines[case_side(one)], offer);
    wefti_latch_open(&rendezvous->latch);
}

static const struct weft_waitable give_waitable = {
    .ready = rendezvous_case_ready, .enqueue = rendezvous_case_enqueue, .dequeue = rendezvous_case_dequeue, .meets = true};
static const struct weft_waitable take_waitable = {
    .ready = rendezvous_case_ready, .enqueue = rendezvous_case_enqueue, .dequeue = rendezvous_case_dequeue, .meets = true};

/* Does the case with a partner who waits, or else offers it to those who come; the meeting is known to nobody yet. As a try: 1, 0 or -1. */
static int rendezvous_offer(struct rendezvous *rendezvous, weft_case *one)
{
    struct wefti_offer *offer = &wefti_case_place(one)->offer;
    wefti_latch_close(&rendezvous->latch);
    bool closed = wefti_queue_is_closed(&rendezvous->queue);
    const uint32_t *word = closed ? NULL : case_meet(rendezvous, one, NULL);
    if (!closed && !word)
        offer_add(&rendezvous->lines[case_side(one)], offer);
    wefti_latch_open(&rendezvous->latch);
    if (word)
        weft_wake(word, 1);
    return wefti_queue_outcome(closed ? EPIPE : word ? 0 : EAGAIN);
}

/* No partner comes any more. True: one has. */
static bool meeting_leave(struct wefti_meeting *meeting, weft_case *one)
{
    wefti_latch_close(&meeting->latch);
    bool met = !meeting_is_open(meeting);
    if (!met)
        meeting->done = WEFTI_MEETING_SHUT;
    wefti_latch_open(&meeting->latch);
    if (!met)
        rendezvous_case_dequeue(one);
    return met;
}

/* The offer has been made: waits for a partner. */
static int rendezvous_wait(struct wefti_meeting *meeting, weft_case *one, weft_time deadline)
{
    while (__atomic_load_n(&meeting->done, __ATOMIC_ACQUIRE) == WEFTI_MEETING_OPEN)
        if (weft_wait(&meeting->done, WEFTI_MEETING_OPEN, deadline) < 0)
            break;
    int error = errno;
    if (meeting_leave(meeting, one))
        return wefti_queue_outcome(one->error) > 0 ? 0 : -1;
    int ready = rendezvous_case_ready(one); /* a deadline is no reason to leave what is there */
    if (ready == 0)
        errno = error;
    return ready > 0 ? 0 : -1;
}

/* What weft_select does with one case, in fewer steps. */
static int rendezvous_go(weft_queue *queue, const struct weft_waitable *waitable, weft_value *value, weft_time deadline)
{
    struct rendezvous *rendezvous = (struct rendezvous *)queue;
    weft_case one; /* of its scratch only the offer is used */
    one.waitable = waitable;
    one.object = queue;
    one.operation = value;
    one.error = 0;
    struct wefti_meeting meeting = {.done = WEFTI_MEETING_OPEN, .cases = &one, .count = 1};
    wefti_case_place(&one)->offer = (struct wefti_offer){.meeting = &meeting, .one = &one};
    int ready = deadline > WEFT_NOW ? rendezvous_offer(rendezvous, &one) : rendezvous_case_ready(&one);
    if (ready == 0 && deadline > WEFT_NOW)
        return rendezvous_wait(&meeting, &one, deadline);
    if (ready == 0)
        errno = EAGAIN;
    return ready > 0 ? 0 : -1;
}

static int rendezvous_put(weft_queue *queue, weft_value value, weft_time deadline)
{
    return rendezvous_go(queue, &give_waitable, &value, deadline);
}

static int rendezvous_get(weft_queue *queue, weft_value *value, weft_time deadline)
{
    return rendezvous_go(queue, &take_waitable, value, deadline);
}

static size_t rendezvous_put_some(weft_queue *queue, const weft_value *values, size_t count, int *error)
{
    size_t put = 0;
    while (put < count && rendezvous_put(queue, values[put], WEFT_NOW) == 0)
        put++;
    *error = errno;
    return put;
}

static size_t rendezvous_get_some(weft_queue *queue, weft_value *values, size_t count, int *error)
{
    size_t got = 0;
    while (got < count && rendezvous_get(queue, &values[got], WEFT_NOW) == 0)
        got++;
    *error = errno;
    return got;
}

static size_t rendezvous_size(const weft_queue *queue)
{
    (void)queue;
    return 0;
}

/* Ends the first open meeting of the line with EPIPE: the word to wake, or NULL when there is none. */
static const uint32_t *line_refuse(struct rendezvous *rendezvous, struct line *line)
{
    for (struct wefti_offer *offer = line->head; offer; offer = offer->next) {
        struct wefti_meeting *meeting = offer->meeting;
        wefti_latch_close(&meeting->latch);
        bool open = meeting_is_open(meeting);
        if (open)
            meeting_end(rendezvous, meeting, offer->one, EPIPE);
        wefti_latch_open(&meeting->latch);
        if (open)
            return &meeting->done;
    }
    return NULL;
}

static void rendezvous_close(weft_queue *queue)
{
    struct rendezvous *rendezvous = (struct rendezvous *)queue;
    const uint32_t *word;
    do {
        wefti_latch_close(&rendezvous->latch);
        __atomic_store_n(&queue->closed, 1, __ATOMIC_RELEASE);
        word = line_refuse(rendezvous, &rendezvous->lines[GIVES]);
        if (!word)
            word = line_refuse(rendezvous, &rendezvous->lines[TAKES]);
        wefti_latch_open(&rendezvous->latch);
        if (word)
            weft_wake(word, 1);
    } while (word);
}

static void rendezvous_free(weft_queue *queue)
{
    struct rendezvous *rendezvous = (struct rendezvous *)queue;
    wefti_queue_latch_pass(&rendezvous->latch);
    wefti_release(rendezvous);
}

static const struct wefti_queue_kind rendezvous_kind = {
    .put = rendezvous_put,
    .get = rendezvous_get,
    .put_some = rendezvous_put_some,
    .get_some = rendezvous_get_some,
    .size = rendezvous_size,
    .close = rendezvous_close,
    .free = rendezvous_free,
    .get_case = &take_waitable,
    .put_case = &give_waitable,
};

weft_queue *wefti_queue_rendezvous_new(void)
{
    struct rendezvous *rendezvous = wefti_alloc_aligned(_Alignof(struct rendezvous), sizeof(*rendezvous));
    if (!rendezvous)
        return NULL;
    *rendezvous = (struct rendezvous){.queue = {.kind = &rendezvous_kind, .capacity = WEFT_RENDEZVOUS}};
    rendezvous->queue.puts = &rendezvous->puts;
    return &rendezvous->queue;
}
