/* SPDX-License-Identifier: MIT */
/* The joblog of `weft run`: written, read back, mended. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "run_joblog.h"

#define HEAD "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"

static const char *log_path(void)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/log", fixture_folder());
    return path;
}

static void put(const char *text)
{
    FILE *file = fopen(log_path(), "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

/* What the log holds, a zero shown as '@'. */
static void holds(const char *expected)
{
    char found[1024];
    FILE *file = fopen(log_path(), "r");
    ck_assert_ptr_nonnull(file);
    size_t length = fread(found, 1, sizeof found - 1, file);
    fclose(file);
    for (size_t i = 0; i < length; i++)
        if (!found[i])
            found[i] = '@';
    found[length] = '\0';
    ck_assert_str_eq(found, expected);
}

START_TEST(a_job_is_a_line)
{
    struct run_joblog_past past;
    put("what was there before");
    int log = run_joblog_open(log_path(), RUN_JOBLOG_NEW, &past);
    ck_assert_int_ge(log, 0);
    struct run_joblog_line line = {
        .sequence = 7, .start = 12.3456, .runtime = 0.5, .received = 42, .exitval = 3, .signal = 9, .command = span_of("a\nb\tc")};
    ck_assert_int_eq(run_joblog_write(log, &line), 0);
    close(log);
    holds(HEAD "7\t:\t12.346\t     0.500\t0\t42\t3\t9\ta@b\tc\n");
}
END_TEST

START_TEST(resuming_knows_what_was_done)
{
    struct run_joblog_past past;
    put(HEAD
        "1\t:\t1.0\t     0.1\t0\t2\t0\t0\techo 1\n4\t:\t1.0\t     0.1\t0\t2\t1\t0\tfalse 4\n2\t:\t1.0\t     0.1\t0\t2\t0\t15\tkill 2\n");
    int log = run_joblog_open(log_path(), RUN_JOBLOG_RESUME, &past);
    ck_assert_int_ge(log, 0);
    close(log);
    ck_assert_uint_eq(past.last, 4);
    ck_assert_uint_eq(past.count, 3);
    ck_assert(run_joblog_is_done(&past, 1) && run_joblog_is_done(&past, 2) && run_joblog_is_done(&past, 4));
    ck_assert(!run_joblog_is_done(&past, 3) && !run_joblog_is_done(&past, 5) && !run_joblog_is_done(&past, 1000000));
    ck_assert(!run_joblog_differs(&past, 1, span_of("echo 1")) && run_joblog_differs(&past, 1, span_of("echo 2")));
    ck_assert(!run_joblog_differs(&past, 3, span_of("anything")) && !run_joblog_differs(&past, 1000000, span_of("anything")));
    run_joblog_forget(&past);
}
END_TEST

START_TEST(failed_jobs_may_run_again)
{
    struct run_joblog_past past;
    put(HEAD
        "1\t:\t1.0\t     0.1\t0\t2\t1\t0\ta\n2\t:\t1.0\t     0.1\t0\t2\t0\t9\tb\n3\t:\t1.0\t     0.1\t0\t2\t0\t0\tc\n1\t:\t1.0\t     0.1\t0\t2\t0\t0\ta\n");
    int log = run_joblog_open(log_path(), RUN_JOBLOG_RESUME_FAILED, &past);
    ck_assert_int_ge(log, 0);
    close(log);
    ck_assert(run_joblog_is_done(&past, 1) && !run_joblog_is_done(&past, 2) && run_joblog_is_done(&past, 3));
    ck_assert_uint_eq(past.count, 2);
    run_joblog_forget(&past);
}
END_TEST

START_TEST(a_torn_last_line_is_cut_off)
{
    static const char *const torn[] = {"2\t:\t1.0\t  ", "2", "2\t:\t1.0\t     0.1\t0\t2\t0\t0\ta"};
    for (size_t i = 0; i < sizeof torn / sizeof *torn; i++) {
        struct run_joblog_past past;
        struct text text = {0};
        text_format(&text, HEAD "1\t:\t1.0\t     0.1\t0\t2\t0\t0\ta\n%s", torn[i]);
        put(text.at);
        text_free(&text);
        int log = run_joblog_open(log_path(), RUN_JOBLOG_RESUME, &past);
        ck_assert_int_ge(log, 0);
        close(log);
        ck_assert_uint_eq(past.last, 1);
        run_joblog_forget(&past);
        holds(HEAD "1\t:\t1.0\t     0.1\t0\t2\t0\t0\ta\n");
    }
}
END_TEST

START_TEST(an_absent_or_torn_head_is_written)
{
    struct run_joblog_past past;
    const enum run_joblog_mode modes[] = {RUN_JOBLOG_RESUME, RUN_JOBLOG_APPEND, RUN_JOBLOG_RESUME_FAILED};
    for (size_t i = 0; i < 3; i++) {
        unlink(log_path());
        close(run_joblog_open(log_path(), modes[i], &past));
        holds(HEAD);
    }
    put("Seq\tHo");
    close(run_joblog_open(log_path(), RUN_JOBLOG_RESUME, &past));
    holds(HEAD);
    close(run_joblog_open(log_path(), RUN_JOBLOG_APPEND, &past));
    holds(HEAD);
}
END_TEST

START_TEST(a_newline_in_a_command_is_the_same_command)
{
    struct run_joblog_past past;
    int log = run_joblog_open(log_path(), RUN_JOBLOG_NEW, &past);
    ck_assert_int_eq(run_joblog_write(log, &(struct run_joblog_line){.sequence = 1, .command = span_of("a\nb")}), 0);
    close(log);
    log = run_joblog_open(log_path(), RUN_JOBLOG_RESUME, &past);
    close(log);
    ck_assert(!run_joblog_differs(&past, 1, span_of("a\nb")));
    run_joblog_forget(&past);
}
END_TEST

START_TEST(what_is_no_joblog_is_left_alone)
{
    static const char *const others[] = {
        "root:x:0\n", HEAD "x\t:\t1\t1\t0\t0\t0\t0\ta\n", HEAD "1\t:\n", HEAD "0\t:\t1\t1\t0\t0\t0\t0\ta\n", "\n"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct run_joblog_past past;
        put(others[i]);
        ck_assert_int_eq(run_joblog_open(log_path(), RUN_JOBLOG_RESUME, &past), -1);
        holds(others[i]);
    }
}
END_TEST

START_TEST(a_full_disk_is_said)
{
    struct run_joblog_past past;
    ck_assert_int_eq(run_joblog_open("/dev/full", RUN_JOBLOG_NEW, &past), -1);
    ck_assert_int_eq(run_joblog_open("/nonexistent/log", RUN_JOBLOG_NEW, &past), -1);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(run_joblog_write(full, &(struct run_joblog_line){.sequence = 1, .command = span_of("a")}), -1);
    close(full);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_job_is_a_line);
    tcase_add_test(tests, resuming_knows_what_was_done);
    tcase_add_test(tests, failed_jobs_may_run_again);
    tcase_add_test(tests, a_torn_last_line_is_cut_off);
    tcase_add_test(tests, an_absent_or_torn_head_is_written);
    tcase_add_test(tests, a_newline_in_a_command_is_the_same_command);
    tcase_add_test(tests, what_is_no_joblog_is_left_alone);
    tcase_add_test(tests, a_full_disk_is_said);
}

int main(void)
{
    return fixture_main("run joblog", add);
}
