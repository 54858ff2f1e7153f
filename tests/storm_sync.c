/* SPDX-License-Identifier: MIT */
/*
 * A storm over locks, semaphores, conditions, barriers and bare words in the arena. Nothing that is protected is half changed without its
 * being told, no permit is lost or doubled, nobody meets the dead. What deaths are aimed at is the calls; those in which they sleep, too.
 */
#include "shared/block.h"
#include "storm.h"

enum { WORKERS = 4, PERMITS = 2, HALF_WAY = 2000 /* turns: microseconds */ };

/* What a lock protects: the two are the same, unless somebody died in between. */
struct pair {
    volatile uint64_t a, b;
};

/* Where two workers meet, of whom one may be dead: which of them came last, and which has been buried, as storm_birth numbers them. */
struct meeting {
    weft_barrier barrier;
    uint32_t came[2], gone[2];
    uint32_t word; /* odd: somebody sleeps until it is changed */
};

struct shared {
    weft_lock lock;
    weft_rlock rlock;
    weft_rwlock rwlock;
    weft_semaphore permits;
    weft_condition condition;
    struct meeting meetings[WORKERS / 2];
    uint32_t over;
    struct pair locked, relocked, written;
    uint32_t stock;
    uint64_t met;
};
static struct shared *shared;

/* What a call returned that the storm aims at, with what it says or 0. */
#define AIMED(call) (storm_enter(), aimed(call))

static int aimed(int returned)
{
    storm_leave();
    return returned;
}

/* Now and then so long that a death comes in the midst of it. */
static void dawdle(void)
{
    for (volatile uint64_t i = storm_random() % 8 ? 0 : HALF_WAY; i > 0; i--)
        ;
}

/* With the lock held. */
static void pair_work(struct pair *pair, int taken)
{
    if (taken > 0)
        pair->b = pair->a;
    storm_must(taken >= 0 && pair->a == pair->b);
    storm_enter();
    pair->a++;
    dawdle();
    pair->b++;
    storm_leave();
}

static void work_lock(void)
{
    int taken = AIMED(weft_lock_acquire(&shared->lock, WEFT_FOREVER));
    pair_work(&shared->locked, taken);
    if (taken > 0)
        storm_must(AIMED(weft_lock_repaired(&shared->lock)) == 0);
    storm_must(AIMED(weft_lock_release(&shared->lock)) == 0);
}

static void work_rlock(void)
{
    int taken = AIMED(weft_rlock_acquire(&shared->rlock, WEFT_FOREVER));
    storm_must(AIMED(weft_rlock_acquire(&shared->rlock, WEFT_FOREVER)) == 0);
    pair_work(&shared->relocked, taken);
    if (taken > 0)
        storm_must(AIMED(weft_rlock_repaired(&shared->rlock)) == 0);
    storm_must(AIMED(weft_rlock_release(&shared->rlock)) == 0);
    storm_must(AIMED(weft_rlock_release(&shared->rlock)) == 0);
}

static void work_semaphore(void)
{
    storm_must(AIMED(weft_semaphore_acquire(&shared->permits, WEFT_FOREVER)) == 0);
    storm_must(weft_semaphore_value(&shared->permits) < PERMITS);
    storm_enter();
    dawdle();
    storm_leave();
    storm_must(AIMED(weft_semaphore_release(&shared->permits, 1)) == 0);
}

static void work_reader(void)
{
    int taken = AIMED(weft_rwlock_acquire_read(&shared->rwlock, WEFT_FOREVER));
    storm_must(taken > 0 || (taken == 0 && shared->written.a == shared->written.b));
    storm_must(AIMED(weft_rwlock_release_read(&shared->rwlock)) == 0);
}

static void work_writer(void)
{
    int taken = AIMED(weft_rwlock_acquire_write(&shared->rwlock, WEFT_FOREVER));
    pair_work(&shared->written, taken);
    if (taken > 0)
        storm_must(AIMED(weft_rwlock_repaired(&shared->rwlock)) == 0);
    storm_must(AIMED(weft_rwlock_release_write(&shared->rwlock)) == 0);
}

static bool stocked(void *stock)
{
    return *(uint32_t *)stock > 0;
}

static void work_condition(void)
{
    int taken = AIMED(weft_lock_acquire(&shared->lock, WEFT_FOREVER));
    pair_work(&shared->locked, taken);
    if (taken > 0)
        AIMED(weft_lock_repaired(&shared->lock));
    if (storm_random() % 2) {
        shared->stock++;
        weft_condition_notify(&shared->condition, 1);
    } else {
        int waited = AIMED(weft_condition_wait_for(&shared->condition, &shared->lock, stocked, &shared->stock, weft_in(0.0005)));
        pair_work(&shared->locked, waited > 0 ? 1 : 0);
        if (waited > 0)
            AIMED(weft_lock_repaired(&shared->lock));
        shared->stock -= shared->stock > 0;
    }
    storm_must(AIMED(weft_lock_release(&shared->lock)) == 0);
}

/* A dead party is no party: nobody who comes after its burial meets it. */
static void work_barrier(unsigned number)
{
    struct meeting *meeting = &shared->meetings[number / 2];
    unsigned me = number % 2;
    uint32_t gone = __atomic_load_n(&meeting->gone[1 - me], __ATOMIC_SEQ_CST);
    __atomic_store_n(&meeting->came[me], storm_birth(number), __ATOMIC_SEQ_CST);
    int place = AIMED(weft_barrier_wait(&meeting->barrier, weft_in(0.0005)));
    storm_must(place >= -1 && place < 2);
    storm_must(place < 0 || !gone || __atomic_load_n(&meeting->came[1 - me], __ATOMIC_SEQ_CST) != gone);
    if (place == 0)
        __atomic_add_fetch(&shared->met, 1, __ATOMIC_RELAXED);
    else if (place < 0)
        weft_barrier_reset(&meeting->barrier);
}

/* The same by a word of their own: only the sweep knows who sleeps there, and that the dead owed them a wake. */
static void work_word(unsigned number)
{
    uint32_t *word = &shared->meetings[number / 2].word;
    uint32_t came = __atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
    while (came % 2 && __atomic_load_n(word, __ATOMIC_SEQ_CST) == came && !__atomic_load_n(&shared->over, __ATOMIC_SEQ_CST))
        weft_wait(word, came, WEFT_FOREVER);
    if (came % 2)
        return;
    storm_enter();
    for (volatile uint64_t i = 10 * HALF_WAY; i > 0; i--)
        ;
    weft_wake(word, 1);
    storm_leave();
}

/* Nobody comes to sleep there any more without seeing that it is over. */
static void finish(void)
{
    __atomic_store_n(&shared->over, 1, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < WORKERS / 2; i++) {
        __atomic_add_fetch(&shared->meetings[i].word, 1, __ATOMIC_SEQ_CST);
        weft_wake(&shared->meetings[i].word, UINT32_MAX);
    }
}

static void buried(unsigned number)
{
    __atomic_store_n(&shared->meetings[number / 2].gone[number % 2], storm_birth(number), __ATOMIC_SEQ_CST);
}

/* What waits for a time comes more seldom, so that deaths find the others at work. */
static void work(unsigned number)
{
    static void (*const quick[])(void) = {work_lock, work_rlock, work_semaphore, work_reader, work_writer};
    while (!storm_over()) {
        uint64_t choice = storm_random() >> 16;
        if (choice % 64 == 0)
            work_condition();
        else if (choice % 64 == 1)
            work_barrier(number);
        else if (choice % 64 < 6)
            work_word(number);
        else
            quick[choice / 64 % (sizeof(quick) / sizeof(*quick))]();
        storm_went_on();
    }
}

static void prepare(void)
{
    storm_must((shared = weft_shared_new(struct shared)) != NULL);
    shared->permits = (weft_semaphore)WEFT_SEMAPHORE(PERMITS);
    for (unsigned i = 0; i < WORKERS / 2; i++)
        shared->meetings[i].barrier = (weft_barrier)WEFT_BARRIER(2);
}

static void check(void)
{
    struct wefti_blocks_census census;
    wefti_blocks_count(&census);
    storm_must(census.wrong == 0);
    storm_must(weft_semaphore_value(&shared->permits) == PERMITS);
    storm_must(weft_rwlock_readers(&shared->rwlock) == 0);
    storm_must(!weft_lock_locked(&shared->lock) && !weft_rlock_locked(&shared->rlock) && !weft_rwlock_written(&shared->rwlock));
    work_lock();
    work_rlock();
    work_writer();
    storm_must(shared->met > 0);
}

START_TEST(a_storm_of_kills)
{
    STORM_OR_SKIP;
    storm_run(&(struct storm_plan){.name = "sync",
        .workers = WORKERS,
        .prepare = prepare,
        .work = work,
        .check = check,
        .buried = buried,
        .finish = finish,
        .inside_least = 30});
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
