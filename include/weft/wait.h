/* SPDX-License-Identifier: MIT */
/*
 * The one way to wait: until a 32-bit word changes, or until a deadline. Everything in Weft that blocks is built on these two calls,
 * and so may be whatever a program builds itself: a futex that every kind of task can wait on.
 */
#ifndef WEFT_WAIT_H
#define WEFT_WAIT_H

#include <weft/base.h>

WEFT_BEGIN

/*
 * Waits while *word == expected, until weft_wake(word) or the deadline. Spurious returns happen: the caller looks at the word again.
 * `word` is read atomically; whoever changes it must do so atomically, and before calling weft_wake. From any kind of task: a thread
 * sleeps, a coroutine lets its thread run others.
 * Returns 0 when woken or when the word differs already; -1 with EAGAIN (WEFT_NOW and the word does not differ), ETIMEDOUT, or
 * ECANCELED (the task was cancelled; see weft_task_cancel). The deadline of a weft_deadline around it counts as well, here and in every
 * call that waits.
 */
WEFT_API int weft_wait(const uint32_t *word, uint32_t expected, weft_time deadline);

/*
 * Wakes up to `count` tasks that wait for `word`, longest waiting first; UINT32_MAX wakes all. Returns how many it woke. The word may
 * be freed memory by now: only its address is used. Any task, and signal handlers (where it may say 0, the wake coming as soon as what the
 * handler has interrupted goes on); cannot fail. In a handler change the word atomically, as everywhere.
 */
WEFT_API uint32_t weft_wake(const uint32_t *word, uint32_t count);

WEFT_END

#endif
