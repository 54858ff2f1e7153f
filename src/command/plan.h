/* SPDX-License-Identifier: MIT */
/*
 * From options to what the child needs.
 */
#ifndef WEFTI_PLAN_H
#define WEFTI_PLAN_H

#include <weft/command.h>

#include "command/launch.h"

#ifdef WEFTI_SMALL
enum { WEFTI_PLAN_ROOM = 64 };
#else
enum { WEFTI_PLAN_ROOM = 2048 };
#endif

/* What a list took that did not fit into the plan's own room. */
struct wefti_plan_block {
    struct wefti_plan_block *next;
    char data[];
};

/* Lives on the stack of the caller that starts a command. */
struct wefti_plan {
    struct wefti_launch launch;
    int theirs[3]; /* descriptors opened for the child, closed when it has started; -1: none */
    int ours[3];   /* this process's ends of pipes; -1: none. Who takes one writes -1 */
    struct wefti_plan_block *blocks;
    size_t used;
    char room[WEFTI_PLAN_ROOM] __attribute__((aligned(16)));
};

/* Fills the plan in: lists, paths, descriptors. -1 with EINVAL, ENOMEM, or the error of a pipe or file; nothing is held then. */
int wefti_plan_make(struct wefti_plan *plan, const struct weft_command_options *options);
/* Closes and frees what the plan holds, ends of pipes that nobody took included. Keeps errno. */
void wefti_plan_end(struct wefti_plan *plan);

#endif
