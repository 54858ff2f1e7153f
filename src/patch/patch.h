/* SPDX-License-Identifier: MIT */
/* What the files of libweft-patch share; patch.c says how it works. */
#ifndef WEFTI_PATCH_H
#define WEFTI_PATCH_H

#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weft/coroutine.h>
#include <weft/patch.h>

/* The calls, each as the C library has it. (clang-format 14 comes to no rest over these lines.) */
/* clang-format off */
#define WEFTI_PATCH_CALLS(X_)                                                                                        \
    X_(read) X_(write) X_(readv) X_(writev) X_(recv) X_(recvfrom) X_(recvmsg) X_(recvmmsg) X_(send) X_(sendto)       \
    X_(sendmsg) X_(sendmmsg) X_(accept) X_(accept4) X_(connect) X_(close) X_(dup2) X_(dup3) X_(close_range)          \
    X_(closefrom) X_(poll) X_(ppoll) X_(select) X_(pselect) X_(epoll_wait) X_(epoll_pwait) X_(epoll_pwait2)          \
    X_(sleep) X_(usleep) X_(nanosleep) X_(clock_nanosleep) X_(getaddrinfo) X_(wait) X_(waitpid) X_(pthread_join)     \
    X_(pthread_mutex_lock) X_(pthread_mutex_trylock) X_(pthread_mutex_timedlock) X_(pthread_mutex_clocklock)         \
    X_(pthread_mutex_unlock) X_(pthread_cond_wait) X_(pthread_cond_timedwait) X_(pthread_cond_clockwait)             \
    X_(pthread_cond_signal) X_(pthread_cond_broadcast)
/* clang-format on */

struct wefti_real {
#define WEFTI_PATCH_FIELD(name_) __typeof__(name_) *name_;
    WEFTI_PATCH_CALLS(WEFTI_PATCH_FIELD)
#undef WEFTI_PATCH_FIELD
};

/* The C library's calls; looked up at the first use. */
const struct wefti_real *wefti_real(void);

/* Whether weft_patch() was called. */
extern uint32_t wefti_patch_on;
/* 1: the thread is at work on a list of ours, so that a signal handler must not be. Its own. */
extern __thread uint32_t wefti_patch_inside;

/* What the calling code is, as weft_flow_here has it; WEFT_FLOW_NONE too when patching is off, or the call comes from Weft itself. */
enum weft_flow wefti_patch_flow(const void *caller);

/* Whether the call, which goes back to `caller`, is to let other coroutines run. */
static inline bool wefti_patched(const void *caller)
{
    return __atomic_load_n(&wefti_patch_on, __ATOMIC_ACQUIRE) && wefti_patch_flow(caller) == WEFT_FLOW_COROUTINE;
}
#define WEFTI_CALLER __builtin_return_address(0)

/* What goes before a list of ours is changed, and after. */
static inline void wefti_patch_enter(void)
{
    wefti_patch_inside = 1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}
static inline void wefti_patch_leave(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    wefti_patch_inside = 0;
}

/* Whether this is the process that was patched, and no child of vfork that has its memory. */
bool wefti_patch_here(void);

/*
 * Waits until one of the descriptors may be ready (negative ones never are). 0; -1 with EBADF (one was closed meanwhile), ETIMEDOUT,
 * ECANCELED.
 */
int wefti_patch_wait(const struct pollfd *fds, size_t count, weft_time deadline);

/* poll(2) without a wait. A signal that comes meanwhile is no answer: it would be taken for one, and the thread block in what follows. */
int wefti_patch_look(struct pollfd *fds, nfds_t count);

/* Runs function(data) on a helper thread, whatever cancels the caller meanwhile; where none can be had, here. */
void wefti_patch_elsewhere(void (*function)(void *data), void *data);

/* A span of time from now as a deadline: never WEFT_NOW for one that is not 0. */
weft_time wefti_patch_after(time_t seconds, long nanoseconds);
/* A moment of a clock as a deadline. */
weft_time wefti_patch_moment(clockid_t clock, const struct timespec *moment);

static inline bool wefti_timespec_valid(const struct timespec *span)
{
    return span->tv_sec >= 0 && span->tv_nsec >= 0 && span->tv_nsec < 1000000000;
}

#endif
