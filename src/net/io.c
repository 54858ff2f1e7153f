/* SPDX-License-Identifier: MIT */
/*
 * Sockets and pipes: a try, a wait, a try again. The try never blocks whatever the descriptor's flags are: MSG_DONTWAIT says so for one
 * call, and where there is no such word (file.c) poll(2) is asked first.
 *
 * What Weft opened is a stream socket (wait/opened.h). Of those the hub knows whether there can be anything to read
 * (coroutine/readiness.h): a read from TCP that got less than it asked for has emptied the socket (what is urgent stops one, too, but that
 * is reported as POLLPRI), so the next one waits without a try, until epoll reports a change. So an exchange on a connection costs one
 * read, one write, and its share of an epoll_wait.
 *
 * A task whose calls never have to wait would hold up the others of its thread: it yields once in a while (wefti_readiness_turn).
 *
 * fork: nothing is kept here.
 */

#include "net/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/streams.h"
#include "coroutine/coroutine.h"
#include "coroutine/readiness.h"
#include "wait/context.h"
#include "wait/opened.h"

bool wefti_io_may_block(void)
{
    return wefti_coroutines_alive() == 0;
}

bool wefti_io_is_ready(int descriptor, short events)
{
    struct pollfd asked = {.fd = descriptor, .events = events};
    return poll(&asked, 1, 0) > 0;
}

/* The deadline of one wait: that of the call, or when the task's patience with silent peers is over. */
static weft_time idle_deadline(weft_time deadline)
{
    weft_time idle = wefti_context_current()->idle;
    if (idle == 0)
        return deadline;
    weft_time late = weft_clock() + idle;
    return late < deadline ? late : deadline;
}

/* The same as wefti_io_wait, with a transfer, or NULL. */
static int io_wait_transfer(int descriptor, short events, struct wefti_transfer *transfer, weft_time deadline)
{
    struct wefti_item item = {.kind = WEFTI_DESCRIPTOR, .descriptor = descriptor, .events = events, .transfer = transfer, .tried = true};
    if (deadline <= WEFT_NOW) {
        errno = EAGAIN;
        return -1;
    }
    if (wefti_wait_items(&item, 1, idle_deadline(deadline)) < 0)
        return -1;
    if (item.seen & POLLNVAL) {
        errno = EBADF;
        return -1;
    }
    return 0;
}

int wefti_io_wait(int descriptor, short events, weft_time deadline)
{
    return io_wait_transfer(descriptor, events, NULL, deadline);
}

/* What a try that moved nothing means: 0: try again, it has been waited for if that was it; -1: it failed. */
static int try_failed(int descriptor, uint32_t opening, short events, weft_time deadline)
{
    if (errno == EINTR)
        return 0;
    if (errno != EAGAIN)
        return -1;
    wefti_readiness_dry(descriptor, opening, events);
    return wefti_io_wait(descriptor, events, deadline);
}

/* All of what was there has been read, if it is less than was asked for. */
static ssize_t read_done(int descriptor, uint32_t opening, ssize_t got, size_t size)
{
    if (wefti_opened_tcp(opening) && (size_t)got < size)
        wefti_readiness_dry(descriptor, opening, POLLIN);
    wefti_readiness_turn();
    return got;
}

static ssize_t write_done(ssize_t put)
{
    wefti_readiness_turn();
    return put;
}

/* A try would be in vain, and it has been waited for: -1 with errno when that failed. */
static int read_await(int descriptor, uint32_t opening, weft_time deadline)
{
    return opening == 0 || deadline <= WEFT_NOW || wefti_readiness_may(descriptor, opening, POLLIN)
               ? 0
               : wefti_io_wait(descriptor, POLLIN, deadline);
}

/* Waits for what there is to read. 1: it was read, too, as the transfer says; 0: it is to be tried; -1. */
static int socket_await(int descriptor, struct wefti_transfer *transfer, weft_time deadline)
{
    int waited = io_wait_transfer(descriptor, POLLIN, transfer, deadline);
    if (!transfer || !transfer->done)
        return waited;
    if (transfer->result < 0)
        errno = (int)-transfer->result;
    return transfer->result < 0 ? -1 : 1; /* what has been read is the caller's, whatever ended the wait */
}

static ssize_t socket_read(int descriptor, void *buffer, size_t size, uint32_t opening, weft_time deadline)
{
    struct wefti_transfer transfer = {.octets = buffer, .size = size};
    bool tries = size == 0 || opening == 0 || deadline <= WEFT_NOW || wefti_readiness_may(descriptor, opening, POLLIN);
    for (;; tries = true) {
        ssize_t got = tries ? recv(descriptor, buffer, size, MSG_DONTWAIT) : 0;
        if (tries && got >= 0)
            return read_done(descriptor, opening, got, size);
        if (tries && errno == EINTR)
            continue;
        if (tries && errno != EAGAIN)
            return -1;
        if (tries)
            wefti_readiness_dry(descriptor, opening, POLLIN);
        int waited = socket_await(descriptor, opening ? &transfer : NULL, deadline);
        if (waited != 0)
            return waited < 0 ? -1 : read_done(descriptor, opening, transfer.result, size);
    }
}

static ssize_t other_read(int descriptor, const struct iovec *parts, int count, weft_time deadline)
{
    for (;;) {
        ssize_t got = wefti_file_read(descriptor, parts, count, deadline);
        if (got >= 0)
            return read_done(descriptor, 0, got, 0);
        if (try_failed(descriptor, 0, POLLIN, deadline) != 0)
            return -1;
    }
}

ssize_t weft_read(int fd, void *buffer, size_t size, weft_time deadline)
{
    ssize_t got = socket_read(fd, buffer, size, wefti_opened(fd), deadline);
    if (got >= 0 || errno != ENOTSOCK)
        return got;
    struct iovec part = {.iov_base = buffer, .iov_len = size};
    return other_read(fd, &part, 1, deadline);
}

ssize_t weft_recvmsg(int fd, struct msghdr *message, int flags, weft_time deadline)
{
    for (;;) {
        ssize_t got = recvmsg(fd, message, flags | MSG_DONTWAIT);
        if (got >= 0)
            return read_done(fd, 0, got, 0);
        if (try_failed(fd, wefti_opened(fd), POLLIN, deadline) != 0)
            return -1;
    }
}

ssize_t weft_readv(int fd, const struct iovec *parts, int count, weft_time deadline)
{
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = count > 0 ? (size_t)count : 0};
    ssize_t got = count < 0 ? (errno = EINVAL, -1) : weft_recvmsg(fd, &message, 0, deadline);
    return got >= 0 || errno != ENOTSOCK ? got : other_read(fd, parts, count, deadline);
}

ssize_t weft_recv(int fd, void *buffer, size_t size, int flags, weft_time deadline)
{
    if (flags == 0)
        return socket_read(fd, buffer, size, wefti_opened(fd), deadline);
    struct iovec part = {.iov_base = buffer, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    for (size_t had = 0;;) { /* MSG_WAITALL says nothing where nothing waits */
        ssize_t got = weft_recvmsg(fd, &message, flags & ~MSG_WAITALL, deadline);
        if (got < 0)
            return had ? (ssize_t)had : -1;
        had += (size_t)got;
        if (got == 0 || had == size || !(flags & MSG_WAITALL) || (flags & MSG_PEEK))
            return (ssize_t)had;
        part = (struct iovec){.iov_base = (char *)buffer + had, .iov_len = size - had};
    }
}

ssize_t weft_sendmsg(int fd, const struct msghdr *message, int flags, weft_time deadline)
{
    for (;;) {
        ssize_t put = sendmsg(fd, message, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put >= 0)
            return write_done(put);
        if (try_failed(fd, wefti_opened(fd), POLLOUT, deadline) != 0)
            return -1;
    }
}

ssize_t weft_send(int fd, const void *octets, size_t size, int flags, weft_time deadline)
{
    for (;;) {
        ssize_t put = send(fd, octets, size, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put >= 0)
            return write_done(put);
        if (try_failed(fd, wefti_opened(fd), POLLOUT, deadline) != 0)
            return -1;
    }
}

static ssize_t other_write(int descriptor, const struct iovec *parts, int count, weft_time deadline)
{
    for (;;) {
        ssize_t put = wefti_file_write(descriptor, parts, count, deadline);
        if (put >= 0)
            return write_done(put);
        if (try_failed(descriptor, 0, POLLOUT, deadline) != 0)
            return -1;
    }
}

ssize_t weft_write(int fd, const void *octets, size_t size, weft_time deadline)
{
    ssize_t put = weft_send(fd, octets, size, 0, deadline);
    if (put >= 0 || errno != ENOTSOCK)
        return put;
    struct iovec part = {.iov_base = (void *)octets, .iov_len = size};
    return other_write(fd, &part, 1, deadline);
}

ssize_t weft_writev(int fd, const struct iovec *parts, int count, weft_time deadline)
{
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = count > 0 ? (size_t)count : 0};
    ssize_t put = count < 0 ? (errno = EINVAL, -1) : weft_sendmsg(fd, &message, 0, deadline);
    return put >= 0 || errno != ENOTSOCK ? put : other_write(fd, parts, count, deadline);
}

int weft_write_all(int fd, const void *octets, size_t size, weft_time deadline)
{
    for (size_t done = 0; done < size;) {
        ssize_t put = weft_write(fd, (const char *)octets + done, size - done, deadline);
        if (put < 0)
            return -1;
        done += (size_t)put;
    }
    return 0;
}

enum { COPIED = 64 << 10 };

/* What was read of the file goes out, as much as there is room for; a file that stood there stands behind that. */
static ssize_t copy_send(int out, int in, const off_t *offset, const void *octets, size_t size, weft_time deadline)
{
    ssize_t put = weft_write(out, octets, size, deadline);
    off_t left = (off_t)size - (put > 0 ? put : 0);
    int error = errno;
    if (!offset && left > 0)
        lseek(in, -left, SEEK_CUR);
    errno = error;
    return put;
}

ssize_t weft_sendfile(int out, int in, off_t *offset, size_t count, weft_time deadline)
{
    size_t size = count < COPIED ? count : COPIED;
    void *octets = wefti_alloc_raw(size ? size : 1);
    if (!octets)
        return -1;
    ssize_t moved = offset ? weft_pread(in, octets, size, *offset, deadline) : weft_read(in, octets, size, deadline);
    if (moved > 0)
        moved = copy_send(out, in, offset, octets, (size_t)moved, deadline);
    if (offset && moved > 0)
        *offset += moved;
    int error = errno;
    wefti_release(octets);
    errno = error;
    return moved;
}

/* Of accept(2): what happened to a connection before it was taken, and says nothing of the next. */
static bool accept_passes_over(int error)
{
    return error == EINTR || error == ECONNABORTED || error == EPROTO || error == ENETDOWN || error == ENOPROTOOPT || error == EHOSTDOWN ||
           error == ENONET || error == EHOSTUNREACH || error == ENETUNREACH;
}

/* One try, which does not wait. */
static int accept_try(int descriptor, uint32_t opening, struct sockaddr *address, socklen_t *length)
{
    if (wefti_fails_with(EMFILE))
        return -1;
    if (opening == 0 && descriptor >= 0 && !wefti_io_is_ready(descriptor, POLLIN)) {
        errno = EAGAIN;
        return -1;
    }
    return wefti_beside_streams(accept4(descriptor, address, length, SOCK_CLOEXEC));
}

int weft_accept(int fd, struct sockaddr *address, socklen_t *length, weft_time deadline)
{
    uint32_t opening = wefti_opened(fd);
    while (read_await(fd, opening, deadline) == 0) {
        int came = accept_try(fd, opening, address, length);
        if (came >= 0) {
            wefti_opened_begin(came, wefti_opened_tcp(opening));
            wefti_readiness_turn();
            return came;
        }
        if (!accept_passes_over(errno) && try_failed(fd, opening, POLLIN, deadline) != 0)
            break;
    }
    return -1;
}

/* A connection that is being made: waits for it. */
static int connect_finish(int descriptor, weft_time deadline)
{
    int error = 0;
    socklen_t length = sizeof(error);
    if (wefti_io_wait(descriptor, POLLOUT, deadline) != 0 || getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        return -1;
    errno = error;
    return error ? -1 : 0;
}

/* A local socket whose listener's line is full says EAGAIN, and nothing tells when it no longer is. */
static int connect_pause(weft_time deadline)
{
    weft_time latest = wefti_context_deadline(wefti_context_current(), deadline);
    if (weft_clock() >= latest) {
        errno = deadline <= WEFT_NOW ? EAGAIN : ETIMEDOUT;
        return -1;
    }
    return wefti_wait_items(NULL, 0, weft_in(0.002)) < 0 && errno == ECANCELED ? -1 : 0;
}

int weft_connect(int fd, const struct sockaddr *address, socklen_t length, weft_time deadline)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -1;
    if (!(flags & O_NONBLOCK))
        return wefti_connect_elsewhere(fd, address, length, deadline);
    while (connect(fd, address, length) != 0) {
        if (errno == EINPROGRESS || errno == EINTR)
            return connect_finish(fd, deadline);
        if (errno != EAGAIN || connect_pause(deadline) != 0)
            return -1;
    }
    return 0;
}

/* A look without a wait, from which no signal calls back. */
static int poll_look(struct pollfd *fds, nfds_t count)
{
    int ready;
    do
        ready = poll(fds, count, 0);
    while (ready < 0 && errno == EINTR);
    return ready;
}

enum { FEW = 8 };

static int poll_wait(struct pollfd *fds, nfds_t count, struct wefti_item *items, weft_time deadline)
{
    for (;;) {
        for (nfds_t i = 0; i < count; i++)
            items[i] = (struct wefti_item){
                .kind = fds[i].fd < 0 ? WEFTI_NOTHING : WEFTI_DESCRIPTOR, .descriptor = fds[i].fd, .events = fds[i].events};
        int waited = wefti_wait_items(items, (unsigned)count, deadline), error = errno;
        int ready = poll_look(fds, count);
        if (ready != 0)
            return ready;
        if (waited < 0) {
            errno = error;
            return -1;
        }
    }
}

int weft_poll(struct pollfd *fds, nfds_t count, weft_time deadline)
{
    int ready = poll_look(fds, count);
    if (ready != 0)
        return ready;
    if (deadline <= WEFT_NOW) {
        errno = EAGAIN;
        return -1;
    }
    struct wefti_item few[FEW];
    struct wefti_item *items = count <= FEW ? few : wefti_alloc(count * sizeof(*items));
    if (!items)
        return -1;
    ready = poll_wait(fds, count, items, deadline);
    int error = errno;
    if (items != few)
        wefti_release(items);
    errno = error;
    return ready;
}

int weft_close(int fd)
{
    wefti_opened_end(fd);
    wefti_readiness_close(fd);
    return close(fd) != 0 && errno != EINTR ? -1 : 0; /* Linux has closed it all the same */
}

void weft_closing(int first, int last)
{
    wefti_opened_end_all(first, last);
}
