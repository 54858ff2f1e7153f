/* SPDX-License-Identifier: MIT */
/* The generator of echo.h: PROGRAM PORT CONNECTIONS MESSAGES [pin]. A bare epoll loop; a tenth more messages come first, which are not
 * counted. */
#include <sys/epoll.h>

#include "../echo.h"

enum { SLOTS = 1 << 16 };

static int connections[1 << 14];
static double sent[1 << 14];
static unsigned slots[SLOTS]; /* answers by how long they took, in microseconds */
static char message[ECHO_MESSAGE];

static void say(int number)
{
    sent[number] = bench_clock();
    bench_need(send(connections[number], message, sizeof(message), MSG_NOSIGNAL) == sizeof(message), "send");
}

static void dial(int epoll, int number, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.fd = number};
    int made = connections[number] = socket(AF_INET, SOCK_STREAM, 0);
    bench_need(made >= 0 && connect(made, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
    setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    epoll_ctl(epoll, EPOLL_CTL_ADD, made, &event);
}

/* Answers so many, asking again each time but for the last ones. The seconds it took. */
static double run(int epoll, int count, long messages, int counted)
{
    struct epoll_event events[1024];
    char octets[ECHO_ROOM];
    long asked = 0, answered = 0;
    double start = bench_clock();
    for (int i = 0; i < count && asked < messages; i++, asked++)
        say(i);
    while (answered < messages) {
        int ready = epoll_wait(epoll, events, 1024, -1);
        for (int i = 0; i < ready; i++) {
            int number = events[i].data.fd;
            bench_need(recv(connections[number], octets, sizeof(octets), 0) == ECHO_MESSAGE, "recv");
            answered++;
            double took = (bench_clock() - sent[number]) * 1e6;
            slots[took < SLOTS - 1 ? (int)took : SLOTS - 1] += counted ? 1 : 0;
            if (asked < messages) {
                asked++;
                say(number);
            }
        }
    }
    return bench_clock() - start;
}

int main(int argc, char **argv)
{
    bench_need(argc >= 4, "PORT CONNECTIONS MESSAGES");
    if (argc > 4)
        echo_pin(1);
    int port = atoi(argv[1]), count = atoi(argv[2]), epoll = epoll_create1(0), slot = 0;
    long messages = atol(argv[3]);
    for (int i = 0; i < count; i++)
        dial(epoll, i, port);
    run(epoll, count, messages / 10, 0);
    double seconds = run(epoll, count, messages, 1);
    for (long seen = 0; (seen += slots[slot]) < messages * 99 / 100;)
        slot++;
    printf("%.5g\n%d\n", seconds / (double)messages * 1e6, slot);
    return 0;
}
