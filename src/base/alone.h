/* SPDX-License-Identifier: MIT */
/*
 * Whether the calling thread is the only one of its process: then what threads need among themselves (an instruction that locks a line of
 * memory, some 5 ns) can be left out. The C library knows: it says so before it starts the second thread, in the thread that asks for it,
 * and again in a forked child. Whoever has read `true` is that thread, so the answer stays right until he himself makes a call that starts
 * one.
 *
 * What it does not know of is a child that shares this memory (CLONE_VM, as the starts of commands have them): those touch no word that is
 * changed by the functions here. Nor is a signal handler another thread: who may be interrupted by one that changes the same word uses an
 * atomic operation, or has it wait.
 */
#ifndef WEFTI_ALONE_H
#define WEFTI_ALONE_H

#include <stdbool.h>
#include <stdint.h>

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#else
#define __libc_single_threaded 0
#endif

static inline bool wefti_alone(void)
{
    return __libc_single_threaded;
}

/* Adds to a word that no signal handler changes; what it is then. For counts from which nothing follows about other memory: relaxed. */
static inline uint32_t wefti_count(uint32_t *word, uint32_t more)
{
    if (!wefti_alone())
        return __atomic_add_fetch(word, more, __ATOMIC_RELAXED);
    uint32_t sum = __atomic_load_n(word, __ATOMIC_RELAXED) + more;
    __atomic_store_n(word, sum, __ATOMIC_RELAXED);
    return sum;
}

/*
 * Takes one from a word that no signal handler changes; true: it is 0 now. Release: what this owner did comes before the end; acquire: the
 * last sees what all did.
 */
static inline bool wefti_count_ends(uint32_t *word)
{
    if (!wefti_alone())
        return __atomic_sub_fetch(word, 1, __ATOMIC_ACQ_REL) == 0;
    uint32_t left = __atomic_load_n(word, __ATOMIC_RELAXED) - 1;
    __atomic_store_n(word, left, __ATOMIC_RELAXED);
    return left == 0;
}

/* Moves a word that no signal handler changes. Release on success, acquire either way. */
static inline bool wefti_move(uint32_t *word, uint32_t from, uint32_t to)
{
    if (!wefti_alone())
        return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    bool same = __atomic_load_n(word, __ATOMIC_RELAXED) == from;
    if (same)
        __atomic_store_n(word, to, __ATOMIC_RELAXED);
    return same;
}

#endif
