/* SPDX-License-Identifier: MIT */
/* A job: one command line of `weft run`, from its making to the printing of its output. */
#ifndef WEFT_TOOLS_RUN_JOB_H
#define WEFT_TOOLS_RUN_JOB_H

#include <stdint.h>

#include "run_feed.h"
#include "run_spool.h"
#include "text.h"

/* A copy of some arguments. All-zero: none. */
struct run_values {
    struct text octets;
    struct span *arguments; /* in `octets` */
    size_t count;
};

struct run_job {
    uint64_t sequence; /* {#}: the number of its arguments, from 1 */
    uint64_t order;    /* among the jobs that this run starts, from 0 */
    unsigned slot;     /* {%} */
    struct text command;
    struct text tag;          /* empty: none */
    struct text directory;    /* where it runs; empty: where weft run does */
    struct run_feed feed;     /* what it reads */
    struct run_values values; /* its arguments, where somebody needs them after it was made */
    struct text file;         /* what --results calls it; empty: nothing */
    double start;             /* seconds since 1970; of the last try */
    double runtime;
    int exitval;                  /* -1: it was stopped at its time limit */
    int signal;                   /* that ended it; 0: none */
    bool unlogged;                /* it is to be run again by --resume */
    uint64_t received[2];         /* octets that it wrote to stdout and stderr */
    struct run_output outputs[2]; /* of these, what is not printed yet */
    /* --line-buffer: outputs are whole lines, and what follows them is here. All under the printer's lock. */
    struct run_output halves[2];
    bool shown;            /* its command line was printed (-v) */
    bool queued;           /* it is in the list of those whose turn has not come */
    struct run_job *queue; /* the next one there */
};

struct run_job *run_job_new(void);
void run_job_free(struct run_spool *spool, struct run_job *job);
/* Keeps a copy of the arguments that it was made from. */
void run_job_keep_values(struct run_job *job, const struct span *arguments, size_t count);
/* 0: it succeeded; else its exit status as a shell tells it: 128 and the signal for one that a signal ended. */
int run_job_status(const struct run_job *job);

#endif
