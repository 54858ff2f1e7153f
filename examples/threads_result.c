/* SPDX-License-Identifier: MIT */
/*
 * What a thread's function returns is the task's result: a value, or an error value when it failed. Asking for it waits for the end; how
 * the task ended is its outcome.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_value square_root(weft_value number)
{
    int64_t n = weft_as_int(number);
    if (n < 0)
        return weft_error(EDOM, "no root of %lld", (long long)n);
    int64_t root = 0;
    while ((root + 1) * (root + 1) <= n)
        root++;
    return weft_int(root);
}

static int tell_root(int64_t number)
{
    weft_value root;
    weft_task *task = weft_spawn(WEFT_THREAD, square_root, weft_int(number));
    if (!task || weft_task_result(task, &root, WEFT_FOREVER) != 0)
        return -1;
    if (weft_task_outcome(task) == WEFT_FAILED)
        printf("failed: %s (exit code %d)\n", weft_error_text(root), weft_task_exitcode(task));
    else
        printf("the root of %lld is %lld\n", (long long)number, (long long)weft_as_int(root));
    weft_drop(root);
    weft_task_free(task);
    return 0;
}

int main(void)
{
    if (tell_root(144) != 0 || tell_root(-1) != 0) {
        perror("thread");
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
