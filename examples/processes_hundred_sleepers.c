/* SPDX-License-Identifier: MIT */
/* A hundred processes sleep a fifth of a second each, and then a hundred threads: what differs is one word. */
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

static void sleep_all(enum weft_task_kind kind, const char *name)
{
    weft_task *sleepers[SLEEPERS];
    int64_t sum = 0;
    weft_time start = weft_clock();
    for (int i = 0; i < SLEEPERS; i++) {
        sleepers[i] = weft_spawn(kind, sleep_well, weft_int(i + 1));
        if (!sleepers[i]) {
            perror("weft_spawn");
            exit(EXIT_FAILURE);
        }
    }
    for (int i = 0; i < SLEEPERS; i++)
        sum += wake(sleepers[i]);
    double seconds = (double)(weft_clock() - start) / 1e9;
    printf("%s: the sleepers' numbers add up to %lld\n", name, (long long)sum);
    printf("at least twice as fast as one after another: %s\n", seconds * 2 < SLEEPERS * nap ? "yes" : "no");
}

int main(void)
{
    sleep_all(WEFT_PROCESS, "processes");
    sleep_all(WEFT_THREAD, "threads");
    return EXIT_SUCCESS;
}
