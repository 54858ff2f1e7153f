/* SPDX-License-Identifier: MIT */
/*
 * Reading, writing and their like, as the system calls of the same names, but that only the task that calls waits: a coroutine's thread
 * runs others meanwhile. Each call tries first, and waits only if there is nothing to do yet, until a deadline. From any kind of task.
 *
 * Any descriptor will do. Those that Weft did not open are taken as they are: O_NONBLOCK, which other processes may share, is neither
 * needed nor set. What weft_accept, weft_dial and weft_serve give blocks in calls that are not Weft's, as others' code expects.
 *
 * Returns and errors are those of the system calls, and besides them: EAGAIN (WEFT_NOW, and it would have had to wait), ETIMEDOUT,
 * ECANCELED, ENOMEM, EMFILE (see weft_select). EINTR does not happen. A peer that has gone is EPIPE, never the signal SIGPIPE. A wait that
 * fails has moved nothing.
 *
 * Files on disks do not wait in the sense of poll(2), but they do take time. A coroutine that reads what is not in memory, or that writes a
 * file, has a thread of weft_offload do that, through a copy of at most 1 MiB: more comes short. A call that ends with ETIMEDOUT or
 * ECANCELED may then still be done: a write happens, or a file that was opened is closed again; the caller's memory is not touched.
 *
 * One task closes a descriptor that others may be waiting for by weft_close: those of the same thread are told EBADF at once; those of
 * other threads are to be cancelled first.
 */
#ifndef WEFT_IO_H
#define WEFT_IO_H

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <weft/base.h>

struct addrinfo; /* which <netdb.h> keeps to itself where a program asks for C alone */

WEFT_BEGIN

/* Some octets, 0 at the end of the input. */
WEFT_API ssize_t weft_read(int fd, void *buffer, size_t size, weft_time deadline);
WEFT_API ssize_t weft_readv(int fd, const struct iovec *parts, int count, weft_time deadline);
WEFT_API ssize_t weft_recv(int fd, void *buffer, size_t size, int flags, weft_time deadline);
WEFT_API ssize_t weft_recvmsg(int fd, struct msghdr *message, int flags, weft_time deadline);

/* As many octets as there is room for at once. */
WEFT_API ssize_t weft_write(int fd, const void *octets, size_t size, weft_time deadline);
WEFT_API ssize_t weft_writev(int fd, const struct iovec *parts, int count, weft_time deadline);
WEFT_API ssize_t weft_send(int fd, const void *octets, size_t size, int flags, weft_time deadline);
WEFT_API ssize_t weft_sendmsg(int fd, const struct msghdr *message, int flags, weft_time deadline);

/* All of them: 0; -1: some may have been written. */
WEFT_API int weft_write_all(int fd, const void *octets, size_t size, weft_time deadline);

/*
 * Copies up to `count` octets of the file `in`, from *offset on, which is moved on by what was copied, or from where the file stands
 * (NULL): what `out` has room for at once. 0 at the file's end.
 */
WEFT_API ssize_t weft_sendfile(int out, int in, off_t *offset, size_t count, weft_time deadline);

/*
 * A connection of a listening socket, close-on-exec; to be closed by weft_close. `address` and `length` are those of accept(2), or NULL. A
 * connection that its peer has given up meanwhile (ECONNABORTED and its like) is passed over. A listening socket that Weft did not open
 * should have O_NONBLOCK: else, if another process takes the connection first, the thread waits for the next.
 */
WEFT_API int weft_accept(int fd, struct sockaddr *address, socklen_t *length, weft_time deadline);

/* -1 also with what connect(2) finds only later, ECONNREFUSED and the like. After ETIMEDOUT or ECANCELED the socket is of no more use. */
WEFT_API int weft_connect(int fd, const struct sockaddr *address, socklen_t length, weft_time deadline);

/* How many have something in their `revents`, at least one. */
WEFT_API int weft_poll(struct pollfd *fds, nfds_t count, weft_time deadline);

/* Files. Always close-on-exec. */
WEFT_API int weft_open(const char *path, int flags, mode_t mode, weft_time deadline);
WEFT_API ssize_t weft_pread(int fd, void *buffer, size_t size, off_t offset, weft_time deadline);
WEFT_API ssize_t weft_pwrite(int fd, const void *octets, size_t size, off_t offset, weft_time deadline);

/*
 * getaddrinfo(3) on a thread of weft_offload, from any kind of task; numbers are read at once. 0, and *found is to be given to
 * freeaddrinfo; an EAI_ number: with EAI_SYSTEM errno says more: ETIMEDOUT, ECANCELED, EAGAIN.
 */
WEFT_API int weft_getaddrinfo(
    const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found, weft_time deadline);

/* As close(2), for any descriptor; those that weft_accept, weft_listen and weft_dial gave have to be closed by this: after a close(2) of
 * such a one, a wait for another descriptor that gets its number may never end (but see the next). 0; -1 with EBADF, EIO. */
WEFT_API int weft_close(int fd);
/*
 * Says that these descriptors, from `first` to `last`, are about to be closed, or to become others of the same numbers, by other means than
 * weft_close: close(2), dup2(2), close_range(2). Harmless for all that Weft did not open, and for one that stays open after all.
 * libweft-patch says so where it stands before those calls. From anywhere, signal handlers included; cannot fail.
 */
WEFT_API void weft_closing(int first, int last);

WEFT_END

#endif
