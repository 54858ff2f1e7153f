/* SPDX-License-Identifier: MIT */
/* Talk to a program over its stdin and stdout: send a line, read the answer, send the next. Closing its stdin tells it that there is no
 * more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

/* Sends a line, and reads until a line has come back. */
static bool ask(weft_command *command, const char *question, char *answer, size_t room)
{
    weft_time deadline = weft_in(30);
    if (weft_command_write(command, question, strlen(question), NULL, deadline) != 0)
        return false;
    size_t length = 0;
    while (length + 1 < room) {
        ssize_t got = weft_command_read(command, 1, answer + length, room - 1 - length, deadline);
        if (got <= 0)
            return false;
        length += (size_t)got;
        answer[length] = '\0';
        if (strchr(answer, '\n'))
            return true;
    }
    return false;
}

int main(void)
{
    static const char *const questions[] = {"6 7\n", "20 22\n"};
    char answer[100];
    struct weft_command_status status;
    weft_command *sums = weft_command_start(weft_argv("sh", "-c", "while read a b; do echo $((a + b)); done; exit 7"),
        .standard_input = {.kind = WEFT_PIPE}, .standard_output = {.kind = WEFT_PIPE}, .time_limit = 60);
    if (!sums) {
        perror("sh");
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < 2; i++)
        if (ask(sums, questions[i], answer, sizeof(answer)))
            printf("%.*s is %s", (int)strcspn(questions[i], "\n"), questions[i], answer);
    weft_command_close(sums, 0);
    if (weft_command_wait(sums, &status, weft_in(30)) == 0)
        printf("exit code %d\n", status.exitcode);
    weft_command_free(sums);
    return EXIT_SUCCESS;
}
