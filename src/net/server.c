/* SPDX-License-Identifier: MIT */
/*
 * Servers: who accepts, and what becomes of a connection.
 *
 * Acceptors are tasks that take a place (`running` below the limit), then a connection, then start a task for it, in this order; so at the
 * limit nobody accepts. One coroutine is the acceptor where coroutines are the calling thread's; else threads are: one for tasks that are
 * threads or processes, one for each hub of coroutines. Workers that are threads accept for themselves. A process serves on behalf of a
 * coroutine, which waits for its end and stands for it in all that follows (server_process.c).
 *
 * What ends a connection's task: the handler returns. It closes the descriptor, leaves the list, and gives the place back last: the address
 * of `running` is all it touches then, as the server may be gone.
 *
 * Stop: `stopping` is set, which ends the waits of the acceptors; when none of them can accept any more (`accepting`) the listener is
 * closed. Then `running` is waited for. At the deadline all tasks in the list are cancelled, and their sockets shut down, which ends even a
 * read that is not Weft's. A thread with a hub stays until nothing runs, as its coroutines are on it.
 *
 * Where something ran out, an acceptor waits for one of the connections to end or for PAUSE. It does not take that for a reason to give up
 * a connection that it has accepted: that one waits for its task.
 *
 * The list is guarded by a lock that is taken with weft_with, so that a task that was cancelled leaves it, too. fork: the child has copies
 * of the descriptors and none of the tasks; the server is its parent's.
 */

#include "net/server.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/options.h"
#include "net/io.h"
#include "task/task.h"
#include <weft/deadline.h>
#include <weft/shared.h>
#include <weft/with.h>

enum { COROUTINES_MOST = 10000, THREADS_MOST = 1000, PROCESSES_MOST = 50 };
enum { PAUSE = 100000000 /* ns */ };

void wefti_handler_call(weft_handler *handler, int descriptor, weft_value argument, weft_time idle, double time_limit)
{
    struct wefti_context *context = wefti_context_current();
    weft_time before = context->idle;
    context->idle = idle;
    if (time_limit > 0)
        weft_deadline (weft_in(time_limit))
            handler(descriptor, argument);
    else
        handler(descriptor, argument);
    context->idle = before;
}

int wefti_server_accept(int listener, const uint32_t *stopping)
{
    for (;;) {
        struct wefti_item items[] = {
            {.kind = WEFTI_WORD, .word = stopping},
            {.kind = WEFTI_DESCRIPTOR, .descriptor = listener, .events = POLLIN, .tried = true},
        };
        int came = __atomic_load_n(stopping, __ATOMIC_SEQ_CST) ? (errno = ESHUTDOWN, -1) : weft_accept(listener, NULL, NULL, WEFT_NOW);
        if (came >= 0 || errno != EAGAIN || wefti_wait_items(items, 2, WEFT_FOREVER) < 0)
            return came;
    }
}

static bool server_stops(const weft_server *server)
{
    return __atomic_load_n(&server->stopping, __ATOMIC_ACQUIRE) != 0;
}

/* The last thing that a connection does, or an acceptor whose place was not needed. */
static void place_leave(weft_server *server)
{
    const uint32_t *word = &server->running;
    __atomic_sub_fetch(&server->running, 1, __ATOMIC_ACQ_REL);
    weft_wake(word, UINT32_MAX);
}

/* False: the server stops, or the task was cancelled. */
static bool place_take(weft_server *server)
{
    uint32_t running = __atomic_load_n(&server->running, __ATOMIC_RELAXED);
    while (!server_stops(server)) {
        if (running >= server->options.limit) {
            if (weft_wait(&server->running, running, WEFT_FOREVER) != 0)
                return false;
            running = __atomic_load_n(&server->running, __ATOMIC_RELAXED);
        } else if (__atomic_compare_exchange_n(&server->running, &running, running + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

/* Something ran out: until a connection ends, or for a while. False: the task was cancelled. */
static bool server_pause(weft_server *server)
{
    uint32_t ended = __atomic_load_n(&server->ended, __ATOMIC_RELAXED);
    return weft_wait(&server->ended, ended, weft_clock() + PAUSE) == 0 || errno == ETIMEDOUT;
}

/* The list. */

static void served_link(struct wefti_served *served)
{
    weft_server *server = served->server;
    weft_with (&server->lock) {
        served->next = server->first;
        if (server->first)
            server->first->previous = served;
        server->first = served;
        __atomic_store_n(&server->connections, server->connections + 1, __ATOMIC_RELAXED);
    }
}

static void served_unlink(struct wefti_served *served)
{
    weft_server *server = served->server;
    weft_with (&server->lock) {
        *(served->previous ? &served->previous->next : &server->first) = served->next;
        if (served->next)
            served->next->previous = served->previous;
        __atomic_store_n(&server->connections, server->connections - 1, __ATOMIC_RELAXED);
    }
}

/* At the deadline of a stop. */
static void list_cancel(weft_server *server)
{
    weft_with (&server->lock)
        for (struct wefti_served *served = server->first; served; served = served->next) {
            weft_task_cancel(served->task);
            if (served->descriptor >= 0)
                shutdown(served->descriptor, SHUT_RDWR);
        }
}

/* A connection's task. */

static void serve_here(struct wefti_served *served)
{
    const struct weft_serve_options *options = &served->server->options;
    wefti_handler_call(options->handler, served->descriptor, options->argument, served->server->idle, options->time_limit);
}

/* Leaves the list before its descriptor's number can be another's. */
static void served_close(struct wefti_served *served)
{
    served_unlink(served);
    if (served->descriptor >= 0)
        weft_close(served->descriptor);
    __atomic_add_fetch(&served->server->ended, 1, __ATOMIC_RELAXED);
    weft_wake(&served->server->ended, UINT32_MAX);
}

static weft_value served_main(weft_value argument)
{
    struct wefti_served *served = weft_as_ptr(argument);
    weft_server *server = served->server;
    server->serve(served);
    served_close(served);
    weft_task_free(served->task);
    wefti_release(served);
    place_leave(server);
    return weft_none;
}

/* Starts what serves a connection, or keeps a worker (-1). Its place is taken. False with errno: it did not start. */
static bool served_start(weft_server *server, enum weft_task_kind kind, int descriptor, unsigned number)
{
    struct wefti_served *served = wefti_alloc(sizeof(*served));
    if (!served)
        return false;
    *served = (struct wefti_served){.server = server, .descriptor = descriptor, .number = number};
    served->task = weft_task_new(kind, served_main, weft_ptr(served), .daemon = true, .stack_size = server->options.stack_size);
    if (served->task) {
        weft_task *task = weft_task_keep(served->task); /* it may have ended, and freed its own, before it is quite started */
        served_link(served);
        int started = weft_task_start(task), why = errno;
        weft_task_free(task);
        if (started == 0)
            return true;
        served_unlink(served);
        errno = why;
    }
    int error = errno;
    weft_task_free(served->task);
    wefti_release(served);
    errno = error;
    return false;
}

/* Acceptors. */

/* A connection that has come gets its task, however long that takes. False: it was given up. */
static bool connection_begin(weft_server *server, int descriptor)
{
    enum weft_task_kind kind = server->options.task == WEFT_THREAD ? WEFT_THREAD : WEFT_COROUTINE;
    while (!served_start(server, kind, descriptor, 0))
        if (server_stops(server) || !server_pause(server)) {
            weft_close(descriptor);
            return false;
        }
    return true;
}

/* One connection. False: there will be no more. */
static bool acceptor_step(weft_server *server)
{
    if (!place_take(server))
        return false;
    int came = wefti_server_accept(server->listener, &server->stopping), error = errno;
    if (came >= 0 && connection_begin(server, came))
        return true;
    place_leave(server);
    if (came >= 0 || error == ECANCELED || error == ESHUTDOWN || error == EBADF)
        return came >= 0;
    return server_pause(server);
}

static void acceptor_done(weft_server *server)
{
    __atomic_sub_fetch(&server->accepting, 1, __ATOMIC_ACQ_REL);
    weft_wake(&server->accepting, UINT32_MAX);
}

/* A coroutine of the thread that called weft_serve, or a thread that starts threads. */
static weft_value acceptor_main(weft_value argument)
{
    weft_server *server = weft_as_ptr(argument);
    while (acceptor_step(server))
        ;
    acceptor_done(server);
    return weft_none;
}

static void running_await(weft_server *server)
{
    uint32_t running;
    wefti_shield_raise();
    while ((running = __atomic_load_n(&server->running, __ATOMIC_ACQUIRE)) > 0)
        weft_wait(&server->running, running, WEFT_FOREVER);
    wefti_shield_lower();
}

/* A thread with coroutines: it stays for them. */
static weft_value hub_main(weft_value argument)
{
    weft_server *server = weft_as_ptr(argument);
    acceptor_main(argument);
    running_await(server);
    return weft_none;
}

/* A thread with the keepers of worker processes. */
static weft_value keepers_main(weft_value argument)
{
    weft_server *server = weft_as_ptr(argument);
    for (unsigned i = 0; i < server->options.workers && place_take(server);)
        if (served_start(server, WEFT_COROUTINE, -1, i))
            i++;
        else {
            place_leave(server);
            server_pause(server);
        }
    acceptor_done(server);
    running_await(server);
    return weft_none;
}

/* A worker that is a thread: in the list while it serves somebody. */
static bool worker_step(weft_server *server, struct wefti_served *served)
{
    __atomic_add_fetch(&server->accepting, 1, __ATOMIC_SEQ_CST); /* before the look at `stopping`: see accepting_end */
    __atomic_add_fetch(&server->running, 1, __ATOMIC_ACQ_REL);
    served->descriptor = wefti_server_accept(server->listener, &server->stopping);
    int error = errno;
    acceptor_done(server);
    if (served->descriptor < 0) {
        place_leave(server);
        return error != ECANCELED && error != ESHUTDOWN && error != EBADF && server_pause(server);
    }
    served->previous = NULL;
    served_link(served);
    serve_here(served);
    served_close(served);
    place_leave(server);
    return !weft_cancelled();
}

static weft_value worker_main(weft_value argument)
{
    weft_server *server = weft_as_ptr(argument);
    struct wefti_served served = {.server = server, .task = weft_current(), .descriptor = -1};
    while (worker_step(server, &served))
        ;
    return weft_none;
}

/* Making and ending. */

static bool options_valid(struct weft_serve_options *options)
{
    options->task = options->task ? options->task : WEFT_COROUTINE;
    enum weft_task_kind kind = options->task;
    bool known = kind == WEFT_COROUTINE || kind == WEFT_THREAD || kind == WEFT_PROCESS;
    unsigned most = kind == WEFT_COROUTINE ? COROUTINES_MOST : kind == WEFT_THREAD ? THREADS_MOST : PROCESSES_MOST;
    options->limit = options->limit ? options->limit : most;
    if (options->workers && kind == WEFT_PROCESS)
        options->limit = options->workers;
    int listens = 0;
    socklen_t length = sizeof(listens);
    bool good = known && options->handler && options->listener >= 0 && !(options->threads && kind != WEFT_COROUTINE) &&
                !(options->workers && kind == WEFT_COROUTINE) && options->idle_timeout >= 0 && options->time_limit >= 0;
    errno = EINVAL;
    return good && getsockopt(options->listener, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && (listens || (errno = EINVAL, false));
}

/* How many tasks accept, of which kind, and what they do. */
static unsigned acceptors_plan(const struct weft_serve_options *options, enum weft_task_kind *kind, weft_function **function)
{
    *kind = WEFT_THREAD;
    *function = options->task == WEFT_THREAD ? acceptor_main : hub_main;
    if (options->task == WEFT_THREAD && options->workers) {
        *function = worker_main;
        return options->workers;
    }
    if (options->task == WEFT_PROCESS && options->workers)
        *function = keepers_main;
    if (options->task == WEFT_COROUTINE && !options->threads) {
        *kind = WEFT_COROUTINE;
        *function = acceptor_main;
    }
    return options->threads ? options->threads : 1;
}

/* False: it has none. */
static bool listener_path(const weft_server *server, struct sockaddr_un *local)
{
    socklen_t length = sizeof(*local);
    memset(local, 0, sizeof(*local));
    return getsockname(server->listener, (struct sockaddr *)local, &length) == 0 && local->sun_family == AF_UNIX && local->sun_path[0] &&
           length > offsetof(struct sockaddr_un, sun_path);
}

/* The path of a local socket that this process made goes. */
static void listener_close(weft_server *server)
{
    struct sockaddr_un local;
    if (getpid() == server->maker && listener_path(server, &local))
        wefti_path_remove(&server->path, local.sun_path);
    weft_close(server->listener);
}

static void server_free(weft_server *server)
{
    for (unsigned i = 0; i < server->acceptors_count; i++) {
        wefti_shield_raise();
        weft_task_join(server->acceptors[i], WEFT_FOREVER);
        wefti_shield_lower();
        weft_task_free(server->acceptors[i]);
    }
    if (server->common)
        weft_shared_free(server->common);
    weft_drop(server->options.argument);
    wefti_release(server);
}

static bool acceptors_start(weft_server *server, unsigned count, enum weft_task_kind kind, weft_function *function)
{
    char name[24];
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof(name), count > 1 ? "Server-%u" : "Server", i + 1);
        if (function != worker_main) /* who says so himself, each time */
            __atomic_add_fetch(&server->accepting, 1, __ATOMIC_ACQ_REL);
        weft_task *task = weft_spawn(kind, function, weft_ptr(server), .name = name, .daemon = true);
        if (!task) {
            if (function != worker_main)
                __atomic_sub_fetch(&server->accepting, 1, __ATOMIC_ACQ_REL);
            return false;
        }
        server->acceptors[server->acceptors_count++] = task;
    }
    return true;
}

static void accepting_end(weft_server *server)
{
    uint32_t accepting;
    __atomic_store_n(&server->stopping, 1, __ATOMIC_SEQ_CST); /* a worker that this does not see accepting sees this */
    weft_wake(&server->stopping, UINT32_MAX);
    weft_wake(&server->running, UINT32_MAX);
    if (server->common) {
        __atomic_store_n(&server->common->stopping, 1, __ATOMIC_RELEASE);
        weft_wake(&server->common->stopping, UINT32_MAX);
    }
    wefti_shield_raise();
    while ((accepting = __atomic_load_n(&server->accepting, __ATOMIC_SEQ_CST)) > 0)
        weft_wait(&server->accepting, accepting, WEFT_FOREVER);
    wefti_shield_lower();
}

weft_server *weft_serve_with(const struct weft_serve_options *options)
{
    struct weft_serve_options read;
    enum weft_task_kind kind;
    weft_function *function;
    if (!wefti_options_read(&read, sizeof(read), options, offsetof(struct weft_serve_options, task)) || !options_valid(&read))
        return NULL;
    if (read.task == WEFT_PROCESS && wefti_processes_begin() != 0)
        return NULL;
    unsigned count = acceptors_plan(&read, &kind, &function);
    weft_server *server = wefti_alloc(sizeof(*server) + count * sizeof(weft_task *));
    if (!server)
        return NULL;
    *server = (weft_server){.options = read, .listener = read.listener, .maker = getpid(), .serve = serve_here};
    server->options.argument = weft_keep(read.argument);
    struct sockaddr_un local;
    if (listener_path(server, &local))
        wefti_path_note(&server->path, local.sun_path);
    server->idle = (weft_time)(read.idle_timeout < 1e9 ? read.idle_timeout * 1e9 : 0);
    if (read.task == WEFT_PROCESS)
        server->serve = read.workers ? wefti_keep_worker : wefti_serve_by_process;
    bool common = read.task == WEFT_PROCESS && read.workers;
    if (common)
        server->common = weft_shared_alloc(sizeof(*server->common) + read.workers * sizeof(uint32_t));
    if ((!common || server->common) && acceptors_start(server, count, kind, function)) {
        weft_drop(read.argument);
        return server;
    }
    int error = errno;
    accepting_end(server);
    list_cancel(server); /* nobody hears of a connection that came meanwhile */
    running_await(server);
    server_free(server);
    errno = error;
    return NULL;
}

unsigned weft_server_running(const weft_server *server)
{
    if (!server->common)
        return __atomic_load_n(&server->connections, __ATOMIC_RELAXED);
    unsigned busy = 0;
    for (unsigned i = 0; i < server->options.workers; i++)
        busy += __atomic_load_n(&server->common->busy[i], __ATOMIC_ACQUIRE);
    return busy;
}

int weft_server_stop(weft_server *server, weft_time deadline)
{
    if (!server)
        return 0;
    accepting_end(server);
    listener_close(server);
    uint32_t running;
    int waited = 0, error = errno;
    while (waited == 0 && (running = __atomic_load_n(&server->running, __ATOMIC_ACQUIRE)) > 0)
        waited = weft_wait(&server->running, running, deadline);
    if (waited != 0) {
        error = errno == EAGAIN ? ETIMEDOUT : errno;
        list_cancel(server);
    }
    running_await(server);
    server_free(server);
    errno = error;
    return waited;
}
