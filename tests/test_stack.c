/* SPDX-License-Identifier: MIT */
/* The switch between stacks, and the stacks. */
#include <fenv.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "coroutine/stack.h"
#include "coroutine/change.h"
#include "fixture.h"

struct pair {
    void *outside, *inside;
    uintptr_t sum;
    int rounding;
};

static void add_up(void *message)
{
    struct pair *pair = message;
    pair->rounding = fegetround();
    fesetround(FE_UPWARD);
    for (uintptr_t i = 1;; i++) {
        pair->sum += i;
        pair = wefti_switch(&pair->inside, pair->outside, (void *)i);
    }
}

/* Enough live values that some stand in registers that a called function keeps. */
static uintptr_t switch_and_mix(struct pair *pair, uintptr_t seed)
{
    uintptr_t a = seed * 3, b = seed * 5, c = seed * 7, d = seed * 11, e = seed * 13, f = seed * 17, g = seed * 19;
    double x = (double)seed / 2, y = (double)seed / 4;
    uintptr_t message = (uintptr_t)wefti_switch(&pair->outside, pair->inside, pair);
    ck_assert_uint_eq(message, seed);
    ck_assert(x == (double)seed / 2 && y == (double)seed / 4);
    return a + b + c + d + e + f + g;
}

START_TEST(a_switch_keeps_what_a_call_keeps)
{
    struct wefti_stacks stacks = {0};
    struct wefti_stack *stack = wefti_stack_take(&stacks, 0);
    ck_assert_ptr_nonnull(stack);
    struct pair pair = {.inside = wefti_frame_make((void *)((uintptr_t)stack & ~(uintptr_t)15), add_up)};
    fesetround(FE_TOWARDZERO);
    pair.inside = wefti_frame_make((void *)((uintptr_t)stack & ~(uintptr_t)15), add_up);
    for (uintptr_t i = 1; i <= 100; i++) {
        ck_assert_uint_eq(switch_and_mix(&pair, i), i * 75);
        ck_assert_int_eq(fegetround(), FE_TOWARDZERO); /* the other flow has changed its own */
    }
    fesetround(FE_TONEAREST);
    ck_assert_uint_eq(pair.sum, 5050);
    ck_assert_int_eq(pair.rounding, FE_TOWARDZERO); /* that of who made it */
    wefti_stack_give(stack);
    wefti_stacks_end(&stacks);
}
END_TEST

START_TEST(sizes_are_powers_of_two)
{
    struct wefti_stacks stacks = {0};
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t sizes[][2] = {{0, 65536}, {1, 16384}, {16384, 16384}, {16385, 32768}, {65536, 65536}, {1 << 20, 1 << 20}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct wefti_stack *stack = wefti_stack_take(&stacks, sizes[i][0]);
        ck_assert_ptr_nonnull(stack);
        size_t size = wefti_stack_size(stack);
        ck_assert_uint_le(size, sizes[i][1] - page);
        ck_assert_uint_ge(size, sizes[i][1] - page - page / 2);
        memset(stack->bottom, 1, size - sizeof(*stack));
        wefti_stack_give(stack);
    }
    ck_fails_null(wefti_stack_take(&stacks, WEFTI_STACK_MOST + 1), EINVAL);
    wefti_stacks_end(&stacks);
}
END_TEST

START_TEST(below_each_stack_is_a_guard)
{
    struct wefti_stacks stacks = {0};
    struct wefti_stack *taken[20];
    for (int i = 0; i < 20; i++) {
        taken[i] = wefti_stack_take(&stacks, 0);
        ck_assert_ptr_nonnull(taken[i]);
        ck_assert(!wefti_page_faults(taken[i]->bottom));
        ck_assert(wefti_page_faults(taken[i]->bottom - 8));
        ck_assert(wefti_stack_guards(taken[i], taken[i]->bottom - 1));
        ck_assert(!wefti_stack_guards(taken[i], taken[i]->bottom));
    }
    for (int i = 0; i < 20; i++)
        wefti_stack_give(taken[i]);
    for (int i = 0; i < 20; i++) {
        taken[i] = wefti_stack_take(&stacks, 0);
        ck_assert(wefti_page_faults(taken[i]->bottom - 8)); /* also after its memory was given back */
    }
    wefti_stacks_end(&stacks);
}
END_TEST

START_TEST(the_last_freed_is_the_first_reused)
{
    struct wefti_stacks stacks = {0};
    struct wefti_stack *one = wefti_stack_take(&stacks, 0), *two = wefti_stack_take(&stacks, 0);
    wefti_stack_give(one);
    wefti_stack_give(two);
    ck_assert_ptr_eq(wefti_stack_take(&stacks, 0), two);
    ck_assert_ptr_eq(wefti_stack_take(&stacks, 0), one);
    wefti_stacks_end(&stacks);
}
END_TEST

/* Pages of the stack that are in memory. */
static size_t stack_resident(char *bottom)
{
    unsigned char there[16];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = 65536 - page, count = 0;
    ck_assert_int_eq(mincore(bottom, size, there), 0);
    for (size_t i = 0; i < size / page; i++)
        count += there[i] & 1;
    return count;
}

START_TEST(memory_is_given_back_after_a_peak)
{
    enum { MANY = 3000 };
    static struct wefti_stack *taken[MANY];
    static char *bottoms[MANY];
    struct wefti_stacks stacks = {0};
    size_t resident = 0;
    for (int i = 0; i < MANY; i++) {
        taken[i] = wefti_stack_take(&stacks, 0);
        ck_assert_ptr_nonnull(taken[i]);
        bottoms[i] = taken[i]->bottom;
        memset((char *)taken[i] - 10000, 1, 10000);
        ck_assert_uint_ge(stack_resident(bottoms[i]), 3);
    }
    for (int i = 0; i < MANY; i++)
        wefti_stack_give(taken[i]);
    for (int i = 0; i < MANY; i++)
        resident += stack_resident(bottoms[i]);
    ck_assert_uint_le(resident, 1024 * 4);
    for (int i = 0; i < MANY; i++) {
        taken[i] = wefti_stack_take(&stacks, 0);
        ck_assert_uint_ge(wefti_stack_size(taken[i]), 14 * 4096);
    }
    wefti_stacks_end(&stacks);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_switch_keeps_what_a_call_keeps);
    tcase_add_test(tests, sizes_are_powers_of_two);
    tcase_add_test(tests, below_each_stack_is_a_guard);
    tcase_add_test(tests, the_last_freed_is_the_first_reused);
    tcase_add_test(tests, memory_is_given_back_after_a_peak);
}

int main(void)
{
    return fixture_main("stack", add);
}
