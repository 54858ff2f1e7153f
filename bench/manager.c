/* SPDX-License-Identifier: MIT */
/*
 * Weft's managers, over TCP on this machine (the variant "unix": over a Unix socket), each server in a process of its own. "manager-call":
 * a client in C stores into a dictionary, one call at a time; with everything on one processor in "manager-call-pinned". "manager-get": it
 * asks for what is there. "manager-calls": four such clients at once. "manager-python": the client is
 * CPython's, peers/managers.py; so it is in "manager-python-pairs" (put and get), "manager-python-four" and "manager-python-four-pairs"
 * (four of them) and "manager-connect" (connect and the first call). "manager-processor": what such a client's call costs the server's
 * processor; of its variant "bare": what one costs that answers with the same octets without a look at what was asked, a thread that blocks
 * in recv and sends, which is the limit; "manager-processor-four": the same with four of them. "manager-processor-crowd": the same where sixteen clients in C ask at once; of its variant
 * "cpython" the server is CPython's, the clients are ours. "manager-idle": what a client costs of the server's memory that has proved
 * itself, asked for objects, and keeps silent.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft.h>

#include "bench.h"

static const char key[] = "secret";

static weft_manager *manager_make(const char *variant)
{
    char address[60] = "127.0.0.1:0";
    if (strcmp(variant, "unix") == 0)
        snprintf(address, sizeof(address), "unix:/tmp/weft-bench-%d", (int)getpid());
    weft_manager *manager = weft_manager_new(address, .key = key, .key_length = 6, .standard = true, .backlog = 4096);
    bench_need(manager != NULL, "weft_manager_new");
    bench_need(weft_manager_register(manager, "get_dict", .standard = "dict", .single = true) == 0, "weft_manager_register");
    bench_need(weft_manager_register(manager, "get_queue", .standard = "Queue", .single = true) == 0, "weft_manager_register");
    return manager;
}

static weft_manager *manager_begin(const char *variant)
{
    weft_manager *manager = manager_make(variant);
    bench_need(weft_manager_start(manager) == 0, "weft_manager_start");
    return manager;
}

/* One in a child of ours, that can be looked at from outside. */
struct server {
    pid_t process;
    char address[100];
};

static struct server server_begin(void)
{
    struct server server = {.process = -1};
    int tell[2];
    bench_need(pipe(tell) == 0 && (server.process = fork()) >= 0, "fork");
    if (server.process == 0) {
        weft_manager *manager = manager_make("");
        bench_need(write(tell[1], weft_manager_address(manager), strlen(weft_manager_address(manager)) + 1) > 0, "write");
        weft_manager_serve(manager);
        _exit(0);
    }
    bench_need(read(tell[0], server.address, sizeof(server.address)) > 0, "the server");
    close(tell[0]), close(tell[1]);
    return server;
}

static void server_end(const struct server *server)
{
    kill(server->process, SIGKILL);
    waitpid(server->process, NULL, 0);
}

struct client {
    weft_remote *remote;
    weft_proxy *dict;
};

static struct client client_begin(const char *address)
{
    struct client client = {.remote = weft_manager_connect(address, weft_in(10), .key = key, .key_length = 6)};
    bench_need(client.remote != NULL, "weft_manager_connect");
    client.dict = weft_proxy_new(client.remote, "get_dict", weft_in(10));
    bench_need(client.dict != NULL, "weft_proxy_new");
    return client;
}

static void client_end(struct client client)
{
    weft_proxy_free(client.dict);
    weft_remote_free(client.remote);
}

static double seconds(const struct client *client, long times)
{
    weft_value arguments = weft_tuple((weft_value[]){weft_str("key"), weft_int(12345)}, 2);
    double start = bench_clock();
    for (long i = 0; i < times; i++)
        bench_need(weft_proxy_call(client->dict, "__setitem__", NULL, WEFT_FOREVER, .arguments = arguments) == 0, "weft_proxy_call");
    weft_drop(arguments);
    return bench_clock() - start;
}

static double seconds_of_gets(const struct client *client, long times)
{
    weft_value argument = weft_tuple((weft_value[]){weft_str("key")}, 1), got;
    double start = bench_clock();
    for (long i = 0; i < times; i++) {
        bench_need(weft_proxy_call(client->dict, "__getitem__", &got, WEFT_FOREVER, .arguments = argument) == 0, "weft_proxy_call");
        bench_need(weft_as_int(got) == 12345, "what was stored");
        weft_drop(got);
    }
    weft_drop(argument);
    return bench_clock() - start;
}

static double one_client_of(double (*measured)(const struct client *client, long times), long iterations, const char *variant)
{
    weft_manager *manager = manager_begin(variant);
    struct client client = client_begin(weft_manager_address(manager));
    seconds(&client, iterations / 10 + 1);
    double took = measured(&client, iterations);
    client_end(client);
    weft_manager_free(manager);
    return took / (double)iterations * 1e6;
}

static double one_client(long iterations, const char *variant)
{
    return one_client_of(seconds, iterations, variant);
}

static double one_client_gets(long iterations, const char *variant)
{
    return one_client_of(seconds_of_gets, iterations, variant);
}

enum { CLIENTS = 4, CROWD = 16 };

static void clients_of(const char *address, int count, long each)
{
    pid_t children[CROWD];
    for (int i = 0; i < count; i++) {
        children[i] = fork();
        bench_need(children[i] >= 0, "fork");
        if (children[i] != 0)
            continue;
        struct client client = client_begin(address);
        seconds(&client, each);
        client_end(client);
        _exit(0);
    }
    for (int i = 0; i < count; i++)
        waitpid(children[i], NULL, 0);
}

static double four_clients(long iterations, const char *variant)
{
    weft_manager *manager = manager_begin(variant);
    clients_of(weft_manager_address(manager), CLIENTS, iterations / 40 + 1);
    double start = bench_clock();
    clients_of(weft_manager_address(manager), CLIENTS, iterations / CLIENTS);
    double took = bench_clock() - start;
    weft_manager_free(manager);
    return took / (double)iterations * 1e6;
}

/* The script beside this file, begun: what it prints, to be closed with pclose. */
static FILE *script(const char *row, long iterations, const char *address)
{
    char command[1000];
    int folder = (int)(strrchr(__FILE__, '/') ? strrchr(__FILE__, '/') - __FILE__ : 0);
    snprintf(command, sizeof(command), "exec /usr/bin/python3 '%.*s'/peers/managers.py %s %ld %s", folder ? folder : 1,
        folder ? __FILE__ : ".", row, iterations, address);
    FILE *printed = popen(command, "r");
    bench_need(printed != NULL, "popen");
    return printed;
}

/* Microseconds of one operation. */
static double python(const char *row, long iterations, const char *address)
{
    double figure = -1;
    FILE *client = script(row, iterations, address);
    bench_need(fscanf(client, "%lf", &figure) == 1, row);
    pclose(client);
    return figure;
}

static double python_of(const char *row, long iterations, const char *variant)
{
    weft_manager *manager = manager_begin(variant);
    double figure = python(row, iterations, weft_manager_address(manager));
    weft_manager_free(manager);
    return figure;
}

static double python_sets(long iterations, const char *variant)
{
    return python_of("manager-python", iterations, variant);
}

static double python_pairs(long iterations, const char *variant)
{
    return python_of("manager-python-pairs", iterations, variant);
}

static double python_four(long iterations, const char *variant)
{
    return python_of("manager-python-four", iterations, variant);
}

static double python_four_pairs(long iterations, const char *variant)
{
    return python_of("manager-python-four-pairs", iterations, variant);
}

static double python_connect(long iterations, const char *variant)
{
    return python_of("manager-connect", iterations, variant);
}

/*
 * The bare one stands before a server: what comes it hands on, and the answers back, until a connection has asked LEARNED times. From then
 * on it answers with the last answer that there was.
 */
enum { LEARNED = 50 };

struct between {
    int client, server;
    char answer[1000];
    ssize_t length; /* of the last answer */
};

static bool hand_on(int from, int to, char *octets, ssize_t *length)
{
    *length = recv(from, octets, sizeof((struct between){0}.answer), 0);
    return *length > 0 && send(to, octets, (size_t)*length, MSG_NOSIGNAL) == *length;
}

static bool learn(struct between *between)
{
    char asked[sizeof(between->answer)];
    ssize_t length;
    for (int count = 0, answered = 0; count < LEARNED || answered < count;) {
        struct pollfd both[] = {{.fd = between->client, .events = POLLIN}, {.fd = between->server, .events = POLLIN}};
        if (poll(both, 2, -1) < 0)
            return false;
        if (both[1].revents) {
            if (!hand_on(between->server, between->client, between->answer, &between->length))
                return false;
            answered = count;
        } else if (both[0].revents) {
            if (!hand_on(between->client, between->server, asked, &length))
                return false;
            count++;
        }
    }
    return true;
}

static void *between_run(void *data)
{
    struct between *between = data;
    char asked[1000];
    if (learn(between))
        while (recv(between->client, asked, sizeof(asked), 0) > 0 &&
               send(between->client, between->answer, (size_t)between->length, MSG_NOSIGNAL) > 0)
            ;
    close(between->client);
    close(between->server);
    free(between);
    return NULL;
}

static int tcp_dial(const char *address)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(strchr(address, ':') + 1)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int made = socket(AF_INET, SOCK_STREAM, 0);
    bench_need(made >= 0 && connect(made, (struct sockaddr *)&to, sizeof(to)) == 0, "connect");
    return made;
}

_Noreturn static void bare_run(int listener, const char *address)
{
    for (;;) {
        struct between *between = calloc(1, sizeof(*between));
        pthread_t thread;
        between->client = accept(listener, NULL, NULL);
        bench_need(between->client >= 0, "accept");
        between->server = tcp_dial(address);
        setsockopt(between->client, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        setsockopt(between->server, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        bench_need(pthread_create(&thread, NULL, between_run, between) == 0, "pthread_create");
        pthread_detach(thread);
    }
}

static struct server bare_begin(const char *address)
{
    struct server server;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    bench_need(bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(listener, 100) == 0, "listen");
    bench_need(getsockname(listener, (struct sockaddr *)&at, &(socklen_t){sizeof(at)}) == 0, "getsockname");
    snprintf(server.address, sizeof(server.address), "127.0.0.1:%d", ntohs(at.sin_port));
    bench_need((server.process = fork()) >= 0, "fork");
    if (server.process == 0)
        bare_run(listener, address);
    close(listener);
    return server;
}

/* Microseconds of the processor that all threads of the server have used. */
static double used(const struct server *server)
{
    clockid_t clock;
    struct timespec now;
    bench_need(clock_getcpuclockid(server->process, &clock) == 0, "clock_getcpuclockid");
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double processor_of(const char *row, long iterations, const char *variant)
{
    struct server weft = server_begin(), bare, server = weft;
    bool is_bare = strcmp(variant, "bare") == 0;
    if (is_bare)
        server = bare = bare_begin(weft.address);
    double before = used(&server);
    python(row, iterations, server.address);
    double took = used(&server) - before;
    if (is_bare)
        server_end(&bare);
    server_end(&weft);
    return took / (double)iterations;
}

static double processor(long iterations, const char *variant)
{
    return processor_of("manager-python", iterations, variant);
}

static double processor_four(long iterations, const char *variant)
{
    return processor_of("manager-python-four", iterations, variant);
}

static double crowd(long iterations, const char *variant)
{
    FILE *theirs = strcmp(variant, "cpython") == 0 ? script("serve", 0, "") : NULL;
    struct server server;
    if (theirs)
        bench_need(fscanf(theirs, "%d %99s", &server.process, server.address) == 2, "CPython's manager");
    else
        server = server_begin();
    clients_of(server.address, CROWD, iterations / CROWD / 10 + 1);
    double before = used(&server);
    clients_of(server.address, CROWD, iterations / CROWD);
    double took = used(&server) - before;
    kill(server.process, SIGKILL);
    if (theirs)
        pclose(theirs);
    else
        waitpid(server.process, NULL, 0);
    return took / (double)iterations;
}

/* KiB of a process that are no file's. */
static double memory_of(pid_t process)
{
    char path[60], line[200];
    double kibibytes = -1;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)process);
    FILE *file = fopen(path, "r");
    bench_need(file != NULL, path);
    while (kibibytes < 0 && fgets(line, sizeof(line), file))
        sscanf(line, "RssAnon: %lf", &kibibytes);
    fclose(file);
    return kibibytes;
}

static double idle(long iterations, const char *variant)
{
    (void)variant;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    struct server server = server_begin();
    weft_connection **clients = calloc((size_t)iterations, sizeof(weft_connection *));
    weft_value name = weft_str("idle");
    weft_value request = weft_tuple((weft_value[]){weft_none, weft_str("accept_connection"), weft_tuple(&name, 1), weft_dict()}, 4), reply;
    double before = memory_of(server.process);
    for (long i = 0; i < iterations; i++) {
        clients[i] = weft_connection_dial(server.address, weft_in(20), .key = key, .key_length = 6);
        bench_need(clients[i] != NULL, "weft_connection_dial");
        bench_need(
            weft_connection_send(clients[i], request, weft_in(20)) == 0 && weft_connection_receive(clients[i], &reply, weft_in(20)) == 0,
            "accept_connection");
        weft_drop(reply);
    }
    double each = (memory_of(server.process) - before) / (double)iterations;
    server_end(&server);
    return each;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"manager-call", one_client}, {"manager-calls", four_clients},
        {"manager-call-unix", one_client}, {"manager-calls-unix", four_clients}, {"manager-python", python_sets},
        {"manager-python-pairs", python_pairs}, {"manager-python-four", python_four}, {"manager-python-four-pairs", python_four_pairs},
        {"manager-connect", python_connect}, {"manager-processor", processor}, {"manager-processor-four", processor_four},
        {"manager-call-pinned", one_client}, {"manager-call-unix-pinned", one_client}, {"manager-get", one_client_gets},
        {"manager-processor-crowd", crowd}, {"manager-idle", idle}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
