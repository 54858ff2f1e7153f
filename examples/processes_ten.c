/* SPDX-License-Identifier: MIT */
/* Ten processes sleep, and print, side by side. */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

enum { PROCESSES = 10 };

static weft_value sleep_and_print(weft_value unused)
{
    (void)unused;
    weft_sleep(0.1);
    printf("a process has slept\n");
    return weft_none;
}

int main(void)
{
    weft_task *tasks[PROCESSES];
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < PROCESSES; i++) {
        tasks[i] = weft_spawn(WEFT_PROCESS, sleep_and_print, weft_none);
        if (!tasks[i]) {
            perror("weft_spawn");
            return EXIT_FAILURE;
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        weft_task_join(tasks[i], WEFT_FOREVER);
        weft_task_free(tasks[i]);
    }
    printf("all have\n");
    return EXIT_SUCCESS;
}
