/* SPDX-License-Identifier: MIT */
/*
 * One task that waits for many things at once: numbers from two queues, an event that says stop, and a moment by which all has to be over.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_queue *even, *odd;
static weft_event drained, stop;

static weft_value produce(weft_value first)
{
    weft_queue *queue = weft_as_int(first) % 2 ? odd : even;
    for (int64_t i = weft_as_int(first); i < 100; i += 2)
        weft_queue_put(queue, weft_int(i), WEFT_FOREVER);
    weft_queue_close(queue);
    return weft_none;
}

static weft_value collect(weft_value none)
{
    weft_value number;
    int64_t sum = 0;
    int open = 2;
    weft_case cases[] = {weft_case_get(even, &number), weft_case_get(odd, &number), weft_case_event(&stop), weft_case_time(weft_in(60))};
    (void)none;
    for (;;) {
        int done = weft_select(cases, 4, WEFT_FOREVER);
        if (done == 2)
            break;
        if (done == 3 || done < 0)
            return weft_error(ETIMEDOUT, "not over in a minute");
        if (cases[done].error == 0)
            sum += weft_as_int(number);
        else { /* EPIPE: closed, and nothing left in it. Taken out, it is ready no more, and the others keep their numbers */
            cases[done] = (weft_case){0};
            printf("%s\n", --open ? "one queue is closed" : "so is the other");
            if (!open)
                weft_event_set(&drained);
        }
    }
    printf("stopped\n");
    return weft_int(sum);
}

int main(void)
{
    weft_value sum;
    even = weft_queue_new(.capacity = 4);
    odd = weft_queue_new(.capacity = 4);
    weft_task *producers[2] = {weft_spawn(WEFT_THREAD, produce, weft_int(0)), weft_spawn(WEFT_THREAD, produce, weft_int(1))};
    weft_task *collector = weft_spawn(WEFT_THREAD, collect, weft_none);
    if (!even || !odd || !producers[0] || !producers[1] || !collector)
        return EXIT_FAILURE;
    weft_event_wait(&drained, WEFT_FOREVER);
    weft_event_set(&stop);
    if (weft_task_result(collector, &sum, WEFT_FOREVER) != 0)
        return EXIT_FAILURE;
    printf("the sum is %lld\n", (long long)weft_as_int(sum));
    for (int i = 0; i < 2; i++) {
        weft_task_join(producers[i], WEFT_FOREVER);
        weft_task_free(producers[i]);
    }
    weft_task_free(collector);
    weft_queue_free(even);
    weft_queue_free(odd);
    return EXIT_SUCCESS;
}
