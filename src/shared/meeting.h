/* SPDX-License-Identifier: MIT */
/*
 * How tasks of several processes meet: a word in the life of who waits, which one partner changes, once.
 *
 * life.meeting: state (bits 0 and 1), turn (2 to 31), and what was met (32 to 63).
 *   SHUT   he looks by himself, or is not waiting at all
 *   OPEN   he sleeps, or is about to: whoever does with him what he offers says so here first
 *   AGAIN  he is to look again; nothing was done
 *   DONE   it was done: that with the number in the upper half
 * SHUT -> OPEN by the task, with the next turn; OPEN -> DONE, AGAIN by anybody, OPEN -> SHUT by the task, all three by compare-and-swap: so
 * one of them comes to pass. The lower half is what he sleeps on. Lives are never freed: who changes the word and wakes it needs nothing
 * else of him, and whoever finds it DONE need not look at what it was done to. What others know of a turn (an offer) is about that turn
 * only; it is repeated after 2^30 of them.
 *
 * Who has made it DONE and dies before the rest is finished has said that it will be: his mender finishes it.
 */
#ifndef WEFTI_MEETING_H
#define WEFTI_MEETING_H

#include "shared/life.h"

enum wefti_meet { WEFTI_MEET_SHUT, WEFTI_MEET_OPEN, WEFTI_MEET_AGAIN, WEFTI_MEET_DONE, WEFTI_MEET_STATES = 3 };

static inline enum wefti_meet wefti_meet_state(uint64_t word)
{
    return (enum wefti_meet)(word & WEFTI_MEET_STATES);
}

static inline uint32_t wefti_meet_turn(uint64_t word)
{
    return (uint32_t)word >> 2;
}

static inline uint32_t wefti_meet_which(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

/* What the lower half is while a turn is open. */
static inline uint32_t wefti_meet_word(uint32_t turn)
{
    return turn << 2 | WEFTI_MEET_OPEN;
}

static inline uint64_t wefti_meet_look(const struct wefti_life *life)
{
    return __atomic_load_n(&life->meeting, __ATOMIC_ACQUIRE);
}

/* Opens the next turn. By the life's task. */
static inline uint32_t wefti_meet_open(struct wefti_life *life)
{
    uint32_t turn = (wefti_meet_turn(life->meeting) + 1) & (UINT32_MAX >> 2);
    __atomic_store_n(&life->meeting, wefti_meet_word(turn), __ATOMIC_SEQ_CST);
    return turn;
}

/* Ends a turn that is open, with DONE or AGAIN: false when it is not. The caller wakes life->meeting_word. */
static inline bool wefti_meet_end(struct wefti_life *life, uint32_t turn, enum wefti_meet state, uint32_t which)
{
    uint64_t open = wefti_meet_word(turn);
    uint64_t ended = (uint64_t)which << 32 | turn << 2 | state;
    return __atomic_compare_exchange_n(&life->meeting, &open, ended, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* From here on nobody ends it. What the word was. By the life's task. */
static inline uint64_t wefti_meet_shut(struct wefti_life *life)
{
    uint64_t word = wefti_meet_look(life);
    uint64_t open = word;
    if (wefti_meet_state(word) == WEFTI_MEET_OPEN &&
        !__atomic_compare_exchange_n(&life->meeting, &open, word & ~(uint64_t)WEFTI_MEET_STATES, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
        word = open;
    return word;
}

#endif
