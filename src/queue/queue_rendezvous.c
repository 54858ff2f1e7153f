/* SPDX-License-Identifier: MIT */
/*
 * A queue without room: who puts and who gets meet, and the value goes from one to the other.
 *
 * Everybody who waits is a select, or a plain put or get, which is like one of a single case, and has an offer in one of two lines, of
 * those who give and of those who take, each first in, first out. Who comes looks for an offer in the other line whose meeting
 * (wait/waitable.h) is still open, does what both want, and takes the partner's offers out. One who finds none, and may wait, puts his own
 * offer into the line under the same latch; so of two that fit the later sees the earlier, and nobody waits while a partner does.
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
 * A plain put or get by who has others to let run waits directly (wait/direct.h): its meeting has the wait, which whoever ends the meeting
 * claims under the meeting's latch, and he unparks the waiter when he has opened the queue's. So that waiter has nothing to look at when he
 * comes back; only one whose wait was ended otherwise shuts his meeting, as the others do.
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
#include "wait/direct.h"

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

/* Takes the offers of a meeting out of here. Both latches are held. */
static void meeting_unlist(struct rendezvous *rendezvous, const struct wefti_meeting *meeting)
{
    for (size_t i = 0; i < meeting->count; i++) {
        weft_case *other = &meeting->cases[i];
        struct wefti_offer *offer = &wefti_case_place(other)->offer;
        if (other->waitable && other->waitable->meets && other->object == rendezvous && offer->listed)
            offer_remove(&rendezvous->lines[case_side(other)], offer);
    }
}

/* Ends the meeting with this case of it. Both latches are held. The waiter who is to be unparked, of one who waits directly and waits
 * still; or NULL. */
static inline struct wefti_context *meeting_end(struct rendezvous *rendezvous, struct wefti_meeting *meeting, weft_case *one, int error)
{
    if (__builtin_expect(meeting->wait != NULL, 1)) /* a plain put or get: this is its one case, and the offer is listed */
        offer_remove(&rendezvous->lines[case_side(one)], &wefti_case_place(one)->offer);
    else
        meeting_unlist(rendezvous, meeting);
    one->error = error;
    __atomic_store_n(&meeting->done, WEFTI_MEETING_DONE + (uint32_t)(one - meeting->cases), __ATOMIC_RELEASE);
    return meeting->wait ? wefti_direct_claim(meeting->wait) : NULL;
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

/* A partner who is to be told that his meeting has ended. */
struct partner {
    const uint32_t *word; /* NULL: there is none */
    struct wefti_context *context;
};

/* Tells him, when the latches are open. One who waits directly and has no context here is on his way out by himself. */
static inline void partner_tell(struct partner partner)
{
    if (partner.context)
        wefti_unpark(partner.context);
    else if (partner.word)
        weft_wake(partner.word, 1);
}

/*
 * Does the case with the first partner there is; the queue's latch is held. `own`: the meeting of a caller whose offers lie about. No
 * partner: there is none, or somebody has come to `own` meanwhile.
 */
static inline struct partner case_meet(struct rendezvous *rendezvous, weft_case *one, struct wefti_meeting *own)
{
    enum side side = case_side(one);
    for (struct wefti_offer *offer = rendezvous->lines[!side].head; offer; offer = offer->next) {
        struct wefti_meeting *meeting = offer->meeting;
        struct partner partner = {.word = NULL};
        if (meeting == own)
            continue;
        meetings_close(meeting, own);
        if (meeting_is_open(meeting) && (!own || meeting_is_open(own))) {
            partner.word = &meeting->done;
            value_move(side == GIVES ? one : offer->one, side == GIVES ? offer->one : one);
            __atomic_store_n(&rendezvous->puts, rendezvous->puts + 1, __ATOMIC_RELEASE);
            partner.context = meeting_end(rendezvous, meeting, offer->one, 0);
            if (own)
                meeting_end(rendezvous, own, one, 0);
        }
        meetings_open(meeting, own);
        if (partner.word)
            return partner;
    }
    return (struct partner){.word = NULL};
}

static int rendezvous_case_ready(weft_case *one)
{
    struct rendezvous *rendezvous = one->object;
    struct partner partner = {.word = NULL};
    wefti_latch_close(&rendezvous->latch);
    bool closed = wefti_queue_is_closed(&rendezvous->queue);
    if (!closed)
        partner = case_meet(rendezvous, one, NULL);
    wefti_latch_open(&rendezvous->latch);
    partner_tell(partner);
    return wefti_queue_outcome(closed ? EPIPE : partner.word ? 0 : EAGAIN);
}

/* Does the case with a partner who waits, or else puts the offer where partners come by. True: it may be done by now, or never. */
static inline bool case_offer(struct rendezvous *rendezvous, weft_case *one, struct wefti_meeting *own, struct partner *partner)
{
    wefti_latch_close(&rendezvous->latch);
    bool closed = wefti_queue_is_closed(&rendezvous->queue);
    if (!closed)
        *partner = case_meet(rendezvous, one, own);
    if (!closed && !partner->word)
        offer_add(&rendezvous->lines[case_side(one)], &wefti_case_place(one)->offer);
    wefti_latch_open(&rendezvous->latch);
    partner_tell(*partner);
    return closed;
}

static bool rendezvous_case_enqueue(weft_case *one, struct wefti_item *item)
{
    struct wefti_offer *offer = &wefti_case_place(one)->offer;
    struct partner partner = {.word = NULL};
    item->kind = WEFTI_WORD;
    item->word = &offer->meeting->done;
    item->expected = WEFTI_MEETING_OPEN;
    return case_offer(one->object, one, offer->meeting, &partner) || partner.word;
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

/* It was not a partner that ended the wait; but one may have come since. */
static __attribute__((noinline)) int rendezvous_leave(struct wefti_meeting *meeting, weft_case *one)
{
    int error = errno;
    if (meeting_leave(meeting, one))
        return wefti_queue_outcome(one->error) > 0 ? 0 : -1;
    int ready = rendezvous_case_ready(one); /* a deadline is no reason to leave what is there */
    if (ready == 0)
        errno = error;
    return ready > 0 ? 0 : -1;
}

/* The offer has been made: waits for a partner. */
static inline int rendezvous_wait(struct wefti_meeting *meeting, weft_case *one, weft_time deadline)
{
    if (__builtin_expect(meeting->wait != NULL, 1)) {
        if (wefti_direct_wait(meeting->wait, deadline) != 0)
            return rendezvous_leave(meeting, one);
        return __builtin_expect(one->error == 0, 1) || wefti_queue_outcome(one->error) > 0 ? 0 : -1; /* he has opened all latches */
    }
    while (__atomic_load_n(&meeting->done, __ATOMIC_ACQUIRE) == WEFTI_MEETING_OPEN)
        if (weft_wait(&meeting->done, WEFTI_MEETING_OPEN, deadline) < 0)
            break;
    return rendezvous_leave(meeting, one);
}

/* What weft_select does with one case, in fewer steps. */
static inline int rendezvous_go(weft_queue *queue, const struct weft_waitable *waitable, weft_value *value, weft_time deadline)
{
    struct wefti_wait wait;
    struct wefti_context *context = wefti_context_current();
    weft_case one; /* of its scratch only the offer is used */
    one.waitable = waitable;
    one.object = queue;
    one.operation = value;
    one.error = 0;
    if (deadline <= WEFT_NOW) {
        int ready = rendezvous_case_ready(&one);
        if (ready == 0)
            errno = EAGAIN;
        return ready > 0 ? 0 : -1;
    }
    bool direct = wefti_direct_pays(context);
    if (direct)
        wefti_direct_begin(&wait, context);
    struct wefti_meeting meeting = {.done = WEFTI_MEETING_OPEN, .cases = &one, .count = 1, .wait = direct ? &wait : NULL};
    struct wefti_offer *offer = &wefti_case_place(&one)->offer;
    offer->meeting = &meeting;
    offer->one = &one;
    offer->listed = false;
    struct partner partner = {.word = NULL};
    if (case_offer((struct rendezvous *)queue, &one, NULL, &partner)) {
        errno = EPIPE;
        return -1;
    }
    return partner.word ? 0 : rendezvous_wait(&meeting, &one, deadline);
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

/* Ends the first open meeting of the line with EPIPE: whose it was, if there is one. */
static struct partner line_refuse(struct rendezvous *rendezvous, struct line *line)
{
    for (struct wefti_offer *offer = line->head; offer; offer = offer->next) {
        struct wefti_meeting *meeting = offer->meeting;
        struct partner partner = {.word = NULL};
        wefti_latch_close(&meeting->latch);
        if (meeting_is_open(meeting)) {
            partner.word = &meeting->done;
            partner.context = meeting_end(rendezvous, meeting, offer->one, EPIPE);
        }
        wefti_latch_open(&meeting->latch);
        if (partner.word)
            return partner;
    }
    return (struct partner){.word = NULL};
}

static void rendezvous_close(weft_queue *queue)
{
    struct rendezvous *rendezvous = (struct rendezvous *)queue;
    struct partner partner;
    do {
        wefti_latch_close(&rendezvous->latch);
        __atomic_store_n(&queue->closed, 1, __ATOMIC_RELEASE);
        partner = line_refuse(rendezvous, &rendezvous->lines[GIVES]);
        if (!partner.word)
            partner = line_refuse(rendezvous, &rendezvous->lines[TAKES]);
        wefti_latch_open(&rendezvous->latch);
        partner_tell(partner);
    } while (partner.word);
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
