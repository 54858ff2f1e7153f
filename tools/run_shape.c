/* SPDX-License-Identifier: MIT */
/* See run_shape.h. Which of -n, -N, -L, -l counts, when words are repeated and when arguments are spread is as GNU parallel has it. */
#include "run_shape.h"

#include <stdlib.h>
#include <string.h>

#include "complain.h"

enum { LINE_LENGTH = 131072 }; /* of the longest argument, with its zero, that Linux gives to a program: a line is one for the shell */

static bool is_text(const char *text, const char *other)
{
    return text && strcmp(text, other) == 0;
}

static int shape_wrong(const char *why)
{
    complain("%s", why);
    return -1;
}

/* What cannot be together with --pipe. */
static int check_pipe(const struct run_options *options)
{
    const struct run_shape *shape = &options->shape;
    bool counts = shape->has_max_args || shape->has_max_replace_args || shape->has_lines || shape->max_lines;
    for (size_t i = 0; i < options->source_count; i++)
        if (!options->sources[i].file)
            return shape_wrong("with --pipe jobs have no arguments: ::: cannot be");
    if (!options->command_count)
        return shape_wrong("--pipe needs a command that reads what is piped, such as cat");
    if (shape->shuffles)
        return shape_wrong("--shuf cannot go with --pipe");
    if (options->pipe.parts && counts)
        return shape_wrong("--pipe-part does not count records: -n, -N, -L and -l cannot be (--pipe counts)");
    if (options->pipe.parts && options->pipe.removes)
        return shape_wrong("--remove-rec-sep goes with --pipe, not with --pipe-part");
    if (options->pipe.each && !options->pipe.parts)
        return shape_wrong("--block with a number of blocks goes with --pipe-part");
    if (!options->pipe.parts && (options->bar || options->eta || (options->halt.when != RUN_HALT_NEVER && options->halt.percent)))
        return shape_wrong(
            "--bar, --eta and shares of all jobs cannot go with --pipe: nobody knows how many jobs there will be (with --pipe-part they can)");
    return 0;
}

int run_shape_check(const struct run_options *options)
{
    static const char *const trims[] = {"n", "l", "r", "lr", "rl"};
    const struct run_shape *shape = &options->shape;
    bool known = !shape->trim;
    for (size_t i = 0; shape->trim && i < sizeof trims / sizeof *trims; i++)
        known |= strcmp(shape->trim, trims[i]) == 0;
    if (!known)
        return shape_wrong("--trim is one of n, l, r, lr, rl");
    if (options->pipe.wanted)
        return check_pipe(options);
    if (shape->header && !is_text(shape->header, ":") && !is_text(shape->header, "0"))
        return shape_wrong("--header is : (the first argument of each list) or 0 (the files' names), unless with --pipe");
    if (is_text(options->directory, "..."))
        return shape_wrong("--wd ...: name a directory");
    if (shape->shuffles && (options->resume || options->resume_failed))
        return shape_wrong("--shuf cannot go with --resume: jobs would have other numbers than in the joblog");
    return 0;
}

int run_shape_columns(const struct run_shape *shape, struct run_columns *columns)
{
    bool both = shape->column_separator && !shape->trim;
    *columns = (struct run_columns){.splits = shape->column_separator || is_text(shape->header, ":"),
        .trims_left = both || (shape->trim && strchr(shape->trim, 'l')),
        .trims_right = both || (shape->trim && strchr(shape->trim, 'r'))};
    if (!columns->splits)
        return 0;
    return run_pattern_read(&columns->separator, "--colsep", shape->column_separator ? shape->column_separator : "\t");
}

bool run_shape_takes_names(const struct run_shape *shape)
{
    return is_text(shape->header, ":");
}

static void names_add(struct run_names *names, struct span name, size_t position)
{
    names->at = memory_resize(names->at, (names->count + 1) * sizeof *names->at);
    names->at[names->count++] = (struct run_template_name){.name = name, .position = (int)position};
}

void run_shape_names(
    const struct run_options *options, const struct run_input *input, const struct run_columns *columns, struct run_names *names)
{
    struct run_record record = {0};
    *names = (struct run_names){0};
    if (!options->shape.header)
        return;
    for (size_t i = 0; i < options->source_count; i++) {
        size_t from = record.count;
        if (run_shape_takes_names(&options->shape))
            run_columns_cut(columns, run_input_name(input, i), &record);
        if (record.count == from)
            run_record_add(&record, (struct span){"", 0});
        for (size_t at = from; at < record.count; at++)
            names_add(names, record.at[at], at + 1);
        if (options->sources[i].file)
            names_add(names, span_of(options->sources[i].file), from + 1);
    }
    run_record_free(&record);
}

void run_names_free(struct run_names *names)
{
    free(names->at);
}

struct run_template_options run_shape_template(const struct run_shape *shape, const struct run_names *names)
{
    bool repeats = shape->context || shape->has_max_replace_args || (shape->has_lines && !shape->many && !shape->xargs);
    return (struct run_template_options){.context = repeats, .replace = shape->replace, .names = names->at, .name_count = names->count};
}

struct run_pack_options run_shape_pack(const struct run_shape *shape, unsigned slots)
{
    bool counts = shape->has_max_args || shape->has_max_replace_args || shape->has_lines || shape->max_lines;
    bool fills = shape->context || shape->many || shape->xargs;
    size_t records = shape->has_max_replace_args ? shape->max_replace_args
                     : shape->has_max_args       ? shape->max_args
                     : shape->has_lines          ? shape->lines
                     : shape->max_lines          ? shape->max_lines
                                                 : !fills;
    return (struct run_pack_options){.several = counts || fills || shape->length,
        .records = counts && records == 0 ? 1 : records,
        .joins = shape->has_lines || shape->max_lines,
        .length = shape->length ? shape->length : LINE_LENGTH,
        .length_is_set = shape->length,
        .nothing = counts && records == 0,
        .spreads = (shape->context || shape->many) && !shape->xargs ? slots : 0,
        .shuffles = shape->shuffles};
}

struct run_blocks_options run_shape_blocks(const struct run_options *options, unsigned slots)
{
    enum { SIZE = 1 << 20, PARTS_EACH = 10 };
    const struct run_shape *shape = &options->shape;
    const struct run_pipe *pipe = &options->pipe;
    bool has_marks = pipe->has_start || pipe->has_end;
    return (struct run_blocks_options){.sources = options->sources,
        .count = options->source_count,
        .parts = pipe->parts,
        .size = pipe->size ? pipe->size : SIZE,
        .each = pipe->parts && !pipe->size && !pipe->each ? PARTS_EACH : pipe->each,
        .slots = slots,
        .records = shape->has_max_replace_args ? shape->max_replace_args : shape->max_args,
        .lines = shape->has_lines ? shape->lines : shape->max_lines,
        .end = has_marks ? text_span(&pipe->end) : span_of("\n"),
        .start = text_span(&pipe->start),
        .removes = pipe->removes,
        .header = shape->header,
        .skips_blank = options->skip_empty};
}
