/* SPDX-License-Identifier: MIT */
/*
 * A lock for many readers or one writer; readers and writers take turns.
 *
 * gate: a weft_lock. Its holder is the writer, from before his turn (he waits for the readers to leave) until after it. It gives writers
 *       their order, their bound, their deadlines and their name.
 * word: 64 bits, so that all who wait become readers in one step.
 *   bits 0 to 29   READING: how many have the lock for reading.
 *   bits 30 to 59  WAITING: how many wait to read and have not been let in.
 *   bit 60         WRITER: a writer's turn has come, so who wants to read waits. Set and cleared by the holder of the gate.
 *   bit 61         PHASE: flips when a writer gives the lock back, in the step that makes all WAITING READING.
 * turn: one more after each clearing of WRITER with somebody waiting; what readers sleep on. Written by the holder of the gate.
 * left: one more after READING or WAITING came to 0 when the holder of the gate may wait for that; what he sleeps on.
 *
 * A reader adds himself to READING if WRITER is not set, else to WAITING. From there he comes in two ways. A writer who has had the lock
 * flips PHASE: then the waiting reader is counted in READING already. One bit is enough, as a second flip needs a writer who has the lock,
 * for which READING has to come to 0, and so needs this reader to have seen the first. A writer who gives up while he waits for readers to
 * leave only clears WRITER: then who waits moves himself from WAITING to READING. The next writer does not set WRITER before they have all
 * done so (or left): they waited for one writer already.
 *
 * No wake is lost. Readers read `turn`, then look at `word`, then sleep if `turn` is what they read; the writer changes `word`, then
 * `turn`, then wakes. Who has read the new `turn` (wefti_word_look, pairs with the wefti_word_add of rwlock_call) sees the new word. The
 * holder of the gate and `left` likewise.
 *
 * Who comes in, by whatever step, has read `word` with acquire; who gives the lock back changes it with release; and whatever changes
 * `word` in between is a read-modify-write, which carries the release on. So a reader sees what the last writer wrote, and a writer who
 * finds READING 0 comes after all that the readers read.
 *
 * A lock that lies in the arena is another: rwlock_shared.c.
 */

#include <weft/rwlock.h>

#include <errno.h>

#include "shared/arena.h"
#include "sync/inside.h"
#include "sync/word.h"
#include "wait/wait.h"

#define READER UINT64_C(1)
#define WAITER (UINT64_C(1) << 30)
#define READING (WAITER - 1)
#define WAITING (READING << 30)
#define WRITER (UINT64_C(1) << 60)
#define PHASE (UINT64_C(1) << 61)

enum { READERS_LIMIT = (1 << 29) - 1 }; /* of each of the two, so that the sum has room */

static uint64_t rwlock_look(const weft_rwlock *lock)
{
    return wefti_wide_look(&lock->word);
}

/* Compare and swap: *word becomes what is there when it fails. Acquire for who comes in, release for who goes. */
static bool rwlock_move(weft_rwlock *lock, uint64_t *word, uint64_t value)
{
    return wefti_wide_move(&lock->word, word, value);
}

static int rwlock_refuse(int error)
{
    errno = error;
    return -1;
}

/* Tells what a sleeper on `turn` or `left` may wait for; after this the caller touches it no more. */
static void rwlock_call(uint32_t *word, uint32_t count)
{
    wefti_word_add(word, 1);
    weft_wake(word, count);
}

/* Whether the holder of the gate may sleep until it is as this word says. */
static bool word_leaves(uint64_t word)
{
    return (word & WRITER) ? !(word & READING) : !(word & WAITING);
}

/* The deadline of a waiting reader came, or its cancellation: errno. It may be in all the same. */
static int read_give_up(weft_rwlock *lock, uint64_t phase)
{
    uint64_t word = rwlock_look(lock);
    do {
        if ((word & PHASE) != phase)
            return 0;
    } while (!rwlock_move(lock, &word, word - WAITER));
    int error = errno;
    if (!(word & WRITER) && word_leaves(word - WAITER))
        rwlock_call(&lock->left, 1);
    return rwlock_refuse(error);
}

/* Whether the waiting reader is in, or goes in. */
static bool read_enter(weft_rwlock *lock, uint64_t phase)
{
    uint64_t word = rwlock_look(lock);
    do {
        if ((word & PHASE) != phase)
            return true;
        if (word & WRITER)
            return false;
    } while (!rwlock_move(lock, &word, word - WAITER + READER));
    if (word_leaves(word - WAITER))
        rwlock_call(&lock->left, 1);
    return true;
}

static __attribute__((noinline)) int read_wait(weft_rwlock *lock, weft_time deadline)
{
    if (wefti_lock_mine(&lock->gate))
        return rwlock_refuse(EDEADLK);
    if (deadline <= WEFT_NOW)
        return rwlock_refuse(EAGAIN);
    uint64_t word = rwlock_look(lock);
    bool waits;
    do {
        waits = word & WRITER;
        if ((waits ? (word & WAITING) / WAITER : word & READING) >= READERS_LIMIT)
            return rwlock_refuse(EOVERFLOW);
    } while (!rwlock_move(lock, &word, word + (waits ? WAITER : READER)));
    if (!waits)
        return 0;
    for (;;) {
        uint32_t turn = wefti_word_look(&lock->turn);
        if (read_enter(lock, word & PHASE))
            return 0;
        if (weft_wait(&lock->turn, turn, deadline) < 0)
            return read_give_up(lock, word & PHASE);
    }
}

int weft_rwlock_acquire_read(weft_rwlock *lock, weft_time deadline)
{
    if (__builtin_expect(wefti_is_shared(lock), 0))
        return wefti_rwlock_shared_acquire_read(lock, deadline);
    uint64_t word = rwlock_look(lock);
    while (!(word & WRITER)) {
        if ((word & READING) >= READERS_LIMIT)
            return rwlock_refuse(EOVERFLOW);
        if (rwlock_move(lock, &word, word + READER))
            return 0;
    }
    return read_wait(lock, deadline);
}

int weft_rwlock_release_read(weft_rwlock *lock)
{
    if (__builtin_expect(wefti_is_shared(lock), 0))
        return wefti_rwlock_shared_release_read(lock);
    uint64_t word = rwlock_look(lock);
    do {
        if (!(word & READING))
            return rwlock_refuse(EPERM);
    } while (!rwlock_move(lock, &word, word - READER));
    if ((word & WRITER) && word_leaves(word - READER))
        rwlock_call(&lock->left, 1);
    return 0;
}

/* The end of a writer's turn. `kept`: he reads on. */
static void write_end(weft_rwlock *lock, uint64_t kept)
{
    uint64_t word = rwlock_look(lock), next;
    do
        next = ((word & PHASE) ^ PHASE) | ((word & WAITING) / WAITER + kept);
    while (!rwlock_move(lock, &word, next));
    if (word & WAITING)
        rwlock_call(&lock->turn, UINT32_MAX);
    weft_lock_release(&lock->gate);
}

/* The holder of the gate gives up. `begun`: his turn had come. */
static int write_give_up(weft_rwlock *lock, bool begun)
{
    int error = errno;
    uint64_t word = rwlock_look(lock);
    while (begun && !rwlock_move(lock, &word, word & ~WRITER))
        ;
    if (begun && (word & WAITING))
        rwlock_call(&lock->turn, UINT32_MAX);
    weft_lock_release(&lock->gate);
    return rwlock_refuse(error);
}

/* Goes on with a writer who has the gate: 1, the lock is his; 0, he has to wait. */
static bool write_enter(weft_rwlock *lock, bool *begun)
{
    uint64_t word = rwlock_look(lock);
    while (!*begun) {
        if (word & WAITING)
            return false;
        if (rwlock_move(lock, &word, word | WRITER)) {
            *begun = true;
            word |= WRITER;
        }
    }
    return !(word & READING);
}

int weft_rwlock_acquire_write(weft_rwlock *lock, weft_time deadline)
{
    if (__builtin_expect(wefti_is_shared(lock), 0))
        return wefti_rwlock_shared_acquire_write(lock, deadline);
    int taken = weft_lock_acquire(&lock->gate, deadline);
    if (taken < 0)
        return -1;
    bool begun = false;
    if (deadline <= WEFT_NOW && (rwlock_look(lock) & (READING | WAITING))) {
        errno = EAGAIN;
        return write_give_up(lock, begun);
    }
    for (;;) {
        uint32_t left = wefti_word_look(&lock->left);
        if (write_enter(lock, &begun))
            return taken;
        if (weft_wait(&lock->left, left, deadline) < 0)
            return write_give_up(lock, begun);
    }
}

int weft_rwlock_release_write(weft_rwlock *lock)
{
    if (__builtin_expect(wefti_is_shared(lock), 0))
        return wefti_rwlock_shared_release_write(lock);
    if (!wefti_lock_mine(&lock->gate))
        return rwlock_refuse(EPERM);
    write_end(lock, 0);
    return 0;
}

int weft_rwlock_downgrade(weft_rwlock *lock)
{
    if (__builtin_expect(wefti_is_shared(lock), 0))
        return wefti_rwlock_shared_downgrade(lock);
    if (!wefti_lock_mine(&lock->gate))
        return rwlock_refuse(EPERM);
    write_end(lock, READER);
    return 0;
}

int weft_rwlock_repaired(weft_rwlock *lock)
{
    return weft_lock_repaired(&lock->gate);
}

uint32_t weft_rwlock_readers(const weft_rwlock *lock)
{
    if (__builtin_expect(wefti_is_shared(lock), 0))
        return wefti_rwlock_shared_readers(lock);
    return (uint32_t)(rwlock_look(lock) & READING);
}

bool weft_rwlock_written(const weft_rwlock *lock)
{
    if (__builtin_expect(wefti_is_shared(lock), 0))
        return wefti_rwlock_shared_written(lock);
    uint64_t word = rwlock_look(lock);
    return (word & WRITER) && !(word & READING);
}
