/* SPDX-License-Identifier: MIT */
/*
 * Coroutines: tasks of WEFT_COROUTINE (task.h), of which a thread may have a million. All coroutines that a thread has started take turns
 * on that thread, and never change to another; its own flow of control is one more among them. They change over where one waits in Weft,
 * ends, or calls weft_yield, and nowhere else. So what one does between two such calls no other coroutine of its thread sees half done, and
 * errno and thread-local variables are what they were.
 *
 * A thread runs its coroutines whenever it waits itself: in weft_task_join, weft_sleep, weft_queue_get, in any call that may wait. A thread
 * that computes, or waits in a call that is not Weft's, lets them stand. When its function has returned, a thread of Weft's goes on until
 * its coroutines have ended: the daemonic ones are cancelled when all others have; so does a thread that Weft did not start, when it ends.
 * At exit(3) the program joins those that are not daemonic, as it does with all tasks.
 *
 * Stacks. The option stack_size of weft_spawn is address space; memory is used as far as the stack was ever deep: 4 KiB for a coroutine
 * that waits near its beginning. It is made a power of two of at least 16 KiB; 0 is 64 KiB. Deep recursion, large local arrays, and printf
 * of floating-point numbers (some 8 KiB) want attention. Below each stack is a guard page: who runs into it ends the program with SIGSEGV,
 * and stderr names the coroutine and the size of its stack. A function whose local variables take more than a page may step over the guard
 * unless it is compiled with -fstack-clash-protection.
 *
 * Seeds. With WEFT_SEED=n in the environment when a thread starts its first coroutine, that thread's coroutines take turns in an order that
 * follows from n: the next to run is one of the first few that can. Its time is its own, too: weft_clock tells one that passes by a
 * microsecond with each look, and up to the first deadline when no coroutine can run. While the program has one thread and no coroutine
 * waits for a descriptor, that step takes no time (an hour's sleep is over at once); else the thread sleeps for as long. So, for coroutines
 * of one thread that wait for each other (queues, locks, events, joins, select, cancellation) and for time, the same seed gives the same
 * order and the same deadlines missed, run after run, and another seed gives others. Covered, too, are pipes, local sockets and eventfds of
 * which the thread's own coroutines have all ends: they are ready in the order in which the coroutines made them so, and that takes no
 * time, while a deadline beside them is slept for. Not covered: what comes from outside, which is descriptors that others write or read,
 * TCP and UDP also between coroutines (the kernel delivers when it likes), files, other threads (weft_offload's among them), other
 * processes and signals; it is looked at in its turn, but comes when it comes. Nothing is recorded to be replayed. Threads count by the
 * order in which they have started coroutines. After weft_hub_fd the thread has the machine's time again.
 *
 * Descriptors. With WEFT_IO=io_uring in the environment when a thread starts its first coroutine, the thread sleeps in io_uring, and what
 * its coroutines read from connections of weft_accept and weft_dial the kernel brings there while they wait, and for locks, queues and the
 * like in shared memory they wait there, too (Linux 6.7; else a thread of the library's waits for them); where that is not to be had
 * (Weft was built without liburing; a filter, kernel.io_uring_disabled or a limit of memory refuses it), and with WEFT_IO=epoll or none, it
 * is epoll alone. What the calls do is the same. Another name is an error: no coroutine starts, with EINVAL. A thread with a seed has
 * epoll.
 *
 * fork(2): in the child there is only the flow that forked. A coroutine that returns there ends the process, with exit(0).
 */
#ifndef WEFT_COROUTINE_H
#define WEFT_COROUTINE_H

#include <weft/value.h>

WEFT_BEGIN

/*
 * With false, before the first coroutine of the program: no handler for SIGSEGV is installed, and nothing said of a stack that overflows.
 * So does WEFT_OVERFLOW_REPORT=0 in the environment. A handler is installed only where SIGSEGV has its default disposition. Any task;
 * cannot fail.
 */
WEFT_API void weft_overflow_report(bool wanted);

/*
 * Asks for a line on stderr when a thread's coroutines are kept waiting for longer than so many milliseconds by one of them, or by what the
 * thread does itself while it has some: by a computation that never yields, or a call that blocks without Weft's knowing. It names the one
 * that runs, and where: the function (for those that the dynamic linker knows), the file of the code and an offset in it, as addr2line
 * takes it; if that is not the program's own code, also from where it was called, as far as the stack can tell. For example
 *
 *     weft: coroutine Crawler-3 has kept thread 4711 busy for 251 ms, in clock_nanosleep+0x43 (libc.so.6+0xd1a73), called from main+0x2f
 *     (crawler+0x13a2)
 *
 * There is one line for each time that this happens, and no more than one each second; the next one tells how many were left out. 0: no
 * reports, as it is unless WEFT_BLOCKED_REPORT=milliseconds is in the environment when the program's first coroutine is made. As long as
 * reports are wanted and there are threads with coroutines, a thread of the library looks at them four times in the given time, and from
 * the first of these on a handler is installed for one real-time signal (the highest whose disposition is the default one), by which it
 * asks a thread that runs where that is; it stays. Coroutines do not get slower by that, but for what any second thread in a program costs
 * them. A child of fork(2) has to ask anew. From any task. 0; -1 with EINVAL (negative), EAGAIN (no thread could be had).
 */
WEFT_API int weft_blocked_report(int milliseconds);

/*
 * Runs a call that blocks without Weft's knowing (a name look-up, a database's client, a large file) on a thread that is there for that,
 * and lets the caller wait as in any other call, while the other coroutines run. What the function returns is written to *result, which is
 * yours (NULL: it is dropped). From any kind of task. 0; -1 with EAGAIN (WEFT_NOW, or no thread could be had), EINVAL (no function) or
 * ENOMEM: the function has not been called, and the argument is still yours; -1 with ETIMEDOUT or ECANCELED: it goes on, or may yet begin,
 * and what it returns is dropped. The function runs as a task of its own, a daemon, with the signals blocked that the caller has blocked,
 * and is not cancelled. There are as many such threads as calls at once; they end when they have had nothing to do for a moment.
 */
WEFT_API int weft_offload(weft_function *function, weft_value argument, weft_value *result, weft_time deadline);

/*
 * A thread whose main loop is somebody else's (GLib's, libuv's, a bare epoll) runs its coroutines there: it has the loop watch this
 * descriptor for input, and calls weft_hub_run_once when there is some, and once at the beginning. The descriptor becomes readable when one
 * of the thread's coroutines can go on: it was woken, by whomever; its deadline or its descriptor has come; it was just started. It is the
 * library's, who closes it when the thread ends; it is the same at each call. Nothing may be read from it. By any task of the thread; -1
 * with EMFILE, ENOMEM.
 */
WEFT_API int weft_hub_fd(void);

/*
 * Lets each coroutine of the calling thread that can go on run until it waits, yields or ends; never waits itself. Returns how many
 * coroutines the thread has that have not ended. Only by what the thread does itself, not by a coroutine: 0 there, and nothing happens.
 */
WEFT_API size_t weft_hub_run_once(void);

/* What the calling code is a part of. */
enum weft_flow {
    WEFT_FLOW_NONE = 0,     /* no coroutines are concerned */
    WEFT_FLOW_THREAD = 1,   /* what a thread does itself that has coroutines, which stand while it does not wait in Weft */
    WEFT_FLOW_COROUTINE = 2 /* a coroutine */
};

/*
 * Tells whether a call that blocks would hold up coroutines; for those who would wait in another way then, as libweft-patch does.
 * WEFT_FLOW_NONE also in a child of vfork(2), in a signal handler on a stack of its own, and in one that has interrupted a switch between
 * coroutines. From anywhere, signal handlers included; cannot fail.
 */
WEFT_API enum weft_flow weft_flow_here(void);

WEFT_END

#endif
