/* SPDX-License-Identifier: MIT */
/*
 * What happens to finished jobs: output printed whole, one job after another, in order where that is wanted, or put into a file of results;
 * then the joblog's line; then the count, which may end the whole (--halt). The task that ran a job does all that, under one lock.
 *
 * With --line-buffer whole lines are printed as they come: of every job, or in order (-k) of the one whose turn it is; the others' are kept
 * until then.
 */
#ifndef WEFT_TOOLS_RUN_PRINTER_H
#define WEFT_TOOLS_RUN_PRINTER_H

#include <weft.h>

#include "run_bar.h"
#include "run_events.h"
#include "run_halt.h"
#include "run_job.h"
#include "run_report.h"
#include "run_results.h"
#include "run_stop.h"

/* With -k: how far finished jobs may be ahead of the one that is printed next. */
#ifdef WEFTI_SMALL
enum { RUN_AHEAD = 8 };
#else
enum { RUN_AHEAD = 65536 };
#endif

struct run_printer {
    weft_lock lock;          /* over all that follows */
    weft_condition finished; /* a job was finished, or it is time to stop */
    struct run_spool *spool;
    struct run_stop *stop;
    const struct run_halt *halt;
    bool ordered, verbose, quiet; /* quiet: outputs are printed elsewhere (-u), kept in files, or not at all */
    bool lines;                   /* lines are printed as they come */
    bool dry;                     /* nothing runs */
    int joblog;                   /* -1: none */
    struct run_results results;
    struct run_report report;
    struct run_events events;
    struct run_tally tally;
    struct run_bar bar;
    uint64_t next;            /* ordered: the order of the job that is printed next */
    struct run_job **waiting; /* ordered: a heap of those that cannot be printed yet, least order first */
    size_t count, room;
    struct run_job *queue; /* ordered lines: those that run, have written and are not printed yet */
    uint64_t running;      /* atomic: jobs that were begun and are not finished; written under the lock */
};

void run_printer_begin(struct run_printer *printer, struct run_spool *spool, struct run_stop *stop);
/* A job begins: waits until it is not too far ahead. False: it is time to stop, and it must not begin. */
bool run_printer_admit(struct run_printer *printer, uint64_t order);
/* A job that runs wrote to a stream (1 or 2); `lines` is set. */
void run_printer_lines(struct run_printer *printer, struct run_job *job, int stream, struct span octets);
/* A job ended, and is the printer's now. */
void run_printer_finish(struct run_printer *printer, struct run_job *job);
/* A job that was begun is given up without a trace. */
void run_printer_abandon(struct run_printer *printer, struct run_job *job);
/* Waits a moment for another job to finish, when the system had no room for one more. False when none runs. */
bool run_printer_wait(struct run_printer *printer);
/* Says lines on standard error, off the bar's line. */
void run_printer_say(struct run_printer *printer, const struct text *lines);
/* Draws the bar, unless somebody is printing. */
void run_printer_tick(struct run_printer *printer, bool last);
void run_printer_end(struct run_printer *printer);

#endif
