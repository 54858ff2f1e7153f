/* SPDX-License-Identifier: MIT */
/* Where processes come from: the zygote, a fork of the present, a fresh image; and what becomes of them when their root dies. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "family_root.h"

static const enum weft_process_method methods[] = {WEFT_ZYGOTE, WEFT_FORK, WEFT_SPAWN};
enum { METHODS = 3 };

static int present; /* changed after the family began */

static weft_value looks(weft_value unused)
{
    (void)unused;
    return weft_int(present);
}

static weft_value sleeps(weft_value word)
{
    uint32_t *there = weft_as_ptr(word);
    if (there) {
        __atomic_add_fetch(there, 1, __ATOMIC_RELEASE);
        weft_wake(there, UINT32_MAX);
    }
    return weft_sleep(1000) == 0 ? weft_none : weft_error(errno, NULL);
}

static weft_value exits(weft_value how)
{
    exit((int)weft_as_int(how));
}

static weft_value fails(weft_value code)
{
    return weft_error((int)weft_as_int(code), "%s in %s", weft_task_name(weft_main()), weft_task_name(weft_current()));
}

static weft_value dies(weft_value signal)
{
    raise((int)weft_as_int(signal));
    return weft_none;
}

static weft_value result(weft_task *task)
{
    weft_value value;
    MUST(task && weft_task_result(task, &value, WEFT_FOREVER) == 0);
    return value;
}

/* Of a task that is made so. */
static void verbs(enum weft_process_method method)
{
    uint32_t *there = weft_shared_new(uint32_t);
    weft_task *task = weft_spawn(WEFT_PROCESS, looks, weft_none, .method = method);
    MUST(weft_as_int(result(task)) == (method == WEFT_ZYGOTE ? 1 : method == WEFT_FORK ? 2 : 0));
    MUST(weft_task_exitcode(task) == 0 && weft_task_outcome(task) == WEFT_DONE && weft_task_native_id(task) != getpid());
    weft_task_free(task);

    task = weft_spawn(WEFT_PROCESS, fails, weft_int(ENOENT), .method = method, .name = "one");
    weft_value error = result(task);
    MUST(weft_error_code(error) == ENOENT && strcmp(weft_error_text(error), "one in one") == 0 && weft_task_exitcode(task) == 1);
    weft_drop(error);
    weft_task_free(task);

    task = weft_spawn(WEFT_PROCESS, exits, weft_int(3), .method = method);
    error = result(task);
    MUST(weft_error_code(error) == EOWNERDEAD && weft_task_exitcode(task) == 3 && weft_task_outcome(task) == WEFT_LOST);
    weft_drop(error);
    weft_task_free(task);

    task = weft_spawn(WEFT_PROCESS, dies, weft_int(SIGKILL), .method = method);
    MUST(weft_task_join(task, WEFT_FOREVER) == 0 && weft_task_exitcode(task) == -SIGKILL);
    weft_task_free(task);

    task = weft_spawn(WEFT_PROCESS, sleeps, weft_ptr(there), .method = method);
    MUST(root_until(there, 1));
    weft_task_cancel(task);
    MUST(weft_task_join(task, WEFT_FOREVER) == 0 && weft_task_outcome(task) == WEFT_CANCELLED);
    weft_task_free(task);

    task = weft_spawn(WEFT_PROCESS, sleeps, weft_ptr(there), .method = method);
    MUST(root_until(there, 2) && weft_task_terminate(task) == 0);
    MUST(weft_task_join(task, WEFT_FOREVER) == 0 && weft_task_exitcode(task) == -SIGTERM);
    weft_task_free(task);
    MUST(wait(NULL) == -1 && errno == ECHILD); /* no process of the family is one of the host's */
    weft_shared_free(there);
}

static void root_of_methods(void)
{
    present = 1;
    weft_task *task = weft_spawn(WEFT_PROCESS, looks, weft_none);
    MUST(weft_as_int(result(task)) == 1);
    weft_task_free(task);
    present = 2;
    for (int i = 0; i < METHODS; i++)
        verbs(methods[i]);
}

START_TEST(each_method_has_all_verbs)
{
    NEEDS_PIDFDS;
    root_runs(root_of_methods);
}
END_TEST

/* Digits are the methods of the processes below, one in the other; what comes back is how many there were. */
static weft_value nests(weft_value digits)
{
    int64_t all = weft_as_int(digits);
    if (all == 0)
        return weft_int(0);
    weft_task *task = weft_spawn(WEFT_PROCESS, nests, weft_int(all / 10), .method = (enum weft_process_method)(all % 10 - 1));
    weft_value value;
    if (!task)
        return weft_error(errno, "at %d", (int)all);
    if (weft_task_result(task, &value, WEFT_FOREVER) != 0)
        return weft_error(errno, NULL);
    weft_task_free(task);
    return weft_is_error(value) ? value : weft_int(weft_as_int(value) + 1);
}

static void root_of_nested(void)
{
    for (int first = 1; first <= METHODS; first++)
        for (int second = 1; second <= METHODS; second++) {
            weft_value value = nests(weft_int(first + 10 * second + 100));
            MUST(weft_as_int(value) == 3);
        }
}

START_TEST(each_method_in_each)
{
    NEEDS_PIDFDS;
    root_runs(root_of_nested);
}
END_TEST

static void root_with_threads(void)
{
    weft_task *task = weft_spawn(WEFT_PROCESS, looks, weft_none), *thread = weft_spawn(WEFT_THREAD, sleeps, weft_none);
    MUST(weft_as_int(result(task)) == 0);
    weft_task_free(task);
    present = 5;
    MUST(!weft_spawn(WEFT_PROCESS, looks, weft_none, .method = WEFT_FORK) && errno == EBUSY);
    if (!FIXTURE_TSAN) {
        task = weft_spawn(WEFT_PROCESS, looks, weft_none, .method = WEFT_FORK, .insist = true);
        MUST(weft_as_int(result(task)) == 5);
        weft_task_free(task);
    }
    weft_task_cancel(thread);
    MUST(weft_task_join(thread, WEFT_FOREVER) == 0);
    weft_task_free(thread);
}

START_TEST(a_fork_beside_threads_is_refused)
{
    NEEDS_PIDFDS;
    root_runs(root_with_threads);
}
END_TEST

/* The first process task of a program that has threads already. */
static void root_that_is_late(void)
{
    weft_task *thread = weft_spawn(WEFT_THREAD, sleeps, weft_none);
    present = 6;
    for (int i = 0; i < 3; i++) {
        weft_task *task = weft_spawn(WEFT_PROCESS, looks, weft_none);
        MUST(weft_as_int(result(task)) == 0);
        weft_task_free(task);
    }
    weft_value value = nests(weft_int(111));
    MUST(weft_as_int(value) == 3);
    weft_task_cancel(thread);
    MUST(weft_task_join(thread, WEFT_FOREVER) == 0);
    weft_task_free(thread);
}

START_TEST(who_comes_late_has_fresh_images)
{
    NEEDS_PIDFDS;
    if (FIXTURE_TSAN)
        fixture_skip("ThreadSanitizer does not survive forks beside threads");
    root_runs(root_that_is_late);
}
END_TEST

static void root_that_changes_user(void)
{
    weft_task *task = weft_spawn(WEFT_PROCESS, looks, weft_none);
    MUST(weft_as_int(result(task)) == 0);
    weft_task_free(task);
    MUST(setresuid(65534, 65534, 65534) == 0);
    MUST(!weft_spawn(WEFT_PROCESS, looks, weft_none) && errno == EPERM);
    MUST(!weft_spawn(WEFT_PROCESS, looks, weft_none, .method = WEFT_SPAWN) && errno == EPERM);
}

START_TEST(who_has_changed_user_gets_none_with_the_old_one)
{
    NEEDS_PIDFDS;
    if (geteuid() != 0)
        fixture_skip("only root can become another user");
    root_runs(root_that_changes_user);
}
END_TEST

/* Starts one of each method, and then waits with them. */
static weft_value has_children(weft_value word)
{
    for (int i = 0; i < METHODS; i++) {
        weft_task *task = weft_spawn(WEFT_PROCESS, sleeps, weft_keep(word), .method = methods[i]);
        if (!task)
            return weft_error(errno, NULL);
    }
    return sleeps(word);
}

/* Has a large family, whose standard output is a pipe, and dies in some way. */
static int ends[2];
static int how;

static void root_that_dies(void)
{
    close(ends[0]);
    MUST(dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO && close(ends[1]) == 0);
    MUST(setpgid(0, 0) == 0 && signal(SIGINT, SIG_DFL) != SIG_ERR); /* Check has a handler */
    uint32_t *there = weft_shared_new(uint32_t);
    for (int i = 0; i < METHODS; i++)
        MUST(weft_spawn(WEFT_PROCESS, has_children, weft_ptr(there), .method = methods[i]));
    MUST(root_until(there, METHODS * (METHODS + 1)));
    if (fork() == 0) { /* the host's own, and none of the family */
        close(STDOUT_FILENO);
        MUST(!weft_spawn(WEFT_PROCESS, looks, weft_none) && errno == ESTALE);
        sleep(1);
        fixture_leave(0);
    }
    MUST(weft_spawn(WEFT_PROCESS, has_children, weft_ptr(there))); /* and one that is only just coming */
    if (how == 0)
        raise(SIGKILL);
    if (how == 1)
        abort();
    if (how == 2)
        kill(0, SIGINT); /* as Ctrl-C in a terminal: all of the group have it */
    _exit(0);
}

/* None of its descendants has the pipe any more. */
START_TEST(nobody_outlives_the_root)
{
    NEEDS_PIDFDS;
    for (how = 0; how < 4; how++) {
        char octet;
        ck_assert_int_eq(pipe(ends), 0);
        pid_t root = root_start(root_that_dies);
        close(ends[1]);
        root_status(root);
        weft_time died = weft_clock();
        struct pollfd end = {.fd = ends[0], .events = POLLIN};
        ck_assert_int_eq(poll(&end, 1, 20000), 1);
        ck_assert_int_eq(read(ends[0], &octet, 1), 0);
        ck_assert_int_lt(weft_clock() - died, 10000000000); /* some milliseconds, where nothing else runs */
        close(ends[0]);
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, each_method_has_all_verbs);
    tcase_add_test(tests, each_method_in_each);
    tcase_add_test(tests, a_fork_beside_threads_is_refused);
    tcase_add_test(tests, who_comes_late_has_fresh_images);
    tcase_add_test(tests, who_has_changed_user_gets_none_with_the_old_one);
    tcase_add_test(tests, nobody_outlives_the_root);
}

int main(int argc, char **argv)
{
    weft_init(argc, argv);
    return fixture_main("process_methods", add);
}
