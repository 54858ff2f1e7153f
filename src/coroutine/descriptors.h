/* SPDX-License-Identifier: MIT */
/* The descriptors that the flows of a hub wait for; see descriptors.c. */
#ifndef WEFTI_DESCRIPTORS_H
#define WEFTI_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "coroutine/backend.h"

struct wefti_wait;
struct wefti_ring;

struct wefti_descriptor {
    struct wefti_item *first; /* of the items that wait for it */
    uint32_t armed;           /* the events that epoll is to report; 0: none */
    uint32_t opening;         /* which opening of the number epoll has, asked to report every change; 0: it reports once, if anything */
    uint32_t ready;           /* of an opening: what was reported, less what was found dry since */
    uint32_t emptied;         /* an opening that was found without input when it was last tried */
    bool known;               /* epoll may have it */
};

struct wefti_descriptors {
    const struct wefti_backend *backend;
    struct wefti_ring *ring;                /* the back end's (backend_uring.c); NULL: none yet */
    void (*ready)(struct wefti_wait *wait); /* is called with each wait that has a descriptor ready, its `seen` set */
    bool lent;                              /* another loop watches epoll's descriptor */
    int epoll;                              /* -1: none yet */
    int bell;                               /* an eventfd among epoll's; -1: none yet */
    int clock;                              /* a timerfd among them, for a hub that is lent to another loop; -1: none */
    weft_time alarm;                        /* what the clock is set to; WEFT_FOREVER: it is not, or has rung and was read */
    struct wefti_descriptor *table;         /* by number */
    size_t room;
    size_t waiting;             /* items */
    struct epoll_event *events; /* room for what epoll reports: not on a stack, which would grow by it */
};

/* What is there before the first wait for one. */
static inline void wefti_descriptors_begin(
    struct wefti_descriptors *descriptors, const struct wefti_backend *backend, void (*ready)(struct wefti_wait *wait))
{
    *descriptors =
        (struct wefti_descriptors){.backend = backend, .ready = ready, .epoll = -1, .bell = -1, .clock = -1, .alarm = WEFT_FOREVER};
}
/* Gives up all that was made, also in a forked child: as at the beginning. */
void wefti_descriptors_end(struct wefti_descriptors *descriptors);

/* Makes epoll and the bell, if they are not there. -1 with EMFILE, ENOMEM. */
int wefti_descriptors_open(struct wefti_descriptors *descriptors);

/* Makes the clock, too: from here on another loop watches epoll's descriptor. -1 with EMFILE, ENOMEM. */
int wefti_descriptors_lend(struct wefti_descriptors *descriptors);
/* The thread goes back to that loop. */
static inline void wefti_descriptors_flush(struct wefti_descriptors *descriptors)
{
    descriptors->backend->flush(descriptors);
}
/* Has epoll's descriptor become readable at this moment (WEFT_FOREVER: not), if a look has not seen that it did. */
void wefti_descriptors_alarm(struct wefti_descriptors *descriptors, weft_time moment);

/*
 * Adds the wait's descriptors. 0; 1: some are ready already, their `seen` set, and none was added; -1 with ENOMEM, EMFILE: none was added.
 */
int wefti_descriptors_add(struct wefti_descriptors *descriptors, const struct wefti_wait *wait);
/*
 * Of a descriptor that Weft opened: whether the events may have come. False: they have not, so who tries what waits for them would be told
 * EAGAIN.
 */
static inline bool wefti_descriptor_may(const struct wefti_descriptors *descriptors, int number, uint32_t opening, uint32_t events)
{
    if ((size_t)(unsigned)number >= descriptors->room)
        return true;
    const struct wefti_descriptor *descriptor = &descriptors->table[number];
    return opening == 0 || (descriptor->opening == opening ? (descriptor->ready & events) != 0 : descriptor->emptied != opening);
}

/* Such a one has just been found without the events: another report comes when they have come. */
static inline void wefti_descriptor_dry(struct wefti_descriptors *descriptors, int number, uint32_t opening, uint32_t events)
{
    if ((size_t)(unsigned)number >= descriptors->room || opening == 0)
        return;
    struct wefti_descriptor *descriptor = &descriptors->table[number];
    if (descriptor->opening == opening)
        descriptor->ready &= ~events;
    else if (events & EPOLLIN)
        descriptor->emptied = opening;
}

/* Ends all waits for the number as if it were no descriptor any more: it is about to be closed. */
void wefti_descriptors_close(struct wefti_descriptors *descriptors, int number);
/* Forgets the number, that nobody waits for here: epoll tells of it no more. */
void wefti_descriptors_leave(struct wefti_descriptors *descriptors, int number);

/* Takes those out that were not reported. */
void wefti_descriptors_remove(struct wefti_descriptors *descriptors, const struct wefti_wait *wait);
/* Rings the bell. By anybody. */
void wefti_descriptors_ring(struct wefti_descriptors *descriptors);

/* Looks which are ready, waiting for one until `until` (WEFT_NOW: not at all), or until the bell rings. */
static inline void wefti_descriptors_poll(struct wefti_descriptors *descriptors, weft_time until)
{
    descriptors->backend->look(descriptors, until);
}

#endif
