/* SPDX-License-Identifier: MIT */
/*
 * A limit on the memory of each job (--memory): a cgroup of its own, made below or beside this process's where that may be written and has
 * the memory controller: of cgroup v2, else of v1. A job that needs more is killed as a whole (v2; v1 kills one process of it after
 * another) by the kernel, which is told; swap does not help it. Cgroups are removed when their job has ended, those that a job's children
 * still live in at the end if they are empty then; what a killed run left is removed by the next one.
 */
#ifndef WEFT_TOOLS_RUN_MEMORY_H
#define WEFT_TOOLS_RUN_MEMORY_H

#include <stdint.h>
#include <weft.h>

#include "text.h"

struct run_memory_kind;

struct run_memory {
    uint64_t limit;                     /* octets; 0: none, and all that follows is unused */
    const struct run_memory_kind *kind; /* v1 or v2 */
    struct text folder;                 /* where jobs' cgroups are made */
    weft_lock lock;                     /* over the rest */
    struct text busy;                   /* cgroups that could not be removed yet, each ended by a zero */
};

/* Finds where cgroups can be made and tries one. -1, having complained, where there is no such place. */
int run_memory_begin(struct run_memory *memory, uint64_t limit);
/* Makes a cgroup for a job and sets *procs to its file that processes go in by. -1 with errno. Any task. */
int run_memory_enter(struct run_memory *memory, uint64_t sequence, struct text *procs);
/* The job has ended: removes the cgroup. Whether something in it was killed because of the limit. Any task. */
bool run_memory_leave(struct run_memory *memory, struct text *procs);
void run_memory_end(struct run_memory *memory);

#endif
