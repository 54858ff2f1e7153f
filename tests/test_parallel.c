/* SPDX-License-Identifier: MIT */
/* Loops whose iterations run side by side. */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "pool/pool.h"
#include "pool_tasks.h"

enum { MOST = 1000 };

static uint32_t calls[MOST];
static uint32_t sum;
static weft_pool *pool;
static struct gate gate;

static void set_up(void)
{
    memset(calls, 0, sizeof(calls));
    gate = (struct gate){0};
    sum = 0;
    pool = weft_pool_new(WEFT_THREAD, .workers = 2);
    ck_assert_ptr_nonnull(pool);
}

static void tear_down(void)
{
    weft_event_set(&gate.open);
    weft_pool_free(pool);
}

static int count_index(size_t index, void *data)
{
    __atomic_add_fetch(&((uint32_t *)data)[index], 1, __ATOMIC_RELAXED);
    return 0;
}

static int count_range(size_t first, size_t end, void *data)
{
    if (first >= end || end > MOST)
        return -1;
    for (size_t index = first; index < end; index++)
        count_index(index, data);
    return 0;
}

static int count_one(size_t index, void *unused)
{
    (void)index;
    (void)unused;
    __atomic_add_fetch(&sum, 1, __ATOMIC_RELAXED);
    return 0;
}

static void assert_called(size_t count, uint32_t times)
{
    for (size_t i = 0; i < MOST; i++)
        ck_assert_uint_eq(calls[i], i < count ? times : 0);
}

static void loop_each_way(size_t count, size_t chunk, unsigned workers)
{
    memset(calls, 0, sizeof(calls));
    ck_assert_int_eq(weft_parallel_for(count, count_index, calls, .pool = pool, .chunk = chunk, .workers = workers), 0);
    assert_called(count, 1);
    ck_assert_int_eq(weft_parallel_ranges(count, count_range, calls, .pool = pool, .chunk = chunk, .workers = workers), 0);
    assert_called(count, 2);
}

START_TEST(each_index_is_called_once)
{
    static const size_t counts[] = {0, 1, 2, 7, 64, MOST}, chunks[] = {0, 1, 3, 64, MOST, PTRDIFF_MAX};
    static const unsigned workers[] = {0, 1, 2, 5};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        for (size_t j = 0; j < sizeof(chunks) / sizeof(chunks[0]); j++)
            for (size_t k = 0; k < sizeof(workers) / sizeof(workers[0]); k++)
                loop_each_way(counts[i], chunks[j], workers[k]);
    struct weft_pool_counts counted;
    weft_pool_count(pool, &counted);
    ck_assert_uint_eq(counted.queued, 0);
    ck_assert_uint_eq(counted.cancelled + counted.failed, 0);
}
END_TEST

static int wait_for_all_others(size_t index, void *unused)
{
    if (index == 0)
        fixture_until(__atomic_load_n(&sum, __ATOMIC_RELAXED) == MOST - 1);
    return count_one(index, unused);
}

/* Who waits in the first iteration has taken others besides. */
START_TEST(what_is_taken_and_not_begun_is_done_by_others)
{
    ck_assert_int_eq(weft_parallel_for(MOST, wait_for_all_others, NULL, .pool = pool, .chunk = 1), 0);
    ck_assert_uint_eq(sum, MOST);
}
END_TEST

START_TEST(bad_calls_are_refused)
{
    ck_fails(weft_parallel_for(3, NULL, NULL, .pool = pool), EINVAL);
    ck_fails(weft_parallel_for((size_t)-1, count_one, NULL, .pool = pool), EINVAL);
    ck_fails(weft_parallel_for(1, count_one, NULL, .pool = pool, .chunk = (size_t)-1), EINVAL);
    ck_fails(weft_parallel_for_with(NULL), EINVAL);
    ck_fails(weft_parallel_ranges(3, NULL, NULL, .pool = pool), EINVAL);
    ck_fails(weft_parallel_ranges_with(NULL), EINVAL);
    ck_assert_uint_eq(sum, 0);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    ck_fails(weft_parallel_for(3, count_one, NULL, .pool = pool), ESHUTDOWN);
    ck_assert_uint_eq(sum, 0);
}
END_TEST

START_TEST(an_older_programs_options_are_read)
{
    struct weft_parallel_for_options options = {
        .size = offsetof(struct weft_parallel_for_options, chunk), .count = 10, .function = count_one, .pool = pool};
    options.chunk = (size_t)-1; /* beyond its size, so not read */
    ck_assert_int_eq(weft_parallel_for_with(&options), 0);
    ck_assert_uint_eq(sum, 10);
}
END_TEST

static int fail_at_five(size_t index, void *error)
{
    count_one(index, NULL);
    if (index != 5)
        return 0;
    errno = *(int *)error;
    return -1;
}

START_TEST(a_failure_ends_the_loop)
{
    int error = ENOENT;
    ck_fails(weft_parallel_for(100, fail_at_five, &error, .pool = pool, .chunk = 10, .workers = 1), ENOENT);
    ck_assert_uint_eq(sum, 6); /* the rest of its chunk neither */
    error = 0;
    ck_fails(weft_parallel_for(100, fail_at_five, &error, .pool = pool), EINVAL);
    error = ERANGE;
    ck_fails(weft_parallel_for(100, fail_at_five, &error, .pool = pool, .chunk = 1), ERANGE);
    ck_assert(!weft_cancelled());
    ck_assert_int_eq(weft_pool_apply(pool, twice, weft_int(1), NULL, WEFT_FOREVER), 0);
}
END_TEST

/* Two iterations that meet: the caller's and a worker's. Then one fails, and the other waits for ever. */
struct meeting {
    uint32_t arrived;
    bool caller_fails;
    int other; /* the errno of who waited */
};

static bool is_main(void)
{
    return weft_current() == weft_main();
}

static void meet(uint32_t *arrived)
{
    __atomic_add_fetch(arrived, 1, __ATOMIC_ACQ_REL);
    fixture_until(__atomic_load_n(arrived, __ATOMIC_ACQUIRE) == 2);
}

static int meet_and_fail(size_t index, void *data)
{
    (void)index;
    struct meeting *meeting = data;
    meet(&meeting->arrived);
    if (is_main() != meeting->caller_fails) {
        int result = weft_event_wait(&gate.open, WEFT_FOREVER);
        meeting->other = errno;
        return result;
    }
    errno = ENOENT;
    return -1;
}

START_TEST(a_failure_ends_the_waits_of_the_others)
{
    for (int caller_fails = 0; caller_fails < 2; caller_fails++) {
        struct meeting meeting = {.caller_fails = caller_fails};
        ck_fails(weft_parallel_for(2, meet_and_fail, &meeting, .pool = pool, .chunk = 1), ENOENT);
        ck_assert_int_eq(meeting.other, ECANCELED);
        ck_assert(!weft_cancelled());
        ck_assert_int_eq(weft_sleep(0.0001), 0); /* neither is the caller cancelled for good, nor a worker */
        weft_value slept = weft_none;
        ck_assert_int_eq(weft_pool_apply(pool, nothing, weft_none, &slept, WEFT_FOREVER), 0);
    }
}
END_TEST

static int wait_in_each(size_t index, void *unused)
{
    (void)index;
    (void)unused;
    weft_value result = wait_at(weft_ptr(&gate));
    errno = weft_error_code(result);
    weft_drop(result);
    return errno ? -1 : 0;
}

static weft_value loop_of_waits(weft_value count)
{
    return weft_parallel_for((size_t)weft_as_int(count), wait_in_each, NULL, .pool = pool, .chunk = 1) == 0 ? weft_none
                                                                                                            : weft_error(errno, NULL);
}

static int error_of(weft_task *task)
{
    weft_value value = weft_none;
    ck_assert_int_eq(weft_task_result(task, &value, WEFT_FOREVER), 0);
    weft_task_free(task);
    int error = weft_error_code(value);
    weft_drop(value);
    return error;
}

START_TEST(a_cancel_of_the_caller_ends_the_loop)
{
    weft_task *thread = weft_spawn(WEFT_THREAD, loop_of_waits, weft_int(10));
    fixture_until(gate_reached(&gate) == 2);
    weft_task_cancel(thread);
    ck_assert_int_eq(error_of(thread), ECANCELED);
    ck_assert_uint_eq(gate_reached(&gate), 2);
}
END_TEST

START_TEST(a_cancel_of_a_task_that_calls_ends_the_loop)
{
    weft_future *future = weft_pool_submit(pool, loop_of_waits, weft_int(10));
    fixture_until(gate_reached(&gate) == 2);
    ck_assert(weft_future_cancel(future));
    ck_assert_int_eq(weft_future_result(future, NULL, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_future_outcome(future), WEFT_CANCELLED);
    ck_assert_uint_eq(gate_reached(&gate), 2);
    weft_future_free(future);
}
END_TEST

static int worker_waits(size_t index, void *caller)
{
    uint64_t *ident = caller;
    if (*ident == weft_task_ident(weft_current())) {
        fixture_until(gate_reached(&gate) == 1);
        return 0;
    }
    return wait_in_each(index, NULL);
}

static weft_value leave_the_waiting_to_a_worker(weft_value unused)
{
    (void)unused;
    uint64_t ident = weft_task_ident(weft_current());
    int result = weft_parallel_for(2, worker_waits, &ident, .pool = pool, .chunk = 1);
    return result == 0 ? weft_none : weft_error(errno, NULL);
}

START_TEST(a_cancel_while_the_caller_waits_for_the_last_ends_that)
{
    weft_task *thread = weft_spawn(WEFT_THREAD, leave_the_waiting_to_a_worker, weft_none);
    fixture_until(gate_reached(&gate) == 1);
    weft_task_cancel(thread);
    ck_assert_int_eq(error_of(thread), ECANCELED);
}
END_TEST

static weft_value shielded_loop(weft_value count)
{
    weft_value result = weft_none;
    weft_shield
    {
        result = loop_of_waits(count);
    }
    return result;
}

START_TEST(a_shield_covers_the_loop)
{
    weft_task *thread = weft_spawn(WEFT_THREAD, shielded_loop, weft_int(10));
    fixture_until(gate_reached(&gate) == 2);
    weft_task_cancel(thread);
    weft_event_set(&gate.open);
    ck_assert_int_eq(error_of(thread), 0);
    ck_assert_uint_eq(gate_reached(&gate), 10);
}
END_TEST

static weft_value loop_when_cancelled(weft_value unused)
{
    (void)unused;
    weft_event_wait(&gate.open, WEFT_FOREVER);
    ck_assert(weft_cancelled());
    return loop_of_waits(weft_int(3));
}

START_TEST(who_is_cancelled_begins_no_loop)
{
    weft_task *thread = weft_spawn(WEFT_THREAD, loop_when_cancelled, weft_none);
    weft_task_cancel(thread);
    ck_assert_int_eq(error_of(thread), ECANCELED);
    ck_assert_uint_eq(gate_reached(&gate), 0);
}
END_TEST

static int meet_and_wait(size_t index, void *arrived)
{
    (void)index;
    meet(arrived);
    return weft_event_wait(&gate.open, WEFT_FOREVER);
}

START_TEST(a_deadline_around_holds_in_all_iterations)
{
    uint32_t arrived = 0;
    int result = 0, error = 0;
    weft_deadline (weft_in(0.05)) {
        result = weft_parallel_for(2, meet_and_wait, &arrived, .pool = pool, .chunk = 1);
        error = errno;
    }
    ck_assert_int_eq(result, -1);
    ck_assert_int_eq(error, ETIMEDOUT);
    ck_assert_int_eq(weft_pool_apply(pool, twice, weft_int(1), NULL, WEFT_FOREVER), 0);
}
END_TEST

static int level(size_t index, void *depth)
{
    (void)index;
    int deeper = *(int *)depth - 1;
    if (deeper == 0)
        return count_one(0, NULL);
    if (weft_pool_apply(pool, twice, weft_int(4), NULL, WEFT_FOREVER) != 0)
        return -1;
    return weft_parallel_for(4, level, &deeper, .pool = pool);
}

static weft_value loop_in_task(weft_value depth)
{
    int levels = (int)weft_as_int(depth);
    return weft_int(level(0, &levels));
}

START_TEST(loops_stand_inside_loops)
{
    for (unsigned workers = 1; workers <= 3; workers++) {
        weft_pool_free(pool);
        pool = weft_pool_new(WEFT_THREAD, .workers = workers, .backlog = 4);
        sum = 0;
        int depth = 4;
        ck_assert_int_eq(level(0, &depth), 0);
        ck_assert_uint_eq(sum, 64);
        weft_future *futures[4];
        for (int i = 0; i < 4; i++)
            futures[i] = weft_pool_submit(pool, loop_in_task, weft_int(4));
        for (int i = 0; i < 4; i++)
            ck_assert_int_eq((int)integer_of(futures[i]), 0);
        ck_assert_uint_eq(sum, 5 * 64);
    }
}
END_TEST

static int in_own_pool(size_t index, void *unused)
{
    (void)index;
    (void)unused;
    return strncmp(weft_task_name(weft_current()), "own-", 4) == 0 ? 0 : -1;
}

static weft_value loop_without_a_pool(weft_value unused)
{
    (void)unused;
    return weft_int(weft_parallel_for(100, in_own_pool, NULL, .chunk = 1));
}

START_TEST(inside_a_task_its_pool_is_used)
{
    weft_pool *own = weft_pool_new(WEFT_THREAD, .workers = 2, .name = "own");
    ck_assert_int_eq((int)integer_of(weft_pool_submit(own, loop_without_a_pool, weft_none)), 0);
    weft_pool_free(own);
    ck_assert_uint_eq(weft_active_count(), 1); /* no default pool */
}
END_TEST

START_TEST(outside_of_pools_there_is_a_default_one)
{
    ck_assert_int_eq(weft_parallel_for(100, count_one, NULL), 0);
    ck_assert_uint_eq(sum, 100);
    weft_pool *first = weft_default_pool();
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_eq(first, weft_default_pool());
    ck_assert_int_eq((int)integer_of(weft_pool_submit(first, twice, weft_int(2))), 4);
    ck_assert_int_eq(weft_pool_shutdown(first, false, WEFT_FOREVER), 0);
    weft_pool *second = weft_default_pool();
    ck_assert_ptr_nonnull(second);
    ck_assert_ptr_ne(first, second);
    ck_assert_int_eq(weft_parallel_for(100, count_one, NULL), 0);
    ck_assert_uint_eq(sum, 200);
    ck_assert_int_eq(weft_pool_shutdown(second, false, WEFT_FOREVER), 0);
}
END_TEST

static int by_caller(size_t index, void *unused)
{
    (void)index;
    (void)unused;
    return is_main() ? 0 : -1;
}

START_TEST(without_free_workers_the_caller_does_it_all)
{
    for (enum weft_full_policy policy = WEFT_FULL_WAIT; policy <= WEFT_FULL_RUN; policy++) {
        gate = (struct gate){0};
        weft_pool *busy = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = 1, .when_full = policy);
        ck_assert_int_eq(weft_pool_start(busy, wait_at, weft_ptr(&gate)), 0);
        fixture_until(gate_reached(&gate) == 1);
        ck_assert_int_eq(weft_parallel_for(50, by_caller, NULL, .pool = busy, .workers = 3, .chunk = 1), 0);
        ck_assert_int_eq(weft_pool_start(busy, nothing, weft_none), 0); /* what was not needed has left the line */
        ck_assert_int_eq(weft_parallel_for(50, by_caller, NULL, .pool = busy, .workers = 3, .chunk = 1), 0);
        weft_event_set(&gate.open);
        weft_pool_free(busy);
    }
}
END_TEST

START_TEST(alone_if_so_asked)
{
    ck_assert_int_eq(weft_parallel_for(50, by_caller, NULL, .pool = pool, .workers = 1, .chunk = 1), 0);
    struct weft_pool_counts counts;
    weft_pool_count(pool, &counts);
    ck_assert_uint_eq(counts.workers, 0);
}
END_TEST

START_TEST(terminate_ends_the_loop)
{
    weft_task *thread = weft_spawn(WEFT_THREAD, loop_of_waits, weft_int(10));
    fixture_until(gate_reached(&gate) == 2);
    ck_assert_int_eq(weft_pool_terminate(pool, WEFT_FOREVER), 0);
    ck_assert_int_eq(error_of(thread), ECANCELED);
    ck_assert_uint_eq(gate_reached(&gate), 2);
}
END_TEST

START_TEST(shutdown_waits_for_the_loop)
{
    weft_task *thread = weft_spawn(WEFT_THREAD, loop_of_waits, weft_int(10));
    fixture_until(gate_reached(&gate) == 2);
    ck_fails(weft_pool_shutdown(pool, true, weft_in(0.01)), ETIMEDOUT);
    weft_event_set(&gate.open);
    ck_assert_int_eq(weft_pool_shutdown(pool, true, WEFT_FOREVER), 0);
    ck_assert_uint_eq(gate_reached(&gate), 10);
    ck_assert_int_eq(error_of(thread), 0);
}
END_TEST

START_TEST(a_forked_child_has_no_pool)
{
    ck_assert_int_eq(weft_parallel_for(10, count_one, NULL, .pool = pool), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(weft_parallel_for(10, count_one, NULL, .pool = pool) == -1 && errno == ESTALE ? 0 : 1);
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

#ifdef WEFTI_SMALL
void weft_small_fail_after(long n);
long weft_small_asked(void);

START_TEST(what_cannot_be_allocated_or_started_is_done_without)
{
    bool failed = true;
    for (long n = 1; failed; n++) {
        weft_pool *own = weft_pool_new(WEFT_THREAD, .workers = 3);
        sum = 0;
        weft_small_fail_after(n);
        int result = weft_parallel_for(100, count_one, NULL, .pool = own, .chunk = 1);
        failed = weft_small_asked() >= n;
        weft_small_fail_after(0);
        ck_assert_int_eq(result, 0);
        ck_assert_uint_eq(sum, 100);
        weft_pool_free(own);
    }
    weft_small_fail_after(1);
    ck_fails(weft_parallel_for(100, count_one, NULL), ENOMEM);
    weft_small_fail_after(0);
}
END_TEST
#endif

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, each_index_is_called_once);
    tcase_add_test(tests, what_is_taken_and_not_begun_is_done_by_others);
    tcase_add_test(tests, bad_calls_are_refused);
    tcase_add_test(tests, an_older_programs_options_are_read);
    tcase_add_test(tests, a_failure_ends_the_loop);
    tcase_add_test(tests, a_failure_ends_the_waits_of_the_others);
    tcase_add_test(tests, a_cancel_of_the_caller_ends_the_loop);
    tcase_add_test(tests, a_cancel_of_a_task_that_calls_ends_the_loop);
    tcase_add_test(tests, a_cancel_while_the_caller_waits_for_the_last_ends_that);
    tcase_add_test(tests, a_shield_covers_the_loop);
    tcase_add_test(tests, who_is_cancelled_begins_no_loop);
    tcase_add_test(tests, a_deadline_around_holds_in_all_iterations);
    tcase_add_test(tests, loops_stand_inside_loops);
    tcase_add_test(tests, inside_a_task_its_pool_is_used);
    tcase_add_test(tests, outside_of_pools_there_is_a_default_one);
    tcase_add_test(tests, without_free_workers_the_caller_does_it_all);
    tcase_add_test(tests, alone_if_so_asked);
    tcase_add_test(tests, terminate_ends_the_loop);
    tcase_add_test(tests, shutdown_waits_for_the_loop);
    tcase_add_test(tests, a_forked_child_has_no_pool);
#ifdef WEFTI_SMALL
    tcase_add_test(tests, what_cannot_be_allocated_or_started_is_done_without);
#endif
}

int main(void)
{
    return fixture_main("parallel", add);
}
