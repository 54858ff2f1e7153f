/* SPDX-License-Identifier: MIT */
/*
 * Weft's managers, over TCP on this machine, each server in a process of its own.
 * "manager-call": a client in C stores into a dictionary, one call at a time. "manager-calls": four such clients at once.
 * "manager-python": the client is CPython's, peers/managers.py; so it is in "manager-python-pairs" (put and get), "manager-python-four" (four of them) and "manager-connect" (connect and the first call).
 */
#include <sys/wait.h>
#include <unistd.h>

#include <weft.h>

#include "bench.h"

static const char key[] = "secret";

static weft_manager *manager_begin(void)
{
    weft_manager *manager = weft_manager_new("127.0.0.1:0", .key = key, .key_length = 6, .standard = true);
    bench_need(manager != NULL, "weft_manager_new");
    bench_need(weft_manager_register(manager, "get_dict", .standard = "dict", .single = true) == 0, "weft_manager_register");
    bench_need(weft_manager_register(manager, "get_queue", .standard = "Queue", .single = true) == 0, "weft_manager_register");
    bench_need(weft_manager_start(manager) == 0, "weft_manager_start");
    return manager;
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

static double one_client(long iterations, const char *variant)
{
    (void)variant;
    weft_manager *manager = manager_begin();
    struct client client = client_begin(weft_manager_address(manager));
    seconds(&client, iterations / 10 + 1);
    double took = seconds(&client, iterations);
    client_end(client);
    weft_manager_free(manager);
    return took / (double)iterations * 1e6;
}

enum { CLIENTS = 4 };

static void clients_of(const char *address, long each)
{
    pid_t children[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        children[i] = fork();
        bench_need(children[i] >= 0, "fork");
        if (children[i] != 0)
            continue;
        struct client client = client_begin(address);
        seconds(&client, each);
        client_end(client);
        _exit(0);
    }
    for (int i = 0; i < CLIENTS; i++)
        waitpid(children[i], NULL, 0);
}

static double four_clients(long iterations, const char *variant)
{
    (void)variant;
    weft_manager *manager = manager_begin();
    clients_of(weft_manager_address(manager), iterations / 40 + 1);
    double start = bench_clock();
    clients_of(weft_manager_address(manager), iterations / CLIENTS);
    double took = bench_clock() - start;
    weft_manager_free(manager);
    return took / (double)iterations * 1e6;
}

/* What the script beside this file prints: microseconds of one operation. */
static double python(const char *row, long iterations)
{
    weft_manager *manager = manager_begin();
    char command[1000];
    double figure = -1;
    int folder = (int)(strrchr(__FILE__, '/') ? strrchr(__FILE__, '/') - __FILE__ : 0);
    snprintf(command, sizeof(command), "/usr/bin/python3 '%.*s'/peers/managers.py %s %ld %s", folder ? folder : 1, folder ? __FILE__ : ".",
        row, iterations, weft_manager_address(manager));
    FILE *client = popen(command, "r");
    bench_need(client != NULL, "popen");
    bench_need(fscanf(client, "%lf", &figure) == 1, command);
    pclose(client);
    weft_manager_free(manager);
    return figure;
}

static double python_sets(long iterations, const char *variant)
{
    (void)variant;
    return python("manager-python", iterations);
}

static double python_pairs(long iterations, const char *variant)
{
    (void)variant;
    return python("manager-python-pairs", iterations);
}

static double python_four(long iterations, const char *variant)
{
    (void)variant;
    return python("manager-python-four", iterations);
}

static double python_connect(long iterations, const char *variant)
{
    (void)variant;
    return python("manager-connect", iterations);
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"manager-call", one_client}, {"manager-calls", four_clients}, {"manager-python", python_sets},
        {"manager-python-pairs", python_pairs}, {"manager-python-four", python_four}, {"manager-connect", python_connect}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
