/* SPDX-License-Identifier: MIT */
/*
 * Cancelling: the call that a task waits in fails with ECANCELED, and so do those that it waits in afterwards; so it comes back through its
 * own code, and clears up on the way as after any other failure. What has to be waited for even then is done behind a shield.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_queue *work;
static weft_event begun;

/* Saves what has been done so far; that takes time, and is not to be cut short. */
static int save(int64_t sum)
{
    weft_shield
    {
        if (weft_sleep(0.01) != 0)
            return -1;
    }
    printf("saved %lld\n", (long long)sum);
    return 0;
}

static weft_value add_up(weft_value none)
{
    weft_value number;
    int64_t sum = 0;
    char *notes = malloc(4096);
    (void)none;
    while (weft_queue_get(work, &number, WEFT_FOREVER) == 0) {
        sum += weft_as_int(number);
        weft_event_set(&begun);
    }
    int error = errno;
    printf("its get ended with %s\n", error == ECANCELED ? "ECANCELED" : "something else");
    printf("a sleep would do the same: %s\n", weft_sleep(3600) != 0 && errno == ECANCELED ? "yes" : "no");
    save(sum);
    free(notes);
    return weft_error(error, "stopped at %lld", (long long)sum);
}

static weft_value sleep_long(weft_value none)
{
    return weft_sleep(3600) == 0 ? none : weft_error(errno, "woken");
}

static void print_end(const weft_task *task)
{
    printf("%s was %s\n", weft_task_name(task), weft_task_outcome(task) == WEFT_CANCELLED ? "cancelled" : "not cancelled");
}

int main(void)
{
    weft_value result;
    work = weft_queue_new(.capacity = 10);
    weft_task *adder = work ? weft_spawn(WEFT_COROUTINE, add_up, weft_none, .name = "Adder") : NULL;
    weft_task *sleeper = weft_spawn(WEFT_COROUTINE, sleep_long, weft_none, .name = "Sleeper");
    if (!adder || !sleeper)
        return EXIT_FAILURE;
    weft_task_cancel(sleeper); /* before it has begun: it sleeps not at all */
    for (int i = 1; i <= 4; i++)
        weft_queue_put(work, weft_int(i), WEFT_FOREVER);
    weft_event_wait(&begun, WEFT_FOREVER); /* the adder goes on until it has to wait: it has taken all four */
    weft_task_cancel(adder);
    if (weft_task_result(adder, &result, WEFT_FOREVER) != 0)
        return EXIT_FAILURE;
    printf("it returned an error: %s\n", weft_error_text(result));
    weft_drop(result);
    weft_task_join(sleeper, WEFT_FOREVER);
    print_end(adder);
    print_end(sleeper);
    weft_task_free(adder);
    weft_task_free(sleeper);
    weft_queue_free(work);
    return EXIT_SUCCESS;
}
