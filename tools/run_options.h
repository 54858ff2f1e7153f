/* SPDX-License-Identifier: MIT */
/* The command line of `weft run`. */
#ifndef WEFT_TOOLS_RUN_OPTIONS_H
#define WEFT_TOOLS_RUN_OPTIONS_H

#include "run_halt.h"
#include "run_input.h"
#include "run_tokens.h"

/* What a job is made of. */
struct run_shape {
    const char *replace;                                         /* -I: instead of {}; NULL: {} */
    size_t max_args, max_replace_args, lines, max_lines, length; /* -n, -N, -L, -l, -s; 0: not given, or none */
    bool has_max_args, has_max_replace_args, has_lines;
    bool context, many, xargs; /* -X, -m, --xargs */
    const char *column_separator, *trim, *header;
    bool shuffles;
    bool links; /* --link */
};

/* What jobs read (--pipe). */
struct run_pipe {
    bool wanted, parts, removes; /* --pipe or --pipe-part, --pipe-part, --remove-rec-sep */
    size_t size, each;           /* --block: of a block, or, negative, how many for each slot; both 0: not given */
    bool has_start, has_end;
    struct text start, end; /* --recstart, --recend */
};

struct run_options {
    unsigned jobs; /* at once; 0: as many as the system lets run */
    struct run_shape shape;
    struct run_pipe pipe;
    bool keep_order, tag, dry_run, bar, quote, skip_empty, ungroup, verbose, trace;
    bool group, no_keep_order;
    bool line_buffer, report, no_report, progress, eta, keys, no_keys, json;
    enum run_tokens_style jobserver;
    const char *json_file; /* NULL: standard error */
    double delay;          /* seconds between starts */
    double load;           /* 0: any */
    size_t memory;         /* octets a job may have; 0: any */
    size_t memfree;        /* octets; 0: any */
    const char *results;   /* --results; NULL: none */
    const char *tag_text;  /* --tagstring; NULL: none */
    struct text delimiter;
    const char *end_text, *list_mark, *file_mark; /* -E, --arg-sep, --arg-file-sep */
    const char *directory, *slot_variable;        /* --wd, --process-slot-var; NULL: none */
    const char *joblog;
    bool joblog_append, resume, resume_failed;
    unsigned retries; /* how often a job is tried in all; 0: until it succeeds */
    double timeout;   /* seconds, or a fraction of the median run time; 0: none */
    bool timeout_is_share;
    struct run_halt halt;
    int nice;

    char *const *command; /* its words, borrowed from argv */
    size_t command_count;
    struct run_source_name *sources;
    size_t source_count;
    bool reads_stdin; /* no source was named: standard input is the one */
};

/*
 * Reads argv ("run" stands at 0). Returns 0 to go on; else the command is over with the status in *status: help was printed, or a line said
 * what is wrong.
 */
int run_options_read(struct run_options *options, int argc, char **argv, int *status);
/* Adds one more source of arguments. */
void run_options_add_source(struct run_options *options, struct run_source_name name);
void run_options_free(struct run_options *options);

#endif
