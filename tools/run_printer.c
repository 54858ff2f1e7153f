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
    *printer = (struct run_printer){.spool = spool, .stop = stop, .joblog = -1};
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

static int print_stream(struct run_printer *printer, const struct run_job *job, int fd)
{
    struct printed printed = {.fd = fd, .tag = text_span(&job->tag), .tag_due = true};
    int result = 0;
    if (fd == STDOUT_FILENO && printer->verbose) {
        struct text line = {0};
        text_add_span(&line, text_span(&job->command));
        text_add_char(&line, '\n');
        result = print_octets(&printed, text_span(&line));
        text_free(&line);
    }
    if (result == 0)
        result = run_output_each(printer->spool, &job->outputs[fd - 1], print_octets, &printed);
    text_free(&printed.lines);
    return result == 0 ? 0 : print_failed(printer, fd);
}

static void log_job(struct run_printer *printer, const struct run_job *job)
{
    struct run_joblog_line line = {.sequence = job->sequence,
        .start = job->start,
        .runtime = job->runtime,
        .received = job->outputs[0].length,
        .exitval = job->exitval,
        .signal = job->signal,
        .command = text_span(&job->command)};
    if (printer->joblog >= 0 && !job->unlogged && run_joblog_write(printer->joblog, &line) != 0)
        run_stop_break(printer->stop);
}

/* Prints and logs a job, and ends it. Once aborting, nothing is printed any more. */
static void deliver(struct run_printer *printer, struct run_job *job)
{
    if (run_stop_state(printer->stop) != RUN_ABORTING) {
        bool prints = !printer->quiet && (printer->verbose || job->outputs[0].length || job->outputs[1].length);
        if (prints)
            run_bar_clear(&printer->bar);
        if (!prints || (print_stream(printer, job, STDOUT_FILENO) == 0 && print_stream(printer, job, STDERR_FILENO) == 0))
            log_job(printer, job);
    }
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
        struct text command = {0};
        if (printer->halt->when != RUN_HALT_NEVER)
            text_add_span(&command, text_span(&job->command));
        if (printer->ordered)
            deliver_in_order(printer, job);
        else
            deliver(printer, job);
        if (run_stop_state(printer->stop) != RUN_ABORTING)
            count_job(printer, status, text_span(&command));
        text_free(&command);
        __atomic_fetch_sub(&printer->running, 1, __ATOMIC_RELAXED);
        weft_condition_notify_all(&printer->finished);
    }
}

void run_printer_abandon(struct run_printer *printer, struct run_job *job)
{
    __atomic_store_n(&printer->stop->cut, 1, __ATOMIC_RELAXED);
    weft_with (&printer->lock) {
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
    run_bar_draw(&printer->bar, printer->bar.before + printer->tally.completed, printer->tally.failed, last);
    weft_lock_release(&printer->lock);
}

void run_printer_end(struct run_printer *printer)
{
    while (printer->count)
        run_job_free(printer->spool, heap_take(printer));
    free(printer->waiting);
}
