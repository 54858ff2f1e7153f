/* SPDX-License-Identifier: MIT */
/* See run_stream.h. */
#include "run_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { LEFT_ROOM = 1 << 20 }; /* octets that a child which was left behind may still write */

void run_stream_begin(struct run_stream *stream)
{
    *stream = (struct run_stream){.fd = -1};
}

/* The pipe of `fd` opened once more, to read and write. A description of its own: it blocks. */
static int open_again(int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_RDWR | O_CLOEXEC);
}

/* A new pipe; the end for the job is its plain one where /proc does not lead to another. */
static int open_first(struct run_stream *stream)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    stream->fd = ends[0];
    int job = open_again(ends[0]);
    if (job < 0)
        return ends[1];
    close(ends[1]);
    return job;
}

int run_stream_open(struct run_stream *stream)
{
    stream->ended = false;
    int job = stream->fd < 0 ? -1 : open_again(stream->fd);
    if (job >= 0)
        return job;
    run_stream_end(stream);
    return open_first(stream);
}

ssize_t run_stream_read(struct run_stream *stream, void *buffer, size_t size)
{
    ssize_t length;
    do
        length = read(stream->fd, buffer, size);
    while (length < 0 && errno == EINTR);
    stream->ended = length == 0;
    return length;
}

void run_stream_leave(struct run_stream *stream)
{
    if (stream->fd < 0 || stream->ended)
        return;
    fcntl(stream->fd, F_SETPIPE_SZ, LEFT_ROOM);
    run_stream_end(stream);
}

void run_stream_end(struct run_stream *stream)
{
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
}
