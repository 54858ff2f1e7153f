/* SPDX-License-Identifier: MIT */
/* The descriptors that the flows of a hub wait for; see descriptors.c. */
#ifndef WEFTI_DESCRIPTORS_H
#define WEFTI_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/base.h>

struct wefti_wait;
struct epoll_event;

struct wefti_descriptor {
    struct wefti_item *first; /* of the items that wait for it */
    uint32_t armed;           /* the events that epoll is to report; 0: none */
    uint32_t opening;         /* which opening of the number epoll has, asked to report every change; 0: it reports once, if anything */
    uint32_t ready;           /* of an opening: what was reported, less what was found dry since */
    bool known;               /* epoll may have it */
};

struct wefti_descriptors {
    int epoll;                      /* -1: none yet */
    int bell;                       /* an eventfd among epoll's; -1: none yet */
    int clock;                      /* a timerfd among them, for a hub that is lent to another loop; -1: none */
    struct wefti_descriptor *table; /* by number */
    size_t room;
    size_t waiting;             /* items */
    unsigned eager;             /* calls that did not wait, since others had a turn for that (readiness.c) */
    struct epoll_event *events; /* room for what epoll reports: not on a stack, which would grow by it */
};

/* What is there before the first wait for one. */
static inline void wefti_descriptors_begin(struct wefti_descriptors *descriptors)
{
    *descriptors = (struct wefti_descriptors){.epoll = -1, .bell = -1, .clock = -1};
}
void wefti_descriptors_end(struct wefti_descriptors *descriptors);

/* Makes epoll and the bell, if they are not there. -1 with EMFILE, ENOMEM. */
int wefti_descriptors_open(struct wefti_descriptors *descriptors);

/* Makes the clock, too. -1 with EMFILE, ENOMEM. */
int wefti_descriptors_open_clock(struct wefti_descriptors *descriptors);
/* Has epoll's descriptor become readable at this moment (WEFT_FOREVER: not). */
void wefti_descriptors_alarm(struct wefti_descriptors *descriptors, weft_time moment);

/*
 * Adds the wait's descriptors. 0; 1: some are ready already, their `seen` set, and none was added; -1 with ENOMEM, EMFILE: none was added.
 */
int wefti_descriptors_add(struct wefti_descriptors *descriptors, const struct wefti_wait *wait);
/*
 * Of a descriptor that Weft opened: whether the events may have come. False: they have not, so who tries what waits for them would be told EAGAIN.
 */
static inline bool wefti_descriptor_may(const struct wefti_descriptors *descriptors, int number, uint32_t opening, uint32_t events)
{
    if ((size_t)(unsigned)number >= descriptors->room)
        return true;
    const struct wefti_descriptor *descriptor = &descriptors->table[number];
    return opening == 0 || descriptor->opening != opening || (descriptor->ready & events) != 0;
}

/* Such a one has just been found without the events: another report comes when they have come. */
static inline void wefti_descriptor_dry(struct wefti_descriptors *descriptors, int number, uint32_t opening, uint32_t events)
{
    if ((size_t)(unsigned)number < descriptors->room && opening != 0 && descriptors->table[number].opening == opening)
        descriptors->table[number].ready &= ~events;
}

/* Ends all waits for the number as if it were no descriptor any more: it is about to be closed. */
void wefti_descriptors_close(struct wefti_descriptors *descriptors, int number, void (*ready)(struct wefti_wait *wait));

/* Takes those out that were not reported. */
void wefti_descriptors_remove(struct wefti_descriptors *descriptors, const struct wefti_wait *wait);
/* Rings the bell. By anybody. */
void wefti_descriptors_ring(struct wefti_descriptors *descriptors);

/*
 * Looks which are ready, waiting for one until `until` (WEFT_NOW: not at all), or until the bell rings, and has `ready` called with each wait that has one, whose
 * `seen` are set.
 */
void wefti_descriptors_poll(struct wefti_descriptors *descriptors, weft_time until, void (*ready)(struct wefti_wait *wait));

#endif
