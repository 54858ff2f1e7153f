/* SPDX-License-Identifier: MIT */
/*
 * A storm over the arena's allocator: workers take blocks of all sizes, write them full, pass them to each other through a board, and free
 * what they find there.
 */
#include <string.h>

#include "shared/block.h"
#include "storm.h"

enum { PLACES = 256, SMALL = 300, LARGE = 300000, HALF_WAY = 2000 /* turns */ };

/* A block on the board: its address, and in its first octets its size and a mark. */
static uint64_t *board;
static uint64_t *started; /* workers, each of which may have died with one block between the board and its hands */

struct content {
    uint64_t size;
    uint64_t mark;
};

static uint64_t mark_of(const struct content *block)
{
    return (uint64_t)(uintptr_t)block * 3 + block->size;
}

static struct content *block_make(void)
{
    size_t size = sizeof(struct content) + storm_random() % (storm_random() % 8 ? SMALL : LARGE);
    storm_enter();
    struct content *block = wefti_block_take(size);
    storm_leave();
    storm_must(block != NULL);
    block->size = size;
    block->mark = mark_of(block);
    ((unsigned char *)block)[size - 1] = size > sizeof(*block) ? 0x5a : ((unsigned char *)block)[size - 1];
    storm_enter();
    wefti_block_commit(block, size);
    storm_leave();
    return block;
}

static void block_free(struct content *block)
{
    storm_must(block->mark == mark_of(block) && wefti_block_size(block) >= block->size);
    storm_must(block->size == sizeof(*block) || ((unsigned char *)block)[block->size - 1] == 0x5a);
    block->mark = 0;
    storm_enter();
    if (storm_random() % 4) {
        storm_must(wefti_block_free(block) == 0);
    } else { /* in two steps, with time to die in between, as it has who strikes a block out of something */
        storm_must(wefti_block_withdraw(block, wefti_member) == 0);
        for (volatile uint64_t i = storm_random() % HALF_WAY; i > 0; i--)
            ;
        wefti_block_discard(block);
    }
    storm_leave();
}

static void work(unsigned number)
{
    (void)number;
    __atomic_add_fetch(started, 1, __ATOMIC_RELAXED);
    while (!storm_over()) {
        uint64_t *place = &board[storm_random() % PLACES];
        uint64_t fresh = storm_random() % 2 ? (uintptr_t)block_make() : 0;
        uint64_t found = __atomic_exchange_n(place, fresh, __ATOMIC_ACQ_REL);
        if (found)
            block_free((struct content *)(uintptr_t)found); /* NOLINT: an address in the arena */
        storm_went_on();
    }
}

static void prepare(void)
{
    board = weft_shared_alloc(PLACES * sizeof(*board));
    started = weft_shared_new(uint64_t);
    storm_must(board && started);
}

/* Nothing is wrong when nobody has anything in hand, and what is lost is what a dead worker had committed and not yet passed on, or had
 * found and not yet freed. */
static void check(void)
{
    struct wefti_blocks_census census;
    for (unsigned i = 0; i < PLACES; i++)
        if (board[i])
            block_free((struct content *)(uintptr_t)board[i]); /* NOLINT: an address in the arena */
    wefti_blocks_count(&census);
    storm_must(census.wrong == 0 && census.in_hand == 0 && census.chunks_taken == 0);
    storm_must(census.committed <= *started * 2 + 64); /* with the records and lives of processes */
}

START_TEST(the_allocator_outlives_any_death)
{
    STORM_OR_SKIP;
    storm_run(&(struct storm_plan){.name = "shared", .workers = 3, .prepare = prepare, .work = work, .check = check, .inside_least = 30});
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, the_allocator_outlives_any_death);
}

int main(void)
{
    return fixture_main("storm_shared", add);
}
