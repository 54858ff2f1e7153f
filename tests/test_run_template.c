/* SPDX-License-Identifier: MIT */
/* The command lines of `weft run`: replacement strings, quoting, and which of them need a shell. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fixture.h"
#include "run_shell.h"
#include "run_template.h"

/* The line for up to four arguments. */
static char *expand(const char *command, enum run_quoting quoting, const char *const *arguments, size_t count)
{
    struct run_template template;
    char *words[] = {(char *)command};
    struct span spans[4];
    struct text line = {0};
    for (size_t i = 0; i < count; i++)
        spans[i] = span_of(arguments[i]);
    run_template_read(&template, words, 1, &(struct run_template_options){.quoting = quoting, .append = true});
    run_template_expand(&template, &(struct run_template_values){spans, count, 12, 3}, &line);
    run_template_free(&template);
    if (!line.at)
        text_add_string(&line, "");
    return line.at;
}

static void expands(const char *command, const char *argument, const char *expected)
{
    char *line = expand(command, RUN_QUOTE_ARGUMENTS, &argument, 1);
    ck_assert_str_eq(line, expected);
    free(line);
}

/* What the argument becomes where it is not part of the command's name. */
static void becomes(const char *replacement, const char *argument, const char *expected)
{
    char command[32], line[64];
    snprintf(command, sizeof command, "x %s", replacement);
    snprintf(line, sizeof line, "x %s", expected);
    expands(command, argument, line);
}

static void expands_two(const char *command, const char *first, const char *second, const char *expected)
{
    char *line = expand(command, RUN_QUOTE_ARGUMENTS, (const char *const[]){first, second}, 2);
    ck_assert_str_eq(line, expected);
    free(line);
}

START_TEST(each_replacement_string_is_replaced)
{
    expands("x {} {.} {/} {//} {/.} {#} {%}", "a/b.c/d.e.f", "x a/b.c/d.e.f a/b.c/d.e d.e.f a/b.c d.e 12 3");
    expands("x {} {.} {/} {//} {/.}", "/x", "x /x /x x / x");
    expands("x {.} {/} {//} {/.}", ".z", "x '' .z . ''");
    expands("x {.} {/} {//} {/.}", "a/", "x a/ '' . ''");
    expands("x {.} {/} {//} {/.}", "/", "x / '' / ''");
    expands("x {.} {/.}", "a.b/", "x a.b/ ''");
    expands("x {.} {/.}", "..", "x . .");
    expands("x {}{}x", "a", "x aax");
}
END_TEST

START_TEST(folders_are_those_of_dirname)
{
    static const char *const pairs[][2] = {{"//a", "/"}, {"a//b", "a"}, {"a/b/", "a"}, {"a//", "."}, {"/a/b", "/a"}, {"//", "/"},
        {"/a", "/"}, {"./a", "."}, {"../a.b/", ".."}, {"a b/c", "'a b'"}, {"a", "."}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        becomes("{//}", pairs[i][0], pairs[i][1]);
}
END_TEST

START_TEST(without_a_replacement_string_the_argument_is_added)
{
    expands("echo", "a", "echo a");
    expands("echo {#}", "a", "echo 12");
    expands("echo {x} {", "a", "echo {x} { a");
    expands("echo {{}}", "a", "echo {a}");
    expands("echo {1..} {+1}", "a", "echo {1..} {+1} a");
}
END_TEST

START_TEST(arguments_are_chosen_by_place)
{
    expands_two("x {}", "a.x", "b c", "x a.x 'b c'");
    expands_two("x {.}", "a.x", "b.y", "x a b");
    expands_two("x {2} {1} {-1} {-2} {0}", "a", "b", "x b a b a a b");
    expands_two("x {2.} {1/} {1//} {-1/.}", "p/a.x", "q/b.y", "x q/b a.x p b");
    expands_two("x {3}{-3}{01}", "a", "b", "x a");
}
END_TEST

START_TEST(quoting_is_that_of_gnu_parallel)
{
    static const char *const pairs[][2] = {{"", "''"}, {"plain-_.+/9", "plain-_.+/9"}, {"a b", "'a b'"}, {"d'e", "'d'\"'\"'e'"},
        {"'", "\"'\""}, {"'a", "\"'\"'a'"}, {"a'", "'a'\"'\""}, {"''", "\"'\"''\"'\""}, {"a=b", "'a=b'"}, {"a,b", "'a,b'"}, {"~", "'~'"},
        {"\xc3\xa9", "'\xc3\xa9'"}, {"a\nb", "'a\nb'"}, {"\x01\xff", "'\x01\xff'"}, {"-n", "-n"}, {"$(x)`y`\"", "'$(x)`y`\"'"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        becomes("{}", pairs[i][0], pairs[i][1]);
}
END_TEST

START_TEST(what_makes_the_name_is_not_quoted)
{
    expands("{}", "a b", "a b");
    expands("{} x", "a b", "a b x");
    expands("e{} {}", "a b", "ea b a b");
    expands("{#} {}", "a b", "12 a b");
    expands("A={} {}", "a b", "A='a b' 'a b'");
    expands(" {}", "a b", " 'a b'");
}
END_TEST

START_TEST(words_or_nothing_may_be_quoted_instead)
{
    const char *argument = "a b";
    char *line = expand("{} x", RUN_QUOTE_NOTHING, &argument, 1);
    ck_assert_str_eq(line, "a b x");
    free(line);
    struct run_template template;
    char *words[] = {"echo", "p {}", "*"};
    struct span span = span_of("a b");
    struct text out = {0};
    run_template_read(&template, words, 3, &(struct run_template_options){.quoting = RUN_QUOTE_WORDS, .append = true});
    run_template_expand(&template, &(struct run_template_values){&span, 1, 1, 1}, &out);
    ck_assert_str_eq(out.at, "echo 'p a b' '*'");
    run_template_free(&template);
    text_free(&out);
}
END_TEST

START_TEST(only_the_slot_number_makes_a_line_differ)
{
    struct run_template template;
    char *with[] = {"echo {%}"}, *without[] = {"echo {#}"};
    run_template_read(&template, with, 1, &(struct run_template_options){.quoting = RUN_QUOTE_ARGUMENTS, .append = true});
    ck_assert(template.uses_slot);
    run_template_free(&template);
    run_template_read(&template, without, 1, &(struct run_template_options){.quoting = RUN_QUOTE_ARGUMENTS, .append = true});
    ck_assert(!template.uses_slot);
    run_template_free(&template);
}
END_TEST

/* Whether the line needs no shell; then its words with '|' after each must be those. */
static void splits(const char *line, const char *expected)
{
    struct run_shell shell = {.path = "/bin/sh", .may_go_direct = true};
    struct run_words words = {0};
    struct text joined = {0};
    bool direct = run_shell_split(&shell, line, &words);
    ck_assert_msg(direct == (expected != NULL), "%s", line);
    for (size_t i = 0; direct && i < words.count; i++) {
        text_add_string(&joined, words.argv[i]);
        text_add_char(&joined, '|');
    }
    if (direct) {
        ck_assert_str_eq(joined.at, expected);
        ck_assert_ptr_null(words.argv[words.count]);
    }
    text_free(&joined);
    run_words_free(&words);
}

START_TEST(plain_words_need_no_shell)
{
    splits("ls -l a.c", "ls|-l|a.c|");
    splits("  ls\t 'a  b' \"c'd\" x'y'\"z\"  ", "ls|a  b|c'd|xyz|");
    splits("ls ''", "ls||");
    splits("ls 'd'\"'\"'e'", "ls|d'e|");
    splits("ls 'a\nb'", "ls|a\nb|");
    splits("/bin/echo a=b", "/bin/echo|a=b|");
}
END_TEST

START_TEST(anything_else_is_the_shells)
{
    static const char *const lines[] = {"", " ", "a;b", "a|b", "a&", "a>b", "a<b", "(a)", "a $b", "a `b`", "a *", "a ?", "a [b]", "~/a",
        "a ~", "a {b,c}", "a #b", "!a", "a\nb", "a \\b", "a 'b", "a \"b", "a \"$b\"", "a \"\\b\"", "A=b c", "echo a", "cd /", "exit 1",
        "time a", "''", "a \xc3\xa9", "if a", ": x"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)

        splits(lines[i], NULL);
}
END_TEST

START_TEST(wrapped_lines_go_to_the_shell_whole)
{
    struct run_shell shell = {.path = "/bin/zsh"};
    struct run_words words = {0};
    ck_assert(!run_shell_split(&shell, "ls", &words));
    run_shell_wrap(&shell, "a; b", &words);
    ck_assert_uint_eq(words.count, 3);
    ck_assert_str_eq(words.argv[0], "/bin/zsh");
    ck_assert_str_eq(words.argv[1], "-c");
    ck_assert_str_eq(words.argv[2], "a; b");
    run_words_free(&words);
}
END_TEST

START_TEST(the_shell_is_that_of_the_environment)
{
    struct run_shell shell;
    unsetenv("BASH_ENV");
    setenv("SHELL", "/usr/bin/bash", 1);
    run_shell_find(&shell);
    ck_assert_str_eq(shell.path, "/usr/bin/bash");
    ck_assert(shell.may_go_direct);
    setenv("BASH_ENV", "/dev/null", 1);
    run_shell_find(&shell);
    ck_assert(!shell.may_go_direct);
    unsetenv("BASH_ENV");
    setenv("BASH_FUNC_ls%%", "() { echo; }", 1);
    run_shell_find(&shell);
    ck_assert(!shell.may_go_direct);
    unsetenv("BASH_FUNC_ls%%");
    setenv("SHELL", "/usr/bin/fish", 1);
    run_shell_find(&shell);
    ck_assert(!shell.may_go_direct);
    unsetenv("SHELL");
    run_shell_find(&shell);
    ck_assert_str_eq(shell.path, "/bin/sh");
}
END_TEST

static void write_program(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    ck_assert_int_eq(chmod(path, 0755), 0);
}

START_TEST(programs_that_a_shell_would_read_are_left_to_it)
{
    struct run_program program = {0};
    struct text path = {0};
    ck_assert(run_program_is_plain(&program, "/bin/ls"));
    ck_assert(run_program_is_plain(&program, "ls"));
    ck_assert(run_program_is_plain(&program, "ls"));
    ck_assert(!run_program_is_plain(&program, "no-such-program-anywhere"));
    ck_assert(!run_program_is_plain(&program, "/"));
    text_format(&path, "%s/script", fixture_folder());
    write_program(path.at, "echo no first line\n");
    ck_assert(!run_program_is_plain(&program, path.at));
    text_add_char(&path, '2');
    write_program(path.at, "#!/bin/sh\n");
    ck_assert(run_program_is_plain(&program, path.at));
    text_free(&path);
    text_free(&program.name);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, each_replacement_string_is_replaced);
    tcase_add_test(tests, folders_are_those_of_dirname);
    tcase_add_test(tests, without_a_replacement_string_the_argument_is_added);
    tcase_add_test(tests, arguments_are_chosen_by_place);
    tcase_add_test(tests, quoting_is_that_of_gnu_parallel);
    tcase_add_test(tests, what_makes_the_name_is_not_quoted);
    tcase_add_test(tests, words_or_nothing_may_be_quoted_instead);
    tcase_add_test(tests, only_the_slot_number_makes_a_line_differ);
    tcase_add_test(tests, plain_words_need_no_shell);
    tcase_add_test(tests, anything_else_is_the_shells);
    tcase_add_test(tests, wrapped_lines_go_to_the_shell_whole);
    tcase_add_test(tests, the_shell_is_that_of_the_environment);
    tcase_add_test(tests, programs_that_a_shell_would_read_are_left_to_it);
}

int main(void)
{
    return fixture_main("run template", add);
}
