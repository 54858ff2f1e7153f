/* SPDX-License-Identifier: MIT */
/*
 * Sleeps, and what a helper thread waits for: names, the ends of threads and children.
 *
 * A sleep that is cancelled ends with ECANCELED, not with EINTR: who begins again after an interruption would never end.
 */

#include "patch/patch.h"

#include <errno.h>
#include <sys/syscall.h>

#include <weft/task.h>

/* Sleeps until the deadline: 0; an errno number. Whatever comes of it, others have had their turn. */
static int sleep_patched(weft_time deadline)
{
    int error = errno;
    if (deadline <= WEFT_NOW) {
        weft_yield();
        return 0;
    }
    int failed = weft_sleep_until(deadline) == 0 ? 0 : errno;
    if (failed)
        weft_yield();
    errno = error;
    return failed;
}

static struct timespec time_left(weft_time deadline)
{
    weft_time left = deadline - weft_clock();
    left = left > 0 ? left : 0;
    return (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
}

/* A sleep of a span; what is left of it, when it ends too early, is written to *left (NULL: is not). 0, or an errno number. */
static int sleep_span(const struct timespec *span, struct timespec *left)
{
    weft_time deadline = wefti_patch_after(span->tv_sec, span->tv_nsec);
    int failed = sleep_patched(deadline);
    if (failed && left)
        *left = time_left(deadline);
    return failed;
}

/* The clock may be set meanwhile: it is looked at again. */
static int sleep_to_moment(clockid_t clock, const struct timespec *moment)
{
    weft_time deadline;
    while ((deadline = wefti_patch_moment(clock, moment)) != WEFT_NOW) {
        int failed = sleep_patched(deadline);
        if (failed)
            return failed;
    }
    return 0;
}

struct lookup {
    const char *name, *service;
    const struct addrinfo *hints;
    struct addrinfo **found;
    int result, error;
};

static void lookup_elsewhere(void *data)
{
    struct lookup *call = data;
    call->result = wefti_real()->getaddrinfo(call->name, call->service, call->hints, call->found);
    call->error = errno;
}

struct joining {
    pthread_t thread;
    void **value;
    int result;
};

static void join_elsewhere(void *data)
{
    struct joining *call = data;
    call->result = wefti_real()->pthread_join(call->thread, call->value);
}

/* Children. */

/* Which are meant, as waitid has them; in one integer, since the helper may be left alone with it. */
static weft_value children_meant(pid_t pid, int options)
{
    return weft_int((int64_t)pid * 65536 + (options & 0xffff));
}

/* Waits until there is something to be fetched, and leaves it there. */
static weft_value children_await(weft_value meant)
{
    pid_t pid = (pid_t)(weft_as_int(meant) >> 16);
    int options = (int)(weft_as_int(meant) & 0xffff);
    idtype_t type = pid == -1 ? P_ALL : pid > 0 ? P_PID : P_PGID;
    siginfo_t found;
    waitid(type, type == P_ALL ? 0 : (id_t)(pid < 0 ? -pid : pid), &found, WEXITED | WNOWAIT | (options & (WUNTRACED | WCONTINUED)));
    return weft_none;
}

/* Waits for the end of one child, by a descriptor of it. False: that cannot be had. */
static bool child_await(pid_t pid, int *failed)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return false;
    struct pollfd asked = {.fd = fd, .events = POLLIN};
    *failed = wefti_patch_wait(&asked, 1, WEFT_FOREVER) == 0 ? 0 : errno;
    wefti_real()->close(fd);
    return true;
}

static pid_t waitpid_patched(pid_t pid, int *status, int options)
{
    int error = errno;
    if (pid == 0)
        pid = -getpgrp();
    for (;;) {
        pid_t got = wefti_real()->waitpid(pid, status, options | WNOHANG);
        if (got > 0)
            errno = error;
        if (got != 0)
            return got;
        int failed = 0;
        bool one = pid > 0 && options == 0 && child_await(pid, &failed);
        if (!one && weft_offload(children_await, children_meant(pid, options), NULL, WEFT_FOREVER) != 0)
            failed = errno;
        if (failed == EAGAIN || failed == ENOMEM)
            return wefti_real()->waitpid(pid, status, options);
        if (failed) {
            errno = failed;
            return -1;
        }
    }
}

/* The C library's names. */

WEFT_API int nanosleep(const struct timespec *span, struct timespec *left)
{
    if (!span || !wefti_timespec_valid(span) || !wefti_patched(WEFTI_CALLER))
        return wefti_real()->nanosleep(span, left);
    int failed = sleep_span(span, left);
    errno = failed ? failed : errno;
    return failed ? -1 : 0;
}

WEFT_API int clock_nanosleep(clockid_t clock, int flags, const struct timespec *span, struct timespec *left)
{
    bool known = clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME || clock == CLOCK_TAI;
    if (!known || !span || !wefti_timespec_valid(span) || !wefti_patched(WEFTI_CALLER))
        return wefti_real()->clock_nanosleep(clock, flags, span, left);
    return flags & TIMER_ABSTIME ? sleep_to_moment(clock, span) : sleep_span(span, left);
}

WEFT_API int usleep(useconds_t microseconds)
{
    if (!wefti_patched(WEFTI_CALLER))
        return wefti_real()->usleep(microseconds);
    int failed = sleep_span(&(struct timespec){microseconds / 1000000, microseconds % 1000000 * 1000L}, NULL);
    errno = failed ? failed : errno;
    return failed ? -1 : 0;
}

WEFT_API unsigned sleep(unsigned seconds)
{
    struct timespec left = {0};
    if (!wefti_patched(WEFTI_CALLER))
        return wefti_real()->sleep(seconds);
    sleep_span(&(struct timespec){.tv_sec = seconds}, &left);
    return (unsigned)left.tv_sec + (left.tv_nsec >= 500000000);
}

WEFT_API int getaddrinfo(
    const char *restrict name, const char *restrict service, const struct addrinfo *restrict hints, struct addrinfo **restrict found)
{
    bool numeric = !name || (hints && (hints->ai_flags & AI_NUMERICHOST));
    if (numeric || !wefti_patched(WEFTI_CALLER))
        return wefti_real()->getaddrinfo(name, service, hints, found);
    struct lookup call = {.name = name, .service = service, .hints = hints, .found = found};
    int error = errno;
    wefti_patch_elsewhere(lookup_elsewhere, &call);
    errno = call.result == EAI_SYSTEM ? call.error : error;
    return call.result;
}

WEFT_API int pthread_join(pthread_t thread, void **value)
{
    if (pthread_equal(thread, pthread_self()) || !wefti_patched(WEFTI_CALLER))
        return wefti_real()->pthread_join(thread, value);
    struct joining call = {.thread = thread, .value = value};
    wefti_patch_elsewhere(join_elsewhere, &call);
    return call.result;
}

WEFT_API pid_t waitpid(pid_t pid, int *status, int options)
{
    if ((options & ~(WUNTRACED | WCONTINUED)) || !wefti_patched(WEFTI_CALLER))
        return wefti_real()->waitpid(pid, status, options);
    return waitpid_patched(pid, status, options);
}

WEFT_API pid_t wait(int *status)
{
    if (!wefti_patched(WEFTI_CALLER))
        return wefti_real()->wait(status);
    return waitpid_patched(-1, status, 0);
}
