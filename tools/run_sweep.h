/* SPDX-License-Identifier: MIT */
/*
 * What jobs left behind, found by a mark in its environment: when the whole is stopped, children of jobs that ended long ago are too, and
 * those that have left their process group, session and parent.
 */
#ifndef WEFT_TOOLS_RUN_SWEEP_H
#define WEFT_TOOLS_RUN_SWEEP_H

#include <stddef.h>

enum { RUN_MARK_SIZE = 64 };

/* Makes up this run's mark: NAME=value for the environment of jobs, unlike any other run's. */
void run_sweep_mark(char mark[RUN_MARK_SIZE]);
/* Kills every process that has the mark in its environment, looking until there is none, or two seconds long. */
void run_sweep(const char *mark);

#endif
