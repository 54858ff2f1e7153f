/* SPDX-License-Identifier: MIT */
/*
 * Something that is done once.
 *
 * word: bit 0 DONE: it was called with success; nothing changes any more. Bit 1 WAITERS: somebody may sleep on `word`; set by who waits,
 *       while it is being called; it goes with the call that it waited for. Bits 3 to 31 the wefti_ident of who is calling it, 0 for
 *       nobody.
 * All zero: nobody has called it yet, or the last call failed. Then all who wait are woken, and the first of them tries.
 *
 * In the arena the caller is known by his life, in which he writes down that he is about to call it. When he dies in it, the sweep makes
 * the word 0 and wakes all who wait: the next calls it again.
 *
 * The end of a call is one exchange, a release that pairs with the acquire of who finds DONE; after it the memory may be gone.
 */

#include <weft/once.h>

#include <errno.h>

#include "base/opening.h"
#include "sync/word.h"
#include "wait/context.h"

enum { DONE = 1, WAITERS = 2, CALLER_SHIFT = 3 };

static int once_run(weft_once *once, int (*function)(void *data), void *data)
{
    int result = function(data);
    int error = errno;
    uint32_t word = wefti_word_swap(&once->word, result == 0 ? DONE : 0);
    if (word & WAITERS)
        weft_wake(&once->word, UINT32_MAX);
    errno = error;
    return result == 0 ? 0 : -1;
}

/* Waits for the end of the call that `word` tells of. */
static int once_wait(weft_once *once, uint32_t word, weft_time deadline)
{
    if (deadline <= WEFT_NOW) {
        errno = EAGAIN;
        return -1;
    }
    if (!(word & WAITERS) && !wefti_word_move(&once->word, &word, word | WAITERS))
        return 0;
    return weft_wait(&once->word, word | WAITERS, deadline);
}

/* The number of the caller in the word. In the arena also *holding, begun; ended by the caller. 0 with errno. */
static uint32_t once_caller(weft_once *once, struct wefti_holding **holding)
{
    if (!wefti_is_shared(once))
        return wefti_ident() << CALLER_SHIFT;
    struct wefti_life *life = wefti_context_life(wefti_context_current());
    *holding = life ? wefti_holding_find(life) : NULL;
    if (*holding && life)
        wefti_hold(*holding, WEFTI_HOLD_ONCE, once, 0);
    return *holding && life ? life->ident << CALLER_SHIFT : 0;
}

/* Calls it, or waits for who does. */
static int once_try(weft_once *once, uint32_t me, int (*function)(void *data), void *data, weft_time deadline)
{
    for (;;) {
        uint32_t word = wefti_word_look(&once->word);
        if (word == DONE)
            return 0;
        if (word == 0 && wefti_word_take(&once->word, &word, me))
            return once_run(once, function, data);
        if ((word & ~(uint32_t)WAITERS) == me) {
            errno = EDEADLK;
            return -1;
        }
        if (word > DONE && once_wait(once, word, deadline) < 0)
            return -1;
    }
}

int weft_once_call(weft_once *once, int (*function)(void *data), void *data, weft_time deadline)
{
    if (wefti_word_look(&once->word) == DONE)
        return 0;
    struct wefti_holding *holding = NULL;
    uint32_t me = once_caller(once, &holding);
    if (!me)
        return -1;
    int called = once_try(once, me, function, data, deadline);
    if (holding)
        wefti_unhold(holding);
    return called;
}

bool weft_once_done(const weft_once *once)
{
    return wefti_word_look(&once->word) == DONE;
}

static void once_mend(uint32_t dead, void *object, uint64_t detail)
{
    (void)detail;
    weft_once *once = object;
    uint32_t word = wefti_word_look(&once->word);
    while ((word & ~(uint32_t)WAITERS) == dead << CALLER_SHIFT && !wefti_word_move(&once->word, &word, 0))
        ;
    weft_wake(&once->word, UINT32_MAX);
}

WEFTI_OPENING_SYNC static void once_open(void)
{
    wefti_menders[WEFTI_HOLD_ONCE] = once_mend;
}
