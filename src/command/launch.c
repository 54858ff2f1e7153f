/* SPDX-License-Identifier: MIT */
/*
 * The child between clone and exec.
 *
 * The child shares all memory with this process, and the stack of the thread that launches, which the kernel suspends until the child has
 * executed or ended (CLONE_VM | CLONE_VFORK): nothing is copied, so a start costs the same however large this process is, and the child
 * tells what failed by writing it into memory. It has its own descriptors and signal dispositions. All signals are blocked from before the
 * clone until the child has made every disposition the default: no handler of the host's ever runs in it.
 *
 * The exit signal is none until exec makes it SIGCHLD: a child that fails before is seen by nobody but us, whatever the host does on
 * SIGCHLD.
 *
 * Emulators (Valgrind, qemu) make the child a real fork. Then memory is a copy, and what failed travels through a pipe; wefti_launch_copies
 * finds out.
 *
 * Raw code: see raw.h.
 */

#include "command/launch.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "base/memory.h"
#include "command/raw.h"

enum { LAST_SIGNAL = 64, FIRST_FREE = 3 };

/* The kernel's struct sigaction, all zero: the default, whatever the order of its fields. */
struct default_action {
    long words[4];
};

struct report {
    const struct wefti_launch *launch;
    volatile int error;
    int pipe[2]; /* -1: memory is shared */
};

static void signals_default(void)
{
    struct default_action action = {{0, 0, 0, 0}};
    for (int i = 1; i <= LAST_SIGNAL; i++)
        wefti_raw(SYS_rt_sigaction, i, &action, 0, sizeof(uint64_t)); /* SIGKILL and SIGSTOP refuse, which is as well */
}

static void mask_set(uint64_t mask, uint64_t *old)
{
    wefti_raw(SYS_rt_sigprocmask, SIG_SETMASK, &mask, old, sizeof(mask));
}

/* Tells the guardian. Then the host must still be alive: had it died before, the guardian may have looked already. */
static long child_enlist(const struct wefti_launch *launch)
{
    struct wefti_slot *slot = launch->slot;
    struct timespec now;
    wefti_raw(SYS_clock_gettime, CLOCK_BOOTTIME, &now);
    slot->until = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    __atomic_store_n(
        &slot->pid, (pid_t)wefti_raw(SYS_getpid), __ATOMIC_SEQ_CST); /* the guardian's load, after the host's death, pairs with it */
    return wefti_raw(SYS_getppid) == launch->host ? 0 : -ESRCH;
}

static long child_place(const struct wefti_launch *launch)
{
    long failed = 0;
    if (launch->with_parent)
        wefti_raw(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    if (launch->group)
        wefti_raw(SYS_setpgid, 0, launch->group); /* its leader may have gone: then it stays where it is */
    if (launch->new_session)
        failed = wefti_raw(SYS_setsid);
    else if (launch->new_group)
        failed = wefti_raw(SYS_setpgid, 0, 0);
    if (failed >= 0 && launch->nice) {
        long now = 20 - wefti_raw(SYS_getpriority, PRIO_PROCESS, 0);
        failed = wefti_raw(SYS_setpriority, PRIO_PROCESS, 0, now + launch->nice);
    }
    if (failed >= 0 && launch->directory)
        failed = wefti_raw(SYS_chdir, launch->directory);
    return failed;
}

/* Puts `from` at number `to`, to be kept by exec. */
static long stream_put(int from, int to)
{
    if (from == to)
        return wefti_raw(SYS_fcntl, to, F_SETFD, 0);
    return wefti_raw(SYS_dup3, from, to, 0);
}

/* A source below 3 that is not in its place would be overwritten: such are copied out of the way first. */
static long child_streams(const struct wefti_launch *launch)
{
    int from[3];
    long failed = 0;
    for (int i = 0; i < 3; i++) {
        from[i] = launch->streams[i];
        if (from[i] >= 0 && from[i] < FIRST_FREE && from[i] != i) {
            failed = wefti_raw(SYS_fcntl, from[i], F_DUPFD_CLOEXEC, FIRST_FREE);
            if (failed < 0)
                return failed;
            from[i] = (int)failed;
        }
    }
    for (int i = 0; i < 3 && failed >= 0; i++) {
        if (from[i] >= 0)
            failed = stream_put(from[i], i);
        else
            wefti_raw(SYS_fcntl, i, F_SETFD, 0); /* may be closed in the host: then it is here too */
    }
    return failed >= 0 && launch->merge ? stream_put(1, 2) : failed;
}

/* A file without a known format is a script, as execvp has it. */
static long script_execute(const struct wefti_launch *launch, const char *path)
{
    launch->script[0] = "/bin/sh";
    launch->script[1] = path;
    for (size_t i = 1; launch->argv[0] && (launch->script[i + 1] = launch->argv[i]); i++)
        ;
    return wefti_raw(SYS_execve, launch->script[0], launch->script, launch->environment);
}

/* Returns only with what failed: of several paths, that one was there and forbidden tells more than that others were not. */
static long child_execute(const struct wefti_launch *launch)
{
    long failed = -ENOENT;
    bool forbidden = false;
    for (const char *const *path = launch->paths; *path; path++) {
        failed = wefti_raw(SYS_execve, *path, launch->argv, launch->environment);
        if (failed == -ENOEXEC)
            failed = script_execute(launch, *path);
        if (failed == -EACCES)
            forbidden = true;
        else if (failed != -ENOENT && failed != -ENOTDIR && failed != -ENODEV && failed != -ESTALE && failed != -ETIMEDOUT)
            return failed;
    }
    return forbidden ? -EACCES : failed;
}

static long child_prepare(const struct wefti_launch *launch)
{
    signals_default();
    long failed = launch->slot ? child_enlist(launch) : 0;
    if (failed >= 0)
        failed = child_place(launch);
    if (failed >= 0)
        failed = child_streams(launch);
    if (failed >= 0)
        failed = wefti_raw(SYS_close_range, FIRST_FREE, ~0U, CLOSE_RANGE_CLOEXEC);
    return failed;
}

__attribute__((noinline)) static void child_run(struct report *report)
{
    long failed = child_prepare(report->launch);
    mask_set(0, NULL);
    if (failed >= 0)
        failed = child_execute(report->launch);
    int error = (int)-failed;
    report->error = error;
    if (report->pipe[1] >= 0)
        wefti_raw(SYS_write, report->pipe[1], &error, sizeof(error));
}

static long launch_clone(int *pidfd)
{
    return wefti_raw(SYS_clone, CLONE_VM | CLONE_VFORK | CLONE_PIDFD, 0, pidfd, 0, 0);
}

/*
 * The stack is shared: the child may write below this frame, and does not return from it. It calls, and does not jump to, child_run, so
 * that the frame stays whole for the parent.
 */
__attribute__((noinline)) static long report_clone(struct report *report, int *pidfd)
{
    long pid = launch_clone(pidfd);
    if (pid == 0) {
        child_run(report);
        wefti_raw_vanish();
    }
    return pid;
}

static void child_reap(int pidfd)
{
    siginfo_t info;
    while (wefti_raw(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | __WALL, 0) == -EINTR)
        ;
    wefti_raw(SYS_close, pidfd);
}

/* With a copy of memory: waits until the program runs (the pipe closes) or the child has said what failed. */
static void report_receive(struct report *report)
{
    int error = 0;
    long got;
    wefti_raw(SYS_close, report->pipe[1]);
    do
        got = wefti_raw(SYS_read, report->pipe[0], &error, sizeof(error));
    while (got == -EINTR);
    if (got == sizeof(error))
        report->error = error;
    wefti_raw(SYS_close, report->pipe[0]);
}

static int report_launch(struct report *report, struct wefti_launched *launched)
{
    uint64_t mask = 0;
    int pidfd = -1;
    mask_set(~UINT64_C(0), &mask);
    long pid = wefti_fails() ? -EAGAIN : report_clone(report, &pidfd);
    mask_set(mask, NULL);
    if (report->pipe[0] >= 0)
        report_receive(report);
    if (pid < 0)
        return (int)-pid;
    if (report->error) {
        child_reap(pidfd);
        return report->error;
    }
    launched->pid = (pid_t)pid;
    launched->pidfd = pidfd;
    return 0;
}

/* The writing end must not lie where a stream will be put. */
static long report_pipe(struct report *report)
{
    int ends[2];
    long failed = wefti_fails() ? -EMFILE : wefti_raw(SYS_pipe2, ends, O_CLOEXEC);
    if (failed < 0)
        return failed;
    long lifted = wefti_raw(SYS_fcntl, ends[1], F_DUPFD_CLOEXEC, FIRST_FREE);
    wefti_raw(SYS_close, ends[1]);
    if (lifted < 0) {
        wefti_raw(SYS_close, ends[0]);
        return lifted;
    }
    report->pipe[0] = ends[0];
    report->pipe[1] = (int)lifted;
    return 0;
}

int wefti_launch(const struct wefti_launch *launch, struct wefti_launched *launched)
{
    struct report report = {.launch = launch, .error = 0, .pipe = {-1, -1}};
    long failed = launch->copies ? report_pipe(&report) : 0;
    return failed < 0 ? (int)-failed : report_launch(&report, launched);
}

__attribute__((noinline)) static long probe_clone(volatile uint32_t *reached, int *pidfd)
{
    long pid = launch_clone(pidfd);
    if (pid == 0) {
        *reached = 1;
        wefti_raw_vanish();
    }
    return pid;
}

int wefti_launch_copies(void)
{
    volatile uint32_t reached = 0;
    uint64_t mask = 0;
    int pidfd = -1;
    mask_set(~UINT64_C(0), &mask);
    long pid = probe_clone(&reached, &pidfd);
    mask_set(mask, NULL);
    if (pid < 0)
        return -1;
    child_reap(pidfd);
    return !reached;
}
