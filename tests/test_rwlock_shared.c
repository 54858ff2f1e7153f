/* SPDX-License-Identifier: MIT */
/* Read-write locks, and what is done once, in the arena. */
#include <sys/wait.h>
#include <unistd.h>

#include "beside.h"
#include "step.h"
#include "wait/context.h"

enum { ROUNDS = 1500, MEMBERS = 3 };

struct shared {
    weft_rwlock lock;
    weft_once once;
    uint64_t a, b, reads;
    uint32_t begun, calls;
    volatile uint32_t phase;
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

static int writes(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (weft_rwlock_acquire_write(&shared->lock, WEFT_FOREVER) != 0)
            return 1;
        shared->a++;
        shared->b++;
        if (weft_rwlock_release_write(&shared->lock) != 0)
            return 2;
    }
    return 0;
}

static int reads(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (weft_rwlock_acquire_read(&shared->lock, WEFT_FOREVER) != 0)
            return 1;
        if (shared->a != shared->b)
            return 2;
        if (weft_rwlock_release_read(&shared->lock) != 0)
            return 3;
    }
    return 0;
}

START_TEST(readers_and_writers_of_all_processes)
{
    struct member members[4];
    for (int i = 0; i < 4; i++)
        members[i] = member_start(i % 2 ? reads : writes);
    for (int i = 0; i < 4; i++)
        member_ends(&members[i]);
    ck_assert_uint_eq(shared->a, 2 * ROUNDS);
    ck_assert_uint_eq(weft_rwlock_readers(&shared->lock), 0);
    ck_assert(!weft_rwlock_written(&shared->lock));
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

static int reads_twice_and_stays(void)
{
    return weft_rwlock_acquire_read(&shared->lock, WEFT_NOW) == 0 && weft_rwlock_acquire_read(&shared->lock, WEFT_NOW) == 0 ? stays() : 1;
}

static int writes_and_stays(void)
{
    return weft_rwlock_acquire_write(&shared->lock, WEFT_NOW) == 0 ? stays() : 1;
}

static weft_value takes_to_write(weft_value unused)
{
    (void)unused;
    return outcome(weft_rwlock_acquire_write(&shared->lock, weft_in(20)));
}

static weft_value takes_to_read(weft_value unused)
{
    (void)unused;
    return outcome(weft_rwlock_acquire_read(&shared->lock, weft_in(20)));
}

START_TEST(a_dead_reader_reads_no_more)
{
    struct member reader = member_start(reads_twice_and_stays);
    fixture_until(begun(1));
    ck_assert_uint_eq(weft_rwlock_readers(&shared->lock), 2);
    ck_fails(weft_rwlock_acquire_write(&shared->lock, WEFT_NOW), EAGAIN);
    ck_fails(weft_rwlock_acquire_write(&shared->lock, weft_in(0.01)), ETIMEDOUT);
    ck_fails(weft_rwlock_release_read(&shared->lock), EPERM); /* it is another who reads */
    ck_assert_int_eq(weft_rwlock_acquire_read(&shared->lock, WEFT_NOW), 0);
    ck_fails(weft_rwlock_acquire_write(&shared->lock, WEFT_FOREVER), EDEADLK);
    ck_assert_int_eq(weft_rwlock_release_read(&shared->lock), 0);
    weft_task *task = beside(takes_to_write, NULL);
    fixture_until(beside_sleeps(task));
    ck_fails(weft_rwlock_acquire_read(&shared->lock, WEFT_NOW), EAGAIN); /* a writer waits */
    member_dies(&reader);
    ck_assert_int_eq(beside_end(task), 0);
    ck_assert_uint_eq(weft_rwlock_readers(&shared->lock), 0);
    ck_assert_int_eq(weft_rwlock_acquire_write(&shared->lock, weft_in(20)), 1); /* a thread ended with it */
    ck_assert_int_eq(weft_rwlock_release_write(&shared->lock), 0);
}
END_TEST

START_TEST(a_dead_writer_is_told_until_another_repairs)
{
    struct member writer = member_start(writes_and_stays);
    fixture_until(begun(1));
    ck_assert(weft_rwlock_written(&shared->lock));
    ck_fails(weft_rwlock_acquire_read(&shared->lock, weft_in(0.01)), ETIMEDOUT);
    weft_task *one = beside(takes_to_read, NULL), *two = beside(takes_to_read, NULL);
    fixture_until(beside_sleeps(one) && beside_sleeps(two));
    weft_task_cancel(two);
    ck_assert_int_eq(beside_end(two), -ECANCELED);
    member_dies(&writer);
    ck_assert_int_eq(beside_end(one), 1);
    bool died = false;
    weft_with_read_seen(&shared->lock, died) ck_assert(died && weft_rwlock_repaired(&shared->lock) == -1 && errno == EPERM);
    weft_with_write_seen(&shared->lock, died) ck_assert(died && weft_rwlock_repaired(&shared->lock) == 0);
    weft_with_read_seen(&shared->lock, died) ck_assert(!died);
    ck_assert_int_eq(weft_rwlock_acquire_write(&shared->lock, WEFT_NOW), 0);
    ck_fails(weft_rwlock_acquire_read(&shared->lock, WEFT_NOW), EDEADLK);
    ck_fails(weft_rwlock_acquire_write(&shared->lock, WEFT_NOW), EDEADLK);
    ck_assert_int_eq(weft_rwlock_downgrade(&shared->lock), 0);
    ck_fails(weft_rwlock_downgrade(&shared->lock), EPERM);
    ck_fails(weft_rwlock_release_write(&shared->lock), EPERM);
    ck_assert_int_eq(weft_rwlock_acquire_read(&shared->lock, WEFT_NOW), 0);
    ck_assert_uint_eq(weft_rwlock_readers(&shared->lock), 2);
    ck_assert_int_eq(weft_rwlock_release_read(&shared->lock), 0);
    ck_assert_int_eq(weft_rwlock_release_read(&shared->lock), 0);
    ck_fails(weft_rwlock_release_read(&shared->lock), EPERM);
}
END_TEST

static int calls_it(void *data)
{
    (void)data;
    return ++shared->calls == 1 ? 5 : 0;
}

static int calls_and_stays(void *data)
{
    (void)data;
    return stays();
}

static int once_and_stays(void)
{
    return weft_once_call(&shared->once, calls_and_stays, NULL, WEFT_FOREVER);
}

static weft_value calls_once(weft_value unused)
{
    (void)unused;
    return outcome(weft_once_call(&shared->once, calls_it, NULL, WEFT_FOREVER));
}

static int calls_again(void *data)
{
    return weft_once_call(data, calls_again, data, WEFT_NOW);
}

static int refused_elsewhere(void)
{
    pid_t child = fork();
    if (child == 0) {
        bool refused = weft_rwlock_acquire_read(&shared->lock, WEFT_NOW) == -1 && errno == ESTALE;
        refused = refused && weft_rwlock_acquire_write(&shared->lock, WEFT_NOW) == -1 && errno == ESTALE;
        refused = refused && weft_once_call(&shared->once, calls_it, NULL, WEFT_NOW) == -1 && errno == ESTALE;
        fixture_leave(refused ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

START_TEST(what_a_dead_had_begun_is_done_again)
{
    ck_assert_int_eq(refused_elsewhere(), 0);
    struct member member = member_start(once_and_stays);
    fixture_until(begun(1));
    ck_fails(weft_once_call(&shared->once, calls_it, NULL, WEFT_NOW), EAGAIN);
    ck_fails(weft_once_call(&shared->once, calls_it, NULL, weft_in(0.01)), ETIMEDOUT);
    weft_task *task = beside(calls_once, NULL);
    fixture_until(beside_sleeps(task));
    member_dies(&member);
    beside_end(task);
    ck_assert_uint_eq(shared->calls, 1); /* with failure */
    ck_fails(weft_once_call(&shared->once, calls_again, &shared->once, WEFT_NOW), EDEADLK);
    ck_assert_int_eq(weft_once_call(&shared->once, calls_it, NULL, WEFT_NOW), 0);
    ck_assert_int_eq(weft_once_call(&shared->once, calls_it, NULL, WEFT_NOW), 0);
    ck_assert_uint_eq(shared->calls, 2);
    ck_assert(weft_once_done(&shared->once));
}
END_TEST

/* Every instruction as the last one. */

enum { READS = 1, WRITES, LEFT };

static void reads_and_writes(void)
{
    step_must(weft_rwlock_acquire_read(&shared->lock, WEFT_NOW) == 0 && weft_rwlock_release_read(&shared->lock) == 0);
    step_begin();
    weft_rwlock_acquire_read(&shared->lock, WEFT_NOW);
    shared->phase = READS;
    weft_rwlock_release_read(&shared->lock);
    weft_rwlock_acquire_write(&shared->lock, WEFT_NOW);
    shared->phase = WRITES;
    shared->phase = LEFT;
    weft_rwlock_downgrade(&shared->lock);
    weft_rwlock_release_read(&shared->lock);
    step_end();
}

static void others_read(void)
{
    int taken = weft_rwlock_acquire_read(&shared->lock, WEFT_NOW);
    step_must(taken >= 0 ? weft_rwlock_release_read(&shared->lock) == 0 : shared->phase >= READS);
}

static void nobody_has_it(void)
{
    ck_assert_uint_eq(weft_rwlock_readers(&shared->lock), 0);
    int taken = weft_rwlock_acquire_write(&shared->lock, WEFT_NOW);
    ck_assert(taken == 1 || (taken == 0 && shared->phase != WRITES));
    ck_assert_int_eq(weft_rwlock_repaired(&shared->lock), 0);
    ck_assert_int_eq(weft_rwlock_release_write(&shared->lock), 0);
    ck_assert_int_eq(weft_rwlock_acquire_read(&shared->lock, WEFT_NOW), 0);
    ck_assert_int_eq(weft_rwlock_release_read(&shared->lock), 0);
}

START_TEST(readers_and_writers_may_die_at_any_instruction)
{
    STEP_OR_SKIP;
    struct step_plan plan = {.prepare = clear,
        .body = reads_and_writes,
        .meanwhile = others_read,
        .check = nobody_has_it,
        .mender_points = 250,
        .mender_stride = 401};
    ck_assert_uint_gt(step_through(&plan), 500);
}
END_TEST

static int does(void *data)
{
    (void)data;
    shared->calls++;
    return 0;
}

static void does_once(void)
{
    weft_once before = {0};
    step_must(weft_once_call(&before, does, NULL, WEFT_NOW) == 0 && wefti_context_life(wefti_context_current()));
    step_begin();
    weft_once_call(&shared->once, does, NULL, WEFT_NOW);
    shared->phase = LEFT;
    step_end();
}

static void done_once(void)
{
    bool was = weft_once_done(&shared->once);
    ck_assert(was || shared->phase != LEFT);
    uint32_t calls = shared->calls;
    ck_assert_int_eq(weft_once_call(&shared->once, does, NULL, WEFT_NOW), 0);
    ck_assert_uint_eq(shared->calls, calls + !was);
}

START_TEST(who_does_it_may_die_at_any_instruction)
{
    STEP_OR_SKIP;
    struct step_plan plan = {.prepare = clear, .body = does_once, .check = done_once, .mender_points = 100, .mender_stride = 31};
    ck_assert_uint_gt(step_through(&plan), 50);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, readers_and_writers_of_all_processes);
    tcase_add_test(tests, a_dead_reader_reads_no_more);
    tcase_add_test(tests, a_dead_writer_is_told_until_another_repairs);
    tcase_add_test(tests, what_a_dead_had_begun_is_done_again);
    if (beside_where() != BESIDE_THREADS) /* what follows has no tasks beside it */
        return;
    tcase_add_test(tests, readers_and_writers_may_die_at_any_instruction);
    tcase_add_test(tests, who_does_it_may_die_at_any_instruction);
}

int main(void)
{
    return fixture_main("rwlock_shared", add);
}
