/* SPDX-License-Identifier: MIT */
/*
 * A block of the arena that several hold, and the last frees; each may die on the way, and whoever mends for him does the same again.
 *
 * The word: who holds it (bits 0 to 7, one a holder, each cleared once), and its ticket (8 to 63), which no other block of the family ever
 * has in such a word. The last holder leaves his bit where it is: until the block is freed, which is one store of its own, whoever comes
 * instead of him finds that it is his to free; after that, a block that is not committed, or another ticket. So what one frees with such a
 * block he takes away from it first, in a way that can be done twice.
 */
#ifndef WEFTI_HELD_H
#define WEFTI_HELD_H

#include "shared/block.h"

enum { WEFTI_HELD_BITS = 8, WEFTI_HELD_MASK = (1 << WEFTI_HELD_BITS) - 1 };

static inline uint64_t wefti_held_word(uint64_t ticket, uint32_t holders)
{
    return ticket << WEFTI_HELD_BITS | holders;
}

static inline uint64_t wefti_held_ticket(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE) >> WEFTI_HELD_BITS;
}

/* Whether it is the block yet that has this ticket, and that one holds it. */
static inline bool wefti_held_by(const uint64_t *word, uint64_t ticket, uint32_t holder)
{
    uint64_t now = __atomic_load_n(word, __ATOMIC_ACQUIRE);
    return now >> WEFTI_HELD_BITS == ticket && (now & holder);
}

/*
 * The holder lets go of the block with this ticket, if it has that yet and he holds it. True: he was the last, and is to free it. Acquire
 * and release: what the others did with it came before.
 */
static inline bool wefti_held_leave(uint64_t *word, uint64_t ticket, uint32_t holder)
{
    uint64_t now = __atomic_load_n(word, __ATOMIC_ACQUIRE);
    while (now >> WEFTI_HELD_BITS == ticket && (now & holder)) {
        if ((now & WEFTI_HELD_MASK) == holder)
            return true;
        if (__atomic_compare_exchange_n(word, &now, now & ~(uint64_t)holder, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return false;
    }
    return false;
}

/* Whether a block of this size or more begins there, and is committed: what may be looked at although it may have been freed long ago. */
static inline bool wefti_held_there(const void *block, size_t size)
{
    return wefti_block_size(block) >= size && wefti_block_committed(block);
}

#endif
