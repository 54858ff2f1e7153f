/* SPDX-License-Identifier: MIT */
/*
 * The task handle: what all kinds of task share. A kind brings a carrier (thread.c). Here it is made, started, ended and freed; who waits
 * for it stands in task_join.c, what it can be asked in task_ask.c.
 *
 * state goes INITIAL, STARTING, STARTED, STOPPED. Who starts it moves it from INITIAL by compare-and-swap, so it is started once; a failed
 * start moves it back. The starter and the task itself both move STARTING to STARTED once the carrier's handle is known. STOPPED is stored
 * with release after outcome and result are final, and every reader of those has loaded it with acquire. After that store the task touches
 * nothing of the handle but its address (weft_wake) and its own reference; of a coroutine also `joiner`, under the guard (task_join.c).
 *
 * guard protects the name and the context pointer: a canceller holds it while it cancels the context, and the task takes the pointer away
 * under it before it ends, so the context outlives every canceller. Latches are taken in this order: register, guard, context's guard.
 */

#include "task/task.h"

#include <errno.h>
#include <string.h>

#include "base/alone.h"
#include "base/memory.h"
#include "base/opening.h"
#include "base/options.h"
#include "coroutine/told.h"
#include "value/value.h"
#include "wait/direct.h"

static uint64_t task_idents;

static struct wefti_task_carrier *carrier_of(enum weft_task_kind kind)
{
    switch (kind) {
    case WEFT_THREAD:
        return &wefti_task_thread;
    case WEFT_PROCESS:
        return &wefti_task_process;
    case WEFT_COROUTINE:
        return &wefti_task_coroutine;
    default:
        errno = EINVAL;
        return NULL;
    }
}

/* The state has changed. */
static inline void task_wake(const weft_task *task)
{
    weft_wake(&task->state, UINT32_MAX);
}

/* Gives the task a copy of the name, or a number; what name that makes is worked out when somebody asks, or at once for what has a
 * renamed. */
static bool task_christen(weft_task *task, struct wefti_task_carrier *carrier, const char *name)
{
    char numbered[WEFTI_NUMBERED_NAME];
    if (!name) {
        task->number = wefti_count(&carrier->numbers, 1);
        if (!carrier->renamed)
            return true;
        wefti_task_default_name(task, numbered);
        name = numbered; /* of a process in a process in a process ... it may be too long for own_name */
    }
    task->name = task->own_name;
    size_t length = strlen(name);
    if (length > WEFTI_NAME_LIMIT) {
        errno = EINVAL;
        return false;
    }
    if (length >= sizeof(task->own_name) && !(task->name = wefti_alloc_raw(length + 1)))
        return false;
    memcpy(task->name, name, length + 1);
    return true;
}

static bool task_place(weft_task *task, const struct weft_spawn_options *options)
{
    return (!options->cpus && options->nice == 0) || wefti_placement_make(&task->placement, options->cpus, options->nice);
}

/* What was given, or a copy that has all fields that this library knows. NULL with EINVAL. */
static const struct weft_spawn_options *options_whole(const struct weft_spawn_options *given, struct weft_spawn_options *copy)
{
    if (given && given->size == sizeof(*copy))
        return given;
    return wefti_options_read(copy, sizeof(*copy), given, offsetof(struct weft_spawn_options, guard)) ? copy : NULL;
}

/* Whether this is a coroutine that is nothing special. */
static bool options_plain(const struct weft_spawn_options *options)
{
    return options->kind == WEFT_COROUTINE && !options->name && options->stack_size == 0 && !options->cpus && options->nice == 0 &&
           options->method == WEFT_ZYGOTE && !options->insist;
}

/* Handles of plain coroutines that are free, to be used again by the thread: most programs that have many have had as many before. */
#ifdef WEFTI_SMALL
enum { SPARES_MOST = 2 };
#else
enum { SPARES_MOST = 1024 };
#endif
struct spares {
    weft_task *first;
    uint32_t count;
};
static __thread struct spares spares;
static uint32_t spares_most; /* constant once the library is loaded; 0 where a tool watches what is freed */

void wefti_task_spares_end(void)
{
    for (weft_task *task = spares.first, *next; task; task = next) {
        next = task->next;
        wefti_release(task);
    }
    spares = (struct spares){0};
}

/* Of a handle that is zero, what every task has. */
static inline void task_fill(weft_task *task, const struct weft_spawn_options *options, const struct wefti_task_carrier *carrier)
{
    task->references = 1;
    task->carrier = carrier;
    task->kind = options->kind;
    task->daemon = options->daemon;
    task->untaken = true;
    task->function = options->function;
    task->argument = options->argument;
}

/* The same by a handle that the thread has kept. */
static inline weft_task *task_make_again(const struct weft_spawn_options *options)
{
    weft_task *task = spares.first;
    spares.first = task->next;
    spares.count--;
    wefti_zero(task, offsetof(weft_task, stack_size));
    task_fill(task, options, &wefti_task_coroutine);
    task->plain = true;
    task->number = wefti_count(&wefti_task_coroutine.numbers, 1);
    return task;
}

static __attribute__((noinline)) weft_task *task_make_anew(const struct weft_spawn_options *given)
{
    struct weft_spawn_options copy;
    const struct weft_spawn_options *options = options_whole(given, &copy);
    struct wefti_task_carrier *carrier = options ? carrier_of(options->kind) : NULL;
    if (!carrier)
        return NULL;
    if (!options->function || (unsigned)options->method > WEFT_SPAWN) {
        errno = EINVAL;
        return NULL;
    }
    weft_task *task = wefti_alloc_raw(sizeof(*task));
    if (!task)
        return NULL;
    memset(task, 0, sizeof(*task)); /* and not a literal, which the compiler would make elsewhere and copy */
    task_fill(task, options, carrier);
    task->plain = options_plain(options);
    task->stack_size = options->stack_size;
    task->method = options->method;
    task->insist = options->insist;
    if (task_place(task, options) && task_christen(task, carrier, options->name))
        return task;
    wefti_placement_clear(&task->placement);
    wefti_release(task);
    return NULL;
}

/* A task that has not taken its argument yet. */
static inline weft_task *task_make(const struct weft_spawn_options *given)
{
    bool again = given && given->size == sizeof(*given) && spares.first && options_plain(given) && given->function;
    return again ? task_make_again(given) : task_make_anew(given);
}

weft_task *weft_task_new_with(const struct weft_spawn_options *options)
{
    weft_task *task = task_make(options);
    if (!task)
        return NULL;
    task->argument = wefti_value_take(task->argument);
    task->untaken = false;
    return task;
}

static uint64_t task_ident_next(void)
{
    return wefti_alone() ? ++task_idents : __atomic_add_fetch(&task_idents, 1, __ATOMIC_RELAXED);
}

/* What comes before a start of any kind. */
static inline void task_prepare(weft_task *task)
{
    if (!task->daemon || task->kind == WEFT_PROCESS)
        wefti_exit_joins();
    task->ident = task_ident_next();
    weft_task_keep(task); /* for what runs */
}

/* It could not be started, and can be tried again. */
static void task_relapse(weft_task *task)
{
    int error = errno;
    task->ident = 0;
    __atomic_sub_fetch(&task->references, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&task->state, WEFT_INITIAL, __ATOMIC_RELEASE);
    task_wake(task);
    errno = error;
}

int weft_task_start(weft_task *task)
{
    if (!task || !wefti_task_move(task, WEFT_INITIAL, WEFTI_STARTING)) {
        errno = task ? EALREADY : EINVAL;
        return -1;
    }
    task_prepare(task);
    wefti_register_add(task);
    if (task->carrier->start(task) == 0) {
        if (task->kind == WEFT_COROUTINE)
            wefti_task_began(task);
        return 0;
    }
    int error = errno;
    wefti_register_remove(task);
    errno = error;
    task_relapse(task);
    return -1;
}

/* The same for a coroutine that nobody else knows: it is begun when it gets into the register, and as it has the caller's thread it runs no
 * sooner. */
static int coroutine_begin(weft_task *task)
{
    task_prepare(task);
    if (wefti_task_coroutine.start(task) != 0) {
        task_relapse(task);
        return -1;
    }
    task->state = WEFT_STARTED;
    wefti_register_add(task);
    return 0;
}

weft_task *weft_spawn_with(const struct weft_spawn_options *options)
{
    weft_task *task = task_make(options);
    if (!task)
        return NULL;
    if ((task->kind == WEFT_COROUTINE ? coroutine_begin(task) : weft_task_start(task)) == 0)
        return task;
    int error = errno;
    weft_task_free(task);
    errno = error;
    return NULL;
}

void wefti_task_number_from(uint64_t ident)
{
    task_idents = ident;
    wefti_task_thread.numbers = wefti_task_process.numbers = wefti_task_coroutine.numbers = 0;
}

void wefti_task_began(weft_task *task)
{
    if (wefti_task_move(task, WEFTI_STARTING, WEFT_STARTED))
        task_wake(task);
}

/* Ends the wait of one who joins it directly. */
static void task_call_joiner(weft_task *task)
{
    struct wefti_context *context = NULL;
    wefti_latch_close(&task->guard);
    if (task->joiner)
        context = wefti_direct_claim(task->joiner);
    task->joiner = NULL;
    wefti_latch_open(&task->guard);
    if (context)
        wefti_unpark(context);
}

/* The end, whatever led to it: after this the result can be read. The caller has a reference of his own. */
static void task_stop(weft_task *task, enum weft_outcome outcome)
{
    weft_drop(task->argument);
    __atomic_store_n(&task->outcome, outcome, __ATOMIC_RELAXED);
    __atomic_store_n(&task->state, WEFT_STOPPED, __ATOMIC_RELEASE); /* pairs with the acquire of wefti_task_stopped and weft_wait */
    task_wake(task);
    if (task->kind == WEFT_COROUTINE)
        task_call_joiner(task);
}

bool wefti_task_end_begin(weft_task *task)
{
    return wefti_task_move(task, WEFT_STARTED, WEFTI_ENDING);
}

void wefti_task_end(weft_task *task, enum weft_outcome outcome)
{
    wefti_register_remove(task);
    task_stop(task, outcome);
}

/* Takes the context on. False when the task was cancelled before. */
static void task_enter(weft_task *task, struct wefti_context *context)
{
    context->task = task;
    wefti_latch_close(&task->guard);
    task->context = context;
    bool cancelled = task->cancelled;
    if (task->carrier->renamed)
        task->carrier->renamed(task);
    wefti_latch_open(&task->guard);
    if (cancelled)
        wefti_context_cancel(context);
}

static bool task_leave(weft_task *task)
{
    wefti_latch_close(&task->guard);
    task->context = NULL;
    bool cancelled = task->cancelled;
    wefti_latch_open(&task->guard);
    return cancelled;
}

static enum weft_outcome result_outcome(weft_value result, bool cancelled)
{
    if (!weft_is_error(result))
        return WEFT_DONE;
    return cancelled && weft_error_code(result) == ECANCELED ? WEFT_CANCELLED : WEFT_FAILED;
}

void wefti_task_run(weft_task *task)
{
    struct wefti_context *context = wefti_context_current();
    if (task->untaken)
        task->argument = wefti_value_take(task->argument);
    task->untaken = false;
    task_enter(task, context);
    task->result = wefti_value_take(task->function(task->argument));
    if (context->locals)
        wefti_locals_destroy(context);
    bool cancelled = task_leave(task) || wefti_context_cancelled(context); /* by another process, perhaps */
    wefti_register_remove(task);
    task_stop(task, result_outcome(task->result, cancelled));
}

/* Of one that has ended, and that nobody can ask any more. */
static void task_tell(weft_task *task)
{
    bool lost = task->outcome == WEFT_LOST && task->carrier->regrets && task->carrier->regrets(task);
    if (task->collected || (task->outcome != WEFT_FAILED && !lost))
        return;
    weft_value result;
    if (!task->process) {
        wefti_uncollected(weft_task_name(task), task->result);
    } else if (task->carrier->collect(task, &result) == 0) {
        wefti_uncollected(weft_task_name(task), result);
        weft_drop(result);
    }
}

/* Ends a handle that nobody has any more. */
static __attribute__((noinline)) void task_destroy(weft_task *task)
{
    if (wefti_task_stopped(task)) {
        task_tell(task);
        if (!task->reaped && task->carrier->reap)
            task->carrier->reap(task);
    } else if (!task->untaken) {
        weft_drop(task->argument); /* it was never started */
    }
    weft_drop(task->result);
    if (task->process)
        task->carrier->clear(task);
    if (task->name && task->name != task->own_name)
        wefti_release(task->name);
    if (!task->plain)
        wefti_placement_clear(&task->placement);
    wefti_release(task);
}

/* The same; that of a plain coroutine which has ended well is kept by a thread that has room. One that has no context is about to end, and
 * comes by here no more. */
static inline void task_destroy_or_keep(weft_task *task)
{
    bool keeps = task->plain && !task->name && task->outcome == WEFT_DONE && spares.count < spares_most && wefti_context_now;
    if (__builtin_expect(!keeps, 0)) {
        task_destroy(task);
        return;
    }
    weft_drop(task->result);
    task->next = spares.first;
    spares.first = task;
    spares.count++;
}

weft_task *weft_task_keep(weft_task *task)
{
    if (task)
        wefti_count(&task->references, 1);
    return task;
}

void weft_task_free(weft_task *task)
{
    if (task)
        wefti_task_look(task); /* while it has a handle: what is said of one that has ended is said now */
    if (task && wefti_count_ends(&task->references))
        task_destroy_or_keep(task);
}

bool wefti_task_cancel_initial(weft_task *task)
{
    if (!wefti_task_move(task, WEFT_INITIAL, WEFT_STARTED))
        return false;
    task->result = weft_error(ECANCELED, NULL);
    __atomic_store_n(&task->reaped, 1, __ATOMIC_RELAXED);
    task_stop(task, WEFT_CANCELLED);
    return true;
}

void weft_task_cancel(weft_task *task)
{
    if (!task || wefti_task_cancel_initial(task))
        return;
    wefti_latch_close(&task->guard);
    task->cancelled = true;
    if (task->context)
        wefti_context_cancel(task->context);
    if (task->process)
        task->carrier->cancel(task);
    wefti_latch_open(&task->guard);
}

int weft_task_terminate(weft_task *task)
{
    if (!task) {
        errno = EINVAL;
        return -1;
    }
    if (task->carrier->terminate)
        return task->carrier->terminate(task);
    weft_task_cancel(task);
    return 0;
}

int weft_task_kill(weft_task *task)
{
    if (!task) {
        errno = EINVAL;
        return -1;
    }
    return task->carrier->kill(task);
}

WEFTI_OPENING_TASK static void task_open(void)
{
    spares_most = wefti_told_of_memory() ? 0 : SPARES_MOST;
}
