/* SPDX-License-Identifier: MIT */
/*
 * Whether to spin before a sleep: waking a thread on another processor takes some 20 us, so looking for that long costs little where a
 * processor is idle, and much where none is. Told by what came of it before: each spin in vain doubles how many sleeps go without one, up
 * to 255; one that paid begins anew. With one processor there is none.
 */
#ifndef WEFTI_SPIN_H
#define WEFTI_SPIN_H

#include <sys/resource.h>

#include "wait/wait.h"

/* As `rest`: a context that has others to let run instead. It counts down, but not in a lifetime. */
#define WEFTI_SPIN_NEVER UINT32_MAX

/* One context's experience with one kind of waiting; its own. All-zero is ready. */
struct wefti_spin {
    uint32_t failures; /* spins in vain, one after another */
    uint32_t rest;     /* sleeps that are still to go without */
};

/* One thread's experience with waiting for what another process sends. */
struct wefti_answer_spin {
    struct wefti_spin spin;
    uint32_t preempted; /* how often the thread had been, at the end of the last one */
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

/*
 * The same of a spin for what another process sends. Each look is a call of the kernel, and what it saves is a wake on both sides, as the
 * other one need not wake this one then. Where the thread has lost its processor to others since the last such spin, none is idle: then it
 * did not pay, whatever it found.
 */
static inline void wefti_spin_answered(struct wefti_answer_spin *answer, bool found)
{
    struct rusage used;
    if (getrusage(RUSAGE_THREAD, &used) != 0)
        used.ru_nivcsw = 0;
    bool alone = answer->preempted == (uint32_t)used.ru_nivcsw;
    answer->preempted = (uint32_t)used.ru_nivcsw;
    wefti_spin_told(&answer->spin, found && alone);
}

#endif
