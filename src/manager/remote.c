/* SPDX-License-Identifier: MIT */
/*
 * The client's connections to managers. A task has one to each that it has called, and one for each end of a queue that it has waited for
 * in a select, in a list that is its own (task-local): nobody else sees it, and it needs no lock. They end with the task.
 *
 * A connection on which a call did not come to its end in order, whatever the reason, is closed: an answer that is still under way would be
 * taken for that of the next call. The next call dials anew; so does the first in a process that was forked, whose copy is closed there and
 * not used.
 *
 * A call has reached its manager only if all of its request was given to the kernel: a message that is cut is not looked at over there. So
 * what failed before is safe to send again, and a connection that has come to its end while nobody used it is seen before it is used, where
 * the policy (`reconnect`) makes a difference of that.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "base/options.h"
#include "manager/remote.h"
#include "value/pickle.h"
#include "value/utf8.h"
#include "wait/wait.h"
#include <weft/task.h>

static const double RECONNECT_SECONDS = 5, REST_LEAST = 0.01, REST_MOST = 0.3; /* between two tries */

static void seats_end(void *seats);
static weft_local seats = WEFT_LOCAL(seats_end);

static int fails(int error)
{
    errno = error;
    return -1;
}

weft_remote *wefti_remote_keep(weft_remote *remote)
{
    __atomic_add_fetch(&remote->count, 1, __ATOMIC_RELAXED);
    return remote;
}

void wefti_remote_release(weft_remote *remote)
{
    if (__atomic_sub_fetch(&remote->count, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    wefti_key_wipe(&remote->key);
    weft_drop(remote->known_as);
    wefti_release(remote->address);
    wefti_release(remote);
}

static void seat_free(struct wefti_seat *seat)
{
    weft_connection_close(seat->connection);
    wefti_remote_release(seat->remote);
    wefti_release(seat->ident);
    wefti_release(seat);
}

static void seats_end(void *first)
{
    for (struct wefti_seat *seat = first, *next; seat; seat = next) {
        next = seat->next;
        seat_free(seat);
    }
}

static bool seat_is(const struct wefti_seat *seat, const weft_remote *remote, const char *ident, bool put)
{
    if (seat->remote != remote || !seat->ident != !ident)
        return false;
    return !ident || (seat->put == put && strcmp(seat->ident, ident) == 0);
}

static struct wefti_seat *seat_make(weft_remote *remote, const char *ident, bool put)
{
    struct wefti_seat *seat = wefti_alloc(sizeof(*seat));
    char *name = seat && ident ? wefti_alloc_raw(strlen(ident) + 1) : NULL;
    if (!seat || (ident && !name)) {
        wefti_release(seat);
        return NULL;
    }
    if (ident)
        memcpy(name, ident, strlen(ident) + 1);
    *seat = (struct wefti_seat){.remote = wefti_remote_keep(remote), .ident = name, .put = put};
    return seat;
}

struct wefti_seat *wefti_seat_of(weft_remote *remote, const char *ident, bool put)
{
    struct wefti_seat *first = weft_local_get(&seats), *seat = first;
    while (seat && !seat_is(seat, remote, ident, put))
        seat = seat->next;
    if (seat)
        return seat;
    seat = seat_make(remote, ident, put);
    if (!seat)
        return NULL;
    seat->next = first;
    if (weft_local_set(&seats, seat) == 0)
        return seat;
    seat_free(seat);
    return NULL;
}

void wefti_seat_close(struct wefti_seat *seat)
{
    int error = errno;
    weft_connection_close(seat->connection);
    seat->connection = NULL;
    seat->asked = false;
    errno = error;
}

weft_value wefti_tuple_whole(weft_value *items, size_t count)
{
    weft_value tuple = weft_error(ENOMEM, NULL);
    bool good = true;
    for (size_t i = 0; i < count; i++)
        good = good && !weft_is_error(items[i]);
    if (good)
        tuple = weft_tuple(items, count);
    for (size_t i = 0; weft_is_error(tuple) && i < count; i++)
        weft_drop(items[i]);
    return tuple;
}

static weft_value request_make(const char *ident, const char *method, weft_value arguments, weft_value keywords)
{
    weft_value parts[] = {ident ? weft_str(ident) : weft_none, weft_str(method),
        arguments.kind == WEFT_NONE ? weft_tuple(NULL, 0) : weft_keep(arguments),
        keywords.kind == WEFT_NONE ? weft_dict() : weft_keep(keywords)};
    return wefti_tuple_whole(parts, 4);
}

static bool is_reply(weft_value reply)
{
    return (reply.kind == WEFT_TUPLE || reply.kind == WEFT_LIST) && weft_length(reply) == 2 && weft_list_at(reply, 0).kind == WEFT_STR;
}

/* One request and its answer; *sent: it may have reached the manager. -1, and then the connection is to be closed, unless errno says that
 * nothing was sent or that the answer was refused (wefti_error_is_refusal). */
static int exchange_on(weft_connection *connection, weft_value request, weft_value *reply, bool *sent, weft_time deadline)
{
    if (weft_is_error(request))
        return fails(ENOMEM);
    if (weft_connection_send(connection, request, deadline) != 0)
        return errno == EPIPE ? fails(ECONNRESET) : -1;
    *sent = true;
    if (weft_connection_receive(connection, reply, deadline) != 0)
        return errno == EPIPE ? fails(ECONNRESET) : -1;
    if (is_reply(*reply))
        return 0;
    weft_drop(*reply);
    return fails(EPROTO);
}

static weft_connection *remote_dial(weft_remote *remote, weft_time deadline)
{
    struct weft_connection_options options = remote->options;
    options.address = remote->address;
    options.key = remote->key.octets;
    options.key_length = remote->key.length;
    options.sha256_only = remote->key.sha256_only;
    weft_connection *made = weft_connection_dial_with(&options, deadline);
    if (!made)
        return NULL;
    made->eager = made->settled = made->asks = made->relay_raised = true;
    if (made->tcp)
        wefti_connection_patience(made->descriptor);
    return made;
}

static int exchange_once(weft_remote *remote, weft_value request, weft_value *reply, bool *sent, weft_time deadline)
{
    weft_connection *connection = remote_dial(remote, deadline);
    int result = connection ? exchange_on(connection, request, reply, sent, deadline) : -1;
    weft_connection_close(connection);
    return result;
}

/* Whether a connection between two calls has come to its end. */
static bool connection_ended(const weft_connection *connection)
{
    char octet;
    ssize_t got = recv(connection->descriptor, &octet, 1, MSG_PEEK | MSG_DONTWAIT);
    return got >= 0 || (errno != EAGAIN && errno != EINTR);
}

/* A connection of the task's own is one on which objects are asked for. */
static int seat_dial(struct wefti_seat *seat, weft_time deadline)
{
    bool sent;
    seat->connection = remote_dial(seat->remote, deadline);
    seat->forks = wefti_forks;
    seat->lost = false;
    if (!seat->connection)
        return -1;
    const weft_task *task = weft_current();
    weft_value name = weft_str(task ? weft_task_name(task) : "Weft"), arguments = wefti_tuple_whole(&name, 1), reply;
    weft_value request =
        weft_is_error(arguments) ? weft_error(ENOMEM, NULL) : request_make(NULL, "accept_connection", arguments, weft_none);
    int result = exchange_on(seat->connection, request, &reply, &sent, deadline);
    weft_drop(request);
    weft_drop(arguments);
    if (result == 0) {
        bool accepted = strcmp(weft_as_str(weft_list_at(reply, 0)), "#RETURN") == 0;
        weft_drop(reply);
        if (accepted)
            return 0;
        errno = EPROTO;
    }
    wefti_seat_close(seat);
    return -1;
}

int wefti_seat_open(struct wefti_seat *seat, weft_time deadline)
{
    bool mine = seat->forks == wefti_forks;
    if (mine && seat->lost && seat->remote->reconnect == WEFT_RECONNECT_NEVER)
        return fails(ECONNRESET);
    if (mine && seat->connection && (seat->asked || seat->remote->reconnect < WEFT_RECONNECT_UNSENT || !connection_ended(seat->connection)))
        return 0;
    wefti_seat_close(seat);
    return seat_dial(seat, deadline);
}

int wefti_seat_ask(struct wefti_seat *seat, const char *method, weft_value arguments, weft_time deadline)
{
    weft_value request = request_make(seat->ident, method, arguments, weft_none);
    int result = weft_is_error(request) ? fails(ENOMEM) : weft_connection_send(seat->connection, request, deadline);
    weft_drop(request);
    return result != 0 && errno == EPIPE ? fails(ECONNRESET) : result;
}

int wefti_seat_answer(struct wefti_seat *seat, weft_value *reply, weft_time deadline)
{
    if (weft_connection_receive(seat->connection, reply, deadline) != 0)
        return errno == EPIPE ? fails(ECONNRESET) : -1;
    if (is_reply(*reply))
        return 0;
    weft_drop(*reply);
    return fails(EPROTO);
}

bool wefti_error_is_refusal(int error)
{
    return error == EBADMSG || error == EMSGSIZE || error == EFAULT || error == EILSEQ || error == EINVAL;
}

static int exchange_here(weft_remote *remote, weft_value request, weft_value *reply, bool *sent, weft_time deadline)
{
    struct wefti_seat *seat = wefti_seat_of(remote, NULL, false);
    if (!seat || wefti_seat_open(seat, deadline) != 0)
        return -1;
    int result = exchange_on(seat->connection, request, reply, sent, deadline);
    if (result != 0 && !wefti_error_is_refusal(errno)) {
        wefti_seat_close(seat);
        seat->lost = true;
    }
    return result;
}

/* Of an error: the manager was not there, or is no longer. */
static bool error_is_loss(int error)
{
    static const int losses[] = {ECONNRESET, EPIPE, ECONNREFUSED, ECONNABORTED, ENOENT, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN};
    for (size_t i = 0; i < sizeof(losses) / sizeof(*losses); i++)
        if (losses[i] == error)
            return true;
    return false;
}

/* Whether what failed so is to be tried again. */
static bool exchange_goes_on(const weft_remote *remote, bool sent)
{
    return error_is_loss(errno) && remote->reconnect >= (sent ? WEFT_RECONNECT_AGAIN : WEFT_RECONNECT_UNSENT);
}

static int exchange_tried(weft_remote *remote, bool here, weft_value request, weft_value *reply, weft_time deadline)
{
    weft_time late = 0;
    for (double rest = REST_LEAST;; rest = rest < REST_MOST ? 2 * rest : rest) {
        bool sent = false;
        int result = here ? exchange_here(remote, request, reply, &sent, deadline) : exchange_once(remote, request, reply, &sent, deadline);
        if (result == 0 || !exchange_goes_on(remote, sent))
            return result;
        int error = errno;
        late = late ? late : weft_in(remote->reconnect_seconds);
        weft_time next = weft_in(rest);
        if (next > late || next > deadline)
            return fails(error);
        if (weft_sleep_until(next) != 0)
            return -1;
    }
}

int wefti_remote_exchange(weft_remote *remote, const char *ident, const char *method, weft_value arguments, weft_value keywords,
    weft_value *reply, weft_time deadline)
{
    weft_value request = request_make(ident, method, arguments, keywords);
    int result = exchange_tried(remote, ident != NULL, request, reply, deadline);
    int error = errno;
    weft_drop(request);
    errno = error;
    return result;
}

/* What the server says of itself, in place of an exception. */
static weft_value remote_error(weft_value text)
{
    return weft_error_of_type(
        EREMOTEIO, "multiprocessing.managers.RemoteError", "%s", text.kind == WEFT_STR ? weft_as_str(text) : "refused");
}

/* An exception of a class that is not known here, as its type and what it was made with. */
static weft_value stranger_error(weft_value exception)
{
    char text[400], type[200];
    weft_value parts = weft_object_arguments(exception), names = weft_object_arguments(weft_list_at(parts, 0));
    weft_value module = weft_list_at(names, 0), name = weft_list_at(names, 1), arguments = weft_list_at(parts, 1);
    bool named = wefti_pickle_inert(exception) && module.kind == WEFT_STR && name.kind == WEFT_STR;
    weft_value shown = weft_length(arguments) == 1 ? weft_list_at(arguments, 0) : arguments;
    if (!named)
        return remote_error(exception);
    snprintf(type, sizeof(type), "%s.%s", weft_as_str(module), weft_as_str(name));
    if (shown.kind == WEFT_STR)
        snprintf(text, sizeof(text), "%s", weft_as_str(shown));
    else
        wefti_repr_begin(shown, text, sizeof(text));
    wefti_utf8_whole(text);
    return weft_error_of_type(EREMOTEIO, type, "%s", text);
}

int wefti_reply_read(weft_value reply, weft_value *value)
{
    const char *kind = weft_as_str(weft_list_at(reply, 0));
    weft_value item = weft_list_at(reply, 1);
    bool proxy = strcmp(kind, "#PROXY") == 0;
    if (strcmp(kind, "#RETURN") == 0 || proxy || (strcmp(kind, "#ERROR") == 0 && weft_is_error(item)))
        *value = weft_keep(item);
    else if (strcmp(kind, "#ERROR") == 0 && item.kind == WEFT_OBJECT)
        *value = stranger_error(item);
    else
        *value = remote_error(item);
    weft_drop(reply);
    return proxy;
}

static int remote_reconnects(weft_remote *remote, const struct weft_remote_options *options)
{
    if ((unsigned)options->reconnect > WEFT_RECONNECT_AGAIN || !(options->reconnect_seconds >= 0))
        return fails(EINVAL);
    remote->reconnect = options->reconnect;
    remote->reconnect_seconds = options->reconnect_seconds > 0 ? options->reconnect_seconds : RECONNECT_SECONDS;
    return 0;
}

static int remote_prepare(weft_remote *remote, const struct weft_remote_options *options)
{
    struct weft_connection_options taken = {.size = sizeof(taken),
        .key = options->key,
        .key_length = options->key_length,
        .key_file = options->key_file,
        .key_variable = options->key_variable,
        .sha256_only = options->sha256_only};
    remote->options = (struct weft_connection_options){
        .size = sizeof(taken), .relay = options->relay, .handshake_seconds = options->handshake_seconds, .most = options->most};
    if (!options->address)
        return fails(EINVAL);
    if (remote_reconnects(remote, options) != 0)
        return -1;
    remote->address = wefti_alloc_raw(strlen(options->address) + 1);
    if (!remote->address)
        return -1;
    memcpy(remote->address, options->address, strlen(options->address) + 1);
    remote->known_as = wefti_address_value(options->known_as ? options->known_as : options->address);
    if (weft_is_error(remote->known_as))
        return fails(weft_error_code(remote->known_as));
    return wefti_key_take(&remote->key, &taken);
}

weft_remote *weft_manager_connect_with(const struct weft_remote_options *options, weft_time deadline)
{
    struct weft_remote_options read;
    weft_value result;
    if (!wefti_options_read(&read, sizeof(read), options, offsetof(struct weft_remote_options, key)))
        return NULL;
    weft_remote *remote = wefti_alloc(sizeof(*remote));
    if (!remote)
        return NULL;
    remote->count = 1;
    if (remote_prepare(remote, &read) == 0 && weft_remote_call(remote, "dummy", &result, deadline) == 0) {
        bool good = weft_is_none(result);
        weft_drop(result);
        if (good)
            return remote;
        errno = EPROTO;
    }
    weft_remote_free(remote);
    return NULL;
}

void wefti_seats_leave(const weft_remote *remote, const char *ident)
{
    struct wefti_seat *first = weft_local_get(&seats), *left = NULL;
    for (struct wefti_seat **at = &first; *at;) {
        struct wefti_seat *seat = *at;
        if (seat->remote != remote || (ident && (!seat->ident || strcmp(seat->ident, ident) != 0))) {
            at = &seat->next;
            continue;
        }
        *at = seat->next;
        seat->next = left;
        left = seat;
    }
    if (left)
        weft_local_set(&seats, first);
    seats_end(left);
}

/* The calling task's connections end now; those of others when they do. */
void weft_remote_free(weft_remote *remote)
{
    int error = errno;
    if (remote) {
        wefti_seats_leave(remote, NULL);
        wefti_remote_release(remote);
    }
    errno = error;
}
