/* SPDX-License-Identifier: MIT */
/*
 * The future, which is also the record of a pool's task: made by submit, in the pool's line until a worker begins it, and then the place
 * where the result is written and waited for.
 */
#ifndef WEFTI_FUTURE_H
#define WEFTI_FUTURE_H

#include "base/latch.h"
#include "wait/context.h"
#include <weft/future.h>
#include <weft/pool.h>

struct weft_pool;

struct wefti_callback {
    weft_done_callback *function; /* NULL: none */
    void *data;
    struct wefti_callback *next; /* allocated */
};

struct weft_future {
    /* All that a task without callback and name needs, in one line of the cache. */
    uint32_t state; /* see future.c; a word that is waited for */
    uint32_t references;
    struct weft_future *next; /* in the line; among unused records */
    weft_function *function;
    weft_value value;              /* the argument; the result from the end on, final once the outcome stands in the state */
    struct weft_pool *pool;        /* NULL: made by weft_future_new */
    struct wefti_context *context; /* that runs it; NULL while another task runs inside it */
    struct wefti_latch latch;      /* of `callbacks`, `called`, and of `context` once the task has begun */
    bool begun;                    /* waits no more; written under the pool's `out`. Of one's own: set by who will end it */
    bool collected;                /* somebody has asked for the result */
    bool called;                   /* the callbacks have been called: who adds one now calls it */
    bool named;                    /* `name` is this task's */
    /* Rarely touched. What is here is NULL in an unused record, but for the name. */
    struct wefti_callback callbacks __attribute__((aligned(64))); /* the oldest */
    struct weft_future *waits_for;                                /* guarded by the latch of run.c's graph */
    struct weft_future *part; /* a part of it, that runs in its context: a cancel reaches that instead; guarded by the latch */
    const char *name;
};

/* How many tasks ended in which way: by enum weft_outcome. */
struct wefti_tally {
    uint64_t ended[WEFT_LOST + 1];
    bool shared; /* by several threads, which then count atomically */
};

struct wefti_submission {
    weft_function *function;
    weft_value argument;
    weft_done_callback *on_done;
    void *data;
    const char *name;
    uint32_t references;
    enum weft_priority priority;
};
/* Makes a record that is nobody's a task; the argument is taken. */
void wefti_future_prepare(struct weft_future *record, struct weft_pool *pool, const struct wefti_submission *what);
/*
 * Ends it, once, visible to everybody: as `outcome`, or as the result says when that is WEFT_PENDING. The result is given away. The
 * tally is counted up before; NULL is allowed.
 */
void wefti_future_publish(struct weft_future *future, weft_value result, enum weft_outcome outcome, struct wefti_tally *tally);
/* Calls its callbacks, after publish. */
void wefti_future_call_back(struct weft_future *future);
/* Ends one that never began, which the caller has taken out of the line: callbacks are called, the pool's hold ends. */
void wefti_future_drop_pending(struct weft_future *future, weft_value result, enum weft_outcome outcome, struct wefti_tally *tally);
/* Takes it out of the line, if it waits there still, and ends it so. False: it has begun. */
bool wefti_future_withdraw(struct weft_future *future, weft_value result, enum weft_outcome outcome);
/*
 * As weft_future_on_done, but that it is called before all that programs add, and not at all when the future has ended: then *ended is set.
 * 0; -1 with ENOMEM.
 */
int wefti_future_watch(struct weft_future *future, weft_done_callback *callback, void *data, bool *ended);
/* As weft_future_result; it does not count as collecting the result. */
int wefti_future_wait(struct weft_future *future, weft_time deadline);
/* Sleeps until it has ended: as weft_future_result, without regard to who calls. */
int wefti_future_sleep(struct weft_future *future, weft_time deadline);
bool wefti_future_cancel_asked(const struct weft_future *future);

#endif
