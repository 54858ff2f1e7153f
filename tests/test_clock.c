/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>

#include "fixture.h"

START_TEST(deadlines_lie_ahead)
{
    weft_time before = weft_clock();
    weft_time then = weft_in(1.5);
    ck_assert_int_ge(then, before + 1500000000);
    ck_assert_int_le(then, weft_clock() + 1500000000);
}
END_TEST

START_TEST(odd_seconds_give_sane_deadlines)
{
    ck_assert_int_le(weft_in(0), weft_clock());
    ck_assert_int_le(weft_in(-5), weft_clock());
    ck_assert_int_le(weft_in(NAN), weft_clock());
    ck_assert_int_gt(weft_in(-INFINITY), WEFT_NOW);
    ck_assert_int_eq(weft_in(INFINITY), WEFT_FOREVER);
    ck_assert_int_eq(weft_in(1e300), WEFT_FOREVER);
}
END_TEST

START_TEST(version_is_that_of_the_headers)
{
    ck_assert_str_eq(weft_version(), WEFT_VERSION);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, deadlines_lie_ahead);
    tcase_add_test(tests, odd_seconds_give_sane_deadlines);
    tcase_add_test(tests, version_is_that_of_the_headers);
}

int main(void)
{
    return fixture_main("clock", add);
}
