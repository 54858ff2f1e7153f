/* SPDX-License-Identifier: MIT */
/*
 * Something that is done once.
 *
 * word: bit 0 DONE: it was called with success; nothing changes any more. Bit 1 WAITERS: somebody may sleep on `word`; set by who waits,
 *       while it is being called; it goes with the call that it waited for. Bits 3 to 31 the wefti_ident of who is calling it, 0 for
 *       nobody.
 * All zero: nobody has called it yet, or the last call failed. Then all who wait are woken, and the first of them tries.
 *
 * The end of a call is one exchange, a release that pairs with the acquire of who finds DONE; after it the memory may be gone.
 */

#include <weft/once.h>

#include <errno.h>

#include "sync/word.h"
#include "wait/wait.h"

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

int weft_once_call(weft_once *once, int (*function)(void *data), void *data, weft_time deadline)
{
    for (;;) {
        uint32_t word = wefti_word_look(&once->word);
        if (word == DONE)
            return 0;
        uint32_t me = wefti_ident() << CALLER_SHIFT;
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

bool weft_once_done(const weft_once *once)
{
    return wefti_word_look(&once->word) == DONE;
}
