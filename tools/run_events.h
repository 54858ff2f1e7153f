/* SPDX-License-Identifier: MIT */
/*
 * What happens, for programs to read (--json): an object a line, written in one piece.
 *
 *   {"event": "begin", "version": 1, "pid": P, "slots": N, "total": N or null, "time": T}     first
 *   {"event": "start", "seq": N, "slot": N, "command": "...", "time": T}                      a job starts
 *   {"event": "end", "seq": N, "slot": N, "start": T, "runtime": S, "exitval": N, "signal": N, "stdout": OCTETS, "stderr": OCTETS,
 *    "running": N, "done": N, "failed": N, "total": N or null}                                a job has ended, and its output was delivered
 *    or waits for its turn
 *   {"event": "slots", "slots": N}                                                            more or fewer jobs may run at once
 *   {"event": "finish", "done": N, "failed": N, "seconds": S, "status": N}                    last; a run that a signal ends may have none
 *
 * T is seconds since 1970. exitval is -1 for a job that was stopped at its time limit. Names may be added; what is not known is to be
 * ignored.
 */
#ifndef WEFT_TOOLS_RUN_EVENTS_H
#define WEFT_TOOLS_RUN_EVENTS_H

#include <weft.h>

#include "run_halt.h"
#include "run_job.h"

/* A descriptor that they go to; -1: nobody wants them. */
struct run_events {
    int fd;
    weft_lock lock; /* over writing */
};

/* Opens where they go: a file; NULL or "-": standard error. -1, having complained. */
int run_events_open(struct run_events *events, const char *path);
void run_events_begin(struct run_events *events, unsigned slots, uint64_t total);
void run_events_start(struct run_events *events, const struct run_job *job);
void run_events_end(struct run_events *events, const struct run_job *job, const struct run_tally *tally, uint64_t running);
void run_events_slots(struct run_events *events, unsigned slots);
void run_events_finish(struct run_events *events, const struct run_tally *tally, double seconds, int status);

#endif
