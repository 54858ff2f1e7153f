/* SPDX-License-Identifier: MIT */
/*
 * The blocks that jobs read (--pipe): the input is cut where records end or begin, near every so many octets (--block) or after so many
 * records (-N). With --pipe-part, a file is cut without being read: a job's part of it is a place, not octets in memory.
 */
#ifndef WEFT_TOOLS_RUN_BLOCKS_H
#define WEFT_TOOLS_RUN_BLOCKS_H

#include "run_feed.h"
#include "run_input.h"

struct run_blocks_options {
    const struct run_source_name *sources; /* files alone */
    size_t count;
    bool parts;  /* --pipe-part */
    size_t size; /* of a block */
    size_t each; /* of parts: so many for each slot, instead of the size; 0: the size counts */
    unsigned slots;
    size_t records;         /* -N; 0: the size counts */
    size_t lines;           /* -L: so many make a record */
    struct span end, start; /* what a record ends with, and the next begins with; both may be empty */
    bool removes;           /* both are taken away */
    const char *header;     /* ':', a number of lines, or a regular expression: what each job gets first; NULL: nothing */
    bool skips_blank;       /* -r */
    int stop;               /* a descriptor; when it is readable, waiting for input ends */
};

struct run_blocks;

/* Opens every file. NULL, having complained. */
struct run_blocks *run_blocks_open(const struct run_blocks_options *options);
/* Puts what the next job reads into `feed`, which is emptied first. The files of parts stay open until run_blocks_close. */
enum run_input_got run_blocks_next(struct run_blocks *blocks, struct run_feed *feed);
/* Back to the first; of parts alone. */
void run_blocks_rewind(struct run_blocks *blocks);
void run_blocks_close(struct run_blocks *blocks);

#endif
