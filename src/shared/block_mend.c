/* SPDX-License-Identifier: MIT */
/*
 * What is done with the whole table of chunks: the repair after a member's death, and the census and the walk for those who look on.
 *
 * The repair makes the moves that the dead was in the middle of (chunk.h), each by compare-and-swap from what he left, so that several may
 * repair at once and one who dies in it leaves no more to do than before. All three skip the chunks of a large block by its head.
 */

#include "shared/chunk.h"

/* The repair. */

static void slab_repair(struct wefti_arena *arena, uint64_t chunk, uint64_t word, uint16_t dead)
{
    uint32_t *words = wefti_slab_words(arena, chunk);
    for (uint32_t i = wefti_slab_blocks[wefti_word_class(word)]; i-- > 0;) {
        uint32_t state = __atomic_load_n(&words[i], __ATOMIC_RELAXED);
        if (state == wefti_block_word(WEFTI_BLOCK_SHELF, dead) || state == wefti_block_word(WEFTI_BLOCK_HAND, dead))
            __atomic_compare_exchange_n(&words[i], &state, WEFTI_BLOCK_FREE, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    }
    /* fails when another repair was faster */
    wefti_chunk_move(arena, chunk, word, wefti_word_of(WEFTI_CHUNK_SLAB, wefti_word_class(word), 0, 0));
}

/* What he had withdrawn from another's slab. A slab that has such a block stays one; one that has none may become something else meanwhile,
 * so its words are believed only while it is a slab. */
static void slab_release(struct wefti_arena *arena, uint64_t chunk, uint64_t word, uint16_t dead)
{
    uint32_t *words = wefti_slab_words(arena, chunk);
    for (uint32_t i = wefti_slab_blocks[wefti_word_class(word)]; i-- > 0;) {
        uint32_t state = wefti_block_word(WEFTI_BLOCK_HAND, dead);
        if (__atomic_load_n(&words[i], __ATOMIC_ACQUIRE) == state && wefti_word_kind(wefti_chunk_look(arena, chunk)) == WEFTI_CHUNK_SLAB &&
            __atomic_compare_exchange_n(&words[i], &state, WEFTI_BLOCK_FREE, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            __atomic_add_fetch(&arena->table[chunk].freed, 1, __ATOMIC_RELEASE); /* pairs with the exchange in slab_fill */
    }
}

/* Whose memory it is not sure to have. */
static void taken_repair(struct wefti_arena *arena, uint64_t chunk, uint64_t word)
{
    if (!wefti_chunk_move(arena, chunk, word, wefti_word_of(WEFTI_CHUNK_TAKEN, 0, wefti_member, 0)))
        return;
    wefti_arena_unback(chunk, 1);
    wefti_chunk_put(arena, chunk, wefti_word_of(WEFTI_CHUNK_FREE, 0, 0, 0));
}

static void freeing_repair(struct wefti_arena *arena, uint64_t chunk, uint64_t word)
{
    uint64_t mine = wefti_word_of(WEFTI_CHUNK_FREEING, 0, wefti_member, wefti_word_count(word));
    if (wefti_chunk_move(arena, chunk, word, mine))
        wefti_large_finish(arena, chunk, mine);
}

void wefti_blocks_repair(uint16_t dead)
{
    struct wefti_arena *arena = wefti_arena_now();
    uint64_t used = arena ? __atomic_load_n(&arena->used, __ATOMIC_ACQUIRE) : 0, orphans = 0;
    for (uint64_t chunk = arena ? arena->first : 0; chunk < used;) {
        uint64_t word = wefti_chunk_look(arena, chunk);
        bool his = wefti_word_member(word) == dead;
        if (his && wefti_word_kind(word) == WEFTI_CHUNK_SLAB)
            slab_repair(arena, chunk, word, dead);
        else if (his && wefti_word_kind(word) == WEFTI_CHUNK_TAKEN)
            taken_repair(arena, chunk, word);
        else if (his && wefti_word_kind(word) == WEFTI_CHUNK_FREEING)
            freeing_repair(arena, chunk, word);
        else if (wefti_word_kind(word) == WEFTI_CHUNK_SLAB && __atomic_load_n(&arena->table[chunk].withdrawn, __ATOMIC_RELAXED))
            slab_release(arena, chunk, word, dead);
        orphans +=
            wefti_word_kind(wefti_chunk_look(arena, chunk)) == WEFTI_CHUNK_SLAB && wefti_word_member(wefti_chunk_look(arena, chunk)) == 0;
        chunk += wefti_word_covers(word) ? wefti_word_count(word) : 1;
    }
    if (arena)
        __atomic_store_n(&arena->orphans, orphans, __ATOMIC_RELAXED);
}

/* Looking on. */

static void slab_count(const struct wefti_arena *arena, uint64_t chunk, uint64_t word, struct wefti_blocks_census *census)
{
    const uint32_t *words = wefti_slab_words(arena, chunk);
    census->chunks_slabs++;
    census->wrong += wefti_word_class(word) >= WEFTI_SLAB_CLASSES;
    for (uint32_t i = wefti_word_class(word) < WEFTI_SLAB_CLASSES ? wefti_slab_blocks[wefti_word_class(word)] : 0; i-- > 0;) {
        uint32_t state = __atomic_load_n(&words[i], __ATOMIC_RELAXED) & 0xff, member = __atomic_load_n(&words[i], __ATOMIC_RELAXED) >> 16;
        census->committed += state == WEFTI_BLOCK_USED;
        census->octets += state == WEFTI_BLOCK_USED ? wefti_slab_sizes[wefti_word_class(word)] : 0;
        census->in_hand += state == WEFTI_BLOCK_HAND;
        bool held = state == WEFTI_BLOCK_SHELF || state == WEFTI_BLOCK_HAND; /* HAND of another than the slab's: withdrawn */
        census->wrong +=
            state > WEFTI_BLOCK_USED || (state == WEFTI_BLOCK_SHELF && member != wefti_word_member(word)) || (!held && member != 0);
    }
}

void wefti_blocks_count_in(const struct wefti_arena *arena, struct wefti_blocks_census *census)
{
    *census = (struct wefti_blocks_census){0};
    uint64_t used = arena ? __atomic_load_n(&arena->used, __ATOMIC_ACQUIRE) : 0;
    for (uint64_t chunk = arena ? arena->first : 0; chunk < used;) {
        uint64_t word = wefti_chunk_look(arena, chunk), count = wefti_word_covers(word) ? wefti_word_count(word) : 1;
        census->chunks_free += wefti_word_kind(word) <= WEFTI_CHUNK_KEPT;
        census->chunks_taken += wefti_word_kind(word) == WEFTI_CHUNK_TAKEN || wefti_word_kind(word) == WEFTI_CHUNK_FREEING;
        census->chunks_large += wefti_word_kind(word) == WEFTI_CHUNK_LARGE ? count : 0;
        census->committed += wefti_word_kind(word) == WEFTI_CHUNK_LARGE;
        census->octets += wefti_word_kind(word) == WEFTI_CHUNK_LARGE ? count << WEFTI_CHUNK_BITS : 0;
        census->wrong += wefti_word_kind(word) > WEFTI_CHUNK_SLAB || (wefti_word_covers(word) && (count == 0 || chunk + count > used));
        for (uint64_t i = 1; wefti_word_covers(word) && i < count && chunk + i < used; i++)
            census->wrong += wefti_word_kind(wefti_chunk_look(arena, chunk + i)) != WEFTI_CHUNK_TAKEN;
        if (wefti_word_kind(word) == WEFTI_CHUNK_SLAB)
            slab_count(arena, chunk, word, census);
        chunk += count ? count : 1;
    }
}

void wefti_blocks_count(struct wefti_blocks_census *census)
{
    wefti_blocks_count_in(wefti_arena_now(), census);
}

static void slab_walk(const struct wefti_arena *arena, uint64_t chunk, unsigned class, wefti_block_visitor *visitor, void *data)
{
    const uint32_t *words = wefti_slab_words(arena, chunk);
    for (uint32_t i = 0; i < wefti_slab_blocks[class]; i++)
        if (__atomic_load_n(&words[i], __ATOMIC_ACQUIRE) == WEFTI_BLOCK_USED)
            visitor(wefti_slab_block(arena, chunk, class, i), wefti_slab_sizes[class], data);
}

void wefti_blocks_walk(const struct wefti_arena *arena, wefti_block_visitor *visitor, void *data)
{
    uint64_t used = __atomic_load_n(&arena->used, __ATOMIC_ACQUIRE);
    for (uint64_t chunk = arena->first; chunk < used;) {
        uint64_t word = wefti_chunk_look(arena, chunk),
                 count = wefti_word_covers(word) && wefti_word_count(word) ? wefti_word_count(word) : 1;
        if (wefti_word_kind(word) == WEFTI_CHUNK_SLAB && wefti_word_class(word) < WEFTI_SLAB_CLASSES)
            slab_walk(arena, chunk, wefti_word_class(word), visitor, data);
        else if (wefti_word_kind(word) == WEFTI_CHUNK_LARGE && count <= used - chunk)
            visitor(wefti_chunk_start(arena, chunk), count << WEFTI_CHUNK_BITS, data);
        chunk += count;
    }
}
