/* SPDX-License-Identifier: MIT */
/*
 * An execution context: what runs, sleeps and is woken. Each thread is one (thread_context.c), each coroutine is one; `wait` knows neither,
 * only the carrier's few functions.
 */
#ifndef WEFTI_CONTEXT_H
#define WEFTI_CONTEXT_H

#include "base/latch.h"
#include "base/zero.h"
#include "shared/life.h"
#include "wait/spin.h"
#include "wait/wait.h"

struct wefti_context;
struct wefti_wait;

/*
 * How a kind of context sleeps. The contract that keeps every pointer valid: an unpark follows each claim of a wait (wait.c) and nothing
 * else, so there is exactly one for each wait that was ended by another, and park does not come back for good before it has had it.
 */
struct wefti_carrier {
    /*
     * Sleeps until unpark, the wait's deadline, or until one of its descriptors or kernel words ends it. 0: unparked. 1: such an item ended
     * it, its `seen` set. -1 with ETIMEDOUT, EINVAL, ENOMEM or EMFILE: not unparked. Called by the context itself.
     */
    int (*park)(struct wefti_context *self, const struct wefti_wait *wait);
    /* As park, of a wait of no items, or of words of the parking lot only: 0; -1 with ETIMEDOUT. */
    int (*rest)(struct wefti_context *self, weft_time deadline);
    /* Ends the park, the present one or the next. Called by anybody, once a claim, also in signal handlers (so it never waits, and keeps
     * errno); does not touch the context after it can have returned. */
    void (*unpark)(struct wefti_context *context);
    /* Lets others run. */
    void (*yield)(struct wefti_context *self);
    /* NULL, or called after a park that no unpark has ended, when none can come any more: the waiter has claimed the wait himself. By the
     * context itself; keeps errno. */
    void (*settled)(struct wefti_context *self);
};

struct wefti_context {
    const struct wefti_carrier *carrier;
    uint32_t ident;         /* constant; see wefti_ident */
    uint32_t shield;        /* how many shields are raised; the context's own */
    uint32_t limit_shield;  /* as many were when the next was set; the context's own */
    weft_time limit;        /* the deadline of the block that it is in (deadline.c), or WEFT_FOREVER; the context's own */
    weft_time idle;         /* how long each of its waits for a descriptor that it reads or writes may take; 0: any time; the net floor's */
    struct wefti_spin spin; /* the context's own: what came of spins before a wait */
    struct wefti_spin lock_spin; /* and before a wait for a lock or a permit */
    struct wefti_latch guard;    /* of the next two */
    uint32_t cancelled;          /* sticky; read without the guard by its own context */
    struct wefti_wait *wait;     /* the wait it sleeps in, while a canceller may end it */
    const uint32_t *watched;     /* NULL, or a word of the arena: the context is cancelled when that is not 0; the context's own */
    struct wefti_life *life;     /* what is known of it in the arena, once it has used something there; the context's own */
    void *flow;                  /* the coroutine floor's; NULL: its thread has had no coroutines */
    void *task;                  /* the task floor's */
    void *locals;                /* the task floor's */
    uint32_t locals_count;       /* the task floor's */
    void *run;                   /* the pool floor's */
};

extern __thread struct wefti_context *wefti_context_now __attribute__((visibility("hidden")));
/* Its ident, or 0 when there is none yet: all that taking a free lock asks for, one load away. */
extern __thread uint32_t wefti_ident_now __attribute__((visibility("hidden")));

/* From here on `context` is what runs on this thread; NULL: nothing known. Nothing else sets the two. */
static inline void wefti_context_switch(struct wefti_context *context)
{
    wefti_context_now = context;
    wefti_ident_now = context ? context->ident : 0;
}

/* Makes the calling thread's own context known. Out of line: after a switch of coroutines nobody may use what he read before it. */
struct wefti_context *wefti_context_enter(void);

/* The context that calls. */
static inline struct wefti_context *wefti_context_current(void)
{
    struct wefti_context *context = wefti_context_now;
    return __builtin_expect(context != NULL, 1) ? context : wefti_context_enter();
}

/*
 * Called when a thread that has a context ends, in that thread, before the context goes: for the floor above, which hangs things on it. One
 * function; set before any thread is started.
 */
extern void (*wefti_context_leave_hook)(struct wefti_context *context);

/* The earlier of a deadline and that of the block that the context is in. By the context itself. */
static inline weft_time wefti_context_deadline(const struct wefti_context *context, weft_time deadline)
{
    return context->limit < deadline && context->shield <= context->limit_shield ? context->limit : deadline;
}

/* Its life, begun with the first call: NULL with the errno of wefti_life_begin. By the context itself. */
static inline struct wefti_life *wefti_context_life(struct wefti_context *context)
{
    if (__builtin_expect(!context->life, 0))
        context->life = wefti_life_begin();
    return context->life;
}

extern uint32_t wefti_context_idents __attribute__((visibility("hidden"))); /* how many there have been */
enum { WEFTI_IDENT_LIMIT = 1 << 29 };

/* Prepares a context, as which something is to run. */
static inline void wefti_context_prepare(struct wefti_context *context, const struct wefti_carrier *carrier)
{
    wefti_zero(context, sizeof(*context));
    context->carrier = carrier;
    context->limit = WEFT_FOREVER;
    /* Two that live at once share a number only when half a milliard came between them; a lock would then miss a mistake of its user's, no
     * more. */
    context->ident = wefti_count(&wefti_context_idents, 1) % (WEFTI_IDENT_LIMIT - 1) + 1;
}

/* Makes each wait of the context fail with ECANCELED, the present one too. The caller makes sure that the context stays there. */
void wefti_context_cancel(struct wefti_context *context);
/* Takes that back, so that a worker can take the next task. By the context itself. */
void wefti_context_uncancel(struct wefti_context *context);

static inline bool wefti_context_cancelled(const struct wefti_context *context)
{
    return __atomic_load_n(&context->cancelled, __ATOMIC_RELAXED) != 0 ||
           (context->watched && __atomic_load_n(context->watched, __ATOMIC_RELAXED) != 0);
}

#endif
