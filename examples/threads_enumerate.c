/* SPDX-License-Identifier: MIT */
/*
 * Which tasks are alive: how many, which one calls, what each looks like when printed, and the states a task goes through.
 */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

enum { READERS = 3 };

static weft_event may_end;

static weft_value wait_for_end(weft_value unused)
{
    (void)unused;
    weft_event_wait(&may_end, WEFT_FOREVER);
    return weft_none;
}

static void show(const char *when, const weft_task *task)
{
    char text[100];
    weft_task_repr(task, text, sizeof(text));
    printf("%-8s %s %s\n", when, text, weft_task_is_alive(task) ? "is alive" : "is not alive");
}

static void show_all(void)
{
    weft_task *alive[10];
    size_t count = weft_tasks(alive, 10);
    printf("%zu alive:\n", count);
    for (size_t i = 0; i < count; i++) {
        printf("  %s%s\n", weft_task_name(alive[i]), alive[i] == weft_current() ? " (that is me)" : "");
        weft_task_free(alive[i]);
    }
}

int main(void)
{
    weft_task *readers[READERS];
    show_all();
    for (int i = 0; i < READERS; i++) {
        readers[i] = weft_task_new(WEFT_THREAD, wait_for_end, weft_none, .daemon = i == 2);
        if (!readers[i] || weft_task_set_name(readers[i], (const char *[]){"north", "south", "west"}[i]) != 0) {
            perror("weft_task_new");
            return EXIT_FAILURE;
        }
    }
    show("new:", readers[0]);
    for (int i = 0; i < READERS; i++)
        if (weft_task_start(readers[i]) != 0)
            return EXIT_FAILURE;
    show("started:", readers[0]);
    show("started:", readers[2]);
    show_all();
    weft_event_set(&may_end);
    for (int i = 0; i < READERS; i++)
        weft_task_join(readers[i], WEFT_FOREVER);
    show("joined:", readers[0]);
    printf("%zu alive, the main task: %s\n", weft_active_count(), weft_current() == weft_main() ? "me" : "another");
    for (int i = 0; i < READERS; i++)
        weft_task_free(readers[i]);
    return EXIT_SUCCESS;
}
