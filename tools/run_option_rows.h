/* SPDX-License-Identifier: MIT */
/*
 * The table of what `weft run` understands: getopt_long, --help and the nearest name of an unknown option are made from it. A new option is
 * a row here, a field of struct run_options, and, where its argument is more than a text, a reader in run_option_values.c.
 */
#ifndef WEFT_TOOLS_RUN_OPTION_ROWS_H
#define WEFT_TOOLS_RUN_OPTION_ROWS_H

#include "run_options.h"

/* What a row does with its option. */
enum run_option_kind {
    RUN_OPTION_FLAG,   /* sets the bool at `field` */
    RUN_OPTION_TEXT,   /* puts the argument, a const char *, at `field` */
    RUN_OPTION_READER, /* calls `read` */
    RUN_OPTION_HELP    /* prints the help and ends */
};

/* Takes an option in: 0; -1, having complained of its argument (NULL where it has none). */
typedef int run_option_reader(struct run_options *options, const char *argument);

struct run_option_row {
    char letter;          /* 0: it has none */
    const char *name;     /* NULL: it has none; without a letter either, the row is a heading */
    const char *argument; /* what the help calls it; in brackets: it may be left out; NULL: it has none */
    const char *text;     /* for the help; NULL: another name for the row before, and nothing but letter, name and argument counts */
    enum run_option_kind kind;
    size_t field; /* in struct run_options */
    run_option_reader *read;
};

enum { RUN_OPTION_MOST = 128 }; /* rows there may be */
extern const struct run_option_row run_option_rows[];
extern const size_t run_option_count;

#endif
