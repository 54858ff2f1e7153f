/* SPDX-License-Identifier: MIT */
/* The task handle, between the kinds of task and what they share; and what the floors above may use besides <weft/task.h>. */
#ifndef WEFTI_TASK_H
#define WEFTI_TASK_H

#include <pthread.h>

#include "base/latch.h"
#include "task/placement.h"
#include "wait/context.h"
#include <weft/task.h>

enum { WEFTI_NAME_LIMIT = 255 };

/* What differs by kind. */
struct wefti_task_carrier {
    const char *noun;                     /* "Thread": in representations and default names */
    int (*start)(struct weft_task *task); /* 0; -1 with errno, and it can be tried again */
    /* Clears up after a task that has stopped; waits at most for the last instructions of what ran. */
    void (*reap)(struct weft_task *task);
    /*
     * NULL, or: waits until a task that was started has stopped, and clears up after it, so that the waiter is woken once, by the very end of
     * what ran. Fails as any wait; it can be repeated then.
     */
    int (*wait_and_reap)(struct weft_task *task, weft_time deadline);
    int (*kill)(struct weft_task *task);     /* as weft_task_kill */
    void (*renamed)(struct weft_task *task); /* under the guard */
};

/* Beside enum weft_task_state: weft_task_start is at work. To others this is WEFT_STARTED, but `thread` is not known yet. */
enum { WEFTI_STARTING = 3 };

extern struct wefti_task_carrier wefti_task_thread;

struct weft_task {
    uint32_t references; /* the handles, and one of what runs */
    uint32_t state;      /* see task.c; a word that is waited for */
    uint32_t outcome;    /* enum weft_outcome */
    uint32_t reaped;     /* 1: somebody reaps or has reaped; claimed by exchange, given back by one who failed */
    uint32_t collected;  /* 1: somebody has asked for the result */
    int native_id;
    const struct wefti_task_carrier *carrier;
    enum weft_task_kind kind;
    bool daemon;
    bool untaken; /* the argument is still the spawner's: the task takes it when it begins */
    weft_function *function;
    weft_value argument;
    weft_value result;
    uint64_t ident;
    size_t stack_size;
    struct wefti_placement placement;
    struct wefti_latch guard;      /* of the next three */
    bool cancelled;                /* weft_task_cancel came */
    struct wefti_context *context; /* while it runs */
    char *name;                    /* own_name, or allocated */
    char own_name[24];
    void *group;                       /* the group that it is a member of; constant once it was started */
    pthread_t thread;                  /* known from STARTED on; written by the starter and by the thread, atomically, alike */
    struct weft_task *next, *previous; /* in the register of those alive; guarded by its latch */
};

/* For the carriers: from here on `thread` is known. Said by the starter and by what runs, whoever is first. */
void wefti_task_began(struct weft_task *task);
/* For the carriers: begins the task in the context that runs it, calls its function, ends it. */
void wefti_task_run(struct weft_task *task);

/* The register of tasks that are alive. */
void wefti_register_add(struct weft_task *task);
void wefti_register_remove(struct weft_task *task);

/* Calls the destructors of the context's task-local pointers, in that context. */
void wefti_locals_destroy(struct wefti_context *context);

/* Counts a failure that nobody collects, and tells the hook. `error` is borrowed. */
void wefti_uncollected(const char *what, weft_value error);

/* Blocks in the calling thread, which Weft has started, the signals that objects wait for (signals.c). */
void wefti_signals_hold(void);

/* From now on the program waits for its non-daemonic tasks when it exits. */
void wefti_exit_joins(void);

#endif
