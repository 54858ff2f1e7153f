/* SPDX-License-Identifier: MIT */
/* Start a process, wait for it, and how it may end: with a value, with an error, with a status of its own, by a signal. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_value end(weft_value how)
{
    printf("process %s is running...\n", weft_task_name(weft_current()));
    switch (weft_as_int(how)) {
    case 0:
        return weft_str("well");
    case 1:
        return weft_error(ENOENT, "no such page");
    case 2:
        exit(7);
    default:
        raise(SIGKILL);
        return weft_none;
    }
}

int main(void)
{
    static const char *const outcomes[] = {"pending", "done", "failed", "cancelled", "timed out", "lost"};
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int how = 0; how < 4; how++) {
        weft_value result = weft_none;
        weft_task *task = weft_spawn(WEFT_PROCESS, end, weft_int(how));
        if (!task || weft_task_result(task, &result, WEFT_FOREVER) != 0) {
            perror("process");
            return EXIT_FAILURE;
        }
        const char *text = weft_is_error(result) ? weft_error_text(result) : weft_as_str(result);
        printf("%s: exit code %d, %s\n", outcomes[weft_task_outcome(task)], weft_task_exitcode(task), how < 2 ? text : "no result");
        weft_drop(result);
        weft_task_free(task);
    }
    return EXIT_SUCCESS;
}
