/* SPDX-License-Identifier: MIT */
/* A hundred threads sleep a fifth of a second each: one after another that would be twenty seconds. */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

enum { SLEEPERS = 100 };

static const double nap = 0.2;

static weft_value sleep_well(weft_value number)
{
    weft_sleep(nap);
    return weft_int(weft_as_int(number));
}

static int64_t wake(weft_task *task)
{
    weft_value number = weft_none;
    weft_task_result(task, &number, WEFT_FOREVER);
    weft_task_free(task);
    return weft_as_int(number);
}

int main(void)
{
    weft_task *sleepers[SLEEPERS];
    int64_t sum = 0;
    weft_time start = weft_clock();
    for (int i = 0; i < SLEEPERS; i++) {
        sleepers[i] = weft_spawn(WEFT_THREAD, sleep_well, weft_int(i + 1));
        if (!sleepers[i]) {
            perror("weft_spawn");
            return EXIT_FAILURE;
        }
    }
    for (int i = 0; i < SLEEPERS; i++)
        sum += wake(sleepers[i]);
    double seconds = (double)(weft_clock() - start) / 1e9;
    printf("the sleepers' numbers add up to %lld\n", (long long)sum);
    printf("at least five times as fast as one after another: %s\n", seconds * 5 < SLEEPERS * nap ? "yes" : "no");
    return EXIT_SUCCESS;
}
