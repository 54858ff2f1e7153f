/* SPDX-License-Identifier: MIT */
/*
 * Managers: objects that programs have in common over a network, by the protocol of Python's multiprocessing.managers. Unmodified Python
 * programs are clients of a weft_manager (BaseManager, SyncManager with register and connect), and weft_manager_connect is a client of
 * theirs.
 *
 *     weft_queue *tasks = weft_queue_new();
 *     weft_manager *manager = weft_manager_new("127.0.0.1:5000", .key_file = "key");
 *     weft_manager_register(manager, "get_task_queue", .queue = tasks);      // QueueManager.register("get_task_queue") over there
 *     weft_manager_serve(manager);
 *
 * What comes is data: no pickle runs anything here. Whoever knows the key may do all that the objects offer, and runs what he likes in
 * peers that are Python's; there is no encryption. So: on one machine, or in a network that is trusted.
 *
 * Results are copies, as in Python: what a client gets out of a dictionary and changes is not changed in it. An object that a client has
 * made lives until its count of references is 0; a client that is killed never takes its own back. One that is killed in a call that waits
 * is noticed: the call ends, an item that it had got goes back to the head of its queue, an RLock or Condition that it held is free again
 * (Python loses the one, and leaves the other held).
 */
#ifndef WEFT_MANAGER_H
#define WEFT_MANAGER_H

#include <weft/base.h>
#include <weft/queue.h>
#include <weft/value.h>

typedef struct weft_manager weft_manager;

/*
 * A function that clients call. The arguments are a tuple (or list), the keywords a dict with strs; both are borrowed. What it returns is
 * the answer; an error value is raised over there as the exception of its type (weft_error_of_type(EINVAL, "ValueError", ...)), as OSError
 * if it has none. It runs as a coroutine and may wait (ECANCELED when its client is gone or the manager ends is what its waits say);
 * several may be under way at once, but on more than one thread only if you say so (.threads).
 */
typedef weft_value weft_manager_function(void *object, weft_value arguments, weft_value keywords);

struct weft_manager_method {
    const char *name; /* NULL ends a table */
    weft_manager_function *function;
};

/* A type of yours: what its objects can do. Has to be there as long as the manager. */
struct weft_manager_type {
    const struct weft_manager_method *methods;
    /* A new object for a client; NULL with *error, which is raised over there. May be NULL: objects are given to weft_manager_register. */
    void *(*construct)(weft_value arguments, weft_value keywords, void *data, weft_value *error);
    void (*destroy)(void *object); /* nobody refers to what construct made any more; may be NULL */
    uint64_t reserved[4];          /* 0 */
};

struct weft_manager_options {
    size_t size; /* set by the macro */
    const char *address;
    struct weft_guard *guard;
    const void *key; /* as of weft_connection_listen; one of the three there has to be, and not empty */
    size_t key_length;
    const char *key_file;
    const char *key_variable;
    bool sha256_only;
    /* all that Python's SyncManager has is registered: Queue, dict, list, Lock ... (but Pool, whose arguments are programs) */
    bool standard;
    bool no_shutdown; /* clients may not end it */
    /* a plain Lock that a vanished client took last is given back, too, and so are the permits of Semaphores that it took and nobody gave
     * back since */
    bool locks_return;
    /* objects of classes that are not known here may lie in queues, lists and dicts, for those who know them; see weft/connection.h */
    bool relay;
    double handshake_seconds; /* that a client may take for its proof and first request; 0: 20 */
    size_t most;              /* octets of a request, whose connection ends if it has more; 0: 64 MiB */
    int backlog;              /* 0: 128 */
    unsigned threads;         /* that serve; 0: weft_cpu_count(), but 4 at most, and 1 with WEFT_SEED, or a function or type of yours */
    uint64_t reserved[4];     /* 0 */
};

/* One of these says what a name leads to. */
struct weft_manager_register_options {
    size_t size; /* set by the macro */
    weft_manager *manager;
    const char *name;
    struct weft_guard *guard;
    weft_queue *queue; /* this queue, which stays yours and has to be there as long as the manager */
    const struct weft_manager_type *type;
    void *object;                    /* of `type`: this object, for all; NULL: each client that asks has one constructed */
    weft_manager_function *function; /* whose result a client gets a proxy of: a list, a dict, or another value */
    const char *standard;            /* a type of Python's SyncManager: "dict", "Queue" ... */
    bool single;                     /* of `standard`: one object for all, made now */
    weft_value arguments;            /* for that; a tuple or none, borrowed */
    void *data;                      /* of construct; the `object` that `function` is called with */
    uint64_t reserved[4];            /* 0 */
};

WEFT_BEGIN

/*
 * weft_manager_new("127.0.0.1:0", .key_file = "key"): listens at once, and serves when told to. Yours: weft_manager_free. NULL with the
 * errors of weft_connection_listen; EINVAL also: no key, or an empty one. ENOTSUP: the library was built without OpenSSL. From any task.
 */
WEFT_API weft_manager *weft_manager_new_with(const struct weft_manager_options *options) WEFT_WARN_UNUSED;
#define weft_manager_new(...) \
    weft_manager_new_with(&(struct weft_manager_options){.size = sizeof(struct weft_manager_options), .address = __VA_ARGS__})
/* Where it listens, with the port that it got; borrowed. NULL with EINVAL: there is no manager (NULL). */
WEFT_API const char *weft_manager_address(const weft_manager *manager);
/*
 * weft_manager_register(manager, "get_task_queue", .queue = tasks): what clients get by that name, instead of what was registered by it
 * before. Before it serves. -1 with EINVAL (no manager, no name, nothing or two things to register, an unknown standard type, arguments
 * that it does not take), EBUSY (it serves), ENOMEM.
 */
WEFT_API int weft_manager_register_with(const struct weft_manager_register_options *options);
#define weft_manager_register(manager_, ...)                            \
    weft_manager_register_with(&(struct weft_manager_register_options){ \
        .size = sizeof(struct weft_manager_register_options), .manager = (manager_), .name = __VA_ARGS__})
/*
 * Serves, one coroutine a client, until weft_manager_shutdown or a client's shutdown: 0. -1 with ECANCELED, EBUSY (it serves already),
 * ENOMEM, EAGAIN (no thread could be had), EINVAL (no manager: NULL). All clients have been let go of when it returns. From any kind of
 * task; serving again is allowed.
 */
WEFT_API int weft_manager_serve(weft_manager *manager);
/*
 * Serves in a process of its own, a copy of this one, which ends with the family (weft/task.h: method WEFT_FORK; EBUSY while other threads
 * live, a pool's own too). Objects that were registered are copies there, but for what lies in shared memory. 0; -1 with the errors of
 * weft_spawn, EBUSY also: it serves already; EINVAL also: no manager (NULL).
 */
WEFT_API int weft_manager_start(weft_manager *manager);
/*
 * Ends weft_manager_serve, or the process of weft_manager_start and waits for that. Where nobody serves yet, the next weft_manager_serve
 * ends as soon as it has begun. NULL is allowed. From any task. Cannot fail.
 */
WEFT_API void weft_manager_shutdown(weft_manager *manager);
/* How many objects clients refer to, at this moment; 0 of one that serves in another process, and of NULL. Any task; cannot fail. */
WEFT_API size_t weft_manager_objects(weft_manager *manager);
/* Ends it, with its process if it has one, and all objects; NULL is allowed. Nobody may be serving. Keeps errno. */
WEFT_API void weft_manager_free(weft_manager *manager);

WEFT_END

#endif
