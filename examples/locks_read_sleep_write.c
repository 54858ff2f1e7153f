/* SPDX-License-Identifier: MIT */
/* Each of two threads reads a counter, sleeps, and writes one more than it read. Because it holds the lock all the while, both count: 2. */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_lock counter_lock;
static int counter;

static weft_value count_slowly(weft_value unused)
{
    (void)unused;
    weft_with (&counter_lock) {
        int seen = counter;
        weft_sleep(0.05);
        counter = seen + 1;
    }
    return weft_none;
}

int main(void)
{
    weft_task *one = weft_spawn(WEFT_THREAD, count_slowly, weft_none);
    weft_task *other = weft_spawn(WEFT_THREAD, count_slowly, weft_none);
    if (!one || !other) {
        perror("weft_spawn");
        return EXIT_FAILURE;
    }
    weft_task_join(one, WEFT_FOREVER);
    weft_task_join(other, WEFT_FOREVER);
    printf("counted to %d\n", counter);
    weft_task_free(one);
    weft_task_free(other);
    return EXIT_SUCCESS;
}
