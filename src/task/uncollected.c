/* SPDX-License-Identifier: MIT */
/* Failures that nobody collects: counted, and told to a hook if there is one. */

#include "task/task.h"

static struct wefti_latch hook_latch; /* of the next two */
static weft_uncollected_hook *hook_function;
static void *hook_data;
static uint64_t uncollected_count;

void weft_on_uncollected(weft_uncollected_hook *hook, void *data)
{
    wefti_latch_close(&hook_latch);
    hook_function = hook;
    hook_data = data;
    wefti_latch_open(&hook_latch);
}

uint64_t weft_uncollected_count(void)
{
    return __atomic_load_n(&uncollected_count, __ATOMIC_RELAXED);
}

void wefti_uncollected(const char *what, weft_value error)
{
    __atomic_add_fetch(&uncollected_count, 1, __ATOMIC_RELAXED);
    wefti_latch_close(&hook_latch);
    weft_uncollected_hook *hook = hook_function;
    void *data = hook_data;
    wefti_latch_open(&hook_latch);
    if (hook)
        hook(what, error, data);
}
