/* SPDX-License-Identifier: MIT */
/*
 * A wait that a partner ends who can find it, and not a change of a word: so neither of the two goes to the parking lot.
 *
 * The waiter prepares it (wefti_direct_begin), puts it where partners look, under a latch of the noun's, and waits (wefti_direct_wait). A
 * partner who finds it there claims it under that latch (wefti_direct_claim), and then unparks the context that he was given, once, with or
 * without the latch. When the wait is over the waiter takes it away from there, under the latch, if it may still be there; then nobody can
 * find it any more. Claims, cancellation and deadlines are those of wait.c, and so is the promise that an unpark follows each claim: a wait
 * that a partner has claimed does not return before he has unparked.
 *
 * For contexts that have others to let run: a thread that has none looks at a word for a while before it sleeps, which a direct wait does
 * not.
 */
#ifndef WEFTI_DIRECT_H
#define WEFTI_DIRECT_H

#include "base/alone.h"
#include "wait/context.h"
#include "wait/parked.h"

static inline bool wefti_direct_pays(const struct wefti_context *context)
{
    return context->spin.rest > WEFTI_SPIN_NEVER / 2;
}

/* Before anybody can find it. By the context itself. */
static inline void wefti_direct_begin(struct wefti_wait *wait, struct wefti_context *context)
{
    wait->context = context;
    wait->count = 0;
    wait->claim = CLAIM_OPEN;
}

/* 0: a partner has ended it; -1 as any wait. It is begun, and partners may have come. */
int wefti_direct_wait(struct wefti_wait *wait, weft_time deadline);

/* By a partner, under the latch: whom to unpark, or NULL when the wait has been ended otherwise. Release: what he did before is seen after
 * the wait. */
static inline struct wefti_context *wefti_direct_claim(struct wefti_wait *wait)
{
    return wefti_move(&wait->claim, CLAIM_OPEN, CLAIM_ITEM) ? wait->context : NULL;
}

/* Ends the wait of a context that was claimed. */
static inline void wefti_unpark(struct wefti_context *context)
{
    context->carrier->unpark(context);
}

#endif
