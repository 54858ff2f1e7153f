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
 *
 * In shared memory a death lets all who wait look again. The sweep changes no sequence, and its wake would miss who is on his way to sleep;
 * so they wait for the family's count of deaths, too, read before the lock is given back: whoever takes it then and dies is counted later.
 */

#include <weft/condition.h>

#include <errno.h>

#include "shared/seat.h"
#include "sync/inside.h"
#include "sync/word.h"
#include "wait/wait.h"

/* What a wait is for, read while the lock is held. */
struct moment {
    const struct wefti_family *family; /* NULL: deaths do not matter */
    uint32_t sequence, deaths;
};

static struct moment condition_moment(const weft_condition *condition)
{
    struct moment moment = {
        .family = wefti_is_shared(condition) ? wefti_family_now() : NULL, .sequence = wefti_word_look(&condition->sequence)};
    if (moment.family)
        moment.deaths = __atomic_load_n(&moment.family->deaths, __ATOMIC_ACQUIRE); /* pairs with the add of wefti_seat_mend */
    return moment;
}

static int moment_wait(const weft_condition *condition, const struct moment *moment, weft_time deadline)
{
    if (!moment->family)
        return weft_wait(&condition->sequence, moment->sequence, deadline);
    struct wefti_item items[] = {{.kind = WEFTI_WORD, .word = &condition->sequence, .expected = moment->sequence},
        {.kind = WEFTI_WORD, .word = &moment->family->deaths, .expected = moment->deaths}};
    return wefti_wait_items(items, 2, deadline) < 0 ? -1 : 0;
}

/* Waits with the lock given back; it is the caller's again at the end, and `waited` tells how the sleep ended. */
static int condition_sleep(weft_condition *condition, weft_lock *lock, weft_time deadline)
{
    struct moment moment = condition_moment(condition);
    wefti_word_add(&condition->waiting, 1);
    weft_lock_release(lock);
    struct wefti_life *life = wefti_sleep_begin(condition, WEFTI_SLEEP_CONDITION);
    int waited = moment_wait(condition, &moment, deadline);
    int error = errno;
    wefti_sleep_end(life);
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
