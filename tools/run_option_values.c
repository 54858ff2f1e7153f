/* SPDX-License-Identifier: MIT */
/* See run_option_values.h. */
#include "run_option_values.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <weft.h>

#include "complain.h"

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

/* A number from 0 on, perhaps with a decimal point and a unit: k is 1000, K is 1024, and so on. False where it is something else. */
static bool read_size(const char *text, size_t *size)
{
    static const char small[] = "kmgtp", large[] = "KMGTP";
    double number;
    const char *rest;
    if (!read_number(text, &number, &rest))
        return false;
    const char *unit = *rest ? strchr(small, *rest) : NULL, *unit_large = *rest ? strchr(large, *rest) : NULL;
    if (unit)
        number *= pow(1000, (double)(unit - small + 1));
    if (unit_large)
        number *= pow(1024, (double)(unit_large - large + 1));
    rest += unit || unit_large;
    if (*rest || number >= 1e15 || number != floor(number))
        return false;
    *size = (size_t)number;
    return true;
}

static int read_size_option(const char *option, const char *text, size_t *size)
{
    return read_size(text, size) ? 0 : option_wrong(option, text, "a number");
}

int run_read_jobs(struct run_options *options, const char *text)
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

/* Reads seconds, or a number with the unit of a time; -1: it is none. */
static double read_time(const char *text, const char **rest)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"", 1}, {"ms", 1e-3}, {"s", 1}, {"S", 1}, {"m", 60}, {"M", 60}, {"h", 3600}, {"H", 3600}, {"d", 86400}, {"D", 86400}};
    double number;
    if (!read_number(text, &number, rest))
        return -1;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(*rest, units[i].unit) == 0)
            return number * units[i].seconds;
    return -1;
}

int run_read_timeout(struct run_options *options, const char *text)
{
    const char *rest = "";
    double number, seconds = read_time(text, &rest);
    options->timeout_is_share = seconds < 0 && strcmp(rest, "%") == 0;
    if (options->timeout_is_share && read_number(text, &number, &rest))
        seconds = number / 100;
    if (seconds < 0)
        return option_wrong("--timeout", text, "a time: seconds, 1.5m, 2h, or N%");
    options->timeout = seconds;
    return 0;
}

int run_read_delay(struct run_options *options, const char *text)
{
    const char *rest;
    double seconds = read_time(text, &rest);
    if (seconds < 0)
        return option_wrong("--delay", text, "a time: seconds, 500ms, 1.5m, 2h");
    options->delay = seconds;
    return 0;
}

int run_read_load(struct run_options *options, const char *text)
{
    double load;
    const char *rest;
    if (!read_number(text, &load, &rest) || (*rest && strcmp(rest, "%") != 0))
        return option_wrong("--load", text, "a number of tasks, or N% of the processors");
    if (*rest)
        load = weft_cpu_count() * load / 100;
    options->load = load > 0 ? load : 0.01;
    return 0;
}

static int read_memory(const char *option, const char *text, size_t *size)
{
    return read_size(text, size) ? 0 : option_wrong(option, text, "a size: octets, or 10K, 500M, 2G");
}

int run_read_memfree(struct run_options *options, const char *text)
{
    return read_memory("--memfree", text, &options->memfree);
}

int run_read_memory(struct run_options *options, const char *text)
{
    return read_memory("--memory", text, &options->memory);
}

int run_read_jobserver(struct run_options *options, const char *text)
{
    bool fifo = text && strcmp(text, "fifo") == 0;
    if (text && !fifo && strcmp(text, "pipe") != 0)
        return option_wrong("--jobserver", text, "pipe or fifo");
    options->jobserver = fifo ? RUN_TOKENS_FIFO : RUN_TOKENS_PIPE;
    return 0;
}

int run_read_json(struct run_options *options, const char *text)
{
    options->json = true;
    options->json_file = text;
    return 0;
}

/* Reads \n, \t, \0, \\, \r, \xHH and \OOO as what they stand for. */
static int read_escapes(const char *option, const char *text, struct text *out)
{
    static const char letters[] = "nt0r\\", meanings[] = "\n\t\0\r\\";
    text_clear(out);
    for (const char *given = text; *text; text++) {
        const char *letter = *text == '\\' && text[1] ? strchr(letters, text[1]) : NULL;
        char *end = NULL;
        char hex[4] = {0};
        if (*text == '\\' && text[1] == 'x' && text[2] && text[3]) {
            memcpy(hex, text + 2, 2);
            text_add_char(out, (char)strtoul(hex, &end, 16));
            if (*end)
                return option_wrong(option, given, "a text with proper escapes");
            text += 3;
        } else if (*text == '\\' && strspn(text + 1, "01234567") >= 3) {
            memcpy(hex, text + 1, 3);
            text_add_char(out, (char)strtoul(hex, NULL, 8));
            text += 3;
        } else if (letter) {
            text_add_char(out, meanings[letter - letters]);
            text++;
        } else {
            text_add_char(out, *text);
        }
    }
    return 0;
}

int run_read_delimiter(struct run_options *options, const char *text)
{
    if (read_escapes("-d", text, &options->delimiter) != 0)
        return -1;
    return options->delimiter.length ? 0 : option_wrong("-d", "''", "a delimiter");
}

int run_read_record_start(struct run_options *options, const char *text)
{
    options->pipe.has_start = true;
    return read_escapes("--recstart", text, &options->pipe.start);
}

int run_read_record_end(struct run_options *options, const char *text)
{
    options->pipe.has_end = true;
    return read_escapes("--recend", text, &options->pipe.end);
}

int run_read_pipe_part(struct run_options *options, const char *text)
{
    (void)text; /* it has none */
    options->pipe.wanted = options->pipe.parts = true;
    return 0;
}

int run_read_nice(struct run_options *options, const char *text)
{
    char *end;
    long nice = strtol(text, &end, 10);
    if (end == text || *end || nice < -20 || nice > 19)
        return option_wrong("--nice", text, "a niceness from -20 to 19");
    options->nice = (int)nice;
    return 0;
}

int run_read_retries(struct run_options *options, const char *text)
{
    long retries = read_count(text);
    if (retries < 0)
        return option_wrong("--retries", text, "a number");
    options->retries = (unsigned)retries;
    return 0;
}

int run_read_joblog(struct run_options *options, const char *text)
{
    options->joblog_append = *text == '+';
    options->joblog = text + options->joblog_append;
    return 0;
}

int run_read_halt(struct run_options *options, const char *text)
{
    return run_halt_read(&options->halt, text)
               ? 0
               : option_wrong("--halt", text, "never, or now or soon, then fail, success or done, then N or N%: now,fail=1");
}

int run_read_arg_file(struct run_options *options, const char *text)
{
    run_options_add_source(options, (struct run_source_name){.file = text});
    return 0;
}

int run_read_null(struct run_options *options, const char *text)
{
    (void)text; /* it has none */
    text_clear(&options->delimiter);
    text_add(&options->delimiter, "", 1);
    return 0;
}

int run_read_max_args(struct run_options *options, const char *text)
{
    options->shape.has_max_args = true;
    return read_size_option("-n", text, &options->shape.max_args);
}

int run_read_max_replace_args(struct run_options *options, const char *text)
{
    options->shape.has_max_replace_args = true;
    return read_size_option("-N", text, &options->shape.max_replace_args);
}

int run_read_lines(struct run_options *options, const char *text)
{
    options->shape.has_lines = true;
    return read_size_option("-L", text, &options->shape.lines);
}

/* Without a number it is one line. */
int run_read_max_lines(struct run_options *options, const char *text)
{
    options->shape.max_lines = 1;
    if (text && read_size_option("-l", text, &options->shape.max_lines) != 0)
        return -1;
    options->shape.max_lines += options->shape.max_lines == 0;
    return 0;
}

int run_read_max_chars(struct run_options *options, const char *text)
{
    if (read_size_option("-s", text, &options->shape.length) != 0)
        return -1;
    return options->shape.length ? 0 : option_wrong("-s", text, "a number from 1 on");
}

int run_read_replace(struct run_options *options, const char *text)
{
    options->shape.replace = text && strcmp(text, "{}") != 0 ? text : NULL;
    return text && !*text ? option_wrong("-I", "''", "a text to be replaced") : 0;
}

/* The name of a variable. */
static bool is_name(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    return *text && !(*text >= '0' && *text <= '9') && text[strspn(text, letters)] == '\0';
}

/* Jobs have all of the environment anyway. */
int run_read_env(struct run_options *options, const char *text)
{
    (void)options;
    return is_name(text) ? 0 : option_wrong("--env", text, "the name of a variable");
}

int run_read_slot_variable(struct run_options *options, const char *text)
{
    options->slot_variable = text;
    return is_name(text) ? 0 : option_wrong("--process-slot-var", text, "the name of a variable");
}

/* A size; or, with a minus, how many blocks each slot gets. */
int run_read_block(struct run_options *options, const char *text)
{
    size_t *where = *text == '-' ? &options->pipe.each : &options->pipe.size;
    options->pipe.each = options->pipe.size = 0;
    if (!read_size(text + (*text == '-'), where) || *where == 0)
        return option_wrong("--block", text, "a size such as 100k, or with a minus a number of blocks");
    return 0;
}
