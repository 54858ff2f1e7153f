/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of every call fails once, in turn: the call says ENOMEM, what was given stays the caller's, and what was there is as
 * before. (Only in builds that can make allocations fail: -Dsmall=true.)
 */
#include <string.h>

#include "base/memory.h"
#include "fixture.h"
#include "value/value.h"

/* From here the n-th allocation fails, until disarm, which says whether it came to that. */
static void arm(long n)
{
    errno = 0;
    weft_small_fail_after(n);
}

static bool disarm(long n)
{
    bool failed = weft_small_asked() >= n;
    weft_small_fail_after(0);
    return failed;
}

/* Makes an attempt with the first allocation failing, the second ... as long as it says that there was one that failed. */
static void fail_each(bool (*attempt)(long n))
{
    long n = 1;
    while (n < 1000 && attempt(n))
        n++;
    ck_assert_int_gt(n, 1);
    ck_assert_int_lt(n, 1000);
}

static bool assert_made(weft_value value, long n)
{
    bool failed = disarm(n);
    ck_assert_int_eq(weft_is_error(value), failed);
    ck_assert_int_eq(weft_error_code(value), failed ? ENOMEM : 0);
    ck_assert_int_eq(errno, failed ? ENOMEM : 0);
    weft_drop(value);
    return failed;
}

/* That a call's result is 0, or -1 with ENOMEM if an allocation failed. In checked builds some failures are got over. */
static bool assert_done(int result, bool failed)
{
    if (result != 0) {
        ck_assert_int_eq(result, -1);
        ck_assert_int_eq(errno, ENOMEM);
        ck_assert(failed);
    }
    return result == 0;
}

static bool make_str(long n)
{
    arm(n);
    return assert_made(weft_str("abc"), n);
}

static bool make_formatted(long n)
{
    arm(n);
    return assert_made(weft_str_f("%d", 12), n);
}

static bool make_bytes(long n)
{
    arm(n);
    return assert_made(weft_bytes("abc", 3), n);
}

static bool make_numbers(long n)
{
    arm(n);
    return assert_made(weft_numbers('i', (int32_t[]){1, 2}, 2), n);
}

static bool make_bigint(long n)
{
    arm(n);
    return assert_made(weft_int_n("0123456789", 10), n);
}

static bool make_set(long n)
{
    arm(n);
    return assert_made(weft_set(), n);
}

static bool make_list(long n)
{
    arm(n);
    return assert_made(weft_list(), n);
}

static bool make_dict(long n)
{
    arm(n);
    return assert_made(weft_dict(), n);
}

START_TEST(constructors_fail)
{
    fail_each(make_str);
    fail_each(make_formatted);
    fail_each(make_bytes);
    fail_each(make_numbers);
    fail_each(make_bigint);
    fail_each(make_set);
    fail_each(make_list);
    fail_each(make_dict);
}
END_TEST

static weft_value nested_tuple(weft_value innermost)
{
    for (int i = 0; i < 50; i++)
        innermost = weft_tuple(&innermost, 1);
    return innermost;
}

static bool make_error(long n)
{
    arm(n);
    weft_value error = weft_error(EIO, "told");
    bool failed = disarm(n);
    ck_assert_int_eq(errno, 0);
    ck_assert_int_eq(weft_error_code(error), EIO);
    ck_assert_str_eq(weft_error_text(error), failed ? "Input/output error" : "told");
    weft_drop(error);
    return failed;
}

START_TEST(errors_lose_their_text)
{
    fail_each(make_error);
}
END_TEST

static bool make_tuple(long n)
{
    weft_value items[] = {weft_str("a"), weft_list()};
    arm(n);
    weft_value tuple = weft_tuple(items, 2);
    bool failed = disarm(n);
    if (weft_is_error(tuple)) {
        ck_assert_int_eq(errno, ENOMEM);
        ck_assert_str_eq(weft_as_str(items[0]), "a");
        weft_drop(items[0]), weft_drop(items[1]);
    }
    weft_drop(tuple);
    return failed;
}

static bool make_frozenset(long n)
{
    weft_value items[] = {weft_str("a"), nested_tuple(weft_int(1)), weft_str("a"), weft_int(3)};
    arm(n);
    weft_value set = weft_frozenset(items, 4);
    bool failed = disarm(n);
    if (weft_is_error(set)) {
        ck_assert_int_eq(errno, ENOMEM);
        for (int i = 0; i < 4; i++)
            weft_drop(items[i]);
    } else {
        ck_assert_uint_eq(weft_length(set), 3);
    }
    weft_drop(set);
    return failed;
}

static bool make_object(long n)
{
    weft_value arguments = weft_tuple((weft_value[]){weft_str("a")}, 1), state = weft_dict();
    arm(n);
    weft_value object = weft_object("module.Class", arguments, state);
    bool failed = disarm(n);
    if (weft_is_error(object)) {
        ck_assert_int_eq(errno, ENOMEM);
        weft_drop(arguments), weft_drop(state);
    }
    weft_drop(object);
    return failed;
}

START_TEST(tuples_leave_their_items)
{
    fail_each(make_tuple);
    fail_each(make_frozenset);
    fail_each(make_object);
}
END_TEST

static bool append(long n)
{
    weft_value list = weft_list(), item = weft_str("a");
    arm(n);
    int result = weft_list_append(list, item);
    bool failed = disarm(n), done = assert_done(result, failed);
    ck_assert_uint_eq(weft_length(list), done);
    if (!done)
        weft_drop(item);
    weft_drop(list);
    return failed;
}

static bool insert(long n)
{
    weft_value list = weft_list(), item = weft_str("a");
    arm(n);
    int result = weft_list_insert(list, 0, item);
    bool failed = disarm(n), done = assert_done(result, failed);
    ck_assert_uint_eq(weft_length(list), done);
    if (!done)
        weft_drop(item);
    weft_drop(list);
    return failed;
}

START_TEST(lists_that_cannot_grow)
{
    fail_each(append);
    fail_each(insert);
}
END_TEST

/* A dict that has to grow for one more. */
static weft_value full_dict(void)
{
    weft_value dict = weft_dict();
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(weft_dict_set(dict, weft_int(i), weft_str_f("%d", i)), 0);
    return dict;
}

static void assert_dict(weft_value dict, bool done)
{
    weft_value item;
    ck_assert_uint_eq(weft_length(dict), done ? 6 : 5);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(weft_dict_get(dict, weft_int(i), &item), 0);
    ck_assert_str_eq(weft_as_str(item), "4");
    weft_drop(dict);
}

static bool set(long n)
{
    weft_value dict = full_dict(), key = weft_str("key"), item = weft_str("item");
    arm(n);
    int result = weft_dict_set(dict, key, item);
    bool failed = disarm(n), done = assert_done(result, failed);
    if (!done)
        weft_drop(key), weft_drop(item);
    assert_dict(dict, done);
    return failed;
}

static bool set_str(long n)
{
    weft_value dict = full_dict(), item = weft_str("item");
    arm(n);
    int result = weft_dict_set_str(dict, "key", item);
    bool failed = disarm(n), done = assert_done(result, failed);
    if (!done)
        weft_drop(item);
    assert_dict(dict, done);
    return failed;
}

START_TEST(dicts_that_cannot_grow)
{
    fail_each(set);
    fail_each(set_str);
}
END_TEST

static bool copy_and_drop(weft_value original, long n)
{
    arm(n);
    weft_value twin = weft_copy(original);
    bool failed = disarm(n);
    if (weft_is_error(twin))
        ck_assert_int_eq(weft_error_code(twin), ENOMEM);
    else
        ck_assert(weft_equal(original, twin));
    weft_drop(twin), weft_drop(original);
    return failed;
}

static bool copy_list(long n)
{
    weft_value list = weft_list();
    ck_assert_int_eq(weft_list_append(list, weft_str("a")), 0);
    return copy_and_drop(list, n);
}

static bool copy_dict(long n)
{
    return copy_and_drop(full_dict(), n);
}

START_TEST(copies_fail)
{
    fail_each(copy_list);
    fail_each(copy_dict);
}
END_TEST

/* In checked builds it would like memory for a record, and does without. */
START_TEST(keeping_never_fails)
{
    weft_value text = weft_str("a");
    arm(1);
    weft_value again = weft_keep(text);
    disarm(1);
    ck_assert_int_eq(errno, 0);
    weft_drop(text);
    ck_assert_str_eq(weft_as_str(again), "a");
    weft_drop(again);
}
END_TEST

static bool fill(long n)
{
    weft_value octets = weft_none;
    arm(n);
    char *first = wefti_bytes_resize(&octets, 3), *second = first ? wefti_bytes_resize(&octets, 1000) : NULL;
    bool failed = disarm(n);
    ck_assert_int_eq(second == NULL, failed);
    ck_assert_int_eq(errno, failed ? ENOMEM : 0);
    ck_assert_int_eq(weft_is_none(octets), first == NULL);
    if (first)
        ck_assert_uint_eq(weft_length(octets), second ? 1000 : 3);
    weft_drop(octets);
    return failed;
}

START_TEST(bytes_that_cannot_grow)
{
    fail_each(fill);
}
END_TEST

static bool compare(long n)
{
    weft_value a = nested_tuple(weft_int(1)), b = nested_tuple(weft_float(1));
    arm(n);
    bool equal = weft_equal(a, b), failed = disarm(n);
    ck_assert_int_eq(equal, !failed);
    ck_assert_int_eq(errno, failed ? ENOMEM : 0);
    weft_drop(a), weft_drop(b);
    return failed;
}

static bool look_up(long n)
{
    weft_value dict = weft_dict(), key = nested_tuple(weft_int(1)), item = weft_none;
    ck_assert_int_eq(weft_dict_set(dict, nested_tuple(weft_bool(true)), weft_int(7)), 0);
    arm(n);
    int result = weft_dict_get(dict, key, &item);
    bool failed = disarm(n), done = assert_done(result, failed);
    ck_assert_int_eq(weft_is_none(item), !done);
    weft_drop(dict), weft_drop(key);
    return failed;
}

static bool take_out(long n)
{
    weft_value dict = weft_dict(), key = nested_tuple(weft_int(1));
    ck_assert_int_eq(weft_dict_set(dict, nested_tuple(weft_bool(true)), weft_int(7)), 0);
    arm(n);
    int result = weft_dict_pop(dict, key, NULL);
    bool failed = disarm(n), done = assert_done(result, failed);
    ck_assert_uint_eq(weft_length(dict), !done);
    weft_drop(dict), weft_drop(key);
    return failed;
}

static bool replace(long n)
{
    weft_value dict = weft_dict(), key = nested_tuple(weft_int(1)), item = weft_none;
    ck_assert_int_eq(weft_dict_set(dict, nested_tuple(weft_bool(true)), weft_int(7)), 0);
    arm(n);
    int result = weft_dict_set(dict, key, weft_int(8));
    bool failed = disarm(n), done = assert_done(result, failed);
    if (!done)
        weft_drop(key);
    size_t at = 0;
    ck_assert(weft_dict_next(dict, &at, NULL, &item));
    ck_assert_int_eq(weft_as_int(item), done ? 8 : 7);
    weft_drop(dict);
    return failed;
}

START_TEST(walks_that_cannot_grow)
{
    fail_each(compare);
    fail_each(look_up);
    fail_each(take_out);
    fail_each(replace);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, constructors_fail);
    tcase_add_test(tests, errors_lose_their_text);
    tcase_add_test(tests, tuples_leave_their_items);
    tcase_add_test(tests, lists_that_cannot_grow);
    tcase_add_test(tests, dicts_that_cannot_grow);
    tcase_add_test(tests, copies_fail);
    tcase_add_test(tests, keeping_never_fails);
    tcase_add_test(tests, bytes_that_cannot_grow);
    tcase_add_test(tests, walks_that_cannot_grow);
}

int main(void)
{
    return fixture_main("value_memory", add);
}
