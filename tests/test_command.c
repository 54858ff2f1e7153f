/* SPDX-License-Identifier: MIT */
/* Commands: starting, their streams, waiting for them, running to the end. What stops trees is in test_command_stop.c. */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

/* run_shell(line, result, deadline, options...) */
#define run_shell(line_, result_, ...) weft_command_run(weft_argv(line_), (result_), __VA_ARGS__, .shell = true)

/* Fails unless bytes hold just this text; ends the hold. */
static void takes_text(weft_value bytes, const char *text)
{
    ck_assert_int_eq(weft_kind(bytes), WEFT_BYTES);
    ck_assert_uint_eq(weft_length(bytes), strlen(text));
    ck_assert_mem_eq(weft_as_bytes(bytes), text, strlen(text));
    weft_drop(bytes);
}

static void result_drop(struct weft_command_result *result)
{
    weft_drop(result->output);
    weft_drop(result->error);
}

static const char *in_folder(char *path, const char *name)
{
    snprintf(path, PATH_MAX, "%s/%s", fixture_folder(), name);
    return path;
}

static void file_write(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    ck_assert_int_eq(chmod(path, mode), 0);
}

static void file_holds(const char *path, const char *text)
{
    char buffer[256];
    FILE *file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    buffer[fread(buffer, 1, sizeof(buffer) - 1, file)] = 0;
    fclose(file);
    ck_assert_str_eq(buffer, text);
}

START_TEST(run_captures_both_streams_and_the_status)
{
    struct weft_command_result result;
    ck_assert_int_eq(run_shell("echo out; echo err >&2; exit 7", &result, WEFT_FOREVER), 0);
    ck_assert_int_eq(result.status.exitcode, 7);
    ck_assert(!result.status.timed_out && !result.status.unknown && !result.status.dumped);
    ck_assert(result.status.seconds > 0);
    ck_assert_int_gt(result.status.peak_kilobytes, 100);
    takes_text(result.output, "out\n");
    takes_text(result.error, "err\n");
}
END_TEST

START_TEST(run_counts_processor_time)
{
    struct weft_command_result result;
    ck_assert_int_eq(run_shell("i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done", &result, WEFT_FOREVER), 0);
    ck_assert(result.status.user_seconds + result.status.system_seconds > 0);
    ck_assert(result.status.user_seconds + result.status.system_seconds <= result.status.seconds * 1.5 + 0.02);
    result_drop(&result);
}
END_TEST

START_TEST(a_signal_is_a_negative_exit_code)
{
    struct weft_command_result result;
    ck_assert_int_eq(run_shell("kill -9 $$", &result, WEFT_FOREVER), 0);
    ck_assert_int_eq(result.status.exitcode, -SIGKILL);
    result_drop(&result);
}
END_TEST

START_TEST(arguments_arrive_as_they_are)
{
    struct weft_command_result result;
    ck_assert_int_eq(weft_command_run(weft_argv("printf", "%s|", "a b", "", "*", "\"'\\"), &result, WEFT_FOREVER), 0);
    takes_text(result.output, "a b||*|\"'\\|");
    weft_drop(result.error);
}
END_TEST

START_TEST(the_shell_gets_what_follows_the_line)
{
    struct weft_command_result result;
    ck_assert_int_eq(weft_command_run(weft_argv("echo $0-$1-$#", "zero", "one two"), &result, WEFT_FOREVER, .shell = true), 0);
    takes_text(result.output, "zero-one two-1\n");
    weft_drop(result.error);
}
END_TEST

START_TEST(start_says_what_exec_said)
{
    char path[PATH_MAX];
    struct weft_command_result result;
    memset(&result, 0x55, sizeof(result));
    struct weft_command_result before = result;
    ck_fails(weft_command_run(weft_argv("weft-no-such-program"), &result, WEFT_FOREVER), ENOENT);
    ck_fails(weft_command_run(weft_argv(""), &result, WEFT_FOREVER), ENOENT);
    ck_fails(weft_command_run(weft_argv("/etc/passwd/x"), &result, WEFT_FOREVER), ENOTDIR);
    file_write(in_folder(path, "plain"), "echo", 0644);
    ck_fails(weft_command_run(weft_argv(path), &result, WEFT_FOREVER), EACCES);
    ck_fails_null(weft_command_start(weft_argv("true"), .directory = "/no/such/folder"), ENOENT);
    ck_fails_null(weft_command_start(weft_argv("true"), .standard_input = {.kind = WEFT_FILE, .path = "/no/such/file"}), ENOENT);
    ck_fails_null(weft_command_start(weft_argv("true"), .standard_output = {.kind = WEFT_FD, .fd = 987}), EBADF);
    ck_assert_mem_eq(&result, &before, sizeof(result));
}
END_TEST

START_TEST(start_refuses_what_makes_no_sense)
{
    struct weft_command_result result;
    ck_fails_null(weft_command_start_with(NULL), EINVAL);
    ck_fails_null(weft_command_start(NULL), EINVAL);
    ck_fails_null(weft_command_start(((const char *const[]){NULL})), EINVAL);
    ck_fails_null(weft_command_start(weft_argv("true"), .standard_output = {.kind = WEFT_MERGE}), EINVAL);
    ck_fails_null(weft_command_start(weft_argv("true"), .standard_output = {.kind = WEFT_FILE}), EINVAL);
    ck_fails_null(weft_command_start(weft_argv("true"), .standard_output = {.kind = WEFT_FD, .fd = -1}), EINVAL);
    ck_fails_null(weft_command_start(weft_argv("true"), .standard_input = {.kind = (enum weft_redirection_kind)77}), EINVAL);
    ck_fails_null(weft_command_start(weft_argv("true"), .time_limit = -1), EINVAL);
    ck_fails_null(weft_command_start(weft_argv("true"), .stop_grace = -1), EINVAL);
    ck_fails_null(weft_command_start(weft_argv("true"), .stop_signal = 65), EINVAL);
    ck_fails(weft_command_run_with(NULL, &result), EINVAL);
    ck_fails(weft_command_run(weft_argv("true"), &result, WEFT_FOREVER, .input = weft_int(1)), EINVAL);
}
END_TEST

START_TEST(path_is_that_of_the_commands_environment)
{
    char path[PATH_MAX], search[PATH_MAX + 64];
    struct weft_command_result result;
    file_write(in_folder(path, "weft-test-tool"), "#!/bin/sh\necho found\n", 0755);
    snprintf(search, sizeof(search), "PATH=/no/such/place::%s:/usr/bin:/bin", fixture_folder());
    ck_fails(weft_command_run(weft_argv("weft-test-tool"), &result, WEFT_FOREVER), ENOENT);
    ck_assert_int_eq(weft_command_run(weft_argv("weft-test-tool"), &result, WEFT_FOREVER, .environment_add = weft_argv(search)), 0);
    takes_text(result.output, "found\n");
    weft_drop(result.error);
    ck_assert_int_eq(weft_command_run(weft_argv("true"), &result, WEFT_FOREVER, .environment = weft_argv("X=1")), 0);
    result_drop(&result);
}
END_TEST

START_TEST(a_program_that_may_not_run_is_told_before_one_that_is_missing)
{
    char path[PATH_MAX], search[PATH_MAX + 64];
    struct weft_command_result result;
    file_write(in_folder(path, "weft-test-tool"), "echo", 0644);
    snprintf(search, sizeof(search), "PATH=%s:/no/such/place", fixture_folder());
    ck_fails(weft_command_run(weft_argv("weft-test-tool"), &result, WEFT_FOREVER, .environment_add = weft_argv(search)), EACCES);
}
END_TEST

START_TEST(a_file_without_format_is_a_script)
{
    char path[PATH_MAX];
    struct weft_command_result result;
    file_write(in_folder(path, "script"), "echo \"$0 $1 $2\"\n", 0755);
    ck_assert_int_eq(weft_command_run(weft_argv(path, "a", "b"), &result, WEFT_FOREVER), 0);
    char expected[PATH_MAX + 16];
    snprintf(expected, sizeof(expected), "%s a b\n", path);
    takes_text(result.output, expected);
    weft_drop(result.error);
}
END_TEST

START_TEST(the_environment_is_given_changed_or_this_one)
{
    struct weft_command_result result;
    setenv("WEFT_TEST_A", "one", 1);
    ck_assert_int_eq(run_shell("echo $WEFT_TEST_A", &result, WEFT_FOREVER), 0);
    takes_text(result.output, "one\n");
    weft_drop(result.error);
    ck_assert_int_eq(run_shell("echo $WEFT_TEST_A $WEFT_TEST_B", &result, WEFT_FOREVER,
                         .environment_add = weft_argv("WEFT_TEST_A", "WEFT_TEST_B=no", "WEFT_TEST_B=two")),
        0);
    takes_text(result.output, "two\n");
    weft_drop(result.error);
    ck_assert_int_eq(weft_command_run(weft_argv("/usr/bin/env"), &result, WEFT_FOREVER, .environment = weft_argv("A=1", "B=2"),
                         .environment_add = weft_argv("A=3", "C")),
        0);
    takes_text(result.output, "B=2\nA=3\n");
    weft_drop(result.error);
}
END_TEST

START_TEST(long_lists_fit)
{
    enum { COUNT = 5000 };
    static const char *list[COUNT + 3];
    struct weft_command_result result;
    list[0] = "echo $#";
    for (int i = 1; i <= COUNT + 1; i++)
        list[i] = "argument";
    ck_assert_int_eq(weft_command_run((const char *const *)list, &result, WEFT_FOREVER, .shell = true), 0);
    takes_text(result.output, "5000\n");
    weft_drop(result.error);
}
END_TEST

START_TEST(the_directory_is_the_childs_only)
{
    char before[PATH_MAX], after[PATH_MAX], expected[PATH_MAX + 2];
    struct weft_command_result result;
    ck_assert_ptr_nonnull(getcwd(before, sizeof(before)));
    ck_assert_int_eq(weft_command_run(weft_argv("pwd"), &result, WEFT_FOREVER, .directory = fixture_folder()), 0);
    snprintf(expected, sizeof(expected), "%s\n", fixture_folder());
    takes_text(result.output, expected);
    weft_drop(result.error);
    ck_assert_ptr_nonnull(getcwd(after, sizeof(after)));
    ck_assert_str_eq(before, after);
}
END_TEST

START_TEST(streams_go_to_files)
{
    char in[PATH_MAX], out[PATH_MAX];
    struct weft_command_result result;
    file_write(in_folder(in, "in"), "some text\n", 0644);
    in_folder(out, "out");
    file_write(out, "something longer that is cut away\n", 0644);
    ck_assert_int_eq(weft_command_run(weft_argv("cat"), &result, WEFT_FOREVER, .standard_input = {.kind = WEFT_FILE, .path = in},
                         .standard_output = {.kind = WEFT_FILE, .path = out}),
        0);
    ck_assert(weft_is_none(result.output));
    takes_text(result.error, "");
    file_holds(out, "some text\n");
    ck_assert_int_eq(weft_command_run(weft_argv("echo", "more"), NULL, WEFT_FOREVER,
                         .standard_output = {.kind = WEFT_FILE, .path = out, .append = true}),
        0);
    file_holds(out, "some text\nmore\n");
}
END_TEST

START_TEST(streams_go_to_descriptors_and_merge)
{
    char path[PATH_MAX];
    int file = open(in_folder(path, "both"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(run_shell("echo out; echo err >&2", NULL, WEFT_FOREVER, .standard_output = {.kind = WEFT_FD, .fd = file},
                         .standard_error = {.kind = WEFT_MERGE}),
        0);
    file_holds(path, "out\nerr\n");
    ck_assert_int_ge(fcntl(file, F_GETFD), 0);
    close(file);
    struct weft_command_result result;
    ck_assert_int_eq(run_shell("echo out; echo err >&2", &result, WEFT_FOREVER, .standard_error = {.kind = WEFT_MERGE}), 0);
    takes_text(result.output, "out\nerr\n");
    ck_assert(weft_is_none(result.error));
}
END_TEST

START_TEST(null_is_silent)
{
    struct weft_command_result result;
    ck_assert_int_eq(weft_command_run(weft_argv("cat"), &result, WEFT_FOREVER, .standard_input = {.kind = WEFT_NULL},
                         .standard_error = {.kind = WEFT_NULL}),
        0);
    takes_text(result.output, "");
    ck_assert(weft_is_none(result.error));
    ck_assert_int_eq(run_shell("echo no one hears", NULL, WEFT_FOREVER, .standard_output = {.kind = WEFT_NULL}), 0);
}
END_TEST

/* What the child of a forked test process wrote on its inherited stdout. */
START_TEST(streams_are_inherited)
{
    char path[PATH_MAX];
    in_folder(path, "inherited");
    pid_t child = fork();
    if (child == 0) {
        int file = open(path, O_WRONLY | O_CREAT, 0644);
        dup3(file, 1, O_CLOEXEC); /* passed on all the same */
        _exit(run_shell("echo here", NULL, WEFT_FOREVER));
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    file_holds(path, "here\n");
}
END_TEST

START_TEST(the_child_has_three_descriptors)
{
    struct weft_command_result result;
    int leaky[3] = {open("/dev/null", O_RDONLY), dup(2), fcntl(2, F_DUPFD, 200)};
    ck_assert_int_eq(weft_command_run(weft_argv("ls", "/proc/self/fd"), &result, WEFT_FOREVER), 0);
    takes_text(result.output, "0\n1\n2\n3\n"); /* 3 is ls itself reading the folder */
    weft_drop(result.error);
    for (int i = 0; i < 3; i++)
        close(leaky[i]);
}
END_TEST

/* In a process of its own: descriptors 0 to 2 are closed or crossed there. */
static void in_child(int (*what)(void))
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(what());
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

static int closed_streams(void)
{
    struct weft_command_result result;
    close(0);
    close(1);
    close(2);
    weft_value input = weft_str("in");
    int failed = weft_command_run(weft_argv("cat; echo err >&2"), &result, WEFT_FOREVER, .shell = true, .input = input);
    weft_drop(input);
    if (failed)
        return 1;
    if (weft_length(result.output) != 2 || weft_length(result.error) != 4)
        return 2;
    result_drop(&result);
    return run_shell("[ ! -e /proc/self/fd/1 ]", NULL, WEFT_FOREVER);
}

START_TEST(streams_may_be_closed_in_the_parent)
{
    in_child(closed_streams);
}
END_TEST

static int crossed_streams(void)
{
    int ends[2];
    struct weft_command_result result = {.status = {0}};
    if (pipe(ends) != 0)
        return 1;
    dup2(ends[1], 0); /* 0 is the writing end, 1 and 2 the reading one */
    dup2(ends[0], 1);
    dup2(ends[0], 2);
    close(ends[0]);
    close(ends[1]);
    int failed = weft_command_run(weft_argv("echo crossed; read a <&2; echo $a | tr a-z A-Z; read a"), NULL, WEFT_FOREVER, .shell = true,
        .standard_input = {.kind = WEFT_FD, .fd = 1}, .standard_output = {.kind = WEFT_FD, .fd = 0},
        .standard_error = {.kind = WEFT_FD, .fd = 2});
    return failed ? 2 : result.status.exitcode;
}

START_TEST(streams_may_be_crossed)
{
    in_child(crossed_streams);
}
END_TEST

static void ignore(int signal)
{
    (void)signal;
}

static int odd_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGUSR1, ignore);
    sigprocmask(SIG_SETMASK, &all, NULL);
    struct weft_command_result result;
    if (weft_command_run(weft_argv("grep", "^Sig[BI]", "/proc/self/status"), &result, WEFT_FOREVER) != 0)
        return 1;
    const char *expected = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n";
    int differs = strncmp(weft_as_bytes(result.output), expected, strlen(expected)) != 0;
    result_drop(&result);
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    return differs ? 2 : sigismember(&now, SIGTERM) ? 0 : 3;
}

START_TEST(signals_are_as_new_in_the_child)
{
    in_child(odd_signals);
}
END_TEST

static int host_ignores(void)
{
    struct weft_command_result result;
    signal(SIGCHLD, SIG_IGN);
    if (run_shell("echo x; exit 3", &result, WEFT_FOREVER) != 0)
        return 1;
    int wrong = weft_length(result.output) != 2 || (result.status.unknown ? result.status.exitcode != -1 : result.status.exitcode != 3);
    result_drop(&result);
    if (run_shell("exit 4", &result, WEFT_FOREVER, .time_limit = 20) != 0 || result.status.exitcode != 4)
        return 2;
    result_drop(&result);
    return wrong;
}

START_TEST(a_host_may_ignore_sigchld)
{
    in_child(host_ignores);
}
END_TEST

static int host_reaps(void)
{
    weft_command *command = weft_command_start(weft_argv("exit 5"), .shell = true);
    if (!command)
        return 1;
    if (waitpid(-1, NULL, 0) != weft_command_pid(command))
        return 2;
    struct weft_command_status status;
    if (weft_command_wait(command, &status, WEFT_FOREVER) != 0)
        return 3;
    int wrong = status.unknown ? status.exitcode != -1 : status.exitcode != 5;
    weft_command_free(command);
    return wrong;
}

START_TEST(a_host_may_reap_every_child)
{
    in_child(host_reaps);
}
END_TEST

START_TEST(groups_and_sessions_are_new_when_asked)
{
    char expected[64];
    struct weft_command_result result;
    const char *line = "ps -o pgid=,sid= -p $$ | tr -s ' ' | sed 's/^ //'";
    ck_assert_int_eq(run_shell(line, &result, WEFT_FOREVER), 0);
    snprintf(expected, sizeof(expected), "%d %d\n", getpgrp(), getsid(0));
    takes_text(result.output, expected);
    weft_drop(result.error);
    ck_assert_int_eq(
        run_shell("[ $(ps -o pgid= -p $$) = $$ ] && [ $(ps -o sid= -p $$) != $$ ]", &result, WEFT_FOREVER, .new_group = true), 0);
    ck_assert_int_eq(result.status.exitcode, 0);
    result_drop(&result);
    ck_assert_int_eq(run_shell("[ $(ps -o sid= -p $$) = $$ ]", &result, WEFT_FOREVER, .new_session = true), 0);
    ck_assert_int_eq(result.status.exitcode, 0);
    result_drop(&result);
}
END_TEST

START_TEST(niceness_is_added)
{
    char expected[16];
    struct weft_command_result result;
    snprintf(expected, sizeof(expected), "%d\n", getpriority(PRIO_PROCESS, 0) + 3);
    ck_assert_int_eq(weft_command_run(weft_argv("nice"), &result, WEFT_FOREVER, .nice = 3), 0);
    takes_text(result.output, expected);
    weft_drop(result.error);
}
END_TEST

START_TEST(waiting_can_be_repeated_and_run_out_of_time)
{
    weft_command *command =
        weft_command_start(weft_argv("cat"), .standard_input = {.kind = WEFT_PIPE}, .standard_output = {.kind = WEFT_NULL});
    ck_assert_ptr_nonnull(command);
    struct weft_command_status status = {.exitcode = 77};
    ck_fails(weft_command_wait(command, &status, WEFT_NOW), EAGAIN);
    ck_fails(weft_command_wait(command, &status, weft_in(0.01)), ETIMEDOUT);
    ck_assert_int_eq(status.exitcode, 77);
    ck_assert_int_eq(weft_command_close(command, 0), 0);
    ck_assert_int_eq(weft_command_wait(command, &status, WEFT_FOREVER), 0);
    ck_assert_int_eq(status.exitcode, 0);
    status.exitcode = 77;
    ck_assert_int_eq(weft_command_wait(command, &status, WEFT_NOW), 0);
    ck_assert_int_eq(status.exitcode, 0);
    ck_assert_int_eq(weft_command_wait(command, NULL, WEFT_NOW), 0);
    weft_command_free(command);
}
END_TEST

START_TEST(signals_reach_the_command)
{
    weft_command *command = weft_command_start(weft_argv("sleep", "60"));
    ck_assert_ptr_nonnull(command);
    ck_assert_int_eq(kill(weft_command_pid(command), 0), 0);
    ck_fails(weft_command_signal(command, 1000), EINVAL);
    ck_assert_int_eq(weft_command_signal(command, SIGUSR1), 0);
    struct weft_command_status status;
    ck_assert_int_eq(weft_command_wait(command, &status, WEFT_FOREVER), 0);
    ck_assert_int_eq(status.exitcode, -SIGUSR1);
    ck_fails(weft_command_signal(command, SIGTERM), ESRCH);
    ck_fails(weft_command_signal(command, 1000), EINVAL);
    weft_command_free(command);
    weft_command_free(NULL);
}
END_TEST

START_TEST(streams_can_be_talked_to_one_by_one)
{
    weft_command *command = weft_command_start(weft_argv("cat; echo end >&2"), .shell = true, .standard_input = {.kind = WEFT_PIPE},
        .standard_output = {.kind = WEFT_PIPE}, .standard_error = {.kind = WEFT_PIPE});
    ck_assert_ptr_nonnull(command);
    char text[16];
    size_t written = 0;
    ck_fails(weft_command_read(command, 1, text, sizeof(text), WEFT_NOW), EAGAIN);
    ck_fails(weft_command_read(command, 1, text, sizeof(text), weft_in(0.01)), ETIMEDOUT);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(weft_command_write(command, "ping", 4, &written, WEFT_FOREVER), 0);
        ck_assert_uint_eq(written, 4);
        ck_assert_int_eq(weft_command_read(command, 1, text, sizeof(text), WEFT_FOREVER), 4);
        ck_assert_mem_eq(text, "ping", 4);
    }
    int descriptor = weft_command_stream(command, 0);
    ck_assert_int_eq(fcntl(descriptor, F_GETFD), FD_CLOEXEC);
    ck_assert(fcntl(descriptor, F_GETFL) & O_NONBLOCK);
    ck_assert_int_eq(weft_command_close(command, 0), 0);
    ck_assert_int_eq(weft_command_read(command, 1, text, sizeof(text), WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_command_read(command, 2, text, sizeof(text), WEFT_FOREVER), 4);
    ck_fails(weft_command_stream(command, 0), EINVAL);
    ck_fails(weft_command_stream(command, 3), EINVAL);
    ck_fails(weft_command_stream(command, -1), EINVAL);
    ck_fails(weft_command_close(command, 0), EINVAL);
    ck_fails(weft_command_write(command, "x", 1, NULL, WEFT_FOREVER), EINVAL);
    ck_fails(weft_command_read(command, 0, text, sizeof(text), WEFT_FOREVER), EINVAL);
    ck_assert_int_eq(weft_command_wait(command, NULL, WEFT_FOREVER), 0);
    weft_command_free(command);
}
END_TEST

START_TEST(writing_says_how_much_went)
{
    static char block[1 << 22];
    weft_command *command = weft_command_start(weft_argv("sleep", "60"), .standard_input = {.kind = WEFT_PIPE});
    ck_assert_ptr_nonnull(command);
    size_t written = 0;
    ck_fails(weft_command_write(command, block, sizeof(block), &written, weft_in(0.02)), ETIMEDOUT);
    ck_assert_uint_gt(written, 0);
    ck_assert_uint_lt(written, sizeof(block));
    ck_fails(weft_command_write(command, block, 1, &written, WEFT_NOW), EAGAIN);
    ck_assert_uint_eq(written, 0);
    ck_assert_int_eq(weft_command_kill(command, WEFT_FOREVER), 0);
    weft_command_free(command);
}
END_TEST

static volatile sig_atomic_t pipe_signals;

static void count_pipe(int signal)
{
    (void)signal;
    pipe_signals++;
}

START_TEST(a_gone_reader_is_epipe_and_no_signal)
{
    struct sigaction action = {.sa_handler = count_pipe}, old;
    sigaction(SIGPIPE, &action, &old);
    weft_command *command = weft_command_start(weft_argv("exec <&-; sleep 60"), .shell = true, .standard_input = {.kind = WEFT_PIPE});
    ck_assert_ptr_nonnull(command);
    int failed;
    while ((failed = weft_command_write(command, "x", 1, NULL, weft_in(20))) == 0)
        ;
    ck_assert_int_eq(errno, EPIPE);
    ck_assert_int_eq(weft_command_kill(command, WEFT_FOREVER), 0);
    ck_fails(weft_command_write(command, "x", 1, NULL, WEFT_FOREVER), EPIPE);
    weft_command_free(command);
    struct weft_command_result result; /* what nobody reads is no error */
    static char block[1 << 20];
    weft_value input = weft_bytes(block, sizeof(block));
    ck_assert_int_eq(weft_command_run(weft_argv("true"), &result, WEFT_FOREVER, .input = input), 0);
    ck_assert_int_eq(result.status.exitcode, 0);
    result_drop(&result);
    weft_drop(input);
    ck_assert_int_eq(pipe_signals, 0);
    sigaction(SIGPIPE, NULL, &action);
    ck_assert(action.sa_handler == count_pipe);
    sigaction(SIGPIPE, &old, NULL);
}
END_TEST

START_TEST(communicate_does_not_deadlock_at_any_size)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 65536, 65537, 300000, 5000001};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        char *block = malloc(sizes[i] + 1);
        for (size_t j = 0; j < sizes[i]; j++)
            block[j] = (char)(j * 31 + j / 251);
        weft_value input = weft_bytes(block, sizes[i]);
        struct weft_command_result result;
        ck_assert_int_eq(run_shell("tee /dev/stderr", &result, WEFT_FOREVER, .input = input), 0);
        ck_assert(weft_equal(result.output, input));
        ck_assert(weft_equal(result.error, input));
        result_drop(&result);
        weft_drop(input);
        free(block);
    }
}
END_TEST

START_TEST(communicate_goes_on_where_it_ran_out_of_time)
{
    char path[PATH_MAX];
    weft_command *command =
        weft_command_start(weft_argv("cat; echo; until [ -e \"$1\" ]; do sleep 0.01; done; echo end", "sh", in_folder(path, "go")),
            .shell = true, .standard_input = {.kind = WEFT_PIPE}, .standard_output = {.kind = WEFT_PIPE});
    ck_assert_ptr_nonnull(command);
    static char block[200000];
    memset(block, 'x', sizeof(block));
    weft_value input = weft_bytes(block, sizeof(block)), output = weft_int(7), error = weft_int(7);
    ck_fails(weft_command_communicate(command, input, &output, &error, WEFT_NOW), EAGAIN);
    ck_fails(weft_command_communicate(command, input, &output, &error, weft_in(0.05)), ETIMEDOUT);
    ck_assert_int_eq(weft_as_int(output), 7);
    file_write(path, "", 0644);
    ck_assert_int_eq(weft_command_communicate(command, input, &output, &error, WEFT_FOREVER), 0);
    ck_assert_uint_eq(weft_length(output), sizeof(block) + 5);
    ck_assert_mem_eq(weft_as_bytes(output), block, sizeof(block));
    ck_assert_str_eq((const char *)weft_as_bytes(output) + sizeof(block), "\nend\n");
    ck_assert(weft_is_none(error));
    weft_drop(output);
    weft_drop(input);
    ck_assert_int_eq(weft_command_communicate(command, weft_none, &output, NULL, WEFT_FOREVER), 0);
    takes_text(output, "");
    weft_command_free(command);
}
END_TEST

START_TEST(communicate_refuses_input_without_a_pipe)
{
    weft_command *command = weft_command_start(weft_argv("true"));
    ck_assert_ptr_nonnull(command);
    weft_value text = weft_str("x");
    ck_fails(weft_command_communicate(command, text, NULL, NULL, WEFT_FOREVER), EINVAL);
    ck_fails(weft_command_communicate(command, weft_int(1), NULL, NULL, WEFT_FOREVER), EINVAL);
    ck_fails(weft_command_communicate(NULL, weft_none, NULL, NULL, WEFT_FOREVER), EINVAL);
    weft_drop(text);
    ck_assert_int_eq(weft_command_communicate(command, weft_none, NULL, NULL, WEFT_FOREVER), 0);
    weft_command_free(command);
}
END_TEST

START_TEST(a_background_child_is_not_waited_for)
{
    char path[PATH_MAX], line[PATH_MAX + 64];
    struct weft_command_result result;
    snprintf(line, sizeof(line), "sleep 60 & echo $! > %s; echo here", in_folder(path, "pid"));
    ck_assert_int_eq(run_shell(line, &result, weft_in(20)), 0);
    takes_text(result.output, "here\n");
    weft_drop(result.error);
    FILE *file = fopen(path, "re");
    int pid = 0;
    ck_assert_int_eq(fscanf(file, "%d", &pid), 1);
    fclose(file);
    ck_assert_int_eq(kill(pid, SIGKILL), 0); /* left alone until here */
}
END_TEST

START_TEST(capture_keeps_to_its_limit)
{
    struct weft_command_result result;
    ck_assert_int_eq(run_shell("head -c 300000 /dev/zero; echo abcdef >&2", &result, WEFT_FOREVER, .capture_limit = 10), 0);
    ck_assert_int_eq(result.status.exitcode, 0);
    ck_assert_uint_eq(weft_length(result.output), 10);
    takes_text(result.error, "abcdef\n");
    weft_drop(result.output);
}
END_TEST

START_TEST(run_without_result_inherits)
{
    ck_assert_int_eq(run_shell("[ -t 1 ] || exit 0", NULL, WEFT_FOREVER), 0);
}
END_TEST

START_TEST(run_leaves_nothing_when_it_fails)
{
    struct weft_command_result result;
    ck_fails(run_shell("sleep 60 & sleep 60", &result, weft_in(0.05)), ETIMEDOUT);
    ck_fails(run_shell("sleep 60 & sleep 60", &result, WEFT_NOW), EAGAIN);
}
END_TEST

static weft_value runs_long(weft_value argument)
{
    struct weft_command_result result;
    (void)argument;
    int failed = run_shell("sleep 60 & sleep 60", &result, WEFT_FOREVER);
    return weft_int(failed ? errno : 0);
}

START_TEST(run_is_ended_by_cancel)
{
    weft_value value;
    weft_task *task = weft_spawn(WEFT_THREAD, runs_long, weft_none);
    ck_assert_ptr_nonnull(task);
    weft_task_cancel(task);
    ck_assert_int_eq(weft_task_result(task, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(value), ECANCELED);
    weft_task_free(task);
}
END_TEST

/* Any start sweeps. Whether the process is gone. */
static bool swept(pid_t pid)
{
    run_shell(":", NULL, WEFT_FOREVER);
    return kill(pid, 0) != 0;
}

START_TEST(freed_while_running_leaves_no_zombie)
{
    weft_command *command = weft_command_start(weft_argv("sleep", "60"));
    ck_assert_ptr_nonnull(command);
    pid_t pid = weft_command_pid(command);
    weft_command_free(command);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    fixture_until(swept(pid));
}
END_TEST

/* What a program prints that has no standard output must not go to a command. */
START_TEST(no_descriptor_of_a_command_is_a_stream)
{
    int kept[3];
    char octet = 0;
    fixture_streams_close(kept);
    weft_command *command =
        weft_command_start(weft_argv("cat"), .standard_input = {.kind = WEFT_PIPE}, .standard_output = {.kind = WEFT_PIPE});
    bool taken = fixture_streams_back(kept);
    ck_assert(command && !taken);
    ck_assert_int_eq(weft_command_write(command, "x", 1, NULL, weft_in(20)), 0);
    ck_assert_int_eq(weft_command_read(command, 1, &octet, 1, weft_in(20)), 1);
    ck_assert_int_eq(octet, 'x');
    ck_assert_int_eq(weft_command_close(command, 0), 0);
    ck_assert_int_eq(weft_command_wait(command, NULL, weft_in(20)), 0);
    weft_command_free(command);
}
END_TEST

START_TEST(few_descriptors_are_an_error)
{
    struct rlimit old, few;
    getrlimit(RLIMIT_NOFILE, &old);
    weft_command *keep = weft_command_start(weft_argv("true")); /* has the doorbell and the like made */
    ck_assert_int_eq(weft_command_wait(keep, NULL, WEFT_FOREVER), 0);
    weft_command_free(keep);
    for (rlim_t limit = 3; limit < 12; limit++) {
        few = (struct rlimit){.rlim_cur = limit, .rlim_max = old.rlim_max};
        setrlimit(RLIMIT_NOFILE, &few);
        struct weft_command_result result;
        int failed = run_shell("echo x", &result, WEFT_FOREVER);
        int error = errno;
        setrlimit(RLIMIT_NOFILE, &old);
        if (failed == 0)
            result_drop(&result);
        else
            ck_assert_int_eq(error, EMFILE);
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, run_captures_both_streams_and_the_status);
    tcase_add_test(tests, run_counts_processor_time);
    tcase_add_test(tests, a_signal_is_a_negative_exit_code);
    tcase_add_test(tests, arguments_arrive_as_they_are);
    tcase_add_test(tests, the_shell_gets_what_follows_the_line);
    tcase_add_test(tests, start_says_what_exec_said);
    tcase_add_test(tests, start_refuses_what_makes_no_sense);
    tcase_add_test(tests, path_is_that_of_the_commands_environment);
    tcase_add_test(tests, a_program_that_may_not_run_is_told_before_one_that_is_missing);
    tcase_add_test(tests, a_file_without_format_is_a_script);
    tcase_add_test(tests, the_environment_is_given_changed_or_this_one);
    tcase_add_test(tests, long_lists_fit);
    tcase_add_test(tests, the_directory_is_the_childs_only);
    tcase_add_test(tests, streams_go_to_files);
    tcase_add_test(tests, streams_go_to_descriptors_and_merge);
    tcase_add_test(tests, null_is_silent);
    tcase_add_test(tests, streams_are_inherited);
    tcase_add_test(tests, the_child_has_three_descriptors);
    tcase_add_test(tests, streams_may_be_closed_in_the_parent);
    tcase_add_test(tests, streams_may_be_crossed);
    tcase_add_test(tests, signals_are_as_new_in_the_child);
    tcase_add_test(tests, a_host_may_ignore_sigchld);
    tcase_add_test(tests, a_host_may_reap_every_child);
    tcase_add_test(tests, groups_and_sessions_are_new_when_asked);
    tcase_add_test(tests, niceness_is_added);
    tcase_add_test(tests, waiting_can_be_repeated_and_run_out_of_time);
    tcase_add_test(tests, signals_reach_the_command);
    tcase_add_test(tests, streams_can_be_talked_to_one_by_one);
    tcase_add_test(tests, writing_says_how_much_went);
    tcase_add_test(tests, a_gone_reader_is_epipe_and_no_signal);
    tcase_add_test(tests, communicate_does_not_deadlock_at_any_size);
    tcase_add_test(tests, communicate_goes_on_where_it_ran_out_of_time);
    tcase_add_test(tests, communicate_refuses_input_without_a_pipe);
    tcase_add_test(tests, a_background_child_is_not_waited_for);
    tcase_add_test(tests, capture_keeps_to_its_limit);
    tcase_add_test(tests, run_without_result_inherits);
    tcase_add_test(tests, run_leaves_nothing_when_it_fails);
    tcase_add_test(tests, run_is_ended_by_cancel);
    tcase_add_test(tests, freed_while_running_leaves_no_zombie);
    tcase_add_test(tests, no_descriptor_of_a_command_is_a_stream);
    tcase_add_test(tests, few_descriptors_are_an_error);
}

int main(void)
{
    return fixture_main("command", add);
}
