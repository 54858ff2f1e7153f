/* SPDX-License-Identifier: MIT */
/*
 * A number of permits: acquire takes one, waiting while there is none; release, by any task, gives one back.
 * weft_semaphore permits = WEFT_SEMAPHORE(5); with a bound, WEFT_BOUNDED_SEMAPHORE(5), giving back more than were taken is an error.
 *
 * In shared memory it is for the tasks of all processes of the family. A permit comes back when the task that took it dies, process or
 * thread. That is so while permits are given back by those who took them. The first release by a task that does not hold as many permits as
 * it gives makes it a counter of things that are handed from one to another: from then on nothing comes back from the dead. (A signal
 * handler that releases while its own task is inside a call with a semaphore, and a child that the host forked, do not hold any.)
 */
#ifndef WEFT_SEMAPHORE_H
#define WEFT_SEMAPHORE_H

#include <weft/base.h>

typedef struct weft_semaphore {
    union {
        uint64_t state; /* the library's, all of it; at first the number of permits, at most 2147483647 */
        uint32_t word;
    };
    uint32_t waiting;
    uint32_t bound; /* 0: none */
    uint32_t name;
    uint32_t reserved;
} weft_semaphore;
/* clang-format off */
#define WEFT_SEMAPHORE(permits) {{(permits)}, 0, 0, 0, 0}
#define WEFT_BOUNDED_SEMAPHORE(permits) {{(permits)}, 0, (permits), 0, 0}
/* clang-format on */

WEFT_BEGIN

/*
 * Takes a permit. 0; -1 with EAGAIN, ETIMEDOUT, ECANCELED; in shared memory also ENOMEM, and ESTALE (this process is no member: it was
 * forked by the host). From any kind of task.
 */
WEFT_API int weft_semaphore_acquire(weft_semaphore *semaphore, weft_time deadline);
/*
 * Gives `permits` back (at least 1). Signal handlers may do so, too. 0; -1 with EINVAL (0), EOVERFLOW (beyond the bound, or beyond
 * 2147483647): nothing was given then. Any task; never waits.
 */
WEFT_API int weft_semaphore_release(weft_semaphore *semaphore, uint32_t permits);
/* How many permits there are at this moment. Any task; cannot fail. */
WEFT_API uint32_t weft_semaphore_value(const weft_semaphore *semaphore);

WEFT_END

#endif
