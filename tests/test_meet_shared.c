/* SPDX-License-Identifier: MIT */
/* Barriers, conditions and events that lie in the arena. */
#include <sys/wait.h>
#include <unistd.h>

#include "beside.h"
#include "step.h"
#include "wait/context.h"

enum { ROUNDS = 200, MEMBERS = 3 };

struct shared {
    weft_barrier barrier;
    weft_lock lock;
    weft_rlock rlock;
    weft_condition condition;
    weft_event event;
    uint32_t begun, go, actions, stock, wrong;
    volatile uint32_t phase;
};
static struct shared *shared;

static void set_up(void)
{
    ck_assert_int_eq(weft_shared_limit(1 << 22), 0);
    ck_assert_ptr_nonnull(shared = weft_shared_new(struct shared));
}

_Noreturn static int stays(void)
{
    __atomic_add_fetch(&shared->begun, 1, __ATOMIC_RELEASE);
    for (;;)
        pause();
}

static bool begun(uint32_t count)
{
    return __atomic_load_n(&shared->begun, __ATOMIC_ACQUIRE) == count;
}

/* Barriers. */

static int counts(void *data)
{
    ++*(uint32_t *)data;
    return 0;
}

static void barrier_fresh(uint32_t parties, int (*action)(void *data))
{
    shared->barrier = (weft_barrier)WEFT_BARRIER(parties, .action = action, .data = &shared->actions);
    shared->actions = 0;
}

static int meets(void)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        int place = weft_barrier_wait(&shared->barrier, WEFT_FOREVER);
        if (place < 0 || place >= MEMBERS)
            return 1;
        if (__atomic_load_n(&shared->actions, __ATOMIC_RELAXED) != i + 1 && __atomic_load_n(&shared->actions, __ATOMIC_RELAXED) != i + 2)
            return 2;
    }
    return 0;
}

START_TEST(processes_meet)
{
    barrier_fresh(MEMBERS, counts);
    struct member members[MEMBERS];
    for (int i = 0; i < MEMBERS; i++)
        members[i] = member_start(meets);
    for (int i = 0; i < MEMBERS; i++)
        member_ends(&members[i]);
    ck_assert_uint_eq(shared->actions, ROUNDS);
    ck_assert_uint_eq(weft_barrier_waiting(&shared->barrier), 0);
}
END_TEST

static int comes(void)
{
    int place = weft_barrier_wait(&shared->barrier, WEFT_FOREVER);
    return place < 0 && errno == EPIPE ? 0 : 1;
}

static weft_value comes_beside(weft_value unused)
{
    (void)unused;
    return outcome(weft_barrier_wait(&shared->barrier, WEFT_FOREVER));
}

START_TEST(a_dead_party_breaks_the_barrier)
{
    barrier_fresh(3, NULL);
    struct member dead = member_start(comes), other = member_start(comes);
    fixture_until(member_sleeps(&dead) && member_sleeps(&other));
    ck_assert_uint_eq(weft_barrier_waiting(&shared->barrier), 2);
    member_dies(&dead);
    member_ends(&other);
    ck_assert(weft_barrier_broken(&shared->barrier));
    ck_fails(weft_barrier_wait(&shared->barrier, WEFT_FOREVER), EPIPE);
    weft_barrier_reset(&shared->barrier);
    ck_assert(!weft_barrier_broken(&shared->barrier));
    ck_fails(weft_barrier_wait(&shared->barrier, WEFT_NOW), EAGAIN);
    ck_assert(weft_barrier_broken(&shared->barrier));
    weft_barrier_reset(&shared->barrier);
    ck_fails(weft_barrier_wait(&shared->barrier, weft_in(0.01)), ETIMEDOUT);
    weft_barrier_reset(&shared->barrier);
    weft_task *task = beside(comes_beside, NULL);
    fixture_until(weft_barrier_waiting(&shared->barrier) == 1 && beside_sleeps(task));
    weft_task_cancel(task);
    ck_assert_int_eq(beside_end(task), -ECANCELED);
    weft_barrier_reset(&shared->barrier);
    task = beside(comes_beside, NULL);
    fixture_until(weft_barrier_waiting(&shared->barrier) == 1 && beside_sleeps(task));
    weft_barrier_abort(&shared->barrier);
    ck_assert_int_eq(beside_end(task), -EPIPE);
    barrier_fresh(0, NULL);
    ck_fails(weft_barrier_wait(&shared->barrier, WEFT_FOREVER), EINVAL);
}
END_TEST

static int acts_and_stays(void *data)
{
    (void)data;
    errno = 0;
    if (weft_barrier_wait(&shared->barrier, WEFT_NOW) != -1 || errno != EDEADLK)
        shared->wrong = 1;
    return stays();
}

START_TEST(a_death_in_the_action_breaks_it)
{
    barrier_fresh(2, acts_and_stays);
    struct member first = member_start(comes);
    fixture_until(member_sleeps(&first));
    struct member second = member_start(comes);
    fixture_until(begun(1));
    struct member late = member_start(comes);
    fixture_until(member_sleeps(&late));
    member_dies(&second);
    member_ends(&first);
    member_ends(&late);
    ck_assert_uint_eq(shared->wrong, 0);
}
END_TEST

START_TEST(a_stranger_can_break_but_not_meet)
{
    barrier_fresh(2, NULL);
    struct member first = member_start(comes);
    fixture_until(member_sleeps(&first));
    pid_t child = fork();
    if (child == 0) {
        bool refused = weft_barrier_wait(&shared->barrier, WEFT_NOW) == -1 && errno == ESTALE;
        weft_barrier_reset(&shared->barrier);
        weft_barrier_abort(&shared->barrier);
        fixture_leave(refused ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    member_ends(&first);
}
END_TEST

static void alone(void)
{
    barrier_fresh(1, counts);
}

static void meets_himself(void)
{
    step_must(weft_barrier_wait(&shared->barrier, WEFT_NOW) == 0);
    step_begin();
    weft_barrier_wait(&shared->barrier, WEFT_NOW);
    step_end();
}

static void of_use_again(void)
{
    int place = weft_barrier_wait(&shared->barrier, weft_in(20));
    ck_assert(place == 0 || (place == -1 && errno == EPIPE));
    weft_barrier_reset(&shared->barrier);
    ck_assert_int_eq(weft_barrier_wait(&shared->barrier, weft_in(20)), 0);
    ck_assert_int_eq(weft_barrier_wait(&shared->barrier, weft_in(20)), 0);
}

START_TEST(a_party_may_die_at_any_instruction)
{
    STEP_OR_SKIP;
    struct step_plan plan = {.prepare = alone, .body = meets_himself, .check = of_use_again, .mender_points = 150, .mender_stride = 101};
    ck_assert_uint_gt(step_through(&plan), 300);
}
END_TEST

static struct member companion;

static int comes_first(void)
{
    int place = weft_barrier_wait(&shared->barrier, WEFT_FOREVER);
    return place == 1 || (place == -1 && errno == EPIPE) ? 0 : 1;
}

static void with_another(void)
{
    barrier_fresh(2, NULL);
    companion = member_start(comes_first);
    fixture_until(member_sleeps(&companion));
}

static void comes_second(void)
{
    step_must(wefti_context_life(wefti_context_current()) != NULL);
    step_begin();
    weft_barrier_wait(&shared->barrier, WEFT_NOW);
    step_end();
}

static void the_other_has_left(void)
{
    if (!weft_barrier_broken(&shared->barrier) && weft_barrier_waiting(&shared->barrier) == 1)
        weft_barrier_wait(&shared->barrier, WEFT_NOW); /* the dead had not come yet: then this one does */
    member_ends(&companion);
}

START_TEST(nobody_is_left_behind)
{
    STEP_OR_SKIP;
    struct step_plan plan = {.prepare = with_another, .body = comes_second, .check = the_other_has_left, .stride = 5};
    ck_assert_uint_gt(step_anew(&plan), 30);
}
END_TEST

/* Conditions. */

static bool stocked(void *data)
{
    return *(uint32_t *)data > 0;
}

static int takes_stock(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (weft_lock_acquire(&shared->lock, WEFT_FOREVER) != 0)
            return 1;
        if (weft_condition_wait_for(&shared->condition, &shared->lock, stocked, &shared->stock, WEFT_FOREVER) != 0)
            return 2;
        shared->stock--;
        weft_lock_release(&shared->lock);
    }
    return 0;
}

START_TEST(a_condition_is_announced_to_other_processes)
{
    struct member one = member_start(takes_stock), two = member_start(takes_stock);
    for (int i = 0; i < 2 * ROUNDS; i++)
        weft_with (&shared->lock) {
            shared->stock++;
            weft_condition_notify(&shared->condition, 1);
        }
    member_ends(&one);
    member_ends(&two);
    ck_assert_uint_eq(shared->stock, 0);
}
END_TEST

static weft_value waits_for_stock(weft_value unused)
{
    (void)unused;
    weft_lock_acquire(&shared->lock, WEFT_FOREVER);
    int waited = weft_condition_wait(&shared->condition, &shared->lock, WEFT_FOREVER);
    weft_value value = outcome(waited);
    weft_lock_repaired(&shared->lock);
    return weft_lock_release(&shared->lock) == 0 ? value : weft_int(99);
}

static int owns_and_stays(void)
{
    return weft_lock_acquire(&shared->lock, WEFT_FOREVER) == 0 ? stays() : 1;
}

START_TEST(a_dead_owner_is_told_to_who_waited)
{
    weft_task *task = beside(waits_for_stock, NULL);
    fixture_until(beside_sleeps(task));
    struct member owner = member_start(owns_and_stays);
    fixture_until(begun(1));
    member_dies(&owner); /* the sweep wakes all who wait */
    ck_assert_int_eq(beside_end(task), 1);
    task = beside(waits_for_stock, NULL);
    fixture_until(beside_sleeps(task));
    weft_task_cancel(task);
    ck_assert_int_eq(beside_end(task), -ECANCELED);
    ck_fails(weft_condition_wait(&shared->condition, &shared->lock, WEFT_NOW), EPERM);
    ck_assert_int_eq(weft_rlock_acquire(&shared->rlock, WEFT_NOW), 0);
    ck_assert_int_eq(weft_rlock_acquire(&shared->rlock, WEFT_NOW), 0);
    ck_fails(weft_condition_wait_rlock(&shared->condition, &shared->rlock, weft_in(0.01)), ETIMEDOUT);
    ck_assert_int_eq(weft_rlock_release(&shared->rlock), 0);
    ck_assert_int_eq(weft_rlock_release(&shared->rlock), 0);
}
END_TEST

/* Events. */

static int waits_for_event(void)
{
    return weft_event_wait(&shared->event, WEFT_FOREVER);
}

static void with_an_event(void)
{
    shared->event = (weft_event){0};
    companion = member_start(waits_for_event);
    fixture_until(member_sleeps(&companion));
}

static void sets(void)
{
    step_must(wefti_context_life(wefti_context_current()) != NULL);
    step_begin();
    weft_event_set(&shared->event);
    step_end();
}

static void seen(void)
{
    if (!weft_event_is_set(&shared->event))
        weft_event_set(&shared->event);
    member_ends(&companion);
}

START_TEST(an_event_that_is_set_is_seen)
{
    STEP_OR_SKIP;
    struct step_plan plan = {.prepare = with_an_event, .body = sets, .check = seen};
    ck_assert_uint_gt(step_anew(&plan), 15);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, processes_meet);
    tcase_add_test(tests, a_dead_party_breaks_the_barrier);
    tcase_add_test(tests, a_death_in_the_action_breaks_it);
    tcase_add_test(tests, a_stranger_can_break_but_not_meet);
    tcase_add_test(tests, a_condition_is_announced_to_other_processes);
    tcase_add_test(tests, a_dead_owner_is_told_to_who_waited);
    if (beside_where() != BESIDE_THREADS) /* what follows has no tasks beside it */
        return;
    tcase_add_test(tests, a_party_may_die_at_any_instruction);
    tcase_add_test(tests, nobody_is_left_behind);
    tcase_add_test(tests, an_event_that_is_set_is_seen);
}

int main(void)
{
    return fixture_main("meet_shared", add);
}
