/* SPDX-License-Identifier: MIT */
/* What a job gets of the arguments: regular expressions, columns, packs. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fixture.h"
#include "run_columns.h"
#include "run_pack.h"

/* The first match, with '|' before each group. NULL: none. */
static char *match_of(const char *pattern, const char *text)
{
    struct run_pattern read;
    struct run_match match;
    struct text out = {0};
    ck_assert_int_eq(run_pattern_read(&read, "-C", pattern), 0);
    bool found = run_pattern_find(&read, span_of(text), 0, &match);
    text_add_span(&out, found ? match.at[0] : (struct span){"", 0});
    for (size_t i = 1; found && i <= read.groups; i++) {
        text_add_char(&out, '|');
        text_add_span(&out, match.at[i].at ? match.at[i] : (struct span){"", 0});
    }
    run_pattern_free(&read);
    text_add_string(&out, "");
    if (found)
        return out.at;
    text_free(&out);
    return NULL;
}

static void matches(const char *pattern, const char *text, const char *expected)
{
    char *found = match_of(pattern, text);
    if (expected)
        ck_assert_str_eq(found, expected);
    else
        ck_assert_ptr_null(found);
    free(found);
}

START_TEST(patterns_are_perls)
{
    static const char *const rows[][3] = {{",", "a,b", ","}, {"\\t", "a\tb", "\t"}, {"\\s+", "a \t b", " \t "}, {"\\d", "ab1", "1"},
        {"\\D", "1a", "a"}, {"\\w+", "--a_1--", "a_1"}, {"\\W", "ab.", "."}, {"\\.", "ab.", "."}, {".", "x", "x"}, {"[,;]+", "a,;b", ",;"},
        {"[^a-c]", "abx", "x"}, {"[]x]", "a]", "]"}, {"[\\]x]", "a]", "]"}, {"[a\\-z]+", "b-az", "-az"}, {"[\\s\\d]+", "a 1b", " 1"},
        {"[[:upper:]]", "aB", "B"}, {"\\x2c", "a,", ","}, {"\\x2e", "a.", "."}, {"(?:ab)+", "xababy", "abab|ab"}, {"(a)|(b)", "b", "b||b"},
        {"a{2}", "aaa", "aa"}, {"a{1,}", "aaa", "aaa"}, {"{x}", "a{x}", "{x}"}, {"a}", "a}", "a}"}, {"]", "a]", "]"}, {"(?i)X", "ax", "x"},
        {"^a", "ba", NULL}, {"a$", "ab", NULL}, {"\\bx", "a x", "x"}, {"", "a", ""}, {"|", "a", ""}, {"no", "yes", NULL},
        {"\\\\", "a\\b", "\\"}, {"\\|", "a|b", "|"}, {"[\\\\]", "a\\b", "\\"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        matches(rows[i][0], rows[i][1], rows[i][2]);
}
END_TEST

START_TEST(patterns_that_are_not_understood_are_refused)
{
    static const char *const patterns[] = {"[", "(", ")", "a**", "a*?", "a++", "*", "+a", "(*a)", "|+", "(?=a)", "(?<n>a)", "\\", "\\q",
        "\\x4", "\\0", "[a", "[\\q]", "[z-a]", "^*", "a{3,2}", "(((((((((((a)))))))))))", "\\1", "[[:no:]]", "{2}"};
    struct run_pattern read;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        ck_assert_msg(run_pattern_read(&read, "-C", patterns[i]) == -1, "%s", patterns[i]);
        run_pattern_free(&read);
    }
}
END_TEST

/* The columns of a value, each in brackets. */
static void cuts(const char *pattern, const char *value, bool trims, const char *expected)
{
    struct run_columns columns = {.splits = pattern != NULL, .trims_left = trims, .trims_right = trims};
    struct run_record record = {0};
    struct text out = {0};
    ck_assert(!pattern || run_pattern_read(&columns.separator, "-C", pattern) == 0);
    run_columns_cut(&columns, span_of(value), &record);
    for (size_t i = 0; i < record.count; i++) {
        text_add_char(&out, '[');
        text_add_span(&out, record.at[i]);
        text_add_char(&out, ']');
    }
    ck_assert_str_eq(text_string(&out), expected);
    text_free(&out);
    run_record_free(&record);
    run_pattern_free(&columns.separator);
}

START_TEST(columns_are_those_of_perls_split)
{
    cuts(",", "a,b", false, "[a][b]");
    cuts(",", ",a,", false, "[][a][]");
    cuts(",", "", false, "[]");
    cuts(" ", " a  b ", true, "[][a][][b][]");
    cuts(",", " a , b ", true, "[a][b]");
    cuts("(-)", "1-2", false, "[1][-][2]");
    cuts("(?:-)", "1-2", false, "[1][2]");
    cuts("", "abc", false, "[a][b][c][]");
    cuts("x*", "1xx2", false, "[1][2][]");
    cuts("^", "abc", false, "[abc]");
    cuts(NULL, " a b ", true, "[a b]");
    cuts(NULL, " a b ", false, "[ a b ]");
    cuts(NULL, " \t ", true, "[]");
}
END_TEST

/* A pack over one list. */
struct packing {
    struct run_source_name source;
    struct run_input_options options;
    struct run_input *input;
    struct run_columns columns;
    struct run_template command;
    struct run_pack *pack;
};

static void packing_begin(struct packing *packing, const struct run_pack_options *options, char *const *items, size_t count)
{
    char *words[] = {"x {}"};
    *packing = (struct packing){.source = {.items = items, .count = count}};
    packing->options = (struct run_input_options){.sources = &packing->source,
        .count = 1,
        .delimiter = "\n",
        .delimiter_length = 1,
        .rewinds = true,
        .folder = fixture_folder(),
        .stop = eventfd(0, EFD_CLOEXEC)};
    packing->input = run_input_open(&packing->options);
    ck_assert_ptr_nonnull(packing->input);
    run_template_read(&packing->command, words, 1, &(struct run_template_options){.append = true});
    packing->pack = run_pack_new(options, packing->input, &packing->columns, &packing->command);
}

static void packing_end(struct packing *packing)
{
    run_pack_free(packing->pack);
    run_template_free(&packing->command);
    run_input_close(packing->input);
    close(packing->options.stop);
}

/* Adds what jobs get, a blank between arguments and '|' after each job; how it ended. */
static enum run_input_got packing_read(struct packing *packing, struct text *out)
{
    enum run_input_got got;
    const struct span *arguments;
    size_t count;
    for (uint64_t sequence = 1; (got = run_pack_next(packing->pack, sequence, &arguments, &count)) == RUN_INPUT_RECORD; sequence++) {
        for (size_t i = 0; i < count; i++) {
            if (i > 0)
                text_add_char(out, ' ');
            text_add_span(out, arguments[i]);
        }
        text_add_char(out, '|');
    }
    return got;
}

/* Twice the same: before and after going back. */
static void packs(struct run_pack_options options, const char *expected, size_t count, ...)
{
    char *items[16];
    va_list list;
    va_start(list, count);
    for (size_t i = 0; i < count; i++)
        items[i] = va_arg(list, char *);
    va_end(list);
    options.several = true;
    options.length = options.length ? options.length : 1000;
    struct packing packing;
    packing_begin(&packing, &options, items, count);
    for (int round = 0; round < 2; round++) {
        struct text out = {0};
        ck_assert_int_eq(packing_read(&packing, &out), RUN_INPUT_END);
        ck_assert_str_eq(text_string(&out), expected);
        text_free(&out);
        ck_assert_int_eq(round ? 0 : run_pack_rewind(packing.pack), 0);
    }
    packing_end(&packing);
}
START_TEST(packs_are_bounded_by_number)
{
    packs((struct run_pack_options){.records = 2}, "a b|c d|e|", 5, "a", "b", "c", "d", "e");
    packs((struct run_pack_options){.records = 3}, "a b c|", 3, "a", "b", "c");
    packs((struct run_pack_options){.records = 1}, "a|b|", 2, "a", "b");
    packs((struct run_pack_options){.records = 0}, "a b c|", 3, "a", "b", "c");
    packs((struct run_pack_options){.records = 1, .nothing = true}, "||", 2, "a", "b");
    packs((struct run_pack_options){.records = 2}, "", 0);
}
END_TEST

START_TEST(packs_are_bounded_by_length)
{
    packs((struct run_pack_options){.length = 8}, "a b c|d e|", 5, "a", "b", "c", "d", "e");
    packs(
        (struct run_pack_options){.length = 8}, "aaaaaaaaaa|b|", 2, "aaaaaaaaaa", "b"); /* what does not fit alone is left to the system */
    packs((struct run_pack_options){.length = 9, .records = 2}, "a b|c d|e|", 5, "a", "b", "c", "d", "e");
}
END_TEST

START_TEST(what_is_left_is_spread)
{
    packs((struct run_pack_options){.spreads = 3}, "a b c|d e f|g|", 7, "a", "b", "c", "d", "e", "f", "g");
    packs((struct run_pack_options){.spreads = 3}, "a|", 1, "a");
    packs((struct run_pack_options){.spreads = 2, .records = 3}, "a b c|d e|f|", 6, "a", "b", "c", "d", "e", "f");
    packs((struct run_pack_options){.spreads = 2, .records = 3}, "a b|c|", 3, "a", "b", "c");
    packs((struct run_pack_options){.spreads = 2, .length = 8}, "a b c|d|e|", 5, "a", "b", "c", "d", "e");
}
END_TEST

START_TEST(lines_that_end_in_a_blank_go_on)
{
    packs((struct run_pack_options){.records = 1, .joins = true}, "a b|c|", 3, "a ", "b", "c");
    packs((struct run_pack_options){.records = 2, .joins = true}, "a b c| |", 4, "a ", "b", "c", " ");
    packs((struct run_pack_options){.records = 1, .joins = true}, "a |", 1, "a ");
}
END_TEST

START_TEST(too_long_a_line_may_end_the_whole)
{
    char *items[] = {"a", "bbbbbbbbbb"};
    struct run_pack_options options = {.several = true, .length = 8, .length_is_set = true};
    struct packing packing;
    struct text out = {0};
    packing_begin(&packing, &options, items, 2);
    ck_assert_int_eq(packing_read(&packing, &out), RUN_INPUT_FAILED);
    ck_assert_str_eq(text_string(&out), "a|");
    text_free(&out);
    packing_end(&packing);
}
END_TEST

START_TEST(shuffling_loses_nothing_and_keeps_its_order)
{
    char *items[] = {"a", "b", "c", "d", "e"};
    struct run_pack_options options = {.shuffles = true};
    struct packing packing;
    struct text first = {0}, second = {0};
    packing_begin(&packing, &options, items, 5);
    ck_assert_int_eq(packing_read(&packing, &first), RUN_INPUT_END);
    ck_assert_uint_eq(first.length, 10);
    for (size_t i = 0; i < 5; i++)
        ck_assert_ptr_nonnull(strstr(first.at, items[i]));
    ck_assert_int_eq(run_pack_rewind(packing.pack), 0);
    ck_assert_int_eq(packing_read(&packing, &second), RUN_INPUT_END);
    ck_assert_str_eq(first.at, second.at);
    text_free(&first);
    text_free(&second);
    packing_end(&packing);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, patterns_are_perls);
    tcase_add_test(tests, patterns_that_are_not_understood_are_refused);
    tcase_add_test(tests, columns_are_those_of_perls_split);
    tcase_add_test(tests, packs_are_bounded_by_number);
    tcase_add_test(tests, packs_are_bounded_by_length);
    tcase_add_test(tests, what_is_left_is_spread);
    tcase_add_test(tests, lines_that_end_in_a_blank_go_on);
    tcase_add_test(tests, too_long_a_line_may_end_the_whole);
    tcase_add_test(tests, shuffling_loses_nothing_and_keeps_its_order);
}

int main(void)
{
    return fixture_main("run pack", add);
}
