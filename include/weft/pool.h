/* SPDX-License-Identifier: MIT */
/*
 * A pool: many tasks behind one submit. Workers start as work comes, and stay for more.
 */
#ifndef WEFT_POOL_H
#define WEFT_POOL_H

#include <weft/base.h>
#include <weft/future.h>
#include <weft/queue.h>
#include <weft/task.h>
#include <weft/value.h>

/*
 * Tasks that wait for tasks of their own pool do not stop it. One that waits without a deadline runs the other itself if nobody has
 * begun it (as that task: with its own cancellation and shields; up to 64 inside one another). Otherwise the pool has one more worker
 * while it waits, up to 256 more, and beyond these the wait fails with EDEADLK; so does one without a deadline that would close a circle
 * of tasks, each waiting for the next. No other task is ever run on the stack of one that waits. Workers that stood in rest afterwards,
 * until they are wanted again or the pool ends.
 */
typedef struct weft_pool weft_pool;

/*
 * Pools of processes: weft_pool_new(WEFT_PROCESS, .workers = 4) and the same calls. What differs:
 * - Tasks run in copies of the program as it was when it first used a process feature (task.h, WEFT_ZYGOTE), each with one thread. They see
 *   its state of then, their argument, and shared memory. Arguments and results are copied; a pointer in them that does not lead into
 *   shared memory is EFAULT, in the submit, or as the task's failure. A function of a module that was loaded later fails with ENOEXEC. The
 *   first pool (or other process feature) is to be made before the program has other threads, else EBUSY. The processes have the program's
 *   variables as they were at that moment: one that is set to the pool is not among them, so give it to tasks as their argument (weft_ptr).
 * - The pool and its futures lie in shared memory: any process of the program may submit, wait and cancel, as long as the process that
 *   made the pool has not freed it, and futures there as long as the one that submitted lives, or another that has said weft_future_keep
 *   (who only waits for one of a process that dies is told how it ended, or WEFT_LOST and EOWNERDEAD when he looks too late). Callbacks are
 *   called in the process that submitted, on a thread of the pool there (weft_pool_shutdown is EDEADLK in them, and the shutting down has
 *   begun all the same); only that process can add some, else EPERM.
 * - Any process may die at any moment. A worker's death costs the task that it was running: WEFT_LOST, with an error of EOWNERDEAD that
 *   names the task, the process, how it ended, whether its core was dumped (the kernel does so where RLIMIT_CORE lets it: that has the
 *   stack, which weft_future_backtrace tells, and gdb, and `weft bt` those of coroutines), and its peak memory (of that task, or of one
 *   just before it that took little time; or that of a process it had waited for), or it begins again (.retries). Another worker takes its
 *   place. The death of the process that made the pool ends it: what waits is WEFT_LOST, workers end when they have ended their task, whose
 *   limits of time and memory nobody keeps any more.
 * - A worker that waits for a task of its own pool never runs it itself; another stands in, up to 256, and ends afterwards. Tasks that wait
 *   for one another in a circle are not found out.
 * - A program that becomes another user keeps the workers that are there, which stay what they were; it gets no others (EPERM).
 * - weft_pool_terminate kills what runs; it is WEFT_CANCELLED. weft_future_cancel is gentle, as with threads. Who is killed so, or by a
 *   time limit, or for its memory, is so with what descends from its worker, and with the processes and pools that it has asked for, and
 *   what descends from those. A task with a time limit leaves nothing: what lost its parent there (forked twice, setsid, a shell's `&`) is
 *   taken in by its worker (PR_SET_CHILD_SUBREAPER), which wait() for any child may then see, and so by a process that it has asked for;
 *   it is killed with the worker, whichever task has left it, and is a zombie there till then when it ends before. Of a task without a
 *   limit, in a worker that has had none with one, what lost its parent stays. What has become another user (sudo, a set-user-id program)
 *   stays when the caller has no right to signal it.
 * - .workers is at most 1024, and without it weft_cpu_count(), wherever the pool is made; WEFT_UNBOUNDED is a million tasks; when tasks
 *   have several priorities and several threads submit at once, the bound may be passed by one a thread. weft_pool_count is exact when
 *   nothing died: it may be off by one for each death.
 * - SIGINT, which a terminal sends to the whole program, does nothing to workers. What it does to the program decides: workers end with it,
 *   however it ends.
 */

/* What submit does when `backlog` tasks are waiting. */
enum weft_full_policy {
    WEFT_FULL_WAIT = 0, /* wait until the deadline; in one of the pool's own workers: run the task in the caller */
    WEFT_FULL_FAIL = 1, /* EAGAIN */
    WEFT_FULL_RUN = 2   /* run the task in the caller */
};

/*
 * Lanes: of tasks that wait, those of the higher lane begin first. But none waits for ever: a lane in which tasks wait has its turn after
 * WEFT_PRIORITY_TURNS tasks of other lanes (the lower one first, when two have).
 */
enum weft_priority { WEFT_PRIORITY_LOW = -1, WEFT_PRIORITY_NORMAL = 0, WEFT_PRIORITY_HIGH = 1 };
enum { WEFT_PRIORITY_TURNS = 16 };

/*
 * How many workers. A pool has up to `workers`. With .workers = 0 it has up to weft_cpu_count(); but when it is made inside a task of
 * another pool, it shares a budget of weft_cpu_count() with that pool, with the pools around that one, and with all that were made inside
 * them: one of its workers may always run, each further one only while fewer than that run in all of them together. Workers that rest, or
 * that wait for tasks of these pools, do not run. So pools inside pools do not multiply threads; a pool whose tasks wait for one another by
 * other means than Weft's futures must say how many workers it needs.
 *
 * Coroutines. A worker of a pool of WEFT_COROUTINE is a coroutine that takes one task after another on one of the pool's .threads threads;
 * .workers, 1024 by default, is how many tasks have begun and not ended at any time. A task that computes without ever waiting holds up the
 * others of its thread (weft_yield lets them run).
 */
struct weft_pool_options {
    size_t size; /* set by the macro */
    enum weft_task_kind kind;
    struct weft_guard *guard;
    unsigned workers; /* 0: see above */
    size_t backlog;   /* how many submitted tasks may wait to begin; 0: 1024; WEFT_UNBOUNDED */
    enum weft_full_policy when_full;
    const char *name;  /* of the pool; its workers are "name-1" ...; default "Pool-1" */
    size_t stack_size; /* of a worker; 0: the default of the kind */
    /*
     * Called in each worker before its first task. What it returns is the worker's (weft_worker_value), and dropped at its end. An error
     * breaks the pool: what waits is WEFT_LOST, with an error of EOWNERDEAD that says why, submit fails with EOWNERDEAD from then on, what
     * runs goes on to its end, and weft_on_uncollected is told.
     */
    weft_function *initializer;
    weft_value initializer_argument; /* borrowed by each call; given away to the pool when it has been made */
    /* Called in each worker at its end with what the initializer returned (none without one), not where that failed; not cancelled. */
    weft_function *finalizer;
    const char *cpus; /* the processors that its workers may use, as in weft_spawn; NULL: those that the task may which starts a worker */
    int nice;         /* added to the niceness of who makes the pool, from -39 to 39; its workers have that, whoever starts them */
    /* Of pools of processes; with another kind each is ENOTSUP. */
    unsigned max_tasks_per_worker; /* then it ends, and another takes its place; 0: any number */
    double
        task_timeout; /* seconds that a task may run: then it is killed, with all that it has started, and is WEFT_TIMED_OUT; 0: for ever */
    unsigned retries; /* how often a task begins again whose worker died, at most 255; 0: it is WEFT_LOST */
    /* octets that a worker may have for itself, shared memory apart, as a look each 20 ms sees it: one that has more is killed, its task
     * WEFT_LOST with an error of ENOMEM; 0: any */
    size_t memory;
    unsigned threads; /* of a pool of coroutines: on how many threads its workers run; 0: weft_cpu_count(). With another kind ENOTSUP */
};

struct weft_submit_options {
    size_t size; /* set by the macro */
    weft_pool *pool;
    weft_function *function;
    weft_value argument;
    struct weft_guard *guard;
    weft_done_callback *on_done; /* called when it has ended, as weft_future_on_done says */
    void *data;                  /* for on_done */
    weft_time deadline;          /* how long submit may wait for room; 0: WEFT_FOREVER */
    const char *name;            /* of the task, for messages; must outlive it; default: none */
    enum weft_priority priority;
    /* Of pools of processes; with another kind each is ENOTSUP. */
    double timeout; /* instead of the pool's task_timeout; 0: that */
    int retries;    /* instead of the pool's; 0: those, less than 0: none */
};

/* A function of several arguments, which are borrowed. */
typedef weft_value weft_star_function(const weft_value *arguments, size_t count);

struct weft_map_options {
    size_t size; /* set by the macro */
    weft_pool *pool;
    weft_function *function;
    weft_value items;
    weft_value *results;
    weft_time deadline;
    struct weft_guard *guard;
    size_t chunk; /* items a task; 0: 1 */
    enum weft_priority priority;
};

struct weft_starmap_options {
    size_t size; /* set by the macro */
    weft_pool *pool;
    weft_star_function *function;
    weft_value items;
    weft_value *results;
    weft_time deadline;
    struct weft_guard *guard;
    size_t chunk; /* items a task; 0: 1 */
    enum weft_priority priority;
};

struct weft_imap_options {
    size_t size; /* set by the macros */
    weft_pool *pool;
    weft_function *function;
    weft_value items;
    struct weft_guard *guard;
    size_t chunk; /* items a task; 0: 1 */
    size_t ahead; /* items submitted whose results have not been taken; 0: four chunks a worker, at least 16 chunks */
    enum weft_priority priority;
};

WEFT_BEGIN

/*
 * weft_pool_new(WEFT_THREAD, .workers = 4). From any task. Yours: weft_pool_free.
 * NULL with EINVAL (options that are none, a task_timeout below 0, a name longer than 240 bytes, cpus that are no list, nice out of
 * range), ENOTSUP (a kind this build does not have), ENOMEM. Processes: what the first use of shared memory gives (shared.h), EBUSY (see
 * above), EAGAIN, EMFILE.
 */
WEFT_API weft_pool *weft_pool_new_with(const struct weft_pool_options *options) WEFT_WARN_UNUSED;
#define weft_pool_new(...) weft_pool_new_with(&(struct weft_pool_options){.size = sizeof(struct weft_pool_options), .kind = __VA_ARGS__})

/*
 * The program's own pool: of threads, weft_cpu_count() of them, named "Default-1" ...; made when it is first asked for, borrowed. It may be
 * shut down (to end its threads), but not freed; then the next call makes another. From any task. NULL with ENOMEM.
 */
WEFT_API weft_pool *weft_default_pool(void);

/*
 * Hands function(argument) to the pool and returns its future, yours to free. The argument is given away on success.
 * weft_pool_submit(pool, function, argument, .on_done = ..., .data = ...)
 * From any kind of task. NULL with ESHUTDOWN, EOWNERDEAD (an initializer failed), EINVAL (a timeout below 0, too), EAGAIN (full,
 * WEFT_FULL_FAIL, or no thread could be started and none is there), what weft_task_start gives for the pool's .cpus and .nice while no
 * worker is there, ETIMEDOUT, ECANCELED, ENOMEM, EFAULT (processes: a pointer that does not lead into shared memory, a function of no
 * module), ESTALE (in a child that was forked since the pool was made), EDEADLK (full, in a worker of the pool that neither may run the
 * task on its stack, 64 deep already, nor can have a stand-in).
 */
WEFT_API weft_future *weft_pool_submit_with(const struct weft_submit_options *options) WEFT_WARN_UNUSED;
#define weft_pool_submit(pool_, function_, ...)          \
    weft_pool_submit_with(&(struct weft_submit_options){ \
        .size = sizeof(struct weft_submit_options), .pool = (pool_), .function = (function_), .argument = __VA_ARGS__})
/* The same without a future: 0 or -1. */
WEFT_API int weft_pool_start_with(const struct weft_submit_options *options);
#define weft_pool_start(pool_, function_, ...)          \
    weft_pool_start_with(&(struct weft_submit_options){ \
        .size = sizeof(struct weft_submit_options), .pool = (pool_), .function = (function_), .argument = __VA_ARGS__})
/*
 * Submits, waits and gives the result (NULL is allowed): as submit, then weft_future_result. The argument is given away on success;
 * until then both the caller and the task hold it, so the task cannot change a list or dict. When the wait fails the task is cancelled.
 * From any kind of task. 0; -1 as submit, EAGAIN with WEFT_NOW, and EDEADLK as weft_future_result.
 */
WEFT_API int weft_pool_apply(weft_pool *pool, weft_function *function, weft_value argument, weft_value *result, weft_time deadline);
/*
 * Calls function with each item of a list or tuple (borrowed) and gives the list of what they returned, in the order of the items: yours.
 * weft_pool_map(pool, function, items, &results, deadline, .chunk = 100, .priority = ...)
 * Each item is a task, or each `chunk` items are one after another, which is cheaper where an item takes little: such a task fails when
 * one of its items gives an error, and when it is cancelled the items that it has not come to give an error of ECANCELED.
 * 0; -1 as weft_pool_apply, EINVAL (items is neither, results is NULL, no such priority); tasks that have not begun are then cancelled.
 * From any kind of task.
 */
WEFT_API int weft_pool_map_with(const struct weft_map_options *options);
#define weft_pool_map(pool_, function_, items_, results_, ...)                             \
    weft_pool_map_with(&(struct weft_map_options){.size = sizeof(struct weft_map_options), \
        .pool = (pool_),                                                                   \
        .function = (function_),                                                           \
        .items = (items_),                                                                 \
        .results = (results_),                                                             \
        .deadline = __VA_ARGS__})
/*
 * The same with a function of several arguments: each item is a list or tuple of them, else EINVAL. One of more than 8 for whose arguments
 * there is no memory gives an error of ENOMEM.
 * weft_pool_starmap(pool, function, items, &results, deadline, .chunk = ..., .priority = ...)
 */
WEFT_API int weft_pool_starmap_with(const struct weft_starmap_options *options);
#define weft_pool_starmap(pool_, function_, items_, results_, ...)                                     \
    weft_pool_starmap_with(&(struct weft_starmap_options){.size = sizeof(struct weft_starmap_options), \
        .pool = (pool_),                                                                               \
        .function = (function_),                                                                       \
        .items = (items_),                                                                             \
        .results = (results_),                                                                         \
        .deadline = __VA_ARGS__})

/*
 * The results of many calls, taken one by one while others are still to come: in the order of the items, or (unordered) as they come.
 * weft_pool_imap(pool, function, items, .chunk = ..., .ahead = ..., .priority = ...), weft_pool_imap_unordered(the same)
 *     while (weft_results_next(results, &value, WEFT_FOREVER) == 0) ...
 * The items (a list or tuple) are kept, not copied, until the last result has been given, or what runs at the free has ended. `ahead` items
 * at most, rounded up to whole chunks, are submitted before their results are taken, the first of them at once: so an iterator over many
 * items needs little room in the pool and in memory. It allocates when it is made, and nothing afterwards but the pool's records. The
 * iterator is yours, weft_results_free, and for one task at a time. From any task. NULL with EINVAL, ESHUTDOWN, ESTALE, ENOMEM.
 */
typedef struct weft_results weft_results;
WEFT_API weft_results *weft_pool_imap_with(const struct weft_imap_options *options) WEFT_WARN_UNUSED;
#define weft_pool_imap(pool_, function_, ...)        \
    weft_pool_imap_with(&(struct weft_imap_options){ \
        .size = sizeof(struct weft_imap_options), .pool = (pool_), .function = (function_), .items = __VA_ARGS__})
WEFT_API weft_results *weft_pool_imap_unordered_with(const struct weft_imap_options *options) WEFT_WARN_UNUSED;
#define weft_pool_imap_unordered(pool_, function_, ...)        \
    weft_pool_imap_unordered_with(&(struct weft_imap_options){ \
        .size = sizeof(struct weft_imap_options), .pool = (pool_), .function = (function_), .items = __VA_ARGS__})
/*
 * Waits for the next result and gives it, an error value included: yours; NULL drops it. Submits what may be submitted then. A call that
 * fails may be repeated. From any kind of task. 0; -1 with EPIPE (all have been given), EAGAIN, ETIMEDOUT, ECANCELED, EDEADLK as
 * weft_future_result; what weft_pool_submit gives, when nothing is under way; EINVAL (NULL), ESTALE (in a forked child).
 */
WEFT_API int weft_results_next(weft_results *results, weft_value *value, weft_time deadline);
/* At any time: what has not begun is cancelled, what runs is not waited for. NULL is allowed. */
WEFT_API void weft_results_free(weft_results *results);
/*
 * No more submits (ESHUTDOWN from now on); waits until what was submitted has ended and the workers too. cancel_pending: what has not
 * begun is cancelled first. May be repeated, also after a deadline. From any task but the pool's own workers (EDEADLK; the shutting down
 * has begun all the same). 0; -1 with EAGAIN, ETIMEDOUT, ECANCELED, EINVAL (no pool), ESTALE (in a forked child).
 */
WEFT_API int weft_pool_shutdown(weft_pool *pool, bool cancel_pending, weft_time deadline);
/* Shutdown that also cancels what has not begun, and what runs: its waits fail with ECANCELED (processes are killed). Returns and errors of
 * weft_pool_shutdown. */
WEFT_API int weft_pool_terminate(weft_pool *pool, weft_time deadline);
/*
 * Waits for what was submitted (weft_pool_shutdown without end, and not to be cancelled), then frees it; its futures stay. NULL is
 * allowed. From a worker of its own: it is freed when the last worker has ended. In a forked child it waits for nothing. A pool that is
 * not freed finishes what was submitted when the program exits.
 */
WEFT_API void weft_pool_free(weft_pool *pool);

/*
 * From now on it has up to so many workers (0: weft_cpu_count()). More: they start as work comes, at once for what waits. Fewer: those that
 * rest end, others when they have ended their task; it is not waited for. A pool of threads that stood in for workers that wait keeps these
 * as long as they do. From any task. 0; -1 with EINVAL (no pool), ESHUTDOWN, EOWNERDEAD (broken), ESTALE (in a forked child).
 */
WEFT_API int weft_pool_resize(weft_pool *pool, unsigned workers);
/* What the initializer of the worker that runs the caller returned: borrowed, for as long as the task runs; none in any other task. */
WEFT_API weft_value weft_worker_value(void);

/* What weft_pool_count tells. */
struct weft_pool_counts {
    uint64_t submitted, done, failed, cancelled, timed_out, lost; /* tasks, since it was made */
    uint64_t helped;                                              /* tasks that were begun by who waited for them */
    uint64_t waits;                                               /* waits of its workers for tasks, of this pool or another */
    uint64_t blocked;                                             /* waits of submitters for room */
    size_t queued, running;                                       /* tasks, at this moment */
    unsigned workers, resting, waiting; /* workers, at this moment: all; with nothing to do; in a wait for a task */
    unsigned limit;                     /* what .workers or weft_pool_resize have said */
    uint64_t reserved[8];               /* 0 */
};
/* Its numbers, each true at some moment during the call; untouched in a forked child. Any task; cannot fail. */
WEFT_API void weft_pool_count(weft_pool *pool, struct weft_pool_counts *counts);

WEFT_END

#endif
