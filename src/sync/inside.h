/* SPDX-License-Identifier: MIT */
/* What the nouns of this floor ask of each other. */
#ifndef WEFTI_SYNC_INSIDE_H
#define WEFTI_SYNC_INSIDE_H

#include <errno.h>

#include <weft/barrier.h>
#include <weft/lock.h>
#include <weft/rwlock.h>
#include <weft/semaphore.h>

#include "shared/life.h"
#include "wait/context.h"

/* Whether the caller holds the lock. */
bool wefti_lock_mine(const weft_lock *lock);

/* lock_shared.c: the same calls for a lock that lies in the arena. */
int wefti_lock_shared_acquire(weft_lock *lock, weft_time deadline);
int wefti_lock_shared_release(weft_lock *lock);
bool wefti_lock_shared_mine(const weft_lock *lock);
/* Whether this life has it, the caller's or another's. */
bool wefti_lock_shared_owned(const weft_lock *lock, uint32_t life);
void wefti_lock_shared_repaired(weft_lock *lock);

/* Sees to it that a release wakes who sleeps on the word while it is *word. False when the lock is free. */
bool wefti_lock_shared_announce(weft_lock *lock, uint32_t *word);
/* As release, which wakes one. */
int wefti_lock_shared_give(weft_lock *lock, uint32_t count);
/* Whether somebody has it: in one order with all sequentially consistent steps. */
bool wefti_lock_shared_held(const weft_lock *lock);
/* 1: an owner died, and nobody has repaired; else 0. */
int wefti_lock_shared_died(const weft_lock *lock);

/* rwlock_shared.c */
int wefti_rwlock_shared_acquire_read(weft_rwlock *lock, weft_time deadline);
int wefti_rwlock_shared_release_read(weft_rwlock *lock);
int wefti_rwlock_shared_acquire_write(weft_rwlock *lock, weft_time deadline);
int wefti_rwlock_shared_release_write(weft_rwlock *lock);
int wefti_rwlock_shared_downgrade(weft_rwlock *lock);
uint32_t wefti_rwlock_shared_readers(const weft_rwlock *lock);
bool wefti_rwlock_shared_written(const weft_rwlock *lock);

/* barrier_shared.c */
int wefti_barrier_shared_wait(weft_barrier *barrier, weft_time deadline);
void wefti_barrier_shared_abort(weft_barrier *barrier);
void wefti_barrier_shared_reset(weft_barrier *barrier);
bool wefti_barrier_shared_broken(const weft_barrier *barrier);

/* semaphore_shared.c */
int wefti_semaphore_shared_acquire(weft_semaphore *semaphore, weft_time deadline);
int wefti_semaphore_shared_release(weft_semaphore *semaphore, uint32_t permits);

/*
 * Says in the caller's life what the word that it is about to sleep on lies in, and that it does no more: for `weft ps`, which cannot tell.
 * Only of what lies in the arena, else NULL; so too where there is no life to be had.
 */
static inline struct wefti_life *wefti_sleep_begin(const void *object, enum wefti_sleep sleep)
{
    if (!wefti_is_shared(object))
        return NULL;
    int error = errno;
    struct wefti_life *life = wefti_context_life(wefti_context_current());
    if (life)
        __atomic_store_n(&life->sleep, sleep, __ATOMIC_RELAXED);
    errno = error;
    return life;
}

static inline void wefti_sleep_end(struct wefti_life *life)
{
    if (life)
        __atomic_store_n(&life->sleep, WEFTI_SLEEP_WORD, __ATOMIC_RELAXED);
}

/* Takes the lock whatever comes, cancellation too. 0; 1 (its owner died); -1 with EDEADLK. Keeps errno unless it fails. */
int wefti_lock_insist(weft_lock *lock);

#endif
