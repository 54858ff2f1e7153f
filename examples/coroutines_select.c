/* SPDX-License-Identifier: MIT */
/*
 * A coroutine that waits for whichever comes first: a line on a socket, an order to stop, or a moment after which it has waited long
 * enough. Such a time-out is a case like the others, and every call has one as its last argument besides.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <weft.h>

static weft_event heard, bored, stop;
static int ends[2];

static weft_value listen_to(weft_value none)
{
    char line[64];
    ssize_t got;
    for (bool stopped = false; !stopped;) {
        weft_case cases[] = {weft_case_descriptor(ends[0], POLLIN, NULL), weft_case_event(&stop), weft_case_time(weft_in(0.05))};
        switch (weft_select(cases, 3, WEFT_FOREVER)) {
        case 0:
            got = weft_read(ends[0], line, sizeof line, WEFT_NOW);
            printf("a line: %.*s", got > 0 ? (int)got : 0, line);
            weft_event_set(&heard);
            break;
        case 1:
            printf("told to stop\n");
            stopped = true;
            break;
        case 2:
            if (!weft_event_is_set(&bored))
                printf("nothing for a while\n");
            weft_event_set(&bored);
            break;
        default:
            return weft_error(errno, "select");
        }
    }
    return none;
}

int main(void)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return EXIT_FAILURE;
    weft_task *listener = weft_spawn(WEFT_COROUTINE, listen_to, weft_none);
    if (!listener)
        return EXIT_FAILURE;
    weft_event_wait(&bored, WEFT_FOREVER);
    weft_write_all(ends[1], "hello\n", 6, WEFT_FOREVER);
    weft_event_wait(&heard, WEFT_FOREVER);
    if (weft_task_join(listener, weft_in(0.1)) != 0 && errno == ETIMEDOUT)
        printf("it listens on after a tenth of a second\n");
    weft_event_set(&stop);
    weft_task_join(listener, WEFT_FOREVER);
    weft_task_free(listener);
    weft_close(ends[0]);
    weft_close(ends[1]);
    return EXIT_SUCCESS;
}
