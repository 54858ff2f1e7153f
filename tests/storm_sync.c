/* SPDX-License-Identifier: MIT */
/*
 * A storm over what lies in the arena: several processes work with locks, semaphores, conditions and barriers, and one after another is killed at some moment. Nobody hangs,
 * nothing that is protected is half changed without its being told, and no permit is lost or doubled.
 *
 * WEFT_STORM_SECONDS makes it longer (with CK_TIMEOUT_MULTIPLIER, as a test has a minute), WEFT_STORM_SEED repeats the same choices; the moments are the machine's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/block.h"
#include "shared/life.h"
#include "step.h"

enum { WORKERS = 4, PERMITS = 2, SECOND = 1000000000 };

/* What a lock protects: the two are the same, unless somebody died in between. */
struct pair {
    volatile uint64_t a, b;
};

struct shared {
    weft_lock lock;
    weft_rlock rlock;
    weft_rwlock rwlock;
    weft_semaphore permits;
    weft_condition condition;
    weft_barrier barrier;
    struct pair locked, relocked, written;
    uint32_t stock, stop, wrong;
    uint64_t progress[WORKERS];
    uint64_t met;
};
static struct shared *shared;
static unsigned seed, worker;

static void wrong(uint32_t line)
{
    __atomic_store_n(&shared->wrong, line, __ATOMIC_RELAXED);
}
#define RIGHT(condition)     \
    do {                     \
        if (!(condition))    \
            wrong(__LINE__); \
    } while (0)

/* With the lock held. */
static void pair_work(struct pair *pair, int taken)
{
    if (taken > 0)
        pair->b = pair->a;
    RIGHT(taken >= 0 && pair->a == pair->b);
    pair->a++;
    pair->b++;
}

static void work_lock(void)
{
    int taken = weft_lock_acquire(&shared->lock, WEFT_FOREVER);
    pair_work(&shared->locked, taken);
    if (taken > 0)
        RIGHT(weft_lock_repaired(&shared->lock) == 0);
    RIGHT(weft_lock_release(&shared->lock) == 0);
}

static void work_rlock(void)
{
    int taken = weft_rlock_acquire(&shared->rlock, WEFT_FOREVER);
    RIGHT(weft_rlock_acquire(&shared->rlock, WEFT_FOREVER) == 0);
    pair_work(&shared->relocked, taken);
    if (taken > 0)
        RIGHT(weft_rlock_repaired(&shared->rlock) == 0);
    RIGHT(weft_rlock_release(&shared->rlock) == 0);
    RIGHT(weft_rlock_release(&shared->rlock) == 0);
}

static void work_semaphore(void)
{
    RIGHT(weft_semaphore_acquire(&shared->permits, WEFT_FOREVER) == 0);
    RIGHT(weft_semaphore_value(&shared->permits) < PERMITS);
    RIGHT(weft_semaphore_release(&shared->permits, 1) == 0);
}

static void work_reader(void)
{
    int taken = weft_rwlock_acquire_read(&shared->rwlock, WEFT_FOREVER);
    RIGHT(taken > 0 || (taken == 0 && shared->written.a == shared->written.b));
    RIGHT(weft_rwlock_release_read(&shared->rwlock) == 0);
}

static void work_writer(void)
{
    int taken = weft_rwlock_acquire_write(&shared->rwlock, WEFT_FOREVER);
    pair_work(&shared->written, taken);
    if (taken > 0)
        RIGHT(weft_rwlock_repaired(&shared->rwlock) == 0);
    RIGHT(weft_rwlock_release_write(&shared->rwlock) == 0);
}

static bool stocked(void *stock)
{
    return *(uint32_t *)stock > 0;
}

static void work_condition(void)
{
    int taken = weft_lock_acquire(&shared->lock, WEFT_FOREVER);
    pair_work(&shared->locked, taken);
    if (taken > 0)
        weft_lock_repaired(&shared->lock);
    if (rand_r(&seed) % 2) {
        shared->stock++;
        weft_condition_notify(&shared->condition, 1);
    } else {
        int waited = weft_condition_wait_for(&shared->condition, &shared->lock, stocked, &shared->stock, weft_in(0.002));
        pair_work(&shared->locked, waited > 0 ? 1 : 0);
        if (waited > 0)
            weft_lock_repaired(&shared->lock);
        shared->stock -= shared->stock > 0;
    }
    RIGHT(weft_lock_release(&shared->lock) == 0);
}

static void work_barrier(void)
{
    int place = weft_barrier_wait(&shared->barrier, weft_in(0.002));
    RIGHT(place >= -1 && place < 2);
    if (place == 0)
        __atomic_add_fetch(&shared->met, 1, __ATOMIC_RELAXED);
    else if (place < 0)
        weft_barrier_reset(&shared->barrier);
}

static int works(void)
{
    static void (*const kinds[])(void) = {work_lock, work_rlock, work_semaphore, work_reader, work_writer, work_condition, work_barrier};
    while (!__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE)) {
        kinds[(unsigned)rand_r(&seed) % (sizeof(kinds) / sizeof(*kinds))]();
        __atomic_add_fetch(&shared->progress[worker], 1, __ATOMIC_RELAXED);
    }
    return 0;
}

static struct member worker_start(unsigned number)
{
    seed = seed * 31 + number + 1;
    worker = number;
    return member_start(works);
}

/* Whether it has died with something in hand. */
static bool held(const struct member *dead)
{
    for (const struct wefti_life *life = wefti_family_get()->seats[dead->seat].lives; life; life = life->next)
        for (unsigned i = 0; i < WEFTI_LIFE_HOLDINGS; i++)
            if (life->holdings[i].object)
                return true;
    return false;
}

/* How long until all have come on; nanoseconds. Fails the test after 20 seconds. */
static weft_time all_go_on(void)
{
    uint64_t then[WORKERS];
    weft_time began = weft_clock();
    for (int i = 0; i < WORKERS; i++)
        then[i] = __atomic_load_n(&shared->progress[i], __ATOMIC_RELAXED);
    for (int i = 0; i < WORKERS; i++)
        while (__atomic_load_n(&shared->progress[i], __ATOMIC_RELAXED) == then[i]) {
            ck_assert_msg(weft_clock() - began < 20 * (weft_time)SECOND, "worker %d hangs", i);
            usleep(20);
        }
    return weft_clock() - began;
}

static double environment(const char *name, double otherwise)
{
    const char *text = getenv(name);
    return text ? atof(text) : otherwise;
}

static void all_is_whole(void)
{
    struct wefti_blocks_census census;
    wefti_blocks_count(&census);
    ck_assert_uint_eq(census.wrong, 0);
    ck_assert_uint_eq(shared->wrong, 0);
    ck_assert_uint_eq(weft_semaphore_value(&shared->permits), PERMITS);
    ck_assert_uint_eq(weft_rwlock_readers(&shared->rwlock), 0);
    ck_assert(!weft_lock_locked(&shared->lock) && !weft_rlock_locked(&shared->rlock) && !weft_rwlock_written(&shared->rwlock));
    work_lock();
    work_rlock();
    work_writer();
    ck_assert_uint_eq(shared->wrong, 0);
}

START_TEST(a_storm_of_kills)
{
    ck_assert_int_eq(weft_shared_limit(1 << 22), 0);
    ck_assert_ptr_nonnull(shared = weft_shared_new(struct shared));
    shared->permits = (weft_semaphore)WEFT_SEMAPHORE(PERMITS);
    shared->barrier = (weft_barrier)WEFT_BARRIER(2);
    const unsigned first = (unsigned)environment("WEFT_STORM_SEED", (double)(getpid() ^ (int)(weft_clock() & 0xffff)));
    unsigned chosen = seed = first;
    weft_time end = weft_in(environment("WEFT_STORM_SECONDS", 2.5)), longest = 0;
    struct member members[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++)
        members[i] = worker_start(i);
    unsigned kills = 0, busy = 0, slow = 0;
    for (; weft_clock() < end; kills++) {
        usleep((unsigned)rand_r(&chosen) % 4000);
        unsigned victim = (unsigned)rand_r(&chosen) % WORKERS;
        member_kill(&members[victim]);
        busy += held(&members[victim]);
        member_bury(&members[victim]);
        members[victim] = worker_start(victim);
        weft_time took = all_go_on();
        longest = took > longest ? took : longest;
        slow += took > (weft_time)SECOND;
    }
    __atomic_store_n(&shared->stop, 1, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < WORKERS; i++)
        member_ends(&members[i]);
    printf("seed %u: %u kills, %u of who held something, met %lu times, at most %ld us until all went on\n", first, kills, busy,
        (unsigned long)shared->met, (long)(longest / 1000));
    all_is_whole();
    ck_assert_uint_gt(kills, 20);
    ck_assert_uint_gt(busy, kills / 10);
    ck_assert(longest < 10 * (weft_time)SECOND);
    ck_assert_uint_le(slow, 1 + kills / 100); /* a second is the promise; on a busy machine it may be that nobody is let run */
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_storm_of_kills);
}

int main(void)
{
    return fixture_main("storm_sync", add);
}
