/* SPDX-License-Identifier: MIT */
/* What jobs read: where the input is cut, and how it comes to them. */
#include <signal.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fixture.h"
#include "run_blocks.h"

static char *file_with(const char *octets)
{
    struct text path = {0};
    text_format(&path, "%s/input", fixture_folder());
    FILE *file = fopen(path.at, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(octets, file), 0);
    fclose(file);
    return path.at;
}

/* What a feed has. */
static void feed_add(const struct run_feed *feed, struct text *out)
{
    char buffer[256];
    text_add_span(out, text_span(&feed->text));
    if (feed->to > feed->from) {
        ck_assert_int_eq(pread(feed->file, buffer, sizeof buffer, feed->from) >= feed->to - feed->from, 1);
        text_add(out, buffer, (size_t)(feed->to - feed->from));
    }
}

/* All blocks, each with a '|' after it. */
static void cuts(struct run_blocks_options options, const char *input, const char *expected)
{
    char *path = file_with(input);
    struct run_source_name source = {.file = path};
    struct run_feed feed = {0};
    options.sources = &source;
    options.count = 1;
    options.slots = options.slots ? options.slots : 1;
    options.stop = eventfd(0, EFD_CLOEXEC);
    struct run_blocks *blocks = run_blocks_open(&options);
    ck_assert_ptr_nonnull(blocks);
    for (int round = 0; round < (options.parts ? 2 : 1); round++) {
        struct text out = {0};
        while (run_blocks_next(blocks, &feed) == RUN_INPUT_RECORD) {
            ck_assert(feed.given);
            feed_add(&feed, &out);
            text_add_char(&out, '|');
        }
        ck_assert_str_eq(text_string(&out), expected);
        text_free(&out);
        if (options.parts)
            run_blocks_rewind(blocks);
    }
    run_feed_free(&feed);
    run_blocks_close(blocks);
    close(options.stop);
    free(path);
}
#define CUTS(input_, expected_, ...) cuts((struct run_blocks_options){__VA_ARGS__}, (input_), (expected_))
#define LINES .end = {"\n", 1}

START_TEST(blocks_are_cut_after_records)
{
    CUTS("a\nb\nc\n", "a\nb\n|c\n|", .size = 5, LINES);
    CUTS("a\nb\nc", "a\nb\nc|", .size = 100, LINES);
    CUTS("aaaaaaaa\nb\nccccc\n", "aaaaaaaa\nb\n|ccccc\n|", .size = 1, LINES);
    CUTS("", "", .size = 5, LINES);
    CUTS("\n\n", "\n|\n|", .size = 1, LINES);
    CUTS("abcde", "ab|cd|e|", .size = 2);
    CUTS(">a>b>c", ">a|>b|>c|", .size = 3, .start = {">", 1});
    CUTS("a;<b;c;<d", "a;|<b;c;|<d|", .size = 6, .end = {";", 1}, .start = {"<", 1});
}
END_TEST

START_TEST(records_are_counted)
{
    CUTS("a\nb\nc\n", "a\nb\n|c\n|", .size = 1000, .records = 2, LINES);
    CUTS("a\nb\nc\n", "a\nb\n|c\n|", .size = 1, .records = 2, LINES);
    CUTS("a\n\n\nb\n", "a\n|\n\n|b\n|", .size = 100, .records = 1, LINES);
    CUTS("a\nb\nc\nd\ne\n", "a\nb\nc\nd\n|e\n|", .size = 100, .lines = 2, LINES);
    CUTS("a\nb\nc\nd\ne\n", "a\nb\nc\nd\n|e\n|", .size = 100, .lines = 2, .records = 2, LINES);
    CUTS(">a>b>c", ">a>b|>c|", .size = 100, .records = 2, .start = {">", 1});
}
END_TEST

START_TEST(headers_go_to_each_job)
{
    CUTS("h\na\nb\n", "h\na\n|h\nb\n|", .size = 100, .records = 1, .header = ":", LINES);
    CUTS("h\na\nb\n", "h\na\nb\n|", .size = 100, .records = 1, .header = "2", LINES);
    CUTS("h\na\n", "h\n|a\n|", .size = 100, .records = 1, .header = "9", LINES);
    CUTS("h\n#i\na\n", "h\n|#i\n|a\n|", .size = 100, .records = 1, .header = "#.*\\n", LINES);
    CUTS("#h\n#i\na\nb\n", "#h\n#i\na\n|#h\n#i\nb\n|", .size = 100, .records = 1, .header = "(#.*\\n)+", LINES);
    CUTS("h\na\nb\n", "h\na\n|h\nb\n|", .size = 1, .header = ":", .parts = true, LINES);
    CUTS("h\n", "", .size = 100, .header = ":", LINES);
}
END_TEST

START_TEST(separators_and_blank_blocks_can_be_left_out)
{
    CUTS("a;b;", "a|b|", .size = 100, .records = 1, .end = {";", 1}, .removes = true);
    CUTS("a;b;c", "abc|", .size = 100, .end = {";", 1}, .removes = true);
    CUTS(">a;>b;", "a|b|", .size = 100, .records = 1, .end = {";", 1}, .start = {">", 1}, .removes = true);
    CUTS("\n\n\n", "", .size = 100, .records = 1, LINES, .removes = true);
    CUTS("a\n \t\nb\n", "a\n|b\n|", .size = 100, .records = 1, LINES, .skips_blank = true);
    CUTS("a\n \nb\n", "a\n|b\n|", .size = 1, LINES, .parts = true, .skips_blank = true);
}
END_TEST

START_TEST(parts_end_after_records)
{
    CUTS("a\nb\nc\n", "a\nb\n|c\n|", .parts = true, .size = 2, LINES);
    CUTS("a\nb\nc\n", "a\n|b\n|c\n|", .parts = true, .size = 1, LINES);
    CUTS("a\nb\nc", "a\nb\nc|", .parts = true, .size = 5, LINES);
    CUTS("a\nb\nc\nd\n", "a\nb\nc\n|d\n|", .parts = true, .each = 1, .slots = 2, LINES);
    CUTS("abcde", "ab|cd|e|", .parts = true, .size = 2);
    CUTS("", "", .parts = true, .size = 2, LINES);
}
END_TEST

START_TEST(files_that_cannot_be_cut_are_refused)
{
    const char *const names[] = {"/nonexistent/file", "/tmp", "/dev/null"};
    for (size_t i = 0; i < 3; i++) {
        struct run_source_name source = {.file = names[i]};
        ck_assert_ptr_null(run_blocks_open(&(struct run_blocks_options){.sources = &source, .count = 1, .parts = true, .size = 1}));
    }
    struct run_source_name source = {.file = "/dev/null"};
    ck_assert_ptr_null(run_blocks_open(&(struct run_blocks_options){.sources = &source, .count = 1, .size = 1, .header = "("}));
}
END_TEST

START_TEST(a_stopped_wait_ends)
{
    int ends[2], stop = eventfd(1, EFD_CLOEXEC);
    char path[32];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
    struct run_source_name source = {.file = path};
    struct run_feed feed = {0};
    struct run_blocks *blocks =
        run_blocks_open(&(struct run_blocks_options){.sources = &source, .count = 1, .size = 5, LINES, .stop = stop});
    ck_assert_ptr_nonnull(blocks);
    ck_assert_int_eq(run_blocks_next(blocks, &feed), RUN_INPUT_STOPPED);
    run_blocks_close(blocks);
    close(ends[0]);
    close(ends[1]);
    close(stop);
}
END_TEST

START_TEST(a_feed_is_written_as_it_is_read)
{
    enum { SIZE = 300000 };
    char buffer[4096], *octets = malloc(SIZE);
    struct run_feed feed = {.given = true};
    int fd, end;
    size_t got = 0;
    ck_assert_ptr_nonnull(octets);
    memset(octets, 'x', SIZE);
    text_add(&feed.text, octets, SIZE);
    ck_assert_uint_eq(run_feed_length(&feed), SIZE);
    for (int round = 0; round < 2; round++) {
        ck_assert_int_ge(end = run_feed_open(&feed, &fd), 0);
        fcntl(end, F_SETPIPE_SZ, 4096);
        ck_assert(run_feed_write(&feed, fd, buffer, sizeof buffer));
        for (got = 0; run_feed_write(&feed, fd, buffer, sizeof buffer);)
            got += (size_t)read(end, octets, 1000);
        close(fd);
        for (ssize_t length; (length = read(end, octets, SIZE)) > 0;)
            got += (size_t)length;
        ck_assert_uint_eq(got, SIZE);
        close(end);
    }
    ck_assert_int_ge(end = run_feed_open(&feed, &fd), 0);
    close(end);
    ck_assert(!run_feed_write(&feed, fd, buffer, sizeof buffer)); /* nobody reads: EPIPE, no signal */
    close(fd);
    run_feed_free(&feed);
    free(octets);
}
END_TEST

static void add(TCase *tests)
{
    signal(SIGPIPE, SIG_IGN); /* as run.c has it */
    tcase_add_test(tests, blocks_are_cut_after_records);
    tcase_add_test(tests, records_are_counted);
    tcase_add_test(tests, headers_go_to_each_job);
    tcase_add_test(tests, separators_and_blank_blocks_can_be_left_out);
    tcase_add_test(tests, parts_end_after_records);
    tcase_add_test(tests, files_that_cannot_be_cut_are_refused);
    tcase_add_test(tests, a_stopped_wait_ends);
    tcase_add_test(tests, a_feed_is_written_as_it_is_read);
}

int main(void)
{
    return fixture_main("run blocks", add);
}
