/* SPDX-License-Identifier: MIT */
/*
 * Ten processes put a key each into one dictionary, and print what it has by then: keys and values. An increment, which is one step, counts
 * them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_map *squares;

static void print(const char *what, weft_value list)
{
    char text[300];
    weft_repr(list, text, sizeof(text));
    printf("%s %s\n", what, text);
    weft_drop(list);
}

static weft_value put(weft_value number)
{
    char key[16];
    int64_t n = weft_as_int(number);
    snprintf(key, sizeof(key), "%lld", (long long)n);
    if (weft_map_set(squares, key, weft_int(n * n)) != 0 || weft_map_add(squares, "count", 1, NULL) != 0)
        return weft_error(errno, "no room for %s", key);
    print("keys  ", weft_map_keys(squares));
    print("values", weft_map_values(squares));
    fflush(stdout);
    return weft_none;
}

int main(void)
{
    squares = weft_map_new();
    for (int i = 0; i < 10; i++) {
        weft_value result = weft_none;
        weft_task *task = weft_spawn(WEFT_PROCESS, put, weft_int(i));
        if (!task || weft_task_result(task, &result, WEFT_FOREVER) != 0 || weft_is_error(result)) {
            perror("process");
            return EXIT_FAILURE;
        }
        weft_task_free(task);
    }
    weft_map_free(squares);
    return EXIT_SUCCESS;
}
