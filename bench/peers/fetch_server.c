/* SPDX-License-Identifier: MIT */
/*
 * fetch_server MILLISECONDS: a server of small pages that answers each request after so long, by one loop over epoll. Prints its port, and
 * ends with its standard input.
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 64, LATE = 1 << 16 };

static const char page[] = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 58\r\n\r\n"
                           "<html><a href=\"/1\">one</a> <a href=\"/2\">two</a></html>\r\n\r\n";

/* Requests that are to be answered, in the order in which they came, which is that of their moments. */
static struct late {
    long long at; /* ns */
    int fd;
} late[LATE];
static unsigned late_first, late_end;

static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void answer_due(void)
{
    for (long long moment = now(); late_first != late_end && late[late_first % LATE].at <= moment; late_first++)
        if (send(late[late_first % LATE].fd, page, sizeof(page) - 1, MSG_NOSIGNAL) < 0)
            continue; /* it has gone, and its end is seen by the next read */
}

static void readable(int epoll, int fd, int listener, long long span)
{
    char request[4096];
    if (fd == listener) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)};
        if (event.data.fd >= 0)
            epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
    } else if (fd == STDIN_FILENO) {
        exit(EXIT_SUCCESS);
    } else if (read(fd, request, sizeof(request)) > 0) {
        late[late_end++ % LATE] = (struct late){now() + span, fd};
    } else {
        close(fd);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
    long long span = argc > 1 ? atoi(argv[1]) * 1000000LL : 0;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ends = {.events = EPOLLIN, .data.fd = STDIN_FILENO};
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1024) != 0)
        return EXIT_FAILURE;
    getsockname(listener, (struct sockaddr *)&address, &length);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &ends);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS];
        long long wait = late_first == late_end ? 1000000000 : late[late_first % LATE].at - now();
        struct timespec until = {.tv_sec = wait > 0 ? wait / 1000000000 : 0, .tv_nsec = wait > 0 ? wait % 1000000000 : 0};
        int count = epoll_pwait2(epoll, events, EVENTS, &until, NULL);
        for (int i = 0; i < count; i++)
            readable(epoll, events[i].data.fd, listener, span);
        answer_due();
    }
}
