/* SPDX-License-Identifier: MIT */
/*
 * A lock that many may read under at once, or one may write under. All-zero is ready: static weft_rwlock lock;
 *
 * Who waits for it is never starved. A task that wants to read waits for one writer at most: the one that has the lock, or whose turn has
 * come; when that one gives it back, all who came to read meanwhile have it, whoever else wants to write. Writers take turns as the tasks
 * that want a weft_lock do, with the same bound; one whose turn has come waits for those who read at that moment, and for nobody who comes
 * later.
 *
 * The writer is known: he gets EDEADLK when he asks again, for either. Readers are only counted. So a task that reads must not ask to read
 * again (if somebody waits to write in between, they wait for each other) nor to write (it waits for itself): neither is noticed, both end
 * at the deadline. A writer may become a reader (weft_rwlock_downgrade); the other way round there is none, as two who tried would wait for
 * each other.
 *
 * In shared memory (weft_shared_new(weft_rwlock)) it is for the tasks of all processes of the family. What a task that dies had for reading
 * goes back; a writer's death frees the lock, and whoever takes it then, for either, is told so until a writer says weft_rwlock_repaired.
 * There only who reads may give that back, a task may read again while it reads, asking to write while one reads is EDEADLK, and who waits
 * may be passed without a bound.
 *
 * The memory may be reused when every call with the lock has returned. In a forked child a lock that other tasks were reading under, or
 * waited for, stays as it was.
 */
#ifndef WEFT_RWLOCK_H
#define WEFT_RWLOCK_H

#include <weft/lock.h>

typedef struct weft_rwlock {
    union {
        uint64_t word; /* the library's, all of it */
        uint32_t half;
    };
    weft_lock gate;
    uint32_t turn;
    uint32_t left;
    uint32_t reserved[2];
} weft_rwlock;

WEFT_BEGIN

/*
 * Takes the lock for reading, waiting until the deadline. From any kind of task.
 * 0; 1: a writer died and nobody has called weft_rwlock_repaired since (shared memory only); -1 with EDEADLK (the caller is the writer),
 * EOVERFLOW (half a milliard read already), EAGAIN (WEFT_NOW), ETIMEDOUT, ECANCELED; in shared memory also ENOMEM, and ESTALE (this process
 * is no member: it was forked by the host).
 */
WEFT_API int weft_rwlock_acquire_read(weft_rwlock *lock, weft_time deadline);
/* Gives back what weft_rwlock_acquire_read took; any task may do it (in shared memory only that which took it). 0; -1 with EPERM when
 * nobody reads (there: the caller does not). Any task; never waits. */
WEFT_API int weft_rwlock_release_read(weft_rwlock *lock);
/*
 * Takes the lock for writing, waiting until the deadline. From any kind of task. 0: yours. 1: yours, and a previous writer died (shared
 * memory only), and nobody has called weft_rwlock_repaired since. -1 with EDEADLK (it is yours already), EAGAIN (WEFT_NOW), ETIMEDOUT,
 * ECANCELED; in shared memory also ENOMEM, ESTALE.
 */
WEFT_API int weft_rwlock_acquire_write(weft_rwlock *lock, weft_time deadline);
/* Gives it back. 0; -1 with EPERM when the caller is not the writer. Any task; never waits. */
WEFT_API int weft_rwlock_release_write(weft_rwlock *lock);
/*
 * The writer reads on, and lets in those who wait to read; no writer comes in between. End it with weft_rwlock_release_read. 0; -1 with
 * EPERM when the caller is not the writer; in shared memory also ENOMEM, the caller being the writer still. Any task; never waits.
 */
WEFT_API int weft_rwlock_downgrade(weft_rwlock *lock);
/* The writer says that what the lock protects is whole again after the death of another. 0, also when nobody died; -1 with EPERM when the
 * caller is not the writer. */
WEFT_API int weft_rwlock_repaired(weft_rwlock *lock);
/* How many read, at this moment. Any task; cannot fail, as the next. */
WEFT_API uint32_t weft_rwlock_readers(const weft_rwlock *lock);
/* Whether somebody writes, at this moment. */
WEFT_API bool weft_rwlock_written(const weft_rwlock *lock);

WEFT_END

#endif
