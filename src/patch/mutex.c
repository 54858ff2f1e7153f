/* SPDX-License-Identifier: MIT */
/*
 * Mutexes and conditions among coroutines.
 *
 * A coroutine that parks while its library holds a mutex leaves it locked, and the next of its thread that wants it would put the whole
 * thread to sleep, the holder included. So a coroutine (and what a thread with coroutines does itself) only ever tries a mutex, and sleeps
 * as one sleeps in Weft until it may be free.
 *
 * Sleepers are in lists that the address of what they wait for hashes to. Who unlocks a mutex wakes one sleeper, who signals a condition
 * wakes one and the C library's too (one more than asked for, as POSIX allows). No wake is lost: a sleeper is counted and in its list
 * before it tries for the last time, and who unlocks looks at the count afterwards. Both change the count: whichever is later sees what the
 * other did before. Unlocks that do not pass here (pthread_cond_wait of a thread lets go inside the C library; another process) are found
 * by trying again after a millisecond, two, four, up to 64.
 *
 * Owners. The C library knows owners by thread, so a mutex that may be locked again by its owner, or that checks, would take one coroutine
 * for another. Of such a mutex that a coroutine holds the table of owners has an entry; who finds another's there is no owner, whatever the
 * C library would say. An entry that was not made, but a count of more than one, says that the thread locked it before it had coroutines.
 *
 * Neither cancellation nor weft_deadline ends these waits: their callers could do nothing with it. What is shared between processes goes to
 * the C library as it is.
 *
 * A signal handler must not call these. fork: the child has no sleepers; owners stay, as the locks do.
 */

#include "patch/patch.h"

#include <errno.h>
#include <stdlib.h>

#include "base/latch.h"
#include <weft/task.h>
#include <weft/wait.h>

enum { LISTS = 64, PATIENCE_LEAST = 1000000, PATIENCE_MOST = 64000000 /* ns */ };

/* On the stack of who sleeps. */
struct sleeper {
    struct sleeper *next, *previous;
    const void *address; /* of what it waits for */
    uint32_t woken;      /* 1: and is in the list no more */
};

static struct sleeper_list {
    struct wefti_latch latch;
    struct sleeper *first, *last;
} sleeper_lists[LISTS];
static uint32_t sleepers_count;

struct owner {
    struct owner *next;
    const pthread_mutex_t *mutex;
    uint64_t task;
};

static struct wefti_latch owners_latch;
static struct owner *owners[LISTS];
static uint32_t owners_count;

static size_t address_place(const void *address)
{
    return (size_t)(((uint64_t)(uintptr_t)address * UINT64_C(0x9e3779b97f4a7c15)) >> 32) % LISTS;
}

static struct sleeper_list *sleepers_enter(const void *address)
{
    struct sleeper_list *list = &sleeper_lists[address_place(address)];
    wefti_patch_enter();
    wefti_latch_close(&list->latch);
    return list;
}

static void sleepers_leave(struct sleeper_list *list)
{
    wefti_latch_open(&list->latch);
    wefti_patch_leave();
}

static void sleeper_unlink(struct sleeper_list *list, struct sleeper *sleeper)
{
    *(sleeper->previous ? &sleeper->previous->next : &list->first) = sleeper->next;
    *(sleeper->next ? &sleeper->next->previous : &list->last) = sleeper->previous;
}

static void sleeper_add(struct sleeper *sleeper, const void *address)
{
    __atomic_fetch_add(&sleepers_count, 1, __ATOMIC_SEQ_CST); /* with that of sleepers_wake */
    struct sleeper_list *list = sleepers_enter(address);
    *sleeper = (struct sleeper){.address = address, .previous = list->last};
    *(list->last ? &list->last->next : &list->first) = sleeper;
    list->last = sleeper;
    sleepers_leave(list);
}

/* Takes it out; true: somebody has woken it. */
static bool sleeper_remove(struct sleeper *sleeper)
{
    struct sleeper_list *list = sleepers_enter(sleeper->address);
    bool woken = sleeper->woken;
    if (!woken)
        sleeper_unlink(list, sleeper);
    sleepers_leave(list);
    __atomic_fetch_sub(&sleepers_count, 1, __ATOMIC_RELAXED);
    return woken;
}

/* Wakes so many who wait for what lies there. */
static void sleepers_wake(const void *address, unsigned count)
{
    if (__atomic_fetch_add(&sleepers_count, 0, __ATOMIC_SEQ_CST) == 0) /* with that of sleeper_add */
        return;
    int error = errno;
    struct sleeper_list *list = sleepers_enter(address);
    for (struct sleeper *sleeper = list->first, *next; sleeper && count > 0; sleeper = next) {
        next = sleeper->next;
        if (sleeper->address != address)
            continue;
        sleeper_unlink(list, sleeper);
        __atomic_store_n(&sleeper->woken, 1, __ATOMIC_RELEASE);
        weft_wake(&sleeper->woken, 1);
        count--;
    }
    sleepers_leave(list);
    errno = error;
}

/* Sleeps until it is woken, or the deadline. */
static void sleeper_wait(struct sleeper *sleeper, weft_time deadline)
{
    weft_shield while (!__atomic_load_n(&sleeper->woken, __ATOMIC_ACQUIRE) && weft_wait(&sleeper->woken, 0, deadline) == 0);
}

/* Owners. */

static bool mutex_is_kind(const pthread_mutex_t *mutex, int kind)
{
    return (mutex->__data.__kind & 3) == kind;
}

static bool mutex_knows_owner(const pthread_mutex_t *mutex)
{
    return mutex_is_kind(mutex, PTHREAD_MUTEX_RECURSIVE) || mutex_is_kind(mutex, PTHREAD_MUTEX_ERRORCHECK);
}

static uint64_t task_here(void)
{
    return weft_task_ident(weft_current());
}

/* The link to the mutex's entry, or to where there is none; under the latch. */
static struct owner **owner_link(const pthread_mutex_t *mutex)
{
    struct owner **link = &owners[address_place(mutex)];
    while (*link && (*link)->mutex != mutex)
        link = &(*link)->next;
    return link;
}

/* Who is in the table as its owner, or 0. */
static uint64_t owner_find(const pthread_mutex_t *mutex)
{
    if (__atomic_load_n(&owners_count, __ATOMIC_RELAXED) == 0)
        return 0;
    wefti_latch_close(&owners_latch);
    const struct owner *owner = *owner_link(mutex);
    uint64_t task = owner ? owner->task : 0;
    wefti_latch_open(&owners_latch);
    return task;
}

static void owner_add(struct owner *owner)
{
    wefti_latch_close(&owners_latch);
    struct owner **link = &owners[address_place(owner->mutex)];
    owner->next = *link;
    *link = owner;
    __atomic_fetch_add(&owners_count, 1, __ATOMIC_RELAXED);
    wefti_latch_open(&owners_latch);
}

static void owner_remove(const pthread_mutex_t *mutex)
{
    wefti_latch_close(&owners_latch);
    struct owner **link = owner_link(mutex), *owner = *link;
    if (owner) {
        *link = owner->next;
        __atomic_fetch_sub(&owners_count, 1, __ATOMIC_RELAXED);
    }
    wefti_latch_open(&owners_latch);
    free(owner);
}

/* Tries a mutex that knows its owner and has no entry. */
static int mutex_try_anew(pthread_mutex_t *mutex)
{
    struct owner *owner = malloc(sizeof(*owner));
    if (!owner)
        return EAGAIN;
    int failed = wefti_real()->pthread_mutex_trylock(mutex);
    bool got = failed == 0 || failed == EOWNERDEAD;
    if (got && mutex_is_kind(mutex, PTHREAD_MUTEX_RECURSIVE) && mutex->__data.__count > 1) {
        wefti_real()->pthread_mutex_unlock(mutex);
        got = false;
        failed = EBUSY;
    }
    if (!got) {
        free(owner);
        return failed;
    }
    *owner = (struct owner){.mutex = mutex, .task = task_here()};
    owner_add(owner);
    return failed;
}

/* Locks it if that can be done at once: 0, EBUSY, or what else the C library says. */
static int mutex_try(pthread_mutex_t *mutex)
{
    if (!mutex_knows_owner(mutex))
        return wefti_real()->pthread_mutex_trylock(mutex);
    uint64_t owner = owner_find(mutex);
    if (owner == 0)
        return mutex_try_anew(mutex);
    return owner == task_here() ? wefti_real()->pthread_mutex_trylock(mutex) : EBUSY;
}

/* Whether the caller would wait for itself, and the mutex is one that says so. */
static bool mutex_is_own_checked(const pthread_mutex_t *mutex)
{
    return mutex_is_kind(mutex, PTHREAD_MUTEX_ERRORCHECK) && owner_find(mutex) == task_here();
}

static int mutex_lock(pthread_mutex_t *mutex, weft_time deadline)
{
    weft_time patience = PATIENCE_LEAST;
    int failed = mutex_is_own_checked(mutex) ? EDEADLK : mutex_try(mutex), error = errno;
    while (failed == EBUSY && deadline > WEFT_NOW) {
        struct sleeper sleeper;
        sleeper_add(&sleeper, mutex);
        failed = mutex_try(mutex);
        weft_time now = weft_clock();
        if (failed == EBUSY && now >= deadline)
            deadline = WEFT_NOW;
        else if (failed == EBUSY)
            sleeper_wait(&sleeper, deadline - now < patience ? deadline : now + patience);
        if (sleeper_remove(&sleeper) && failed != EBUSY)
            sleepers_wake(mutex, 1); /* that was for another */
        patience = patience < PATIENCE_MOST ? patience * 2 : patience;
    }
    errno = error;
    return failed == EBUSY ? ETIMEDOUT : failed;
}

/* Its owner is about to unlock it: the entry goes with the last time. */
static void owner_lets_go(const pthread_mutex_t *mutex)
{
    if (!mutex_is_kind(mutex, PTHREAD_MUTEX_RECURSIVE) || mutex->__data.__count <= 1)
        owner_remove(mutex);
}

static int mutex_unlock(pthread_mutex_t *mutex)
{
    bool owned = mutex_knows_owner(mutex);
    uint64_t owner = owned ? owner_find(mutex) : 0;
    if (owner && owner != task_here())
        return EPERM;
    if (owner)
        owner_lets_go(mutex);
    int failed = wefti_real()->pthread_mutex_unlock(mutex);
    sleepers_wake(mutex, 1);
    return failed;
}

/* What the present glibc and those before it know a mutex and a condition between processes by. */
static bool mutex_is_shared(const pthread_mutex_t *mutex)
{
    return mutex->__data.__kind & 128;
}

static bool condition_is_shared(const pthread_cond_t *condition)
{
    return condition->__data.__wrefs & 1;
}

static clockid_t condition_clock(const pthread_cond_t *condition)
{
    return condition->__data.__wrefs & 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
}

/* Whether others of the caller's thread can have their turn while it waits for a mutex. */
static bool mutex_patched(const pthread_mutex_t *mutex, const void *caller)
{
    return __atomic_load_n(&wefti_patch_on, __ATOMIC_ACQUIRE) && !mutex_is_shared(mutex) && wefti_patch_flow(caller) != WEFT_FLOW_NONE;
}

static bool condition_patched(const pthread_cond_t *condition, const pthread_mutex_t *mutex, const void *caller)
{
    return !condition_is_shared(condition) && mutex_patched(mutex, caller);
}

/* A mutex of the plain kind that is free needs none of it. */
static bool mutex_taken_at_once(pthread_mutex_t *mutex)
{
    return (mutex->__data.__kind & 127) == 0 && wefti_real()->pthread_mutex_trylock(mutex) == 0;
}

/* A thread's wait lets go of the mutex without passing here: those who wait for that look soon. */
static void mutex_will_be_free(const pthread_mutex_t *mutex)
{
    if (__atomic_load_n(&wefti_patch_on, __ATOMIC_ACQUIRE))
        sleepers_wake(mutex, 1);
}

static int condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, weft_time deadline)
{
    struct sleeper sleeper;
    int error = errno;
    sleeper_add(&sleeper, condition);
    int failed = mutex_unlock(mutex);
    if (failed) {
        sleeper_remove(&sleeper);
        return failed;
    }
    sleeper_wait(&sleeper, deadline);
    bool woken = sleeper_remove(&sleeper);
    failed = mutex_lock(mutex, WEFT_FOREVER);
    errno = error;
    return failed ? failed : woken ? 0 : ETIMEDOUT;
}

/* The C library's names. */

WEFT_API int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    if (!__atomic_load_n(&wefti_patch_on, __ATOMIC_ACQUIRE))
        return wefti_real()->pthread_mutex_lock(mutex);
    if (mutex_taken_at_once(mutex))
        return 0;
    return mutex_patched(mutex, WEFTI_CALLER) ? mutex_lock(mutex, WEFT_FOREVER) : wefti_real()->pthread_mutex_lock(mutex);
}

WEFT_API int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    bool owned = __atomic_load_n(&wefti_patch_on, __ATOMIC_ACQUIRE) && mutex_knows_owner(mutex);
    return owned && mutex_patched(mutex, WEFTI_CALLER) ? mutex_try(mutex) : wefti_real()->pthread_mutex_trylock(mutex);
}

WEFT_API int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict moment)
{
    if (!wefti_timespec_valid(moment) || !mutex_patched(mutex, WEFTI_CALLER))
        return wefti_real()->pthread_mutex_timedlock(mutex, moment);
    return mutex_lock(mutex, wefti_patch_moment(CLOCK_REALTIME, moment));
}

WEFT_API int pthread_mutex_clocklock(pthread_mutex_t *restrict mutex, clockid_t clock, const struct timespec *restrict moment)
{
    bool valid = wefti_timespec_valid(moment) && (clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC);
    if (!valid || !mutex_patched(mutex, WEFTI_CALLER))
        return wefti_real()->pthread_mutex_clocklock(mutex, clock, moment);
    return mutex_lock(mutex, wefti_patch_moment(clock, moment));
}

WEFT_API int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    if (!__atomic_load_n(&wefti_patch_on, __ATOMIC_ACQUIRE))
        return wefti_real()->pthread_mutex_unlock(mutex);
    if (mutex_knows_owner(mutex) && mutex_patched(mutex, WEFTI_CALLER))
        return mutex_unlock(mutex);
    if (mutex_knows_owner(mutex) && owner_find(mutex) && mutex->__data.__owner == gettid()) /* it had coroutines when it locked it */
        owner_lets_go(mutex);
    int failed = wefti_real()->pthread_mutex_unlock(mutex);
    sleepers_wake(mutex, 1);
    return failed;
}

WEFT_API int pthread_cond_wait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex)
{
    if (condition_patched(condition, mutex, WEFTI_CALLER))
        return condition_wait(condition, mutex, WEFT_FOREVER);
    mutex_will_be_free(mutex);
    return wefti_real()->pthread_cond_wait(condition, mutex);
}

WEFT_API int pthread_cond_timedwait(
    pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, const struct timespec *restrict moment)
{
    if (wefti_timespec_valid(moment) && condition_patched(condition, mutex, WEFTI_CALLER))
        return condition_wait(condition, mutex, wefti_patch_moment(condition_clock(condition), moment));
    mutex_will_be_free(mutex);
    return wefti_real()->pthread_cond_timedwait(condition, mutex, moment);
}

WEFT_API int pthread_cond_clockwait(
    pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, clockid_t clock, const struct timespec *restrict moment)
{
    bool valid = wefti_timespec_valid(moment) && (clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC);
    if (valid && condition_patched(condition, mutex, WEFTI_CALLER))
        return condition_wait(condition, mutex, wefti_patch_moment(clock, moment));
    mutex_will_be_free(mutex);
    return wefti_real()->pthread_cond_clockwait(condition, mutex, clock, moment);
}

WEFT_API int pthread_cond_signal(pthread_cond_t *condition)
{
    if (__atomic_load_n(&wefti_patch_on, __ATOMIC_ACQUIRE))
        sleepers_wake(condition, 1);
    return wefti_real()->pthread_cond_signal(condition);
}

WEFT_API int pthread_cond_broadcast(pthread_cond_t *condition)
{
    if (__atomic_load_n(&wefti_patch_on, __ATOMIC_ACQUIRE))
        sleepers_wake(condition, UINT32_MAX);
    return wefti_real()->pthread_cond_broadcast(condition);
}

static void mutex_forked(void)
{
    sleepers_count = 0;
    for (size_t i = 0; i < LISTS; i++)
        sleeper_lists[i] = (struct sleeper_list){0};
    owners_latch = (struct wefti_latch){0};
}

__attribute__((constructor(1001))) static void mutex_open(void)
{
    pthread_atfork(NULL, NULL, mutex_forked);
}
