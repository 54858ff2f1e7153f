/* SPDX-License-Identifier: MIT */
/*
 * See run_source.h. Items of the command line and the octets of a file go through one buffer and are cut at the delimiter alike, so that
 * an item with a newline in it counts as several, as GNU parallel has it (-0 keeps it whole).
 */
#include "run_source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "complain.h"
#include "run_spool.h"

enum { SOURCE_PIECE = 65536 };

static const char *source_label(const struct run_source *source)
{
    return strcmp(source->name->file, "-") == 0 ? "standard input" : source->name->file;
}

static int source_open_file(struct run_source *source)
{
    const char *file = source->name->file;
    source->fd = strcmp(file, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(file, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (source->fd < 0 || fstat(source->fd, &status) != 0) {
        complain("cannot open %s: %s", source_label(source), strerror(errno));
        return -1;
    }
    if (S_ISDIR(status.st_mode)) {
        complain("cannot read %s: %s", source_label(source), strerror(EISDIR));
        return -1;
    }
    source->start = S_ISREG(status.st_mode) ? lseek(source->fd, 0, SEEK_CUR) : -1;
    if (!source->options->rewinds || source->start >= 0)
        return 0;
    source->copy = run_spool_file(source->options->folder);
    return source->copy < 0 ? -1 : 0;
}

int run_source_open(struct run_source *source, const struct run_source_name *name, const struct run_input_options *options)
{
    *source = (struct run_source){.name = name, .options = options, .fd = -1, .copy = -1, .start = -1};
    return name->file ? source_open_file(source) : 0;
}

/* Waits until there is something to read. False when it is time to stop. */
static bool source_wait(const struct run_source *source)
{
    if (source->start >= 0)
        return true;
    struct pollfd ready[2] = {{.fd = source->fd, .events = POLLIN}, {.fd = source->options->stop, .events = POLLIN}};
    while (poll(ready, 2, -1) < 0)
        if (errno != EINTR && errno != EAGAIN)
            return true;
    return !ready[1].revents;
}

/* Reads a piece of the file to the end of the buffer: octets, 0 at the end, -1 with errno (EINTR: time to stop). */
static ssize_t source_read(struct run_source *source)
{
    text_reserve(&source->buffer, SOURCE_PIECE);
    char *to = source->buffer.at + source->buffer.length;
    if (source->replaying) {
        ssize_t again = read(source->copy, to, SOURCE_PIECE);
        if (again != 0)
            return again;
        source->replaying = false;
    }
    ssize_t length;
    do {
        if (!source_wait(source)) {
            errno = EINTR;
            return -1;
        }
        length = read(source->fd, to, SOURCE_PIECE);
    } while (length < 0 && (errno == EINTR || errno == EAGAIN));
    if (length > 0 && source->copy >= 0 && run_spool_write(source->copy, to, (size_t)length) != 0)
        return -1;
    return length;
}

/* Adds the next items of a list to the buffer. */
static ssize_t source_take_items(struct run_source *source)
{
    size_t before = source->buffer.length;
    while (source->at < source->name->count && source->buffer.length - before < SOURCE_PIECE) {
        text_add_string(&source->buffer, source->name->items[source->at++]);
        text_add(&source->buffer, source->options->delimiter, source->options->delimiter_length);
    }
    return (ssize_t)(source->buffer.length - before);
}

static enum run_input_got source_fill(struct run_source *source)
{
    if (source->taken) {
        source->buffer.length -= source->taken;
        memmove(source->buffer.at, source->buffer.at + source->taken, source->buffer.length);
        source->taken = 0;
    }
    ssize_t length = source->fd < 0 ? source_take_items(source) : source_read(source);
    if (length < 0) {
        if (errno == EINTR)
            return RUN_INPUT_STOPPED;
        complain("cannot read %s: %s", source_label(source), strerror(errno));
        return RUN_INPUT_FAILED;
    }
    if (source->fd >= 0)
        source->buffer.length += (size_t)length;
    source->at_end = length == 0;
    return RUN_INPUT_RECORD;
}

/* The value as a command line can carry it: a zero becomes \0, as GNU parallel has it. */
static struct span source_clean(struct run_source *source, struct span value)
{
    if (!value.length || !memchr(value.at, '\0', value.length))
        return value;
    if (!source->warned)
        complain("the input has NUL characters, which no argument can carry: each was replaced with \\0 (did you mean -0?)");
    source->warned = true;
    text_clear(&source->clean);
    for (size_t i = 0; i < value.length; i++)
        if (value.at[i])
            text_add_char(&source->clean, value.at[i]);
        else
            text_add_string(&source->clean, "\\0");
    return text_span(&source->clean);
}

/* Looks for the end of a value from `from` on; the rest of the buffer without a delimiter is a value when nothing will follow it. */
static bool source_cut(struct run_source *source, size_t from, struct span *value)
{
    struct text *buffer = &source->buffer;
    const char *start = text_string(buffer) + source->taken;
    const char *end =
        memmem(start + from, buffer->length - source->taken - from, source->options->delimiter, source->options->delimiter_length);
    if (!end && !(source->at_end && buffer->length > source->taken))
        return false;
    size_t length = end ? (size_t)(end - start) : buffer->length - source->taken;
    *value = (struct span){start, length};
    source->taken += end ? length + source->options->delimiter_length : length;
    return true;
}

static enum run_input_got source_next(struct run_source *source, struct span *value)
{
    size_t searched = 0;
    while (!source_cut(source, searched, value)) {
        if (source->at_end)
            return RUN_INPUT_END;
        size_t held = source->buffer.length - source->taken, overlap = source->options->delimiter_length - 1;
        searched = held > overlap ? held - overlap : 0;
        enum run_input_got got = source_fill(source);
        if (got != RUN_INPUT_RECORD)
            return got;
        if (source->at_end)
            searched = 0;
    }
    *value = source_clean(source, *value);
    return RUN_INPUT_RECORD;
}

static bool is_blank(struct span value)
{
    for (size_t i = 0; i < value.length; i++)
        if (!strchr(" \t", value.at[i]))
            return false;
    return true;
}

enum run_input_got run_source_next(struct run_source *source, struct span *value)
{
    enum run_input_got got;
    if (source->stopped)
        return RUN_INPUT_END;
    do
        got = source_next(source, value);
    while (got == RUN_INPUT_RECORD && source->options->skip_empty && is_blank(*value));
    if (got == RUN_INPUT_RECORD && source->options->end_text && span_equal(*value, span_of(source->options->end_text)))
        source->stopped = true;
    return source->stopped ? RUN_INPUT_END : got;
}

int run_source_rewind(struct run_source *source)
{
    int file = source->copy >= 0 ? source->copy : source->fd;
    source->at = 0;
    source->taken = 0;
    text_clear(&source->buffer);
    source->replaying = source->copy >= 0;
    source->at_end = source->stopped = false;
    if (file >= 0 && lseek(file, source->copy >= 0 ? 0 : source->start, SEEK_SET) < 0) {
        complain("cannot read %s again: %s", source_label(source), strerror(errno));
        return -1;
    }
    return 0;
}

void run_source_close(struct run_source *source)
{
    if (source->fd >= 0)
        close(source->fd);
    if (source->copy >= 0)
        close(source->copy);
    text_free(&source->buffer);
    text_free(&source->clean);
}
