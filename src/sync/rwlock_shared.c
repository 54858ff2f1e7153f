/* SPDX-License-Identifier: MIT */
/*
 * A read-write lock that lies in the arena: for the tasks of all processes of a family, any of which may die at any instruction.
 *
 * gate: a weft_lock (lock_shared.c). Its holder is the writer, from before he waits for the readers to leave; while it is held nobody
 * begins to read. Who wants to read
 *       sleeps on its word like who wants to write. Its DIED mark is that of the whole.
 * word: bits 0 to 30 READERS: how many have the lock for reading. AWAITED (bit 31): the writer may sleep on the lower half until they have
 * left; set by him,
 *       and by nobody taken away. MARK (bits 32 to 60): shared/joint.h.
 * turn: the lock's name (wefti_name). `left` is not used here.
 *
 * A reader counts himself in READERS, and in a holding of his life by the same step, then looks at the gate; if it is held he takes both
 * back and waits. A writer takes the gate, then looks at READERS. These four are sequentially consistent, so at least one sees the other.
 *
 * Death. A reader's count goes back in one step with the holding that says so; if he was the last, the sweep wakes the writer. A writer's
 * gate is freed, with DIED, as any lock; nothing else says that he was there.
 *
 * Who waits may be passed without a bound: there is no line, and readers and writers that a release has woken race.
 */

#include <errno.h>

#include "base/opening.h"
#include "shared/joint.h"
#include "sync/inside.h"
#include "sync/word.h"
#include "wait/context.h"

#define READERS UINT64_C(0x7fffffff)
#define AWAITED UINT64_C(0x80000000)
enum { READERS_LIMIT = (1 << 29) - 1 };

static uint64_t readers_look(const weft_rwlock *lock)
{
    return __atomic_load_n(&lock->word, __ATOMIC_SEQ_CST);
}

/* What is slept on: the lower half of `word`. */
static uint32_t *readers_word(weft_rwlock *lock)
{
    return &lock->half;
}

static uint64_t reads_detail(const struct wefti_holding *holding)
{
    return __atomic_load_n(&holding->detail, __ATOMIC_RELAXED);
}

static uint32_t reads_count(const struct wefti_holding *holding)
{
    return (uint32_t)reads_detail(holding);
}

/* The life's holding of this lock, as a reader; one that it had of another at this place ends. NULL: none. */
static struct wefti_holding *reads_held(struct wefti_life *life, const weft_rwlock *lock)
{
    struct wefti_holding *holding = life ? wefti_holding_of(life, WEFTI_HOLD_READER, lock) : NULL;
    if (!holding || reads_detail(holding) >> 32 == wefti_word_look(&lock->turn))
        return holding;
    wefti_unhold(holding);
    return NULL;
}

static int shared_refuse(int error)
{
    errno = error;
    return -1;
}

/* One more reader, whatever the gate says. 0; -1 with errno. */
static int reader_add(weft_rwlock *lock, struct wefti_life *life)
{
    struct wefti_holding *holding = reads_held(life, lock);
    if (!holding) {
        holding = wefti_holding_find(life);
        if (!holding)
            return -1;
        wefti_hold(holding, WEFTI_HOLD_READER, lock, (uint64_t)wefti_name(&lock->turn) << 32);
    }
    uint64_t word = readers_look(lock);
    while ((word & READERS) < READERS_LIMIT)
        if (wefti_joint_move(life, &lock->word, &word, word + 1, holding, reads_detail(holding) + 1))
            return 0;
    if (reads_count(holding) == 0)
        wefti_unhold(holding);
    return shared_refuse(EOVERFLOW);
}

/* One reader less. */
static void reader_leave(weft_rwlock *lock, struct wefti_life *life, struct wefti_holding *holding)
{
    uint64_t word = readers_look(lock);
    while (!wefti_joint_move(life, &lock->word, &word, word - 1, holding, reads_detail(holding) - 1))
        ;
    if ((word & READERS) == 1 && (word & AWAITED))
        weft_wake(readers_word(lock), 1);
    if (reads_count(holding) == 0)
        wefti_unhold(holding);
}

/* Waits until the gate may be open. 0; -1 with errno. */
static int gate_wait(weft_rwlock *lock, weft_time deadline)
{
    uint32_t word;
    if (deadline <= WEFT_NOW)
        return shared_refuse(EAGAIN);
    if (!wefti_lock_shared_announce(&lock->gate, &word))
        return 0;
    struct wefti_life *life = wefti_sleep_begin(lock, WEFTI_SLEEP_GATE);
    int waited = weft_wait(&lock->gate.word, word, deadline);
    wefti_sleep_end(life);
    return waited;
}

int wefti_rwlock_shared_acquire_read(weft_rwlock *lock, weft_time deadline)
{
    struct wefti_life *life = wefti_context_life(wefti_context_current());
    if (!life)
        return -1;
    if (wefti_lock_shared_mine(&lock->gate))
        return shared_refuse(EDEADLK);
    if (reads_held(life, lock)) /* a writer waits for this one in any case */
        return reader_add(lock, life) < 0 ? -1 : wefti_lock_shared_died(&lock->gate);
    for (;;) {
        if (!weft_lock_locked(&lock->gate)) {
            if (reader_add(lock, life) < 0)
                return -1;
            if (!wefti_lock_shared_held(&lock->gate))
                return wefti_lock_shared_died(&lock->gate);
            reader_leave(lock, life, reads_held(life, lock));
        }
        if (gate_wait(lock, deadline) < 0)
            return -1;
    }
}

int wefti_rwlock_shared_release_read(weft_rwlock *lock)
{
    struct wefti_life *life = wefti_context_current()->life;
    struct wefti_holding *holding = reads_held(life, lock);
    if (!holding || reads_count(holding) == 0)
        return shared_refuse(EPERM);
    reader_leave(lock, life, holding);
    return 0;
}

/* The holder of the gate waits for the readers to leave. 0; -1 with errno. */
static int readers_wait(weft_rwlock *lock, weft_time deadline)
{
    uint64_t word = readers_look(lock);
    while (word & READERS) {
        if (deadline <= WEFT_NOW)
            return shared_refuse(EAGAIN);
        if (!(word & AWAITED) &&
            !__atomic_compare_exchange_n(&lock->word, &word, word | AWAITED, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            continue;
        struct wefti_life *life = wefti_sleep_begin(lock, WEFTI_SLEEP_READERS);
        int waited = weft_wait(readers_word(lock), (uint32_t)(word | AWAITED), deadline);
        wefti_sleep_end(life);
        if (waited < 0)
            return -1;
        word = readers_look(lock);
    }
    return 0;
}

int wefti_rwlock_shared_acquire_write(weft_rwlock *lock, weft_time deadline)
{
    if (reads_held(wefti_context_current()->life, lock))
        return shared_refuse(EDEADLK);
    int taken = wefti_lock_shared_acquire(&lock->gate, deadline);
    if (taken < 0 || readers_wait(lock, deadline) == 0)
        return taken;
    int error = errno;
    wefti_lock_shared_give(&lock->gate, UINT32_MAX);
    return shared_refuse(error);
}

int wefti_rwlock_shared_release_write(weft_rwlock *lock)
{
    return wefti_lock_shared_give(&lock->gate, UINT32_MAX);
}

int wefti_rwlock_shared_downgrade(weft_rwlock *lock)
{
    if (!wefti_lock_shared_mine(&lock->gate))
        return shared_refuse(EPERM);
    if (reader_add(lock, wefti_context_current()->life) < 0)
        return -1;
    return wefti_lock_shared_give(&lock->gate, UINT32_MAX);
}

uint32_t wefti_rwlock_shared_readers(const weft_rwlock *lock)
{
    return (uint32_t)(readers_look(lock) & READERS);
}

bool wefti_rwlock_shared_written(const weft_rwlock *lock)
{
    return weft_lock_locked(&lock->gate) && wefti_rwlock_shared_readers(lock) == 0;
}

/* As permits_mend does for a semaphore. */
static void reads_mend(uint32_t dead, void *object, uint64_t detail)
{
    (void)detail; /* as it was before recovery */
    weft_rwlock *lock = object;
    struct wefti_life *life = wefti_life_of(dead);
    const uint32_t name = wefti_word_look(&lock->turn);
    struct wefti_holding *holding = life ? wefti_holding_of(life, WEFTI_HOLD_READER, object) : NULL;
    uint64_t word = readers_look(lock);
    while (holding && name && reads_detail(holding) >> 32 == name && reads_count(holding) > 0)
        wefti_joint_move(life, &lock->word, &word, word - reads_count(holding), holding, (uint64_t)name << 32);
    weft_wake(readers_word(lock), UINT32_MAX);
}

WEFTI_OPENING_SYNC static void rwlock_shared_open(void)
{
    wefti_menders[WEFTI_HOLD_READER] = reads_mend;
}
