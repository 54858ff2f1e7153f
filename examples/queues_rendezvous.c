/* SPDX-License-Identifier: MIT */
/*
 * A queue without room: a put comes back when somebody has taken the value. So the cook knows that each dish has been carried away before
 * the next is begun, and the waiter never finds one waiting.
 */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_queue *hatch;

static weft_value cook(weft_value none)
{
    static const char *const dishes[] = {"soup", "fish", "cake"};
    for (int i = 0; i < 3; i++) {
        weft_value dish = weft_str(dishes[i]);
        if (weft_queue_put(hatch, dish, WEFT_FOREVER) != 0)
            weft_drop(dish); /* a put that fails leaves it ours */
    }
    weft_queue_close(hatch);
    return none;
}

int main(void)
{
    weft_value dish;
    hatch = weft_queue_new(.capacity = WEFT_RENDEZVOUS);
    weft_task *task = hatch ? weft_spawn(WEFT_THREAD, cook, weft_none) : NULL;
    if (!task)
        return EXIT_FAILURE;
    while (weft_queue_get(hatch, &dish, WEFT_FOREVER) == 0) {
        printf("%s is served, and %zu wait in the hatch\n", weft_as_str(dish), weft_queue_size(hatch));
        weft_drop(dish);
    }
    weft_task_join(task, WEFT_FOREVER);
    weft_task_free(task);
    weft_queue_free(hatch);
    printf("the kitchen is closed\n");
    return EXIT_SUCCESS;
}
