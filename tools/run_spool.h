/* SPDX-License-Identifier: MIT */
/*
 * Where the output of jobs is until it is printed: the first of it in memory, what is more in one unlinked file that all jobs share, so
 * that neither large outputs nor many finished ones (-k) fill memory or use up descriptors. What was printed is given back to the disk at
 * once.
 */
#ifndef WEFT_TOOLS_RUN_SPOOL_H
#define WEFT_TOOLS_RUN_SPOOL_H

#include <stdint.h>
#include <sys/types.h>
#include <weft.h>

#include "text.h"

/* A new unlinked file in `folder`: its descriptor; -1, having complained. */
int run_spool_file(const char *folder);
/* Writes all of it. -1 with errno, having complained. */
int run_spool_write(int fd, const void *data, size_t length);

struct run_spool {
    const char *folder;
    weft_lock lock;   /* over all that follows */
    int fd;           /* -1 until it is needed */
    off_t end;        /* where the next piece goes */
    off_t live;       /* octets in the file that are not printed yet */
    size_t in_memory; /* octets of finished and unfinished outputs that are in memory */
};

/* A piece of the spool file. */
struct run_piece {
    off_t at;
    size_t length;
};

/* One stream of one job. All-zero is an empty one. First the pieces, then what is in memory. */
struct run_output {
    struct text memory;
    struct run_piece *pieces;
    size_t count;
    uint64_t length; /* all of it */
};

void run_spool_begin(struct run_spool *spool, const char *folder);
void run_spool_end(struct run_spool *spool);
/* Adds octets. -1, having complained, when the disk is full. */
int run_output_add(struct run_spool *spool, struct run_output *output, const void *data, size_t length);
/* Moves all of it to the file when memory holds much already: for an output that must wait. */
int run_output_settle(struct run_spool *spool, struct run_output *output);
/*
 * Calls take(data, octets) for all of it, in order, until it does not return 0: that is what is returned. -1, having complained, when it
 * cannot be read back.
 */
int run_output_each(struct run_spool *spool, const struct run_output *output, int (*take)(void *data, struct span octets), void *data);
/* Empties it. */
void run_output_drop(struct run_spool *spool, struct run_output *output);

#endif
