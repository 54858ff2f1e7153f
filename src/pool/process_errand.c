/* SPDX-License-Identifier: MIT */
/*
 * Stopping a worker when the caller is another user by now than the family began with, as a daemon is that has made its pools and then
 * gives up its rights: it may not signal its own workers. They are as they were, and so is the supervisor, and so whoever it forks: a
 * process of the family is asked for, which runs nothing but this, and does what the caller may not.
 */

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "family/family.h"
#include "pool/stop.h"
#include "wait/wait.h"

enum { TRIES = 50, REST = 20000000 /* ns */ };

/* The descriptor is of the very process: once that is stopped its number is its own until it is killed. */
static int errand_main(struct wefti_process *self)
{
    if (syscall(SYS_pidfd_send_signal, (int)self->given - 1, SIGSTOP, NULL, 0) == 0)
        wefti_process_stop_tree((int32_t)(intptr_t)self->data);
    return 0;
}

/* 0; -1 with errno. */
static int errand_run(int32_t pid, int pidfd)
{
    struct wefti_process *process = wefti_process_new(errand_main, (void *)(intptr_t)pid); /* NOLINT: a number */
    if (!process)
        return -1;
    int status, failed;
    process->given = (uint32_t)pidfd + 1;
    wefti_shield_raise();
    failed = wefti_process_start_errand(process);
    int error = errno;
    if (failed == 0)
        wefti_process_wait(process, &status, WEFT_FOREVER);
    wefti_shield_lower();
    wefti_process_let_go(process);
    errno = error;
    return failed;
}

/* What fails for want of something is tried again: nobody else will stop it. */
static void errand(int32_t pid)
{
    for (int i = 0; i < TRIES; i++) {
        int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), failed = pidfd < 0 ? -1 : errand_run(pid, pidfd), error = errno;
        if (pidfd >= 0)
            close(pidfd);
        if (failed == 0 || error == ESRCH || error == EPIPE || error == ESTALE || error == EBADF)
            return;
        nanosleep(&(struct timespec){.tv_nsec = REST}, NULL);
    }
}

void wefti_process_stop_worker(int32_t pid)
{
    if (!wefti_process_stop_tree(pid))
        errand(pid);
}
