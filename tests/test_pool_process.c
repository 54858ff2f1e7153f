/* SPDX-License-Identifier: MIT */
/* Pools of processes: what they add to the interface of pools. What all kinds have in common is tested in test_pool_kinds.c. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "family_root.h"
#include "pool/process.h"
#include "pool_tasks.h"
#include "shared/block.h"

static weft_pool *pool_of(unsigned workers)
{
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = workers);
    MUST(pool);
    return pool;
}

static void root_of_one(void)
{
    weft_pool *pool = pool_of(2);
    for (int i = 0; i < 1000; i++) {
        weft_value value = weft_none;
        weft_future *future = weft_pool_submit(pool, twice, weft_int(i));
        MUST(future && weft_future_result(future, &value, WEFT_FOREVER) == 0 && weft_as_int(value) == 2 * i);
        weft_future_free(future);
    }
    weft_pool_free(pool);
}

START_TEST(a_task_runs_in_another_process)
{
    NEEDS_PIDFDS;
    root_runs(root_of_one);
}
END_TEST

static weft_value echo(weft_value value)
{
    return weft_keep(value);
}

static weft_value text_of(size_t length)
{
    char *octets = malloc(length + 1);
    memset(octets, 'x', length);
    octets[length] = 0;
    weft_value text = weft_str(octets);
    free(octets);
    return text;
}

static struct wefti_blocks_census census_now(void)
{
    struct wefti_blocks_census census;
    wefti_blocks_count(&census);
    return census;
}

/* Values of every size there and back, and no block of the pool's is left. */
static void root_of_values(void)
{
    static const size_t sizes[] = {0, 1, 20, 60, 79, 80, 81, 200, 5000, 70000, 3000000};
    weft_pool_free(pool_of(1)); /* what the family itself has is there now */
    uint64_t before = census_now().committed;
    weft_pool *pool = pool_of(2);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        weft_value there = text_of(sizes[i]), back = weft_none;
        MUST(weft_pool_apply(pool, echo, weft_keep(there), &back, WEFT_FOREVER) == 0 && weft_equal(there, back));
        weft_drop(there);
        weft_drop(back);
    }
    weft_pool_free(pool);
    struct wefti_blocks_census after = census_now();
    MUST(after.wrong == 0 && after.in_hand == 0);
    MUST(after.committed <= before + 8); /* lives of workers that are used again */
}

START_TEST(values_of_any_size_cross)
{
    NEEDS_PIDFDS;
    root_runs(root_of_values);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_task_runs_in_another_process);
    tcase_add_test(tests, values_of_any_size_cross);
}

int main(void)
{
    return fixture_main("pool_process", add);
}
