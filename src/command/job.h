/* SPDX-License-Identifier: MIT */
/*
 * A command with a time limit, seen from the host: its stopper (see stopper.h) and the memory that both use.
 */
#ifndef WEFTI_JOB_H
#define WEFTI_JOB_H

#include <weft/command.h>

#include "command/launch.h"

struct wefti_job;

struct wefti_job_limits {
    weft_time deadline; /* then it is stopped */
    weft_time grace;    /* between stop_signal and SIGKILL */
    int stop_signal;
};

/* Starts the command under a stopper, whose pidfd comes in *end. NULL with the error of the launch, EAGAIN, ENOMEM; nothing runs then. */
struct wefti_job *wefti_job_start(const struct wefti_launch *launch, const struct wefti_job_limits *limits, pid_t *pid, int *end);
/* How the command ended, once its stopper has. */
void wefti_job_status(const struct wefti_job *job, struct weft_command_status *status);
/* When it ended, likewise. */
weft_time wefti_job_end(const struct wefti_job *job);
/* Asks the stopper to stop everything: with the stop signal first, or at once. Does not wait. */
void wefti_job_stop(struct wefti_job *job, int end, bool at_once);
/* Signals the command. -1 with ESRCH when it has ended, EINVAL, EPERM. */
int wefti_job_signal(struct wefti_job *job, int signal);
/* Frees the memory. Only after the stopper has ended. */
void wefti_job_free(struct wefti_job *job);

#endif
