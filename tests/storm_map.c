/* SPDX-License-Identifier: MIT */
/*
 * Storms over what lies in shared memory for several: a map, which processes change, each its own keys and all of them one number; and an
 * array, of which they change all elements together.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "family_root.h"
#include "shared/block.h"
#include "shared/seat.h"
#include "storm.h"

enum { WORKERS = 4, KEYS = 12, ELEMENTS = 6, CHANGES = 8 /* of keys for one of the sum */, STORMS = 2 };

static const double ARRAY_SECONDS = 0.5; /* again and again in the long form */

/* What one worker has said: what it is about to give each of its keys, and what it has given. 0: nothing. */
struct diary {
    weft_scalar added;
    uint32_t meant[KEYS], done[KEYS];
};

static struct storm {
    weft_map *map;
    struct diary diaries[WORKERS];
} * storm;

static int64_t deaths; /* the root's count */

/*
 * The value that a version of a key has. Most are texts, made in no time, each longer or shorter than the one before: so a change is one of
 * links, and workers are found at that. Others are lists, now and then one that is a large block, and numbers.
 */
static weft_value version_value(uint32_t version)
{
    if (version % 8)
        return weft_str_f("%0*u", 10 + (int)(version % 7) * 16, version);
    size_t length = version % 97 == 0 ? 40000 : version % 61;
    char *text = malloc(length + 1);
    memset(text, 'a' + (int)(version % 26), length);
    weft_value value = weft_str_f("%u ", version), whole = weft_list();
    MUST(weft_list_append(whole, value) == 0 && weft_list_append(whole, weft_str_n(text, length)) == 0);
    free(text);
    return version % 3 ? whole : (weft_drop(whole), weft_int(version));
}

static bool version_is(const char *key, uint32_t version)
{
    weft_value value, expected = version_value(version);
    int got = weft_map_get(storm->map, key, &value);
    bool is = version == 0 ? got == -1 && errno == ENOENT : got == 0 && weft_equal(value, expected);
    if (got == 0)
        weft_drop(value);
    weft_drop(expected);
    return is;
}

static void key_name(char *key, size_t size, int worker, unsigned at)
{
    snprintf(key, size, "%d of %u", worker, at);
}

/* Each key has what the diary says: of the one that was being changed, either. */
static void diary_check(int worker)
{
    char key[32];
    struct diary *diary = &storm->diaries[worker];
    for (unsigned i = 0; i < KEYS; i++) {
        key_name(key, sizeof(key), worker, i);
        bool done = version_is(key, diary->done[i]), meant = version_is(key, diary->meant[i]);
        storm_must(done || meant);
        diary->done[i] = diary->meant[i] = done ? diary->done[i] : diary->meant[i];
    }
}

static void change(struct diary *diary, int worker, unsigned at, uint32_t version)
{
    char key[32];
    key_name(key, sizeof(key), worker, at);
    bool pops = version % 5 == 0 && diary->done[at];
    weft_value value = version_value(version);
    __atomic_store_n(&diary->meant[at], pops ? 0 : version, __ATOMIC_RELEASE);
    storm_enter();
    storm_must((pops ? weft_map_pop(storm->map, key, NULL) : weft_map_set(storm->map, key, weft_keep(value))) == 0);
    storm_leave();
    weft_drop(value);
    __atomic_store_n(&diary->done[at], pops ? 0 : version, __ATOMIC_RELEASE);
}

static void work(unsigned number)
{
    struct diary *diary = &storm->diaries[number];
    diary_check((int)number);
    for (uint32_t version = 1; !storm_over();) {
        storm_enter();
        storm_must(weft_map_add(storm->map, "sum", 1, NULL) == 0);
        storm_leave();
        weft_scalar_add(&diary->added, 1);
        for (int i = 0; i < CHANGES; i++, version++)
            change(diary, (int)number, version * 7 % KEYS, version);
        storm_went_on();
    }
}

static uint64_t before; /* blocks, without the map */

static void prepare(void)
{
    storm = weft_shared_new(struct storm);
    before = storm_blocks();
    storm_must(storm && (storm->map = weft_map_new()));
}

static void buried(unsigned number)
{
    (void)number;
    deaths++;
}

/* The supervisor has yet to let go of the records of the last. */
static void all_are_let_go(void)
{
    const struct wefti_family *family = wefti_family_now();
    weft_time late = weft_in(20);
    for (uint32_t i = WEFTI_SEAT_FIRST; i < WEFTI_SEATS; i++)
        while (__atomic_load_n(&family->seats[i].process, __ATOMIC_ACQUIRE))
            storm_must(weft_sleep(0.001) == 0 && weft_clock() < late);
}

static void all_blocks_are_there(void)
{
    all_are_let_go();
    struct wefti_blocks_census with, without;
    size_t size = weft_map_size(storm->map);
    wefti_blocks_count(&with);
    storm_must(weft_map_free(storm->map) == 0);
    wefti_blocks_count(&without);
    storm_must(with.committed - without.committed == size + 2);
    storm_must(without.wrong == 0);
    storm_blocks_are(before);
}

static void check(void)
{
    int64_t added = 0;
    for (int i = 0; i < WORKERS; i++) {
        diary_check(i);
        added += weft_scalar_get(&storm->diaries[i].added);
    }
    weft_value sum = weft_none;
    storm_must(weft_map_get(storm->map, "sum", &sum) == 0);
    storm_must(weft_as_int(sum) >= added && weft_as_int(sum) <= added + deaths); /* a death may come before it is told */
    all_blocks_are_there();
}

START_TEST(nothing_is_lost_in_a_storm)
{
    STORM_OR_SKIP;
    storm_run(&(struct storm_plan){.name = "map",
        .workers = WORKERS,
        .prepare = prepare,
        .work = work,
        .check = check,
        .buried = buried,
        .inside_least = 30,
        .share = STORMS});
}
END_TEST

/* The array: whole is what has the same number everywhere. Whoever is told that an owner died makes it so by the first. */

static weft_array *array;

static void array_repair(void)
{
    storm_must(weft_array_fill(array, weft_int(weft_array_get_int(array, 0))) == 0);
    storm_must(weft_rlock_repaired(weft_array_lock(array)) == 0);
}

static int64_t array_number(void)
{
    int64_t number = weft_array_get_int(array, 0);
    for (int i = 1; i < ELEMENTS; i++)
        storm_must(weft_array_get_int(array, i) == number);
    return number;
}

/* From the first element on. */
static void array_change(int64_t number)
{
    weft_value values = weft_list();
    for (int i = 0; i < ELEMENTS; i++)
        storm_must(weft_list_append(values, weft_int(number)) == 0);
    if (storm_random() % 2)
        storm_must(weft_array_set_slice(array, 0, values) == 0);
    else
        for (int i = 0; i < ELEMENTS; i++)
            storm_must(weft_array_set_int(array, i, number) == 0);
    weft_drop(values);
}

static void array_work(unsigned number)
{
    while (!storm_over()) {
        storm_enter();
        int taken = weft_rlock_acquire(weft_array_lock(array), WEFT_FOREVER);
        storm_must(taken >= 0);
        if (taken > 0)
            array_repair();
        array_change(array_number() + 1);
        storm_must(weft_rlock_release(weft_array_lock(array)) == 0);
        storm_leave();
        weft_scalar_add(&storm->diaries[number].added, 1);
        storm_went_on();
    }
}

static void array_prepare(void)
{
    storm = weft_shared_new(struct storm);
    storm_must(storm && (array = weft_array_new('q', ELEMENTS)));
}

static void array_check(void)
{
    int64_t added = 0;
    for (int i = 0; i < WORKERS; i++)
        added += weft_scalar_get(&storm->diaries[i].added);
    int taken = weft_rlock_acquire(weft_array_lock(array), WEFT_NOW);
    storm_must(taken >= 0);
    if (taken > 0)
        array_repair();
    int64_t number = array_number();
    storm_must(number >= added && number <= added + deaths); /* a death may come before it is told */
    storm_must(weft_rlock_release(weft_array_lock(array)) == 0 && weft_array_free(array) == 0);
}

START_TEST(an_array_in_the_storm)
{
    STORM_OR_SKIP;
    storm_run(&(struct storm_plan){.name = "array",
        .workers = WORKERS,
        .prepare = array_prepare,
        .work = array_work,
        .check = array_check,
        .buried = buried,
        .inside_least = 30,
        .seconds = ARRAY_SECONDS,
        .share = STORMS});
}
END_TEST

static weft_value increments(weft_value times)
{
    for (int64_t i = 0; i < weft_as_int(times); i++)
        if (weft_map_add(storm->map, "sum", 1, NULL) != 0)
            return weft_error(errno, NULL);
    return weft_none;
}

/* As four processes do with a dictionary of multiprocessing.Manager, which loses some. */
static void root_of_four(void)
{
    MUST(weft_shared_limit(16 << 20) == 0);
    storm = weft_shared_new(struct storm);
    MUST(storm && (storm->map = weft_map_new()));
    weft_task *workers[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        MUST((workers[i] = weft_spawn(WEFT_PROCESS, increments, weft_int(20000))));
    for (int i = 0; i < WORKERS; i++) {
        weft_value result;
        MUST(weft_task_result(workers[i], &result, WEFT_FOREVER) == 0 && weft_is_none(result));
        weft_task_free(workers[i]);
    }
    weft_value sum;
    MUST(weft_map_get(storm->map, "sum", &sum) == 0 && weft_as_int(sum) == 4 * 20000);
    MUST(weft_map_free(storm->map) == 0);
}

START_TEST(increments_of_four_processes_are_all_there)
{
    NEEDS_PIDFDS;
    root_runs(root_of_four);
}
END_TEST

static weft_value reads(weft_value pointer)
{
    weft_value value;
    MUST(weft_map_get(weft_as_ptr(pointer), "k", &value) == 0);
    return value;
}

/* A reader that comes and goes leaves the data: a resource tracker would have removed it. */
static void root_with_readers(void)
{
    MUST(weft_shared_limit(16 << 20) == 0);
    weft_map *map = weft_map_new();
    weft_array *numbers = weft_array_new('i', 4);
    MUST(map && numbers && weft_array_set_int(numbers, 3, 7) == 0 && weft_map_set(map, "k", weft_str("here")) == 0);
    for (int i = 0; i < 3; i++) {
        weft_value result;
        weft_task *task = weft_spawn(WEFT_PROCESS, reads, weft_ptr(map));
        MUST(task && weft_task_result(task, &result, WEFT_FOREVER) == 0 && strcmp(weft_as_str(result), "here") == 0);
        weft_drop(result);
        weft_task_free(task);
    }
    MUST(weft_map_contains(map, "k") == 1 && weft_array_get_int(numbers, 3) == 7);
    MUST(weft_map_free(map) == 0 && weft_array_free(numbers) == 0);
}

START_TEST(readers_that_leave_leave_the_data)
{
    NEEDS_PIDFDS;
    root_runs(root_with_readers);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, nothing_is_lost_in_a_storm);
    tcase_add_test(tests, an_array_in_the_storm);
    tcase_add_test(tests, increments_of_four_processes_are_all_there);
    tcase_add_test(tests, readers_that_leave_leave_the_data);
}

int main(void)
{
    return fixture_main("storm_map", add);
}
