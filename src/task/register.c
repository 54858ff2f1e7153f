/* SPDX-License-Identifier: MIT */
/*
 * The register of tasks that are alive: enumeration, the main task, handles for threads that Weft did not start, what happens at exit and
 * in a forked child.
 *
 * The register does not own: a task leaves it before it ends, so a handle found under the latch can be kept.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/opening.h"
#include "task/task.h"

static struct wefti_latch register_latch; /* of the next three, and of every task's `next` and `previous` */
static struct weft_task *register_oldest, *register_newest;
static size_t register_count;

/* The handle of the program's first thread; made with the library, so that asking for it cannot fail. */
static struct weft_task register_first = {
    .references = 1, .reaped = 1, .carrier = &wefti_task_thread, .kind = WEFT_THREAD, .own_name = "MainThread"};
static struct weft_task *register_main = &register_first; /* in a forked child that of the thread that forked */
static uint32_t register_dummies;

void wefti_register_add(weft_task *task)
{
    wefti_latch_close(&register_latch);
    task->next = NULL;
    task->previous = register_newest;
    *(register_newest ? &register_newest->next : &register_oldest) = task;
    register_newest = task;
    register_count++;
    wefti_latch_open(&register_latch);
}

void wefti_register_remove(weft_task *task)
{
    wefti_latch_close(&register_latch);
    *(task->previous ? &task->previous->next : &register_oldest) = task->next;
    *(task->next ? &task->next->previous : &register_newest) = task->previous;
    register_count--;
    wefti_latch_open(&register_latch);
}

const void *wefti_register_place(void)
{
    return &register_oldest;
}

size_t weft_tasks(weft_task **tasks, size_t room)
{
    size_t count = 0;
    wefti_processes_look();
    wefti_latch_close(&register_latch);
    for (weft_task *task = register_oldest; task && count < room; task = task->next)
        tasks[count++] = weft_task_keep(task);
    count = register_count;
    wefti_latch_open(&register_latch);
    return count;
}

size_t weft_active_count(void)
{
    return weft_tasks(NULL, 0);
}

/* A number that is no started task's: those go up from 1. */
static uint64_t ident_downwards(void)
{
    static uint64_t idents;
    return UINT64_MAX - __atomic_fetch_add(&idents, 1, __ATOMIC_RELAXED);
}

/* Puts a handle for a thread that Weft did not start into the register. */
static void task_adopt(weft_task *task)
{
    task->name = task->own_name;
    task->ident = ident_downwards();
    task->state = WEFT_STARTED;
    wefti_register_add(task);
}

static weft_task *dummy_make(void)
{
    weft_task *task = wefti_alloc(sizeof(*task));
    if (!task)
        return NULL;
    *task = (weft_task){.references = 1, .reaped = 1, .carrier = &wefti_task_thread, .kind = WEFT_THREAD, .daemon = true};
    snprintf(task->own_name, sizeof(task->own_name), "Dummy-%u", __atomic_add_fetch(&register_dummies, 1, __ATOMIC_RELAXED));
    task_adopt(task);
    return task;
}

struct weft_task *wefti_register_become(const char *name, uint64_t ident, bool daemon)
{
    weft_task *task = register_main;
    size_t length = strlen(name);
    char *copy = length < sizeof(task->own_name) ? memcpy(task->own_name, name, length + 1) : strdup(name);
    task->name = copy ? copy : task->own_name;
    task->ident = ident;
    task->daemon = daemon;
    task->kind = WEFT_PROCESS;
    task->carrier = &wefti_task_process;
    task->cancelled = false;
    task->thread = pthread_self();
    wefti_task_number_from((uint64_t)getpid() << 32);
    return task;
}

weft_task *weft_main(void)
{
    return register_main;
}

/* Binds the calling thread, which Weft did not start, to a handle. */
static weft_task *task_bind(struct wefti_context *context)
{
    weft_task *task = gettid() == getpid() ? register_main : dummy_make();
    if (!task)
        return NULL;
    task->thread = pthread_self();
    __atomic_store_n(&task->native_id, gettid(), __ATOMIC_RELAXED);
    wefti_latch_close(&task->guard);
    task->context = context;
    bool cancelled = task->cancelled;
    if (task->name != task->own_name) /* somebody has named it; what the host called its thread stays otherwise */
        task->carrier->renamed(task);
    wefti_latch_open(&task->guard);
    context->task = task;
    if (cancelled)
        wefti_context_cancel(context);
    return task;
}

weft_task *weft_current(void)
{
    struct wefti_context *context = wefti_context_current();
    return context->task ? context->task : task_bind(context);
}

/* A thread ends that Weft did not start, or one that leaves its function by pthread_exit: its handle, if it has one. */
static void dummy_end(struct wefti_context *context)
{
    weft_task *task = context->task;
    if (!task || __atomic_load_n(&task->state, __ATOMIC_RELAXED) != WEFT_STARTED) /* its starter may say so once more */
        return;
    context->task = NULL;
    wefti_latch_close(&task->guard);
    task->context = NULL;
    wefti_latch_open(&task->guard);
    wefti_register_remove(task);
    wefti_task_gone(task);
    __atomic_store_n(&task->outcome, WEFT_DONE, __ATOMIC_RELAXED);
    __atomic_store_n(&task->state, WEFT_STOPPED, __ATOMIC_RELEASE);
    weft_wake(&task->state, UINT32_MAX);
    if (task != register_main)
        weft_task_free(task);
}

/* A thread ends. */
static void context_leave(struct wefti_context *context)
{
    wefti_coroutines_join();
    wefti_locals_destroy(context);
    dummy_end(context);
    wefti_task_spares_end();
}

weft_task *wefti_register_find(bool (*is)(const weft_task *task))
{
    weft_task *found = NULL;
    wefti_latch_close(&register_latch);
    for (weft_task *task = register_oldest; task && !found; task = task->next)
        if (is(task))
            found = weft_task_keep(task);
    wefti_latch_open(&register_latch);
    return found;
}

/* Whether the exiting thread has to wait for it. */
static bool task_outlives(const weft_task *task)
{
    return !task->daemon && task != wefti_context_current()->task && task != register_main;
}

void (*wefti_exit_hook)(void);

void wefti_exit_join(void)
{
    wefti_shield_raise();
    weft_current(); /* is no other task */
    for (weft_task *task; (task = wefti_register_find(task_outlives));) {
        weft_task_join(task, WEFT_FOREVER);
        weft_task_free(task);
    }
    wefti_processes_end();
    wefti_shield_lower();
}

void wefti_exit_joins(void)
{
    static uint32_t arranged;
    if (__atomic_load_n(&arranged, __ATOMIC_RELAXED) == 0 && __atomic_exchange_n(&arranged, 1, __ATOMIC_RELAXED) == 0)
        atexit(wefti_exit_join);
}

static WEFTI_FORKED void fork_prepare(void)
{
    wefti_latch_close(&register_latch);
}

static WEFTI_FORKED void fork_parent(void)
{
    wefti_latch_open(&register_latch);
}

/* In the child no other task runs. Their handles say so, and whoever joins one is let through. */
static void task_lose(weft_task *task)
{
    task->guard = (struct wefti_latch){0};
    task->context = NULL;
    task->joiner = NULL;
    task->reaped = 1;
    if (task->process)
        task->carrier->lose(task);
    task->next = task->previous = NULL;
    task->result = weft_error(EOWNERDEAD, NULL);
    task->outcome = WEFT_LOST;
    __atomic_store_n(&task->state, WEFT_STOPPED, __ATOMIC_RELEASE);
}

static WEFTI_FORKED void fork_child(void)
{
    struct wefti_context *context = wefti_context_now;
    weft_task *self = context ? context->task : NULL;
    register_latch = (struct wefti_latch){0};
    for (weft_task *task = register_oldest, *next; task; task = next) {
        next = task->next;
        if (task != self)
            task_lose(task);
    }
    register_oldest = register_newest = NULL;
    register_count = 0;
    if (!self) { /* the thread that forked had no handle: it takes over the first one's */
        self = &register_first;
        weft_drop(self->result);
        self->result = weft_none;
        self->outcome = WEFT_PENDING;
        self->state = WEFT_STARTED;
    }
    self->guard = (struct wefti_latch){0};
    self->joiner = NULL;
    self->native_id = getpid();
    register_main = self;
    wefti_register_add(self);
}

WEFTI_OPENING_TASK static void register_open(void)
{
    wefti_context_leave_hook = context_leave;
    register_first.native_id = getpid();
    task_adopt(&register_first);
    if (gettid() == getpid())
        weft_current(); /* so that its end is noticed, though it may never call anything that waits */
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}
