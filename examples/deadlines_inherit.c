/* SPDX-License-Identifier: MIT */
/* A deadline for a whole block: the functions that are called in it know nothing of time, and yet none of them waits longer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_queue *letters;

static int letters_read(int wanted)
{
    int read = 0;
    weft_value letter;
    while (read < wanted && weft_queue_get(letters, &letter, WEFT_FOREVER) == 0)
        printf("letter %d\n", (int)weft_as_int(letter)), read++;
    return read;
}

int main(void)
{
    letters = weft_queue_new();
    if (!letters)
        return EXIT_FAILURE;
    for (int i = 1; i <= 3; i++)
        weft_queue_put(letters, weft_int(i), WEFT_FOREVER);
    weft_deadline (weft_in(0.1)) {
        if (letters_read(5) < 5 && errno == ETIMEDOUT)
            printf("no more came in time\n");
        printf("in the block nobody sleeps long: %s\n", weft_sleep(3600) != 0 && errno == ETIMEDOUT ? "timed out" : "slept");
    }
    printf("after it one may: %s\n", weft_sleep(0.001) == 0 ? "slept" : "timed out");
    weft_queue_free(letters);
    return EXIT_SUCCESS;
}
