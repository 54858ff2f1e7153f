/* SPDX-License-Identifier: MIT */
/*
 * A lock that lies in the arena: for the tasks of all processes of a family, any of which may die at any instruction.
 *
 * word: bits 3 to 31 the owner's life (shared/life.h), 0 when the lock is free; and two flag bits.
 *   WAITERS  somebody may sleep on `word`. Set by who is about to sleep; a release takes it away and wakes one, who sets it again when he
 *   takes the lock,
 *            as there may be more. It may be set with nobody asleep.
 *   DIED     an owner died and nobody has said since that what the lock protects is whole again (weft_lock_repaired). It stays through
 *   releases.
 * The other words are not used here. A free lock is whoever's comes first; there is no line. (In one process lock.c bounds how often a
 * waiter can be passed; its heir, who is somebody in particular that others rely on, is what a death must not hit.)
 *
 * Death. Who wants the lock has written it down as a holding before he touches the word, and strikes it out after his last wake. The sweep
 * finds that holding and, if the word says that the dead owned the lock, frees it and leaves DIED. In any case it wakes all who sleep on
 * the word: the dead may have owed a wake (died between release and wake), or used one up (died between waking and taking).
 *
 * Taking is an acquire, giving a release, on `word`. A release wakes after its last store and uses the address alone. With nobody waiting
 * taking and giving cost two read-modify-writes and three stores to the caller's own life.
 *
 * Fork: a child of the host's own is no member of the family and can take no lock; what its parent held stays its parent's.
 */

#include <errno.h>

#include "base/opening.h"
#include "sync/inside.h"
#include "sync/word.h"
#include "wait/context.h"

enum { WAITERS = 1, DIED = 2, FLAGS = 7, OWNER_SHIFT = 3 };

#ifdef WEFTI_SMALL
enum { SPINS = 1, REST = 100 /* ns */ };
#else
enum { SPINS = 8, REST = 1500 /* ns */ };
#endif

/* What the word says of this owner. */
static uint32_t shared_owner(const struct wefti_life *life)
{
    return life->ident << OWNER_SHIFT;
}

/* Takes the lock if it is free; `waiters`: WAITERS or 0, what is said besides. */
static bool shared_try(weft_lock *lock, uint32_t me, uint32_t waiters)
{
    uint32_t word = wefti_word_look(&lock->word);
    while (!(word & ~(uint32_t)FLAGS))
        if (wefti_word_move(&lock->word, &word, me | word | waiters)) /* in one order with rwlock_shared.c's count of readers */
            return true;
    return false;
}

/* Looks now and then for a while; seldom, as lock.c says. */
static bool shared_spin(weft_lock *lock, uint32_t me)
{
    struct wefti_spin *spin = &wefti_context_current()->lock_spin;
    if (!wefti_spin_pays(spin))
        return false;
    bool taken = false;
    for (int i = 0; i < SPINS && !taken; i++) {
        wefti_word_rest(REST);
        taken = shared_try(lock, me, 0);
    }
    return wefti_spin_told(spin, taken);
}

/* Sees to WAITERS. False when the lock may be had instead; else *word is what may be slept on. */
bool wefti_lock_shared_announce(weft_lock *lock, uint32_t *word)
{
    *word = wefti_word_look(&lock->word);
    while (*word & ~(uint32_t)FLAGS) {
        if ((*word & WAITERS) || wefti_word_move(&lock->word, word, *word | WAITERS)) {
            *word |= WAITERS;
            return true;
        }
    }
    return false;
}

static int shared_wait(weft_lock *lock, uint32_t me, weft_time deadline)
{
    if (deadline <= WEFT_NOW) {
        errno = EAGAIN;
        return -1;
    }
    if (shared_spin(lock, me))
        return 0;
    uint32_t word;
    while (!shared_try(lock, me, WAITERS))
        if (wefti_lock_shared_announce(lock, &word) && wefti_wait_quiet(&lock->word, word, deadline) < 0)
            return -1;
    return 0;
}

/* A place for the holding; and where it is. Mostly the first one: most tasks hold one thing at a time. */
static struct wefti_holding *shared_place(struct wefti_life *life)
{
    struct wefti_holding *first = &life->holdings[0];
    return __atomic_load_n(&first->object, __ATOMIC_RELAXED) == 0 ? first : wefti_holding_find(life);
}

static struct wefti_holding *shared_placed(struct wefti_life *life, const weft_lock *lock)
{
    struct wefti_holding *first = &life->holdings[0];
    return wefti_holding_is(first, WEFTI_HOLD_LOCK, lock) ? first : wefti_holding_of(life, WEFTI_HOLD_LOCK, lock);
}

/* When the word was no plain 0; the holding is written down. */
static int shared_acquire_slow(weft_lock *lock, uint32_t me, struct wefti_holding *holding, weft_time deadline)
{
    bool mine = (wefti_word_look(&lock->word) & ~(uint32_t)FLAGS) == me;
    if (!mine && (shared_try(lock, me, 0) || shared_wait(lock, me, deadline) == 0))
        return wefti_word_peek(&lock->word) & DIED ? 1 : 0;
    if (mine)
        errno = EDEADLK;
    wefti_unhold(holding);
    return -1;
}

int wefti_lock_shared_acquire(weft_lock *lock, weft_time deadline)
{
    struct wefti_life *life = wefti_context_life(wefti_context_current());
    struct wefti_holding *holding = life ? shared_place(life) : NULL;
    uint32_t word = 0;
    if (!holding)
        return -1;
    wefti_hold(holding, WEFTI_HOLD_LOCK, lock, 0);
    if (__builtin_expect(wefti_word_move(&lock->word, &word, shared_owner(life)), 1))
        return 0;
    return shared_acquire_slow(lock, shared_owner(life), holding, deadline);
}

int wefti_lock_shared_give(weft_lock *lock, uint32_t count)
{
    struct wefti_life *life = wefti_context_current()->life;
    uint32_t me = life ? shared_owner(life) : 0, word = me;
    while (__builtin_expect(me && (word & ~(uint32_t)FLAGS) == me, 1)) {
        if (!wefti_word_give(&lock->word, &word, word & DIED))
            continue;
        if (word & WAITERS)
            weft_wake(&lock->word, count);
        wefti_unhold(shared_placed(life, lock));
        return 0;
    }
    errno = EPERM;
    return -1;
}

int wefti_lock_shared_release(weft_lock *lock)
{
    return wefti_lock_shared_give(lock, 1);
}

bool wefti_lock_shared_held(const weft_lock *lock)
{
    return (wefti_word_read(&lock->word) & ~(uint32_t)FLAGS) != 0;
}

int wefti_lock_shared_died(const weft_lock *lock)
{
    return wefti_word_look(&lock->word) & DIED ? 1 : 0;
}

bool wefti_lock_shared_mine(const weft_lock *lock)
{
    const struct wefti_life *life = wefti_context_current()->life;
    return life && (wefti_word_look(&lock->word) & ~(uint32_t)FLAGS) == shared_owner(life);
}

bool wefti_lock_shared_owned(const weft_lock *lock, uint32_t life)
{
    return (wefti_word_look(&lock->word) & ~(uint32_t)FLAGS) == life << OWNER_SHIFT;
}

void wefti_lock_shared_repaired(weft_lock *lock)
{
    uint32_t word = wefti_word_look(&lock->word);
    while ((word & DIED) && !wefti_word_give(&lock->word, &word, word & ~(uint32_t)DIED))
        ;
}

static void lock_mend(uint32_t dead, void *object, uint64_t detail)
{
    (void)detail;
    weft_lock *lock = object;
    uint32_t word = wefti_word_look(&lock->word);
    while ((word & ~(uint32_t)FLAGS) == dead << OWNER_SHIFT)
        if (wefti_word_move(&lock->word, &word, (word & WAITERS) | DIED))
            break;
    weft_wake(&lock->word, UINT32_MAX);
}

WEFTI_OPENING_SYNC static void lock_shared_open(void)
{
    wefti_menders[WEFTI_HOLD_LOCK] = lock_mend;
}
