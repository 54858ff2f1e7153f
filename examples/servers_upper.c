/* SPDX-License-Identifier: MIT */
/*
 * A server of capital letters on a pool of five threads, and its clients. One of them says something and is gone with a reset: whoever
 * served it sees an error, and takes the next one.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <weft.h>

enum { THREADS = 5, CLIENTS = 10 };

/* Line by line. */
static void upper(int fd, weft_value argument)
{
    weft_stream *stream = weft_stream_new(fd);
    const char *line;
    size_t length;
    (void)argument;
    while (stream && weft_stream_line(stream, &line, &length, weft_in(30)) == 1) {
        for (size_t i = 0; i < length; i++) {
            char capital = (char)toupper((unsigned char)line[i]);
            if (weft_stream_write(stream, &capital, 1, weft_in(30)) != 0)
                break;
        }
        if (weft_stream_print(stream, weft_in(30), "\n") != 0 || weft_stream_flush(stream, weft_in(30)) != 0)
            break;
    }
    weft_stream_free(stream);
}

static char address[64];

/* Says a word, and gives back the answer. */
static weft_value client(weft_value number)
{
    char answer[32] = "";
    const char *line;
    size_t length;
    int fd = weft_dial(address, weft_in(10));
    weft_stream *stream = fd < 0 ? NULL : weft_stream_new(fd);
    if (stream && weft_stream_print(stream, weft_in(10), "client %d\n", (int)weft_as_int(number)) == 0 &&
        weft_stream_flush(stream, weft_in(10)) == 0 && weft_stream_line(stream, &line, &length, weft_in(10)) == 1)
        snprintf(answer, sizeof answer, "%s", line);
    weft_stream_free(stream);
    if (fd >= 0)
        weft_close(fd);
    return weft_str(answer);
}

static void rude_client(void)
{
    int fd = weft_dial(address, weft_in(10));
    weft_write_all(fd, "nobody will", 11, weft_in(10));
    struct linger reset = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    weft_close(fd);
}

int main(void)
{
    weft_task *clients[CLIENTS];
    int listener = weft_listen("127.0.0.1:0");
    if (listener < 0 || weft_socket_address(listener, address, sizeof address) < 0)
        return EXIT_FAILURE;
    weft_server *server = weft_serve(listener, upper, .task = WEFT_THREAD, .workers = THREADS);
    if (!server)
        return EXIT_FAILURE;
    for (int i = 0; i < 2 * THREADS; i++)
        rude_client();
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = weft_spawn(WEFT_COROUTINE, client, weft_int(i + 1));
    for (int i = 0; i < CLIENTS; i++) {
        weft_value answer = weft_none;
        weft_task_result(clients[i], &answer, WEFT_FOREVER);
        printf("%s\n", weft_as_str(answer));
        weft_drop(answer);
        weft_task_free(clients[i]);
    }
    printf("stopped: %s\n", weft_server_stop(server, weft_in(10)) == 0 ? "all had ended" : "some had not");
    return EXIT_SUCCESS;
}
