/* SPDX-License-Identifier: MIT */
/*
 * What a process waits for, read from /proc: its state, the system call that it is in, what that is done to, and the same of its children.
 */
#ifndef WEFT_TOOLS_RUN_WHY_H
#define WEFT_TOOLS_RUN_WHY_H

#include <sys/types.h>

#include "text.h"

enum { RUN_WHY_PROCESSES = 16 }; /* of one job that are told of */

/* Adds a line for the process and each of its descendants, children indented below their parents. */
void run_why_tree(pid_t pid, struct text *out);

#endif
