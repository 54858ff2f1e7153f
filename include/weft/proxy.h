/* SPDX-License-Identifier: MIT */
/*
 * Clients of managers, Python's (multiprocessing.managers) and Weft's: objects that live in another program, by their methods' names.
 *
 *     weft_remote *remote = weft_manager_connect("127.0.0.1:5000", weft_in(5), .key_file = "key");
 *     weft_proxy *tasks = weft_proxy_new(remote, "get_task_queue", weft_in(5));
 *     weft_queue *queue = weft_queue_of_proxy(tasks);                          // a queue like any other
 *     while (weft_queue_get(queue, &job, weft_in(1)) == 0) ...
 *
 * From any kind of task. Each task has a connection of its own to a manager, made at its first call and closed when it ends: to the manager
 * the connection is who it talks to, and who holds an RLock. After a fork the child makes its own. A connection that is lost, or whose call
 * was given up in the middle (a deadline, cancellation), is closed, and the call fails; the next call makes another (.reconnect says
 * otherwise). Nothing hangs: weft_proxy_call ends at its deadline, and what takes its deadline along (queues, and verbs that wait) at most
 * ten seconds after it, where the manager does not answer.
 *
 * Python's servers run what they are sent; here nothing that comes back is run. A call that waits over there and is given up here costs a
 * Python server the item it would have got: give weft_queue_get a deadline, which goes along, and do not cancel.
 */
#ifndef WEFT_PROXY_H
#define WEFT_PROXY_H

#include <weft/base.h>
#include <weft/queue.h>
#include <weft/value.h>

typedef struct weft_remote weft_remote;
typedef struct weft_proxy weft_proxy;

/*
 * What a call does whose manager cannot be reached, or whose connection was lost. Whatever it does, it fails when its deadline comes, and
 * when nothing but that helps.
 */
enum weft_reconnect {
    WEFT_RECONNECT_LATER = 0, /* it fails, and the next one makes another connection */
    WEFT_RECONNECT_NEVER,     /* it fails with ECONNRESET, and so do all later ones of that task: what it held there, it no longer holds */
    WEFT_RECONNECT_UNSENT,    /* if it cannot have reached the manager, it is tried again, for so many seconds: nothing is done twice */
    WEFT_RECONNECT_AGAIN      /* and if only its answer is missing, too: it may be done twice */
};

struct weft_remote_options {
    size_t size; /* set by the macro */
    const char *address;
    struct weft_guard *guard;
    const void *key; /* as of weft_connection_dial; kept, and wiped at the end */
    size_t key_length;
    const char *key_file;
    const char *key_variable;
    bool sha256_only;
    bool relay;               /* answers may have objects of classes that are not known here; see weft/connection.h */
    double handshake_seconds; /* 0: 20 */
    size_t most;              /* octets of an answer; more are EPROTO, and the connection ends; 0: 64 MiB */
    enum weft_reconnect reconnect;
    double reconnect_seconds; /* of UNSENT and AGAIN, from the loss on; 0: 5 */
    const char *known_as;     /* the address as the manager itself has it ("0.0.0.0:5000"), for proxies in arguments; NULL: as `address` */
    uint64_t reserved[1];     /* 0 */
};

struct weft_proxy_options {
    size_t size; /* set by the macros */
    struct weft_guard *guard;
    weft_value arguments; /* a tuple or list, borrowed; none: no arguments */
    weft_value keywords;  /* a dict with strs, borrowed; none: none */
    /* Of weft_proxy_new: what was raised over there. Of weft_proxy_call that failed with EBADMSG, EMSGSIZE, EFAULT, EILSEQ or EINVAL: what
     * of the answer or the arguments was refused, by its name (weft_proxy_reason). Yours; may be NULL, and is untouched otherwise. */
    weft_value *error;
    /* Of a call: where an answer that is another object goes, yours: dict's "__iter__", and a proxy of this manager's that was the answer;
     * *result is none then. NULL: the first is an error value of ENOTSUP, the second a value, of which weft_proxy_of_value makes one. */
    weft_proxy **proxy;
    /* Of weft_proxy_new: a manager that no longer knows the object, because it has begun anew, is asked for it again, by the name and the
     * arguments, and the call is tried once more: for objects that are registered there, like a queue of tasks. */
    bool renew;
    uint64_t reserved[3]; /* 0 */
};

WEFT_BEGIN

/*
 * weft_manager_connect("unix:/run/jobs", weft_in(5), .key_file = "key"): looks whether there is a manager that knows the key (and, with
 * .reconnect = WEFT_RECONNECT_UNSENT or _AGAIN, waits for it so long). Yours: weft_remote_free. NULL with the errors of
 * weft_connection_dial; EPROTO: it speaks something else.
 */
WEFT_API weft_remote *weft_manager_connect_with(const struct weft_remote_options *options, weft_time deadline) WEFT_WARN_UNUSED;
#define weft_manager_connect(address_, ...) WEFT_MANAGER_CONNECT_((address_), __VA_ARGS__, .guard = 0)
#define WEFT_MANAGER_CONNECT_(address_, deadline_, ...) \
    weft_manager_connect_with(                          \
        &(struct weft_remote_options){.size = sizeof(struct weft_remote_options), .address = (address_), __VA_ARGS__}, (deadline_))
/* Ends the handle, and the calling task's connection; proxies hold on to what they need. NULL is allowed. Any task; keeps errno. */
WEFT_API void weft_remote_free(weft_remote *remote);

/*
 * weft_proxy_new(remote, "get_task_queue", weft_in(5)), weft_proxy_new(remote, "dict", WEFT_FOREVER, .arguments = pairs): what is
 * registered there by that name, which is asked for with the arguments. Yours: weft_proxy_free. NULL with the errors of weft_proxy_call,
 * EINVAL (no remote, no name), EREMOTEIO: refused over there, see .error.
 */
WEFT_API weft_proxy *weft_proxy_new_with(
    weft_remote *remote, const char *name, const struct weft_proxy_options *options, weft_time deadline) WEFT_WARN_UNUSED;
#define weft_proxy_new(remote_, name_, ...) WEFT_PROXY_NEW_((remote_), (name_), __VA_ARGS__, .guard = 0)
#define WEFT_PROXY_NEW_(remote_, name_, deadline_, ...) \
    weft_proxy_new_with(                                \
        (remote_), (name_), &(struct weft_proxy_options){.size = sizeof(struct weft_proxy_options), __VA_ARGS__}, (deadline_))
/* Takes the reference back, as far as the manager can be reached within a few seconds; NULL is allowed. Any task; keeps errno. */
WEFT_API void weft_proxy_free(weft_proxy *proxy);
/* The name by which the manager knows the object; borrowed, until the proxy is freed (another one when it was renewed). NULL with EINVAL:
 * there is no proxy. */
WEFT_API const char *weft_proxy_ident(const weft_proxy *proxy);

/*
 * The proxy as a value: in arguments, and in what they are put into, it stands for the object over there, as Python's proxies do (a list of
 * dicts; a lock for a condition). For objects of the same manager: one of another is taken by Python's servers, which become its clients,
 * and refused by Weft's. `type` says as what its receivers see it, by the names of Python's SyncManager ("dict", "Queue" ...), where that
 * is not the name that weft_proxy_new was given; NULL: as that. The value holds no reference: keep the proxy until the call is done. A
 * Python 3.8 server refuses those of types that SyncManager has no class for, of which Queue is one. Yours; an error value of ENOMEM,
 * EINVAL.
 */
WEFT_API weft_value weft_proxy_value(const weft_proxy *proxy, const char *type) WEFT_WARN_UNUSED;
/*
 * A proxy of what a value stands for that has come from a manager: an object by the name of "multiprocessing.managers.RebuildProxy"
 * (weft_object_name). The remote, and its key, are those of the manager whose object it is; what the value says of an address is not looked
 * at. The value stays yours. Yours: weft_proxy_free. NULL with the errors of weft_proxy_call, EINVAL (no remote, or it is no such value),
 * EREMOTEIO: there is no such object there; *error, which may be NULL, is what was said, yours.
 */
WEFT_API weft_proxy *weft_proxy_of_value(weft_remote *remote, weft_value value, weft_value *error, weft_time deadline) WEFT_WARN_UNUSED;

/*
 * weft_proxy_call(proxy, "put", &result, weft_in(5), .arguments = tuple): calls a method, and waits for the answer, which is yours (NULL:
 * dropped). What is raised over there is an answer, too: an error value with the exception's type and text (weft_error_type: "KeyError";
 * "multiprocessing.managers.RemoteError" for what the server itself refuses); an exception that lay there as an item looks the same, which
 * queues (weft_queue_of_proxy) and the verbs below tell apart. 0; -1 with ECONNRESET, EPIPE, ECONNREFUSED and their like (the manager is
 * gone), EAGAIN, ETIMEDOUT, ECANCELED, EACCES (the key), EPROTO, EBADMSG, EMSGSIZE (an answer that is refused: weft_proxy_reason), EFAULT,
 * EILSEQ, EINVAL (arguments that have no pickle, no proxy, no name), ENOMEM. Of a call that failed nobody knows whether it was done.
 */
WEFT_API int weft_proxy_call_with(
    weft_proxy *proxy, const char *method, weft_value *result, const struct weft_proxy_options *options, weft_time deadline);
#define weft_proxy_call(proxy_, method_, result_, ...) WEFT_PROXY_CALL_((proxy_), (method_), (result_), __VA_ARGS__, .guard = 0)
#define WEFT_PROXY_CALL_(proxy_, method_, result_, deadline_, ...) \
    weft_proxy_call_with(                                          \
        (proxy_), (method_), (result_), &(struct weft_proxy_options){.size = sizeof(struct weft_proxy_options), __VA_ARGS__}, (deadline_))
/*
 * What was refused, by its name ("refusing pickle global jobs.Job"), in the calling task's last call of this proxy's manager: after EBADMSG,
 * EMSGSIZE, EFAULT, EILSEQ or EINVAL of weft_proxy_call, of a verb, or of a queue of it (weft_queue_of_proxy). "" when nothing was, and
 * when the arguments were not such as could be looked at. Borrowed, until the task's next call of that manager. Keeps errno.
 */
WEFT_API const char *weft_proxy_reason(const weft_proxy *proxy);
/*
 * One of the manager's own functions, on a connection for that: "number_of_objects", "debug_info", "shutdown" ... As weft_proxy_call.
 */
WEFT_API int weft_remote_call_with(
    weft_remote *remote, const char *function, weft_value *result, const struct weft_proxy_options *options, weft_time deadline);
#define weft_remote_call(remote_, function_, result_, ...) WEFT_REMOTE_CALL_((remote_), (function_), (result_), __VA_ARGS__, .guard = 0)
#define WEFT_REMOTE_CALL_(remote_, function_, result_, deadline_, ...) \
    weft_remote_call_with((remote_), (function_), (result_),           \
        &(struct weft_proxy_options){.size = sizeof(struct weft_proxy_options), __VA_ARGS__}, (deadline_))

/*
 * A queue over there as a queue here: put, get, task_done, join, size, empty and full of weft/queue.h, with their deadlines, which go along
 * (the answer is given ten seconds longer; of size, empty and full 0 and false where the manager does not answer); close only ends it here.
 * A lost manager is ECONNRESET and the like; what else is raised there EREMOTEIO. Values cross as pickles: an item that cannot be read here
 * (of a class that is not known, and there is no .relay: EBADMSG; nested too deep: EMSGSIZE) has been taken out of the queue and is gone,
 * and weft_proxy_reason names it; what has no pickle is EFAULT, EILSEQ or EINVAL of put, and stays yours. The proxy stays yours, and
 * has to be there as long as the queue. Yours: weft_queue_free. NULL with ENOMEM, EINVAL.
 *
 * In weft_select, where the manager is Weft's: each look is a call, which takes as long as the network does (until the deadline, but half a
 * second in any case; 10 s at most), and each end of a queue that is waited for costs the task one more connection, which it keeps until
 * the queue is freed by it, or it ends. A lost manager ends the select with that case's error. ENOTSUP where the manager is Python's, whose
 * server loses items that nobody waits for any more, and where the queue over there is a rendezvous or itself one of another manager.
 */
WEFT_API weft_queue *weft_queue_of_proxy(weft_proxy *proxy) WEFT_WARN_UNUSED;

/*
 * Verbs of local objects for objects of a manager, Weft's or Python's. Each is one weft_proxy_call, and has its errors; where the manager
 * does not answer in time that is ETIMEDOUT (EAGAIN). What is raised over there is an errno: what stands with each, and with all of them
 * EINVAL (TypeError, ValueError: arguments of the wrong kind; no proxy), EREMOTEIO (any other exception; weft_proxy_call shows which),
 * ENOTSUP (the object has no such verb). Outputs are untouched then, values that come out are yours, keys are only looked at. A deadline is
 * how long the verb may wait over there, and goes along; the answer is given ten seconds longer where it waits for others. All of this from
 * any kind of task.
 *
 * Lock, RLock, Semaphore, BoundedSemaphore, Condition: takes it. 0; -1 with EAGAIN (WEFT_NOW), ETIMEDOUT, ECANCELED. An RLock or a
 * Condition is the calling task's, whose connection holds it; a Lock is nobody's, as in Python: whoever has it already waits for himself,
 * and anybody may give it back. A wait that is cancelled closes the connection: Weft's manager then takes back what came of it, and RLocks
 * and Conditions that the task had; a Python server may give them to nobody.
 */
WEFT_API int weft_proxy_acquire(weft_proxy *proxy, weft_time deadline);
/* Gives it back. 0; -1 with EPERM (it is not held, an RLock or Condition not by this task), EOVERFLOW (a BoundedSemaphore has all that it
 * may). */
WEFT_API int weft_proxy_release(weft_proxy *proxy, weft_time deadline);
/*
 * Event: until it is set. Condition, which the task holds: until it is notified; the task holds it again after 0, EAGAIN and ETIMEDOUT.
 * Barrier: until all parties have come. 0, of a barrier the number of this party, from 0 on; -1 with EAGAIN, ETIMEDOUT, ECANCELED (they
 * break a barrier for the others), EPERM (a condition that the task does not hold), EPIPE (the barrier is broken; with WEFT_NOW that, too,
 * is EAGAIN). Of a condition ECONNRESET may also mean that it could not be had again within ten seconds after the deadline: then, and after
 * ECANCELED, the connection is closed, and the task does not hold it.
 */
WEFT_API int weft_proxy_wait(weft_proxy *proxy, weft_time deadline);
/* Condition: wakes so many who wait, SIZE_MAX all. 0; -1 with EPERM (it is not held). */
WEFT_API int weft_proxy_notify(weft_proxy *proxy, size_t count, weft_time deadline);

/* Event: 0; weft_proxy_is_set 1 or 0; -1. */
WEFT_API int weft_proxy_set(weft_proxy *proxy, weft_time deadline);
WEFT_API int weft_proxy_clear(weft_proxy *proxy, weft_time deadline);
WEFT_API int weft_proxy_is_set(weft_proxy *proxy, weft_time deadline);

/* Barrier: breaks it, or makes it whole again, for all who come; who waits there goes on with EPIPE. 0; -1. */
WEFT_API int weft_proxy_abort(weft_proxy *proxy, weft_time deadline);
WEFT_API int weft_proxy_reset(weft_proxy *proxy, weft_time deadline);

/*
 * dict, list, Array: the item of a key, or at a place (an int; negative counts from the end). 0; -1 with ENOENT (no such key), ERANGE (no
 * such place). An item that is itself an exception is taken for one that is raised; weft_proxy_call gives it.
 */
WEFT_API int weft_proxy_item(weft_proxy *proxy, weft_value key, weft_value *value, weft_time deadline);
/* Sets a key of a dict, new or not, or a place that is there. `value` is given away on success. 0; -1 with ERANGE, EOVERFLOW (a number that
 * an Array has no room for). */
WEFT_API int weft_proxy_item_set(weft_proxy *proxy, weft_value key, weft_value value, weft_time deadline);
/* dict, list: takes the item out. NULL drops it. 0; -1 with ENOENT, ERANGE. */
WEFT_API int weft_proxy_item_pop(weft_proxy *proxy, weft_value key, weft_value *value, weft_time deadline);
/* dict, list, Array: how many. 0; -1. */
WEFT_API int weft_proxy_size(weft_proxy *proxy, size_t *size, weft_time deadline);
/* dict: a list of its keys, in order. 0; -1. */
WEFT_API int weft_proxy_keys(weft_proxy *proxy, weft_value *keys, weft_time deadline);

/*
 * dict of Weft's manager (Python's: ENOTSUP). Adds a number, int or float, to that of a key, as one step; a key that is not there has 0.
 * The sum through *sum (NULL is allowed). 0; -1 with EINVAL (either is no number), EOVERFLOW: then nothing changed.
 */
WEFT_API int weft_proxy_item_add(weft_proxy *proxy, weft_value key, weft_value amount, weft_value *sum, weft_time deadline);
/*
 * dict of Weft's manager (Python's: ENOTSUP). Sets the key to `value` if it has what equals `expected`, which is only looked at; a key that
 * is not there has none. 1: it did, `value` is given away. 0: it has something else, `value` stays yours. -1.
 */
WEFT_API int weft_proxy_item_compare_and_set(weft_proxy *proxy, weft_value key, weft_value expected, weft_value value, weft_time deadline);

/* Value: what it holds, and something else instead; `value` is given away on success. 0; -1. */
WEFT_API int weft_proxy_load(weft_proxy *proxy, weft_value *value, weft_time deadline);
WEFT_API int weft_proxy_store(weft_proxy *proxy, weft_value value, weft_time deadline);

WEFT_END

#endif
