/* SPDX-License-Identifier: MIT */
/*
 * Whether to spin before a sleep: waking a thread on another processor takes some 20 us, so looking for that long costs little where a
 * processor is idle, and much where none is. Told by what came of it before: each spin in vain doubles how many sleeps go without one, up
 * to 255; one that paid begins anew. With one processor there is none.
 */
#ifndef WEFTI_SPIN_H
#define WEFTI_SPIN_H

#include <sched.h>

#include "wait/wait.h"

/* As `rest`: a context that has others to let run instead. It counts down, but not in a lifetime. */
#define WEFTI_SPIN_NEVER UINT32_MAX

/* One context's experience with one kind of waiting; its own. All-zero is ready. */
struct wefti_spin {
    uint32_t failures; /* spins in vain, one after another */
    uint32_t rest;     /* sleeps that are still to go without */
};

/* One's experience with waiting for what another process sends. All-zero is ready. */
struct wefti_answer_spin {
    struct wefti_spin spin;
    uint32_t crowds; /* spins that took the processor away for long, lately */
    uint32_t calm;   /* spins since then that did not */
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
 * How long one lasts at the most that usually takes so long. Where spins have been in vain, both sides may have come to sleep, and each
 * would find the other asleep, who takes longer to be woken than a spin lasts: neither would ever see it pay. So a trial, of which there
 * is one in up to 256 waits, lasts until one who is woken has answered.
 */
static inline weft_time wefti_spin_time(const struct wefti_spin *spin, weft_time usual)
{
    return spin->failures ? usual * 5 / 2 : usual;
}

/*
 * Between two looks for what another process is to send: whoever else wants the processor has it, who may be the one that is looked for, or
 * has to go first. Nobody is woken then, on either side. Where nobody wants it this comes back at once. *clock is the time before, and
 * after. False where it took LONG: somebody has work that does not end, and the kernel gives him slices of some milliseconds at each yield.
 * It is the last look then, whatever it finds, and 255 sleeps go without one; twice as many each time, if there were not CALM looks
 * between.
 */
static inline bool wefti_spin_lends(struct wefti_answer_spin *answer, weft_time *clock)
{
    enum { LONG = 500000 /* ns */, CROWDS_COUNTED = 8 };
    weft_time before = *clock;
    sched_yield();
    *clock = weft_clock();
    if (*clock - before < LONG)
        return true;
    answer->calm = 0;
    answer->spin.rest = (256U << answer->crowds) - 1;
    answer->crowds = answer->crowds < CROWDS_COUNTED ? answer->crowds + 1 : CROWDS_COUNTED;
    return false;
}

/* Tells what came of such a spin, if it was not the last; returns it. */
static inline bool wefti_spin_answered(struct wefti_answer_spin *answer, bool paid)
{
    enum { CALM = 256 };
    if (answer->crowds > 0 && ++answer->calm == CALM)
        answer->crowds = 0;
    return wefti_spin_told(&answer->spin, paid);
}

#endif
