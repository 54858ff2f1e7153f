/* SPDX-License-Identifier: MIT */
/*
 * A barrier that lies in the arena: for the tasks of all processes of a family, any of which may die at any instruction. All but `round` is
 * guarded by `lock`, as in barrier.c.
 *
 * round: bits 1 to 31 count the rounds, whole and broken; who has arrived sleeps on it. Bit 0 MOURNS: a party of this round has died in it.
 * Set by the sweep (or by an abort
 *        that cannot have the lock); whoever has the lock next ends the round as broken, which takes it away.
 * arrived: how many have come in this round.
 * leaving[0]: how the last 32 rounds ended: bit (round & 31) is set when it was broken. Nobody is counted out of a round, as the dead would
 * be missing; so who
 *        is so late that 32 others have ended since is told that his was broken. A party of a barrier with as many tasks as parties is one
 *        round late at most.
 * state: BROKEN: nobody may come. ACTION: all have come and the last runs the action.
 * runner: the life of who runs the action, else 0.
 * reserved: the barrier's name (wefti_name).
 *
 * Death. A party writes down the round in which it has arrived, with the lock held and before it is counted. The sweep compares that with
 * `round`: if the round has not ended it sets MOURNS in the same word that all others sleep on, so nobody misses it. Who dies with the lock
 * has left anything half done: the next owner is told so by the lock, and ends the round as broken; if he dies in doing so the next one
 * does, which breaks a round that nobody has come to. Who is dead and was still to come is nobody's business: it cannot be known.
 */

#include <weft/barrier.h>

#include <errno.h>

#include "base/opening.h"
#include "shared/joint.h"
#include "sync/inside.h"
#include "sync/word.h"
#include "wait/context.h"

enum { BROKEN = 1, ACTION = 2 };
enum { MOURNS = 1, ROUND = 2, NO_ROUND = 1, REMEMBERED = 32 };

/* Ends the round for those who have arrived. */
static void round_end(weft_barrier *barrier, bool failed)
{
    uint32_t round = wefti_word_look(&barrier->round) & ~(uint32_t)MOURNS, bit = UINT32_C(1) << (round / ROUND % REMEMBERED);
    uint32_t ended = wefti_word_peek(&barrier->leaving[0]);
    wefti_word_note(&barrier->leaving[0], failed ? ended | bit : ended & ~bit);
    wefti_word_note(&barrier->state, (wefti_word_peek(&barrier->state) & ~(uint32_t)ACTION) | (failed ? BROKEN : 0));
    wefti_word_note(&barrier->arrived, 0);
    wefti_word_note(&barrier->runner, 0);
    wefti_word_swap(&barrier->round, round + ROUND);
    weft_wake(&barrier->round, UINT32_MAX);
}

/* Whatever comes, cancellation too. -1 with ESTALE, ENOMEM: not for who has had it in the same call. */
static int party_lock(weft_barrier *barrier)
{
    int taken = wefti_lock_insist(&barrier->lock);
    if (taken > 0 || (taken == 0 && (wefti_word_look(&barrier->round) & MOURNS)))
        round_end(barrier, true);
    if (taken > 0)
        weft_lock_repaired(&barrier->lock);
    return taken < 0 ? -1 : 0;
}

/* Sleeps while the round is this, with the lock let go meanwhile. 0; -1 with errno. */
static int party_sleep(weft_barrier *barrier, uint32_t round, weft_time deadline)
{
    weft_lock_release(&barrier->lock);
    int waited = weft_wait(&barrier->round, round, deadline), error = errno;
    party_lock(barrier);
    errno = error;
    return waited;
}

/* Until no action is running. 0; -1 with errno. */
static int party_enter(weft_barrier *barrier, weft_time deadline)
{
    while (!(wefti_word_peek(&barrier->state) & BROKEN)) {
        if (!(wefti_word_peek(&barrier->state) & ACTION))
            return 0;
        if (party_sleep(barrier, wefti_word_look(&barrier->round), deadline) < 0)
            return -1;
    }
    errno = EPIPE;
    return -1;
}

/* The last to come runs the action and ends the round, unless somebody ends it first. */
static void party_complete(weft_barrier *barrier, uint32_t round, uint32_t me)
{
    bool failed = false;
    if (barrier->action) {
        wefti_word_note(&barrier->state, wefti_word_peek(&barrier->state) | ACTION);
        wefti_word_note(&barrier->runner, me);
        weft_lock_release(&barrier->lock);
        failed = barrier->action(barrier->data) != 0;
        party_lock(barrier);
        if (wefti_word_peek(&barrier->runner) == me)
            wefti_word_note(&barrier->runner, 0);
    }
    if (wefti_word_look(&barrier->round) == round)
        round_end(barrier, failed);
}

/* How the round that has ended did. */
static int round_outcome(const weft_barrier *barrier, uint32_t round, uint32_t place)
{
    uint32_t since = (wefti_word_look(&barrier->round) - round) / ROUND;
    bool failed = wefti_word_peek(&barrier->leaving[0]) >> (round / ROUND % REMEMBERED) & 1;
    if (since <= REMEMBERED && !failed)
        return (int)place;
    errno = EPIPE;
    return -1;
}

/* With the lock held, before and after. */
static int party_wait(weft_barrier *barrier, uint32_t me, struct wefti_holding *holding, weft_time deadline)
{
    if (party_enter(barrier, deadline) < 0)
        return -1;
    uint32_t round = wefti_word_look(&barrier->round), place = barrier->parties - 1 - wefti_word_peek(&barrier->arrived);
    __atomic_store_n(&holding->detail, (uint64_t)wefti_name(&barrier->reserved) << 32 | round, __ATOMIC_RELEASE);
    wefti_word_note(&barrier->arrived, barrier->parties - place);
    if (place == 0)
        party_complete(barrier, round, me);
    while (wefti_word_look(&barrier->round) == round) {
        if (party_sleep(barrier, round, deadline) < 0 && wefti_word_look(&barrier->round) == round) {
            int error = errno;
            round_end(barrier, true);
            errno = error;
            return -1;
        }
    }
    return round_outcome(barrier, round, place);
}

int wefti_barrier_shared_wait(weft_barrier *barrier, weft_time deadline)
{
    struct wefti_life *life = wefti_context_life(wefti_context_current());
    if (!life)
        return -1;
    if (barrier->parties == 0 || wefti_word_peek(&barrier->runner) == life->ident) {
        errno = barrier->parties == 0 ? EINVAL : EDEADLK;
        return -1;
    }
    struct wefti_holding *holding = wefti_holding_find(life);
    if (!holding)
        return -1;
    wefti_hold(holding, WEFTI_HOLD_PARTY, barrier, NO_ROUND); /* at once, or the lock's would be the same */
    int result = party_lock(barrier);
    if (result == 0) {
        result = party_wait(barrier, life->ident, holding, deadline);
        int error = errno;
        weft_lock_release(&barrier->lock);
        errno = error;
    }
    wefti_unhold(holding);
    return result;
}

void wefti_barrier_shared_abort(weft_barrier *barrier)
{
    if (party_lock(barrier) == 0) {
        round_end(barrier, true);
        weft_lock_release(&barrier->lock);
        return;
    }
    uint32_t round = wefti_word_look(&barrier->round);
    while (!wefti_word_move(&barrier->round, &round, round | MOURNS))
        ;
    weft_wake(&barrier->round, UINT32_MAX);
}

void wefti_barrier_shared_reset(weft_barrier *barrier)
{
    if (party_lock(barrier) < 0)
        return;
    if (wefti_word_peek(&barrier->arrived) > 0)
        round_end(barrier, true);
    wefti_word_note(&barrier->state, wefti_word_peek(&barrier->state) & ~(uint32_t)BROKEN);
    weft_lock_release(&barrier->lock);
}

bool wefti_barrier_shared_broken(const weft_barrier *barrier)
{
    return (wefti_word_look(&barrier->state) & BROKEN) || (wefti_word_look(&barrier->round) & MOURNS);
}

static void party_mend(uint32_t dead, void *object, uint64_t detail)
{
    (void)dead;
    weft_barrier *barrier = object;
    uint32_t round = (uint32_t)detail, name = (uint32_t)(detail >> 32);
    if ((round & NO_ROUND) || !name || wefti_word_look(&barrier->reserved) != name)
        return;
    uint32_t there = round;
    wefti_word_move(&barrier->round, &there, round | MOURNS);
    weft_wake(&barrier->round, UINT32_MAX);
}

WEFTI_OPENING_SYNC static void barrier_shared_open(void)
{
    wefti_menders[WEFTI_HOLD_PARTY] = party_mend;
}
