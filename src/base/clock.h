/* SPDX-License-Identifier: MIT */
/* The clock, for who has to tell the thread's own time from the machine's. */
#ifndef WEFTI_CLOCK_H
#define WEFTI_CLOCK_H

#include <weft/base.h>

/*
 * The calling thread's time where it has one of its own (a hub with a seed, which writes it); 0: weft_clock tells the machine's. Each look
 * at it takes a microsecond, so that who only looks gets on.
 */
extern __thread weft_time wefti_clock_own __attribute__((visibility("hidden")));

/* The machine's, whatever the thread has. */
weft_time wefti_clock_real(void);
/* The same as it was at the last tick, some milliseconds ago, at a quarter of the cost. */
weft_time wefti_clock_coarse(void);

#endif
