/* SPDX-License-Identifier: MIT */
/*
 * What comes when a program ends: handlers registered after the first task was started, then the tasks are joined, then handlers registered
 * before, and Weft works in all of them and in destructors. Each line can only be written once the one before it has been.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weft.h>

static weft_event let_task, let_pool;
static weft_future *of_pool;
static weft_local local;

static void say(const char *line)
{
    puts(line);
    fflush(stdout);
}

static void local_end(void *text)
{
    say(text);
}

static weft_value task_main(weft_value argument)
{
    weft_local_set(&local, "a task's pointer is destroyed");
    weft_event_wait(&let_task, WEFT_FOREVER);
    say("the task ends");
    return argument;
}

static weft_value pool_main(weft_value argument)
{
    weft_event_wait(&let_pool, WEFT_FOREVER);
    say("the pool's task ends");
    return argument;
}

static void handler_before(void)
{
    say(weft_active_count() == 2 ? "the handler registered before: the main task and a worker are there" : "others are there");
    weft_event_set(&let_pool);
    weft_future_result(of_pool, NULL, WEFT_FOREVER);
    weft_future_free(of_pool);
}

static void handler_after(void)
{
    say("the handler registered after");
    weft_event_set(&let_task);
}

static weft_value nothing(weft_value argument)
{
    return argument;
}

__attribute__((destructor)) static void last(void)
{
    static weft_lock lock;
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1);
    weft_task *task = weft_spawn(WEFT_THREAD, nothing, weft_none, .daemon = true);
    bool works = pool && task && weft_lock_acquire(&lock, WEFT_FOREVER) == 0 && weft_task_join(task, WEFT_FOREVER) == 0 &&
                 weft_pool_apply(pool, nothing, weft_none, NULL, WEFT_FOREVER) == 0;
    weft_task_free(task);
    weft_pool_free(pool);
    say(works ? "a destructor: Weft works" : "a destructor: Weft does not work");
}

int main(void)
{
    local.destroy = local_end;
    atexit(handler_before);
    weft_task_free(weft_spawn(WEFT_THREAD, task_main, weft_none));
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1);
    of_pool = weft_pool_submit(pool, pool_main, weft_none);
    atexit(handler_after);
    say("main returns");
    return of_pool ? 0 : 1; /* the pool is the exit's */
}
