/* SPDX-License-Identifier: MIT */
/*
 * Timers that are made, cancelled, waited for and let go by several tasks at once, and groups whose members fail, are cancelled and spawn
 * others, left with deadlines at any moment. What was made is counted: each timer is called or cancelled, never both; no member is alive
 * when its group has been left.
 */
#include <stdlib.h>
#include <string.h>

#include "beside.h"
#include "wait/context.h"

#if FIXTURE_TSAN
enum { TASKS = 4, ROUNDS = 300, TIMERS = 8 };
#else
enum { TASKS = 4, ROUNDS = 1500, TIMERS = 8 };
#endif

static int64_t called, cancelled, made, alive;

static void count(int64_t *what, int64_t change)
{
    __atomic_add_fetch(what, change, __ATOMIC_ACQ_REL);
}

static int64_t look(const int64_t *what)
{
    return __atomic_load_n(what, __ATOMIC_ACQUIRE);
}

static int chance(unsigned *seed, int of)
{
    return rand_r(seed) % of;
}

static weft_value call(weft_value argument)
{
    count(&called, 1);
    return weft_as_int(argument) ? weft_none : weft_error(EIO, "now and then one fails");
}

static void timers_step(unsigned *seed)
{
    weft_timer *timers[TIMERS];
    for (int i = 0; i < TIMERS; i++) {
        timers[i] = weft_after(1e-6 * chance(seed, 200), call, weft_int(chance(seed, 50)));
        ck_assert_ptr_nonnull(timers[i]);
        count(&made, 1);
    }
    for (int i = 0; i < TIMERS; i++) {
        switch (chance(seed, 4)) {
        case 0:
            if (weft_timer_cancel(timers[i]) == 0)
                count(&cancelled, 1);
            break;
        case 1:
            ck_assert_int_eq(weft_timer_join(timers[i], WEFT_FOREVER), 0);
            break;
        case 2:
            weft_timer_wait(timers[i], NULL, weft_in(1e-6 * chance(seed, 100)));
            break;
        default: /* goes on by itself */
            break;
        }
        weft_timer_free(timers[i]);
    }
}

static weft_value use_timers(weft_value number)
{
    unsigned seed = (unsigned)weft_as_int(number);
    for (int i = 0; i < ROUNDS; i++)
        timers_step(&seed);
    return weft_int(0);
}

START_TEST(timers_under_stress)
{
    uint64_t ticks, all = 0;
    weft_task *tasks[TASKS];
    weft_timer *every = weft_every(2e-5, NULL, weft_none);
    for (int i = 0; i < TASKS; i++)
        tasks[i] = beside_with(use_timers, weft_int(i + 1));
    for (int i = 0; i < ROUNDS; i++) {
        ck_assert_int_eq(weft_timer_wait(every, &ticks, WEFT_FOREVER), 0);
        all += ticks;
    }
    for (int i = 0; i < TASKS; i++)
        ck_assert_int_eq(beside_end(tasks[i]), 0);
    ck_assert_int_eq(weft_timer_cancel(every), 0);
    ck_assert_int_eq(weft_timer_join(every, WEFT_FOREVER), 0);
    if (weft_timer_wait(every, &ticks, WEFT_NOW) == 0)
        all += ticks;
    ck_assert_uint_eq(all, weft_timer_count(every));
    weft_timer_free(every);
    ck_assert_int_eq(look(&made), (int64_t)TASKS * ROUNDS * TIMERS);
    fixture_until(look(&called) + look(&cancelled) == look(&made));
}
END_TEST

static weft_group *member_group;

/* Ends at once, waits, fails, or spawns another. */
static weft_value be_member(weft_value number)
{
    unsigned seed = (unsigned)weft_as_int(number);
    weft_value result = weft_none;
    switch (chance(&seed, 8)) {
    case 0:
        result = weft_error(EIO, "one of many");
        break;
    case 1:
        if (weft_group_spawn(member_group, BESIDE_KIND, be_member, weft_int(chance(&seed, 100000))) == 0)
            count(&alive, 1);
        break;
    case 2:
    case 3:
        if (weft_sleep(10) != 0)
            result = weft_error(errno, NULL);
        break;
    default:
        weft_yield();
        break;
    }
    count(&alive, -1);
    return result;
}

START_TEST(groups_under_stress)
{
    unsigned seed = 1;
    for (int round = 0; round < ROUNDS / 3; round++) {
        weft_value error = weft_none;
        weft_group *group = member_group = weft_group_new();
        for (int i = chance(&seed, 8); i >= 0; i--) {
            count(&alive, 1); /* before: it may end at once */
            if (weft_group_spawn(group, BESIDE_KIND, be_member, weft_int(chance(&seed, 100000))) != 0) {
                ck_assert_int_eq(errno, ECANCELED);
                count(&alive, -1);
            }
        }
        int failed = weft_group_join(group, &error, weft_in(1e-6 * chance(&seed, 500)));
        if (failed < 0)
            ck_assert_int_eq(errno, ETIMEDOUT);
        ck_assert_int_eq(failed > 0, weft_is_error(error));
        weft_drop(error);
        ck_assert_uint_eq(weft_group_alive(group), 0);
        ck_assert_int_eq(look(&alive), 0);
        weft_group_free(group);
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, timers_under_stress);
    tcase_add_test(tests, groups_under_stress);
}

int main(void)
{
    return fixture_main("stress_times", add);
}
