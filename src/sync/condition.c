/* SPDX-License-Identifier: MIT */
/*
 * A condition.
 *
 * sequence: one more for each notify that finds somebody waiting; what waiters sleep on.
 * waiting: how many have said, holding the lock, that they will wait, and have not woken yet.
 *
 * A waiter reads `sequence` while he holds the lock. Whoever notifies after having held the lock later than he changes `sequence` before
 * he wakes, so the waiter either sleeps and is found or does not sleep. A waiter that a notify finds between the two returns without
 * having been woken, so one notify may let two go: a spurious wake, which is legal. A waiter that leaves by his deadline was not woken.
 *
 * `waiting` spares a notify the wake when nobody waits. Its order is that of the lock: who holds it after the waiter sees him counted.
 * A notify without ever having held the lock may miss a waiter that comes at the same moment, as it may with any condition.
 *
 * A notify ends with a wake by address; what it woke may have freed the condition by then.
 */

#include <weft/condition.h>

#include <errno.h>

#include "sync/inside.h"
#include "sync/word.h"
#include "wait/wait.h"

/* Waits with the lock given back; it is the caller's again at the end, and `waited` tells how the sleep ended. */
static int condition_sleep(weft_condition *condition, weft_lock *lock, weft_time deadline)
{
    uint32_t sequence = wefti_word_look(&condition->sequence);
    wefti_word_add(&condition->waiting, 1);
    weft_lock_release(lock);
    int waited = weft_wait(&condition->sequence, sequence, deadline);
    int error = errno;
    wefti_word_add(&condition->waiting, UINT32_MAX);
    int taken = wefti_lock_insist(lock);
    errno = error;
    return taken > 0 ? 1 : waited;
}

int weft_condition_wait(weft_condition *condition, weft_lock *lock, weft_time deadline)
{
    if (wefti_lock_mine(lock))
        return condition_sleep(condition, lock, deadline);
    errno = EPERM;
    return -1;
}

int weft_condition_wait_rlock(weft_condition *condition, weft_rlock *lock, weft_time deadline)
{
    if (!wefti_lock_mine(&lock->lock)) {
        errno = EPERM;
        return -1;
    }
    uint32_t depth = lock->depth;
    lock->depth = 0;
    int waited = condition_sleep(condition, &lock->lock, deadline);
    lock->depth = depth;
    return waited;
}

int weft_condition_wait_for(weft_condition *condition, weft_lock *lock, weft_predicate *predicate, void *data, weft_time deadline)
{
    if (!wefti_lock_mine(lock)) {
        errno = EPERM;
        return -1;
    }
    int waited = 0;
    while (!predicate(data)) {
        if (waited != 0)
            return waited;
        waited = condition_sleep(condition, lock, deadline);
    }
    return waited > 0 ? waited : 0;
}

void weft_condition_notify(weft_condition *condition, uint32_t count)
{
    if (count == 0 || wefti_word_read(&condition->waiting) == 0)
        return;
    wefti_word_add(&condition->sequence, 1);
    weft_wake(&condition->sequence, count);
}

void weft_condition_notify_all(weft_condition *condition)
{
    weft_condition_notify(condition, UINT32_MAX);
}
