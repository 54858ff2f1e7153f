/* SPDX-License-Identifier: MIT */
/*
 * A future: the result that a pool's task will have. Made by weft_pool_submit, and by weft_future_new for results of one's own.
 */
#ifndef WEFT_FUTURE_H
#define WEFT_FUTURE_H

#include <weft/base.h>
#include <weft/task.h>
#include <weft/value.h>

typedef struct weft_future weft_future;

/* Called once when the future has ended, its result already visible. 0, or not 0 for a failure: counted, see weft_on_uncollected. */
typedef int weft_done_callback(weft_future *future, void *data);

WEFT_BEGIN

/*
 * Waits for the end, then gives what the task returned (an error value included) in *value: yours (a keep of it; it can be asked for
 * again); NULL is allowed. From any kind of task. 0; -1 with EAGAIN, ETIMEDOUT, ECANCELED (the caller was cancelled), EDEADLK (a task
 * waits for one that waits for it, or for one of its own pool that can never run: see weft_pool), EINVAL (no future).
 * A future that was cancelled gives an error value of ECANCELED, one that was lost an error value of EOWNERDEAD.
 */
WEFT_API int weft_future_result(weft_future *future, weft_value *value, weft_time deadline);
/* How it ended; WEFT_PENDING while it has not. Any task; cannot fail. */
WEFT_API enum weft_outcome weft_future_outcome(const weft_future *future);
WEFT_API bool weft_future_done(const weft_future *future);
WEFT_API bool weft_future_running(const weft_future *future);
/*
 * Cancels it: before it began, it ends as WEFT_CANCELLED at once and its function is never called; while it runs, its waits fail with
 * ECANCELED. Returns true when it had not ended. Any task; cannot fail.
 */
WEFT_API bool weft_future_cancel(weft_future *future);
/*
 * The core of the worker in which the task was lost (of a pool of processes): where it lies, as a str; and the stack in which it died, as a
 * str with a line each frame, the innermost first: number, address, function + octets, file. Yours. Both wait for the end of the task; then
 * they look, on a thread that is there for that, and read the core; nothing is done to it, and nothing is done before somebody asks. The
 * library handles no signal and traces no worker, so a crash has a stack only if the kernel wrote a core into a file: RLIMIT_CORE lets it
 * (`ulimit -c unlimited`, or setrlimit before the first process feature), and /proc/sys/kernel/core_pattern is no pipe ("core.%p" keeps the
 * cores of several). One with no folder in its name is found only if the task and the pool's maker have the same working directory.
 * Functions have names as far as the program and its libraries, which must not have changed since, have symbols; where DEBUGINFOD_URLS is
 * set, libdw may ask there. From any kind of task. -1 with EAGAIN (WEFT_NOW, or no thread could be had), ETIMEDOUT, ECANCELED, EDEADLK as
 * weft_future_result, ENOENT (no core was dumped, or it is not there, or was overwritten), EBADMSG (it is cut short, or tells no stack),
 * ENOTSUP (the library was built without libdw, or libdw.so.1 is not there), ENOMEM, EINVAL (a NULL).
 */
WEFT_API int weft_future_core(weft_future *future, weft_value *path, weft_time deadline);
WEFT_API int weft_future_backtrace(weft_future *future, weft_value *text, weft_time deadline);
/*
 * Calls callback(future, data) once, after the result is visible: on the worker that ran the task (on the task that cancelled it
 * when it was cancelled before it began; with processes on a thread of the pool in the process that submitted), or at once in the caller
 * when the callbacks have been called already. Callbacks run one after another in the order in which they were added; who waits for the
 * result may go on before they have. -1 with ENOMEM, EAGAIN (no thread could be had), EINVAL, EPERM (another process has
 * submitted it).
 */
WEFT_API int weft_future_on_done(weft_future *future, weft_done_callback *callback, void *data);
/*
 * Futures in the order in which they end: an iterator over `count` of them, which it holds on to; yours, weft_completed_free.
 *     while ((i = weft_completed_next(completed, WEFT_FOREVER)) >= 0) ... futures[i] has ended
 * For one task at a time. From any task. NULL with EINVAL (a NULL), ENOMEM.
 */
typedef struct weft_completed weft_completed;
WEFT_API weft_completed *weft_as_completed(weft_future *const *futures, size_t count) WEFT_WARN_UNUSED;
/*
 * Waits for the next that ends: its index, each once. From any kind of task. -1 with EPIPE (all have been given), EAGAIN, ETIMEDOUT,
 * ECANCELED, EDEADLK (as weft_future_result), EINVAL (NULL), ESTALE (in a forked child).
 */
WEFT_API long weft_completed_next(weft_completed *completed, weft_time deadline);
/* At any time; the futures go on. NULL is allowed. */
WEFT_API void weft_completed_free(weft_completed *completed);
/* Waits until one of `count` futures has ended: its index, or -1 with EINVAL (none given, or a NULL), EAGAIN, ETIMEDOUT,
 * ECANCELED, EDEADLK (as weft_future_result). Allocates nothing (unless some are of pools of processes: ENOMEM, EPERM); each end of one of
 * them costs a look at all of them. From any kind of task. */
WEFT_API long weft_wait_any(weft_future *const *futures, size_t count, weft_time deadline);
/* Waits until all have: 0, or -1 as weft_wait_any. From any kind of task. */
WEFT_API int weft_wait_all(weft_future *const *futures, size_t count, weft_time deadline);
/*
 * For weft_select: ready when the future has ended; the result is written to *value as weft_future_result does (NULL is allowed). For a
 * worker that selects over futures of its own pool another stands in, as for one that waits for a result with a deadline; beyond the
 * limit of those it waits without.
 */
WEFT_API weft_case weft_case_future(weft_future *future, weft_value *value);
/* A future of one's own, that somebody will set: yours, weft_future_free. From any task. NULL with ENOMEM. */
WEFT_API weft_future *weft_future_new(void) WEFT_WARN_UNUSED;
/*
 * Ends a future that weft_future_new made; the value is given away on success. Callbacks are called in the caller. Cancelling such a
 * future ends it as WEFT_CANCELLED. -1 with EALREADY (it has ended), EINVAL (a pool's). Any task.
 */
WEFT_API int weft_future_set(weft_future *future, weft_value value);
/*
 * One more owner; each ends with weft_future_free (NULL is allowed). The task goes on without it. A future of one's own that its last
 * owner frees without having set it ends as WEFT_LOST, for its callbacks.
 */
WEFT_API weft_future *weft_future_keep(weft_future *future);
WEFT_API void weft_future_free(weft_future *future);

WEFT_END

#endif
