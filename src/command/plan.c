/* SPDX-License-Identifier: MIT */
/*
 * From options to what the child needs: the child may not allocate, so every list, path and descriptor is made here before it exists. Small
 * lists, nearly all, fit into the plan itself.
 */

#include "command/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/streams.h"

enum { LAST_SIGNAL = 64, FILE_MODE = 0666 };

/* `size` octets that live as long as the plan; NULL with ENOMEM. */
static void *plan_take(struct wefti_plan *plan, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (size <= sizeof(plan->room) - plan->used) {
        plan->used += size;
        return plan->room + plan->used - size;
    }
    struct wefti_plan_block *block = wefti_alloc_raw(sizeof(*block) + size);
    if (!block)
        return NULL;
    block->next = plan->blocks;
    plan->blocks = block;
    return block->data;
}

static size_t list_length(const char *const *list)
{
    size_t length = 0;
    while (list && list[length])
        length++;
    return length;
}

/* argv, with the shell before it, and what a script will need. */
static int plan_arguments(struct wefti_plan *plan, const struct weft_command_options *options)
{
    size_t count = list_length(options->argv);
    plan->launch.argv = options->argv;
    if (options->shell) {
        const char **list = plan_take(plan, (count + 3) * sizeof(*list));
        if (!list)
            return -1;
        list[0] = "/bin/sh";
        list[1] = "-c";
        memcpy(list + 2, options->argv, (count + 1) * sizeof(*list));
        plan->launch.argv = list;
    }
    plan->launch.script = plan_take(plan, (count + 4) * sizeof(*plan->launch.script));
    return plan->launch.script ? 0 : -1;
}

/* Whether an entry "NAME=value" has the name of a change, "NAME=value" or "NAME". */
static bool entry_named(const char *entry, const char *change)
{
    size_t length = strcspn(change, "=");
    return strncmp(entry, change, length) == 0 && (entry[length] == '=' || entry[length] == 0);
}

static bool entry_changed(const char *entry, const char *const *changes)
{
    for (; *changes; changes++)
        if (entry_named(entry, *changes))
            return true;
    return false;
}

/* That of the options or of this process, with the changes on top; of several changes of one name the last counts. */
static int plan_environment(struct wefti_plan *plan, const struct weft_command_options *options)
{
    static const char *const nothing[] = {NULL};
    const char *const *base = options->environment ? options->environment : (const char *const *)environ;
    const char *const *changes = options->environment_add;
    plan->launch.environment = base ? base : nothing; /* clearenv leaves none */
    if (!changes)
        return 0;
    const char **list = plan_take(plan, (list_length(base) + list_length(changes) + 1) * sizeof(*list));
    if (!list)
        return -1;
    plan->launch.environment = list;
    for (; base && *base; base++)
        if (!entry_changed(*base, changes))
            *list++ = *base;
    for (; *changes; changes++)
        if (strchr(*changes, '=') && !entry_changed(*changes, changes + 1))
            *list++ = *changes;
    *list = NULL;
    return 0;
}

static const char *environment_path(const char *const *environment)
{
    for (; *environment; environment++)
        if (strncmp(*environment, "PATH=", 5) == 0)
            return *environment + 5;
    return "/bin:/usr/bin";
}

/* "directory/name"; a directory of no length is the present one. */
static char *candidate_write(char *text, const char *directory, size_t length, const char *name)
{
    memcpy(text, directory, length);
    if (length)
        text[length++] = '/';
    return stpcpy(text + length, name) + 1;
}

/* Every place where PATH may have it, one text after another. */
static int plan_search(struct wefti_plan *plan, const char *name, const char *search)
{
    size_t count = 1;
    for (const char *at = search; *at; at++)
        count += *at == ':';
    const char **paths = plan_take(plan, (count + 1) * sizeof(*paths));
    char *text = plan_take(plan, strlen(search) + count * (strlen(name) + 2));
    if (!paths || !text)
        return -1;
    plan->launch.paths = paths;
    for (; count > 0; count--) {
        size_t length = strcspn(search, ":");
        *paths++ = text;
        text = candidate_write(text, search, length, name);
        search += length + (count > 1);
    }
    *paths = NULL;
    return 0;
}

static int plan_paths(struct wefti_plan *plan, const char *name)
{
    if (name[0] && !strchr(name, '/'))
        return plan_search(plan, name, environment_path(plan->launch.environment));
    const char **paths = plan_take(plan, 2 * sizeof(*paths));
    if (!paths)
        return -1;
    paths[0] = name;
    paths[1] = NULL;
    plan->launch.paths = paths;
    return 0;
}

/* This process's end does not block; the child's does, as programs expect. */
static int stream_pipe(struct wefti_plan *plan, int stream)
{
    int ends[2];
    if (wefti_fails_with(EMFILE) || pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    int mine = stream == 0; /* which end */
    plan->theirs[stream] = ends[1 - mine];
    plan->ours[stream] = wefti_beside_streams(ends[mine]);
    return plan->ours[stream] < 0 ? -1 : fcntl(plan->ours[stream], F_SETFL, O_NONBLOCK | (mine ? O_WRONLY : O_RDONLY));
}

static int stream_open(struct wefti_plan *plan, int stream, const char *path, int flags)
{
    if (wefti_fails_with(EMFILE))
        return -1;
    plan->theirs[stream] = open(path, flags | O_CLOEXEC | O_NOCTTY, FILE_MODE);
    return plan->theirs[stream] < 0 ? -1 : 0;
}

static int plan_stream(struct wefti_plan *plan, const struct weft_redirection *stream, int number)
{
    int writes = O_WRONLY | O_CREAT | (stream->append ? O_APPEND : O_TRUNC);
    int failed = 0;
    if (stream->kind == WEFT_PIPE)
        failed = stream_pipe(plan, number);
    else if (stream->kind == WEFT_NULL)
        failed = stream_open(plan, number, "/dev/null", O_RDWR);
    else if (stream->kind == WEFT_FILE)
        failed = stream_open(plan, number, stream->path, number == 0 ? O_RDONLY : writes);
    plan->launch.streams[number] = stream->kind == WEFT_FD ? stream->fd : plan->theirs[number];
    if (stream->kind == WEFT_MERGE)
        plan->launch.merge = true;
    return failed;
}

static int plan_streams(struct wefti_plan *plan, const struct weft_command_options *options)
{
    if (plan_stream(plan, &options->standard_input, 0) != 0)
        return -1;
    if (plan_stream(plan, &options->standard_output, 1) != 0)
        return -1;
    return plan_stream(plan, &options->standard_error, 2);
}

static bool stream_valid(const struct weft_redirection *stream, int number)
{
    switch (stream->kind) {
    case WEFT_INHERIT:
    case WEFT_PIPE:
    case WEFT_NULL:
        return true;
    case WEFT_FILE:
        return stream->path != NULL;
    case WEFT_FD:
        return stream->fd >= 0;
    case WEFT_MERGE:
        return number == 2;
    }
    return false;
}

/* A duration: zero or more, no NaN. */
static bool seconds_valid(double seconds)
{
    return seconds >= 0;
}

static bool options_valid(const struct weft_command_options *options)
{
    return options->argv && options->argv[0] && stream_valid(&options->standard_input, 0) && stream_valid(&options->standard_output, 1) &&
           stream_valid(&options->standard_error, 2) && seconds_valid(options->time_limit) && seconds_valid(options->stop_grace) &&
           options->stop_signal >= 0 && options->stop_signal <= LAST_SIGNAL;
}

static int plan_fill(struct wefti_plan *plan, const struct weft_command_options *options)
{
    if (plan_arguments(plan, options) != 0 || plan_environment(plan, options) != 0)
        return -1;
    if (plan_paths(plan, plan->launch.argv[0]) != 0)
        return -1;
    return plan_streams(plan, options);
}

int wefti_plan_make(struct wefti_plan *plan, const struct weft_command_options *options)
{
    plan->used = 0;
    plan->blocks = NULL;
    plan->launch = (struct wefti_launch){
        .directory = options->directory, .new_session = options->new_session, .new_group = options->new_group, .nice = options->nice};
    for (int i = 0; i < 3; i++)
        plan->launch.streams[i] = plan->theirs[i] = plan->ours[i] = -1;
    if (!options_valid(options)) {
        errno = EINVAL;
        return -1;
    }
    if (plan_fill(plan, options) == 0)
        return 0;
    wefti_plan_end(plan);
    return -1;
}

static void descriptors_close(int *descriptors)
{
    for (int i = 0; i < 3; i++) {
        if (descriptors[i] >= 0)
            close(descriptors[i]);
        descriptors[i] = -1;
    }
}

void wefti_plan_end(struct wefti_plan *plan)
{
    int saved = errno;
    descriptors_close(plan->theirs);
    descriptors_close(plan->ours);
    while (plan->blocks) {
        struct wefti_plan_block *block = plan->blocks;
        plan->blocks = block->next;
        wefti_release(block);
    }
    errno = saved;
}
