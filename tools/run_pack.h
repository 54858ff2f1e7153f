/* SPDX-License-Identifier: MIT */
/*
 * How many arguments each job gets. Without an option it is one record of the input: a value of each source. With -n, -N, -L, -X and the
 * like, a job gets the values of as many records as fit, one after the other. With -X and -m, what is left when the input ends is spread
 * over the job slots.
 */
#ifndef WEFT_TOOLS_RUN_PACK_H
#define WEFT_TOOLS_RUN_PACK_H

#include "run_columns.h"
#include "run_input.h"
#include "run_template.h"

struct run_pack_options {
    bool several;       /* a job may get more than one record */
    size_t records;     /* at most so many; 0: any number */
    bool joins;         /* a record that ends in a blank goes on in the next one (-L) */
    size_t length;      /* at most so many characters of command line, its ending zero among them */
    bool length_is_set; /* by -s: a single record that is too long ends the whole */
    bool nothing;       /* -n 0: a job for each record, without its arguments */
    size_t spreads;     /* over how many slots what is left is spread; 0: it is not */
    bool shuffles;
};

struct run_pack;

/* Everything is borrowed. `width` is that of the input. */
struct run_pack *run_pack_new(
    const struct run_pack_options *options, struct run_input *input, const struct run_columns *columns, const struct run_template *command);
/* The arguments of the next job, borrowed until the next call. Having complained: RUN_INPUT_FAILED. */
enum run_input_got run_pack_next(struct run_pack *pack, uint64_t sequence, struct span const **arguments, size_t *count);
/* Back to the first job; once. */
int run_pack_rewind(struct run_pack *pack);
void run_pack_free(struct run_pack *pack);

#endif
