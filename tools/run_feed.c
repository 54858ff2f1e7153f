/* SPDX-License-Identifier: MIT */
/* See run_feed.h. A job that reads only a part of it, or nothing, is no failure: what is not read is forgotten with the pipe. */
#include "run_feed.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { FEED_ROOM = 1 << 20 }; /* of a pipe, where the system allows it: fewer wake-ups for large blocks */

int run_feed_open(struct run_feed *feed, int *fd)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    if (feed->text.length + (size_t)(feed->to - feed->from) > 65536)
        fcntl(ends[1], F_SETPIPE_SZ, FEED_ROOM);
    feed->text_sent = 0;
    feed->file_sent = 0;
    *fd = ends[1];
    return ends[0];
}

/* Writes a piece. Octets that were taken; 0 when nobody reads; -1 while there is no room. */
static ssize_t write_piece(int fd, const char *at, size_t length)
{
    ssize_t written;
    do
        written = write(fd, at, length);
    while (written < 0 && errno == EINTR);
    return written >= 0 ? written : errno == EAGAIN ? -1 : 0;
}

bool run_feed_write(struct run_feed *feed, int fd, char *buffer, size_t size)
{
    while (feed->text_sent < feed->text.length) {
        ssize_t written = write_piece(fd, feed->text.at + feed->text_sent, feed->text.length - feed->text_sent);
        if (written <= 0)
            return written < 0;
        feed->text_sent += (size_t)written;
    }
    while (feed->from + feed->file_sent < feed->to) {
        off_t left = feed->to - feed->from - feed->file_sent;
        ssize_t length = pread(feed->file, buffer, left < (off_t)size ? (size_t)left : size, feed->from + feed->file_sent);
        ssize_t written = length > 0 ? write_piece(fd, buffer, (size_t)length) : 0;
        if (written <= 0)
            return written < 0;
        feed->file_sent += written;
    }
    return false;
}

uint64_t run_feed_length(const struct run_feed *feed)
{
    return feed->text.length + (uint64_t)(feed->to - feed->from);
}

void run_feed_free(struct run_feed *feed)
{
    text_free(&feed->text);
    *feed = (struct run_feed){0};
}
