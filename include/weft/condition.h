/* SPDX-License-Identifier: MIT */
/*
 * A condition: tasks that hold a lock wait for a change that another, holding it too, makes and announces. All-zero is ready.
 *
 * In shared memory, with a lock there, it is for the tasks of all processes of the family. After each death of a member all who wait are
 * woken to look again. A wait that ends with 1 has the lock, whose previous owner died: what the lock protects is to be looked at before
 * the predicate is.
 */
#ifndef WEFT_CONDITION_H
#define WEFT_CONDITION_H

#include <weft/lock.h>
#include <weft/rlock.h>

typedef struct weft_condition {
    uint32_t sequence; /* the library's, all four */
    uint32_t waiting;
    uint32_t reserved[2];
} weft_condition;

/* Looked at with the lock held. */
typedef bool weft_predicate(void *data);

WEFT_BEGIN

/*
 * Gives the lock back, waits to be notified, and takes the lock again: it is the caller's whatever is returned, cancelled too. Spurious
 * wakes happen; weft_condition_wait_for loops for you. From any kind of task.
 * 0; 1 (the lock's previous owner died); -1 with EPERM (the lock is not the caller's), EAGAIN, ETIMEDOUT, ECANCELED.
 */
WEFT_API int weft_condition_wait(weft_condition *condition, weft_lock *lock, weft_time deadline);
/* The same with a lock that may be held many times over: it is given back entirely and taken again as often. */
WEFT_API int weft_condition_wait_rlock(weft_condition *condition, weft_rlock *lock, weft_time deadline);
/*
 * Waits until predicate(data) holds. 0 when it does; 1 when the lock's previous owner died meanwhile: the predicate may hold or not, and is
 * to be asked when what the lock protects is whole again; -1 as weft_condition_wait, the predicate being looked at once more before.
 */
WEFT_API int weft_condition_wait_for(weft_condition *condition, weft_lock *lock, weft_predicate *predicate, void *data, weft_time deadline);
/* Wakes up to `count` waiters. Best called with the lock held; safe without. Any task; never waits; cannot fail. */
WEFT_API void weft_condition_notify(weft_condition *condition, uint32_t count);
WEFT_API void weft_condition_notify_all(weft_condition *condition);

WEFT_END

#endif
