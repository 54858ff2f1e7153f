/* SPDX-License-Identifier: MIT */
/* What the stress tests of pools share: a function run by several tasks beside the test at once until the time is over. */
#ifndef MANY_HANDS_H
#define MANY_HANDS_H

#include "beside.h"

enum { HANDS = 3 };

static weft_time end; /* of the present run: the functions look at it */

/* A cheap random number. */
static inline uint32_t draw(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 16;
}

/* Runs `function` on several tasks, each with a number of its own from 1 on. */
static inline void many_hands(weft_function *function)
{
    weft_task *hands[HANDS];
    end = weft_in(BESIDE_KIND == WEFT_THREAD ? 0.6 : 0.15);
    for (int i = 0; i < HANDS; i++)
        hands[i] = beside_with(function, weft_int(i + 1));
    for (int i = 0; i < HANDS; i++) {
        weft_task_join(hands[i], WEFT_FOREVER);
        weft_task_free(hands[i]);
    }
}

/* weft_pool_new of that kind; coroutines on two threads. */
#define many_pool_new(...) weft_pool_new(BESIDE_KIND, .threads = BESIDE_KIND == WEFT_COROUTINE ? 2 : 0, __VA_ARGS__)

#endif
