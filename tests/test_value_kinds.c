/* SPDX-License-Identifier: MIT */
/* The kinds that came with Python's data: bigint, set, frozenset, bytearray, numbers, object; errors with a type. */
#include <math.h>
#include <string.h>

#include "fixture.h"

static void assert_failed(weft_value value, int code)
{
    ck_assert(weft_is_error(value));
    ck_assert_int_eq(weft_error_code(value), code);
    ck_assert_int_eq(errno, code);
    errno = 0;
}

/* Takes the value. */
static void assert_repr(weft_value value, const char *expected)
{
    char text[512];
    ck_assert_uint_eq(weft_repr(value, text, sizeof(text)), strlen(expected));
    ck_assert_str_eq(text, expected);
    weft_drop(value);
}

/* 2^bits, or its negative. */
static weft_value power(unsigned bits, bool negative)
{
    unsigned char octets[WEFT_BIGINT_MOST] = {0};
    size_t length = bits / 8 + 2;
    octets[bits / 8] = (unsigned char)(1U << bits % 8);
    for (size_t i = bits / 8; negative && i < length; i++)
        octets[i] = (unsigned char)(i == bits / 8 ? 0x100 - (1U << bits % 8) : 0xff);
    return weft_int_n(octets, length);
}

START_TEST(integers_of_any_size)
{
    static const struct {
        const char *octets;
        size_t length;
        int64_t integer;
    } small[] = {{"", 0, 0}, {"\0\0\0\0\0\0\0\0\0\0", 10, 0}, {"\xff", 1, -1}, {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11, -1},
        {"\x80", 1, -128}, {"\x80\0", 2, 128}, {"\0\0\0\0\0\0\0\x80", 8, INT64_MIN},
        {"\xff\xff\xff\xff\xff\xff\xff\x7f\0\0", 10, INT64_MAX}};
    for (size_t i = 0; i < sizeof(small) / sizeof(*small); i++) {
        weft_value value = weft_int_n(small[i].octets, small[i].length);
        ck_assert_int_eq(weft_kind(value), WEFT_INT);
        ck_assert_int_eq(weft_as_int(value), small[i].integer);
    }
    weft_value big = power(63, false);
    ck_assert_int_eq(weft_kind(big), WEFT_BIGINT);
    ck_assert_uint_eq(weft_length(big), 9);
    ck_assert_mem_eq(weft_as_bytes(big), "\0\0\0\0\0\0\0\x80\0", 9);
    ck_assert(weft_as_bool(big));
    ck_assert_ptr_null(weft_as_str(big));
    weft_drop(big);
    unsigned char huge[WEFT_BIGINT_MOST + 1] = {0};
    huge[WEFT_BIGINT_MOST - 1] = 1;
    weft_value most = weft_int_n(huge, sizeof(huge));
    ck_assert_uint_eq(weft_length(most), WEFT_BIGINT_MOST);
    ck_assert_uint_eq(weft_repr(most, NULL, 0), 9862);
    weft_drop(most);
    huge[WEFT_BIGINT_MOST] = 1;
    assert_failed(weft_int_n(huge, sizeof(huge)), EOVERFLOW);
    assert_failed(weft_int_n(NULL, 1), EINVAL);
}
END_TEST

START_TEST(large_integers_are_printed_in_full)
{
    assert_repr(power(63, false), "9223372036854775808");
    assert_repr(power(64, true), "-18446744073709551616");
    assert_repr(power(100, false), "1267650600228229401496703205376");
    assert_repr(
        weft_int_n("\x00\x00\x00\x40\xea\xed\x74\x46\xd0\x9c\x2c\x9f\x0c", 13), "1000000000000000000000000000000"); /* groups of zeros */
}
END_TEST

START_TEST(large_integers_as_numbers)
{
    weft_value up = power(70, false), down = power(70, true), same = power(70, false), far = power(2000, false);
    errno = 0;
    ck_assert_double_eq(weft_as_float(up), 0x1p70);
    ck_assert_double_eq(weft_as_float(down), -0x1p70);
    ck_assert_int_eq(errno, 0);
    ck_assert_double_eq(weft_as_float(far), INFINITY);
    ck_assert_int_eq(errno, ERANGE);
    errno = 0;
    ck_assert_int_eq(weft_as_int(up), INT64_MAX);
    ck_assert_int_eq(errno, ERANGE);
    ck_assert_int_eq(weft_as_int(down), INT64_MIN);
    ck_assert(weft_equal(up, same) && !weft_equal(up, down) && !weft_equal(up, far));
    ck_assert(weft_equal(up, weft_float(0x1p70)) && weft_equal(weft_float(-0x1p70), down));
    ck_assert(!weft_equal(up, weft_float(0x1.0000000000001p70)) && !weft_equal(far, weft_float(INFINITY)) && !weft_equal(up, weft_int(0)));
    weft_drop(up), weft_drop(down), weft_drop(same), weft_drop(far);
    /* halfway between two floats: to the even one, unless anything lies below */
    unsigned char octets[12] = {0, 0, 0, 0, 0x08, 0, 0, 0, 0, 0, 0x01, 0}; /* 2^80 + 2^35: far below half */
    weft_value exact = weft_int_n(octets, sizeof(octets));
    ck_assert_double_eq(weft_as_float(exact), 0x1.0000000000080p80);
    weft_drop(exact);
    octets[4] = 0, octets[3] = 0x08; /* 2^80 + 2^27: half */
    weft_value half = weft_int_n(octets, sizeof(octets));
    ck_assert_double_eq(weft_as_float(half), 0x1p80);
    weft_drop(half);
    octets[0] = 1;
    weft_value more = weft_int_n(octets, sizeof(octets));
    ck_assert_double_eq(weft_as_float(more), 0x1.0000000000001p80);
    weft_drop(more);
}
END_TEST

START_TEST(numbers_that_are_equal_are_one_key)
{
    weft_value dict = weft_dict(), key = power(200, false), item = weft_none;
    ck_assert_int_eq(weft_dict_set(dict, weft_float(0x1p200), weft_int(1)), 0);
    ck_assert_int_eq(weft_dict_get(dict, key, &item), 0);
    ck_assert_int_eq(weft_dict_set(dict, key, weft_int(2)), 0);
    ck_assert_uint_eq(weft_length(dict), 1);
    ck_assert_int_eq(weft_dict_set(dict, power(200, true), weft_int(3)), 0);
    ck_assert_int_eq(weft_dict_get(dict, weft_float(-0x1p200), &item), 0);
    ck_assert_int_eq(weft_as_int(item), 3);
    weft_drop(dict);
}
END_TEST

START_TEST(sets_hold_each_once)
{
    weft_value set = weft_set(), item = weft_str("a");
    ck_assert(!weft_as_bool(set));
    ck_assert_int_eq(weft_set_add(set, weft_str("a")), 1);
    ck_assert_int_eq(weft_set_add(set, weft_int(1)), 1);
    ck_assert_int_eq(weft_set_add(set, weft_float(1)), 0);
    ck_assert_int_eq(weft_set_has(set, item), 1);
    ck_assert_int_eq(weft_set_has(set, weft_int(2)), 0);
    ck_assert_uint_eq(weft_length(set), 2);
    size_t at = 0;
    weft_value found;
    ck_assert(weft_set_next(set, &at, &found));
    ck_assert_str_eq(weft_as_str(found), "a");
    ck_assert(weft_set_next(set, &at, NULL));
    ck_assert(!weft_set_next(set, &at, &found));
    ck_assert_int_eq(weft_set_take(set, item), 0);
    ck_fails(weft_set_take(set, item), ENOENT);
    ck_assert_uint_eq(weft_length(set), 1);
    weft_value list = weft_list();
    ck_fails(weft_set_add(set, list), EINVAL);
    ck_fails(weft_set_add(list, weft_none), EINVAL);
    ck_fails(weft_set_has(list, weft_none), EINVAL);
    ck_fails(weft_set_take(list, weft_none), EINVAL);
    at = 0;
    ck_assert(!weft_set_next(list, &at, NULL) && errno == EINVAL);
    ck_assert(!weft_dict_next(set, &at, NULL, NULL) && errno == EINVAL);
    weft_value other = weft_keep(set);
    ck_fails(weft_set_add(set, weft_none), EBUSY);
    ck_fails(weft_set_take(set, weft_int(1)), EBUSY);
    weft_value copy = weft_copy(set);
    ck_assert_int_eq(weft_set_add(copy, weft_int(7)), 1);
    ck_assert(weft_equal(set, other) && !weft_equal(set, copy));
    weft_drop(other), weft_drop(set), weft_drop(copy), weft_drop(list), weft_drop(item);
}
END_TEST

static weft_value frozen(int from, int step, int count)
{
    weft_value items[10];
    for (int i = 0; i < count; i++)
        items[i] = weft_int(from + i * step);
    return weft_frozenset(items, (size_t)count);
}

START_TEST(frozensets_are_keys)
{
    weft_value up = frozen(0, 1, 10), down = frozen(9, -1, 10), dict = weft_dict(), set = weft_set();
    ck_assert(weft_equal(up, down));
    for (int i = 0; i < 10; i++)
        weft_set_add(set, weft_int(i));
    ck_assert(weft_equal(up, set) && weft_equal(set, down));
    ck_assert_int_eq(weft_set_has(up, weft_float(3)), 1);
    ck_assert_int_eq(weft_dict_set(dict, weft_tuple(&up, 1), weft_int(1)), 0);
    weft_value key = weft_tuple(&down, 1);
    ck_assert_int_eq(weft_dict_get(dict, key, NULL), 0);
    ck_fails(weft_dict_get(dict, set, NULL), EINVAL);
    weft_drop(key), weft_drop(dict), weft_drop(set);
    weft_value twice[] = {weft_str("a"), weft_str("a")};
    weft_value once = weft_frozenset(twice, 2);
    ck_assert_uint_eq(weft_length(once), 1);
    ck_fails(weft_set_add(once, weft_none), EINVAL);
    weft_drop(once);
    weft_value list = weft_list();
    assert_failed(weft_frozenset(&list, 1), EINVAL);
    assert_failed(weft_frozenset(NULL, 1), EINVAL);
    weft_drop(list);
}
END_TEST

START_TEST(frozensets_within_each_other_have_a_limit)
{
    weft_value value = weft_frozenset(NULL, 0), same = weft_frozenset(NULL, 0);
    for (int i = 1; i < 8; i++) {
        value = weft_frozenset(&value, 1);
        same = weft_frozenset(&same, 1);
        ck_assert(weft_equal(value, same));
    }
    weft_drop(same);
    assert_failed(weft_frozenset(&value, 1), EINVAL);
    weft_value tuple = weft_tuple(&value, 1);
    assert_failed(weft_frozenset(&tuple, 1), EINVAL);
    weft_drop(tuple);
}
END_TEST

START_TEST(bytearrays_are_no_keys)
{
    weft_value array = weft_bytearray("ab", 2), octets = weft_bytes("ab", 2), dict = weft_dict();
    ck_assert(weft_equal(array, octets));
    ck_assert_uint_eq(weft_length(array), 2);
    ck_assert_mem_eq(weft_as_bytes(array), "ab", 2);
    ck_fails(weft_dict_set(dict, array, weft_none), EINVAL);
    assert_failed(weft_bytearray(NULL, 1), EINVAL);
    weft_drop(array), weft_drop(octets), weft_drop(dict);
}
END_TEST

START_TEST(numbers_lie_side_by_side)
{
    double reals[] = {0.5, -0.0, NAN};
    weft_value ints = weft_numbers('i', (int32_t[]){1, -2}, 2), longs = weft_numbers('q', (int64_t[]){1, -2}, 2);
    weft_value floats = weft_numbers('d', reals, 2), zero = weft_numbers('d', (double[]){0.5, 0.0}, 2), nan = weft_numbers('d', reals, 3);
    weft_value nan_too = weft_numbers('d', reals, 3), empty = weft_numbers('f', NULL, 0);
    ck_assert_int_eq(weft_numbers_type(ints), 'i');
    ck_assert_uint_eq(weft_length(ints), 2);
    ck_assert_uint_eq(weft_length(longs), 2);
    ck_assert_int_eq(((const int64_t *)weft_as_bytes(longs))[1], -2);
    ck_assert(!weft_equal(ints, longs) && weft_equal(floats, zero) && !weft_equal(nan, nan_too) && weft_equal(nan, nan));
    ck_assert(!weft_as_bool(empty) && weft_as_bool(ints));
    errno = 0;
    ck_assert_int_eq(weft_numbers_type(weft_int(1)), 0);
    ck_assert_int_eq(errno, EINVAL);
    assert_failed(weft_numbers('u', "", 0), EINVAL);
    assert_failed(weft_numbers('i', NULL, 1), EINVAL);
    assert_failed(weft_numbers('d', "", SIZE_MAX / 8), ENOMEM);
    weft_drop(ints), weft_drop(longs), weft_drop(floats), weft_drop(zero), weft_drop(nan), weft_drop(nan_too), weft_drop(empty);
}
END_TEST

START_TEST(objects_have_three_parts)
{
    weft_value arguments = weft_tuple((weft_value[]){weft_int(1), weft_none}, 2), state = weft_dict();
    weft_value object = weft_object("module.Class", arguments, state),
               same = weft_object("module.Class", weft_copy(weft_object_arguments(object)), weft_dict());
    ck_assert_str_eq(weft_object_name(object), "module.Class");
    ck_assert_uint_eq(weft_length(weft_object_arguments(object)), 2);
    ck_assert_int_eq(weft_kind(weft_object_state(object)), WEFT_DICT);
    ck_assert(weft_as_bool(object) && weft_equal(object, same));
    weft_value dict = weft_dict(), name = weft_object("Ellipsis", weft_none, weft_none),
               again = weft_object("Ellipsis", weft_none, weft_none);
    ck_fails(weft_dict_set(dict, object, weft_none), EINVAL); /* its state */
    ck_assert_int_eq(weft_dict_set(dict, name, weft_int(1)), 0);
    ck_assert_int_eq(weft_dict_get(dict, again, NULL), 0);
    ck_assert(!weft_equal(object, again));
    weft_drop(dict), weft_drop(again), weft_drop(object), weft_drop(same);
    errno = 0;
    ck_assert_ptr_null(weft_object_name(weft_none));
    ck_assert_int_eq(errno, EINVAL);
    ck_assert(weft_is_none(weft_object_state(weft_int(1))));
    ck_assert_uint_eq(weft_length(weft_none), 0);
    assert_failed(weft_object(NULL, weft_none, weft_none), EINVAL);
    assert_failed(weft_object("", weft_none, weft_none), EINVAL);
    assert_failed(weft_object("x", weft_int(1), weft_none), EINVAL);
    assert_failed(weft_object("x", weft_none, weft_error(EIO, NULL)), EINVAL);
}
END_TEST

START_TEST(errors_may_have_a_type)
{
    errno = EPERM;
    weft_value error = weft_error_of_type(ENOENT, "KeyError", "'%s'", "k"), same = weft_error_of_type(ENOENT, "KeyError", "'k'");
    weft_value plain = weft_error(ENOENT, "'k'"), bare = weft_error_of_type(EAGAIN, "queue.Empty", NULL);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_str_eq(weft_error_type(error), "KeyError");
    ck_assert_str_eq(weft_error_text(error), "'k'");
    ck_assert_ptr_null(weft_error_type(plain));
    ck_assert_str_eq(weft_error_type(bare), "queue.Empty");
    ck_assert_str_eq(weft_error_text(bare), "");
    ck_assert_int_eq(errno, EPERM);
    ck_assert_ptr_null(weft_error_type(weft_int(1)));
    ck_assert_int_eq(errno, EINVAL);
    ck_assert(weft_equal(error, same) && !weft_equal(error, plain));
    weft_drop(same), weft_drop(bare), weft_drop(plain);
    assert_repr(error, "<error ENOENT: KeyError: 'k'>");
}
END_TEST

START_TEST(references_lead_upwards)
{
    char text[100];
    weft_value list = weft_list(), other = weft_list(), copy, item;
    ck_assert_int_eq(weft_as_int(weft_above(3)), 3);
    ck_assert(weft_as_bool(weft_above(1)) && weft_equal(weft_above(1), weft_above(1)) && !weft_equal(weft_above(1), weft_above(2)) &&
              !weft_equal(weft_above(1), weft_int(1)));
    ck_assert_int_eq(weft_list_append(list, weft_int(7)), 0);
    ck_assert_int_eq(weft_list_append(list, weft_above(1)), 0);
    weft_value tuple = weft_tuple((weft_value[]){weft_int(8), weft_above(2)}, 2);
    ck_assert_int_eq(weft_list_append(list, weft_keep(tuple)), 0);
    weft_repr(list, text, sizeof(text));
    ck_assert_str_eq(text, "[7, [...], (8, [...])]");
    weft_repr(tuple, text, sizeof(text));
    ck_assert_str_eq(text, "(8, ...)");
    ck_fails(weft_set_add(other, weft_none), EINVAL);
    weft_value dict = weft_dict();
    ck_fails(weft_dict_set(dict, weft_above(1), weft_none), EINVAL);
    ck_fails(weft_dict_set(dict, tuple, weft_none), EINVAL);
    weft_drop(dict);
    /* what is taken out has the list in it; what a copy has of itself is the list */
    item = weft_unfold(list, weft_list_at(list, 1));
    ck_assert(weft_equal(item, list));
    weft_drop(item);
    item = weft_unfold(list, weft_list_at(list, 2));
    ck_assert(weft_equal(weft_list_at(item, 1), list));
    weft_drop(item);
    item = weft_unfold(list, weft_list_at(list, 0));
    ck_assert_int_eq(weft_as_int(item), 7);
    copy = weft_copy(list);
    weft_repr(copy, text, sizeof(text));
    ck_assert_str_eq(text, "[7, [7, [...], (8, [...])], (8, [7, [...], (8, [...])])]");
    ck_assert_int_eq(weft_list_append(copy, weft_none), 0);
    item = weft_unfold(weft_none, weft_above(1));
    ck_assert_int_eq(item.kind, WEFT_ABOVE);
    weft_drop(copy), weft_drop(list), weft_drop(other), weft_drop(tuple);
}
END_TEST

START_TEST(what_lies_outside_learns_of_references)
{
    char text[100];
    weft_value outer = weft_list(), copy;
    ck_assert_int_eq(weft_list_append(outer, weft_list()), 0);
    ck_assert_int_eq(weft_list_append(weft_list_at(outer, 0), weft_list()), 0);
    ck_assert_int_eq(weft_list_append(weft_list_at(weft_list_at(outer, 0), 0), weft_above(3)), 0); /* where it lies already */
    copy = weft_copy(outer);
    weft_repr(copy, text, sizeof(text));
    ck_assert_str_eq(text, "[[[[[[[...]]]]]]]");
    weft_drop(copy);
    /* a broken value beside it is left alone */
    ck_assert_int_eq(weft_list_append(outer, (weft_value){.kind = WEFT_LIST}), 0);
    copy = weft_copy(outer);
    ck_assert_int_eq((int)weft_length(copy), 2);
    ck_assert_int_eq(weft_unfold(outer, (weft_value){.kind = WEFT_DICT}).kind, WEFT_DICT);
    weft_drop(copy), weft_drop(outer);
}
END_TEST

/* Forty lists each of which holds the next twice; the innermost refers to the outermost. */
START_TEST(unfolding_goes_through_what_is_shared_once)
{
    enum { LISTS = 40 };
    weft_value outer = weft_tuple((weft_value[]){weft_above(LISTS)}, 1), item;
    for (int i = 0; i < LISTS - 1; i++) {
        weft_value pair = weft_tuple((weft_value[]){weft_keep(outer), outer}, 2);
        outer = pair;
    }
    item = weft_unfold(outer, weft_list_at(outer, 0));
    for (int i = 0; i < LISTS - 2; i++) {
        ck_assert(weft_list_at(item, 0).as.pointer != NULL);
        weft_value inner = weft_keep(weft_list_at(item, 1));
        weft_drop(item);
        item = inner;
    }
    ck_assert_int_eq(weft_list_at(item, 0).kind, WEFT_TUPLE);
    ck_assert_int_eq((int)weft_length(weft_list_at(item, 0)), 2);
    weft_drop(item), weft_drop(outer);
}
END_TEST

static weft_value pair_at(bool dict, weft_value pair, int which)
{
    weft_value item = weft_none;
    if (!dict)
        return weft_list_at(pair, which);
    ck_assert_int_eq(weft_dict_get_str(pair, which ? "second" : "first", &item), 0);
    return item;
}

static weft_value pair_of(bool dict, weft_value first, weft_value second)
{
    if (!dict)
        return weft_tuple((weft_value[]){first, second}, 2);
    weft_value pair = weft_dict();
    ck_assert_int_eq(weft_dict_set_str(pair, "first", first), 0);
    ck_assert_int_eq(weft_dict_set_str(pair, "second", second), 0);
    return pair;
}

/* Sixty of them, each of which holds the next twice. Where `copies` has the bit of its level, the next is there in two copies, which hold
 * the same. */
static weft_value shared_twice(weft_value inmost, bool dict, uint64_t copies)
{
    weft_value outer = inmost, other = weft_keep(inmost);
    for (int level = 0; level < 60; level++) {
        weft_value first = pair_of(dict, outer, other);
        other =
            copies >> level & 1 ? pair_of(dict, weft_keep(pair_at(dict, first, 0)), weft_keep(pair_at(dict, first, 1))) : weft_keep(first);
        outer = first;
    }
    weft_drop(other);
    return outer;
}

START_TEST(what_is_shared_is_compared_once)
{
    static const uint64_t copies[] = {0, UINT64_C(0x5555555555555555), UINT64_C(0xaaaaaaaaaaaaaaaa), UINT64_MAX};
    for (int i = 0; i < 32; i++) {
        bool dict = i & 16;
        weft_value one = shared_twice(weft_int(1), dict, copies[i & 3]), same = shared_twice(weft_float(1), dict, copies[i >> 2 & 3]);
        weft_value other = shared_twice(weft_int(2), dict, copies[i >> 2 & 3]);
        ck_assert(weft_equal(one, same) && weft_equal(same, one));
        ck_assert(!weft_equal(one, other) && !weft_equal(other, one));
        weft_drop(one), weft_drop(same), weft_drop(other);
    }
}
END_TEST

/* What was compared with several is the same as all of them, and what differs is found wherever it lies. */
START_TEST(a_difference_among_many_is_found)
{
    enum { MANY = 20000 };
    for (int where = -1; where < MANY; where = where < 0 ? 0 : 2 * where + 1) {
        weft_value lists[2] = {weft_list(), weft_list()}, item[2], shared[2];
        for (int i = 0; i < 2; i++)
            shared[i] = weft_tuple((weft_value[]){weft_int(5), weft_tuple((weft_value[]){weft_int(6)}, 1)}, 2);
        for (int i = 0; i < MANY; i++) {
            item[0] = weft_keep(shared[i % 2]);
            item[1] = i % 3 ? weft_keep(shared[1]) : weft_tuple((weft_value[]){weft_int(5), weft_tuple((weft_value[]){weft_int(6)}, 1)}, 2);
            if (i == where)
                weft_drop(item[1]), item[1] = weft_tuple((weft_value[]){weft_int(5), weft_tuple((weft_value[]){weft_int(7)}, 1)}, 2);
            ck_assert_int_eq(weft_list_append(lists[0], item[0]) | weft_list_append(lists[1], item[1]), 0);
        }
        ck_assert_int_eq(weft_equal(lists[0], lists[1]), where < 0);
        for (int i = 0; i < 2; i++)
            weft_drop(lists[i]), weft_drop(shared[i]);
    }
}
END_TEST

START_TEST(they_are_printed_as_python_prints_them)
{
    weft_value set = weft_set();
    weft_set_add(set, weft_int(1));
    assert_repr(weft_keep(set), "{1}");
    assert_repr(set, "{1}");
    assert_repr(weft_set(), "set()");
    assert_repr(weft_frozenset(NULL, 0), "frozenset()");
    assert_repr(frozen(1, 1, 2), "frozenset({1, 2})");
    assert_repr(weft_bytearray("a'\0", 3), "bytearray(b\"a'\\x00\")");
    assert_repr(weft_numbers('h', (int16_t[]){-1, 2}, 2), "array('h', [-1, 2])");
    assert_repr(weft_numbers('Q', (uint64_t[]){UINT64_MAX}, 1), "array('Q', [18446744073709551615])");
    assert_repr(weft_numbers('B', "\xff", 1), "array('B', [255])");
    assert_repr(weft_numbers('f', (float[]){1.5F, 0.1F}, 2), "array('f', [1.5, 0.10000000149011612])");
    assert_repr(weft_numbers('d', NULL, 0), "array('d')");
    assert_repr(weft_str("\xed\xb2\x80"), "'\\udc80'");
    assert_repr(weft_object("Ellipsis", weft_none, weft_none), "Ellipsis");
    assert_repr(weft_object("queue.Empty", weft_tuple(NULL, 0), weft_none), "Empty()");
    assert_repr(weft_object("KeyError", weft_tuple((weft_value[]){weft_str("k")}, 1), weft_none), "KeyError('k')");
    assert_repr(weft_object("complex", weft_tuple((weft_value[]){weft_float(1), weft_float(-2.5)}, 2), weft_none), "(1-2.5j)");
    assert_repr(weft_object("complex", weft_tuple((weft_value[]){weft_float(0), weft_float(1e20)}, 2), weft_none), "1e+20j");
    assert_repr(weft_object("complex", weft_tuple((weft_value[]){weft_float(-0.0), weft_float(NAN)}, 2), weft_none), "(-0+nanj)");
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, integers_of_any_size);
    tcase_add_test(tests, large_integers_are_printed_in_full);
    tcase_add_test(tests, large_integers_as_numbers);
    tcase_add_test(tests, numbers_that_are_equal_are_one_key);
    tcase_add_test(tests, sets_hold_each_once);
    tcase_add_test(tests, frozensets_are_keys);
    tcase_add_test(tests, frozensets_within_each_other_have_a_limit);
    tcase_add_test(tests, bytearrays_are_no_keys);
    tcase_add_test(tests, numbers_lie_side_by_side);
    tcase_add_test(tests, objects_have_three_parts);
    tcase_add_test(tests, errors_may_have_a_type);
    tcase_add_test(tests, references_lead_upwards);
    tcase_add_test(tests, what_lies_outside_learns_of_references);
    tcase_add_test(tests, unfolding_goes_through_what_is_shared_once);
    tcase_add_test(tests, what_is_shared_is_compared_once);
    tcase_add_test(tests, a_difference_among_many_is_found);
    tcase_add_test(tests, they_are_printed_as_python_prints_them);
}

int main(void)
{
    return fixture_main("value_kinds", add);
}
