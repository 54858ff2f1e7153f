/* SPDX-License-Identifier: MIT */
/*
 * The ground rules of code that runs in a process which shares this process's memory: the child between clone and exec, the stopper, the
 * guardian.
 *
 * Such a process has the thread-local storage of the thread that made it, so it may not call the C library (errno, locks, malloc), and no
 * instrumentation (sanitizers, stack protector) may run in it. Its files are compiled apart, without either (see meson.build), and use
 * nothing but this header. Compilers turn loops and struct copies into memcpy and memset; those files avoid both for what is large.
 */
#ifndef WEFTI_RAW_H
#define WEFTI_RAW_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "syscall.h"

#define WEFTI_RAW_SIX(number_, a_, b_, c_, d_, e_, f_, ...) \
    wefti_syscall((number_), (long)(a_), (long)(b_), (long)(c_), (long)(d_), (long)(e_), (long)(f_))
/* wefti_raw(SYS_dup3, from, to, 0): up to six arguments; minus the error number on failure. */
#define wefti_raw(...) WEFTI_RAW_SIX(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

/* Signals a process by its pidfd. `pid` is used where the kernel (or Valgrind, which stands before it) does not know how; 0: then that is
 * the answer. */
static inline long wefti_raw_signal(long pidfd, long pid, int signal)
{
    long failed = wefti_raw(SYS_pidfd_send_signal, pidfd, signal, 0, 0);
    return failed == -ENOSYS && pid > 0 ? wefti_raw(SYS_kill, pid, signal) : failed;
}

/* Ends a process of which nobody wants the status. Not by exit: in a copy of the host, Valgrind would look for the host's leaks. */
__attribute__((noinline, unused)) static void wefti_raw_vanish(void)
{
    for (;;)
        wefti_raw(SYS_kill, wefti_raw(SYS_getpid), SIGKILL);
}

#endif
