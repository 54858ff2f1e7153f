/* SPDX-License-Identifier: MIT */
/* Five tasks of a quarter of a second on three threads: three at once, then two. That is two rounds, and not five. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

enum { TASKS = 5, THREADS = 3 };

static const double nap = 0.25;
static atomic_int running, most;

static weft_value work(weft_value unused)
{
    (void)unused;
    int now = ++running, seen = most;
    while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
        continue;
    weft_sleep(nap);
    running--;
    return weft_none;
}

int main(void)
{
    weft_time start = weft_clock();
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = THREADS);
    for (int i = 0; i < TASKS; i++) {
        if (!pool || weft_pool_start(pool, work, weft_none) != 0) {
            perror("pool");
            return EXIT_FAILURE;
        }
    }
    weft_pool_free(pool); /* waits for what was handed to it */
    double rounds = (double)(weft_clock() - start) / 1e9 / nap;
    printf("%d at a time at most\n", most);
    printf("at least two rounds: %s\n", rounds >= 2 ? "yes" : "no");
    printf("sooner than one after another: %s\n", rounds < TASKS ? "yes" : "no");
    return EXIT_SUCCESS;
}
