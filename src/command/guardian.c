/* SPDX-License-Identifier: MIT */
/*
 * The guardian: waits for the host's death, and then kills all commands that were to end with it, and what they started.
 *
 * It sees the table of commands because it shares the host's memory, which therefore outlives the host until it is done. It holds no
 * descriptor but a pidfd of the host, blocks all signals, and has its own session.
 *
 * What belongs to a command is seen by parent links, and where the command has a group or session of its own, by these. A process that left
 * both, and whose parent died before the host, is not found; a command with a time limit has a stopper, from which nothing gets away.
 *
 * When no command is written down any more it stays a moment, so that a host which runs one command after another needs one guardian, then
 * leaves. It is not woken for that: it looks from time to time, less and less often while nothing happens.
 *
 * Raw code: see raw.h.
 */

#include "command/guardian.h"

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

#ifdef WEFTI_SMALL
static const int64_t FIRST_LOOK = 10000000, LAST_LOOK = 100000000;
#else
static const int64_t FIRST_LOOK = 200000000, LAST_LOOK = 5000000000;
#endif
enum { TICK = 10000000 /* ns: the unit in which /proc tells a process's start */, KILL_LOOKS = 100, KILL_REST = 5000000 };

/* The start that /proc shows must lie where host and child saw it: the number may be another's by now. */
static bool slot_matches(const struct wefti_slot *slot, const struct wefti_process *process)
{
    return process->since >= (uint64_t)(slot->since / TICK) && process->since <= (uint64_t)(slot->until / TICK);
}

static void mark_slot(struct wefti_tree *tree, const struct wefti_slot *slot)
{
    pid_t pid = __atomic_load_n(&slot->pid, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) || !pid)
        return;
    const struct wefti_process *leader = wefti_tree_find(tree, pid);
    if (leader && !slot_matches(slot, leader))
        return;
    wefti_tree_enter(tree, pid, slot->own_group);
}

static void mark_commands(struct wefti_tree *tree, void *data)
{
    struct wefti_guard *guard = data;
    for (struct wefti_slots *slots = &guard->first; slots; slots = __atomic_load_n(&slots->next, __ATOMIC_ACQUIRE))
        for (int i = 0; i < WEFTI_SLOTS; i++)
            mark_slot(tree, &slots->slots[i]);
}

static void rest(int64_t nanoseconds)
{
    struct timespec time = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    wefti_raw(SYS_nanosleep, &time, 0);
}

/* The members of earlier looks are kept: an orphan of a killed parent is still known. */
static void guardian_avenge(struct wefti_guard *guard)
{
    struct wefti_tree tree = {.table = NULL};
    for (int i = 0; i < KILL_LOOKS; i++) {
        if (!wefti_tree_freeze(&tree, mark_commands, guard) || wefti_tree_living(&tree) == 0)
            break;
        wefti_tree_keep(&tree);
        wefti_tree_signal(&tree, SIGKILL);
        rest(KILL_REST);
    }
    wefti_tree_end(&tree);
}

/* True when the host has died. Without a descriptor (Valgrind) its number is looked at. */
static bool host_gone(const struct wefti_guardian *guardian, int64_t patience)
{
    struct pollfd polls = {.fd = guardian->host, .events = POLLIN};
    struct timespec time = {.tv_sec = patience / 1000000000, .tv_nsec = patience % 1000000000};
    if (guardian->host >= 0)
        return wefti_raw(SYS_ppoll, &polls, 1, &time, NULL, 0) == 1;
    rest(FIRST_LOOK);
    return wefti_raw(SYS_kill, guardian->guard->host, 0) == -ESRCH;
}

/* Nobody needs it: then nobody can come to rely on it from here on. */
static bool guardian_leave(struct wefti_guard *guard)
{
    uint32_t none = 0;
    return __atomic_compare_exchange_n(&guard->count, &none, WEFTI_GUARDIAN_GONE, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void guardian_watch(const struct wefti_guardian *guardian)
{
    struct wefti_guard *guard = guardian->guard;
    uint32_t entered = 0;
    int64_t patience = FIRST_LOOK;
    while (!host_gone(guardian, patience)) {
        uint32_t now = __atomic_load_n(&guard->entered, __ATOMIC_RELAXED);
        if (now == entered && guardian_leave(guard))
            return;
        patience = now != entered ? FIRST_LOOK : patience * 2 < LAST_LOOK ? patience * 2 : LAST_LOOK;
        entered = now;
    }
    guardian_avenge(guard);
}

static void descriptors_close(long from, long to)
{
    if (from <= to)
        wefti_raw(SYS_close_range, from, to, 0);
}

static int guardian_run(void *data)
{
    struct wefti_guardian *guardian = data;
    wefti_raw(SYS_setsid);
    wefti_raw(SYS_chdir, "/");
    wefti_raw(SYS_prctl, PR_SET_NAME, "weft-guardian");
    descriptors_close(0, guardian->host - 1);
    descriptors_close(guardian->host + 1, (long)~0U);
    guardian_watch(guardian);
    if (guardian->copies) /* the kernel sees no sharer whom it could tell */
        __atomic_store_n(&guardian->alive, 0, __ATOMIC_RELEASE);
    return 0;
}

static long guardian_clone(struct wefti_guardian *guardian)
{
    if (wefti_fails())
        return -EAGAIN;
    if (!guardian->copies)
        return wefti_clone_onto(guardian->stack, CLONE_VM | CLONE_CHILD_CLEARTID, NULL, &guardian->alive, guardian_run, guardian);
    long pid = wefti_raw(SYS_clone, 0, 0, 0, 0, 0);
    if (pid == 0) {
        guardian_run(guardian);
        wefti_raw_vanish();
    }
    return pid;
}

/* The process in between: while it is the host's child it can tell that the host it opens is the host. */
__attribute__((noinline)) static void between_run(struct wefti_guardian *guardian)
{
    long failed = wefti_raw(SYS_pidfd_open, guardian->guard->host, 0);
    guardian->host = failed < 0 ? -1 : (int)failed;
    failed = failed == -ENOSYS ? 0 : failed;
    if (failed >= 0 && wefti_raw(SYS_getppid) != guardian->guard->host)
        failed = -ESRCH;
    if (failed >= 0)
        failed = guardian_clone(guardian);
    guardian->error = failed < 0 ? (int)-failed : 0;
}

/* See report_clone in launch.c. */
__attribute__((noinline)) static long between_clone(struct wefti_guardian *guardian, int *pidfd)
{
    long pid = wefti_raw(SYS_clone, CLONE_VM | CLONE_VFORK | CLONE_PIDFD, 0, pidfd, 0, 0);
    if (pid == 0) {
        between_run(guardian);
        wefti_raw_vanish();
    }
    return pid;
}

int wefti_guardian_start(struct wefti_guardian *guardian)
{
    int pidfd = -1;
    guardian->error = EAGAIN;
    guardian->alive = 1;
    long pid = wefti_fails() ? -EAGAIN : between_clone(guardian, &pidfd);
    if (pid >= 0) {
        siginfo_t info;
        while (wefti_raw(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | __WALL, 0) == -EINTR)
            ;
        wefti_raw(SYS_close, pidfd);
    }
    int error = pid < 0 ? (int)-pid : guardian->error;
    if (error)
        guardian->alive = 0;
    return error;
}
