/* SPDX-License-Identifier: MIT */
/*
 * The atomic steps that the state words of this floor are moved by, and no others: tests/model.h puts its own in their place and
 * walks through every order in which tasks can take them.
 */
#ifndef WEFTI_WORD_H
#define WEFTI_WORD_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base.h>

#include "hint.h"

/* What was written before the word got this value is seen after it. */
static inline uint32_t wefti_word_look(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* What the caller did before is seen by who looks at the value. */
static inline void wefti_word_put(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* A number that only the holder of a lock changes, and that others may look at. */
static inline uint32_t wefti_word_peek(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void wefti_word_note(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* Compare and swap that begins a critical section: *seen becomes what is there when it fails. */
static inline bool wefti_word_take(uint32_t *word, uint32_t *seen, uint32_t value)
{
    return __atomic_compare_exchange_n(word, seen, value, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE);
}

/* Compare and swap that ends one. */
static inline bool wefti_word_give(uint32_t *word, uint32_t *seen, uint32_t value)
{
    return __atomic_compare_exchange_n(word, seen, value, false, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE);
}

/* Adds, ending a critical section. What was there. */
static inline uint32_t wefti_word_raise(uint32_t *word, uint32_t value)
{
    return __atomic_fetch_add(word, value, __ATOMIC_RELEASE);
}

/* From here to wefti_word_read: in one order with all such steps on all words. Compare and swap: */
static inline bool wefti_word_move(uint32_t *word, uint32_t *seen, uint32_t value)
{
    return __atomic_compare_exchange_n(word, seen, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static inline uint32_t wefti_word_swap(uint32_t *word, uint32_t value)
{
    return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
}

/* What was there. */
static inline uint32_t wefti_word_add(uint32_t *word, uint32_t value)
{
    return __atomic_fetch_add(word, value, __ATOMIC_SEQ_CST);
}

static inline uint32_t wefti_word_read(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

/* Of 64 bits: what was written before the word got this value is seen after it. */
static inline uint64_t wefti_wide_look(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* Compare and swap that begins a critical section, or ends one. */
static inline bool wefti_wide_move(uint64_t *word, uint64_t *seen, uint64_t value)
{
    return __atomic_compare_exchange_n(word, seen, value, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* Gives another processor so many nanoseconds to change a word that was looked at. */
static inline void wefti_word_rest(weft_time time)
{
    weft_time end = weft_clock() + time;
    do
        for (int i = 0; i < 4; i++)
            wefti_pause();
    while (weft_clock() < end);
}

#endif
