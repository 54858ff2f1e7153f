/* SPDX-License-Identifier: MIT */
/*
 * The stopper: a process of Weft's own beside each command that has a time limit.
 */
#ifndef WEFTI_STOPPER_H
#define WEFTI_STOPPER_H

#include <sys/resource.h>
#include <weft/base.h>

#include "command/launch.h"

enum { WEFTI_STOP_NONE = 0, WEFTI_STOP_GENTLY = 1, WEFTI_STOP_NOW = 2 };

/*
 * What host and stopper share. The host writes the first part before the stopper exists, and `request` (which only grows) at any time,
 * followed by a SIGUSR1 to the stopper. The stopper writes the rest: `pid` and `error` before it tells the host by `told`; the others
 * before `ended`.
 */
struct wefti_stopper {
    const struct wefti_launch *launch; /* until told */
    pid_t host;
    int told; /* an eventfd */
    int stop_signal;
    weft_time deadline, grace;
    uint32_t request; /* WEFTI_STOP_... */

    uint32_t started; /* `pid` or `error` stands */
    pid_t pid;
    int error;      /* of the launch */
    uint32_t ended; /* the command has ended: set before its number is given back to the system */
    bool timed_out, dumped;
    int exitcode;
    weft_time end;
    struct rusage usage;
};

/*
 * Starts the stopper, all signals being blocked, on a stack; without one (NULL, for where memory is not shared) as a copy of this process.
 * Its number, or minus an error number.
 */
long wefti_stopper_start(struct wefti_stopper *stopper, void *stack, int *pidfd);

#endif
