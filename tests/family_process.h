/* SPDX-License-Identifier: MIT */
/* Processes of a family as the supervisor makes them, without tasks: for tests of the floors below those. By a root (family_root.h). */
#ifndef FAMILY_PROCESS_H
#define FAMILY_PROCESS_H

#include <signal.h>

#include "family/family.h"
#include "family_root.h"

/* A started process, of a family that is begun if there is none. */
static inline struct wefti_process *start(int (*main)(struct wefti_process *self), void *data)
{
    MUST(wefti_family_begin() == 0);
    struct wefti_process *process = wefti_process_new(main, data);
    MUST(process && wefti_process_start(process) == 0);
    return process;
}

/* Its status, when it has ended. */
static inline int ended(struct wefti_process *process)
{
    int status = -1;
    MUST(wefti_process_wait(process, &status, WEFT_FOREVER) == 0);
    wefti_process_let_go(process);
    return status;
}

#endif
