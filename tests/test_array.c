/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

static void set_up(void)
{
    ck_assert_int_eq(weft_shared_limit(4 << 20), 0);
}

/* What each type can hold. */
static const struct type {
    char letter;
    size_t size;
    int64_t least, most;
} types[] = {
    {'c', 1, 0, UINT8_MAX},
    {'u', 4, 0, 0x10ffff},
    {'b', 1, INT8_MIN, INT8_MAX},
    {'B', 1, 0, UINT8_MAX},
    {'h', 2, INT16_MIN, INT16_MAX},
    {'H', 2, 0, UINT16_MAX},
    {'i', sizeof(int), INT_MIN, INT_MAX},
    {'I', sizeof(int), 0, UINT_MAX},
    {'l', sizeof(long), LONG_MIN, LONG_MAX},
    {'L', sizeof(long), 0, INT64_MAX},
    {'q', 8, INT64_MIN, INT64_MAX},
    {'Q', 8, 0, INT64_MAX},
};
enum { TYPES = sizeof(types) / sizeof(*types) };

START_TEST(integers_of_each_type)
{
    const struct type *type = &types[_i];
    weft_array *array = weft_array_new(type->letter, 5);
    ck_assert_ptr_nonnull(array);
    ck_assert(weft_is_shared(array));
    ck_assert_uint_eq(weft_array_length(array), 5);
    ck_assert_uint_eq(weft_array_item_size(array), type->size);
    ck_assert_int_eq(weft_array_type(array), type->letter);
    ck_assert_uint_eq((uintptr_t)weft_array_data(array) % 64, 0);
    for (ptrdiff_t i = -5; i < 5; i++)
        ck_assert_int_eq(weft_array_get_int(array, i), 0);
    ck_assert_int_eq(weft_array_set_int(array, 1, type->least), 0);
    ck_assert_int_eq(weft_array_set(array, -2, weft_int(type->most)), 0);
    ck_assert_int_eq(weft_array_get_int(array, -4), type->least);
    ck_assert_int_eq(weft_as_int(weft_array_get(array, 3)), type->most);
    ck_assert_double_eq(weft_array_get_float(array, 3), (double)type->most);
    if (type->most < INT64_MAX)
        ck_fails(weft_array_set_int(array, 3, type->most + 1), EOVERFLOW);
    if (type->least > INT64_MIN)
        ck_fails(weft_array_set_int(array, 1, type->least - 1), EOVERFLOW);
    ck_assert_int_eq(weft_array_get_int(array, 2), 0);
    ck_assert_int_eq(weft_array_set_float(array, 2, 3.0), 0);
    ck_assert_int_eq(weft_array_set(array, 4, weft_bool(true)), 0);
    ck_assert_int_eq(weft_array_get_int(array, 2), 3);
    ck_assert_int_eq(weft_array_get_int(array, 4), 1);
    ck_fails(weft_array_set_float(array, 2, 3.5), EINVAL);
    ck_fails(weft_array_set_float(array, 2, (double)NAN), EINVAL);
    ck_fails(weft_array_set_float(array, 2, 1e300), EOVERFLOW);
    ck_fails(weft_array_set(array, 2, weft_float(3)), EINVAL);
    ck_fails(weft_array_set(array, 2, weft_none), EINVAL);
    ck_assert_int_eq(weft_array_get_int(array, 2), 3);
    ck_assert_int_eq(weft_array_free(array), 0);
}
END_TEST

START_TEST(floats)
{
    weft_array *single = weft_array_new('f', 3), *both = weft_array_new('d', 3);
    ck_assert_int_eq(weft_array_set_float(single, 0, 1.5), 0);
    ck_assert_int_eq(weft_array_set(single, 1, weft_float(-0.25)), 0);
    ck_assert_int_eq(weft_array_set(single, 2, weft_int(7)), 0);
    ck_assert_double_eq(weft_as_float(weft_array_get(single, 1)), -0.25);
    ck_assert_double_eq(weft_array_get_float(single, 2), 7);
    ck_assert_int_eq(weft_array_get_int(single, 0), 1);
    ck_fails(weft_array_set_float(single, 0, 1e39), EOVERFLOW);
    ck_assert_int_eq(weft_array_set_float(single, 0, 3.4028234663852886e38), 0);
    ck_assert_int_eq(weft_array_set_float(single, 1, (double)-INFINITY), 0);
    ck_assert_double_eq(weft_array_get_float(single, 1), (double)-INFINITY);
    ck_assert_int_eq(weft_array_set_float(both, 0, 1e300), 0);
    ck_assert_int_eq(weft_array_set_float(both, 1, (double)NAN), 0);
    errno = 0;
    ck_assert_int_eq(weft_array_get_int(both, 0), INT64_MAX);
    ck_assert_int_eq(errno, EOVERFLOW);
    errno = 0;
    ck_assert_int_eq(weft_array_get_int(both, 1), 0);
    ck_assert_int_eq(errno, EOVERFLOW);
    ck_assert_int_eq(weft_array_set_int(both, 2, -1), 0);
    ck_assert_double_eq(weft_array_get_float(both, 2), -1);
    ck_assert_int_eq(weft_array_free(single), 0);
    ck_assert_int_eq(weft_array_free(both), 0);
}
END_TEST

START_TEST(what_is_beyond_an_int_is_told)
{
    weft_array *array = weft_array_new('Q', 1);
    *(uint64_t *)weft_array_data(array) = UINT64_MAX;
    errno = 0;
    ck_assert_int_eq(weft_array_get_int(array, 0), INT64_MAX);
    ck_assert_int_eq(errno, EOVERFLOW);
    errno = 0;
    ck_assert(weft_is_none(weft_array_get(array, 0)));
    ck_assert_int_eq(errno, EOVERFLOW);
    ck_assert_double_eq(weft_array_get_float(array, 0), 0x1p64);
    weft_value slice = weft_array_get_slice(array, 0, 1);
    ck_assert_int_eq(weft_error_code(slice), EOVERFLOW);
    ck_fails(weft_array_set_int(array, 0, -1), EOVERFLOW);
    ck_assert_int_eq(weft_array_free(array), 0);
}
END_TEST

START_TEST(places_outside_are_refused)
{
    weft_array *array = weft_array_new('h', 2);
    static const ptrdiff_t outside[] = {2, -3, PTRDIFF_MAX, PTRDIFF_MIN};
    for (int i = 0; i < 4; i++) {
        ck_fails(weft_array_set_int(array, outside[i], 1), ERANGE);
        ck_fails(weft_array_set_float(array, outside[i], 1.5), ERANGE);
        ck_fails(weft_array_set(array, outside[i], weft_int(1)), ERANGE);
        errno = 0;
        ck_assert(weft_array_get_int(array, outside[i]) == 0 && errno == ERANGE);
        errno = 0;
        ck_assert(weft_array_get_float(array, outside[i]) == 0 && errno == ERANGE);
        errno = 0;
        ck_assert(weft_is_none(weft_array_get(array, outside[i])) && errno == ERANGE);
    }
    ck_assert_int_eq(weft_array_free(array), 0);
}
END_TEST

START_TEST(what_cannot_be_an_array)
{
    char local[256] = {0};
    ck_fails_null(weft_array_new('x', 1), EINVAL);
    ck_fails_null(weft_array_new('\0', 1), EINVAL);
    ck_fails_null(weft_array_new('i', 0), EINVAL);
    ck_fails_null(weft_array_new('i', SIZE_MAX / 2), ENOMEM);
    ck_fails_null(weft_array_new('i', 2 << 20), ENOMEM);
    ck_assert_int_eq(weft_array_free(NULL), 0);
    ck_fails(weft_array_free((weft_array *)(void *)local), EINVAL);
    weft_array *array = weft_array_new('b', 100);
    ck_assert_int_eq(weft_array_free(array), 0);
    ck_fails(weft_array_free(array), EINVAL);
}
END_TEST

static weft_value list_of(int count, const int *items)
{
    weft_value list = weft_list();
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(weft_list_append(list, weft_int(items[i])), 0);
    return list;
}

static void slice_is(const weft_array *array, ptrdiff_t from, ptrdiff_t to, const char *expected)
{
    char text[100];
    weft_value slice = weft_array_get_slice(array, from, to);
    weft_repr(slice, text, sizeof(text));
    ck_assert_str_eq(text, expected);
    weft_drop(slice);
}

START_TEST(slices)
{
    weft_array *array = weft_array_new('b', 5);
    weft_value list = list_of(3, (int[]){1, -2, 3});
    ck_assert_int_eq(weft_array_set_slice(array, 1, list), 0);
    slice_is(array, 0, 5, "[0, 1, -2, 3, 0]");
    slice_is(array, -4, -1, "[1, -2, 3]");
    slice_is(array, -100, 100, "[0, 1, -2, 3, 0]");
    slice_is(array, 3, 1, "[]");
    slice_is(array, PTRDIFF_MIN, PTRDIFF_MAX, "[0, 1, -2, 3, 0]");
    ck_fails(weft_array_set_slice(array, 3, list), ERANGE);
    ck_fails(weft_array_set_slice(array, 6, list), ERANGE);
    ck_fails(weft_array_set_slice(array, -6, list), ERANGE);
    ck_assert_int_eq(weft_array_set_slice(array, -3, list), 0);
    slice_is(array, 0, 5, "[0, 1, 1, -2, 3]");
    weft_value wrong = list_of(3, (int[]){9, 9, 128}), none = weft_list();
    ck_fails(weft_array_set_slice(array, 0, wrong), EOVERFLOW);
    ck_assert_int_eq(weft_list_set(wrong, 2, weft_str("x")), 0);
    ck_fails(weft_array_set_slice(array, 0, wrong), EINVAL);
    ck_fails(weft_array_set_slice(array, 0, weft_int(1)), EINVAL);
    ck_assert_int_eq(weft_array_set_slice(array, 5, none), 0);
    slice_is(array, 0, 5, "[0, 1, 1, -2, 3]"); /* nothing half done */
    ck_assert_int_eq(weft_array_fill(array, weft_int(-1)), 0);
    ck_fails(weft_array_fill(array, weft_int(200)), EOVERFLOW);
    ck_fails(weft_array_fill(array, weft_float(1)), EINVAL);
    slice_is(array, 0, 5, "[-1, -1, -1, -1, -1]");
    weft_drop(list);
    weft_drop(wrong);
    weft_drop(none);
    ck_assert_int_eq(weft_array_free(array), 0);
}
END_TEST

START_TEST(characters)
{
    weft_array *array = weft_array_new('c', 6), *octets = weft_array_new('B', 6);
    weft_value text = weft_str("weft"), one = weft_bytes("!", 1), list = weft_list();
    ck_assert_int_eq(weft_array_set_slice(array, 0, text), 0);
    ck_assert_int_eq(weft_array_set(array, 4, one), 0);
    ck_fails(weft_array_set(array, 0, text), EINVAL);
    ck_assert_str_eq(weft_array_data(array), "weft!");
    ck_fails(weft_array_set_slice(octets, 0, text), EINVAL);
    ck_fails(weft_array_set(octets, 0, one), EINVAL);
    ck_assert_int_eq(weft_list_append(list, one), 0);
    ck_assert_int_eq(weft_array_set_slice(array, 0, list), 0);
    ck_assert_str_eq(weft_array_data(array), "!eft!");
    weft_drop(text);
    weft_drop(list);
    ck_assert_int_eq(weft_array_free(array), 0);
    ck_assert_int_eq(weft_array_free(octets), 0);
}
END_TEST

static weft_value increments(weft_value pointer)
{
    weft_array *array = weft_as_ptr(pointer);
    for (int i = 0; i < 5000; i++)
        weft_with (weft_array_lock(array))
            weft_with (weft_array_lock(array))
                weft_array_set_int(array, i % 3, weft_array_get_int(array, i % 3) + 1);
    return weft_none;
}

START_TEST(its_lock_keeps_changes_apart)
{
    weft_array *array = weft_array_new('i', 3);
    weft_task *tasks[3];
    for (int i = 0; i < 3; i++)
        tasks[i] = weft_spawn(WEFT_THREAD, increments, weft_ptr(array));
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(weft_task_join(tasks[i], WEFT_FOREVER), 0);
        weft_task_free(tasks[i]);
    }
    slice_is(array, 0, 3, "[5001, 5001, 4998]");
    ck_assert_int_eq(weft_array_free(array), 0);
}
END_TEST

/* A child of the host's own reads and writes, and cannot free. */
START_TEST(a_forked_child_leaves_the_array)
{
    weft_array *array = weft_array_new('i', 3);
    pid_t child = fork();
    if (child == 0) {
        bool refused = weft_array_free(array) == -1 && errno == ESTALE && !weft_array_new('i', 1) && errno == ESTALE;
        fixture_leave(refused && weft_array_set_int(array, 0, 7) == 0 ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(weft_array_get_int(array, 0), 7);
    ck_assert_int_eq(weft_array_free(array), 0);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_loop_test(tests, integers_of_each_type, 0, TYPES);
    tcase_add_test(tests, floats);
    tcase_add_test(tests, what_is_beyond_an_int_is_told);
    tcase_add_test(tests, places_outside_are_refused);
    tcase_add_test(tests, what_cannot_be_an_array);
    tcase_add_test(tests, slices);
    tcase_add_test(tests, characters);
    tcase_add_test(tests, its_lock_keeps_changes_apart);
    tcase_add_test(tests, a_forked_child_leaves_the_array);
}

int main(void)
{
    return fixture_main("array", add);
}
