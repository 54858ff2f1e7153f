/* SPDX-License-Identifier: MIT */
/*
 * redis-server over TCP on this machine, or, the variant being "unix", over a Unix socket; without persistence. One client in C that says
 * SET, one call at a time ("manager-call"; GET in "manager-get"), or four ("manager-calls"). Nothing but sockets on this side; in the
 * variants "benchmark" and "benchmark-unix" the client is redis-benchmark, which comes with redis-server.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bench.h"

enum { CLIENTS = 4 };

static int port; /* 0: a Unix socket at `path` */
static char path[60];

static pid_t server_begin(const char *variant)
{
    char word[16];
    port = strstr(variant, "unix") ? 0 : 20000 + getpid() % 20000;
    snprintf(word, sizeof(word), "%d", port);
    snprintf(path, sizeof(path), "/tmp/weft-bench-redis-%d", (int)getpid());
    pid_t child = fork();
    if (child == 0) {
        freopen("/dev/null", "w", stdout);
        execlp("redis-server", "redis-server", "--port", word, "--bind", "127.0.0.1", "--unixsocket", path, "--save", "", "--appendonly",
            "no", (char *)NULL);
        _exit(127);
    }
    return child;
}

static void server_end(pid_t server)
{
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    unlink(path);
}

static int client_begin(void)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    memcpy(local.sun_path, path, sizeof(path));
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr *to = port ? (struct sockaddr *)&tcp : (struct sockaddr *)&local;
    for (int i = 0; i < 500; i++) {
        int made = socket(to->sa_family, SOCK_STREAM, 0);
        if (connect(made, to, port ? sizeof(tcp) : sizeof(local)) == 0) {
            setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
            return made;
        }
        close(made);
        usleep(10000);
    }
    bench_need(0, "redis-server");
    return -1;
}

static double asked(int client, long times, const char *request, const char *answer)
{
    char octets[64];
    ssize_t length = (ssize_t)strlen(request), answered = (ssize_t)strlen(answer);
    double start = bench_clock();
    for (long i = 0; i < times; i++) {
        bench_need(send(client, request, (size_t)length, 0) == length, "send");
        bench_need(recv(client, octets, sizeof(octets), 0) == answered && memcmp(octets, answer, (size_t)answered) == 0, answer);
    }
    return bench_clock() - start;
}

static double seconds(int client, long times)
{
    return asked(client, times, "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\n12345\r\n", "+OK\r\n");
}

static double one_client_gets(long iterations, const char *variant)
{
    pid_t server = server_begin(variant);
    int client = client_begin();
    seconds(client, iterations / 10 + 1);
    double took = asked(client, iterations, "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n", "$5\r\n12345\r\n");
    server_end(server);
    return took / (double)iterations * 1e6;
}

/* Microseconds of a SET by redis-benchmark, which prints a line of CSV for it: its name, then calls a second. */
static double benchmark(long iterations)
{
    char where[80], command[300], line[300] = "";
    double calls = 0;
    if (port)
        snprintf(where, sizeof(where), "-p %d", port);
    else
        snprintf(where, sizeof(where), "-s %s", path);
    snprintf(command, sizeof(command), "redis-benchmark %s -c 1 -n %ld -t set -d 5 --csv 2>/dev/null", where, iterations);
    FILE *printed = popen(command, "r");
    while (printed && calls == 0 && fgets(line, sizeof(line), printed))
        sscanf(line, "\"SET\",\"%lf\"", &calls);
    bench_need(printed && pclose(printed) == 0 && calls > 0, command);
    return 1e6 / calls;
}

static double one_client(long iterations, const char *variant)
{
    pid_t server = server_begin(variant);
    int client = client_begin();
    seconds(client, iterations / 10 + 1);
    double each = strstr(variant, "benchmark") ? benchmark(iterations) : seconds(client, iterations) / (double)iterations * 1e6;
    server_end(server);
    return each;
}

static void clients_run(long each)
{
    pid_t children[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        if ((children[i] = fork()) == 0) {
            seconds(client_begin(), each);
            _exit(0);
        }
    for (int i = 0; i < CLIENTS; i++)
        waitpid(children[i], NULL, 0);
}

static double four_clients(long iterations, const char *variant)
{
    pid_t server = server_begin(variant);
    close(client_begin());
    clients_run(iterations / 40 + 1);
    double start = bench_clock();
    clients_run(iterations / CLIENTS);
    double took = bench_clock() - start;
    server_end(server);
    return took / (double)iterations * 1e6;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"manager-call", one_client}, {"manager-calls", four_clients},
        {"manager-call-unix", one_client}, {"manager-calls-unix", four_clients}, {"manager-call-pinned", one_client},
        {"manager-call-unix-pinned", one_client}, {"manager-get", one_client_gets}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
