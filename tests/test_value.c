/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <wchar.h>

#include "fixture.h"

/* Fails the test unless `value` is an error value of `code` and errno says the same. */
static void assert_failed(weft_value value, int code)
{
    ck_assert(weft_is_error(value));
    ck_assert_int_eq(weft_error_code(value), code);
    ck_assert_int_eq(errno, code);
    errno = 0;
}

/* Fails the test unless the last reader said EINVAL. */
static void assert_refused(void)
{
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
}

static void assert_repr(weft_value value, const char *expected)
{
    char text[512];
    weft_repr(value, text, sizeof text);
    ck_assert_str_eq(text, expected);
}

static weft_value list_of(int count)
{
    weft_value list = weft_list();
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(weft_list_append(list, weft_int(i)), 0);
    return list;
}

static weft_value pair(weft_value first, weft_value second)
{
    return weft_tuple((weft_value[]){first, second}, 2);
}

/* A value of each kind that needs no drop. */
static const weft_value scalars[] = {
    {0}, {.kind = WEFT_BOOL}, {.kind = WEFT_INT}, {.kind = WEFT_FLOAT}, {.kind = WEFT_PTR}, {.kind = WEFT_ERROR, .code = ENOENT}};
enum { SCALARS = sizeof scalars / sizeof *scalars };
/* What no call makes, but a program may hand in: kinds without their object, and no kind at all. */
static const weft_value broken[] = {{.kind = WEFT_STR}, {.kind = WEFT_BYTES}, {.kind = WEFT_LIST}, {.kind = WEFT_TUPLE},
    {.kind = WEFT_DICT}, {.kind = WEFT_BIGINT}, {.kind = WEFT_SET}, {.kind = WEFT_FROZENSET}, {.kind = WEFT_BYTEARRAY},
    {.kind = WEFT_NUMBERS}, {.kind = WEFT_OBJECT}, {.kind = 77, .as.integer = 1}};
enum { BROKEN = sizeof broken / sizeof *broken };

START_TEST(scalars_are_what_they_were_made_of)
{
    int here;
    ck_assert_int_eq(sizeof(weft_value), 16);
    ck_assert(weft_is_none(weft_none));
    ck_assert_int_eq(weft_kind(weft_none), WEFT_NONE);
    ck_assert_int_eq(weft_kind(weft_bool(true)), WEFT_BOOL);
    ck_assert_int_eq(weft_kind(weft_int(3)), WEFT_INT);
    ck_assert_int_eq(weft_as_int(weft_int(INT64_MIN)), INT64_MIN);
    ck_assert_int_eq(weft_as_int(weft_bool(true)), 1);
    ck_assert_double_eq(weft_as_float(weft_float(0.1)), 0.1);
    ck_assert_double_eq(weft_as_float(weft_int(-7)), -7);
    ck_assert_double_eq(weft_as_float(weft_bool(true)), 1);
    ck_assert_ptr_eq(weft_as_ptr(weft_ptr(&here)), &here);
    ck_assert(!weft_is_error(weft_int(0)) && !weft_is_none(weft_int(0)));
}
END_TEST

START_TEST(floats_become_integers_where_they_fit)
{
    errno = 0;
    ck_assert_int_eq(weft_as_int(weft_float(-2.9)), -2);
    ck_assert_int_eq(weft_as_int(weft_float(-0x1p63)), INT64_MIN);
    ck_assert_int_eq(errno, 0);
    static const struct {
        double real;
        int64_t integer;
    } outside[] = {{0x1p63, INT64_MAX}, {-0x1.0000000000001p63, INT64_MIN}, {INFINITY, INT64_MAX}, {-INFINITY, INT64_MIN}, {NAN, 0}};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        ck_assert_int_eq(weft_as_int(weft_float(outside[i].real)), outside[i].integer);
        ck_assert_int_eq(errno, ERANGE);
        errno = 0;
    }
}
END_TEST

START_TEST(truth_is_pythons)
{
    weft_value text = weft_str("0"), empty = weft_str(""), list = weft_list(), full = list_of(1), dict = weft_dict(),
               octets = weft_bytes("", 0);
    weft_value tuple = weft_tuple(NULL, 0);
    errno = 0;
    ck_assert(!weft_as_bool(weft_none) && !weft_as_bool(weft_bool(false)) && !weft_as_bool(weft_int(0)) && !weft_as_bool(weft_float(-0.0)));
    ck_assert(!weft_as_bool(weft_ptr(NULL)) && !weft_as_bool(empty) && !weft_as_bool(list) && !weft_as_bool(dict) && !weft_as_bool(octets));
    ck_assert(!weft_as_bool(tuple));
    ck_assert(
        weft_as_bool(weft_bool(true)) && weft_as_bool(weft_int(-1)) && weft_as_bool(weft_float(NAN)) && weft_as_bool(weft_ptr(&text)));
    ck_assert(weft_as_bool(text) && weft_as_bool(full) && weft_as_bool(weft_error(ENOENT, NULL)));
    ck_assert_int_eq(errno, 0);
    weft_value made[] = {text, empty, list, full, dict, octets, tuple};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        weft_drop(made[i]);
}
END_TEST

START_TEST(kinds_have_names)
{
    static const char *const names[] = {"none", "bool", "int", "float", "ptr", "str", "bytes", "list", "tuple", "dict", "error", "bigint",
        "set", "frozenset", "bytearray", "numbers", "object", "above", "unknown"};
    for (unsigned kind = 0; kind < sizeof names / sizeof *names; kind++)
        ck_assert_str_eq(weft_kind_name((enum weft_value_kind)kind), names[kind]);
    ck_assert_str_eq(weft_kind_name((enum weft_value_kind) - 1), "unknown");
}
END_TEST

START_TEST(texts_are_copied)
{
    char source[] = "abc";
    weft_value text = weft_str(source), octets = weft_bytes("a\0b", 3), zeros = weft_str_n("a\0b", 3),
               made = weft_str_f("%s-%d", source, 7);
    source[0] = 'x';
    errno = 0;
    ck_assert_str_eq(weft_as_str(text), "abc");
    ck_assert_mem_eq(weft_as_bytes(text), "abc", 4);
    ck_assert_uint_eq(weft_length(text), 3);
    ck_assert_uint_eq(weft_length(octets), 3);
    ck_assert_mem_eq(weft_as_bytes(octets), "a\0b", 4);
    ck_assert_uint_eq(weft_length(zeros), 3);
    ck_assert_mem_eq(weft_as_str(zeros), "a\0b", 4);
    ck_assert_str_eq(weft_as_str(made), "abc-7");
    ck_assert_int_eq(errno, 0);
    ck_assert_ptr_null(weft_as_str(octets));
    assert_refused();
    weft_drop(text), weft_drop(octets), weft_drop(zeros), weft_drop(made);
}
END_TEST

START_TEST(texts_of_nothing_are_empty_or_refused)
{
    weft_value none = weft_str_n(NULL, 0), octets = weft_bytes(NULL, 0);
    ck_assert_str_eq(weft_as_str(none), "");
    ck_assert_uint_eq(weft_length(octets), 0);
    weft_drop(none), weft_drop(octets);
    assert_failed(weft_str(NULL), EINVAL);
    assert_failed(weft_str_n(NULL, 1), EINVAL);
    assert_failed(weft_bytes(NULL, 1), EINVAL);
    assert_failed(weft_tuple(NULL, 1), EINVAL);
    const char *no_format = NULL;
    assert_failed(weft_str_f(no_format, 1), EINVAL);
    assert_failed(weft_str_n("", SIZE_MAX), ENOMEM);
    assert_failed(weft_bytes("", PTRDIFF_MAX - 1), ENOMEM);
    assert_failed(weft_tuple(scalars, SIZE_MAX / 16), ENOMEM);
}
END_TEST

START_TEST(what_printf_refuses_is_an_error)
{
    static const wchar_t alpha[] = {0x3b1, 0}; /* is no character of the "C" locale */
    assert_failed(weft_str_f("%ls", alpha), EILSEQ);
    errno = EPERM;
    weft_value error = weft_error(ENOENT, "%ls", alpha);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_int_eq(weft_error_code(error), ENOENT);
    ck_assert_str_eq(weft_error_text(error), "No such file or directory");
    weft_drop(error);
}
END_TEST

START_TEST(errors_carry_code_and_text)
{
    errno = ENOTDIR;
    weft_value bare = weft_error(ENOENT, NULL), told = weft_error(EIO, "disk %d: %s", 3, "gone"), zero = weft_error(0, NULL);
    ck_assert_int_eq(weft_error_code(bare), ENOENT);
    ck_assert_str_eq(weft_error_text(bare), "No such file or directory");
    ck_assert_int_eq(weft_error_code(told), EIO);
    ck_assert_str_eq(weft_error_text(told), "disk 3: gone");
    ck_assert_int_eq(weft_error_code(zero), EINVAL);
    ck_assert_str_eq(weft_error_text(weft_error(123456, NULL)), "Unknown error");
    ck_assert_int_eq(weft_error_code(weft_int(5)), 0);
    ck_assert_int_eq(errno, ENOTDIR);
    ck_assert_ptr_null(weft_error_text(weft_int(5)));
    assert_refused();
    weft_drop(bare), weft_drop(told);
}
END_TEST

static void refuse_as_other_kinds(weft_value value)
{
    unsigned kind = value.kind;
    errno = 0;
    if (kind != WEFT_BOOL && kind != WEFT_INT && kind != WEFT_FLOAT) {
        ck_assert_int_eq(weft_as_int(value), 0);
        assert_refused();
        ck_assert_double_eq(weft_as_float(value), 0);
        assert_refused();
    }
    if (kind != WEFT_PTR) {
        ck_assert_ptr_null(weft_as_ptr(value));
        assert_refused();
    }
    ck_assert_ptr_null(weft_as_str(value));
    assert_refused();
    ck_assert_ptr_null(weft_as_bytes(value));
    assert_refused();
    ck_assert_uint_eq(weft_length(value), 0);
    assert_refused();
    ck_assert(weft_is_none(weft_list_at(value, 0)));
    assert_refused();
}

static void refuse_as_containers(weft_value value)
{
    weft_value item = weft_int(7), key = weft_int(8);
    size_t at = 0;
    ck_fails(weft_list_append(value, item), EINVAL);
    ck_fails(weft_list_insert(value, 0, item), EINVAL);
    ck_fails(weft_list_set(value, 0, item), EINVAL);
    ck_fails(weft_list_pop(value, 0, &item), EINVAL);
    ck_fails(weft_dict_set(value, key, item), EINVAL);
    ck_fails(weft_dict_get(value, key, &item), EINVAL);
    ck_fails(weft_dict_pop(value, key, &item), EINVAL);
    ck_fails(weft_dict_set_str(value, "a", item), EINVAL);
    ck_fails(weft_dict_get_str(value, "a", &item), EINVAL);
    ck_fails(weft_dict_pop_str(value, "a", &item), EINVAL);
    ck_assert(!weft_dict_next(value, &at, &key, &item));
    assert_refused();
    ck_assert_int_eq(weft_as_int(item), 7);
    ck_assert_int_eq(weft_as_int(key), 8);
}

START_TEST(other_kinds_are_refused)
{
    for (int i = 0; i < SCALARS; i++)
        refuse_as_other_kinds(scalars[i]), refuse_as_containers(scalars[i]);
    for (int i = 0; i < BROKEN; i++) {
        refuse_as_other_kinds(broken[i]), refuse_as_containers(broken[i]);
        ck_assert(!weft_as_bool(broken[i]));
        assert_refused();
    }
    weft_value text = weft_str("t"), tuple = weft_tuple(NULL, 0), list = weft_list(), dict = weft_dict();
    refuse_as_containers(text), refuse_as_containers(tuple);
    ck_fails(weft_list_append(dict, weft_none), EINVAL);
    ck_fails(weft_dict_set(list, weft_none, weft_none), EINVAL);
    weft_drop(text), weft_drop(tuple), weft_drop(list), weft_drop(dict);
}
END_TEST

START_TEST(broken_values_do_no_harm)
{
    for (int i = 0; i < BROKEN; i++) {
        weft_drop(weft_keep(broken[i]));
        weft_drop(weft_copy(broken[i]));
        assert_repr(broken[i], "<broken value>");
        weft_value list = weft_list(), dict = weft_dict();
        ck_assert_int_eq(weft_list_append(list, broken[i]), 0);
        ck_assert_int_eq(weft_dict_set_str(dict, "a", broken[i]), 0);
        ck_fails(weft_dict_set(dict, broken[i], weft_none), EINVAL);
        assert_repr(list, "[<broken value>]");
        weft_drop(list), weft_drop(dict);
        for (int j = 0; j < BROKEN; j++)
            ck_assert_int_eq(weft_equal(broken[i], broken[j]), i == j);
    }
}
END_TEST

START_TEST(lists_change)
{
    weft_value list = list_of(5), item = weft_none;
    ck_assert_int_eq(weft_list_insert(list, 0, weft_int(10)), 0);
    ck_assert_int_eq(weft_list_insert(list, 6, weft_int(11)), 0);
    ck_assert_int_eq(weft_list_insert(list, -1, weft_str("before the last")), 0);
    assert_repr(list, "[10, 0, 1, 2, 3, 4, 'before the last', 11]");
    ck_assert_int_eq(weft_list_set(list, -8, weft_str("first")), 0);
    ck_assert_int_eq(weft_list_set(list, 0, weft_str("replaced")), 0);
    ck_assert_int_eq(weft_list_pop(list, 2, &item), 0);
    ck_assert_int_eq(weft_as_int(item), 1);
    ck_assert_int_eq(weft_list_pop(list, -2, &item), 0);
    ck_assert_str_eq(weft_as_str(item), "before the last");
    weft_drop(item);
    ck_assert_int_eq(weft_list_pop(list, 0, NULL), 0);
    assert_repr(list, "[0, 2, 3, 4, 11]");
    ck_assert_uint_eq(weft_length(list), 5);
    weft_drop(list);
}
END_TEST

START_TEST(lists_have_ends)
{
    weft_value list = list_of(3), empty = weft_list(), item = weft_int(9);
    static const ptrdiff_t outside[] = {3, 4, -4, PTRDIFF_MAX, PTRDIFF_MIN};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        ck_assert(weft_is_none(weft_list_at(list, outside[i])));
        ck_assert_int_eq(errno, ERANGE);
        ck_fails(weft_list_set(list, outside[i], weft_none), ERANGE);
        ck_fails(weft_list_pop(list, outside[i], &item), ERANGE);
        if (outside[i] != 3)
            ck_fails(weft_list_insert(list, outside[i], weft_none), ERANGE);
    }
    ck_fails(weft_list_pop(empty, -1, &item), ERANGE);
    ck_fails(weft_list_pop(empty, 0, &item), ERANGE);
    ck_assert_int_eq(weft_list_insert(empty, 0, weft_int(1)), 0);
    ck_assert_int_eq(weft_as_int(item), 9);
    assert_repr(list, "[0, 1, 2]");
    weft_drop(list), weft_drop(empty);
}
END_TEST

START_TEST(tuples_take_their_items)
{
    weft_value items[] = {weft_str("a"), weft_int(2), list_of(1)};
    weft_value tuple = weft_tuple(items, 3), empty = weft_tuple(NULL, 0);
    ck_assert_uint_eq(weft_length(tuple), 3);
    ck_assert_str_eq(weft_as_str(weft_list_at(tuple, 0)), "a");
    ck_assert_int_eq(weft_as_int(weft_list_at(tuple, -2)), 2);
    ck_assert_uint_eq(weft_length(empty), 0);
    assert_repr(tuple, "('a', 2, [0])");
    weft_drop(tuple), weft_drop(empty);
}
END_TEST

START_TEST(dicts_hold_what_was_set)
{
    weft_value dict = weft_dict(), item = weft_none, octets = weft_bytes("a", 1), text = weft_str("a");
    ck_assert_int_eq(weft_dict_set_str(dict, "a", weft_str("old")), 0);
    ck_assert_int_eq(weft_dict_set(dict, octets, weft_int(2)), 0);
    ck_assert_int_eq(weft_dict_set(dict, weft_none, weft_int(3)), 0);
    ck_assert_int_eq(weft_dict_set(dict, pair(weft_int(1), weft_str("x")), weft_int(4)), 0);
    ck_assert_int_eq(weft_dict_set(dict, text, weft_int(5)), 0);
    assert_repr(dict, "{'a': 5, b'a': 2, None: 3, (1, 'x'): 4}");
    ck_assert_int_eq(weft_dict_get_str(dict, "a", &item), 0);
    ck_assert_int_eq(weft_as_int(item), 5);
    ck_assert_int_eq(weft_dict_get(dict, weft_none, NULL), 0);
    weft_value key = pair(weft_float(1), weft_str("x"));
    ck_assert_int_eq(weft_dict_get(dict, key, &item), 0);
    ck_assert_int_eq(weft_as_int(item), 4);
    ck_assert_int_eq(weft_dict_pop(dict, key, &item), 0);
    ck_fails(weft_dict_get(dict, key, &item), ENOENT);
    ck_fails(weft_dict_pop(dict, key, &item), ENOENT);
    ck_fails(weft_dict_get_str(dict, "b", &item), ENOENT);
    ck_fails(weft_dict_pop_str(dict, "b", &item), ENOENT);
    ck_assert_int_eq(weft_as_int(item), 4);
    ck_assert_uint_eq(weft_length(dict), 3);
    weft_drop(dict), weft_drop(key);
}
END_TEST

START_TEST(dict_items_can_be_taken_out)
{
    weft_value dict = weft_dict(), item = weft_none;
    ck_fails(weft_dict_pop_str(dict, "a", &item), ENOENT);
    ck_fails(weft_dict_get_str(dict, "a", &item), ENOENT);
    ck_assert_int_eq(weft_dict_set_str(dict, "a", weft_str("A")), 0);
    ck_assert_int_eq(weft_dict_set_str(dict, "b", weft_str("B")), 0);
    ck_assert_int_eq(weft_dict_pop_str(dict, "a", &item), 0);
    ck_assert_str_eq(weft_as_str(item), "A");
    weft_drop(item);
    ck_assert_int_eq(weft_dict_pop_str(dict, "b", NULL), 0);
    ck_assert_uint_eq(weft_length(dict), 0);
    ck_assert_int_eq(weft_dict_set_str(dict, "a", weft_int(1)), 0);
    assert_repr(dict, "{'a': 1}");
    weft_drop(dict);
}
END_TEST

START_TEST(equal_numbers_are_one_key)
{
    weft_value dict = weft_dict(), item;
    ck_assert_int_eq(weft_dict_set(dict, weft_int(1), weft_str("one")), 0);
    ck_assert_int_eq(weft_dict_set(dict, weft_float(1), weft_str("uno")), 0);
    ck_assert_int_eq(weft_dict_set(dict, weft_bool(true), weft_str("eins")), 0);
    ck_assert_int_eq(weft_dict_set(dict, weft_float(-0.0), weft_str("zero")), 0);
    ck_assert_int_eq(weft_dict_get(dict, weft_bool(false), &item), 0);
    ck_assert_str_eq(weft_as_str(item), "zero");
    assert_repr(dict, "{1: 'eins', -0.0: 'zero'}");
    ck_assert_int_eq(weft_dict_set(dict, weft_float(1.5), weft_none), 0);
    ck_assert_int_eq(weft_dict_set(dict, weft_float(1e300), weft_none), 0);
    ck_assert_int_eq(weft_dict_get(dict, weft_float(1e300), NULL), 0);
    ck_fails(weft_dict_get(dict, weft_float(1e301), NULL), ENOENT);
    ck_assert_int_eq(weft_dict_set(dict, weft_float(NAN), weft_none), 0);
    ck_fails(weft_dict_get(dict, weft_float(NAN), NULL), ENOENT);
    weft_drop(dict);
}
END_TEST

START_TEST(some_kinds_are_no_keys)
{
    weft_value dict = weft_dict(), list = weft_list(), kept = weft_keep(list), item = weft_int(1);
    weft_value keys[] = {list, dict, pair(weft_int(1), kept), weft_ptr(&dict), weft_error(EIO, NULL)};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        ck_fails(weft_dict_set(dict, keys[i], weft_none), EINVAL);
        ck_fails(weft_dict_get(dict, keys[i], &item), EINVAL);
        ck_fails(weft_dict_pop(dict, keys[i], &item), EINVAL);
    }
    ck_fails(weft_dict_set_str(dict, NULL, weft_none), EINVAL);
    ck_fails(weft_dict_get_str(dict, NULL, &item), EINVAL);
    ck_fails(weft_dict_pop_str(dict, NULL, &item), EINVAL);
    ck_assert_uint_eq(weft_length(dict), 0);
    weft_drop(dict), weft_drop(list), weft_drop(keys[2]);
}
END_TEST

/* Sets 0 to 20000, pops what divides by three, sets some of these again. */
static weft_value dict_with_history(void)
{
    weft_value dict = weft_dict();
    for (int i = 0; i < 20000; i++)
        ck_assert_int_eq(weft_dict_set(dict, weft_int(i), weft_int(i)), 0);
    for (int i = 0; i < 20000; i += 3)
        ck_assert_int_eq(weft_dict_pop(dict, weft_int(i), NULL), 0);
    for (int i = 0; i < 20000; i += 6)
        ck_assert_int_eq(weft_dict_set(dict, weft_int(i), weft_int(-i)), 0);
    return dict;
}

START_TEST(dicts_keep_order)
{
    weft_value dict = dict_with_history(), key, item;
    size_t at = 0;
    int count = 0;
    int64_t last = -1;
    while (weft_dict_next(dict, &at, &key, &item)) {
        bool again = weft_as_int(key) % 3 == 0;
        if (count == 13333)
            last = -1;
        ck_assert_int_eq(again, count >= 13333);
        ck_assert_int_gt(weft_as_int(key), last);
        ck_assert_int_eq(weft_as_int(item), again ? -weft_as_int(key) : weft_as_int(key));
        last = weft_as_int(key);
        count++;
    }
    ck_assert_int_eq(count, 16667);
    ck_assert_uint_eq(weft_length(dict), 16667);
    at = 0;
    ck_assert(weft_dict_next(dict, &at, NULL, NULL));
    ck_assert(!weft_dict_next(dict, NULL, &key, &item));
    for (int i = 0; i < 20000; i++)
        ck_assert_int_eq(weft_dict_get(dict, weft_int(i), NULL), i % 3 == 0 && i % 6 != 0 ? -1 : 0);
    weft_drop(dict);
}
END_TEST

/* A dict out of which all is always taken again never grows, and never searches for long: this would not end otherwise. */
START_TEST(dicts_may_turn_over)
{
    weft_value dict = weft_dict();
    for (int i = 0; i < 50000; i++) {
        ck_assert_int_eq(weft_dict_set(dict, weft_int(i), weft_none), 0);
        if (i >= 3)
            ck_assert_int_eq(weft_dict_pop(dict, weft_int(i - 3), NULL), 0);
    }
    assert_repr(dict, "{49997: None, 49998: None, 49999: None}");
    weft_drop(dict);
}
END_TEST

START_TEST(many_nans_are_no_burden)
{
    weft_value dict = weft_dict();
    for (int i = 0; i < 100000; i++)
        ck_assert_int_eq(weft_dict_set(dict, weft_float(NAN), weft_none), 0);
    ck_assert_uint_eq(weft_length(dict), 100000);
    weft_drop(dict);
}
END_TEST

START_TEST(equality_is_pythons)
{
    errno = 0;
    ck_assert(weft_equal(weft_int(1), weft_float(1)) && weft_equal(weft_float(1), weft_bool(true)) && weft_equal(weft_none, weft_none));
    ck_assert(
        weft_equal(weft_int(2), weft_int(2)) && !weft_equal(weft_int(2), weft_int(3)) && weft_equal(weft_float(0.0), weft_float(-0.0)));
    ck_assert(!weft_equal(weft_int(1), weft_none) && !weft_equal(weft_float(NAN), weft_float(NAN)));
    ck_assert(!weft_equal(weft_int(9007199254740993), weft_float(9007199254740992.0)));
    ck_assert(!weft_equal(weft_int(INT64_MAX), weft_float(0x1p63)) && weft_equal(weft_float(-0x1p63), weft_int(INT64_MIN)));
    ck_assert(!weft_equal(weft_int(1), weft_float(1.5)));
    ck_assert(weft_equal(weft_ptr(&errno), weft_ptr(&errno)) && !weft_equal(weft_ptr(&errno), weft_ptr(NULL)));
    weft_value a[] = {weft_str("a"), weft_bytes("a", 1), weft_str("b"), weft_str("aa"), list_of(2), pair(weft_int(0), weft_int(1)),
        list_of(3), weft_list(), weft_dict(), weft_error(EIO, "x"), weft_error(EIO, "y"), weft_error(EPERM, "x"), weft_error(EIO, NULL),
        pair(weft_int(0), weft_int(2))};
    weft_value b[] = {weft_str("a"), weft_bytes("a", 1), weft_str("b"), weft_str("aa"), list_of(2), pair(weft_int(0), weft_int(1)),
        list_of(3), weft_list(), weft_dict(), weft_error(EIO, "x"), weft_error(EIO, "y"), weft_error(EPERM, "x"), weft_error(EIO, NULL),
        pair(weft_int(0), weft_int(2))};
    size_t count = sizeof a / sizeof *a;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            ck_assert_int_eq(weft_equal(a[i], b[j]), i == j);
    for (size_t i = 0; i < count; i++)
        ck_assert(weft_equal(a[i], a[i])), weft_drop(a[i]), weft_drop(b[i]);
    ck_assert_int_eq(errno, 0);
}
END_TEST

static weft_value dict_of(const char *first, int64_t one, const char *second, int64_t two)
{
    weft_value dict = weft_dict();
    ck_assert_int_eq(weft_dict_set_str(dict, first, weft_int(one)), 0);
    ck_assert_int_eq(weft_dict_set_str(dict, second, weft_int(two)), 0);
    return dict;
}

START_TEST(dicts_are_equal_in_any_order)
{
    weft_value dicts[] = {dict_of("a", 1, "b", 2), dict_of("b", 2, "a", 1), dict_of("a", 1, "b", 3), dict_of("a", 1, "c", 2)};
    ck_assert(weft_equal(dicts[0], dicts[1]));
    ck_assert(!weft_equal(dicts[0], dicts[2]));
    ck_assert(!weft_equal(dicts[0], dicts[3]));
    ck_assert_int_eq(weft_dict_pop_str(dicts[1], "a", NULL), 0);
    ck_assert(!weft_equal(dicts[0], dicts[1]));
    ck_assert_int_eq(weft_dict_set_str(dicts[1], "a", weft_float(1)), 0);
    ck_assert(weft_equal(dicts[0], dicts[1]));
    for (int i = 0; i < 4; i++)
        weft_drop(dicts[i]);
}
END_TEST

START_TEST(kept_values_have_more_owners)
{
    weft_value list = list_of(2), again = weft_keep(list), item = weft_int(5), dict = weft_dict();
    ck_fails(weft_list_append(list, item), EBUSY);
    ck_fails(weft_list_append(again, item), EBUSY);
    ck_fails(weft_list_insert(list, 0, item), EBUSY);
    ck_fails(weft_list_set(list, 0, item), EBUSY);
    ck_fails(weft_list_pop(list, 0, &item), EBUSY);
    weft_drop(list);
    assert_repr(again, "[0, 1]");
    ck_assert_int_eq(weft_list_append(again, item), 0);
    weft_drop(again);
    ck_assert_int_eq(weft_dict_set_str(dict, "a", item), 0);
    again = weft_keep(dict);
    ck_fails(weft_dict_set_str(dict, "a", item), EBUSY);
    ck_fails(weft_dict_set(dict, weft_none, item), EBUSY);
    ck_fails(weft_dict_pop(dict, weft_none, &item), EBUSY);
    ck_fails(weft_dict_pop_str(dict, "a", &item), EBUSY);
    weft_drop(again);
    ck_assert_int_eq(weft_dict_pop_str(dict, "a", &item), 0);
    weft_drop(dict);
}
END_TEST

START_TEST(drops_keep_errno)
{
    errno = EXDEV;
    weft_value list = list_of(3), kept = weft_keep(list);
    weft_drop(weft_int(1)), weft_drop(weft_none), weft_drop(weft_error(EIO, NULL));
    weft_drop(list), weft_drop(kept);
    ck_assert_int_eq(errno, EXDEV);
}
END_TEST

START_TEST(copies_are_ones_own)
{
    weft_value list = list_of(2), inner = weft_list();
    ck_assert_int_eq(weft_list_append(list, inner), 0);
    weft_value kept = weft_keep(list), copy = weft_copy(list);
    ck_assert_int_eq(weft_list_append(copy, weft_int(9)), 0);
    assert_repr(copy, "[0, 1, [], 9]");
    assert_repr(list, "[0, 1, []]");
    weft_drop(list), weft_drop(kept), weft_drop(copy);
    weft_value dict = dict_with_history(), twin = weft_copy(dict), empty = weft_dict(), void_twin = weft_copy(empty);
    ck_assert(weft_equal(dict, twin));
    ck_assert_int_eq(weft_dict_set_str(twin, "new", weft_none), 0);
    ck_assert(!weft_equal(dict, twin) && weft_equal(empty, void_twin));
    ck_assert_int_eq(weft_dict_set_str(void_twin, "new", weft_none), 0);
    weft_drop(dict), weft_drop(twin), weft_drop(empty), weft_drop(void_twin);
    weft_value text = weft_str("t"), same = weft_copy(text);
    ck_assert_ptr_eq(weft_as_str(text), weft_as_str(same));
    weft_drop(text), weft_drop(same);
    ck_assert_int_eq(weft_as_int(weft_copy(weft_int(4))), 4);
}
END_TEST

START_TEST(borrowed_lists_change_in_place)
{
    weft_value dict = weft_dict(), list = weft_none, tuple;
    ck_assert_int_eq(weft_dict_set_str(dict, "a", weft_list()), 0);
    tuple = weft_tuple(&dict, 1);
    ck_assert_int_eq(weft_dict_get_str(weft_list_at(tuple, 0), "a", &list), 0);
    ck_assert_int_eq(weft_list_append(list, weft_int(1)), 0);
    weft_value kept = weft_keep(tuple);
    ck_fails(weft_list_append(list, weft_int(2)), EBUSY);
    ck_fails(weft_dict_set_str(weft_list_at(tuple, 0), "b", weft_none), EBUSY);
    weft_drop(kept);
    kept = weft_keep(weft_list_at(tuple, 0));
    ck_fails(weft_list_append(list, weft_int(2)), EBUSY);
    weft_drop(kept);
    ck_assert_int_eq(weft_list_append(list, weft_int(2)), 0);
    assert_repr(tuple, "({'a': [1, 2]},)");
    weft_drop(tuple);
}
END_TEST

START_TEST(lists_in_two_containers_are_shared)
{
    weft_value list = weft_list(), one = weft_list(), two = weft_list(), item;
    ck_assert_int_eq(weft_list_append(one, weft_keep(list)), 0);
    ck_assert_int_eq(weft_list_append(two, list), 0);
    ck_fails(weft_list_append(weft_list_at(one, 0), weft_none), EBUSY);
    weft_drop(one);
    ck_fails(weft_list_append(weft_list_at(two, 0), weft_none), EBUSY); /* it has forgotten where it lies, and errs on the safe side */
    ck_assert_int_eq(weft_list_pop(two, 0, &item), 0);
    ck_assert_int_eq(weft_list_append(item, weft_none), 0);
    ck_assert_int_eq(weft_list_append(two, item), 0);
    ck_assert_int_eq(weft_list_append(weft_list_at(two, 0), weft_none), 0);
    assert_repr(two, "[[None, None]]");
    weft_drop(two);
}
END_TEST

START_TEST(replaced_and_popped_containers_are_free_again)
{
    weft_value dict = weft_dict(), list = weft_list(), kept = weft_keep(list), item;
    ck_assert_int_eq(weft_dict_set_str(dict, "a", list), 0);
    ck_assert_int_eq(weft_dict_set_str(dict, "a", weft_list()), 0);
    ck_assert_int_eq(weft_list_append(kept, weft_int(1)), 0);
    ck_assert_int_eq(weft_dict_pop_str(dict, "a", &item), 0);
    weft_drop(dict);
    ck_assert_int_eq(weft_list_append(item, kept), 0);
    ck_assert_int_eq(weft_list_set(item, 0, weft_none), 0);
    assert_repr(item, "[None]");
    weft_drop(item);
}
END_TEST

START_TEST(nothing_lies_in_itself)
{
    weft_value outer = weft_list(), inner, dict = weft_dict();
    ck_assert_int_eq(weft_list_append(outer, weft_list()), 0);
    inner = weft_list_at(outer, 0);
    ck_fails(weft_list_append(outer, outer), EINVAL);
    ck_fails(weft_list_set(outer, 0, outer), EINVAL);
    ck_fails(weft_list_insert(outer, 0, outer), EINVAL);
    ck_fails(weft_list_append(inner, outer), EINVAL);
    ck_fails(weft_dict_set_str(dict, "a", dict), EINVAL);
    ck_fails(weft_dict_set(dict, weft_none, dict), EINVAL);
    assert_repr(outer, "[[]]");
    ck_assert_int_eq(weft_list_append(inner, dict), 0);
    ck_fails(weft_dict_set_str(weft_list_at(inner, 0), "up", outer), EINVAL);
    weft_drop(outer);
}
END_TEST

START_TEST(changes_reach_down_64_levels)
{
    weft_value outer = weft_list(), inner = outer;
    for (int depth = 1; depth < 64; depth++) {
        ck_assert_int_eq(weft_list_append(inner, weft_list()), 0);
        inner = weft_list_at(inner, 0);
    }
    ck_assert_int_eq(weft_list_append(inner, weft_list()), 0);
    ck_fails(weft_list_append(weft_list_at(inner, 0), weft_none), EBUSY);
    weft_drop(outer);
}
END_TEST

/* More levels than a stack of so many octets has room for. */
enum { LEVELS = 20000, STACK = 128 * 1024 };

static void run_on_small_stack(void *(*run)(void *unused))
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    ck_assert_int_eq(pthread_attr_setstacksize(&attributes, STACK), 0);
    ck_assert_int_eq(pthread_create(&thread, &attributes, run, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attributes);
}

static weft_value nested(weft_value innermost)
{
    for (int i = 0; i < LEVELS; i++) {
        weft_value outer = i % 2 ? weft_list() : weft_dict();
        ck_assert_int_eq(i % 2 ? weft_list_append(outer, innermost) : weft_dict_set(outer, weft_int(1), innermost), 0);
        innermost = outer;
    }
    return innermost;
}

static void *nest_containers(void *unused)
{
    weft_value a = nested(weft_int(1)), b = nested(weft_float(1)), c = nested(weft_int(2));
    char text[8];
    ck_assert(weft_equal(a, b));
    ck_assert(!weft_equal(a, c));
    ck_assert_uint_gt(weft_repr(a, text, sizeof text), 100);
    weft_drop(a), weft_drop(b), weft_drop(c);
    return unused;
}

START_TEST(nesting_takes_no_stack)
{
    run_on_small_stack(nest_containers);
}
END_TEST

static weft_value nested_tuples(weft_value innermost)
{
    for (int i = 0; i < LEVELS; i++)
        innermost = weft_tuple(&innermost, 1);
    return innermost;
}

static void *nest_keys(void *unused)
{
    weft_value key = nested_tuples(weft_int(1)), same = nested_tuples(weft_bool(true)), other = nested_tuples(weft_int(2));
    weft_value none = nested_tuples(weft_list()), dict = weft_dict();
    ck_assert_int_eq(weft_dict_set(dict, key, weft_int(7)), 0);
    ck_assert_int_eq(weft_dict_get(dict, same, NULL), 0);
    ck_fails(weft_dict_get(dict, other, NULL), ENOENT);
    ck_fails(weft_dict_get(dict, none, NULL), EINVAL);
    weft_drop(dict), weft_drop(same), weft_drop(other), weft_drop(none);
    return unused;
}

START_TEST(nested_keys_take_no_stack)
{
    run_on_small_stack(nest_keys);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, scalars_are_what_they_were_made_of);
    tcase_add_test(tests, floats_become_integers_where_they_fit);
    tcase_add_test(tests, truth_is_pythons);
    tcase_add_test(tests, kinds_have_names);
    tcase_add_test(tests, texts_are_copied);
    tcase_add_test(tests, texts_of_nothing_are_empty_or_refused);
    tcase_add_test(tests, what_printf_refuses_is_an_error);
    tcase_add_test(tests, errors_carry_code_and_text);
    tcase_add_test(tests, other_kinds_are_refused);
    tcase_add_test(tests, broken_values_do_no_harm);
    tcase_add_test(tests, lists_change);
    tcase_add_test(tests, lists_have_ends);
    tcase_add_test(tests, tuples_take_their_items);
    tcase_add_test(tests, dicts_hold_what_was_set);
    tcase_add_test(tests, dict_items_can_be_taken_out);
    tcase_add_test(tests, equal_numbers_are_one_key);
    tcase_add_test(tests, some_kinds_are_no_keys);
    tcase_add_test(tests, dicts_keep_order);
    tcase_add_test(tests, dicts_may_turn_over);
    tcase_add_test(tests, many_nans_are_no_burden);
    tcase_add_test(tests, equality_is_pythons);
    tcase_add_test(tests, dicts_are_equal_in_any_order);
    tcase_add_test(tests, kept_values_have_more_owners);
    tcase_add_test(tests, drops_keep_errno);
    tcase_add_test(tests, copies_are_ones_own);
    tcase_add_test(tests, borrowed_lists_change_in_place);
    tcase_add_test(tests, lists_in_two_containers_are_shared);
    tcase_add_test(tests, replaced_and_popped_containers_are_free_again);
    tcase_add_test(tests, nothing_lies_in_itself);
    tcase_add_test(tests, changes_reach_down_64_levels);
    tcase_add_test(tests, nesting_takes_no_stack);
    tcase_add_test(tests, nested_keys_take_no_stack);
}

int main(void)
{
    return fixture_main("value", add);
}
