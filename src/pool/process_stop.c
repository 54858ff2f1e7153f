/* SPDX-License-Identifier: MIT */
/*
 * Killing a worker and all that it has started.
 *
 * A worker that runs tasks with time limits takes in what its descendants leave behind (PR_SET_CHILD_SUBREAPER), so all that a task has
 * started is below it, however often it has forked, and whatever session it is in. It is frozen first, then all below it is, until nothing
 * new is seen; that is killed, until nothing is left of it; the worker comes last, as long as it is there nothing can get away from below
 * it.
 *
 * A process that it has asked for (weft_spawn, a pool in the task) is the supervisor's child, and not below it. The family knows who has
 * asked for whom: these are taken for roots, too; what has been asked for and does not run yet never will (family/below.c). They take in
 * what their descendants leave behind, as it does.
 *
 * What runs as another user by now (a program with the set-user-id bit) is left, where the caller has no right to signal it; its children
 * are stopped if they may be.
 *
 * The worker is signalled through a descriptor that was opened before its seat was looked at again: the supervisor reaps a process after
 * its seat says that it is dead, so until then the number is nobody else's.
 */

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "command/tree.h"
#include "family/below.h"
#include "pool/stop.h"

enum { ROUNDS = 1000, REST = 1000000 /* ns */ };

struct stopped {
    uint64_t member;
    int32_t pid;
    int pidfd; /* -1: none could be had */
};

static void member_mark(int32_t pid, void *tree)
{
    wefti_tree_enter(tree, pid, false);
}

static void root_mark(struct wefti_tree *tree, void *data)
{
    const struct stopped *worker = data;
    wefti_tree_enter(tree, worker->pid, false);
    wefti_below_stop(worker->member, member_mark, tree);
}

/* All below it, without itself, and without those of other users, whom the caller cannot stop: nobody is to wait for them. */
static void others_leave(struct wefti_tree *tree, int32_t pid)
{
    for (size_t i = 0; i < tree->count; i++)
        if (tree->table[i].member && (tree->table[i].pid == pid || (kill(tree->table[i].pid, 0) != 0 && errno == EPERM)))
            tree->table[i].member = false;
}

static bool root_signal(const struct stopped *worker, int signal)
{
    long failed = worker->pidfd < 0 ? kill(worker->pid, signal) : syscall(SYS_pidfd_send_signal, worker->pidfd, signal, NULL, 0);
    return failed == 0 || errno != EPERM;
}

static void below_kill(struct stopped *worker)
{
    struct wefti_tree tree = {0};
    for (int i = 0; i < ROUNDS && wefti_tree_freeze(&tree, root_mark, worker); i++) {
        others_leave(&tree, worker->pid);
        if (wefti_tree_living(&tree) == 0)
            break;
        wefti_tree_signal(&tree, SIGKILL);
        nanosleep(&(struct timespec){.tv_nsec = REST}, NULL);
    }
    wefti_tree_end(&tree);
}

bool wefti_process_stop_tree(uint64_t member)
{
    struct stopped worker = {.member = member, .pid = wefti_below_pid(member)};
    if (worker.pid <= 1)
        return true;
    worker.pidfd = (int)syscall(SYS_pidfd_open, worker.pid, 0);
    bool lives = wefti_below_pid(member) != 0, may = !lives || root_signal(&worker, SIGSTOP);
    if (lives && may) {
        below_kill(&worker);
        root_signal(&worker, SIGKILL);
    }
    if (worker.pidfd >= 0)
        close(worker.pidfd);
    return may;
}
