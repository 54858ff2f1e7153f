/* SPDX-License-Identifier: MIT */
/*
 * A barrier: a fixed number of tasks wait for each other, again and again. weft_barrier meet = WEFT_BARRIER(3, .action = f, .data = p);
 *
 * In shared memory it is for the tasks of all processes of the family; the action and its data must mean the same in all of them. A party
 * that dies after it has come, and before all have, breaks the barrier. One that dies before it comes cannot be known: the others wait for
 * it, until their deadline.
 */
#ifndef WEFT_BARRIER_H
#define WEFT_BARRIER_H

#include <weft/lock.h>

typedef struct weft_barrier {
    uint32_t parties;
    uint32_t round; /* the library's, to `reserved` */
    uint32_t arrived;
    uint32_t leaving[2];
    uint32_t state;
    uint32_t runner;
    weft_lock lock;
    uint32_t reserved;
    int (*action)(void *data); /* called by one of them while the others still wait; not 0: the barrier breaks */
    void *data;
} weft_barrier;
/* clang-format off */
#define WEFT_BARRIER(...) {.parties = __VA_ARGS__}
/* clang-format on */

WEFT_BEGIN

/*
 * Waits until all parties have come. From any kind of task.
 * 0 to parties-1: which of them one is (the last to come is 0, and ran the action). -1 with EPIPE (the barrier is broken: one of them
 * died, left by its deadline or cancellation, the action failed, or it was aborted), EINVAL (no parties), EDEADLK (from inside the action),
 * and EAGAIN, ETIMEDOUT, ECANCELED, which break it for the others, unless the call was still waiting for the previous round to be cleared
 * away; in shared memory also ENOMEM, and ESTALE (this process is no member: it was forked by the host; it cannot reset a barrier there
 * either). The action may wait, and may call the other functions of its barrier; who comes meanwhile waits for its end.
 */
WEFT_API int weft_barrier_wait(weft_barrier *barrier, weft_time deadline);
/* Breaks it: who waits and who comes gets EPIPE, until weft_barrier_reset. Any task, as all of these; cannot be cancelled, cannot fail. */
WEFT_API void weft_barrier_abort(weft_barrier *barrier);
/* Makes it whole and empty; who waits at that moment gets EPIPE. */
WEFT_API void weft_barrier_reset(weft_barrier *barrier);
/* How many have come and wait, at this moment. */
WEFT_API uint32_t weft_barrier_waiting(const weft_barrier *barrier);
WEFT_API bool weft_barrier_broken(const weft_barrier *barrier);

WEFT_END

#endif
