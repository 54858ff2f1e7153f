/* SPDX-License-Identifier: MIT */
/*
 * A buffer on either side of a descriptor. Each is one stretch of memory with what is in it from `start` to `end`; it grows when something
 * larger must be whole, and what is left moves to its front when there is no room behind it. So a call that fails leaves in the buffer what
 * had come, or what has not gone.
 *
 * The two sides share nothing: a reader and a writer need no order between them. fork: each has copies of the buffers; only one should use
 * them.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/options.h"
#include "net/io.h"
#include <weft/stream.h>

enum { BUFFER = 4096, MOST = 1 << 20, PRINTED = 256 };

struct side {
    char *octets;
    size_t start, end, room;
};

struct weft_stream {
    int descriptor;
    size_t buffer, most;
    struct side in, out;
    bool ended; /* there is no more input */
};

/* Makes room for `more` octets at the end. -1 with ENOMEM. */
static int side_reserve(struct side *side, size_t more, size_t least)
{
    size_t length = side->end - side->start;
    if (side->room - side->end >= more)
        return 0;
    if (length)
        memmove(side->octets, side->octets + side->start, length);
    side->start = 0;
    side->end = length;
    if (side->room - length >= more)
        return 0;
    size_t room = side->room * 2 > least ? side->room * 2 : least;
    room = room > length + more ? room : length + more;
    char *octets = wefti_realloc(side->octets, room);
    if (!octets)
        return -1;
    side->octets = octets;
    side->room = room;
    return 0;
}

static int complain_of_nothing(void)
{
    errno = EINVAL;
    return -1;
}

weft_stream *weft_stream_new_with(const struct weft_stream_options *options)
{
    struct weft_stream_options read;
    if (!wefti_options_read(&read, sizeof(read), options, offsetof(struct weft_stream_options, buffer)))
        return NULL;
    if (read.fd < 0) {
        complain_of_nothing();
        return NULL;
    }
    weft_stream *stream = wefti_alloc(sizeof(*stream));
    if (stream)
        *stream = (weft_stream){.descriptor = read.fd, .buffer = read.buffer ? read.buffer : BUFFER, .most = read.most ? read.most : MOST};
    return stream;
}

void weft_stream_free(weft_stream *stream)
{
    if (!stream)
        return;
    wefti_release(stream->in.octets);
    wefti_release(stream->out.octets);
    wefti_release(stream);
}

/* Reads some more into the buffer, which has at least `want` octets of room then: 1; 0: the input has ended; -1 with errno. */
static int stream_fill(weft_stream *stream, size_t want, weft_time deadline)
{
    struct side *in = &stream->in;
    if (stream->ended)
        return 0;
    if (side_reserve(in, want + 1, stream->buffer) != 0) /* a zero octet goes behind lines */
        return -1;
    ssize_t got = weft_read(stream->descriptor, in->octets + in->end, in->room - in->end - 1, deadline);
    if (got < 0)
        return -1;
    stream->ended = got == 0;
    in->end += (size_t)got;
    return got > 0;
}

ssize_t weft_stream_read(weft_stream *stream, void *buffer, size_t size, weft_time deadline)
{
    if (!stream || (!buffer && size))
        return complain_of_nothing();
    struct side *in = &stream->in;
    int more = 1;
    for (size_t have; more > 0 && (have = in->end - in->start) < size;)
        more = stream_fill(stream, size - have, deadline);
    if (more < 0)
        return -1;
    size_t have = in->end - in->start;
    size = have < size ? have : size;
    if (size)
        memcpy(buffer, in->octets + in->start, size);
    in->start += size;
    return (ssize_t)size;
}

int weft_stream_until(weft_stream *stream, char end, const char **octets, size_t *length, weft_time deadline)
{
    if (!stream || !octets || !length)
        return complain_of_nothing();
    struct side *in = &stream->in;
    for (size_t looked = 0;;) {
        size_t have = in->end - in->start;
        char *found = have > looked ? memchr(in->octets + in->start + looked, end, have - looked) : NULL;
        int more = found ? 0 : have >= stream->most ? (errno = EMSGSIZE, -1) : stream_fill(stream, 1, deadline);
        looked = have;
        if (more > 0)
            continue;
        if (more < 0 || have == 0)
            return more;
        *octets = in->octets + in->start;
        *length = found ? (size_t)(found + 1 - *octets) : have;
        in->start += *length;
        return 1;
    }
}

int weft_stream_line(weft_stream *stream, const char **line, size_t *length, weft_time deadline)
{
    int got = weft_stream_until(stream, '\n', line, length, deadline);
    if (got != 1)
        return got;
    char *text = stream->in.octets + (*line - stream->in.octets);
    if (text[*length - 1] == '\n') {
        --*length;
        if (*length > 0 && text[*length - 1] == '\r')
            --*length;
    }
    text[*length] = 0; /* over its end, or behind the last octet of the input, where there is room */
    return 1;
}

int weft_stream_flush(weft_stream *stream, weft_time deadline)
{
    if (!stream)
        return complain_of_nothing();
    struct side *out = &stream->out;
    while (out->start < out->end) {
        ssize_t put = weft_write(stream->descriptor, out->octets + out->start, out->end - out->start, deadline);
        if (put < 0)
            return -1;
        out->start += (size_t)put;
    }
    out->start = out->end = 0;
    return 0;
}

int weft_stream_write(weft_stream *stream, const void *octets, size_t size, weft_time deadline)
{
    if (!stream || (!octets && size))
        return complain_of_nothing();
    struct side *out = &stream->out;
    if (out->end - out->start + size > stream->buffer && weft_stream_flush(stream, deadline) != 0)
        return -1;
    if (side_reserve(out, size, stream->buffer) != 0)
        return -1;
    if (size)
        memcpy(out->octets + out->end, octets, size);
    out->end += size;
    return 0;
}

int weft_stream_print(weft_stream *stream, weft_time deadline, const char *format, ...)
{
    char few[PRINTED];
    va_list values, again;
    va_start(values, format);
    va_copy(again, values);
    int length = vsnprintf(few, sizeof(few), format, values);
    va_end(values);
    char *text = length < PRINTED ? few : wefti_alloc_raw((size_t)length + 1);
    int result = length < 0 || !text ? -1 : 0;
    if (result == 0 && text != few)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    if (result == 0)
        result = weft_stream_write(stream, text, (size_t)length, deadline);
    if (text != few)
        wefti_release(text);
    return result;
}
