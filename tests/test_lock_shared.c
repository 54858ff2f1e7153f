/* SPDX-License-Identifier: MIT */
/* Locks that lie in the arena: across processes, and after the death of whoever had to do with them. */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/leave.h"
#include "beside.h"
#include "step.h"
#include "wait/context.h"

enum { ROUNDS = 3000, MEMBERS = 3 };

struct shared {
    weft_lock lock;
    weft_rlock rlock;
    uint64_t count;
    uint32_t begun, leave;
    volatile uint32_t phase; /* the dying member's: what it has come to */
};
static struct shared *shared;

static void set_up(void)
{
    ck_assert_int_eq(weft_shared_limit(1 << 22), 0);
    ck_assert_ptr_nonnull(shared = weft_shared_new(struct shared));
}

static void clear(void)
{
    *shared = (struct shared){0};
}

static int counts(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (weft_lock_acquire(&shared->lock, WEFT_FOREVER) != 0)
            return 1;
        shared->count++;
        if (weft_lock_release(&shared->lock) != 0)
            return 2;
    }
    return 0;
}

START_TEST(processes_take_turns)
{
    struct member members[MEMBERS];
    for (int i = 0; i < MEMBERS; i++)
        members[i] = member_start(counts);
    for (int i = 0; i < MEMBERS; i++)
        member_ends(&members[i]);
    ck_assert_uint_eq(shared->count, MEMBERS * ROUNDS);
    ck_assert(!weft_lock_locked(&shared->lock));
}
END_TEST

/* Says that it has come so far, and waits to be killed. */
_Noreturn static int stays(void)
{
    __atomic_store_n(&shared->begun, 1, __ATOMIC_RELEASE);
    for (;;)
        pause();
}

static bool begun(void)
{
    return __atomic_load_n(&shared->begun, __ATOMIC_ACQUIRE) != 0;
}

static int takes_and_stays(void)
{
    return weft_lock_acquire(&shared->lock, WEFT_FOREVER) == 0 ? stays() : 1;
}

/* A member that has the lock. */
static struct member owner_start(void)
{
    shared->begun = 0;
    struct member owner = member_start(takes_and_stays);
    fixture_until(begun());
    return owner;
}

START_TEST(a_dead_owner_is_told_until_somebody_repairs)
{
    struct member owner = owner_start();
    ck_fails(weft_lock_acquire(&shared->lock, WEFT_NOW), EAGAIN);
    ck_fails(weft_lock_acquire(&shared->lock, weft_in(0.01)), ETIMEDOUT);
    ck_assert(weft_lock_locked(&shared->lock));
    member_dies(&owner);
    ck_assert(!weft_lock_locked(&shared->lock));
    ck_fails(weft_lock_repaired(&shared->lock), EPERM);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(weft_lock_acquire(&shared->lock, WEFT_NOW), 1);
        ck_assert_int_eq(weft_lock_release(&shared->lock), 0);
    }
    bool died = false, entered = false;
    weft_with_seen (&shared->lock, died)
        entered = true;
    ck_assert(died && entered);
    weft_with (&shared->lock)
        ck_assert_int_eq(weft_lock_repaired(&shared->lock), 0);
    weft_with_seen (&shared->lock, died)
        ck_assert(!died);
    ck_assert_int_eq(weft_lock_acquire(&shared->lock, WEFT_NOW), 0);
    ck_assert_int_eq(weft_lock_repaired(&shared->lock), 0);
    ck_assert_int_eq(weft_lock_release(&shared->lock), 0);
}
END_TEST

static int repairs(void *data)
{
    errno = EBADMSG;
    return *(int *)data;
}

START_TEST(a_block_repairs_or_is_passed_over)
{
    struct member owner = owner_start();
    member_dies(&owner);
    int fails = 1, works = 0, entered = 0;
    weft_with_repair(&shared->lock, repairs, &fails) entered++;
    ck_assert_int_eq(errno, EBADMSG);
    ck_assert(entered == 0 && !weft_lock_locked(&shared->lock));
    weft_with_repair(&shared->lock, repairs, &works) entered++;
    ck_assert_int_eq(entered, 1);
    weft_with_repair(&shared->lock, repairs, &fails) /* nothing to do */
        entered++;
    weft_with_repair(&shared->rlock, repairs, &fails) entered++;
    ck_assert_int_eq(entered, 3);
    ck_assert_int_eq(weft_lock_acquire(&shared->lock, WEFT_NOW), 0);
    ck_assert_int_eq(weft_lock_release(&shared->lock), 0);
}
END_TEST

static weft_value takes(weft_value unused)
{
    (void)unused;
    return outcome(weft_lock_acquire(&shared->lock, WEFT_FOREVER));
}

static int waits_and_tells(void)
{
    int taken = weft_lock_acquire(&shared->lock, WEFT_FOREVER);
    shared->phase = (uint32_t)taken + 1;
    return weft_lock_release(&shared->lock);
}

START_TEST(who_waits_for_a_dead_owner_is_let_in)
{
    struct member owner = owner_start(), waiter = member_start(waits_and_tells);
    weft_task *task = beside(takes, NULL);
    fixture_until(member_sleeps(&waiter) && beside_sleeps(task));
    member_dies(&owner);
    ck_assert_int_eq(beside_end(task), 1); /* and ends with the lock */
    member_ends(&waiter);
    ck_assert_uint_eq(shared->phase, 2);
    ck_assert_int_eq(weft_lock_acquire(&shared->lock, WEFT_NOW), 1);
}
END_TEST

START_TEST(a_thread_that_ends_with_the_lock_leaves_it)
{
    weft_task *task = beside(takes, NULL);
    ck_assert_int_eq(beside_end(task), 0);
    ck_assert_int_eq(weft_lock_acquire(&shared->lock, weft_in(20)), 1);
    ck_assert_int_eq(weft_lock_release(&shared->lock), 0);
}
END_TEST

START_TEST(a_dead_waiter_is_in_nobodys_way)
{
    ck_assert_int_eq(weft_lock_acquire(&shared->lock, WEFT_NOW), 0);
    struct member first = member_start(waits_and_tells);
    fixture_until(member_sleeps(&first));
    struct member second = member_start(waits_and_tells);
    fixture_until(member_sleeps(&second));
    member_kill(&first);
    ck_assert_int_eq(weft_lock_release(&shared->lock), 0);
    member_bury(&first);
    member_ends(&second);
    ck_assert_uint_eq(shared->phase, 1);
    ck_assert_int_eq(weft_lock_acquire(&shared->lock, WEFT_NOW), 0);
}
END_TEST

static weft_value takes_in_a_moment(weft_value unused)
{
    (void)unused;
    return outcome(weft_lock_acquire(&shared->lock, weft_in(20)));
}

START_TEST(errors_are_told)
{
    ck_fails(weft_lock_release(&shared->lock), EPERM);
    ck_assert_int_eq(weft_lock_acquire(&shared->lock, WEFT_NOW), 0);
    ck_fails(weft_lock_acquire(&shared->lock, WEFT_FOREVER), EDEADLK);
    weft_task *task = beside(takes_in_a_moment, NULL);
    fixture_until(beside_sleeps(task));
    weft_task_cancel(task);
    ck_assert_int_eq(beside_end(task), -ECANCELED);
    pid_t child = fork();
    if (child == 0) {
        errno = 0;
        bool refused = weft_lock_acquire(&shared->lock, WEFT_NOW) == -1 && errno == ESTALE;
        refused = refused && weft_lock_release(&shared->lock) == -1 && errno == EPERM;
        refused = refused && weft_rlock_acquire(&shared->rlock, WEFT_NOW) == -1 && errno == ESTALE;
        fixture_leave(refused && weft_lock_locked(&shared->lock) ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(weft_lock_release(&shared->lock), 0);
    ck_fails(weft_lock_release(&shared->lock), EPERM);
}
END_TEST

/* More than a life has room for by itself. */
START_TEST(many_locks_at_once)
{
    enum { MANY = 100 };
    weft_lock *locks = weft_shared_alloc(MANY * sizeof(*locks));
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(weft_lock_acquire(&locks[i], WEFT_NOW), 0);
    for (int i = 0; i < MANY; i++)
        ck_fails(weft_lock_acquire(&locks[i], WEFT_NOW), EDEADLK);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(weft_lock_release(&locks[i]), 0);
}
END_TEST

/* Of locks that may be taken again. */

static int takes_thrice_and_stays(void)
{
    for (int i = 0; i < 3; i++)
        if (weft_rlock_acquire(&shared->rlock, WEFT_FOREVER) != 0)
            return 1;
    return stays();
}

START_TEST(a_dead_owners_depth_is_forgotten)
{
    struct member owner = member_start(takes_thrice_and_stays);
    fixture_until(begun());
    ck_fails(weft_rlock_acquire(&shared->rlock, WEFT_NOW), EAGAIN);
    ck_fails(weft_rlock_release(&shared->rlock), EPERM);
    member_dies(&owner);
    ck_assert_int_eq(weft_rlock_acquire(&shared->rlock, WEFT_NOW), 1);
    ck_assert_int_eq(weft_rlock_acquire(&shared->rlock, WEFT_NOW), 0);
    ck_assert_int_eq(weft_rlock_repaired(&shared->rlock), 0);
    ck_assert_int_eq(weft_rlock_release(&shared->rlock), 0);
    ck_assert_int_eq(weft_rlock_release(&shared->rlock), 0);
    ck_fails(weft_rlock_release(&shared->rlock), EPERM);
    ck_fails(weft_rlock_repaired(&shared->rlock), EPERM);
    ck_assert(!weft_rlock_locked(&shared->rlock));
    bool died = true;
    weft_with_seen (&shared->rlock, died)
        ck_assert(!died);
}
END_TEST

/* Every instruction as the last one. */

enum { BEFORE, OWNS, AFTER };

static void takes_and_gives(void)
{
    step_must(weft_lock_acquire(&shared->lock, WEFT_NOW) == 0 && weft_lock_release(&shared->lock) == 0); /* all is bound now */
    step_begin();
    weft_lock_acquire(&shared->lock, WEFT_FOREVER);
    shared->phase = OWNS;
    shared->count++;
    shared->phase = AFTER;
    weft_lock_release(&shared->lock);
    step_end();
}

static void free_again(void)
{
    int taken = weft_lock_acquire(&shared->lock, WEFT_NOW);
    ck_assert_int_ge(taken, 0);
    ck_assert(taken == 1 || shared->phase != OWNS);
    ck_assert_int_eq(weft_lock_repaired(&shared->lock), 0);
    ck_assert_int_eq(weft_lock_release(&shared->lock), 0);
    ck_assert_int_eq(weft_lock_acquire(&shared->lock, WEFT_NOW), 0);
    ck_assert_int_eq(weft_lock_release(&shared->lock), 0);
}

START_TEST(an_owner_may_die_at_any_instruction)
{
    STEP_OR_SKIP;
    struct step_plan plan = {.prepare = clear, .body = takes_and_gives, .check = free_again, .mender_points = 120, .mender_stride = 20};
    ck_assert_uint_gt(step_through(&plan), 150);
}
END_TEST

static struct member companion;

static void gives_to_a_waiter(void)
{
    step_must(weft_lock_acquire(&shared->lock, WEFT_NOW) == 0);
    __atomic_store_n(&shared->begun, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&shared->leave, __ATOMIC_ACQUIRE))
        usleep(100);
    step_begin();
    weft_lock_release(&shared->lock);
    step_end();
}

/* Waits for the lock once the other has it. */
static int comes_second(void)
{
    while (!begun())
        usleep(100);
    return waits_and_tells();
}

/* Tells the giver when the waiter sleeps. */
static int starts_the_giver(void)
{
    while (!member_sleeps(&companion))
        usleep(100);
    __atomic_store_n(&shared->leave, 1, __ATOMIC_RELEASE);
    return 0;
}

static struct member herald;

static void with_a_waiter(void)
{
    clear();
    companion = member_start(comes_second);
    herald = member_start(starts_the_giver);
}

static void the_waiter_got_it(void)
{
    member_ends(&herald);
    member_ends(&companion);
    ck_assert_uint_gt(shared->phase, 0);
    shared->phase = BEFORE;
    free_again();
}

START_TEST(a_releaser_may_die_before_he_wakes)
{
    STEP_OR_SKIP;
    struct step_plan plan = {.prepare = with_a_waiter, .body = gives_to_a_waiter, .check = the_waiter_got_it};
    ck_assert_uint_gt(step_anew(&plan), 40);
}
END_TEST

/* Has the lock, and gives it back when the other (seat + 1) sleeps, or will never do so. */
static int gives_when_awaited(void)
{
    if (weft_lock_acquire(&shared->lock, WEFT_NOW) != 0)
        return 1;
    __atomic_store_n(&shared->begun, 1, __ATOMIC_RELEASE);
    struct member waiter = {.seat = companion.seat};
    while (!__atomic_load_n(&shared->leave, __ATOMIC_ACQUIRE) && !member_sleeps(&waiter))
        usleep(50);
    return weft_lock_release(&shared->lock);
}

static void with_an_owner(void)
{
    clear();
    companion.seat = WEFTI_SEAT_FIRST + 1; /* that of the one who will be stepped */
    herald = member_start(gives_when_awaited);
    ck_assert_uint_eq(herald.seat, WEFTI_SEAT_FIRST);
    fixture_until(begun());
}

static void waits_to_be_let_in(void)
{
    weft_lock_acquire(&shared->lock, WEFT_NOW);           /* refused; all is bound now */
    wefti_context_current()->lock_spin.rest = UINT32_MAX; /* which would be thousands of instructions */
    wefti_context_current()->spin.rest = UINT32_MAX;
    step_begin();
    weft_lock_acquire(&shared->lock, WEFT_FOREVER);
    shared->phase = OWNS;
    step_end();
}

static void nobody_has_it(void)
{
    __atomic_store_n(&shared->leave, 1, __ATOMIC_RELEASE);
    member_ends(&herald);
    free_again();
}

START_TEST(a_waiter_may_die_at_any_instruction)
{
    STEP_OR_SKIP;
    struct step_plan plan = {.prepare = with_an_owner, .body = waits_to_be_let_in, .check = nobody_has_it, .stride = 5};
    ck_assert_uint_gt(step_anew(&plan), 50);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, processes_take_turns);
    tcase_add_test(tests, a_dead_owner_is_told_until_somebody_repairs);
    tcase_add_test(tests, a_block_repairs_or_is_passed_over);
    tcase_add_test(tests, who_waits_for_a_dead_owner_is_let_in);
    tcase_add_test(tests, a_thread_that_ends_with_the_lock_leaves_it);
    tcase_add_test(tests, a_dead_waiter_is_in_nobodys_way);
    tcase_add_test(tests, errors_are_told);
    tcase_add_test(tests, many_locks_at_once);
    tcase_add_test(tests, a_dead_owners_depth_is_forgotten);
    if (beside_where() != BESIDE_THREADS) /* what follows has no tasks beside it */
        return;
    tcase_add_test(tests, an_owner_may_die_at_any_instruction);
    tcase_add_test(tests, a_releaser_may_die_before_he_wakes);
    tcase_add_test(tests, a_waiter_may_die_at_any_instruction);
}

int main(void)
{
    return fixture_main("lock_shared", add);
}
