/* SPDX-License-Identifier: MIT */
/*
 * A buffer on either side of a descriptor: so many octets, lines, whatever ends with a certain octet; and writes that go out together.
 *
 *     weft_stream *stream = weft_stream_new(fd);
 *     const char *line;
 *     size_t length;
 *     while (weft_stream_line(stream, &line, &length, weft_in(30)) == 1)
 *         weft_stream_write(stream, line, length, weft_in(30));
 *
 * A call that fails loses nothing: what had come is read by the next, what was written before stays in the buffer. What is written is sent
 * when the buffer is full, or by weft_stream_flush; a read does not send it. One task at a time may read from a stream and one write to it,
 * both at once. From any kind of task. Errors are those of weft_read and weft_write; EINVAL.
 */
#ifndef WEFT_STREAM_H
#define WEFT_STREAM_H

#include <sys/types.h>

#include <weft/base.h>

typedef struct weft_stream weft_stream;

struct weft_stream_options {
    size_t size; /* set by the macro */
    int fd;
    struct weft_guard *guard;
    size_t buffer; /* octets that each side has at first, and writes go out at; 0: 4096 */
    size_t most;   /* octets of a line and its like; 0: 1 MiB */
};

WEFT_BEGIN

/*
 * A stream of the descriptor, which stays the caller's and is to be open as long. weft_stream_new(fd, .buffer = ..., .most = ...). Its
 * buffers are made when they are needed. NULL with EINVAL, ENOMEM.
 */
WEFT_API weft_stream *weft_stream_new_with(const struct weft_stream_options *options) WEFT_WARN_UNUSED;
#define weft_stream_new(...) \
    weft_stream_new_with(&(struct weft_stream_options){.size = sizeof(struct weft_stream_options), .fd = __VA_ARGS__})
/* Ends it; NULL is allowed. What was not sent is lost. */
WEFT_API void weft_stream_free(weft_stream *stream);

/* `size` octets; fewer only at the end of the input, 0 when there were none. -1 with errno, also ENOMEM: they are read into the stream's
 * memory first. */
WEFT_API ssize_t weft_stream_read(weft_stream *stream, void *buffer, size_t size, weft_time deadline);

/*
 * What comes before and with the next `end`: 1, and *octets are `length` octets of the stream's, until its next read. What comes before the
 * end of the input without one is given, too. 0: the input has ended. -1 with errno, also EMSGSIZE: `most` octets are there without one.
 */
WEFT_API int weft_stream_until(weft_stream *stream, char end, const char **octets, size_t *length, weft_time deadline);

/* The next line without its end, "\n" or "\r\n"; otherwise as weft_stream_until. There is a zero octet behind it. */
WEFT_API int weft_stream_line(weft_stream *stream, const char **line, size_t *length, weft_time deadline);

/* Takes the octets. 0; -1 with errno: none was taken, as what is in the buffer could not be sent. */
WEFT_API int weft_stream_write(weft_stream *stream, const void *octets, size_t size, weft_time deadline);
/* The same of a text in the manner of printf. */
WEFT_API int weft_stream_print(weft_stream *stream, weft_time deadline, const char *format, ...) WEFT_PRINTF(3, 4);
/* Sends what is in the buffer. 0; -1 with errno: what was not sent is still there. */
WEFT_API int weft_stream_flush(weft_stream *stream, weft_time deadline);

WEFT_END

#endif
