/* SPDX-License-Identifier: MIT */
/*
 * The arena's allocator. Any process may die in it at any instruction.
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
 *
 * What this process keeps for itself: for each class a magazine of blocks in hand, and the list of its slabs. A forked child of the host's
 * own starts without them: they are its parent's.
 */

#include "shared/block.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/latch.h"
#include "base/memory.h"
#include "base/opening.h"

enum kind { FREE, KEPT, TAKEN, LARGE, FREEING, SLAB };
enum state { BLOCK_FREE, BLOCK_SHELF, BLOCK_HAND, BLOCK_USED };
enum { MAGAZINE = 32, KEPT_MOST = 256, GRAIN = 16, ALIGNED = 64 };

/* How large blocks are; the last six are what divides a slab into 7, 6, 5, 4, 3 and 2. Multiples of 64 from 64 on. */
static const uint16_t sizes[] = {16, 32, 48, 64, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 1792, 2048, 2560, 3072,
    3584, 4096, 5120, 6144, 7168, 8192, 9344, 10880, 13056, 16320, 21760, 32704};
enum { CLASSES = sizeof(sizes) / sizeof(*sizes), LARGEST = 32704 };
/* Constant once the library is loaded: */
static uint8_t class_map[LARGEST / GRAIN + 1]; /* the class of a size, by its grains */
static uint32_t slab_blocks[CLASSES];          /* how many blocks a slab has */
static uint32_t slab_first[CLASSES];           /* where in it the first begins */

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
static struct class classes[CLASSES];

/* Words. */

static uint64_t word_of(enum kind kind, unsigned class, uint16_t member, uint64_t count)
{
    return (uint64_t)kind | (uint64_t) class << 8 | (uint64_t)member << 16 | count << 32;
}

static enum kind word_kind(uint64_t word)
{
    return (enum kind)(word & 0xff);
}

static unsigned word_class(uint64_t word)
{
    return word >> 8 & 0xff;
}

static uint16_t word_member(uint64_t word)
{
    return (uint16_t)(word >> 16);
}

static uint64_t word_count(uint64_t word)
{
    return word >> 32;
}

static uint64_t chunk_look(const struct wefti_arena *arena, uint64_t chunk)
{
    return __atomic_load_n(&arena->table[chunk].word, __ATOMIC_ACQUIRE);
}

static void chunk_put(struct wefti_arena *arena, uint64_t chunk, uint64_t word)
{
    __atomic_store_n(&arena->table[chunk].word, word, __ATOMIC_RELEASE);
}

static bool chunk_move(struct wefti_arena *arena, uint64_t chunk, uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(&arena->table[chunk].word, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* By where the arena is mapped, not where it says it is: who looks at another family's has it elsewhere. */
static char *chunk_start(const struct wefti_arena *arena, uint64_t chunk)
{
    return (char *)((uintptr_t)arena + (chunk << WEFTI_CHUNK_BITS)); /* NOLINT: an address that was chosen */
}

static uint64_t chunk_of(const struct wefti_arena *arena, const void *address)
{
    return ((uintptr_t)address - (uintptr_t)arena) >> WEFTI_CHUNK_BITS;
}

static uint32_t block_word(enum state state, uint16_t member)
{
    return (uint32_t)state | (uint32_t)member << 16;
}

/* Slabs: the words of their blocks, then the blocks. */

static uint32_t *slab_words(const struct wefti_arena *arena, uint64_t chunk)
{
    return (uint32_t *)(void *)chunk_start(arena, chunk);
}

static char *slab_block(const struct wefti_arena *arena, uint64_t chunk, unsigned class, uint32_t at)
{
    return chunk_start(arena, chunk) + slab_first[class] + (size_t)at * sizes[class];
}

/* The word of the block that begins at this address, or NULL. */
static uint32_t *slab_word_at(const struct wefti_arena *arena, uint64_t chunk, unsigned class, const void *block)
{
    if (class >= CLASSES)
        return NULL;
    uint32_t offset = (uint32_t)((const char *)block - slab_block(arena, chunk, class, 0)); /* huge when it lies before the first */
    uint32_t at = offset / sizes[class];
    return at * sizes[class] == offset && at < slab_blocks[class] ? slab_words(arena, chunk) + at : NULL;
}

/* Chunks. */

/* Where the next search begins: not above this chunk. */
static void hint_lower(struct wefti_arena *arena, uint64_t chunk)
{
    uint64_t hint = __atomic_load_n(&arena->hint, __ATOMIC_RELAXED);
    while (chunk < hint && !__atomic_compare_exchange_n(&arena->hint, &hint, chunk, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

/* Gives back chunks that this member has TAKEN, each for itself. What was used before is used again before what never was: it has memory,
 * and is mapped. As many as are kept at most lying there unused, searches have gone past them: the next one begins at the first chunk. */
static void chunks_leave(struct wefti_arena *arena, uint64_t chunk, uint64_t count)
{
    uint64_t first = chunk;
    for (uint64_t end = chunk + count; chunk < end; chunk++) {
        bool keep = __atomic_load_n(&arena->kept, __ATOMIC_RELAXED) < KEPT_MOST;
        if (keep)
            __atomic_add_fetch(&arena->kept, 1, __ATOMIC_RELAXED);
        else
            wefti_arena_unback(chunk, 1);
        chunk_put(arena, chunk, word_of(keep ? KEPT : FREE, 0, 0, 0));
        if (!keep)
            first = arena->first;
    }
    hint_lower(arena, first);
}

/* Takes this chunk if nobody has it, with memory: 1; 0 when somebody has, -1 when there is no memory. */
static int chunk_take(struct wefti_arena *arena, uint64_t chunk)
{
    uint64_t word = chunk_look(arena, chunk);
    if (word_kind(word) > KEPT || !chunk_move(arena, chunk, word, word_of(TAKEN, 0, wefti_member, 0)))
        return 0;
    if (word_kind(word) == KEPT) {
        __atomic_sub_fetch(&arena->kept, 1, __ATOMIC_RELAXED);
        return 1;
    }
    if (wefti_arena_back(chunk, 1) == 0)
        return 1;
    chunk_put(arena, chunk, word_of(FREE, 0, 0, 0));
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
        chunks_leave(arena, chunk, i);
        return -1;
    }
    return (int64_t)count;
}

/* How many chunks from this one on look free; what has never been used does. At most `count`. */
static uint64_t run_look(const struct wefti_arena *arena, uint64_t chunk, uint64_t count)
{
    uint64_t used = __atomic_load_n(&arena->used, __ATOMIC_ACQUIRE), i = 0;
    while (i < count && (chunk + i >= used || word_kind(chunk_look(arena, chunk + i)) <= KEPT))
        i++;
    return i;
}

/* How many chunks the block that seems to begin here has; 1 when none does. */
static uint64_t block_look(const struct wefti_arena *arena, uint64_t chunk)
{
    uint64_t word = chunk_look(arena, chunk);
    return word_kind(word) == LARGE && word_count(word) ? word_count(word) : 1;
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
        chunks_leave(arena, chunk, (uint64_t)taken);
        chunk += (uint64_t)taken + 1;
    }
    return 0;
}

/* Takes `count` chunks in a row, with memory. The first, or 0 with ENOMEM. */
static uint64_t chunks_take(struct wefti_arena *arena, uint64_t count)
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
    uint64_t chunk = chunks_take(arena, size_chunks(size));
    return chunk ? chunk_start(arena, chunk) : NULL;
}

/* The head is covered until all that follow are this member's own; a repair may come along and do the same. */
static void large_finish(struct wefti_arena *arena, uint64_t chunk, uint64_t word, uint16_t member)
{
    uint64_t count = word_count(word), mine = word_of(TAKEN, 0, member, 0);
    for (uint64_t i = 1; i < count; i++)
        chunk_put(arena, chunk + i, mine);
    chunk_put(arena, chunk, mine);
    chunks_leave(arena, chunk, count);
}

static int large_free(struct wefti_arena *arena, uint64_t chunk, uint64_t word)
{
    uint64_t freeing = word_of(FREEING, 0, wefti_member, word_count(word));
    if (!chunk_move(arena, chunk, word, freeing)) {
        errno = EINVAL;
        return -1;
    }
    large_finish(arena, chunk, freeing, wefti_member);
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
    uint64_t chunk = chunks_take(arena, 1);
    if (!chunk)
        return -1;
    memset(slab_words(arena, chunk), 0, slab_blocks[class] * sizeof(uint32_t));
    __atomic_store_n(&arena->table[chunk].freed, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&arena->table[chunk].withdrawn, 0, __ATOMIC_RELAXED);
    chunk_put(arena, chunk, word_of(SLAB, class, wefti_member, 0));
    return (int64_t)chunk;
}

/* A slab of the class that nobody owns any more: -1 when there is none. */
static int64_t slab_adopt(struct wefti_arena *arena, unsigned class)
{
    if (__atomic_load_n(&arena->orphans, __ATOMIC_RELAXED) == 0)
        return -1;
    uint64_t used = __atomic_load_n(&arena->used, __ATOMIC_ACQUIRE), orphan = word_of(SLAB, class, 0, 0);
    for (uint64_t chunk = arena->first; chunk < used; chunk++)
        if (chunk_look(arena, chunk) == orphan && chunk_move(arena, chunk, orphan, word_of(SLAB, class, wefti_member, 0))) {
            __atomic_sub_fetch(&arena->orphans, 1, __ATOMIC_RELAXED);
            return (int64_t)chunk;
        }
    return -1;
}

/* Fills the magazine from a slab. How many of the slab's blocks were free. */
static uint32_t slab_fill(struct wefti_arena *arena, struct class *class, unsigned number, uint64_t chunk)
{
    uint32_t *words = slab_words(arena, chunk), blocks = slab_blocks[number], seen = 0;
    __atomic_exchange_n(
        &arena->table[chunk].freed, 0, __ATOMIC_ACQUIRE); /* pairs with the release in small_free: what it counts is seen below */
    for (uint32_t i = blocks; i-- > 0;) {
        if (__atomic_load_n(&words[i], __ATOMIC_ACQUIRE) != BLOCK_FREE) /* pairs with the release of who freed it */
            continue;
        seen++;
        if (class->count == MAGAZINE)
            continue;
        __atomic_store_n(&words[i], block_word(BLOCK_SHELF, wefti_member), __ATOMIC_RELAXED);
        class->magazine[class->count++] = slab_block(arena, chunk, number, i);
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
    const uint32_t *words = slab_words(arena, chunk);
    for (uint32_t i = slab_blocks[number]; i-- > 0;)
        if (__atomic_load_n(&words[i], __ATOMIC_ACQUIRE) != BLOCK_FREE)
            return;
    class->slabs[at] = class->slabs[--class->slabs_count];
    chunk_put(arena, chunk, word_of(TAKEN, 0, wefti_member, 0));
    chunks_leave(arena, chunk, 1);
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
        uint64_t chunk = chunk_of(arena, block);
        __atomic_store_n(slab_word_at(arena, chunk, number, block), block_word(BLOCK_HAND, wefti_member), __ATOMIC_RELAXED);
    }
    return block;
}

/* Takes back a block of this member's own slab, whose word nobody else moves now. */
static void small_return(struct wefti_arena *arena, uint64_t chunk, unsigned number, uint32_t *word, void *block)
{
    struct class *class = &classes[number];
    wefti_latch_close(&class->latch);
    bool keep = class->count < MAGAZINE;
    __atomic_store_n(word, keep ? block_word(BLOCK_SHELF, wefti_member) : BLOCK_FREE, __ATOMIC_RELEASE);
    if (keep)
        class->magazine[class->count++] = block;
    else if (__atomic_add_fetch(&arena->table[chunk].freed, 1, __ATOMIC_RELAXED) % slab_blocks[number] == 0)
        class_trim(arena, class, number);
    wefti_latch_open(&class->latch);
}

static int small_free(struct wefti_arena *arena, uint64_t chunk, uint64_t word, void *block)
{
    unsigned number = word_class(word);
    bool own = word_member(word) == wefti_member;
    uint32_t *state = slab_word_at(arena, chunk, number, block), used = BLOCK_USED;
    uint32_t next = own ? block_word(BLOCK_HAND, wefti_member) : BLOCK_FREE;
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
        uint64_t chunk = chunk_of(arena, block);
        __atomic_store_n(slab_word_at(arena, chunk, number, block), BLOCK_FREE, __ATOMIC_RELEASE);
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
    for (unsigned i = 0; i < CLASSES; i++) /* what other sizes keep for themselves may be what is missing */
        class_empty(arena, &classes[i], i);
    return block_take(arena, size);
}

void wefti_block_commit(void *block, size_t size)
{
    struct wefti_arena *arena = wefti_arena_now();
    uint64_t chunk = chunk_of(arena, block);
    if (size > LARGEST)
        chunk_put(arena, chunk, word_of(LARGE, 0, 0, size_chunks(size)));
    else
        __atomic_store_n(slab_word_at(arena, chunk, class_map[(size + GRAIN - 1) / GRAIN], block), BLOCK_USED, __ATOMIC_RELEASE);
}

void wefti_block_cancel(void *block, size_t size)
{
    struct wefti_arena *arena = wefti_arena_now();
    uint64_t chunk = chunk_of(arena, block);
    unsigned number = size > LARGEST ? 0 : class_map[(size + GRAIN - 1) / GRAIN];
    if (size > LARGEST)
        chunks_leave(arena, chunk, size_chunks(size));
    else
        small_return(arena, chunk, number, slab_word_at(arena, chunk, number, block), block);
}

/* The word of the chunk that a pointer leads into; 0 when that is none which blocks are made of. */
static uint64_t word_at(const struct wefti_arena *arena, const void *block)
{
    uint64_t chunk = arena && wefti_is_shared(block) ? chunk_of(arena, block) : 0;
    return chunk && chunk >= arena->first && chunk < __atomic_load_n(&arena->used, __ATOMIC_ACQUIRE) ? chunk_look(arena, chunk) : 0;
}

int wefti_block_free(void *block)
{
    struct wefti_arena *arena = wefti_arena_now();
    uint64_t word = word_at(arena, block);
    if (!wefti_member) {
        errno = ESTALE;
        return -1;
    }
    if (word_kind(word) == SLAB)
        return small_free(arena, chunk_of(arena, block), word, block);
    if (word_kind(word) == LARGE && block == chunk_start(arena, chunk_of(arena, block)))
        return large_free(arena, chunk_of(arena, block), word);
    errno = EINVAL;
    return -1;
}

/* The state word of a small block, or NULL: then it is a large one, or none. */
static uint32_t *small_state(const struct wefti_arena *arena, uint64_t word, const void *block)
{
    return word_kind(word) == SLAB ? slab_word_at(arena, chunk_of(arena, block), word_class(word), block) : NULL;
}

int wefti_block_withdraw(void *block, uint16_t member)
{
    struct wefti_arena *arena = wefti_arena_now();
    uint64_t word = word_at(arena, block), chunk = word ? chunk_of(arena, block) : 0;
    uint32_t *state = small_state(arena, word, block), used = BLOCK_USED;
    bool withdrawn = false;
    if (state) {
        if (word_member(word) != member)
            __atomic_store_n(&arena->table[chunk].withdrawn, 1, __ATOMIC_RELAXED);
        withdrawn = __atomic_compare_exchange_n(state, &used, block_word(BLOCK_HAND, member), false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    } else if (word_kind(word) == LARGE && block == chunk_start(arena, chunk)) {
        withdrawn = chunk_move(arena, chunk, word, word_of(FREEING, 0, member, word_count(word)));
    }
    if (!withdrawn)
        errno = EINVAL;
    return withdrawn ? 0 : -1;
}

void wefti_block_discard(void *block)
{
    struct wefti_arena *arena = wefti_arena_now();
    uint64_t word = word_at(arena, block), chunk = chunk_of(arena, block);
    uint32_t *state = small_state(arena, word, block);
    if (!state) {
        large_finish(arena, chunk, word, wefti_member);
    } else if (word_member(word) == wefti_member) {
        small_return(arena, chunk, word_class(word), state, block);
    } else {
        __atomic_store_n(state, BLOCK_FREE, __ATOMIC_RELEASE);
        __atomic_add_fetch(&arena->table[chunk].freed, 1, __ATOMIC_RELEASE); /* pairs with the exchange in slab_fill */
    }
}

bool wefti_block_committed(const void *block)
{
    const struct wefti_arena *arena = wefti_arena_now();
    uint64_t word = word_at(arena, block);
    const uint32_t *state = small_state(arena, word, block);
    if (state)
        return __atomic_load_n(state, __ATOMIC_ACQUIRE) == BLOCK_USED;
    return word_kind(word) == LARGE && block == chunk_start(arena, chunk_of(arena, block));
}

size_t wefti_block_size(const void *block)
{
    const struct wefti_arena *arena = wefti_arena_now();
    uint64_t word = word_at(arena, block);
    if (word_kind(word) == SLAB && slab_word_at(arena, chunk_of(arena, block), word_class(word), block))
        return sizes[word_class(word)];
    return word_kind(word) == LARGE && block == chunk_start(arena, chunk_of(arena, block)) ? word_count(word) << WEFTI_CHUNK_BITS : 0;
}

/* The repair. */

static void slab_repair(struct wefti_arena *arena, uint64_t chunk, uint64_t word, uint16_t dead)
{
    uint32_t *words = slab_words(arena, chunk);
    for (uint32_t i = slab_blocks[word_class(word)]; i-- > 0;) {
        uint32_t state = __atomic_load_n(&words[i], __ATOMIC_RELAXED);
        if (state == block_word(BLOCK_SHELF, dead) || state == block_word(BLOCK_HAND, dead))
            __atomic_compare_exchange_n(&words[i], &state, BLOCK_FREE, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    }
    chunk_move(arena, chunk, word, word_of(SLAB, word_class(word), 0, 0)); /* fails when another repair was faster */
}

/* What he had withdrawn from another's slab. A slab that has such a block stays one; one that has none may become something else meanwhile,
 * so its words are believed only while it is a slab. */
static void slab_release(struct wefti_arena *arena, uint64_t chunk, uint64_t word, uint16_t dead)
{
    uint32_t *words = slab_words(arena, chunk);
    for (uint32_t i = slab_blocks[word_class(word)]; i-- > 0;) {
        uint32_t state = block_word(BLOCK_HAND, dead);
        if (__atomic_load_n(&words[i], __ATOMIC_ACQUIRE) == state && word_kind(chunk_look(arena, chunk)) == SLAB &&
            __atomic_compare_exchange_n(&words[i], &state, BLOCK_FREE, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            __atomic_add_fetch(&arena->table[chunk].freed, 1, __ATOMIC_RELEASE); /* pairs with the exchange in slab_fill */
    }
}

/* Whose memory it is not sure to have. */
static void taken_repair(struct wefti_arena *arena, uint64_t chunk, uint64_t word)
{
    if (!chunk_move(arena, chunk, word, word_of(TAKEN, 0, wefti_member, 0)))
        return;
    wefti_arena_unback(chunk, 1);
    chunk_put(arena, chunk, word_of(FREE, 0, 0, 0));
}

static void freeing_repair(struct wefti_arena *arena, uint64_t chunk, uint64_t word)
{
    uint64_t mine = word_of(FREEING, 0, wefti_member, word_count(word));
    if (chunk_move(arena, chunk, word, mine))
        large_finish(arena, chunk, mine, wefti_member);
}

static bool covers(uint64_t word)
{
    return word_kind(word) == LARGE || word_kind(word) == FREEING;
}

void wefti_blocks_repair(uint16_t dead)
{
    struct wefti_arena *arena = wefti_arena_now();
    uint64_t used = arena ? __atomic_load_n(&arena->used, __ATOMIC_ACQUIRE) : 0, orphans = 0;
    for (uint64_t chunk = arena ? arena->first : 0; chunk < used;) {
        uint64_t word = chunk_look(arena, chunk);
        bool his = word_member(word) == dead;
        if (his && word_kind(word) == SLAB)
            slab_repair(arena, chunk, word, dead);
        else if (his && word_kind(word) == TAKEN)
            taken_repair(arena, chunk, word);
        else if (his && word_kind(word) == FREEING)
            freeing_repair(arena, chunk, word);
        else if (word_kind(word) == SLAB && __atomic_load_n(&arena->table[chunk].withdrawn, __ATOMIC_RELAXED))
            slab_release(arena, chunk, word, dead);
        orphans += word_kind(chunk_look(arena, chunk)) == SLAB && word_member(chunk_look(arena, chunk)) == 0;
        chunk += covers(word) ? word_count(word) : 1;
    }
    if (arena)
        __atomic_store_n(&arena->orphans, orphans, __ATOMIC_RELAXED);
}

static void slab_count(const struct wefti_arena *arena, uint64_t chunk, uint64_t word, struct wefti_blocks_census *census)
{
    const uint32_t *words = slab_words(arena, chunk);
    census->chunks_slabs++;
    census->wrong += word_class(word) >= CLASSES;
    for (uint32_t i = word_class(word) < CLASSES ? slab_blocks[word_class(word)] : 0; i-- > 0;) {
        uint32_t state = __atomic_load_n(&words[i], __ATOMIC_RELAXED) & 0xff, member = __atomic_load_n(&words[i], __ATOMIC_RELAXED) >> 16;
        census->committed += state == BLOCK_USED;
        census->octets += state == BLOCK_USED ? sizes[word_class(word)] : 0;
        census->in_hand += state == BLOCK_HAND;
        bool held = state == BLOCK_SHELF || state == BLOCK_HAND; /* HAND of another than the slab's: withdrawn */
        census->wrong += state > BLOCK_USED || (state == BLOCK_SHELF && member != word_member(word)) || (!held && member != 0);
    }
}

void wefti_blocks_count_in(const struct wefti_arena *arena, struct wefti_blocks_census *census)
{
    *census = (struct wefti_blocks_census){0};
    uint64_t used = arena ? __atomic_load_n(&arena->used, __ATOMIC_ACQUIRE) : 0;
    for (uint64_t chunk = arena ? arena->first : 0; chunk < used;) {
        uint64_t word = chunk_look(arena, chunk), count = covers(word) ? word_count(word) : 1;
        census->chunks_free += word_kind(word) <= KEPT;
        census->chunks_taken += word_kind(word) == TAKEN || word_kind(word) == FREEING;
        census->chunks_large += word_kind(word) == LARGE ? count : 0;
        census->committed += word_kind(word) == LARGE;
        census->octets += word_kind(word) == LARGE ? count << WEFTI_CHUNK_BITS : 0;
        census->wrong += word_kind(word) > SLAB || (covers(word) && (count == 0 || chunk + count > used));
        for (uint64_t i = 1; covers(word) && i < count && chunk + i < used; i++)
            census->wrong += word_kind(chunk_look(arena, chunk + i)) != TAKEN;
        if (word_kind(word) == SLAB)
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
    const uint32_t *words = slab_words(arena, chunk);
    for (uint32_t i = 0; i < slab_blocks[class]; i++)
        if (__atomic_load_n(&words[i], __ATOMIC_ACQUIRE) == BLOCK_USED)
            visitor(slab_block(arena, chunk, class, i), sizes[class], data);
}

void wefti_blocks_walk(const struct wefti_arena *arena, wefti_block_visitor *visitor, void *data)
{
    uint64_t used = __atomic_load_n(&arena->used, __ATOMIC_ACQUIRE);
    for (uint64_t chunk = arena->first; chunk < used;) {
        uint64_t word = chunk_look(arena, chunk), count = covers(word) && word_count(word) ? word_count(word) : 1;
        if (word_kind(word) == SLAB && word_class(word) < CLASSES)
            slab_walk(arena, chunk, word_class(word), visitor, data);
        else if (word_kind(word) == LARGE && count <= used - chunk)
            visitor(chunk_start(arena, chunk), count << WEFTI_CHUNK_BITS, data);
        chunk += count;
    }
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
static void blocks_forked(void)
{
    wefti_member = wefti_arena_now() ? 0 : 1;
    for (unsigned i = 0; i < CLASSES; i++) {
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
        class += grains * GRAIN > sizes[class];
        class_map[grains] = (uint8_t) class;
    }
    for (unsigned class = 0; class < CLASSES; class ++) {
        uint32_t blocks = WEFTI_CHUNK / (sizes[class] + (uint32_t)sizeof(uint32_t)), words;
        while ((words = (blocks * (uint32_t)sizeof(uint32_t) + ALIGNED - 1) / ALIGNED * ALIGNED) + blocks * sizes[class] > WEFTI_CHUNK)
            blocks--;
        slab_blocks[class] = blocks;
        slab_first[class] = words;
    }
    pthread_atfork(NULL, NULL, blocks_forked);
}
