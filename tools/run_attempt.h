/* SPDX-License-Identifier: MIT */
/* One try at a job: start its command, collect what it writes, see it end. */
#ifndef WEFT_TOOLS_RUN_ATTEMPT_H
#define WEFT_TOOLS_RUN_ATTEMPT_H

#include "run_job.h"
#include "run_limit.h"
#include "run_memory.h"
#include "run_options.h"
#include "run_printer.h"
#include "run_shell.h"
#include "run_stop.h"
#include "run_stream.h"
#include "run_wrap.h"

/* What a slot keeps from one try to the next. */
struct run_attempt {
    const struct run_options *options;
    const struct run_shell *shell;
    struct run_program *program; /* the last one that was looked at */
    struct run_spool *spool;
    struct run_stop *stop;
    struct run_printer *printer;
    struct run_limit *limit;
    const char *mark;             /* for the job's environment: see run_sweep.h */
    int kick;                     /* an event descriptor: the time limit may have changed, or `evicted` has; -1: that does not happen */
    struct run_stream streams[2]; /* of stdout and stderr */
    int input;                    /* the pipe that the job reads from; -1: none, or nothing more to write */
    uint32_t evicted;             /* atomic: it is to be stopped, to be tried again later */
    weft_lock lock;               /* over the three that follow */
    pid_t pid;                    /* of the process that runs, which is not reaped while it stands here; 0: none */
    weft_time started;            /* when it was */
    const struct run_job *job;    /* that it runs */
    struct run_words words;
    const char *flags; /* MAKEFLAGS=... for the job's environment; NULL: its own */
    struct run_wrap wrap;
    struct run_memory *memory;             /* whose limit is 0 where jobs have none */
    struct text procs;                     /* of the cgroup of what runs */
    char *buffer;                          /* to read into */
    char sequence[40], slot[40], host[40]; /* the job's environment */
    struct text slot_variable;             /* more of it; empty: not wanted */
};

enum run_attempt_end {
    RUN_ATTEMPT_ENDED,   /* the command ended by itself or its time limit; or could not be started, which the job says as a shell would */
    RUN_ATTEMPT_STOPPED, /* it was stopped because the whole ends */
    RUN_ATTEMPT_EVICTED, /* it was stopped to make room for others */
    RUN_ATTEMPT_NO_ROOM  /* the system has no room for one more process now; errno */
};

int run_attempt_begin(struct run_attempt *attempt);
void run_attempt_end(struct run_attempt *attempt);
/* Sends a signal to the process that runs and its group. Any task. */
void run_attempt_signal(struct run_attempt *attempt, int signal);
/* When the process that runs was started; 0: none runs. Any task. */
weft_time run_attempt_started(struct run_attempt *attempt);
/* Stops what runs, to be tried again. Any task. */
void run_attempt_evict(struct run_attempt *attempt);
/* Adds what runs, for how long, and what it waits for; nothing when nothing runs. Any task. */
void run_attempt_why(struct run_attempt *attempt, struct text *out);
/* Tries the job. Its outputs are emptied first. */
enum run_attempt_end run_attempt_try(struct run_attempt *attempt, struct run_job *job);

#endif
