/* SPDX-License-Identifier: MIT */
/*
 * The task handle: what all kinds of task share. A kind brings a carrier (thread.c).
 *
 * state goes INITIAL, STARTING, STARTED, STOPPED. Who starts it moves it from INITIAL by compare-and-swap, so it is started once; a failed
 * start moves it back. The starter and the task itself both move STARTING to STARTED once the carrier's handle is known. STOPPED is stored
 * with release after outcome and result are final, and every reader of those has loaded it with acquire. After that store the task touches
 * nothing of the handle but its address (weft_wake) and its own reference.
 *
 * Who joins a coroutine, and has others to let run, leaves his wait in `joiner` under the guard, unless there is one or the state is
 * STOPPED already; who stores STOPPED takes it out of there afterwards, under the guard, and ends it (wait/direct.h): so one of the two
 * sees the other. All others wait for the state.
 *
 * guard protects the name and the context pointer: a canceller holds it while it cancels the context, and the task takes the pointer away
 * under it before it ends, so the context outlives every canceller. Latches are taken in this order: register, guard, context's guard.
 */

#include "task/task.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alone.h"
#include "base/memory.h"
#include "base/opening.h"
#include "base/options.h"
#include "coroutine/told.h"
#include "value/value.h"
#include "wait/direct.h"
#include "wait/waitable.h"

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

static uint32_t task_state(const weft_task *task)
{
    return __atomic_load_n(&task->state, __ATOMIC_ACQUIRE);
}

/* The same of a task that may have ended elsewhere. */
static uint32_t task_look(const weft_task *task)
{
    uint32_t state = task_state(task);
    if (state != WEFT_STARTED || !task->carrier->look)
        return state;
    task->carrier->look((weft_task *)task); /* what is known of it changes, not what it is */
    return task_state(task);
}

static bool task_move(weft_task *task, uint32_t from, uint32_t to)
{
    return wefti_move(&task->state, from, to);
}

/* The state has changed. */
static inline void task_wake(const weft_task *task)
{
    weft_wake(&task->state, UINT32_MAX);
}

static bool task_stopped(const weft_task *task)
{
    return task_state(task) == WEFT_STOPPED;
}

void wefti_task_default_name(const weft_task *task, char name[WEFTI_OWN_NAME])
{
    char digits[sizeof("4294967295")], *first = digits + sizeof(digits) - 1;
    *first = 0;
    for (uint32_t rest = task->number; first == digits + sizeof(digits) - 1 || rest; rest /= 10)
        *--first = (char)('0' + rest % 10);
    const char *parts[] = {task->carrier->noun, "-", task->carrier->lineage ? task->carrier->lineage : "", first};
    char *end = name;
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        end = stpcpy(end, parts[i]); /* the longest is Coroutine-4294967295 */
}

/* Gives the task a copy of the name, or a number; what name that makes is worked out when somebody asks, or at once for what has a
 * renamed. */
static bool task_christen(weft_task *task, struct wefti_task_carrier *carrier, const char *name)
{
    if (!name) {
        task->number = wefti_count(&carrier->numbers, 1);
        if (carrier->renamed)
            wefti_task_default_name(task, task->name = task->own_name);
        return true;
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
    if (!task_move(task, WEFT_INITIAL, WEFTI_STARTING)) {
        errno = EALREADY;
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
    if (task_move(task, WEFTI_STARTING, WEFT_STARTED))
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
    __atomic_store_n(&task->state, WEFT_STOPPED, __ATOMIC_RELEASE); /* pairs with the acquire of task_stopped and weft_wait */
    task_wake(task);
    if (task->kind == WEFT_COROUTINE)
        task_call_joiner(task);
}

bool wefti_task_end_begin(weft_task *task)
{
    return task_move(task, WEFT_STARTED, WEFTI_ENDING);
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
    if (task_stopped(task)) {
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
    wefti_count(&task->references, 1);
    return task;
}

void weft_task_free(weft_task *task)
{
    if (task)
        task_look(task); /* while it has a handle: what is said of one that has ended is said now */
    if (task && wefti_count_ends(&task->references))
        task_destroy_or_keep(task);
}

/* Waits while the state is `from`. */
static int state_pass(weft_task *task, uint32_t from, weft_time deadline)
{
    while (task_state(task) == from)
        if (weft_wait(&task->state, from, deadline) != 0)
            return -1;
    return 0;
}

void wefti_task_settle(weft_task *task)
{
    wefti_shield_raise();
    state_pass(task, WEFTI_STARTING, WEFT_FOREVER);
    wefti_shield_lower();
}

/* Waits until a task that is being started has been. False with EINVAL when nobody starts it, else as any wait. */
static bool task_begun(weft_task *task, weft_time deadline)
{
    uint32_t state;
    while ((state = task_state(task)) == WEFTI_STARTING)
        if (state_pass(task, WEFTI_STARTING, deadline) != 0)
            return false;
    if (state == WEFT_INITIAL)
        errno = EINVAL;
    return state != WEFT_INITIAL;
}

/* Waits for the end; `reaps`: as the one who clears up. */
static int task_wait(weft_task *task, bool reaps, weft_time deadline)
{
    if (reaps && task->carrier->wait_and_reap && !task_stopped(task) && deadline > WEFT_NOW)
        return task->carrier->wait_and_reap(task, deadline);
    if (state_pass(task, WEFT_STARTED, deadline) != 0)
        return -1;
    if (reaps && task->carrier->reap)
        task->carrier->reap(task);
    return 0;
}

/*
 * The same for a coroutine's end, by a context that has others to let run: whoever ends it calls. 0 when somebody else joins in this way
 * already, too: its state is still to be looked at.
 */
static int task_wait_directly(weft_task *task, struct wefti_context *context, weft_time deadline)
{
    struct wefti_wait wait;
    wefti_direct_begin(&wait, context);
    wefti_latch_close(&task->guard);
    bool waits = !task->joiner && !task_stopped(task); /* who ends it looks for a joiner after he has stored STOPPED */
    if (waits)
        task->joiner = &wait;
    wefti_latch_open(&task->guard);
    if (!waits || __builtin_expect(wefti_direct_wait(&wait, deadline) == 0, 1))
        return 0;
    int error = errno;
    wefti_latch_close(&task->guard);
    if (task->joiner == &wait)
        task->joiner = NULL;
    wefti_latch_open(&task->guard);
    errno = error;
    return -1;
}

/* Whether the context is the task's own. */
static bool task_is_of(const weft_task *task, const struct wefti_context *context)
{
    return (context->task ? context->task : weft_current()) == task;
}

/* A coroutine leaves nothing to clear up. */
static int coroutine_join(weft_task *task, struct wefti_context *context, weft_time deadline)
{
    uint32_t state = task_state(task);
    if (state == WEFT_STARTED && deadline > WEFT_NOW && wefti_direct_pays(context) && task_wait_directly(task, context, deadline) != 0)
        return -1;
    if (__builtin_expect(task_stopped(task), 1))
        return 0;
    return task_begun(task, deadline) ? state_pass(task, WEFT_STARTED, deadline) : -1;
}

static __attribute__((noinline)) int other_join(weft_task *task, weft_time deadline)
{
    if (!task_begun(task, deadline))
        return -1;
    if (task->carrier->wait)
        return task_look(task) == WEFT_STOPPED ? 0 : task->carrier->wait(task, deadline);
    bool reaps = wefti_move(&task->reaped, 0, 1);
    int waited = task_wait(task, reaps, deadline);
    if (waited != 0 && reaps)
        __atomic_store_n(&task->reaped, 0, __ATOMIC_RELEASE);
    return waited;
}

int weft_task_join(weft_task *task, weft_time deadline)
{
    struct wefti_context *context = wefti_context_current();
    if (__builtin_expect(task_is_of(task, context), 0)) {
        errno = EDEADLK;
        return -1;
    }
    return task->kind == WEFT_COROUTINE ? coroutine_join(task, context, deadline) : other_join(task, deadline);
}

int weft_task_result(weft_task *task, weft_value *value, weft_time deadline)
{
    if (weft_task_join(task, deadline) != 0)
        return -1;
    if (value && task->process && task->carrier->collect(task, value) != 0)
        return -1;
    if (value && !task->process)
        *value = weft_keep(task->result);
    __atomic_store_n(&task->collected, 1, __ATOMIC_RELAXED);
    return 0;
}

static int task_case_ready(weft_case *one)
{
    int error = errno;
    if (weft_task_result(one->object, one->operation, WEFT_NOW) == 0)
        return 1;
    if (errno != EAGAIN)
        return -1;
    errno = error;
    return 0;
}

static bool task_case_enqueue(weft_case *one, struct wefti_item *item)
{
    weft_task *task = one->object;
    item->kind = WEFTI_WORD;
    item->word = &task->state;
    item->expected = task_look(task);
    bool stopped = item->expected == WEFT_STOPPED;
    if (item->expected == WEFT_STARTED && task->carrier->word)
        task->carrier->word(task, item);
    return stopped;
}

static void task_case_dequeue(weft_case *one)
{
    (void)one; /* a task that has ended wakes all */
}

static const struct weft_waitable task_waitable = {.ready = task_case_ready, .enqueue = task_case_enqueue, .dequeue = task_case_dequeue};

weft_case weft_case_task(weft_task *task, weft_value *value)
{
    return (weft_case){.waitable = &task_waitable, .object = task, .operation = value};
}

enum weft_outcome weft_task_outcome(const weft_task *task)
{
    return task_look(task) == WEFT_STOPPED ? (enum weft_outcome)__atomic_load_n(&task->outcome, __ATOMIC_RELAXED) : WEFT_PENDING;
}

enum weft_task_state weft_task_state_of(const weft_task *task)
{
    uint32_t state = task_look(task);
    return state == WEFTI_STARTING || state == WEFTI_ENDING ? WEFT_STARTED : (enum weft_task_state)state;
}

bool weft_task_is_alive(const weft_task *task)
{
    return weft_task_state_of(task) == WEFT_STARTED;
}

int weft_task_exitcode(const weft_task *task)
{
    if (task_look(task) != WEFT_STOPPED)
        return -1;
    return task->process ? task->carrier->exitcode(task) : weft_is_error(task->result);
}

/* The name that the task's number makes, from here on its own, unless somebody else was faster. */
static const char *task_name_make(weft_task *task)
{
    char name[WEFTI_OWN_NAME];
    wefti_task_default_name(task, name);
    wefti_latch_close(&task->guard);
    if (!task->name) {
        memcpy(task->own_name, name, sizeof(name));
        __atomic_store_n(&task->name, task->own_name, __ATOMIC_RELEASE); /* pairs with the acquire of weft_task_name */
    }
    wefti_latch_open(&task->guard);
    return task->name;
}

const char *weft_task_name(const weft_task *task)
{
    const char *name = __atomic_load_n(&task->name, __ATOMIC_ACQUIRE);
    return __builtin_expect(name != NULL, 1) ? name : task_name_make((weft_task *)task); /* what is known of it changes, not what it is */
}

int weft_task_set_name(weft_task *task, const char *name)
{
    size_t length = name ? strlen(name) : WEFTI_NAME_LIMIT + 1;
    if (length > WEFTI_NAME_LIMIT) {
        errno = EINVAL;
        return -1;
    }
    char *copy = wefti_alloc_raw(length + 1);
    if (!copy)
        return -1;
    memcpy(copy, name, length + 1);
    wefti_latch_close(&task->guard);
    char *old = task->name;
    __atomic_store_n(&task->name, copy, __ATOMIC_RELEASE);
    if (task->context && task->carrier->renamed)
        task->carrier->renamed(task);
    wefti_latch_open(&task->guard);
    if (old != task->own_name)
        wefti_release(old);
    return 0;
}

uint64_t weft_task_ident(const weft_task *task)
{
    return weft_task_state_of(task) != WEFT_INITIAL ? task->ident : 0;
}

int weft_task_native_id(const weft_task *task)
{
    return __atomic_load_n(&task->native_id, __ATOMIC_RELAXED);
}

bool weft_task_daemon(const weft_task *task)
{
    return task->daemon;
}

enum weft_task_kind weft_task_kind_of(const weft_task *task)
{
    return task->kind;
}

bool wefti_task_cancel_initial(weft_task *task)
{
    if (!task_move(task, WEFT_INITIAL, WEFT_STARTED))
        return false;
    task->result = weft_error(ECANCELED, NULL);
    __atomic_store_n(&task->reaped, 1, __ATOMIC_RELAXED);
    task_stop(task, WEFT_CANCELLED);
    return true;
}

void weft_task_cancel(weft_task *task)
{
    if (wefti_task_cancel_initial(task))
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
    if (task->carrier->terminate)
        return task->carrier->terminate(task);
    weft_task_cancel(task);
    return 0;
}

int weft_task_kill(weft_task *task)
{
    return task->carrier->kill(task);
}

bool weft_cancelled(void)
{
    return wefti_context_cancelled(wefti_context_current());
}

int weft_task_repr(const weft_task *task, char *buffer, size_t size)
{
    static const char *const states[] = {"initial", "started", "stopped"};
    return snprintf(buffer, size, "<%s(%s, %s%s)>", task->carrier->noun, weft_task_name(task), states[weft_task_state_of(task)],
        task->daemon ? " daemon" : "");
}

struct weft_shield_scope weft_shield_begin(void)
{
    wefti_shield_raise();
    return (struct weft_shield_scope){.inside = true};
}

void weft_shield_end(struct weft_shield_scope *scope)
{
    (void)scope;
    wefti_shield_lower();
}

int weft_sleep_until(weft_time deadline)
{
    if (deadline <= WEFT_NOW)
        return 0;
    int error = errno;
    weft_time until = wefti_deadline(deadline);
    if (wefti_wait_items(NULL, 0, until) < 0 && (errno != ETIMEDOUT || (until < deadline && weft_clock() < deadline)))
        return -1;
    errno = error;
    return 0;
}

int weft_sleep(double seconds)
{
    return weft_sleep_until(weft_in(seconds));
}

void weft_yield(void)
{
    wefti_yield();
}

WEFTI_OPENING_TASK static void task_open(void)
{
    spares_most = wefti_told_of_memory() ? 0 : SPARES_MOST;
}
