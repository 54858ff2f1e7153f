/* SPDX-License-Identifier: MIT */
/*
 * Run another program to its end, and have what it printed and how it ended: its exit code, or minus the signal that ended it. A program
 * that is not there is an error of the call.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

static void run(const char *const *argv, weft_value input)
{
    struct weft_command_result result;
    if (weft_command_run(argv, &result, WEFT_FOREVER, .input = input) != 0) {
        printf("%s: %s\n", argv[0], strerror(errno));
        return;
    }
    printf("%s: exit code %d\n", argv[0], result.status.exitcode);
    printf("  output [%.*s]\n", (int)weft_length(result.output), (const char *)weft_as_bytes(result.output));
    printf("  errors [%.*s]\n", (int)weft_length(result.error), (const char *)weft_as_bytes(result.error));
    weft_drop(result.output);
    weft_drop(result.error);
}

int main(void)
{
    weft_value lines = weft_str("pear\napple\n");
    run(weft_argv("printf", "%s, %s", "hello", "world"), weft_none);
    run(weft_argv("sh", "-c", "printf oh >&2; exit 3"), weft_none);
    run(weft_argv("sh", "-c", "kill -9 $$"), weft_none);
    run(weft_argv("sort"), lines);
    run(weft_argv("no-such-program"), weft_none);
    weft_drop(lines);
    return EXIT_SUCCESS;
}
