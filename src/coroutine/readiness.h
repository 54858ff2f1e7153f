/* SPDX-License-Identifier: MIT */
/* What the calling thread's hub knows of descriptors that Weft opened (wait/opened.h); see descriptors.c. All by any task, none of them
 * fails. */
#ifndef WEFTI_READINESS_H
#define WEFTI_READINESS_H

#include <stdbool.h>
#include <stdint.h>

/* False: it is known that a try for the events, or to hear of its end, would say EAGAIN. */
bool wefti_readiness_may(int descriptor, uint32_t opening, short events);
/* A try has just said EAGAIN, or has taken all that there was. */
void wefti_readiness_dry(int descriptor, uint32_t opening, short events);
/* Whether this thread's coroutines, which it need not have yet, take turns by a seed. */
bool wefti_readiness_seeded(void);
/* It is about to be closed: the waits for it of this thread's tasks end, as POLLNVAL. */
void wefti_readiness_close(int descriptor);
/* None of this thread's tasks waits for it, nor will: it is about to be another thread's. */
void wefti_readiness_leave(int descriptor);
/* A call did not have to wait: once in a while the thread's other tasks get a turn, who would wait for ever for one whose peer is faster
 * than it is. */
void wefti_readiness_turn(void);
/* Something was sent, and what comes of it is likely to come at once: a hub with nothing else to do may look for it before it sleeps. */
void wefti_readiness_soon(void);

#endif
