/* SPDX-License-Identifier: MIT */
/* Processes do not share what is not put into shared memory: each adds to a list of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_value list;

static void print(void)
{
    char text[64];
    weft_repr(list, text, sizeof(text));
    printf("%s %s\n", weft_task_name(weft_current()), text);
}

static weft_value add(weft_value number)
{
    if (weft_list_append(list, weft_keep(number)) != 0)
        return weft_error(0, "no room");
    print();
    return weft_none;
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    list = weft_list();
    for (int i = 1; i <= 3; i++) {
        weft_task *task = weft_spawn(WEFT_PROCESS, add, weft_int(i));
        if (!task || weft_task_join(task, WEFT_FOREVER) != 0) {
            perror("process");
            return EXIT_FAILURE;
        }
        weft_task_free(task);
    }
    print();
    weft_drop(list);
    return EXIT_SUCCESS;
}
