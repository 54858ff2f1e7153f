/* SPDX-License-Identifier: MIT */
/* Two threads sleep half a second each. Joining one after the other takes as long as one of them: they sleep at the same time. */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static const double nap = 0.5;

static weft_value sleep_well(weft_value unused)
{
    (void)unused;
    weft_sleep(nap);
    return weft_none;
}

int main(void)
{
    weft_time start = weft_clock();
    weft_task *first = weft_spawn(WEFT_THREAD, sleep_well, weft_none);
    weft_task *second = weft_spawn(WEFT_THREAD, sleep_well, weft_none);
    if (!first || !second) {
        perror("weft_spawn");
        return EXIT_FAILURE;
    }
    weft_task_join(first, WEFT_FOREVER);
    weft_task_join(second, WEFT_FOREVER);
    double naps = (double)(weft_clock() - start) / 1e9 / nap;
    printf("at least as long as one nap: %s\n", naps >= 1 ? "yes" : "no");
    printf("shorter than two, one after another: %s\n", naps < 2 ? "yes" : "no");
    weft_task_free(first);
    weft_task_free(second);
    return EXIT_SUCCESS;
}
