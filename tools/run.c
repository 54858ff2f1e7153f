/* SPDX-License-Identifier: MIT */
/*
 * `weft run`: many commands side by side. The reading order: run_options.c and run_option_rows.c (the command line), run_input.c and
 * run_source.c (arguments), run_columns.c, run_pack.c and run_shape.c (what a job gets of them), run_template.c and run_shell.c (command
 * lines), run_slots.c (who runs them), run_attempt.c (one try at one), run_spool.c, run_printer.c and run_results.c (what it wrote),
 * run_joblog.c, run_halt.c and run_stop.c (how it ends). This file puts them together, and its task is the one that signals, the bar and
 * the end are waited for in.
 *
 * Signals: those that end a program are blocked in every task and read here from a descriptor. The first SIGINT lets what runs finish; a
 * second, and SIGTERM or SIGHUP, stop it; SIGTSTP pauses it. Jobs are in process groups of their own, so that the terminal's Ctrl-C reaches
 * this process alone.
 */
#include "run.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "complain.h"
#include "run_shape.h"
#include "run_keys.h"
#include "run_memory.h"
#include "run_pace.h"
#include "run_slots.h"
#include "run_sweep.h"

enum { DESCRIPTORS_FOR_ALL = 32, DESCRIPTORS_PER_JOB = 5, TICK_MILLISECONDS = 100, LOOK_MILLISECONDS = 1000 };

/* Everything of one run. */
struct run {
    struct run_options options;
    struct run_columns columns;
    struct run_names names;
    struct run_template command, tag, directory;
    struct run_shell shell;
    struct run_input *input;
    struct run_pack *pack;
    struct run_blocks *blocks; /* --pipe: instead of both */
    struct run_joblog_past past;
    struct run_spool spool;
    struct run_stop stop;
    struct run_printer printer;
    struct run_limit limit;
    struct run_pace pace;
    struct run_tokens tokens;
    struct run_memory memory;
    struct run_keys keys;
    struct run_slots slots;
    int signals; /* a signal descriptor */
    char mark[RUN_MARK_SIZE];
    int ended_by; /* the last signal that came; 0: none */
    weft_time started;
    weft_time next_eviction;
};

static const char *temporary_folder(void)
{
    const char *folder = getenv("TMPDIR");
    return folder && *folder ? folder : "/tmp";
}

/* Whether the input must be gone through before anything runs. What is piped cannot. */
static bool looks_ahead(const struct run_options *options)
{
    if (options->pipe.wanted && !options->pipe.parts)
        return false;
    return options->resume || options->resume_failed || options->bar || options->eta ||
           (options->halt.when != RUN_HALT_NEVER && options->halt.percent);
}

static int open_input(struct run *run)
{
    const struct run_options *options = &run->options;
    if (options->reads_stdin && isatty(STDIN_FILENO))
        complain("reading arguments from the terminal, a line each; Ctrl-D ends them");
    struct run_input_options input = {.sources = options->sources,
        .count = options->source_count,
        .delimiter = options->delimiter.at,
        .delimiter_length = options->delimiter.length,
        .skip_empty = options->skip_empty,
        .end_text = options->end_text,
        .links = options->shape.links && options->source_count > 1,
        .names = run_shape_takes_names(&options->shape),
        .rewinds = looks_ahead(options),
        .folder = run->spool.folder,
        .stop = run->stop.draining};
    run->input = run_input_open(&input);
    return run->input ? 0 : -1;
}

static void read_template(const struct run *run, struct run_template *template, const char *text, enum run_quoting quoting, bool append)
{
    char *words[] = {(char *)text};
    struct run_template_options how = run_shape_template(&run->options.shape, &run->names);
    how.quoting = quoting;
    how.append = append;
    run_template_read(template, words, 1, &how);
}

static void read_templates(struct run *run)
{
    const struct run_options *options = &run->options;
    struct run_template_options how = run_shape_template(&options->shape, &run->names);
    const char *arguments = how.replace ? how.replace : "{}";
    how.quoting = options->quote ? RUN_QUOTE_WORDS : RUN_QUOTE_ARGUMENTS;
    how.append = !options->pipe.wanted;
    if (options->command_count)
        run_template_read(&run->command, options->command, options->command_count, &how);
    else
        read_template(run, &run->command, arguments, RUN_QUOTE_NOTHING, true);
    read_template(run, &run->tag, options->tag_text ? options->tag_text : arguments, RUN_QUOTE_NOTHING, false);
    read_template(run, &run->directory, options->directory ? options->directory : "", RUN_QUOTE_NOTHING, false);
}

static int open_joblog(struct run *run)
{
    const struct run_options *options = &run->options;
    if (!options->joblog)
        return 0;
    if (options->dry_run)
        return options->resume || options->resume_failed ? run_joblog_look(options->joblog, options->resume_failed, &run->past) : 0;
    enum run_joblog_mode mode = options->resume_failed   ? RUN_JOBLOG_RESUME_FAILED
                                : options->resume        ? RUN_JOBLOG_RESUME
                                : options->joblog_append ? RUN_JOBLOG_APPEND
                                                         : RUN_JOBLOG_NEW;
    run->printer.joblog = run_joblog_open(options->joblog, mode, &run->past);
    return run->printer.joblog < 0 ? -1 : 0;
}

/* Rows of a run that is taken up again are added to those that are there. */
static int open_results(struct run *run)
{
    const struct run_options *options = &run->options;
    if (!options->results || options->dry_run)
        return 0;
    struct run_template_options how = run_shape_template(&options->shape, &run->names);
    how.quoting = RUN_QUOTE_NOTHING;
    int opened = run_results_open(&run->printer.results, options->results, &how, options->resume || options->resume_failed, &run->spool);
    run->printer.results.numbered = options->pipe.wanted;
    return opened;
}

/* Compares a job with what the joblog has under its number. A line with {%} in it differs from run to run. */
static bool fits_joblog(struct run *run, const struct run_template_values *values, struct text *line)
{
    if (run->command.uses_slot)
        return true;
    text_clear(line);
    run_template_expand(&run->command, values, line);
    if (!run_joblog_differs(&run->past, values->sequence, text_span(line)))
        return true;
    complain("the joblog %s is of other arguments: job %" PRIu64 " is now: %.*s", run->options.joblog, values->sequence,
        line->length > 200 ? 200 : (int)line->length, text_string(line));
    return false;
}

/* How many jobs at once are wanted (0: as many as possible) and allowed by descriptors. */
static unsigned most_slots(unsigned jobs)
{
    struct rlimit files;
    rlim_t limit = getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : 1024;
    rlim_t most = limit > DESCRIPTORS_FOR_ALL + DESCRIPTORS_PER_JOB ? (limit - DESCRIPTORS_FOR_ALL) / DESCRIPTORS_PER_JOB : 1;
    if (most > 100000)
        most = 100000;
    return jobs && jobs < most ? jobs : (unsigned)most;
}

/* What jobs are made of: columns, names, templates, packs. */
static int open_shape(struct run *run)
{
    const struct run_shape *shape = &run->options.shape;
    if (run->options.pipe.wanted) {
        struct run_blocks_options blocks = run_shape_blocks(&run->options, most_slots(run->options.jobs));
        blocks.stop = run->stop.draining;
        read_templates(run);
        run->blocks = run_blocks_open(&blocks);
        return run->blocks ? 0 : -1;
    }
    if (run_shape_columns(shape, &run->columns) != 0 || open_input(run) != 0)
        return -1;
    run_shape_names(&run->options, run->input, &run->columns, &run->names);
    read_templates(run);
    struct run_pack_options packs = run_shape_pack(shape, most_slots(run->options.jobs));
    run->pack = run_pack_new(&packs, run->input, &run->columns, &run->command);
    return 0;
}

/* What the next job is made of. */
static enum run_input_got next_job(struct run *run, struct run_template_values *values)
{
    if (!run->blocks)
        return run_pack_next(run->pack, values->sequence + 1, &values->arguments, &values->count);
    static const struct span none = {"", 0};
    struct run_feed feed = {0};
    values->arguments = &none;
    values->count = 1;
    enum run_input_got got = run_blocks_next(run->blocks, &feed);
    run_feed_free(&feed);
    return got;
}

/* The joblog of a run with --pipe, which is to be resumed, against the command alone: what was piped is not there twice. */
static int look_at_joblog(struct run *run)
{
    static const struct span none = {"", 0};
    struct run_template_values values = {.arguments = &none, .count = 1, .slot = 1};
    struct text line = {0};
    bool fits = true;
    while (fits && values.sequence < run->past.last) {
        values.sequence++;
        fits = fits_joblog(run, &values, &line);
    }
    text_free(&line);
    return fits ? 0 : -1;
}

/* Goes through the input once: counts it, and compares it with the joblog of the run that is to be resumed. */
static int look_ahead(struct run *run)
{
    struct text line = {0};
    struct run_template_values values = {.slot = 1};
    enum run_input_got got = RUN_INPUT_RECORD;
    bool fits = true;
    while (fits && (got = next_job(run, &values)) == RUN_INPUT_RECORD) {
        values.sequence++;
        fits = fits_joblog(run, &values, &line);
    }
    if (fits && got == RUN_INPUT_END && values.sequence < run->past.last) {
        complain("the joblog %s is of other arguments: it has a job %" PRIu64 ", and there are %" PRIu64 " now", run->options.joblog,
            run->past.last, values.sequence);
        fits = false;
    }
    run->printer.tally.total = values.sequence;
    text_free(&line);
    if (!fits || got != RUN_INPUT_END)
        return -1;
    if (!run->blocks)
        return run_pack_rewind(run->pack);
    run_blocks_rewind(run->blocks);
    return 0;
}

static bool shows_progress(const struct run_options *options)
{
    return options->bar || options->eta || options->progress;
}

static void prepare_printer(struct run *run)
{
    const struct run_options *options = &run->options;
    run->printer.halt = &run->options.halt;
    run->printer.ordered = options->keep_order && !options->no_keep_order;
    run->printer.verbose = options->verbose && !options->dry_run;
    run->printer.dry = options->dry_run;
    run->printer.quiet = !options->dry_run && (options->results || (options->ungroup && !options->verbose));
    run->printer.lines = options->line_buffer && !options->ungroup && !run->printer.quiet;
    run->limit.seconds = options->timeout_is_share ? 0 : options->timeout;
    run->limit.share = options->timeout_is_share ? options->timeout : 0;
    run->pace = (struct run_pace){.delay = options->delay, .load = options->load, .memory = options->memfree, .stop = &run->stop};
    if (shows_progress(options))
        run_bar_begin(&run->printer.bar,
            options->bar   ? RUN_BAR_BAR
            : options->eta ? RUN_BAR_ETA
                           : RUN_BAR_PROGRESS,
            run->printer.tally.total, run->past.count);
}

/* Opens what is named on the command line and looks at it, before anything runs. */
static int prepare(struct run *run)
{
    run_spool_begin(&run->spool, temporary_folder());
    run_printer_begin(&run->printer, &run->spool, &run->stop);
    if (run_stop_begin(&run->stop) != 0 || open_shape(run) != 0)
        return -1;
    run_shell_find(&run->shell);
    if (open_joblog(run) != 0 || open_results(run) != 0 || (looks_ahead(&run->options) ? look_ahead(run) : look_at_joblog(run)) != 0)
        return -1;
    if (run->options.json && run_events_open(&run->printer.events, run->options.json_file) != 0)
        return -1;
    prepare_printer(run);
    if (!run->options.dry_run && run_memory_begin(&run->memory, run->options.memory) != 0)
        return -1;
    return 0;
}

static bool is_ignored(int signal)
{
    struct sigaction action;
    return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* Blocks the signals that end or pause a program and makes them readable. What was ignored from the start (nohup) stays so. */
static int take_signals(struct run *run)
{
    sigset_t set;
    sigemptyset(&set);
    const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT, SIGUSR1};
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        if (!is_ignored(ending[i]))
            sigaddset(&set, ending[i]);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == 0 && (run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) >= 0)
        return 0;
    complain("cannot wait for signals: %s", strerror(errno));
    return -1;
}

/* Ctrl-Z: the jobs, which the terminal does not know, pause as long as this process does. None is just being started meanwhile. */
static void pause_all(struct run *run)
{
    weft_rwlock_acquire_write(&run->stop.starts, WEFT_FOREVER);
    run_slots_signal(&run->slots, SIGSTOP);
    run_keys_give_back(&run->keys);
    raise(SIGSTOP);
    run_keys_take(&run->keys);
    run_slots_signal(&run->slots, SIGCONT);
    weft_rwlock_release_write(&run->stop.starts);
}

/* What each running job waits for. */
static void tell_why(struct run *run)
{
    struct text text = {0};
    run_slots_why(&run->slots, &text);
    run_printer_say(&run->printer, &text);
    text_free(&text);
}

/* Those that do not end it. Whether it is one. */
static bool heed_other_signal(struct run *run, int number)
{
    if (number == SIGTSTP)
        pause_all(run);
    else if (number == SIGCONT)
        run_keys_take(&run->keys);
    else if (number == SIGUSR1)
        tell_why(run);
    else
        return false;
    return true;
}

static void change_slots(struct run *run, int by)
{
    struct text text = {0};
    unsigned most = run_slots_change(&run->slots, by);
    if (by > 0)
        run_tokens_add(&run->tokens);
    text_format(&text, "%u job%s at once now\n", most, most == 1 ? "" : "s");
    run_printer_say(&run->printer, &text);
    run_events_slots(&run->printer.events, most);
    text_free(&text);
}

static void heed_keys(struct run *run)
{
    for (char key; (key = run_keys_read(&run->keys));) {
        if (key == '+' || key == '=')
            change_slots(run, 1);
        else if (key == '-' || key == '_')
            change_slots(run, -1);
        else if (key == 'w' || key == '?')
            tell_why(run);
    }
}

static void heed_signals(struct run *run)
{
    struct signalfd_siginfo info;
    while (read(run->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (heed_other_signal(run, (int)info.ssi_signo))
            continue;
        bool first = run->ended_by == 0 && info.ssi_signo == SIGINT;
        run->ended_by = (int)info.ssi_signo;
        if (first)
            complain("interrupted: no more jobs start; %" PRIu64 " still run (Ctrl-C again stops them)",
                __atomic_load_n(&run->printer.running, __ATOMIC_RELAXED));
        run_stop_move(&run->stop, first ? RUN_DRAINING : RUN_ABORTING);
    }
}

/* Memory has become scarce: the youngest job is stopped, at most one in a while, so that the effect is seen. */
static void make_room(struct run *run)
{
    weft_time now = weft_clock();
    if (!run->pace.memory || now < run->next_eviction || !run_pace_is_short(&run->pace))
        return;
    run_slots_evict(&run->slots);
    run->next_eviction = now + LOOK_MILLISECONDS * (weft_time)1000000;
}

/* Waits for the end of the last slot; meanwhile for signals, for stdout to be closed, and for the time to draw the bar. */
static void wait_for_end(struct run *run)
{
    enum { ENDED, SIGNALS, OUTPUT, KEYS, COUNT };
    struct pollfd waits[COUNT] = {{.fd = run->slots.ended, .events = POLLIN}, {.fd = run->signals, .events = POLLIN}, {.fd = STDOUT_FILENO},
        {.fd = -1, .events = POLLIN}};
    int tick = shows_progress(&run->options) ? TICK_MILLISECONDS : run->pace.memory ? LOOK_MILLISECONDS : -1;
    while (!waits[ENDED].revents) {
        run_printer_tick(&run->printer, false);
        make_room(run);
        waits[KEYS].fd = run->keys.taken ? run->keys.terminal : -1;
        int ready = poll(waits, COUNT, tick);
        if (ready < 0)
            for (int i = 0; i < COUNT; i++)
                waits[i].revents = 0;
        if (waits[SIGNALS].revents)
            heed_signals(run);
        if (waits[KEYS].revents & POLLIN)
            heed_keys(run);
        else if (waits[KEYS].revents)
            run_keys_give_back(&run->keys); /* the terminal is gone */
        if (waits[OUTPUT].revents & POLLERR) {
            __atomic_store_n(&run->stop.closed, 1, __ATOMIC_RELAXED);
            run_stop_move(&run->stop, RUN_ABORTING);
        }
        if (waits[OUTPUT].revents)
            waits[OUTPUT].fd = -1;
    }
}

/* Wanted by --report; else where it is seen, and nobody takes it for a job's. */
static void tell_report(struct run *run)
{
    const struct run_options *options = &run->options;
    if (options->no_report || options->dry_run || run->stop.closed || !(options->report || isatty(STDERR_FILENO)))
        return;
    struct text text = {0};
    run_report_text(&run->printer.report, (double)(weft_clock() - run->started) / 1e9, run_slots_most(&run->slots), &text);
    for (char *line = text.at, *end; line && *line; line = end + 1) {
        end = strchr(line, '\n');
        complain("%.*s", (int)(end - line), line);
    }
    text_free(&text);
}

static int run_jobs(struct run *run)
{
    run->started = weft_clock();
    run_sweep_mark(run->mark);
    run->slots = (struct run_slots){.options = &run->options,
        .command = &run->command,
        .tag = run->options.tag || run->options.tag_text ? &run->tag : NULL,
        .shell = &run->shell,
        .past = &run->past,
        .spool = &run->spool,
        .stop = &run->stop,
        .printer = &run->printer,
        .limit = &run->limit,
        .pace = &run->pace,
        .tokens = &run->tokens,
        .memory = &run->memory,
        .mark = run->mark,
        .room = most_slots(0),
        .most = most_slots(run->options.jobs),
        .ended = eventfd(0, EFD_CLOEXEC),
        .directory = run->options.directory ? &run->directory : NULL,
        .pack = run->pack,
        .blocks = run->blocks};
    run_events_begin(&run->printer.events, run->slots.most, run->printer.tally.total);
    if (run->slots.ended < 0 || run_slots_begin(&run->slots) != 0)
        return -1;
    wait_for_end(run);
    run_keys_end(&run->keys);
    run_slots_end(&run->slots);
    if (run->ended_by && run_stop_state(&run->stop) == RUN_ABORTING)
        run_sweep(run->mark);
    close(run->slots.ended);
    run_tokens_end(&run->tokens);
    run_memory_end(&run->memory);
    run_printer_tick(&run->printer, true);
    tell_report(run);
    return 0;
}

/* Ends as the signal ends a program, so that a shell that waits knows. */
static void die_of(int signal_number)
{
    sigset_t set;
    signal(signal_number, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, signal_number);
    raise(signal_number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static int final_status(struct run *run)
{
    if (run->stop.broken)
        return EXIT_USAGE;
    if (run->stop.closed)
        die_of(SIGPIPE);
    if (run->ended_by && (run->stop.cut || run_stop_state(&run->stop) == RUN_ABORTING || run_slots_left(&run->slots)))
        die_of(run->ended_by);
    if (!run->options.command_count && run->slots.sequence == 0) {
        complain("no command, and none to read; weft run --help says how");
        return EXIT_USAGE;
    }
    return run_halt_status(&run->options.halt, &run->printer.tally);
}

/* Keys are heeded where what they do is seen, and nothing else reads what is typed. */
static bool wants_keys(const struct run_options *options)
{
    return (options->keys || shows_progress(options)) && !options->no_keys && !options->dry_run && isatty(STDERR_FILENO) &&
           !(options->reads_stdin && isatty(STDIN_FILENO));
}

int run_main(int argc, char **argv)
{
    static struct run run = {.keys = {.terminal = -1}};
    int status;
    complain_as("weft run");
    if (run_options_read(&run.options, argc, argv, &status) != 0)
        return status;
    if (run_tokens_begin(&run.tokens, run.options.jobserver, run.options.jobs ? run.options.jobs : weft_cpu_count()) != 0)
        return EXIT_USAGE;
    if (prepare(&run) != 0 || take_signals(&run) != 0)
        return EXIT_USAGE;
    if (wants_keys(&run.options))
        run_keys_begin(&run.keys);
    if (run_jobs(&run) != 0)
        return EXIT_USAGE;
    status = final_status(&run);
    run_events_finish(&run.printer.events, &run.printer.tally, (double)(weft_clock() - run.started) / 1e9, status);
    run_printer_end(&run.printer);
    run_spool_end(&run.spool);
    run_stop_end(&run.stop);
    run_pack_free(run.pack);
    run_blocks_close(run.blocks);
    if (run.input)
        run_input_close(run.input);
    run_names_free(&run.names);
    run_pattern_free(&run.columns.separator);
    run_joblog_forget(&run.past);
    run_template_free(&run.command);
    run_template_free(&run.tag);
    run_template_free(&run.directory);
    run_options_free(&run.options);
    return status;
}
