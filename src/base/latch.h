/* SPDX-License-Identifier: MIT */
/*
 * A latch: the smallest lock, for a few instructions at a time (a bucket of the parking lot, a context's present wait). It knows neither
 * owner nor deadline nor cancellation, and nothing that can wait may be called while it is held. All-zero is free.
 *
 * A thread that is the only one closes and opens without an atomic instruction (base/alone.h): nobody else looks at the word, and the
 * second thread, when it comes, sees what was written. A signal handler may not close a latch that the interrupted code may have, so none
 * comes between the two steps of that either.
 *
 * word: 0 free; 1 held; 2 held, and somebody may sleep on it. After U. Drepper, "Futexes Are Tricky" (2011), section 5, mutex 2.
 */
#ifndef WEFTI_LATCH_H
#define WEFTI_LATCH_H

#include "base/alone.h"
#include "base/futex.h"

struct wefti_latch {
    uint32_t word;
};

/* Out of line: so that who uses a latch, and meets nobody, is short. */
void wefti_latch_close_slow(struct wefti_latch *latch);
void wefti_latch_open_slow(struct wefti_latch *latch);

/* Acquire pairs with the release of wefti_latch_open. */
static inline void wefti_latch_close(struct wefti_latch *latch)
{
    uint32_t free = 0;
    if (wefti_alone() && __atomic_load_n(&latch->word, __ATOMIC_ACQUIRE) == 0)
        __atomic_store_n(&latch->word, 1, __ATOMIC_RELAXED);
    else if (!__atomic_compare_exchange_n(&latch->word, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        wefti_latch_close_slow(latch);
}

static inline void wefti_latch_open(struct wefti_latch *latch)
{
    if (wefti_alone())
        __atomic_store_n(&latch->word, 0, __ATOMIC_RELEASE);
    else if (__atomic_exchange_n(&latch->word, 0, __ATOMIC_RELEASE) == 2)
        wefti_latch_open_slow(latch);
}

#endif
