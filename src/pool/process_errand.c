/* SPDX-License-Identifier: MIT */
/*
 * Stopping a worker when the caller is another user by now than the family began with, as a daemon is that has made its pools and then
 * gives up its rights: it may not signal its own workers. They are as they were, and so is the supervisor, and so whoever it forks: a
 * process of the family is asked for, which runs nothing but this, and does what the caller may not. It is told a member, not a number, and
 * signals what is his and nothing else; whoever may ask for it, a member, could do worse, as what he asks for runs with the same rights.
 */

#include <errno.h>
#include <time.h>

#include "family/below.h"
#include "family/family.h"
#include "pool/stop.h"
#include "wait/wait.h"

enum { TRIES = 50, REST = 20000000 /* ns */ };

static int errand_main(struct wefti_process *self)
{
    wefti_process_stop_tree((uintptr_t)self->data);
    return 0;
}

/* 0; -1 with errno. */
static int errand_run(uint64_t worker)
{
    struct wefti_process *process = wefti_process_new(errand_main, (void *)(uintptr_t)worker); /* NOLINT: a number */
    if (!process)
        return -1;
    int status, failed;
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
static void errand(uint64_t worker)
{
    for (int i = 0; i < TRIES; i++) {
        if (errand_run(worker) == 0 || errno == EPIPE || errno == ESTALE || errno == EBADF)
            return;
        nanosleep(&(struct timespec){.tv_nsec = REST}, NULL);
    }
}

void wefti_process_stop_worker(int32_t pid)
{
    uint64_t worker = wefti_below_member(pid);
    if (!wefti_process_stop_tree(worker))
        errand(worker);
}
