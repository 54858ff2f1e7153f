/* SPDX-License-Identifier: MIT */
/* Echo by weft_serve, a coroutine a connection: how much resident memory of the server a connection takes that has had one answer and then
 * rests. PROGRAM ROW CONNECTIONS [io_uring] */
#include <sys/resource.h>
#include <weft.h>

#include "echo.h"

static void echo(int fd, weft_value argument)
{
    char octets[ECHO_ROOM / 2];
    ssize_t got;
    (void)argument;
    while ((got = weft_read(fd, octets, sizeof(octets), WEFT_FOREVER)) > 0)
        if (weft_write_all(fd, octets, (size_t)got, WEFT_FOREVER) != 0)
            break;
}

static int dial(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char octets[ECHO_MESSAGE] = "";
    int made = socket(AF_INET, SOCK_STREAM, 0);
    bench_need(made >= 0 && connect(made, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
    bench_need(send(made, octets, sizeof(octets), MSG_NOSIGNAL) == sizeof(octets) &&
                   recv(made, octets, sizeof(octets), MSG_WAITALL) == sizeof(octets),
        "an answer");
    return made;
}

/* One connection, whose answer says that the server is warm, then the others; an octet after each of the two. */
static void client(int port, int count, int said)
{
    dial(port);
    bench_need(write(said, "1", 1) == 1, "write");
    for (int i = 1; i < count; i++)
        dial(port);
    bench_need(write(said, "2", 1) == 1, "write");
    pause();
}

/* Resident memory, in octets. */
static double resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    bench_need(file && fscanf(file, "%*d %ld", &pages) == 1, "/proc/self/statm");
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double resident_when_told(int told)
{
    char octet;
    bench_need(weft_read(told, &octet, 1, WEFT_FOREVER) == 1, "the client");
    return resident();
}

int main(int argc, char **argv)
{
    char address[64];
    int told[2];
    struct rlimit files;
    bench_need(argc >= 3 && pipe(told) == 0, "ROW CONNECTIONS [io_uring]");
    if (argc > 3)
        setenv("WEFT_IO", argv[3], 1);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = weft_listen("127.0.0.1:0", .backlog = 2048), count = atoi(argv[2]);
    bench_need(listener >= 0 && weft_socket_address(listener, address, sizeof(address)) > 0, "weft_listen");
    pid_t child = fork();
    if (child == 0)
        client(atoi(strrchr(address, ':') + 1), count, told[1]);
    close(told[1]);
    bench_need(child > 0 && weft_serve(listener, echo, .limit = 20000) != NULL, "weft_serve");
    double before = resident_when_told(told[0]), after = resident_when_told(told[0]);
    printf("%.4g\n", (after - before) / (count - 1) / 1024);
    fflush(stdout);
    kill(child, SIGKILL);
    _exit(0);
}
