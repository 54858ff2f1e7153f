/* SPDX-License-Identifier: MIT */
/*
 * Chunks of the arena are taken and given back: runs of them in a row, by a search that begins where the last one ended.
 *
 * Each is taken by a compare-and-swap of its word and is in hand then (TAKEN), so a death in a search, or between two chunks of
 * a run, leaves chunks that the repair gives back. `hint` and `kept` may be anything: they only say where to look first and how much to
 * keep.
 */

#include "shared/chunk.h"

#include <errno.h>

enum { KEPT_MOST = 256 }; /* chunks that are nobody's and keep their memory */

/* Where the next search begins: not above this chunk. */
static void hint_lower(struct wefti_arena *arena, uint64_t chunk)
{
    uint64_t hint = __atomic_load_n(&arena->hint, __ATOMIC_RELAXED);
    while (chunk < hint && !__atomic_compare_exchange_n(&arena->hint, &hint, chunk, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

/* Gives back chunks that this member has TAKEN, each for itself. What was used before is used again before what never was: it
 * has memory, and is mapped. As many as are kept at most lying there unused, searches have gone past them: the next one begins at the first
 * chunk. */
void wefti_chunks_leave(struct wefti_arena *arena, uint64_t chunk, uint64_t count)
{
    uint64_t first = chunk;
    for (uint64_t end = chunk + count; chunk < end; chunk++) {
        bool keep = __atomic_load_n(&arena->kept, __ATOMIC_RELAXED) < KEPT_MOST;
        if (keep)
            __atomic_add_fetch(&arena->kept, 1, __ATOMIC_RELAXED);
        else
            wefti_arena_unback(chunk, 1);
        wefti_chunk_put(arena, chunk, wefti_word_of(keep ? WEFTI_CHUNK_KEPT : WEFTI_CHUNK_FREE, 0, 0, 0));
        if (!keep)
            first = arena->first;
    }
    hint_lower(arena, first);
}

/* The head is covered until all that follow are this member's own; a repair may come along and do the same. */
void wefti_large_finish(struct wefti_arena *arena, uint64_t chunk, uint64_t word)
{
    uint64_t count = wefti_word_count(word), mine = wefti_word_of(WEFTI_CHUNK_TAKEN, 0, wefti_member, 0);
    for (uint64_t i = 1; i < count; i++)
        wefti_chunk_put(arena, chunk + i, mine);
    wefti_chunk_put(arena, chunk, mine);
    wefti_chunks_leave(arena, chunk, count);
}

/* Takes this chunk if nobody has it, with memory: 1; 0 when somebody has, -1 when there is no memory. */
static int chunk_take(struct wefti_arena *arena, uint64_t chunk)
{
    uint64_t word = wefti_chunk_look(arena, chunk);
    if (wefti_word_kind(word) > WEFTI_CHUNK_KEPT ||
        !wefti_chunk_move(arena, chunk, word, wefti_word_of(WEFTI_CHUNK_TAKEN, 0, wefti_member, 0)))
        return 0;
    if (wefti_word_kind(word) == WEFTI_CHUNK_KEPT) {
        __atomic_sub_fetch(&arena->kept, 1, __ATOMIC_RELAXED);
        return 1;
    }
    if (wefti_arena_back(chunk, 1) == 0)
        return 1;
    wefti_chunk_put(arena, chunk, wefti_word_of(WEFTI_CHUNK_FREE, 0, 0, 0));
    return -1;
}

/* Takes `count` chunks from this one on. How many it got; fewer when somebody has the next; -1 when there is no memory: then none. */
static int64_t run_take(struct wefti_arena *arena, uint64_t chunk, uint64_t count)
{
    if (wefti_arena_reach(arena, chunk + count) != 0)
        return -1;
    for (uint64_t i = 0; i < count; i++) {
        int taken = chunk_take(arena, chunk + i);
        if (taken == 1)
            continue;
        if (taken == 0)
            return (int64_t)i;
        wefti_chunks_leave(arena, chunk, i);
        return -1;
    }
    return (int64_t)count;
}

/* How many chunks from this one on look free; what has never been used does. At most `count`. */
static uint64_t run_look(const struct wefti_arena *arena, uint64_t chunk, uint64_t count)
{
    uint64_t used = __atomic_load_n(&arena->used, __ATOMIC_ACQUIRE), i = 0;
    while (i < count && (chunk + i >= used || wefti_word_kind(wefti_chunk_look(arena, chunk + i)) <= WEFTI_CHUNK_KEPT))
        i++;
    return i;
}

/* How many chunks the block that seems to begin here has; 1 when none does. */
static uint64_t block_look(const struct wefti_arena *arena, uint64_t chunk)
{
    uint64_t word = wefti_chunk_look(arena, chunk);
    return wefti_word_kind(word) == WEFTI_CHUNK_LARGE && wefti_word_count(word) ? wefti_word_count(word) : 1;
}

/* Takes `count` chunks in a row that begin in [from, to). The first; 0 with errno 0 when there are none, or ENOMEM. */
static uint64_t run_search(struct wefti_arena *arena, uint64_t from, uint64_t to, uint64_t count)
{
    errno = 0;
    for (uint64_t chunk = from; chunk < to && chunk + count <= arena->chunks;) {
        uint64_t seen = run_look(arena, chunk, count);
        if (seen < count) {
            chunk += seen + block_look(arena, chunk + seen);
            continue;
        }
        int64_t taken = run_take(arena, chunk, count);
        if (taken == (int64_t)count)
            return chunk;
        if (taken < 0)
            return 0;
        wefti_chunks_leave(arena, chunk, (uint64_t)taken);
        chunk += (uint64_t)taken + 1;
    }
    return 0;
}

uint64_t wefti_chunks_take(struct wefti_arena *arena, uint64_t count)
{
    uint64_t began = __atomic_load_n(&arena->hint, __ATOMIC_RELAXED), hint = began;
    if (hint < arena->first || hint >= arena->chunks)
        hint = arena->first;
    uint64_t chunk = run_search(arena, hint, arena->chunks, count);
    if (!chunk && errno == 0)
        chunk = run_search(arena, arena->first, hint, count);
    if (!chunk) {
        errno = ENOMEM;
        return 0;
    }
    /* Unless it was lowered meanwhile: what was given back then would be forgotten. */
    __atomic_compare_exchange_n(&arena->hint, &began, chunk + count, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return chunk;
}
