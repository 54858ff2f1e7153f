/* SPDX-License-Identifier: MIT */
/*
 * Producers and consumers as processes. What a consumer has taken is leased to it until it says task_done: the first one dies over a value,
 * which another is then given. When all is done, main goes on, and the consumers, daemons, end with it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

enum { PRODUCERS = 2, CONSUMERS = 3, EACH = 50 };

struct work {
    weft_queue *queue;
    weft_scalar sum, dead;
};

static struct work *work;

static weft_value produce(weft_value first)
{
    for (int i = 0; i < EACH; i++)
        weft_queue_put(work->queue, weft_int(weft_as_int(first) + i), WEFT_FOREVER);
    return weft_none;
}

static weft_value consume(weft_value unused)
{
    weft_value value;
    while (weft_queue_get(work->queue, &value, WEFT_FOREVER) == 0) {
        int64_t none = 0;
        if (weft_as_int(value) == 7 && weft_scalar_compare_and_set(&work->dead, &none, 1))
            raise(SIGKILL);
        weft_scalar_add(&work->sum, weft_as_int(value));
        weft_queue_task_done(work->queue);
    }
    return unused;
}

static weft_task *spawn(weft_function *function, int64_t argument, bool daemon)
{
    weft_task *task = weft_spawn(WEFT_PROCESS, function, weft_int(argument), .daemon = daemon);
    if (!task) {
        perror("process");
        exit(EXIT_FAILURE);
    }
    return task;
}

int main(void)
{
    weft_task *producers[PRODUCERS];
    work = weft_shared_new(struct work);
    if (!work || !(work->queue = weft_queue_new(.shared = true, .joinable = true)))
        return EXIT_FAILURE;
    for (int i = 0; i < CONSUMERS; i++)
        weft_task_free(spawn(consume, 0, true));
    for (int i = 0; i < PRODUCERS; i++)
        producers[i] = spawn(produce, i * EACH, false);
    for (int i = 0; i < PRODUCERS; i++) {
        weft_task_join(producers[i], WEFT_FOREVER);
        weft_task_free(producers[i]);
    }
    weft_queue_join(work->queue, WEFT_FOREVER);
    printf("all %d values are done, their sum is %lld; consumers that died: %lld\n", PRODUCERS * EACH,
        (long long)weft_scalar_get(&work->sum), (long long)weft_scalar_get(&work->dead));
    return EXIT_SUCCESS;
}
