/* SPDX-License-Identifier: MIT */
/*
 * Commands: starting, waiting, running to the end. The reading order of this floor: launch.c (the child), plan.c (what it is given), this
 * file, ending.c (how its end is learned), talk.c (its streams), then what stops trees: tree.c, stop.c; stopper.c and job.c (time limits);
 * guardian.c and guard.c (ends with us).
 */

#include "command/command.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "command/guard.h"
#include "command/job.h"
#include "command/plan.h"
#include "command/raw.h"
#include "wait/wait.h"

static const double GRACE = 0.5;

/* Whether memory is copied for a child, asked of the kernel until it has answered once; any thread would write the same. */
static bool memory_copies(void)
{
    static int known = -1;
    int copies = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (copies < 0) {
        copies = wefti_launch_copies();
        __atomic_store_n(&known, copies, __ATOMIC_RELAXED);
    }
    return copies > 0;
}

static weft_time seconds_nanoseconds(double seconds)
{
    return seconds < 9e9 ? (weft_time)(seconds * 1e9) : WEFT_FOREVER / 2;
}

static int command_launch(struct weft_command *command, struct wefti_launch *launch)
{
    struct wefti_launched launched;
    int error = wefti_launch(launch, &launched);
    if (error) {
        wefti_guard_leave(launch->slot);
        errno = error;
        return -1;
    }
    command->slot = launch->slot;
    command->pid = launched.pid;
    command->end = launched.pidfd;
    return 0;
}

static int command_begin(struct weft_command *command, struct wefti_launch *launch, const struct weft_command_options *options)
{
    launch->copies = memory_copies();
    launch->host = getpid();
    if (options->time_limit > 0) {
        struct wefti_job_limits limits = {weft_in(options->time_limit), command->stop_grace, command->stop_signal};
        command->job = wefti_job_start(launch, &limits, &command->pid, &command->end);
        return command->job ? 0 : -1;
    }
    if (options->end_with_us) {
        launch->slot = wefti_guard_enter(command->own_group, launch->copies);
        if (!launch->slot)
            return -1;
    }
    return command_launch(command, launch);
}

static struct weft_command *command_new(const struct weft_command_options *options)
{
    struct weft_command *command = wefti_alloc(sizeof(*command));
    if (!command)
        return NULL;
    command->end = -1;
    command->stop_signal = options->stop_signal ? options->stop_signal : SIGTERM;
    command->stop_grace = seconds_nanoseconds(options->stop_grace > 0 ? options->stop_grace : GRACE);
    command->own_group = options->new_group || options->new_session;
    command->capture_limit = options->capture_limit;
    command->started = weft_clock();
    return command;
}

/* What tells of the end. Where there is no room for another number it stays what it is. */
static void command_beside_streams(struct weft_command *command)
{
    int moved = command->end <= STDERR_FILENO ? fcntl(command->end, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) : -1;
    if (moved < 0)
        return;
    close(command->end);
    command->end = moved;
}

/* The plan's ends of pipes become the command's. */
static void command_adopt(struct weft_command *command, struct wefti_plan *plan)
{
    for (int i = 0; i < 3; i++) {
        command->streams[i] = plan->ours[i];
        plan->ours[i] = -1;
        if (command->streams[i] >= 0)
            command->piped |= 1U << i;
    }
}

/* The options as this library knows them, from a caller that may be older or newer. */
static void options_copy(struct weft_command_options *known, const struct weft_command_options *given)
{
    memset(known, 0, sizeof(*known));
    memcpy(known, given, given->size < sizeof(*known) ? given->size : sizeof(*known));
}

static struct weft_command *command_start(const struct weft_command_options *options)
{
    struct wefti_plan plan;
    if (wefti_plan_make(&plan, options) != 0)
        return NULL;
    struct weft_command *command = command_new(options);
    if (command && command_begin(command, &plan.launch, options) != 0) {
        wefti_release(command);
        command = NULL;
    }
    if (command) {
        command_beside_streams(command);
        command_adopt(command, &plan);
    }
    wefti_plan_end(&plan);
    return command;
}

weft_command *weft_command_start_with(const struct weft_command_options *options)
{
    struct weft_command_options known;
    if (!options) {
        errno = EINVAL;
        return NULL;
    }
    options_copy(&known, options);
    wefti_command_sweep();
    return command_start(&known);
}

pid_t weft_command_pid(const weft_command *command)
{
    return command->pid;
}

int weft_command_wait(weft_command *command, struct weft_command_status *status, weft_time deadline)
{
    if (wefti_command_join(command, deadline) != 0)
        return -1;
    if (status)
        *status = command->status;
    return 0;
}

int weft_command_signal(weft_command *command, int signal)
{
    if (wefti_command_collect(command)) {
        errno = signal < 0 || signal > 64 ? EINVAL : ESRCH;
        return -1;
    }
    if (command->job)
        return wefti_job_signal(command->job, signal);
    long failed = wefti_raw_signal(command->end, command->pid, signal);
    errno = failed < 0 ? (int)-failed : errno;
    return failed < 0 ? -1 : 0;
}

void weft_command_free(weft_command *command)
{
    if (!command)
        return;
    int saved = errno;
    wefti_command_hush(command);
    if (wefti_command_collect(command))
        wefti_command_destroy(command);
    else
        wefti_command_abandon(command);
    wefti_command_sweep();
    errno = saved;
}

/* Ends a command of which nothing may be left, whoever is cancelled. */
static void command_abort(struct weft_command *command)
{
    int saved = errno;
    wefti_shield_raise();
    weft_command_kill(command, WEFT_FOREVER);
    wefti_shield_lower();
    weft_command_free(command);
    errno = saved;
}

static int command_finish(struct weft_command *command, weft_value input, struct weft_command_result *result, weft_time deadline)
{
    struct weft_command_result got;
    if (weft_command_communicate(command, input, &got.output, &got.error, deadline) != 0) {
        command_abort(command);
        return -1;
    }
    got.status = command->status;
    weft_command_free(command);
    if (result) {
        *result = got;
    } else {
        weft_drop(got.output);
        weft_drop(got.error);
    }
    return 0;
}

static bool input_valid(weft_value input)
{
    return weft_is_none(input) || weft_kind(input) == WEFT_STR || weft_kind(input) == WEFT_BYTES;
}

int weft_command_run_with(const struct weft_command_options *options, struct weft_command_result *result)
{
    struct weft_command_options known = {.input = weft_none};
    if (options)
        options_copy(&known, options);
    if (!options || !input_valid(known.input)) {
        errno = EINVAL;
        return -1;
    }
    if (!weft_is_none(known.input))
        known.standard_input = (struct weft_redirection){.kind = WEFT_PIPE};
    if (result && known.standard_output.kind == WEFT_INHERIT)
        known.standard_output.kind = WEFT_PIPE;
    if (result && known.standard_error.kind == WEFT_INHERIT)
        known.standard_error.kind = WEFT_PIPE;
    wefti_command_sweep();
    struct weft_command *command = command_start(&known);
    return command ? command_finish(command, known.input, result, known.deadline) : -1;
}
