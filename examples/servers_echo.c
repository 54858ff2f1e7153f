/* SPDX-License-Identifier: MIT */
/*
 * An echo server, a process a connection, then a thread a connection: the same program but for one word. With a port it serves there until
 * it is killed: servers_echo 9999 thread; try it with nc 127.0.0.1 9999.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft.h>

static void echo(int fd, weft_value argument)
{
    char octets[1024];
    ssize_t got;
    (void)argument;
    while ((got = weft_read(fd, octets, sizeof octets, WEFT_FOREVER)) > 0)
        if (weft_write_all(fd, octets, (size_t)got, WEFT_FOREVER) != 0)
            break;
}

static weft_server *begin(const char *where, enum weft_task_kind kind, char *address, size_t size)
{
    int listener = weft_listen(where);
    weft_server *server = NULL;
    if (listener >= 0 && weft_socket_address(listener, address, size) > 0)
        server = weft_serve(listener, echo, .task = kind, .limit = 20);
    if (!server) {
        perror(where);
        exit(EXIT_FAILURE);
    }
    return server;
}

/* Three clients at once: none waits for another to end. */
static void talk(const char *address, const char *kind)
{
    static const char *const words[] = {"one", "two", "three"};
    int fds[3];
    char answer[16];
    for (int i = 0; i < 3; i++)
        fds[i] = weft_dial(address, weft_in(10));
    for (int i = 2; i >= 0; i--) {
        ssize_t got = -1;
        if (weft_write_all(fds[i], words[i], strlen(words[i]), weft_in(10)) == 0)
            got = weft_read(fds[i], answer, sizeof answer, weft_in(10));
        printf("%s: %.*s\n", kind, got > 0 ? (int)got : 0, answer);
    }
    for (int i = 0; i < 3; i++)
        weft_close(fds[i]);
}

int main(int argc, char **argv)
{
    char address[64], where[64] = "127.0.0.1:0";
    if (argc > 1) {
        snprintf(where, sizeof where, "127.0.0.1:%s", argv[1]);
        begin(where, argc > 2 && strcmp(argv[2], "thread") == 0 ? WEFT_THREAD : WEFT_PROCESS, address, sizeof address);
        printf("serving at %s\n", address);
        weft_sleep_until(WEFT_FOREVER);
    }
    weft_server *server = begin(where, WEFT_PROCESS, address, sizeof address); /* first, while there are no threads */
    talk(address, "a process a connection");
    weft_server_stop(server, weft_in(10));
    server = begin(where, WEFT_THREAD, address, sizeof address);
    talk(address, "a thread a connection");
    weft_server_stop(server, weft_in(10));
    return EXIT_SUCCESS;
}
