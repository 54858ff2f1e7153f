/* SPDX-License-Identifier: MIT */
/* A program with coroutines that is not linked with libweft-patch: it finds weft_patch where that library is preloaded. One coroutine reads
 * in a blocking call what the other writes. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weft.h>

static int ends[2];

static weft_value reads(weft_value none)
{
    char text[8] = "";
    (void)none;
    return weft_int(read(ends[0], text, 7) == 5 && strcmp(text, "hello") == 0);
}

static weft_value writes(weft_value none)
{
    (void)none;
    sleep(0);
    return weft_int(write(ends[1], "hello", 5));
}

int main(void)
{
    int (*patch)(void) = NULL;
    void *found = dlsym(RTLD_DEFAULT, "weft_patch");
    memcpy(&patch, &found, sizeof(patch));
    if (!patch) {
        puts("nothing is preloaded");
        return 0;
    }
    if (patch() != 0 || pipe(ends) != 0)
        return 1;
    weft_value read_well = weft_none;
    weft_task *tasks[2] = {weft_spawn(WEFT_COROUTINE, reads, weft_none), weft_spawn(WEFT_COROUTINE, writes, weft_none)};
    weft_task_result(tasks[0], &read_well, WEFT_FOREVER);
    weft_task_join(tasks[1], WEFT_FOREVER);
    for (int i = 0; i < 2; i++)
        weft_task_free(tasks[i]);
    puts(weft_as_int(read_well) == 1 ? "read what the other wrote" : "read something else");
    return 0;
}
