/* SPDX-License-Identifier: MIT */
/* What the nouns of this floor ask of each other. */
#ifndef WEFTI_SYNC_INSIDE_H
#define WEFTI_SYNC_INSIDE_H

#include <weft/lock.h>

/* Whether the caller holds the lock. */
bool wefti_lock_mine(const weft_lock *lock);

/* Takes the lock whatever comes, cancellation too. 0; 1 (its owner died); -1 with EDEADLK. Keeps errno unless it fails. */
int wefti_lock_insist(weft_lock *lock);

#endif
