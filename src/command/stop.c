/* SPDX-License-Identifier: MIT */
/*
 * Stopping a command and what it started, when the host asks for it.
 *
 * With a time limit there is a stopper, which does it exactly. Without, the host does it itself: it looks at all processes, stops (SIGSTOP)
 * the command's descendants until no running one is seen, so that none escapes by starting another or by losing its parent, and only then
 * signals them. Who belongs to the command is remembered from look to look, and from call to call: a call that ran out of time is gone on
 * with by the next.
 *
 * What had lost its parent before the first look is found only while it is in the command's own group or session (new_group, new_session);
 * so is what is started after the stop signal by a process that then ends.
 */

#include "command/command.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "command/job.h"
#include "wait/wait.h"

/* The command itself, whose number is its own as long as it has not been waited for, and its group and session. */
static void mark_command(struct wefti_tree *tree, void *data)
{
    struct weft_command *command = data;
    if (!wefti_command_collect(command)) /* after the look: so what had its number then was the command */
        wefti_tree_enter(tree, command->pid, command->own_group);
}

/* The same without a descriptor to wait for: by looking. Only where there is none (Valgrind). */
static int process_await_looking(const struct wefti_process *process, weft_time deadline)
{
    const weft_time pause = 5000000;
    deadline = wefti_deadline(deadline);
    while (wefti_process_lives(process)) {
        weft_time next = weft_clock() + pause;
        if (wefti_wait_items(NULL, 0, next < deadline ? next : deadline) < 0 && (errno != ETIMEDOUT || next >= deadline))
            return -1;
    }
    return 0;
}

/* Waits until the process has ended. 0, or -1 as the wait. */
static int process_await(const struct wefti_process *process, weft_time deadline)
{
    long descriptor = wefti_process_open(process);
    if (descriptor == -ENOSYS)
        return process_await_looking(process, deadline);
    if (descriptor < 0)
        return 0;
    struct wefti_item item = {.kind = WEFTI_DESCRIPTOR, .descriptor = (int)descriptor, .events = POLLIN};
    int waited;
    do
        waited = wefti_wait_items(&item, 1, deadline);
    while (waited >= 0 && !item.seen);
    int saved = errno;
    close((int)descriptor);
    errno = saved;
    return waited < 0 ? -1 : 0;
}

/* Waits until all that belonged to the command have ended, and the command itself has been waited for. */
static int tree_await(struct weft_command *command, weft_time deadline)
{
    for (size_t i = 0; i < command->tree.kept_count; i++)
        if (process_await(&command->tree.kept[i], deadline) != 0)
            return -1;
    return wefti_command_join(command, deadline);
}

/* Adds the living to those remembered. Errors as tree_await's, and ENOMEM. */
static int tree_remember(struct weft_command *command, bool looked)
{
    if (looked && wefti_tree_keep(&command->tree))
        return 0;
    errno = ENOMEM;
    return -1;
}

static int tree_ask(struct weft_command *command, weft_time deadline)
{
    struct wefti_tree *tree = &command->tree;
    weft_time patience = weft_clock() + command->stop_grace;
    if (!command->asked) { /* a call that goes on where another's time ran out does not ask again */
        int failed = tree_remember(command, wefti_tree_freeze(tree, mark_command, command));
        if (failed == 0)
            wefti_tree_signal(tree, command->stop_signal);
        wefti_tree_signal(tree, SIGCONT); /* what is stopped hears it only when it goes on */
        if (failed != 0)
            return -1;
        command->asked = patience;
    }
    return tree_await(command, deadline < command->asked ? deadline : command->asked);
}

static int tree_kill(struct weft_command *command, weft_time deadline)
{
    struct wefti_tree *tree = &command->tree;
    do {
        if (tree_remember(command, wefti_tree_freeze(tree, mark_command, command)) != 0)
            return -1;
        wefti_tree_signal(tree, SIGKILL);
        if (tree_await(command, deadline) != 0)
            return -1;
        if (!wefti_tree_look(tree, mark_command, command))
            return tree_remember(command, false);
    } while (wefti_tree_living(tree) > 0);
    return 0;
}

static int tree_stop(struct weft_command *command, bool gently, weft_time deadline)
{
    if (wefti_command_collect(command) && command->tree.kept_count == 0)
        return 0; /* it ended by itself; what it left behind is left alone */
    if (gently && tree_ask(command, deadline) != 0 && (errno == ECANCELED || errno == ENOMEM || deadline <= weft_clock()))
        return -1;
    return tree_kill(command, deadline);
}

static int command_stop(struct weft_command *command, bool gently, weft_time deadline)
{
    if (command->job) {
        if (!wefti_command_collect(command))
            wefti_job_stop(command->job, command->end, !gently);
        return wefti_command_join(command, deadline);
    }
    uint32_t free = 0;
    while (!__atomic_compare_exchange_n(&command->stopping, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        free = 0;
        if (weft_wait(&command->stopping, 1, deadline) != 0)
            return -1;
    }
    int failed = tree_stop(command, gently, deadline);
    int saved = errno;
    __atomic_store_n(&command->stopping, 0, __ATOMIC_RELEASE);
    weft_wake(&command->stopping, 1);
    errno = saved;
    return failed;
}

int weft_command_terminate(weft_command *command, weft_time deadline)
{
    return command_stop(command, true, deadline);
}

int weft_command_kill(weft_command *command, weft_time deadline)
{
    return command_stop(command, false, deadline);
}
