/* SPDX-License-Identifier: MIT */
#include "base/latch.h"

#include "hint.h"

enum { SPINS = 64 }; /* some microseconds: longer than what a latch protects, shorter than a sleep */

void wefti_latch_close_slow(struct wefti_latch *latch)
{
    for (int i = 0; i < SPINS; i++) {
        uint32_t free = 0;
        if (__atomic_load_n(&latch->word, __ATOMIC_RELAXED) == 0 &&
            __atomic_compare_exchange_n(&latch->word, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return;
        wefti_pause();
    }
    /* Who has slept takes the latch as 2: others may sleep still, and an open too many only costs a call. */
    while (__atomic_exchange_n(&latch->word, 2, __ATOMIC_ACQUIRE) != 0)
        wefti_futex_wait(&latch->word, 2, WEFT_FOREVER);
}

void wefti_latch_open_slow(struct wefti_latch *latch)
{
    wefti_futex_wake(&latch->word, 1); /* the address alone: who had it may be gone */
}
