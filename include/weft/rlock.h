/* SPDX-License-Identifier: MIT */
/*
 * A lock that its owner may take again; it is free when given back as often as taken. All-zero is ready. In shared memory it is what a
 * weft_lock is there.
 */
#ifndef WEFT_RLOCK_H
#define WEFT_RLOCK_H

#include <weft/lock.h>

typedef struct weft_rlock {
    weft_lock lock;
    uint32_t depth; /* the owner's: how many times more than once */
    uint32_t reserved;
} weft_rlock;

WEFT_BEGIN

/* As weft_lock_acquire, but again and again for its owner. -1 also with EOVERFLOW (4294967295 times). */
WEFT_API int weft_rlock_acquire(weft_rlock *lock, weft_time deadline);
/* Gives it back once. 0; -1 with EPERM when it is not the caller's. Any task; never waits. */
WEFT_API int weft_rlock_release(weft_rlock *lock);
/* As weft_lock_repaired: whoever got 1 says that what the lock protects is whole again. 0; -1 with EPERM when it is not the caller's. */
WEFT_API int weft_rlock_repaired(weft_rlock *lock);
/* Whether somebody has it, at this moment. Any task; cannot fail. */
WEFT_API bool weft_rlock_locked(const weft_rlock *lock);

WEFT_END

#endif
