/* SPDX-License-Identifier: MIT */
/*
 * The stopper: starts one command, waits for it, and stops it with everything that it started when its time is over, when the host asks, or
 * when the host has died.
 *
 * It is a subreaper: whoever among the command's descendants loses its parent becomes the stopper's child, also what called setsid, also a
 * daemon that forked twice. So the descendants of the stopper are exactly what the command started, and when the stopper has no child left
 * nothing of it is left. The host is never made a subreaper: it would be given the children of others.
 *
 * When the command ends by itself in time the stopper ends too, at once; what the command left behind goes where orphans go, and is left
 * alone.
 *
 * It shares the host's memory (nothing is copied) and nothing else: descriptors are closed, all signals are blocked; SIGCHLD and SIGUSR1
 * are read from a descriptor. It has a group of its own, so that a signal to the host's group does not reach it; the command is put back
 * into the host's group. Its exit signal is none: the host's SIGCHLD and waitpid(-1) know nothing of it. Should it be killed, the command
 * is killed by the kernel (PR_SET_PDEATHSIG, sound here: the stopper has one thread).
 *
 * Raw code: see raw.h.
 */

#include "command/stopper.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "base/memory.h"
#include "command/raw.h"
#include "command/tree.h"

static const weft_time RETRY = 50000000; /* after which a killed tree is looked at again */
static const weft_time LOOK = 200000000; /* without a descriptor of the host: whether it lives */

struct stopping {
    struct wefti_stopper *shared;
    struct wefti_tree tree;
    int host;    /* a pidfd; -1: there is none (Valgrind) */
    bool orphan; /* the host has died */
    int signals; /* a signalfd */
    bool alone;  /* no child is left */
};

static weft_time clock_now(void)
{
    struct timespec now;
    wefti_raw(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (weft_time)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint64_t signal_bit(int signal)
{
    return UINT64_C(1) << (signal - 1);
}

static long stopping_open_host(struct stopping *stopping)
{
    long descriptor = wefti_raw(SYS_pidfd_open, stopping->shared->host, 0);
    stopping->host = descriptor < 0 ? -1 : (int)descriptor;
    return descriptor == -ENOSYS ? 0 : descriptor;
}

/* What must be so before the command exists. 0 or minus an error number. */
static long stopping_open(struct stopping *stopping)
{
    long action[4] = {0, 0, 0, 0};
    uint64_t signals = signal_bit(SIGCHLD) | signal_bit(SIGUSR1);
    wefti_raw(SYS_rt_sigaction, SIGCHLD, action, 0, sizeof(uint64_t)); /* ignored by the host, children would leave no status */
    wefti_raw(SYS_setpgid, 0, 0);
    wefti_raw(SYS_prctl, PR_SET_NAME, "weft-stopper");
    long failed = wefti_raw(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1);
    if (failed >= 0)
        failed = stopping_open_host(stopping);
    if (failed >= 0 && wefti_raw(SYS_getppid) != stopping->shared->host)
        failed = -ESRCH; /* it died before it was opened: the number may be another's */
    if (failed >= 0 && wefti_fails())
        failed = -EMFILE;
    if (failed >= 0)
        failed = stopping->signals = (int)wefti_raw(SYS_signalfd4, -1, &signals, sizeof(signals), O_CLOEXEC | O_NONBLOCK);
    return failed;
}

static void descriptors_close(long from, long to)
{
    if (from <= to)
        wefti_raw(SYS_close_range, from, to, 0);
}

/* Nothing of the host's may be held: a pipe would never end. */
static void stopping_let_go(struct stopping *stopping)
{
    int low = stopping->host < stopping->signals ? stopping->host : stopping->signals;
    int high = stopping->host < stopping->signals ? stopping->signals : stopping->host;
    descriptors_close(0, low - 1);
    descriptors_close(low + 1, high - 1);
    descriptors_close(high + 1, (long)~0U);
    wefti_raw(SYS_chdir, "/");
}

/* Sleeps until a child ends, the host asks or dies, or the time comes. */
static void stopping_sleep(struct stopping *stopping, weft_time until)
{
    weft_time look = clock_now() + LOOK;
    if (stopping->host < 0 && look < until)
        until = look;
    struct pollfd polls[2] = {{.fd = stopping->signals, .events = POLLIN}, {.fd = stopping->host, .events = POLLIN}};
    weft_time left = until == WEFT_FOREVER ? 0 : until - clock_now();
    left = left < 0 ? 0 : left;
    struct timespec rest = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    wefti_raw(SYS_ppoll, polls, 2, until == WEFT_FOREVER ? NULL : &rest, NULL, 0);
    char infos[512];
    while (wefti_raw(SYS_read, stopping->signals, infos, sizeof(infos)) > 0)
        ;
    if (wefti_raw(SYS_getppid) == stopping->shared->host)
        return;
    stopping->orphan = true;
    if (stopping->host >= 0) /* it would end every sleep from now on */
        wefti_raw(SYS_close, stopping->host);
    stopping->host = -1;
}

/* `ended` comes before the number is given back, so that the host signals nobody else: it opens the number, then looks at `ended`. */
static void command_ended(struct wefti_stopper *shared, const siginfo_t *info)
{
    shared->exitcode = info->si_code == CLD_EXITED ? info->si_status : -info->si_status;
    shared->dumped = info->si_code == CLD_DUMPED;
    shared->end = clock_now();
    __atomic_store_n(&shared->ended, 1, __ATOMIC_SEQ_CST);
    siginfo_t again;
    wefti_raw(SYS_waitid, P_PID, shared->pid, &again, WEXITED | __WALL, &shared->usage);
}

static void children_reap(struct stopping *stopping)
{
    struct wefti_stopper *shared = stopping->shared;
    siginfo_t info;
    for (;;) {
        info.si_pid = 0;
        long failed = wefti_raw(SYS_waitid, P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL, 0);
        if (failed == -ECHILD)
            stopping->alone = true;
        if (failed < 0 || info.si_pid == 0)
            return;
        if (info.si_pid == shared->pid && !shared->ended)
            command_ended(shared, &info);
        else
            wefti_raw(SYS_waitid, P_PID, info.si_pid, &info, WEXITED | __WALL, 0);
    }
}

static uint32_t stopping_request(const struct stopping *stopping)
{
    return __atomic_load_n(&stopping->shared->request, __ATOMIC_ACQUIRE);
}

static void mark_children(struct wefti_tree *tree, void *data)
{
    const pid_t *self = data;
    for (size_t i = 0; i < tree->count; i++)
        tree->table[i].member = tree->table[i].parent == *self;
}

/* Waits until no child is left, the time comes, or there is reason to be quick. */
static void stopping_settle(struct stopping *stopping, weft_time until, uint32_t request)
{
    children_reap(stopping);
    while (!stopping->alone && clock_now() < until && !stopping->orphan && stopping_request(stopping) <= request) {
        stopping_sleep(stopping, until);
        children_reap(stopping);
    }
}

static void stopping_ask(struct stopping *stopping, pid_t *self)
{
    struct wefti_stopper *shared = stopping->shared;
    if (!wefti_tree_look(&stopping->tree, mark_children, self))
        return;
    wefti_tree_signal(&stopping->tree, shared->stop_signal);
    wefti_tree_signal(&stopping->tree, SIGCONT); /* what was stopped hears it only when it goes on */
    stopping_settle(stopping, clock_now() + shared->grace, WEFTI_STOP_GENTLY);
}

/* Ends every descendant. What is started between a look and the kill is found by the next. */
static void stopping_stop(struct stopping *stopping, bool gently)
{
    pid_t self = (pid_t)wefti_raw(SYS_getpid);
    if (gently)
        stopping_ask(stopping, &self);
    while (!stopping->alone) {
        wefti_tree_freeze(&stopping->tree, mark_children, &self);
        wefti_tree_signal(&stopping->tree, SIGKILL);
        weft_time until = clock_now() + RETRY;
        do {
            children_reap(stopping);
            if (!stopping->alone)
                stopping_sleep(stopping, until);
        } while (!stopping->alone && clock_now() < until);
    }
    wefti_tree_end(&stopping->tree);
}

/* Until the command ends, or is to be ended. */
static void stopping_watch(struct stopping *stopping)
{
    struct wefti_stopper *shared = stopping->shared;
    for (;;) {
        children_reap(stopping);
        if (shared->ended)
            return;
        uint32_t request = stopping_request(stopping);
        bool late = clock_now() >= shared->deadline;
        if (request || late || stopping->orphan) {
            shared->timed_out = late && !request;
            stopping_stop(stopping, request != WEFTI_STOP_NOW && !stopping->orphan);
            return;
        }
        stopping_sleep(stopping, shared->deadline);
    }
}

/* Tells the host that the start is over. */
static void stopper_tell(struct wefti_stopper *shared, int error)
{
    uint64_t one = 1;
    shared->error = error;
    __atomic_store_n(&shared->started, 1, __ATOMIC_RELEASE);
    wefti_raw(SYS_write, shared->told, &one, sizeof(one));
}

static int stopper_run(void *data)
{
    struct wefti_stopper *shared = data;
    struct stopping stopping = {.shared = shared, .host = -1, .signals = -1};
    struct wefti_launched launched;
    long failed = stopping_open(&stopping);
    int error = failed < 0 ? (int)-failed : wefti_launch(shared->launch, &launched);
    if (!error)
        shared->pid = launched.pid;
    stopper_tell(shared, error);
    if (error)
        return 0;
    stopping_let_go(&stopping);
    stopping_watch(&stopping);
    return 0;
}

long wefti_stopper_start(struct wefti_stopper *stopper, void *stack, int *pidfd)
{
    if (wefti_fails())
        return -EAGAIN;
    if (stack)
        return wefti_clone_onto(stack, CLONE_VM | CLONE_PIDFD, pidfd, NULL, stopper_run, stopper);
    long pid = wefti_raw(SYS_clone, CLONE_PIDFD, 0, pidfd, 0, 0);
    if (pid == 0) {
        stopper_run(stopper);
        wefti_raw_vanish();
    }
    return pid;
}
