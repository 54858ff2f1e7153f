/* SPDX-License-Identifier: MIT */
/*
 * From the options that say what a job is made of (struct run_shape) to what makes it: columns, names, the command's template, packs of
 * arguments.
 */
#ifndef WEFT_TOOLS_RUN_SHAPE_H
#define WEFT_TOOLS_RUN_SHAPE_H

#include "run_blocks.h"
#include "run_columns.h"
#include "run_options.h"
#include "run_pack.h"
#include "run_template.h"

/* The names that --header gives; they lie in the input. */
struct run_names {
    struct run_template_name *at;
    size_t count;
};

/* Each returns 0; or -1, having complained. */
int run_shape_check(const struct run_options *options);
int run_shape_columns(const struct run_shape *shape, struct run_columns *columns);
/* Reads the names from an input that was opened with `names` as run_shape_takes_names says. */
bool run_shape_takes_names(const struct run_shape *shape);
void run_shape_names(
    const struct run_options *options, const struct run_input *input, const struct run_columns *columns, struct run_names *names);
void run_names_free(struct run_names *names);
/* How templates are to be read, but for their quoting. */
struct run_template_options run_shape_template(const struct run_shape *shape, const struct run_names *names);
/* How arguments are packed for so many slots. */
struct run_pack_options run_shape_pack(const struct run_shape *shape, unsigned slots);
/* How the input is cut into blocks for so many slots; it borrows from the options. */
struct run_blocks_options run_shape_blocks(const struct run_options *options, unsigned slots);

#endif
