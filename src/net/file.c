/* SPDX-License-Identifier: MIT */
/*
 * What is no socket: pipes, terminals, files; and what takes time that nobody can wait for by poll(2).
 *
 * A read is tried with RWF_NOWAIT, which does not wait for pipes nor for disks. What does not know that word is asked by poll(2) first. A
 * regular file that is not in memory, and all writes to one, a helper does for those whose thread has others to run (weft_offload): with a
 * duplicate of the descriptor, and memory of the job's own, since the caller may have left long before it is done.
 *
 * A job has two holders, the caller and the helper; who lets go last ends it, and what it has brought that nobody took. The helper writes
 * the result before it lets go, and the caller reads it after weft_offload has returned 0, which orders the two.
 *
 * SIGPIPE: RWF_NOSIGNAL where the kernel knows that (Linux 6.18); else the signal is blocked in this thread around the call, and taken back
 * if the call made it.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "net/io.h"
#include <weft/coroutine.h>

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x00000100
#endif

enum { JOB_MOST = 1 << 20 };

struct job {
    uint32_t holders;
    void (*work)(struct job *job);
    int descriptor; /* a duplicate, or -1 */
    int flags;      /* of open */
    mode_t mode;    /* of open */
    off_t offset;   /* -1: where the file stands */
    ssize_t result;
    int error; /* errno */
    struct addrinfo hints, *found;
    char *node, *service; /* in `octets`, or NULL */
    socklen_t length;     /* of the address in `octets` */
    int opened;           /* what open gave, until it is taken; -1 */
    size_t size;
    char octets[];
};

static void job_let_go(struct job *job)
{
    if (__atomic_sub_fetch(&job->holders, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    int error = errno;
    if (job->descriptor >= 0)
        close(job->descriptor);
    if (job->opened >= 0)
        close(job->opened);
    if (job->found)
        freeaddrinfo(job->found);
    wefti_release(job);
    errno = error;
}

/* A job with room for so many octets. NULL with ENOMEM, EMFILE, EBADF. */
static struct job *job_new(void (*work)(struct job *job), int descriptor, size_t size)
{
    struct job *job = wefti_alloc(sizeof(*job) + size);
    if (!job)
        return NULL;
    *job = (struct job){.holders = 1, .work = work, .descriptor = -1, .opened = -1, .size = size, .offset = -1};
    if (descriptor >= 0 && (wefti_fails_with(EMFILE) || (job->descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)) < 0)) {
        job_let_go(job);
        return NULL;
    }
    return job;
}

/* No signal of the program's is to end a connect(2) or a look-up in the midst: what began cannot be begun again. */
static weft_value job_main(weft_value argument)
{
    struct job *job = weft_as_ptr(argument);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    job->work(job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    job_let_go(job);
    return weft_none;
}

/* Has it done. 0: it is; -1 with errno: nobody waits for it any more. */
static int job_run(struct job *job, weft_time deadline)
{
    job->holders = 2;
    if (weft_offload(job_main, weft_ptr(job), NULL, deadline) == 0)
        return 0;
    if (errno != ETIMEDOUT && errno != ECANCELED) /* it never began */
        job->holders = 1;
    return -1;
}

/* The same, and lets go: the result of the work, or -1. */
static ssize_t job_result(struct job *job, weft_time deadline)
{
    ssize_t result = -1;
    if (job_run(job, deadline) == 0) {
        result = job->result;
        errno = job->error ? job->error : errno;
    }
    job_let_go(job);
    return result;
}

static void job_done(struct job *job, ssize_t result)
{
    job->result = result;
    job->error = result < 0 ? errno : 0;
}

static void read_work(struct job *job)
{
    ssize_t got;
    do
        got = job->offset < 0 ? read(job->descriptor, job->octets, job->size) : pread(job->descriptor, job->octets, job->size, job->offset);
    while (got < 0 && errno == EINTR);
    job_done(job, got);
}

static void write_work(struct job *job)
{
    ssize_t put;
    do
        put =
            job->offset < 0 ? write(job->descriptor, job->octets, job->size) : pwrite(job->descriptor, job->octets, job->size, job->offset);
    while (put < 0 && errno == EINTR);
    job_done(job, put);
}

static size_t parts_length(const struct iovec *parts, int count)
{
    size_t size = 0;
    for (int i = 0; i < count && size < JOB_MOST; i++)
        size += parts[i].iov_len;
    return size < JOB_MOST ? size : JOB_MOST;
}

/* Copies `size` octets between the parts and one stretch of them. */
static void parts_move(const struct iovec *parts, char *octets, size_t size, bool into_parts)
{
    for (size_t step; size > 0; parts++, octets += step, size -= step) {
        step = parts->iov_len < size ? parts->iov_len : size;
        if (into_parts)
            memcpy(parts->iov_base, octets, step);
        else
            memcpy(octets, parts->iov_base, step);
    }
}

static ssize_t elsewhere_read(int descriptor, const struct iovec *parts, int count, off_t offset, weft_time deadline)
{
    struct job *job = job_new(read_work, descriptor, parts_length(parts, count));
    if (!job)
        return -1;
    job->offset = offset;
    ssize_t got = -1;
    if (job_run(job, deadline) == 0) {
        got = job->result;
        errno = job->error ? job->error : errno;
        if (got > 0)
            parts_move(parts, job->octets, (size_t)got, true);
    }
    job_let_go(job);
    return got;
}

static ssize_t elsewhere_write(int descriptor, const struct iovec *parts, int count, off_t offset, weft_time deadline)
{
    struct job *job = job_new(write_work, descriptor, parts_length(parts, count));
    if (!job)
        return -1;
    job->offset = offset;
    parts_move(parts, job->octets, job->size, false);
    return job_result(job, deadline);
}

/* Whether it is a file that takes its time, and for which poll(2) knows no waiting. */
static bool is_file(int descriptor)
{
    struct stat about;
    return fstat(descriptor, &about) == 0 && (S_ISREG(about.st_mode) || S_ISBLK(about.st_mode) || S_ISDIR(about.st_mode));
}

static bool not_known(int error)
{
    return error == EOPNOTSUPP || error == EINVAL || error == ENOSYS || error == ESPIPE;
}

/* A try to read that needed a disk. */
static ssize_t disk_read(int descriptor, const struct iovec *parts, int count, off_t offset, weft_time deadline)
{
    if (!wefti_io_may_block())
        return elsewhere_read(descriptor, parts, count, offset, deadline);
    return offset < 0 ? readv(descriptor, parts, count) : preadv(descriptor, parts, count, offset);
}

ssize_t wefti_file_read(int descriptor, const struct iovec *parts, int count, weft_time deadline)
{
    ssize_t got = preadv2(descriptor, parts, count, -1, RWF_NOWAIT);
    if (got >= 0 || (errno != EAGAIN && !not_known(errno)))
        return got;
    int error = errno;
    if (is_file(descriptor))
        return disk_read(descriptor, parts, count, -1, deadline);
    if (error != EAGAIN && wefti_io_is_ready(descriptor, POLLIN))
        return readv(descriptor, parts, count);
    errno = EAGAIN;
    return -1;
}

/* writev of at most `most` octets without SIGPIPE. */
static ssize_t quiet_write(int descriptor, const struct iovec *parts, int count, size_t most)
{
    struct iovec first = {.iov_base = parts[0].iov_base, .iov_len = parts[0].iov_len < most ? parts[0].iov_len : most};
    sigset_t pipe, before, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    sigpending(&pending);
    ssize_t put = most == SIZE_MAX ? writev(descriptor, parts, count) : writev(descriptor, &first, 1);
    int error = errno;
    if (put < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE))
        sigtimedwait(&pipe, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return put;
}

ssize_t wefti_file_write(int descriptor, const struct iovec *parts, int count, weft_time deadline)
{
    if (count <= 0)
        return writev(descriptor, parts, count);
    ssize_t put = pwritev2(descriptor, parts, count, -1, RWF_NOWAIT | RWF_NOSIGNAL);
    if (put >= 0 || (errno != EAGAIN && !not_known(errno)))
        return put;
    int error = errno;
    if (is_file(descriptor))
        return wefti_io_may_block() ? quiet_write(descriptor, parts, count, SIZE_MAX)
                                    : elsewhere_write(descriptor, parts, count, -1, deadline);
    while (parts[0].iov_len == 0 && count > 1)
        parts++, count--;
    if (error != EAGAIN && wefti_io_is_ready(descriptor, POLLOUT))
        return quiet_write(descriptor, parts, count, PIPE_BUF); /* for which a pipe that is ready has room */
    errno = EAGAIN;
    return -1;
}

ssize_t weft_pread(int fd, void *buffer, size_t size, off_t offset, weft_time deadline)
{
    struct iovec part = {.iov_base = buffer, .iov_len = size};
    if (offset < 0) {
        errno = EINVAL;
        return -1;
    }
    ssize_t got = preadv2(fd, &part, 1, offset, RWF_NOWAIT);
    if (got >= 0 || (errno != EAGAIN && !not_known(errno)))
        return got;
    if (errno == ESPIPE)
        return -1;
    do
        got = disk_read(fd, &part, 1, offset, deadline);
    while (got < 0 && errno == EINTR);
    return got;
}

ssize_t weft_pwrite(int fd, const void *octets, size_t size, off_t offset, weft_time deadline)
{
    struct iovec part = {.iov_base = (void *)octets, .iov_len = size};
    if (offset < 0) {
        errno = EINVAL;
        return -1;
    }
    if (!wefti_io_may_block())
        return elsewhere_write(fd, &part, 1, offset, deadline);
    ssize_t put;
    do
        put = pwrite(fd, octets, size, offset);
    while (put < 0 && errno == EINTR);
    return put;
}

static void open_work(struct job *job)
{
    do
        job->opened = open(job->octets, job->flags, job->mode);
    while (job->opened < 0 && errno == EINTR);
    job_done(job, job->opened);
}

int weft_open(const char *path, int flags, mode_t mode, weft_time deadline)
{
    if (!path) {
        errno = EFAULT;
        return -1;
    }
    size_t length = strlen(path) + 1;
    struct job *job = wefti_fails_with(EMFILE) ? NULL : job_new(open_work, -1, length);
    if (!job)
        return -1;
    memcpy(job->octets, path, length);
    job->flags = flags | O_CLOEXEC;
    job->mode = mode;
    int opened = -1;
    if (wefti_io_may_block())
        open_work(job);
    if (wefti_io_may_block() || job_run(job, deadline) == 0) {
        opened = job->opened;
        job->opened = -1;
        errno = job->error ? job->error : errno;
    }
    job_let_go(job);
    return opened;
}

static void connect_work(struct job *job)
{
    job_done(job, connect(job->descriptor, (const struct sockaddr *)(const void *)job->octets, job->length));
}

int wefti_connect_elsewhere(int descriptor, const struct sockaddr *address, socklen_t length, weft_time deadline)
{
    struct job *job = job_new(connect_work, descriptor, length);
    if (!job)
        return -1;
    memcpy(job->octets, address, length);
    job->length = length;
    return (int)job_result(job, deadline);
}

static void names_work(struct job *job)
{
    job->result = getaddrinfo(job->node, job->service, &job->hints, &job->found);
    job->error = errno;
}

/* Puts a text into the job at *used, and says where it is. */
static char *job_text(struct job *job, const char *text, size_t *used)
{
    if (!text)
        return NULL;
    char *copy = memcpy(job->octets + *used, text, strlen(text) + 1);
    *used += strlen(text) + 1;
    return copy;
}

static int names_elsewhere(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found, weft_time deadline)
{
    size_t used = 0;
    struct job *job = job_new(names_work, -1, (node ? strlen(node) + 1 : 0) + (service ? strlen(service) + 1 : 0));
    if (!job)
        return EAI_MEMORY;
    job->hints = *hints;
    job->node = job_text(job, node, &used);
    job->service = job_text(job, service, &used);
    int result = EAI_SYSTEM;
    if (job_run(job, deadline) == 0) {
        result = (int)job->result;
        errno = job->error;
        if (result == 0)
            *found = job->found;
        job->found = result == 0 ? NULL : job->found;
    }
    job_let_go(job);
    return result;
}

int weft_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found, weft_time deadline)
{
    struct addrinfo numbers = hints ? *hints : (struct addrinfo){.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG};
    struct addrinfo names = numbers;
    numbers.ai_flags |= AI_NUMERICHOST;
    int result = getaddrinfo(node, service, &numbers, found);
    if (result != EAI_NONAME || !node || (names.ai_flags & AI_NUMERICHOST))
        return result;
    return names_elsewhere(node, service, &names, found, deadline);
}
