/* SPDX-License-Identifier: MIT */
/*
 * Timers: a function that is called later, or again and again. There may be millions: one costs some hundred bytes and no thread.
 *
 *     weft_timer *blink = weft_every(0.5, lamp_switch, weft_ptr(&lamp));
 *     weft_timer_free(weft_after(30, pool_shrink, weft_ptr(pool)));    // nobody needs to cancel this one
 *
 * All functions are called on one task, a daemonic thread named "Timers", one after another, in the order of their moments (of equal ones,
 * in the order in which they were made). So a function that takes long holds up the others: what does should hand its work to a pool. The
 * thread is started with the first timer and ends soon after the last; it blocks all signals, and so do the threads that a function starts.
 *
 * No drift: the n-th call of weft_every(s, ...) is due n * s seconds after it was made, however late the others were. Moments that have
 * passed when their turn comes are made up for by one call, not by one each.
 *
 * At exit nobody waits for timers. A forked child has none of its parent's: there they are over, their functions not called.
 */
#ifndef WEFT_TIMER_H
#define WEFT_TIMER_H

#include <weft/base.h>
#include <weft/select.h>
#include <weft/value.h>

typedef struct weft_timer weft_timer;

WEFT_BEGIN

/*
 * Calls function(argument) once, in `seconds` (as weft_in takes them: 0, or less, is at once). The argument is given away on success; it is
 * dropped when the function has returned, or will not be called. What the function returns is dropped; an error value goes to
 * weft_on_uncollected. NULL for the
 * function: the timer only ticks, see weft_timer_wait. From any task. The handle is yours: weft_timer_free. NULL with ENOMEM, EAGAIN (no
 * thread).
 */
WEFT_API weft_timer *weft_after(double seconds, weft_function *function, weft_value argument) WEFT_WARN_UNUSED;
/*
 * Calls function(argument) every so many seconds, first in `seconds`, until it is cancelled; otherwise as weft_after. The argument stays
 * the timer's from call to call. NULL with EINVAL too (not more than 0, NaN, or more than 292 years).
 */
WEFT_API weft_timer *weft_every(double seconds, weft_function *function, weft_value argument) WEFT_WARN_UNUSED;

/*
 * No call begins from now on. Does not wait for one that has begun: weft_timer_join does. 0: this has prevented calls; -1 with EALREADY:
 * there was nothing left to prevent, as the only call had begun or it was cancelled before. Any task, also from inside the function.
 */
WEFT_API int weft_timer_cancel(weft_timer *timer);
/*
 * Waits until no call will begin and none is under way: the one call of weft_after has returned, or it was cancelled. From any kind of
 * task. 0; -1 with EDEADLK (from a timer's function), EAGAIN, ETIMEDOUT, ECANCELED.
 */
WEFT_API int weft_timer_join(weft_timer *timer, weft_time deadline);
/*
 * Waits for a tick: a call that has returned (or, without a function, would have been made). Ticks that nobody waited for are kept; this
 * takes all there are, and writes how many to *ticks (NULL is allowed), 1 or more. Of several waiters one gets them. From any kind of task.
 * 0; -1 with EPIPE (none is left and none will come), EAGAIN, ETIMEDOUT, ECANCELED.
 */
WEFT_API int weft_timer_wait(weft_timer *timer, uint64_t *ticks, weft_time deadline);
/* For weft_select: ready when weft_timer_wait would not wait; the same error, EPIPE. */
WEFT_API weft_case weft_case_timer(weft_timer *timer, uint64_t *ticks);
/* How many calls have begun (without a function: would have). Any task; cannot fail. */
WEFT_API uint64_t weft_timer_count(const weft_timer *timer);
/* Ends the handle (NULL is allowed); the timer itself goes on: cancel it before, if it shall not. Any task; cannot fail. */
WEFT_API void weft_timer_free(weft_timer *timer);

WEFT_END

#endif
