/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "fixture.h"
#include "value/flat.h"

static int known;

static bool is_known(const void *pointer)
{
    return pointer == &known;
}

/* The octets of a value: yours to free. */
static char *flat_of(weft_value value, size_t *length)
{
    ssize_t size = wefti_flat_write(value, NULL, 0, is_known);
    ck_assert_int_gt(size, 0);
    char *octets = malloc((size_t)size);
    ck_assert_int_eq(wefti_flat_write(value, octets, (size_t)size, is_known), size);
    *length = (size_t)size;
    return octets;
}

static weft_value through(weft_value value)
{
    size_t length;
    char *octets = flat_of(value, &length);
    weft_value again;
    ck_assert_int_eq(wefti_flat_read(octets, length, &again), 0);
    free(octets);
    return again;
}

static void comes_through(weft_value value)
{
    weft_value again = through(value);
    ck_assert_int_eq(again.kind, value.kind);
    ck_assert(weft_equal(value, again));
    weft_drop(again);
    weft_drop(value);
}

static weft_value everything(void)
{
    weft_value list = weft_list(), dict = weft_dict();
    weft_dict_set_str(dict, "none", weft_none);
    weft_dict_set(dict, weft_int(-7), weft_float(0.1));
    weft_dict_set(dict, weft_tuple((weft_value[]){weft_bool(true), weft_bytes("\0\1", 2)}, 2), weft_error(ENOENT, "no such page: %d", 7));
    weft_list_append(list, dict);
    weft_list_append(list, weft_ptr(&known));
    weft_list_append(list, weft_ptr(NULL));
    weft_list_append(list, weft_str_n("a\0b", 3));
    weft_list_append(list, weft_error(EPIPE, NULL));
    weft_list_append(list, weft_tuple(NULL, 0));
    weft_list_append(list, weft_list());
    weft_list_append(list, weft_dict());
    weft_list_append(list, weft_str(""));
    weft_list_append(list, weft_int_n("0123456789", 10));
    weft_list_append(list, weft_bytearray("ab", 2));
    weft_list_append(list, weft_numbers('h', (int16_t[]){-1, 2}, 2));
    weft_list_append(list, weft_error_of_type(ENOENT, "KeyError", "%s", "'k'"));
    weft_list_append(list, weft_object("slice", weft_tuple((weft_value[]){weft_int(1), weft_none, weft_none}, 3), weft_none));
    weft_list_append(list, weft_frozenset((weft_value[]){weft_int(1), weft_str("one")}, 2));
    weft_list_append(list, weft_above(1));
    weft_value set = weft_set();
    weft_set_add(set, weft_str("member"));
    weft_list_append(list, set);
    return list;
}

START_TEST(every_kind_comes_through)
{
    comes_through(weft_none);
    comes_through(weft_bool(false));
    comes_through(weft_int(INT64_MIN));
    comes_through(weft_float(-0.0));
    comes_through(weft_float(INFINITY));
    comes_through(weft_str("text"));
    comes_through(weft_error(EPERM, "not %s", "yours"));
    comes_through(weft_error(EPERM, NULL));
    comes_through(everything());
    weft_value nan = through(weft_float(NAN));
    ck_assert(isnan(weft_as_float(nan)));
}
END_TEST

START_TEST(a_dict_keeps_its_order)
{
    weft_value dict = weft_dict();
    for (int i = 0; i < 50; i++)
        weft_dict_set(dict, weft_int(i * 37 % 50), weft_int(i));
    weft_value again = through(dict), key, item;
    size_t at = 0;
    for (int i = 0; i < 50; i++) {
        ck_assert(weft_dict_next(again, &at, &key, &item));
        ck_assert_int_eq(weft_as_int(key), i * 37 % 50);
        ck_assert_int_eq(weft_as_int(item), i);
    }
    weft_drop(again);
    weft_drop(dict);
}
END_TEST

/* Each level holds the next twice: 2^60 lists, if they were not shared. */
START_TEST(what_is_held_twice_is_written_once)
{
    weft_value value = weft_tuple((weft_value[]){weft_str("deep")}, 1);
    for (int i = 0; i < 60; i++)
        value = weft_tuple((weft_value[]){weft_keep(value), value}, 2);
    ck_assert_int_lt(wefti_flat_write(value, NULL, 0, is_known), 2000);
    weft_value again = through(value), inner = again;
    for (int i = 0; i < 60; i++) {
        weft_value first = weft_list_at(inner, 0), second = weft_list_at(inner, 1);
        ck_assert_uint_eq(weft_length(inner), 2);
        ck_assert_uint_eq(weft_length(first), weft_length(second));
        inner = first;
    }
    ck_assert_str_eq(weft_as_str(weft_list_at(inner, 0)), "deep");
    weft_drop(again);
    weft_drop(value);
}
END_TEST

START_TEST(references_upwards_are_known_there)
{
    char text[40];
    weft_value list = weft_list(), outer = weft_list();
    weft_list_append(list, weft_above(2));
    weft_list_append(outer, list);
    weft_value again = through(outer), copy = weft_copy(again);
    weft_repr(copy, text, sizeof(text));
    ck_assert_str_eq(text, "[[[[[...]]]]]");
    weft_drop(outer), weft_drop(again), weft_drop(copy);
}
END_TEST

START_TEST(many_that_are_held_twice)
{
    weft_value texts = weft_list(), twice = weft_list();
    for (int i = 0; i < 500; i++) {
        weft_value text = weft_str_f("text %d", i);
        weft_list_append(twice, weft_keep(text));
        weft_list_append(texts, text);
    }
    weft_value both = weft_tuple((weft_value[]){texts, twice}, 2), again = through(both);
    ck_assert(weft_equal(both, again));
    for (int i = 0; i < 500; i++) /* one object: one address */
        ck_assert_ptr_eq(weft_as_str(weft_list_at(weft_list_at(again, 0), i)), weft_as_str(weft_list_at(weft_list_at(again, 1), i)));
    weft_drop(again);
    weft_drop(both);
}
END_TEST

static weft_value list_of(weft_value item)
{
    weft_value list = weft_list();
    weft_list_append(list, item);
    return list;
}

START_TEST(nesting_has_no_limit)
{
    weft_value value = weft_list();
    for (int i = 0; i < 20000; i++)
        value = i % 2 ? weft_tuple(&value, 1) : list_of(value);
    comes_through(value);
}
END_TEST

START_TEST(a_pointer_that_means_nothing_there_is_refused)
{
    weft_value list = weft_list();
    weft_list_append(list, weft_ptr(&list));
    ck_fails((int)wefti_flat_write(list, NULL, 0, is_known), EFAULT);
    weft_drop(list);
}
END_TEST

START_TEST(a_buffer_that_is_too_small_is_filled)
{
    char octets[4] = "....";
    weft_value text = weft_str("a text");
    ck_assert_int_eq(wefti_flat_write(text, octets, 3, is_known), 15);
    ck_assert_int_eq(octets[0], WEFT_STR);
    ck_assert_int_eq(octets[3], '.');
    weft_drop(text);
}
END_TEST

/* Whatever the octets are: a value, or EBADMSG. */
static void survives(const char *octets, size_t length)
{
    weft_value value;
    char *exact = malloc(length ? length : 1); /* AddressSanitizer sees a step beyond */
    memcpy(exact, octets, length);
    errno = 0;
    if (wefti_flat_read(exact, length, &value) == 0)
        weft_drop(value);
    else
        ck_assert_int_eq(errno, EBADMSG);
    free(exact);
}

START_TEST(what_is_no_flat_value_is_refused)
{
    weft_value value = everything();
    weft_value both = weft_tuple((weft_value[]){weft_keep(value), value}, 2);
    size_t length;
    char *octets = flat_of(both, &length);
    for (size_t cut = 0; cut < length; cut++) {
        weft_value unused;
        ck_fails(wefti_flat_read(octets, cut, &unused), EBADMSG);
        survives(octets, cut);
    }
    for (size_t at = 0; at < length; at++)
        for (int bit = 0; bit < 8; bit++) {
            octets[at] = (char)(octets[at] ^ 1 << bit);
            survives(octets, length);
            octets[at] = (char)(octets[at] ^ 1 << bit);
        }
    unsigned seed = 1;
    for (int round = 0; round < 20000; round++) {
        char noise[40];
        for (size_t i = 0; i < sizeof(noise); i++)
            noise[i] = (char)(rand_r(&seed) % (i % 9 == 0 ? 12 : 3));
        survives(noise, (size_t)rand_r(&seed) % sizeof(noise));
    }
    free(octets);
    weft_drop(both);
}
END_TEST

#ifdef WEFTI_SMALL
START_TEST(any_allocation_may_fail)
{
    weft_value value = everything();
    weft_value both = weft_tuple((weft_value[]){weft_keep(value), value}, 2);
    size_t length;
    char *octets = flat_of(both, &length);
    int failures = 0;
    for (long n = 1;; n++) {
        weft_value again;
        weft_small_fail_after(n);
        bool wrote = wefti_flat_write(both, NULL, 0, is_known) >= 0;
        bool read = wrote && wefti_flat_read(octets, length, &again) == 0;
        int error = errno;
        bool reached = weft_small_asked() >= n;
        weft_small_fail_after(0);
        if (read)
            weft_drop(again);
        else
            ck_assert_int_eq(error, ENOMEM);
        failures += !read;
        if (!reached)
            break;
    }
    ck_assert_int_gt(failures, 20);
    free(octets);
    weft_drop(both);
}
END_TEST
#endif

static void add(TCase *tests)
{
    tcase_add_test(tests, every_kind_comes_through);
    tcase_add_test(tests, a_dict_keeps_its_order);
    tcase_add_test(tests, what_is_held_twice_is_written_once);
    tcase_add_test(tests, references_upwards_are_known_there);
    tcase_add_test(tests, many_that_are_held_twice);
    tcase_add_test(tests, nesting_has_no_limit);
    tcase_add_test(tests, a_pointer_that_means_nothing_there_is_refused);
    tcase_add_test(tests, a_buffer_that_is_too_small_is_filled);
    tcase_add_test(tests, what_is_no_flat_value_is_refused);
#ifdef WEFTI_SMALL
    tcase_add_test(tests, any_allocation_may_fail);
#endif
}

int main(void)
{
    return fixture_main("flat", add);
}
