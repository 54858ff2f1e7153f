/* SPDX-License-Identifier: MIT */
/*
 * Start a thread, wait for it, and what threads are called: the program's first is MainThread, others have the name they are given, and
 * those that are given none are Thread-1, Thread-2 and so on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_value loop(weft_value times)
{
    const char *name = weft_task_name(weft_current());
    printf("thread %s is running...\n", name);
    for (int64_t n = 1; n <= weft_as_int(times); n++) {
        printf("thread %s >>> %lld\n", name, (long long)n);
        weft_sleep(0.01);
    }
    printf("thread %s ended.\n", name);
    return weft_none;
}

static void run(weft_task *task)
{
    if (!task || weft_task_join(task, WEFT_FOREVER) != 0) {
        perror("thread");
        exit(EXIT_FAILURE);
    }
    weft_task_free(task);
}

int main(void)
{
    printf("thread %s is running...\n", weft_task_name(weft_current()));
    run(weft_spawn(WEFT_THREAD, loop, weft_int(5), .name = "LoopThread"));
    run(weft_spawn(WEFT_THREAD, loop, weft_int(1)));
    run(weft_spawn(WEFT_THREAD, loop, weft_int(1)));
    printf("thread %s ended.\n", weft_task_name(weft_current()));
    return EXIT_SUCCESS;
}
