/* SPDX-License-Identifier: MIT */
/*
 * The report at the end of a run: how many jobs did what, which took longest, how busy the slots were. It keeps the same little of any
 * number of jobs. Who counts holds the printer's lock.
 */
#ifndef WEFT_TOOLS_RUN_REPORT_H
#define WEFT_TOOLS_RUN_REPORT_H

#include "run_job.h"

enum { RUN_REPORT_SLOWEST = 5, RUN_REPORT_STATUSES = 512 };

/* One of the jobs that took longest. */
struct run_report_job {
    uint64_t sequence;
    double runtime;
    char command[160]; /* its beginning */
};

struct run_report {
    uint64_t jobs;
    uint64_t statuses[RUN_REPORT_STATUSES];            /* by exit status; 256 and the number of the signal; the last: at their time limit */
    double busy;                                       /* seconds that jobs ran, added up */
    struct run_report_job slowest[RUN_REPORT_SLOWEST]; /* the longest first */
    unsigned slowest_count;
};

void run_report_count(struct run_report *report, const struct run_job *job);
/* Adds the lines that tell of a run that took so long, `slots` jobs at once at most. None when no job ended. */
void run_report_text(const struct run_report *report, double seconds, unsigned slots, struct text *out);
/* "1.25 s", "4:05", "2:00:00": so long. */
void run_report_add_time(double seconds, struct text *out);

#endif
