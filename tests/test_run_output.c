/* SPDX-License-Identifier: MIT */
/* What `weft run` tells and keeps: JSON strings, names of results, the report. */
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "run_json.h"
#include "run_report.h"
#include "run_results.h"
#include "run_tokens.h"
#include "run_wrap.h"

static void ck_json(const char *octets, size_t length, const char *expected)
{
    struct text out = {0};
    run_json_add_string(&out, (struct span){octets, length});
    ck_assert_str_eq(text_string(&out), expected);
    text_free(&out);
    /* In two parts, cut anywhere, it is the same. */
    for (size_t cut = 0; cut <= length; cut++) {
        struct text carry = {0};
        text_add_char(&out, '"');
        text_add(&carry, octets, cut);
        size_t taken = run_json_add_octets(&out, text_span(&carry), false);
        ck_assert_uint_le(cut - taken, 3);
        ck_assert_uint_eq(run_json_add_octets(&out, (struct span){octets + taken, length - taken}, true), length - taken);
        text_add_char(&out, '"');
        ck_assert_str_eq(text_string(&out), expected);
        text_free(&carry);
        text_free(&out);
    }
}
#define CK_JSON(octets, expected) ck_json(octets, sizeof(octets) - 1, expected)

START_TEST(json_strings_lose_nothing)
{
    CK_JSON("", "\"\"");
    CK_JSON("a b", "\"a b\"");
    CK_JSON("\"\\\n\t\x01\x7f\0z", "\"\\\"\\\\\\n\\u0009\\u0001\\u007f\\u0000z\"");
    CK_JSON("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
    CK_JSON("\xff\x80", "\"\\udcff\\udc80\"");
    CK_JSON("\xc3", "\"\\udcc3\"");
    CK_JSON("\xe2\x82z", "\"\\udce2\\udc82z\"");
    CK_JSON("\xc0\xaf", "\"\\udcc0\\udcaf\"");                       /* too long a form */
    CK_JSON("\xe0\x80\xaf", "\"\\udce0\\udc80\\udcaf\"");            /* too long a form */
    CK_JSON("\xed\xa0\x80", "\"\\udced\\udca0\\udc80\"");            /* a surrogate */
    CK_JSON("\xf4\x90\x80\x80", "\"\\udcf4\\udc90\\udc80\\udc80\""); /* beyond U+10FFFF */
    CK_JSON("\xf0\x9f\x98\xf0\x9f\x98\x80", "\"\\udcf0\\udc9f\\udc98\xf0\x9f\x98\x80\"");
}
END_TEST

static void ck_folder(const char *expected, size_t count, const char *const *arguments)
{
    struct span spans[3];
    struct text out = {0};
    for (size_t i = 0; i < count; i++)
        spans[i] = span_of(arguments[i]);
    run_results_folder(spans, count, &out);
    ck_assert_str_eq(text_string(&out), expected);
    text_free(&out);
}
#define CK_FOLDER(expected, ...) ck_folder(expected, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

START_TEST(folders_of_results_stay_inside)
{
    CK_FOLDER("1/a/2/b c", "a", "b c");
    CK_FOLDER("1/c\\_d", "c/d");
    CK_FOLDER("1/\\\\\\t", "\\\t");
    CK_FOLDER("1/\\./2/\\./3/\\..", "", ".", "..");
    CK_FOLDER("1/.a/2/...", ".a", "...");
    char longer[400], expected[400] = "1/";
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    memset(expected + 2, 'x', 255);
    CK_FOLDER(expected, longer);
}
END_TEST

START_TEST(kinds_of_results_are_told_by_the_name)
{
    ck_assert_int_eq(run_results_kind_of("out", false), RUN_RESULTS_TREE);
    ck_assert_int_eq(run_results_kind_of("out/{}", true), RUN_RESULTS_PATTERN);
    ck_assert_int_eq(run_results_kind_of("out.csv", false), RUN_RESULTS_CSV);
    ck_assert_int_eq(run_results_kind_of("OUT.TSV", false), RUN_RESULTS_TSV);
    ck_assert_int_eq(run_results_kind_of("-.json", false), RUN_RESULTS_JSON);
    ck_assert_int_eq(run_results_kind_of("csv", false), RUN_RESULTS_TREE);
}
END_TEST

static void count_job(struct run_report *report, uint64_t sequence, double runtime, int exitval, int signal)
{
    struct run_job job = {.sequence = sequence, .runtime = runtime, .exitval = exitval, .signal = signal};
    text_format(&job.command, "job\n%d", (int)sequence);
    run_report_count(report, &job);
    text_free(&job.command);
}

START_TEST(a_report_tells_failures_and_the_slowest)
{
    struct run_report report = {0};
    struct text out = {0};
    run_report_text(&report, 1, 2, &out);
    ck_assert_uint_eq(out.length, 0);
    for (unsigned i = 1; i <= 100; i++)
        count_job(&report, i, i % 10, i % 10 == 1 ? 3 : 0, i == 2 ? 9 : 0);
    count_job(&report, 101, 4000, -1, 15);
    ck_assert_uint_eq(report.slowest_count, RUN_REPORT_SLOWEST);
    run_report_text(&report, 4450, 2, &out);
    ck_assert_str_eq(text_string(&out), "101 jobs in 1:14:10: 89 succeeded, 12 failed; 2 at once, busy 50% of the time\n"
                                        "failed: 10 with status 3, 1 by SIGKILL, 1 stopped at the time limit\n"
                                        "slowest: 1:06:40  job 101: job?101\n"
                                        "         9.00 s  job 9: job?9\n"
                                        "         9.00 s  job 19: job?19\n"
                                        "         9.00 s  job 29: job?29\n"
                                        "         9.00 s  job 39: job?39\n");
    text_free(&out);
}
END_TEST

static void ck_found(const char *flags, const char *expected)
{
    size_t length = 0;
    const char *found = run_tokens_find(flags, &length);
    ck_assert_int_eq(found != NULL, expected != NULL);
    if (found) {
        ck_assert_uint_eq(length, strlen(expected));
        ck_assert_int_eq(strncmp(found, expected, length), 0);
    }
}

START_TEST(a_jobserver_is_found_in_makeflags)
{
    ck_found(NULL, NULL);
    ck_found("", NULL);
    ck_found("k -j3", NULL);
    ck_found(" -j3 --jobserver-auth=3,4", "3,4");
    ck_found("k -j3 --jobserver-fds=5,6 -- X=--jobserver-auth=7,8", "5,6");
    ck_found("--jobserver-auth=3,4 --jobserver-auth=fifo:/tmp/a", "fifo:/tmp/a");
}
END_TEST

static void ck_flags(const char *flags, const char *expected)
{
    struct text out = {0};
    run_tokens_flags(flags, 3, "3,4", &out);
    ck_assert_str_eq(text_string(&out), expected);
    text_free(&out);
}

START_TEST(makeflags_of_jobs_name_one_jobserver)
{
    ck_flags(NULL, "MAKEFLAGS= -j3 --jobserver-auth=3,4");
    ck_flags("", "MAKEFLAGS= -j3 --jobserver-auth=3,4");
    ck_flags("ks", "MAKEFLAGS=ks -j3 --jobserver-auth=3,4");
    ck_flags("k -j9 --jobserver-auth=7,8 -Otarget -- A=b\\ c", "MAKEFLAGS=k -Otarget -j3 --jobserver-auth=3,4 -- A=b\\ c");
    ck_flags(" -j --no-print-directory", "MAKEFLAGS= --no-print-directory -j3 --jobserver-auth=3,4");
}
END_TEST

START_TEST(a_wrap_puts_a_shell_before_the_words)
{
    struct run_wrap wrap = {0};
    const char *const words[] = {"program", "a b", NULL};
    ck_assert_ptr_eq(run_wrap_words(&wrap, words), words);
    run_wrap_add(&wrap, "exec 3<\"$1\"", "/in");
    run_wrap_add(&wrap, "echo 0 >\"$1\" || exit 126", "/out");
    for (int i = 0; i < 2; i++) {
        const char *const *argv = run_wrap_words(&wrap, words);
        const char *const expected[] = {"/bin/sh", "-c", "exec 3<\"$1\"; shift; echo 0 >\"$1\" || exit 126; shift; exec \"$@\"", "weft-run",
            "/in", "/out", "program", "a b", NULL};
        for (size_t at = 0; expected[at]; at++)
            ck_assert_str_eq(argv[at], expected[at]);
        ck_assert_ptr_null(argv[sizeof expected / sizeof *expected - 1]);
    }
    run_wrap_free(&wrap);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_jobserver_is_found_in_makeflags);
    tcase_add_test(tests, makeflags_of_jobs_name_one_jobserver);
    tcase_add_test(tests, a_wrap_puts_a_shell_before_the_words);
    tcase_add_test(tests, json_strings_lose_nothing);
    tcase_add_test(tests, folders_of_results_stay_inside);
    tcase_add_test(tests, kinds_of_results_are_told_by_the_name);
    tcase_add_test(tests, a_report_tells_failures_and_the_slowest);
}

int main(void)
{
    return fixture_main("run_output", add);
}
