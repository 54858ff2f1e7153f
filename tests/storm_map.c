/* SPDX-License-Identifier: MIT */
/*
 * Processes that change a map, of which one after the other is killed wherever it happens to be. WEFT_STORM_SECONDS makes it last longer than a second,
 * WEFT_STORM_SEED repeats its choices.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "family_root.h"
#include "shared/block.h"

enum { WORKERS = 4, KEYS = 12 };

/* What one worker has said: what it is about to give each of its keys, and what it has given. 0: nothing. */
struct diary {
    weft_scalar added;
    uint32_t meant[KEYS], done[KEYS];
};

static const weft_time SLOW = 1000000000; /* the promise: what the dead left is put right within that */

static struct storm {
    weft_map *map;
    weft_scalar wrong;
    struct diary diaries[WORKERS];
} * storm;

/* The value that a version of a key has: texts of many lengths, now and then one that is a large block. */
static weft_value version_value(uint32_t version)
{
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
        if (!done && !meant)
            weft_scalar_add(&storm->wrong, 1);
        diary->done[i] = diary->meant[i] = done ? diary->done[i] : diary->meant[i];
    }
}

static void change(struct diary *diary, int worker, unsigned at, uint32_t version)
{
    char key[32];
    key_name(key, sizeof(key), worker, at);
    bool pops = version % 5 == 0 && diary->done[at];
    __atomic_store_n(&diary->meant[at], pops ? 0 : version, __ATOMIC_RELEASE);
    int failed = pops ? weft_map_pop(storm->map, key, NULL) : weft_map_set(storm->map, key, version_value(version));
    if (failed)
        weft_scalar_add(&storm->wrong, 1);
    __atomic_store_n(&diary->done[at], pops ? 0 : version, __ATOMIC_RELEASE);
}

static weft_value works(weft_value number)
{
    int worker = (int)weft_as_int(number);
    struct diary *diary = &storm->diaries[worker];
    diary_check(worker);
    for (uint32_t version = 1;; version++) {
        if (weft_map_add(storm->map, "sum", 1, NULL) != 0)
            weft_scalar_add(&storm->wrong, 1);
        weft_scalar_add(&diary->added, 1);
        change(diary, worker, version * 7 % KEYS, version);
    }
    return weft_none;
}

static unsigned seed_of(void)
{
    const char *given = getenv("WEFT_STORM_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)weft_clock();
    printf("storm of maps: WEFT_STORM_SEED=%u\n", seed);
    fflush(stdout);
    return seed;
}

static weft_task *worker_start(int worker)
{
    weft_task *task = weft_spawn(WEFT_PROCESS, works, weft_int(worker));
    MUST(task);
    return task;
}

static void worker_dies(weft_task *task)
{
    MUST(weft_task_kill(task) == 0 && weft_task_join(task, WEFT_FOREVER) == 0);
    weft_task_free(task);
}

/* How many were killed. */
static int64_t storm_run(weft_task **workers)
{
    const char *given = getenv("WEFT_STORM_SECONDS");
    weft_time end = weft_in(given ? strtod(given, NULL) : 1);
    unsigned seed = seed_of();
    int64_t kills = 0, slow = 0;
    for (; weft_clock() < end || kills < 20; kills++) {
        weft_sleep((rand_r(&seed) % 5000) * 1e-6);
        unsigned worker = (unsigned)rand_r(&seed) % WORKERS;
        weft_time then = weft_clock();
        worker_dies(workers[worker]);
        slow += weft_clock() - then > SLOW;
        workers[worker] = worker_start((int)worker);
    }
    MUST(slow <= 1 + kills / 100); /* on a busy machine it may be that nobody is let run */
    for (int i = 0; i < WORKERS; i++, kills++)
        worker_dies(workers[i]);
    return kills;
}

static void root_of_the_storm(void)
{
    MUST(weft_shared_limit(64 << 20) == 0);
    storm = weft_shared_new(struct storm);
    MUST(storm && (storm->map = weft_map_new()));
    weft_task *workers[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        workers[i] = worker_start(i);
    int64_t kills = storm_run(workers), added = 0;
    for (int i = 0; i < WORKERS; i++) {
        diary_check(i);
        added += weft_scalar_get(&storm->diaries[i].added);
    }
    weft_value sum = weft_none;
    MUST(weft_map_get(storm->map, "sum", &sum) == 0);
    printf("storm of maps: %lld killed, %lld increments, %lld of them not told\n", (long long)kills, (long long)weft_as_int(sum),
        (long long)(weft_as_int(sum) - added));
    fflush(stdout);
    MUST(weft_as_int(sum) >= added && weft_as_int(sum) <= added + kills);
    MUST(weft_scalar_get(&storm->wrong) == 0);
    struct wefti_blocks_census with, without;
    size_t size = weft_map_size(storm->map);
    wefti_blocks_count(&with);
    MUST(weft_map_free(storm->map) == 0);
    wefti_blocks_count(&without);
    MUST(with.committed - without.committed == size + 2);
    MUST(without.wrong == 0 && without.in_hand == 0 && without.chunks_taken == 0);
    MUST(without.committed < 200); /* lives, processes and the like: nothing that grows with the deaths */
}

START_TEST(nothing_is_lost_in_a_storm)
{
    NEEDS_PIDFDS;
    root_runs(root_of_the_storm);
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
    weft_array *array = weft_array_new('i', 4);
    MUST(map && array && weft_array_set_int(array, 3, 7) == 0 && weft_map_set(map, "k", weft_str("here")) == 0);
    for (int i = 0; i < 3; i++) {
        weft_value result;
        weft_task *task = weft_spawn(WEFT_PROCESS, reads, weft_ptr(map));
        MUST(task && weft_task_result(task, &result, WEFT_FOREVER) == 0 && strcmp(weft_as_str(result), "here") == 0);
        weft_drop(result);
        weft_task_free(task);
    }
    MUST(weft_map_contains(map, "k") == 1 && weft_array_get_int(array, 3) == 7);
    MUST(weft_map_free(map) == 0 && weft_array_free(array) == 0);
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
    tcase_add_test(tests, increments_of_four_processes_are_all_there);
    tcase_add_test(tests, readers_that_leave_leave_the_data);
}

int main(void)
{
    return fixture_main("storm_map", add);
}
