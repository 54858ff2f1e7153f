/* SPDX-License-Identifier: MIT */
/* See run_joblog.h. A newline in a command is written as a zero, as GNU parallel does, so that a job is a line. */
#include "run_joblog.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "complain.h"

static const char joblog_head[] = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";
enum { JOBLOG_COMMAND = 8 }; /* tabs before the command */

/* FNV-1a, with newlines as they stand in the log; never 0. */
static uint64_t command_hash(struct span command)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < command.length; i++)
        hash = (hash ^ (unsigned char)(command.at[i] == '\n' ? '\0' : command.at[i])) * 1099511628211u;
    return hash ? hash : 1;
}

static void past_make_room(struct run_joblog_past *past, uint64_t sequence)
{
    if (sequence < past->room)
        return;
    size_t room = past->room ? past->room : 1024;
    while (room <= sequence)
        room *= 2;
    past->hashes = memory_resize(past->hashes, room * sizeof *past->hashes);
    past->done = memory_resize(past->done, room);
    memset(past->hashes + past->room, 0, (room - past->room) * sizeof *past->hashes);
    memset(past->done + past->room, 0, room - past->room);
    past->room = room;
}

static void past_add(struct run_joblog_past *past, uint64_t sequence, bool done, struct span command)
{
    past_make_room(past, sequence);
    past->hashes[sequence] = command_hash(command);
    past->count += done && !past->done[sequence];
    past->done[sequence] |= done;
    if (sequence > past->last)
        past->last = sequence;
}

/* Reads a line of the log, its newline taken off. False when it is none. */
static bool past_read_line(struct run_joblog_past *past, char *line, size_t length, bool failed_again)
{
    const char *fields[JOBLOG_COMMAND];
    char *at = line;
    for (int i = 0; i < JOBLOG_COMMAND; i++) {
        fields[i] = at;
        at = memchr(at, '\t', length - (size_t)(at - line));
        if (!at)
            return false;
        *at++ = '\0';
    }
    char *end, *exit_end, *signal_end;
    errno = 0;
    uint64_t sequence = strtoumax(fields[0], &end, 10);
    long exitval = strtol(fields[6], &exit_end, 10), ended_by = strtol(fields[7], &signal_end, 10);
    if (errno || *end || *exit_end || *signal_end || sequence == 0 || sequence > UINT32_MAX)
        return false;
    past_add(past, sequence, !failed_again || (exitval == 0 && ended_by == 0), (struct span){at, length - (size_t)(at - line)});
    return true;
}

/* Reads the whole log; *whole is how many octets of it are whole lines. False, having complained, when it is no joblog. */
static bool past_read(struct run_joblog_past *past, FILE *file, const char *path, bool failed_again, off_t *whole)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    bool fine = true;
    for (uint64_t number = 1; fine && (length = getline(&line, &room, file)) > 0 && line[length - 1] == '\n'; number++) {
        fine = number == 1 ? strcmp(line, joblog_head) == 0 : past_read_line(past, line, (size_t)length - 1, failed_again);
        if (!fine)
            complain("%s is not a joblog: line %" PRIu64 " is not understood", path, number);
        *whole += length;
    }
    if (fine && ferror(file)) {
        complain("cannot read the joblog %s: %s", path, strerror(errno));
        fine = false;
    }
    free(line);
    return fine;
}

static bool joblog_read_past(int fd, const char *path, bool failed_again, struct run_joblog_past *past, off_t *whole)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "r");
    if (!file) {
        complain("cannot read the joblog %s: %s", path, strerror(errno));
        return false;
    }
    bool fine = past_read(past, file, path, failed_again, whole);
    fclose(file);
    return fine;
}

static int joblog_add(int fd, const struct text *line)
{
    struct stat before;
    bool regular = fstat(fd, &before) == 0 && S_ISREG(before.st_mode);
    ssize_t written;
    do
        written = write(fd, line->at, line->length);
    while (written < 0 && errno == EINTR);
    if (written == (ssize_t)line->length)
        return 0;
    complain("cannot write to the joblog: %s", strerror(written < 0 ? errno : ENOSPC));
    /* A part of a line would be mended by --resume; better that there is none. */
    if (written > 0 && regular && ftruncate(fd, before.st_size) != 0)
        complain("the last line of the joblog is torn");
    return -1;
}

static int joblog_begin(int fd)
{
    struct text head = {0};
    text_add_string(&head, joblog_head);
    int written = joblog_add(fd, &head);
    text_free(&head);
    return written;
}

/* Reads the past of an open log, mends its end, and writes the head where there is none. */
static int joblog_resume(int fd, const char *path, enum run_joblog_mode mode, struct run_joblog_past *past)
{
    off_t whole = 0;
    if (mode != RUN_JOBLOG_APPEND && !joblog_read_past(fd, path, mode == RUN_JOBLOG_RESUME_FAILED, past, &whole))
        return -1;
    if (mode == RUN_JOBLOG_APPEND)
        whole = lseek(fd, 0, SEEK_END);
    else if (ftruncate(fd, whole) != 0 && errno != EINVAL) { /* EINVAL: a device, which has no end to mend */
        complain("cannot mend the joblog %s: %s", path, strerror(errno));
        return -1;
    }
    return whole == 0 ? joblog_begin(fd) : 0;
}

int run_joblog_open(const char *path, enum run_joblog_mode mode, struct run_joblog_past *past)
{
    *past = (struct run_joblog_past){0};
    int flags = mode == RUN_JOBLOG_NEW ? O_WRONLY | O_TRUNC : O_RDWR;
    int fd = open(path, flags | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) {
        complain("cannot open the joblog %s: %s", path, strerror(errno));
        return -1;
    }
    int ready = mode == RUN_JOBLOG_NEW ? joblog_begin(fd) : joblog_resume(fd, path, mode, past);
    if (ready != 0) {
        close(fd);
        run_joblog_forget(past);
        return -1;
    }
    return fd;
}

int run_joblog_look(const char *path, bool failed_again, struct run_joblog_past *past)
{
    *past = (struct run_joblog_past){0};
    off_t whole = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        complain("cannot open the joblog %s: %s", path, strerror(errno));
    bool fine = fd >= 0 && joblog_read_past(fd, path, failed_again, past, &whole);
    if (fd >= 0)
        close(fd);
    if (!fine)
        run_joblog_forget(past);
    return fine ? 0 : -1;
}

int run_joblog_write(int fd, const struct run_joblog_line *line)
{
    struct text text = {0};
    text_format(&text, "%" PRIu64 "\t:\t%.3f\t%10.3f\t%" PRIu64 "\t%" PRIu64 "\t%d\t%d\t", line->sequence, line->start, line->runtime,
        line->sent, line->received, line->exitval, line->signal);
    size_t from = text.length;
    text_add_span(&text, line->command);
    for (size_t i = from; i < text.length; i++)
        if (text.at[i] == '\n')
            text.at[i] = '\0';
    text_add_char(&text, '\n');
    int written = joblog_add(fd, &text);
    text_free(&text);
    return written;
}

bool run_joblog_is_done(const struct run_joblog_past *past, uint64_t sequence)
{
    return sequence < past->room && past->done[sequence];
}

bool run_joblog_differs(const struct run_joblog_past *past, uint64_t sequence, struct span command)
{
    return sequence < past->room && past->hashes[sequence] && past->hashes[sequence] != command_hash(command);
}

void run_joblog_forget(struct run_joblog_past *past)
{
    free(past->hashes);
    free(past->done);
    *past = (struct run_joblog_past){0};
}
