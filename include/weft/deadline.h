/* SPDX-License-Identifier: MIT */
/*
 * weft_deadline (weft_in(2)) { ... }: a deadline for a block and all that it calls. Each wait in there, by whichever function, ends with
 * ETIMEDOUT at this deadline, or at the one that it was given itself, whichever is earlier. So a function that waits in ten places needs no
 * deadline among its parameters:
 *
 *     weft_deadline (weft_in(2)) {
 *         if (page_load(&page) != 0 && errno == ETIMEDOUT) ...
 *     }
 *
 * Deadlines nest; the earliest counts. Left in any way but longjmp (its end, break, continue, return, goto), the block's deadline ends.
 * break and continue end the block, not a loop around it. WEFT_NOW, or a deadline that has passed, lets nothing wait: what has to is told
 * ETIMEDOUT; a call that was itself given WEFT_NOW says EAGAIN, as always.
 *
 * It belongs to the task that runs the block. Tasks that are spawned in there, and the tasks of pools, do not inherit it (a part of
 * weft_parallel_for that the caller runs itself does); hand weft_deadline_current() to those that should. It is not looked at by a block
 * that never waits.
 *
 * What cannot be cancelled does not end at it either: inside weft_shield, and while weft_with takes its lock, the deadlines of blocks
 * around that do not count. A weft_deadline inside of a shield does.
 */
#ifndef WEFT_DEADLINE_H
#define WEFT_DEADLINE_H

#include <weft/base.h>

struct weft_deadline_scope {
    weft_time outer; /* the library's, all three */
    uint32_t outer_shield;
    bool inside;
};

WEFT_BEGIN

/*
 * The deadline of the blocks that the caller is in, the earliest of those that count here; WEFT_FOREVER when there is none. Any task;
 * cannot fail.
 */
WEFT_API weft_time weft_deadline_current(void);

/* What the macro calls. From any kind of task; cannot fail. */
WEFT_API struct weft_deadline_scope weft_deadline_begin(weft_time deadline);
WEFT_API void weft_deadline_end(struct weft_deadline_scope *scope);

WEFT_END

#define weft_deadline_(deadline_, name_)                                                                                              \
    for (struct weft_deadline_scope name_ __attribute__((cleanup(weft_deadline_end))) = weft_deadline_begin(deadline_); name_.inside; \
         name_.inside = false)
#define weft_deadline(deadline_) weft_deadline_(deadline_, WEFT_PASTE(weft_deadline_, __COUNTER__))

#endif
