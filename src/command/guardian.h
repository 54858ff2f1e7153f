/* SPDX-License-Identifier: MIT */
/*
 * The guardian: one process of Weft's own beside a host that has commands which end with it.
 */
#ifndef WEFTI_GUARDIAN_H
#define WEFTI_GUARDIAN_H

#include "command/launch.h"

#ifdef WEFTI_SMALL
enum { WEFTI_SLOTS = 2 };
#else
enum { WEFTI_SLOTS = 120 };
#endif

/* A piece of the table of commands. Pieces are added at the end of the list, and never taken out. */
struct wefti_slots {
    struct wefti_slots *next; /* published with release */
    struct wefti_slot slots[WEFTI_SLOTS];
};

enum { WEFTI_GUARDIAN_GONE = INT32_MAX };

/*
 * What host and guardian share. `count` is how many commands are written down; the guardian moves it from 0 to WEFTI_GUARDIAN_GONE when it
 * leaves, the host from there to 1 when it starts another.
 */
struct wefti_guard {
    uint32_t count;
    uint32_t entered; /* grows with each command written down: whether anything happened */
    pid_t host;
    struct wefti_slots first;
};

/* A guardian that lives: its stack, and whether it does. */
struct wefti_guardian {
    struct wefti_guard *guard;
    uint32_t alive; /* set before it is started; the kernel makes it 0 when it ends */
    bool copies;
    int host;    /* a pidfd, in the guardian alone */
    int error;   /* of the start */
    void *stack; /* its upper end */
    struct wefti_guardian *next;
};

/*
 * Starts it, all signals being blocked, as a child of nobody here: by a short-lived process in between, so that the host can neither wait
 * for it nor be told of its end. 0, or the error number.
 */
int wefti_guardian_start(struct wefti_guardian *guardian);

#endif
