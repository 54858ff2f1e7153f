/* SPDX-License-Identifier: MIT */
/*
 * How a command's end is learned.
 *
 * A pidfd becomes readable when the process has ended; then its status is taken with waitid, by the pidfd, so that no other child of the
 * host is ever touched. A host may ignore SIGCHLD or wait for any child, and then the status is gone: the kernel is asked what it remembers
 * (Linux 6.15), else the status is `unknown`, and the end is learned all the same.
 *
 * A handle freed while its command runs is abandoned: it is kept on a list until the command has ended, so that no zombie stays. Whoever
 * starts or frees a command sweeps the list: takes it whole, and puts back what still runs. So it needs no lock, and no two tasks hold one
 * entry.
 */

#include "command/command.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "command/guard.h"
#include "command/job.h"
#include "family/pidfd.h"
#include "wait/wait.h"

static double timeval_seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

void wefti_status_usage(struct weft_command_status *status, const struct rusage *usage)
{
    status->user_seconds = timeval_seconds(usage->ru_utime);
    status->system_seconds = timeval_seconds(usage->ru_stime);
    status->peak_kilobytes = usage->ru_maxrss;
}

/* The host took the status: what the kernel remembers of it. */
static void status_recall(struct weft_command_status *status, int pidfd)
{
    int ended;
    if (!wefti_pidfd_recall(pidfd, &ended)) {
        status->unknown = true;
        status->exitcode = -1;
        return;
    }
    status->exitcode = WIFSIGNALED(ended) ? -WTERMSIG(ended) : WEXITSTATUS(ended);
    status->dumped = WIFSIGNALED(ended) && WCOREDUMP(ended);
}

/* Takes the status of a process from the kernel. False while it runs. The C library's waitid has no place for the usage. */
static bool status_take(struct weft_command_status *status, int pidfd)
{
    siginfo_t info = {.si_pid = 0};
    struct rusage usage;
    long failed;
    do
        failed = syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | WNOHANG | __WALL, &usage);
    while (failed != 0 && errno == EINTR);
    if (failed != 0) {
        struct pollfd ended = {.fd = pidfd, .events = POLLIN};
        if (poll(&ended, 1, 0) != 1) /* not ours to wait for (a forked child of the host asks), and not ended */
            return false;
        status_recall(status, pidfd);
        return true;
    }
    if (info.si_pid == 0)
        return false;
    status->exitcode = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    status->dumped = info.si_code == CLD_DUMPED;
    wefti_status_usage(status, &usage);
    return true;
}

static bool command_take(struct weft_command *command)
{
    struct weft_command_status status = {.exitcode = 0};
    if (!status_take(&status, command->end))
        return false;
    if (command->job)
        wefti_job_status(command->job, &status);
    weft_time end = command->job ? wefti_job_end(command->job) : weft_clock();
    status.seconds = (double)(end - command->started) / 1e9;
    command->status = status;
    wefti_guard_leave(command->slot);
    command->slot = NULL;
    return true;
}

bool wefti_command_collect(struct weft_command *command)
{
    uint32_t state = WEFTI_RUNNING;
    if (!__atomic_compare_exchange_n(&command->state, &state, WEFTI_COLLECTING, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
        return state == WEFTI_ENDED;
    int saved = errno;
    bool ended = command_take(command);
    errno = saved;
    __atomic_store_n(&command->state, ended ? WEFTI_ENDED : WEFTI_RUNNING, __ATOMIC_RELEASE);
    weft_wake(&command->state, UINT32_MAX);
    return ended;
}

int wefti_command_join(struct weft_command *command, weft_time deadline)
{
    while (!wefti_command_collect(command)) {
        struct wefti_item end = {.kind = WEFTI_DESCRIPTOR, .descriptor = command->end, .events = POLLIN};
        if (wefti_wait_items(&end, 1, deadline) < 0)
            return -1;
        weft_wait(&command->state, WEFTI_COLLECTING, deadline); /* another is at it; it never takes long */
    }
    return 0;
}

void wefti_command_destroy(struct weft_command *command)
{
    int saved = errno;
    wefti_command_hush(command);
    if (command->job)
        wefti_job_free(command->job);
    wefti_tree_end(&command->tree);
    close(command->end);
    wefti_release(command);
    errno = saved;
}

static struct weft_command *abandoned;

void wefti_command_abandon(struct weft_command *command)
{
    struct weft_command *first = __atomic_load_n(&abandoned, __ATOMIC_RELAXED);
    do
        command->next = first;
    while (!__atomic_compare_exchange_n(&abandoned, &first, command, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

void wefti_command_sweep(void)
{
    if (!__atomic_load_n(&abandoned, __ATOMIC_RELAXED))
        return;
    struct weft_command *command = __atomic_exchange_n(&abandoned, NULL, __ATOMIC_ACQUIRE); /* pairs with the release in abandon */
    while (command) {
        struct weft_command *next = command->next;
        if (wefti_command_collect(command))
            wefti_command_destroy(command);
        else
            wefti_command_abandon(command);
        command = next;
    }
}
