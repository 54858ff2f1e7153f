/* SPDX-License-Identifier: MIT */
/* Tasks of a pool that wait for other tasks: of the same pool, of another, for each other. */
#include "fixture.h"
#include "pool/pool.h"
#include "pool_tasks.h"

/* Deeper than tasks may run inside one another, where that is not too many. */
enum { DEEP = WEFTI_POOL_DEPTH < 10 ? WEFTI_POOL_DEPTH : 10 };

static weft_pool *pool;

/* What the function gives, run in a new pool, which is left in `pool` with what is counted in it. */
static int64_t run_in_pool(unsigned workers, size_t backlog, weft_function *function, int64_t argument)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = workers, .backlog = backlog);
    return integer_of(weft_pool_submit(pool, function, weft_int(argument)));
}

/* The same with a pool that ends with it. */
static int64_t run_alone(unsigned workers, size_t backlog, weft_function *function, int64_t argument)
{
    int64_t result = run_in_pool(workers, backlog, function, argument);
    weft_pool_free(pool);
    return result;
}

static weft_value fibonacci(weft_value number)
{
    int64_t n = weft_as_int(number);
    if (n < 2)
        return weft_int(n);
    weft_future *one = weft_pool_submit(pool, fibonacci, weft_int(n - 1)), *two = weft_pool_submit(pool, fibonacci, weft_int(n - 2));
    return weft_int(integer_of(one) + integer_of(two));
}

START_TEST(a_recursion_of_tasks_ends_however_few_workers)
{
    for (unsigned workers = 1; workers <= 3; workers++) {
        ck_assert_int_eq(run_alone(workers, WEFT_UNBOUNDED, fibonacci, DEEP), DEEP == 10 ? 55 : 2);
        ck_assert_int_eq(run_alone(workers, 3, fibonacci, DEEP), DEEP == 10 ? 55 : 2);
    }
}
END_TEST

/* Each level submits the next and waits for it; gives how many threads were seen. */
static weft_value descend(weft_value level)
{
    int64_t n = weft_as_int(level);
    return n == 0 ? weft_int(0) : weft_int(1 + integer_of(weft_pool_submit(pool, descend, weft_int(n - 1))));
}

START_TEST(beyond_the_depth_another_worker_stands_in)
{
    ck_assert_int_eq(run_in_pool(1, 0, descend, 2 * WEFTI_POOL_DEPTH), 2 * WEFTI_POOL_DEPTH);
    ck_assert_uint_ge(counts_of(pool).workers, 2);
    ck_assert_uint_le(counts_of(pool).workers, 3);
    weft_pool_free(pool);
}
END_TEST

static weft_value descend_in_time(weft_value level)
{
    int64_t n = weft_as_int(level);
    if (n == 0)
        return weft_int(0);
    weft_future *next = weft_pool_submit(pool, descend_in_time, weft_int(n - 1));
    weft_value value;
    int result = weft_future_result(next, &value, weft_in(60));
    if (result != 0)
        value = weft_error(errno, NULL);
    if (result != 0)
        weft_future_cancel(next);
    weft_future_free(next);
    return weft_is_error(value) ? value : weft_int(1 + weft_as_int(value));
}

START_TEST(a_wait_with_a_deadline_has_a_stand_in)
{
    ck_assert_int_eq(run_in_pool(1, 0, descend_in_time, 3), 3);
    ck_assert_uint_eq(counts_of(pool).workers, 4);
    weft_pool_free(pool);
}
END_TEST

START_TEST(beyond_the_stand_ins_a_wait_fails)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = 1, .stack_size = 64 * 1024);
    weft_value value;
    ck_assert_int_eq(weft_pool_apply(pool, descend_in_time, weft_int(WEFTI_POOL_STAND_INS), &value, WEFT_FOREVER), 0);
    ck_assert_int_eq((int)weft_as_int(value), WEFTI_POOL_STAND_INS);
    ck_assert_int_eq(weft_pool_apply(pool, descend_in_time, weft_int(WEFTI_POOL_STAND_INS + 1), &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_error_code(value), EDEADLK);
    weft_drop(value);
    weft_pool_free(pool);
}
END_TEST

/* The most that ran at one time, by their own count. */
static struct {
    uint32_t now, most;
} running;

static weft_value run_a_while(weft_value unused)
{
    (void)unused;
    uint32_t now = __atomic_add_fetch(&running.now, 1, __ATOMIC_RELAXED), most = __atomic_load_n(&running.most, __ATOMIC_RELAXED);
    while (now > most && !__atomic_compare_exchange_n(&running.most, &most, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
    weft_sleep(0.002);
    __atomic_sub_fetch(&running.now, 1, __ATOMIC_RELAXED);
    return weft_none;
}

START_TEST(stand_ins_rest_when_those_they_stood_in_for_are_back)
{
    ck_assert_int_eq(run_in_pool(2, 100, descend_in_time, 3), 3);
    running.now = running.most = 0;
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(weft_pool_start(pool, run_a_while, weft_none), 0);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    ck_assert_uint_le(running.most, 5); /* once the shutdown has begun all may help; before, two run */
    weft_pool_free(pool);
    ck_assert_int_eq(run_in_pool(2, 100, descend_in_time, 3), 3);
    running.now = running.most = 0;
    weft_future *futures[20];
    for (int i = 0; i < 20; i++)
        futures[i] = weft_pool_submit(pool, run_a_while, weft_none);
    ck_assert_int_eq(weft_wait_all(futures, 20, WEFT_FOREVER), 0);
    ck_assert_uint_le(running.most, 2);
    for (int i = 0; i < 20; i++)
        weft_future_free(futures[i]);
    weft_pool_free(pool);
}
END_TEST

static weft_future *pair[2];
static weft_event pair_made;

/* Waits for the other of the pair: the errno. */
static weft_value wait_for_other(weft_value which)
{
    weft_event_wait(&pair_made, WEFT_FOREVER);
    return weft_future_result(pair[1 - weft_as_int(which)], NULL, WEFT_FOREVER) == 0 ? weft_int(0) : weft_int(errno);
}

static void wait_for_each_other(weft_pool *first, weft_pool *second)
{
    pair[0] = weft_pool_submit(first, wait_for_other, weft_int(0));
    pair[1] = weft_pool_submit(second, wait_for_other, weft_int(1));
    fixture_until(weft_future_running(pair[0]) && weft_future_running(pair[1]));
    weft_event_set(&pair_made);
    ck_assert_int_eq(weft_wait_all(pair, 2, WEFT_FOREVER), 0);
    ck_assert_int_eq((int)(integer_of(pair[0]) + integer_of(pair[1])), EDEADLK); /* one of them only */
}

START_TEST(two_that_wait_for_each_other_are_told)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = 2);
    wait_for_each_other(pool, pool);
    weft_pool_free(pool);
}
END_TEST

START_TEST(two_of_different_pools_that_wait_for_each_other_are_told)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = 1);
    weft_pool *other = weft_pool_new(WEFT_THREAD, .workers = 1);
    wait_for_each_other(pool, other);
    weft_pool_free(pool);
    weft_pool_free(other);
}
END_TEST

static weft_value wait_for_itself(weft_value unused)
{
    (void)unused;
    weft_event_wait(&pair_made, WEFT_FOREVER);
    int in_time = weft_future_result(pair[0], NULL, weft_in(0.01)) == 0 ? 0 : errno;
    int for_ever = weft_future_result(pair[0], NULL, WEFT_FOREVER) == 0 ? 0 : errno;
    return weft_int(in_time == ETIMEDOUT ? for_ever : -1);
}

START_TEST(a_task_that_waits_for_itself_is_told)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = 1);
    pair[0] = weft_pool_submit(pool, wait_for_itself, weft_none);
    weft_event_set(&pair_made);
    ck_assert_int_eq((int)integer_of(pair[0]), EDEADLK);
    weft_pool_free(pool);
}
END_TEST

static weft_value wait_for_any(weft_value unused)
{
    (void)unused;
    weft_future *futures[2] = {weft_pool_submit(pool, twice, weft_int(1)), weft_pool_submit(pool, twice, weft_int(2))};
    long first = weft_wait_any(futures, 2, WEFT_FOREVER);
    int64_t sum = integer_of(futures[0]) + integer_of(futures[1]);
    return weft_int(first >= 0 ? sum : -1);
}

START_TEST(a_wait_for_any_has_a_stand_in)
{
    ck_assert_int_eq(run_alone(1, 0, wait_for_any, 0), 6);
}
END_TEST

static struct gate inner_gate;
static weft_future *inner, *outer;

static weft_value wait_for_inner(weft_value unused)
{
    (void)unused;
    inner = weft_pool_submit(pool, wait_at, weft_ptr(&inner_gate), .name = "inner");
    int result = weft_future_result(inner, NULL, WEFT_FOREVER);
    bool cancelled = weft_cancelled();
    if (result == 0 && weft_future_outcome(inner) == WEFT_CANCELLED && !cancelled)
        return weft_int(weft_sleep(0.001) == 0);
    return weft_sleep(20) == 0 ? weft_int(2) : weft_error(errno, NULL);
}

/* Begins the outer task, and waits until the inner one runs inside of it. */
static void begin_inner(weft_function *waits)
{
    inner_gate = (struct gate){0};
    pool = weft_pool_new(WEFT_THREAD, .workers = 1);
    outer = weft_pool_submit(pool, waits, weft_none);
    fixture_until(gate_reached(&inner_gate) == 1);
}

static void free_inner(void)
{
    weft_future_free(inner);
    weft_pool_free(pool);
}

/* The sum of what `count` tasks give, taken by selects, each over all that are left. */
static weft_value select_all(weft_value count)
{
    enum { MOST = 8 };
    weft_case cases[MOST + 1] = {weft_case_time(WEFT_FOREVER)};
    weft_future *futures[MOST];
    weft_value results[MOST];
    int64_t n = weft_as_int(count), sum = 0;
    for (int64_t i = 0; i < n; i++) {
        futures[i] = weft_pool_submit(pool, twice, weft_int(i));
        cases[1 + i] = weft_case_future(futures[i], &results[i]);
    }
    for (int64_t i = 0; i < n; i++) {
        int at = weft_select(cases, (size_t)n + 1, WEFT_FOREVER);
        ck_assert_int_gt(at, 0);
        sum += weft_as_int(results[at - 1]);
        cases[at] = (weft_case){0};
        weft_future_free(futures[at - 1]);
    }
    return weft_int(sum);
}

START_TEST(a_select_has_a_stand_in)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        ck_assert_int_eq(run_in_pool(workers, 0, select_all, 8), 56);
        struct weft_pool_counts counts = counts_of(pool);
        ck_assert_uint_ge(counts.waits, workers == 1);
        ck_assert_uint_eq(counts.waiting, 0);
        ck_assert_int_eq(integer_of(weft_pool_submit(pool, select_all, weft_int(1))), 0);
        weft_pool_free(pool);
    }
}
END_TEST

START_TEST(a_cancel_of_the_inner_task_leaves_the_outer_alone)
{
    begin_inner(wait_for_inner);
    ck_assert(weft_future_cancel(inner));
    ck_assert_int_eq((int)integer_of(outer), 1);
    free_inner();
}
END_TEST

START_TEST(a_cancel_of_the_outer_task_waits_for_the_inner)
{
    begin_inner(wait_for_inner);
    ck_assert(weft_future_cancel(outer));
    ck_fails(weft_future_result(outer, NULL, weft_in(0.01)), ETIMEDOUT); /* the inner one goes on */
    weft_event_set(&inner_gate.open);
    ck_assert_int_eq(weft_future_result(outer, NULL, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_future_outcome(outer), WEFT_CANCELLED);
    ck_assert_int_eq(weft_future_outcome(inner), WEFT_DONE);
    weft_future_free(outer);
    free_inner();
}
END_TEST

START_TEST(terminate_reaches_tasks_inside_one_another)
{
    begin_inner(wait_for_inner);
    ck_assert_int_eq(weft_pool_terminate(pool, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_future_outcome(inner), WEFT_CANCELLED);
    ck_assert_int_eq(weft_future_outcome(outer), WEFT_CANCELLED);
    weft_future_free(outer);
    free_inner();
}
END_TEST

static weft_value shielded_wait(weft_value unused)
{
    (void)unused;
    weft_value result = weft_none;
    weft_shield
    {
        result = wait_for_inner(weft_none);
    }
    return result;
}

START_TEST(a_shield_of_the_outer_task_does_not_cover_the_inner)
{
    begin_inner(shielded_wait);
    ck_assert(weft_future_cancel(inner));
    ck_assert_int_eq((int)integer_of(outer), 1);
    free_inner();
}
END_TEST

/* A task that a full pool has its submitter run: in a thread of its own, which is cancelled meanwhile. */
static weft_value submit_to_full(weft_value unused)
{
    (void)unused;
    outer = weft_pool_submit(pool, wait_at, weft_ptr(&inner_gate));
    return weft_bool(weft_cancelled());
}

static weft_task *fill_and_submit(struct gate *gate)
{
    *gate = inner_gate = (struct gate){0};
    pool = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = 1, .when_full = WEFT_FULL_RUN);
    ck_assert_int_eq(weft_pool_start(pool, wait_at, weft_ptr(gate)), 0);
    fixture_until(gate_reached(gate) == 1);
    ck_assert_int_eq(weft_pool_start(pool, nothing, weft_none), 0);
    weft_task *thread = weft_spawn(WEFT_THREAD, submit_to_full, weft_none);
    fixture_until(gate_reached(&inner_gate) == 1);
    return thread;
}

static bool was_cancelled(weft_task *thread)
{
    weft_value value;
    ck_assert_int_eq(weft_task_result(thread, &value, WEFT_FOREVER), 0);
    weft_task_free(thread);
    return weft_as_bool(value);
}

START_TEST(a_caller_that_runs_a_task_stays_cancelled_itself)
{
    struct gate gate;
    weft_task *thread = fill_and_submit(&gate);
    weft_task_cancel(thread);
    ck_assert(was_cancelled(thread));
    ck_assert_int_eq(weft_future_outcome(outer), WEFT_FAILED); /* its wait failed, but nobody had cancelled it */
    ck_assert_int_eq(weft_future_result(outer, NULL, WEFT_NOW), 0);
    weft_future_free(outer);
    weft_event_set(&gate.open);
    weft_pool_free(pool);
}
END_TEST

START_TEST(terminate_reaches_a_task_that_its_submitter_runs)
{
    struct gate gate;
    weft_task *thread = fill_and_submit(&gate);
    ck_assert_int_eq(weft_pool_terminate(pool, WEFT_FOREVER), 0);
    ck_assert(!was_cancelled(thread));
    ck_assert_int_eq(weft_future_outcome(outer), WEFT_CANCELLED);
    weft_future_free(outer);
    weft_pool_free(pool);
}
END_TEST

static weft_lock held;

static weft_value wait_with_lock(weft_value unused)
{
    (void)unused;
    ck_assert_int_eq(weft_lock_acquire(&held, WEFT_FOREVER), 0);
    weft_future *future = weft_pool_submit(pool, twice, weft_int(3));
    int64_t six = integer_of(future);
    ck_assert_int_eq(weft_lock_release(&held), 0);
    return weft_int(six);
}

/* While one task waits, holding a lock, no other that wants the lock is put on its stack. */
START_TEST(only_the_task_that_is_waited_for_runs_inside)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = 2, .backlog = 100);
    weft_future *futures[50];
    for (int i = 0; i < 50; i++)
        futures[i] = weft_pool_submit(pool, wait_with_lock, weft_none);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq((int)integer_of(futures[i]), 6);
    weft_pool_free(pool);
}
END_TEST

static int wait_in_callback(weft_future *future, void *sum)
{
    (void)future;
    *(int64_t *)sum = integer_of(weft_pool_submit(pool, twice, weft_int(8)));
    return 0;
}

START_TEST(a_callback_may_submit_and_wait)
{
    int64_t sum = 0;
    pool = weft_pool_new(WEFT_THREAD, .workers = 1);
    weft_future *future = weft_pool_submit(pool, nothing, weft_none, .on_done = wait_in_callback, .data = &sum);
    fixture_until(weft_future_done(future));
    weft_future *after = weft_pool_submit(pool, nothing, weft_none);
    ck_assert_int_eq(weft_future_result(after, NULL, WEFT_FOREVER), 0);
    ck_assert_int_eq((int)sum, 16);
    weft_future_free(after);
    weft_future_free(future);
    weft_pool_free(pool);
}
END_TEST

static weft_value map_inside(weft_value items)
{
    weft_value results;
    if (weft_pool_map(pool, twice, items, &results, WEFT_FOREVER) != 0)
        return weft_error(errno, NULL);
    return results;
}

START_TEST(a_task_may_map_over_its_own_pool)
{
    pool = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = 2);
    weft_value items = integers(20), results;
    ck_assert_int_eq(weft_pool_apply(pool, map_inside, items, &results, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(weft_list_at(results, -1)), 38);
    weft_drop(results);
    weft_pool_free(pool);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_recursion_of_tasks_ends_however_few_workers);
    tcase_add_test(tests, beyond_the_depth_another_worker_stands_in);
    tcase_add_test(tests, a_wait_with_a_deadline_has_a_stand_in);
    tcase_add_test(tests, beyond_the_stand_ins_a_wait_fails);
    tcase_add_test(tests, stand_ins_rest_when_those_they_stood_in_for_are_back);
    tcase_add_test(tests, two_that_wait_for_each_other_are_told);
    tcase_add_test(tests, two_of_different_pools_that_wait_for_each_other_are_told);
    tcase_add_test(tests, a_task_that_waits_for_itself_is_told);
    tcase_add_test(tests, a_wait_for_any_has_a_stand_in);
    tcase_add_test(tests, a_select_has_a_stand_in);
    tcase_add_test(tests, a_cancel_of_the_inner_task_leaves_the_outer_alone);
    tcase_add_test(tests, a_cancel_of_the_outer_task_waits_for_the_inner);
    tcase_add_test(tests, terminate_reaches_tasks_inside_one_another);
    tcase_add_test(tests, a_shield_of_the_outer_task_does_not_cover_the_inner);
    tcase_add_test(tests, a_caller_that_runs_a_task_stays_cancelled_itself);
    tcase_add_test(tests, terminate_reaches_a_task_that_its_submitter_runs);
    tcase_add_test(tests, only_the_task_that_is_waited_for_runs_inside);
    tcase_add_test(tests, a_callback_may_submit_and_wait);
    tcase_add_test(tests, a_task_may_map_over_its_own_pool);
}

int main(void)
{
    return fixture_main("pool_waits", add);
}
