/* SPDX-License-Identifier: MIT */
/* The first thread leaves by pthread_exit, and the program goes on without it: it can be joined, and the last task to end ends the
 * program. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_event joined;

static weft_value join_main(weft_value argument)
{
    if (weft_task_join(weft_main(), WEFT_FOREVER) != 0 || weft_task_outcome(weft_main()) != WEFT_DONE) {
        fprintf(stderr, "the main task has not ended\n");
        _Exit(1);
    }
    weft_event_set(&joined);
    return argument;
}

/* Runs at the exit, on whichever thread is the last. */
static void last(void)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1);
    if (weft_event_wait(&joined, WEFT_NOW) != 0 || weft_pool_apply(pool, join_main, weft_none, NULL, WEFT_FOREVER) != 0)
        _Exit(2);
    weft_pool_free(pool);
}

int main(void)
{
    atexit(last);
    weft_task_free(weft_spawn(WEFT_THREAD, join_main, weft_none));
    pthread_exit(NULL);
}
