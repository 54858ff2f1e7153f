/* SPDX-License-Identifier: MIT */
/* The task handle, between the kinds of task and what they share; and what the floors above may use besides <weft/task.h>. */
#ifndef WEFTI_TASK_H
#define WEFTI_TASK_H

#include <pthread.h>

#include "base/alone.h"
#include "base/latch.h"
#include "task/placement.h"
#include "wait/context.h"
#include <weft/task.h>

enum { WEFTI_NAME_LIMIT = 255, WEFTI_OWN_NAME = 24, WEFTI_NUMBERED_NAME = 88, WEFTI_DIGITS = sizeof("4294967295") };

/* What differs by kind. */
struct wefti_task_carrier {
    const char *noun;    /* "Thread": in representations and default names */
    const char *lineage; /* stands before the number in those: "1:" in the first process task, whose first is 1:1; NULL: nothing */
    uint32_t numbers;    /* of default names */
    int (*start)(struct weft_task *task); /* 0; -1 with errno, and it can be tried again */
    /* Clears up after a task that has stopped; waits at most for the last instructions of what ran. */
    void (*reap)(struct weft_task *task);
    /*
     * NULL, or: waits until a task that was started has stopped, and clears up after it, so that the waiter is woken once, by the very end
     * of what ran. Fails as any wait; it can be repeated then.
     */
    int (*wait_and_reap)(struct weft_task *task, weft_time deadline);
    int (*kill)(struct weft_task *task);     /* as weft_task_kill */
    void (*renamed)(struct weft_task *task); /* under the guard */

    /* What follows is NULL for what runs in this process. */

    /* Looks whether it has ended, and if so ends the handle (wefti_task_end). Anybody, at any time; the caller has a handle. */
    void (*look)(struct weft_task *task);
    /* Waits until it has ended, and ends the handle. As any wait. Instead of reap and wait_and_reap. */
    int (*wait)(struct weft_task *task, weft_time deadline);
    /* The word that is not `expected` any more when it has ended. */
    void (*word)(struct weft_task *task, struct wefti_item *item);
    /* What it returned, made anew for each who asks. -1 with ENOMEM. */
    int (*collect)(struct weft_task *task, weft_value *value);
    int (*exitcode)(const struct weft_task *task);
    void (*cancel)(struct weft_task *task);   /* it is started */
    int (*terminate)(struct weft_task *task); /* as weft_task_terminate */
    bool (*regrets)(struct weft_task *task);  /* whether that it was lost is news, and no answer to a kill */
    void (*clear)(struct weft_task *task);    /* the last handle goes */
    void (*lose)(struct weft_task *task);     /* this is a forked child, and the task its parent's */
};

/*
 * Beside enum weft_task_state. STARTING: weft_task_start is at work; to others this is WEFT_STARTED, but `thread` is not known yet. ENDING:
 * it has ended, and somebody is about to make the handle say so.
 */
enum { WEFTI_STARTING = 3, WEFTI_ENDING = 4 };

extern struct wefti_task_carrier wefti_task_thread, wefti_task_process, wefti_task_coroutine;

struct wefti_task_process;

struct weft_task {
    uint32_t references; /* the handles, and one of what runs */
    uint32_t state;      /* see task.c; a word that is waited for */
    uint32_t outcome;    /* enum weft_outcome */
    uint32_t reaped;     /* 1: somebody reaps or has reaped; claimed by exchange, given back by one who failed */
    uint32_t collected;  /* 1: somebody has asked for the result */
    int native_id;
    uint32_t number; /* that its default name has */
    enum weft_task_kind kind;
    const struct wefti_task_carrier *carrier;
    weft_function *function;
    weft_value argument;
    weft_value result;
    uint64_t ident;
    bool daemon;
    bool untaken;                      /* the argument is still the spawner's: the task takes it when it begins */
    bool plain;                        /* a coroutine, and all from `stack_size` on is zero but for what name it was given since */
    bool cancelled;                    /* weft_task_cancel came; guarded by the next */
    struct wefti_latch guard;          /* also of the next three */
    struct wefti_context *context;     /* while it runs */
    struct wefti_wait *joiner;         /* of a coroutine: one who waits for its end directly (wait/direct.h), or NULL */
    char *name;                        /* own_name, or allocated; NULL: what `number` makes, which nobody has asked for yet */
    struct weft_task *next, *previous; /* in the register of those alive; guarded by its latch. `next`: also among the spare */
    void *group;                       /* the group that it is a member of; constant once it was started */

    /* What a coroutine seldom has. */
    size_t stack_size;
    struct wefti_placement placement;
    char own_name[WEFTI_OWN_NAME];
    pthread_t thread; /* known from STARTED on; written by the starter and by the thread, atomically, alike */
    enum weft_process_method method;
    bool insist;
    int given;     /* 1 + a descriptor that the process is to have (wefti_process_given); 0: none. Set before it is started */
    uint32_t gone; /* 1: of a thread, its coroutines have ended, too; a word that is waited for */
    struct wefti_task_process *process; /* the carrier's; constant while the state is STARTED or later; NULL in the process itself */
};

static inline uint32_t wefti_task_state(const struct weft_task *task)
{
    return __atomic_load_n(&task->state, __ATOMIC_ACQUIRE);
}

static inline bool wefti_task_stopped(const struct weft_task *task)
{
    return wefti_task_state(task) == WEFT_STOPPED;
}

/* The state of a task that may have ended elsewhere. */
static inline uint32_t wefti_task_look(const struct weft_task *task)
{
    uint32_t state = wefti_task_state(task);
    if (state != WEFT_STARTED || !task->carrier->look)
        return state;
    task->carrier->look((struct weft_task *)task); /* what is known of it changes, not what it is */
    return wefti_task_state(task);
}

static inline bool wefti_task_move(struct weft_task *task, uint32_t from, uint32_t to)
{
    return wefti_move(&task->state, from, to);
}

/* A thread's coroutines have ended: it has nothing left to do but end. Whoever joins it may. */
static inline void wefti_task_gone(struct weft_task *task)
{
    __atomic_store_n(&task->gone, 1, __ATOMIC_RELEASE); /* pairs with the acquire of task_reap */
    weft_wake(&task->gone, UINT32_MAX);
}

/* The number in decimal, at the end of `digits`: where it begins. */
const char *wefti_task_digits(uint32_t number, char digits[WEFTI_DIGITS]);
/* The name of a task that was given none, of WEFTI_OWN_NAME octets at most, or WEFTI_NUMBERED_NAME where there is a lineage: also in a
 * signal handler, without a latch. */
void wefti_task_default_name(const struct weft_task *task, char *name);

/* For the carriers: from here on `thread` is known. Said by the starter and by what runs, whoever is first. */
void wefti_task_began(struct weft_task *task);
/* For the carriers: begins the task in the context that runs it, calls its function, ends it. */
void wefti_task_run(struct weft_task *task);

/* For a carrier with `look`: the task has ended. True to the one who is to make the handle say so: by the next. */
bool wefti_task_end_begin(struct weft_task *task);
void wefti_task_end(struct weft_task *task, enum weft_outcome outcome);
/* Waits until weft_task_start is done with a task. From any task; not ended by cancellation. */
void wefti_task_settle(struct weft_task *task);
/* Ends a task that was never started, as cancelled. False when it has been started. */
bool wefti_task_cancel_initial(struct weft_task *task);
/* In a process that is a task: idents from here on are above this, and default names begin anew. */
void wefti_task_number_from(uint64_t ident);

/* When the calling thread ends: the memory of the handles that it keeps to use again. */
void wefti_task_spares_end(void);

/* process.c: what has ended meanwhile leaves the register. */
void wefti_processes_look(void);
/* In a process that is a task: the descriptor that its maker gave it, its own now, close-on-exec; -1: none, or it was asked for before. */
int wefti_process_given(void);
/* Ends the processes that are daemons, at exit. */
void wefti_processes_end(void);
/* Begins the family, if there is none: what weft_spawn(WEFT_PROCESS) does first. 0; -1 as wefti_family_begin. */
int wefti_processes_begin(void);

/* The register of tasks that are alive. */
void wefti_register_add(struct weft_task *task);
void wefti_register_remove(struct weft_task *task);
/* The oldest of which this is true, kept; NULL: there is none. `is` is called under the register's latch. */
struct weft_task *wefti_register_find(bool (*is)(const struct weft_task *task));

/* Where the oldest of them is written down: for who reads the memory of another process (outside.c). */
const void *wefti_register_place(void);

/*
 * What a thread does before it ends: waits for its coroutines, cancelling those that are daemons when the others have ended. Not ended by
 * cancellation.
 */
void wefti_coroutines_join(void);

/* Calls the destructors of the context's task-local pointers, in that context. */
void wefti_locals_destroy(struct wefti_context *context);

/* Counts a failure that nobody collects, and tells the hook. `error` is borrowed. */
void wefti_uncollected(const char *what, weft_value error);

/* Blocks in the calling thread, which Weft has started, the signals that objects wait for (signals.c). */
void wefti_signals_hold(void);
/* Those signals, as a set: bit n - 1 is signal n. */
uint64_t wefti_signals_held(void);

/* From now on the program waits for its non-daemonic tasks when it exits. */
void wefti_exit_joins(void);
/* Does that now. */
void wefti_exit_join(void);
/* What the floor above does at exit after that, or NULL; for processes that end without exit(3). */
extern void (*wefti_exit_hook)(void) __attribute__((visibility("hidden")));

/* In a process that is a task: its main task is that one from here on. The handle, borrowed; its function and argument are to be filled
 * in. */
struct weft_task *wefti_register_become(const char *name, uint64_t ident, bool daemon);

#endif
