/* SPDX-License-Identifier: MIT */
/*
 * Lock, RLock, Semaphore, BoundedSemaphore, and Condition, which stands on one of the first two. A client's connection is what owns: Python
 * has one for each thread.
 *
 * A mutex or semaphore that is given up goes to the first who waits: it is his before he runs. So while somebody waits it is taken. What a
 * session that has ended held is given up then: RLocks, and as the option says Locks, which remember who took them last, and permits, of
 * which each session's are counted.
 */

#include <errno.h>

#include "base/memory.h"
#include "manager/manager.h"

struct mutex {
    struct wefti_holding holding; /* its session: who has it; of a Lock, who took it last */
    bool again;                   /* an RLock */
    bool returns;                 /* it is given back when its session ends */
    bool taken;
    uint64_t depth; /* of an RLock */
    struct wefti_waiters waiters;
};

static void mutex_own(struct mutex *mutex, struct wefti_session *session)
{
    mutex->taken = true;
    mutex->depth = 1;
    if (mutex->returns)
        wefti_hold(&mutex->holding, session);
    else
        mutex->holding.session = session;
}

static void mutex_give_up(struct mutex *mutex)
{
    if (mutex->returns)
        wefti_unhold(&mutex->holding);
    mutex->holding.session = NULL;
    mutex->taken = false;
    struct wefti_waiter *next = wefti_waiters_give(&mutex->waiters, WEFTI_GIVEN);
    if (next)
        mutex_own(mutex, next->session);
}

static void mutex_give_back(struct wefti_holding *holding)
{
    mutex_give_up((struct mutex *)holding);
}

static bool mutex_mine(const struct mutex *mutex, const struct wefti_call *call)
{
    return mutex->taken && mutex->holding.session == call->session;
}

static weft_value mutex_make(struct wefti_call *call, bool again)
{
    struct mutex *mutex = wefti_alloc(sizeof(*mutex));
    if (!mutex)
        return wefti_raise_memory(call);
    mutex->again = again;
    mutex->returns = again || call->manager->options.locks_return;
    mutex->holding.give_back = mutex_give_back;
    call->object->state = mutex;
    return weft_none;
}

static weft_value lock_construct(struct wefti_call *call)
{
    return mutex_make(call, false);
}

static weft_value rlock_construct(struct wefti_call *call)
{
    return mutex_make(call, true);
}

static void mutex_end(struct mutex *mutex)
{
    if (mutex->returns)
        wefti_unhold(&mutex->holding);
    wefti_release(mutex);
}

static void mutex_destroy(struct wefti_managed *object)
{
    mutex_end(object->state);
}

/* blocking and timeout of a lock: true, or -1 for ever. False with an exception. */
static bool lock_deadline(struct wefti_call *call, weft_time *deadline, weft_value *error)
{
    weft_value timeout = call->bound[1];
    bool blocking = wefti_flag(call->bound[0], true), given = timeout.kind != WEFTI_ABSENT;
    *deadline = WEFT_NOW;
    if (timeout.kind == WEFT_NONE) {
        *error = wefti_raise_text(call, "TypeError", "'NoneType' object cannot be interpreted as an integer or float");
        return false;
    }
    bool number = timeout.kind == WEFT_INT || timeout.kind == WEFT_FLOAT, none = !given || (number && weft_as_float(timeout) == -1);
    if (!blocking && !none) {
        *error = wefti_raise_text(call, "ValueError", "can't specify a timeout for a non-blocking call");
        return false;
    }
    if (!blocking || none) {
        *deadline = blocking ? WEFT_FOREVER : WEFT_NOW;
        return true;
    }
    return wefti_timeout(call, timeout, "timeout value must be a non-negative number", deadline, error);
}

/* 0 when the session has it. */
static int mutex_take(struct mutex *mutex, struct wefti_call *call, weft_time deadline)
{
    struct wefti_waiter waiter = {.note = NULL};
    if (mutex->again && mutex_mine(mutex, call)) {
        mutex->depth++;
        return 0;
    }
    if (!mutex->taken) {
        mutex_own(mutex, call->session);
        return 0;
    }
    return wefti_waiters_wait(&mutex->waiters, &waiter, call, deadline) ? 0 : -1;
}

static weft_value mutex_leave(struct mutex *mutex, struct wefti_call *call)
{
    if (mutex->again && !mutex_mine(mutex, call))
        return wefti_raise_text(call, "RuntimeError", "cannot release un-acquired lock");
    if (!mutex->taken)
        return wefti_raise_text(call, "RuntimeError", "release unlocked lock");
    if (!mutex->again || --mutex->depth == 0)
        mutex_give_up(mutex);
    return weft_none;
}

static weft_value waited_for(struct wefti_call *call, int result)
{
    if (result == 0)
        return weft_bool(true);
    return errno == ETIMEDOUT || errno == EAGAIN ? weft_bool(false) : wefti_abandoned(call);
}

/* An RLock comes back with the session's end. */
static void acquire_undo(struct mutex *mutex, const struct wefti_call *call, weft_value result)
{
    if (result.as.integer && mutex_mine(mutex, call) && !mutex->again)
        mutex_give_up(mutex);
}

static void mutex_undo_acquire(struct wefti_call *call, weft_value result)
{
    acquire_undo(call->object->state, call, result);
}

static weft_value mutex_acquire_of(struct mutex *mutex, struct wefti_call *call)
{
    weft_time deadline;
    weft_value error;
    if (!lock_deadline(call, &deadline, &error))
        return error;
    return waited_for(call, mutex_take(mutex, call, deadline));
}

static weft_value mutex_acquire(struct wefti_call *call)
{
    call->undo = mutex_undo_acquire;
    return mutex_acquire_of(call->object->state, call);
}

static weft_value mutex_release(struct wefti_call *call)
{
    return mutex_leave(call->object->state, call);
}

static weft_value mutex_locked(struct wefti_call *call)
{
    return weft_bool(((const struct mutex *)call->object->state)->taken);
}

/* Semaphores. */

struct semaphore {
    int64_t permits, most; /* most: of a bounded one */
    struct wefti_waiters waiters;
    bool returns;         /* permits are given back when the session that took them ends */
    struct taken *takens; /* if so: what sessions have of it */
};

/* The permits that a session has of a semaphore; it is there while it has or waits for some. */
struct taken {
    struct wefti_holding holding;
    struct semaphore *semaphore;
    int64_t permits;
    bool waits;
    struct taken *next;
};

static void taken_end(struct taken *taken)
{
    struct taken **at = &taken->semaphore->takens;
    while (*at != taken)
        at = &(*at)->next;
    *at = taken->next;
    wefti_unhold(&taken->holding);
    wefti_release(taken);
}

static void taken_settle(struct taken *taken)
{
    if (taken->permits == 0 && !taken->waits)
        taken_end(taken);
}

static struct taken *taken_of(const struct semaphore *semaphore, const struct wefti_session *session)
{
    struct taken *taken = semaphore->takens;
    while (taken && taken->holding.session != session)
        taken = taken->next;
    return taken;
}

static weft_value semaphore_make(struct wefti_call *call, bool bounded)
{
    int64_t permits;
    weft_value error;
    if (!wefti_integer(call, call->bound[0], 1, &permits, &error))
        return error;
    if (permits < 0)
        return wefti_raise_text(call, "ValueError", "semaphore initial value must be >= 0");
    struct semaphore *semaphore = wefti_alloc(sizeof(*semaphore));
    if (!semaphore)
        return wefti_raise_memory(call);
    *semaphore =
        (struct semaphore){.permits = permits, .most = bounded ? permits : INT64_MAX, .returns = call->manager->options.locks_return};
    call->object->state = semaphore;
    return weft_none;
}

static weft_value semaphore_construct(struct wefti_call *call)
{
    return semaphore_make(call, false);
}

static weft_value semaphore_construct_bounded(struct wefti_call *call)
{
    return semaphore_make(call, true);
}

static void semaphore_destroy(struct wefti_managed *object)
{
    struct semaphore *semaphore = object->state;
    while (semaphore->takens)
        taken_end(semaphore->takens);
    wefti_release(semaphore);
}

static void semaphore_give(struct semaphore *semaphore, int64_t permits)
{
    struct wefti_waiter *next;
    for (; permits > 0 && (next = wefti_waiters_give(&semaphore->waiters, WEFTI_GIVEN)); permits--)
        if (semaphore->returns)
            taken_of(semaphore, next->session)->permits++;
    semaphore->permits += permits;
}

static void taken_give_back(struct wefti_holding *holding)
{
    struct taken *taken = (struct taken *)holding;
    struct semaphore *semaphore = taken->semaphore;
    int64_t permits = taken->permits;
    taken_end(taken);
    semaphore_give(semaphore, permits);
}

/* Where the permits are counted that the session takes; NULL: no memory. */
static struct taken *taken_begin(struct semaphore *semaphore, struct wefti_session *session)
{
    struct taken *taken = taken_of(semaphore, session);
    if (taken || !(taken = wefti_alloc(sizeof(*taken))))
        return taken;
    *taken = (struct taken){.holding.give_back = taken_give_back, .semaphore = semaphore, .next = semaphore->takens};
    semaphore->takens = taken;
    wefti_hold(&taken->holding, session);
    return taken;
}

/* So many are given back: the session's own first, then those of others, as anybody may give back a semaphore's. */
static void taken_lessen(struct semaphore *semaphore, const struct wefti_session *session, int64_t permits)
{
    while (permits > 0) {
        struct taken *taken = taken_of(semaphore, session);
        if (!taken || taken->permits == 0)
            for (taken = semaphore->takens; taken && taken->permits == 0; taken = taken->next)
                ;
        if (!taken)
            return;
        int64_t less = permits < taken->permits ? permits : taken->permits;
        taken->permits -= less;
        permits -= less;
        taken_settle(taken);
    }
}

static void semaphore_undo(struct wefti_call *call, weft_value result)
{
    if (!result.as.integer)
        return;
    taken_lessen(call->object->state, call->session, 1);
    semaphore_give(call->object->state, 1);
}

/* 0 when the session has one. `taken`: where that is counted; NULL: nowhere. */
static int semaphore_take(struct semaphore *semaphore, struct taken *taken, struct wefti_call *call, weft_time deadline)
{
    struct wefti_waiter waiter = {.note = NULL};
    if (semaphore->permits > 0) {
        semaphore->permits--;
        if (taken)
            taken->permits++;
        return 0;
    }
    if (taken)
        taken->waits = true;
    bool got = wefti_waiters_wait(&semaphore->waiters, &waiter, call, deadline);
    int error = errno;
    if (taken) {
        taken->waits = false;
        taken_settle(taken);
    }
    errno = error;
    return got ? 0 : -1;
}

static weft_value semaphore_acquire(struct wefti_call *call)
{
    struct semaphore *semaphore = call->object->state;
    struct taken *taken = NULL;
    weft_time deadline = WEFT_NOW;
    weft_value error;
    bool blocking = wefti_flag(call->bound[0], true);
    if (!blocking && wefti_given(call->bound[1]))
        return wefti_raise_text(call, "ValueError", "can't specify timeout for non-blocking acquire");
    if (blocking && !wefti_timeout(call, call->bound[1], NULL, &deadline, &error))
        return error;
    if (semaphore->returns && !(taken = taken_begin(semaphore, call->session)))
        return wefti_raise_memory(call);
    call->undo = semaphore_undo;
    return waited_for(call, semaphore_take(semaphore, taken, call, deadline));
}

static weft_value semaphore_release(struct wefti_call *call)
{
    struct semaphore *semaphore = call->object->state;
    int64_t permits;
    weft_value error;
    if (!wefti_integer(call, call->bound[0], 1, &permits, &error))
        return error;
    if (permits < 1)
        return wefti_raise_text(call, "ValueError", "n must be one or more");
    if (permits > semaphore->most - semaphore->permits)
        return wefti_raise_text(call, "ValueError", "Semaphore released too many times");
    taken_lessen(semaphore, call->session, permits);
    semaphore_give(semaphore, permits);
    return weft_none;
}

/* Conditions. */

struct condition {
    struct mutex *mutex;
    bool own; /* it is the condition's own */
    struct wefti_waiters waiters;
};

static weft_value condition_construct(struct wefti_call *call)
{
    struct wefti_managed *lock = wefti_given(call->bound[0]) ? wefti_proxy_object(call->manager, call->bound[0]) : NULL;
    bool usable = lock && (lock->type == &wefti_type_lock || lock->type == &wefti_type_rlock);
    if (wefti_given(call->bound[0]) && !usable)
        return wefti_raise_text(call, "TypeError", "a Condition needs a Lock or RLock of the same manager");
    struct condition *condition = wefti_alloc(sizeof(*condition));
    if (!condition)
        return wefti_raise_memory(call);
    if (!lock && (mutex_make(call, true), !call->object->state)) {
        wefti_release(condition);
        return wefti_raise_memory(call);
    }
    condition->own = !lock;
    condition->mutex = lock ? lock->state : call->object->state; /* a lock that came as a proxy is pinned */
    call->object->state = condition;
    return weft_none;
}

static void condition_destroy(struct wefti_managed *object)
{
    struct condition *condition = object->state;
    if (condition->own)
        mutex_end(condition->mutex);
    wefti_release(condition);
}

static struct condition *condition_of(const struct wefti_call *call)
{
    return call->object->state;
}

static void condition_undo_acquire(struct wefti_call *call, weft_value result)
{
    acquire_undo(condition_of(call)->mutex, call, result);
}

static weft_value condition_acquire(struct wefti_call *call)
{
    call->undo = condition_undo_acquire;
    return mutex_acquire_of(condition_of(call)->mutex, call);
}

static weft_value condition_release(struct wefti_call *call)
{
    return mutex_leave(condition_of(call)->mutex, call);
}

/* For a Lock anybody's will do, as in Python. */
static bool condition_held(const struct condition *condition, const struct wefti_call *call)
{
    return condition->mutex->again ? mutex_mine(condition->mutex, call) : condition->mutex->taken;
}

static weft_value condition_wait(struct wefti_call *call)
{
    struct condition *condition = condition_of(call);
    struct mutex *mutex = condition->mutex;
    struct wefti_waiter waiter = {.note = NULL};
    weft_time deadline;
    weft_value error;
    if (!condition_held(condition, call))
        return wefti_raise_text(call, "RuntimeError", "cannot wait on un-acquired lock");
    if (!wefti_timeout(call, call->bound[0], NULL, &deadline, &error))
        return error;
    uint64_t depth = mutex->depth;
    mutex_give_up(mutex);
    uint32_t given = wefti_waiters_wait(&condition->waiters, &waiter, call, deadline);
    bool late = errno == ETIMEDOUT || errno == EAGAIN;
    if (!given && !late)
        return wefti_abandoned(call);
    if (mutex_take(mutex, call, WEFT_FOREVER) != 0) {
        if (given)
            wefti_waiters_give(&condition->waiters, WEFTI_GIVEN); /* somebody else's, then */
        return wefti_abandoned(call);
    }
    mutex->depth = depth;
    return weft_bool(given);
}

static weft_value condition_notify(struct wefti_call *call)
{
    struct condition *condition = condition_of(call);
    int64_t count;
    weft_value error;
    if (!condition_held(condition, call))
        return wefti_raise_text(call, "RuntimeError", "cannot notify on un-acquired lock");
    if (!wefti_integer(call, call->bound[0], 1, &count, &error))
        return error;
    while (count-- > 0 && wefti_waiters_give(&condition->waiters, WEFTI_GIVEN))
        ;
    return weft_none;
}

static weft_value condition_notify_all(struct wefti_call *call)
{
    struct condition *condition = condition_of(call);
    if (!condition_held(condition, call))
        return wefti_raise_text(call, "RuntimeError", "cannot notify on un-acquired lock");
    wefti_waiters_give_all(&condition->waiters, WEFTI_GIVEN);
    return weft_none;
}

/* As Python prints them; the address there is the ident here, and who owns an RLock, a thread there, the number of a connection. */

static weft_value mutex_print(const struct mutex *mutex, uint64_t ident)
{
    const char *state = mutex->taken ? "locked" : "unlocked";
    if (!mutex->again)
        return weft_str_f("<%s _thread.lock object at 0x%lx>", state, ident);
    int owner = mutex->taken ? mutex->holding.session->connection->descriptor : 0;
    return weft_str_f(
        "<%s _thread.RLock object owner=%d count=%lu at 0x%lx>", state, owner, mutex->taken ? mutex->depth : (uint64_t)0, ident);
}

static weft_value mutex_repr(struct wefti_managed *object)
{
    return mutex_print(object->state, object->ident);
}

static weft_value semaphore_repr(struct wefti_managed *object)
{
    const struct semaphore *semaphore = object->state;
    if (semaphore->most == INT64_MAX)
        return weft_str_f("<threading.Semaphore at 0x%lx: value=%ld>", object->ident, semaphore->permits);
    return weft_str_f("<threading.BoundedSemaphore at 0x%lx: value=%ld/%ld>", object->ident, semaphore->permits, semaphore->most);
}

static weft_value condition_repr(struct wefti_managed *object)
{
    const struct condition *condition = object->state;
    unsigned waiting = 0;
    for (const struct wefti_waiter *waiter = condition->waiters.first; waiter; waiter = waiter->next)
        waiting++;
    weft_value lock = mutex_print(condition->mutex, object->ident);
    if (weft_is_error(lock))
        return lock;
    weft_value made = weft_str_f("<Condition(%s, %u)>", weft_as_str(lock), waiting);
    weft_drop(lock);
    return made;
}

static const struct wefti_method mutex_methods[] = {
    {.name = "acquire", .function = mutex_acquire, .parameters = {"blocking", "timeout"}},
    {.name = "locked", .function = mutex_locked},
    {.name = "release", .function = mutex_release},
};
static const struct wefti_method semaphore_methods[] = {
    {.name = "acquire", .function = semaphore_acquire, .parameters = {"blocking", "timeout"}},
    {.name = "release", .function = semaphore_release, .parameters = {"n"}},
};
static const struct wefti_method condition_methods[] = {
    {.name = "acquire", .function = condition_acquire, .parameters = {"blocking", "timeout"}},
    {.name = "notify", .function = condition_notify, .parameters = {"n"}},
    {.name = "notify_all", .function = condition_notify_all},
    {.name = "release", .function = condition_release},
    {.name = "wait", .function = condition_wait, .parameters = {"timeout"}},
};

const struct wefti_managed_type wefti_type_lock = {"Lock", mutex_methods, 3, lock_construct, .destroy = mutex_destroy, .repr = mutex_repr};
const struct wefti_managed_type wefti_type_rlock = {
    "RLock", mutex_methods, 3, rlock_construct, .destroy = mutex_destroy, .repr = mutex_repr};
const struct wefti_managed_type wefti_type_semaphore = {
    "Semaphore", semaphore_methods, 2, semaphore_construct, {"value"}, .destroy = semaphore_destroy, .repr = semaphore_repr};
const struct wefti_managed_type wefti_type_bounded_semaphore = {
    "BoundedSemaphore", semaphore_methods, 2, semaphore_construct_bounded, {"value"}, .destroy = semaphore_destroy, .repr = semaphore_repr};
const struct wefti_managed_type wefti_type_condition = {
    "Condition", condition_methods, 5, condition_construct, {"lock"}, .destroy = condition_destroy, .repr = condition_repr};
