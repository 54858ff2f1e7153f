/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "beside.h"

static int64_t get_int(weft_queue *queue)
{
    weft_value value = weft_none;
    ck_assert_int_eq(weft_queue_get(queue, &value, WEFT_FOREVER), 0);
    return weft_as_int(value);
}

static void put_int(weft_queue *queue, int64_t number)
{
    ck_assert_int_eq(weft_queue_put(queue, weft_int(number), WEFT_FOREVER), 0);
}

/* Tasks: each gives the errno of its call, or 0. */
static weft_value getter(weft_value queue)
{
    weft_value value = weft_none;
    int error = weft_queue_get(weft_as_ptr(queue), &value, WEFT_FOREVER) == 0 ? 0 : errno;
    weft_drop(value);
    return weft_int(error);
}

static weft_value putter(weft_value queue)
{
    return weft_int(weft_queue_put(weft_as_ptr(queue), weft_int(7), WEFT_FOREVER) == 0 ? 0 : errno);
}

static weft_value joiner(weft_value queue)
{
    return weft_int(weft_queue_join(weft_as_ptr(queue), WEFT_FOREVER) == 0 ? 0 : errno);
}

/* Starts a task on the queue that is to wait there, and comes back when it does. */
static weft_task *start_waiting(weft_function *function, weft_queue *queue)
{
    weft_task *task = beside(function, queue);
    fixture_until(beside_sleeps(task));
    return task;
}

static int64_t task_outcome(weft_task *task)
{
    weft_value value = weft_none;
    ck_assert_int_eq(weft_task_result(task, &value, WEFT_FOREVER), 0);
    weft_task_free(task);
    return weft_as_int(value);
}

START_TEST(default_queue_holds_1024)
{
    weft_queue *queue = weft_queue_new();
    ck_assert_ptr_nonnull(queue);
    ck_assert_uint_eq(weft_queue_capacity(queue), 1024);
    ck_assert(weft_queue_empty(queue));
    ck_assert(!weft_queue_closed(queue));
    for (int i = 0; i < 1024; i++) {
        ck_assert(!weft_queue_full(queue));
        put_int(queue, i);
    }
    ck_assert(weft_queue_full(queue));
    ck_fails(weft_queue_put(queue, weft_int(0), WEFT_NOW), EAGAIN);
    for (int i = 0; i < 1024; i++)
        ck_assert_int_eq(get_int(queue), i);
    ck_assert(weft_queue_empty(queue));
    weft_queue_free(queue);
    weft_queue_free(NULL);
}
END_TEST

START_TEST(bad_options_are_refused)
{
    ck_fails_null(weft_queue_new(.capacity = (size_t)-3), EINVAL);
    ck_fails_null(weft_queue_new(.capacity = SIZE_MAX / sizeof(weft_value)), EINVAL);
    ck_fails_null(weft_queue_new_with(NULL), EINVAL);
    ck_fails_null(weft_queue_new_with(&(struct weft_queue_options){.size = 1}), EINVAL);
    struct weft_queue_options oldest = {.size = offsetof(struct weft_queue_options, capacity), .capacity = 3};
    weft_queue *queue = weft_queue_new_with(&oldest);
    ck_assert_uint_eq(weft_queue_capacity(queue), 1024);
    weft_queue_free(queue);
}
END_TEST

START_TEST(what_is_asked_of_no_queue_is_refused)
{
    weft_value value = weft_int(7);
    ck_fails(weft_queue_put(NULL, value, WEFT_NOW), EINVAL);
    ck_fails(weft_queue_get(NULL, &value, WEFT_FOREVER), EINVAL);
    ck_fails(weft_queue_put_many(NULL, &value, 1, WEFT_NOW), EINVAL);
    ck_fails(weft_queue_get_many(NULL, &value, 1, WEFT_FOREVER), EINVAL);
    ck_fails(weft_queue_task_done(NULL), EINVAL);
    ck_fails(weft_queue_deliveries(NULL), EINVAL);
    ck_fails(weft_queue_dead_letter(NULL, &value, WEFT_FOREVER), EINVAL);
    ck_fails(weft_queue_join(NULL, WEFT_FOREVER), EINVAL);
    ck_assert(weft_queue_empty(NULL) && !weft_queue_full(NULL) && !weft_queue_closed(NULL));
    ck_assert_uint_eq(weft_queue_size(NULL) + weft_queue_capacity(NULL) + weft_queue_close_now(NULL), 0);
    weft_queue_close(NULL);
    ck_assert_int_eq(weft_as_int(value), 7);
}
END_TEST

static const size_t capacities[] = {1, 2, 3, 1000, 4096};

START_TEST(bound_is_exact)
{
    size_t capacity = capacities[_i];
    weft_queue *queue = weft_queue_new(.capacity = capacity);
    ck_assert_uint_eq(weft_queue_capacity(queue), capacity);
    int64_t in = 0, out = 0;
    for (int round = 0; round < 5; round++) {
        while (weft_queue_size(queue) < capacity)
            put_int(queue, in++);
        ck_assert(weft_queue_full(queue));
        ck_fails(weft_queue_put(queue, weft_int(-1), WEFT_NOW), EAGAIN);
        ck_assert_uint_eq(weft_queue_size(queue), capacity);
        for (size_t i = 0; i <= capacity / 2 && !weft_queue_empty(queue); i++)
            ck_assert_int_eq(get_int(queue), out++);
    }
    while (!weft_queue_empty(queue))
        ck_assert_int_eq(get_int(queue), out++);
    ck_assert_int_eq(in, out);
    weft_queue_free(queue);
}
END_TEST

START_TEST(unbounded_grows_and_shrinks)
{
    weft_queue *queue = weft_queue_new(.capacity = WEFT_UNBOUNDED);
    ck_assert_uint_eq(weft_queue_capacity(queue), WEFT_UNBOUNDED);
    int64_t in = 0, out = 0;
    for (int round = 1; round <= 5; round++) {
        for (int i = 0; i < 3000; i++)
            put_int(queue, in++);
        ck_assert(!weft_queue_full(queue));
        for (int i = 0; i < round * 600; i++)
            ck_assert_int_eq(get_int(queue), out++);
    }
    ck_assert_uint_eq(weft_queue_size(queue), (size_t)(in - out));
    while (!weft_queue_empty(queue))
        ck_assert_int_eq(get_int(queue), out++);
    ck_fails(weft_queue_get(queue, &(weft_value){0}, WEFT_NOW), EAGAIN);
    weft_queue_free(queue);
}
END_TEST

START_TEST(deadlines_end_waits_and_leave_everything)
{
    weft_queue *queue = weft_queue_new(.capacity = 1);
    weft_value value = weft_int(5);
    ck_fails(weft_queue_get(queue, &value, WEFT_NOW), EAGAIN);
    ck_fails(weft_queue_get(queue, &value, weft_in(0.002)), ETIMEDOUT);
    ck_fails(weft_queue_get(queue, &value, weft_in(-1)), ETIMEDOUT);
    ck_assert_int_eq(weft_as_int(value), 5);
    put_int(queue, 1);
    weft_value text = weft_str("mine");
    ck_fails(weft_queue_put(queue, text, WEFT_NOW), EAGAIN);
    ck_fails(weft_queue_put(queue, text, weft_in(0.002)), ETIMEDOUT);
    ck_assert_str_eq(weft_as_str(text), "mine");
    ck_assert_int_eq(get_int(queue), 1);
    ck_assert_int_eq(weft_queue_put(queue, text, weft_in(1)), 0);
    ck_assert_int_eq(weft_queue_get(queue, &value, weft_in(1)), 0);
    ck_assert_str_eq(weft_as_str(value), "mine");
    weft_drop(value);
    weft_queue_free(queue);
}
END_TEST

START_TEST(waiting_getters_are_served)
{
    weft_queue *queue = weft_queue_new(.capacity = 2);
    weft_task *tasks[3];
    for (int i = 0; i < 3; i++)
        tasks[i] = start_waiting(getter, queue);
    for (int i = 0; i < 3; i++)
        put_int(queue, i);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(task_outcome(tasks[i]), 0);
    ck_assert(weft_queue_empty(queue));
    weft_queue_free(queue);
}
END_TEST

START_TEST(waiting_putters_are_served)
{
    weft_queue *queue = weft_queue_new(.capacity = 3);
    weft_task *tasks[3];
    for (int i = 0; i < 3; i++)
        put_int(queue, i);
    for (int i = 0; i < 3; i++)
        tasks[i] = start_waiting(putter, queue);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(get_int(queue), i);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(task_outcome(tasks[i]), 0);
    ck_assert_uint_eq(weft_queue_size(queue), 3);
    weft_queue_free(queue);
}
END_TEST

START_TEST(cancelled_waiters_leave_and_hand_on)
{
    weft_queue *queue = weft_queue_new(.capacity = 1);
    weft_task *leaver = start_waiting(getter, queue), *stayer = start_waiting(getter, queue);
    weft_task_cancel(leaver);
    put_int(queue, 1); /* its wake may have met the one who leaves */
    int64_t left = task_outcome(leaver);
    ck_assert(left == ECANCELED || left == 0);
    if (left == 0)
        put_int(queue, 2);
    ck_assert_int_eq(task_outcome(stayer), 0);
    put_int(queue, 3);
    leaver = start_waiting(putter, queue), stayer = start_waiting(putter, queue);
    weft_task_cancel(leaver);
    ck_assert_int_eq(get_int(queue), 3);
    left = task_outcome(leaver);
    ck_assert(left == ECANCELED || left == 0);
    if (left == 0)
        ck_assert_int_eq(get_int(queue), 7);
    ck_assert_int_eq(task_outcome(stayer), 0);
    ck_assert_uint_eq(weft_queue_size(queue), 1);
    weft_queue_free(queue);
}
END_TEST

static weft_value cancelled(weft_value pointer)
{
    weft_queue *queue = weft_as_ptr(pointer);
    weft_value value = weft_none;
    while (!weft_cancelled())
        weft_yield();
    ck_fails(weft_queue_get(queue, &value, WEFT_FOREVER), ECANCELED);
    ck_fails(weft_queue_get(queue, &value, WEFT_NOW), EAGAIN);
    put_int(queue, 1); /* what need not wait is done */
    ck_fails(weft_queue_put(queue, weft_int(2), WEFT_FOREVER), ECANCELED);
    ck_fails(weft_queue_join(queue, WEFT_FOREVER), ECANCELED);
    ck_assert_int_eq(get_int(queue), 1);
    return weft_int(0);
}

START_TEST(cancelled_task_waits_no_more)
{
    weft_queue *queue = weft_queue_new(.capacity = 1);
    weft_task *task = beside(cancelled, queue);
    weft_task_cancel(task);
    weft_value value = weft_none;
    ck_assert_int_eq(weft_task_result(task, &value, WEFT_FOREVER), 0);
    weft_drop(value);
    weft_task_free(task);
    weft_queue_free(queue);
}
END_TEST

START_TEST(closed_queue_is_drained)
{
    weft_queue *queue = weft_queue_new(.capacity = 3);
    put_int(queue, 1);
    put_int(queue, 2);
    weft_queue_close(queue);
    weft_queue_close(queue);
    ck_assert(weft_queue_closed(queue));
    weft_value text = weft_str("mine"), value = weft_none;
    ck_fails(weft_queue_put(queue, text, WEFT_FOREVER), EPIPE);
    ck_fails(weft_queue_put(queue, text, WEFT_NOW), EPIPE);
    weft_drop(text);
    ck_assert_int_eq(get_int(queue), 1);
    ck_assert_int_eq(get_int(queue), 2);
    ck_fails(weft_queue_get(queue, &value, WEFT_FOREVER), EPIPE);
    ck_fails(weft_queue_get(queue, &value, WEFT_NOW), EPIPE);
    weft_queue_free(queue);
}
END_TEST

START_TEST(close_ends_all_waits)
{
    weft_queue *empty = weft_queue_new(.capacity = 1), *full = weft_queue_new(.capacity = 1);
    put_int(full, 1);
    weft_task *tasks[6];
    for (int i = 0; i < 6; i++)
        tasks[i] = i % 2 ? start_waiting(getter, empty) : start_waiting(putter, full);
    weft_queue_close(empty);
    weft_queue_close(full);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(task_outcome(tasks[i]), EPIPE);
    ck_assert_int_eq(get_int(full), 1);
    weft_queue_free(empty);
    weft_queue_free(full);
}
END_TEST

START_TEST(done_is_counted)
{
    weft_queue *queue = weft_queue_new(.capacity = 2);
    ck_assert_int_eq(weft_queue_join(queue, WEFT_NOW), 0);
    ck_fails(weft_queue_task_done(queue), EINVAL);
    put_int(queue, 1);
    put_int(queue, 2);
    ck_fails(weft_queue_join(queue, WEFT_NOW), EAGAIN);
    ck_fails(weft_queue_join(queue, weft_in(0.002)), ETIMEDOUT);
    weft_task *tasks[2] = {start_waiting(joiner, queue), start_waiting(joiner, queue)};
    get_int(queue);
    ck_assert_int_eq(weft_queue_task_done(queue), 0);
    ck_assert(weft_task_is_alive(tasks[0]) && weft_task_is_alive(tasks[1]));
    ck_fails(weft_queue_join(queue, WEFT_NOW), EAGAIN);
    get_int(queue);
    ck_assert_int_eq(weft_queue_task_done(queue), 0);
    ck_assert_int_eq(task_outcome(tasks[0]), 0);
    ck_assert_int_eq(task_outcome(tasks[1]), 0);
    ck_assert_int_eq(weft_queue_join(queue, WEFT_NOW), 0);
    ck_fails(weft_queue_task_done(queue), EINVAL);
    put_int(queue, 3);
    weft_queue_close(queue);
    ck_fails(weft_queue_join(queue, WEFT_NOW), EAGAIN);
    ck_assert_int_eq(weft_queue_task_done(queue), 0); /* put, though not taken: allowed */
    ck_assert_int_eq(weft_queue_join(queue, WEFT_NOW), 0);
    weft_queue_free(queue);
}
END_TEST

START_TEST(free_drops_what_is_left)
{
    size_t kinds[] = {4, WEFT_UNBOUNDED};
    for (int i = 0; i < 2; i++) {
        weft_queue *queue = weft_queue_new(.capacity = kinds[i]);
        weft_value list = weft_list();
        for (int j = 0; j < 4; j++)
            ck_assert_int_eq(weft_queue_put(queue, weft_keep(list), WEFT_NOW), 0);
        ck_fails(weft_list_append(list, weft_int(1)), EBUSY);
        weft_queue_free(queue);
        ck_assert_int_eq(weft_list_append(list, weft_int(1)), 0);
        weft_drop(list);
    }
}
END_TEST

START_TEST(forked_child_has_a_copy)
{
    weft_queue *queue = weft_queue_new(.capacity = WEFT_UNBOUNDED);
    for (int i = 0; i < 100; i++)
        put_int(queue, i);
    pid_t child = fork();
    if (child == 0) {
        int64_t sum = 0;
        while (!weft_queue_empty(queue))
            sum += get_int(queue);
        _exit(sum == 4950 ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(weft_queue_size(queue), 100);
    weft_queue_free(queue);
}
END_TEST

#ifdef WEFTI_SMALL
START_TEST(every_allocation_may_fail)
{
    for (long n = 1; n <= 2; n++) {
        weft_small_fail_after(n);
        ck_fails_null(weft_queue_new(), ENOMEM);
    }
    weft_small_fail_after(0);
    weft_queue *queue = weft_queue_new(.capacity = WEFT_UNBOUNDED);
    weft_value text = weft_str("mine");
    int64_t in = 0, failures = 0;
    while (in < 50) {
        weft_small_fail_after(1);
        if (weft_queue_put(queue, text, WEFT_FOREVER) < 0) {
            ck_assert_int_eq(errno, ENOMEM);
            ck_assert_uint_eq(weft_queue_size(queue), (size_t)in);
            failures++;
            weft_small_fail_after(0);
            ck_assert_int_eq(weft_queue_put(queue, text, WEFT_FOREVER), 0);
        }
        weft_small_fail_after(0);
        in++;
        text = weft_str("mine");
    }
    weft_drop(text);
    ck_assert_int_gt(failures, 10);
    weft_value value;
    while (weft_queue_get(queue, &value, WEFT_NOW) == 0) {
        weft_drop(value);
        in--;
    }
    ck_assert_int_eq(in, 0);
    weft_queue_free(queue);
}
END_TEST
#endif

static void add(TCase *tests)
{
    tcase_add_test(tests, default_queue_holds_1024);
    tcase_add_test(tests, bad_options_are_refused);
    tcase_add_test(tests, what_is_asked_of_no_queue_is_refused);
    tcase_add_loop_test(tests, bound_is_exact, 0, sizeof(capacities) / sizeof(*capacities));
    tcase_add_test(tests, unbounded_grows_and_shrinks);
    tcase_add_test(tests, deadlines_end_waits_and_leave_everything);
    tcase_add_test(tests, waiting_getters_are_served);
    tcase_add_test(tests, waiting_putters_are_served);
    tcase_add_test(tests, cancelled_waiters_leave_and_hand_on);
    tcase_add_test(tests, cancelled_task_waits_no_more);
    tcase_add_test(tests, closed_queue_is_drained);
    tcase_add_test(tests, close_ends_all_waits);
    tcase_add_test(tests, done_is_counted);
    tcase_add_test(tests, free_drops_what_is_left);
    tcase_add_test(tests, forked_child_has_a_copy);
#ifdef WEFTI_SMALL
    tcase_add_test(tests, every_allocation_may_fail);
#endif
}

int main(void)
{
    return fixture_main("queue", add);
}
