/* SPDX-License-Identifier: MIT */
/*
 * The lock. Free to whoever comes first; who has to wait stands in a line, first come, first served.
 *
 * word: bits 3 to 31 the owner's wefti_ident, 0 when the lock is free; and three flag bits.
 *   WAITERS  somebody may be in the line, asleep on `turn`. Set by who joins the line, while the lock is not to be had. Cleared by the
 *            holder alone, just before he calls the first of the line (lock_call); if he finds one it is set again, as there may be more.
 *            It may be set with nobody in the line (a waiter left by his deadline), never the other way round, but for the moments of
 *            lock_call.
 *   HEIR     two bits, how it stands with the heir: the waiter that was called out of the line, who is next. There is one at most.
 *            NONE    nobody was called. Then the release of a lock with WAITERS calls one, and only then.
 *            AWAKE   he was called and comes by himself: releases wake nobody. Set by the holder.
 *            ASLEEP  he looked, found the lock taken, and sleeps on `word`: the release that finds this makes it AWAKE and wakes him. Set
 *                    by the heir while the lock is taken.
 *            CLAIMS  the lock is his: nobody else takes it when it is free. Set by the heir while the lock is taken, when he has waited
 *                    longer than PATIENCE; by a release, when PASS_LIMIT others have passed him. He may sleep on `word`.
 *            Taking the lock ends it; an heir who leaves by his deadline or cancellation sets NONE, but takes a lock that he finds free,
 *            so that no call is lost and no claim stands without a claimant.
 * turn: what the line sleeps on; one more for each call. Written by the holder.
 * heir: the ident of the heir, 0 when there is none or he has not come yet. It settles who is heir when a stray wake (one meant for what
 *       the memory was before) brings two out of the line: the compare-and-swap from 0 decides, the other goes back.
 * passed: how often others took the lock since the heir was called. The holder's.
 * forks: in how many forks deep the heir was called. A forked child has none of the heirs of its parent.
 *
 * The bound. Between a call and the heir's taking the lock others take it PASS_LIMIT times at most: each of them counts himself in
 * `passed`, and the release that finds the limit reached leaves the lock claimed. One who is n-th in the line is called after n heirs, so
 * he waits behind n + (n + 1) * PASS_LIMIT acquisitions at most. (Before the first call there is only the present holder: WAITERS without
 * an heir makes his release call.) In time: an heir comes within a wake's latency of some release; after PATIENCE he is passed no more.
 *
 * No wake is lost. Who joins the line reads `turn`, then sees to WAITERS, then sleeps if `turn` is what he read. The holder clears
 * WAITERS, then changes `turn`, then wakes one. If the joiner read the new turn he saw WAITERS cleared (the holder's wefti_word_put pairs
 * with the joiner's wefti_word_look) and set it again, which the release sees and calls once more. If he read the old one, either he was
 * in the line before the wake, which finds him or one before him and then leaves WAITERS set; or he finds `turn` changed and does not
 * sleep. The call comes before the release, as after the release the memory may be gone, and because only then the holder can take back
 * what he said (AWAKE) if nobody was there.
 *
 * An heir sleeps on `word` with ASLEEP or CLAIMS and an owner in it. A release changes the word and so either finds him asleep or makes
 * him look again. It wakes after its last store and uses the address alone.
 *
 * Leaving, the heir sets NONE first and then gives up `heir`. In between a release may call another, who finds `heir` taken and goes back
 * to the line; then nobody would be heir to the AWAKE that stands there. So who has given up `heir` looks once more, and takes it back if
 * the word says that there is an heir (heir_leave). This needs one order of four steps: the caller's move of `word`, the called one's
 * failing move of `heir`, the leaver's swap of `heir`, his look at `word`: wefti_word_move, wefti_word_swap and wefti_word_read are
 * sequentially consistent.
 *
 * Taking is an acquire, giving a release, on `word`. Acquired and released with nobody waiting the lock costs two read-modify-writes.
 *
 * Spinning. Before he joins the line, and when he has been called, a task looks SPINS times, REST apart, if that has paid before
 * (wait/spin.h). Seldom, as each look takes the cache line away from who works: two tasks that fight for a lock are fastest when each has
 * it undisturbed for a microsecond or two. If one does sleep, the wake's latency is some thousand acquisitions, and passing is what makes
 * use of it.
 *
 * Processes. A lock that lies in the arena is another: lock_shared.c.
 * Fork. The child's copy of a lock that the forking task held is the child's. An heir that is not there any more is noticed by `forks`.
 */

#include <errno.h>
#include <pthread.h>

#include "base/opening.h"
#include "shared/arena.h"
#include "sync/inside.h"
#include "sync/word.h"
#include "wait/context.h"

enum { WAITERS = 1, AWAKE = 2, ASLEEP = 4, CLAIMS = 6, HEIR = 6, FLAGS = 7, OWNER_SHIFT = 3 };

/* Times in nanoseconds. */
#ifdef WEFTI_SMALL
enum { PASS_LIMIT = 2, PATIENCE = 50000, SPINS = 1, REST = 100 };
#else
enum { PASS_LIMIT = 16384, PATIENCE = 1000000, SPINS = 8, REST = 1500 };
#endif

/* One that wants the lock. */
struct claimant {
    weft_lock *lock;
    uint32_t me; /* his ident where the word has it */
    bool heir;
    weft_time since, deadline;
};

static uint32_t fork_count;

static uint32_t lock_me(void)
{
    return wefti_ident() << OWNER_SHIFT;
}

static uint32_t lock_forks(void)
{
    return wefti_word_peek(&fork_count);
}

/* Whether the heir that the word tells of stayed behind in a parent process. */
static bool heir_lost(const weft_lock *lock, uint32_t word)
{
    return (word & HEIR) && wefti_word_peek(&lock->forks) != lock_forks();
}

/* Whether somebody who finds this word may take the lock. */
static bool word_open(const struct claimant *claimant, uint32_t word)
{
    if (word & ~(uint32_t)FLAGS)
        return false;
    return claimant->heir || (word & HEIR) != CLAIMS || heir_lost(claimant->lock, word);
}

/* Takes the lock if it is to be had. */
static bool lock_try(const struct claimant *claimant)
{
    weft_lock *lock = claimant->lock;
    uint32_t word = wefti_word_look(&lock->word), kept;
    bool inherits;
    do {
        if (!word_open(claimant, word))
            return false;
        inherits = claimant->heir || heir_lost(lock, word);
        kept = word & (inherits ? WAITERS : FLAGS);
    } while (!wefti_word_take(&lock->word, &word, claimant->me | kept));
    if (inherits)
        wefti_word_swap(&lock->heir, 0);
    else if (kept)
        wefti_word_note(&lock->passed, wefti_word_peek(&lock->passed) + 1);
    return true;
}

/* Looks now and then for a while. */
static bool lock_spin(const struct claimant *claimant)
{
    if (lock_try(claimant))
        return true;
    struct wefti_spin *spin = &wefti_context_current()->lock_spin;
    if (!wefti_spin_pays(spin))
        return false;
    bool taken = false;
    for (int i = 0; i < SPINS && !taken; i++) {
        wefti_word_rest(REST);
        taken = lock_try(claimant);
    }
    return wefti_spin_told(spin, taken);
}

/* Sees to WAITERS. False when the lock may be had instead. */
static bool line_join(const struct claimant *claimant)
{
    uint32_t *there = &claimant->lock->word, word = wefti_word_look(there);
    while (!word_open(claimant, word))
        if ((word & WAITERS) || wefti_word_move(there, &word, word | WAITERS))
            return true;
    return false;
}

/* Becomes the heir, unless there is one. */
static bool heir_begin(struct claimant *claimant)
{
    uint32_t nobody = 0;
    claimant->heir = wefti_word_move(&claimant->lock->heir, &nobody, claimant->me >> OWNER_SHIFT);
    if (claimant->heir)
        wefti_word_note(&claimant->lock->forks, lock_forks());
    return claimant->heir;
}

/* Stands in the line until it is called. 1: it is the heir; 0: it took the lock on the way; -1 with errno. */
static int line_wait(struct claimant *claimant)
{
    weft_lock *lock = claimant->lock;
    for (;;) {
        uint32_t turn = wefti_word_look(&lock->turn);
        if (!line_join(claimant)) {
            if (lock_try(claimant))
                return 0;
            continue;
        }
        int woken = wefti_wait_quiet(&lock->turn, turn, claimant->deadline);
        if (woken < 0)
            return -1;
        if (woken == 0 && heir_begin(claimant))
            return 1;
    }
}

/* The heir says how he waits. False when the lock is free; else *word is what he may sleep on. */
static bool heir_settle(const struct claimant *claimant, uint32_t state, uint32_t *word)
{
    uint32_t *there = &claimant->lock->word;
    *word = wefti_word_look(there);
    while (*word & ~(uint32_t)FLAGS) {
        uint32_t next = (*word & HEIR) == CLAIMS ? *word : (*word & ~(uint32_t)HEIR) | state;
        if (next == *word || wefti_word_move(there, word, next)) {
            *word = next;
            return true;
        }
    }
    return false;
}

/* Sets NONE. False, and the lock is his, if he finds it free. */
static bool heir_resign(const struct claimant *claimant)
{
    uint32_t *there = &claimant->lock->word, word = wefti_word_look(there);
    for (;;) {
        if (!(word & ~(uint32_t)FLAGS)) {
            if (lock_try(claimant))
                return false;
            word = wefti_word_look(there);
        } else if (wefti_word_move(there, &word, word & ~(uint32_t)HEIR)) {
            return true;
        }
    }
}

/* The heir goes without the lock. False when he got it after all. */
static bool heir_leave(struct claimant *claimant)
{
    do {
        if (!heir_resign(claimant))
            return false;
        wefti_word_swap(&claimant->lock->heir, 0);
    } while ((wefti_word_read(&claimant->lock->word) & HEIR) && heir_begin(claimant));
    return true;
}

static int heir_wait(struct claimant *claimant)
{
    uint32_t state = ASLEEP, word;
    while (!lock_spin(claimant)) {
        if (state == ASLEEP && weft_clock() - claimant->since > PATIENCE) {
            state = CLAIMS;
            heir_settle(claimant, state, &word);
            continue; /* one more spin, which nobody disturbs now */
        }
        if (heir_settle(claimant, state, &word) && wefti_wait_quiet(&claimant->lock->word, word, claimant->deadline) < 0)
            return heir_leave(claimant) ? -1 : 0;
    }
    return 0;
}

static int lock_wait(weft_lock *lock, uint32_t me, weft_time deadline)
{
    struct claimant claimant = {.lock = lock, .me = me, .deadline = deadline};
    if (deadline > WEFT_NOW ? lock_spin(&claimant) : lock_try(&claimant))
        return 0;
    if (deadline <= WEFT_NOW) {
        errno = EAGAIN;
        return -1;
    }
    claimant.since = weft_clock();
    int called = line_wait(&claimant);
    return called > 0 ? heir_wait(&claimant) : called;
}

/* The holder calls the first of the line: lets `word` tell of an heir if there is somebody. What the word is then. */
static uint32_t lock_call(weft_lock *lock, uint32_t word)
{
    wefti_word_note(&lock->passed, 0);
    wefti_word_note(&lock->forks, lock_forks());
    if (!wefti_word_move(&lock->word, &word, (word & ~(uint32_t)WAITERS) | AWAKE))
        return word;
    wefti_word_put(&lock->turn, wefti_word_peek(&lock->turn) + 1);
    bool called = weft_wake(&lock->turn, 1) > 0;
    word = wefti_word_look(&lock->word);
    for (;;) {
        bool alone = !called && (word & HEIR) == AWAKE;
        uint32_t next = called ? word | WAITERS : alone ? word & ~(uint32_t)HEIR : word;
        if (next == word || wefti_word_move(&lock->word, &word, next))
            return next;
    }
}

/* The holder strikes out an heir who is not there any more. What the word is then. */
static uint32_t lock_disinherit(weft_lock *lock, uint32_t word)
{
    if (!wefti_word_move(&lock->word, &word, word & ~(uint32_t)HEIR))
        return word;
    wefti_word_swap(&lock->heir, 0);
    return word & ~(uint32_t)HEIR;
}

/* What a release leaves of a word in which WAITERS does not stand without an heir. */
static uint32_t word_left(const weft_lock *lock, uint32_t word)
{
    if ((word & HEIR) && wefti_word_peek(&lock->passed) >= PASS_LIMIT)
        return (word & WAITERS) | CLAIMS;
    if ((word & HEIR) == ASLEEP)
        return (word & WAITERS) | AWAKE;
    return word & FLAGS;
}

static void lock_give(weft_lock *lock, uint32_t word)
{
    for (;;) {
        if (heir_lost(lock, word))
            word = lock_disinherit(lock, word);
        else if ((word & FLAGS) == WAITERS)
            word = lock_call(lock, word);
        else if (wefti_word_give(&lock->word, &word, word_left(lock, word)))
            break;
    }
    if ((word & HEIR) >= ASLEEP) /* or CLAIMS, who may sleep */
        weft_wake(&lock->word, 1);
}

/* Out of line, so that giving back a lock that nobody waits for needs no frame. */
static __attribute__((noinline)) int lock_release_slow(weft_lock *lock)
{
    uint32_t word = wefti_word_look(&lock->word);
    if ((word & ~(uint32_t)FLAGS) != lock_me()) {
        errno = EPERM;
        return -1;
    }
    lock_give(lock, word);
    return 0;
}

int weft_lock_acquire(weft_lock *lock, weft_time deadline)
{
    if (__builtin_expect(wefti_is_shared(lock), 0))
        return wefti_lock_shared_acquire(lock, deadline);
    uint32_t me = wefti_ident_now, word = 0;
    if (__builtin_expect(me && wefti_word_take(&lock->word, &word, me << OWNER_SHIFT), 1))
        return 0;
    me = lock_me();
    if ((wefti_word_look(&lock->word) & ~(uint32_t)FLAGS) != me)
        return lock_wait(lock, me, deadline);
    errno = EDEADLK;
    return -1;
}

int weft_lock_release(weft_lock *lock)
{
    if (__builtin_expect(wefti_is_shared(lock), 0))
        return wefti_lock_shared_release(lock);
    uint32_t me = wefti_ident_now, word = me << OWNER_SHIFT;
    if (__builtin_expect(me && wefti_word_give(&lock->word, &word, 0), 1))
        return 0;
    return lock_release_slow(lock);
}

bool weft_lock_locked(const weft_lock *lock)
{
    return (wefti_word_look(&lock->word) & ~(uint32_t)FLAGS) != 0;
}

int weft_lock_repaired(weft_lock *lock)
{
    if (!wefti_lock_mine(lock)) {
        errno = EPERM;
        return -1;
    }
    if (wefti_is_shared(lock))
        wefti_lock_shared_repaired(lock);
    return 0;
}

bool wefti_lock_mine(const weft_lock *lock)
{
    if (wefti_is_shared(lock))
        return wefti_lock_shared_mine(lock);
    return (wefti_word_look(&lock->word) & ~(uint32_t)FLAGS) == lock_me();
}

int wefti_lock_insist(weft_lock *lock)
{
    wefti_shield_raise();
    int taken = weft_lock_acquire(lock, WEFT_FOREVER);
    wefti_shield_lower();
    return taken;
}

static WEFTI_FORKED void lock_forked(void)
{
    wefti_word_note(&fork_count, fork_count + 1);
}

WEFTI_OPENING_SYNC static void lock_open(void)
{
    pthread_atfork(NULL, NULL, lock_forked);
}
