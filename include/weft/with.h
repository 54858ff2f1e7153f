/* SPDX-License-Identifier: MIT */
/*
 * weft_with (&lock) { ... }: takes a lock, rlock or semaphore and gives it back when the block is left, by its end, break, continue,
 * return or goto (not by longjmp). weft_with_read (&rwlock) { ... } and weft_with_write (&rwlock) { ... } do so with an rwlock, for reading
 * or writing (not downgraded inside). Taking it cannot be cancelled. weft_with_seen (&lock, died) { ... } sets the bool `died` to whether
 * the previous owner died, weft_with_read_seen and weft_with_write_seen do so for an rwlock. weft_with_repair (&lock, function, data) { ...
 * } calls function(data), the lock being held, when an owner has died (of an rwlock it is the writer's block); if that returns 0 all is
 * whole again (weft_lock_repaired), else the block is passed over, the mark stays for the next, and errno is what the function left. break
 * and continue end the block, not a loop around it. A block whose object cannot be taken (a lock that the caller has already: EDEADLK) is
 * passed over, errno saying why.
 */
#ifndef WEFT_WITH_H
#define WEFT_WITH_H

#include <weft/lock.h>
#include <weft/rlock.h>
#include <weft/rwlock.h>
#include <weft/semaphore.h>

struct weft_with_scope {
    void *object;
    int (*release)(void *object);
    bool inside;
};

WEFT_BEGIN

/* What the macros call. From any kind of task. */
WEFT_API struct weft_with_scope weft_with_lock(weft_lock *lock, bool *died);
WEFT_API struct weft_with_scope weft_with_rlock(weft_rlock *lock, bool *died);
WEFT_API struct weft_with_scope weft_with_semaphore(weft_semaphore *semaphore, bool *died);
WEFT_API struct weft_with_scope weft_with_rwlock_read(weft_rwlock *lock, bool *died);
WEFT_API struct weft_with_scope weft_with_rwlock_write(weft_rwlock *lock, bool *died);
/* As weft_with_repair says. */
WEFT_API struct weft_with_scope weft_with_lock_repair(weft_lock *lock, int (*function)(void *data), void *data);
WEFT_API struct weft_with_scope weft_with_rlock_repair(weft_rlock *lock, int (*function)(void *data), void *data);
WEFT_API struct weft_with_scope weft_with_rwlock_repair(weft_rwlock *lock, int (*function)(void *data), void *data);
WEFT_API void weft_with_end(struct weft_with_scope *scope);

WEFT_END

#ifndef __cplusplus
#define weft_with_seen_(object_, died_, name_)                                                                                       \
    for (struct weft_with_scope name_ __attribute__((cleanup(weft_with_end))) = _Generic((object_), weft_lock *                      \
                                                                                         : weft_with_lock, weft_rlock *              \
                                                                                         : weft_with_rlock, weft_semaphore *         \
                                                                                         : weft_with_semaphore)((object_), (died_)); \
         name_.inside; name_.inside = false)
#define weft_with(object_) weft_with_seen_(object_, NULL, WEFT_PASTE(weft_with_, __COUNTER__))
#define weft_with_as_(scope_, name_) \
    for (struct weft_with_scope name_ __attribute__((cleanup(weft_with_end))) = (scope_); name_.inside; name_.inside = false)
#define weft_with_read(lock_) weft_with_as_(weft_with_rwlock_read(lock_, NULL), WEFT_PASTE(weft_with_, __COUNTER__))
#define weft_with_write(lock_) weft_with_as_(weft_with_rwlock_write(lock_, NULL), WEFT_PASTE(weft_with_, __COUNTER__))
#define weft_with_read_seen(lock_, died_) weft_with_as_(weft_with_rwlock_read(lock_, &(died_)), WEFT_PASTE(weft_with_, __COUNTER__))
#define weft_with_write_seen(lock_, died_) weft_with_as_(weft_with_rwlock_write(lock_, &(died_)), WEFT_PASTE(weft_with_, __COUNTER__))
#define weft_with_repair(object_, function_, data_)                                     \
    weft_with_as_(_Generic((object_), weft_lock *                                       \
                           : weft_with_lock_repair, weft_rlock *                        \
                           : weft_with_rlock_repair, weft_rwlock *                      \
                           : weft_with_rwlock_repair)((object_), (function_), (data_)), \
        WEFT_PASTE(weft_with_, __COUNTER__))
#define weft_with_seen(object_, died_) weft_with_seen_(object_, &(died_), WEFT_PASTE(weft_with_, __COUNTER__))
#endif

#endif
