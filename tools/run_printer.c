/* SPDX-License-Identifier: MIT */
/* See run_printer.h. */
#include "run_printer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "complain.h"
#include "run_joblog.h"

/* Where octets of a job go, and whether its tag is due before the next one. */
struct printed {
    int fd;
    struct span tag;
    bool tag_due;
    struct text lines; /* with tags put in */
};

void run_printer_begin(struct run_printer *printer, struct run_spool *spool, struct run_stop *stop)
{
    *printer = (struct run_printer){.spool = spool, .stop = stop, .joblog = -1, .events = {.fd = -1}};
}

/* All of it, whatever kind of descriptor it is. -1 with errno. */
static int write_all(int fd, struct span octets)
{
    while (octets.length) {
        ssize_t written = write(fd, octets.at, octets.length);
        if (written < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            poll(&ready, 1, -1);
            continue;
        }
        if (written < 0 && errno != EINTR)
            return -1;
        if (written > 0) {
            octets.at += written;
            octets.length -= (size_t)written;
        }
    }
    return 0;
}

/* A tag goes before the first octet and after each newline and carriage return that something follows. */
static int print_octets(void *data, struct span octets)
{
    struct printed *printed = data;
    if (!printed->tag.length)
        return write_all(printed->fd, octets);
    text_clear(&printed->lines);
    for (size_t i = 0; i < octets.length; i++) {
        if (printed->tag_due)
            text_add_span(&printed->lines, printed->tag);
        text_add_char(&printed->lines, octets.at[i]);
        printed->tag_due = octets.at[i] == '\n' || octets.at[i] == '\r';
    }
    return write_all(printed->fd, text_span(&printed->lines));
}

/* Nobody reads stdout any more: a quiet end. Anything else is a failure of the whole. */
static int print_failed(struct run_printer *printer, int fd)
{
    if (errno == EPIPE && fd == STDOUT_FILENO) {
        __atomic_store_n(&printer->stop->closed, 1, __ATOMIC_RELAXED);
        run_stop_move(printer->stop, RUN_ABORTING);
        return -1;
    }
    complain("cannot write to %s: %s", fd == STDOUT_FILENO ? "standard output" : "standard error", strerror(errno));
    run_stop_break(printer->stop);
    return -1;
}

static int print_command(struct run_printer *printer, struct run_job *job)
{
    if (!printer->verbose || job->shown)
        return 0;
    struct printed printed = {.fd = STDOUT_FILENO, .tag = text_span(&job->tag), .tag_due = true};
    struct text line = {0};
    text_add_span(&line, text_span(&job->command));
    text_add_char(&line, '\n');
    int result = print_octets(&printed, text_span(&line));
    text_free(&line);
    text_free(&printed.lines);
    job->shown = true;
    return result == 0 ? 0 : print_failed(printer, STDOUT_FILENO);
}

/* Prints what there is of one stream: whole lines, what follows them, and then (may be empty) `more`. */
static int print_stream(struct run_printer *printer, const struct run_job *job, int fd, struct span more)
{
    struct printed printed = {.fd = fd, .tag = text_span(&job->tag), .tag_due = true};
    int result = run_output_each(printer->spool, &job->outputs[fd - 1], print_octets, &printed);
    if (result == 0)
        result = run_output_each(printer->spool, &job->halves[fd - 1], print_octets, &printed);
    if (result == 0 && more.length)
        result = print_octets(&printed, more);
    text_free(&printed.lines);
    return result == 0 ? 0 : print_failed(printer, fd);
}

/* Prints all that there is of a job. */
static int print_job(struct run_printer *printer, struct run_job *job)
{
    if (printer->quiet)
        return 0;
    uint64_t left = 0;
    for (int i = 0; i < 2; i++)
        left += job->outputs[i].length + job->halves[i].length;
    if (!left && (!printer->verbose || job->shown))
        return 0;
    run_bar_clear(&printer->bar);
    if (print_command(printer, job) != 0)
        return -1;
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
        if (print_stream(printer, job, fd, (struct span){0}) != 0)
            return -1;
    return 0;
}

static int add_row(struct run_printer *printer, const struct run_job *job)
{
    if (run_results_add_row(&printer->results, job) == 0)
        return 0;
    if (printer->results.to_stdout && errno == EPIPE)
        return print_failed(printer, STDOUT_FILENO);
    run_stop_break(printer->stop);
    return -1;
}

static void log_job(struct run_printer *printer, const struct run_job *job)
{
    struct run_joblog_line line = {.sequence = job->sequence,
        .start = job->start,
        .runtime = job->runtime,
        .sent = run_feed_length(&job->feed),
        .received = job->received[0],
        .exitval = job->exitval,
        .signal = job->signal,
        .command = text_span(&job->command)};
    if (printer->joblog >= 0 && !job->unlogged && run_joblog_write(printer->joblog, &line) != 0)
        run_stop_break(printer->stop);
}

/* Prints and logs a job, and ends it. Once aborting, nothing is printed any more. */
static void deliver(struct run_printer *printer, struct run_job *job)
{
    if (run_stop_state(printer->stop) != RUN_ABORTING && print_job(printer, job) == 0 && add_row(printer, job) == 0)
        log_job(printer, job);
    run_job_free(printer->spool, job);
}

static void heap_swap(struct run_printer *printer, size_t a, size_t b)
{
    struct run_job *job = printer->waiting[a];
    printer->waiting[a] = printer->waiting[b];
    printer->waiting[b] = job;
}

static bool heap_before(const struct run_printer *printer, size_t a, size_t b)
{
    return printer->waiting[a]->order < printer->waiting[b]->order;
}

static void heap_put(struct run_printer *printer, struct run_job *job)
{
    if (printer->count == printer->room) {
        printer->room = printer->room ? printer->room * 2 : 64;
        printer->waiting = memory_resize(printer->waiting, printer->room * sizeof(struct run_job *));
    }
    size_t at = printer->count++;
    printer->waiting[at] = job;
    for (; at > 0 && heap_before(printer, at, (at - 1) / 2); at = (at - 1) / 2)
        heap_swap(printer, at, (at - 1) / 2);
}

static struct run_job *heap_take(struct run_printer *printer)
{
    struct run_job *least = printer->waiting[0];
    printer->waiting[0] = printer->waiting[--printer->count];
    for (size_t at = 0, child; (child = 2 * at + 1) < printer->count; at = child) {
        if (child + 1 < printer->count && heap_before(printer, child + 1, child))
            child++;
        if (!heap_before(printer, child, at))
            break;
        heap_swap(printer, at, child);
    }
    return least;
}

/* Whether what a job writes may be printed now. */
static bool has_turn(const struct run_printer *printer, const struct run_job *job)
{
    return !printer->ordered || job->order == printer->next;
}

static void queue_add(struct run_printer *printer, struct run_job *job)
{
    if (job->queued)
        return;
    job->queued = true;
    job->queue = printer->queue;
    printer->queue = job;
}

static void queue_remove(struct run_printer *printer, struct run_job *job)
{
    struct run_job **link = &printer->queue;
    while (*link && *link != job)
        link = &(*link)->queue;
    if (*link)
        *link = job->queue;
    job->queued = false;
}

/* The turn has come to a job that may run yet: prints the lines it has written so far. */
static void print_next(struct run_printer *printer)
{
    struct run_job *job = printer->queue;
    while (job && job->order != printer->next)
        job = job->queue;
    if (!job || run_stop_state(printer->stop) == RUN_ABORTING)
        return;
    queue_remove(printer, job);
    run_bar_clear(&printer->bar);
    if (print_command(printer, job) != 0)
        return;
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        struct printed printed = {.fd = fd, .tag = text_span(&job->tag), .tag_due = true};
        int result = run_output_each(printer->spool, &job->outputs[fd - 1], print_octets, &printed);
        run_output_drop(printer->spool, &job->outputs[fd - 1]);
        text_free(&printed.lines);
        if (result != 0) {
            print_failed(printer, fd);
            return;
        }
    }
}

/* Holds a finished job until those before it are printed. */
static void deliver_in_order(struct run_printer *printer, struct run_job *job)
{
    if (job->order != printer->next &&
        (run_output_settle(printer->spool, &job->outputs[0]) != 0 || run_output_settle(printer->spool, &job->outputs[1]) != 0))
        run_stop_break(printer->stop);
    heap_put(printer, job);
    while (printer->count && printer->waiting[0]->order == printer->next) {
        deliver(printer, heap_take(printer));
        printer->next++;
    }
    print_next(printer);
}

/* How many octets there are up to the end of the last line, which a newline ends, or, where there is none, a carriage return. */
static size_t whole_lines(struct span octets)
{
    const char *end = memrchr(octets.at, '\n', octets.length);
    if (!end)
        end = memrchr(octets.at, '\r', octets.length);
    return end ? (size_t)(end - octets.at) + 1 : 0;
}

/* Where the octets of one output go that another is added to. */
struct moved {
    struct run_spool *spool;
    struct run_output *to;
};

static int move_octets(void *data, struct span octets)
{
    struct moved *moved = data;
    return run_output_add(moved->spool, moved->to, octets.at, octets.length);
}

/* Adds one output to another, and empties it. */
static int output_move(struct run_printer *printer, struct run_output *from, struct run_output *to)
{
    struct moved moved = {printer->spool, to};
    int result = run_output_each(printer->spool, from, move_octets, &moved);
    run_output_drop(printer->spool, from);
    return result;
}

/* Keeps lines of a job whose turn has not come. */
static int keep_lines(struct run_printer *printer, struct run_job *job, int stream, struct span lines)
{
    queue_add(printer, job);
    struct run_output *output = &job->outputs[stream - 1];
    if (output_move(printer, &job->halves[stream - 1], output) != 0 ||
        run_output_add(printer->spool, output, lines.at, lines.length) != 0 || run_output_settle(printer->spool, output) != 0)
        return -1;
    return 0;
}

/* Prints lines of a job whose turn it is. -1: that failed, and the whole ends. */
static int print_lines(struct run_printer *printer, struct run_job *job, int stream, struct span lines)
{
    run_bar_clear(&printer->bar);
    if (print_command(printer, job) != 0 || print_stream(printer, job, stream, lines) != 0)
        return -1;
    run_output_drop(printer->spool, &job->outputs[stream - 1]);
    run_output_drop(printer->spool, &job->halves[stream - 1]);
    return 0;
}

static void take_lines(struct run_printer *printer, struct run_job *job, int stream, struct span octets)
{
    struct span lines = {octets.at, whole_lines(octets)}, half = {octets.at + lines.length, octets.length - lines.length};
    if (lines.length && has_turn(printer, job)) {
        if (print_lines(printer, job, stream, lines) != 0)
            return;
    } else if (lines.length && keep_lines(printer, job, stream, lines) != 0) {
        run_stop_break(printer->stop);
        return;
    }
    if (half.length && run_output_add(printer->spool, &job->halves[stream - 1], half.at, half.length) != 0)
        run_stop_break(printer->stop);
}

void run_printer_lines(struct run_printer *printer, struct run_job *job, int stream, struct span octets)
{
    weft_with (&printer->lock)
        if (run_stop_state(printer->stop) != RUN_ABORTING)
            take_lines(printer, job, stream, octets);
}

bool run_printer_admit(struct run_printer *printer, uint64_t order)
{
    bool admitted = false;
    weft_with (&printer->lock) {
        while (printer->ordered && order >= printer->next + RUN_AHEAD && run_stop_state(printer->stop) == RUN_GOING)
            weft_condition_wait(&printer->finished, &printer->lock, WEFT_FOREVER);
        admitted = run_stop_state(printer->stop) == RUN_GOING;
        __atomic_fetch_add(&printer->running, admitted, __ATOMIC_RELAXED);
        printer->tally.started += admitted;
    }
    return admitted;
}

static void count_job(struct run_printer *printer, int status, struct span command)
{
    bool halted = printer->tally.halted;
    enum run_halt_when when = run_halt_count(printer->halt, &printer->tally, status);
    if (when == RUN_HALT_NEVER)
        return;
    if (!halted)
        complain("--halt: %.*s %s; %s", command.length > 200 ? 200 : (int)command.length, command.at, status ? "failed" : "succeeded",
            when == RUN_HALT_NOW ? "stopping the others" : "no more jobs start");
    run_stop_move(printer->stop, when == RUN_HALT_NOW ? RUN_ABORTING : RUN_DRAINING);
}

void run_printer_finish(struct run_printer *printer, struct run_job *job)
{
    weft_with (&printer->lock) {
        int status = run_job_status(job);
        const struct run_job ended = *job; /* its figures, when it is gone */
        struct text command = {0};
        if (printer->halt->when != RUN_HALT_NEVER)
            text_add_span(&command, text_span(&job->command));
        if (job->queued)
            queue_remove(printer, job);
        if (!printer->dry && run_stop_state(printer->stop) != RUN_ABORTING)
            run_report_count(&printer->report, job);
        if (printer->ordered)
            deliver_in_order(printer, job);
        else
            deliver(printer, job);
        if (run_stop_state(printer->stop) != RUN_ABORTING)
            count_job(printer, status, text_span(&command));
        text_free(&command);
        __atomic_fetch_sub(&printer->running, 1, __ATOMIC_RELAXED);
        if (!printer->dry)
            run_events_end(&printer->events, &ended, &printer->tally, printer->running);
        weft_condition_notify_all(&printer->finished);
    }
}

void run_printer_abandon(struct run_printer *printer, struct run_job *job)
{
    __atomic_store_n(&printer->stop->cut, 1, __ATOMIC_RELAXED);
    weft_with (&printer->lock) {
        if (job->queued)
            queue_remove(printer, job);
        run_job_free(printer->spool, job);
        __atomic_fetch_sub(&printer->running, 1, __ATOMIC_RELAXED);
        weft_condition_notify_all(&printer->finished);
    }
}

bool run_printer_wait(struct run_printer *printer)
{
    bool others = false;
    weft_with (&printer->lock) {
        others = printer->running > 1;
        if (others)
            weft_condition_wait(&printer->finished, &printer->lock, weft_in(0.5));
    }
    return others;
}

void run_printer_tick(struct run_printer *printer, bool last)
{
    if (!printer->bar.wanted || weft_lock_acquire(&printer->lock, last ? WEFT_FOREVER : WEFT_NOW) < 0)
        return;
    printer->bar.running = __atomic_load_n(&printer->running, __ATOMIC_RELAXED);
    run_bar_draw(&printer->bar, printer->bar.before + printer->tally.completed, printer->tally.failed, last);
    weft_lock_release(&printer->lock);
}

void run_printer_say(struct run_printer *printer, const struct text *lines)
{
    bool locked = weft_lock_acquire(&printer->lock, weft_in(0.2)) >= 0; /* who prints may be waiting for its reader */
    run_bar_clear(&printer->bar);
    const char *line = text_string(lines);
    for (const char *end; (end = strchr(line, '\n')); line = end + 1)
        complain("%.*s", (int)(end - line), line);
    if (locked)
        weft_lock_release(&printer->lock);
}

void run_printer_end(struct run_printer *printer)
{
    while (printer->count)
        run_job_free(printer->spool, heap_take(printer));
    free(printer->waiting);
    run_results_close(&printer->results);
}
