/* SPDX-License-Identifier: MIT */
/*
 * A number of permits.
 *
 * word: bits 0 to 30 the permits; bit 31 WAITERS: somebody may sleep on `word`. Set by who finds no permit, before he sleeps (on a word
 *       that is just WAITERS). A release that sees it wakes as many as it gave permits. It is cleared by the last of those who wait, as
 *       he leaves: not by the release, whose last store must be the one that gives.
 * waiting: how many are between finding no permit and leaving.
 *
 * A permit goes to whoever comes first; sleepers are woken longest waiting first.
 *
 * No wake is lost. Who waits counts himself in `waiting`, then sees to WAITERS, then sleeps if the word is just WAITERS. Who clears
 * WAITERS looks at `waiting` afterwards, and when somebody is there sets it again and wakes one if a permit came in between. Both do so
 * in one order of sequentially consistent steps: either the clearer sees the other counted, or the other sees WAITERS cleared. A sleeper
 * that leaves by his deadline was not woken (weft_wait tells the two apart), so no wake leaves with him.
 *
 * Giving is a release, taking an acquire, on `word`.
 *
 * A semaphore that lies in the arena is another: semaphore_shared.c.
 */

#include <weft/semaphore.h>

#include <errno.h>

#include "shared/arena.h"
#include "sync/inside.h"
#include "sync/word.h"
#include "wait/context.h"

#define WAITERS UINT32_C(0x80000000)
#define FAR_FROM_LIMIT UINT32_C(0x40000000)

enum { SPINS = 8, REST = 1500 /* ns */ };

static bool semaphore_try(weft_semaphore *semaphore)
{
    uint32_t word = wefti_word_look(&semaphore->word);
    while (word & ~WAITERS)
        if (wefti_word_take(&semaphore->word, &word, word - 1))
            return true;
    return false;
}

/* Makes the word WAITERS alone. False when a permit can be taken instead. */
static bool semaphore_announce(weft_semaphore *semaphore)
{
    uint32_t word = wefti_word_read(&semaphore->word);
    while (!(word & ~WAITERS))
        if (word == WAITERS || wefti_word_move(&semaphore->word, &word, WAITERS))
            return true;
    return false;
}

/* The last of those who wait is leaving: WAITERS can go. */
static void semaphore_quiet(weft_semaphore *semaphore)
{
    uint32_t word = wefti_word_read(&semaphore->word);
    while ((word & WAITERS) && !wefti_word_move(&semaphore->word, &word, word & ~WAITERS))
        ;
    if (!(word & WAITERS) || wefti_word_read(&semaphore->waiting) == 0)
        return;
    word &= ~WAITERS;
    while (!(word & WAITERS) && !wefti_word_move(&semaphore->word, &word, word | WAITERS))
        ;
    if (word & ~WAITERS)
        weft_wake(&semaphore->word, word & ~WAITERS);
}

/* Looks now and then for a while; seldom, as lock.c says. */
static bool semaphore_spin(weft_semaphore *semaphore)
{
    struct wefti_spin *spin = &wefti_context_current()->lock_spin;
    if (!wefti_spin_pays(spin))
        return false;
    bool taken = false;
    for (int i = 0; i < SPINS && !taken; i++) {
        wefti_word_rest(REST);
        taken = semaphore_try(semaphore);
    }
    return wefti_spin_told(spin, taken);
}

/* Out of line, so that a permit that is there is taken without a frame. */
static __attribute__((noinline)) int semaphore_wait(weft_semaphore *semaphore, weft_time deadline)
{
    if (deadline <= WEFT_NOW) {
        errno = EAGAIN;
        return -1;
    }
    if (semaphore_spin(semaphore))
        return 0;
    wefti_word_add(&semaphore->waiting, 1);
    int waited = 0;
    while (waited == 0 && !semaphore_try(semaphore))
        if (semaphore_announce(semaphore) && wefti_wait_quiet(&semaphore->word, WAITERS, deadline) < 0)
            waited = -1;
    if (wefti_word_add(&semaphore->waiting, UINT32_MAX) == 1)
        semaphore_quiet(semaphore);
    return waited;
}

static int semaphore_refuse(int error)
{
    errno = error;
    return -1;
}

/* Gives within the limit, whatever it is. */
static __attribute__((noinline)) int semaphore_give(weft_semaphore *semaphore, uint32_t permits)
{
    if (permits == 0)
        return semaphore_refuse(EINVAL);
    uint32_t limit = semaphore->bound ? semaphore->bound : ~WAITERS;
    uint32_t word = wefti_word_look(&semaphore->word);
    do {
        uint32_t there = word & ~WAITERS;
        if (there > limit || permits > limit - there)
            return semaphore_refuse(EOVERFLOW);
    } while (!wefti_word_give(&semaphore->word, &word, word + permits));
    if (word & WAITERS)
        weft_wake(&semaphore->word, permits);
    return 0;
}

int weft_semaphore_acquire(weft_semaphore *semaphore, weft_time deadline)
{
    if (__builtin_expect(wefti_is_shared(semaphore), 0))
        return wefti_semaphore_shared_acquire(semaphore, deadline);
    return semaphore_try(semaphore) ? 0 : semaphore_wait(semaphore, deadline);
}

int weft_semaphore_release(weft_semaphore *semaphore, uint32_t permits)
{
    if (__builtin_expect(wefti_is_shared(semaphore), 0))
        return wefti_semaphore_shared_release(semaphore, permits);
    if (permits != 1 || semaphore->bound || (wefti_word_look(&semaphore->word) & ~WAITERS) > FAR_FROM_LIMIT)
        return semaphore_give(semaphore, permits);
    /* One each, as many tasks as there can be do not lead from here to the limit; and an addition need not wait for what was looked at. */
    if (wefti_word_raise(&semaphore->word, 1) & WAITERS)
        weft_wake(&semaphore->word, 1);
    return 0;
}

uint32_t weft_semaphore_value(const weft_semaphore *semaphore)
{
    return wefti_word_look(&semaphore->word) & ~WAITERS;
}
