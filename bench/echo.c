/* SPDX-License-Identifier: MIT */
/* Echo by weft_serve: a coroutine a connection, or, with the variant "threads", a thread; "io_uring": coroutines that wait in that. PROGRAM
 * ROW MESSAGES [VARIANT] GENERATOR */
#include <weft.h>

#include "echo.h"

static int open_connections; /* atomic */
static weft_event all_gone;

static void echo(int fd, weft_value argument)
{
    char octets[ECHO_ROOM / 2];
    ssize_t got;
    (void)argument;
    __atomic_add_fetch(&open_connections, 1, __ATOMIC_RELAXED);
    while ((got = weft_read(fd, octets, sizeof(octets), WEFT_FOREVER)) > 0)
        if (weft_write_all(fd, octets, (size_t)got, WEFT_FOREVER) != 0)
            break;
    if (__atomic_sub_fetch(&open_connections, 1, __ATOMIC_RELAXED) == 0)
        weft_event_set(&all_gone);
}

int main(int argc, char **argv)
{
    char address[64];
    bench_need(argc >= 4, "ROW MESSAGES [VARIANT] GENERATOR");
    if (argc > 4 && strcmp(argv[3], "io_uring") == 0)
        setenv("WEFT_IO", argv[3], 1);
    int listener = weft_listen("127.0.0.1:0", .backlog = 2048);
    bench_need(listener >= 0 && weft_socket_address(listener, address, sizeof(address)) > 0, "weft_listen");
    pid_t child = echo_generator(argv[argc - 1], atoi(strrchr(address, ':') + 1), argv[1], argv[2]);
    double before = echo_spent();
    weft_server *server =
        weft_serve(listener, echo, .task = argc > 4 && strcmp(argv[3], "threads") == 0 ? WEFT_THREAD : WEFT_COROUTINE, .limit = 20000);
    bench_need(server != NULL, "weft_serve");
    weft_event_wait(&all_gone, WEFT_FOREVER);
    echo_end(child, before, argv[2]);
}
