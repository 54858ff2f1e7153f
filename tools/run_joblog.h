/* SPDX-License-Identifier: MIT */
/*
 * The joblog: one line a finished job, in GNU parallel's columns, so that either program resumes the other's.
 *
 * A line is written, in one write, after the job's output was written to the end: what stands in the log is done and delivered. So when
 * `weft run` is killed, at most the jobs that ended in that instant run again, and none is lost.
 */
#ifndef WEFT_TOOLS_RUN_JOBLOG_H
#define WEFT_TOOLS_RUN_JOBLOG_H

#include <stdint.h>

#include "text.h"

struct run_joblog_line {
    uint64_t sequence;
    double start;      /* seconds since 1970 */
    double runtime;    /* seconds */
    uint64_t sent;     /* octets of stdin */
    uint64_t received; /* octets of stdout */
    int exitval;
    int signal;
    struct span command;
};

/* What an earlier run did. All-zero: nothing. */
struct run_joblog_past {
    uint64_t *hashes;    /* by sequence: of the command; 0: no line. hashes[0] is not used. */
    unsigned char *done; /* by sequence: it need not run again */
    size_t room;
    uint64_t last;  /* the highest sequence */
    uint64_t count; /* how many are done */
};

enum run_joblog_mode { RUN_JOBLOG_NEW, RUN_JOBLOG_APPEND, RUN_JOBLOG_RESUME, RUN_JOBLOG_RESUME_FAILED };

/*
 * Opens the log: a descriptor; -1, having complained. To resume, the lines that are there go to *past and a torn last one is cut off; a job
 * that failed counts as done unless it is RUN_JOBLOG_RESUME_FAILED.
 */
int run_joblog_open(const char *path, enum run_joblog_mode mode, struct run_joblog_past *past);
/* Reads what is there, and changes nothing (--dry-run). 0, also where there is no log; -1, having complained. */
int run_joblog_look(const char *path, bool failed_again, struct run_joblog_past *past);
/* Adds a line. -1, having complained; then nothing of it is in the log. */
int run_joblog_write(int fd, const struct run_joblog_line *line);
/* Whether that job need not run again. */
bool run_joblog_is_done(const struct run_joblog_past *past, uint64_t sequence);
/* Whether the log has a line for that job with another command. */
bool run_joblog_differs(const struct run_joblog_past *past, uint64_t sequence, struct span command);
void run_joblog_forget(struct run_joblog_past *past);

#endif
