/* SPDX-License-Identifier: MIT */
/*
 * poll, select and epoll_wait: asked without a wait, waited for, asked again. What they return is what the kernel said last.
 *
 * A signal mask that is not the thread's present one cannot be changed for a coroutine's wait alone: those calls go to the kernel as they
 * are, and block the thread.
 */

#include "patch/patch.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { FEW_DESCRIPTORS = 16 };

static weft_time milliseconds_deadline(int timeout)
{
    return timeout < 0 ? WEFT_FOREVER : wefti_patch_after(timeout / 1000, timeout % 1000 * 1000000L);
}

/* NULL waits without end, as poll has it. */
static weft_time timespec_deadline(const struct timespec *timeout)
{
    return timeout ? wefti_patch_after(timeout->tv_sec, timeout->tv_nsec) : WEFT_FOREVER;
}

static bool mask_is_present(const sigset_t *mask)
{
    sigset_t present;
    if (!mask)
        return true;
    pthread_sigmask(SIG_SETMASK, NULL, &present);
    for (int signal = 1; signal < NSIG; signal++)
        if (sigismember(mask, signal) != sigismember(&present, signal))
            return false;
    return true;
}

/*
 * After a look that found nothing: waits. True: to be looked at again, for the last time if *late; false with errno: the call fails. A
 * descriptor that was closed meanwhile is a reason to look.
 */
static bool look_again(const struct pollfd *fds, size_t count, weft_time deadline, bool *late)
{
    if (wefti_patch_wait(fds, count, deadline) == 0 || errno == EBADF)
        return true;
    *late = errno == ETIMEDOUT && (deadline <= WEFT_NOW || weft_clock() >= deadline);
    return *late;
}

int wefti_patch_look(struct pollfd *fds, nfds_t count)
{
    int ready;
    do
        ready = wefti_real()->poll(fds, count, 0);
    while (ready < 0 && errno == EINTR);
    return ready;
}

static int poll_patched(struct pollfd *fds, nfds_t count, weft_time deadline)
{
    int error = errno, ready;
    bool late = deadline == WEFT_NOW;
    while ((ready = wefti_patch_look(fds, count)) == 0 && !late)
        if (!look_again(fds, count, deadline, &late))
            return -1;
    if (ready >= 0)
        errno = error;
    return ready;
}

static int epoll_patched(int epoll, struct epoll_event *events, int count, weft_time deadline)
{
    int error = errno, ready;
    bool late = deadline == WEFT_NOW;
    struct pollfd asked = {.fd = epoll, .events = POLLIN};
    while ((ready = wefti_real()->epoll_wait(epoll, events, count, 0)) == 0 && !late)
        if (!look_again(&asked, 1, deadline, &late))
            return -1;
    if (ready >= 0)
        errno = error;
    return ready;
}

/* The sets of a select; NULL: not asked about. */
enum { SETS = 3 };
static const short set_events[SETS] = {POLLIN, POLLOUT, POLLPRI};

static size_t set_octets(int limit)
{
    return ((size_t)limit + 8 * sizeof(long) - 1) / (8 * sizeof(long)) * sizeof(long);
}

/* One look at all of them, which replaces the sets by what is ready when that is something, or when it is the last. */
static int sets_look(int limit, fd_set *sets[SETS], bool last)
{
    fd_set found[SETS];
    int ready;
    do {
        struct timeval none = {0};
        for (int i = 0; i < SETS; i++)
            if (sets[i])
                memcpy(&found[i], sets[i], set_octets(limit));
        ready = wefti_real()->select(limit, sets[0] ? &found[0] : NULL, sets[1] ? &found[1] : NULL, sets[2] ? &found[2] : NULL, &none);
    } while (ready < 0 && errno == EINTR);
    for (int i = 0; i < SETS && (ready > 0 || (ready == 0 && last)); i++)
        if (sets[i])
            memcpy(sets[i], &found[i], set_octets(limit));
    return ready;
}

/* Writes to `fds` what is asked about, and returns how many; NULL: only counts. */
static size_t sets_list(int limit, fd_set *const sets[SETS], struct pollfd *fds)
{
    size_t count = 0;
    for (int fd = 0; fd < limit; fd++) {
        short events = 0;
        for (int i = 0; i < SETS; i++)
            if (sets[i] && FD_ISSET(fd, sets[i]))
                events |= set_events[i];
        if (events && fds)
            fds[count] = (struct pollfd){.fd = fd, .events = events};
        count += events != 0;
    }
    return count;
}

/* A number beyond the kernel's table is nothing that select would mind. */
static void descriptors_drop_unknown(struct pollfd *fds, size_t count)
{
    if (wefti_patch_look(fds, count) <= 0)
        return;
    for (size_t i = 0; i < count; i++)
        if (fds[i].revents & POLLNVAL)
            fds[i].fd = -1;
}

static int sets_wait(int limit, fd_set *sets[SETS], weft_time deadline, struct pollfd *fds)
{
    size_t count = sets_list(limit, sets, fds);
    int error = errno, ready;
    bool late = deadline == WEFT_NOW;
    while ((ready = sets_look(limit, sets, late)) == 0 && !late) {
        descriptors_drop_unknown(fds, count);
        if (!look_again(fds, count, deadline, &late))
            return -1;
    }
    if (ready >= 0)
        errno = error;
    return ready;
}

static int select_patched(int limit, fd_set *sets[SETS], weft_time deadline)
{
    struct pollfd few[FEW_DESCRIPTORS], *fds = few;
    size_t count = sets_list(limit, sets, NULL);
    if (count > FEW_DESCRIPTORS && !(fds = malloc(count * sizeof(*fds))))
        return -1;
    int ready = sets_wait(limit, sets, deadline, fds);
    int error = errno;
    if (fds != few)
        free(fds);
    errno = error;
    return ready;
}

static bool limit_fits(int limit)
{
    return limit >= 0 && limit <= FD_SETSIZE;
}

/* The C library's names. */

WEFT_API int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    if (timeout == 0 || !wefti_patched(WEFTI_CALLER))
        return wefti_real()->poll(fds, count, timeout);
    return poll_patched(fds, count, milliseconds_deadline(timeout));
}

WEFT_API int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    bool valid = !timeout || wefti_timespec_valid(timeout);
    if (!valid || !wefti_patched(WEFTI_CALLER) || !mask_is_present(mask))
        return wefti_real()->ppoll(fds, count, timeout, mask);
    return poll_patched(fds, count, timespec_deadline(timeout));
}

WEFT_API int select(int limit, fd_set *restrict read, fd_set *restrict write, fd_set *restrict except, struct timeval *restrict timeout)
{
    bool valid = limit_fits(limit) && (!timeout || (timeout->tv_sec >= 0 && timeout->tv_usec >= 0));
    if (!valid || !wefti_patched(WEFTI_CALLER))
        return wefti_real()->select(limit, read, write, except, timeout);
    fd_set *sets[SETS] = {read, write, except};
    weft_time deadline = WEFT_FOREVER;
    if (timeout)
        deadline = wefti_patch_after(timeout->tv_sec + timeout->tv_usec / 1000000, timeout->tv_usec % 1000000 * 1000L);
    int ready = select_patched(limit, sets, deadline);
    weft_time left = deadline - weft_clock();
    if (timeout && deadline != WEFT_FOREVER) /* Linux tells what is left */
        *timeout = left > 0 ? (struct timeval){left / 1000000000, left % 1000000000 / 1000} : (struct timeval){0};
    return ready;
}

WEFT_API int pselect(int limit, fd_set *restrict read, fd_set *restrict write, fd_set *restrict except,
    const struct timespec *restrict timeout, const sigset_t *restrict mask)
{
    bool valid = limit_fits(limit) && (!timeout || wefti_timespec_valid(timeout));
    if (!valid || !wefti_patched(WEFTI_CALLER) || !mask_is_present(mask))
        return wefti_real()->pselect(limit, read, write, except, timeout, mask);
    fd_set *sets[SETS] = {read, write, except};
    return select_patched(limit, sets, timespec_deadline(timeout));
}

WEFT_API int epoll_wait(int epoll, struct epoll_event *events, int count, int timeout)
{
    if (timeout == 0 || !wefti_patched(WEFTI_CALLER))
        return wefti_real()->epoll_wait(epoll, events, count, timeout);
    return epoll_patched(epoll, events, count, milliseconds_deadline(timeout));
}

WEFT_API int epoll_pwait(int epoll, struct epoll_event *events, int count, int timeout, const sigset_t *mask)
{
    if (timeout == 0 || !wefti_patched(WEFTI_CALLER) || !mask_is_present(mask))
        return wefti_real()->epoll_pwait(epoll, events, count, timeout, mask);
    return epoll_patched(epoll, events, count, milliseconds_deadline(timeout));
}

WEFT_API int epoll_pwait2(int epoll, struct epoll_event *events, int count, const struct timespec *timeout, const sigset_t *mask)
{
    bool valid = !timeout || wefti_timespec_valid(timeout);
    if (!valid || !wefti_patched(WEFTI_CALLER) || !mask_is_present(mask))
        return wefti_real()->epoll_pwait2(epoll, events, count, timeout, mask);
    return epoll_patched(epoll, events, count, timespec_deadline(timeout));
}

extern void __chk_fail(void) __attribute__((noreturn));
WEFT_API int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room);
WEFT_API int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t room);

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room)
{
    if (room / sizeof(*fds) < count)
        __chk_fail();
    if (timeout == 0 || !wefti_patched(WEFTI_CALLER))
        return wefti_real()->poll(fds, count, timeout);
    return poll_patched(fds, count, milliseconds_deadline(timeout));
}

int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t room)
{
    if (room / sizeof(*fds) < count)
        __chk_fail();
    bool valid = !timeout || wefti_timespec_valid(timeout);
    if (!valid || !wefti_patched(WEFTI_CALLER) || !mask_is_present(mask))
        return wefti_real()->ppoll(fds, count, timeout, mask);
    return poll_patched(fds, count, timespec_deadline(timeout));
}
