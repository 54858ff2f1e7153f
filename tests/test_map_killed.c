/* SPDX-License-Identifier: MIT */
/*
 * A process that changes a map dies, at each instruction of the call in turn. Whoever comes after it finds the map as it was or as it was
 * to become, no block of the arena lost or freed twice, and everything usable.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/memory.h"
#include "shared/block.h"
#include "shared/life.h"
#include "step.h"

enum { LARGE = 33000 }; /* octets of a value that is a large block */

/* What the body does, and what the map is before and after: as the items are printed. NULL: there is no map any more. */
struct change {
    const char *name;
    void (*prepare)(weft_map *map);
    void (*before)(weft_map *map); /* by the one who dies, when it still lives: so these blocks are its own */
    void (*change)(weft_map *map);
    const char *old, *new;
    bool half;     /* it may be in between, too */
    bool all;      /* in the short form, too, each instruction is the last */
    bool in_place; /* one store is all there is to it */
};

static const struct change *now;
static struct shared {
    weft_map *map;
    weft_lock lock;
} * shared;
static struct counts {
    unsigned old, new, half;
} * counts; /* of what was found: in memory that all processes share and nobody puts back */

/* Blocks. */

/* The table of seats, the lives, and the test's own. */
static uint64_t blocks_of_others(void)
{
    uint64_t blocks = 2;
    const struct wefti_family *family = wefti_family_now();
    for (uint32_t i = 0; i < WEFTI_SEATS; i++)
        for (const struct wefti_life *life = family->seats[i].lives; life; life = life->next) {
            blocks++;
            for (const struct wefti_life_more *more = life->more; more; more = more->next)
                blocks++;
        }
    return blocks;
}

static uint64_t blocks_committed(void)
{
    struct wefti_blocks_census census;
    wefti_blocks_count(&census);
    step_must(census.wrong + census.in_hand + census.chunks_taken == 0);
    return census.committed;
}

/* The map. */

static void set_text(weft_map *map, const char *key, char letter, size_t length)
{
    char *text = malloc(length);
    memset(text, letter, length);
    step_must(weft_map_set(map, key, weft_str_n(text, length)) == 0);
    free(text);
}

/* What is in it, in a few letters: of each text its length and first letter. */
static void describe(weft_map *map, char *text, size_t size)
{
    uint64_t at = 0;
    weft_value key, value;
    size_t used = 0;
    text[0] = 0;
    while (weft_map_next(map, &at, &key, &value) > 0) {
        used += (size_t)snprintf(text + used, size - used, "%s=", weft_as_str(key));
        if (weft_kind(value) == WEFT_STR)
            used += (size_t)snprintf(text + used, size - used, "%c%zu ", weft_as_str(value)[0], weft_length(value));
        else
            used += (size_t)snprintf(text + used, size - used, "%lld ", (long long)weft_as_int(value));
        weft_drop(key);
        weft_drop(value);
    }
}

static void found(const char *text)
{
    bool old = now->old && strcmp(text, now->old) == 0, new = now->new &&strcmp(text, now->new) == 0;
    if (!old && !new && !now->half)
        fprintf(stderr, "%s: found '%s'\n", now->name, text);
    step_must(old || new || now->half);
    __atomic_add_fetch(old ? &counts->old : new ? &counts->new : &counts->half, 1, __ATOMIC_RELAXED);
}

/* Whatever it was found to be, it can be used, and grows and is emptied. */
static void use(weft_map *map)
{
    char key[16];
    size_t size = weft_map_size(map);
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "more %d", i);
        set_text(map, key, 'm', 40);
    }
    step_must(weft_map_size(map) == size + 20);
    weft_value keys = weft_map_keys(map);
    step_must(weft_length(keys) == size + 20);
    for (size_t i = 0; i < size + 20; i++) {
        step_must(weft_map_contains(map, weft_as_str(weft_list_at(keys, (ptrdiff_t)i))) == 1);
        if (i % 2)
            step_must(weft_map_pop(map, weft_as_str(weft_list_at(keys, (ptrdiff_t)i)), NULL) == 0);
    }
    weft_drop(keys);
    step_must(weft_map_size(map) == size + 20 - (size + 20) / 2);
}

static void check(void)
{
    char text[1000];
    step_must(weft_lock_acquire(&shared->lock, WEFT_NOW) == 0 && weft_lock_release(&shared->lock) == 0); /* a life of one's own */
    uint64_t blocks = blocks_committed(), others = blocks_of_others();
    weft_map *map = shared->map;
    if (wefti_block_committed(map)) {
        size_t size = weft_map_size(map);
        uint64_t of_map = blocks - others;
        step_must(of_map == size + 2 || (size == 0 && of_map == 1)); /* itself, and its table */
        describe(map, text, sizeof(text));
        found(text);
        use(map);
        step_must(weft_map_free(map) == 0);
    } else {
        step_must(!now->new &&blocks == others);
        __atomic_add_fetch(&counts->new, 1, __ATOMIC_RELAXED);
    }
    step_must(blocks_committed() == others);
}

static void prepare(void)
{
    shared->map = weft_map_new();
    ck_assert_ptr_nonnull(shared->map);
    now->prepare(shared->map);
}

static void body(void)
{
    if (now->before)
        now->before(shared->map);
    step_must(weft_map_contains(shared->map, "") == 0);               /* all is bound now */
    for (size_t size = 16; size < 500; size += size < 64 ? 16 : 64) { /* blocks to take are at hand */
        void *block = wefti_block_take(size);
        wefti_block_cancel(block, size);
    }
    step_begin();
    now->change(shared->map);
    step_end();
}

/* From the first store of the change to the last: what is changed is under the map's lock. */
static bool is_locked(void)
{
    return weft_lock_locked((const weft_lock *)(const void *)shared->map);
}

/* Whether blocks are coming or going. */
static bool is_linked(void)
{
    const struct wefti_family *family = wefti_family_now();
    for (uint32_t i = 0; i < WEFTI_SEATS; i++)
        for (const struct wefti_life *life = family->seats[i].lives; life; life = life->next)
            for (unsigned j = 0; j < WEFTI_LIFE_HOLDINGS; j++)
                if (life->holdings[j].object >> 56 == WEFTI_HOLD_MAP)
                    return true;
    return false;
}

/* The changes. */

static void two(weft_map *map)
{
    set_text(map, "a", 'x', 30);
    step_must(weft_map_set(map, "n", weft_int(5)) == 0);
}

static void full(weft_map *map)
{
    char key[] = "a";
    for (; key[0] < 'a' + 8; key[0]++)
        step_must(weft_map_set(map, key, weft_int(1)) == 0);
}

static void full_and_popped(weft_map *map)
{
    full(map);
    step_must(weft_map_pop(map, "a", NULL) == 0 && weft_map_pop(map, "c", NULL) == 0);
}

static void large(weft_map *map)
{
    set_text(map, "a", 'x', LARGE);
}

static void nothing(weft_map *map)
{
    (void)map;
}

static void own(weft_map *map)
{
    set_text(map, "a", 'y', 30);
}

static void sets_new(weft_map *map)
{
    set_text(map, "b", 'z', 50);
}

static void sets_old(weft_map *map)
{
    set_text(map, "a", 'z', 50);
}

static void sets_number(weft_map *map)
{
    step_must(weft_map_set(map, "n", weft_int(6)) == 0);
}

static weft_value large_text;

/* So that few instructions are stepped through that do nothing to the map. */
static void makes_large(weft_map *map)
{
    static char text[LARGE];
    (void)map;
    memset(text, 'z', LARGE);
    large_text = weft_str_n(text, LARGE);
}

static void sets_large(weft_map *map)
{
    step_must(weft_map_set(map, "a", large_text) == 0);
}

static void adds(weft_map *map)
{
    int64_t sum;
    step_must(weft_map_add(map, "n", 37, &sum) == 0 && sum == 42);
}

static void adds_new(weft_map *map)
{
    step_must(weft_map_add(map, "sum", 1, NULL) == 0);
}

static void pops(weft_map *map)
{
    weft_value value;
    step_must(weft_map_pop(map, "a", &value) == 0);
    weft_drop(value);
}

static weft_value doubles(weft_value old, void *data)
{
    (void)data;
    return weft_str_f("%s%s", weft_as_str(old), weft_as_str(old));
}

static void updates(weft_map *map)
{
    step_must(weft_map_update(map, "a", doubles, NULL, NULL) == 0);
}

static void empties(weft_map *map)
{
    step_must(weft_map_clear(map) == 0);
}

static void frees(weft_map *map)
{
    step_must(weft_map_free(map) == 0);
}

#define FULL "a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 "
#define POPPED "b=1 d=1 e=1 f=1 g=1 h=1 "
static const struct change changes[] = {
    {"the first", nothing, NULL, adds_new, "", "sum=1 ", .all = false},
    {"a new key", two, NULL, sets_new, "a=x30 n=5 ", "a=x30 n=5 b=z50 ", .all = true},
    {"a new key in a full table", full, NULL, adds_new, FULL, FULL "sum=1 ", .all = false},
    {"a new key where others are gone", full_and_popped, NULL, adds_new, POPPED, POPPED "sum=1 ", .all = false},
    {"another's value replaced", two, NULL, sets_old, "a=x30 n=5 ", "a=z50 n=5 ", .all = true},
    {"one's own value replaced", two, own, sets_old, "a=y30 n=5 ", "a=z50 n=5 ", .all = true},
    {"a number in place", two, NULL, sets_number, "a=x30 n=5 ", "a=x30 n=6 ", .in_place = true},
    {"a large value replaced", large, makes_large, sets_large, "a=x33000 ", "a=z33000 ", .all = false},
    {"an increment", two, NULL, adds, "a=x30 n=5 ", "a=x30 n=42 ", .in_place = true},
    {"another's key popped", two, NULL, pops, "a=x30 n=5 ", "n=5 ", .all = true},
    {"one's own key popped", two, own, pops, "a=y30 n=5 ", "n=5 ", .all = true},
    {"a large value popped", large, NULL, pops, "a=x33000 ", "", .all = false},
    {"an update", two, NULL, updates, "a=x30 n=5 ", "a=x60 n=5 ", .all = false},
    {"emptied", two, NULL, empties, "a=x30 n=5 ", "", .half = true},
    {"freed", two, own, frees, "a=y30 n=5 ", NULL, .half = true},
};
enum { CHANGES = sizeof(changes) / sizeof(*changes), REPLACED = 4 };

/* The long form takes each instruction; the short one does so where blocks come and go, and each third where it takes long. */
static unsigned stride(void)
{
    return getenv("WEFT_STORM_SECONDS") || now->all ? 1 : 3;
}

static void deaths(struct step_plan plan)
{
    ck_assert_int_eq(weft_shared_limit(4 << 20), 0);
    counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_nonnull(shared = weft_shared_new(struct shared));
    plan.prepare = prepare;
    plan.body = body;
    plan.check = check;
    plan.stride = stride();
    plan.matters = now->in_place ? is_locked : is_linked;
    unsigned died = step_through(&plan) / FIXTURE_STRIDE;
    printf("%s: %u deaths; found as before %u, as after %u, between %u\n", now->name, died, counts->old, counts->new, counts->half);
    ck_assert_uint_eq(counts->old + counts->new + counts->half, died + 1);
    ck_assert_uint_gt(counts->old * FIXTURE_STRIDE, 10);
    ck_assert_uint_gt(counts->new, 0);
    munmap(counts, sizeof(*counts));
}

START_TEST(a_death_at_each_instruction)
{
    STEP_OR_SKIP;
    now = &changes[_i];
    deaths((struct step_plan){0});
}
END_TEST

/* And another in the burial. */
START_TEST(who_mends_dies_too)
{
    STEP_OR_SKIP;
    now = &changes[_i];
    deaths((struct step_plan){.mender_points = 300, .mender_stride = getenv("WEFT_STORM_SECONDS") ? 10 : 400});
}
END_TEST

/* An array has no structure: it is there, and can be freed, or it is not. */

static weft_array *array;

static void array_prepare(void)
{
    ck_assert_ptr_nonnull(array = weft_array_new('i', 10));
}

static void array_frees(void)
{
    step_begin();
    weft_array_free(array);
    step_end();
}

static void array_is_there_or_not(void)
{
    struct wefti_blocks_census census;
    if (wefti_block_committed(array))
        step_must(weft_array_free(array) == 0);
    step_must(!wefti_block_committed(array));
    wefti_blocks_count(&census);
    step_must(census.wrong == 0 && census.in_hand == 0);
}

START_TEST(who_frees_an_array_may_die_at_any_instruction)
{
    STEP_OR_SKIP;
    ck_assert_int_eq(weft_shared_limit(1 << 22), 0);
    ck_assert_uint_gt(step_through(&(struct step_plan){.prepare = array_prepare, .body = array_frees, .check = array_is_there_or_not}), 30);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, who_frees_an_array_may_die_at_any_instruction);
    tcase_add_loop_test(tests, a_death_at_each_instruction, 0, CHANGES);
    tcase_add_loop_test(tests, who_mends_dies_too, REPLACED, REPLACED + 1);
}

int main(void)
{
    return fixture_main("map_killed", add);
}
