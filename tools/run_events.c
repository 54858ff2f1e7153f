/* SPDX-License-Identifier: MIT */
/* See run_events.h. Who reads them may go away: then no more are written, and the run goes on. */
#include "run_events.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "complain.h"
#include "run_json.h"

int run_events_open(struct run_events *events, const char *path)
{
    events->fd = !path || strcmp(path, "-") == 0 ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)
                                                 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    if (events->fd >= 0)
        return 0;
    complain("cannot open %s: %s", path ? path : "standard error", strerror(errno));
    return -1;
}

static void events_failed(struct run_events *events, int error)
{
    if (error != EPIPE)
        complain("cannot write the progress lines: %s", strerror(error));
    close(events->fd);
    events->fd = -1;
}

static void events_write(struct run_events *events, struct text *line)
{
    text_add_string(line, "}\n");
    weft_with (&events->lock) {
        size_t done = 0;
        while (events->fd >= 0 && done < line->length) {
            ssize_t written = write(events->fd, line->at + done, line->length - done);
            if (written < 0 && errno != EINTR)
                events_failed(events, errno);
            done += written > 0 ? (size_t)written : 0;
        }
    }
    text_free(line);
}

static bool events_wanted(const struct run_events *events)
{
    return __atomic_load_n(&events->fd, __ATOMIC_RELAXED) >= 0;
}

static void add_total(struct text *line, uint64_t total)
{
    if (total)
        text_format(line, "\"total\": %" PRIu64, total);
    else
        text_add_string(line, "\"total\": null");
}

static void add_now(struct text *line)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    text_format(line, ", \"time\": %lld.%03ld", (long long)now.tv_sec, now.tv_nsec / 1000000);
}

void run_events_begin(struct run_events *events, unsigned slots, uint64_t total)
{
    struct text line = {0};
    if (!events_wanted(events))
        return;
    text_format(&line, "{\"event\": \"begin\", \"version\": 1, \"pid\": %d, \"slots\": %u, ", (int)getpid(), slots);
    add_total(&line, total);
    add_now(&line);
    events_write(events, &line);
}

void run_events_start(struct run_events *events, const struct run_job *job)
{
    struct text line = {0};
    if (!events_wanted(events))
        return;
    text_format(&line, "{\"event\": \"start\", \"seq\": %" PRIu64 ", \"slot\": %u, \"command\": ", job->sequence, job->slot);
    run_json_add_string(&line, text_span(&job->command));
    add_now(&line);
    events_write(events, &line);
}

void run_events_end(struct run_events *events, const struct run_job *job, const struct run_tally *tally, uint64_t running)
{
    struct text line = {0};
    if (!events_wanted(events))
        return;
    text_format(&line,
        "{\"event\": \"end\", \"seq\": %" PRIu64 ", \"slot\": %u, \"start\": %.3f, \"runtime\": %.3f, \"exitval\": %d, \"signal\": %d, ",
        job->sequence, job->slot, job->start, job->runtime, job->exitval, job->signal);
    text_format(&line,
        "\"stdout\": %" PRIu64 ", \"stderr\": %" PRIu64 ", \"running\": %" PRIu64 ", \"done\": %" PRIu64 ", \"failed\": %" PRIu64 ", ",
        job->received[0], job->received[1], running, tally->completed, tally->failed);
    add_total(&line, tally->total);
    events_write(events, &line);
}

void run_events_slots(struct run_events *events, unsigned slots)
{
    struct text line = {0};
    if (!events_wanted(events))
        return;
    text_format(&line, "{\"event\": \"slots\", \"slots\": %u", slots);
    events_write(events, &line);
}

void run_events_finish(struct run_events *events, const struct run_tally *tally, double seconds, int status)
{
    struct text line = {0};
    if (!events_wanted(events))
        return;
    text_format(&line, "{\"event\": \"finish\", \"done\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"seconds\": %.3f, \"status\": %d",
        tally->completed, tally->failed, seconds, status);
    events_write(events, &line);
    close(events->fd);
    events->fd = -1;
}
