/* SPDX-License-Identifier: MIT */
/* What the files of a manager's client share: remote.c (connections), proxy.c (objects), proxy_value.c, proxy_typed.c (verbs),
 * queue_remote.c, queue_remote_case.c (select). */
#ifndef WEFTI_REMOTE_H
#define WEFTI_REMOTE_H

#include <weft/lock.h>
#include <weft/proxy.h>

#include "connection/connection.h"
#include "queue/queue.h"

/* A manager elsewhere: how to reach it. Counted: by its handle, its proxies, the tasks that have a connection. */
struct weft_remote {
    uint32_t count;
    char *address;
    struct wefti_key key;
    struct weft_connection_options options; /* of a dial */
    enum weft_reconnect reconnect;
    double reconnect_seconds;
    weft_value known_as; /* the address, as the manager writes it into what it gives out */
};

/* An ident of a proxy; those before stay, for somebody may be reading them. */
struct wefti_ident {
    struct wefti_ident *before;
    char text[];
};

struct weft_proxy {
    weft_remote *remote;
    struct wefti_ident *ident; /* the newest; written under `lock` with release, read with acquire, which makes its text seen */
    weft_lock lock;            /* of who renews it */
    bool renew;
    weft_value arguments, keywords; /* by which it was asked for, if it is to be renewed */
    weft_value exposed;             /* the names of its methods: a tuple or list; none: not known */
    weft_value type;                /* as what it was asked for, or what the manager says that it is: a str */
    weft_value value;               /* in which it came, and as which it goes out again; none: it was not in one */
};

struct wefti_remote_queue {
    struct weft_queue queue;
    weft_proxy *proxy;
    uint64_t puts; /* not counted here */
};

/*
 * A connection of one task's own: one to each manager for its calls, and one for each thing that it watches. Nobody else sees it.
 */
struct wefti_seat {
    struct wefti_seat *next;
    weft_remote *remote;
    weft_connection *connection; /* NULL: was lost */
    uint32_t forks;              /* of the process that made it */
    bool lost;                   /* it has been, in that process */
    char *ident;                 /* of the queue that is watched; NULL: for calls */
    bool put;                    /* watched for room */
    bool asked;                  /* watched: the server has been asked, and its answer was not received yet */
};

/* The calling task's, with a connection or without one yet. NULL with ENOMEM. */
struct wefti_seat *wefti_seat_of(weft_remote *remote, const char *ident, bool put);
/* Makes the connection that it lacks. -1 with the errors of weft_proxy_call. */
int wefti_seat_open(struct wefti_seat *seat, weft_time deadline);
void wefti_seat_close(struct wefti_seat *seat);
/* Ends those of the calling task to the remote, or, with an ident, those that watch it. */
void wefti_seats_leave(const weft_remote *remote, const char *ident);
/* One request, and the answer to it, in two steps. What fails leaves the connection to be closed. */
int wefti_seat_ask(struct wefti_seat *seat, const char *method, weft_value arguments, weft_time deadline);
int wefti_seat_answer(struct wefti_seat *seat, weft_value *reply, weft_time deadline);

/* Of an ident that has a reference for it; all but the remote are kept, not taken. NULL with ENOMEM. */
weft_proxy *wefti_proxy_make(weft_remote *remote, weft_value ident, weft_value exposed, weft_value type);
/* Takes back a reference, as far as that can be done within a few seconds. */
void wefti_reference_return(weft_remote *remote, weft_value ident);
/* One of the manager's own functions, with one argument, which stays the caller's. 0 with its answer, which may be an error; -1 with the
 * errors of weft_proxy_call. */
int wefti_remote_own(weft_remote *remote, const char *function, weft_value argument, weft_value *answer, weft_time deadline);

/* proxy_value.c */
/* "127.0.0.1:5000", "unix:/path", "abstract:name" as Python writes them: ('127.0.0.1', 5000), '/path', b'\0name'. An error with ENOMEM. */
weft_value wefti_address_value(const char *text);
/* Whether a value is a proxy of an object of this manager, as far as its address tells. */
bool wefti_proxy_is_of(const weft_remote *remote, weft_value value);

/* Whether the object has a method of that name. */
bool wefti_proxy_offers(const weft_proxy *proxy, const char *method);

weft_remote *wefti_remote_keep(weft_remote *remote);
void wefti_remote_release(weft_remote *remote);
/*
 * (ident, method, arguments, keywords) and the answer: its kind and value through *reply, a tuple, yours. On the task's own connection, or,
 * without an ident, on one for that. -1 with the errors of weft_proxy_call.
 */
int wefti_remote_exchange(weft_remote *remote, const char *ident, const char *method, weft_value arguments, weft_value keywords,
    weft_value *reply, weft_time deadline);
/*
 * A call whose answer may be an exception that somebody put there, an item like any other: *raised tells it from one that was raised over
 * there, and then the result is the error value. As weft_proxy_call of a proxy that is there.
 */
int wefti_proxy_ask(
    weft_proxy *proxy, const char *method, weft_value arguments, weft_value keywords, weft_value *result, bool *raised, weft_time deadline);
/* Of a call that failed: what was to be sent has no pickle, or what came is refused. The connection is whole, and has the reason. */
bool wefti_error_is_refusal(int error);
/* A tuple of values, which it takes; where one of them is an error, for want of memory, it is that, and all are dropped. */
weft_value wefti_tuple_whole(weft_value *items, size_t count);
/* What an answer comes to: 0 with a value, 1 with (exposed, token) of another object; the reply is given away. */
int wefti_reply_read(weft_value reply, weft_value *value);
/* As put and get of a queue; the answer has to have come until `late`. */
int wefti_remote_put(weft_queue *queue, weft_value value, weft_time deadline, weft_time late);
int wefti_remote_get(weft_queue *queue, weft_value *value, weft_time deadline, weft_time late);
/* When the answer of a call that waits over there so long has to have come. */
weft_time wefti_answer_deadline(weft_time deadline);
/* A put or get of a remote queue that failed by this exception, which is given away: -1 with errno. */
int wefti_remote_raised(weft_value error, weft_time deadline);
/* queue_remote_case.c: what select waits for. */
extern const struct weft_waitable wefti_remote_get_case, wefti_remote_put_case;

#endif
