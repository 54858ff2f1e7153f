/* SPDX-License-Identifier: MIT */
/* Ten processes fill a queue of twenty, and each prints how many values it holds by then. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_queue *queue; /* in shared memory: the same for all of them */

static weft_value fill(weft_value number)
{
    for (int i = 0; i < 2; i++)
        if (weft_queue_put(queue, weft_keep(number), WEFT_FOREVER) != 0)
            return weft_error(errno, "no place for %lld", (long long)weft_as_int(number));
    printf("process %lld: %zu values\n", (long long)weft_as_int(number), weft_queue_size(queue));
    fflush(stdout);
    return weft_none;
}

int main(void)
{
    queue = weft_queue_new(.shared = true, .capacity = 20);
    for (int i = 1; queue && i <= 10; i++) {
        weft_task *task = weft_spawn(WEFT_PROCESS, fill, weft_int(i));
        if (!task || weft_task_join(task, WEFT_FOREVER) != 0) {
            perror("process");
            return EXIT_FAILURE;
        }
        weft_task_free(task);
    }
    printf("full: %s\n", weft_queue_full(queue) ? "yes" : "no");
    weft_queue_free(queue);
    return EXIT_SUCCESS;
}
