/* SPDX-License-Identifier: MIT */
/* Servers that are stopped at any moment, with clients of every sort; connections whose numbers come round between threads. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fixture.h"

static char address[64];
static uint32_t over; /* clients are to end */

static uint32_t random_next(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static void echo(int fd, weft_value argument)
{
    char octets[100];
    ssize_t got;
    (void)argument;
    while ((got = weft_read(fd, octets, sizeof(octets), WEFT_FOREVER)) > 0)
        if (weft_write_all(fd, octets, (size_t)got, WEFT_FOREVER) != 0)
            break;
}

/* Some rounds of a connection. What it says comes back, or the connection ends. */
static void client_talk(int fd, uint32_t *state)
{
    char said[200], heard[200];
    for (uint32_t rounds = random_next(state) % 5; rounds > 0; rounds--) {
        size_t size = random_next(state) % sizeof(said) + 1, have = 0;
        memset(said, (int)random_next(state), size);
        if (weft_write_all(fd, said, size, weft_in(20)) != 0)
            return;
        while (have < size) {
            ssize_t got = weft_read(fd, heard + have, size - have, weft_in(20));
            if (got <= 0)
                return;
            have += (size_t)got;
        }
        ck_assert_mem_eq(said, heard, size);
    }
}

static weft_value client_main(weft_value seed)
{
    uint32_t state = (uint32_t)weft_as_int(seed);
    while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
        int fd = weft_dial(address, weft_in(20));
        if (fd < 0) {
            weft_yield();
            weft_sleep(0.0005); /* the server is between two lives */
            continue;
        }
        client_talk(fd, &state);
        uint32_t way = random_next(&state) % 4;
        if (way == 0)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
        else if (way == 1)
            shutdown(fd, SHUT_WR);
        weft_close(fd);
    }
    return weft_none;
}

/* A thread with some clients that are coroutines, and itself. */
static weft_value clients_main(weft_value seed)
{
    weft_task *tasks[4];
    for (int i = 0; i < 4; i++)
        tasks[i] = weft_spawn(WEFT_COROUTINE, client_main, weft_int(weft_as_int(seed) * 10 + i));
    client_main(seed);
    for (int i = 0; i < 4; i++) {
        weft_task_join(tasks[i], WEFT_FOREVER);
        weft_task_free(tasks[i]);
    }
    return weft_none;
}

/* Always at the same address, so that clients find the next one. */
static void server_live(uint32_t round, uint32_t *state)
{
    weft_server *server = NULL;
    int listener = weft_listen(address, .backlog = 16);
    ck_assert_int_ge(listener, 0);
    switch (round % 4) {
    case 0:
        server = weft_serve(listener, echo, .threads = 2, .limit = 6);
        break;
    case 1:
        server = weft_serve(listener, echo, .task = WEFT_THREAD, .limit = 4);
        break;
    case 2:
        server = weft_serve(listener, echo, .task = WEFT_THREAD, .workers = 3);
        break;
    default:
        server = weft_serve(listener, echo, .limit = 20, .idle_timeout = 0.01);
    }
    ck_assert_ptr_nonnull(server);
    weft_sleep((random_next(state) % 10) / 1000.0);
    int stopped = weft_server_stop(server, random_next(state) % 2 ? WEFT_NOW : weft_in(0.002));
    ck_assert(stopped == 0 || errno == ETIMEDOUT);
}

START_TEST(servers_come_and_go)
{
    uint32_t state = 7;
    snprintf(address, sizeof(address), "abstract:weft-stress-%d", (int)getpid());
    weft_task *clients[2];
    for (int i = 0; i < 2; i++)
        clients[i] = weft_spawn(WEFT_THREAD, clients_main, weft_int(i + 1));
    for (uint32_t round = 0; round < 60; round++)
        server_live(round, &state);
    __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(weft_task_join(clients[i], weft_in(60)), 0);
        weft_task_free(clients[i]);
    }
}
END_TEST

START_TEST(servers_come_and_go_over_tcp)
{
    uint32_t state = 11;
    int listener = weft_listen("127.0.0.1:0");
    ck_assert_int_gt(weft_socket_address(listener, address, sizeof(address)), 0);
    weft_close(listener);
    weft_task *client = weft_spawn(WEFT_THREAD, clients_main, weft_int(5));
    for (uint32_t round = 0; round < 40; round++)
        server_live(round, &state);
    __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
    ck_assert_int_eq(weft_task_join(client, weft_in(60)), 0);
    weft_task_free(client);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, servers_come_and_go);
    tcase_add_test(tests, servers_come_and_go_over_tcp);
}

int main(void)
{
    return fixture_main("stress_net", add);
}
