/* SPDX-License-Identifier: MIT */
/* Tasks that end together: one fails, the others are cancelled, and who leaves the block has all of them behind him. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_event pages_asked;

static weft_value fetch_slowly(weft_value page)
{
    weft_event_set(&pages_asked);
    if (weft_sleep(3600) != 0)
        return weft_error(errno, NULL);
    printf("%s came\n", weft_as_str(page)); /* not before an hour has passed */
    return weft_none;
}

static weft_value fetch_missing(weft_value page)
{
    weft_event_wait(&pages_asked, WEFT_FOREVER);
    return weft_error(ENOENT, "no such page: %s", weft_as_str(page));
}

int main(void)
{
    weft_value error;
    weft_group_scope (group, &error) {
        weft_group_spawn(group, WEFT_THREAD, fetch_slowly, weft_str("news"));
        weft_group_spawn(group, WEFT_THREAD, fetch_slowly, weft_str("weather"));
        weft_group_spawn(group, WEFT_THREAD, fetch_missing, weft_str("sports"));
    }
    printf("all have ended; %s\n", weft_is_error(error) ? weft_error_text(error) : "nothing failed");
    weft_drop(error);
    return EXIT_SUCCESS;
}
