/* SPDX-License-Identifier: MIT */
/* A job: one command line of `weft run`, from its making to the printing of its output. */
#ifndef WEFT_TOOLS_RUN_JOB_H
#define WEFT_TOOLS_RUN_JOB_H

#include <stdint.h>

#include "run_spool.h"
#include "text.h"

struct run_job {
    uint64_t sequence; /* {#}: the number of its arguments, from 1 */
    uint64_t order;    /* among the jobs that this run starts, from 0 */
    unsigned slot;     /* {%} */
    struct text command;
    struct text tag; /* empty: none */
    double start;    /* seconds since 1970; of the last try */
    double runtime;
    int exitval;                  /* -1: it was stopped at its time limit */
    int signal;                   /* that ended it; 0: none */
    bool unlogged;                /* it is to be run again by --resume */
    struct run_output outputs[2]; /* what it wrote to stdout and stderr */
};

struct run_job *run_job_new(void);
void run_job_free(struct run_spool *spool, struct run_job *job);
/* 0: it succeeded; else its exit status as a shell tells it: 128 and the signal for one that a signal ended. */
int run_job_status(const struct run_job *job);

#endif
