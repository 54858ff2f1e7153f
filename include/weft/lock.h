/* SPDX-License-Identifier: MIT */
/*
 * A lock: one task at a time. All-zero is ready: static weft_lock lock; It belongs to the task that took it.
 *
 * Who waits is served in the order of coming, but a task that comes at the right moment may pass those who wait: that is what makes a
 * busy lock fast. At most 16384 acquisitions pass a task once it is the first in the line, then the lock is kept for it; so a task with n
 * others in front of it waits behind at most n + (n + 1) * 16384 acquisitions. After a millisecond of waiting the first in the line is
 * passed no more.
 *
 * The memory may be reused as soon as no task waits for the lock or is between calling weft_lock_acquire and its return: the release that
 * let the last owner in touches it no more.
 */
#ifndef WEFT_LOCK_H
#define WEFT_LOCK_H

#include <weft/base.h>

typedef struct weft_lock {
    uint32_t word; /* the library's, all six */
    uint32_t turn;
    uint32_t heir;
    uint32_t passed;
    uint32_t forks;
    uint32_t reserved;
} weft_lock;

WEFT_BEGIN

/*
 * Takes the lock, waiting for it until the deadline. From any kind of task.
 * 0: yours. 1: yours, and its previous owner died holding it (shared memory only). -1 with EDEADLK (it is yours already), EAGAIN
 * (WEFT_NOW), ETIMEDOUT, ECANCELED.
 */
WEFT_API int weft_lock_acquire(weft_lock *lock, weft_time deadline);
/* Gives it back. 0; -1 with EPERM when it is not the caller's. Any task; never waits. */
WEFT_API int weft_lock_release(weft_lock *lock);
/* Whether somebody has it, at this moment. Any task; cannot fail. */
WEFT_API bool weft_lock_locked(const weft_lock *lock);

WEFT_END

#endif
