/* SPDX-License-Identifier: MIT */
/*
 * A task that crashes takes its worker with it, and nobody else: its future says what happened, the other results are there, and another
 * worker takes the dead one's place. One that crashes now and then may begin again.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

enum { TASKS = 10, BAD = 4 };

static weft_value half(weft_value number)
{
    if (weft_as_int(number) == BAD)
        raise(SIGSEGV); /* as a bad pointer would */
    return weft_int(weft_as_int(number) / 2);
}

/* Crashes until it has been tried three times: the count is in shared memory, so it is there after the crash. */
static weft_value third_time(weft_value count)
{
    int *tries = weft_as_ptr(count);
    if (++*tries < 3)
        raise(SIGSEGV);
    return weft_str("at last");
}

static void tell(int number, weft_future *future)
{
    weft_value value = weft_none;
    if (!future || weft_future_result(future, &value, WEFT_FOREVER) != 0)
        return;
    if (weft_future_outcome(future) == WEFT_LOST)
        printf("%d is lost: %s\n", number, strstr(weft_error_text(value), "signal 11") ? "killed by signal 11" : weft_error_text(value));
    else
        printf("%d: %lld\n", number, (long long)weft_as_int(value));
    weft_drop(value);
    weft_future_free(future);
}

int main(void)
{
    weft_future *futures[TASKS];
    int *tries = weft_shared_new(int);
    weft_pool *pool = tries ? weft_pool_new(WEFT_PROCESS, .workers = 2) : NULL;
    if (!pool) {
        perror("pool");
        return EXIT_FAILURE;
    }
    for (int i = 0; i < TASKS; i++)
        futures[i] = weft_pool_submit(pool, half, weft_int(i));
    for (int i = 0; i < TASKS; i++)
        tell(i, futures[i]);
    weft_value value = weft_none;
    weft_future *future = weft_pool_submit(pool, third_time, weft_ptr(tries), .retries = 5);
    if (future && weft_future_result(future, &value, WEFT_FOREVER) == 0)
        printf("%s, after %d tries\n", weft_as_str(value), *tries);
    weft_drop(value);
    weft_future_free(future);
    weft_pool_free(pool);
    weft_shared_free(tries);
    return EXIT_SUCCESS;
}
