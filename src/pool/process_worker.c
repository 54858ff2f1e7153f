/* SPDX-License-Identifier: MIT */
/*
 * The workers of a pool of processes: each a process of the family, that takes one task after another on its only thread.
 *
 * What it has in hand when it dies is the task whose state says RUNNING with its place. It writes the result into the record, then ends the
 * task by one compare-and-swap. If that fails the task was STOPPED meanwhile (a time limit): this process is being killed, and waits for
 * that, so that no other task of the pool is ever hit by that kill.
 *
 * A function is where it was in the process that submitted, when that is the same module at the same place, which a child of the zygote has
 * unless the module was loaded later: looked up once for each function. Otherwise it is found by its module (task/function.h), or the task
 * fails with ENOEXEC.
 *
 * SIGINT: a terminal sends it to all processes in the foreground. What it means is for the program to say; so a worker takes it and goes
 * on, and ends with the program. What a task starts has the signal's usual meaning.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/leave.h"
#include "base/memory.h"
#include "base/streams.h"
#include "family/below.h"
#include "family/family.h"
#include "hint.h"
#include "pool/process.h"
#include "shared/life.h"
#include "task/function.h"
#include "task/task.h"
#include "value/value.h"
#include "wait/wait.h"

enum { SEARCH_TIME = 20000 /* ns */, SEARCH_LOOKS = 16, FOUND = 16 };

/* This process, if it is a worker. */
static struct worker_self {
    struct wefti_process_worker *worker;
    struct wefti_context *context;
    weft_value value;
    struct wefti_spin spin;
    bool reaps;    /* it takes in what its descendants leave behind */
    long ticked;   /* the coarse clock, when the peak was last renewed */
    int refs;      /* /proc/self/clear_refs; -1: not open */
    struct found { /* functions that were looked up */
        weft_function *function;
        uint64_t module;
        weft_function *here;
    } found[FOUND];
} self = {.refs = -1};

struct wefti_process_worker *wefti_process_worker_here(void)
{
    return self.worker && wefti_member && self.context == wefti_context_now ? self.worker : NULL;
}

weft_value wefti_process_worker_value(void)
{
    return wefti_process_worker_here() ? self.value : weft_none;
}

/* Functions. */

static weft_function *function_look(const struct wefti_process_task *task)
{
    struct wefti_function packed = {.address = (uintptr_t)task->function, .module = task->module, .offset = task->offset};
    struct wefti_function here;
    weft_function *function = NULL;
    if (wefti_function_pack(task->function, &here) == 0 && here.module == packed.module && here.offset == packed.offset)
        return task->function;
    return wefti_function_find(&packed, &function) == 0 ? function : NULL;
}

/* NULL: it is not to be had here. */
static weft_function *function_here(const struct wefti_process_task *task)
{
    struct found *found = &self.found[((uintptr_t)task->function >> 4) % FOUND];
    if (__builtin_expect(found->function == task->function && found->module == task->module && found->here, 1))
        return found->here;
    *found = (struct found){.function = task->function, .module = task->module, .here = function_look(task)};
    return found->here;
}

/* Running. */

static weft_value item_call(weft_function *function, unsigned call, weft_value item)
{
    if (call & WEFTI_CALL_STAR)
        return wefti_results_star((weft_star_function *)(void (*)(void))function, item);
    return function(item);
}

static weft_value each_call(weft_function *function, unsigned call, weft_value items, bool *failed)
{
    weft_value answers = weft_list();
    for (size_t i = 0; i < weft_length(items); i++) {
        weft_value answer = item_call(function, call, weft_list_at(items, (ptrdiff_t)i));
        *failed |= weft_is_error(answer);
        if (weft_list_append(answers, answer) == 0)
            continue;
        weft_drop(answer);
        weft_drop(answers);
        return weft_error(ENOMEM, NULL);
    }
    return answers;
}

weft_value wefti_process_call_function(weft_function *function, unsigned call, weft_value argument, bool *failed)
{
    weft_value result = call & WEFTI_CALL_EACH ? each_call(function, call, argument, failed) : item_call(function, call, argument);
    *failed |= weft_is_error(result);
    return result;
}

static weft_value task_call(const struct wefti_process_task *task, bool *failed)
{
    weft_function *function = function_here(task);
    *failed = true;
    if (!function)
        return weft_error(ENOEXEC, "the function's module is not loaded in this worker: it came after the family began");
    weft_value argument = wefti_unpack(&task->argument, task->argument_room);
    if (weft_is_error(argument) && task->argument.form <= WEFT_PTR)
        return argument;
    *failed = false;
    weft_value result = wefti_process_call_function(function, task->call, argument, failed);
    weft_drop(argument);
    return result;
}

/* Writes what the task returned into its record. */
void wefti_process_task_answer(struct wefti_process_task *task, weft_value result, bool *failed)
{
    if (wefti_pack(result, &task->result, task->result_room) != 0) {
        int error = errno;
        weft_value why = weft_error(error, error == EFAULT ? "what the task returned has a pointer into its own process" : NULL);
        *failed = true;
        if (wefti_pack(why, &task->result, task->result_room) != 0)
            task->result.form = WEFT_NONE;
        weft_drop(why);
    }
    weft_drop(result);
}

enum weft_outcome wefti_process_task_outcome(const struct wefti_process_task *task, bool failed, weft_value result)
{
    bool cancelled = failed && __atomic_load_n(&task->state, __ATOMIC_RELAXED) & WEFTI_TASK_CANCEL && weft_is_error(result) &&
                     weft_error_code(result) == ECANCELED;
    return cancelled ? WEFT_CANCELLED : failed ? WEFT_FAILED : WEFT_DONE;
}

/* Counts it before anybody can see it ended. */
static void worker_end(struct wefti_process_worker *worker, struct wefti_process_task *task, uint32_t state, enum weft_outcome outcome)
{
    uint32_t left, flags = 0;
    bool unheld = !wefti_task_held(&task->holds);
    if (outcome == WEFT_FAILED && unheld && task->owner == worker->pool->maker)
        flags = WEFTI_TASK_CALLS; /* there it is reported */
    __atomic_store_n(&worker->ended[outcome], worker->ended[outcome] + 1, __ATOMIC_RELAXED);
    uint32_t phase = WEFTI_TASK_ENDED + outcome;
    while (!wefti_process_task_move(task, state & ~(uint32_t)WEFTI_TASK_STOPPED, phase, 0, flags, &left)) {
        __atomic_store_n(&worker->ended[outcome], worker->ended[outcome] - 1, __ATOMIC_RELAXED);
        for (;;)
            pause();
    }
    wefti_process_task_told(worker->pool, task, left);
}

/* The keeper is told of a task with a limit, unless it looks early enough anyway. */
static void limit_begin(struct wefti_process_worker *worker, struct wefti_process_task *task, uint32_t state)
{
    if (!self.reaps) /* from now on, all that its tasks start stays below it: process_stop.c */
        self.reaps = wefti_below_reap(wefti_family_now());
    task->began = weft_clock();
    __atomic_store_n(&worker->runs, wefti_process_hint(task, state), __ATOMIC_SEQ_CST);
    if (task->began + task->limit < __atomic_load_n(&worker->pool->watched, __ATOMIC_SEQ_CST))
        wefti_process_ring_bell(worker->pool);
}

/*
 * The most memory that this process has had is told by the kernel when it is dead (ru_maxrss). So that it is that of the task it died in,
 * it begins anew after each task that may have raised it: one in which the coarse clock has gone on, for what takes less than some
 * milliseconds cannot touch much. That costs a look at the clock a task.
 */
static void peak_renew(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (now.tv_nsec == self.ticked)
        return;
    self.ticked = now.tv_nsec;
    if (self.refs < 0)
        self.refs = wefti_beside_streams(open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC));
    ssize_t written = self.refs >= 0 ? pwrite(self.refs, "5", 1, 0) : 0;
    (void)written;
}

/* A function of the program's has returned. A copy of the worker that it has forked is none, and ends here: what it would write is the
 * worker's to write, or another's by now. */
static void copy_leave(bool failed)
{
    if (__builtin_expect(wefti_member, 1))
        return;
    fflush(NULL);
    wefti_leave(failed);
}

static void worker_run(struct wefti_process_worker *worker, struct wefti_process_task *task)
{
    bool failed, limited = task->call & WEFTI_CALL_LIMITED;
    uint32_t state = __atomic_load_n(&task->state, __ATOMIC_RELAXED);
    if (limited)
        limit_begin(worker, task, state);
    self.context->watched = &task->cancel;
    self.context->shield = 0;
    weft_value result = wefti_value_take(task_call(task, &failed));
    copy_leave(failed);
    self.context->shield = 1;
    self.context->watched = NULL;
    if (limited)
        __atomic_store_n(&worker->runs, 0, __ATOMIC_RELEASE);
    if (!failed && result.kind < WEFT_PTR) { /* all that most tasks need */
        task->result.form = result.kind;
        task->result.as.integer = result.as.integer;
        worker_end(worker, task, state, WEFT_DONE);
        return;
    }
    enum weft_outcome outcome = wefti_process_task_outcome(task, failed, result);
    wefti_process_task_answer(task, result, &failed);
    worker_end(worker, task, state, failed && outcome == WEFT_DONE ? WEFT_FAILED : outcome);
}

/* Looking for work. */

/* Looks for a while, if nobody else does: a task, or NULL. It says that it looks no more when it has taken one, not before: that word is
 * one that those who submit read, and so comes to this processor together with the rest of what a take changes. */
static struct wefti_process_task *worker_search(struct wefti_process_pool *pool, uint32_t place)
{
    uint32_t nobody = 0;
    if (__atomic_load_n(&pool->searching, __ATOMIC_RELAXED) || !wefti_spin_pays(&self.spin) ||
        !__atomic_compare_exchange_n(&pool->searching, &nobody, place + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        return NULL;
    weft_time end = weft_clock() + wefti_spin_time(&self.spin, SEARCH_TIME);
    bool found;
    do {
        for (int i = 0; i < SEARCH_LOOKS && !(found = wefti_process_any(pool)); i++)
            wefti_pause();
    } while (!found && weft_clock() < end);
    wefti_fetch_to_write(&pool->searching);
    struct wefti_process_task *task = found ? wefti_process_take(pool, place) : NULL;
    __atomic_exchange_n(&pool->searching, 0, __ATOMIC_SEQ_CST);
    wefti_spin_told(&self.spin, found);
    return task;
}

/* Whether the worker is to end: there are more than should be, or nothing comes any more. */
static bool worker_may_go(struct wefti_process_pool *pool)
{
    uint32_t surplus = __atomic_load_n(&pool->surplus, __ATOMIC_SEQ_CST);
    while (surplus > 0)
        if (__atomic_compare_exchange_n(&pool->surplus, &surplus, surplus - 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return true;
    return false;
}

static void worker_sleep(struct wefti_process_pool *pool)
{
    uint32_t work;
    if (!wefti_process_may_sleep(pool, &work))
        return;
    wefti_wait_quiet(&pool->work, work, WEFT_FOREVER);
    wefti_process_come(pool);
}

/* It has a task, after it had none: others may have to come, too. */
static void worker_came(struct wefti_process_worker *worker)
{
    struct wefti_process_pool *pool = worker->pool;
    __atomic_store_n(&worker->idle, 0, __ATOMIC_SEQ_CST); /* first of all: the keeper counts those who are idle, or to come */
    if (pool->memory)                                     /* the keeper looks at it from now on */
        wefti_process_ring_bell(pool);
    if (wefti_process_any(pool))
        wefti_process_call(pool);
}

/* The next task; NULL when the worker is to end. */
static struct wefti_process_task *worker_next(struct wefti_process_worker *worker)
{
    struct wefti_process_pool *pool = worker->pool;
    struct wefti_process_task *task = NULL;
    bool came = worker->taken == 0;
    while (!task) {
        if (__builtin_expect(__atomic_load_n(&pool->surplus, __ATOMIC_RELAXED) > 0, 0) && worker_may_go(pool))
            return NULL;
        task = wefti_process_take(pool, worker->place);
        if (task)
            break;
        if (__atomic_load_n(&pool->closed, __ATOMIC_SEQ_CST) && !wefti_process_any(pool))
            return NULL;
        came = true;
        __atomic_store_n(&worker->idle, 1, __ATOMIC_RELEASE);
        task = worker_search(pool, worker->place);
        if (!task && !wefti_process_any(pool))
            worker_sleep(pool);
    }
    __atomic_store_n(&worker->taken, worker->taken + 1, __ATOMIC_RELAXED);
    if (came)
        worker_came(worker);
    return task;
}

/* The beginning and the end of a worker. */

static void interrupted(int signal)
{
    (void)signal;
}

/* Handlers are the program's, and what they need may not be here: as in a new image. */
static void worker_signals(const struct wefti_process_pool *pool)
{
    struct sigaction old;
    for (int number = 1; number < NSIG; number++)
        if (sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN)
            sigaction(number, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    struct sigaction action = {.sa_handler = interrupted, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigset_t mask;
    sigemptyset(&mask);
    memcpy(&mask, &pool->signals, sizeof(pool->signals));
    sigprocmask(SIG_SETMASK, &mask, NULL);
}

/* What the thread that began the family was in the middle of is not this worker's. */
static void worker_context(void)
{
    struct wefti_context *context = wefti_context_current();
    context->shield = 1;
    context->limit_shield = context->cancelled = 0;
    context->limit = WEFT_FOREVER;
    context->locals = NULL;
    context->locals_count = 0;
    context->run = NULL;
    context->watched = NULL;
    self.context = context;
}

static void worker_christen(const struct wefti_process_worker *worker)
{
    char name[300];
    snprintf(name, sizeof(name), "%s-%u", worker->pool->name, worker->number);
    prctl(PR_SET_NAME, name);
    weft_task_set_name(weft_current(), name);
}

/* On its processors, with its niceness. What it may not have it does without, as a thread's start would have failed in the maker. */
static void worker_place(const struct wefti_process_pool *pool)
{
    struct wefti_placement placement;
    int more = pool->nice != 0 ? pool->niceness - wefti_placement_niceness() : 0;
    more = pool->nice > 0 && more < 0 ? 0 : more < -39 ? -39 : more > 39 ? 39 : more;
    if (!wefti_placement_make(&placement, pool->cpus, more))
        return;
    wefti_placement_take(&placement);
    wefti_placement_clear(&placement);
}

/* Whether it may take tasks. */
static bool worker_initialize(struct wefti_process_worker *worker)
{
    struct wefti_process_pool *pool = worker->pool;
    if (!pool->initializer)
        return true;
    self.context->shield = 0;
    weft_value argument = wefti_unpack(&pool->initial, pool->initial_room);
    self.value = wefti_value_take(pool->initializer(argument));
    copy_leave(weft_is_error(self.value));
    weft_drop(argument);
    self.context->shield = 1;
    return !weft_is_error(self.value);
}

/* What the keeper reports, and lets the pool be broken for. */
static void worker_broken(struct wefti_process_worker *worker)
{
    struct wefti_process_pool *pool = worker->pool;
    uint32_t unbroken = 0;
    if (!__atomic_compare_exchange_n(&pool->broken, &unbroken, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        return;
    pool->breaker = worker->number;
    if (wefti_pack(self.value, &pool->failure, pool->failure_room) != 0)
        pool->failure = (struct wefti_packed){.form = WEFT_NONE};
    __atomic_store_n(&pool->broken, 2, __ATOMIC_SEQ_CST);
}

static void worker_finalize(struct wefti_process_worker *worker)
{
    if (worker->pool->finalizer)
        weft_drop(worker->pool->finalizer(self.value));
    weft_drop(self.value);
}

int wefti_process_worker_main(struct wefti_process *process)
{
    struct wefti_process_worker *worker = process->data;
    struct wefti_process_pool *pool = worker->pool;
    self.worker = worker;
    worker_context();
    worker_signals(pool);
    worker_christen(worker);
    worker_place(pool);
    __atomic_store_n(&worker->pid, getpid(), __ATOMIC_RELAXED);
    __atomic_store_n(&worker->state, WEFTI_WORKER_THERE, __ATOMIC_SEQ_CST);
    bool able = worker_initialize(worker);
    if (able && !__atomic_exchange_n(&pool->settled, 1, __ATOMIC_SEQ_CST))
        weft_wake(&pool->settled, UINT32_MAX);
    __atomic_store_n(&worker->ready, 1, __ATOMIC_SEQ_CST);
    if (!able)
        worker_broken(worker);
    struct wefti_process_task *task;
    uint64_t most = pool->tasks_a_worker ? pool->tasks_a_worker : UINT64_MAX;
    while (able && worker->taken < most && (task = worker_next(worker))) {
        worker_run(worker, task);
        peak_renew();
    }
    if (able)
        worker_finalize(worker);
    return able ? 0 : 1; /* the mender does the rest: that a worker ends is one thing, however it does */
}
