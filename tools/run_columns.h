/* SPDX-License-Identifier: MIT */
/* What a value becomes before it is an argument, or several: columns (--colsep), without the white space around them (--trim). */
#ifndef WEFT_TOOLS_RUN_COLUMNS_H
#define WEFT_TOOLS_RUN_COLUMNS_H

#include "run_pattern.h"

/* A growing list of arguments that belong to somebody else. */
struct run_record {
    struct span *at;
    size_t count, room;
};

struct run_columns {
    struct run_pattern separator;
    bool splits;
    bool trims_left, trims_right;
};

void run_record_add(struct run_record *record, struct span value);
void run_record_free(struct run_record *record);
/*
 * Adds the columns of `value` to `record`; they lie inside it. As Perl's split has it: what a group of the separator captured is a column
 * too, a separator that matches nothing at all stands between any two characters. An empty value is one empty column.
 */
void run_columns_cut(const struct run_columns *columns, struct span value, struct run_record *record);

#endif
