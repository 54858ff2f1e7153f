/* SPDX-License-Identifier: MIT */
#include "beside.h"

static weft_lock lock;
static weft_rlock rlock;
static weft_semaphore semaphore = WEFT_SEMAPHORE(2);

START_TEST(the_block_holds_it)
{
    int inside = 0;
    weft_with (&lock) {
        ck_assert(weft_lock_locked(&lock));
        weft_with (&semaphore)
            weft_with (&rlock)
                weft_with (&rlock) {
                    ck_assert(weft_rlock_locked(&rlock));
                    ck_assert_uint_eq(weft_semaphore_value(&semaphore), 1);
                    inside++;
                }
        ck_assert(!weft_rlock_locked(&rlock));
        ck_assert_uint_eq(weft_semaphore_value(&semaphore), 2);
    }
    ck_assert_int_eq(inside, 1);
    ck_assert(!weft_lock_locked(&lock));
}
END_TEST

static int leave_by_return(void)
{
    weft_with (&lock)
        weft_with (&rlock)
            return weft_lock_locked(&lock) && weft_rlock_locked(&rlock);
    return -1;
}

START_TEST(every_way_out_gives_it_back)
{
    ck_assert_int_eq(leave_by_return(), 1);
    ck_assert(!weft_lock_locked(&lock) && !weft_rlock_locked(&rlock));
    int rounds = 0, after = 0;
    for (int i = 0; i < 3; i++) {
        weft_with (&lock) {
            rounds++;
            if (i == 1)
                break; /* the block, not the loop */
            if (i == 2)
                continue;
            after++;
        }
        ck_assert(!weft_lock_locked(&lock));
    }
    ck_assert_int_eq(rounds, 3);
    ck_assert_int_eq(after, 1);
    weft_with (&lock)
        goto out;
    ck_abort_msg("goto went astray");
out:
    ck_assert(!weft_lock_locked(&lock));
}
END_TEST

START_TEST(a_death_is_seen)
{
    bool died = true;
    weft_with_seen (&lock, died)
        ck_assert(!died);
    died = true;
    weft_with_seen (&rlock, died)
        ck_assert(!died);
    died = true;
    weft_with_seen (&semaphore, died)
        ck_assert(!died);
}
END_TEST

START_TEST(what_cannot_be_taken_is_passed_over)
{
    int inside = 0;
    weft_with (&lock) {
        errno = 0;
        weft_with (&lock)
            inside++;
        ck_assert_int_eq(errno, EDEADLK);
        ck_assert(weft_lock_locked(&lock));
    }
    ck_assert_int_eq(inside, 0);
    ck_assert(!weft_lock_locked(&lock));
}
END_TEST

static weft_value take_each(weft_value data)
{
    int *taken = weft_as_ptr(data);
    weft_with (&lock)
        ++*taken;
    weft_with (&rlock)
        ++*taken;
    weft_with (&semaphore)
        ++*taken;
    return outcome(weft_event_wait(&(weft_event){0}, WEFT_FOREVER)); /* the cancellation was only put off */
}

START_TEST(cancellation_does_not_keep_from_taking)
{
    int taken = 0;
    ck_assert_int_eq(weft_lock_acquire(&lock, WEFT_FOREVER), 0);
    weft_task *task = beside(take_each, &taken);
    fixture_until(__atomic_load_n(&lock.word, __ATOMIC_ACQUIRE) & 1);
    weft_task_cancel(task);
    ck_assert_int_eq(weft_lock_release(&lock), 0);
    ck_assert_int_eq(beside_end(task), -ECANCELED);
    ck_assert_int_eq(taken, 3);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, the_block_holds_it);
    tcase_add_test(tests, every_way_out_gives_it_back);
    tcase_add_test(tests, a_death_is_seen);
    tcase_add_test(tests, what_cannot_be_taken_is_passed_over);
    tcase_add_test(tests, cancellation_does_not_keep_from_taking);
}

int main(void)
{
    return fixture_main("with", add);
}
