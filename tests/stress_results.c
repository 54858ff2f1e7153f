/* SPDX-License-Identifier: MIT */
/* Iterators over results and over futures that end, under many hands: each result once, whatever is freed early or stands inside what. */
#include <stdlib.h>

#include "fixture.h"
#include "many_hands.h"
#include "pool_tasks.h"

enum { COUNT = 40 };

static weft_pool *pool;

static weft_value text_of(weft_value number)
{
    return weft_str_f("%d", (int)weft_as_int(number));
}

/* Takes all results, or some. */
static int64_t take(weft_results *results, size_t most)
{
    weft_value value;
    int64_t sum = 0;
    ck_assert_ptr_nonnull(results);
    for (size_t i = 0; i < most && weft_results_next(results, &value, WEFT_FOREVER) == 0; i++) {
        sum += strtol(weft_as_str(value), NULL, 10);
        weft_drop(value);
    }
    weft_results_free(results);
    return sum;
}

static void iterate(uint32_t *seed)
{
    weft_value items = integers(COUNT);
    size_t chunk = draw(seed) % 5, ahead = draw(seed) % 20, most = draw(seed) % 2 ? SIZE_MAX : draw(seed) % COUNT;
    weft_results *results = draw(seed) % 2 ? weft_pool_imap(pool, text_of, items, .chunk = chunk, .ahead = ahead)
                                           : weft_pool_imap_unordered(pool, text_of, items, .chunk = chunk, .ahead = ahead);
    int64_t sum = take(results, most);
    ck_assert(most < SIZE_MAX || sum == COUNT * (COUNT - 1) / 2);
    weft_drop(items);
}

static weft_value iterate_on(weft_value number)
{
    uint32_t seed = (uint32_t)weft_as_int(number);
    while (weft_clock() < end)
        iterate(&seed);
    return weft_none;
}

START_TEST(each_result_is_given_once)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        pool = weft_pool_new(WEFT_THREAD, .workers = workers, .backlog = 10);
        many_hands(iterate_on);
        weft_pool_free(pool);
    }
}
END_TEST

static weft_value iterate_inside(weft_value number)
{
    uint32_t seed = (uint32_t)weft_as_int(number);
    iterate(&seed);
    return weft_int(1);
}

static weft_value iterate_in_tasks(weft_value number)
{
    uint32_t seed = (uint32_t)weft_as_int(number);
    while (weft_clock() < end) {
        weft_future *futures[5];
        for (int i = 0; i < 5; i++)
            futures[i] = weft_pool_submit(pool, iterate_inside, weft_int(draw(&seed)));
        weft_completed *completed = weft_as_completed(futures, 5);
        size_t most = draw(&seed) % 8;
        for (size_t i = 0; i < most && weft_completed_next(completed, WEFT_FOREVER) >= 0; i++)
            continue;
        weft_completed_free(completed);
        for (int i = 0; i < 5; i++)
            ck_assert_int_eq(integer_of(futures[i]), 1);
    }
    return weft_none;
}

START_TEST(so_inside_of_tasks)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        pool = weft_pool_new(WEFT_THREAD, .workers = workers, .backlog = 10);
        many_hands(iterate_in_tasks);
        weft_pool_free(pool);
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, each_result_is_given_once);
    tcase_add_test(tests, so_inside_of_tasks);
}

int main(void)
{
    return fixture_main("results stress", add);
}
