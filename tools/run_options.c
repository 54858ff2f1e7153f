/* SPDX-License-Identifier: MIT */
/* See run_options.h; which options there are says run_option_rows.c. */
#include "run_options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft.h>

#include "complain.h"
#include "nearest.h"
#include "run_option_rows.h"
#include "run_shape.h"

enum { OPTION_CODE = 256 }; /* a row's code for getopt_long is OPTION_CODE and its place */

static const char help_head[] =
    "Usage: weft run [OPTION]... [COMMAND...] [::: ARGUMENT...]...\n"
    "Run COMMAND once for each argument, several at a time, and print each output whole.\n\n"
    "  ::: ARGUMENT...   arguments; several lists give all combinations\n"
    "  :::+ ARGUMENT...  arguments that go hand in hand with the list before\n"
    "  :::: FILE...      arguments are the lines of FILE; ::::+ links them to the list before\n"
    "Without any, arguments are the lines of standard input. Without COMMAND, each argument is a command line.\n\n"
    "In COMMAND:  {} the argument  {.} without extension  {/} without folders  {//} its folder  {/.} both\n"
    "             {#} the job's number  {%} the job slot's  {2} {2.} {-1/} ... one of several arguments\n"
    "Without any of these the argument is added at the end. COMMAND goes to $SHELL -c; arguments are quoted.\n";
static const char help_tail[] =
    "\nExit status: how many jobs failed, 101 for more than 100; with --halt as the man page says; 255 when it could not do its work.\n"
    "Example:  weft run -j4 --bar gzip -9 {} ::: *.log\n";

/* Prints text from the present column on, broken between words at column 100. */
static void print_wrapped(const char *text, size_t indent)
{
    size_t column = indent;
    while (*text) {
        size_t word = strcspn(text, " ");
        bool breaks = column > indent && column + 1 + word > 100;
        if (breaks)
            printf("\n%*s", (int)indent, "");
        else if (column > indent)
            putchar(' ');
        printf("%.*s", (int)word, text);
        column = (breaks ? indent : column + (column > indent)) + word;
        text += word + (text[word] == ' ');
    }
    putchar('\n');
}

/* Prints a row's names and what stands for its argument; returns how many columns that took. */
static int print_names(const struct run_option_row *row)
{
    const char *equals = row->argument && *row->argument != '[' ? "=" : "", *argument = row->argument ? row->argument : "";
    if (!row->name)
        return printf("  -%c %s", row->letter, argument);
    return row->letter ? printf("  -%c, --%s%s%s", row->letter, row->name, equals, argument)
                       : printf("      --%s%s%s", row->name, equals, argument);
}

/* The row that this one is another name for, or itself. */
static const struct run_option_row *real_row(const struct run_option_row *row)
{
    while (!row->text)
        row--;
    return row;
}

static void print_help(void)
{
    enum { COLUMN = 34 };
    fputs(help_head, stdout);
    for (size_t i = 0; i < run_option_count; i++) {
        const struct run_option_row *row = &run_option_rows[i];
        if (!row->name && !row->letter) {
            printf("\n%s:\n", row->text);
            continue;
        }
        int length = print_names(row);
        printf("%*s", length < COLUMN ? COLUMN - length : 1, "");
        char same[64];
        snprintf(same, sizeof same, "the same as --%s", real_row(row)->name);
        print_wrapped(row->text ? row->text : same, COLUMN);
    }
    fputs(help_tail, stdout);
}

/* Takes one option in. */
static int take_option(struct run_options *options, const struct run_option_row *row, const char *argument)
{
    void *field = (char *)options + row->field;
    switch (row->kind) {
    case RUN_OPTION_FLAG:
        *(bool *)field = true;
        return 0;
    case RUN_OPTION_TEXT:
        *(const char **)field = argument;
        return 0;
    case RUN_OPTION_READER:
        return row->read(options, argument);
    case RUN_OPTION_HELP:
        break;
    }
    return 0;
}

/* The row of a code that getopt_long gave. */
static const struct run_option_row *find_row(int code)
{
    size_t at = code >= OPTION_CODE ? (size_t)(code - OPTION_CODE) : 0;
    while (code < OPTION_CODE && run_option_rows[at].letter != code)
        at++;
    return real_row(&run_option_rows[at]);
}

/* Says what getopt_long did not understand: `word` is the argument it stood at. */
static void complain_of_option(const char *word, int letter, bool lacks_argument)
{
    const char *names[RUN_OPTION_MOST];
    size_t count = 0;
    for (size_t i = 0; i < run_option_count; i++)
        if (run_option_rows[i].name)
            names[count++] = run_option_rows[i].name;
    if (lacks_argument) {
        if (strncmp(word, "--", 2) == 0)
            complain("option %s needs an argument", word);
        else
            complain("option -%c needs an argument", letter);
        return;
    }
    if (strncmp(word, "--", 2) != 0) {
        complain("unknown option -%c; weft run --help lists them", letter);
        return;
    }
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    const char *nearest = nearest_name(name, names, count);
    if (nearest && letter)
        complain("option --%s takes no argument", nearest);
    else if (nearest)
        complain("unknown option --%s; did you mean --%s?", name, nearest);
    else
        complain("unknown option --%s; weft run --help lists them", name);
}

static int argument_kind(const struct run_option_row *row)
{
    return !row->argument ? no_argument : *row->argument == '[' ? optional_argument : required_argument;
}

static void make_getopt(struct option *longs, char *shorts)
{
    *shorts++ = '+';
    *shorts++ = ':';
    for (size_t i = 0; i < run_option_count; i++) {
        const struct run_option_row *row = &run_option_rows[i];
        if (row->name)
            *longs++ = (struct option){row->name, argument_kind(row), NULL, OPTION_CODE + (int)(real_row(row) - run_option_rows)};
        if (!row->letter)
            continue;
        *shorts++ = row->letter;
        for (int colons = argument_kind(row); colons > 0; colons--)
            *shorts++ = ':';
    }
    *shorts = '\0';
    *longs = (struct option){0};
}

/* Reads the options; argv from optind on is left. 1: help was wanted. */
static int read_options(struct run_options *options, int argc, char **argv)
{
    struct option longs[RUN_OPTION_MOST + 1];
    char shorts[3 * RUN_OPTION_MOST + 3];
    make_getopt(longs, shorts);
    opterr = 0;
    optind = 1;
    for (;;) {
        int at = optind;
        int code = getopt_long(argc, argv, shorts, longs, NULL);
        if (code == -1)
            return 0;
        if (code == '?' || code == ':') {
            complain_of_option(argv[at < optind ? optind - 1 : at], optopt, code == ':');
            return -1;
        }
        const struct run_option_row *row = find_row(code);
        if (row->kind == RUN_OPTION_HELP)
            return 1;
        if (take_option(options, row, optarg) != 0)
            return -1;
    }
}

/* Whether a word is a mark, or one with a plus. */
static bool is_mark(const char *word, const char *mark, bool *linked)
{
    size_t length = strlen(mark);
    if (strncmp(word, mark, length) != 0)
        return false;
    *linked = word[length] == '+';
    return word[length + *linked] == '\0';
}

/* Whether a word begins a list: 3 or 4 for the colons, with `linked` for the plus; 0 otherwise. */
static size_t list_colons(const struct run_options *options, const char *word, bool *linked)
{
    if (is_mark(word, options->list_mark, linked))
        return 3;
    return is_mark(word, options->file_mark, linked) ? 4 : 0;
}

void run_options_add_source(struct run_options *options, struct run_source_name name)
{
    options->sources = memory_resize(options->sources, (options->source_count + 1) * sizeof *options->sources);
    options->sources[options->source_count++] = name;
}

/* Takes the lists that begin at words[0]. */
static void take_lists(struct run_options *options, char *const *words, size_t count)
{
    size_t at = 0;
    while (at < count) {
        bool linked;
        size_t colons = list_colons(options, words[at++], &linked), from = at;
        bool next;
        while (at < count && !list_colons(options, words[at], &next)) {
            if (colons == 4)
                run_options_add_source(options, (struct run_source_name){.file = words[at], .linked = linked});
            at++;
        }
        if (colons == 3)
            run_options_add_source(options, (struct run_source_name){.items = words + from, .count = at - from, .linked = linked});
    }
}

static int check_options(const struct run_options *options)
{
    if (!*options->list_mark || !*options->file_mark) {
        complain("--arg-sep and --arg-file-sep need a text");
        return -1;
    }
    if (run_shape_check(options) != 0)
        return -1;
    if (options->group && (options->ungroup || options->line_buffer)) {
        complain("--group is the opposite of -u and --line-buffer");
        return -1;
    }
    if ((options->resume || options->resume_failed) && !options->joblog) {
        complain("--resume and --resume-failed need --joblog");
        return -1;
    }
    if (options->reads_stdin && options->command_count == 0 && isatty(STDIN_FILENO)) {
        complain("no command, and nothing to read commands from; weft run --help says how");
        return -1;
    }
    return 0;
}

int run_options_read(struct run_options *options, int argc, char **argv, int *status)
{
    *options = (struct run_options){.jobs = weft_cpu_count(), .retries = 1, .list_mark = ":::", .file_mark = "::::"};
    text_add_char(&options->delimiter, '\n');
    *status = EXIT_USAGE;
    int read = read_options(options, argc, argv);
    if (read != 0) {
        if (read == 1)
            print_help();
        *status = read == 1 ? EXIT_SUCCESS : EXIT_USAGE;
        return -1;
    }
    char *const *words = argv + optind;
    size_t count = (size_t)(argc - optind), at = 0;
    bool linked;
    while (at < count && !list_colons(options, words[at], &linked))
        at++;
    options->command = words;
    options->command_count = at;
    take_lists(options, words + at, count - at);
    options->reads_stdin = options->source_count == 0;
    if (options->reads_stdin)
        run_options_add_source(options, (struct run_source_name){.file = "-"});
    return check_options(options);
}

void run_options_free(struct run_options *options)
{
    text_free(&options->delimiter);
    text_free(&options->pipe.start);
    text_free(&options->pipe.end);
    free(options->sources);
}
