/* SPDX-License-Identifier: MIT */
/* One process writes letters into a queue; another reads them for ever, until it is terminated. */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_queue *letters;

static weft_value write_letters(weft_value word)
{
    for (const char *at = weft_as_str(word); *at; at++) {
        printf("put %c\n", *at);
        fflush(stdout);
        weft_queue_put(letters, weft_str_n(at, 1), WEFT_FOREVER);
        weft_queue_join(letters, WEFT_FOREVER); /* so that the other has printed it */
    }
    return weft_none;
}

static weft_value read_letters(weft_value unused)
{
    weft_value letter;
    while (weft_queue_get(letters, &letter, WEFT_FOREVER) == 0) {
        printf("got %s\n", weft_as_str(letter));
        fflush(stdout);
        weft_drop(letter);
        weft_queue_task_done(letters);
    }
    return unused;
}

int main(void)
{
    letters = weft_queue_new(.shared = true, .joinable = true);
    weft_task *writer = weft_spawn(WEFT_PROCESS, write_letters, weft_str("WILLARD"));
    weft_task *reader = weft_spawn(WEFT_PROCESS, read_letters, weft_none);
    if (!writer || !reader || weft_task_join(writer, WEFT_FOREVER) != 0) {
        perror("process");
        return EXIT_FAILURE;
    }
    weft_task_terminate(reader); /* it would wait for ever */
    weft_task_join(reader, WEFT_FOREVER);
    printf("the reader ended with %d\n", weft_task_exitcode(reader));
    weft_task_free(writer);
    weft_task_free(reader);
    weft_queue_free(letters);
    return EXIT_SUCCESS;
}
