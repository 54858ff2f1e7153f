/* SPDX-License-Identifier: MIT */
/*
 * Connections and listeners: sockets, what is sent over them, and how they end. The descriptors are Weft's own, and no call blocks in the
 * kernel; each step is tried, and waited for only when there is nothing to do. A listener's key lives as long as it does; that of a dial
 * until the proof.
 *
 * Fork: the child has copies of everything. Closing a listener there leaves the path, which is the parent's.
 */

#include "connection/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/io.h>
#include <weft/serve.h>

#include "base/memory.h"
#include "base/options.h"
#include "base/streams.h"
#include "net/io.h"
#include "wait/opened.h"
#include "wait/wait.h"

enum { BACKLOG = 128 };
enum { SILENT = 60, PROBE_EVERY = 20, PROBES = 3 }; /* seconds after which a TCP peer is asked for, and how often until it counts as gone */
static const size_t MESSAGE_MOST = (size_t)64 << 20;
static const double HANDSHAKE_SECONDS = 20;

struct weft_listener {
    int descriptor;
    bool tcp, relay;
    pid_t maker; /* who removes the path */
    size_t most;
    double seconds;
    struct wefti_key key;
    char *path; /* NULL: nothing to remove */
    struct wefti_path bound;
    char address[128]; /* as its peers may dial it */
};

union address {
    struct sockaddr any;
    struct sockaddr_in tcp;
    struct sockaddr_un local;
};

static bool fails(int code)
{
    errno = code;
    return false;
}

static bool tcp_address(const char *text, union address *address, socklen_t *length)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    size_t octets = colon ? (size_t)(colon - text) : sizeof(host);
    if (octets >= sizeof(host) || colon[1] < '0' || colon[1] > '9')
        return fails(EINVAL);
    char *end;
    long port = strtol(colon + 1, &end, 10);
    memcpy(host, text, octets);
    host[octets] = 0;
    const char *number = octets == 0 ? "0.0.0.0" : strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    if (*end || port > UINT16_MAX || inet_pton(AF_INET, number, &address->tcp.sin_addr) != 1)
        return fails(EINVAL);
    address->tcp.sin_family = AF_INET;
    address->tcp.sin_port = htons((uint16_t)port);
    *length = sizeof(address->tcp);
    return true;
}

/* Where to listen: what has names or is of version 6 Python's managers do not. False with EINVAL, ENAMETOOLONG. */
static bool address_read(const char *text, union address *address, socklen_t *length)
{
    memset(address, 0, sizeof(*address));
    if (!text)
        return fails(EINVAL);
    int is_local = wefti_local_read(text, &address->local, length);
    return is_local == 0 ? tcp_address(text, address, length) : is_local > 0;
}

static int socket_open(const union address *address)
{
    if (wefti_fails_with(EMFILE))
        return -1;
    int made = wefti_beside_streams(socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (made >= 0 && address->any.sa_family == AF_INET)
        setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return made;
}

void wefti_connection_patience(int descriptor)
{
    unsigned lost = 1000 * (SILENT + PROBE_EVERY * PROBES);
    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &(int){SILENT}, sizeof(int));
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &(int){PROBE_EVERY}, sizeof(int));
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &(int){PROBES}, sizeof(int));
    setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost, sizeof(lost));
}

static void descriptor_close(int descriptor)
{
    int error = errno;
    if (descriptor >= 0)
        close(descriptor);
    errno = error;
}

static bool options_read(struct weft_connection_options *to, const struct weft_connection_options *from)
{
    if (!wefti_options_read(to, sizeof(*to), from, offsetof(struct weft_connection_options, key)))
        return false;
    if (!(to->handshake_seconds >= 0) || to->backlog < 0)
        return fails(EINVAL);
    to->handshake_seconds = to->handshake_seconds > 0 ? to->handshake_seconds : HANDSHAKE_SECONDS;
    to->most = to->most ? to->most : MESSAGE_MOST;
    to->backlog = to->backlog ? to->backlog : BACKLOG;
    return true;
}

/* A connection of the descriptor, which it takes even when it fails. */
static weft_connection *connection_new(int descriptor, bool tcp, bool relay, size_t most)
{
    weft_connection *made = wefti_alloc(sizeof(*made));
    if (!made) {
        int error = errno;
        weft_close(descriptor); /* one that was dialled is known as Weft's already */
        errno = error;
        return NULL;
    }
    *made = (weft_connection){.descriptor = descriptor, .tcp = tcp, .relay = relay, .most = most};
    wefti_opened_begin(descriptor, tcp);
    return made;
}

static int prove(weft_connection *connection, const struct wefti_key *key, bool accepted, double seconds, weft_time deadline)
{
    weft_time late = weft_in(seconds);
    if (wefti_key_prove(connection, key, accepted, late < deadline ? late : deadline) == 0)
        return 0;
    if (errno == EPIPE)
        errno = ECONNRESET;
    return -1;
}

void weft_connection_close(weft_connection *connection)
{
    if (!connection)
        return;
    int error = errno;
    weft_close(connection->descriptor);
    errno = error;
    wefti_release(connection->body.octets);
    wefti_release(connection);
}

/* Listening. */

static void listener_name(weft_listener *listener, const char *asked)
{
    struct sockaddr_in bound = {0};
    socklen_t length = sizeof(bound);
    char host[INET_ADDRSTRLEN] = "";
    snprintf(listener->address, sizeof(listener->address), "%s", asked);
    if (!listener->tcp || getsockname(listener->descriptor, (struct sockaddr *)&bound, &length) != 0)
        return;
    inet_ntop(AF_INET, &bound.sin_addr, host, sizeof(host));
    snprintf(listener->address, sizeof(listener->address), "%s:%u", host, ntohs(bound.sin_port));
}

static int listener_bind(weft_listener *listener, const struct weft_connection_options *options)
{
    union address address;
    socklen_t length = 0;
    if (!address_read(options->address, &address, &length))
        return -1;
    bool abstract = strncmp(options->address, "abstract:", 9) == 0;
    listener->tcp = address.any.sa_family == AF_INET;
    listener->descriptor = socket_open(&address);
    if (listener->descriptor < 0)
        return -1;
    if (listener->tcp) {
        setsockopt(listener->descriptor, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
        setsockopt(listener->descriptor, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int)); /* those that it accepts have what it has */
    }
    char *path = listener->tcp || abstract ? NULL : wefti_alloc(sizeof(address.local.sun_path));
    if (!listener->tcp && !abstract && !path)
        return -1;
    if (wefti_bind_fresh(listener->descriptor, &address.any, length) != 0) {
        wefti_release(path);
        return -1;
    }
    if (path) {
        memcpy(path, address.local.sun_path, sizeof(address.local.sun_path));
        wefti_path_note(&listener->bound, path);
    }
    listener->path = path;
    listener_name(listener, options->address);
    return listen(listener->descriptor, options->backlog);
}

weft_listener *weft_connection_listen_with(const struct weft_connection_options *options)
{
    struct weft_connection_options read;
    if (!options_read(&read, options))
        return NULL;
    weft_listener *listener = wefti_alloc(sizeof(*listener));
    if (!listener)
        return NULL;
    *listener =
        (weft_listener){.descriptor = -1, .relay = read.relay, .maker = getpid(), .most = read.most, .seconds = read.handshake_seconds};
    if (wefti_key_take(&listener->key, &read) == 0 && listener_bind(listener, &read) == 0)
        return listener;
    weft_listener_close(listener);
    return NULL;
}

const char *weft_listener_address(const weft_listener *listener)
{
    return listener->address;
}

void weft_listener_close(weft_listener *listener)
{
    if (!listener)
        return;
    int error = errno;
    if (listener->path && getpid() == listener->maker)
        wefti_path_remove(&listener->bound, listener->path);
    descriptor_close(listener->descriptor);
    wefti_release(listener->path);
    wefti_key_wipe(&listener->key);
    wefti_release(listener);
    errno = error;
}

static int accept_some(const weft_listener *listener, weft_time deadline)
{
    for (;;) {
        int came =
            wefti_fails_with(EMFILE) ? -1 : wefti_beside_streams(accept4(listener->descriptor, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (came >= 0 || (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED))
            return came;
        struct wefti_item item = {.kind = WEFTI_DESCRIPTOR, .descriptor = listener->descriptor, .events = POLLIN};
        if (errno == EAGAIN && wefti_wait_items(&item, 1, deadline) < 0)
            return -1;
    }
}

weft_connection *wefti_listener_next(weft_listener *listener, weft_time deadline)
{
    int came = accept_some(listener, deadline);
    return came < 0 ? NULL : connection_new(came, listener->tcp, listener->relay, listener->most);
}

int wefti_listener_prove(weft_listener *listener, weft_connection *connection, weft_time deadline)
{
    return prove(connection, &listener->key, true, listener->seconds, deadline);
}

void wefti_listener_leave(weft_listener *listener)
{
    descriptor_close(listener->descriptor);
    listener->descriptor = -1;
}

int wefti_listener_descriptor(const weft_listener *listener)
{
    return listener->descriptor;
}

bool wefti_listener_keyed(const weft_listener *listener)
{
    return listener->key.length > 0;
}

weft_connection *weft_connection_accept(weft_listener *listener, weft_time deadline)
{
    if (!listener) {
        errno = EINVAL;
        return NULL;
    }
    weft_connection *made = wefti_listener_next(listener, deadline);
    if (!made || wefti_listener_prove(listener, made, deadline) == 0)
        return made;
    weft_connection_close(made);
    return NULL;
}

/* Dialling. */

static weft_connection *dial(const struct weft_connection_options *options, const struct wefti_key *key, weft_time deadline)
{
    struct sockaddr_un local;
    socklen_t length;
    int descriptor = weft_dial(options->address, deadline);
    if (descriptor < 0)
        return NULL;
    bool tcp = wefti_local_read(options->address, &local, &length) == 0;
    weft_connection *made = connection_new(descriptor, tcp, options->relay, options->most);
    if (!made || prove(made, key, false, options->handshake_seconds, deadline) == 0)
        return made;
    weft_connection_close(made);
    return NULL;
}

weft_connection *weft_connection_dial_with(const struct weft_connection_options *options, weft_time deadline)
{
    struct weft_connection_options read;
    struct wefti_key key;
    if (!options_read(&read, options))
        return NULL;
    weft_connection *made = wefti_key_take(&key, &read) == 0 ? dial(&read, &key, deadline) : NULL;
    int error = errno;
    wefti_key_wipe(&key);
    errno = error;
    return made;
}

/* Messages. */

static int refuse_nothing(void)
{
    errno = EINVAL;
    return -1;
}

int weft_connection_send_bytes(weft_connection *connection, const void *octets, size_t length, weft_time deadline)
{
    if (!connection || (!octets && length))
        return refuse_nothing();
    return wefti_frame_send(connection, octets, length, deadline);
}

int weft_connection_send(weft_connection *connection, weft_value value, weft_time deadline)
{
    struct wefti_octets out = {0};
    struct wefti_pickle_reason reason = {.text = ""};
    if (!connection)
        return refuse_nothing();
    int result = wefti_pickle_write(value, &out, PTRDIFF_MAX, &reason);
    if (result == 0)
        result = wefti_frame_send(connection, out.octets, out.length, deadline);
    int error = errno;
    connection->reason = reason;
    wefti_release(out.octets);
    errno = error;
    return result;
}

void wefti_frame_trim(weft_connection *connection)
{
    struct wefti_octets *body = &connection->body;
    int error = errno;
    if (body->room > (1 << 16)) {
        wefti_release(body->octets);
        *body = (struct wefti_octets){0};
    }
    errno = error;
}

int weft_connection_receive_bytes(weft_connection *connection, weft_value *bytes, weft_time deadline)
{
    if (!connection || !bytes)
        return refuse_nothing();
    if (wefti_frame_receive(connection, connection->most, deadline) != 0)
        return -1;
    weft_value made = weft_bytes(connection->body.octets, connection->body.length);
    wefti_frame_trim(connection);
    if (weft_is_error(made))
        return -1;
    *bytes = made;
    return 0;
}

/* What was read by way of an exception is one. */
static bool inert_allowed(const weft_connection *connection, weft_value value)
{
    weft_value kind = weft_list_at(value, 0);
    return connection->relay || (kind.kind == WEFT_STR && strcmp(weft_as_str(kind), "#ERROR") == 0);
}

int weft_connection_receive(weft_connection *connection, weft_value *value, weft_time deadline)
{
    weft_value read;
    if (!connection || !value)
        return refuse_nothing();
    if (wefti_frame_receive(connection, connection->most, deadline) != 0)
        return -1;
    struct wefti_pickle_limits limits = {.length = connection->most, .relay = connection->relay || connection->relay_raised};
    connection->reason.text[0] = 0;
    int result = wefti_pickle_read(connection->body.octets, connection->body.length, &limits, &read, &connection->reason);
    wefti_frame_trim(connection);
    if (result == 0 && connection->reason.inert && !inert_allowed(connection, read)) {
        weft_drop(read);
        errno = EBADMSG;
        return -1;
    }
    if (result == 0) {
        connection->reason.text[0] = 0;
        *value = read;
    }
    return result;
}

const char *weft_connection_reason(const weft_connection *connection)
{
    return connection->reason.text;
}

int weft_connection_poll(weft_connection *connection, weft_time deadline)
{
    if (!connection)
        return refuse_nothing();
    struct wefti_item item = {.kind = WEFTI_DESCRIPTOR, .descriptor = connection->descriptor, .events = POLLIN};
    struct pollfd now = {.fd = connection->descriptor, .events = POLLIN};
    if (poll(&now, 1, 0) > 0)
        return 0;
    return wefti_wait_items(&item, 1, deadline) < 0 ? -1 : 0;
}

weft_case weft_case_receive(weft_connection *connection)
{
    return weft_case_descriptor(connection ? connection->descriptor : -1, POLLIN, NULL);
}

weft_case weft_case_accept(weft_listener *listener)
{
    return weft_case_descriptor(listener ? listener->descriptor : -1, POLLIN, NULL);
}
