/* SPDX-License-Identifier: MIT */
/*
 * What a shell does in a job's process before it becomes the job's program: open the descriptors of the jobserver, go into a cgroup.
 * All-zero: nothing, and no shell is started for it.
 */
#ifndef WEFT_TOOLS_RUN_WRAP_H
#define WEFT_TOOLS_RUN_WRAP_H

#include "text.h"

enum { RUN_WRAP_MOST = 4 };

struct run_wrap {
    struct text script;
    const char *parameters[RUN_WRAP_MOST]; /* borrowed; the script takes them with shift */
    size_t count;
    const char **argv;
};

/* Adds a piece of script, which begins with "$1" as its parameter and shifts that away. */
void run_wrap_add(struct run_wrap *wrap, const char *script, const char *parameter);
/* Sets the parameter of the piece that was added at this place, from 0. */
void run_wrap_set(struct run_wrap *wrap, size_t place, const char *parameter);
/* The words to start instead of these, which end with NULL. Good until the next call. */
const char *const *run_wrap_words(struct run_wrap *wrap, const char *const *argv);
void run_wrap_free(struct run_wrap *wrap);

#endif
