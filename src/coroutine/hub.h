/* SPDX-License-Identifier: MIT */
/* The hub of a thread, between the files of this floor; hub.c says how it works. */
#ifndef WEFTI_HUB_H
#define WEFTI_HUB_H

#include "coroutine/blocked.h"
#include "coroutine/coroutine.h"
#include "coroutine/descriptors.h"
#include "coroutine/moments.h"
#include "coroutine/stack.h"
#include "coroutine/told.h"
#include "wait/parked.h"

struct wefti_hub;
struct wefti_flow;

/* What goes into a hub's inbox: that a flow was unparked, or that one of its words of the kernel's ended its wait. */
struct wefti_note {
    struct wefti_note *next;
    struct wefti_flow *flow; /* constant */
};

/* One flow of control of a thread: a coroutine, or what the thread does itself. The hub's thread's own but for `unparked.next` and
 * `worded`. */
struct wefti_flow {
    struct wefti_hub *hub;
    struct wefti_context *context;
    void *sp;                /* while another runs */
    struct wefti_flow *next; /* in the run queue */
    bool parked;             /* it is in its park */
    bool given;              /* it was unparked; its park has not returned since */
    bool queued;             /* it is in the run queue */
    bool late;               /* its moment has come */
    bool seen;               /* one of its descriptors is ready */
    bool words_got;          /* the note about its words has come */
    bool words_sent;         /* it is on its way: the words' (words.c) */
    weft_time since;         /* of its last park: the hub's `now` when it began */
    struct wefti_moment moment;
    struct wefti_note unparked, worded;
    void *exceptions[2]; /* libstdc++'s, while another runs */
    struct wefti_told told;
};

/* Lies at the top of its stack, the struct wefti_stack in its last octets. */
struct wefti_coroutine {
    struct wefti_context context;
    struct wefti_flow flow;
    void (*function)(void *data);
    void *data;
    struct wefti_stack stack;
};

struct wefti_hub {
    struct wefti_note *inbox; /* see inbox.c; written by anybody, all else by the hub's thread alone */
    uint32_t inside;          /* 1: its thread is at work on what follows, so that a signal handler must not be */
    uint32_t turns;           /* switches until it looks at inbox, time and descriptors */
    uint32_t looks;           /* goes up whenever `turns` is set anew: both together never come back (blocked.c) */
    weft_time now;            /* the machine's time when it last looked or slept, to some milliseconds: for reports */
    struct wefti_flow *current;
    struct wefti_flow *first, *last; /* those that can run */
    struct wefti_flow *dead;         /* has just ended, and its stack is to be given back by who runs next */
    size_t alive;                    /* coroutines that have not ended */
    int thread;                      /* the kernel's number of it */
    bool lent;                       /* another loop watches its descriptor */
    bool expects;                    /* somebody was sent something who answers at once (readiness.c), since it last had nothing to do */
    bool rung;                       /* its bell was rung by the thread itself, since it last looked */
    uint64_t seed;                   /* of a hub with one: where its choices have come to, never 0; else 0 */
    uint64_t eager_since;            /* what `turns` and `looks` were when `eager` began */
    unsigned eager;                  /* calls that did not have to wait, since then (readiness.c) */
    bool finishing;                  /* its home is to go on when there are none */
    struct wefti_flow *orphan;       /* this is a forked child, and this coroutine all that there was of the thread */
    struct wefti_moments moments;
    struct wefti_descriptors descriptors;
    struct wefti_spin spin; /* for notes of other threads */
    struct wefti_answer_spin answer_spin;
    void **exceptions;                        /* libstdc++'s of this thread, or NULL */
    int *error;                               /* this thread's errno */
    const struct wefti_carrier *home_carrier; /* what carried the thread before it had coroutines */
    struct wefti_flow home;
    struct wefti_stacks stacks;
    void *signal_stack;
    struct wefti_stall stall; /* blocked.c's */
};

/* The hub of the calling thread, or NULL. Out of line: where a flow runs on may be another place in time, and what was read before is
 * stale. */
struct wefti_hub *wefti_hub_now(void);

/* What changes with each choice of who runs next; 0: the hub rests, and keeps nobody waiting. By anybody who makes sure that the hub is
 * there. */
uint64_t wefti_hub_progress(const struct wefti_hub *hub);

/* Puts a flow whose park has an ending at the end of the run queue, unless it is there. By the hub's thread, inside. */
void wefti_flow_ready(struct wefti_flow *flow);
/* Lets others run until somebody makes this flow ready, which runs. By the hub's thread, inside. */
void wefti_flow_sleep(struct wefti_flow *flow);
/* Parks the flow, which runs, as a carrier's park does (wait/context.h); see park.c. */
int wefti_flow_park(struct wefti_flow *flow, const struct wefti_wait *wait);
/* Ends the waits of its flows for a descriptor that is about to be closed. By the hub's thread. */
void wefti_hub_close(struct wefti_hub *hub, int descriptor);
/* None of its flows waits for that, nor will: another hub is to have it. By the hub's thread. */
void wefti_hub_leave(struct wefti_hub *hub, int descriptor);
/* Puts a note into the inbox of its flow's hub, which is woken. By anybody; touches neither flow nor hub afterwards. */
void wefti_note_post(struct wefti_note *note);

#endif
