/* SPDX-License-Identifier: MIT */
/*
 * Threads fight for locks, permits, conditions and barriers, with deadlines that pass and cancellations at any moment. What a lock guards
 * is plain memory, so that ThreadSanitizer sees two holders; whoever waits without a deadline must come through, so nothing may be lost.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "wait/context.h"

enum { THREADS = 6, ROUNDS = 20000, LOCKS = 2, PERMITS = 3, CAPACITY = 4 };

struct worker {
    pthread_t thread;
    struct wefti_context *context;
    unsigned seed;
    long done, refused;
    void (*step)(struct worker *worker);
};

static struct worker workers[THREADS];
static uint32_t working;
static struct wefti_latch contexts;

static int chance(struct worker *worker, int of)
{
    return rand_r(&worker->seed) % of;
}

/* Mostly far, sometimes past or soon. */
static weft_time some_deadline(struct worker *worker)
{
    switch (chance(worker, 8)) {
    case 0:
        return WEFT_NOW;
    case 1:
    case 2:
        return weft_in(1e-6 * chance(worker, 60));
    default:
        return WEFT_FOREVER;
    }
}

/* Counts a call that may only have been refused for a reason there was. */
static bool came_through(struct worker *worker, int result, weft_time deadline)
{
    if (result >= 0) {
        worker->done++;
        return true;
    }
    worker->refused++;
    if (errno == ECANCELED)
        wefti_context_uncancel(wefti_context_current());
    else if (!(deadline == WEFT_NOW && errno == EAGAIN) && !(deadline != WEFT_FOREVER && errno == ETIMEDOUT))
        ck_abort_msg("refused with %s", strerror(errno));
    return false;
}

static void *work(void *data)
{
    struct worker *worker = data;
    wefti_latch_close(&contexts);
    worker->context = wefti_context_current();
    wefti_latch_open(&contexts);
    for (int i = 0; i < ROUNDS; i++)
        worker->step(worker);
    wefti_latch_close(&contexts);
    worker->context = NULL;
    wefti_latch_open(&contexts);
    __atomic_sub_fetch(&working, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* Cancels one after another while they work. */
static void cancel_some(void)
{
    for (unsigned i = 0; __atomic_load_n(&working, __ATOMIC_ACQUIRE) > 0; i++) {
        wefti_latch_close(&contexts);
        struct wefti_context *context = workers[i % THREADS].context;
        if (context)
            wefti_context_cancel(context);
        wefti_latch_open(&contexts);
        weft_sleep(2e-5);
    }
}

/* Lets all work; how many steps came through. */
static long team_run(void (*step)(struct worker *worker))
{
    long done = 0;
    working = THREADS;
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.seed = i + 1, .step = step};
        ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    cancel_some();
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        done += workers[i].done;
        ck_assert_int_eq(workers[i].done + workers[i].refused, ROUNDS);
    }
    return done;
}

static weft_lock locks[LOCKS];
static long counters[LOCKS];

static void lock_step(struct worker *worker)
{
    int which = chance(worker, LOCKS);
    weft_time deadline = some_deadline(worker);
    if (!came_through(worker, weft_lock_acquire(&locks[which], deadline), deadline))
        return;
    counters[which]++;
    for (int i = chance(worker, 300); i > 0; i--)
        __asm__ volatile("" ::: "memory");
    if (chance(worker, 50) == 0)
        weft_yield();
    if (weft_lock_release(&locks[which]) != 0)
        ck_abort_msg("release: %s", strerror(errno));
}

START_TEST(locks_under_stress)
{
    long done = team_run(lock_step), counted = 0;
    for (int i = 0; i < LOCKS; i++) {
        counted += counters[i];
        ck_assert_int_eq(weft_lock_acquire(&locks[i], WEFT_NOW), 0); /* nothing was left behind */
        ck_assert_int_eq(weft_lock_release(&locks[i]), 0);
        ck_assert_uint_eq(locks[i].word, 0);
        ck_assert_uint_eq(locks[i].heir, 0);
    }
    ck_assert_int_eq(counted, done);
}
END_TEST

static weft_rwlock rwlock;
static long written[2]; /* alike, but while somebody writes */

/* Readers, writers, and writers that read on, with deadlines and cancellations. */
static void rwlock_step(struct worker *worker)
{
    weft_time deadline = some_deadline(worker);
    bool writes = chance(worker, 4) == 0, reads_on = writes && chance(worker, 2);
    if (!came_through(
            worker, writes ? weft_rwlock_acquire_write(&rwlock, deadline) : weft_rwlock_acquire_read(&rwlock, deadline), deadline))
        return;
    if (writes)
        written[0]++;
    for (int i = chance(worker, 200); i > 0; i--)
        __asm__ volatile("" ::: "memory");
    if (chance(worker, 50) == 0)
        weft_yield();
    if (writes)
        written[1]++;
    if (reads_on && weft_rwlock_downgrade(&rwlock) != 0)
        ck_abort_msg("downgrade: %s", strerror(errno));
    if (written[0] != written[1])
        ck_abort_msg("somebody writes beside a reader");
    if ((writes && !reads_on ? weft_rwlock_release_write(&rwlock) : weft_rwlock_release_read(&rwlock)) != 0)
        ck_abort_msg("release: %s", strerror(errno));
}

START_TEST(rwlocks_under_stress)
{
    team_run(rwlock_step);
    ck_assert_uint_eq(weft_rwlock_readers(&rwlock), 0);
    ck_assert_uint_eq(rwlock.word & ~(UINT64_C(1) << 61), 0);
    ck_assert_int_eq(weft_rwlock_acquire_write(&rwlock, WEFT_NOW), 0);
    ck_assert_int_eq(weft_rwlock_release_write(&rwlock), 0);
}
END_TEST

static weft_rlock rlock;
static long rcounter;

static void rlock_step(struct worker *worker)
{
    weft_time deadline = some_deadline(worker);
    if (!came_through(worker, weft_rlock_acquire(&rlock, deadline), deadline))
        return;
    int deeper = chance(worker, 3);
    for (int i = 0; i < deeper; i++)
        if (weft_rlock_acquire(&rlock, WEFT_NOW) != 0)
            ck_abort_msg("again: %s", strerror(errno));
    rcounter++;
    for (int i = 0; i <= deeper; i++)
        weft_rlock_release(&rlock);
}

START_TEST(rlocks_under_stress)
{
    ck_assert_int_eq(team_run(rlock_step), rcounter);
    ck_assert(!weft_rlock_locked(&rlock));
}
END_TEST

static weft_semaphore permits = WEFT_BOUNDED_SEMAPHORE(PERMITS);
static int inside;

static void semaphore_step(struct worker *worker)
{
    weft_time deadline = some_deadline(worker);
    if (!came_through(worker, weft_semaphore_acquire(&permits, deadline), deadline))
        return;
    if (__atomic_add_fetch(&inside, 1, __ATOMIC_ACQ_REL) > PERMITS)
        ck_abort_msg("more inside than permits");
    for (int i = chance(worker, 300); i > 0; i--)
        __asm__ volatile("" ::: "memory");
    if (chance(worker, 50) == 0)
        weft_yield();
    __atomic_sub_fetch(&inside, 1, __ATOMIC_ACQ_REL);
    if (weft_semaphore_release(&permits, 1) != 0)
        ck_abort_msg("release: %s", strerror(errno));
}

START_TEST(semaphores_under_stress)
{
    team_run(semaphore_step);
    ck_assert_uint_eq(weft_semaphore_value(&permits), PERMITS);
    ck_assert_uint_eq(permits.waiting, 0);
    ck_assert_uint_eq(permits.word, PERMITS);
}
END_TEST

/* A bounded box: who finds it full or empty waits; half of the workers put, half take. */
static struct {
    weft_lock lock;
    weft_condition changed;
    int count;
    long put, taken;
    int closed;
} box;

static bool box_has_room(void *data)
{
    (void)data;
    return box.count < CAPACITY || box.closed;
}

static bool box_has_some(void *data)
{
    (void)data;
    return box.count > 0 || box.closed;
}

static void box_step(struct worker *worker)
{
    bool puts = (worker - workers) % 2;
    weft_time deadline = some_deadline(worker);
    weft_with (&box.lock) {
        int waited = weft_condition_wait_for(&box.changed, &box.lock, puts ? box_has_room : box_has_some, NULL, deadline);
        if (came_through(worker, waited, deadline) && !box.closed) {
            box.count += puts ? 1 : -1;
            *(puts ? &box.put : &box.taken) += 1;
            if (box.count < 0 || box.count > CAPACITY)
                ck_abort_msg("the box holds %d", box.count);
            weft_condition_notify_all(&box.changed);
        }
        if (worker->done + worker->refused == ROUNDS) { /* the first that is done lets the others go */
            box.closed = 1;
            weft_condition_notify_all(&box.changed);
        }
    }
}

START_TEST(conditions_under_stress)
{
    team_run(box_step);
    ck_assert_int_eq(box.put - box.taken, box.count);
    ck_assert_int_eq(box.changed.waiting, 0);
    ck_assert(!weft_lock_locked(&box.lock));
}
END_TEST

/* Half as many parties as workers; who leaves breaks it, and who finds it broken mends it. */
static weft_barrier barrier = WEFT_BARRIER(THREADS / 2);
static long places[THREADS / 2];

static void barrier_step(struct worker *worker)
{
    weft_time deadline = worker->done + worker->refused < ROUNDS / 2 ? some_deadline(worker) : weft_in(0.0005);
    int place = weft_barrier_wait(&barrier, deadline);
    if (place < 0 && errno == EPIPE) {
        weft_barrier_reset(&barrier);
        worker->refused++;
    } else if (came_through(worker, place, deadline)) {
        __atomic_add_fetch(&places[place], 1, __ATOMIC_RELAXED);
    }
    if (worker->done + worker->refused == ROUNDS)
        weft_barrier_reset(&barrier);
}

START_TEST(barriers_under_stress)
{
    long done = team_run(barrier_step);
    for (int i = 1; i < THREADS / 2; i++)
        ck_assert_int_eq(places[i], places[0]); /* a round is whole or broken for all of it */
    ck_assert_int_eq(places[0] * (THREADS / 2), done);
    ck_assert_uint_eq(weft_barrier_waiting(&barrier), 0);
    ck_assert_uint_eq(barrier.leaving[0] + barrier.leaving[1], 0);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, locks_under_stress);
    tcase_add_test(tests, rwlocks_under_stress);
    tcase_add_test(tests, rlocks_under_stress);
    tcase_add_test(tests, semaphores_under_stress);
    tcase_add_test(tests, conditions_under_stress);
    tcase_add_test(tests, barriers_under_stress);
}

int main(void)
{
    return fixture_main("sync under stress", add);
}
