/* SPDX-License-Identifier: MIT */
/*
 * A lock: one task at a time. All-zero is ready: static weft_lock lock; It belongs to the task that took it.
 *
 * Who waits is served in the order of coming, but a task that comes at the right moment may pass those who wait: that is what makes a
 * busy lock fast. At most 16384 acquisitions pass a task once it is the first in the line, then the lock is kept for it; so a task with n
 * others in front of it waits behind at most n + (n + 1) * 16384 acquisitions. After a millisecond of waiting the first in the line is
 * passed no more.
 *
 * In shared memory (weft_shared_new(weft_lock)) it is for the tasks of all processes of the family, and comes back when its owner dies,
 * process or thread. Who waits there may be passed without a bound, and only tasks of members may take it.
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
 * 0: yours. 1: yours, but an owner died holding it, so that what it protects may be half changed, and nobody has called weft_lock_repaired
 * since (shared memory only). -1 with EDEADLK (it is yours already), EAGAIN (WEFT_NOW), ETIMEDOUT, ECANCELED; in shared memory also ENOMEM,
 * and ESTALE (this process is no member: it was forked by the host).
 */
WEFT_API int weft_lock_acquire(weft_lock *lock, weft_time deadline);
/* Gives it back. 0; -1 with EPERM when it is not the caller's. Any task; never waits. */
WEFT_API int weft_lock_release(weft_lock *lock);
/*
 * Says that what the lock protects is whole again after the death of an owner: from now on it is taken with 0. Who got 1 and does not say
 * so passes that on to the next. 0, also when nobody died; -1 with EPERM when it is not the caller's. Any task; never waits.
 */
WEFT_API int weft_lock_repaired(weft_lock *lock);
/* Whether somebody has it, at this moment. Any task; cannot fail. */
WEFT_API bool weft_lock_locked(const weft_lock *lock);

WEFT_END

#endif
