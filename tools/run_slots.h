/* SPDX-License-Identifier: MIT */
/*
 * The job slots of `weft run`: each is a task that takes the next job, runs it and hands it to the printer, again and again. A slot is
 * made when a job is there for it and all others are busy. Changing RUN_SLOT_KIND changes what slots are.
 */
#ifndef WEFT_TOOLS_RUN_SLOTS_H
#define WEFT_TOOLS_RUN_SLOTS_H

#include "run_blocks.h"
#include "run_joblog.h"
#include "run_limit.h"
#include "run_options.h"
#include "run_pack.h"
#include "run_pace.h"
#include "run_printer.h"
#include "run_shell.h"
#include "run_template.h"
#include "run_tokens.h"

#define RUN_SLOT_KIND WEFT_THREAD

struct run_memory;
struct run_slot;

/* All that slots share. */
struct run_slots {
    const struct run_options *options;
    const struct run_template *command, *tag, *directory; /* NULL: no tags; no directory of jobs' own */
    const struct run_shell *shell;
    const struct run_joblog_past *past;
    struct run_spool *spool;
    struct run_stop *stop;
    struct run_printer *printer;
    struct run_limit *limit;
    struct run_pace *pace;
    struct run_tokens *tokens;
    struct run_memory *memory;
    const char *mark; /* in the environment of jobs */
    unsigned room;    /* slots that the system has room for */
    int ended;        /* an event descriptor: readable when the last slot has ended */

    weft_lock lock; /* over all that follows: who holds it reads the next job */
    struct run_pack *pack;
    struct run_blocks *blocks;    /* NULL: jobs read nothing */
    struct run_feed feed;         /* of the last job that was read, until it is made */
    const struct span *arguments; /* of the last job that was read */
    size_t argument_count;
    uint64_t sequence; /* of that job */
    uint64_t order;    /* of the next job */
    bool refused;      /* a job was read and not begun, because it was time to stop */
    bool over;         /* no more jobs are to be had */
    bool all_read;     /* because there are none */

    weft_lock list;         /* over all that follows: never held while waiting for input, or for a job to be allowed to start */
    unsigned most;          /* jobs that may run at once */
    unsigned resting;       /* slots that wait for more jobs to be wanted */
    bool closed;            /* `over`, for slots that rest */
    weft_condition changed; /* the three before may have */
    struct run_slot **slots;
    weft_task **tasks;
    unsigned count;
    uint32_t alive; /* atomic: slots that have not ended */
};

/* Starts the first slot; the others follow. -1, having complained. */
int run_slots_begin(struct run_slots *slots);
/* How many slots there are. */
unsigned run_slots_most(const struct run_slots *slots);
/* Lets one more job run at once (or one fewer) from now on; those that run are left alone. How many now. Any task but a slot's. */
unsigned run_slots_change(struct run_slots *slots, int by);
/* Stops the job that began last, to be tried again later, unless it is the only one. */
void run_slots_evict(struct run_slots *slots);
/* Adds what runs and what it waits for. */
void run_slots_why(struct run_slots *slots, struct text *out);
/* Sends a signal to all jobs that run, with their process groups. */
void run_slots_signal(struct run_slots *slots, int signal);
/* Whether, after the end, arguments are left that no job was made of. */
bool run_slots_left(struct run_slots *slots);
/* Waits for all and frees what they had. */
void run_slots_end(struct run_slots *slots);

#endif
