/* SPDX-License-Identifier: MIT */
/* One sleep of one context: between the parking lot and the carriers that put contexts to sleep. */
#ifndef WEFTI_PARKED_H
#define WEFTI_PARKED_H

#include "wait/wait.h"

enum { CLAIM_OPEN = 0, CLAIM_TIME = 1, CLAIM_CANCEL = 2, CLAIM_ITEM = 3 };

/* On the waiter's stack, there until the one who claimed it has unparked the context. */
struct wefti_wait {
    struct wefti_context *context;
    struct wefti_item *items;
    size_t stride; /* from one item to the next, in octets */
    unsigned count;
    bool cancellable; /* constant while it is published */
    uint32_t claim;   /* see wait.c */
    weft_time deadline;
};

static inline struct wefti_item *wefti_wait_item(const struct wefti_wait *wait, unsigned number)
{
    return (struct wefti_item *)((char *)wait->items + number * wait->stride);
}

/* Polls the wait's descriptors without waiting: the index of one that is ready, or -1 with EAGAIN, ENOMEM. */
int wefti_descriptors_look(const struct wefti_wait *wait);

#endif
