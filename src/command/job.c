/* SPDX-License-Identifier: MIT */
/*
 * A command with a time limit, seen from the host.
 *
 * The stopper's stack and what it shares with the host are one mapping, used again for later jobs (a few are kept) and given up only when
 * the stopper has ended. Its lowest page may not be touched. Where a child's memory is a copy (emulators) the mapping is shared, and the
 * stopper is a real fork on a stack of its own.
 */

#include "command/job.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "command/command.h"
#include "command/raw.h"
#include "command/stopper.h"
#include "wait/wait.h"

enum { STACK = 32768, CACHED = 8 };

/* Lies at the upper end of its mapping; the stack grows down below it. */
struct wefti_job {
    struct wefti_stopper stopper;
    pid_t pid; /* the stopper's, which is its own until it has been waited for */
    char *mapping;
    size_t size;
    bool copies;
};

static struct wefti_job *cache[CACHED]; /* each taken and put back by exchange */

static struct wefti_job *job_map(bool copies)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = (page + STACK + sizeof(struct wefti_job) + page - 1) / page * page;
    char *mapping = MAP_FAILED;
    if (!wefti_fails())
        mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | (copies ? MAP_SHARED : MAP_PRIVATE), -1, 0);
    if (mapping == MAP_FAILED) {
        errno = ENOMEM;
        return NULL;
    }
    mprotect(mapping, page, PROT_NONE);
    struct wefti_job *job = (struct wefti_job *)(void *)(mapping + size - (sizeof(*job) + 63) / 64 * 64);
    job->mapping = mapping;
    job->size = size;
    job->copies = copies;
    return job;
}

static struct wefti_job *job_new(bool copies)
{
    struct wefti_job *job = NULL;
    for (int i = 0; i < CACHED && !job; i++)
        job = __atomic_exchange_n(&cache[i], NULL, __ATOMIC_ACQUIRE); /* pairs with the release in wefti_job_free */
    return job ? job : job_map(copies);
}

void wefti_job_free(struct wefti_job *job)
{
    for (int i = 0; i < CACHED && !job->copies; i++) {
        struct wefti_job *empty = NULL;
        if (__atomic_compare_exchange_n(&cache[i], &empty, job, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            return;
    }
    munmap(job->mapping, job->size);
}

/* The stopper begins with all signals blocked: no handler of the host's may run in it. -1 with EAGAIN, ENOMEM. */
static int stopper_start(struct wefti_job *job, int *end)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    long pid = wefti_stopper_start(&job->stopper, job->copies ? NULL : job, end);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    job->pid = (pid_t)pid;
    errno = pid < 0 ? (int)-pid : errno;
    return pid < 0 ? -1 : 0;
}

static void stopper_reap(int end)
{
    siginfo_t info;
    while (syscall(SYS_waitid, P_PIDFD, end, &info, WEXITED | __WALL, NULL) != 0 && errno == EINTR)
        ;
    close(end);
}

/* Waits until the stopper has started the command or failed to; as a start without one does, it cannot be cancelled. */
static void stopper_await(struct wefti_stopper *stopper, int end)
{
    wefti_shield_raise();
    while (!__atomic_load_n(&stopper->started, __ATOMIC_ACQUIRE)) { /* pairs with the release in stopper_tell */
        struct wefti_item items[2] = {{.kind = WEFTI_DESCRIPTOR, .descriptor = stopper->told, .events = POLLIN},
            {.kind = WEFTI_DESCRIPTOR, .descriptor = end, .events = POLLIN}};
        if (wefti_wait_items(items, 2, WEFT_FOREVER) >= 0 && items[1].seen)
            break;
    }
    wefti_shield_lower();
    if (!__atomic_load_n(&stopper->started, __ATOMIC_ACQUIRE))
        stopper->error = EAGAIN; /* somebody killed it */
}

static int job_launch(struct wefti_job *job, int *end)
{
    struct wefti_stopper *stopper = &job->stopper;
    stopper->told = wefti_fails_with(EMFILE) ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stopper->told < 0)
        return -1;
    int failed = stopper_start(job, end);
    if (failed == 0)
        stopper_await(stopper, *end);
    int error = failed ? errno : stopper->error;
    close(stopper->told);
    if (failed == 0 && error)
        stopper_reap(*end);
    errno = error;
    return error ? -1 : 0;
}

struct wefti_job *wefti_job_start(const struct wefti_launch *launch, const struct wefti_job_limits *limits, pid_t *pid, int *end)
{
    struct wefti_job *job = job_new(launch->copies);
    if (!job)
        return NULL;
    struct wefti_launch here = *launch;
    here.with_parent = true;
    here.group = getpgrp();
    job->stopper = (struct wefti_stopper){
        .launch = &here, .host = getpid(), .stop_signal = limits->stop_signal, .deadline = limits->deadline, .grace = limits->grace};
    if (job_launch(job, end) != 0) {
        wefti_job_free(job);
        return NULL;
    }
    *pid = job->stopper.pid;
    return job;
}

void wefti_job_status(const struct wefti_job *job, struct weft_command_status *status)
{
    const struct wefti_stopper *stopper = &job->stopper;
    memset(status, 0, sizeof(*status));
    if (!__atomic_load_n(&stopper->ended, __ATOMIC_ACQUIRE)) {
        status->unknown = true;
        status->exitcode = -1;
        return;
    }
    status->exitcode = stopper->exitcode;
    status->dumped = stopper->dumped;
    status->timed_out = stopper->timed_out;
    wefti_status_usage(status, &stopper->usage);
}

weft_time wefti_job_end(const struct wefti_job *job)
{
    return job->stopper.ended ? job->stopper.end : weft_clock();
}

void wefti_job_stop(struct wefti_job *job, int end, bool at_once)
{
    uint32_t request = at_once ? WEFTI_STOP_NOW : WEFTI_STOP_GENTLY;
    uint32_t before = __atomic_load_n(&job->stopper.request, __ATOMIC_RELAXED);
    while (before < request &&
           !__atomic_compare_exchange_n(&job->stopper.request, &before, request, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
    wefti_raw_signal(end, job->pid, SIGUSR1); /* it has ended: then nothing is left to stop */
}

/* The number is opened first; if the command had not ended after that, it was the command's. */
int wefti_job_signal(struct wefti_job *job, int signal)
{
    long pidfd = wefti_raw(SYS_pidfd_open, job->stopper.pid, 0);
    long failed = pidfd < 0 ? pidfd : 0;
    if (__atomic_load_n(&job->stopper.ended, __ATOMIC_SEQ_CST))
        failed = -ESRCH;
    else if (failed == -ENOSYS) /* Valgrind */
        failed = wefti_raw(SYS_kill, job->stopper.pid, signal);
    else if (failed == 0)
        failed = wefti_raw_signal(pidfd, job->stopper.pid, signal);
    if (pidfd >= 0)
        close((int)pidfd);
    errno = failed < 0 ? (int)-failed : errno;
    return failed < 0 ? -1 : 0;
}
