/* SPDX-License-Identifier: MIT */
/*
 * The client's connections to managers. A task has one to each that it has called, in a list that is its own (task-local): nobody else sees it, and it needs no lock. It ends with the task.
 *
 * A connection on which a call did not come to its end in order, whatever the reason, is closed: an answer that is still under way would be taken for that of the next call. The next call dials anew; so does the
 * first in a process that was forked, whose copy is closed there and not used.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/options.h"
#include "manager/remote.h"
#include <weft/task.h>

struct seat {
    struct seat *next;
    weft_remote *remote;
    weft_connection *connection; /* NULL: was lost */
    pid_t process;               /* that made it */
};

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
    wefti_release(remote->address);
    wefti_release(remote);
}

static void seats_end(void *first)
{
    for (struct seat *seat = first, *next; seat; seat = next) {
        next = seat->next;
        weft_connection_close(seat->connection);
        wefti_remote_release(seat->remote);
        wefti_release(seat);
    }
}

static struct seat *seat_of(weft_remote *remote)
{
    struct seat *first = weft_local_get(&seats), *seat = first;
    while (seat && seat->remote != remote)
        seat = seat->next;
    if (seat)
        return seat;
    seat = wefti_alloc(sizeof(*seat));
    if (!seat)
        return NULL;
    *seat = (struct seat){.next = first, .remote = wefti_remote_keep(remote)};
    if (weft_local_set(&seats, seat) == 0)
        return seat;
    wefti_remote_release(remote);
    wefti_release(seat);
    return NULL;
}

static weft_value request_make(const char *ident, const char *method, weft_value arguments, weft_value keywords)
{
    weft_value parts[] = {ident ? weft_str(ident) : weft_none, weft_str(method),
        arguments.kind == WEFT_NONE ? weft_tuple(NULL, 0) : weft_keep(arguments),
        keywords.kind == WEFT_NONE ? weft_dict() : weft_keep(keywords)};
    weft_value request = weft_tuple(parts, 4);
    if (weft_is_error(request))
        for (size_t i = 0; i < 4; i++)
            weft_drop(parts[i]);
    return request;
}

static bool is_reply(weft_value reply)
{
    return (reply.kind == WEFT_TUPLE || reply.kind == WEFT_LIST) && weft_length(reply) == 2 && weft_list_at(reply, 0).kind == WEFT_STR;
}

/* One request and its answer. -1, and then the connection is to be closed, unless errno says that nothing was sent (EFAULT, EILSEQ, EINVAL) or that the answer was refused. */
static int exchange_on(weft_connection *connection, weft_value request, weft_value *reply, weft_time deadline)
{
    if (weft_is_error(request))
        return fails(ENOMEM);
    if (weft_connection_send(connection, request, deadline) != 0 || weft_connection_receive(connection, reply, deadline) != 0)
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
    if (made)
        made->eager = made->settled = true;
    return made;
}

static int exchange_once(weft_remote *remote, weft_value request, weft_value *reply, weft_time deadline)
{
    weft_connection *connection = remote_dial(remote, deadline);
    int result = connection ? exchange_on(connection, request, reply, deadline) : -1;
    weft_connection_close(connection);
    return result;
}

/* A connection of the task's own is one on which objects are asked for. */
static int seat_open(struct seat *seat, weft_time deadline)
{
    if (seat->connection && seat->process == getpid())
        return 0;
    weft_connection_close(seat->connection);
    seat->connection = remote_dial(seat->remote, deadline);
    seat->process = getpid();
    if (!seat->connection)
        return -1;
    const weft_task *task = weft_current();
    weft_value name = weft_str(task ? weft_task_name(task) : "Weft"), arguments = weft_tuple(&name, 1), reply;
    weft_value request = request_make(NULL, "accept_connection", arguments, weft_none);
    int result = exchange_on(seat->connection, request, &reply, deadline);
    weft_drop(request);
    weft_drop(arguments);
    if (result == 0) {
        bool accepted = strcmp(weft_as_str(weft_list_at(reply, 0)), "#RETURN") == 0;
        weft_drop(reply);
        if (accepted)
            return 0;
        errno = EPROTO;
    }
    weft_connection_close(seat->connection);
    seat->connection = NULL;
    return -1;
}

static int exchange_here(weft_remote *remote, weft_value request, weft_value *reply, weft_time deadline)
{
    struct seat *seat = seat_of(remote);
    if (!seat || seat_open(seat, deadline) != 0)
        return -1;
    int result = exchange_on(seat->connection, request, reply, deadline);
    bool whole = result == 0 || errno == EFAULT || errno == EILSEQ || errno == EINVAL || errno == EBADMSG;
    if (whole)
        return result;
    weft_connection_close(seat->connection);
    seat->connection = NULL;
    return -1;
}

int wefti_remote_exchange(weft_remote *remote, const char *ident, const char *method, weft_value arguments, weft_value keywords,
    weft_value *reply, weft_time deadline)
{
    weft_value request = request_make(ident, method, arguments, keywords);
    int result = ident ? exchange_here(remote, request, reply, deadline) : exchange_once(remote, request, reply, deadline);
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

int wefti_reply_read(weft_value reply, weft_value *value)
{
    const char *kind = weft_as_str(weft_list_at(reply, 0));
    weft_value item = weft_list_at(reply, 1);
    bool proxy = strcmp(kind, "#PROXY") == 0;
    if (strcmp(kind, "#RETURN") == 0 || proxy || (strcmp(kind, "#ERROR") == 0 && weft_is_error(item)))
        *value = weft_keep(item);
    else
        *value = remote_error(item);
    weft_drop(reply);
    return proxy;
}

static int remote_prepare(weft_remote *remote, const struct weft_remote_options *options)
{
    struct weft_connection_options taken = {.size = sizeof(taken),
        .key = options->key,
        .key_length = options->key_length,
        .key_file = options->key_file,
        .key_variable = options->key_variable,
        .sha256_only = options->sha256_only};
    remote->options =
        (struct weft_connection_options){.size = sizeof(taken), .handshake_seconds = options->handshake_seconds, .most = options->most};
    if (!options->address)
        return fails(EINVAL);
    remote->address = wefti_alloc_raw(strlen(options->address) + 1);
    if (!remote->address)
        return -1;
    memcpy(remote->address, options->address, strlen(options->address) + 1);
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

/* The calling task's connection ends now; those of others when they do. */
static void seat_leave(const weft_remote *remote)
{
    struct seat *first = weft_local_get(&seats), **at = &first;
    while (*at && (*at)->remote != remote)
        at = &(*at)->next;
    struct seat *seat = *at;
    if (!seat)
        return;
    *at = seat->next;
    weft_local_set(&seats, first);
    seat->next = NULL;
    seats_end(seat);
}

void weft_remote_free(weft_remote *remote)
{
    int error = errno;
    if (remote) {
        seat_leave(remote);
        wefti_remote_release(remote);
    }
    errno = error;
}
