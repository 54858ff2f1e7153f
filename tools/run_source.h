/* SPDX-License-Identifier: MIT */
/* One source of `weft run`'s arguments: a list from the command line, or a file that is read as its values are asked for. */
#ifndef WEFT_TOOLS_RUN_SOURCE_H
#define WEFT_TOOLS_RUN_SOURCE_H

#include "run_input.h"

struct run_source {
    const struct run_source_name *name;
    const struct run_input_options *options;
    size_t at;      /* the next item of a list */
    int fd;         /* -1: a list */
    int copy;       /* what was read so far, for reading it again; -1: none */
    bool replaying; /* reading comes from the copy first */
    bool at_end;
    bool stopped;    /* by its end text */
    bool warned;     /* of zeros */
    long long start; /* where the file stood at first; -1: it cannot be sought */
    struct text buffer;
    size_t taken;      /* octets of `buffer` already given away */
    struct text clean; /* the value with its zeros replaced */
};

/* -1, having complained, when its file cannot be opened. */
int run_source_open(struct run_source *source, const struct run_source_name *name, const struct run_input_options *options);
/* The next value, borrowed until the next call. */
enum run_input_got run_source_next(struct run_source *source, struct span *value);
int run_source_rewind(struct run_source *source);
void run_source_close(struct run_source *source);

#endif
