/* SPDX-License-Identifier: MIT */
/* What the value floor offers to the floors above, and its hash. */
#include <math.h>
#include <string.h>

#include "fixture.h"
#include "value/object.h"

/* Next to the authors' first vector, and what CPython 3.11 (which uses the same function for bytes) gives with a key of zeros. */
START_TEST(the_hash_is_siphash)
{
    uint64_t words[2] = {0};
    ck_assert_uint_eq(wefti_hash_words(0x0706050403020100, 0x0f0e0d0c0b0a0908, words, 0), 0xabac0158050fc4dc);
    memcpy(words, "abcdefgh", 8);
    ck_assert_uint_eq(wefti_hash_words(0, 0, words, 1), 0x3f7b849c0b8e35ea);
    memcpy(words, "\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17", 16);
    ck_assert_uint_eq(wefti_hash_words(0, 0, words, 2), 0x8972188433a5c5b7);
}
END_TEST

static uint64_t hash_of(weft_value key)
{
    uint64_t hash = 0;
    ck_assert_int_eq(wefti_value_hash(key, &hash, &(uint8_t){0}), 0);
    weft_drop(key);
    return hash;
}

static weft_value pair(weft_value first, weft_value second)
{
    return weft_tuple((weft_value[]){first, second}, 2);
}

START_TEST(equal_keys_hash_alike)
{
    ck_assert_uint_eq(hash_of(weft_int(1)), hash_of(weft_float(1)));
    ck_assert_uint_eq(hash_of(weft_int(1)), hash_of(weft_bool(true)));
    ck_assert_uint_eq(hash_of(weft_float(-0.0)), hash_of(weft_int(0)));
    ck_assert_uint_eq(hash_of(weft_int(INT64_MIN)), hash_of(weft_float(-0x1p63)));
    ck_assert_uint_eq(hash_of(weft_str("text")), wefti_text_hash(WEFT_STR, "text", 4));
    ck_assert_uint_eq(hash_of(pair(weft_int(1), weft_none)), hash_of(pair(weft_float(1), weft_none)));
}
END_TEST

START_TEST(other_keys_hash_otherwise)
{
    uint64_t hashes[] = {hash_of(weft_none), hash_of(weft_int(0)), hash_of(weft_int(1)), hash_of(weft_float(0.5)), hash_of(weft_str("")),
        hash_of(weft_bytes("", 0)), hash_of(weft_str("a")), hash_of(weft_bytes("a", 1)), hash_of(weft_str_n("a\0", 2)),
        hash_of(weft_str("12345678")), hash_of(weft_str("123456789")), hash_of(weft_tuple(NULL, 0)),
        hash_of(pair(weft_int(1), weft_int(2))), hash_of(pair(weft_int(2), weft_int(1))),
        hash_of(pair(weft_int(1), pair(weft_int(2), weft_int(3)))), hash_of(pair(pair(weft_int(1), weft_int(2)), weft_int(3))),
        hash_of(weft_float(NAN)), hash_of(weft_float(NAN)), hash_of(weft_float(INFINITY))};
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        for (size_t j = 0; j < i; j++)
            ck_assert_uint_ne(hashes[i], hashes[j]);
}
END_TEST

START_TEST(a_take_changes_hands)
{
    weft_value text = weft_str("a"), taken = wefti_value_take(text);
    ck_assert_str_eq(weft_as_str(taken), "a");
    ck_assert_int_eq(weft_as_int(wefti_value_take(weft_int(7))), 7);
    weft_drop(taken);
}
END_TEST

START_TEST(bytes_are_filled_in_place)
{
    weft_value octets = weft_none;
    char *at = wefti_bytes_resize(&octets, 3);
    memcpy(at, "abc", 3);
    at = wefti_bytes_resize(&octets, 100000);
    ck_assert_mem_eq(at, "abc", 3);
    at[99999] = 'z';
    ck_assert_uint_eq(weft_length(octets), 100000);
    ck_assert_int_eq(((const char *)weft_as_bytes(octets))[100000], 0);
    ck_fails_null(wefti_bytes_resize(&octets, SIZE_MAX), ENOMEM);
    ck_assert_ptr_eq(wefti_bytes_resize(&octets, 2), weft_as_bytes(octets));
    ck_assert_mem_eq(weft_as_bytes(octets), "ab", 3);
    weft_drop(octets);
    octets = weft_none;
    ck_fails_null(wefti_bytes_resize(&octets, SIZE_MAX), ENOMEM);
    ck_assert(weft_is_none(octets));
}
END_TEST

START_TEST(a_count_does_not_wrap)
{
    weft_value text = weft_str("a");
    struct wefti_text *object = wefti_handle_object(text);
    object->head.count = WEFTI_COUNT_STUCK - 1;
    weft_value kept[] = {weft_keep(text), weft_keep(text), weft_keep(text)};
    ck_assert_uint_eq(object->head.count, WEFTI_COUNT_STUCK);
    for (int i = 0; i < 3; i++)
        weft_drop(kept[i]);
    ck_assert_uint_eq(object->head.count, WEFTI_COUNT_STUCK);
    object->head.count = 1;
    weft_drop(text);
}
END_TEST

START_TEST(containers_are_walked_item_by_item)
{
    weft_value dict = weft_dict(), list = weft_list(), item = weft_none, tuple;
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(weft_dict_set(dict, weft_int(i), weft_int(10 * i)), 0);
    ck_assert_int_eq(weft_dict_pop(dict, weft_int(0), NULL), 0);
    ck_assert_int_eq(weft_dict_pop(dict, weft_int(2), NULL), 0);
    static const int expected[] = {1, 10, 3, 30};
    size_t at = 0;
    for (size_t i = 0; i < 4; i++) {
        ck_assert(wefti_container_next(dict, &at, &item));
        ck_assert_int_eq(weft_as_int(item), expected[i]);
    }
    ck_assert(!wefti_container_next(dict, &at, &item));
    ck_assert_int_eq(weft_list_append(list, weft_int(5)), 0);
    tuple = weft_tuple(&list, 1);
    at = 0;
    ck_assert(wefti_container_next(tuple, &at, &item));
    ck_assert_int_eq(weft_kind(item), WEFT_LIST);
    ck_assert(!wefti_container_next(tuple, &at, &item));
    at = 0;
    ck_assert(wefti_container_next(item, &at, &item));
    ck_assert_int_eq(weft_as_int(item), 5);
    at = 0;
    ck_assert(!wefti_container_next(weft_int(1), &at, &item));
    ck_assert(!wefti_container_next((weft_value){.kind = WEFT_LIST}, &at, &item));
    weft_drop(dict), weft_drop(tuple);
}
END_TEST

START_TEST(walks_remember_the_way)
{
    struct wefti_walk walk;
    wefti_walk_begin(&walk);
    ck_assert_ptr_null(wefti_walk_top(&walk));
    for (int depth = 0; depth < 1000; depth++) {
        ck_assert_int_eq(wefti_walk_enter(&walk, weft_int(depth), weft_int(-depth)), 0);
        wefti_walk_top(&walk)->at += (size_t)depth;
    }
    for (int depth = 999; depth >= 500; depth--) {
        struct wefti_frame *top = wefti_walk_top(&walk);
        ck_assert_int_eq(weft_as_int(top->container), depth);
        ck_assert_int_eq(weft_as_int(top->partner), -depth);
        ck_assert_uint_eq(top->at, (size_t)depth);
        wefti_walk_leave(&walk);
    }
    wefti_walk_end(&walk);
    ck_assert_ptr_null(wefti_walk_top(&walk));
}
END_TEST

/* From the end, with what comes between: as a stack it is, and each time quick, whatever has gone before. */
START_TEST(the_last_pair_comes_out)
{
    enum { PAIRS = 20000 };
    weft_value dict = weft_dict(), key, item;
    ck_fails(wefti_dict_pop_last(dict, &key, &item), ENOENT);
    ck_fails(wefti_dict_pop_last(weft_none, &key, &item), EINVAL);
    for (int i = 0; i < PAIRS; i++)
        ck_assert_int_eq(weft_dict_set(dict, weft_int(i), weft_int(-i)), 0);
    for (int i = 0; i < PAIRS; i += 3)
        ck_assert_int_eq(weft_dict_pop(dict, weft_int(i), NULL), 0);
    for (int i = PAIRS - 1; i >= 0; i--) {
        ck_assert_int_eq(weft_dict_set(dict, weft_int(PAIRS), weft_none), 0);
        ck_assert_int_eq(wefti_dict_pop_last(dict, &key, &item), 0);
        ck_assert_int_eq(weft_as_int(key), PAIRS);
        if (i % 3 == 0)
            continue;
        ck_assert_int_eq(wefti_dict_pop_last(dict, &key, &item), 0);
        ck_assert_int_eq(weft_as_int(key), i);
        ck_assert_int_eq(weft_as_int(item), -i);
    }
    ck_fails(wefti_dict_pop_last(dict, &key, &item), ENOENT);
    ck_assert_uint_eq(weft_length(dict), 0);
    weft_drop(dict);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, the_hash_is_siphash);
    tcase_add_test(tests, equal_keys_hash_alike);
    tcase_add_test(tests, other_keys_hash_otherwise);
    tcase_add_test(tests, a_take_changes_hands);
    tcase_add_test(tests, bytes_are_filled_in_place);
    tcase_add_test(tests, a_count_does_not_wrap);
    tcase_add_test(tests, containers_are_walked_item_by_item);
    tcase_add_test(tests, walks_remember_the_way);
    tcase_add_test(tests, the_last_pair_comes_out);
}

int main(void)
{
    return fixture_main("value_inside", add);
}
