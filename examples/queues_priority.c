/* SPDX-License-Identifier: MIT */
/*
 * What comes out first: the oldest, the youngest, the most urgent. And batches, which put or take many values in one call.
 */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

/* (how urgent, what): the smaller the number, the more urgent; of equals the older comes first. */
static weft_value job(int64_t urgency, const char *what)
{
    weft_value both[] = {weft_int(urgency), weft_str(what)};
    return weft_tuple(both, 2);
}

/* The order of any values: here by their length. */
static int64_t length(weft_value value, void *data)
{
    (void)data;
    return (int64_t)weft_length(weft_list_at(value, 1));
}

static void show(const char *title, weft_queue *queue)
{
    weft_value jobs[] = {job(2, "sweep"), job(1, "answer the door"), job(3, "read"), job(1, "put out the fire")};
    if (!queue || weft_queue_put_many(queue, jobs, 4, WEFT_FOREVER) != 4)
        exit(EXIT_FAILURE);
    printf("%s:", title);
    long count = weft_queue_get_many(queue, jobs, 4, WEFT_FOREVER);
    for (long i = 0; i < count; i++) {
        printf("%s %s", i ? "," : "", weft_as_str(weft_list_at(jobs[i], 1)));
        weft_drop(jobs[i]);
    }
    printf("\n");
    weft_queue_free(queue);
}

int main(void)
{
    show("in order", weft_queue_new());
    show("a stack", weft_queue_new(.order = WEFT_LIFO));
    show("by urgency", weft_queue_new(.order = WEFT_PRIORITY));
    show("by length", weft_queue_new(.order = WEFT_PRIORITY, .key = length));

    weft_queue *queue = weft_queue_new();
    for (int i = 0; i < 3; i++)
        if (weft_queue_put(queue, weft_int(i), WEFT_FOREVER) != 0)
            return EXIT_FAILURE;
    printf("closed at once: %zu were dropped\n", weft_queue_close_now(queue));
    weft_queue_free(queue);
    return EXIT_SUCCESS;
}
