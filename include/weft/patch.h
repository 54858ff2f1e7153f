/* SPDX-License-Identifier: MIT */
/*
 * Patching: blocking calls of the C library that let other coroutines run, for libraries that know nothing of coroutines (libcurl, libpq,
 * hiredis, a driver). The library libweft-patch, linked before the C library (pkg-config weft-patch) or preloaded (LD_PRELOAD), stands
 * before those calls; weft_patch() switches it on, and before that nothing changes. weft_offload (coroutine.h) is the other way, for what
 * this cannot reach.
 *
 * What changes. In a coroutine these wait as a call of Weft's does, while the thread's other coroutines run: read, write, readv, writev;
 * recv, recvfrom, recvmsg, recvmmsg, send, sendto, sendmsg, sendmmsg; accept, accept4, connect; poll, ppoll, select, pselect, epoll_wait,
 * epoll_pwait, epoll_pwait2; sleep, usleep, nanosleep, clock_nanosleep; getaddrinfo; wait, waitpid; pthread_join; pthread_mutex_lock and
 * its like, pthread_cond_wait and its like. Everywhere else (in threads, in a child of vfork, in a signal handler on a stack of its own)
 * they are the C library's, and so is what each returns. Mutexes and conditions count the coroutines of a thread, and the thread itself
 * beside them, as different owners.
 *
 * What stays. The flag O_NONBLOCK of a descriptor is never changed: one that has it does not wait. SO_RCVTIMEO and SO_SNDTIMEO count.
 * Errors are those of the C library, and two more: ECANCELED, the coroutine was cancelled (weft_task_cancel), and ETIMEDOUT, that of a
 * weft_deadline around it has come. Neither ends connect, getaddrinfo, pthread_join and what concerns mutexes and conditions. close() of a
 * descriptor ends those who wait for it with EBADF, as do dup2, dup3, close_range and closefrom, which close others by the way; and what
 * Weft has opened may be closed by these, too.
 *
 * What differs. No signal interrupts a wait (EINTR). A mask that ppoll, pselect or epoll_pwait would change, and mutexes and conditions
 * between processes, block the thread as ever. Regular files are read and written at once. connect, getaddrinfo, pthread_join and waits for
 * any child run on helper threads, as by weft_offload. stdio, popen, and what is linked statically call the system without passing here:
 * `weft blocking PROGRAM` shows which calls a program makes, and which of them are covered.
 */
#ifndef WEFT_PATCH_H
#define WEFT_PATCH_H

#include <weft/base.h>

WEFT_BEGIN

/* Of the library libweft-patch: not on the list of libweft's exports. */
#define WEFT_PATCH_API WEFT_API

/* Switches it on, for the whole program and for good. From any task, any number of times. 0; -1 with ENOSYS: the C library lacks one of the
 * calls. */
WEFT_PATCH_API int weft_patch(void);

WEFT_END

#endif
