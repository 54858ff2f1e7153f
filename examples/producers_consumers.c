/* SPDX-License-Identifier: MIT */
/*
 * Two producers and three consumers meet at a queue that holds ten values. Each consumer says task_done for what it has dealt with; join
 * waits until that has been said of everything that was put. Closing the queue then ends the consumers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

enum { PRODUCERS = 2, CONSUMERS = 3, NUMBERS = 1000 };

static weft_queue *queue;
static weft_lock total_lock;
static int64_t total, count;

static weft_value produce(weft_value first)
{
    for (int i = 0; i < NUMBERS; i++)
        if (weft_queue_put(queue, weft_int(weft_as_int(first) + i), WEFT_FOREVER) != 0)
            return weft_error(errno, "put");
    return weft_none;
}

static weft_value consume(weft_value none)
{
    (void)none;
    weft_value number;
    while (weft_queue_get(queue, &number, WEFT_FOREVER) == 0) {
        weft_with (&total_lock) {
            total += weft_as_int(number);
            count++;
        }
        weft_queue_task_done(queue);
    }
    return errno == EPIPE ? weft_none : weft_error(errno, "get"); /* EPIPE: closed, and nothing left */
}

int main(void)
{
    weft_task *tasks[PRODUCERS + CONSUMERS];
    queue = weft_queue_new(.capacity = 10);
    if (!queue)
        return EXIT_FAILURE;
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++) {
        tasks[i] = weft_spawn(WEFT_THREAD, i < PRODUCERS ? produce : consume, weft_int(i * NUMBERS));
        if (!tasks[i])
            return EXIT_FAILURE;
    }
    for (int i = 0; i < PRODUCERS; i++) {
        weft_task_join(tasks[i], WEFT_FOREVER);
        printf("producer %d has put its numbers\n", i + 1);
    }
    weft_queue_join(queue, WEFT_FOREVER);
    printf("%lld numbers, their sum is %lld\n", (long long)count, (long long)total);
    printf("left in the queue: %zu\n", weft_queue_size(queue));
    weft_queue_close(queue);
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++) {
        weft_task_join(tasks[i], WEFT_FOREVER);
        weft_task_free(tasks[i]);
    }
    printf("all consumers have ended\n");
    weft_queue_free(queue);
    return EXIT_SUCCESS;
}
