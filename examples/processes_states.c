/* SPDX-License-Identifier: MIT */
/* Names, states and ends of processes: one is told to end, one is cancelled, and a daemon is left to the end of the program. */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_value wait_long(weft_value there)
{
    weft_event_set(weft_as_ptr(there));
    return weft_sleep(1000) == 0 ? weft_none : weft_str("woken early");
}

static void show(weft_task *task)
{
    char text[64];
    weft_task_repr(task, text, sizeof(text));
    printf("%s alive: %s, pid: %s, exit code %d\n", text, weft_task_is_alive(task) ? "yes" : "no",
        weft_task_native_id(task) ? "has one" : "none yet", weft_task_exitcode(task));
}

static void begin(weft_task *task, weft_event *there)
{
    show(task);
    if (weft_task_start(task) != 0 || weft_event_wait(there, WEFT_FOREVER) != 0) {
        perror("process");
        exit(EXIT_FAILURE);
    }
    weft_event_clear(there);
    show(task);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    weft_event *there = weft_shared_new(weft_event);
    weft_task *first = weft_task_new(WEFT_PROCESS, wait_long, weft_ptr(there), .name = "pywjh");
    weft_task *second = weft_task_new(WEFT_PROCESS, wait_long, weft_ptr(there));
    weft_task *daemon = weft_task_new(WEFT_PROCESS, wait_long, weft_ptr(there), .daemon = true);
    begin(first, there);
    begin(second, there);
    begin(daemon, there);
    weft_task_terminate(first);
    weft_task_join(first, WEFT_FOREVER);
    show(first);
    weft_task_cancel(second);
    weft_task_join(second, WEFT_FOREVER);
    show(second);
    weft_task_free(first);
    weft_task_free(second);
    weft_task_free(daemon);
    printf("the daemon ends with the program\n");
    return EXIT_SUCCESS;
}
