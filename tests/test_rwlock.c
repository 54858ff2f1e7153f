/* SPDX-License-Identifier: MIT */
#include "beside.h"

static weft_rwlock lock;

/* The bits of the word that tell who waits: see src/sync/rwlock.c. */
static uint64_t word_now(void)
{
    return __atomic_load_n(&lock.word, __ATOMIC_ACQUIRE);
}

static bool writer_waits(void)
{
    return (word_now() >> 60 & 1) && weft_rwlock_readers(&lock) > 0;
}

static unsigned readers_waiting(void)
{
    return (unsigned)(word_now() >> 30 & 0x3fffffff);
}

static weft_event go_on;

static weft_value read_at(weft_value deadline)
{
    int taken = weft_rwlock_acquire_read(&lock, *(weft_time *)weft_as_ptr(deadline));
    weft_value result = outcome(taken);
    if (taken == 0 && weft_rwlock_release_read(&lock) != 0)
        return weft_int(-1000);
    return result;
}

static weft_value write_at(weft_value deadline)
{
    int taken = weft_rwlock_acquire_write(&lock, *(weft_time *)weft_as_ptr(deadline));
    weft_value result = outcome(taken);
    if (taken == 0 && weft_rwlock_release_write(&lock) != 0)
        return weft_int(-1000);
    return result;
}

/* Reads until go_on. */
static weft_value read_on(weft_value none)
{
    (void)none;
    if (weft_rwlock_acquire_read(&lock, WEFT_FOREVER) != 0)
        return outcome(-1);
    weft_event_wait(&go_on, WEFT_FOREVER);
    return outcome(weft_rwlock_release_read(&lock));
}

static weft_time forever = WEFT_FOREVER, now = WEFT_NOW;

START_TEST(many_read_or_one_writes)
{
    ck_assert_int_eq(weft_rwlock_acquire_read(&lock, WEFT_NOW), 0);
    ck_assert_uint_eq(weft_rwlock_readers(&lock), 1);
    ck_assert(!weft_rwlock_written(&lock));
    ck_assert_int_eq(beside_end(beside(read_at, &now)), 0);
    ck_assert_int_eq(beside_end(beside(write_at, &now)), -EAGAIN);
    ck_assert_int_eq(weft_rwlock_release_read(&lock), 0);
    ck_assert_int_eq(beside_end(beside(write_at, &now)), 0);
    ck_assert_int_eq(weft_rwlock_acquire_write(&lock, WEFT_FOREVER), 0);
    ck_assert(weft_rwlock_written(&lock));
    ck_assert_uint_eq(weft_rwlock_readers(&lock), 0);
    ck_assert_int_eq(beside_end(beside(read_at, &now)), -EAGAIN);
    ck_assert_int_eq(beside_end(beside(write_at, &now)), -EAGAIN);
    ck_assert_int_eq(weft_rwlock_release_write(&lock), 0);
    ck_assert(!weft_rwlock_written(&lock));
    ck_assert_int_eq(beside_end(beside(read_at, &now)), 0);
}
END_TEST

static weft_value release_both(weft_value none)
{
    (void)none;
    if (weft_rwlock_release_read(&lock) != -1 || errno != EPERM)
        return weft_int(1);
    if (weft_rwlock_downgrade(&lock) != -1 || errno != EPERM)
        return weft_int(2);
    return weft_rwlock_release_write(&lock) == -1 && errno == EPERM ? weft_int(0) : weft_int(3);
}

START_TEST(mistakes_are_told)
{
    ck_fails(weft_rwlock_release_read(&lock), EPERM);
    ck_fails(weft_rwlock_release_write(&lock), EPERM);
    ck_fails(weft_rwlock_downgrade(&lock), EPERM);
    ck_assert_int_eq(weft_rwlock_acquire_write(&lock, WEFT_FOREVER), 0);
    ck_fails(weft_rwlock_acquire_write(&lock, WEFT_FOREVER), EDEADLK);
    ck_fails(weft_rwlock_acquire_read(&lock, WEFT_FOREVER), EDEADLK);
    ck_fails(weft_rwlock_acquire_read(&lock, WEFT_NOW), EDEADLK);
    ck_assert_int_eq(beside_end(beside(release_both, NULL)), 0);
    ck_assert_int_eq(weft_rwlock_release_write(&lock), 0);
    ck_assert_int_eq(weft_rwlock_acquire_read(&lock, WEFT_FOREVER), 0);
    ck_fails(weft_rwlock_release_write(&lock), EPERM);
    ck_fails(weft_rwlock_acquire_write(&lock, weft_in(0.01)), ETIMEDOUT);
    ck_fails(weft_rwlock_acquire_write(&lock, WEFT_NOW), EAGAIN);
    ck_assert_int_eq(weft_rwlock_release_read(&lock), 0);
    ck_assert_uint_eq(word_now() & ~(UINT64_C(1) << 61), 0);
}
END_TEST

START_TEST(too_many_readers_are_refused)
{
    lock.word = (1 << 29) - 1;
    ck_fails(weft_rwlock_acquire_read(&lock, WEFT_FOREVER), EOVERFLOW);
    lock.word--;
    ck_assert_int_eq(weft_rwlock_acquire_read(&lock, WEFT_FOREVER), 0);
}
END_TEST

/* A writer whose turn has come keeps out who comes later; one that gives up lets them in. */
START_TEST(a_waiting_writer_is_not_passed)
{
    ck_assert_int_eq(weft_rwlock_acquire_read(&lock, WEFT_FOREVER), 0);
    weft_task *writer = beside(write_at, &forever);
    fixture_until(writer_waits());
    ck_assert_int_eq(beside_end(beside(read_at, &now)), -EAGAIN);
    weft_task *reader = beside(read_at, &forever);
    fixture_until(readers_waiting() == 1);
    ck_assert(!weft_rwlock_written(&lock));
    weft_task_cancel(writer);
    ck_assert_int_eq(beside_end(writer), -ECANCELED);
    ck_assert_int_eq(beside_end(reader), 0);
    writer = beside(write_at, &forever);
    fixture_until(writer_waits());
    ck_assert_int_eq(weft_rwlock_release_read(&lock), 0);
    ck_assert_int_eq(beside_end(writer), 0);
}
END_TEST

/* The bound: a reader waits for one writer, whoever else waits to write. */
START_TEST(a_reader_waits_for_one_writer)
{
    enum { READERS = 3, WRITERS = 3 };
    weft_task *readers[READERS], *writers[WRITERS];
    for (int round = 0; round < 20; round++) {
        ck_assert_int_eq(weft_rwlock_acquire_write(&lock, WEFT_FOREVER), 0);
        for (int i = 0; i < WRITERS; i++)
            writers[i] = beside(write_at, &forever);
        for (int i = 0; i < READERS; i++)
            readers[i] = beside(read_on, NULL);
        fixture_until(readers_waiting() == READERS);
        ck_assert_int_eq(weft_rwlock_release_write(&lock), 0);
        ck_assert_uint_eq(weft_rwlock_readers(&lock), READERS); /* at once, and no writer comes before they leave */
        for (int i = 0; i < WRITERS; i++)
            ck_fails(weft_task_join(writers[i], WEFT_NOW), EAGAIN);
        weft_event_set(&go_on);
        for (int i = 0; i < READERS; i++)
            ck_assert_int_eq(beside_end(readers[i]), 0);
        for (int i = 0; i < WRITERS; i++)
            ck_assert_int_eq(beside_end(writers[i]), 0);
        weft_event_clear(&go_on);
    }
}
END_TEST

static uint32_t ending;

static weft_value read_and_read(weft_value none)
{
    (void)none;
    while (!__atomic_load_n(&ending, __ATOMIC_ACQUIRE)) {
        if (weft_rwlock_acquire_read(&lock, WEFT_FOREVER) != 0)
            return outcome(-1);
        weft_yield();
        weft_rwlock_release_read(&lock);
    }
    return weft_int(0);
}

static weft_value write_and_write(weft_value none)
{
    (void)none;
    while (!__atomic_load_n(&ending, __ATOMIC_ACQUIRE)) {
        if (weft_rwlock_acquire_write(&lock, WEFT_FOREVER) != 0)
            return outcome(-1);
        weft_rwlock_release_write(&lock);
    }
    return weft_int(0);
}

/* Neither those who always read nor those who always write keep the others out: this ends. */
START_TEST(nobody_is_starved)
{
    enum { TASKS = 4, TURNS = 20 };
    weft_task *tasks[TASKS];
    for (int i = 0; i < TASKS; i++)
        tasks[i] = beside(i % 2 ? write_and_write : read_and_read, NULL);
    for (int i = 0; i < TURNS; i++) {
        ck_assert_int_eq(weft_rwlock_acquire_write(&lock, WEFT_FOREVER), 0);
        ck_assert_int_eq(weft_rwlock_release_write(&lock), 0);
        ck_assert_int_eq(weft_rwlock_acquire_read(&lock, WEFT_FOREVER), 0);
        ck_assert_int_eq(weft_rwlock_release_read(&lock), 0);
    }
    __atomic_store_n(&ending, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < TASKS; i++)
        ck_assert_int_eq(beside_end(tasks[i]), 0);
}
END_TEST

START_TEST(a_reader_leaves_at_its_deadline_or_cancellation)
{
    weft_time soon = weft_in(0.01);
    ck_assert_int_eq(weft_rwlock_acquire_write(&lock, WEFT_FOREVER), 0);
    ck_assert_int_eq(beside_end(beside(read_at, &soon)), -ETIMEDOUT);
    ck_assert_uint_eq(readers_waiting(), 0);
    weft_task *reader = beside(read_at, &forever);
    fixture_until(readers_waiting() == 1);
    weft_task_cancel(reader);
    ck_assert_int_eq(beside_end(reader), -ECANCELED);
    ck_assert_uint_eq(readers_waiting(), 0);
    weft_task *writer = beside(write_at, &forever);
    weft_task_cancel(writer);
    ck_assert_int_eq(beside_end(writer), -ECANCELED);
    ck_assert_int_eq(weft_rwlock_release_write(&lock), 0);
    ck_assert_int_eq(beside_end(beside(write_at, &now)), 0);
}
END_TEST

START_TEST(a_writer_may_read_on)
{
    ck_assert_int_eq(weft_rwlock_acquire_write(&lock, WEFT_FOREVER), 0);
    weft_task *reader = beside(read_at, &forever), *writer = beside(write_at, &forever);
    fixture_until(readers_waiting() == 1);
    ck_assert_int_eq(weft_rwlock_downgrade(&lock), 0);
    ck_assert_int_eq(beside_end(reader), 0);
    ck_fails(weft_task_join(writer, WEFT_NOW), EAGAIN);
    ck_assert_uint_eq(weft_rwlock_readers(&lock), 1);
    ck_fails(weft_rwlock_release_write(&lock), EPERM);
    ck_assert_int_eq(weft_rwlock_release_read(&lock), 0);
    ck_assert_int_eq(beside_end(writer), 0);
}
END_TEST

static int leave_by_return(void)
{
    weft_with_write (&lock)
        return weft_rwlock_written(&lock);
    return -1;
}

static weft_value with_each(weft_value data)
{
    int *inside = weft_as_ptr(data);
    weft_with_read (&lock)
        ++*inside;
    weft_with_write (&lock)
        ++*inside;
    return outcome(weft_rwlock_acquire_write(&lock, WEFT_FOREVER));
}

START_TEST(blocks_hold_it)
{
    int inside = 0;
    weft_with_read (&lock) {
        ck_assert_uint_eq(weft_rwlock_readers(&lock), 1);
        inside++;
    }
    ck_assert_uint_eq(weft_rwlock_readers(&lock), 0);
    weft_with_write (&lock) {
        inside++;
        ck_assert(weft_rwlock_written(&lock));
        errno = 0;
        weft_with_read (&lock)
            inside += 100;
        ck_assert_int_eq(errno, EDEADLK);
        errno = 0;
        weft_with_write (&lock)
            inside += 100;
        ck_assert_int_eq(errno, EDEADLK);
        if (inside)
            break;
        inside += 100;
    }
    ck_assert_int_eq(inside, 2);
    ck_assert_int_eq(leave_by_return(), 1);
    ck_assert(!weft_rwlock_written(&lock));
}
END_TEST

START_TEST(blocks_are_entered_in_spite_of_cancellation)
{
    int inside = 0;
    ck_assert_int_eq(weft_rwlock_acquire_write(&lock, WEFT_FOREVER), 0);
    weft_task *task = beside(with_each, &inside);
    fixture_until(readers_waiting() == 1);
    weft_task_cancel(task);
    ck_assert_int_eq(weft_rwlock_release_write(&lock), 0);
    int result = beside_end(task);
    ck_assert(result == 0 || result == -ECANCELED); /* nobody waits in the last call unless it has to */
    ck_assert_int_eq(inside, 2);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, many_read_or_one_writes);
    tcase_add_test(tests, mistakes_are_told);
    tcase_add_test(tests, too_many_readers_are_refused);
    tcase_add_test(tests, a_waiting_writer_is_not_passed);
    tcase_add_test(tests, a_reader_waits_for_one_writer);
    tcase_add_test(tests, nobody_is_starved);
    tcase_add_test(tests, a_reader_leaves_at_its_deadline_or_cancellation);
    tcase_add_test(tests, a_writer_may_read_on);
    tcase_add_test(tests, blocks_hold_it);
    tcase_add_test(tests, blocks_are_entered_in_spite_of_cancellation);
}

int main(void)
{
    return fixture_main("rwlock", add);
}
