/* SPDX-License-Identifier: MIT */
/* The report of a stack that overflows; see overflow.c. */
#ifndef WEFTI_OVERFLOW_H
#define WEFTI_OVERFLOW_H

struct wefti_hub;

/* By the thread whose hub it is, when that is made, and before it goes. */
void wefti_overflow_watch(struct wefti_hub *hub);
void wefti_overflow_unwatch(struct wefti_hub *hub);

#endif
