/* SPDX-License-Identifier: MIT */
/*
 * Inherited deadlines. A context knows the earliest of the blocks that it is in (`limit`), and how many shields were raised when that was
 * set: under more of them it does not count (context.h). Both are read and written by the context itself alone, so nothing here is atomic.
 * A wait that has to sleep looks at them once (wait.c); who does arithmetic with a deadline before it waits asks wefti_deadline.
 */

#include <weft/deadline.h>

#include "wait/context.h"

weft_time weft_deadline_current(void)
{
    return wefti_context_deadline(wefti_context_current(), WEFT_FOREVER);
}

weft_time wefti_deadline(weft_time deadline)
{
    return deadline <= WEFT_NOW ? deadline : wefti_context_deadline(wefti_context_current(), deadline);
}

struct weft_deadline_scope weft_deadline_begin(weft_time deadline)
{
    struct wefti_context *context = wefti_context_current();
    struct weft_deadline_scope scope = {.outer = context->limit, .outer_shield = context->limit_shield, .inside = true};
    weft_time limit = wefti_context_deadline(context, deadline);
    context->limit = limit > WEFT_NOW ? limit : WEFT_NOW + 1; /* passed, but not WEFT_NOW, which would be EAGAIN */
    context->limit_shield = context->shield;
    return scope;
}

void weft_deadline_end(struct weft_deadline_scope *scope)
{
    struct wefti_context *context = wefti_context_current();
    context->limit = scope->outer;
    context->limit_shield = scope->outer_shield;
}
