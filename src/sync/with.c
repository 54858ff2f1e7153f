/* SPDX-License-Identifier: MIT */
/*
 * weft_with: a scope that gives back what it took. A scope that could not take its object (a lock that is the caller's already) is not
 *       entered.
 */

#include <weft/with.h>

#include <errno.h>

#include "sync/inside.h"
#include "wait/wait.h"

static int release_lock(void *object)
{
    return weft_lock_release(object);
}

static int release_rlock(void *object)
{
    return weft_rlock_release(object);
}

static int release_semaphore(void *object)
{
    return weft_semaphore_release(object, 1);
}

static int release_rwlock_read(void *object)
{
    return weft_rwlock_release_read(object);
}

static int release_rwlock_write(void *object)
{
    return weft_rwlock_release_write(object);
}

static struct weft_with_scope scope_enter(void *object, int (*release)(void *object), int taken, bool *died)
{
    if (died)
        *died = taken > 0;
    return (struct weft_with_scope){.object = object, .release = taken < 0 ? NULL : release, .inside = taken >= 0};
}

struct weft_with_scope weft_with_lock(weft_lock *lock, bool *died)
{
    return scope_enter(lock, release_lock, wefti_lock_insist(lock), died);
}

struct weft_with_scope weft_with_rlock(weft_rlock *lock, bool *died)
{
    wefti_shield_raise();
    int taken = weft_rlock_acquire(lock, WEFT_FOREVER);
    wefti_shield_lower();
    return scope_enter(lock, release_rlock, taken, died);
}

struct weft_with_scope weft_with_semaphore(weft_semaphore *semaphore, bool *died)
{
    wefti_shield_raise();
    int taken = weft_semaphore_acquire(semaphore, WEFT_FOREVER);
    wefti_shield_lower();
    return scope_enter(semaphore, release_semaphore, taken, died);
}

struct weft_with_scope weft_with_rwlock_read(weft_rwlock *lock, bool *died)
{
    wefti_shield_raise();
    int taken = weft_rwlock_acquire_read(lock, WEFT_FOREVER);
    wefti_shield_lower();
    return scope_enter(lock, release_rwlock_read, taken, died);
}

struct weft_with_scope weft_with_rwlock_write(weft_rwlock *lock, bool *died)
{
    wefti_shield_raise();
    int taken = weft_rwlock_acquire_write(lock, WEFT_FOREVER);
    wefti_shield_lower();
    return scope_enter(lock, release_rwlock_write, taken, died);
}

/* A scope that was entered over what a dead owner left goes on if the function makes that whole. */
static struct weft_with_scope scope_repair(
    struct weft_with_scope scope, bool died, weft_lock *lock, int (*function)(void *data), void *data)
{
    if (!scope.inside || !died)
        return scope;
    if (function(data) == 0) {
        weft_lock_repaired(lock);
        return scope;
    }
    int error = errno;
    weft_with_end(&scope);
    errno = error;
    return (struct weft_with_scope){.object = scope.object};
}

struct weft_with_scope weft_with_lock_repair(weft_lock *lock, int (*function)(void *data), void *data)
{
    bool died = false;
    struct weft_with_scope scope = weft_with_lock(lock, &died);
    return scope_repair(scope, died, lock, function, data);
}

struct weft_with_scope weft_with_rlock_repair(weft_rlock *lock, int (*function)(void *data), void *data)
{
    bool died = false;
    struct weft_with_scope scope = weft_with_rlock(lock, &died);
    return scope_repair(scope, died, &lock->lock, function, data);
}

struct weft_with_scope weft_with_rwlock_repair(weft_rwlock *lock, int (*function)(void *data), void *data)
{
    bool died = false;
    struct weft_with_scope scope = weft_with_rwlock_write(lock, &died);
    return scope_repair(scope, died, &lock->gate, function, data);
}

void weft_with_end(struct weft_with_scope *scope)
{
    if (scope->release)
        scope->release(scope->object);
}
