/* SPDX-License-Identifier: MIT */
/*
 * A pool of threads, between the files of this floor. Reading order: future.c, line.c (and its parts crew.c, lanes.c, budget.c, room.c),
 * run.c, worker.c, pool.c, bulk.c, results.c, completed.c, parallel.c, registry.c.
 */
#ifndef WEFTI_POOL_H
#define WEFTI_POOL_H

#include "pool/future.h"
#include <weft/pool.h>

#ifdef WEFTI_SMALL
enum {
    WEFTI_POOL_DEAD = 1,
    WEFTI_POOL_BACKLOG = 4,
    WEFTI_POOL_COROUTINES = 6,
    WEFTI_POOL_STAND_INS = 16,
    WEFTI_POOL_DEPTH = 3,
    WEFTI_POOL_KEEP = 4
};
#else
enum {
    WEFTI_POOL_BACKLOG = 1024,    /* the default bound */
    WEFTI_POOL_COROUTINES = 1024, /* workers of a pool of coroutines */
    WEFTI_POOL_STAND_INS = 256,   /* so many workers may wait for tasks of their own pool, each having a stand-in */
    WEFTI_POOL_DEPTH = 64,        /* so many tasks may run inside one another on one stack */
    WEFTI_POOL_DEAD = 32,         /* so many that no longer wait may stand in the line before it is looked through */
    WEFTI_POOL_KEEP = 4096        /* records beyond this are given back to the system when they are freed */
};
#endif

struct wefti_worker {
    struct weft_pool *pool;
    weft_task *task;
    struct wefti_context *context;     /* while it is there; guarded by `in` */
    struct wefti_worker *next;         /* among those who rest, or among the ended */
    struct wefti_worker *left, *right; /* among all who are there */
    uint32_t called;                   /* 0 while it rests and nobody has called it; a word that is waited for */
    bool searches;                     /* it is the one that pool->searched speaks of; guarded by `in`, read by itself */
    uint32_t search_failures;          /* its own: searches in vain, one after another */
    uint32_t search_rest;              /* its own: times that are still to go without one */
    uint32_t taken;                    /* its own: tasks since it last gave way or rested */
    bool coming;                       /* counted in pool->coming; guarded by `in`, read by itself */
    bool stood_in;                     /* its own: another stands in while it selects */
    uint32_t selects;                  /* its own: cases of the select in which it waits that are futures of its pool */
    weft_value value;                  /* what the initializer returned */
    struct wefti_tally tally;          /* its own */
} __attribute__((aligned(64)));

/* One task being run by a context; on the stack of who runs it, innermost first from wefti_context.run. */
struct wefti_run {
    struct weft_future *task;
    struct weft_pool *pool;
    struct wefti_worker *worker; /* whose thread this is; NULL: of no pool */
    struct wefti_run *outer;
    unsigned depth; /* runs inside one another, this one included */
    bool visits;    /* it is counted in pool->present itself, not by its worker */
    struct wefti_context *context;
    struct wefti_run *left, *right; /* among the visits; guarded by `in` */
};

/* Tasks of one priority other than the normal one; guarded by `out`. */
struct wefti_lane {
    struct weft_future *first, *last;
};

enum wefti_lanes { WEFTI_LANE_HIGH, WEFTI_LANE_NORMAL, WEFTI_LANE_LOW, WEFTI_LANES };

struct weft_pool {
    /* Constant, or written rarely. */
    unsigned workers; /* written under `in` */
    weft_function *initializer, *finalizer;
    weft_value initial;     /* the initializer's argument */
    struct weft_pool *root; /* the outermost of the pools that share a budget; itself, else a reference */
    unsigned budget;        /* the root's: so many workers may run */
    uint32_t family;        /* the root's: pools made inside others that there are */
    bool limited;           /* its workers, but for one, run within the budget only */
    bool broken;            /* an initializer failed; written under `in` */
    enum weft_full_policy when_full;
    size_t backlog;
    size_t stack_size;
    struct wefti_hubs *hubs; /* of a pool of coroutines: its threads */
    char *name;
    char *cpus;          /* of its workers, or NULL */
    int nice;            /* not 0: as they are said to be to who made the pool */
    int niceness;        /* which is this, unless nice is 0 */
    uint32_t references; /* of the handle, each worker, each visit, each record */
    bool lost;           /* this is a forked child, and the workers are the parent's */
    bool terminated;
    bool crowded;  /* more workers run than should: some are to rest or to end */
    bool finished; /* registry.c's */
    struct weft_pool *next, *previous;

    /* Records that were freed: a stack that anybody pushes to and a submitter takes whole. RETIRED once the handle is gone. */
    struct weft_future *returned __attribute__((aligned(64)));

    /* The side of those who submit; all guarded by `in`. */
    struct wefti_latch in __attribute__((aligned(64)));
    bool closed;
    bool searched;                      /* a worker looks at `arrived` all the time */
    unsigned alive;                     /* workers, those being started included */
    unsigned settled;                   /* workers that have been started; stays above 0 once it is */
    unsigned away;                      /* workers that wait for tasks of this pool */
    unsigned coming;                    /* workers that were called or are being started, and have not looked at the line since */
    unsigned resting;                   /* workers in `rest` */
    struct weft_future *arrived, *last; /* the younger part of the line */
    struct weft_future *spare;          /* unused records */
    struct wefti_worker *rest;          /* the youngest sleeper first: its cache is warm, and it may still be spinning */
    uint64_t submitted;                 /* tasks that ever were in the line */
    uint64_t begun_seen;                /* what `begun` was when it was last looked at */
    uint64_t direct;                    /* tasks that were run by who submitted them */
    unsigned numbers;                   /* for names */
    unsigned surplus;                   /* workers that are to end, as the pool was made smaller */
    unsigned lent;                      /* workers that wait for tasks of other pools, and do not count in the budget */
    unsigned counted;                   /* workers that do count there */
    uint64_t waits;
    struct wefti_worker *all;
    struct wefti_worker *ended; /* to be joined */
    struct wefti_run *visits;
    uint32_t present;  /* workers and visits; a word that is waited for */
    uint32_t unreaped; /* workers whose thread nobody has joined; a word that is waited for */
    uint32_t settling; /* changes when a start has ended; a word that is waited for */

    /* The side of those who run; all guarded by `out`. */
    struct wefti_latch out __attribute__((aligned(64)));
    bool room_told;            /* they have been called */
    bool eager;                /* who waits for room wants the first there is */
    unsigned room_waiting;     /* how many wait for room */
    uint32_t room;             /* changes when there is room; a word that is waited for */
    struct weft_future *first; /* the older part of the line */
    size_t laned;              /* tasks in high and low; a worker that searches looks at it too */
    unsigned dead;             /* tasks in the line that have begun otherwise; each has a reference for it */
    uint64_t begun;            /* tasks that ever left the line; read by submitters too */
    struct wefti_lane high, low;
    unsigned passed[WEFTI_LANES]; /* tasks that began while the lane's first waited, one after another */
    uint64_t helped, blocked;

    struct wefti_tally tally __attribute__((aligned(64))); /* of visits, of the ended, of what never began; counted atomically */
    uint32_t used;                                         /* the root's: workers that run, in all its family; counted atomically */
};

/* line.c: the line of tasks that wait to begin. */

/*
 * Puts a task at the end, exactly within the bound; `*fresh` is a record to use if there is no other (then it is NULL afterwards). 0, or
 * an errno number and nothing has happened: ESHUTDOWN, ECHILD (no worker yet), EAGAIN (full), ENOMEM (no record). *future is not to be
 * touched unless a hold of it is the caller's.
 */
int wefti_line_put(struct weft_pool *pool, const struct wefti_submission *what, struct weft_future **fresh, struct weft_future **future);
/* The next task for this worker, which rests while there is none; NULL when it may end. */
struct weft_future *wefti_line_next(struct wefti_worker *worker);
/* Takes a task from those that wait if it is one still: it is the caller's to run in `context`, or to end (NULL). */
bool wefti_line_claim(struct weft_future *future, struct wefti_context *context);
/* Takes all that wait: the list, by `next`. */
struct weft_future *wefti_line_clear(struct weft_pool *pool);
/* No more puts; everybody who rests or waits for room is called. */
void wefti_line_close(struct weft_pool *pool);

/* room.c: waits until a full line may have room. *patience is 0 at first. */
int wefti_room_wait(struct weft_pool *pool, unsigned *patience, weft_time deadline);

/* crew.c: the workers that wait for tasks, and how many there are. */

/* Under `in`: counts one more worker as alive and coming, if there may be one more, for wefti_worker_start. */
bool wefti_crew_reserve(struct weft_pool *pool);
/* It could not be started. */
void wefti_crew_unreserve(struct weft_pool *pool);
/* How a start has ended. */
void wefti_crew_settle(struct weft_pool *pool, bool started);
/* A worker ends: it counts no more, and another is called or started if there is work for it. */
void wefti_crew_depart(struct weft_pool *pool);
/* 0, or an errno number as wefti_line_put. */
int wefti_crew_resize(struct weft_pool *pool, unsigned workers);
/* A worker begins to wait for a task of its own pool, and another stands in for it. False beyond the limit. */
bool wefti_crew_stand_in(struct weft_pool *pool);
void wefti_crew_return(struct weft_pool *pool);

/* budget.c: a worker begins to wait for tasks of another pool, and does not count in the budget meanwhile. */
void wefti_budget_lend(struct weft_pool *pool);
void wefti_budget_take_back(struct weft_pool *pool);

/* worker.c */

/* Starts one more, which is counted as alive already. 0; -1 with EAGAIN, ENOMEM, and it is counted no more. */
int wefti_worker_start(struct weft_pool *pool);
/* The second half of that, on the thread where a worker that is a coroutine is to run. As weft_task_start; on failure the worker is
 * gone. */
int wefti_worker_begin(struct wefti_worker *worker);
/* The end of a worker that could not be started. */
void wefti_worker_abandon(struct wefti_worker *worker);
/* What is to be added to the niceness of the caller for a worker's. */
int wefti_worker_nice(const struct weft_pool *pool);
/* Sees to it that there is a worker. 0; -1 with EAGAIN, ENOMEM, ETIMEDOUT, ECANCELED. */
int wefti_worker_need(struct weft_pool *pool, weft_time deadline);
/* Joins the workers that have ended. */
void wefti_worker_reap(struct weft_pool *pool);

/* run.c */

/* Runs a begun task in this context; the pool's hold of it ends. */
void wefti_run_task(struct wefti_run *run);
/* Runs a task that was never in the line, in the caller. */
void wefti_run_visit(struct weft_pool *pool, struct weft_future *task);
/*
 * Calls the function with the argument in the caller, as a task of the pool: with a cancellation and a shield of its own. A cancel of the
 * caller reaches it all the same, as it is a part of what the caller does.
 */
void wefti_run_part(struct weft_pool *pool, weft_function *function, weft_value argument);
/* weft_future_result's wait, in a context that runs tasks. */
int wefti_run_wait(struct wefti_run *run, struct weft_future *future, weft_time deadline);
/* Whether the caller is a task of the pool, or runs on one of its workers, and may run another on its stack. */
bool wefti_run_may_help(const struct weft_pool *pool);
/* Runs the future's task in the caller, which waits for it without a deadline, if it may help and nobody has begun it. Whether it did. */
bool wefti_run_help(struct weft_future *future);
/* weft_wait for a word that tasks of the pool (NULL: of none) will change: another worker stands in. -1 with EDEADLK too. */
int wefti_run_wait_word(const uint32_t *word, uint32_t expected, struct weft_pool *pool, weft_time deadline);
/* A case of a select in which the caller waits is a future of this pool: when it is its worker's own, another stands in, if it may. */
void wefti_run_select(const struct weft_pool *pool);
void wefti_run_select_end(const struct weft_pool *pool);
/* For a wait of another kind: lends the caller's worker to its family. The pool, for wefti_budget_take_back, or NULL. */
struct weft_pool *wefti_run_lend(void);
/* How many times the calling context is counted in pool->present. */
uint32_t wefti_run_present(const struct weft_pool *pool);
/* Whether the calling context runs tasks of this pool, or is one of its workers. */
bool wefti_run_inside(const struct weft_pool *pool);
/* In a forked child. */
void wefti_run_forget(void);

/* pool.c */

struct weft_future *wefti_pool_record(struct weft_pool *pool);
void wefti_pool_recycle(struct weft_future *record);
void wefti_pool_keep(struct weft_pool *pool);
void wefti_pool_drop(struct weft_pool *pool);
/*
 * As weft_pool_submit_with, the deadline being given apart; WEFTI_IF_ROOM: only if it can be put into the line at once, else EAGAIN.
 * `references`: 1 without a future (what is returned is only not NULL), 2.
 */
#define WEFTI_IF_ROOM ((weft_time)-1)
struct weft_future *wefti_pool_submit(const struct weft_submit_options *options, uint32_t references, weft_time deadline);
/* The name of a pool: the one given (NULL: the next number) in `size` octets. False with EINVAL: it is too long. */
bool wefti_pool_name(const char *given, char *name, size_t size);
/* results.c: calls a function of several arguments. */
weft_value wefti_results_star(weft_star_function *function, weft_value arguments);
/* The worker's initializer has failed with this error, which is given away. */
void wefti_pool_break(struct wefti_worker *worker, weft_value error);
/* Waits until nobody but the caller (counted `mine` times) is there. 0; -1 with EAGAIN, ETIMEDOUT, ECANCELED. */
int wefti_pool_wait(struct weft_pool *pool, uint32_t mine, weft_time deadline);

/* registry.c */

void wefti_registry_add(struct weft_pool *pool);
void wefti_registry_remove(struct weft_pool *pool);
/* How many forks this process is away from the first. */
extern uint32_t wefti_registry_forks;

#endif
