/* SPDX-License-Identifier: MIT */
/*
 * Processes change a shared array and print it. The array's own lock is held from the reading to the printing, so each line differs from
 * the one before in one element, whoever prints it. The lock can be taken again by who has it: the function that prints does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

enum { PROCESSES = 3, LENGTH = 4, ROUNDS = 4 };

static weft_array *array;
static weft_scalar *changes;

static void print(void)
{
    weft_with (weft_array_lock(array)) {
        char text[100];
        weft_value list = weft_array_get_slice(array, 0, LENGTH);
        weft_repr(list, text, sizeof(text));
        printf("%s\n", text);
        fflush(stdout);
        weft_drop(list);
    }
}

static weft_value change(weft_value unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS; i++)
        weft_with (weft_array_lock(array)) {
            int64_t at = weft_scalar_add(changes, 1) % LENGTH;
            weft_array_set_int(array, at, weft_array_get_int(array, at) + 1);
            print();
        }
    return weft_none;
}

int main(void)
{
    weft_task *tasks[PROCESSES];
    array = weft_array_new('i', LENGTH);
    changes = weft_shared_new(weft_scalar);
    for (int i = 0; i < PROCESSES; i++)
        tasks[i] = weft_spawn(WEFT_PROCESS, change, weft_none);
    for (int i = 0; i < PROCESSES; i++) {
        if (!tasks[i] || weft_task_join(tasks[i], WEFT_FOREVER) != 0) {
            perror("process");
            return EXIT_FAILURE;
        }
        weft_task_free(tasks[i]);
    }
    weft_shared_free(changes);
    weft_array_free(array);
    return EXIT_SUCCESS;
}
