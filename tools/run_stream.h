/* SPDX-License-Identifier: MIT */
/*
 * A job slot's pipe for stdout or stderr, used by one job after another. What a job holds is an end that reads as well as writes: so a
 * child that it leaves behind is not killed by SIGPIPE when it goes on writing after nobody reads any more. A pipe that is left to such a
 * child is replaced.
 */
#ifndef WEFT_TOOLS_RUN_STREAM_H
#define WEFT_TOOLS_RUN_STREAM_H

#include <stdbool.h>
#include <sys/types.h>

struct run_stream {
    int fd;     /* the end that is read, non-blocking; -1: no pipe yet */
    bool ended; /* all who could write have closed it */
};

void run_stream_begin(struct run_stream *stream);
/* An end for the next job, to be closed when it has started. -1 with EMFILE, ENFILE. */
int run_stream_open(struct run_stream *stream);
/* Reads what there is: octets; 0 at the end; -1 with EAGAIN while there is nothing. */
ssize_t run_stream_read(struct run_stream *stream, void *buffer, size_t size);
/* The job has ended, and what it wrote was read. */
void run_stream_leave(struct run_stream *stream);
void run_stream_end(struct run_stream *stream);

#endif
