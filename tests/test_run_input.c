/* SPDX-License-Identifier: MIT */
/* Where the arguments of `weft run` come from. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fixture.h"
#include "run_input.h"

enum { MOST_SOURCES = 5 };

static struct run_source_name list(bool linked, char *const *items)
{
    struct run_source_name name = {.items = items, .linked = linked};
    while (items[name.count])
        name.count++;
    return name;
}
#define LIST(linked_, ...) list((linked_), (char *const[]){__VA_ARGS__, NULL})
#define EMPTY(linked_) list((linked_), (char *const[]){NULL})

static char *file_with(const char *name, const void *octets, size_t length)
{
    struct text path = {0};
    text_format(&path, "%s/%s", fixture_folder(), name);
    FILE *file = fopen(path.at, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(octets, 1, length, file), length);
    fclose(file);
    return path.at;
}

static struct run_input_options options_for(const struct run_source_name *sources, size_t count)
{
    return (struct run_input_options){.sources = sources,
        .count = count,
        .delimiter = "\n",
        .delimiter_length = 1,
        .stop = eventfd(0, EFD_CLOEXEC),
        .folder = fixture_folder()};
}

/* All records, their arguments with '+' between and '|' after the last. */
static void read_all(struct run_input *input, struct text *out)
{
    struct span arguments[MOST_SOURCES];
    text_clear(out);
    text_add_string(out, "");
    enum run_input_got got;
    while ((got = run_input_next(input, arguments)) == RUN_INPUT_RECORD)
        for (size_t i = 0; i < run_input_width(input); i++) {
            text_add_span(out, arguments[i]);
            text_add_char(out, i + 1 < run_input_width(input) ? '+' : '|');
        }
    ck_assert_int_eq(got, RUN_INPUT_END);
}

static void gives_with(struct run_input_options options, const char *expected)
{
    struct text records = {0};
    struct run_input *input = run_input_open(&options);
    ck_assert_ptr_nonnull(input);
    read_all(input, &records);
    ck_assert_str_eq(records.at, expected);
    if (options.rewinds) {
        ck_assert_int_eq(run_input_rewind(input), 0);
        read_all(input, &records);
        ck_assert_str_eq(records.at, expected);
    }
    run_input_close(input);
    text_free(&records);
    close(options.stop);
}
#define gives(expected_, ...)                                                                          \
    do {                                                                                               \
        const struct run_source_name sources_[] = {__VA_ARGS__};                                       \
        struct run_input_options options_ = options_for(sources_, sizeof sources_ / sizeof *sources_); \
        options_.rewinds = true;                                                                       \
        gives_with(options_, (expected_));                                                             \
    } while (0)

START_TEST(lists_give_all_combinations)
{
    gives("a|b|", LIST(false, "a", "b"));
    gives("a+1|a+2|b+1|b+2|", LIST(false, "a", "b"), LIST(false, "1", "2"));
    gives("a+1+x|a+1+y|b+1+x|b+1+y|", LIST(false, "a", "b"), LIST(false, "1"), LIST(false, "x", "y"));
}
END_TEST

START_TEST(linked_lists_go_hand_in_hand)
{
    gives("a+x|b+y|", LIST(false, "a", "b", "c"), LIST(true, "x", "y"));
    gives("a+x+1|a+x+2|b+y+1|b+y+2|", LIST(false, "a", "b"), LIST(true, "x", "y"), LIST(false, "1", "2"));
    gives("a+1+x|a+2+y|b+1+x|b+2+y|", LIST(false, "a", "b"), LIST(false, "1", "2"), LIST(true, "x", "y"));
}
END_TEST

START_TEST(an_empty_source_is_one_empty_value_among_others)
{
    gives("", EMPTY(false));
    gives("a+|b+|", LIST(false, "a", "b"), EMPTY(false));
    gives("+a|+b|", EMPTY(false), LIST(false, "a", "b"));
    gives("a+|", LIST(false, "a", "b"), EMPTY(true));
    gives("", EMPTY(false), EMPTY(false));
    gives("|", LIST(false, ""));
}
END_TEST

START_TEST(files_are_read_by_lines)
{
    char *path = file_with("lines", "1\n\n2", 4);
    gives("1||2|", (struct run_source_name){.file = path});
    gives("a+1|a+|a+2|", LIST(false, "a"), (struct run_source_name){.file = path});
    gives("x+1|y+|", LIST(false, "x", "y"), (struct run_source_name){.file = path, .linked = true});
    free(path);
    gives("", (struct run_source_name){.file = "/dev/null"});
}
END_TEST

START_TEST(long_values_are_whole)
{
    enum { LONG = 200000 };
    char *octets = malloc(2 * LONG + 3);
    memset(octets, 'x', LONG);
    octets[LONG] = '\n';
    memset(octets + LONG + 1, 'y', LONG);
    char *path = file_with("long", octets, 2 * LONG + 1);
    octets[LONG] = '|';
    octets[2 * LONG + 1] = '|';
    octets[2 * LONG + 2] = 0;
    gives(octets, (struct run_source_name){.file = path});
    free(octets);
    free(path);
}
END_TEST

START_TEST(other_delimiters_cut_too)
{
    char *path = file_with("ends", "a\nb\0c\0", 6);
    struct run_source_name source = {.file = path};
    struct run_input_options options = options_for(&source, 1);
    options.delimiter = "";
    gives_with(options, "a\nb|c|");
    free(path);
    path = file_with("pairs", "a--b-c----d", 11);
    source.file = path;
    options = options_for(&source, 1);
    options.delimiter = "--";
    options.delimiter_length = 2;
    gives_with(options, "a|b-c||d|");
    free(path);
}
END_TEST

START_TEST(zeros_are_spelled_out_and_blanks_may_be_skipped)
{
    char *path = file_with("odd", "a\0b\n \t\n\nc\n", 10);
    struct run_source_name source = {.file = path};
    struct run_input_options options = options_for(&source, 1);
    options.skip_empty = true;
    gives_with(options, "a\\0b|c|");
    free(path);
}
END_TEST

START_TEST(a_newline_in_an_item_makes_two_of_it)
{
    gives("a|b|c|", LIST(false, "a\nb", "c"));
}
END_TEST

/* A pipe with something in it, as standard input. */
static int pipe_as_stdin(const char *octets, bool closes)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_eq(write(ends[1], octets, strlen(octets)), (ssize_t)strlen(octets));
    int kept = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 100);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    if (closes)
        close(ends[1]);
    else
        dup3(ends[1], 101, O_CLOEXEC), close(ends[1]);
    return kept;
}

static void give_stdin_back(int kept)
{
    dup2(kept, STDIN_FILENO);
    close(kept);
}

START_TEST(a_pipe_can_be_read_twice)
{
    int kept = pipe_as_stdin("p\nq\n", true);
    gives("p|q|", (struct run_source_name){.file = "-"});
    give_stdin_back(kept);
}
END_TEST

START_TEST(waiting_for_input_ends_when_told)
{
    int kept = pipe_as_stdin("p\nhalf", false);
    struct run_source_name source = {.file = "-"};
    struct run_input_options options = options_for(&source, 1);
    struct run_input *input = run_input_open(&options);
    struct span argument;
    ck_assert_int_eq(run_input_next(input, &argument), RUN_INPUT_RECORD);
    ck_assert(span_equal(argument, span_of("p")));
    ck_assert_int_eq(eventfd_write(options.stop, 1), 0);
    ck_assert_int_eq(run_input_next(input, &argument), RUN_INPUT_STOPPED);
    run_input_close(input);
    close(options.stop);
    close(101);
    give_stdin_back(kept);
}
END_TEST

START_TEST(what_cannot_be_opened_is_said)
{
    const char *const names[] = {"/nonexistent/file", "/tmp"};
    for (size_t i = 0; i < 2; i++) {
        struct run_source_name source = {.file = names[i]};
        struct run_input_options options = options_for(&source, 1);
        ck_assert_ptr_null(run_input_open(&options));
        close(options.stop);
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, lists_give_all_combinations);
    tcase_add_test(tests, linked_lists_go_hand_in_hand);
    tcase_add_test(tests, an_empty_source_is_one_empty_value_among_others);
    tcase_add_test(tests, files_are_read_by_lines);
    tcase_add_test(tests, long_values_are_whole);
    tcase_add_test(tests, other_delimiters_cut_too);
    tcase_add_test(tests, zeros_are_spelled_out_and_blanks_may_be_skipped);
    tcase_add_test(tests, a_newline_in_an_item_makes_two_of_it);
    tcase_add_test(tests, a_pipe_can_be_read_twice);
    tcase_add_test(tests, waiting_for_input_ends_when_told);
    tcase_add_test(tests, what_cannot_be_opened_is_said);
}

int main(void)
{
    return fixture_main("run input", add);
}
