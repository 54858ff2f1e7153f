/* SPDX-License-Identifier: MIT */
/* What a job reads from its standard input (--pipe): a text, then a part of a file, written to a pipe as fast as the job reads it. */
#ifndef WEFT_TOOLS_RUN_FEED_H
#define WEFT_TOOLS_RUN_FEED_H

#include <stdint.h>
#include <sys/types.h>

#include "text.h"

/* All-zero: the job gets none. */
struct run_feed {
    bool given;
    struct text text;
    int file; /* borrowed; from `from` to `to` */
    off_t from, to;

    size_t text_sent; /* of the present try */
    off_t file_sent;
};

/* Begins anew, with a pipe: the end for the job, and *fd, which is written to. -1 with EMFILE, ENFILE. */
int run_feed_open(struct run_feed *feed, int *fd);
/* Writes what the pipe takes now. False when there is no more to write: all is sent, or nobody reads it. `buffer` is to read into. */
bool run_feed_write(struct run_feed *feed, int fd, char *buffer, size_t size);
/* How many octets it has. */
uint64_t run_feed_length(const struct run_feed *feed);
void run_feed_free(struct run_feed *feed);

#endif
