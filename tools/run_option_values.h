/* SPDX-License-Identifier: MIT */
/* The readers of the options whose arguments are more than a text; run_option_rows.c names them. Each returns -1, having complained. */
#ifndef WEFT_TOOLS_RUN_OPTION_VALUES_H
#define WEFT_TOOLS_RUN_OPTION_VALUES_H

#include "run_options.h"

int run_read_arg_file(struct run_options *options, const char *text);
int run_read_delay(struct run_options *options, const char *text);
int run_read_block(struct run_options *options, const char *text);
int run_read_delimiter(struct run_options *options, const char *text);
int run_read_env(struct run_options *options, const char *text);
int run_read_halt(struct run_options *options, const char *text);
int run_read_joblog(struct run_options *options, const char *text);
int run_read_jobs(struct run_options *options, const char *text);
int run_read_lines(struct run_options *options, const char *text);
int run_read_max_args(struct run_options *options, const char *text);
int run_read_max_chars(struct run_options *options, const char *text);
int run_read_max_lines(struct run_options *options, const char *text);
int run_read_max_replace_args(struct run_options *options, const char *text);
int run_read_jobserver(struct run_options *options, const char *text);
int run_read_json(struct run_options *options, const char *text);
int run_read_load(struct run_options *options, const char *text);
int run_read_memfree(struct run_options *options, const char *text);
int run_read_memory(struct run_options *options, const char *text);
int run_read_nice(struct run_options *options, const char *text);
int run_read_null(struct run_options *options, const char *text);
int run_read_pipe_part(struct run_options *options, const char *text);
int run_read_record_end(struct run_options *options, const char *text);
int run_read_record_start(struct run_options *options, const char *text);
int run_read_replace(struct run_options *options, const char *text);
int run_read_retries(struct run_options *options, const char *text);
int run_read_slot_variable(struct run_options *options, const char *text);
int run_read_timeout(struct run_options *options, const char *text);

#endif
