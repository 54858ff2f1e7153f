/* SPDX-License-Identifier: MIT */
/*
 * A barrier. Everything in it but `parties`, `action` and `data` is guarded by `lock`, which is held for a few instructions, never while
 * the action runs or anybody sleeps, and taken whatever comes (a cancelled task has to leave properly).
 *
 * round: counts the rounds, whole and broken; it goes up when one ends, and who has arrived sleeps on it.
 * arrived: how many have come in this round.
 * leaving[r & 1]: how many of round r, which has ended, have not left yet. The last one to leave wakes who waits for that place.
 * state: BROKEN: nobody may come. ACTION: all have come and the last runs the action. FAILED << (r & 1): how round r ended, for those of
 *        it who have not left yet.
 * runner: the wefti_ident of who runs the action, else 0.
 *
 * Used again at once: the next round begins while those of this one are still waking up, as each parity has a place of its own. Only a
 * round whose predecessor but one still has somebody leaving (more tasks than parties, or a flood of resets) waits in barrier_enter.
 *
 * A barrier that lies in the arena is another: barrier_shared.c.
 *
 * Who waits cannot return without the lock, so the memory is not freed under whoever ends the round; his wake uses the address alone.
 */

#include <weft/barrier.h>

#include <errno.h>

#include "shared/arena.h"
#include "sync/inside.h"
#include "sync/word.h"
#include "wait/wait.h"

enum { BROKEN = 1, ACTION = 2, FAILED = 4 };

static void barrier_lock(weft_barrier *barrier)
{
    wefti_lock_insist(&barrier->lock);
}

static void barrier_unlock(weft_barrier *barrier)
{
    weft_lock_release(&barrier->lock);
}

static void barrier_mark(weft_barrier *barrier, uint32_t set, uint32_t clear)
{
    wefti_word_note(&barrier->state, (wefti_word_peek(&barrier->state) & ~clear) | set);
}

static bool barrier_has(const weft_barrier *barrier, uint32_t mark)
{
    return wefti_word_look(&barrier->state) & mark;
}

/* Ends the round for those who have arrived. Who calls it wakes `round` once he has let the lock go. */
static void barrier_end(weft_barrier *barrier, bool failed)
{
    uint32_t round = wefti_word_peek(&barrier->round), parity = round & 1, outcome = (uint32_t)FAILED << parity;
    barrier_mark(barrier, failed ? outcome : 0, outcome | ACTION);
    wefti_word_note(&barrier->leaving[parity], wefti_word_peek(&barrier->arrived));
    wefti_word_note(&barrier->arrived, 0);
    wefti_word_put(&barrier->round, round + 1);
}

/* Breaks the round: the one who leaves it, if any, is no longer counted. */
static void barrier_break(weft_barrier *barrier, uint32_t leaver)
{
    wefti_word_note(&barrier->arrived, wefti_word_peek(&barrier->arrived) - leaver);
    if (wefti_word_peek(&barrier->arrived) > 0)
        barrier_end(barrier, true);
    barrier_mark(barrier, BROKEN, ACTION);
}

/* Until there is a place in the present round. -1 with errno, the lock being held in any case. */
static int barrier_enter(weft_barrier *barrier, weft_time deadline)
{
    for (;;) {
        const uint32_t *word = &barrier->round;
        if (barrier_has(barrier, BROKEN)) {
            errno = EPIPE;
            return -1;
        }
        if (!barrier_has(barrier, ACTION)) {
            word = &barrier->leaving[wefti_word_peek(word) & 1];
            if (wefti_word_peek(word) == 0)
                return 0;
        }
        uint32_t expected = wefti_word_peek(word);
        barrier_unlock(barrier);
        int waited = weft_wait(word, expected, deadline), error = errno;
        barrier_lock(barrier);
        errno = error;
        if (waited < 0)
            return -1;
    }
}

/* The last to come runs the action and ends the round, unless somebody ends it first. */
static void barrier_complete(weft_barrier *barrier, uint32_t round)
{
    bool failed = false;
    if (barrier->action) {
        barrier_mark(barrier, ACTION, 0);
        wefti_word_note(&barrier->runner, wefti_ident());
        barrier_unlock(barrier);
        failed = barrier->action(barrier->data) != 0;
        barrier_lock(barrier);
        wefti_word_note(&barrier->runner, 0);
    }
    if (wefti_word_peek(&barrier->round) != round)
        return;
    if (failed)
        barrier_break(barrier, 0);
    else
        barrier_end(barrier, false);
}

/* Leaves a round that has ended, and lets the lock go: the last touch. */
static int barrier_leave(weft_barrier *barrier, uint32_t round, uint32_t place)
{
    uint32_t parity = round & 1, *leaving = &barrier->leaving[parity];
    bool failed = barrier_has(barrier, (uint32_t)FAILED << parity);
    wefti_word_put(leaving, wefti_word_peek(leaving) - 1);
    bool last = wefti_word_peek(leaving) == 0;
    barrier_unlock(barrier);
    if (place == 0)
        weft_wake(&barrier->round, UINT32_MAX);
    if (last)
        weft_wake(leaving, UINT32_MAX);
    errno = failed ? EPIPE : errno;
    return failed ? -1 : (int)place;
}

/* Waits for the end of the round. The lock is held before and after. -1 with errno: this one breaks the barrier. */
static int barrier_sleep(weft_barrier *barrier, uint32_t round, weft_time deadline)
{
    int waited = 0;
    barrier_unlock(barrier);
    while (waited == 0 && wefti_word_look(&barrier->round) == round)
        waited = weft_wait(&barrier->round, round, deadline);
    int error = errno;
    barrier_lock(barrier);
    errno = error;
    return wefti_word_peek(&barrier->round) == round ? -1 : 0;
}

int weft_barrier_wait(weft_barrier *barrier, weft_time deadline)
{
    if (__builtin_expect(wefti_is_shared(barrier), 0))
        return wefti_barrier_shared_wait(barrier, deadline);
    if (barrier->parties == 0 || wefti_word_peek(&barrier->runner) == wefti_ident()) {
        errno = barrier->parties == 0 ? EINVAL : EDEADLK;
        return -1;
    }
    barrier_lock(barrier);
    if (barrier_enter(barrier, deadline) < 0) {
        barrier_unlock(barrier);
        return -1;
    }
    uint32_t round = wefti_word_peek(&barrier->round), place = barrier->parties - 1 - wefti_word_peek(&barrier->arrived);
    wefti_word_note(&barrier->arrived, barrier->parties - place);
    if (place == 0) {
        barrier_complete(barrier, round);
    } else if (barrier_sleep(barrier, round, deadline) < 0) {
        barrier_break(barrier, 1);
        barrier_unlock(barrier);
        weft_wake(&barrier->round, UINT32_MAX);
        return -1;
    }
    return barrier_leave(barrier, round, place);
}

void weft_barrier_abort(weft_barrier *barrier)
{
    if (__builtin_expect(wefti_is_shared(barrier), 0)) {
        wefti_barrier_shared_abort(barrier);
        return;
    }
    barrier_lock(barrier);
    barrier_break(barrier, 0);
    barrier_unlock(barrier);
    weft_wake(&barrier->round, UINT32_MAX);
}

void weft_barrier_reset(weft_barrier *barrier)
{
    if (__builtin_expect(wefti_is_shared(barrier), 0)) {
        wefti_barrier_shared_reset(barrier);
        return;
    }
    barrier_lock(barrier);
    if (wefti_word_peek(&barrier->arrived) > 0)
        barrier_end(barrier, true);
    barrier_mark(barrier, 0, BROKEN);
    barrier_unlock(barrier);
    weft_wake(&barrier->round, UINT32_MAX);
}

uint32_t weft_barrier_waiting(const weft_barrier *barrier)
{
    return wefti_word_look(&barrier->arrived);
}

bool weft_barrier_broken(const weft_barrier *barrier)
{
    if (__builtin_expect(wefti_is_shared(barrier), 0))
        return wefti_barrier_shared_broken(barrier);
    return barrier_has(barrier, BROKEN);
}
