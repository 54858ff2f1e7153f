/* SPDX-License-Identifier: MIT */
/*
 * The arena's allocator, between its files. Any process may die in it at any instruction. Reading order: this, then chunk.c (chunks are
 * taken and given back), block.c (blocks), block_mend.c (what the dead leave, and all that looks at every chunk).
 *
 * The truth is one word per chunk and one per block; everything else (free lists, counts, hints) is each process's own or may hold any
 * value.
 *
 * A chunk's word: kind (bits 0 to 7), class (8 to 15), member (16 to 31), count (32 to 63).
 *   FREE        nobody's, without memory
 *   KEPT        nobody's, with memory
 *   TAKEN       member has it in hand: after his death it is free
 *   LARGE       a block of `count` chunks begins here. Those that follow say TAKEN: they belong to it, whoever that member was
 *   FREEING     as LARGE; member is freeing it
 *   SLAB        blocks of the class; member alone takes blocks from it, anybody frees into it. Member 0: who wants it takes it over
 * Moves: FREE, KEPT -> TAKEN by who wants it; TAKEN -> LARGE, SLAB, KEPT, FREE by its member; LARGE -> FREEING by who frees; FREEING ->
 * TAKEN by its member, the chunks that follow having been made his TAKEN first; SLAB of 0 -> SLAB of who wants it; SLAB -> TAKEN by its
 * member when it is empty. The repair makes the moves of a member that is dead, as it finds them half done.
 *
 * A large block is seen whole: who walks over the table and finds LARGE or FREEING skips `count` chunks. A walker for a dead member can
 * meet that member's TAKEN in a block only by starting inside it, and he does not: the block was committed before the death, so it began
 * before the walk; no block that he skips can overlap it; and once somebody frees it, its chunks are relabelled before its head is
 * uncovered.
 *
 * A block's word, in the slab's first octets: state (bits 0 to 7), member (16 to 31).
 *   FREE; SHELF: in a magazine of member's; HAND: member has it in hand; USED: committed.
 * FREE -> SHELF -> HAND -> USED by the slab's member, who also goes back from any of these; USED -> FREE by anybody, by compare-and-swap,
 * so that a block is freed once. Only the slab's member moves a word that is not USED, so those moves are stores.
 * USED -> HAND by anybody who withdraws it, by compare-and-swap; from HAND of a member that is not the slab's, that member alone goes on
 * (to FREE, or back to USED), or his repair, which looks through the slabs that say that there may be such blocks (`withdrawn`, set before
 * the block's word and for as long as the slab lasts). A large block that is withdrawn is FREEING.
 *
 * Memory ordering. USED -> FREE (release) pairs with the load (acquire) of the member who takes the block next: the last use comes before
 * the next one. The commits are releases: who is told the address sees the word, and what was put into the block. A TAKEN chunk's contents
 * are made before LARGE or SLAB is stored with release, which who walks loads with acquire.
 */
#ifndef WEFTI_CHUNK_H
#define WEFTI_CHUNK_H

#include "shared/block.h"

enum wefti_chunk_kind { WEFTI_CHUNK_FREE, WEFTI_CHUNK_KEPT, WEFTI_CHUNK_TAKEN, WEFTI_CHUNK_LARGE, WEFTI_CHUNK_FREEING, WEFTI_CHUNK_SLAB };
enum wefti_block_state { WEFTI_BLOCK_FREE, WEFTI_BLOCK_SHELF, WEFTI_BLOCK_HAND, WEFTI_BLOCK_USED };

enum { WEFTI_SLAB_CLASSES = 33 }; /* of small blocks */
/* Constant once the library is loaded: */
extern const uint16_t wefti_slab_sizes[WEFTI_SLAB_CLASSES] __attribute__((visibility("hidden"))); /* how large blocks are */
extern uint32_t wefti_slab_blocks[WEFTI_SLAB_CLASSES] __attribute__((visibility("hidden")));      /* how many blocks a slab has */
extern uint32_t wefti_slab_first[WEFTI_SLAB_CLASSES] __attribute__((visibility("hidden")));       /* where in it the first begins */

/* Words. */

static inline uint64_t wefti_word_of(enum wefti_chunk_kind kind, unsigned class, uint16_t member, uint64_t count)
{
    return (uint64_t)kind | (uint64_t) class << 8 | (uint64_t)member << 16 | count << 32;
}

static inline enum wefti_chunk_kind wefti_word_kind(uint64_t word)
{
    return (enum wefti_chunk_kind)(word & 0xff);
}

static inline unsigned wefti_word_class(uint64_t word)
{
    return word >> 8 & 0xff;
}

static inline uint16_t wefti_word_member(uint64_t word)
{
    return (uint16_t)(word >> 16);
}

static inline uint64_t wefti_word_count(uint64_t word)
{
    return word >> 32;
}

static inline uint64_t wefti_chunk_look(const struct wefti_arena *arena, uint64_t chunk)
{
    return __atomic_load_n(&arena->table[chunk].word, __ATOMIC_ACQUIRE);
}

static inline void wefti_chunk_put(struct wefti_arena *arena, uint64_t chunk, uint64_t word)
{
    __atomic_store_n(&arena->table[chunk].word, word, __ATOMIC_RELEASE);
}

static inline bool wefti_chunk_move(struct wefti_arena *arena, uint64_t chunk, uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(&arena->table[chunk].word, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* By where the arena is mapped, not where it says it is: who looks at another family's has it elsewhere. */
static inline char *wefti_chunk_start(const struct wefti_arena *arena, uint64_t chunk)
{
    return (char *)((uintptr_t)arena + (chunk << WEFTI_CHUNK_BITS)); /* NOLINT: an address that was chosen */
}

static inline uint64_t wefti_chunk_of(const struct wefti_arena *arena, const void *address)
{
    return ((uintptr_t)address - (uintptr_t)arena) >> WEFTI_CHUNK_BITS;
}

static inline bool wefti_word_covers(uint64_t word)
{
    return wefti_word_kind(word) == WEFTI_CHUNK_LARGE || wefti_word_kind(word) == WEFTI_CHUNK_FREEING;
}

static inline uint32_t wefti_block_word(enum wefti_block_state state, uint16_t member)
{
    return (uint32_t)state | (uint32_t)member << 16;
}

/* Slabs: the words of their blocks, then the blocks. */

static inline uint32_t *wefti_slab_words(const struct wefti_arena *arena, uint64_t chunk)
{
    return (uint32_t *)(void *)wefti_chunk_start(arena, chunk);
}

static inline char *wefti_slab_block(const struct wefti_arena *arena, uint64_t chunk, unsigned class, uint32_t at)
{
    return wefti_chunk_start(arena, chunk) + wefti_slab_first[class] + (size_t)at * wefti_slab_sizes[class];
}

/* chunk.c */

/* Takes `count` chunks in a row, with memory: TAKEN. The first, or 0 with ENOMEM. */
uint64_t wefti_chunks_take(struct wefti_arena *arena, uint64_t count);
/* Gives back chunks that this member has TAKEN, each for itself. */
void wefti_chunks_leave(struct wefti_arena *arena, uint64_t chunk, uint64_t count);
/* Goes on with a block that is FREEING by this member, its head's word being `word`, to the end. */
void wefti_large_finish(struct wefti_arena *arena, uint64_t chunk, uint64_t word);

#endif
