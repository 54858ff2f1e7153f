/* SPDX-License-Identifier: MIT */
/* What the nouns of this floor ask of each other. */
#ifndef WEFTI_SYNC_INSIDE_H
#define WEFTI_SYNC_INSIDE_H

#include <weft/lock.h>
#include <weft/semaphore.h>

/* Whether the caller holds the lock. */
bool wefti_lock_mine(const weft_lock *lock);

/* lock_shared.c: the same calls for a lock that lies in the arena. */
int wefti_lock_shared_acquire(weft_lock *lock, weft_time deadline);
int wefti_lock_shared_release(weft_lock *lock);
bool wefti_lock_shared_mine(const weft_lock *lock);
/* Whether this life has it, the caller's or another's. */
bool wefti_lock_shared_owned(const weft_lock *lock, uint32_t life);
void wefti_lock_shared_repaired(weft_lock *lock);

/* semaphore_shared.c */
int wefti_semaphore_shared_acquire(weft_semaphore *semaphore, weft_time deadline);
int wefti_semaphore_shared_release(weft_semaphore *semaphore, uint32_t permits);

/* Takes the lock whatever comes, cancellation too. 0; 1 (its owner died); -1 with EDEADLK. Keeps errno unless it fails. */
int wefti_lock_insist(weft_lock *lock);

#endif
