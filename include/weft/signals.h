/* SPDX-License-Identifier: MIT */
/*
 * Signals as something that a task waits for, without handlers: SIGINT (Ctrl-C) and SIGTERM end a server, SIGHUP makes it read its files
 * again.
 *
 *     weft_signals *signals = weft_signals_new(SIGINT, SIGTERM);       // first thing in main
 *     ...
 *     struct weft_signal caught;
 *     weft_signals_wait(signals, &caught, WEFT_FOREVER);               // or weft_case_signals, among others
 *
 * The kernel keeps a signal for who waits here only while every thread of the process blocks it; a thread that does not would get it, and
 * it would do there what it always does. So make the object first thing in main:
 *   - weft_signals_new blocks its signals in the calling thread, and threads inherit that from who starts them, whoever does;
 *   - each thread that Weft starts while the object is there blocks them as well, wherever it is started from;
 *   - threads that were there before have to block them by themselves (pthread_sigmask): Weft cannot for them.
 * Weft's own internal threads block all signals. The programs that weft_command starts inherit nothing of this; those that the program
 * starts itself do (posix_spawn has an attribute for that).
 *
 * A signal that comes again before it was taken is one signal, as always (real-time signals are counted). Each goes to one waiter; of two
 * objects for one signal, to one.
 */
#ifndef WEFT_SIGNALS_H
#define WEFT_SIGNALS_H

#include <weft/base.h>
#include <weft/select.h>

typedef struct weft_signals weft_signals;

/* One that came, after signalfd(2). */
struct weft_signal {
    int number; /* SIGINT ... */
    int code;   /* why: SI_USER, SI_KERNEL (a terminal's Ctrl-C), CLD_EXITED ... */
    int pid;    /* of who sent it, or of the child that SIGCHLD tells of; 0: the kernel */
    unsigned uid;
    int status;    /* of SIGCHLD */
    int64_t value; /* of sigqueue(3) */
    uint64_t reserved[2];
};

WEFT_BEGIN

/*
 * weft_signals_new(SIGINT, SIGTERM ...): an object for some signals, which the caller's thread blocks from now on. From any task; see above
 * from which best. Yours: weft_signals_free. NULL with EINVAL (none, no signals, SIGKILL, SIGSTOP, or those of a thread's own fault:
 * SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP), ENOMEM, EMFILE or ENFILE.
 */
WEFT_API weft_signals *weft_signals_new_with(const int *numbers, size_t count) WEFT_WARN_UNUSED;
#define weft_signals_new(...) weft_signals_new_with((const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))
/*
 * Waits for one of them, and takes it; what is known of it is written to *signal (NULL is allowed). From any kind of task. 0; -1 with
 * EAGAIN, ETIMEDOUT, ECANCELED,
 * EMFILE (see weft_select).
 */
WEFT_API int weft_signals_wait(weft_signals *signals, struct weft_signal *signal, weft_time deadline);
/* For weft_select: ready when one is there, which is taken and written to *signal (NULL is allowed). */
WEFT_API weft_case weft_case_signals(weft_signals *signals, struct weft_signal *signal);
/*
 * Ends it (NULL is allowed). Its signals are unblocked in the caller's thread, those that another object has, or that the thread which made
 * it had blocked before, excepted: one that came and was not taken then does what it does without Weft. Any task, best the one that made
 * it; cannot fail.
 */
WEFT_API void weft_signals_free(weft_signals *signals);

WEFT_END

#endif
