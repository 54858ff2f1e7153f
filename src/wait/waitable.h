/* SPDX-License-Identifier: MIT */
/*
 * Waitables: what can be waited for beside others. A noun (queue, event, future, task ...) offers one table and a function weft_case_NOUN
 * that makes a case with it; select stands on the tables and on `wait`, and knows no noun.
 */
#ifndef WEFTI_WAITABLE_H
#define WEFTI_WAITABLE_H

#include "base/latch.h"
#include "wait/wait.h"
#include <weft/select.h>

/* Of a case: object, operation and number are the noun's own, filled in by its weft_case_NOUN. A case whose object is NULL is refused. */
struct weft_waitable {
    /*
     * Does the operation if it can be done now: 1 done, 0 not yet, -1 with errno: it never can. Never waits; called only while the caller
     * is no waiter, so that an operation's last touch of the object may be the one that lets somebody free it.
     */
    int (*ready)(weft_case *one);
    /*
     * Makes the caller a waiter, and fills in the word and the value at which it does not change, or the descriptor, that end the wait.
     * From here on whoever makes the operation possible changes the word and wakes it. True: it may be possible by now, so look again
     * instead of waiting.
     */
    bool (*enqueue)(weft_case *one, struct wefti_item *item);
    /*
     * The caller waits no more. It may be the one that was woken, and may do something else: where others wait for what is there, it
     * wakes one.
     */
    void (*dequeue)(weft_case *one);
    /* Two tasks do it together, each being a waiter until another comes: enqueue may, and partners will, do it through the case's offer. */
    bool meets;
    /*
     * The same with tasks of other processes, by the word in the life of who waits (shared/meeting.h): enqueue is called when that is open,
     * and dequeue when it is shut. Of the case that a partner has done, `met` is set before dequeue, which does the caller's half and sets
     * the case's error. Not in one select with a case that `meets`.
     */
    bool meets_afar;
    /* A look is a call to elsewhere, and reads `until` in the case's place: whatever the answer takes, it is not to take much longer. */
    bool calls;
};

/*
 * One waiter to whom partners come: a select with cases that meet, while it waits. `done` moves from OPEN once, under the latch. Who
 * would do something with two meetings closes both latches, that at the lower address first; an object's latch comes before those of
 * meetings.
 *
 * A partner that does a case fills in its operation and error, takes all offers of this meeting from the object's list, writes `done`,
 * claims `wait` if there is one, opens the latch, which is his last touch, and unparks him, or wakes the address of `done`. The waiter,
 * seeing it, closes and opens the latch once, and does not touch that object again.
 */
struct wefti_meeting {
    struct wefti_latch latch;
    uint32_t done;
    weft_case *cases; /* constant, as the next two */
    size_t count;
    struct wefti_wait *wait; /* that of one who waits directly (wait/direct.h); NULL: he waits for `done` */
};
enum { WEFTI_MEETING_OPEN = 0, WEFTI_MEETING_SHUT = 1, WEFTI_MEETING_DONE = 2 /* + the number of the case */ };

/* A case of a meeting in the list of its object; guarded by the object's latch once select has filled it in, before the first enqueue. */
struct wefti_offer {
    struct wefti_meeting *meeting;
    weft_case *one;
    struct wefti_offer *next, *previous;
    bool listed;
};

/* What a case's scratch is. */
struct wefti_place {
    struct wefti_item item;
    struct wefti_offer offer;
    uint32_t note;   /* the noun's, from one look of a select to the next */
    bool noted;      /* false at the first */
    bool met;        /* of one that meets afar, as the next two: a partner has done it; */
    uint32_t number; /* which of the cases it is; */
    void *post;      /* what the noun has put where partners find it, or NULL */
    weft_time until; /* of one that calls: when the select ends, or WEFT_NOW */
};

static inline struct wefti_place *wefti_case_place(weft_case *one)
{
    return (struct wefti_place *)(void *)one->scratch;
}

#endif
