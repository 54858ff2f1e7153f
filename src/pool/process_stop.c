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
 * asked for whom: these are taken for roots, too.
 */

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "command/tree.h"
#include "family/below.h"
#include "pool/stop.h"

enum { ROUNDS = 1000, REST = 1000000 /* ns */ };

static void member_mark(int32_t pid, void *tree)
{
    wefti_tree_enter(tree, pid, false);
}

static void root_mark(struct wefti_tree *tree, void *data)
{
    wefti_tree_enter(tree, *(int32_t *)data, false);
    wefti_below(*(int32_t *)data, member_mark, tree);
}

/* All below it, without itself. */
static void root_leave(struct wefti_tree *tree, int32_t pid)
{
    struct wefti_process *root = wefti_tree_find(tree, pid);
    if (root)
        root->member = false;
}

bool wefti_process_stop_tree(int32_t pid)
{
    struct wefti_tree tree = {0};
    if (pid <= 1)
        return true;
    if (kill(pid, SIGSTOP) != 0 && errno == EPERM)
        return false;
    for (int i = 0; i < ROUNDS && wefti_tree_freeze(&tree, root_mark, &pid); i++) {
        root_leave(&tree, pid);
        if (wefti_tree_living(&tree) == 0)
            break;
        wefti_tree_signal(&tree, SIGKILL);
        nanosleep(&(struct timespec){.tv_nsec = REST}, NULL);
    }
    wefti_tree_end(&tree);
    kill(pid, SIGKILL);
    return true;
}
