/* SPDX-License-Identifier: MIT */
/* See run_columns.h. */
#include "run_columns.h"

#include <stdlib.h>
#include <string.h>

void run_record_add(struct run_record *record, struct span value)
{
    if (record->count == record->room) {
        record->room = record->room ? record->room * 2 : 16;
        record->at = memory_resize(record->at, record->room * sizeof *record->at);
    }
    record->at[record->count++] = value;
}

void run_record_free(struct run_record *record)
{
    free(record->at);
    *record = (struct run_record){0};
}

static bool is_white(char c)
{
    return c && strchr(" \t\n\r\f\v", c);
}

static void add_trimmed(const struct run_columns *columns, struct span value, struct run_record *record)
{
    while (columns->trims_left && value.length && is_white(*value.at)) {
        value.at++;
        value.length--;
    }
    while (columns->trims_right && value.length && is_white(value.at[value.length - 1]))
        value.length--;
    run_record_add(record, value);
}

static void add_captured(const struct run_columns *columns, const struct run_match *match, struct run_record *record)
{
    for (size_t i = 1; i <= columns->separator.groups; i++)
        if (columns->separator.captures[i])
            add_trimmed(columns, match->at[i].at ? match->at[i] : (struct span){"", 0}, record);
}

static struct span span_between(const char *from, const char *to)
{
    return (struct span){from, (size_t)(to - from)};
}

void run_columns_cut(const struct run_columns *columns, struct span value, struct run_record *record)
{
    if (!columns->splits) {
        add_trimmed(columns, value, record);
        return;
    }
    const char *from = value.at, *end = value.at + value.length;
    struct run_match match;
    for (size_t at = 0; run_pattern_find(&columns->separator, value, at, &match);) {
        struct span whole = match.at[0];
        if (whole.length == 0 && whole.at == from) {
            if (from == end)
                break;
            at = (size_t)(whole.at + 1 - value.at);
            continue;
        }
        add_trimmed(columns, span_between(from, whole.at), record);
        add_captured(columns, &match, record);
        from = whole.at + whole.length;
        at = (size_t)(from - value.at);
    }
    add_trimmed(columns, span_between(from, end), record);
}
