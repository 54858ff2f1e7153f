/* SPDX-License-Identifier: MIT */
/*
 * Stopping commands with all that they started: by time limit, by call, by the host's death. The trees are real ones, made by the shell;
 * each of their processes has a mark on its command line by which it is found, whatever its parent, group or session.
 */
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

static char mark[32];

/* A line of shell with each @ replaced by a sleep that bears the mark. */
static const char *marked(const char *line)
{
    static char text[4096];
    char *end = text;
    if (!mark[0]) /* a forked child keeps its parent's */
        snprintf(mark, sizeof(mark), "5000.000%d", getpid());
    for (; *line; line++)
        if (*line == '@')
            end = stpcpy(stpcpy(end, "sleep "), mark);
        else
            *end++ = *line;
    *end = 0;
    return text;
}

/* Alive, and its command line has the mark. */
static bool process_marked(const char *pid)
{
    char path[64], text[4096];
    snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t length = fread(text, 1, sizeof(text), file); /* of a zombie nothing */
    fclose(file);
    return memmem(text, length, mark, strlen(mark)) != NULL;
}

static int marked_count(void)
{
    int count = 0;
    DIR *folder = opendir("/proc");
    for (struct dirent *entry; (entry = readdir(folder));)
        count += isdigit((unsigned char)entry->d_name[0]) && process_marked(entry->d_name);
    closedir(folder);
    return count;
}

/* The trees: each holds at least `count` marked processes before long, and would live for an hour and more. */
static const struct tree {
    const char *line;
    int count;
    bool escapes; /* only a stopper reaches all of it, once its parents have gone */
} trees[] = {
    {"@", 1, false},
    {"@ & @", 2, false},
    {"(@; :) & (@; :) & @; :", 5, false},
    {"setsid sh -c '@ & @' & @; :", 4, false},
    {"(setsid sh -c '@ & @; :' &) & @; :", 4, true},
    {"(setsid sh -c '(setsid @ &) ; (@ &) ; @; :' &) ; @; :", 5, true},
    {"trap '' TERM; @; @", 1, false},
    {"trap '' TERM INT HUP; (trap '' TERM; @; @) & @; @; @", 3, false},
    {"@ & kill -STOP $!; @; :", 2, false},
    {"@ & kill -STOP $$; @", 2, false},
    {"i=0; while [ $i -lt 16 ]; do i=$((i+1)); (setsid @ &); done; @", 17, true},
};
enum { TREES = sizeof(trees) / sizeof(*trees) };

START_TEST(a_time_limit_stops_all_of_the_tree)
{
    struct weft_command_result result;
    const char *line = marked(trees[_i].line);
    ck_assert_int_eq(weft_command_run(weft_argv(line), &result, WEFT_FOREVER, .shell = true, .time_limit = 0.25, .stop_grace = 0.1), 0);
    ck_assert_int_eq(marked_count(), 0);
    ck_assert(result.status.timed_out);
    ck_assert(result.status.exitcode < 0);
    ck_assert(!result.status.unknown);
    weft_drop(result.output);
    weft_drop(result.error);
}
END_TEST

START_TEST(terminate_stops_a_tree_with_a_stopper)
{
    weft_command *command = weft_command_start(weft_argv(marked(trees[_i].line)), .shell = true, .time_limit = 3600, .stop_grace = 0.1);
    ck_assert_ptr_nonnull(command);
    fixture_until(marked_count() >= trees[_i].count);
    ck_fails(weft_command_wait(command, NULL, WEFT_NOW), EAGAIN);
    ck_assert_int_eq(weft_command_terminate(command, WEFT_FOREVER), 0);
    ck_assert_int_eq(marked_count(), 0);
    struct weft_command_status status;
    ck_assert_int_eq(weft_command_wait(command, &status, WEFT_NOW), 0);
    ck_assert(!status.timed_out);
    ck_assert(status.exitcode < 0);
    weft_command_free(command);
}
END_TEST

START_TEST(kill_stops_a_tree_with_a_stopper)
{
    weft_command *command = weft_command_start(weft_argv(marked(trees[_i].line)), .shell = true, .time_limit = 3600, .stop_grace = 3600);
    ck_assert_ptr_nonnull(command);
    fixture_until(marked_count() >= trees[_i].count);
    ck_assert_int_eq(weft_command_kill(command, WEFT_FOREVER), 0);
    ck_assert_int_eq(marked_count(), 0);
    ck_assert_int_eq(weft_command_kill(command, WEFT_FOREVER), 0);
    weft_command_free(command);
}
END_TEST

START_TEST(terminate_and_kill_stop_a_tree_from_here)
{
    if (trees[_i].escapes)
        return; /* told in the header */
    for (int gently = 0; gently < 2; gently++) {
        weft_command *command = weft_command_start(weft_argv(marked(trees[_i].line)), .shell = true, .stop_grace = 0.1);
        ck_assert_ptr_nonnull(command);
        fixture_until(marked_count() >= trees[_i].count);
        ck_assert_int_eq(gently ? weft_command_terminate(command, WEFT_FOREVER) : weft_command_kill(command, WEFT_FOREVER), 0);
        ck_assert_int_eq(marked_count(), 0);
        weft_command_free(command);
    }
}
END_TEST

START_TEST(an_orphan_is_found_by_its_group)
{
    weft_command *command = weft_command_start(weft_argv(marked("(@ &) ; @; :")), .shell = true, .new_group = true, .stop_grace = 0.1);
    ck_assert_ptr_nonnull(command);
    fixture_until(marked_count() >= 3);
    ck_assert_int_eq(weft_command_terminate(command, WEFT_FOREVER), 0);
    ck_assert_int_eq(marked_count(), 0);
    weft_command_free(command);
}
END_TEST

START_TEST(the_stop_signal_can_be_chosen_and_heard)
{
    struct weft_command_result result;
    const char *line = marked("trap 'echo heard; exit 9' USR2; @ & wait");
    ck_assert_int_eq(weft_command_run(weft_argv(line), &result, WEFT_FOREVER, .shell = true, .time_limit = 0.3, .stop_signal = SIGUSR2,
                         .stop_grace = 20),
        0);
    ck_assert_int_eq(marked_count(), 0);
    ck_assert_int_eq(result.status.exitcode, 9);
    ck_assert(result.status.timed_out);
    ck_assert_uint_eq(weft_length(result.output), strlen("heard\n"));
    weft_drop(result.output);
    weft_drop(result.error);
}
END_TEST

START_TEST(what_ends_in_time_is_not_timed_out)
{
    for (int i = 0; i < 20; i++) { /* stacks of stoppers are used again */
        struct weft_command_result result;
        ck_assert_int_eq(weft_command_run(weft_argv("echo x; exit 3"), &result, WEFT_FOREVER, .shell = true, .time_limit = 60), 0);
        ck_assert_int_eq(result.status.exitcode, 3);
        ck_assert(!result.status.timed_out && !result.status.unknown);
        ck_assert(result.status.seconds > 0);
        ck_assert_int_gt(result.status.peak_kilobytes, 100);
        ck_assert_uint_eq(weft_length(result.output), 2);
        weft_drop(result.output);
        weft_drop(result.error);
    }
}
END_TEST

START_TEST(what_a_command_left_behind_in_time_is_left_alone)
{
    struct weft_command_result result;
    const char *line = marked("(setsid @ & echo $!) ; (exit 6)");
    ck_assert_int_eq(weft_command_run(weft_argv(line), &result, WEFT_FOREVER, .shell = true, .time_limit = 60), 0);
    ck_assert_int_eq(result.status.exitcode, 6);
    pid_t pid = atoi(weft_as_bytes(result.output));
    weft_drop(result.output);
    weft_drop(result.error);
    fixture_until(marked_count() == 1);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    fixture_until(marked_count() == 0);
}
END_TEST

START_TEST(a_limited_command_says_what_exec_said)
{
    struct weft_command_result result;
    ck_fails(weft_command_run(weft_argv("weft-no-such-program"), &result, WEFT_FOREVER, .time_limit = 60), ENOENT);
    ck_fails_null(weft_command_start(weft_argv("true"), .time_limit = 60, .directory = "/etc/passwd"), ENOTDIR);
}
END_TEST

START_TEST(a_limited_command_stays_in_the_hosts_group)
{
    struct weft_command_result result;
    char expected[64];
    ck_assert_int_eq(
        weft_command_run(weft_argv("ps -o pgid= -p $$ | tr -d ' '"), &result, WEFT_FOREVER, .shell = true, .time_limit = 60), 0);
    snprintf(expected, sizeof(expected), "%d\n", getpgrp());
    ck_assert_str_eq(weft_as_bytes(result.output), expected);
    weft_drop(result.output);
    weft_drop(result.error);
}
END_TEST

START_TEST(a_limited_command_can_be_signalled)
{
    weft_command *command = weft_command_start(weft_argv("sleep", "600"), .time_limit = 600);
    ck_assert_ptr_nonnull(command);
    ck_fails(weft_command_signal(command, 1000), EINVAL);
    ck_assert_int_eq(weft_command_signal(command, SIGUSR1), 0);
    struct weft_command_status status;
    ck_assert_int_eq(weft_command_wait(command, &status, WEFT_FOREVER), 0);
    ck_assert_int_eq(status.exitcode, -SIGUSR1);
    ck_fails(weft_command_signal(command, SIGUSR1), ESRCH);
    weft_command_free(command);
}
END_TEST

/* Any start sweeps. Whether no child is left, of whatever kind. */
static bool swept(void)
{
    weft_command_run(weft_argv("true"), NULL, WEFT_FOREVER);
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0;
}

START_TEST(the_limit_holds_when_nobody_waits)
{
    weft_command *command = weft_command_start(weft_argv(marked("@")), .shell = true, .time_limit = 0.2);
    ck_assert_ptr_nonnull(command);
    weft_command_free(command);
    fixture_until(marked_count() == 0);
    fixture_until(swept());
}
END_TEST

/* A command that a SIGTERM does not stop. */
static weft_command *stubborn(bool limited, double grace)
{
    weft_command *command = weft_command_start(
        weft_argv(marked("trap '' TERM; @; @ & @; @; @")), .shell = true, .time_limit = limited ? 3600 : 0, .stop_grace = grace);
    ck_assert_ptr_nonnull(command);
    fixture_until(marked_count() >= 2); /* the shell has come to its sleep, and so past its trap */
    return command;
}

START_TEST(stopping_can_run_out_of_time_and_go_on)
{
    for (int limited = 0; limited < 2; limited++) {
        weft_command *command = stubborn(limited, 3600);
        ck_fails(weft_command_terminate(command, WEFT_NOW), EAGAIN);
        ck_fails(weft_command_terminate(command, weft_in(0.01)), ETIMEDOUT);
        ck_assert_int_eq(weft_command_kill(command, WEFT_FOREVER), 0);
        ck_assert_int_eq(marked_count(), 0);
        weft_command_free(command);
        command = stubborn(limited, 0.05);
        weft_command_terminate(command, WEFT_NOW); /* begins */
        ck_assert_int_eq(weft_command_terminate(command, WEFT_FOREVER), 0);
        ck_assert_int_eq(marked_count(), 0);
        weft_command_free(command);
    }
}
END_TEST

START_TEST(what_has_ended_needs_no_stopping)
{
    weft_command *command = weft_command_start(weft_argv("true"));
    ck_assert_ptr_nonnull(command);
    ck_assert_int_eq(weft_command_wait(command, NULL, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_command_terminate(command, WEFT_NOW), 0);
    ck_assert_int_eq(weft_command_kill(command, WEFT_NOW), 0);
    weft_command_free(command);
}
END_TEST

static weft_value stops_slowly(weft_value argument)
{
    return weft_int(weft_command_terminate(weft_as_ptr(argument), WEFT_FOREVER) ? errno : 0);
}

START_TEST(stopping_can_be_cancelled)
{
    for (int limited = 0; limited < 2; limited++) {
        weft_command *command = weft_command_start(
            weft_argv(marked("trap '' TERM; @; @; @")), .shell = true, .time_limit = limited ? 3600 : 0, .stop_grace = 3600);
        ck_assert_ptr_nonnull(command);
        fixture_until(marked_count() >= 2); /* the shell has come to its sleep, and so past its trap */
        weft_task *task = weft_spawn(WEFT_THREAD, stops_slowly, weft_ptr(command));
        ck_assert_ptr_nonnull(task);
        weft_task_cancel(task);
        weft_value error;
        ck_assert_int_eq(weft_task_result(task, &error, WEFT_FOREVER), 0);
        ck_assert_int_eq(weft_as_int(error), ECANCELED);
        weft_task_free(task);
        ck_assert_int_eq(weft_command_kill(command, WEFT_FOREVER), 0);
        ck_assert_int_eq(marked_count(), 0);
        weft_command_free(command);
    }
}
END_TEST

/* A host that starts commands, tells when they run, and dies in the way it is told. */
static pid_t host_start(void (*starts)(void), void (*dies)(void))
{
    pid_t host = fork();
    ck_assert_int_ge(host, 0);
    if (host == 0) {
        starts();
        dies();
        _exit(1);
    }
    return host;
}

static void dies_by_kill(void)
{
    fixture_until(marked_count() >= 4);
    raise(SIGKILL);
}

static void dies_by_exit(void)
{
    fixture_until(marked_count() >= 4);
    _exit(0);
}

/* Handles of a host that dies with them. Nobody reads them; volatile keeps them where a search for leaks finds them. */
static weft_command *volatile held[130];

static void starts_ending(void)
{
    ck_assert_ptr_nonnull(held[0] = weft_command_start(weft_argv(marked("(@; :) & @; :")), .shell = true, .end_with_us = true));
    ck_assert_ptr_nonnull(
        held[1] = weft_command_start(weft_argv(marked("(@ &) ; @")), .shell = true, .end_with_us = true, .new_group = true));
}

static void starts_limited(void)
{
    held[0] = weft_command_start(weft_argv(marked("(setsid sh -c '@; :' &) ; (@ &) ; @; :")), .shell = true, .time_limit = 3600);
    ck_assert_ptr_nonnull(held[0]);
}

/* Many at once: more than one piece of the table. */
static void starts_many(void)
{
    for (int i = 0; i < 130; i++)
        ck_assert_ptr_nonnull(held[i] = weft_command_start(weft_argv("sleep", mark), .end_with_us = true));
}

static void host_test(void (*starts)(void), void (*dies)(void))
{
    int status;
    marked("");
    pid_t host = host_start(starts, dies);
    ck_assert_int_eq(waitpid(host, &status, 0), host);
    ck_assert(dies == dies_by_kill ? WIFSIGNALED(status) : WIFEXITED(status) && WEXITSTATUS(status) == 0);
    fixture_until(marked_count() == 0);
}

START_TEST(commands_end_with_a_killed_host)
{
    host_test(starts_ending, dies_by_kill);
}
END_TEST

START_TEST(commands_end_with_a_host_that_exits)
{
    host_test(starts_ending, dies_by_exit);
}
END_TEST

START_TEST(limited_commands_end_with_a_killed_host)
{
    host_test(starts_limited, dies_by_kill);
}
END_TEST

START_TEST(many_commands_end_with_a_killed_host)
{
    if (fixture_copies())
        fixture_skip("under Valgrind a guardian sees the first piece of the table alone");
    host_test(starts_many, dies_by_kill);
}
END_TEST

static void starts_after_fork(void)
{
    ck_assert_int_eq(weft_command_run(weft_argv("true"), NULL, WEFT_FOREVER, .end_with_us = true), 0); /* the parent has a guardian */
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child > 0) {
        int status;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFSIGNALED(status));
        fixture_until(marked_count() == 0);
        ck_assert_int_eq(weft_command_run(weft_argv("true"), NULL, WEFT_FOREVER, .end_with_us = true), 0);
        _exit(0);
    }
    starts_ending();
}

START_TEST(a_forked_host_has_a_guardian_of_its_own)
{
    int status;
    marked("");
    pid_t host = host_start(starts_after_fork, dies_by_kill);
    ck_assert_int_eq(waitpid(host, &status, 0), host);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ck_assert_int_eq(marked_count(), 0);
}
END_TEST

START_TEST(ending_with_the_host_costs_nothing_when_it_ends_before)
{
    if (fixture_copies())
        fixture_skip("under Valgrind the table is shared memory, and stays");
    for (int i = 0; i < 50; i++) {
        struct weft_command_status status;
        weft_command *command = weft_command_start(weft_argv("exit 2"), .shell = true, .end_with_us = true);
        ck_assert_ptr_nonnull(command);
        ck_assert_int_eq(weft_command_wait(command, &status, WEFT_FOREVER), 0);
        ck_assert_int_eq(status.exitcode, 2);
        weft_command_free(command);
    }
    ck_fails_null(weft_command_start(weft_argv("weft-no-such-program"), .end_with_us = true), ENOENT);
}
END_TEST

/* Whether a process has the name of a guardian and this process's memory. */
static bool is_our_guardian(const char *pid)
{
    char path[64], name[32] = "";
    snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool named = fgets(name, sizeof(name), file) && strcmp(name, "weft-guardian\n") == 0;
    fclose(file);
    return named && syscall(SYS_kcmp, getpid(), atoi(pid), KCMP_VM, 0, 0) == 0;
}

/* The guardian of this process, or 0. */
static pid_t guardian_find(void)
{
    pid_t found = 0;
    DIR *folder = opendir("/proc");
    for (struct dirent *entry; !found && (entry = readdir(folder));)
        if (isdigit((unsigned char)entry->d_name[0]) && is_our_guardian(entry->d_name))
            found = atoi(entry->d_name);
    closedir(folder);
    return found;
}

START_TEST(the_guardian_comes_and_goes)
{
    if (syscall(SYS_kcmp, getpid(), getpid(), KCMP_VM, 0, 0) != 0)
        fixture_skip("the kernel does not tell whose memory is whose");
    if (fixture_copies())
        fixture_skip("under Valgrind a guardian has a copy of the memory");
    weft_command *command = weft_command_start(weft_argv("sleep", "600"), .end_with_us = true);
    ck_assert_ptr_nonnull(command);
    fixture_until(guardian_find() != 0); /* it names itself in its own time */
    pid_t first = guardian_find();
    ck_assert_int_eq(kill(first, SIGKILL), 0); /* somebody kills it: the next command has another */
    fixture_until(guardian_find() == 0);
    weft_command *other = weft_command_start(weft_argv("sleep", "600"), .end_with_us = true);
    ck_assert_ptr_nonnull(other);
    fixture_until(guardian_find() != 0);
    ck_assert_int_ne(guardian_find(), first);
    ck_assert_int_eq(weft_command_kill(command, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_command_kill(other, WEFT_FOREVER), 0);
    weft_command_free(command);
    weft_command_free(other);
    fixture_until(guardian_find() == 0);
}
END_TEST

/* What a stopper that was killed cannot tell is unknown; the command is killed with it. */
START_TEST(a_killed_stopper_is_told)
{
    marked("");
    weft_command *command = weft_command_start(weft_argv("sleep", mark), .time_limit = 600);
    ck_assert_ptr_nonnull(command);
    char path[64];
    int stopper = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", weft_command_pid(command));
    FILE *file = fopen(path, "re");
    ck_assert_int_eq(fscanf(file, "%*d (%*[^)]) %*c %d", &stopper), 1);
    fclose(file);
    ck_assert_int_eq(kill(stopper, SIGKILL), 0);
    struct weft_command_status status;
    ck_assert_int_eq(weft_command_wait(command, &status, WEFT_FOREVER), 0);
    ck_assert(status.unknown);
    ck_assert_int_eq(status.exitcode, -1);
    weft_command_free(command);
    fixture_until(marked_count() == 0);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, a_time_limit_stops_all_of_the_tree, 0, TREES);
    tcase_add_loop_test(tests, terminate_stops_a_tree_with_a_stopper, 0, TREES);
    tcase_add_loop_test(tests, kill_stops_a_tree_with_a_stopper, 0, TREES);
    tcase_add_loop_test(tests, terminate_and_kill_stop_a_tree_from_here, 0, TREES);
    tcase_add_test(tests, an_orphan_is_found_by_its_group);
    tcase_add_test(tests, the_stop_signal_can_be_chosen_and_heard);
    tcase_add_test(tests, what_ends_in_time_is_not_timed_out);
    tcase_add_test(tests, what_a_command_left_behind_in_time_is_left_alone);
    tcase_add_test(tests, a_limited_command_says_what_exec_said);
    tcase_add_test(tests, a_limited_command_stays_in_the_hosts_group);
    tcase_add_test(tests, a_limited_command_can_be_signalled);
    tcase_add_test(tests, the_limit_holds_when_nobody_waits);
    tcase_add_test(tests, stopping_can_run_out_of_time_and_go_on);
    tcase_add_test(tests, what_has_ended_needs_no_stopping);
    tcase_add_test(tests, stopping_can_be_cancelled);
    tcase_add_test(tests, commands_end_with_a_killed_host);
    tcase_add_test(tests, commands_end_with_a_host_that_exits);
    tcase_add_test(tests, limited_commands_end_with_a_killed_host);
    tcase_add_test(tests, many_commands_end_with_a_killed_host);
    tcase_add_test(tests, a_forked_host_has_a_guardian_of_its_own);
    tcase_add_test(tests, ending_with_the_host_costs_nothing_when_it_ends_before);
    tcase_add_test(tests, the_guardian_comes_and_goes);
    tcase_add_test(tests, a_killed_stopper_is_told);
}

int main(void)
{
    return fixture_main("command_stop", add);
}
