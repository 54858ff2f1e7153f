/* SPDX-License-Identifier: MIT */
/* A C program that knows an installed Weft only: something of each floor. */
#include <stdio.h>
#include <string.h>
#include <weft.h>

static weft_lock lock;
static int sum;

static weft_value add(weft_value n)
{
    weft_with (&lock)
        sum += (int)weft_as_int(n);
    return n;
}

/* A pool's tasks add up 1 to 8. */
static int pool_adds(void)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 2);
    if (!pool)
        return -1;
    for (int i = 1; i <= 8; i++)
        if (weft_pool_start(pool, add, weft_int(i)) != 0)
            return -1;
    weft_pool_free(pool);
    return sum == 36 ? 0 : -1;
}

/* A task passes what it is given through a queue. */
static weft_value put(weft_value queue)
{
    return weft_int(weft_queue_put(weft_as_ptr(queue), weft_int(108), weft_in(30)));
}

static int task_puts(int *got)
{
    weft_value value = weft_none;
    weft_queue *queue = weft_queue_new(.capacity = 1);
    weft_task *task = weft_spawn(WEFT_THREAD, put, weft_ptr(queue), .name = "Putter");
    if (!queue || !task || weft_queue_get(queue, &value, weft_in(30)) != 0 || weft_task_join(task, weft_in(30)) != 0)
        return -1;
    *got = (int)weft_as_int(value);
    weft_task_free(task);
    weft_queue_free(queue);
    return 0;
}

static int command_runs(void)
{
    return weft_command_run(weft_argv("true"), NULL, weft_in(30));
}

int main(void)
{
    int got = 0;
    if (pool_adds() != 0 || task_puts(&got) != 0 || command_runs() != 0)
        return 1;
    printf("%s %d\n", weft_version(), sum + got);
    return strcmp(weft_version(), WEFT_VERSION) != 0;
}
