/* SPDX-License-Identifier: MIT */
/*
 * Five processes fill an array, each its own fifth. An array lies in shared memory: the pointer that the processes are given means the same
 * in all of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

enum { PROCESSES = 5, EACH = 4 };

static weft_array *numbers;

static weft_value fill(weft_value part)
{
    int64_t first = weft_as_int(part) * EACH;
    for (int64_t i = first; i < first + EACH; i++)
        weft_array_set_int(numbers, i, i * i);
    return weft_none;
}

int main(void)
{
    weft_task *tasks[PROCESSES];
    numbers = weft_array_new('i', PROCESSES * EACH);
    for (int i = 0; i < PROCESSES; i++)
        tasks[i] = weft_spawn(WEFT_PROCESS, fill, weft_int(i));
    for (int i = 0; i < PROCESSES; i++) {
        if (!tasks[i] || weft_task_join(tasks[i], WEFT_FOREVER) != 0) {
            perror("process");
            return EXIT_FAILURE;
        }
        weft_task_free(tasks[i]);
    }
    char text[200];
    weft_value all = weft_array_get_slice(numbers, 0, PROCESSES * EACH);
    weft_repr(all, text, sizeof(text));
    printf("%s\n", text);
    weft_drop(all);
    weft_array_free(numbers);
    return EXIT_SUCCESS;
}
