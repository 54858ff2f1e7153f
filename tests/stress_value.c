/* SPDX-License-Identifier: MIT */
/*
 * Values shared by threads: kept and dropped from all sides, put into and taken out of containers of each thread's own, and changed as soon
 * as (and only when) nobody else can see them. ThreadSanitizer and AddressSanitizer judge; the counts at the end do too.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

enum { THREADS = 4, ROUNDS = 10000, PLACES = 8 };

/* Check notes each assertion in a file: too slow, and too orderly, for what all threads do all the time. */
static uint64_t failures;

static void must(bool holds)
{
    if (!holds)
        __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
}

static void run_threads(void *(*run)(void *data))
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_uint_eq(failures, 0);
}

static weft_value shared;

/* {'text': 'abc', 'list': [1, 2], 'tuple': ([],)} */
static weft_value shared_new(void)
{
    weft_value dict = weft_dict(), list = weft_list(), inner = weft_list();
    must(weft_list_append(list, weft_int(1)) == 0);
    must(weft_list_append(list, weft_int(2)) == 0);
    must(weft_dict_set_str(dict, "text", weft_str("abc")) == 0);
    must(weft_dict_set_str(dict, "list", list) == 0);
    must(weft_dict_set_str(dict, "tuple", weft_tuple(&inner, 1)) == 0);
    return dict;
}

/* Keeps something of what is shared in containers of its own, and lets go in any order. */
static void *hold_and_let_go(void *data)
{
    unsigned seed = (unsigned)(uintptr_t)data + 1;
    static const char *const names[] = {"text", "list", "tuple"};
    weft_value held[PLACES] = {{0}}, item;
    for (int i = 0; i < ROUNDS; i++) {
        int place = rand_r(&seed) % PLACES;
        weft_drop(held[place]);
        must(weft_dict_get_str(shared, names[rand_r(&seed) % 3], &item) == 0);
        item = weft_keep(item);
        held[place] = rand_r(&seed) % 2 ? weft_tuple(&item, 1) : weft_list();
        if (weft_kind(held[place]) == WEFT_LIST)
            must(weft_list_append(held[place], item) == 0);
        must(weft_dict_get_str(shared, "list", &item) == 0);
        must(weft_list_append(item, weft_none) == -1 && errno == EBUSY);
        must(weft_as_int(weft_list_at(item, 0)) == 1 && weft_length(item) == 2);
    }
    for (int i = 0; i < PLACES; i++)
        weft_drop(held[i]);
    return NULL;
}

START_TEST(shared_values_are_only_read)
{
    shared = shared_new();
    weft_value kept = weft_keep(shared), expected = shared_new(), list;
    run_threads(hold_and_let_go);
    ck_assert(weft_equal(shared, expected));
    weft_drop(kept), weft_drop(expected);
    ck_assert_int_eq(weft_dict_pop_str(shared, "list", &list), 0);
    ck_assert_int_eq(weft_list_append(list, weft_none), 0); /* nobody holds it any more */
    weft_drop(list), weft_drop(shared);
}
END_TEST

/* A slot for each thread: a hold that another gave it, or NULL. Given by exchange, which orders what was done before. */
static weft_value *slots[THREADS];
static uint64_t changes, refusals;

static void slot_give(unsigned to, weft_value value)
{
    weft_value *box = malloc(sizeof *box);
    must(box);
    *box = value;
    box = __atomic_exchange_n(&slots[to], box, __ATOMIC_ACQ_REL);
    if (box)
        weft_drop(*box);
    free(box);
}

static weft_value slot_take(unsigned from)
{
    weft_value *box = __atomic_exchange_n(&slots[from], NULL, __ATOMIC_ACQ_REL);
    if (!box)
        return shared_new();
    weft_value value = *box;
    free(box);
    return value;
}

/* Adds to the list in the dict as to one's own: when that is allowed nobody else may be reading it. */
static void change_inside(weft_value dict)
{
    weft_value list;
    must(weft_dict_get_str(dict, "list", &list) == 0);
    size_t length = weft_length(list);
    int64_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum += weft_as_int(weft_list_at(list, (ptrdiff_t)i));
    must(sum >= 3);
    if (weft_list_append(list, weft_int(1)) == 0)
        __atomic_fetch_add(&changes, 1, __ATOMIC_RELAXED);
    else
        __atomic_fetch_add(&refusals, 1, __ATOMIC_RELAXED);
}

/*
 * Takes a value, tries to change what is in it, and hands on the whole, a second hold of it, or only the inner list in a dict of its own.
 */
static void *pass_round(void *data)
{
    unsigned self = (unsigned)(uintptr_t)data, seed = self + 1;
    for (int i = 0; i < ROUNDS; i++) {
        weft_value dict = slot_take(self), list;
        change_inside(dict);
        int what = rand_r(&seed) % 8;
        if (what < 3) {
            slot_give((unsigned)rand_r(&seed) % THREADS, weft_keep(dict));
            change_inside(dict);
        } else if (what < 6) {
            weft_value own = weft_dict();
            must(weft_dict_get_str(dict, "list", &list) == 0);
            must(weft_dict_set_str(own, "list", weft_keep(list)) == 0);
            slot_give((unsigned)rand_r(&seed) % THREADS, own);
            change_inside(dict);
        } else if (what == 6) {
            slot_give((unsigned)rand_r(&seed) % THREADS, dict);
            continue;
        }
        weft_drop(dict);
    }
    return NULL;
}

START_TEST(what_others_see_is_never_changed)
{
    run_threads(pass_round);
    for (unsigned i = 0; i < THREADS; i++)
        if (slots[i])
            weft_drop(*slots[i]), free(slots[i]);
    ck_assert_uint_gt(changes, 0);
    ck_assert_uint_gt(refusals, 0);
}
END_TEST

/* A list in a list in a list ... that two threads hold: `mine` and `yours` are the two holds. */
enum { LEVELS = 60, MEETINGS = 5000 };

static struct {
    weft_value mine, yours, innermost;
    pthread_barrier_t begin, end;
} tower;

static void tower_build(void)
{
    tower.mine = tower.innermost = weft_list();
    for (int i = 1; i < LEVELS; i++) {
        must(weft_list_append(tower.innermost, weft_list()) == 0);
        tower.innermost = weft_list_at(tower.innermost, 0);
    }
    tower.yours = weft_keep(tower.mine);
}

/* Keeps the innermost, lets go of the tower, and reads: from the keep on nobody may change what it reads. */
static void *let_go_of_tower(void *unused)
{
    for (int i = 0; i < MEETINGS; i++) {
        pthread_barrier_wait(&tower.begin);
        weft_value kept = weft_keep(tower.innermost);
        weft_drop(tower.yours);
        size_t length = weft_length(kept);
        for (int look = 0; look < 50; look++)
            must(weft_length(kept) == length);
        weft_drop(kept);
        pthread_barrier_wait(&tower.end);
    }
    return unused;
}

/*
 * Tries to change the innermost meanwhile. On the way up from it the keep can be missed, and at the top the hold that was let go of: only
 * whoever looks again on the way down sees that somebody is there.
 */
START_TEST(what_was_missed_on_the_way_up_is_seen_on_the_way_down)
{
    pthread_t thread;
    pthread_barrier_init(&tower.begin, NULL, 2);
    pthread_barrier_init(&tower.end, NULL, 2);
    ck_assert_int_eq(pthread_create(&thread, NULL, let_go_of_tower, NULL), 0);
    for (int i = 0; i < MEETINGS; i++) {
        tower_build();
        pthread_barrier_wait(&tower.begin);
        for (int try = 0; try < 20; try++)
            must(weft_list_append(tower.innermost, weft_int(try)) == 0 || errno == EBUSY);
        pthread_barrier_wait(&tower.end);
        must(weft_list_append(tower.innermost, weft_none) == 0);
        weft_drop(tower.mine);
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(failures, 0);
}
END_TEST

/* Dicts in all threads at once, the first of the process: all must agree on the key that hashes are made with. */
static void *set_and_get(void *data)
{
    (void)data;
    weft_value dict = weft_dict();
    for (int i = 0; i < 1000; i++)
        must(weft_dict_set(dict, weft_int(i), weft_int(i)) == 0);
    for (int i = 0; i < 1000; i++)
        must(weft_dict_get(dict, weft_int(i), NULL) == 0);
    weft_drop(dict);
    return NULL;
}

START_TEST(the_hash_key_is_chosen_once)
{
    run_threads(set_and_get);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, shared_values_are_only_read);
    tcase_add_test(tests, what_others_see_is_never_changed);
    tcase_add_test(tests, what_was_missed_on_the_way_up_is_seen_on_the_way_down);
    tcase_add_test(tests, the_hash_key_is_chosen_once);
}

int main(void)
{
    return fixture_main("stress_value", add);
}
