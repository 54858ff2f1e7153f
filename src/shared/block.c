/* SPDX-License-Identifier: MIT */
/*
 * Blocks of the arena: taken in hand, committed, withdrawn, freed. What the words say, which moves there are, and why a death between any
 * two of them does no harm stands in chunk.h.
 *
 * A large block is a run of chunks. Small ones are of a few sizes, and lie in slabs, which are chunks. What this process keeps
 * for itself: for each size a magazine of blocks in hand, and the list of its slabs, under a latch. A forked child of the host's own starts
 * without them: they are its parent's.
 */

#include "shared/block.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/latch.h"
#include "base/memory.h"
#include "base/opening.h"
#include "shared/chunk.h"

enum { MAGAZINE = 32, GRAIN = 16, ALIGNED = 64 };

/* How large blocks are; the last six are what divides a slab into 7, 6, 5, 4, 3 and 2. Multiples of 64 from 64 on. */
const uint16_t wefti_slab_sizes[WEFTI_SLAB_CLASSES] = {16, 32, 48, 64, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536,
    1792, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192, 9344, 10880, 13056, 16320, 21760, 32704};
enum { LARGEST = 32704 };
/* Constant once the library is loaded: */
static uint8_t class_map[LARGEST / GRAIN + 1]; /* the class of a size, by its grains */
uint32_t wefti_slab_blocks[WEFTI_SLAB_CLASSES], wefti_slab_first[WEFTI_SLAB_CLASSES];

struct class
{
    struct wefti_latch latch;
    uint32_t count;             /* of the magazine */
    void *magazine[MAGAZINE];   /* blocks in hand, the next to be given out last */
    uint32_t *slabs;            /* chunks of this class that are this member's */
    uint32_t slabs_count, room; /* of `slabs` */
    uint32_t turn;              /* the slab that is looked at although nothing says that blocks were freed there */
};

uint16_t wefti_member = 1;
static struct class classes[WEFTI_SLAB_CLASSES];

/* The word of the block that begins at this address, or NULL. */
static uint32_t *slab_word_at(const struct wefti_arena *arena, uint64_t chunk, unsigned class, const void *block)
{
    if (class >= WEFTI_SLAB_CLASSES)
        return NULL;
    uint32_t offset = (uint32_t)((const char *)block - wefti_slab_block(arena, chunk, class, 0)); /* huge when it lies before the first */
    uint32_t at = offset / wefti_slab_sizes[class];
    return at * wefti_slab_sizes[class] == offset && at < wefti_slab_blocks[class] ? wefti_slab_words(arena, chunk) + at : NULL;
}

/* Large blocks. */

static uint64_t size_chunks(size_t size)
{
    return (size + WEFTI_CHUNK - 1) >> WEFTI_CHUNK_BITS;
}

static void *large_take(struct wefti_arena *arena, size_t size)
{
    if (size > arena->size) {
        errno = ENOMEM;
        return NULL;
    }
    uint64_t chunk = wefti_chunks_take(arena, size_chunks(size));
    return chunk ? wefti_chunk_start(arena, chunk) : NULL;
}

static int large_free(struct wefti_arena *arena, uint64_t chunk, uint64_t word)
{
    uint64_t freeing = wefti_word_of(WEFTI_CHUNK_FREEING, 0, wefti_member, wefti_word_count(word));
    if (!wefti_chunk_move(arena, chunk, word, freeing)) {
        errno = EINVAL;
        return -1;
    }
    wefti_large_finish(arena, chunk, freeing);
    return 0;
}

/* Small blocks: the magazine of a class, under its latch. */

/* One more slab of this member's: chunk SLAB already. -1 with ENOMEM. */
static int slabs_room(struct class *class)
{
    if (class->slabs_count < class->room)
        return 0;
    uint32_t room = class->room ? class->room * 2 : 8;
    uint32_t *slabs = wefti_realloc(class->slabs, room * sizeof(*slabs));
    if (!slabs)
        return -1;
    class->slabs = slabs;
    class->room = room;
    return 0;
}

static int64_t slab_new(struct wefti_arena *arena, unsigned class)
{
    uint64_t chunk = wefti_chunks_take(arena, 1);
    if (!chunk)
        return -1;
    memset(wefti_slab_words(arena, chunk), 0, wefti_slab_blocks[class] * sizeof(uint32_t));
    __atomic_store_n(&arena->table[chunk].freed, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&arena->table[chunk].withdrawn, 0, __ATOMIC_RELAXED);
    wefti_chunk_put(arena, chunk, wefti_word_of(WEFTI_CHUNK_SLAB, class, wefti_member, 0));
    return (int64_t)chunk;
}

/* A slab of the class that nobody owns any more: -1 when there is none. */
static int64_t slab_adopt(struct wefti_arena *arena, unsigned class)
{
    if (__atomic_load_n(&arena->orphans, __ATOMIC_RELAXED) == 0)
        return -1;
    uint64_t used = __atomic_load_n(&arena->used, __ATOMIC_ACQUIRE), orphan = wefti_word_of(WEFTI_CHUNK_SLAB, class, 0, 0);
    for (uint64_t chunk = arena->first; chunk < used; chunk++)
        if (wefti_chunk_look(arena, chunk) == orphan &&
            wefti_chunk_move(arena, chunk, orphan, wefti_word_of(WEFTI_CHUNK_SLAB, class, wefti_member, 0))) {
            __atomic_sub_fetch(&arena->orphans, 1, __ATOMIC_RELAXED);
            return (int64_t)chunk;
        }
    return -1;
}

/* Fills the magazine from a slab. How many of the slab's blocks were free. */
static uint32_t slab_fill(struct wefti_arena *arena, struct class *class, unsigned number, uint64_t chunk)
{
    uint32_t *words = wefti_slab_words(arena, chunk), blocks = wefti_slab_blocks[number], seen = 0;
    __atomic_exchange_n(
        &arena->table[chunk].freed, 0, __ATOMIC_ACQUIRE); /* pairs with the release in small_free: what it counts is seen below */
    for (uint32_t i = blocks; i-- > 0;) {
        if (__atomic_load_n(&words[i], __ATOMIC_ACQUIRE) != WEFTI_BLOCK_FREE) /* pairs with the release of who freed it */
            continue;
        seen++;
        if (class->count == MAGAZINE)
            continue;
        __atomic_store_n(&words[i], wefti_block_word(WEFTI_BLOCK_SHELF, wefti_member), __ATOMIC_RELAXED);
        class->magazine[class->count++] = wefti_slab_block(arena, chunk, number, i);
    }
    if (seen > MAGAZINE) /* there are more: look here again */
        __atomic_store_n(&arena->table[chunk].freed, seen - MAGAZINE, __ATOMIC_RELAXED);
    return seen;
}

/* From a slab that this member has: one where blocks were freed, else the one whose turn it is, for a freer may have died before he could
 * say so. */
static bool class_refill_own(struct wefti_arena *arena, struct class *class, unsigned number)
{
    for (uint32_t i = class->slabs_count; i-- > 0;)
        if (__atomic_load_n(&arena->table[class->slabs[i]].freed, __ATOMIC_RELAXED) > 0 &&
            slab_fill(arena, class, number, class->slabs[i]) > 0)
            return true;
    if (class->slabs_count == 0)
        return false;
    class->turn = (class->turn + 1) % class->slabs_count;
    return slab_fill(arena, class, number, class->slabs[class->turn]) > 0;
}

/* Gives back the slab at this place of the list, if all of it is free. */
static void slab_leave(struct wefti_arena *arena, struct class *class, unsigned number, uint32_t at)
{
    uint64_t chunk = class->slabs[at];
    const uint32_t *words = wefti_slab_words(arena, chunk);
    for (uint32_t i = wefti_slab_blocks[number]; i-- > 0;)
        if (__atomic_load_n(&words[i], __ATOMIC_ACQUIRE) != WEFTI_BLOCK_FREE)
            return;
    class->slabs[at] = class->slabs[--class->slabs_count];
    wefti_chunk_put(arena, chunk, wefti_word_of(WEFTI_CHUNK_TAKEN, 0, wefti_member, 0));
    wefti_chunks_leave(arena, chunk, 1);
}

/* Looks whether the slab that is next in turn can be given back; the only one stays. */
static void class_trim(struct wefti_arena *arena, struct class *class, unsigned number)
{
    if (class->slabs_count < 2)
        return;
    class->turn = (class->turn + 1) % class->slabs_count;
    slab_leave(arena, class, number, class->turn);
}

static int class_refill(struct wefti_arena *arena, struct class *class, unsigned number)
{
    if (class_refill_own(arena, class, number))
        return 0;
    do {
        if (slabs_room(class) != 0)
            return -1;
        int64_t chunk = slab_adopt(arena, number);
        if (chunk < 0)
            chunk = slab_new(arena, number);
        if (chunk < 0)
            return -1;
        class->slabs[class->slabs_count++] = (uint32_t)chunk;
        slab_fill(arena, class, number, (uint64_t)chunk);
    } while (class->count == 0); /* an orphan may be full */
    return 0;
}

static void *small_take(struct wefti_arena *arena, size_t size)
{
    unsigned number = class_map[(size + GRAIN - 1) / GRAIN];
    struct class *class = &classes[number];
    void *block = NULL;
    wefti_latch_close(&class->latch);
    if (class->count > 0 || class_refill(arena, class, number) == 0)
        block = class->magazine[--class->count];
    wefti_latch_open(&class->latch);
    if (block) {
        uint64_t chunk = wefti_chunk_of(arena, block);
        __atomic_store_n(slab_word_at(arena, chunk, number, block), wefti_block_word(WEFTI_BLOCK_HAND, wefti_member), __ATOMIC_RELAXED);
    }
    return block;
}

/* Takes back a block of this member's own slab, whose word nobody else moves now. */
static void small_return(struct wefti_arena *arena, uint64_t chunk, unsigned number, uint32_t *word, void *block)
{
    struct class *class = &classes[number];
    wefti_latch_close(&class->latch);
    bool keep = class->count < MAGAZINE;
    __atomic_store_n(word, keep ? wefti_block_word(WEFTI_BLOCK_SHELF, wefti_member) : WEFTI_BLOCK_FREE, __ATOMIC_RELEASE);
    if (keep)
        class->magazine[class->count++] = block;
    else if (__atomic_add_fetch(&arena->table[chunk].freed, 1, __ATOMIC_RELAXED) % wefti_slab_blocks[number] == 0)
        class_trim(arena, class, number);
    wefti_latch_open(&class->latch);
}

static int small_free(struct wefti_arena *arena, uint64_t chunk, uint64_t word, void *block)
{
    unsigned number = wefti_word_class(word);
    bool own = wefti_word_member(word) == wefti_member;
    uint32_t *state = slab_word_at(arena, chunk, number, block), used = WEFTI_BLOCK_USED;
    uint32_t next = own ? wefti_block_word(WEFTI_BLOCK_HAND, wefti_member) : WEFTI_BLOCK_FREE;
    if (!state || !__atomic_compare_exchange_n(state, &used, next, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        errno = EINVAL;
        return -1;
    }
    if (own)
        small_return(arena, chunk, number, state, block);
    else
        __atomic_add_fetch(&arena->table[chunk].freed, 1, __ATOMIC_RELEASE); /* pairs with the exchange in slab_fill */
    return 0;
}

/* Empties the magazine and gives back all slabs that are free then. */
static void class_empty(struct wefti_arena *arena, struct class *class, unsigned number)
{
    wefti_latch_close(&class->latch);
    while (class->count > 0) {
        void *block = class->magazine[--class->count];
        uint64_t chunk = wefti_chunk_of(arena, block);
        __atomic_store_n(slab_word_at(arena, chunk, number, block), WEFTI_BLOCK_FREE, __ATOMIC_RELEASE);
        __atomic_add_fetch(&arena->table[chunk].freed, 1, __ATOMIC_RELAXED);
    }
    for (uint32_t i = class->slabs_count; i-- > 0;)
        slab_leave(arena, class, number, i);
    wefti_latch_open(&class->latch);
}

/* For all floors. */

static void *block_take(struct wefti_arena *arena, size_t size)
{
    return size <= LARGEST ? small_take(arena, size) : large_take(arena, size);
}

void *wefti_block_take(size_t size)
{
    struct wefti_arena *arena = size > 0 && wefti_member ? wefti_arena_get() : NULL;
    if (!arena) {
        if (size == 0 || !wefti_member)
            errno = size == 0 ? EINVAL : ESTALE;
        return NULL;
    }
    void *block = block_take(arena, size);
    if (block || size > arena->size)
        return block;
    for (unsigned i = 0; i < WEFTI_SLAB_CLASSES; i++) /* what other wefti_slab_sizes keep for themselves may be what is missing */
        class_empty(arena, &classes[i], i);
    return block_take(arena, size);
}

void wefti_block_commit(void *block, size_t size)
{
    struct wefti_arena *arena = wefti_arena_now();
    uint64_t chunk = wefti_chunk_of(arena, block);
    if (size > LARGEST)
        wefti_chunk_put(arena, chunk, wefti_word_of(WEFTI_CHUNK_LARGE, 0, 0, size_chunks(size)));
    else
        __atomic_store_n(slab_word_at(arena, chunk, class_map[(size + GRAIN - 1) / GRAIN], block), WEFTI_BLOCK_USED, __ATOMIC_RELEASE);
}

void wefti_block_cancel(void *block, size_t size)
{
    struct wefti_arena *arena = wefti_arena_now();
    uint64_t chunk = wefti_chunk_of(arena, block);
    unsigned number = size > LARGEST ? 0 : class_map[(size + GRAIN - 1) / GRAIN];
    if (size > LARGEST)
        wefti_chunks_leave(arena, chunk, size_chunks(size));
    else
        small_return(arena, chunk, number, slab_word_at(arena, chunk, number, block), block);
}

/* The word of the chunk that a pointer leads into; 0 when that is none which blocks are made of. */
static uint64_t word_at(const struct wefti_arena *arena, const void *block)
{
    uint64_t chunk = arena && wefti_is_shared(block) ? wefti_chunk_of(arena, block) : 0;
    return chunk && chunk >= arena->first && chunk < __atomic_load_n(&arena->used, __ATOMIC_ACQUIRE) ? wefti_chunk_look(arena, chunk) : 0;
}

int wefti_block_free(void *block)
{
    struct wefti_arena *arena = wefti_arena_now();
    uint64_t word = word_at(arena, block);
    if (!wefti_member) {
        errno = ESTALE;
        return -1;
    }
    if (wefti_word_kind(word) == WEFTI_CHUNK_SLAB)
        return small_free(arena, wefti_chunk_of(arena, block), word, block);
    if (wefti_word_kind(word) == WEFTI_CHUNK_LARGE && block == wefti_chunk_start(arena, wefti_chunk_of(arena, block)))
        return large_free(arena, wefti_chunk_of(arena, block), word);
    errno = EINVAL;
    return -1;
}

/* The state word of a small block, or NULL: then it is a large one, or none. */
static uint32_t *small_state(const struct wefti_arena *arena, uint64_t word, const void *block)
{
    return wefti_word_kind(word) == WEFTI_CHUNK_SLAB ? slab_word_at(arena, wefti_chunk_of(arena, block), wefti_word_class(word), block)
                                                     : NULL;
}

int wefti_block_withdraw(void *block, uint16_t member)
{
    struct wefti_arena *arena = wefti_arena_now();
    uint64_t word = word_at(arena, block), chunk = word ? wefti_chunk_of(arena, block) : 0;
    uint32_t *state = small_state(arena, word, block), used = WEFTI_BLOCK_USED;
    bool withdrawn = false;
    if (state) {
        if (wefti_word_member(word) != member)
            __atomic_store_n(&arena->table[chunk].withdrawn, 1, __ATOMIC_RELAXED);
        withdrawn = __atomic_compare_exchange_n(
            state, &used, wefti_block_word(WEFTI_BLOCK_HAND, member), false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    } else if (wefti_word_kind(word) == WEFTI_CHUNK_LARGE && block == wefti_chunk_start(arena, chunk)) {
        withdrawn = wefti_chunk_move(arena, chunk, word, wefti_word_of(WEFTI_CHUNK_FREEING, 0, member, wefti_word_count(word)));
    }
    if (!withdrawn)
        errno = EINVAL;
    return withdrawn ? 0 : -1;
}

void wefti_block_discard(void *block)
{
    struct wefti_arena *arena = wefti_arena_now();
    uint64_t word = word_at(arena, block), chunk = wefti_chunk_of(arena, block);
    uint32_t *state = small_state(arena, word, block);
    if (!state) {
        wefti_large_finish(arena, chunk, word);
    } else if (wefti_word_member(word) == wefti_member) {
        small_return(arena, chunk, wefti_word_class(word), state, block);
    } else {
        __atomic_store_n(state, WEFTI_BLOCK_FREE, __ATOMIC_RELEASE);
        __atomic_add_fetch(&arena->table[chunk].freed, 1, __ATOMIC_RELEASE); /* pairs with the exchange in slab_fill */
    }
}

bool wefti_block_committed(const void *block)
{
    const struct wefti_arena *arena = wefti_arena_now();
    uint64_t word = word_at(arena, block);
    const uint32_t *state = small_state(arena, word, block);
    if (state)
        return __atomic_load_n(state, __ATOMIC_ACQUIRE) == WEFTI_BLOCK_USED;
    return wefti_word_kind(word) == WEFTI_CHUNK_LARGE && block == wefti_chunk_start(arena, wefti_chunk_of(arena, block));
}

size_t wefti_block_size(const void *block)
{
    const struct wefti_arena *arena = wefti_arena_now();
    uint64_t word = word_at(arena, block);
    if (wefti_word_kind(word) == WEFTI_CHUNK_SLAB && slab_word_at(arena, wefti_chunk_of(arena, block), wefti_word_class(word), block))
        return wefti_slab_sizes[wefti_word_class(word)];
    return wefti_word_kind(word) == WEFTI_CHUNK_LARGE && block == wefti_chunk_start(arena, wefti_chunk_of(arena, block))
               ? wefti_word_count(word) << WEFTI_CHUNK_BITS
               : 0;
}

/* The public face. */

void *weft_shared_alloc(size_t size)
{
    void *block = wefti_block_take(size);
    if (!block)
        return NULL;
    memset(block, 0, size);
    wefti_block_commit(block, size);
    return block;
}

int weft_shared_free(void *block)
{
    return block ? wefti_block_free(block) : 0;
}

/* In a forked child: nothing is in its hands, and of its parent's family it is no member. */
static WEFTI_FORKED void blocks_forked(void)
{
    wefti_member = wefti_arena_now() ? 0 : 1;
    for (unsigned i = 0; i < WEFTI_SLAB_CLASSES; i++) {
        struct class *class = &classes[i];
        if (!class->count && !class->room && !__atomic_load_n(&class->latch.word, __ATOMIC_RELAXED))
            continue; /* to write would be to copy its page */
        wefti_release(class->slabs);
        *class = (struct class){.count = 0};
    }
}

WEFTI_OPENING_SHARED static void blocks_open(void)
{
    for (unsigned grains = 0, class = 0; grains <= LARGEST / GRAIN; grains++) {
        class += grains * GRAIN > wefti_slab_sizes[class];
        class_map[grains] = (uint8_t) class;
    }
    for (unsigned class = 0; class < WEFTI_SLAB_CLASSES; class ++) {
        uint32_t blocks = WEFTI_CHUNK / (wefti_slab_sizes[class] + (uint32_t)sizeof(uint32_t)), words;
        while ((words = (blocks * (uint32_t)sizeof(uint32_t) + ALIGNED - 1) / ALIGNED * ALIGNED) + blocks * wefti_slab_sizes[class] >
               WEFTI_CHUNK)
            blocks--;
        wefti_slab_blocks[class] = blocks;
        wefti_slab_first[class] = words;
    }
    pthread_atfork(NULL, NULL, blocks_forked);
}
