/* SPDX-License-Identifier: MIT */
/*
 * What the echo servers in C and C++ share: a server gives back what comes, on one processor; the generator (echo_load.c), in a process of
 * its own on another, keeps so many connections busy with messages of 64 octets, one at a time on each. The generator prints the
 * microseconds that an answer took, by the clock and all of them, then the 99th percentile of how long one was waited for; the server adds
 * the processor time that it spent on an answer, in microseconds.
 *
 *     PROGRAM echo-50 MESSAGES VARIANT... GENERATOR
 */
#ifndef BENCH_ECHO_H
#define BENCH_ECHO_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { ECHO_MESSAGE = 64, ECHO_ROOM = 4096 };

static inline void echo_pin(int last)
{
    cpu_set_t all, one;
    int chosen = -1;
    sched_getaffinity(0, sizeof(all), &all);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &all) && (last || chosen < 0))
            chosen = i;
    CPU_ZERO(&one);
    CPU_SET(chosen, &one);
    sched_setaffinity(0, sizeof(one), &one);
}

/* A listening socket; *port is where. */
static inline int echo_listen(int *port)
{
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bench_need(made >= 0 && bind(made, (struct sockaddr *)&address, length) == 0 && listen(made, 2048) == 0 &&
                   getsockname(made, (struct sockaddr *)&address, &length) == 0,
        "listen");
    *port = ntohs(address.sin_port);
    return made;
}

/* Starts the generator for a row "echo-CONNECTIONS", and keeps this process on its own processor. */
static inline pid_t echo_generator(const char *program, int port, const char *row, const char *messages)
{
    char where[16];
    const char *dash = strrchr(row, '-');
    snprintf(where, sizeof(where), "%d", port);
    pid_t child = fork();
    bench_need(child >= 0, "fork");
    if (child == 0) {
        echo_pin(1);
        execl(program, program, where, dash ? dash + 1 : "1", messages, (char *)NULL);
        _exit(127);
    }
    echo_pin(0);
    return child;
}

/* The processor time of this process so far, in microseconds. */
static inline double echo_spent(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* The generator has ended: says what an answer cost. Does not return. */
static inline void echo_end(pid_t child, double before, const char *messages)
{
    int status = -1;
    waitpid(child, &status, 0);
    bench_need(status == 0, "the generator");
    printf("%.4g\n", (echo_spent() - before) / strtod(messages, NULL) / 1.1); /* a tenth more, at first, is not counted */
    fflush(stdout);
    _exit(0);
}

#endif
