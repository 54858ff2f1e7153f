/* SPDX-License-Identifier: MIT */
/*
 * Groups. A member is a task whose function is member_run, which calls the member's own and then takes it from the list of the living to
 * that of the ended or, for as long as the group is there, of the failed. That, the cancelling of all and the starting of a member happen
 * under the group's lock; so a member is never cancelled before it has a handle, and who finds nobody alive under the lock has seen all
 * errors.
 *
 * Who leaves joins one living member after another; each leaves the list before its task has ended. The ended are freed by the next spawn,
 * or by who leaves: not by themselves, as the last who holds a thread's handle waits for the thread.
 *
 * alive is the length of the list of the living, and is waited for by select. Its last change by a member is before it gives back the lock,
 * which is its last touch of the group: then the group may be freed (lock.h); the wake uses the address alone.
 *
 * A process cannot reach the group: it has a thread beside it, the member proper, which follows it: waits for it, hands its cancellation
 * on, and returns what it returned. The handle that the caller gets is the process's.
 *
 * Fork. In a child the members are lost tasks: who joins finds them so and strikes them out. A lock that another task held at that moment
 * stays taken.
 */

#include <weft/group.h>

#include <errno.h>

#include "base/memory.h"
#include "base/options.h"
#include "task/task.h"
#include "value/value.h"
#include "wait/waitable.h"
#include <weft/lock.h>
#include <weft/with.h>

struct member {
    weft_group *group;
    struct member *next, *previous;
    weft_task *task;    /* a handle of the group's */
    weft_task *process; /* that it follows, or NULL; the same */
    weft_function *function;
    weft_value argument;
    weft_value error; /* of a failed one */
    bool joined;      /* of a failed one: its task has ended */
};

struct list {
    struct member *first, *last;
};

struct weft_group {
    weft_lock lock;  /* of all but what `alive` says to who only looks */
    uint32_t alive;  /* a word that is waited for */
    uint32_t failed; /* how many */
    bool cancelled;  /* no more members */
    bool leaving;    /* no more, but by members */
    bool told;       /* somebody has read the errors */
    struct list living, ended, failures;
};

static void list_add(struct list *list, struct member *member)
{
    member->next = NULL;
    member->previous = list->last;
    *(list->last ? &list->last->next : &list->first) = member;
    list->last = member;
}

static void list_remove(struct list *list, struct member *member)
{
    *(member->previous ? &member->previous->next : &list->first) = member->next;
    *(member->next ? &member->next->previous : &list->last) = member->previous;
}

static bool group_has_caller(const weft_group *group)
{
    const weft_task *self = weft_current();
    return self && self->group == group;
}

static void member_free(struct member *member)
{
    weft_task_free(member->task);
    weft_task_free(member->process);
    wefti_release(member);
}

/* From here to group_reap: under the lock. */

static void group_count(weft_group *group, uint32_t change)
{
    __atomic_store_n(&group->alive, group->alive + change, __ATOMIC_RELEASE); /* pairs with the acquire of group_look */
}

static void group_cancel(weft_group *group)
{
    group->cancelled = true;
    for (struct member *member = group->living.first; member; member = member->next)
        weft_task_cancel(member->task);
}

/* The member's function has returned. */
static void member_end(struct member *member, weft_value result)
{
    weft_group *group = member->group;
    bool failed = weft_is_error(result) && !(weft_error_code(result) == ECANCELED && weft_cancelled());
    list_remove(&group->living, member);
    list_add(failed ? &group->failures : &group->ended, member);
    if (failed) {
        member->error = weft_keep(result);
        group->failed++;
        group_cancel(group);
    }
    group_count(group, UINT32_MAX);
}

static weft_value member_run(weft_value data)
{
    struct member *member = weft_as_ptr(data);
    weft_group *group = member->group;
    const uint32_t *alive = &group->alive;
    weft_value argument = wefti_value_take(member->argument);
    weft_value result = wefti_value_take(member->function(argument));
    bool last = false;
    weft_drop(argument);
    __atomic_store_n(&weft_current()->collected, 1, __ATOMIC_RELAXED); /* the group has the error */
    weft_with (&group->lock) {
        member_end(member, result);
        last = group->alive == 0;
    }
    if (last)
        weft_wake(alive, UINT32_MAX);
    return result;
}

/* Why there can be no new member, as an errno number; 0: there can. */
static int group_refuses(const weft_group *group)
{
    if (group->cancelled)
        return ECANCELED;
    return group->leaving && !group_has_caller(group) ? ESHUTDOWN : 0;
}

/* What a member does that is a process's thread. Once cancelled, it waits for what comes of that. */
static weft_value process_follow(weft_value data)
{
    weft_task *process = weft_as_ptr(data);
    weft_value result;
    if (weft_task_result(process, &result, WEFT_FOREVER) == 0)
        return result;
    if (errno == ECANCELED)
        weft_task_cancel(process);
    wefti_shield_raise();
    int failed = weft_task_result(process, &result, WEFT_FOREVER);
    int error = errno;
    wefti_shield_lower();
    return failed ? weft_error(error, NULL) : result;
}

/* Starts the member's task. -1 with errno: it is none. */
static int member_start_task(struct member *member, const struct weft_spawn_options *options)
{
    weft_group *group = member->group;
    member->task = weft_task_new_with(options);
    if (!member->task)
        return -1;
    member->task->group = group;
    list_add(&group->living, member);
    group_count(group, 1);
    if (weft_task_start(member->task) == 0)
        return 0;
    int error = errno;
    list_remove(&group->living, member);
    group_count(group, UINT32_MAX);
    weft_task_free(member->task);
    errno = error;
    return -1;
}

/* Starts the member's process and the thread that follows it. -1 with errno: there is neither. */
static int member_start_process(struct member *member, const struct weft_spawn_options *options)
{
    struct weft_spawn_options process = *options, follower = {.size = sizeof(follower), .kind = WEFT_THREAD, .function = member_run};
    process.function = member->function;
    weft_value argument = member->argument;
    process.argument = weft_keep(argument); /* the caller's stays his until there is a member */
    member->process = weft_spawn_with(&process);
    if (!member->process) {
        weft_drop(process.argument);
        return -1;
    }
    member->function = process_follow;
    member->argument = weft_ptr(member->process);
    follower.argument = options->argument;
    follower.name = weft_task_name(member->process);
    follower.daemon = options->daemon;
    if (member_start_task(member, &follower) == 0) {
        weft_drop(wefti_value_take(argument));
        return 0;
    }
    int error = errno;
    weft_task_kill(member->process);
    weft_task_free(member->process);
    errno = error;
    return -1;
}

static int member_start(struct member *member, const struct weft_spawn_options *options)
{
    int refused = group_refuses(member->group);
    if (refused) {
        errno = refused;
        return -1;
    }
    return options->kind == WEFT_PROCESS ? member_start_process(member, options) : member_start_task(member, options);
}

/* Frees the ended. Without the lock. */
static void group_reap(weft_group *group)
{
    struct member *member = NULL;
    weft_with (&group->lock) {
        member = group->ended.first;
        group->ended = (struct list){NULL, NULL};
    }
    for (struct member *next; member; member = next) {
        next = member->next;
        member_free(member);
    }
}

weft_group *weft_group_new(void)
{
    return wefti_alloc(sizeof(weft_group));
}

int weft_group_spawn_with(weft_group *group, const struct weft_spawn_options *given, weft_task **task)
{
    struct weft_spawn_options options;
    if (!wefti_options_read(&options, sizeof(options), given, offsetof(struct weft_spawn_options, guard)))
        return -1;
    if (!options.function) {
        errno = EINVAL;
        return -1;
    }
    struct member *member = wefti_alloc(sizeof(*member));
    if (!member)
        return -1;
    *member = (struct member){.group = group, .function = options.function, .argument = options.argument};
    options.size = sizeof(options);
    options.function = member_run;
    options.argument = weft_ptr(member);
    int started = -1, error = 0;
    weft_with (&group->lock) {
        started = member_start(member, &options);
        error = errno;
        if (started == 0 && task)
            *task = weft_task_keep(member->process ? member->process : member->task);
    }
    if (started != 0)
        wefti_release(member);
    group_reap(group);
    errno = error;
    return started;
}

/* The task of a member that has to be joined, kept; NULL: all have ended. */
static weft_task *group_next(weft_group *group)
{
    weft_task *task = NULL;
    weft_with (&group->lock) {
        struct member *member = group->living.first;
        for (struct member *failed = group->failures.first; failed && !member; failed = failed->next)
            if (!failed->joined)
                member = failed;
        if (member)
            task = weft_task_keep(member->task);
    }
    return task;
}

static struct member *list_find(const struct list *list, const weft_task *task)
{
    struct member *member = list->first;
    while (member && member->task != task)
        member = member->next;
    return member;
}

/*
 * The task has been joined: a failed one need not be again, and one that is still among the living has stayed behind in a parent process.
 */
static void group_note(weft_group *group, const weft_task *task)
{
    weft_with (&group->lock) {
        struct member *failed = list_find(&group->failures, task), *lost = failed ? NULL : list_find(&group->living, task);
        if (failed)
            failed->joined = true;
        if (lost) {
            list_remove(&group->living, lost);
            list_add(&group->ended, lost);
            group_count(group, UINT32_MAX);
        }
    }
}

/* Joins one member's task, and frees the handle. */
static int group_join_one(weft_group *group, weft_task *task, weft_time deadline)
{
    int joined = weft_task_join(task, deadline);
    int error = errno;
    if (joined == 0)
        group_note(group, task);
    weft_task_free(task);
    errno = error;
    return joined;
}

/* Joins all. 0, or the errno number why they were cancelled; EAGAIN: not all have ended. */
static int group_join_all(weft_group *group, weft_time deadline)
{
    int why = 0;
    for (weft_task *task; (task = group_next(group));) {
        if (group_join_one(group, task, deadline) == 0)
            continue;
        why = errno;
        if (deadline <= WEFT_NOW)
            return why;
        weft_group_cancel(group);
        deadline = WEFT_FOREVER;
        wefti_shield_raise(); /* once: the next join succeeds */
    }
    if (why)
        wefti_shield_lower();
    return why;
}

int weft_group_join(weft_group *group, weft_value *error, weft_time deadline)
{
    if (group_has_caller(group)) {
        errno = EDEADLK;
        return -1;
    }
    if (deadline > WEFT_NOW)
        weft_with (&group->lock)
            group->leaving = true;
    int why = group_join_all(group, deadline), failed = 0;
    group_reap(group);
    if (why) {
        errno = why;
        return -1;
    }
    weft_with (&group->lock) {
        group->leaving = true;
        failed = (int)group->failed;
        if (failed && error) {
            group->told = true;
            *error = weft_keep(group->failures.first->error);
        }
    }
    return failed;
}

void weft_group_cancel(weft_group *group)
{
    weft_with (&group->lock)
        group_cancel(group);
}

size_t weft_group_errors(weft_group *group, weft_value *errors, size_t room)
{
    size_t count = 0;
    weft_with (&group->lock) {
        for (struct member *member = group->failures.first; member && count < room; member = member->next)
            errors[count++] = weft_keep(member->error);
        group->told |= room > 0;
        count = group->failed;
    }
    return count;
}

static uint32_t group_look(const weft_group *group)
{
    return __atomic_load_n(&group->alive, __ATOMIC_ACQUIRE);
}

size_t weft_group_alive(const weft_group *group)
{
    return group_look(group);
}

static int group_case_ready(weft_case *one)
{
    if (group_look(one->object) == 0)
        return 1;
    if (!group_has_caller(one->object))
        return 0;
    errno = EDEADLK;
    return -1;
}

static bool group_case_enqueue(weft_case *one, struct wefti_item *item)
{
    weft_group *group = one->object;
    item->kind = WEFTI_WORD;
    item->word = &group->alive;
    item->expected = group_look(group);
    return item->expected == 0;
}

static void group_case_dequeue(weft_case *one)
{
    (void)one; /* the last member wakes all */
}

static const struct weft_waitable group_waitable = {
    .ready = group_case_ready, .enqueue = group_case_enqueue, .dequeue = group_case_dequeue};

weft_case weft_case_group(weft_group *group)
{
    return (weft_case){.waitable = &group_waitable, .object = group};
}

void weft_group_free(weft_group *group)
{
    if (!group)
        return;
    int error = errno;
    weft_group_join(group, NULL, WEFT_FOREVER);
    for (struct member *member = group->failures.first, *next; member; member = next) {
        next = member->next;
        if (!group->told)
            wefti_uncollected(weft_task_name(member->task), member->error);
        weft_drop(member->error);
        member_free(member);
    }
    wefti_release(group);
    errno = error;
}

struct weft_group_inside weft_group_begin(weft_value *error)
{
    weft_group *group = weft_group_new();
    if (error)
        *error = group ? weft_none : weft_error(ENOMEM, NULL);
    return (struct weft_group_inside){.group = group, .error = error, .inside = group};
}

void weft_group_end(struct weft_group_inside *scope)
{
    if (!scope->group)
        return;
    int saved = errno;
    if (scope->error) {
        int failed = weft_group_join(scope->group, NULL, WEFT_FOREVER);
        int why = errno;
        if (weft_group_errors(scope->group, scope->error, 1) == 0 && failed < 0)
            *scope->error = weft_error(why, NULL);
    }
    weft_group_free(scope->group);
    errno = saved;
}
