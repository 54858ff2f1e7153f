/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "shared/block.h"

static weft_map *map;
static struct wefti_blocks_census before;

static void census(struct wefti_blocks_census *found)
{
    wefti_blocks_count(found);
    ck_assert_uint_eq(found->wrong + found->chunks_taken + found->in_hand, 0);
}

/* The blocks that are there before a map is: what its caller's life takes is among them. */
static void set_up(void)
{
    ck_assert_int_eq(weft_shared_limit(4 << 20), 0);
    weft_lock *lock = weft_shared_new(weft_lock);
    ck_assert_int_eq(weft_lock_acquire(lock, WEFT_NOW), 0);
    ck_assert_int_eq(weft_lock_release(lock), 0);
    ck_assert_int_eq(weft_shared_free(lock), 0);
    census(&before);
    map = weft_map_new();
    ck_assert_ptr_nonnull(map);
}

/* Frees the map, and looks whether anything of it is left. */
static void gone(void)
{
    struct wefti_blocks_census after;
    ck_assert_int_eq(weft_map_free(map), 0);
    census(&after);
    ck_assert_uint_eq(after.committed, before.committed);
}

static void has(const char *key, const char *expected)
{
    char text[200];
    weft_value value;
    ck_assert_int_eq(weft_map_get(map, key, &value), 0);
    weft_repr(value, text, sizeof(text));
    weft_drop(value);
    ck_assert_str_eq(text, expected);
}

static void is(weft_value value, const char *expected)
{
    char text[400];
    weft_repr(value, text, sizeof(text));
    weft_drop(value);
    ck_assert_str_eq(text, expected);
}

START_TEST(values_of_each_kind)
{
    weft_value list = weft_list();
    ck_assert_int_eq(weft_list_append(list, weft_int(1)), 0);
    ck_assert_int_eq(weft_list_append(list, weft_str("two")), 0);
    ck_assert_int_eq(weft_map_set(map, "list", list), 0);
    ck_assert_int_eq(weft_map_set(map, "none", weft_none), 0);
    ck_assert_int_eq(weft_map_set(map, "bool", weft_bool(true)), 0);
    ck_assert_int_eq(weft_map_set(map, "int", weft_int(INT64_MIN)), 0);
    ck_assert_int_eq(weft_map_set(map, "float", weft_float(-1.5)), 0);
    ck_assert_int_eq(weft_map_set(map, "str", weft_str("")), 0);
    ck_assert_int_eq(weft_map_set(map, "bytes", weft_bytes("a\0b", 3)), 0);
    ck_assert_int_eq(weft_map_set(map, "error", weft_error(ENOENT, "no page")), 0);
    ck_assert_int_eq(weft_map_set(map, "", weft_ptr(map)), 0);
    has("list", "[1, 'two']");
    has("none", "None");
    has("bool", "True");
    has("int", "-9223372036854775808");
    has("float", "-1.5");
    has("str", "''");
    has("bytes", "b'a\\x00b'");
    has("error", "<error ENOENT: no page>");
    weft_value value;
    ck_assert_int_eq(weft_map_get(map, "", &value), 0);
    ck_assert_ptr_eq(weft_as_ptr(value), map);
    ck_assert_uint_eq(weft_map_size(map), 9);
    gone();
}
END_TEST

START_TEST(keys_are_set_again_and_taken_out)
{
    weft_value value = weft_int(77);
    ck_fails(weft_map_get(map, "a", &value), ENOENT);
    ck_fails(weft_map_pop(map, "a", &value), ENOENT);
    ck_assert_int_eq(weft_as_int(value), 77);
    ck_assert_int_eq(weft_map_contains(map, "a"), 0);
    ck_assert_int_eq(weft_map_set(map, "a", weft_int(1)), 0);
    ck_assert_int_eq(weft_map_set(map, "b", weft_str("text")), 0);
    ck_assert_int_eq(weft_map_set(map, "a", weft_int(2)), 0);
    has("a", "2");
    ck_assert_int_eq(weft_map_set(map, "a", weft_str("a longer text than fits a small block of memory, by far and wide")), 0);
    ck_assert_int_eq(weft_map_set(map, "a", weft_float(2)), 0);
    has("a", "2.0");
    ck_assert_uint_eq(weft_map_size(map), 2);
    is(weft_map_keys(map), "['a', 'b']");
    ck_assert_int_eq(weft_map_contains(map, "a"), 1);
    ck_assert_int_eq(weft_map_pop(map, "a", &value), 0);
    is(value, "2.0");
    ck_assert_int_eq(weft_map_contains(map, "a"), 0);
    ck_assert_int_eq(weft_map_set(map, "a", weft_none), 0);
    is(weft_map_items(map), "[('b', 'text'), ('a', None)]");
    ck_assert_int_eq(weft_map_pop(map, "b", NULL), 0);
    ck_assert_int_eq(weft_map_pop(map, "a", NULL), 0);
    ck_assert_uint_eq(weft_map_size(map), 0);
    is(weft_map_values(map), "[]");
    gone();
}
END_TEST

START_TEST(it_grows_and_shrinks)
{
    enum { COUNT = 3000 };
    char key[32];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            snprintf(key, sizeof(key), "key %d", i);
            ck_assert_int_eq(weft_map_set(map, key, i % 2 ? weft_int(i) : weft_str(key)), 0);
        }
        ck_assert_uint_eq(weft_map_size(map), COUNT);
        for (int i = 0; i < COUNT; i++) {
            weft_value value;
            snprintf(key, sizeof(key), "key %d", i);
            ck_assert_int_eq(weft_map_get(map, key, &value), 0);
            ck_assert(i % 2 ? weft_as_int(value) == i : strcmp(weft_as_str(value), key) == 0);
            weft_drop(value);
            if (i % 10)
                ck_assert_int_eq(weft_map_pop(map, key, NULL), 0);
        }
        ck_assert_uint_eq(weft_map_size(map), COUNT / 10);
    }
    ck_assert_int_eq(weft_map_clear(map), 0);
    ck_assert_uint_eq(weft_map_size(map), 0);
    ck_assert_int_eq(weft_map_set(map, "again", weft_int(1)), 0);
    has("again", "1");
    gone();
}
END_TEST

START_TEST(long_keys)
{
    static char key[WEFT_MAP_KEY_MOST + 2];
    memset(key, 'k', WEFT_MAP_KEY_MOST + 1);
    ck_fails(weft_map_set(map, key, weft_none), ENAMETOOLONG);
    ck_fails(weft_map_get(map, key, NULL), ENAMETOOLONG);
    for (int length = WEFT_MAP_KEY_MOST; length >= 0; length = length > 300 ? length - 6000 : length - 1) {
        key[length] = 0;
        ck_assert_int_eq(weft_map_set(map, key, weft_int(length)), 0);
    }
    memset(key, 'k', WEFT_MAP_KEY_MOST + 1);
    for (int length = WEFT_MAP_KEY_MOST; length >= 0; length = length > 300 ? length - 6000 : length - 1) {
        weft_value value;
        key[length] = 0;
        ck_assert_int_eq(weft_map_get(map, key, &value), 0);
        ck_assert_int_eq(weft_as_int(value), length);
    }
    gone();
}
END_TEST

START_TEST(numbers_are_added_to)
{
    int64_t sum = 5;
    ck_assert_int_eq(weft_map_add(map, "n", 3, &sum), 0);
    ck_assert_int_eq(sum, 3);
    ck_assert_int_eq(weft_map_add(map, "n", -10, NULL), 0);
    has("n", "-7");
    ck_fails(weft_map_add(map, "n", INT64_MIN, &sum), EOVERFLOW);
    ck_assert_int_eq(sum, 3);
    ck_assert_int_eq(weft_map_set(map, "s", weft_str("1")), 0);
    ck_fails(weft_map_add(map, "s", 1, &sum), EINVAL);
    has("s", "'1'");
    has("n", "-7");
    gone();
}
END_TEST

START_TEST(compare_and_set)
{
    weft_value text = weft_str("old"), next = weft_str("new");
    ck_fails(weft_map_compare_and_set(map, "k", weft_none, next), ENOENT);
    ck_assert_int_eq(weft_map_set(map, "k", weft_str("old")), 0);
    ck_assert_int_eq(weft_map_compare_and_set(map, "k", weft_none, next), 0);
    ck_assert_int_eq(weft_map_compare_and_set(map, "k", text, next), 1);
    ck_assert_int_eq(weft_map_compare_and_set(map, "k", text, weft_int(1)), 0);
    has("k", "'new'");
    weft_drop(text);
    ck_assert_int_eq(weft_map_set(map, "k", weft_int(1)), 0);
    ck_assert_int_eq(weft_map_compare_and_set(map, "k", weft_bool(true), weft_int(2)), 1);
    has("k", "2");
    gone();
}
END_TEST

START_TEST(defaults)
{
    weft_value there = weft_none, value = weft_str("first");
    ck_assert_int_eq(weft_map_setdefault(map, "k", value, &there), 1);
    ck_assert(weft_is_none(there));
    value = weft_str("second");
    ck_assert_int_eq(weft_map_setdefault(map, "k", value, &there), 0);
    is(there, "'first'");
    ck_assert_int_eq(weft_map_setdefault(map, "k", value, NULL), 0);
    weft_drop(value);
    has("k", "'first'");
    gone();
}
END_TEST

static weft_value appends(weft_value old, void *data)
{
    weft_value list = weft_is_none(old) ? weft_list() : weft_copy(old);
    ck_assert_int_eq(weft_list_append(list, weft_int(*(int *)data)), 0);
    return list;
}

static weft_value misbehaves(weft_value old, void *data)
{
    weft_value unused;
    ck_fails(weft_map_get(map, "k", &unused), EDEADLK);
    ck_fails(weft_map_set(map, "k", weft_none), EDEADLK);
    return *(bool *)data ? weft_error(EDOM, "not this") : weft_keep(old);
}

static weft_value points_into_the_stack(weft_value old, void *data)
{
    (void)old;
    return weft_ptr(data);
}

START_TEST(updates)
{
    weft_value now;
    int item = 1;
    bool fails = true;
    ck_assert_int_eq(weft_map_update(map, "k", appends, &item, NULL), 0);
    item = 2;
    ck_assert_int_eq(weft_map_update(map, "k", appends, &item, &now), 0);
    is(now, "[1, 2]");
    ck_fails(weft_map_update(map, "k", misbehaves, &fails, &now), EDOM);
    ck_fails(weft_map_update(map, "other", misbehaves, &fails, &now), EDOM);
    ck_fails(weft_map_update(map, "k", points_into_the_stack, &item, &now), EFAULT);
    ck_fails(weft_map_update(map, "k", NULL, NULL, NULL), EINVAL);
    ck_assert_int_eq(weft_map_contains(map, "other"), 0);
    fails = false;
    ck_assert_int_eq(weft_map_update(map, "k", misbehaves, &fails, NULL), 0);
    has("k", "[1, 2]");
    gone();
}
END_TEST

START_TEST(updates_from_a_dict)
{
    weft_value dict = weft_dict(), none = weft_dict();
    int local;
    ck_assert_int_eq(weft_map_set(map, "b", weft_int(0)), 0);
    for (char key[2] = "a"; key[0] < 'n'; key[0]++)
        ck_assert_int_eq(weft_dict_set_str(dict, key, key[0] % 2 ? weft_int(key[0]) : weft_str(key)), 0);
    ck_assert_int_eq(weft_map_update_from(map, dict), 0);
    ck_assert_int_eq(weft_map_update_from(map, none), 0);
    ck_assert_uint_eq(weft_map_size(map), 13);
    has("a", "97");
    has("b", "'b'");
    ck_assert_int_eq(weft_dict_set_str(dict, "a", weft_int(0)), 0);
    ck_assert_int_eq(weft_dict_set_str(dict, "z", weft_ptr(&local)), 0);
    ck_fails(weft_map_update_from(map, dict), EFAULT);
    ck_assert_int_eq(weft_dict_pop_str(dict, "z", NULL), 0);
    ck_assert_int_eq(weft_dict_set(dict, weft_int(1), weft_int(0)), 0);
    ck_fails(weft_map_update_from(map, dict), EINVAL);
    ck_assert_int_eq(weft_dict_pop(dict, weft_int(1), NULL), 0);
    ck_assert_int_eq(weft_dict_set(dict, weft_str_n("a\0b", 3), weft_int(0)), 0);
    ck_fails(weft_map_update_from(map, dict), EINVAL);
    ck_fails(weft_map_update_from(map, weft_int(0)), EINVAL);
    has("a", "97");
    weft_drop(dict);
    weft_drop(none);
    gone();
}
END_TEST

START_TEST(pointers_of_this_process_are_refused)
{
    int local;
    weft_value list = weft_list();
    ck_assert_int_eq(weft_map_set(map, "k", weft_int(1)), 0);
    ck_assert_int_eq(weft_list_append(list, weft_ptr(&local)), 0);
    ck_fails(weft_map_set(map, "k", weft_ptr(&local)), EFAULT);
    ck_fails(weft_map_set(map, "k", list), EFAULT);
    ck_fails(weft_map_setdefault(map, "new", list, NULL), EFAULT);
    ck_fails(weft_map_compare_and_set(map, "k", weft_int(1), list), EFAULT);
    weft_drop(list);
    ck_assert_int_eq(weft_map_set(map, "p", weft_ptr(NULL)), 0);
    has("k", "1");
    ck_assert_uint_eq(weft_map_size(map), 2);
    gone();
}
END_TEST

START_TEST(walks_that_survive_changes)
{
    uint64_t at = 0;
    weft_value key, value;
    char name[16], expected[16];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "%d", i);
        ck_assert_int_eq(weft_map_set(map, name, weft_int(i)), 0);
    }
    int met = 0;
    for (; weft_map_next(map, &at, &key, &value) > 0; met++) {
        snprintf(expected, sizeof(expected), "%d", met * 2);
        ck_assert_str_eq(weft_as_str(key), expected);
        ck_assert_int_eq(weft_as_int(value), met * 2);
        weft_drop(key);
        for (int i = 0; i < 2; i++) { /* this one and the next */
            snprintf(name, sizeof(name), "%d", met * 2 + i);
            ck_assert_int_eq(weft_map_pop(map, name, NULL), 0);
        }
        if (met < 50) { /* tables come and go */
            snprintf(name, sizeof(name), "%d", 100 + met);
            ck_assert_int_eq(weft_map_set(map, name, weft_int(100 + met)), 0);
        }
    }
    ck_assert_int_eq(met, 75);
    ck_assert_int_eq(weft_map_next(map, &at, NULL, NULL), 0);
    at = 0;
    ck_assert_int_eq(weft_map_set(map, "only", weft_str("one")), 0);
    ck_assert_int_eq(weft_map_next(map, &at, NULL, &value), 1);
    is(value, "'one'");
    gone();
}
END_TEST

START_TEST(what_is_no_map)
{
    weft_value value = weft_str("mine");
    weft_map *no[] = {NULL, (weft_map *)(void *)&value, weft_shared_alloc(1024)};
    for (int i = 0; i < 3; i++) {
        int64_t sum;
        uint64_t at = 0;
        weft_value dict = weft_dict(), got;
        ck_fails(weft_map_set(no[i], "k", value), EINVAL);
        ck_fails(weft_map_get(no[i], "k", &got), EINVAL);
        ck_fails(weft_map_pop(no[i], "k", NULL), EINVAL);
        ck_fails(weft_map_contains(no[i], "k"), EINVAL);
        ck_fails(weft_map_add(no[i], "k", 1, &sum), EINVAL);
        ck_fails(weft_map_compare_and_set(no[i], "k", value, value), EINVAL);
        ck_fails(weft_map_setdefault(no[i], "k", value, NULL), EINVAL);
        ck_fails(weft_map_update(no[i], "k", appends, NULL, NULL), EINVAL);
        ck_fails(weft_map_update_from(no[i], dict), EINVAL);
        ck_fails(weft_map_next(no[i], &at, NULL, NULL), EINVAL);
        ck_fails(weft_map_clear(no[i]), EINVAL);
        ck_assert_int_eq(weft_error_code(weft_map_keys(no[i])), EINVAL);
        ck_assert_int_eq(weft_error_code(weft_map_values(no[i])), EINVAL);
        ck_assert_int_eq(weft_error_code(weft_map_items(no[i])), EINVAL);
        errno = 0;
        ck_assert(weft_map_size(no[i]) == 0 && errno == EINVAL);
        weft_drop(dict);
    }
    ck_fails(weft_map_free(no[2]), EINVAL);
    ck_assert_int_eq(weft_map_free(NULL), 0);
    ck_fails(weft_map_set(map, NULL, value), EINVAL);
    ck_fails(weft_map_get(map, NULL, NULL), EINVAL);
    weft_drop(value);
    ck_assert_int_eq(weft_shared_free(no[2]), 0);
    weft_map *twice = map;
    gone();
    ck_fails(weft_map_free(twice), EINVAL);
}
END_TEST

START_TEST(a_full_arena_changes_nothing)
{
    char key[32];
    int count = 0, failed = 0;
    weft_value value = weft_bytes(memset((char[3000]){0}, 'x', 3000), 3000);
    while (!failed) {
        weft_value one = weft_keep(value);
        snprintf(key, sizeof(key), "%d", count);
        failed = weft_map_set(map, key, one);
        count += !failed;
        if (failed)
            weft_drop(one);
    }
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_int_eq(weft_map_contains(map, key), 0);
    ck_assert_uint_eq(weft_map_size(map), (size_t)count);
    ck_assert_int_gt(count, 800);
    ck_fails(weft_map_set(map, "0", value), ENOMEM);
    ck_assert_int_eq(weft_map_pop(map, "0", NULL), 0);
    ck_assert_int_eq(weft_map_set(map, "0", weft_keep(value)), 0);
    weft_drop(value);
    gone();
}
END_TEST

static weft_value works(weft_value pointer)
{
    char key[16];
    int64_t failed = 0;
    (void)pointer;
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "%d", i % 37);
        failed += weft_map_add(map, "sum", 1, NULL) != 0;
        failed += weft_map_set(map, key, i % 3 ? weft_int(i) : weft_str(key)) != 0;
        weft_map_pop(map, key, NULL);
    }
    return weft_int(failed);
}

START_TEST(threads_share_it)
{
    weft_task *tasks[4];
    for (int i = 0; i < 4; i++)
        tasks[i] = weft_spawn(WEFT_THREAD, works, weft_none);
    for (int i = 0; i < 4; i++) {
        weft_value failed;
        ck_assert_int_eq(weft_task_result(tasks[i], &failed, WEFT_FOREVER), 0);
        ck_assert_int_eq(weft_as_int(failed), 0);
        weft_task_free(tasks[i]);
    }
    has("sum", "12000");
    ck_assert_int_eq(weft_map_free(map), 0);
}
END_TEST

/* A child of the host's own is no member: it is refused, and its end harms nothing. */
START_TEST(a_forked_child_leaves_the_map)
{
    ck_assert_int_eq(weft_map_set(map, "k", weft_str("here")), 0);
    pid_t child = fork();
    if (child == 0) {
        weft_value value;
        bool refused =
            weft_map_get(map, "k", &value) == -1 && errno == ESTALE && weft_map_set(map, "k", weft_none) == -1 && errno == ESTALE;
        fixture_leave(refused && weft_map_free(map) == -1 && errno == ESTALE && !weft_map_new() ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    has("k", "'here'");
    gone();
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, values_of_each_kind);
    tcase_add_test(tests, keys_are_set_again_and_taken_out);
    tcase_add_test(tests, it_grows_and_shrinks);
    tcase_add_test(tests, long_keys);
    tcase_add_test(tests, numbers_are_added_to);
    tcase_add_test(tests, compare_and_set);
    tcase_add_test(tests, defaults);
    tcase_add_test(tests, updates);
    tcase_add_test(tests, updates_from_a_dict);
    tcase_add_test(tests, pointers_of_this_process_are_refused);
    tcase_add_test(tests, walks_that_survive_changes);
    tcase_add_test(tests, what_is_no_map);
    tcase_add_test(tests, a_full_arena_changes_nothing);
    tcase_add_test(tests, threads_share_it);
    tcase_add_test(tests, a_forked_child_leaves_the_map);
}

int main(void)
{
    return fixture_main("map", add);
}
