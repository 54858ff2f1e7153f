/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

START_TEST(integers)
{
    weft_scalar scalar = {0};
    ck_assert_int_eq(weft_scalar_get(&scalar), 0);
    weft_scalar_set(&scalar, -7);
    ck_assert_int_eq(weft_scalar_get(&scalar), -7);
    ck_assert_int_eq(weft_scalar_add(&scalar, 10), -7);
    ck_assert_int_eq(weft_scalar_swap(&scalar, INT64_MAX), 3);
    ck_assert_int_eq(weft_scalar_add(&scalar, 1), INT64_MAX);
    ck_assert_int_eq(weft_scalar_get(&scalar), INT64_MIN);
}
END_TEST

START_TEST(integers_compare)
{
    weft_scalar scalar = {0};
    ck_assert_int_eq(weft_scalar_max(&scalar, -1), 0);
    ck_assert_int_eq(weft_scalar_max(&scalar, 5), 0);
    ck_assert_int_eq(weft_scalar_min(&scalar, 6), 5);
    ck_assert_int_eq(weft_scalar_min(&scalar, -6), 5);
    int64_t expected = 5;
    ck_assert(!weft_scalar_compare_and_set(&scalar, &expected, 9));
    ck_assert_int_eq(expected, -6);
    ck_assert(weft_scalar_compare_and_set(&scalar, &expected, 9));
    ck_assert_int_eq(expected, -6);
    ck_assert_int_eq(weft_scalar_get(&scalar), 9);
}
END_TEST

START_TEST(floats)
{
    weft_scalar scalar = {0};
    ck_assert_double_eq(weft_scalar_get_float(&scalar), 0);
    weft_scalar_set_float(&scalar, 1.5);
    ck_assert_double_eq(weft_scalar_add_float(&scalar, -4), 1.5);
    ck_assert_double_eq(weft_scalar_swap_float(&scalar, -0.0), -2.5);
    ck_assert_double_eq(weft_scalar_max_float(&scalar, 2), 0);
    ck_assert_double_eq(weft_scalar_max_float(&scalar, 1), 2);
    ck_assert_double_eq(weft_scalar_min_float(&scalar, 1), 2);
    ck_assert_double_eq(weft_scalar_min_float(&scalar, (double)NAN), 1);
    ck_assert_double_eq(weft_scalar_max_float(&scalar, (double)NAN), 1);
    ck_assert_double_eq(weft_scalar_get_float(&scalar), 1);
}
END_TEST

START_TEST(floats_compare_as_numbers)
{
    weft_scalar scalar = {0};
    double expected = -0.0;
    ck_assert(weft_scalar_compare_and_set_float(&scalar, &expected, (double)NAN));
    expected = (double)NAN;
    ck_assert(!weft_scalar_compare_and_set_float(&scalar, &expected, 1));
    weft_scalar_set_float(&scalar, 3);
    ck_assert(!weft_scalar_compare_and_set_float(&scalar, &expected, 1));
    ck_assert_double_eq(expected, 3);
    ck_assert(weft_scalar_compare_and_set_float(&scalar, &expected, 1));
    ck_assert_double_eq(weft_scalar_get_float(&scalar), 1);
}
END_TEST

enum { PROCESSES = 4, TIMES = 20000 };

struct numbers {
    weft_scalar sum, total, most, least, turns;
};

/* Each of the changes, from a child that the test itself forks: numbers need no membership. */
static int numbers_change(struct numbers *numbers, int64_t mine)
{
    for (int64_t i = 0; i < TIMES; i++) {
        weft_scalar_add(&numbers->sum, 1);
        weft_scalar_add_float(&numbers->total, 0.5);
        weft_scalar_max(&numbers->most, mine * TIMES + i);
        weft_scalar_min(&numbers->least, -mine * TIMES - i);
        int64_t seen = weft_scalar_get(&numbers->turns);
        while (!weft_scalar_compare_and_set(&numbers->turns, &seen, seen + 1))
            ;
    }
    return 0;
}

START_TEST(nothing_is_lost_between_processes)
{
    struct numbers *numbers = weft_shared_new(struct numbers);
    pid_t children[PROCESSES];
    for (int64_t i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0)
            fixture_leave(numbers_change(numbers, i));
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status = -1;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_int_eq(weft_scalar_get(&numbers->sum), PROCESSES * TIMES);
    ck_assert_int_eq(weft_scalar_get(&numbers->turns), PROCESSES * TIMES);
    ck_assert_double_eq(weft_scalar_get_float(&numbers->total), PROCESSES * TIMES * 0.5);
    ck_assert_int_eq(weft_scalar_get(&numbers->most), PROCESSES * TIMES - 1);
    ck_assert_int_eq(weft_scalar_get(&numbers->least), -(PROCESSES * TIMES - 1));
    ck_assert_int_eq(weft_shared_free(numbers), 0);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, integers);
    tcase_add_test(tests, integers_compare);
    tcase_add_test(tests, floats);
    tcase_add_test(tests, floats_compare_as_numbers);
    tcase_add_test(tests, nothing_is_lost_between_processes);
}

int main(void)
{
    return fixture_main("scalar", add);
}
