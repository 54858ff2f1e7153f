/* SPDX-License-Identifier: MIT */
/*
 * A lock that its owner may take again: a lock, and how many times more than once its owner has it. `depth` is read and written by the
 * owner alone.
 *
 * In the arena an owner may die and leave any depth. Whoever has the lock after him is told so (1), and begins anew: again if he dies
 * before he has done so, as the mark is taken away by nobody but an owner who has come out of weft_rlock_acquire.
 */

#include <weft/rlock.h>

#include <errno.h>

#include "sync/inside.h"

int weft_rlock_acquire(weft_rlock *lock, weft_time deadline)
{
    if (!wefti_lock_mine(&lock->lock)) {
        int taken = weft_lock_acquire(&lock->lock, deadline);
        if (taken > 0)
            lock->depth = 0;
        return taken;
    }
    if (lock->depth == UINT32_MAX - 1) {
        errno = EOVERFLOW;
        return -1;
    }
    lock->depth++;
    return 0;
}

int weft_rlock_release(weft_rlock *lock)
{
    if (!wefti_lock_mine(&lock->lock)) {
        errno = EPERM;
        return -1;
    }
    if (lock->depth == 0)
        return weft_lock_release(&lock->lock);
    lock->depth--;
    return 0;
}

int weft_rlock_repaired(weft_rlock *lock)
{
    return weft_lock_repaired(&lock->lock);
}

bool weft_rlock_locked(const weft_rlock *lock)
{
    return weft_lock_locked(&lock->lock);
}
