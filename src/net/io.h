/* SPDX-License-Identifier: MIT */
/* What the files of this floor share: waiting for a descriptor, and work on files that takes time. */
#ifndef WEFTI_IO_H
#define WEFTI_IO_H

#include <sys/stat.h>
#include <sys/un.h>

#include <weft/io.h>

/* Whether the calling task may let its thread wait in a system call: nobody else runs on it. */
bool wefti_io_may_block(void);

/* Waits until the descriptor has one of the events, which have been tried in vain if it is Weft's. -1 with EAGAIN, ETIMEDOUT, ECANCELED,
 * EBADF, ENOMEM, EMFILE. */
int wefti_io_wait(int descriptor, short events, weft_time deadline);

/* Whether poll(2) sees one of the events now. */
bool wefti_io_is_ready(int descriptor, short events);

/* One try at a descriptor that is no socket. As readv, writev; EAGAIN: wait for it. */
ssize_t wefti_file_read(int descriptor, const struct iovec *parts, int count, weft_time deadline);
ssize_t wefti_file_write(int descriptor, const struct iovec *parts, int count, weft_time deadline);

/* The address that "unix:/path" and "abstract:name" are: 1; 0: the text is of another sort; -1 with EINVAL (no name), ENAMETOOLONG. */
int wefti_local_read(const char *text, struct sockaddr_un *local, socklen_t *length);

/* bind(2); a socket's path where nobody listens any more is taken. EADDRINUSE: somebody does, or something else is there. */
int wefti_bind_fresh(int descriptor, const struct sockaddr *address, socklen_t length);

/* What the path of a bound socket led to; of the same number in the same file system may be another, later. */
struct wefti_path {
    dev_t device;
    ino_t number;
    struct timespec made;
};

/* A local socket's path, just bound. */
void wefti_path_note(struct wefti_path *noted, const char *path);
/* Removes it, unless something else has come to be there. While the socket is still open, so that nobody takes the path over meanwhile. */
void wefti_path_remove(const struct wefti_path *noted, const char *path);

/* connect(2), which may wait, on a helper's thread. */
int wefti_connect_elsewhere(int descriptor, const struct sockaddr *address, socklen_t length, weft_time deadline);

#endif
