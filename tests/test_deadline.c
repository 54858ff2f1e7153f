/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <unistd.h>

#include "beside.h"

static weft_event never;
static const double soon = 0.005;

/*
 * Waits in each of the ways that a program has, without a deadline or with one that is far; how many of them ended otherwise than by
 * ETIMEDOUT.
 */
static int wait_in_each_way(void)
{
    static weft_lock lock;
    static weft_rwlock rwlock;
    static weft_condition condition;
    static uint32_t word;
    weft_semaphore none = WEFT_SEMAPHORE(0);
    weft_barrier meet = WEFT_BARRIER(2);
    weft_queue *queue = weft_queue_new(.capacity = 1);
    weft_value value;
    weft_future *future = weft_future_new();
    int ends[2], wrong = 0;
    ck_assert_int_eq(pipe(ends), 0);
    weft_case cases[] = {weft_case_event(&never), weft_case_time(weft_in(1000)), weft_case_descriptor(ends[0], POLLIN, NULL)};
    const struct {
        const char *what;
        int result, error;
    } ways[] = {
#define WAY(call) {#call, (errno = 0, (int)(call)), errno}
        WAY(weft_event_wait(&never, WEFT_FOREVER)),
        WAY(weft_event_wait(&never, weft_in(1000))),
        WAY(weft_sleep(1000)),
        WAY(weft_sleep_until(WEFT_FOREVER)),
        WAY(weft_wait(&word, 0, WEFT_FOREVER)),
        WAY(weft_semaphore_acquire(&none, WEFT_FOREVER)),
        WAY(weft_barrier_wait(&meet, WEFT_FOREVER)),
        WAY(weft_queue_get(queue, &value, WEFT_FOREVER)),
        WAY(weft_select(cases, 3, WEFT_FOREVER)),
        WAY(weft_select(cases, 2, weft_in(2000))),
        WAY(weft_future_result(future, &value, WEFT_FOREVER)),
        WAY(weft_wait_any(&future, 1, WEFT_FOREVER)),
        WAY((weft_lock_acquire(&lock, WEFT_FOREVER), weft_condition_wait(&condition, &lock, WEFT_FOREVER))),
        WAY((weft_rwlock_acquire_read(&rwlock, WEFT_FOREVER), weft_rwlock_acquire_write(&rwlock, WEFT_FOREVER))),
    };
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
        if (ways[i].result != -1 || ways[i].error != ETIMEDOUT) {
            fprintf(stderr, "%s: %d, %s\n", ways[i].what, ways[i].result, strerror(ways[i].error));
            wrong++;
        }
    weft_lock_release(&lock);
    weft_rwlock_release_read(&rwlock);
    weft_future_free(future);
    weft_queue_free(queue);
    close(ends[0]);
    close(ends[1]);
    return wrong;
}

START_TEST(every_wait_in_the_block_ends)
{
    int rounds = 0;
    weft_deadline (weft_in(soon)) {
        ck_assert_int_eq(wait_in_each_way(), 0);
        rounds++;
    }
    weft_deadline (WEFT_NOW)
        ck_assert_int_eq(wait_in_each_way(), 0);
    weft_deadline (-5)
        ck_assert_int_eq(wait_in_each_way(), 0);
    ck_assert_int_eq(rounds, 1);
    ck_assert_int_eq(weft_deadline_current(), WEFT_FOREVER);
}
END_TEST

START_TEST(the_earlier_deadline_counts)
{
    weft_time far = weft_in(1000), late = weft_in(soon);
    weft_deadline (far) {
        ck_assert_int_eq(weft_deadline_current(), far);
        ck_fails(weft_event_wait(&never, weft_in(soon)), ETIMEDOUT);
        ck_assert_int_eq(weft_sleep(soon), 0);
        ck_fails(weft_event_wait(&never, WEFT_NOW), EAGAIN);
        weft_deadline (late) {
            ck_assert_int_eq(weft_deadline_current(), late);
            weft_deadline (far)
                ck_assert_int_eq(weft_deadline_current(), late);
            ck_fails(weft_event_wait(&never, WEFT_FOREVER), ETIMEDOUT);
            ck_fails(weft_event_wait(&never, WEFT_NOW), EAGAIN);
        }
        ck_assert_int_eq(weft_deadline_current(), far);
        weft_deadline (WEFT_FOREVER)
            ck_assert_int_eq(weft_deadline_current(), far);
    }
    ck_assert_int_eq(weft_deadline_current(), WEFT_FOREVER);
    weft_deadline (WEFT_FOREVER)
        ck_fails(weft_event_wait(&never, weft_in(soon)), ETIMEDOUT);
}
END_TEST

START_TEST(what_need_not_wait_succeeds)
{
    weft_event set = {0};
    weft_lock lock = {0};
    weft_event_set(&set);
    weft_deadline (WEFT_NOW) {
        ck_assert_int_eq(weft_event_wait(&set, WEFT_FOREVER), 0);
        ck_assert_int_eq(weft_lock_acquire(&lock, WEFT_FOREVER), 0);
        ck_assert_int_eq(weft_lock_release(&lock), 0);
        ck_assert_int_eq(weft_sleep(0), 0);
    }
}
END_TEST

static int leave_by_return(void)
{
    weft_deadline (WEFT_NOW)
        return weft_deadline_current() != WEFT_FOREVER;
    return -1;
}

START_TEST(every_way_out_ends_it)
{
    ck_assert_int_eq(leave_by_return(), 1);
    ck_assert_int_eq(weft_deadline_current(), WEFT_FOREVER);
    for (int i = 0; i < 2; i++) {
        weft_deadline (WEFT_NOW) {
            if (i)
                break;
            continue;
        }
        ck_assert_int_eq(weft_deadline_current(), WEFT_FOREVER);
    }
    weft_deadline (WEFT_NOW)
        weft_deadline (WEFT_NOW)
            goto out;
out:
    ck_assert_int_eq(weft_deadline_current(), WEFT_FOREVER);
}
END_TEST

static weft_lock held;

static weft_value hold(weft_value taken)
{
    weft_with (&held) {
        weft_event_set(weft_as_ptr(taken));
        fixture_until(__atomic_load_n(&held.word, __ATOMIC_ACQUIRE) & 7); /* somebody waits for it */
    }
    return weft_int(0);
}

/* A lock's word tells of waiters only while they wait: the block is entered when its deadline has long passed. */
START_TEST(what_cannot_be_cancelled_does_not_end)
{
    weft_event taken = {0};
    int inside = 0;
    weft_task *holder = beside(hold, &taken);
    ck_assert_int_eq(weft_event_wait(&taken, WEFT_FOREVER), 0);
    weft_deadline (WEFT_NOW)
        weft_with (&held)
            inside++;
    ck_assert_int_eq(inside, 1);
    ck_assert_int_eq(beside_end(holder), 0);
    weft_deadline (WEFT_NOW) {
        weft_shield
        {
            ck_assert_int_eq(weft_deadline_current(), WEFT_FOREVER);
            ck_assert_int_eq(weft_sleep(soon), 0);
            weft_deadline (weft_in(soon)) {
                ck_fails(weft_event_wait(&never, WEFT_FOREVER), ETIMEDOUT);
                weft_shield ck_assert_int_eq(weft_sleep(soon), 0);
            }
            ck_assert_int_eq(weft_deadline_current(), WEFT_FOREVER);
        }
        ck_fails(weft_sleep(1000), ETIMEDOUT);
    }
}
END_TEST

static weft_value deadline_here(weft_value none)
{
    (void)none;
    return weft_int(weft_deadline_current());
}

START_TEST(others_do_not_inherit_it)
{
    weft_value value;
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1);
    weft_task *task = NULL;
    weft_future *future = NULL;
    weft_deadline (weft_in(1000)) {
        task = beside(deadline_here, NULL);
        future = weft_pool_submit(pool, deadline_here, weft_none);
    }
    ck_assert_int_eq(weft_task_result(task, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(value), WEFT_FOREVER);
    ck_assert_int_eq(weft_future_result(future, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(value), WEFT_FOREVER);
    weft_task_free(task);
    weft_future_free(future);
    weft_pool_free(pool);
}
END_TEST

/*
 * A worker that waits for a task of its own pool with a deadline of its own does not run it itself, and one whose block has a deadline
 * neither.
 */
static weft_value wait_for_next(weft_value pool)
{
    weft_value value;
    int result = 0;
    weft_future *next = weft_pool_submit(weft_as_ptr(pool), deadline_here, weft_none);
    weft_deadline (weft_in(1000))
        result = weft_future_result(next, &value, WEFT_FOREVER);
    weft_future_free(next);
    return result == 0 ? value : weft_int(-1);
}

START_TEST(a_task_that_a_waiter_runs_does_not_inherit_it)
{
    weft_value value;
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 1);
    weft_future *future = weft_pool_submit(pool, wait_for_next, weft_ptr(pool));
    ck_assert_int_eq(weft_future_result(future, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(value), WEFT_FOREVER);
    weft_future_free(future);
    weft_pool_free(pool);
}
END_TEST

static weft_value cancelled_in_the_block(weft_value none)
{
    (void)none;
    weft_deadline (weft_in(1000))
        return outcome(weft_event_wait(&never, WEFT_FOREVER));
    return weft_none;
}

START_TEST(cancellation_comes_first)
{
    weft_task *task = beside(cancelled_in_the_block, NULL);
    weft_task_cancel(task);
    ck_assert_int_eq(beside_end(task), -ECANCELED);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, every_wait_in_the_block_ends);
    tcase_add_test(tests, the_earlier_deadline_counts);
    tcase_add_test(tests, what_need_not_wait_succeeds);
    tcase_add_test(tests, every_way_out_ends_it);
    tcase_add_test(tests, what_cannot_be_cancelled_does_not_end);
    tcase_add_test(tests, others_do_not_inherit_it);
    tcase_add_test(tests, a_task_that_a_waiter_runs_does_not_inherit_it);
    tcase_add_test(tests, cancellation_comes_first);
}

int main(void)
{
    return fixture_main("deadline", add);
}
