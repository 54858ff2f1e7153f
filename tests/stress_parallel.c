/* SPDX-License-Identifier: MIT */
/* Loops side by side under many hands: every iteration once, none after the end, whatever fails, is cancelled or stands inside what. */
#include <string.h>

#include "fixture.h"
#include "many_hands.h"
#include "pool_tasks.h"

enum { COUNT = 200 };

static weft_pool *pool;

/* One loop: who is in it, and what was called. */
struct loop {
    uint32_t inside;
    uint32_t calls[COUNT];
    size_t fails_at;
};

static int one(size_t index, void *data)
{
    struct loop *loop = data;
    __atomic_add_fetch(&loop->inside, 1, __ATOMIC_ACQ_REL);
    loop->calls[index]++; /* not atomic: an iteration is run once, and what it writes is seen by the caller */
    int result = 0;
    if (index == loop->fails_at) {
        errno = ENOENT;
        result = -1;
    } else if ((loop->fails_at < COUNT || loop->fails_at % 4 == 0) && index % 16 == 0) {
        result = weft_sleep(0.0001);
    }
    __atomic_sub_fetch(&loop->inside, 1, __ATOMIC_ACQ_REL);
    return result;
}

static void loop_once(uint32_t *seed)
{
    struct loop loop = {.fails_at = draw(seed) % (4 * COUNT)};
    size_t count = draw(seed) % COUNT, chunk = draw(seed) % 9;
    int result = weft_parallel_for(count, one, &loop, .pool = pool, .chunk = chunk, .workers = draw(seed) % 4);
    bool fails = loop.fails_at < count;
    ck_assert_int_eq(result, fails ? -1 : 0);
    ck_assert(!fails || errno == ENOENT);
    ck_assert_uint_eq(__atomic_load_n(&loop.inside, __ATOMIC_ACQUIRE), 0);
    for (size_t i = 0; i < COUNT; i++)
        ck_assert(loop.calls[i] == (i < count) || (fails && loop.calls[i] == 0));
}

static weft_value loops(weft_value number)
{
    uint32_t seed = (uint32_t)weft_as_int(number);
    while (weft_clock() < end)
        loop_once(&seed);
    return weft_none;
}

START_TEST(each_iteration_is_run_once)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = 3, .backlog = 4);
    many_hands(loops);
    weft_pool_free(pool);
}
END_TEST

static int deeper(size_t index, void *levels)
{
    uint32_t below = *(uint32_t *)levels - 1;
    if (below == 0)
        return index > 100;
    if (index % 2 == 0 && weft_pool_apply(pool, twice, weft_int(1), NULL, WEFT_FOREVER) != 0)
        return -1;
    return weft_parallel_for(3, deeper, &below, .chunk = 1);
}

static weft_value loop_in_task(weft_value levels)
{
    uint32_t depth = (uint32_t)weft_as_int(levels);
    return weft_int(deeper(0, &depth));
}

static weft_value tasks_of_loops(weft_value unused)
{
    (void)unused;
    while (weft_clock() < end) {
        weft_future *futures[3];
        for (int i = 0; i < 3; i++)
            futures[i] = weft_pool_submit(pool, loop_in_task, weft_int(4));
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq((int)integer_of(futures[i]), 0);
    }
    return weft_none;
}

START_TEST(loops_inside_loops_and_tasks_end)
{
    for (unsigned workers = 1; workers <= 3; workers++) {
        pool = weft_pool_new(WEFT_THREAD, .workers = workers, .backlog = 5);
        many_hands(tasks_of_loops);
        weft_pool_free(pool);
    }
}
END_TEST

static int wait_for_cancel(size_t index, void *waiting)
{
    (void)index;
    __atomic_add_fetch((uint32_t *)waiting, 1, __ATOMIC_RELAXED);
    uint32_t word = 0;
    while (weft_wait(&word, 0, WEFT_FOREVER) == 0)
        continue;
    return -1;
}

static weft_value loop_of_waits(weft_value waiting)
{
    bool cancelled = weft_parallel_for(10, wait_for_cancel, weft_as_ptr(waiting), .pool = pool, .chunk = 1) == -1 && errno == ECANCELED;
    return cancelled ? weft_error(ECANCELED, NULL) : weft_none;
}

/* A task that must never see a cancel that was meant for another. */
static weft_value expect_none(weft_value unused)
{
    (void)unused;
    uint32_t word = 0;
    return weft_bool(!weft_cancelled() && weft_wait(&word, 0, weft_clock() + 1000) == -1 && errno == ETIMEDOUT);
}

static weft_value cancels(weft_value number)
{
    uint32_t seed = (uint32_t)weft_as_int(number), waiting = 0;
    while (weft_clock() < end) {
        weft_future *victim = weft_pool_submit(pool, loop_of_waits, weft_ptr(&waiting));
        for (uint32_t i = draw(&seed) % 2000; i > 0 && __atomic_load_n(&waiting, __ATOMIC_RELAXED) == 0; i--)
            weft_yield();
        weft_future_cancel(victim);
        ck_assert_int_eq(weft_future_result(victim, NULL, WEFT_FOREVER), 0);
        ck_assert_int_eq(weft_future_outcome(victim), WEFT_CANCELLED);
        weft_future_free(victim);
        ck_assert(integer_of(weft_pool_submit(pool, expect_none, weft_none)));
        waiting = 0;
    }
    return weft_none;
}

START_TEST(a_cancel_reaches_all_who_take_part_and_nobody_else)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = 3);
    many_hands(cancels);
    weft_pool_free(pool);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, each_iteration_is_run_once);
    tcase_add_test(tests, loops_inside_loops_and_tasks_end);
    tcase_add_test(tests, a_cancel_reaches_all_who_take_part_and_nobody_else);
}

int main(void)
{
    return fixture_main("parallel stress", add);
}
