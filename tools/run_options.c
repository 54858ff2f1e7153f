/* SPDX-License-Identifier: MIT */
/* See run_options.h. One table says which options there are: getopt_long, --help and the nearest name of an unknown one are made from it. */
#include "run_options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft.h>

#include "complain.h"
#include "nearest.h"

/* Options without a letter. */
enum {
    OPTION_BAR = 256,
    OPTION_DRY_RUN,
    OPTION_HALT,
    OPTION_HELP,
    OPTION_JOBLOG,
    OPTION_NICE,
    OPTION_RESUME,
    OPTION_RESUME_FAILED,
    OPTION_RETRIES,
    OPTION_TAG,
    OPTION_TAGSTRING,
    OPTION_TIMEOUT
};

static const struct option_row {
    int code;                    /* its letter, or one of the enum */
    const char *name, *argument; /* argument NULL: it has none */
    const char *text;            /* NULL: another name for the row before */
} option_rows[] = {
    {'j', "jobs", "N",
        "run N jobs at once: a number, N% of the processors, +N or -N from their number, 0 for as many as possible; default: the processors"},
    {'P', "max-procs", "N", NULL},
    {'a', "arg-file", "FILE", "read arguments from FILE, a line each; - is standard input; may be given several times"},
    {'0', "null", NULL, "arguments end with a NUL, not with a newline"},
    {'d', "delimiter", "TEXT", "arguments end with TEXT"},
    {'r', "no-run-if-empty", NULL, "leave out arguments that are empty or blank"},
    {'q', "quote", NULL, "quote the words of COMMAND: none of it is for the shell"},
    {'k', "keep-order", NULL, "print outputs in the order of the arguments"},
    {OPTION_TAG, "tag", NULL, "begin each line of output with the arguments and a tab"},
    {OPTION_TAGSTRING, "tagstring", "TEXT", "begin each line of output with TEXT, its replacement strings replaced, and a tab"},
    {'u', "ungroup", NULL, "do not collect output: jobs write where weft run writes"},
    {'v', "verbose", NULL, "print each command before its output"},
    {'t', "trace", NULL, "print each command on standard error when it starts"},
    {OPTION_DRY_RUN, "dry-run", NULL, "print the commands and run none"},
    {OPTION_BAR, "bar", NULL, "show on standard error how far it is"},
    {OPTION_JOBLOG, "joblog", "FILE", "log each finished job as a line of FILE; +FILE adds to what is there"},
    {OPTION_RESUME, "resume", NULL, "run only the jobs that the joblog does not have"},
    {OPTION_RESUME_FAILED, "resume-failed", NULL, "the same, and those that failed again"},
    {OPTION_RETRIES, "retries", "N", "try a job that fails up to N times in all; 0: until it succeeds"},
    {OPTION_TIMEOUT, "timeout", "TIME",
        "stop a job, and all it started, after so many seconds (or 90s, 1.5m, 2h, 1d), or N% of the median run time"},
    {OPTION_HALT, "halt", "WHEN,WHY=N", "stop early: now or soon, when fail, success or done reaches N jobs, or N% of all: now,fail=1"},
    {OPTION_HALT, "halt-on-error", "WHEN,WHY=N", NULL},
    {OPTION_NICE, "nice", "N", "add N to the niceness of jobs"},
    {OPTION_HELP, "help", NULL, "print this and end"},
};
enum { OPTION_COUNT = sizeof option_rows / sizeof *option_rows };

static const char help_head[] =
    "Usage: weft run [OPTION]... [COMMAND...] [::: ARGUMENT...]...\n"
    "Run COMMAND once for each argument, several at a time, and print each output whole.\n\n"
    "  ::: ARGUMENT...   arguments; several lists give all combinations\n"
    "  :::+ ARGUMENT...  arguments that go hand in hand with the list before\n"
    "  :::: FILE...      arguments are the lines of FILE; ::::+ links them to the list before\n"
    "Without any, arguments are the lines of standard input. Without COMMAND, each argument is a command line.\n\n"
    "In COMMAND:  {} the argument  {.} without extension  {/} without folders  {//} its folder  {/.} both\n"
    "             {#} the job's number  {%} the job slot's  {2} {2.} {-1/} ... one of several arguments\n"
    "Without any of these the argument is added at the end. COMMAND goes to $SHELL -c; arguments are quoted.\n\n"
    "Options:\n";
static const char help_tail[] =
    "\nExit status: how many jobs failed, 101 for more than 100; with --halt as the man page says; 255 when it could not do its work.\n"
    "Example:  weft run -j4 --bar gzip -9 {} ::: *.log\n";

static bool has_letter(const struct option_row *row)
{
    return row->code < OPTION_BAR;
}

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

static void print_help(void)
{
    enum { COLUMN = 34 };
    fputs(help_head, stdout);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        char name[64];
        int length = has_letter(row) ? snprintf(name, sizeof name, "  -%c, --%s", row->code, row->name)
                                     : snprintf(name, sizeof name, "      --%s", row->name);
        printf("%s%s%-*s", name, row->argument ? "=" : "", COLUMN - length - (row->argument != NULL), row->argument ? row->argument : "");
        char same[64];
        snprintf(same, sizeof same, "the same as --%s", i ? option_rows[i - 1].name : "");
        print_wrapped(row->text ? row->text : same, COLUMN);
    }
    fputs(help_tail, stdout);
}

static int option_wrong(const char *option, const char *value, const char *expected)
{
    complain("%s %s: not %s", option, value, expected);
    return -1;
}

/* A whole number from 0 on that fits; -1 otherwise. */
static long read_count(const char *text)
{
    char *end;
    if (*text < '0' || *text > '9')
        return -1;
    errno = 0;
    long count = strtol(text, &end, 10);
    return errno || *end || count > INT32_MAX ? -1 : count;
}

/* A number and what follows it. False where there is no finite number from 0 on. */
static bool read_number(const char *text, double *number, const char **rest)
{
    char *end;
    if ((*text < '0' || *text > '9') && *text != '.')
        return false;
    *number = strtod(text, &end);
    *rest = end;
    return end != text && isfinite(*number);
}

static int read_jobs(struct run_options *options, const char *text)
{
    double processors = weft_cpu_count(), jobs = -1;
    const char *rest;
    long offset = *text == '+' || *text == '-' ? read_count(text + 1) : -1;
    if (offset >= 0)
        jobs = *text == '+' ? processors + (double)offset : processors - (double)offset;
    else if (read_number(text, &jobs, &rest) && strcmp(rest, "%") == 0)
        jobs = ceil(processors * jobs / 100);
    else if (read_count(text) == 0) {
        options->jobs = 0;
        return 0;
    } else {
        jobs = (double)read_count(text);
        if (jobs < 1)
            return option_wrong("-j", text, "a number of jobs: N, N%, +N, -N or 0");
    }
    if (jobs < 1) {
        complain("-j %s: no job could run: there are %.0f processors", text, processors);
        return -1;
    }
    options->jobs = jobs > 1000000 ? 1000000 : (unsigned)jobs;
    return 0;
}

static int read_timeout(struct run_options *options, const char *text)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"", 1}, {"s", 1}, {"S", 1}, {"m", 60}, {"M", 60}, {"h", 3600}, {"H", 3600}, {"d", 86400}, {"D", 86400}};
    const char *rest;
    double number;
    if (!read_number(text, &number, &rest))
        return option_wrong("--timeout", text, "a time: seconds, 1.5m, 2h, or N%");
    options->timeout_is_share = strcmp(rest, "%") == 0;
    if (options->timeout_is_share) {
        options->timeout = number / 100;
        return 0;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(rest, units[i].unit) == 0) {
            options->timeout = number * units[i].seconds;
            return 0;
        }
    }
    return option_wrong("--timeout", text, "a time: seconds, 1.5m, 2h, or N%");
}

/* Reads \n, \t, \0, \\, \r and \xHH as what they stand for. */
static int read_delimiter(struct run_options *options, const char *text)
{
    static const char letters[] = "nt0r\\", meanings[] = "\n\t\0\r\\";
    text_clear(&options->delimiter);
    for (const char *given = text; *text; text++) {
        const char *letter = *text == '\\' && text[1] ? strchr(letters, text[1]) : NULL;
        char *end = NULL;
        char hex[3] = {0};
        if (*text == '\\' && text[1] == 'x' && text[2] && text[3]) {
            memcpy(hex, text + 2, 2);
            text_add_char(&options->delimiter, (char)strtoul(hex, &end, 16));
            if (*end)
                return option_wrong("-d", given, "a delimiter");
            text += 3;
        } else if (letter) {
            text_add_char(&options->delimiter, meanings[letter - letters]);
            text++;
        } else {
            text_add_char(&options->delimiter, *text);
        }
    }
    return options->delimiter.length ? 0 : option_wrong("-d", "''", "a delimiter");
}

static int read_nice(struct run_options *options, const char *text)
{
    char *end;
    long nice = strtol(text, &end, 10);
    if (end == text || *end || nice < -20 || nice > 19)
        return option_wrong("--nice", text, "a niceness from -20 to 19");
    options->nice = (int)nice;
    return 0;
}

static int read_retries(struct run_options *options, const char *text)
{
    long retries = read_count(text);
    if (retries < 0)
        return option_wrong("--retries", text, "a number");
    options->retries = (unsigned)retries;
    return 0;
}

static void read_joblog(struct run_options *options, const char *text)
{
    options->joblog_append = *text == '+';
    options->joblog = text + options->joblog_append;
}

static void add_source(struct run_options *options, struct run_source_name name)
{
    options->sources = memory_resize(options->sources, (options->source_count + 1) * sizeof *options->sources);
    options->sources[options->source_count++] = name;
}

/* Takes one option in. */
static int take_option(struct run_options *options, int code, const char *argument)
{
    switch (code) {
    case 'j':
    case 'P':
        return read_jobs(options, argument);
    case 'a':
        add_source(options, (struct run_source_name){.file = argument});
        return 0;
    case '0':
        text_clear(&options->delimiter);
        text_add(&options->delimiter, "", 1);
        return 0;
    case 'd':
        return read_delimiter(options, argument);
    case 'r':
        options->skip_empty = true;
        return 0;
    case 'q':
        options->quote = true;
        return 0;
    case 'k':
        options->keep_order = true;
        return 0;
    case 'u':
        options->ungroup = true;
        return 0;
    case 'v':
        options->verbose = true;
        return 0;
    case 't':
        options->trace = true;
        return 0;
    case OPTION_TAG:
        options->tag = true;
        return 0;
    case OPTION_TAGSTRING:
        options->tag_text = argument;
        return 0;
    case OPTION_DRY_RUN:
        options->dry_run = true;
        return 0;
    case OPTION_BAR:
        options->bar = true;
        return 0;
    case OPTION_JOBLOG:
        read_joblog(options, argument);
        return 0;
    case OPTION_RESUME:
        options->resume = true;
        return 0;
    case OPTION_RESUME_FAILED:
        options->resume_failed = true;
        return 0;
    case OPTION_RETRIES:
        return read_retries(options, argument);
    case OPTION_TIMEOUT:
        return read_timeout(options, argument);
    case OPTION_HALT:
        return run_halt_read(&options->halt, argument)
                   ? 0
                   : option_wrong("--halt", argument, "never, or now or soon, then fail, success or done, then N or N%: now,fail=1");
    case OPTION_NICE:
        return read_nice(options, argument);
    default:
        return -1;
    }
}

/* Says what getopt_long did not understand: `word` is the argument it stood at. */
static void complain_of_option(const char *word, int letter, bool lacks_argument)
{
    const char *names[OPTION_COUNT];
    for (size_t i = 0; i < OPTION_COUNT; i++)
        names[i] = option_rows[i].name;
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
    const char *nearest = nearest_name(name, names, OPTION_COUNT);
    if (nearest && letter)
        complain("option --%s takes no argument", nearest);
    else if (nearest)
        complain("unknown option --%s; did you mean --%s?", name, nearest);
    else
        complain("unknown option --%s; weft run --help lists them", name);
}

static void make_getopt(struct option *longs, char *shorts)
{
    *shorts++ = '+';
    *shorts++ = ':';
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        longs[i] = (struct option){row->name, row->argument ? required_argument : no_argument, NULL, row->code};
        if (!has_letter(row))
            continue;
        *shorts++ = (char)row->code;
        if (row->argument)
            *shorts++ = ':';
    }
    *shorts = '\0';
    longs[OPTION_COUNT] = (struct option){0};
}

/* Reads the options; argv from optind on is left. 1: help was wanted. */
static int read_options(struct run_options *options, int argc, char **argv)
{
    struct option longs[OPTION_COUNT + 1];
    char shorts[2 * OPTION_COUNT + 3];
    make_getopt(longs, shorts);
    opterr = 0;
    optind = 1;
    for (;;) {
        int at = optind;
        int code = getopt_long(argc, argv, shorts, longs, NULL);
        if (code == -1)
            return 0;
        if (code == OPTION_HELP)
            return 1;
        if (code == '?' || code == ':') {
            complain_of_option(argv[at < optind ? optind - 1 : at], optopt, code == ':');
            return -1;
        }
        if (take_option(options, code, optarg) != 0)
            return -1;
    }
}

/* Whether a word begins a list: 3 or 4 for the colons, with `linked` for the plus; 0 otherwise. */
static size_t list_colons(const char *word, bool *linked)
{
    size_t colons = strspn(word, ":");
    if (colons != 3 && colons != 4)
        return 0;
    *linked = word[colons] == '+';
    return word[colons + *linked] == '\0' ? colons : 0;
}

/* Takes the lists that begin at words[0]. */
static void take_lists(struct run_options *options, char *const *words, size_t count)
{
    size_t at = 0;
    while (at < count) {
        bool linked;
        size_t colons = list_colons(words[at++], &linked), from = at;
        bool next;
        while (at < count && !list_colons(words[at], &next)) {
            if (colons == 4)
                add_source(options, (struct run_source_name){.file = words[at], .linked = linked});
            at++;
        }
        if (colons == 3)
            add_source(options, (struct run_source_name){.items = words + from, .count = at - from, .linked = linked});
    }
}

static int check_options(const struct run_options *options)
{
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
    *options = (struct run_options){.jobs = weft_cpu_count(), .retries = 1};
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
    while (at < count && !list_colons(words[at], &linked))
        at++;
    options->command = words;
    options->command_count = at;
    take_lists(options, words + at, count - at);
    options->reads_stdin = options->source_count == 0;
    if (options->reads_stdin)
        add_source(options, (struct run_source_name){.file = "-"});
    return check_options(options);
}

void run_options_free(struct run_options *options)
{
    text_free(&options->delimiter);
    free(options->sources);
}
