/* SPDX-License-Identifier: MIT */
/*
 * When the next job may start: not before --delay has passed since the last start, while more is to run than --load allows, or while less
 * memory is free than --memfree wants. Load and free memory have no events, so they are looked at a few times a second, and only while a
 * job waits for them.
 */
#ifndef WEFT_TOOLS_RUN_PACE_H
#define WEFT_TOOLS_RUN_PACE_H

#include <stdint.h>
#include <weft.h>

#include "run_stop.h"

/* What the next job waits for. */
enum run_pace_cause { RUN_PACE_NOTHING, RUN_PACE_DELAY, RUN_PACE_LOAD, RUN_PACE_MEMORY, RUN_PACE_TOKEN };

struct run_pace {
    double delay;        /* seconds between starts; 0: none */
    double load;         /* fewer tasks than that must be runnable; 0: any number */
    uint64_t memory;     /* octets that must be free; 0: none */
    const char *loadavg; /* NULL: /proc/loadavg */
    const char *meminfo; /* NULL: /proc/meminfo */
    const struct run_stop *stop;
    weft_time next;   /* when the next may start; who waits holds the slots' lock */
    uint32_t waiting; /* atomic: enum run_pace_cause */
};

/* Waits until a job may start. False: it is time to stop instead. One task at a time. */
bool run_pace_wait(struct run_pace *pace);
/* Waits until enough memory is free. False: it is time to stop. Any task. */
bool run_pace_wait_for_memory(const struct run_pace *pace);
/* Whether less than half of what --memfree wants is free: a job that runs must make room. */
bool run_pace_is_short(const struct run_pace *pace);
/* What is waited for, as a word for a reader; NULL: nothing. */
const char *run_pace_cause_text(const struct run_pace *pace);
/* Says that the next job waits for `cause` now. */
void run_pace_tell(struct run_pace *pace, enum run_pace_cause cause);

#endif
