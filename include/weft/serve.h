/* SPDX-License-Identifier: MIT */
/*
 * Sockets by name, and servers: a function that is called for each connection, in a task of its own.
 *
 *     static void echo(int fd, weft_value argument)
 *     {
 *         char octets[4096];
 *         ssize_t got;
 *         while ((got = weft_read(fd, octets, sizeof octets, WEFT_FOREVER)) > 0 && weft_write_all(fd, octets, got, WEFT_FOREVER) == 0)
 *             ;
 *     }
 *
 *     int listener = weft_listen("127.0.0.1:9999");
 *     weft_server *server = weft_serve(listener, echo, .task = WEFT_COROUTINE, .limit = 1000, .idle_timeout = 60);
 *     ...
 *     weft_server_stop(server, weft_in(5));
 *
 * Addresses are texts: "127.0.0.1:9999", "[::1]:9999", "localhost:http" (a name is looked up), ":9999" (all addresses of this machine; port
 * 0: any free one), "unix:path" and "abstract:name" (of Linux).
 *
 * Which task a connection gets is one word. WEFT_COROUTINE: of the thread that calls weft_serve, which runs them whenever it waits, or of
 * `threads` threads of the server's own. WEFT_THREAD: a thread a connection; with `workers`, so many threads that take one connection after
 * the other. WEFT_PROCESS: a process of the family a connection (task.h says when the first can be made), with copies of handler and
 * argument; with `workers`, so many processes that take one after the other, and are replaced when they die.
 *
 * At the limit no connection is accepted until one ends: those that come wait in the kernel's line (`backlog`), and beyond that are not let
 * in. Where descriptors, memory or tasks run out (EMFILE, ENFILE, ENOMEM, EAGAIN), the server waits for one of its connections to end, and
 * tries again ten times a second.
 */
#ifndef WEFT_SERVE_H
#define WEFT_SERVE_H

#include <weft/base.h>
#include <weft/task.h>

typedef struct weft_server weft_server;

/*
 * Serves one connection: a descriptor in blocking mode, for weft_read and its like as for any others' code. The server closes it when this
 * returns. The argument is borrowed.
 */
typedef void weft_handler(int fd, weft_value argument);

struct weft_listen_options {
    size_t size; /* set by the macro */
    const char *address;
    struct weft_guard *guard;
    int backlog;     /* connections that may wait to be accepted; 0: 1024, or what the system allows */
    bool reuse_port; /* other processes may listen at the same port, and get their share (SO_REUSEPORT) */
};

struct weft_serve_options {
    size_t size; /* set by the macro */
    int listener;
    weft_handler *handler;
    struct weft_guard *guard;
    enum weft_task_kind task; /* 0: WEFT_COROUTINE */
    weft_value argument;      /* given away on success */
    unsigned threads;         /* of coroutines: so many threads, each with its own; 0: they are the calling thread's */
    unsigned workers;         /* of threads and processes: so many, which take connection after connection; 0: a task a connection */
    unsigned limit;           /* connections at once; 0: 10 000 coroutines, 1000 threads, 50 processes */
    double idle_timeout; /* seconds that a call of <weft/io.h> in the handler may wait at once: then it fails with ETIMEDOUT; 0: any time */
    double time_limit;   /* seconds that all waits of a handler end after (see weft_deadline); 0: any time */
    size_t stack_size;   /* of coroutines and threads; 0: the default of the kind */
};

WEFT_BEGIN

/*
 * A listening socket; close-on-exec, to be closed by weft_close, or given to weft_serve. weft_listen(address, .backlog = ..., .reuse_port =
 * ...). A socket's file that an earlier server has left at a "unix:" path, and where nobody listens, is replaced. From any kind of task. -1
 * with EINVAL (no such address), ENAMETOOLONG, EADDRINUSE, EADDRNOTAVAIL, EACCES, EMFILE, ENOMEM, and what socket, bind and listen say.
 */
WEFT_API int weft_listen_with(const struct weft_listen_options *options);
#define weft_listen(...) weft_listen_with(&(struct weft_listen_options){.size = sizeof(struct weft_listen_options), .address = __VA_ARGS__})

/*
 * A connection to the address; close-on-exec, to be closed by weft_close. Of a name all addresses are tried. From any kind of task. -1 with
 * those of weft_listen and weft_connect; ENOENT: no such name.
 */
WEFT_API int weft_dial(const char *address, weft_time deadline);

/* The address of a socket, or of its peer, as weft_dial takes it; as snprintf does: the length that it has or would have had. Any task; -1
 * with errno of getsockname. */
WEFT_API int weft_socket_address(int fd, char *text, size_t size);
WEFT_API int weft_peer_address(int fd, char *text, size_t size);

/*
 * Serves the listener, which is given away on success. weft_serve(listener, handler, .task = ..., .argument = ..., ...). NULL with EINVAL
 * (no handler, no such kind, options of another kind), ENOMEM, EAGAIN, EMFILE, and those of weft_task_start.
 */
WEFT_API weft_server *weft_serve_with(const struct weft_serve_options *options) WEFT_WARN_UNUSED;
#define weft_serve(listener_, ...) \
    weft_serve_with(               \
        &(struct weft_serve_options){.size = sizeof(struct weft_serve_options), .listener = (listener_), .handler = __VA_ARGS__})

/* How many connections are being served; of worker processes, too. Any task of the process that called weft_serve; cannot fail. */
WEFT_API unsigned weft_server_running(const weft_server *server);

/*
 * Ends the server (NULL is allowed): no connection is accepted any more, the listener is closed, its "unix:" path removed. Those that are
 * being served have until the deadline; then their tasks are cancelled and their sockets shut down, processes killed, and it waits for
 * their ends. Not by a handler. By the thread that called weft_serve if the coroutines are its own, else by any task of the process. 0: all
 * had ended by themselves; -1 with ETIMEDOUT, or ECANCELED if the caller was cancelled: some were not. The server is gone in any case.
 */
WEFT_API int weft_server_stop(weft_server *server, weft_time deadline);

WEFT_END

#endif
