/* SPDX-License-Identifier: MIT */
/*
 * A pool of processes, between its files. Reading order: process_ring.c, process_task.c, process_worker.c, process_keeper.c,
 * process_stop.c, process_errand.c, process_mend.c, process_pool.c, process_submit.c, process_future.c, process_caller.c, process_crash.c.
 *
 * All of it lies in the arena, and is at the same address in every process: the pool, the records of its tasks (which are its futures), the
 * table of its workers. Any process of the family may submit, wait, cancel; any may die between any two stores. What keeps it whole:
 *
 *   The truth about a task is the one word `state` of its record; about a worker, the `state` of its place in the table. Each step of a
 *   task is one compare-and-swap of that word. So a task is always in exactly one of its states, whoever dies.
 *
 *   The line is a ring of hints (process_ring.c): numbers of records. A hint that is wrong costs a look. One that is missing is put in
 *   again by the mender.
 *
 *   No lock is held by anybody, ever, over anything that lies in the arena. So the supervisor, which mends, never waits.
 */
#ifndef WEFTI_POOL_PROCESS_H
#define WEFTI_POOL_PROCESS_H

#include <errno.h>

#include "pool/pool.h"
#include "shared/block.h"
#include "shared/seat.h"
#include "value/flat.h"

struct wefti_process;

/*
 * state of a task's record, the word that its waiters sleep on:
 *   bits 0-3   the phase
 *   WAITED     somebody sleeps on the word, or is about to: who ends the task wakes them
 *   CALLS      the process that submitted it has callbacks, or a failure to report: who ends it rings that process, which takes the bit
 *   away when it has called
 *   CANCEL     weft_future_cancel came while it ran
 *   STOPPED    it is to end as `stop` says: its worker is being killed, and can no longer end it; the mender does when the worker is dead
 *   bits 8-20  whose: RESERVED, FREEING: the seat of who does it; RUNNING: the worker's place in the table, or VISIT
 *   bits 21-31 the record's generation: grows when it is freed, so that what was meant for one task never hits the next
 */
enum wefti_process_phase {
    WEFTI_TASK_FREE,
    WEFTI_TASK_RESERVED, /* being written by a submitter */
    WEFTI_TASK_WAITING,
    WEFTI_TASK_RUNNING,
    WEFTI_TASK_FREEING,  /* its blocks are being given back */
    WEFTI_TASK_ENDED = 8 /* + enum weft_outcome */
};
enum { WEFTI_TASK_PHASE = 15, WEFTI_TASK_WAITED = 16, WEFTI_TASK_CALLS = 32, WEFTI_TASK_CANCEL = 64, WEFTI_TASK_STOPPED = 128 };
enum { WEFTI_TASK_WHO_SHIFT = 8, WEFTI_TASK_WHO = 0x1fff, WEFTI_TASK_AGE_SHIFT = 21, WEFTI_TASK_AGES = 1 << 11 };
enum { WEFTI_TASK_VISIT = WEFTI_TASK_WHO }; /* it runs in the process that submitted it */

static inline uint32_t wefti_task_phase(uint32_t state)
{
    return state & WEFTI_TASK_PHASE;
}

static inline uint32_t wefti_task_who(uint32_t state)
{
    return state >> WEFTI_TASK_WHO_SHIFT & WEFTI_TASK_WHO;
}

static inline uint32_t wefti_task_age(uint32_t state)
{
    return state >> WEFTI_TASK_AGE_SHIFT;
}

/*
 * holds, who has futures of a task:
 *   bits 0-20   how many the process has that submitted it; 0 when that is dead
 *   bits 21-31  the record's generation
 *   bits 32-63  how many others have, by weft_future_keep; what a dead one had of these stays, and so does the record, until the pool goes
 */
enum { WEFTI_TASK_HOLDS = (1 << WEFTI_TASK_AGE_SHIFT) - 1, WEFTI_TASK_OTHERS_SHIFT = 32 };
static inline uint32_t wefti_task_holds(uint64_t holds)
{
    return ((uint32_t)holds & WEFTI_TASK_HOLDS) + (uint32_t)(holds >> WEFTI_TASK_OTHERS_SHIFT);
}

static inline bool wefti_task_held(const uint64_t *holds)
{
    return wefti_task_holds(__atomic_load_n(holds, __ATOMIC_SEQ_CST)) > 0;
}

/* The same task in another phase: its flags and generation stay. */
static inline uint32_t wefti_task_turn(uint32_t state, uint32_t phase, uint32_t who)
{
    uint32_t kept = state & (WEFTI_TASK_WAITED | WEFTI_TASK_CALLS | WEFTI_TASK_CANCEL | ~(uint32_t)0 << WEFTI_TASK_AGE_SHIFT);
    return kept | phase | who << WEFTI_TASK_WHO_SHIFT;
}

/* `stop` of a task in this state: with its generation, as who writes it may find only then that the task has ended, and the record is the
 * next one's. The outcome is in the last four bits. */
static inline uint16_t wefti_task_stop(uint32_t state, enum weft_outcome outcome)
{
    return (uint16_t)(wefti_task_age(state) << 4 | outcome);
}

static inline bool wefti_task_ended(uint32_t state)
{
    return state & WEFTI_TASK_ENDED;
}

/* A value in the arena. Scalars stand here; the flat form of others in the room that follows, or in a block. */
enum { WEFTI_PACKED_HERE = 0x80, WEFTI_PACKED_BLOCK = 0x81 };
struct wefti_packed {
    uint8_t form; /* enum weft_value_kind of a scalar, or one of these */
    uint8_t reserved[3];
    uint32_t length; /* of WEFTI_PACKED_HERE */
    union {
        int64_t integer;
        double real;
        void *pointer; /* into the arena; of WEFTI_PACKED_BLOCK the block, which begins with the length */
    } as;
};

/* FIRST: records in the first slab, and in the second; each further one doubles them. */
#ifdef WEFTI_SMALL
enum { WEFTI_PACKED_ROOM = 16, WEFTI_PROCESS_FIRST = 64, WEFTI_PROCESS_SLABS = 20, WEFTI_PROCESS_LOOKS = 8 };
#else
enum { WEFTI_PACKED_ROOM = 80, WEFTI_PROCESS_FIRST = 128, WEFTI_PROCESS_SLABS = 20, WEFTI_PROCESS_LOOKS = 256 };
#endif

/* How the function is called. */
enum wefti_process_call {
    WEFTI_CALL_PLAIN = 0,
    WEFTI_CALL_STAR = 1 /* with a list of arguments */,
    WEFTI_CALL_EACH = 2 /* for each of a list */,
    WEFTI_CALL_LIMITED = 4
};

struct wefti_process_pool;

/* A task of a pool of processes: its future. The first line of the cache is all that a small one needs. */
struct wefti_process_task {
    uint32_t state;
    uint16_t owner; /* the seat of who submitted it; constant from RESERVED to FREE */
    uint8_t call;   /* bits of enum wefti_process_call; so too */
    uint8_t tries;  /* how often it may begin again after a worker's death */
    uint64_t holds;
    weft_function *function;
    uint64_t module;              /* see function.h */
    struct wefti_packed argument; /* constant while it waits and runs */
    struct wefti_packed result;   /* written by who runs it, before the end */
    /* What follows is touched rarely. */
    uint64_t offset; /* of the function in its module */
    struct wefti_process_pool *pool;
    weft_time limit;                  /* how long it may run, in nanoseconds; 0: for ever */
    weft_time began;                  /* when it did, if it has a limit */
    struct wefti_callback *callbacks; /* in the memory of its owner, under the latch there */
    uint64_t peak;                    /* octets: of the worker that died */
    int64_t since, died;              /* seconds of CLOCK_REALTIME: when that began at the earliest, and was dead; see process_crash.c */
    int32_t pid;                      /* of the worker that died or was stopped; of what was stopped: the reason */
    int32_t status;                   /* as waitpid gives it */
    uint32_t cancel;                  /* 1: its waits fail; the context that runs it watches this */
    uint8_t collected;                /* somebody has asked for the result */
    uint8_t called;                   /* the callbacks have been called: who adds one now calls it */
    uint8_t again;                    /* it waits in the ring of those that begin again */
    uint16_t stop;                    /* how what is STOPPED ends: wefti_task_stop; WEFT_LOST: for its memory. Written before the bit */
    uint32_t number;                  /* constant */
    uint8_t listed;                   /* the mender's: it stands in a ring */
    char name[35];                    /* "": none */
    unsigned char argument_room[WEFTI_PACKED_ROOM], result_room[WEFTI_PACKED_ROOM];
} __attribute__((aligned(64)));

/* A ring of hints: process_ring.c. */
struct wefti_process_ring {
    uint64_t mask; /* constant, as the next */
    uint64_t *cells;
    uint64_t tail __attribute__((aligned(64))); /* where the next goes; submitters move it on */
    uint64_t head_seen;                         /* what head was when a submitter last looked */
    uint64_t head __attribute__((aligned(64))); /* the oldest; workers move it on */
};

enum wefti_process_lane { WEFTI_RING_AGAIN, WEFTI_RING_HIGH, WEFTI_RING_NORMAL, WEFTI_RING_LOW, WEFTI_RINGS };

/* state of a worker's place. */
enum wefti_worker_state {
    WEFTI_WORKER_NONE,
    WEFTI_WORKER_COMING, /* the keeper has asked for its process */
    WEFTI_WORKER_THERE,
    WEFTI_WORKER_LEFT, /* it has ended by itself, or died, and what it left has been put right: the keeper clears the place */
};

struct wefti_process_worker {
    uint32_t state;
    uint32_t place;  /* its number in the table; constant */
    uint32_t number; /* in its name */
    int32_t pid;
    struct wefti_process *process; /* the keeper's */
    struct wefti_process_pool *pool;
    uint32_t idle;                 /* it has no task and looks for one, or sleeps */
    uint32_t ready;                /* its initializer has come back */
    uint32_t away;                 /* it waits for tasks of its own pool; another may stand in */
    uint64_t runs;                 /* the task with a limit that it runs, as a hint has it; 0: none */
    uint64_t waits;                /* written by itself */
    uint64_t taken;                /* tasks begun; so too */
    uint64_t ended[WEFT_LOST + 1]; /* tasks that it has ended; so too */
} __attribute__((aligned(64)));

enum { WEFTI_PROCESS_WORKERS = 1024 }; /* places of a table */

#define WEFTI_PROCESS_MAGIC UINT64_C(0x314c4f4f50544657) /* "WFTPOOL1" */

struct wefti_process_pool {
    /* Constant, or written rarely. */
    uint64_t magic;   /* 0 once it is being freed */
    uint32_t workers; /* the limit */
    uint32_t places;  /* in `table` */
    enum weft_full_policy when_full;
    uint32_t tasks_a_worker; /* 0: no limit */
    uint64_t backlog;
    weft_time limit; /* how long a task may run; 0: for ever */
    uint64_t memory; /* octets a worker may have; 0: any */
    uint8_t tries;
    uint8_t limits; /* some task has, or had, a time limit */
    uint16_t maker; /* seat; 0: it is dead */
    uint32_t slabs; /* how many there are; grows */
    weft_function *initializer, *finalizer;
    struct wefti_packed initial;
    struct wefti_process_handle *handle; /* in the maker's memory */
    char *cpus;                          /* a block: the processors that workers may use; NULL: those of the maker */
    int32_t nice, niceness;              /* what was asked for; what workers have, if that is not 0 */
    uint64_t signals;                    /* the mask that workers have */
    struct wefti_process_worker *table[WEFTI_PROCESS_WORKERS];
    struct wefti_process_task
        *slab[WEFTI_PROCESS_SLABS]; /* records; then a bit for each that has ended with CALLS, hints for the callers */
    uint32_t closed;                /* no more submits */
    uint32_t broken;                /* 2: an initializer failed; 1: that is being written down */
    uint32_t terminated;            /* what runs is killed */
    uint32_t finished;              /* all has ended, and the keeper too; waited for */
    uint32_t wanted;                /* somebody waits for a first worker */
    uint32_t settled;               /* 1: a worker has been there; 2: none could be started; 3: broken; waited for */
    int32_t refusal;                /* why the last could not be started, while there is none; 0 */
    char name[248];
    struct wefti_packed failure; /* of the initializer that failed: in place before `broken` is 2 */
    uint32_t breaker;            /* the number of that worker */
    unsigned char initial_room[WEFTI_PACKED_ROOM], failure_room[WEFTI_PACKED_ROOM];

    /* Who submits. */
    uint32_t cursor __attribute__((aligned(64))); /* where a free record is looked for first; any value will do */
    uint32_t spare;                               /* more workers may be started */
    uint32_t asked;                               /* the keeper has been asked to see whether more are needed, and has not looked since */
    uint64_t reused;                              /* hints that took the place of wrong ones */
    uint64_t waits;                               /* of workers that have ended */
    uint64_t direct;                              /* tasks that were run by who submitted them */
    uint64_t blocked;

    /* Who looks for work, and who calls them. */
    uint32_t work __attribute__((aligned(64))); /* bit 0: somebody may sleep; else it changes with each call; waited for */
    uint32_t searching;                         /* 1 + place of the worker that looks all the time; 0: none */
    uint32_t called;                            /* one has been called, and has not come yet */
    uint32_t passed[WEFTI_RINGS];               /* tasks that began while the lane's first waited */
    uint32_t surplus;                           /* so many workers are to end */

    /* Who waits for room. */
    uint32_t room __attribute__((aligned(64))); /* bit 0: somebody waits; bit 1: for the first there is; waited for */
    uint32_t bell __attribute__((aligned(64))); /* changes when there is something for the keeper to do; waited for */
    uint32_t chime;                             /* changes when there is something to call, in any process; waited for */
    uint32_t called_by;                         /* the maker has a caller: the keeper need not see to calls */
    uint64_t tally[WEFT_LOST + 1];              /* tasks that no worker has ended; counted atomically */
    weft_time watched;                          /* the keeper looks at limits then, whatever comes */
    struct wefti_process_ring rings[WEFTI_RINGS];
};

/* What a process has of a pool in its own memory: the maker always, others once they have callbacks. */
struct wefti_process_handle {
    struct wefti_process_pool *pool;
    struct wefti_latch latch;          /* of callbacks */
    weft_task *keeper;                 /* the maker's thread that keeps */
    weft_task *caller;                 /* the thread that calls */
    struct wefti_context *context;     /* the keeper's */
    struct wefti_context *calling;     /* the caller's */
    uint32_t caller_state;             /* process_caller.c; waited for */
    uint32_t callless;                 /* the caller is to end */
    uint32_t references;               /* of the pool's handle, and each future here */
    struct wefti_process_task *stash;  /* the maker's: see process_task.c */
    uint32_t lost;                     /* this is a forked child */
    uint32_t stop;                     /* 1: the keeper has ended, or is to; 2: it frees the pool then */
    uint32_t numbers;                  /* the keeper's: for names */
    uint32_t crashes;                  /* the keeper's: workers that died before their first task, one after another */
    bool finished;                     /* it has been seen to at exit */
    struct wefti_process_handle *next; /* of this process */
};

static inline uint32_t wefti_process_places(const struct wefti_process_pool *pool)
{
    return __atomic_load_n(&pool->places, __ATOMIC_ACQUIRE); /* pairs with the release of place_make */
}

/* process_ring.c */
/* Puts in a hint, if fewer than `bound` stand there. */
bool wefti_ring_put(
    struct wefti_process_pool *pool, struct wefti_process_ring *ring, const struct wefti_process_task *task, uint64_t bound);
/* Takes the oldest task that waits for the worker in this place: it is RUNNING then. NULL: none waits. */
struct wefti_process_task *wefti_ring_take(struct wefti_process_pool *pool, struct wefti_process_ring *ring, uint32_t place);
/* Whether something stands in the ring. */
bool wefti_ring_any(const struct wefti_process_ring *ring);
uint64_t wefti_ring_length(const struct wefti_process_ring *ring);
/* What stands in a ring for a task in this state. Never 0. */
uint64_t wefti_process_hint(const struct wefti_process_task *task, uint32_t state);
/* How many tasks wait in it, wrong hints not counted: a look at each. */
uint64_t wefti_ring_living(const struct wefti_process_pool *pool, const struct wefti_process_ring *ring);
/* Puts the hint in the place of a wrong one. */
bool wefti_ring_reuse(struct wefti_process_pool *pool, struct wefti_process_ring *ring, const struct wefti_process_task *task);
/* Marks the records of all tasks that wait in the ring: `listed`. */
void wefti_ring_list(const struct wefti_process_pool *pool, const struct wefti_process_ring *ring);

/* process_value.c */
/* 0; -1 with EFAULT, ENOMEM. */
int wefti_pack(weft_value value, struct wefti_packed *packed, unsigned char *room);
/* The value: yours; an error value when it cannot be had. */
weft_value wefti_unpack(const struct wefti_packed *packed, const unsigned char *room);
/* Gives the block back, if there is one: `member` as wefti_block_withdraw has it. */
void wefti_packed_free(struct wefti_packed *packed, uint16_t member);

/* process_task.c */

/* How many records the first slabs have. */
static inline uint32_t wefti_process_records(uint32_t slabs)
{
    return slabs ? (uint32_t)WEFTI_PROCESS_FIRST << (slabs - 1) : 0;
}

/* Pairs with the release of slab_add, whoever of several has counted the slab. */
static inline struct wefti_process_task *wefti_process_task_at(const struct wefti_process_pool *pool, uint32_t number)
{
    if (number < WEFTI_PROCESS_FIRST)
        return &__atomic_load_n(&pool->slab[0], __ATOMIC_ACQUIRE)[number];
    uint32_t slab = 32 - (uint32_t)__builtin_clz(number / WEFTI_PROCESS_FIRST);
    return &__atomic_load_n(&pool->slab[slab], __ATOMIC_ACQUIRE)[number - wefti_process_records(slab)];
}

/* The word of hints that the record has a bit in. */
uint64_t *wefti_process_task_bits(const struct wefti_process_pool *pool, uint32_t number);
/* Finishes what a dead process had begun with the slabs. */
void wefti_process_slabs_mend(struct wefti_process_pool *pool);
/* A record, RESERVED for this process. NULL with ENOMEM. */
struct wefti_process_task *wefti_process_task_new(struct wefti_process_pool *pool);
/* Lets go of the maker's only future of a task, in the maker, as `state` and `holds` say: its record is its next one's. False: it is not
 * one that may be kept so. */
bool wefti_process_task_stash(struct wefti_process_task *task, uint32_t state, uint64_t holds);
/* Frees it, if it has ended and nobody holds it. Anybody may call this at any time. */
void wefti_process_task_release(struct wefti_process_task *task);
/* Gives back a record that is RESERVED or FREEING, by this process or by a dead member. */
void wefti_process_task_clear(struct wefti_process_task *task, uint32_t state, uint16_t member);
/*
 * From the phase that `seen` says (whose, and of which generation) to `phase`: by compare-and-swap, keeping the flags that come meanwhile,
 * and setting `flags`. False when it is somewhere else, or STOPPED when that is not said by `seen`. *left is what it was, the new flags
 * included.
 */
bool wefti_process_task_move(struct wefti_process_task *task, uint32_t seen, uint32_t phase, uint32_t who, uint32_t flags, uint32_t *left);
/* Ends one that no worker has ended. */
bool wefti_process_task_end(struct wefti_process_task *task, uint32_t seen, enum weft_outcome outcome);
/* After a move to ENDED: wakes who waits, rings who has callbacks, frees it if nobody holds it. */
void wefti_process_task_told(struct wefti_process_pool *pool, struct wefti_process_task *task, uint32_t left);
/* Lets the keeper look; the callers. */
void wefti_process_ring_bell(struct wefti_process_pool *pool);
void wefti_process_ring_chime(struct wefti_process_pool *pool);
/* The reason that a task that never returned has instead of a result. */
weft_value wefti_process_task_reason(const struct wefti_process_task *task, uint32_t state);

/* process_worker.c */
int wefti_process_worker_main(struct wefti_process *self);
/* The pool whose worker this process is, if the caller is the task it runs: else NULL. */
struct wefti_process_worker *wefti_process_worker_here(void);
weft_value wefti_process_worker_value(void);
/* Calls a function as `call` says, in any process; *failed is set when it, or one of its calls, gives an error. */
weft_value wefti_process_call_function(weft_function *function, unsigned call, weft_value argument, bool *failed);
/* Writes what the task returned into its record; the result is given away. */
void wefti_process_task_answer(struct wefti_process_task *task, weft_value result, bool *failed);
enum weft_outcome wefti_process_task_outcome(const struct wefti_process_task *task, bool failed, weft_value result);

/* process_call.c: who calls whom. After a put: calls a worker, or asks the keeper for one. */
void wefti_process_call(struct wefti_process_pool *pool);
/* Looks at all rings in their order. */
struct wefti_process_task *wefti_process_take(struct wefti_process_pool *pool, uint32_t place);
bool wefti_process_any(const struct wefti_process_pool *pool);
uint64_t wefti_process_waiting(const struct wefti_process_pool *pool);
/* Wakes those who wait for room, if there is as much as they want. */
void wefti_process_room_made(struct wefti_process_pool *pool);
uint32_t wefti_process_room_want(struct wefti_process_pool *pool, bool eager);
/* Says that a worker sleeps, and looks once more: whether it may. *work is what it sleeps on. */
bool wefti_process_may_sleep(struct wefti_process_pool *pool, uint32_t *work);
/* Says that a worker comes from its sleep: others may sleep on, and one may be called again. */
void wefti_process_come(struct wefti_process_pool *pool);
/* Lets all look again, who sleep for tasks or for room. */
void wefti_process_wake_all(struct wefti_process_pool *pool);

/* process_keeper.c */

/* Starts it. 0; -1 with EAGAIN, ENOMEM. */
int wefti_process_keeper_start(struct wefti_process_handle *handle);
/* Stops the task, as `outcome` says, and its worker's whole tree. False: the task has ended by itself, or begun anew. */
bool wefti_process_stop(struct wefti_process_pool *pool, struct wefti_process_worker *worker, struct wefti_process_task *task,
    uint32_t state, enum weft_outcome outcome);

#include "pool/stop.h"

/* process_caller.c */

/* Sees to it that this process is called back. 0; -1 with EAGAIN, ENOMEM. */
int wefti_process_caller_want(struct wefti_process_handle *handle);
/* The keeper's: starts the caller when it is needed; ends it. */
void wefti_process_caller_see(struct wefti_process_handle *handle);
void wefti_process_caller_end(struct wefti_process_handle *handle);
/* A thread of the pool's in this process; NULL with EAGAIN, ENOMEM. */
weft_task *wefti_process_thread(struct wefti_process_handle *handle, weft_function *function);

static inline struct wefti_process_pool *wefti_process_pool_of(weft_pool *pool)
{
    return (struct wefti_process_pool *)(void *)pool;
}

/* Why no more tasks are taken: an errno number; 0: they are. */
static inline int wefti_process_pool_closed(const struct wefti_process_pool *pool)
{
    if (__atomic_load_n(&pool->broken, __ATOMIC_SEQ_CST) || !pool->maker)
        return EOWNERDEAD;
    return __atomic_load_n(&pool->closed, __ATOMIC_SEQ_CST) ? ESHUTDOWN : 0;
}

/* A duration in nanoseconds; 0: none is meant. */
static inline weft_time wefti_process_duration(double seconds)
{
    enum { NANO = 1000000000 };
    return seconds <= 0 ? 0 : seconds >= 9e9 ? WEFT_FOREVER / 2 : (weft_time)(seconds * NANO);
}

/* process_submit.c */
struct weft_future *wefti_process_pool_submit(
    const struct weft_submit_options *options, uint32_t references, weft_time deadline, unsigned call);

/* process_pool.c: the calls of pool.h for pools of processes. */
weft_pool *wefti_process_pool_new(const struct weft_pool_options *options);
int wefti_process_pool_shutdown(weft_pool *pool, bool cancel_pending, weft_time deadline);
int wefti_process_pool_terminate(weft_pool *pool, weft_time deadline);
int wefti_process_pool_resize(weft_pool *pool, unsigned workers);
void wefti_process_pool_free(weft_pool *pool);
/* One more reference to it, in the process that made it. */
void wefti_process_pool_hold(weft_pool *pool);
void wefti_process_pool_let_go(weft_pool *pool);
unsigned wefti_process_pool_workers(const weft_pool *pool);
void wefti_process_pool_count(weft_pool *pool, struct weft_pool_counts *counts);
/* At exit: finishes the pools that this process has made. */
void wefti_process_pools_finish(void);
/* All that waits ends so. */
void wefti_process_end_pending(struct wefti_process_pool *pool, enum weft_outcome outcome);
void wefti_process_pool_release(struct wefti_process_handle *handle);
/* All that a pool is made of, but its keeper; held, so that it goes with its maker. NULL with errno. */
struct wefti_process_pool *wefti_process_pool_make(const struct weft_pool_options *options);
/* Frees it. Who dies in the midst has it in his hands, or leaves it a pool, which his mender withdraws. */
void wefti_process_pool_unmake(struct wefti_process_pool *pool);
/* All of it is in the hands of the member after that, who may be dead (his blocks not repaired yet), and it is no pool any more. May be
 * done again. */
void wefti_process_pool_withdraw(struct wefti_process_pool *pool, uint16_t member);
struct wefti_process_handle *wefti_process_handle_of(struct wefti_process_pool *pool, bool make);

/* process_mend.c: a wefti_mender */
void wefti_process_pool_mend(uint32_t dead, void *object, uint64_t detail);

/* process_crash.c: weft_future_core and weft_future_backtrace; and, of the mender, that the task's worker, in this seat, is dead. */
void wefti_process_crash_note(struct wefti_process_task *task, uint32_t seat);

/* process_future.c: those of future.h. */
int wefti_process_future_wait(struct weft_future *future, weft_time deadline);
int wefti_process_future_result(struct weft_future *future, weft_value *value, weft_time deadline);
enum weft_outcome wefti_process_future_outcome(const struct weft_future *future);
bool wefti_process_future_running(const struct weft_future *future);
bool wefti_process_future_cancel(struct weft_future *future);
bool wefti_process_future_withdraw(struct weft_future *future);
/* As future_add_callback. */
int wefti_process_future_add(struct weft_future *future, const struct wefti_callback *callback, bool first, bool *ended);
void wefti_process_future_call_back(struct wefti_process_handle *handle, struct wefti_process_task *task);
void wefti_process_future_keep(struct weft_future *future);
void wefti_process_future_free(struct weft_future *future);
/*
 * For select, which does not hold it either. The generation is noted at the first look: when the record is in another, the task is gone.
 * look: false while it has not ended, else as wefti_process_future_result. watch: the word that changes then, marked as waited for; *ended:
 * that is worth another look already.
 */
uint32_t wefti_process_future_age(const struct weft_future *future);
bool wefti_process_future_look(struct weft_future *future, uint32_t age, weft_value *value);
uint32_t wefti_process_future_watch(struct weft_future *future, uint32_t age, bool *ended);

#endif
