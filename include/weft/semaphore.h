/* SPDX-License-Identifier: MIT */
/*
 * A number of permits: acquire takes one, waiting while there is none; release, by any task, gives one back.
 * weft_semaphore permits = WEFT_SEMAPHORE(5); with a bound, WEFT_BOUNDED_SEMAPHORE(5), giving back more than were taken is an error.
 */
#ifndef WEFT_SEMAPHORE_H
#define WEFT_SEMAPHORE_H

#include <weft/base.h>

typedef struct weft_semaphore {
    uint32_t word; /* the library's, all four; at first the number of permits, at most 2147483647 */
    uint32_t waiting;
    uint32_t bound; /* 0: none */
    uint32_t reserved;
} weft_semaphore;
/* clang-format off */
#define WEFT_SEMAPHORE(permits) {(permits), 0, 0, 0}
#define WEFT_BOUNDED_SEMAPHORE(permits) {(permits), 0, (permits), 0}
/* clang-format on */

WEFT_BEGIN

/* Takes a permit. 0; -1 with EAGAIN, ETIMEDOUT, ECANCELED. From any kind of task. */
WEFT_API int weft_semaphore_acquire(weft_semaphore *semaphore, weft_time deadline);
/*
 * Gives `permits` back (at least 1). Signal handlers may do so, too. 0; -1 with EINVAL (0), EOVERFLOW (beyond the bound, or beyond 2147483647): nothing was given then. Any
 * task; never waits.
 */
WEFT_API int weft_semaphore_release(weft_semaphore *semaphore, uint32_t permits);
/* How many permits there are at this moment. Any task; cannot fail. */
WEFT_API uint32_t weft_semaphore_value(const weft_semaphore *semaphore);

WEFT_END

#endif
