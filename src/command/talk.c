/* SPDX-License-Identifier: MIT */
/*
 * Talking to a command: its streams one by one, and all at once.
 *
 * This process's ends are made by Weft and do not block, so every step is: try, and wait only when there is nothing to do.
 *
 * Nobody may be left waiting for a background child that keeps the pipes open: once the command itself has ended, what its pipes hold at
 * that moment is taken, by count, and no more is waited for.
 *
 * Pipes begin with the size the kernel gives. One that is found full is made as large as an unprivileged program may: a command that says
 * little pays nothing for it, one that says much is not woken for each 64 KiB.
 */

#include "command/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "value/value.h"
#include "wait/wait.h"

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x00000100
#endif

#ifdef WEFTI_SMALL
enum { FIRST_ROOM = 16, PIPE_USUAL = 4096, PIPE_LARGE = 16384, SCRAP = 64, LEAP = 1 << 16 };
#else
enum { FIRST_ROOM = 4096, PIPE_USUAL = 65536, PIPE_LARGE = 1 << 20, SCRAP = 8192, LEAP = 64 << 20 };
#endif

/* write(2) that never raises SIGPIPE, where the kernel has no such flag: a SIGPIPE of our own is caught while it is blocked, one that was
 * pending stays. */
static ssize_t write_masked(int descriptor, const void *data, size_t length)
{
    sigset_t pipe, old, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe, &old);
    ssize_t done = write(descriptor, data, length);
    int saved = errno;
    if (done < 0 && saved == EPIPE && !sigismember(&pending, SIGPIPE)) {
        const struct timespec now = {0, 0};
        while (sigtimedwait(&pipe, NULL, &now) < 0 && errno == EINTR)
            ;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = saved;
    return done;
}

static ssize_t write_quietly(int descriptor, const void *data, size_t length)
{
    static uint32_t unknown; /* set once, by anybody: the kernel does not know the flag */
#ifdef WEFTI_SMALL
    static uint32_t turns; /* every other write as on an older kernel */
    if (__atomic_fetch_add(&turns, 1, __ATOMIC_RELAXED) % 2)
        return write_masked(descriptor, data, length);
#endif
    if (__atomic_load_n(&unknown, __ATOMIC_RELAXED))
        return write_masked(descriptor, data, length);
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = length};
    ssize_t done = pwritev2(descriptor, &part, 1, -1, RWF_NOSIGNAL);
    if (done >= 0 || (errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS))
        return done;
    __atomic_store_n(&unknown, 1, __ATOMIC_RELAXED);
    return write_masked(descriptor, data, length);
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EINTR;
}

static void stream_close(struct weft_command *command, int stream)
{
    int saved = errno;
    if (command->streams[stream] >= 0)
        close(command->streams[stream]);
    command->streams[stream] = -1;
    errno = saved;
}

static void capture_reset(struct wefti_capture *capture)
{
    weft_drop(capture->bytes);
    *capture = (struct wefti_capture){.bytes = weft_none};
}

void wefti_command_hush(struct weft_command *command)
{
    for (int i = 0; i < 3; i++)
        stream_close(command, i);
    for (int i = 0; i < 2; i++)
        capture_reset(&command->captures[i]);
}

/* The open end of a stream; -1 with EINVAL. */
static int stream_of(const struct weft_command *command, int stream, int first, int last)
{
    if (command && stream >= first && stream <= last && command->streams[stream] >= 0)
        return command->streams[stream];
    errno = EINVAL;
    return -1;
}

int weft_command_stream(weft_command *command, int stream)
{
    return stream_of(command, stream, 0, 2);
}

int weft_command_close(weft_command *command, int stream)
{
    if (stream_of(command, stream, 0, 2) < 0)
        return -1;
    stream_close(command, stream);
    return 0;
}

/* Waits until the stream can go on. 0, or -1 as the wait. */
static int stream_wait(int descriptor, short events, weft_time deadline)
{
    struct wefti_item item = {.kind = WEFTI_DESCRIPTOR, .descriptor = descriptor, .events = events};
    return wefti_wait_items(&item, 1, deadline) < 0 ? -1 : 0;
}

static int write_all(int descriptor, const char *data, size_t length, size_t *done, weft_time deadline)
{
    while (*done < length) {
        ssize_t went = write_quietly(descriptor, data + *done, length - *done);
        if (went > 0)
            *done += (size_t)went;
        else if (went < 0 && !would_block())
            return -1;
        else if (stream_wait(descriptor, POLLOUT, deadline) != 0)
            return -1;
    }
    return 0;
}

int weft_command_write(weft_command *command, const void *data, size_t length, size_t *written, weft_time deadline)
{
    int descriptor = stream_of(command, 0, 0, 0);
    if (descriptor < 0)
        return -1;
    size_t done = 0;
    int failed = write_all(descriptor, data, length, &done, deadline);
    if (written)
        *written = done;
    return failed;
}

ssize_t weft_command_read(weft_command *command, int stream, void *buffer, size_t size, weft_time deadline)
{
    int descriptor = stream_of(command, stream, 1, 2);
    if (descriptor < 0)
        return -1;
    for (;;) {
        ssize_t got = read(descriptor, buffer, size);
        if (got >= 0 || !would_block())
            return got;
        if (stream_wait(descriptor, POLLIN, deadline) != 0)
            return -1;
    }
}

static int capture_resize(struct wefti_capture *capture, size_t room)
{
    char *data = wefti_bytes_resize(&capture->bytes, room);
    if (!data)
        return -1;
    capture->data = data;
    capture->room = room;
    return 0;
}

/*
 * Large memory is touched in large pages, where the kernel gives them: touching it is most of what reading costs. All pages of the block
 * are told, from the one that its head is in: memory of which only a part was told cannot be moved by the kernel, and would be copied when
 * it grows.
 */
static void capture_advise(const struct wefti_capture *capture)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = (uintptr_t)capture->data & ~(page - 1);
    uintptr_t to = ((uintptr_t)capture->data + capture->room + page) & ~(page - 1);
    madvise((void *)from, to - from, MADV_HUGEPAGE);
}

/*
 * Room for at least one octet more. After the first MiB it is much more: memory that is not touched costs nothing, moving does, and the end
 * gives back what was not used.
 */
static int capture_reserve(struct wefti_capture *capture)
{
    if (capture->used < capture->room)
        return 0;
    if (capture->room < PIPE_LARGE)
        return capture_resize(capture, capture->room ? capture->room * 8 : FIRST_ROOM);
    if (capture->room >= LEAP || capture_resize(capture, LEAP) != 0)
        if (capture_resize(capture, capture->room * 2) != 0)
            return -1;
    capture_advise(capture);
    return 0;
}

/* Reads into the capture, at most `most` octets; over the limit what comes is dropped. As read(2); -1 with ENOMEM too. */
static ssize_t capture_read(struct wefti_capture *capture, int descriptor, size_t limit, size_t most)
{
    if (limit && capture->used >= limit) {
        char scrap[SCRAP];
        return read(descriptor, scrap, most < sizeof(scrap) ? most : sizeof(scrap));
    }
    if (capture_reserve(capture) != 0)
        return -1;
    size_t room = capture->room - capture->used;
    room = limit && limit - capture->used < room ? limit - capture->used : room;
    ssize_t got = read(descriptor, capture->data + capture->used, most < room ? most : room);
    if (got > 0)
        capture->used += (size_t)got;
    return got;
}

/* One read of stdout or stderr. Its end closes it. -1 with ENOMEM. */
static int stream_drink(struct weft_command *command, int stream)
{
    struct wefti_capture *capture = &command->captures[stream - 1];
    ssize_t got = capture_read(capture, command->streams[stream], command->capture_limit, SIZE_MAX / 2);
    if (got == PIPE_USUAL)
        fcntl(command->streams[stream], F_SETPIPE_SZ, PIPE_LARGE); /* refused: it stays as it is */
    if (got > 0 || (got < 0 && would_block()))
        return 0;
    if (got < 0 && errno == ENOMEM)
        return -1;
    stream_close(command, stream);
    return 0;
}

/* Takes what the stream holds now, and closes it. */
static int stream_drain(struct weft_command *command, int stream)
{
    int held = 0;
    ssize_t got = 1;
    if (command->streams[stream] < 0)
        return 0;
    ioctl(command->streams[stream], FIONREAD, &held);
    for (size_t left = (size_t)held; left > 0 && got > 0; left -= (size_t)got) {
        got = capture_read(&command->captures[stream - 1], command->streams[stream], command->capture_limit, left);
        if (got < 0 && errno == EINTR)
            got = 0;
        if (got < 0 && errno == ENOMEM)
            return -1;
    }
    stream_close(command, stream);
    return 0;
}

/* Writes what goes of the input. A reader that is gone, and the end of the input, close the stream. */
static void command_feed(struct weft_command *command, const char *data, size_t length)
{
    if (command->streams[0] < 0)
        return;
    if (command->fed == 0 && length > PIPE_USUAL)
        fcntl(command->streams[0], F_SETPIPE_SZ, PIPE_LARGE);
    ssize_t went = command->fed < length ? write_quietly(command->streams[0], data + command->fed, length - command->fed) : 0;
    if (went > 0)
        command->fed += (size_t)went;
    if (command->fed >= length || (went < 0 && !would_block()))
        stream_close(command, 0);
}

/* One step: waits for anything to do, and does all there is. 1 when the command has ended, 0, or -1. */
static int command_exchange(struct weft_command *command, const char *data, size_t length, weft_time deadline)
{
    struct wefti_item items[4];
    int streams[4];
    unsigned count = 0;
    for (int i = 0; i < 3; i++)
        if (command->streams[i] >= 0) {
            streams[count] = i;
            items[count++] =
                (struct wefti_item){.kind = WEFTI_DESCRIPTOR, .descriptor = command->streams[i], .events = i == 0 ? POLLOUT : POLLIN};
        }
    items[count] = (struct wefti_item){.kind = WEFTI_DESCRIPTOR, .descriptor = command->end, .events = POLLIN};
    if (wefti_wait_items(items, count + 1, deadline) < 0)
        return -1;
    if (items[count].seen && wefti_command_collect(command))
        return 1;
    for (unsigned i = 0; i < count; i++) {
        if (!items[i].seen)
            continue;
        if (streams[i] == 0)
            command_feed(command, data, length);
        else if (stream_drink(command, streams[i]) != 0)
            return -1;
    }
    return 0;
}

static int command_talk(struct weft_command *command, const char *data, size_t length, weft_time deadline)
{
    int ended = __atomic_load_n(&command->state, __ATOMIC_ACQUIRE) == WEFTI_ENDED;
    if (!ended)
        command_feed(command, data, length);
    while (ended == 0)
        ended = command_exchange(command, data, length, deadline);
    if (ended < 0)
        return -1;
    stream_close(command, 0);
    return stream_drain(command, 1) != 0 || stream_drain(command, 2) != 0 ? -1 : 0;
}

/* Cuts the bytes to what is in them; a stream that was a pipe and gave nothing has empty ones. */
static int capture_finish(struct weft_command *command, int stream)
{
    struct wefti_capture *capture = &command->captures[stream - 1];
    if (!(command->piped & 1U << stream) || (capture->data && capture->room == capture->used))
        return 0;
    return capture_resize(capture, capture->used);
}

static int command_values(struct weft_command *command, weft_value *output, weft_value *error)
{
    weft_value *outs[2] = {output, error};
    if (capture_finish(command, 1) != 0 || capture_finish(command, 2) != 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        if (outs[i]) {
            *outs[i] = command->captures[i].bytes;
            command->captures[i].bytes = weft_none;
        }
        capture_reset(&command->captures[i]);
    }
    return 0;
}

int weft_command_communicate(weft_command *command, weft_value input, weft_value *output, weft_value *error, weft_time deadline)
{
    bool given = !weft_is_none(input);
    if (!command || (given && weft_kind(input) != WEFT_STR && weft_kind(input) != WEFT_BYTES) || (given && !(command->piped & 1))) {
        errno = EINVAL;
        return -1;
    }
    const char *data = given ? weft_as_bytes(input) : NULL;
    if (command_talk(command, data, given ? weft_length(input) : 0, deadline) != 0)
        return -1;
    return command_values(command, output, error);
}
