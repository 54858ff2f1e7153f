/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "beside.h"

/* lock.c's; white box: the word's bits and the bound. */
enum { WAITERS = 1, AWAKE = 2, ASLEEP = 4, CLAIMS = 6, HEIR = 6 };
#ifdef WEFTI_SMALL
enum { PASS_LIMIT = 2 };
#else
enum { PASS_LIMIT = 16384 };
#endif

struct shared {
    weft_lock lock;
    weft_time deadline;
    int count;
    uint32_t rounds;
};

static uint32_t word_of(const weft_lock *lock)
{
    return __atomic_load_n(&lock->word, __ATOMIC_ACQUIRE);
}

static uint32_t heir_of(const weft_lock *lock)
{
    return __atomic_load_n(&lock->heir, __ATOMIC_ACQUIRE);
}

static weft_value take(weft_value data)
{
    struct shared *shared = weft_as_ptr(data);
    int taken = weft_lock_acquire(&shared->lock, shared->deadline);
    if (taken < 0)
        return outcome(taken);
    shared->count++;
    return outcome(weft_lock_release(&shared->lock));
}

static weft_value give(weft_value data)
{
    return outcome(weft_lock_release(weft_as_ptr(data)));
}

START_TEST(all_zero_is_ready)
{
    static weft_lock lock;
    ck_assert(!weft_lock_locked(&lock));
    ck_assert_int_eq(weft_lock_acquire(&lock, WEFT_FOREVER), 0);
    ck_assert(weft_lock_locked(&lock));
    ck_assert_int_eq(weft_lock_release(&lock), 0);
    ck_assert(!weft_lock_locked(&lock));
    ck_assert_int_eq(weft_lock_acquire(&lock, WEFT_NOW), 0);
    ck_assert_int_eq(weft_lock_release(&lock), 0);
    ck_assert_int_eq(weft_lock_acquire(&lock, 1), 0); /* a deadline long past: free is free */
    ck_assert_int_eq(weft_lock_release(&lock), 0);
    ck_assert_uint_eq(sizeof(weft_lock), 24);
}
END_TEST

START_TEST(mistakes_are_errors)
{
    struct shared shared = {.deadline = WEFT_NOW};
    ck_fails(weft_lock_release(&shared.lock), EPERM);
    ck_assert_int_eq(weft_lock_acquire(&shared.lock, WEFT_FOREVER), 0);
    ck_fails(weft_lock_acquire(&shared.lock, WEFT_FOREVER), EDEADLK);
    ck_fails(weft_lock_acquire(&shared.lock, WEFT_NOW), EDEADLK);
    ck_assert_int_eq(beside_end(beside(give, &shared.lock)), -EPERM);
    ck_assert_int_eq(beside_end(beside(take, &shared)), -EAGAIN);
    ck_assert_int_eq(weft_lock_release(&shared.lock), 0);
    ck_fails(weft_lock_release(&shared.lock), EPERM);
}
END_TEST

/* Lets a task wait for the lock and have it. */
static void call_one(struct shared *shared)
{
    ck_assert_int_eq(weft_lock_acquire(&shared->lock, WEFT_FOREVER), 0);
    weft_task *task = beside(take, shared);
    fixture_until(word_of(&shared->lock) & WAITERS);
    ck_assert_int_eq(weft_lock_release(&shared->lock), 0);
    ck_assert_int_eq(beside_end(task), 0);
    shared->lock.word = 0; /* WAITERS may have stayed */
    shared->lock.passed = 0;
}

START_TEST(a_waiter_gets_it)
{
    struct shared shared = {.deadline = WEFT_FOREVER};
    ck_assert_int_eq(weft_lock_acquire(&shared.lock, WEFT_FOREVER), 0);
    weft_task *task = beside(take, &shared);
    fixture_until(word_of(&shared.lock) & WAITERS);
    ck_assert_int_eq(shared.count, 0);
    ck_fails(weft_lock_acquire(&shared.lock, WEFT_FOREVER), EDEADLK); /* also with flags in the word */
    ck_assert_int_eq(weft_lock_release(&shared.lock), 0);
    ck_assert_int_eq(beside_end(task), 0);
    ck_assert_int_eq(shared.count, 1);
    ck_assert_uint_eq(word_of(&shared.lock) & ~(uint32_t)WAITERS, 0);
}
END_TEST

START_TEST(a_deadline_ends_the_waiting)
{
    struct shared shared = {.deadline = weft_in(0.02)};
    ck_assert_int_eq(weft_lock_acquire(&shared.lock, WEFT_FOREVER), 0);
    ck_assert_int_eq(beside_end(beside(take, &shared)), -ETIMEDOUT);
    ck_assert_int_ge(weft_clock(), shared.deadline);
    shared.deadline = 1;
    ck_assert_int_eq(beside_end(beside(take, &shared)), -ETIMEDOUT);
    ck_assert_int_eq(weft_lock_release(&shared.lock), 0);
    ck_assert_int_eq(weft_lock_acquire(&shared.lock, WEFT_NOW), 0); /* the waiter left nothing behind that matters */
    ck_assert_int_eq(weft_lock_release(&shared.lock), 0);
    ck_assert_uint_eq(word_of(&shared.lock), 0);
}
END_TEST

START_TEST(cancellation_ends_the_waiting)
{
    struct shared shared = {.deadline = WEFT_FOREVER};
    ck_assert_int_eq(weft_lock_acquire(&shared.lock, WEFT_FOREVER), 0);
    weft_task *task = beside(take, &shared);
    fixture_until(word_of(&shared.lock) & WAITERS);
    weft_task_cancel(task);
    ck_assert_int_eq(beside_end(task), -ECANCELED);
    ck_assert_int_eq(weft_lock_release(&shared.lock), 0);
}
END_TEST

static weft_value take_when_cancelled(weft_value data)
{
    while (!weft_cancelled())
        weft_yield();
    return take(data);
}

START_TEST(a_free_lock_is_taken_by_a_cancelled_task_too)
{
    struct shared shared = {.deadline = WEFT_FOREVER};
    weft_task *task = beside(take_when_cancelled, &shared);
    weft_task_cancel(task);
    ck_assert_int_eq(beside_end(task), 0);
    ck_assert_int_eq(shared.count, 1);
}
END_TEST

/* An heir comes to be only while he loses races: tries until it happens. The lock is held then. */
static weft_task *make_heir(struct shared *shared)
{
    weft_lock *lock = &shared->lock;
    for (;;) {
        ck_assert_int_eq(weft_lock_acquire(lock, WEFT_FOREVER), 0);
        int before = shared->count;
        weft_task *task = beside(take, shared);
        fixture_until(word_of(lock) & WAITERS);
        ck_assert_int_eq(weft_lock_release(lock), 0);
        if (weft_lock_acquire(lock, WEFT_NOW) != 0)
            ck_assert_int_eq(weft_lock_acquire(lock, WEFT_FOREVER), 0);
        bool lost = shared->count == before; /* unless he was not asleep yet, and has just begun to wait anew */
        for (weft_time late = weft_in(0.5); lost && weft_clock() < late; weft_sleep(0.0001))
            if ((word_of(lock) & HEIR) >= ASLEEP)
                return task;
        ck_assert_int_eq(weft_lock_release(lock), 0);
        ck_assert_int_eq(beside_end(task), 0);
    }
}

START_TEST(an_heir_that_is_cancelled_leaves_no_claim)
{
    struct shared shared = {.deadline = WEFT_FOREVER};
    weft_task *heir = make_heir(&shared);
    weft_task *next = beside(take, &shared);
    fixture_until(word_of(&shared.lock) & WAITERS);
    int before = shared.count;
    weft_task_cancel(heir);
    ck_assert_int_eq(beside_end(heir), -ECANCELED);
    ck_assert_uint_eq(heir_of(&shared.lock), 0);
    ck_assert_uint_eq(word_of(&shared.lock) & HEIR, 0);
    ck_assert_int_eq(weft_lock_release(&shared.lock), 0);
    ck_assert_int_eq(beside_end(next), 0); /* the line goes on behind him */
    ck_assert_int_eq(shared.count, before + 1);
}
END_TEST

START_TEST(an_heir_that_sleeps_is_woken)
{
    struct shared shared = {.deadline = WEFT_FOREVER};
    weft_task *heir = make_heir(&shared);
    int before = shared.count;
    ck_assert_int_eq(weft_lock_release(&shared.lock), 0);
    ck_assert_int_eq(beside_end(heir), 0);
    ck_assert_int_eq(shared.count, before + 1);
    ck_assert_uint_eq(word_of(&shared.lock) & ~(uint32_t)WAITERS, 0);
}
END_TEST

START_TEST(an_impatient_heir_claims_the_lock)
{
    struct shared shared = {.deadline = WEFT_FOREVER};
    weft_task *heir = make_heir(&shared);
    int before = shared.count;
    weft_sleep(0.002); /* longer than his patience */
    /* Each time he is woken in vain he looks at the clock, and then nobody else may have it. */
    bool claimed = false;
    while (!claimed && heir_of(&shared.lock) != 0) {
        ck_assert_int_eq(weft_lock_release(&shared.lock), 0);
        if (weft_lock_acquire(&shared.lock, WEFT_NOW) != 0)
            break; /* he has it already */
        fixture_until((word_of(&shared.lock) & HEIR) >= ASLEEP || heir_of(&shared.lock) == 0);
        claimed = (word_of(&shared.lock) & HEIR) == CLAIMS;
        if (heir_of(&shared.lock) == 0)
            ck_assert_int_eq(weft_lock_release(&shared.lock), 0); /* he has had it already */
    }
    if (claimed) {
        ck_assert_int_eq(weft_lock_release(&shared.lock), 0);
        int taken = weft_lock_acquire(&shared.lock, WEFT_NOW);
        ck_assert(taken < 0 || shared.count == before + 1); /* nobody but he before him */
        if (taken == 0)
            weft_lock_release(&shared.lock);
    }
    ck_assert_int_eq(beside_end(heir), 0);
    ck_assert_int_eq(shared.count, before + 1);
}
END_TEST

START_TEST(so_many_pass_and_no_more)
{
    struct shared shared = {.deadline = WEFT_FOREVER};
    call_one(&shared);
    shared.lock.word = AWAKE; /* as if another were called, and a long time coming */
    for (int i = 0; i < PASS_LIMIT; i++) {
        ck_assert_msg(weft_lock_acquire(&shared.lock, WEFT_NOW) == 0, "the lock is kept too early");
        ck_assert_msg(weft_lock_release(&shared.lock) == 0, "release");
    }
    ck_fails(weft_lock_acquire(&shared.lock, WEFT_NOW), EAGAIN);
    ck_fails(weft_lock_acquire(&shared.lock, weft_in(0.005)), ETIMEDOUT);
    ck_assert(!weft_lock_locked(&shared.lock));
}
END_TEST

START_TEST(a_waiter_is_passed_a_bounded_number_of_times)
{
    struct shared shared = {.deadline = WEFT_FOREVER};
    for (int round = 0; round < 20; round++) {
        ck_assert_int_eq(weft_lock_acquire(&shared.lock, WEFT_FOREVER), 0);
        weft_task *task = beside(take, &shared);
        fixture_until(word_of(&shared.lock) & WAITERS);
        int passed = -1, before = shared.count;
        do {
            passed++;
            weft_lock_release(&shared.lock);
            weft_lock_acquire(&shared.lock, WEFT_FOREVER);
        } while (shared.count == before);
        ck_assert_int_le(passed, PASS_LIMIT);
        weft_lock_release(&shared.lock);
        ck_assert_int_eq(beside_end(task), 0);
    }
}
END_TEST

struct place {
    struct shared *shared;
    int at;
};

static weft_value take_in_order(weft_value data)
{
    struct place *place = weft_as_ptr(data);
    int taken = weft_lock_acquire(&place->shared->lock, WEFT_FOREVER);
    place->at = place->shared->count++;
    return outcome(taken < 0 ? taken : weft_lock_release(&place->shared->lock));
}

START_TEST(the_line_is_served_in_order)
{
    struct shared shared = {0};
    struct place places[4];
    weft_task *tasks[4];
    ck_assert_int_eq(weft_lock_acquire(&shared.lock, WEFT_FOREVER), 0);
    for (int i = 0; i < 4; i++) {
        places[i] = (struct place){.shared = &shared};
        tasks[i] = beside(take_in_order, &places[i]);
        weft_sleep(0.02); /* nothing tells that it stands in the line: WAITERS is set by the first already */
    }
    ck_assert_int_eq(weft_lock_release(&shared.lock), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(beside_end(tasks[i]), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(places[i].at, i);
}
END_TEST

struct pair {
    weft_lock first, second;
    weft_event ready;
    int backed_off;
};

static weft_value take_backwards(weft_value data)
{
    struct pair *pair = weft_as_ptr(data);
    weft_lock_acquire(&pair->second, WEFT_FOREVER);
    weft_event_set(&pair->ready);
    int taken = weft_lock_acquire(&pair->first, WEFT_FOREVER);
    weft_lock_release(&pair->second);
    if (taken == 0)
        weft_lock_release(&pair->first);
    return outcome(taken);
}

START_TEST(a_deadline_gets_out_of_a_deadlock)
{
    struct pair pair = {0};
    ck_assert_int_eq(weft_lock_acquire(&pair.first, WEFT_FOREVER), 0);
    weft_task *task = beside(take_backwards, &pair);
    ck_assert_int_eq(weft_event_wait(&pair.ready, WEFT_FOREVER), 0);
    ck_fails(weft_lock_acquire(&pair.second, weft_in(0.02)), ETIMEDOUT);
    ck_assert_int_eq(weft_lock_release(&pair.first), 0);
    ck_assert_int_eq(beside_end(task), 0);
    ck_assert_int_eq(weft_lock_acquire(&pair.second, WEFT_NOW), 0);
    ck_assert_int_eq(weft_lock_release(&pair.second), 0);
}
END_TEST

/* In a child: the lock that the forking task held is to be given back, taken and given back once more. */
static void child_uses(weft_lock *lock)
{
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        bool fine = weft_lock_release(lock) == 0 && weft_lock_acquire(lock, WEFT_NOW) == 0;
        fine = fine && weft_lock_acquire(lock, WEFT_NOW) < 0 && errno == EDEADLK;
        _exit(fine && weft_lock_release(lock) == 0 && (lock->word | lock->heir) == 0 ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

START_TEST(a_lock_held_at_a_fork_is_the_childs)
{
    struct shared shared = {.deadline = WEFT_FOREVER};
    ck_assert_int_eq(weft_lock_acquire(&shared.lock, WEFT_FOREVER), 0);
    child_uses(&shared.lock);
    weft_task *volatile task = beside(take, &shared); /* there is a line now, which the child does not have; it keeps the handle, though */
    fixture_until(word_of(&shared.lock) & WAITERS);
    child_uses(&shared.lock);
    ck_assert_int_eq(weft_lock_release(&shared.lock), 0);
    ck_assert_int_eq(beside_end(task), 0);
    weft_task *volatile heir = make_heir(&shared);
    child_uses(&shared.lock);
    ck_assert_int_eq(weft_lock_release(&shared.lock), 0);
    ck_assert_int_eq(beside_end(heir), 0);
}
END_TEST

START_TEST(a_lock_that_is_kept_for_an_heir_is_free_in_a_child)
{
    struct shared shared = {.deadline = WEFT_FOREVER};
    call_one(&shared);
    weft_lock lock = shared.lock;
    lock.word = CLAIMS;
    lock.heir = 12345;
    ck_fails(weft_lock_acquire(&lock, WEFT_NOW), EAGAIN);
    pid_t child = fork();
    if (child == 0)
        _exit(weft_lock_acquire(&lock, WEFT_NOW) == 0 && lock.heir == 0 && weft_lock_release(&lock) == 0 && lock.word == 0 ? 0 : 1);
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

static void *count_up(void *data)
{
    struct shared *shared = data;
    for (int i = 0; i < 20000; i++) {
        if (weft_lock_acquire(&shared->lock, WEFT_FOREVER) != 0)
            return shared;
        shared->count++;
        if (weft_lock_release(&shared->lock) != 0)
            return shared;
    }
    return NULL;
}

START_TEST(threads_that_weft_did_not_start_may_use_it)
{
    struct shared shared = {0};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count_up, &shared), 0);
    for (int i = 0; i < 4; i++) {
        void *failed = &shared;
        ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
        ck_assert_ptr_null(failed);
    }
    ck_assert_int_eq(shared.count, 80000);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, all_zero_is_ready);
    tcase_add_test(tests, mistakes_are_errors);
    tcase_add_test(tests, a_waiter_gets_it);
    tcase_add_test(tests, a_deadline_ends_the_waiting);
    tcase_add_test(tests, cancellation_ends_the_waiting);
    tcase_add_test(tests, a_free_lock_is_taken_by_a_cancelled_task_too);
    tcase_add_test(tests, an_heir_that_is_cancelled_leaves_no_claim);
    tcase_add_test(tests, an_heir_that_sleeps_is_woken);
    tcase_add_test(tests, an_impatient_heir_claims_the_lock);
    tcase_add_test(tests, so_many_pass_and_no_more);
    tcase_add_test(tests, a_waiter_is_passed_a_bounded_number_of_times);
    tcase_add_test(tests, the_line_is_served_in_order);
    tcase_add_test(tests, a_deadline_gets_out_of_a_deadlock);
    tcase_add_test(tests, a_lock_held_at_a_fork_is_the_childs);
    tcase_add_test(tests, a_lock_that_is_kept_for_an_heir_is_free_in_a_child);
    tcase_add_test(tests, threads_that_weft_did_not_start_may_use_it);
}

int main(void)
{
    return fixture_main("lock", add);
}
