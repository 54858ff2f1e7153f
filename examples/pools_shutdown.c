/* SPDX-License-Identifier: MIT */
/* After its shutdown a pool has done what was handed to it, and takes nothing more; the results are still there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

enum { TASKS = 4 };

static weft_value square(weft_value number)
{
    weft_sleep(0.02);
    return weft_int(weft_as_int(number) * weft_as_int(number));
}

int main(void)
{
    weft_future *futures[TASKS];
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 2);
    for (int i = 0; i < TASKS; i++) {
        futures[i] = pool ? weft_pool_submit(pool, square, weft_int(i)) : NULL;
        if (!futures[i]) {
            perror("pool");
            return EXIT_FAILURE;
        }
    }
    weft_pool_shutdown(pool, false, WEFT_FOREVER);
    for (int i = 0; i < TASKS; i++) {
        weft_value result = weft_none;
        int got = weft_future_result(futures[i], &result, WEFT_NOW);
        printf("%d squared is %lld%s\n", i, (long long)weft_as_int(result), got == 0 ? "" : ", not yet");
        weft_future_free(futures[i]);
    }
    weft_future *late = weft_pool_submit(pool, square, weft_int(TASKS));
    printf("one more: %s\n", late ? "taken" : errno == ESHUTDOWN ? "refused, ESHUTDOWN" : "refused");
    weft_future_free(late);
    weft_pool_free(pool);
    return EXIT_SUCCESS;
}
