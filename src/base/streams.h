/* SPDX-License-Identifier: MIT */
/*
 * Where a program runs with its standard input, output or error closed, the next descriptor that is opened gets that number, and what the
 * program then prints goes into it: into the arena, for one, or to a peer. What the library keeps open has none of these numbers (but for
 * an io_uring, which takes no writes and gives no reads).
 */
#ifndef WEFTI_STREAMS_H
#define WEFTI_STREAMS_H

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* The descriptor, which has just been opened, or what takes its place; -1 with errno, then it is closed (a failed opening stays one). */
static inline int wefti_beside_streams(int descriptor)
{
    if (descriptor < 0 || descriptor > STDERR_FILENO)
        return descriptor;
    int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int error = errno;
    close(descriptor);
    errno = error;
    return moved;
}

#endif
