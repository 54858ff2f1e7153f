/* SPDX-License-Identifier: MIT */
/*
 * What is known of a process by its pidfd, or by its number while that is its own: who it is, since when, how it ended. Nothing here reaps.
 */
#ifndef WEFTI_PIDFD_H
#define WEFTI_PIDFD_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/wait.h>

struct wefti_seat;

/* A status as waitpid gives it, of what waitid told. */
static inline int wefti_status_of(const siginfo_t *info)
{
    return info->si_code == CLD_EXITED ? (info->si_status & 0xff) << 8 : info->si_status | (info->si_code == CLD_DUMPED ? 0x80 : 0);
}

/* The number of the process that a pidfd is of, or 0: it has been reaped. */
pid_t wefti_pidfd_number(int pidfd);

/* What the kernel remembers of the end of a process that somebody else has reaped (Linux 6.15). False, and *status untouched: nothing. */
bool wefti_pidfd_recall(int pidfd, int *status);
/* The status of one that has ended and that somebody else reaps or has reaped; that of SIGKILL when nobody can say any more. */
int wefti_pidfd_status(int pidfd);

/* Waits for the end, in a process that has no other tasks; closes it. Of -1: nothing. */
void wefti_pidfd_await(int pidfd);

/* A pidfd of the process that has this seat: -1 when it is dead, and perhaps another has its number. */
int wefti_seat_pidfd(const struct wefti_seat *seat);

#endif
