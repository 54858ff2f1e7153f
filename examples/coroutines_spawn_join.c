/* SPDX-License-Identifier: MIT */
/*
 * Coroutines are tasks like any other: one word makes them. Those of a thread take turns on it, and change over only where one waits; so
 * they share a variable without a lock, and a thousand of them cost a thousand pages.
 */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static int64_t total;

static weft_value count_down(weft_value from)
{
    for (int64_t left = weft_as_int(from); left > 0; left--) {
        printf("%s: %lld\n", weft_task_name(weft_current()), (long long)left);
        weft_yield();
    }
    return from;
}

static weft_value add(weft_value number)
{
    int64_t seen = total;
    total = seen + weft_as_int(number); /* nobody else runs between the two */
    weft_yield();
    return weft_none;
}

static bool thousand_add(void)
{
    enum { COUNT = 1000 };
    static weft_task *tasks[COUNT];
    for (int i = 0; i < COUNT; i++)
        if (!(tasks[i] = weft_spawn(WEFT_COROUTINE, add, weft_int(i))))
            return false;
    for (int i = 0; i < COUNT; i++) {
        weft_task_join(tasks[i], WEFT_FOREVER);
        weft_task_free(tasks[i]);
    }
    return true;
}

int main(void)
{
    weft_value result;
    weft_task *first = weft_spawn(WEFT_COROUTINE, count_down, weft_int(3));
    weft_task *second = weft_spawn(WEFT_COROUTINE, count_down, weft_int(2), .name = "Short");
    if (!first || !second)
        return EXIT_FAILURE;
    printf("nobody has run yet: a coroutine begins when its thread waits\n");
    weft_task_join(first, WEFT_FOREVER);
    weft_task_join(second, WEFT_FOREVER);
    if (weft_task_result(first, &result, WEFT_NOW) != 0)
        return EXIT_FAILURE;
    printf("%s returned %lld\n", weft_task_name(first), (long long)weft_as_int(result));
    weft_drop(result);
    weft_task_free(first);
    weft_task_free(second);
    if (!thousand_add())
        return EXIT_FAILURE;
    printf("a thousand have added up to %lld\n", (long long)total);
    return EXIT_SUCCESS;
}
