/* SPDX-License-Identifier: MIT */
/* Semaphores that lie in the arena: permits come back from the dead, each once. */
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/leave.h"
#include "beside.h"
#include "step.h"
#include "wait/context.h"

enum { ROUNDS = 2000, MEMBERS = 3, PERMITS = 3 };

struct shared {
    weft_semaphore permits;
    uint32_t begun, inside, most, wrong;
};
static struct shared *shared;

static void set_up(void)
{
    ck_assert_int_eq(weft_shared_limit(1 << 22), 0);
    ck_assert_ptr_nonnull(shared = weft_shared_new(struct shared));
    shared->permits = (weft_semaphore)WEFT_SEMAPHORE(PERMITS);
}

static int take(void)
{
    return weft_semaphore_acquire(&shared->permits, WEFT_NOW);
}

static int give(void)
{
    return weft_semaphore_release(&shared->permits, 1);
}

/* So many permits there are, and no more; afterwards, too. */
static void has(uint32_t permits)
{
    ck_assert_uint_eq(weft_semaphore_value(&shared->permits), permits);
    for (uint32_t i = 0; i < permits; i++)
        ck_assert_int_eq(take(), 0);
    ck_fails(take(), EAGAIN);
    for (uint32_t i = 0; i < permits; i++)
        ck_assert_int_eq(give(), 0);
    ck_assert_uint_eq(weft_semaphore_value(&shared->permits), permits);
}

static int works(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (weft_semaphore_acquire(&shared->permits, WEFT_FOREVER) != 0)
            return 1;
        if (__atomic_add_fetch(&shared->inside, 1, __ATOMIC_RELAXED) > PERMITS)
            shared->wrong = 1;
        __atomic_sub_fetch(&shared->inside, 1, __ATOMIC_RELAXED);
        if (give() != 0)
            return 2;
    }
    return 0;
}

START_TEST(processes_share_permits)
{
    struct member members[MEMBERS + 1];
    for (int i = 0; i < MEMBERS + 1; i++)
        members[i] = member_start(works);
    for (int i = 0; i < MEMBERS + 1; i++)
        member_ends(&members[i]);
    ck_assert_uint_eq(shared->wrong, 0);
    has(PERMITS);
}
END_TEST

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

static int takes_two_and_stays(void)
{
    return take() == 0 && take() == 0 ? stays() : 1;
}

static int takes_and_gives_and_stays(void)
{
    for (int i = 0; i < PERMITS; i++)
        if (take() != 0)
            return 1;
    return give() == 0 && weft_semaphore_release(&shared->permits, 2) == 0 ? stays() : 1;
}

START_TEST(permits_come_back_from_the_dead)
{
    struct member member = member_start(takes_two_and_stays);
    fixture_until(begun(1));
    ck_assert_uint_eq(weft_semaphore_value(&shared->permits), 1);
    member_dies(&member);
    has(PERMITS);
    member = member_start(takes_and_gives_and_stays);
    fixture_until(begun(2));
    member_dies(&member);
    has(PERMITS);
    ck_assert_int_eq(weft_semaphore_release(&shared->permits, 2), 0); /* more than there were: nobody's */
    ck_assert_uint_eq(weft_semaphore_value(&shared->permits), PERMITS + 2);
}
END_TEST

START_TEST(what_is_handed_on_does_not_come_back)
{
    shared->permits = (weft_semaphore)WEFT_SEMAPHORE(0);
    ck_assert_int_eq(weft_semaphore_release(&shared->permits, 5), 0);
    struct member member = member_start(takes_two_and_stays);
    fixture_until(begun(1));
    member_dies(&member);
    has(3);
}
END_TEST

START_TEST(what_was_lent_before_the_first_hand_off_stays_away)
{
    struct member member = member_start(takes_two_and_stays);
    fixture_until(begun(1));
    ck_assert_int_eq(give(), 0);
    member_dies(&member);
    has(2);
}
END_TEST

static weft_value takes(weft_value unused)
{
    (void)unused;
    return outcome(weft_semaphore_acquire(&shared->permits, WEFT_FOREVER));
}

START_TEST(a_thread_that_ends_gives_back)
{
    for (int i = 0; i < 2 * PERMITS; i++)
        ck_assert_int_eq(beside_end(beside(takes, NULL)), 0);
    fixture_until(weft_semaphore_value(&shared->permits) == PERMITS);
}
END_TEST

static int waits(void)
{
    int taken = weft_semaphore_acquire(&shared->permits, WEFT_FOREVER);
    return taken == 0 ? give() : taken;
}

START_TEST(who_waits_has_what_the_dead_had)
{
    shared->permits = (weft_semaphore)WEFT_SEMAPHORE(2);
    struct member owner = member_start(takes_two_and_stays);
    fixture_until(begun(1));
    struct member first = member_start(waits), second = member_start(waits);
    weft_task *task = beside(takes, NULL);
    fixture_until(member_sleeps(&first) && member_sleeps(&second) && beside_sleeps(task));
    member_dies(&owner);
    ck_assert_int_eq(beside_end(task), 0);
    member_ends(&first);
    member_ends(&second);
    has(2);
}
END_TEST

START_TEST(a_dead_waiter_takes_no_wake_along)
{
    ck_assert(take() == 0 && take() == 0 && take() == 0);
    struct member first = member_start(waits);
    fixture_until(member_sleeps(&first));
    struct member second = member_start(waits);
    fixture_until(member_sleeps(&second));
    member_kill(&first);
    ck_assert_int_eq(give(), 0);
    member_bury(&first);
    member_ends(&second);
    ck_assert(give() == 0 && give() == 0);
    has(PERMITS);
}
END_TEST

START_TEST(errors_are_told)
{
    ck_fails(weft_semaphore_release(&shared->permits, 0), EINVAL);
    ck_fails(weft_semaphore_release(&shared->permits, INT32_MAX), EOVERFLOW);
    shared->permits = (weft_semaphore)WEFT_BOUNDED_SEMAPHORE(2);
    ck_fails(give(), EOVERFLOW);
    ck_assert(take() == 0 && take() == 0);
    ck_fails(take(), EAGAIN);
    ck_fails(weft_semaphore_acquire(&shared->permits, weft_in(0.01)), ETIMEDOUT);
    ck_fails(weft_semaphore_release(&shared->permits, 3), EOVERFLOW);
    weft_task *task = beside(takes, NULL);
    fixture_until(beside_sleeps(task));
    weft_task_cancel(task);
    ck_assert_int_eq(beside_end(task), -ECANCELED);
    pid_t child = fork();
    if (child == 0) {
        errno = 0;
        fixture_leave(take() == -1 && errno == ESTALE && give() == 0 ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(give(), 0);
    ck_fails(give(), EOVERFLOW);
    weft_with (&shared->permits)
        ck_assert_uint_eq(weft_semaphore_value(&shared->permits), 1);
}
END_TEST

/* Memory that is used again: what is held of the semaphore that was there is of no account. */
START_TEST(a_semaphore_is_not_taken_for_its_predecessor)
{
    struct member member = member_start(takes_two_and_stays);
    fixture_until(begun(1));
    ck_assert_int_eq(take(), 0);
    shared->permits = (weft_semaphore)WEFT_SEMAPHORE(1);
    ck_assert_int_eq(take(), 0);
    member_dies(&member);
    ck_assert_int_eq(give(), 0);
    has(1);
}
END_TEST

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
    (void)number;
    if (give() == 0)
        signals++;
}

START_TEST(signal_handlers_may_release)
{
    enum { SIGNALS = 500 };
    signal(SIGALRM, on_signal);
    struct itimerval often = {.it_interval = {.tv_usec = 300}, .it_value = {.tv_usec = 300}}, never = {0};
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < PERMITS + SIGNALS; i++) /* most of them when one has come */
        ck_assert_int_eq(weft_semaphore_acquire(&shared->permits, WEFT_FOREVER), 0);
    for (int i = 0; signals < 2 * SIGNALS && i < 1000000; i++)
        ck_assert(take() != 0 || give() == 0);
    setitimer(ITIMER_REAL, &never, NULL);
    signal(SIGALRM, SIG_IGN);
    ck_assert_uint_eq(weft_semaphore_value(&shared->permits), (uint32_t)(signals - SIGNALS));
}
END_TEST

/* Every instruction as the last one. */

static void fresh(void)
{
    shared->permits = (weft_semaphore)WEFT_SEMAPHORE(PERMITS);
}

static void takes_and_gives(void)
{
    step_must(take() == 0 && give() == 0 && take() == 0); /* all is bound now */
    step_begin();
    step_must(take() == 0);
    step_must(give() == 0);
    step_must(weft_semaphore_release(&shared->permits, 1) == 0);
    step_must(take() == 0);
    step_end();
}

/* Others move on while the dead is not buried: they have to find out for him what he has done. */
static void others_take_and_give(void)
{
    step_must(take() == 0 && give() == 0);
}

static void whole(void)
{
    has(PERMITS);
}

START_TEST(a_holder_may_die_at_any_instruction)
{
    STEP_OR_SKIP;
    struct step_plan plan = {.prepare = fresh, .body = takes_and_gives, .check = whole, .mender_points = 250, .mender_stride = 307};
    ck_assert_uint_gt(step_through(&plan), 500);
}
END_TEST

START_TEST(and_others_need_not_wait_for_his_burial)
{
    STEP_OR_SKIP;
    struct step_plan plan = {.prepare = fresh,
        .body = takes_and_gives,
        .meanwhile = others_take_and_give,
        .check = whole,
        .mender_points = 250,
        .mender_stride = 401};
    ck_assert_uint_gt(step_through(&plan), 500);
}
END_TEST

/* A hand-off is given or not; what was lent before is of no account from then on. */
static void hands_on(void)
{
    step_must(give() == 0 && take() == 0);
    step_begin();
    step_must(give() == 0);
    step_must(take() == 0);
    shared->begun = 1;
    step_end();
}

static void given_or_not(void)
{
    uint32_t value = weft_semaphore_value(&shared->permits);
    ck_assert(value == PERMITS || value == PERMITS + 1);
    has(value);
}

START_TEST(a_hand_off_is_one_step)
{
    STEP_OR_SKIP;
    struct step_plan plan = {.prepare = fresh, .body = hands_on, .check = given_or_not};
    ck_assert_uint_gt(step_through(&plan), 40);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, processes_share_permits);
    tcase_add_test(tests, permits_come_back_from_the_dead);
    tcase_add_test(tests, what_is_handed_on_does_not_come_back);
    tcase_add_test(tests, what_was_lent_before_the_first_hand_off_stays_away);
    tcase_add_test(tests, a_thread_that_ends_gives_back);
    tcase_add_test(tests, who_waits_has_what_the_dead_had);
    tcase_add_test(tests, a_dead_waiter_takes_no_wake_along);
    tcase_add_test(tests, errors_are_told);
    tcase_add_test(tests, a_semaphore_is_not_taken_for_its_predecessor);
    tcase_add_test(tests, signal_handlers_may_release);
    if (beside_where() != BESIDE_THREADS) /* what follows has no tasks beside it */
        return;
    tcase_add_test(tests, a_holder_may_die_at_any_instruction);
    tcase_add_test(tests, and_others_need_not_wait_for_his_burial);
    tcase_add_test(tests, a_hand_off_is_one_step);
}

int main(void)
{
    return fixture_main("semaphore_shared", add);
}
