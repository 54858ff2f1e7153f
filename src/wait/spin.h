/* SPDX-License-Identifier: MIT */
/*
 * Whether to spin before a sleep: waking a thread on another processor takes some 20 us, so looking for that long costs little where a
 * processor is idle, and much where none is. Told by what came of it before: each spin in vain doubles how many sleeps go without one, up
 * to 255; one that paid begins anew. With one processor there is none.
 */
#ifndef WEFTI_SPIN_H
#define WEFTI_SPIN_H

#include "wait/wait.h"

/* As `rest`: a context that has others to let run instead. It counts down, but not in a lifetime. */
#define WEFTI_SPIN_NEVER UINT32_MAX

/* One context's experience with one kind of waiting; its own. All-zero is ready. */
struct wefti_spin {
    uint32_t failures; /* spins in vain, one after another */
    uint32_t rest;     /* sleeps that are still to go without */
};

/* Asked before each sleep. */
static inline bool wefti_spin_pays(struct wefti_spin *spin)
{
    if (spin->rest == 0)
        return wefti_many_processors();
    spin->rest--;
    return false;
}

/* Tells what came of a spin; returns it. */
static inline bool wefti_spin_told(struct wefti_spin *spin, bool paid)
{
    enum { FAILURES_COUNTED = 8 };
    if (paid)
        spin->failures = 0;
    else if (spin->failures < FAILURES_COUNTED)
        spin->failures++;
    spin->rest = (1U << spin->failures) - 1;
    return paid;
}

#endif
