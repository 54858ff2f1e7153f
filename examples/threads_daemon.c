/* SPDX-License-Identifier: MIT */
/*
 * A program that ends waits for its threads, but not for the daemons among them: the worker below finishes its work after main has
 * returned; the watcher, which never would end by itself, is left where it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_event main_is_over;

static weft_value watch(weft_value unused)
{
    (void)unused;
    while (weft_sleep(3600) == 0)
        continue;
    return weft_none;
}

static weft_value work(weft_value unused)
{
    (void)unused;
    weft_event_wait(&main_is_over, WEFT_FOREVER);
    weft_sleep(0.05);
    printf("worker: done, and the program has waited for me\n");
    return weft_none;
}

int main(void)
{
    weft_task *watcher = weft_spawn(WEFT_THREAD, watch, weft_none, .name = "watcher", .daemon = true);
    weft_task *worker = weft_spawn(WEFT_THREAD, work, weft_none, .name = "worker");
    if (!watcher || !worker) {
        perror("weft_spawn");
        return EXIT_FAILURE;
    }
    printf("%s is %s\n", weft_task_name(watcher), weft_task_daemon(watcher) ? "a daemon" : "no daemon");
    printf("%s is %s\n", weft_task_name(worker), weft_task_daemon(worker) ? "a daemon" : "no daemon");
    weft_task_free(watcher);
    weft_task_free(worker);
    printf("main: over\n");
    weft_event_set(&main_is_over);
    return EXIT_SUCCESS;
}
