/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "beside.h"

/* What tasks wait for in these tests. */
struct flag {
    uint32_t word;
};

static int flag_wait(struct flag *flag, weft_time deadline)
{
    while (__atomic_load_n(&flag->word, __ATOMIC_ACQUIRE) == 0)
        if (weft_wait(&flag->word, 0, deadline) != 0)
            return -1;
    return 0;
}

static void flag_set(struct flag *flag)
{
    __atomic_store_n(&flag->word, 1, __ATOMIC_RELEASE);
    weft_wake(&flag->word, UINT32_MAX);
}

static weft_value twice(weft_value n)
{
    return weft_int(weft_as_int(n) * 2);
}

static weft_value fail_named(weft_value why)
{
    (void)why;
    return weft_error(ENOENT, "no such page: %d", 7);
}

static weft_value wait_for_event(weft_value event)
{
    if (flag_wait(weft_as_ptr(event), WEFT_FOREVER) != 0)
        return weft_error(errno, NULL);
    return weft_none;
}

static weft_value nothing(weft_value unused)
{
    (void)unused;
    return weft_none;
}

START_TEST(a_task_runs_and_gives_its_result)
{
    weft_task *task = weft_spawn(BESIDE_KIND, twice, weft_int(21));
    ck_assert_ptr_nonnull(task);
    weft_value value = weft_none;
    ck_assert_int_eq(weft_task_result(task, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(value), 42);
    ck_assert_int_eq(weft_task_result(task, &value, WEFT_NOW), 0); /* again */
    ck_assert_int_eq(weft_task_result(task, NULL, WEFT_NOW), 0);
    ck_assert_int_eq(weft_task_join(task, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_task_outcome(task), WEFT_DONE);
    ck_assert_int_eq(weft_task_exitcode(task), 0);
    ck_assert_int_eq(weft_task_state_of(task), WEFT_STOPPED);
    ck_assert(!weft_task_is_alive(task));
    weft_task_free(task);
    weft_task_free(NULL);
}
END_TEST

START_TEST(an_error_is_a_result)
{
    uint64_t before = weft_uncollected_count();
    weft_task *task = weft_spawn(BESIDE_KIND, fail_named, weft_none);
    weft_value value;
    ck_assert_int_eq(weft_task_result(task, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_error_code(value), ENOENT);
    ck_assert_str_eq(weft_error_text(value), "no such page: 7");
    weft_drop(value);
    ck_assert_int_eq(weft_task_outcome(task), WEFT_FAILED);
    ck_assert_int_eq(weft_task_exitcode(task), 1);
    weft_task_free(task);
    ck_assert_uint_eq(weft_uncollected_count(), before);
}
END_TEST

/* "<Thread(...)>", or what it is. */
static void repr_is(const weft_task *task, const char *inside)
{
    char text[64], expected[64];
    int length = snprintf(expected, sizeof(expected), "<%s(%s)>", BESIDE_KIND == WEFT_THREAD ? "Thread" : "Coroutine", inside);
    ck_assert_int_eq(weft_task_repr(task, text, sizeof(text)), length);
    ck_assert_str_eq(text, expected);
}

START_TEST(states_follow_each_other)
{
    struct flag event = {0};
    weft_task *task = weft_task_new(BESIDE_KIND, wait_for_event, weft_ptr(&event), .name = "LoopThread");
    repr_is(task, "LoopThread, initial");
    ck_assert_int_eq(weft_task_state_of(task), WEFT_INITIAL);
    ck_assert_uint_eq(weft_task_ident(task), 0);
    ck_assert_int_eq(weft_task_native_id(task), 0);
    ck_assert_int_eq(weft_task_exitcode(task), -1);
    ck_assert(!weft_task_is_alive(task));
    ck_fails(weft_task_join(task, WEFT_FOREVER), EINVAL);
    ck_fails(weft_task_result(task, NULL, WEFT_FOREVER), EINVAL);

    ck_assert_int_eq(weft_task_start(task), 0);
    ck_fails(weft_task_start(task), EALREADY);
    ck_assert(weft_task_is_alive(task));
    ck_assert_uint_ne(weft_task_ident(task), 0);
    ck_assert_int_eq(weft_task_outcome(task), WEFT_PENDING);
    ck_assert_int_eq(weft_task_exitcode(task), -1);
    repr_is(task, "LoopThread, started");
    ck_fails(weft_task_join(task, WEFT_NOW), EAGAIN);
    ck_fails(weft_task_join(task, weft_in(0.01)), ETIMEDOUT);
    ck_fails(weft_task_result(task, NULL, weft_in(0.01)), ETIMEDOUT);

    flag_set(&event);
    ck_assert_int_eq(weft_task_join(task, WEFT_FOREVER), 0);
    repr_is(task, "LoopThread, stopped");
    ck_fails(weft_task_start(task), EALREADY);
    weft_task_free(task);
}
END_TEST

static weft_value report_name(weft_value unused)
{
    (void)unused;
    char kernel[16] = "";
    prctl(PR_GET_NAME, kernel);
    return weft_str_f("%s/%s", weft_task_name(weft_current()), kernel);
}

static void name_is(weft_task *task, const char *expected)
{
    weft_value value;
    ck_assert_int_eq(weft_task_result(task, &value, WEFT_FOREVER), 0);
    ck_assert_str_eq(weft_as_str(value), expected);
    weft_drop(value);
    weft_task_free(task);
}

/* What a spawn that failed gives. */
START_TEST(no_task_is_one_that_never_started)
{
    weft_task *none = NULL;
    weft_value value;
    char text[100];
    weft_case cases[] = {weft_case_task(none, &value)};
    ck_fails(weft_task_start(none), EINVAL);
    ck_fails(weft_task_join(none, WEFT_FOREVER), EINVAL);
    ck_fails(weft_task_result(none, &value, WEFT_NOW), EINVAL);
    ck_fails(weft_task_terminate(none), EINVAL);
    ck_fails(weft_task_kill(none), EINVAL);
    ck_fails(weft_task_set_name(none, "name"), EINVAL);
    ck_fails(weft_select(cases, 1, WEFT_FOREVER), EINVAL);
    ck_assert_int_eq(weft_task_outcome(none), WEFT_PENDING);
    ck_assert_int_eq(weft_task_state_of(none), WEFT_INITIAL);
    ck_assert_int_eq(weft_task_exitcode(none), -1);
    ck_assert(!weft_task_is_alive(none) && !weft_task_daemon(none) && !weft_task_keep(none));
    ck_assert_str_eq(weft_task_name(none), "");
    ck_assert(weft_task_ident(none) == 0 && weft_task_native_id(none) == 0 && weft_task_kind_of(none) == 0);
    ck_assert_int_eq(weft_task_repr(none, text, sizeof(text)), (int)strlen("<no task>"));
    weft_task_cancel(none);
    weft_task_free(none);
}
END_TEST

START_TEST(names_reach_the_kernel)
{
    ck_assert_str_eq(weft_task_name(weft_main()), "MainThread");
    ck_assert_ptr_eq(weft_current(), weft_main());
    name_is(weft_spawn(WEFT_THREAD, report_name, weft_none), "Thread-1/Thread-1");
    name_is(weft_spawn(WEFT_THREAD, report_name, weft_none), "Thread-2/Thread-2");
    name_is(weft_spawn(WEFT_THREAD, report_name, weft_none, .name = "a name of more than fifteen octets"),
        "a name of more than fifteen octets/a name of more ");
    char longest[300];
    memset(longest, 'x', sizeof(longest));
    longest[255] = 0;
    weft_task *task = weft_task_new(WEFT_THREAD, report_name, weft_none, .name = longest);
    ck_assert_str_eq(weft_task_name(task), longest);
    ck_assert_int_eq(weft_task_set_name(task, "renamed"), 0);
    ck_assert_str_eq(weft_task_name(task), "renamed");
    longest[255] = 'x';
    longest[256] = 0;
    ck_fails(weft_task_set_name(task, longest), EINVAL);
    ck_fails(weft_task_set_name(task, NULL), EINVAL);
    weft_task_start(task);
    name_is(task, "renamed/renamed");
    ck_fails_null(weft_task_new(WEFT_THREAD, report_name, weft_none, .name = longest), EINVAL);
}
END_TEST

static weft_value rename_self(weft_value unused)
{
    weft_task_set_name(weft_current(), "other");
    return report_name(unused);
}

START_TEST(a_running_task_is_renamed)
{
    name_is(weft_spawn(WEFT_THREAD, rename_self, weft_none), "other/other");
}
END_TEST

START_TEST(bad_calls_are_refused)
{
    ck_fails_null(weft_spawn(WEFT_THREAD, NULL, weft_none), EINVAL);
    ck_fails_null(weft_spawn((enum weft_task_kind)99, nothing, weft_none), EINVAL);
    ck_fails_null(weft_spawn((enum weft_task_kind)0, nothing, weft_none), EINVAL);
    ck_fails_null(weft_task_new_with(NULL), EINVAL);
    struct weft_spawn_options empty = {.size = 8};
    ck_fails_null(weft_task_new_with(&empty), EINVAL);
    /* A caller compiled against later headers may use only what this library knows. */
    struct {
        struct weft_spawn_options options;
        long later;
    } newer = {.options = {.size = sizeof(newer), .kind = WEFT_THREAD, .function = nothing}};
    weft_task *task = weft_task_new_with(&newer.options);
    ck_assert_ptr_nonnull(task);
    weft_task_free(task);
    newer.later = 1;
    ck_fails_null(weft_task_new_with(&newer.options), EINVAL);
    weft_value text = weft_str("still mine");
    ck_fails_null(weft_spawn(WEFT_THREAD, nothing, text, .stack_size = SIZE_MAX), EINVAL);
    ck_assert_str_eq(weft_as_str(text), "still mine");
    weft_drop(text);
}
END_TEST

static weft_value big_frame(weft_value unused)
{
    volatile char frame[3 << 20];
    frame[0] = 1;
    frame[sizeof(frame) - 1] = 2;
    (void)unused;
    return weft_int(frame[0] + frame[sizeof(frame) - 1]);
}

START_TEST(the_stack_is_as_large_as_asked)
{
    weft_task *task = weft_spawn(WEFT_THREAD, big_frame, weft_none, .stack_size = 4 << 20);
    weft_value value;
    ck_assert_int_eq(weft_task_result(task, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(value), 3);
    weft_task_free(task);
    task = weft_spawn(WEFT_THREAD, nothing, weft_none, .stack_size = 1); /* the least there is */
    ck_assert_int_eq(weft_task_join(task, WEFT_FOREVER), 0);
    weft_task_free(task);
}
END_TEST

static weft_value join_self(weft_value unused)
{
    (void)unused;
    return weft_task_join(weft_current(), WEFT_FOREVER) == 0 ? weft_none : weft_error(errno, NULL);
}

START_TEST(nobody_joins_himself)
{
    weft_task *task = weft_spawn(BESIDE_KIND, join_self, weft_none);
    weft_value value;
    ck_assert_int_eq(weft_task_result(task, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_error_code(value), EDEADLK);
    weft_drop(value);
    weft_task_free(task);
    ck_fails(weft_task_join(weft_main(), WEFT_FOREVER), EDEADLK);
}
END_TEST

START_TEST(cancel_ends_a_wait)
{
    struct flag event = {0};
    weft_task *task = weft_spawn(BESIDE_KIND, wait_for_event, weft_ptr(&event));
    weft_task_cancel(task);
    weft_value value;
    ck_assert_int_eq(weft_task_result(task, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_error_code(value), ECANCELED);
    weft_drop(value);
    ck_assert_int_eq(weft_task_outcome(task), WEFT_CANCELLED);
    weft_task_cancel(task); /* harmless now */
    ck_assert_int_eq(weft_task_terminate(task), 0);
    ck_fails(weft_task_kill(task), ENOTSUP);
    weft_task_free(task);
}
END_TEST

START_TEST(cancel_before_the_start_ends_the_task)
{
    weft_task *task = weft_task_new(BESIDE_KIND, twice, weft_str("dropped unread"));
    weft_task_cancel(task);
    weft_value value;
    ck_assert_int_eq(weft_task_result(task, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_error_code(value), ECANCELED);
    weft_drop(value);
    ck_assert_int_eq(weft_task_outcome(task), WEFT_CANCELLED);
    ck_fails(weft_task_start(task), EALREADY);
    weft_task_free(task);
}
END_TEST

static weft_value shielded(weft_value event)
{
    int inside = -1, cancelled = 0;
    weft_shield
    {
        flag_wait(weft_as_ptr(event), WEFT_FOREVER); /* until the test has cancelled */
        weft_shield
        {
            inside = weft_sleep(0.001);
        }
        cancelled = weft_cancelled();
    }
    int outside = weft_sleep(0.001);
    int error = errno;
    int again = weft_sleep(0.001);
    return weft_bool(inside == 0 && cancelled && outside == -1 && error == ECANCELED && again == -1);
}

START_TEST(a_shield_keeps_cancellation_out)
{
    struct flag event = {0};
    weft_task *task = weft_spawn(BESIDE_KIND, shielded, weft_ptr(&event));
    weft_task_cancel(task);
    flag_set(&event);
    weft_value value;
    ck_assert_int_eq(weft_task_result(task, &value, WEFT_FOREVER), 0);
    ck_assert(weft_as_bool(value));
    ck_assert_int_eq(weft_task_outcome(task), WEFT_DONE); /* it returned no error */
    weft_task_free(task);
}
END_TEST

START_TEST(a_joiner_can_be_cancelled)
{
    struct flag event = {0};
    weft_task *task = weft_spawn(BESIDE_KIND, wait_for_event, weft_ptr(&event));
    weft_task_cancel(weft_current());
    ck_fails(weft_task_join(task, WEFT_FOREVER), ECANCELED);
    ck_assert(weft_cancelled());
    flag_set(&event);
    weft_shield
    {
        ck_assert_int_eq(weft_task_join(task, WEFT_FOREVER), 0);
    }
    weft_task_free(task);
}
END_TEST

START_TEST(the_living_are_enumerated)
{
    struct flag event = {0};
    ck_assert_uint_eq(weft_active_count(), 1);
    weft_task *a = weft_spawn(BESIDE_KIND, wait_for_event, weft_ptr(&event));
    weft_task *b = weft_spawn(BESIDE_KIND, wait_for_event, weft_ptr(&event), .daemon = true);
    ck_assert(!weft_task_daemon(a));
    ck_assert(weft_task_daemon(b));
    ck_assert_int_eq(weft_task_kind_of(a), BESIDE_KIND);
    weft_task *tasks[5];
    ck_assert_uint_eq(weft_tasks(tasks, 5), 3);
    ck_assert_ptr_eq(tasks[0], weft_main());
    ck_assert_ptr_eq(tasks[1], a);
    ck_assert_ptr_eq(tasks[2], b);
    for (int i = 0; i < 3; i++)
        weft_task_free(tasks[i]);
    ck_assert_uint_eq(weft_tasks(tasks, 1), 3);
    weft_task_free(tasks[0]);
    repr_is(b, BESIDE_KIND == WEFT_THREAD ? "Thread-2, started daemon" : "Coroutine-2, started daemon");
    flag_set(&event);
    weft_task_join(a, WEFT_FOREVER);
    weft_task_join(b, WEFT_FOREVER);
    ck_assert_uint_eq(weft_active_count(), 1);
    ck_assert_uint_ne(weft_task_ident(a), weft_task_ident(b));
    weft_task_free(a);
    weft_task_free(b);
}
END_TEST

static void *foreign(void *data)
{
    weft_task *self = weft_current();
    *(weft_task **)data = weft_task_keep(self);
    ck_assert_ptr_eq(weft_current(), self);
    ck_assert_int_eq(weft_task_native_id(self), gettid());
    ck_assert_uint_eq(weft_active_count(), 2);
    return NULL;
}

START_TEST(a_foreign_thread_has_a_handle)
{
    pthread_t thread;
    weft_task *task;
    pthread_create(&thread, NULL, foreign, &task);
    pthread_join(thread, NULL);
    ck_assert_str_eq(weft_task_name(task), "Dummy-1");
    ck_assert(weft_task_daemon(task));
    ck_assert_int_eq(weft_task_join(task, WEFT_FOREVER), 0);
    ck_assert_uint_eq(weft_active_count(), 1);
    weft_task_free(task);
}
END_TEST

static int destroyed;

static void destroy(void *pointer)
{
    __atomic_add_fetch(&destroyed, *(int *)pointer, __ATOMIC_RELAXED);
}

static weft_local student = WEFT_LOCAL(destroy);
static weft_local plain;

static weft_value use_local(weft_value number)
{
    int mine = (int)weft_as_int(number);
    static int numbers[] = {1, 10, 100};
    if (weft_local_get(&student) || weft_local_get(&plain))
        return weft_bool(false);
    weft_local_set(&student, &numbers[mine]);
    weft_local_set(&plain, &mine);
    weft_yield();
    return weft_bool(weft_local_get(&student) == &numbers[mine] && weft_local_get(&plain) == &mine);
}

static void *use_local_foreign(void *data)
{
    *(bool *)data = weft_as_bool(use_local(weft_int(2)));
    return NULL;
}

START_TEST(locals_are_each_tasks_own)
{
    weft_task *tasks[2];
    for (int i = 0; i < 2; i++)
        tasks[i] = weft_spawn(BESIDE_KIND, use_local, weft_int(i));
    for (int i = 0; i < 2; i++) {
        weft_value value;
        ck_assert_int_eq(weft_task_result(tasks[i], &value, WEFT_FOREVER), 0);
        ck_assert(weft_as_bool(value));
        weft_task_free(tasks[i]);
    }
    ck_assert_int_eq(destroyed, 11);
    pthread_t thread;
    bool right;
    pthread_create(&thread, NULL, use_local_foreign, &right);
    pthread_join(thread, NULL);
    ck_assert(right);
    ck_assert_int_eq(destroyed, 111);
    ck_assert_ptr_null(weft_local_get(&student));
}
END_TEST

static weft_local many_locals[100];

static void many_again(void *pointer)
{
    int *left = pointer;
    if (--*left > 0)
        weft_local_set(&many_locals[50], left);
}

static weft_value use_many(weft_value left)
{
    for (int i = 0; i < 100; i++)
        weft_local_set(&many_locals[i], weft_as_ptr(left));
    return weft_none;
}

START_TEST(destructors_may_set_again)
{
    int left = 3;
    many_locals[50].destroy = many_again;
    weft_task *task = weft_spawn(BESIDE_KIND, use_many, weft_ptr(&left));
    ck_assert_int_eq(weft_task_join(task, WEFT_FOREVER), 0);
    weft_task_free(task);
    ck_assert_int_eq(left, 0);
}
END_TEST

static void hook(const char *what, weft_value error, void *data)
{
    snprintf(data, 100, "%s: %s", what, weft_error_text(error));
}

START_TEST(a_failure_nobody_collects_is_told)
{
    char text[100] = "";
    uint64_t before = weft_uncollected_count();
    weft_on_uncollected(hook, text);
    weft_task *task = weft_spawn(BESIDE_KIND, fail_named, weft_none, .name = "failing");
    weft_task_join(task, WEFT_FOREVER);
    weft_task_free(task);
    ck_assert_str_eq(text, "failing: no such page: 7");
    weft_on_uncollected(NULL, NULL);
    ck_assert_uint_eq(weft_uncollected_count(), before + 1);
}
END_TEST

static weft_value free_self(weft_value slot)
{
    flag_wait(weft_as_ptr(slot), WEFT_FOREVER);
    return weft_none;
}

START_TEST(a_task_outlives_its_handle)
{
    static struct flag event;
    weft_task_free(weft_spawn(BESIDE_KIND, free_self, weft_ptr(&event)));
    ck_assert_uint_eq(weft_active_count(), 2);
    flag_set(&event);
    while (weft_active_count() > 1)
        weft_yield();
}
END_TEST

START_TEST(sleep_lasts)
{
    weft_time before = weft_clock();
    ck_assert_int_eq(weft_sleep(0.01), 0);
    ck_assert_int_ge(weft_clock() - before, 10000000);
    ck_assert_int_eq(weft_sleep(-1), 0);
    ck_assert_int_eq(weft_sleep_until(WEFT_NOW), 0);
    ck_assert_int_eq(weft_sleep_until(weft_in(0.001)), 0);
    weft_task_cancel(weft_current());
    ck_fails(weft_sleep(1), ECANCELED);
}
END_TEST

START_TEST(processors_are_counted)
{
    ck_assert_uint_ge(weft_cpu_count(), 1);
    ck_assert_uint_le(weft_cpu_count(), (unsigned)sysconf(_SC_NPROCESSORS_CONF));
}
END_TEST

static weft_value late(weft_value output)
{
    weft_sleep(0.05);
    ck_assert_int_eq((int)write((int)weft_as_int(output), "joined ", 7), 7);
    return weft_none;
}

static weft_value never(weft_value output)
{
    weft_sleep(20);
    return late(output);
}

static weft_value exit_here(weft_value unused)
{
    (void)unused;
    exit(0);
}

static void leave_tasks(int output)
{
    weft_task_free(weft_spawn(BESIDE_KIND, late, weft_int(output)));
    weft_task_free(weft_spawn(BESIDE_KIND, late, weft_int(output)));
    weft_task_free(weft_spawn(BESIDE_KIND, never, weft_int(output), .daemon = true));
}

static void exit_in_a_task(int output)
{
    leave_tasks(output);
    weft_task *task = weft_spawn(BESIDE_KIND, exit_here, weft_none);
    weft_task_join(task, WEFT_FOREVER);
}

START_TEST(exit_joins_all_but_daemons)
{
    char text[100];
    fixture_exit_output(leave_tasks, text, sizeof(text));
    ck_assert_str_eq(text, "joined joined ");
    if (BESIDE_KIND != WEFT_THREAD) /* LeakSanitizer does not look at the stack of a thread whose coroutine exits */
        return;
    fixture_exit_output(exit_in_a_task, text, sizeof(text));
    ck_assert_str_eq(text, "joined joined ");
}
END_TEST

static weft_task *forked_other;

static weft_value fork_here(weft_value unused)
{
    (void)unused;
    pid_t child = fork();
    if (child == 0) {
        bool alone = weft_active_count() == 1 && weft_main() == weft_current();
        weft_value value = weft_none;
        bool lost = weft_task_result(forked_other, &value, WEFT_FOREVER) == 0 && weft_error_code(value) == EOWNERDEAD &&
                    weft_task_outcome(forked_other) == WEFT_LOST;
        weft_task_free(forked_other);
        bool works = FIXTURE_TSAN;
        if (!works) {
            weft_task *task = weft_spawn(BESIDE_KIND, twice, weft_int(4));
            works = weft_task_result(task, &value, WEFT_FOREVER) == 0 && weft_as_int(value) == 8;
            weft_task_free(task);
        }
        _exit(alone && lost && works ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return weft_int(status);
}

static struct flag begun;

static weft_value begin_and_wait(weft_value event)
{
    flag_set(&begun);
    return wait_for_event(event);
}

START_TEST(a_forked_child_is_alone)
{
    if (fixture_emulated())
        fixture_skip("the emulator does not survive threads of a forked child");
    struct flag event = {0};
    forked_other = weft_spawn(BESIDE_KIND, begin_and_wait, weft_ptr(&event));
    flag_wait(&begun, WEFT_FOREVER); /* allocates no more: AddressSanitizer's allocator does not survive a fork in between */
    ck_assert_int_eq(weft_as_int(fork_here(weft_none)), 0); /* in the main thread */
    weft_task *task = weft_spawn(BESIDE_KIND, fork_here, weft_none);
    weft_value status;
    ck_assert_int_eq(weft_task_result(task, &status, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(status), 0);
    weft_task_free(task);
    flag_set(&event);
    weft_task_join(forked_other, WEFT_FOREVER);
    weft_task_free(forked_other);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_task_runs_and_gives_its_result);
    tcase_add_test(tests, an_error_is_a_result);
    tcase_add_test(tests, states_follow_each_other);
    tcase_add_test(tests, no_task_is_one_that_never_started);
    tcase_add_test(tests, nobody_joins_himself);
    tcase_add_test(tests, cancel_ends_a_wait);
    tcase_add_test(tests, cancel_before_the_start_ends_the_task);
    tcase_add_test(tests, a_shield_keeps_cancellation_out);
    tcase_add_test(tests, a_joiner_can_be_cancelled);
    tcase_add_test(tests, the_living_are_enumerated);
    tcase_add_test(tests, locals_are_each_tasks_own);
    tcase_add_test(tests, destructors_may_set_again);
    tcase_add_test(tests, a_failure_nobody_collects_is_told);
    tcase_add_test(tests, a_task_outlives_its_handle);
    tcase_add_test(tests, sleep_lasts);
    tcase_add_test(tests, exit_joins_all_but_daemons);
    tcase_add_test(tests, a_forked_child_is_alone);
    if (BESIDE_KIND != WEFT_THREAD) /* what follows is of threads */
        return;
    tcase_add_test(tests, names_reach_the_kernel);
    tcase_add_test(tests, a_running_task_is_renamed);
    tcase_add_test(tests, bad_calls_are_refused);
    tcase_add_test(tests, the_stack_is_as_large_as_asked);
    tcase_add_test(tests, a_foreign_thread_has_a_handle);
    tcase_add_test(tests, processors_are_counted);
}

int main(void)
{
    return fixture_main("task", add);
}
