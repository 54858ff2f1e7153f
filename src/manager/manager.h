/* SPDX-License-Identifier: MIT */
/*
 * What the files of this floor share: a manager (manager.c), its objects (table.c), their types (type_*.c), a client's connection
 * (session.c) and one call of it.
 *
 * One lock. `lock` guards the table of objects, their counts, and the state of all objects of the types that stand here. A method is called
 * with it held, unless its row says `unlocked` (queues have latches of their own; what the user wrote takes care of itself). It is given up
 * only to wait (waiters.c). Nothing is sent, received, pickled or read under it: results are values that nobody changes any more, or
 * copies.
 *
 * Lives of objects. An object is in the table while clients refer to it (`references`), a call uses it (`users`), or it is pinned:
 * registered by the program, or named in a value that a client sent. Pins are for ever, as in Python, whose server keeps what was nested in
 * something until it ends.
 */
#ifndef WEFTI_MANAGER_H
#define WEFTI_MANAGER_H

#include <string.h>

#include <weft/group.h>
#include <weft/lock.h>
#include <weft/manager.h>
#include <weft/queue.h>

#include "connection/connection.h"
#include "value/value.h"

struct wefti_call;
struct wefti_session;
struct wefti_managed;

typedef weft_value wefti_managed_method(struct wefti_call *call);

enum { WEFTI_PARAMETERS = 4, WEFTI_ABSENT = 249 /* kind of a parameter that was not given; never leaves the floor */ };

struct wefti_method {
    const char *name;
    wefti_managed_method *function;
    const char *parameters[WEFTI_PARAMETERS];
    uint8_t required; /* the first so many have to be given */
    bool unlocked;    /* called without the manager's lock */
    bool raw;         /* not bound: the method looks at arguments and keywords itself */
};

struct wefti_managed_type {
    const char *name;
    const struct wefti_method *methods;
    size_t count;
    /* Sets object->state; what it returns is an exception if call->raised. */
    wefti_managed_method *construct;
    const char *parameters[WEFTI_PARAMETERS]; /* of construct, as a method's */
    uint8_t required;
    bool raw;
    void (*destroy)(struct wefti_managed *object);
    /* The object by value, for #GETVALUE and where others take it for what it holds; NULL: it has no value. With the lock held. */
    weft_value (*value)(struct wefti_managed *object);
    /* As Python prints it; NULL: <name object at 0x...>. With the lock held. */
    weft_value (*repr)(struct wefti_managed *object);
};

struct wefti_managed {
    uint64_t ident;
    const struct wefti_managed_type *type;
    const struct wefti_offer_entry *offer; /* as what it was registered; NULL: made inside */
    void *state;
    long references;
    unsigned users;
    bool pinned;
    struct wefti_managed *next; /* in its bucket */
};

/* What a name leads to. */
struct wefti_offer_entry {
    char *name;
    const struct wefti_managed_type *type; /* whose construct is called */
    const struct weft_manager_type *user;  /* of type_user.c */
    weft_manager_function *function;       /* of callables */
    void *data;
    struct wefti_managed *object; /* the one for all; NULL: each create makes one */
    struct wefti_offer_entry *next;
};

struct weft_manager {
    weft_lock lock;
    weft_listener *listener;
    struct weft_manager_options options;
    struct wefti_offer_entry *offers;
    struct wefti_managed **buckets;
    size_t bucket_mask, objects;
    uint64_t next_ident; /* begins at random, so that a proxy of an earlier process finds nothing */
    uint32_t stop;       /* 1: end serving; waited for */
    uint32_t serving;    /* 1: somebody serves */
    weft_group *group;   /* of all tasks that serve; while serving */
    struct wefti_server *servers;
    unsigned server_count;
    weft_task *process;  /* of weft_manager_start */
    weft_value address;  /* as Python has it */
    weft_value returned; /* "#RETURN" */
};

/* One of the threads that serve, while they do. */
struct wefti_server {
    weft_manager *manager;
    weft_queue *arrivals; /* connections that another one gives it; NULL: there is no other */
    uint32_t sessions;    /* clients in object mode that it has, or that are on their way to it */
    int processor;        /* where it ran when it last looked; -1 */
};

/* Something that a session holds and gives back when it ends; a part of what is held. */
struct wefti_holding {
    struct wefti_session *session; /* NULL: nobody has it */
    struct wefti_holding *next, *previous;
    void (*give_back)(struct wefti_holding *holding); /* with the lock held */
};

/* A client's connection: in object mode it is what owns locks. */
struct wefti_session {
    weft_manager *manager;
    weft_connection *connection;
    struct wefti_holding *holdings;
    struct wefti_octets out; /* the reply that is being made */
    uint32_t answered;       /* requests for objects */
    bool leaving;            /* the manager is to end once the reply is sent */
};

/* A request while it is answered. */
struct wefti_call {
    weft_manager *manager;
    struct wefti_session *session;
    struct wefti_managed *object; /* that is being made or used */
    const struct wefti_method *method;
    const char *name; /* of the method, or the type */
    weft_value arguments, keywords;
    weft_value bound[WEFTI_PARAMETERS];
    const char *kind; /* of the reply; NULL: #RETURN */
    /* The reply did not reach its client. With the lock held unless the method is unlocked; takes the result over. */
    void (*undo)(struct wefti_call *call, weft_value result);
};

/* raise.c */
/* What a method returns instead of its result: an exception of that type, called with the arguments, or with a text. */
weft_value wefti_raise(struct wefti_call *call, const char *type, const weft_value *arguments, size_t count);
weft_value wefti_raise_text(struct wefti_call *call, const char *type, const char *format, ...) WEFT_PRINTF(3, 4);
weft_value wefti_raise_memory(struct wefti_call *call);
weft_value wefti_raise_unhashable(struct wefti_call *call, weft_value key);
/* As #TRACEBACK: what the client shows as RemoteError. */
weft_value wefti_traceback(struct wefti_call *call, const char *format, ...) WEFT_PRINTF(2, 3);
static inline bool wefti_raised(const struct wefti_call *call)
{
    return call->kind != NULL;
}
/* "int", "str" ... as Python names the type of a value. */
const char *wefti_type_name(weft_value value);

/* Whether a str can be the name of something here: one with a NUL in it is none, and would be cut there by who compares it as a string. */
static inline bool wefti_is_name(weft_value text)
{
    return strlen(weft_as_str(text)) == weft_length(text);
}

/* bind.c: arguments and keywords to parameters, into call->bound. False, *error being an exception. */
bool wefti_bind(struct wefti_call *call, const char *const *parameters, uint8_t required, weft_value *error);
static inline bool wefti_given(weft_value bound)
{
    return bound.kind != WEFTI_ABSENT && bound.kind != WEFT_NONE;
}
/* A parameter as an integer; false, *error being a TypeError, for what is none. */
bool wefti_integer(struct wefti_call *call, weft_value bound, int64_t otherwise, int64_t *integer, weft_value *error);
/* As a time to wait, none being for ever; `negative`: what one below zero is raised as, NULL: as no time at all. */
bool wefti_timeout(struct wefti_call *call, weft_value bound, const char *negative, weft_time *deadline, weft_value *error);
/* Whether a parameter is true; `otherwise` when it was not given. */
static inline bool wefti_flag(weft_value bound, bool otherwise)
{
    return bound.kind == WEFTI_ABSENT ? otherwise : weft_as_bool(bound);
}

/* iterable.c */
/* A list of what a value gives when iterated over, yours; of a proxy, of what its object holds. With the lock held. */
weft_value wefti_items_of(struct wefti_call *call, weft_value source);
/* The value with a proxy at its top in place of what it refers to: borrowed, or made and then through *made to be dropped. */
weft_value wefti_dereferenced(struct wefti_call *call, weft_value value, weft_value *made);
/* The object that a proxy refers to; NULL: it is no proxy, or one of an object that is not there. */
struct wefti_managed *wefti_proxy_object(weft_manager *manager, weft_value proxy);
/* Pins what the proxies in a request refer to. False: one refers to nothing, *error being a traceback. */
bool wefti_proxies_pin(struct wefti_call *call, weft_value value, weft_value *error);
/* Whether there are objects in it of which only others know whether they are equal; no memory to look: so, too. */
bool wefti_relays(const struct wefti_call *call, weft_value value);
/* Whether comparing with this value ends soon, whatever it is compared with. */
bool wefti_comparable(weft_value value);
/* Before two are compared: whether all that one call compares, which `work` sums up, ends soon. */
bool wefti_compares(size_t *work, weft_value a, weft_value b);
/* A slice's begin, step and count over so many items. False, having raised, for what is none. */
bool wefti_slice(
    struct wefti_call *call, weft_value slice, int64_t length, int64_t *start, int64_t *step, int64_t *count, weft_value *error);
bool wefti_is_slice(weft_value value);
/* An index into so many; false, having raised IndexError with that text, outside. */
bool wefti_index(struct wefti_call *call, weft_value value, int64_t length, const char *text, int64_t *index, weft_value *error);

/* table.c; with the lock held. */
struct wefti_managed *wefti_managed_find(weft_manager *manager, uint64_t ident);
struct wefti_managed *wefti_managed_named(weft_manager *manager, weft_value ident);
/* A new object without state, that one call uses. NULL with ENOMEM. */
struct wefti_managed *wefti_managed_new(
    weft_manager *manager, const struct wefti_managed_type *type, const struct wefti_offer_entry *offer);
/* Ends it if nothing holds it. */
void wefti_managed_settle(weft_manager *manager, struct wefti_managed *object);
void wefti_managed_end_all(weft_manager *manager);
enum { WEFTI_IDENT = 17 };
void wefti_ident_text(uint64_t ident, char text[WEFTI_IDENT]);

/* types.c: the table of what SyncManager has. NULL: none of that name. */
const struct wefti_managed_type *wefti_standard_type(size_t index);
const struct wefti_managed_type *wefti_standard_named(const char *name);
const struct wefti_method *wefti_method_find(const struct wefti_managed_type *type, const char *name);
extern const struct wefti_managed_type wefti_type_iterator, wefti_type_given_queue, wefti_type_value_of_call, wefti_type_user;
extern const struct wefti_managed_type wefti_type_queue, wefti_type_joinable_queue, wefti_type_lifo_queue, wefti_type_priority_queue,
    wefti_type_event, wefti_type_lock, wefti_type_rlock, wefti_type_semaphore, wefti_type_bounded_semaphore, wefti_type_condition,
    wefti_type_barrier, wefti_type_dict, wefti_type_list, wefti_type_namespace, wefti_type_value, wefti_type_array, wefti_type_set;
/* The names of an object's methods, as a tuple. */
weft_value wefti_exposed(const struct wefti_managed *object);
/* Methods of objects of the user's types. */
weft_value wefti_user_call(struct wefti_call *call, const char *name);
bool wefti_user_has(const struct wefti_managed *object, const char *name);
/* #PROXY: makes an object of the type with this state, the answer to a call. */
weft_value wefti_reply_proxy(struct wefti_call *call, const struct wefti_managed_type *type, void *state);

/* waiters.c */
struct wefti_waiter {
    uint32_t word; /* 0: waits; else what it was given */
    struct wefti_session *session;
    struct wefti_waiter *next, *previous;
    void *note; /* the type's own */
};
struct wefti_waiters {
    struct wefti_waiter *first, *last;
};
enum { WEFTI_GIVEN = 1, WEFTI_BROKEN = 2 };
/*
 * With the lock held, which is given up meanwhile: waits to be given something, until the deadline or until the client is gone. What it was
 * given, also if the other came then; 0 with ETIMEDOUT, EAGAIN, EPIPE (gone), ECANCELED.
 */
uint32_t wefti_waiters_wait(struct wefti_waiters *waiters, struct wefti_waiter *waiter, struct wefti_call *call, weft_time deadline);
/* Gives something to the first, who is then no longer there; NULL: nobody waits. */
struct wefti_waiter *wefti_waiters_give(struct wefti_waiters *waiters, uint32_t what);
void wefti_waiters_give_all(struct wefti_waiters *waiters, uint32_t what);
/* Whether the client has gone away: its end has come. */
bool wefti_session_gone(const struct wefti_session *session);
/* What a method returns that nobody waits for any more. */
weft_value wefti_abandoned(struct wefti_call *call);
/* A session has something, and has it no longer. */
void wefti_hold(struct wefti_holding *holding, struct wefti_session *session);
void wefti_unhold(struct wefti_holding *holding);
void wefti_holdings_end(struct wefti_session *session);

/* session.c: what a task that serves a connection runs; and one that is given it by another, from the first request for an object. */
weft_value wefti_session_run(weft_value connection);
weft_value wefti_session_go_on(weft_value connection);
/* The same from a client that has proved what it has to: its first request, which comes until then, and all others. */
enum wefti_session_end { WEFTI_SESSION_OVER, WEFTI_SESSION_STOPS /* it said shutdown */, WEFTI_SESSION_GIVEN /* and not the caller's */ };
enum wefti_session_end wefti_session_serve(weft_manager *manager, weft_connection *connection, weft_time late);
/* A new object of what was registered, or the one for all, with a reference for the client: (ident, names of methods). With the lock
 * held. */
weft_value wefti_create(struct wefti_call *call, const struct wefti_offer_entry *offer);
/* serve.c: the connection's client asks for objects from now on. True: another server has him, and the connection is that one's. */
bool wefti_server_gives(weft_connection *connection);
/* Now and then, between two requests: so does one that runs where he does, if there is one that has no more to do than the caller. */
bool wefti_server_gives_nearer(weft_connection *connection);
/* He does no more. */
void wefti_server_done(weft_connection *connection);
/* manager.c */
void wefti_manager_stop(weft_manager *manager);
/* Takes and gives the lock; also in a task that was cancelled. */
void wefti_manager_enter(weft_manager *manager);
void wefti_manager_leave(weft_manager *manager);

#endif
