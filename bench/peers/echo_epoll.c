/* SPDX-License-Identifier: MIT */
/* Echo by a bare loop over epoll: what a program without any library does. */
#include <sys/epoll.h>

#include "../echo.h"

static void add(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    bench_need(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

static int take(int listener)
{
    int came = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (came >= 0)
        setsockopt(came, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return came;
}

/* False: the connection has ended. */
static int give_back(int fd)
{
    char octets[ECHO_ROOM];
    ssize_t got = recv(fd, octets, sizeof(octets), 0);
    if (got > 0)
        bench_need(send(fd, octets, (size_t)got, MSG_NOSIGNAL) == got, "send");
    return got > 0;
}

int main(int argc, char **argv)
{
    struct epoll_event events[1024];
    int port, listener = echo_listen(&port), epoll = epoll_create1(0), open = 0, seen = 0;
    bench_need(argc == 4, "ROW MESSAGES GENERATOR");
    pid_t child = echo_generator(argv[3], port, argv[1], argv[2]);
    double before = echo_spent();
    add(epoll, listener);
    while (open > 0 || !seen) {
        int ready = epoll_wait(epoll, events, 1024, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd, came = fd == listener ? take(listener) : -1;
            if (came >= 0) {
                add(epoll, came);
                open++, seen = 1;
            } else if (fd != listener && !give_back(fd)) {
                close(fd);
                open--;
            }
        }
    }
    echo_end(child, before, argv[2]);
}
