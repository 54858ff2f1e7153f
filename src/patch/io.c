/* SPDX-License-Identifier: MIT */
/*
 * Reading, writing, sockets.
 *
 * A socket is asked with MSG_DONTWAIT; a pipe and what else can with RWF_NOWAIT; of what cannot, poll(2) is asked first. The flag
 * O_NONBLOCK of a descriptor is looked at only when it would have to wait, and so are SO_RCVTIMEO and SO_SNDTIMEO: the deadline is one for
 * the whole call, as the kernel has it.
 *
 * A blocking write returns when all is written, or with what was until an error came: so does this, in pieces. An error that comes after
 * the first piece is left where it is (poll(2) tells that there is one), for the next call to find.
 *
 * accept cannot be told not to wait: it is asked for only when poll(2) says so, and nobody else here asks between the two (accept_latch).
 * Who has the listening socket in another process, or accepts from it in a thread of the same, may come between: then the thread waits for
 * the next connection.
 */

#include "patch/patch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/latch.h"

enum { FEW_PIECES = 8 };

/* One call. */
struct io {
    int fd;
    short events; /* what it waits for */
    bool begun;   /* it has waited */
    bool socket;
    int error; /* errno when it was called: what it stays if all is well */
    weft_time deadline;
};

static struct wefti_latch accept_latch;

static struct io io_new(int fd, short events)
{
    return (struct io){.fd = fd, .events = events, .socket = true, .error = errno, .deadline = WEFT_FOREVER};
}

/* What the call returns. */
static ssize_t io_end(const struct io *io, ssize_t result)
{
    if (result >= 0)
        errno = io->error;
    return result;
}

static bool descriptor_never_waits(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_NONBLOCK);
}

static weft_time socket_deadline(int fd, int option)
{
    struct timeval limit = {0};
    socklen_t size = sizeof(limit);
    if (getsockopt(fd, SOL_SOCKET, option, &limit, &size) != 0 || (limit.tv_sec == 0 && limit.tv_usec == 0))
        return WEFT_FOREVER;
    return wefti_patch_after(limit.tv_sec, limit.tv_usec * 1000L);
}

/* The call would have to wait: does that. 0: to be tried again; -1 with errno: not. */
static int io_wait(struct io *io)
{
    if (!io->begun && descriptor_never_waits(io->fd)) {
        errno = EAGAIN;
        return -1;
    }
    if (!io->begun && io->socket)
        io->deadline = socket_deadline(io->fd, io->events == POLLIN ? SO_RCVTIMEO : SO_SNDTIMEO);
    io->begun = true;
    struct pollfd asked = {.fd = io->fd, .events = io->events};
    if (wefti_patch_wait(&asked, 1, io->deadline) == 0)
        return 0;
    if (errno == ETIMEDOUT && weft_clock() >= io->deadline)
        errno = EAGAIN;
    return -1;
}

/* Whether poll(2) tells of it: 0 or the events. */
static int descriptor_look(int fd, short events)
{
    struct pollfd asked = {.fd = fd, .events = events};
    int ready = wefti_patch_look(&asked, 1);
    return ready < 0 ? POLLERR : asked.revents;
}

static bool descriptor_failed(int fd)
{
    return descriptor_look(fd, 0) & (POLLERR | POLLNVAL);
}

/* Pieces of memory, the first `done` octets of which are through: copies what is left into `rest`, which has room for all, and returns of
 * how many pieces. */
static size_t pieces_rest(const struct iovec *pieces, size_t count, size_t done, struct iovec *rest)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        size_t skip = done < pieces[i].iov_len ? done : pieces[i].iov_len;
        done -= skip;
        if (skip < pieces[i].iov_len)
            rest[left++] = (struct iovec){(char *)pieces[i].iov_base + skip, pieces[i].iov_len - skip};
    }
    return left;
}

static size_t pieces_size(const struct iovec *pieces, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += pieces[i].iov_len;
    return size;
}

static bool pieces_valid(int count)
{
    return count > 0 && count <= IOV_MAX;
}

/* Receiving. */

static ssize_t message_receive(struct io *io, struct msghdr *message, int flags)
{
    struct msghdr asked = *message; /* its lengths are overwritten */
    for (;;) {
        ssize_t got = wefti_real()->recvmsg(io->fd, message, flags | MSG_DONTWAIT);
        if (got >= 0 || errno != EAGAIN || (flags & MSG_DONTWAIT))
            return got;
        *message = asked;
        if (io_wait(io) != 0)
            return -1;
    }
}

static bool socket_streams(int fd)
{
    int type = 0;
    socklen_t size = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

/* MSG_WAITALL: goes on until all is there, the end, or an error. `got` has been received. */
static ssize_t receive_rest(struct io *io, struct msghdr *message, int flags, ssize_t got)
{
    size_t count = message->msg_iovlen, size = pieces_size(message->msg_iov, count), all = (size_t)got;
    struct iovec few[FEW_PIECES], *rest = count > FEW_PIECES ? malloc(count * sizeof(*rest)) : few;
    while (rest && all < size && io_wait(io) == 0 && !descriptor_failed(io->fd)) {
        struct msghdr more = {.msg_iov = rest, .msg_iovlen = pieces_rest(message->msg_iov, count, all, rest)};
        got = wefti_real()->recvmsg(io->fd, &more, flags | MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            break;
        all += got > 0 ? (size_t)got : 0;
    }
    if (rest != few)
        free(rest);
    return (ssize_t)all;
}

static ssize_t message_receive_all(int fd, struct msghdr *message, int flags)
{
    struct io io = io_new(fd, POLLIN);
    if (flags & MSG_ERRQUEUE)
        return wefti_real()->recvmsg(fd, message, flags); /* never waits */
    ssize_t got = message_receive(&io, message, flags);
    bool all = (flags & MSG_WAITALL) && !(flags & (MSG_DONTWAIT | MSG_PEEK)) && got > 0;
    if (all && !descriptor_never_waits(fd) && socket_streams(fd))
        got = receive_rest(&io, message, flags, got);
    return io_end(&io, got);
}

static ssize_t receive_from(int fd, void *buffer, size_t size, int flags, struct sockaddr *from, socklen_t *length)
{
    struct iovec piece = {buffer, size};
    struct msghdr message = {.msg_name = from, .msg_namelen = from && length ? *length : 0, .msg_iov = &piece, .msg_iovlen = 1};
    ssize_t got = message_receive_all(fd, &message, flags);
    if (got >= 0 && from && length)
        *length = message.msg_namelen;
    return got;
}

/* Sending. */

static ssize_t message_send(struct io *io, const struct msghdr *message, int flags)
{
    for (;;) {
        ssize_t sent = wefti_real()->sendmsg(io->fd, message, flags | MSG_DONTWAIT);
        if (sent >= 0 || errno != EAGAIN || (flags & MSG_DONTWAIT) || io_wait(io) != 0)
            return sent;
    }
}

/* Of a message to a stream `sent` octets are through: sends the others. */
static ssize_t send_rest(struct io *io, const struct msghdr *message, int flags, ssize_t sent)
{
    size_t count = message->msg_iovlen, size = pieces_size(message->msg_iov, count), all = (size_t)sent;
    struct iovec few[FEW_PIECES], *rest = count > FEW_PIECES ? malloc(count * sizeof(*rest)) : few;
    while (rest && all < size && io_wait(io) == 0 && !descriptor_failed(io->fd)) {
        struct msghdr more = {.msg_iov = rest, .msg_iovlen = pieces_rest(message->msg_iov, count, all, rest)};
        sent = wefti_real()->sendmsg(io->fd, &more, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            break;
        all += sent > 0 ? (size_t)sent : 0;
    }
    if (rest != few)
        free(rest);
    return (ssize_t)all;
}

static ssize_t message_send_all(int fd, const struct msghdr *message, int flags)
{
    struct io io = io_new(fd, POLLOUT);
    if (flags & MSG_FASTOPEN)
        return wefti_real()->sendmsg(fd, message, flags); /* it connects */
    ssize_t sent = message_send(&io, message, flags);
    bool part = sent > 0 && !(flags & MSG_DONTWAIT) && (size_t)sent < pieces_size(message->msg_iov, message->msg_iovlen);
    if (part && !descriptor_never_waits(fd))
        sent = send_rest(&io, message, flags, sent);
    return io_end(&io, sent);
}

static ssize_t send_to(int fd, const void *buffer, size_t size, int flags, const struct sockaddr *to, socklen_t length)
{
    struct iovec piece = {(void *)(uintptr_t)buffer, size};
    struct msghdr message = {.msg_name = (void *)(uintptr_t)to, .msg_namelen = to ? length : 0, .msg_iov = &piece, .msg_iovlen = 1};
    return message_send_all(fd, &message, flags);
}

/* What is no socket. */

static mode_t descriptor_mode(int fd)
{
    struct stat file;
    return fstat(fd, &file) == 0 ? file.st_mode : 0;
}

static bool nowait_unknown(void)
{
    return errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL;
}

/* Waits until poll(2) says that it can be done, and does it. */
static ssize_t polled_transfer(struct io *io, const struct iovec *pieces, int count)
{
    while (!descriptor_never_waits(io->fd) && !descriptor_look(io->fd, io->events))
        if (io_wait(io) != 0)
            return -1;
    return io->events == POLLIN ? wefti_real()->readv(io->fd, pieces, count) : wefti_real()->writev(io->fd, pieces, count);
}

static ssize_t file_read(int fd, const struct iovec *pieces, int count)
{
    mode_t mode = descriptor_mode(fd);
    struct io io = io_new(fd, POLLIN);
    io.socket = false;
    if (mode == 0 || S_ISREG(mode) || S_ISDIR(mode) || S_ISBLK(mode) || pieces_size(pieces, (size_t)count) == 0)
        return wefti_real()->readv(fd, pieces, count);
    for (;;) {
        ssize_t got = preadv2(fd, pieces, count, -1, RWF_NOWAIT);
        if (got < 0 && nowait_unknown())
            got = polled_transfer(&io, pieces, count);
        if (got >= 0 || errno != EAGAIN || io_wait(&io) != 0)
            return io_end(&io, got);
    }
}

/* Writes some of it. A pipe that cannot be asked has room for PIPE_BUF when poll(2) says that it has some. */
static ssize_t file_write_some(struct io *io, const struct iovec *pieces, int count, mode_t mode)
{
    ssize_t done = pwritev2(io->fd, pieces, count, -1, RWF_NOWAIT);
    if (done >= 0 || !nowait_unknown())
        return done;
    if (!S_ISFIFO(mode))
        return polled_transfer(io, pieces, count);
    if (pieces[0].iov_len <= PIPE_BUF)
        return polled_transfer(io, pieces, pieces_size(pieces, (size_t)count) <= PIPE_BUF ? count : 1);
    struct iovec first = {pieces[0].iov_base, PIPE_BUF};
    return polled_transfer(io, &first, 1);
}

/* Writes the pieces until all is written, an error, or what is no pipe takes no more; `rest` has room for them. */
static ssize_t file_write_all(struct io *io, const struct iovec *pieces, int count, mode_t mode, struct iovec *rest)
{
    size_t size = pieces_size(pieces, (size_t)count), all = 0;
    while (all < size) {
        size_t left = pieces_rest(pieces, (size_t)count, all, rest);
        ssize_t done = file_write_some(io, rest, (int)left, mode);
        if (done < 0 && errno == EAGAIN && io_wait(io) == 0)
            continue;
        if (done < 0)
            return all ? (ssize_t)all : -1;
        all += (size_t)done;
        if (!S_ISFIFO(mode))
            break;
    }
    return (ssize_t)all;
}

static ssize_t file_write(int fd, const struct iovec *pieces, int count)
{
    mode_t mode = descriptor_mode(fd);
    struct iovec few[FEW_PIECES], *rest = few;
    struct io io = io_new(fd, POLLOUT);
    io.socket = false;
    if (count > FEW_PIECES)
        rest = malloc((size_t)count * sizeof(*rest));
    if (!rest || mode == 0 || S_ISREG(mode) || S_ISBLK(mode) || pieces_size(pieces, (size_t)count) == 0) {
        if (rest != few)
            free(rest);
        return wefti_real()->writev(fd, pieces, count);
    }
    ssize_t done = io_end(&io, file_write_all(&io, pieces, count, mode, rest));
    int error = errno;
    if (rest != few)
        free(rest);
    errno = error;
    return done;
}

static ssize_t any_read(int fd, const struct iovec *pieces, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)count};
    int error = errno;
    ssize_t got = message_receive_all(fd, &message, 0);
    if (got >= 0 || errno != ENOTSOCK)
        return got;
    errno = error;
    return file_read(fd, pieces, count);
}

static ssize_t any_write(int fd, const struct iovec *pieces, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)count};
    int error = errno;
    ssize_t done = message_send_all(fd, &message, 0);
    if (done >= 0 || errno != ENOTSOCK)
        return done;
    errno = error;
    return file_write(fd, pieces, count);
}

/* Connections. */

static bool socket_listens(int fd)
{
    int listens = 0;
    socklen_t size = sizeof(listens);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens;
}

static bool accept_would_wait(int fd)
{
    return descriptor_look(fd, POLLIN) == 0;
}

static int accept_patched(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    struct io io = io_new(fd, POLLIN);
    if (descriptor_never_waits(fd) || !socket_listens(fd))
        return wefti_real()->accept4(fd, (__SOCKADDR_ARG){.__sockaddr__ = address}, length, flags);
    for (;;) {
        wefti_patch_enter();
        wefti_latch_close(&accept_latch);
        bool waits = accept_would_wait(fd);
        int got = waits ? -1 : wefti_real()->accept4(fd, (__SOCKADDR_ARG){.__sockaddr__ = address}, length, flags);
        wefti_latch_open(&accept_latch);
        wefti_patch_leave();
        if (!waits)
            return (int)io_end(&io, got);
        if (io_wait(&io) != 0)
            return -1;
    }
}

struct connecting {
    int fd, result, error;
    const struct sockaddr *address;
    socklen_t length;
};

static void connect_elsewhere(void *data)
{
    struct connecting *call = data;
    call->result = wefti_real()->connect(call->fd, (__CONST_SOCKADDR_ARG){.__sockaddr__ = call->address}, call->length);
    call->error = errno;
}

static int connect_patched(int fd, const struct sockaddr *address, socklen_t length)
{
    if (descriptor_never_waits(fd) || !socket_streams(fd))
        return wefti_real()->connect(fd, (__CONST_SOCKADDR_ARG){.__sockaddr__ = address}, length);
    struct connecting call = {.fd = fd, .address = address, .length = length};
    int error = errno;
    wefti_patch_elsewhere(connect_elsewhere, &call);
    errno = call.result == 0 ? error : call.error;
    return call.result;
}

/* The C library's names. */

WEFT_API ssize_t read(int fd, void *buffer, size_t size)
{
    struct iovec piece = {buffer, size};
    if (size == 0 || size > SSIZE_MAX || !wefti_patched(WEFTI_CALLER))
        return wefti_real()->read(fd, buffer, size);
    return any_read(fd, &piece, 1);
}

WEFT_API ssize_t write(int fd, const void *buffer, size_t size)
{
    struct iovec piece = {(void *)(uintptr_t)buffer, size};
    if (size == 0 || size > SSIZE_MAX || !wefti_patched(WEFTI_CALLER))
        return wefti_real()->write(fd, buffer, size);
    return any_write(fd, &piece, 1);
}

WEFT_API ssize_t readv(int fd, const struct iovec *pieces, int count)
{
    if (!pieces_valid(count) || !wefti_patched(WEFTI_CALLER))
        return wefti_real()->readv(fd, pieces, count);
    return any_read(fd, pieces, count);
}

WEFT_API ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    if (!pieces_valid(count) || !wefti_patched(WEFTI_CALLER))
        return wefti_real()->writev(fd, pieces, count);
    return any_write(fd, pieces, count);
}

WEFT_API ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    if (!wefti_patched(WEFTI_CALLER))
        return wefti_real()->recv(fd, buffer, size, flags);
    return receive_from(fd, buffer, size, flags, NULL, NULL);
}

WEFT_API ssize_t recvfrom(int fd, void *restrict buffer, size_t size, int flags, __SOCKADDR_ARG from, socklen_t *restrict length)
{
    if (!wefti_patched(WEFTI_CALLER))
        return wefti_real()->recvfrom(fd, buffer, size, flags, from, length);
    return receive_from(fd, buffer, size, flags, from.__sockaddr__, length);
}

WEFT_API ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    if (!wefti_patched(WEFTI_CALLER))
        return wefti_real()->recvmsg(fd, message, flags);
    return message_receive_all(fd, message, flags);
}

WEFT_API int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    bool timed = timeout && wefti_timespec_valid(timeout);
    if (count == 0 || (timeout && !timed) || !wefti_patched(WEFTI_CALLER))
        return wefti_real()->recvmmsg(fd, messages, count, flags, timeout);
    weft_time until = timed ? weft_clock() + timeout->tv_sec * 1000000000 + timeout->tv_nsec : WEFT_FOREVER;
    unsigned got = 0;
    int error = errno, wait = flags & ~MSG_WAITFORONE;
    do { /* the time limit is looked at after each message only, as the kernel has it */
        ssize_t size = message_receive_all(fd, &messages[got].msg_hdr, wait);
        if (size < 0)
            break;
        messages[got++].msg_len = (unsigned)size;
        wait |= flags & MSG_WAITFORONE ? MSG_DONTWAIT : 0;
    } while (got < count && weft_clock() < until);
    if (timed) {
        weft_time left = until > weft_clock() ? until - weft_clock() : 0;
        *timeout = (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    }
    if (got > 0)
        errno = error;
    return got > 0 ? (int)got : -1;
}

WEFT_API ssize_t send(int fd, const void *buffer, size_t size, int flags)
{
    if (!wefti_patched(WEFTI_CALLER))
        return wefti_real()->send(fd, buffer, size, flags);
    return send_to(fd, buffer, size, flags, NULL, 0);
}

WEFT_API ssize_t sendto(int fd, const void *buffer, size_t size, int flags, __CONST_SOCKADDR_ARG to, socklen_t length)
{
    if (!wefti_patched(WEFTI_CALLER))
        return wefti_real()->sendto(fd, buffer, size, flags, to, length);
    return send_to(fd, buffer, size, flags, to.__sockaddr__, length);
}

WEFT_API ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (!wefti_patched(WEFTI_CALLER))
        return wefti_real()->sendmsg(fd, message, flags);
    return message_send_all(fd, message, flags);
}

WEFT_API int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    if (count == 0 || !wefti_patched(WEFTI_CALLER))
        return wefti_real()->sendmmsg(fd, messages, count, flags);
    unsigned sent = 0;
    int error = errno;
    for (; sent < count; sent++) {
        ssize_t size = message_send_all(fd, &messages[sent].msg_hdr, flags);
        if (size < 0)
            break;
        messages[sent].msg_len = (unsigned)size;
    }
    if (sent > 0)
        errno = error;
    return sent > 0 ? (int)sent : -1;
}

WEFT_API int accept(int fd, __SOCKADDR_ARG address, socklen_t *restrict length)
{
    if (!wefti_patched(WEFTI_CALLER))
        return wefti_real()->accept(fd, address, length);
    return accept_patched(fd, address.__sockaddr__, length, 0);
}

WEFT_API int accept4(int fd, __SOCKADDR_ARG address, socklen_t *restrict length, int flags)
{
    if (!wefti_patched(WEFTI_CALLER))
        return wefti_real()->accept4(fd, address, length, flags);
    return accept_patched(fd, address.__sockaddr__, length, flags);
}

WEFT_API int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    if (!wefti_patched(WEFTI_CALLER))
        return wefti_real()->connect(fd, address, length);
    return connect_patched(fd, address.__sockaddr__, length);
}

/* What _FORTIFY_SOURCE makes of them: the last argument is the size of the buffer as far as the compiler knows. */

extern void __chk_fail(void) __attribute__((noreturn));
WEFT_API ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room);
WEFT_API ssize_t __recv_chk(int fd, void *buffer, size_t size, size_t room, int flags);
WEFT_API ssize_t __recvfrom_chk(int fd, void *buffer, size_t size, size_t room, int flags, __SOCKADDR_ARG from, socklen_t *length);

ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room)
{
    if (size > room)
        __chk_fail();
    struct iovec piece = {buffer, size};
    if (size == 0 || size > SSIZE_MAX || !wefti_patched(WEFTI_CALLER))
        return wefti_real()->read(fd, buffer, size);
    return any_read(fd, &piece, 1);
}

ssize_t __recv_chk(int fd, void *buffer, size_t size, size_t room, int flags)
{
    if (size > room)
        __chk_fail();
    if (!wefti_patched(WEFTI_CALLER))
        return wefti_real()->recv(fd, buffer, size, flags);
    return receive_from(fd, buffer, size, flags, NULL, NULL);
}

ssize_t __recvfrom_chk(int fd, void *buffer, size_t size, size_t room, int flags, __SOCKADDR_ARG from, socklen_t *length)
{
    if (size > room)
        __chk_fail();
    if (!wefti_patched(WEFTI_CALLER))
        return wefti_real()->recvfrom(fd, buffer, size, flags, from, length);
    return receive_from(fd, buffer, size, flags, from.__sockaddr__, length);
}
