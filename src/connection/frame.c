/* SPDX-License-Identifier: MIT */
/*
 * Messages on a stream: a length of four octets, the highest first (or, beyond 2^31 - 1, four octets of ones and a length of eight), and so
 * many octets.
 *
 * What of a message has come stays in the connection, so that a receive whose deadline came can be gone on with. Room is taken as octets
 * come, never because a length was announced. A message goes out in one call of the kernel where that takes it all: header and body in two
 * would wait for each other's acknowledgement over TCP. For the same reason a receiver over TCP asks for acknowledgements at once before it
 * waits: Python sends in two what is long, and the end of a proof before its first request. In a `settled` connection only the former can
 * be, and it asks in the middle of a message only.
 *
 * As in net/io.c, a receiver who has emptied the socket does not try again before it waits: a question and its answer cost a coroutine one
 * call to receive, one to send, and a share of an epoll_wait. A local socket gives less than was asked for, and keeps the rest, at the end
 * of a piece that descriptors came with; MSG_CTRUNC tells that, as there is no room for them.
 *
 * A thread that has asked (`asks`) looks for the answer for a while, and lets others run between two looks, where that has paid
 * (wait/spin.h), and else waits for it without a try: it cannot be there yet. (Not in a hub, which tells of what comes once, and may have
 * told.) A hub is told that something was sent, so that it may look for what comes of that, too: a question for who has answered, an answer
 * for a coroutine that asked.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <weft/task.h>

#include "connection/connection.h"
#include "base/memory.h"
#include "coroutine/readiness.h"
#include "wait/opened.h"
#include "wait/wait.h"

#ifdef WEFTI_SMALL
enum { PIECE = 16, SHORT = 20, SPIN_TIME = 2000 };
#else
enum { PIECE = 1 << 16, SHORT = 512, SPIN_TIME = 50000 /* ns */ };
#endif

/* After a try that was in vain, or is known to be. */
static int wait_for(const struct weft_connection *connection, short events, weft_time deadline)
{
    struct wefti_item item = {.kind = WEFTI_DESCRIPTOR, .descriptor = connection->descriptor, .events = events, .tried = true};
    return wefti_wait_items(&item, 1, deadline) < 0 ? -1 : 0;
}

static int receive_wait(const struct weft_connection *connection, weft_time deadline)
{
    if (connection->tcp && (!connection->settled || connection->header_length > 0))
        setsockopt(connection->descriptor, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int));
    return wait_for(connection, POLLIN, deadline);
}

/* A try. *all: there was no more. */
static ssize_t receive_try(const struct weft_connection *connection, void *to, size_t length, bool *all)
{
    struct iovec part = {.iov_base = to, .iov_len = length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t got =
        connection->tcp ? recv(connection->descriptor, to, length, MSG_DONTWAIT) : recvmsg(connection->descriptor, &message, MSG_DONTWAIT);
    *all = got < 0 ? errno == EAGAIN : got > 0 && (size_t)got < length && !(message.msg_flags & MSG_CTRUNC);
    return got;
}

/* What the kernel says of a peer that answers no probes any more is not what a deadline is. */
static ssize_t peer_failed(void)
{
    if (errno == ETIMEDOUT)
        errno = ECONNRESET;
    return -1;
}

/* A thread looks for the answer for a while, before it sleeps: as a try that is made again. Who looks for questions has it in that time. */
static ssize_t receive_spin(struct weft_connection *connection, void *to, size_t length, weft_time deadline)
{
    bool all, lends = true;
    weft_time late = wefti_deadline(deadline), now = weft_clock();
    weft_time end = late - now < SPIN_TIME ? late : now + SPIN_TIME;
    errno = EAGAIN;
    if (end <= now || weft_cancelled() || !wefti_spin_pays(&connection->spin.spin))
        return -1;
    ssize_t got = receive_try(connection, to, length, &all);
    while (got < 0 && errno == EAGAIN && lends && now < end) {
        lends = wefti_spin_lends(&connection->spin, &now);
        got = receive_try(connection, to, length, &all);
    }
    if (lends)
        wefti_spin_answered(&connection->spin, got >= 0);
    return got;
}

/* Some octets, one at least; 0 at the end; -1. */
static ssize_t receive_new(struct weft_connection *connection, void *to, size_t length, weft_time deadline)
{
    int descriptor = connection->descriptor;
    uint32_t opening = wefti_opened(descriptor);
    bool waits = deadline > WEFT_NOW, all;
    bool asks = waits && connection->asks && wefti_may_spin();
    bool known = asks || (waits && opening && !wefti_readiness_may(descriptor, opening, POLLIN));
    ssize_t found = asks ? receive_spin(connection, to, length, deadline) : -1;
    if (found >= 0 || (asks && errno != EAGAIN && errno != EINTR)) /* an error is told once */
        return found >= 0 ? found : peer_failed();
    while (!known || receive_wait(connection, deadline) == 0) {
        ssize_t got = receive_try(connection, to, length, &all);
        if (all)
            wefti_readiness_dry(descriptor, opening, POLLIN);
        if (got >= 0)
            wefti_readiness_turn();
        if (got >= 0 || (errno != EAGAIN && errno != EINTR))
            return got >= 0 ? got : peer_failed();
        known = errno == EAGAIN;
    }
    return -1;
}

static size_t ahead_take(struct weft_connection *connection, void *to, size_t length)
{
    length = length < connection->ahead_length ? length : connection->ahead_length;
    memcpy(to, connection->ahead + connection->ahead_from, length);
    connection->ahead_from = (uint16_t)(connection->ahead_from + length);
    connection->ahead_length = (uint16_t)(connection->ahead_length - length);
    return length;
}

/* The same, of an eager connection from what was kept. */
static ssize_t receive_some(struct weft_connection *connection, void *to, size_t length, weft_time deadline)
{
    if (connection->ahead_length > 0)
        return (ssize_t)ahead_take(connection, to, length);
    if (!connection->eager || length >= sizeof(connection->ahead))
        return receive_new(connection, to, length, deadline);
    ssize_t got = receive_new(connection, connection->ahead, sizeof(connection->ahead), deadline);
    if (got <= 0)
        return got;
    connection->ahead_from = 0;
    connection->ahead_length = (uint16_t)got;
    return (ssize_t)ahead_take(connection, to, length);
}

/* An end in the middle of a message is a loss, between two of them an end. */
static int receive_ended(const struct weft_connection *connection)
{
    errno = connection->header_length == 0 ? EPIPE : ECONNRESET;
    return -1;
}

static size_t header_needs(const struct weft_connection *connection)
{
    return connection->header_length >= 4 && memcmp(connection->header, "\xff\xff\xff\xff", 4) == 0 ? 12 : 4;
}

static int receive_header(struct weft_connection *connection, weft_time deadline)
{
    while (connection->header_length < header_needs(connection)) {
        size_t have = connection->header_length;
        ssize_t got = receive_some(connection, connection->header + have, header_needs(connection) - have, deadline);
        if (got <= 0)
            return got == 0 ? receive_ended(connection) : -1;
        connection->header_length += (size_t)got;
    }
    size_t begin = connection->header_length == 12 ? 4 : 0;
    connection->length = 0;
    for (size_t i = begin; i < connection->header_length; i++)
        connection->length = connection->length << 8 | connection->header[i];
    return 0;
}

static int receive_body(struct weft_connection *connection, weft_time deadline)
{
    struct wefti_octets *body = &connection->body;
    while (body->length < connection->length) {
        size_t left = (size_t)connection->length - body->length, room = body->room - body->length;
        char *to = wefti_octets_reserve(body, room ? 1 : left < PIECE ? left : PIECE);
        if (!to)
            return -1;
        room = body->room - body->length;
        ssize_t got = receive_some(connection, to, left < room ? left : room, deadline);
        if (got <= 0)
            return got == 0 ? receive_ended(connection) : -1;
        body->length += (size_t)got;
    }
    return 0;
}

int wefti_frame_receive(struct weft_connection *connection, size_t most, weft_time deadline)
{
    if (!connection->unreadable && connection->header_length < header_needs(connection))
        connection->body.length = 0;
    if (!connection->unreadable && receive_header(connection, deadline) != 0)
        return -1;
    bool negative = connection->header_length == 4 && connection->header[0] & 0x80;
    if (connection->unreadable || negative || connection->length > most) {
        connection->unreadable = true;
        errno = EPROTO;
        return -1;
    }
    if (receive_body(connection, deadline) != 0)
        return -1;
    connection->header_length = 0;
    return 0;
}

/* `sent` octets of the parts are gone. */
static void parts_advance(struct iovec *parts, size_t sent)
{
    for (int i = 0; i < 2; i++) {
        size_t of_this = sent < parts[i].iov_len ? sent : parts[i].iov_len;
        parts[i].iov_base = (char *)parts[i].iov_base + of_this;
        parts[i].iov_len -= of_this;
        sent -= of_this;
    }
}

static int parts_send(struct weft_connection *connection, struct iovec *parts, weft_time deadline, bool *begun)
{
    while (parts[0].iov_len + parts[1].iov_len > 0) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t sent = sendmsg(connection->descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return (int)peer_failed();
        if (sent < 0 && errno == EAGAIN) {
            wefti_readiness_dry(connection->descriptor, wefti_opened(connection->descriptor), POLLOUT);
            if (wait_for(connection, POLLOUT, deadline) != 0)
                return -1;
        }
        if (sent <= 0)
            continue;
        *begun = true;
        parts_advance(parts, (size_t)sent);
    }
    return 0;
}

/* A short message in one piece, by the simplest of calls: how many octets of it are gone; 0: it is to be tried otherwise. */
static size_t short_send(const struct weft_connection *connection, const void *octets, size_t length)
{
    unsigned char whole[4 + SHORT];
    memcpy(whole, (unsigned char[]){0, 0, (unsigned char)(length >> 8), (unsigned char)length}, 4);
    memcpy(whole + 4, octets, length);
    ssize_t sent = send(connection->descriptor, whole, 4 + length, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent > 0 ? (size_t)sent : 0;
}

int wefti_frame_send(struct weft_connection *connection, const void *octets, size_t length, weft_time deadline)
{
    unsigned char header[12] = {0xff, 0xff, 0xff, 0xff};
    bool short_form = length <= INT32_MAX, begun = false;
    size_t from = short_form ? 0 : 4, header_length = short_form ? 4 : 12;
    for (size_t i = header_length, left = length; i-- > from; left >>= 8)
        header[i] = (unsigned char)left;
    if (connection->unwritable) {
        errno = EPIPE;
        return -1;
    }
    struct iovec parts[2] = {{header, header_length}, {length ? (void *)(uintptr_t)octets : header, length}}; /* no sums with NULL */
    if (length > 0 && length <= SHORT) {
        size_t sent = short_send(connection, octets, length);
        begun = sent > 0;
        parts_advance(parts, sent);
    }
    int result = parts_send(connection, parts, deadline, &begun);
    if (result != 0 && begun)
        connection->unwritable = true;
    if (connection->eager)
        wefti_readiness_soon();
    return result;
}
