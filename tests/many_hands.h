/* SPDX-License-Identifier: MIT */
/* What the stress tests of pools share: a function run by several threads at once until the time is over. */
#ifndef MANY_HANDS_H
#define MANY_HANDS_H

#include "fixture.h"

enum { HANDS = 3 };

static weft_time end; /* of the present run: the functions look at it */

/* A cheap random number. */
static inline uint32_t draw(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 16;
}

/* Runs `function` on several threads, each with a number of its own from 1 on. */
static inline void many_hands(weft_function *function)
{
    weft_task *hands[HANDS];
    end = weft_in(0.6);
    for (int i = 0; i < HANDS; i++)
        ck_assert_ptr_nonnull(hands[i] = weft_spawn(WEFT_THREAD, function, weft_int(i + 1)));
    for (int i = 0; i < HANDS; i++) {
        weft_task_join(hands[i], WEFT_FOREVER);
        weft_task_free(hands[i]);
    }
}

#endif
