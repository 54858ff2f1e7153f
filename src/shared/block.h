/* SPDX-License-Identifier: MIT */
/*
 * Blocks of the arena, for the floors above: memory that any process may die over.
 */
#ifndef WEFTI_BLOCK_H
#define WEFTI_BLOCK_H

#include "shared/arena.h"

/*
 * A member of the family: the number under which this process has things in hand. 0 is nobody. Set once by whoever makes the process a
 * member, before its first block; a number is given to another process only after wefti_blocks_repair of it.
 */
extern uint16_t wefti_member __attribute__((visibility("hidden")));

/*
 * A block in hand, not zeroed: if this process dies before wefti_block_commit, repair takes it back. NULL with the errno of
 * weft_shared_alloc.
 */
void *wefti_block_take(size_t size);
/* From here on it is nobody's: it stays until somebody frees it. A release: what was written into it before is seen by who is given its
 * address. */
void wefti_block_commit(void *block, size_t size);
/* Gives back a block that is in hand. */
void wefti_block_cancel(void *block, size_t size);
/* Frees a block that was committed. 0; -1 with EINVAL, ESTALE (this process is no member). */
int wefti_block_free(void *block);
/*
 * Freeing in two steps, for who has to strike the block out of a structure: withdrawn, a committed block is in hand of `member` again
 * (whichever slab it lies in), so that the sweep frees it should that member die; then it is discarded, or committed again. `member` is the
 * caller's own number, or that of a dead one whose blocks are not repaired yet. 0; -1 with EINVAL: no committed block begins there.
 */
int wefti_block_withdraw(void *block, uint16_t member);
/* Frees a block that this process has withdrawn. */
void wefti_block_discard(void *block);
/* Whether the block that begins there, in hand or not, is committed. */
bool wefti_block_committed(const void *block);
/* How many octets the block has, at least what was asked for. 0: no block begins there. */
size_t wefti_block_size(const void *block);

/*
 * Takes back what a member that has died had in hand, finishes what it had begun, and gives its slabs to whoever wants them. By any other
 * member; may be done again, and by several at once: who repairs may die too.
 */
void wefti_blocks_repair(uint16_t dead);

/* What a walk over the arena found: for tests and `weft ps`. Exact while nobody else is at work. */
struct wefti_blocks_census {
    uint64_t committed, in_hand, octets; /* blocks; octets of the committed ones */
    uint64_t chunks_free, chunks_slabs, chunks_large, chunks_taken;
    uint64_t wrong; /* what cannot be: any is a defect */
};
void wefti_blocks_count(struct wefti_blocks_census *census);
/* The same of an arena that is mapped anywhere, perhaps only to be read. */
void wefti_blocks_count_in(const struct wefti_arena *arena, struct wefti_blocks_census *census);
/* Visits the committed blocks of such an arena. Its owners may be at work: what is visited may be free by then, or another's. */
typedef void wefti_block_visitor(const void *block, size_t size, void *data);
void wefti_blocks_walk(const struct wefti_arena *arena, wefti_block_visitor *visitor, void *data);

#endif
