/* SPDX-License-Identifier: MIT */
/*
 * Where the arguments of `weft run` come from. A source is a list of values: one `:::`, one file, standard input. Sources that are linked
 * (:::+) form a group with the one before them and go hand in hand, as far as the shortest reaches. The groups give all combinations, the
 * last changing fastest. So the first group is read as it is needed, however long it is, and only the others are held in memory. With
 * --link all sources are one group that reaches as far as the longest: a shorter one begins anew when it has ended, so all are held.
 */
#ifndef WEFT_TOOLS_RUN_INPUT_H
#define WEFT_TOOLS_RUN_INPUT_H

#include <stdint.h>

#include "text.h"

/* One source as the command line names it. */
struct run_source_name {
    const char *file; /* "-" is standard input; NULL: the values are `items` */
    char *const *items;
    size_t count;
    bool linked;
};

struct run_input_options {
    const struct run_source_name *sources;
    size_t count;
    const char *delimiter; /* what ends a value */
    size_t delimiter_length;
    bool skip_empty;      /* -r: values that are empty or blank are none */
    const char *end_text; /* -E: a value that is this ends its source; NULL: none does */
    bool links;           /* --link */
    bool names;           /* --header: the first value of each source is its name */
    bool rewinds;         /* run_input_rewind will be called: what cannot be read twice is copied to an unlinked file in `folder` */
    const char *folder;
    int stop; /* a descriptor; when it is readable, waiting for input ends */
};

struct run_input;

enum run_input_got { RUN_INPUT_RECORD, RUN_INPUT_END, RUN_INPUT_STOPPED, RUN_INPUT_FAILED };

/* Opens every file. NULL, having complained, when one cannot be. */
struct run_input *run_input_open(const struct run_input_options *options);
/* How many arguments a record has. */
size_t run_input_width(const struct run_input *input);
/* The name of a source; empty where it has none. */
struct span run_input_name(const struct run_input *input, size_t source);
/* Gives the next record: `width` arguments, borrowed until the next call. Having complained: RUN_INPUT_FAILED. */
enum run_input_got run_input_next(struct run_input *input, struct span *arguments);
/* Back to the first record; once. */
int run_input_rewind(struct run_input *input);
void run_input_close(struct run_input *input);

#endif
