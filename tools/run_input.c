/* SPDX-License-Identifier: MIT */
/*
 * See run_input.h. The rows of every group but the first are read when the first record is asked for. An odometer stands on one row of
 * each; when it has come round, the first group moves on. A source without a single value stands for one empty value, unless all are
 * without.
 */
#include "run_input.h"

#include <stdlib.h>
#include <string.h>

#include "run_source.h"

/* A source, and the values of it that are held: all of them where it belongs to a later group, else the present one. */
struct input_column {
    struct run_source source;
    bool begun; /* it gave a value */
    struct text name;
    struct text *held;
    size_t count, room;
    size_t at;  /* --link: the value that it stands on */
    bool ended; /* --link: it has given all, and gives them again */
};

struct input_group {
    size_t first, width; /* of its columns */
    size_t rows;         /* of a later group: how many are held */
    size_t at;           /* the row the odometer stands on */
};

struct run_input {
    struct run_input_options options;
    struct input_column *columns;
    struct input_group *groups;
    size_t group_count;
    bool begun;      /* the later groups are held and the first stands on a row */
    bool has_values; /* some source gave one */
};

void run_input_close(struct run_input *input)
{
    for (size_t i = 0; i < input->options.count; i++) {
        struct input_column *column = &input->columns[i];
        run_source_close(&column->source);
        for (size_t row = 0; row < column->room; row++)
            text_free(&column->held[row]);
        free(column->held);
        text_free(&column->name);
    }
    free(input->columns);
    free(input->groups);
    free(input);
}

/* Takes the first value of each source as its name. */
static enum run_input_got read_names(struct run_input *input)
{
    enum run_input_got got = RUN_INPUT_RECORD;
    for (size_t i = 0; i < input->options.count && (got == RUN_INPUT_RECORD || got == RUN_INPUT_END); i++) {
        struct span name = {"", 0};
        text_clear(&input->columns[i].name);
        got = run_source_next(&input->columns[i].source, &name);
        text_add_span(&input->columns[i].name, name);
    }
    return got;
}

struct run_input *run_input_open(const struct run_input_options *options)
{
    struct run_input *input = memory_get(sizeof *input);
    *input = (struct run_input){.options = *options};
    input->columns = memory_get(options->count * sizeof *input->columns);
    input->groups = memory_get(options->count * sizeof *input->groups);
    for (size_t i = 0; i < options->count; i++) {
        input->columns[i] = (struct input_column){.begun = false};
        if (i == 0 || !(options->links || options->sources[i].linked))
            input->groups[input->group_count++] = (struct input_group){.first = i};
        input->groups[input->group_count - 1].width++;
        if (run_source_open(&input->columns[i].source, &options->sources[i], &input->options) != 0) {
            input->options.count = i + 1;
            run_input_close(input);
            return NULL;
        }
    }
    enum run_input_got got = options->names ? read_names(input) : RUN_INPUT_RECORD;
    if (got != RUN_INPUT_FAILED && got != RUN_INPUT_STOPPED)
        return input;
    run_input_close(input);
    return NULL;
}

struct span run_input_name(const struct run_input *input, size_t source)
{
    return text_span(&input->columns[source].name);
}

size_t run_input_width(const struct run_input *input)
{
    return input->options.count;
}

static void column_put(struct input_column *column, size_t row, struct span value)
{
    if (row >= column->room) {
        size_t room = row < 16 ? 16 : row * 2;
        column->held = memory_resize(column->held, room * sizeof *column->held);
        memset(column->held + column->room, 0, (room - column->room) * sizeof *column->held);
        column->room = room;
    }
    text_clear(&column->held[row]);
    text_add_span(&column->held[row], value);
    column->count = row + 1;
}

/* Reads one row of a group. A column that ends before it gave anything gives one empty value. */
static enum run_input_got group_read(struct run_input *input, struct input_group *group, size_t row)
{
    bool any = false;
    for (size_t i = group->first; i < group->first + group->width; i++) {
        struct input_column *column = &input->columns[i];
        struct span value = {"", 0};
        enum run_input_got got = run_source_next(&column->source, &value);
        if (got == RUN_INPUT_STOPPED || got == RUN_INPUT_FAILED)
            return got;
        if (got == RUN_INPUT_END && column->begun)
            return RUN_INPUT_END;
        if (got == RUN_INPUT_END)
            value = (struct span){"", 0};
        any |= got == RUN_INPUT_RECORD;
        column->begun = true;
        column_put(column, row, value);
    }
    input->has_values |= any;
    return RUN_INPUT_RECORD;
}

/* The next value of a linked source, from the first again after its last; of one without any, an empty one. */
static enum run_input_got column_link(struct input_column *column)
{
    struct span value = {"", 0};
    enum run_input_got got = column->ended ? RUN_INPUT_END : run_source_next(&column->source, &value);
    if (got == RUN_INPUT_RECORD) {
        column->at = column->count;
        column_put(column, column->count, value);
    } else if (got == RUN_INPUT_END) {
        if (column->count == 0)
            column_put(column, 0, value);
        column->at = column->ended && column->at + 1 < column->count ? column->at + 1 : 0;
        column->ended = true;
    }
    return got;
}

/* Reads one row of linked sources, until all have ended. */
static enum run_input_got link_read(struct run_input *input)
{
    bool any = false;
    for (size_t i = 0; i < input->options.count; i++) {
        enum run_input_got got = column_link(&input->columns[i]);
        if (got == RUN_INPUT_STOPPED || got == RUN_INPUT_FAILED)
            return got;
        any |= got == RUN_INPUT_RECORD;
    }
    input->has_values |= any;
    return any ? RUN_INPUT_RECORD : RUN_INPUT_END;
}

static enum run_input_got input_read(struct run_input *input)
{
    return input->options.links ? link_read(input) : group_read(input, &input->groups[0], 0);
}

static enum run_input_got group_hold(struct run_input *input, struct input_group *group)
{
    for (group->rows = 0;; group->rows++) {
        enum run_input_got got = group_read(input, group, group->rows);
        if (got == RUN_INPUT_END)
            return RUN_INPUT_RECORD;
        if (got != RUN_INPUT_RECORD)
            return got;
    }
}

static enum run_input_got input_begin(struct run_input *input)
{
    enum run_input_got got = RUN_INPUT_RECORD;
    for (size_t i = 1; i < input->group_count && got == RUN_INPUT_RECORD; i++)
        got = group_hold(input, &input->groups[i]);
    if (got == RUN_INPUT_RECORD)
        got = input_read(input);
    if (got == RUN_INPUT_RECORD && !input->has_values)
        got = RUN_INPUT_END;
    input->begun = got == RUN_INPUT_RECORD;
    return got;
}

/* Moves the odometer on; false when it has come round. */
static bool input_turn(struct run_input *input)
{
    for (size_t i = input->group_count; i-- > 1;) {
        if (++input->groups[i].at < input->groups[i].rows)
            return true;
        input->groups[i].at = 0;
    }
    return false;
}

enum run_input_got run_input_next(struct run_input *input, struct span *arguments)
{
    enum run_input_got got = RUN_INPUT_RECORD;
    if (!input->begun)
        got = input_begin(input);
    else if (!input_turn(input))
        got = input_read(input);
    if (got != RUN_INPUT_RECORD)
        return got;
    for (size_t g = 0; g < input->group_count; g++) {
        const struct input_group *group = &input->groups[g];
        for (size_t i = group->first; i < group->first + group->width; i++)
            arguments[i] = text_span(&input->columns[i].held[input->options.links ? input->columns[i].at : group->at]);
    }
    return RUN_INPUT_RECORD;
}

int run_input_rewind(struct run_input *input)
{
    input->begun = input->has_values = false;
    for (size_t i = 0; i < input->group_count; i++)
        input->groups[i].at = 0;
    for (size_t i = 0; i < input->options.count; i++) {
        input->columns[i].begun = input->columns[i].ended = false;
        input->columns[i].count = 0;
        if (run_source_rewind(&input->columns[i].source) != 0)
            return -1;
    }
    return input->options.names && read_names(input) == RUN_INPUT_FAILED ? -1 : 0;
}
