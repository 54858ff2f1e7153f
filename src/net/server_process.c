/* SPDX-License-Identifier: MIT */
/*
 * Connections that processes of the family serve. A coroutine of the server's thread stands for each process: it has the process made, with
 * the descriptor given along (the connection, or for a worker the listener), and waits for its end. So the rest of the server knows nothing
 * of processes.
 *
 * The descriptor goes with the request to the supervisor, who makes the process: nothing of it stays there. The coroutine closes its own
 * copy when the process has its one, else the peer would not see that the process closes.
 *
 * What the process is told is the task's argument: a struct order, then the handler's argument. A worker waits for a connection or for
 * `stopping` in the arena; it says there whether it serves one, and when it dies over that, its keeper takes the word back and starts
 * another, but not more than ten a second.
 *
 * Cancelled, the coroutine ends its process: by SIGTERM, after GRACE by SIGKILL.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/io.h"
#include "net/server.h"
#include "shared/block.h"
#include "task/function.h"
#include "task/task.h"
#include <weft/with.h>

static const double GRACE = 1, SHORT = 0.1;

struct order {
    struct wefti_function handler;
    weft_time idle;
    double time_limit;
    struct wefti_workers *common; /* of workers; NULL: one connection */
    uint32_t number;
};

/* In the process. */

static void worker_run(const struct order *order, weft_handler *handler, int listener, weft_value argument)
{
    uint32_t *busy = &order->common->busy[order->number];
    for (int came; (came = wefti_server_accept(listener, &order->common->stopping)) >= 0 || (errno != ESHUTDOWN && errno != EBADF);) {
        if (came < 0) {
            weft_sleep(SHORT); /* something ran out */
            continue;
        }
        __atomic_store_n(busy, 1, __ATOMIC_RELEASE);
        wefti_handler_call(handler, came, argument, order->idle, order->time_limit);
        if (!wefti_member) /* a copy that the handler has forked: it ends, instead of taking connections beside the worker */
            return;
        weft_close(came);
        __atomic_store_n(busy, 0, __ATOMIC_RELEASE);
    }
}

static weft_value order_main(weft_value argument)
{
    struct order order;
    weft_function *function;
    memcpy(&order, weft_as_bytes(weft_list_at(argument, 0)), sizeof(order));
    int given = wefti_process_given();
    if (given < 0 || wefti_function_find(&order.handler, &function) != 0)
        return weft_error(given < 0 ? EBADF : errno, "no handler here");
    weft_handler *handler = (weft_handler *)(void (*)(void))function; /* it was packed as one */
    if (order.common)
        worker_run(&order, handler, given, weft_list_at(argument, 1));
    else
        wefti_handler_call(handler, given, weft_list_at(argument, 1), order.idle, order.time_limit);
    weft_close(given);
    return weft_none;
}

/* In the server's process. */

static int order_make(const struct wefti_served *served, weft_value *argument)
{
    const weft_server *server = served->server;
    struct order order = {
        .idle = server->idle, .time_limit = server->options.time_limit, .common = server->common, .number = served->number};
    if (wefti_function_pack((weft_function *)(void (*)(void))server->options.handler, &order.handler) != 0)
        return -1;
    weft_value octets = weft_bytes(&order, sizeof(order));
    weft_value items[] = {octets, weft_keep(server->options.argument)};
    if (weft_is_error(octets))
        return -1;
    *argument = weft_tuple(items, 2);
    if (!weft_is_error(*argument))
        return 0;
    weft_drop(items[0]);
    weft_drop(items[1]);
    return -1;
}

/* A process that has the descriptor. NULL with errno. */
static weft_task *order_start(const struct wefti_served *served, int descriptor)
{
    weft_value argument;
    if (order_make(served, &argument) != 0)
        return NULL;
    weft_task *task = weft_task_new(WEFT_PROCESS, order_main, argument, .daemon = true);
    if (!task) {
        weft_drop(argument);
        return NULL;
    }
    task->given = descriptor + 1;
    if (weft_task_start(task) == 0)
        return task;
    int error = errno;
    weft_task_free(task); /* and the argument with it */
    errno = error;
    return NULL;
}

/* Waits for the end of a process, or ends it when the caller is cancelled. */
static void process_see_off(weft_task *task)
{
    if (weft_task_join(task, WEFT_FOREVER) != 0) {
        wefti_shield_raise();
        weft_task_terminate(task);
        if (weft_task_join(task, weft_in(GRACE)) != 0) {
            weft_task_kill(task);
            weft_task_join(task, WEFT_FOREVER);
        }
        wefti_shield_lower();
    }
    weft_task_free(task);
}

/* A process could not be had: not at once, and not when it is too late. False: give up. */
static bool pause_for_process(const weft_server *server)
{
    bool lasting = errno != EAGAIN && errno != ENOMEM && errno != EMFILE && errno != ENFILE;
    return !lasting && !__atomic_load_n(&server->stopping, __ATOMIC_ACQUIRE) && weft_sleep(SHORT) == 0;
}

/* The connection is the process's alone from here on. */
static void served_give(struct wefti_served *served)
{
    int descriptor = served->descriptor;
    weft_with (&served->server->lock)
        served->descriptor = -1;
    weft_close(descriptor);
}

void wefti_serve_by_process(struct wefti_served *served)
{
    weft_task *task;
    while (!(task = order_start(served, served->descriptor)))
        if (!pause_for_process(served->server))
            return;
    served_give(served);
    process_see_off(task);
}

void wefti_keep_worker(struct wefti_served *served)
{
    weft_server *server = served->server;
    while (!__atomic_load_n(&server->stopping, __ATOMIC_ACQUIRE) && !weft_cancelled()) {
        weft_time soon = weft_in(SHORT);
        weft_task *task = order_start(served, server->listener);
        if (task)
            process_see_off(task);
        __atomic_store_n(&server->common->busy[served->number], 0, __ATOMIC_RELEASE);
        if (!__atomic_load_n(&server->stopping, __ATOMIC_ACQUIRE) && weft_clock() < soon)
            weft_sleep_until(soon);
    }
}
