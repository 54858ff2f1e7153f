/* SPDX-License-Identifier: MIT */
/* See run_option_rows.h. */
#include "run_option_rows.h"

#include <stddef.h>

#include "run_option_values.h"

/* The end of a row: what becomes of its option. */
#define FLAG(field_) RUN_OPTION_FLAG, offsetof(struct run_options, field_), NULL
#define TEXT(field_) RUN_OPTION_TEXT, offsetof(struct run_options, field_), NULL
#define READER(read_) RUN_OPTION_READER, 0, read_
#define HEADING(text_)                                 \
    {                                                  \
        0, NULL, NULL, text_, RUN_OPTION_HELP, 0, NULL \
    }
#define ALIAS(letter_, name_, argument_)                          \
    {                                                             \
        letter_, name_, argument_, NULL, RUN_OPTION_HELP, 0, NULL \
    }

const struct run_option_row run_option_rows[] = {
    HEADING("Arguments"),
    {'a', "arg-file", "FILE", "read arguments from FILE, a line each; - is standard input; may be given several times",
        READER(run_read_arg_file)},
    {'0', "null", NULL, "arguments end with a NUL, not with a newline", READER(run_read_null)},
    {'d', "delimiter", "TEXT", "arguments end with TEXT", READER(run_read_delimiter)},
    {'E', NULL, "TEXT", "an argument that is TEXT ends its list", TEXT(end_text)},
    {'r', "no-run-if-empty", NULL, "leave out arguments that are empty or blank", FLAG(skip_empty)},
    {'C', "colsep", "REGEXP", "cut each argument into columns where REGEXP matches: {1}, {2} ...", TEXT(shape.column_separator)},
    {0, "trim", "SIDES", "take white space off arguments and columns: l, r, lr, or n for none; lr with --colsep", TEXT(shape.trim)},
    {0, "header", "WHAT",
        ": takes the first argument of each list (its columns, with --colsep) as names: {name}; 0: the files' names; with --pipe see the man "
        "page",
        TEXT(shape.header)},
    {0, "link", NULL, "take the next argument of each list for each job, not all combinations; shorter lists begin anew",
        FLAG(shape.links)},
    ALIAS(0, "xapply", NULL),
    {0, "shuf", NULL, "run the jobs in an order of chance", FLAG(shape.shuffles)},
    {0, "arg-sep", "TEXT", "what stands before a list of arguments, instead of :::", TEXT(list_mark)},
    {0, "arg-file-sep", "TEXT", "what stands before a list of files, instead of ::::", TEXT(file_mark)},

    HEADING("Command lines"),
    {'q', "quote", NULL, "quote the words of COMMAND: none of it is for the shell", FLAG(quote)},
    {'I', NULL, "TEXT", "replace TEXT instead of {}", READER(run_read_replace)},
    {'i', "replace", "[TEXT]", "the same, or {} without TEXT", READER(run_read_replace)},
    {'n', "max-args", "N", "up to N arguments a job, with blanks between", READER(run_read_max_args)},
    {'N', "max-replace-args", "N", "the same, and words with {} are repeated; {1}, {2} ... are the single ones",
        READER(run_read_max_replace_args)},
    {'L', NULL, "N", "up to N lines a job; one that ends in a blank goes on in the next", READER(run_read_lines)},
    {'l', "max-lines", "[N]", "the same without repeating words; without N, 1", READER(run_read_max_lines)},
    {'X', NULL, NULL, "as many arguments a job as fit; words with {} are repeated; the last ones are spread over the job slots",
        FLAG(shape.context)},
    {'m', NULL, NULL, "the same without repeating words", FLAG(shape.many)},
    {0, "xargs", NULL, "the same, and nothing is spread", FLAG(shape.xargs)},
    {'s', "max-chars", "N", "command lines are shorter than N characters", READER(run_read_max_chars)},

    HEADING("What jobs read"),
    {0, "pipe", NULL, "jobs read standard input (or the files of -a), a block of whole records each", FLAG(pipe.wanted)},
    ALIAS(0, "spreadstdin", NULL),
    {0, "pipe-part", NULL, "the same from files that can be read from anywhere, without reading them first", READER(run_read_pipe_part)},
    ALIAS(0, "pipepart", NULL),
    {0, "block", "SIZE", "a block's size: 1M; -N, with --pipe-part: so many blocks a job slot", READER(run_read_block)},
    ALIAS(0, "block-size", "SIZE"),
    {0, "recstart", "TEXT", "a record begins with TEXT; -N and -L count records and lines", READER(run_read_record_start)},
    {0, "recend", "TEXT", "a record ends with TEXT; default: a newline", READER(run_read_record_end)},
    {0, "remove-rec-sep", NULL, "take the texts of --recstart and --recend away", FLAG(pipe.removes)},
    ALIAS(0, "removerecsep", NULL),
    ALIAS(0, "rrs", NULL),

    HEADING("How jobs run"),
    {'j', "jobs", "N",
        "run N jobs at once: a number, N% of the processors, +N or -N from their number, 0 for as many as possible; default: the processors",
        READER(run_read_jobs)},
    ALIAS('P', "max-procs", "N"),
    {0, "timeout", "TIME", "stop a job, and all it started, after so many seconds (or 90s, 1.5m, 2h, 1d), or N% of the median run time",
        READER(run_read_timeout)},
    {0, "retries", "N", "try a job that fails up to N times in all; 0: until it succeeds", READER(run_read_retries)},
    {0, "wd", "DIR", "run jobs in DIR, which is made where it is missing; it may have replacement strings", TEXT(directory)},
    ALIAS(0, "workdir", "DIR"),
    {0, "env", "NAME", "for scripts that say so: jobs have the whole environment anyway", READER(run_read_env)},
    {0, "process-slot-var", "NAME", "set this variable to the number of the job slot less one", READER(run_read_slot_variable)},
    {0, "delay", "TIME", "let so long (seconds, or 500ms, 1.5m, 2h) pass between starts of jobs", READER(run_read_delay)},
    {0, "load", "N", "start no job while N tasks or more are runnable: a number, or N% of the processors", READER(run_read_load)},
    {0, "memory", "SIZE", "let each job have SIZE (10M, 2G) of memory at most, by a cgroup of its own", READER(run_read_memory)},
    {0, "memfree", "SIZE",
        "start no job while less than SIZE (10M, 2G) of memory is free; below half of it stop the youngest, to be run again later",
        READER(run_read_memfree)},
    {0, "jobserver", "[=STYLE]",
        "share -j with jobs that are makes, by GNU make's jobserver: told as a pipe, or (make 4.4) a fifo; one that MAKEFLAGS names is always heeded",
        READER(run_read_jobserver)},
    {0, "nice", "N", "add N to the niceness of jobs", READER(run_read_nice)},

    HEADING("Output"),
    {'k', "keep-order", NULL, "print outputs in the order of the arguments", FLAG(keep_order)},
    {0, "no-keep-order", NULL, "print outputs as jobs end, whatever -k before or after it says", FLAG(no_keep_order)},
    {0, "tag", NULL, "begin each line of output with the arguments and a tab", FLAG(tag)},
    {0, "tagstring", "TEXT", "begin each line of output with TEXT, its replacement strings replaced, and a tab", TEXT(tag_text)},
    {'u', "ungroup", NULL, "do not collect output: jobs write where weft run writes", FLAG(ungroup)},
    {0, "line-buffer", NULL, "print whole lines as they come, not whole outputs; with -k those of one job after another",
        FLAG(line_buffer)},
    ALIAS(0, "linebuffer", NULL),
    ALIAS(0, "lb", NULL),
    {0, "group", NULL, "print whole outputs, as it is without options", FLAG(group)},
    {0, "results", "NAME",
        "keep outputs in files instead of printing them: in a tree of folders, files named with replacement strings, or FILE.csv, .tsv or .json",
        TEXT(results)},
    ALIAS(0, "result", "NAME"),
    ALIAS(0, "res", "NAME"),
    {'v', "verbose", NULL, "print each command before its output", FLAG(verbose)},
    {'t', "trace", NULL, "print each command on standard error when it starts", FLAG(trace)},
    {0, "dry-run", NULL, "print the commands and run none", FLAG(dry_run)},
    {0, "progress", NULL, "show on standard error how many jobs run and are done", FLAG(progress)},
    {0, "eta", NULL, "show also how many are left, and for how long", FLAG(eta)},
    {0, "bar", NULL, "show on standard error how far it is", FLAG(bar)},

    HEADING("The whole run"),
    {0, "joblog", "FILE", "log each finished job as a line of FILE; +FILE adds to what is there", READER(run_read_joblog)},
    ALIAS(0, "jl", "FILE"),
    {0, "resume", NULL, "run only the jobs that the joblog does not have", FLAG(resume)},
    {0, "resume-failed", NULL, "the same, and those that failed again", FLAG(resume_failed)},
    {0, "json", "[=FILE]", "write what happens as lines of JSON to FILE, or standard error", READER(run_read_json)},
    {0, "keys", NULL,
        "heed keys on the terminal: + and - for more and fewer jobs at once, w for what jobs wait for; --bar, --eta and --progress do it too",
        FLAG(keys)},
    {0, "why", NULL, "the same: key w, and anywhere SIGUSR1, tells what each running job waits for", FLAG(keys)},
    {0, "no-keys", NULL, "heed none", FLAG(no_keys)},
    {0, "report", NULL,
        "tell at the end, on standard error, what failed, what took longest and how busy it was, also where that is no terminal",
        FLAG(report)},
    {0, "no-report", NULL, "do not tell that on a terminal", FLAG(no_report)},
    ALIAS(0, "quiet", NULL),
    {0, "halt", "WHEN,WHY=N", "stop early: now or soon, when fail, success or done reaches N jobs, or N% of all: now,fail=1",
        READER(run_read_halt)},
    ALIAS(0, "halt-on-error", "WHEN,WHY=N"),
    {0, "help", NULL, "print this and end", RUN_OPTION_HELP, 0, NULL},
};
const size_t run_option_count = sizeof run_option_rows / sizeof *run_option_rows;
_Static_assert(sizeof run_option_rows / sizeof *run_option_rows <= RUN_OPTION_MOST, "RUN_OPTION_MOST is too small");
