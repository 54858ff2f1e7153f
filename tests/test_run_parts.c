/* SPDX-License-Identifier: MIT */
/* The small parts of `weft run`: when it stops early, the nearest name, the bar's text, time limits, outputs, options. */
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "nearest.h"
#include "run_bar.h"
#include "run_halt.h"
#include "run_limit.h"
#include "run_options.h"
#include "run_spool.h"

START_TEST(halts_are_read)
{
    static const char *const wrong[] = {
        "", "bad", "now", "now,", "now,fail", "now,fail=", "now,fail=x", "now,fail=1x", "soon,fai=1", "never,", "7", "-3", "now,fail=-1"};
    struct run_halt halt = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!run_halt_read(&halt, wrong[i]), "%s", wrong[i]);
    ck_assert(run_halt_read(&halt, "now,success=20%"));
    ck_assert(halt.when == RUN_HALT_NOW && halt.what == RUN_HALT_SUCCESS && halt.percent && halt.limit == 20);
    ck_assert(run_halt_read(&halt, "2"));
    ck_assert(halt.when == RUN_HALT_NOW && halt.what == RUN_HALT_FAIL && !halt.percent && halt.limit == 1);
    ck_assert(run_halt_read(&halt, "-1"));
    ck_assert(halt.when == RUN_HALT_SOON && halt.what == RUN_HALT_SUCCESS);
    ck_assert(run_halt_read(&halt, "5%"));
    ck_assert(halt.when == RUN_HALT_SOON && halt.what == RUN_HALT_FAIL && halt.percent && halt.limit == 5);
    ck_assert(run_halt_read(&halt, "never"));
    ck_assert(halt.when == RUN_HALT_NEVER);
    ck_assert(run_halt_read(&halt, "soon,done=3"));
    ck_assert(halt.what == RUN_HALT_DONE && halt.limit == 3);
}
END_TEST

/* The exit status after jobs with these statuses, -1 ending them; all are started that come before the halt. */
static int status_after(const char *text, const int *statuses)
{
    struct run_halt halt = {0};
    struct run_tally tally = {0};
    ck_assert(run_halt_read(&halt, text));
    while (statuses[tally.total] >= 0)
        tally.total++;
    for (size_t i = 0; i < tally.total; i++) {
        tally.started++;
        if (run_halt_count(&halt, &tally, statuses[i]) != RUN_HALT_NEVER)
            break;
    }
    return run_halt_status(&halt, &tally);
}
#define STATUSES(...) ((const int[]){__VA_ARGS__, -1})

START_TEST(exit_statuses_are_those_of_gnu_parallel)
{
    ck_assert_int_eq(status_after("never", STATUSES(1, 0, 3)), 2);
    ck_assert_int_eq(status_after("now,fail=1", STATUSES(0, 3, 0)), 3);
    ck_assert_int_eq(status_after("now,fail=1", STATUSES(137, 0)), 137);
    ck_assert_int_eq(status_after("soon,fail=2", STATUSES(0, 3, 0, 4, 5)), 2);
    ck_assert_int_eq(status_after("now,success=1", STATUSES(3, 0, 4, 5)), 0);
    ck_assert_int_eq(status_after("soon,fail=50%", STATUSES(3, 0, 4, 5)), 50);
    ck_assert_int_eq(status_after("now,done=2", STATUSES(3, 0, 4, 5)), 1);
    ck_assert_int_eq(status_after("now,fail=9", STATUSES(3, 0, 4, 5)), 3);
    ck_assert_int_eq(status_after("now,fail=90%", STATUSES(3, 0, 4, 5)), 75);
    ck_assert_int_eq(status_after("now,success=9", STATUSES(3, 0, 4, 5)), 3);
    int many[103] = {0};
    for (int i = 0; i < 102; i++)
        many[i] = 1;
    many[102] = -1;
    ck_assert_int_eq(status_after("never", many), 101);
    many[100] = -1;
    ck_assert_int_eq(status_after("never", many), 100);
}
END_TEST

START_TEST(after_a_halt_jobs_are_still_counted)
{
    struct run_halt halt = {.when = RUN_HALT_SOON, .limit = 1};
    struct run_tally tally = {0};
    ck_assert_int_eq(run_halt_count(&halt, &tally, 5), RUN_HALT_SOON);
    ck_assert_int_eq(run_halt_count(&halt, &tally, 6), RUN_HALT_SOON);
    ck_assert_uint_eq(tally.failed, 2);
    ck_assert_int_eq(run_halt_status(&halt, &tally), 5);
}
END_TEST

START_TEST(the_nearest_name_is_found)
{
    static const char *const names[] = {"jobs", "joblog", "resume", "resume-failed", "tag", "timeout"};
    ck_assert_str_eq(nearest_name("joblgo", names, 6), "joblog");
    ck_assert_str_eq(nearest_name("job", names, 6), "jobs");
    ck_assert_str_eq(nearest_name("resum", names, 6), "resume");
    ck_assert_str_eq(nearest_name("timout", names, 6), "timeout");
    ck_assert_str_eq(nearest_name("resume-fialed", names, 6), "resume-failed");
    ck_assert_ptr_null(nearest_name("wibble", names, 6));
    ck_assert_ptr_null(nearest_name("", names, 6));
    ck_assert_ptr_null(nearest_name("a-name-that-is-longer-than-any-row-has-room-for-and-so-is-near-to-none-of-them", names, 6));
}
END_TEST

static void bar_says(struct run_bar bar, uint64_t done, uint64_t failed, double seconds, size_t width, const char *expected)
{
    struct text text = {0};
    run_bar_text(&bar, done, failed, seconds, width, &text);
    ck_assert_str_eq(text.at, expected);
    text_free(&text);
}

START_TEST(the_bar_says_how_far_it_is)
{
    struct run_bar bar = {.total = 200};
    bar_says(bar, 50, 1, 5, 0, "50/200  25%  10/s  0:15 left  1 failed");
    bar_says(bar, 0, 0, 1, 0, "0/200   0%  0.0/s  -:-- left  0 failed");
    bar_says(bar, 200, 3, 61, 0, "200/200 100%  3.3/s  1:01 in all  3 failed");
    bar_says(bar, 100, 0, 100, 60, "[########.........] 100/200  50%  1.0/s  1:40 left  0 failed");
    bar_says(bar, 50, 1, 5, 12, "50/200  25% ");
    bar.before = 100;
    bar_says(bar, 110, 0, 10, 0, "110/200  55%  1.0/s  1:30 left  0 failed");
    bar.total = 8000;
    bar_says(bar, 101, 0, 1, 0, "101/8000   1%  1.0/s  2:11:39 left  0 failed");
}
END_TEST

START_TEST(limits_follow_the_median)
{
    static struct run_limit limit = {.seconds = 2};
    ck_assert(run_limit_is_set(&limit));
    ck_assert(!run_limit_learn(&limit, 1));
    ck_assert_double_eq(run_limit_now(&limit), 2);
    static struct run_limit share = {.share = 2};
    ck_assert(run_limit_is_set(&share));
    ck_assert_double_eq(run_limit_now(&share), 0);
    ck_assert(run_limit_learn(&share, 3));
    ck_assert_double_eq(run_limit_now(&share), 6);
    ck_assert(run_limit_learn(&share, 1));
    ck_assert_double_eq(run_limit_now(&share), 2);
    ck_assert(!run_limit_learn(&share, 5));
    ck_assert_double_eq(run_limit_now(&share), 6);
    for (int i = 0; i < 2000; i++)
        run_limit_learn(&share, 4);
    ck_assert_double_eq(run_limit_now(&share), 8);
    static struct run_limit none;
    ck_assert(!run_limit_is_set(&none));
}
END_TEST

static int collect(void *data, struct span octets)
{
    text_add_span(data, octets);
    return 0;
}

static int refuse(void *data, struct span octets)
{
    (void)data;
    (void)octets;
    return 7;
}

START_TEST(outputs_come_back_as_they_went_in)
{
    enum { OUTPUTS = 3, ROUNDS = 400 };
    struct run_spool spool;
    struct run_output outputs[OUTPUTS] = {0};
    struct text expected[OUTPUTS] = {0};
    run_spool_begin(&spool, fixture_folder());
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < OUTPUTS; i++) {
            char piece[1000];
            memset(piece, 'a' + (round + i) % 26, sizeof piece);
            size_t length = (size_t)((round * 37 + i * 101) % 1000);
            ck_assert_int_eq(run_output_add(&spool, &outputs[i], piece, length), 0);
            text_add(&expected[i], piece, length);
        }
    ck_assert_int_ge(spool.fd, 0);
    for (int i = 0; i < OUTPUTS; i++) {
        struct text found = {0};
        ck_assert_uint_eq(outputs[i].length, expected[i].length);
        ck_assert_int_eq(run_output_each(&spool, &outputs[i], collect, &found), 0);
        ck_assert(span_equal(text_span(&found), text_span(&expected[i])));
        ck_assert_int_eq(run_output_each(&spool, &outputs[i], refuse, NULL), 7);
        run_output_drop(&spool, &outputs[i]);
        text_free(&found);
        text_free(&expected[i]);
    }
    ck_assert_int_eq(spool.live, 0);
    ck_assert_uint_eq(spool.in_memory, 0);
    run_spool_end(&spool);
}
END_TEST

START_TEST(no_folder_for_outputs_is_said)
{
    struct run_spool spool;
    struct run_output output = {0};
    static char large[200000];
    run_spool_begin(&spool, "/nonexistent");
    ck_assert_int_eq(run_output_add(&spool, &output, large, sizeof large), 0);
    ck_assert_int_eq(run_output_add(&spool, &output, large, sizeof large), -1);
    run_output_drop(&spool, &output);
    run_spool_end(&spool);
}
END_TEST

/* Reads a command line; the status it ends with, or -1 when it is to go on. */
static int options_of(struct run_options *options, char *const *words)
{
    int count = 0, status;
    static char *argv[32]; /* the options point into it */
    for (; words[count]; count++)
        argv[count] = words[count];
    argv[count] = NULL;
    return run_options_read(options, count, argv, &status) == 0 ? -1 : status;
}
#define options(options_, ...) options_of((options_), (char *const[]){"run", __VA_ARGS__, NULL})

START_TEST(command_lines_are_taken_apart)
{
    struct run_options read;
    ck_assert_int_eq(options(&read, "-kj3", "--tag", "echo", "-n", "x", ":::", "a", "b", ":::+", "c", "d", "::::", "f", "g"), -1);
    ck_assert(read.keep_order && read.tag && read.jobs == 3 && !read.reads_stdin);
    ck_assert_uint_eq(read.command_count, 3);
    ck_assert_str_eq(read.command[1], "-n");
    ck_assert_uint_eq(read.source_count, 4);
    ck_assert(read.sources[0].count == 2 && !read.sources[0].linked && read.sources[1].linked);
    ck_assert_str_eq(read.sources[3].file, "g");
    run_options_free(&read);
    ck_assert_int_eq(
        options(&read, "-a", "f", "-0", "--timeout", "1.5m", "--retries=3", "--joblog", "+log", "--halt", "soon,fail=1", "cat"), -1);
    ck_assert(read.source_count == 1 && read.delimiter.length == 1 && read.delimiter.at[0] == '\0');
    ck_assert_double_eq(read.timeout, 90);
    ck_assert(read.retries == 3 && read.joblog_append && strcmp(read.joblog, "log") == 0 && read.halt.when == RUN_HALT_SOON);
    run_options_free(&read);
    ck_assert_int_eq(options(&read, "--timeout", "150%", "-d", "\\x2c\\n", "--", "-x", ":::", "a"), -1);
    ck_assert(read.timeout_is_share && read.timeout == 1.5 && strcmp(read.delimiter.at, ",\n") == 0 && strcmp(read.command[0], "-x") == 0);
    run_options_free(&read);
}
END_TEST

START_TEST(numbers_of_jobs_are_read)
{
    struct run_options read;
    unsigned processors = weft_cpu_count();
    ck_assert_int_eq(options(&read, "-j", "+2", "x"), -1);
    ck_assert_uint_eq(read.jobs, processors + 2);
    run_options_free(&read);
    ck_assert_int_eq(options(&read, "-j200%", "x"), -1);
    ck_assert_uint_eq(read.jobs, processors * 2);
    run_options_free(&read);
    ck_assert_int_eq(options(&read, "-P", "0", "x"), -1);
    ck_assert_uint_eq(read.jobs, 0);
    run_options_free(&read);
    ck_assert_int_eq(options(&read, "-j", "1%", "x"), -1);
    ck_assert_uint_eq(read.jobs, 1);
    run_options_free(&read);
}
END_TEST

START_TEST(wrong_command_lines_are_refused)
{
    static char *const wrong[][5] = {{"run", "-j", "-100000", "x"}, {"run", "-j", "abc", "x"}, {"run", "-j", "1.5", "x"},
        {"run", "-j", "", "x"}, {"run", "-j", "0%", "x"}, {"run", "--timeout", "abc", "x"}, {"run", "--timeout", "-1", "x"},
        {"run", "--timeout", "1x", "x"}, {"run", "--timeout", "inf", "x"}, {"run", "--retries", "-1", "x"}, {"run", "--retries", "x", "x"},
        {"run", "--halt", "x", "x"}, {"run", "--nice", "99", "x"}, {"run", "--resume", "x"}, {"run", "--wibble", "x"},
        {"run", "--resum-failed", "x"}, {"run", "-Z", "x"}, {"run", "-j"}, {"run", "--joblog"}, {"run", "--tag=x", "x"},
        {"run", "-d", "", "x"}, {"run", "-d", "\\xzz", "x"}, {"run", "-j", "99999999999999999999", "x"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct run_options read;
        ck_assert_msg(options_of(&read, wrong[i]) == 255, "%s %s", wrong[i][1], wrong[i][2] ? wrong[i][2] : "");
        run_options_free(&read);
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, halts_are_read);
    tcase_add_test(tests, exit_statuses_are_those_of_gnu_parallel);
    tcase_add_test(tests, after_a_halt_jobs_are_still_counted);
    tcase_add_test(tests, the_nearest_name_is_found);
    tcase_add_test(tests, the_bar_says_how_far_it_is);
    tcase_add_test(tests, limits_follow_the_median);
    tcase_add_test(tests, outputs_come_back_as_they_went_in);
    tcase_add_test(tests, no_folder_for_outputs_is_said);
    tcase_add_test(tests, command_lines_are_taken_apart);
    tcase_add_test(tests, numbers_of_jobs_are_read);
    tcase_add_test(tests, wrong_command_lines_are_refused);
}

int main(void)
{
    return fixture_main("run parts", add);
}
