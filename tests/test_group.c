/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "beside.h"

enum { MANY = 20 };

static weft_event go_on, never;
static uint32_t ended;

static uint32_t ended_now(void)
{
    return __atomic_load_n(&ended, __ATOMIC_ACQUIRE);
}

static weft_value succeed(weft_value argument)
{
    (void)argument;
    __atomic_add_fetch(&ended, 1, __ATOMIC_ACQ_REL);
    return weft_none;
}

static weft_value fail_with(weft_value code)
{
    return weft_error((int)weft_as_int(code), "member");
}

static weft_value wait_for_go(weft_value none)
{
    (void)none;
    if (weft_event_wait(&go_on, WEFT_FOREVER) != 0)
        return weft_error(errno, NULL);
    return succeed(weft_none);
}

/* Fails with another error when it is cancelled. */
static weft_value fail_when_cancelled(weft_value code)
{
    weft_event_wait(&never, WEFT_FOREVER);
    return fail_with(code);
}

static weft_value end_slowly_when_cancelled(weft_value none)
{
    (void)none;
    int waited = weft_event_wait(&never, WEFT_FOREVER), error = errno;
    weft_shield weft_sleep(0.01);
    __atomic_add_fetch(&ended, 1, __ATOMIC_ACQ_REL);
    return waited == 0 ? weft_none : weft_error(error, NULL);
}

/* A member that runs where those beside the test do. */
struct order {
    weft_group *group;
    weft_function *function;
    weft_value argument;
};

static weft_value spawn_here(weft_value pointer)
{
    const struct order *order = weft_as_ptr(pointer);
    return outcome(weft_group_spawn(order->group, BESIDE_KIND, order->function, order->argument));
}

static int member(weft_group *group, weft_function *function, weft_value argument)
{
    struct order order = {group, function, argument};
    int spawned =
        beside_where() == BESIDE_ELSEWHERE ? beside_end(beside(spawn_here, &order)) : (int)weft_as_int(spawn_here(weft_ptr(&order)));
    if (spawned == 0)
        return 0;
    errno = -spawned;
    return -1;
}

START_TEST(leaving_joins_all)
{
    weft_group *group = weft_group_new();
    weft_value error = weft_int(5);
    ck_assert_ptr_nonnull(group);
    ck_assert_int_eq(weft_group_join(group, &error, WEFT_NOW), 0); /* of nobody: at once */
    weft_group_free(group);
    group = weft_group_new();
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(weft_group_spawn(group, BESIDE_KIND, wait_for_go, weft_str("argument"), .name = "member"), 0);
    ck_assert_uint_eq(weft_group_alive(group), MANY);
    ck_fails(weft_group_join(group, &error, WEFT_NOW), EAGAIN);
    ck_assert_int_eq(member(group, succeed, weft_none), 0); /* it is not left yet */
    weft_event_set(&go_on);
    ck_assert_int_eq(weft_group_join(group, &error, WEFT_FOREVER), 0);
    ck_assert_uint_eq(ended_now(), MANY + 1);
    ck_assert_uint_eq(weft_group_alive(group), 0);
    ck_assert_int_eq(weft_group_join(group, NULL, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(error), 5);
    ck_assert_uint_eq(weft_group_errors(group, &error, 1), 0);
    ck_fails(member(group, succeed, weft_none), ESHUTDOWN);
    weft_group_free(group);
    weft_group_free(NULL);
}
END_TEST

START_TEST(the_first_error_cancels_the_rest)
{
    weft_group *group = weft_group_new();
    weft_value error = weft_none, errors[4];
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(member(group, wait_for_go, weft_none), 0);
    ck_assert_int_eq(member(group, fail_when_cancelled, weft_int(EIO)), 0);
    ck_assert_int_eq(member(group, fail_with, weft_int(ENOENT)), 0);
    ck_assert_int_eq(weft_group_join(group, &error, WEFT_FOREVER), 2);
    ck_assert_int_eq(weft_error_code(error), ENOENT);
    weft_drop(error);
    ck_assert_uint_eq(ended_now(), 0);
    ck_assert_uint_eq(weft_group_errors(group, NULL, 0), 2);
    ck_assert_uint_eq(weft_group_errors(group, errors, 4), 2);
    ck_assert_int_eq(weft_error_code(errors[0]), ENOENT);
    ck_assert_int_eq(weft_error_code(errors[1]), EIO);
    weft_drop(errors[0]);
    weft_drop(errors[1]);
    ck_fails(member(group, succeed, weft_none), ECANCELED);
    weft_group_free(group);
    ck_assert_uint_eq(weft_uncollected_count(), 0);
}
END_TEST

START_TEST(errors_that_nobody_reads_go_to_the_hook)
{
    weft_group *group = weft_group_new();
    ck_assert_int_eq(member(group, fail_with, weft_int(ENOENT)), 0);
    ck_assert_int_eq(weft_group_join(group, NULL, WEFT_FOREVER), 1);
    ck_assert_uint_eq(weft_uncollected_count(), 0);
    weft_group_free(group);
    ck_assert_uint_eq(weft_uncollected_count(), 1);
}
END_TEST

START_TEST(a_cancelled_group_ends)
{
    weft_group *group = weft_group_new();
    weft_value argument = weft_str("stays mine");
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(member(group, end_slowly_when_cancelled, weft_none), 0);
    weft_group_cancel(group);
    ck_fails(member(group, succeed, argument), ECANCELED);
    weft_drop(argument);
    ck_assert_int_eq(weft_group_join(group, NULL, WEFT_FOREVER), 0); /* to be cancelled is no failure */
    ck_assert_uint_eq(ended_now(), MANY);
    weft_group_free(group);
}
END_TEST

START_TEST(a_deadline_cancels_and_still_joins)
{
    weft_group *group = weft_group_new();
    weft_value error = weft_int(5);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(member(group, end_slowly_when_cancelled, weft_none), 0);
    ck_fails(weft_group_join(group, &error, weft_in(0.005)), ETIMEDOUT);
    ck_assert_uint_eq(ended_now(), 3);
    ck_assert_int_eq(weft_as_int(error), 5);
    ck_assert_uint_eq(weft_group_alive(group), 0);
    ck_assert_int_eq(weft_group_join(group, NULL, WEFT_NOW), 0);
    weft_group_free(group);
    group = weft_group_new();
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(member(group, end_slowly_when_cancelled, weft_none), 0);
    weft_deadline (weft_in(0.005))
        ck_fails(weft_group_join(group, NULL, WEFT_FOREVER), ETIMEDOUT);
    ck_assert_uint_eq(ended_now(), 6);
    weft_group_free(group);
}
END_TEST

/* Two groups, one in the other, and waits for the inner. */
static weft_value run_inner_group(weft_value started)
{
    weft_value error = weft_none;
    weft_group_scope (group, &error) {
        for (int i = 0; i < 3; i++)
            member(group, end_slowly_when_cancelled, weft_none);
        weft_event_set(weft_as_ptr(started));
    }
    __atomic_add_fetch(&ended, 10, __ATOMIC_ACQ_REL);
    return error;
}

START_TEST(who_is_cancelled_cancels_and_still_joins)
{
    weft_event started = {0};
    weft_value result;
    weft_task *task = beside(run_inner_group, &started);
    ck_assert_int_eq(weft_event_wait(&started, WEFT_FOREVER), 0);
    weft_task_cancel(task);
    ck_assert_int_eq(weft_task_result(task, &result, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_error_code(result), ECANCELED);
    ck_assert_int_eq(weft_task_outcome(task), WEFT_CANCELLED);
    ck_assert_uint_eq(ended_now(), 13);
    weft_task_free(task);
}
END_TEST

START_TEST(groups_end_from_the_inside)
{
    weft_event started = {0};
    weft_value error;
    weft_group_scope (outer, &error) {
        ck_assert_int_eq(member(outer, run_inner_group, weft_ptr(&started)), 0);
        ck_assert_int_eq(weft_event_wait(&started, WEFT_FOREVER), 0);
        ck_assert_int_eq(member(outer, fail_with, weft_int(EDOM)), 0);
    }
    ck_assert_int_eq(weft_error_code(error), EDOM);
    ck_assert_uint_eq(ended_now(), 13);
    weft_drop(error);
}
END_TEST

static weft_value leave_by_return(void)
{
    weft_value error = weft_none;
    weft_group_scope (group, &error) {
        member(group, succeed, weft_none);
        return weft_int(1);
    }
    return weft_int(0);
}

START_TEST(every_way_out_of_the_block_leaves)
{
    weft_value error;
    ck_assert_int_eq(weft_as_int(leave_by_return()), 1);
    ck_assert_uint_eq(ended_now(), 1);
    for (int i = 0; i < 2; i++) {
        weft_group_scope (group, NULL) {
            member(group, succeed, weft_none);
            if (i)
                break;
            continue;
        }
        ck_assert_uint_eq(ended_now(), (uint32_t)i + 2);
    }
    weft_group_scope (group, &error) {
        member(group, succeed, weft_none);
        goto out;
    }
out:
    ck_assert_uint_eq(ended_now(), 4);
    ck_assert(!weft_is_error(error));
    ck_assert_uint_eq(weft_uncollected_count(), 0);
    weft_group_scope (group, NULL)
        member(group, fail_with, weft_int(EDOM));
    ck_assert_uint_eq(weft_uncollected_count(), 1);
    weft_deadline (weft_in(0.005))
        weft_group_scope (group, &error)
            weft_group_spawn(group, BESIDE_KIND, end_slowly_when_cancelled, weft_none);
    ck_assert_int_eq(weft_error_code(error), ETIMEDOUT);
}
END_TEST

static weft_value spawn_from_inside(weft_value data)
{
    weft_group *group = weft_as_ptr(data);
    if (weft_group_join(group, NULL, WEFT_FOREVER) != -1 || errno != EDEADLK)
        return weft_error(EINVAL, "a member joined");
    weft_case one = weft_case_group(group);
    if (weft_select(&one, 1, WEFT_FOREVER) != 0 || one.error != EDEADLK)
        return weft_error(EINVAL, "a member selected");
    weft_event_wait(&go_on, WEFT_FOREVER);
    if (weft_group_spawn(group, BESIDE_KIND, succeed, weft_none) != 0) /* by nobody else: it is being left */
        return weft_error(errno, "no spawn from inside");
    return weft_none;
}

static weft_value join_group(weft_value group)
{
    return outcome(weft_group_join(weft_as_ptr(group), NULL, WEFT_FOREVER));
}

START_TEST(members_may_spawn_while_it_is_left)
{
    weft_value error = weft_none;
    weft_group *group = weft_group_new();
    ck_assert_int_eq(member(group, spawn_from_inside, weft_ptr(group)), 0);
    weft_task *leaver = beside(join_group, group);
    fixture_until(beside_sleeps(leaver));
    int spawned = member(group, succeed, weft_none);
    fixture_until((spawned = member(group, succeed, weft_none)) != 0); /* it sleeps in the join, or just before */
    ck_assert_int_eq(errno, ESHUTDOWN);
    uint32_t before = ended_now();
    weft_event_set(&go_on);
    ck_assert_int_eq(beside_end(leaver), 0);
    ck_assert_uint_ge(ended_now(), before + 1);
    ck_assert_int_eq(weft_group_join(group, &error, WEFT_FOREVER), 0);
    weft_group_free(group);
}
END_TEST

START_TEST(mistakes_are_told)
{
    weft_group *group = weft_group_new();
    ck_fails(weft_group_spawn(group, WEFT_THREAD, NULL, weft_none), EINVAL);
    ck_fails(weft_group_spawn(group, (enum weft_task_kind)77, succeed, weft_none), EINVAL);
    ck_fails(weft_group_spawn(group, WEFT_COROUTINE, succeed, weft_none, .nice = 1), ENOTSUP);
    ck_fails(weft_group_spawn_with(group, NULL, NULL), EINVAL);
    ck_assert_uint_eq(weft_group_alive(group), 0);
    weft_case none = weft_case_group(NULL);
    ck_fails(weft_select(&none, 1, WEFT_NOW), EINVAL);
    weft_group_free(group);
}
END_TEST

START_TEST(a_member_can_be_asked_for)
{
    weft_task *task = NULL;
    weft_value result;
    weft_group *group = weft_group_new();
    ck_assert_int_eq(
        weft_group_spawn_with(group,
            &(struct weft_spawn_options){
                .size = sizeof(struct weft_spawn_options), .kind = BESIDE_KIND, .function = fail_with, .argument = weft_int(ENOENT)},
            &task),
        0);
    ck_assert_int_eq(weft_task_result(task, &result, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_error_code(result), ENOENT);
    weft_drop(result);
    ck_assert_int_eq(weft_group_join(group, &result, WEFT_FOREVER), 1);
    weft_drop(result);
    weft_group_free(group);
    weft_task_free(task);
}
END_TEST

/* A member that is cancelled alone cancels nobody. */
START_TEST(one_cancelled_member_is_no_failure)
{
    weft_task *task = NULL;
    weft_group *group = weft_group_new();
    struct weft_spawn_options options = {.size = sizeof(options), .kind = BESIDE_KIND, .function = wait_for_go};
    ck_assert_int_eq(weft_group_spawn_with(group, &options, &task), 0);
    ck_assert_int_eq(member(group, wait_for_go, weft_none), 0);
    weft_task_cancel(task);
    ck_assert_int_eq(weft_task_join(task, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_task_outcome(task), WEFT_CANCELLED);
    ck_assert_uint_eq(weft_group_alive(group), 1);
    weft_event_set(&go_on);
    ck_assert_int_eq(weft_group_join(group, NULL, WEFT_FOREVER), 0);
    ck_assert_uint_eq(ended_now(), 1);
    weft_group_free(group);
    weft_task_free(task);
}
END_TEST

START_TEST(select_waits_for_groups)
{
    weft_group *group = weft_group_new();
    weft_case cases[] = {weft_case_event(&never), weft_case_group(group)};
    ck_assert_int_eq(weft_select(cases, 2, WEFT_NOW), 1);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(member(group, wait_for_go, weft_none), 0);
    ck_fails(weft_select(cases, 2, WEFT_NOW), EAGAIN);
    ck_fails(weft_select(cases, 2, weft_in(0.005)), ETIMEDOUT);
    weft_timer *timer = weft_after(0.001, NULL, weft_none);
    ck_assert_int_eq(weft_timer_wait(timer, NULL, WEFT_FOREVER), 0);
    weft_timer_free(timer);
    weft_event_set(&go_on);
    ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 1);
    ck_assert_int_eq(cases[1].error, 0);
    weft_group_free(group);
}
END_TEST

START_TEST(members_that_stayed_in_the_parent_are_let_go)
{
    weft_group *group = weft_group_new();
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(member(group, wait_for_go, weft_none), 0);
    pid_t child = fork();
    if (child == 0)
        fixture_leave(weft_group_join(group, NULL, WEFT_FOREVER) == 0 && weft_group_alive(group) == 0 ? 0 : 1);
    int status = 1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    weft_event_set(&go_on);
    weft_group_free(group);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, leaving_joins_all);
    tcase_add_test(tests, the_first_error_cancels_the_rest);
    tcase_add_test(tests, errors_that_nobody_reads_go_to_the_hook);
    tcase_add_test(tests, a_cancelled_group_ends);
    tcase_add_test(tests, a_deadline_cancels_and_still_joins);
    tcase_add_test(tests, who_is_cancelled_cancels_and_still_joins);
    tcase_add_test(tests, groups_end_from_the_inside);
    tcase_add_test(tests, every_way_out_of_the_block_leaves);
    tcase_add_test(tests, members_may_spawn_while_it_is_left);
    tcase_add_test(tests, mistakes_are_told);
    tcase_add_test(tests, a_member_can_be_asked_for);
    tcase_add_test(tests, one_cancelled_member_is_no_failure);
    tcase_add_test(tests, select_waits_for_groups);
    tcase_add_test(tests, members_that_stayed_in_the_parent_are_let_go);
}

int main(void)
{
    return fixture_main("group", add);
}
