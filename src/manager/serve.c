/* SPDX-License-Identifier: MIT */
/*
 * The threads that serve a manager's clients.
 *
 * Who serves has a group of tasks: servers, each a thread with a coroutine for each of its clients. It waits for `stop`, cancels the group,
 * and comes back when all have ended. The first server is the caller's own thread, which accepts. There a client proves himself, and asks
 * what is asked of the manager itself, mostly one thing in a connection. Who says that he is going to ask for objects stays for longer: the
 * server with the fewest of those has him from then on, through its queue of arrivals. One alone is served where he was heard, and nobody
 * has to be woken.
 *
 * A message between processors interrupts the other one, one on the same processor does not. So a server looks now and then where a
 * client's requests come from (SO_INCOMING_CPU: where the last one was sent, on this machine, or received, from another), and gives him to
 * the server that ran there when it last looked, if that has no more clients than itself. Two servers never give each other the same one
 * for ever: each gives only who is not where it runs.
 *
 * A connection that is given has nothing under way: its coroutine has sent the last reply, and the hub has forgotten the descriptor. The
 * queue orders what the giver did before what the taker does. What is in a queue when all have ended is closed.
 *
 * `sessions` is a number to choose by: it is counted at once by who gives (relaxed), so that two clients in a row do not go to the same
 * one, and is exact but for the moment of a choice.
 */

#include <errno.h>
#include <sched.h>
#include <sys/socket.h>

#include <weft/task.h>

#include "base/memory.h"
#include "coroutine/readiness.h"
#include "manager/manager.h"
#include "wait/wait.h"

enum { STACK = 1 << 16, SERVERS = 4 /* at most, by themselves: a manager's objects have one lock */ };
static const double ACCEPT_REST = 0.05;

/* One more client; closed when he cannot be served. */
static int client_begin(struct wefti_server *server, weft_value (*function)(weft_value), weft_connection *connection)
{
    connection->owner = server;
    if (weft_group_spawn(server->manager->group, WEFT_COROUTINE, function, weft_ptr(connection), .name = "manager-client", .daemon = true,
            .stack_size = STACK) == 0)
        return 0;
    int error = errno;
    weft_connection_close(connection);
    errno = error;
    return -1;
}

static weft_value accept_run(weft_value argument)
{
    struct wefti_server *server = weft_as_ptr(argument);
    for (;;) {
        weft_connection *connection = wefti_listener_next(server->manager->listener, WEFT_FOREVER);
        if (connection && client_begin(server, wefti_session_run, connection) == 0)
            continue;
        if (errno == ECANCELED || errno == ESHUTDOWN || errno == EBADF || weft_cancelled())
            return weft_none;
        if (weft_sleep(ACCEPT_REST) != 0) /* no descriptors, no memory: those that there are may end */
            return weft_none;
    }
}

static weft_value arrivals_run(weft_value argument)
{
    struct wefti_server *server = weft_as_ptr(argument);
    weft_value arrived;
    while (weft_queue_get(server->arrivals, &arrived, WEFT_FOREVER) == 0)
        if (client_begin(server, wefti_session_go_on, weft_as_ptr(arrived)) != 0)
            __atomic_sub_fetch(&server->sessions, 1, __ATOMIC_RELAXED);
    return weft_none;
}

static uint32_t sessions_of(const struct wefti_server *server)
{
    return __atomic_load_n(&server->sessions, __ATOMIC_RELAXED);
}

/* False: there is no memory, or the caller is cancelled, and it stays. */
static bool connection_give(weft_connection *connection, struct wefti_server *to)
{
    struct wefti_server *here = connection->owner;
    wefti_readiness_leave(connection->descriptor);
    __atomic_add_fetch(&to->sessions, 1, __ATOMIC_RELAXED);
    if (weft_queue_put(to->arrivals, weft_ptr(connection), WEFT_NOW) != 0) {
        __atomic_sub_fetch(&to->sessions, 1, __ATOMIC_RELAXED);
        return false;
    }
    __atomic_sub_fetch(&here->sessions, 1, __ATOMIC_RELAXED);
    return true;
}

bool wefti_server_gives(weft_connection *connection)
{
    struct wefti_server *here = connection->owner, *least = here;
    if (!here)
        return false;
    for (unsigned i = 0; i < here->manager->server_count; i++)
        if (sessions_of(&here->manager->servers[i]) < sessions_of(least))
            least = &here->manager->servers[i];
    __atomic_add_fetch(&here->sessions, 1, __ATOMIC_RELAXED);
    return least != here && connection_give(connection, least);
}

bool wefti_server_gives_nearer(weft_connection *connection)
{
    struct wefti_server *here = connection->owner;
    int processor = -1;
    if (!here || here->manager->server_count < 2 || !connection->tcp)
        return false;
    __atomic_store_n(&here->processor, sched_getcpu(), __ATOMIC_RELAXED);
    getsockopt(connection->descriptor, SOL_SOCKET, SO_INCOMING_CPU, &processor, &(socklen_t){sizeof(processor)});
    if (processor < 0 || processor == here->processor)
        return false;
    for (unsigned i = 0; i < here->manager->server_count; i++) {
        struct wefti_server *server = &here->manager->servers[i];
        if (__atomic_load_n(&server->processor, __ATOMIC_RELAXED) == processor && sessions_of(server) <= sessions_of(here))
            return connection_give(connection, server);
    }
    return false;
}

void wefti_server_done(weft_connection *connection)
{
    struct wefti_server *server = connection->owner;
    if (server)
        __atomic_sub_fetch(&server->sessions, 1, __ATOMIC_RELAXED);
}

/* Whether functions or types of the program's are registered, which may rely on one thread. */
static bool runs_own(const weft_manager *manager)
{
    const struct wefti_offer_entry *offer = manager->offers;
    while (offer && !offer->user && !offer->function)
        offer = offer->next;
    return offer != NULL;
}

/* What a seed gives an order to is the coroutines of one thread. */
static unsigned servers_wanted(const weft_manager *manager)
{
    if (manager->options.threads > 0)
        return manager->options.threads;
    unsigned processors = weft_cpu_count();
    return runs_own(manager) || wefti_readiness_seeded() ? 1 : processors < SERVERS ? processors : SERVERS;
}

static int servers_begin(weft_manager *manager)
{
    unsigned count = servers_wanted(manager);
    manager->servers = wefti_alloc(count * sizeof(*manager->servers));
    if (!manager->servers)
        return -1;
    manager->server_count = count;
    for (unsigned i = 0; i < count; i++) {
        manager->servers[i].manager = manager;
        manager->servers[i].processor = -1;
        if (count > 1 && !(manager->servers[i].arrivals = weft_queue_new()))
            return -1;
    }
    return 0;
}

/* The servers from this one on are none. */
static void servers_end(weft_manager *manager, unsigned first)
{
    weft_value arrived;
    for (unsigned i = first; i < manager->server_count; i++) {
        struct wefti_server *server = &manager->servers[i];
        while (server->arrivals && weft_queue_get(server->arrivals, &arrived, WEFT_NOW) == 0)
            weft_connection_close(weft_as_ptr(arrived));
        weft_queue_free(server->arrivals);
    }
    manager->server_count = first;
}

static int server_spawn(weft_manager *manager, unsigned number)
{
    return weft_group_spawn(manager->group, number == 0 ? WEFT_COROUTINE : WEFT_THREAD, arrivals_run, weft_ptr(&manager->servers[number]),
        .name = "manager", .daemon = true);
}

/* Where nobody has said how many, as many as there can be: each but the first is a thread. */
static int serve_begin(weft_manager *manager)
{
    manager->group = weft_group_new();
    if (!manager->group || servers_begin(manager) != 0)
        return -1;
    for (unsigned i = 0; i < manager->server_count && manager->server_count > 1; i++) {
        if (server_spawn(manager, i) == 0)
            continue;
        if (manager->options.threads > 0 || i == 0)
            return -1;
        servers_end(manager, i);
    }
    return weft_group_spawn(
        manager->group, WEFT_COROUTINE, accept_run, weft_ptr(&manager->servers[0]), .name = "manager", .daemon = true, .stack_size = STACK);
}

static void serve_end(weft_manager *manager)
{
    int error = errno;
    wefti_shield_raise();
    if (manager->group) {
        weft_group_cancel(manager->group);
        weft_group_free(manager->group);
    }
    manager->group = NULL;
    servers_end(manager, 0);
    wefti_release(manager->servers);
    manager->servers = NULL;
    wefti_shield_lower();
    __atomic_store_n(&manager->stop, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&manager->serving, 0, __ATOMIC_RELEASE);
    weft_wake(&manager->serving, UINT32_MAX);
    errno = error;
}

int weft_manager_serve(weft_manager *manager)
{
    if (!manager) {
        errno = EINVAL;
        return -1;
    }
    if (__atomic_exchange_n(&manager->serving, 1, __ATOMIC_ACQUIRE) || manager->process) {
        errno = EBUSY;
        return -1;
    }
    int result = serve_begin(manager);
    while (result == 0 && !__atomic_load_n(&manager->stop, __ATOMIC_ACQUIRE))
        result = weft_wait(&manager->stop, 0, WEFT_FOREVER);
    serve_end(manager);
    return result;
}
