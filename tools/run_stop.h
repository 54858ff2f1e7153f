/* SPDX-License-Identifier: MIT */
/*
 * How far `weft run` is from its end, and why. The state only moves on: going, draining (no more jobs start; those that run are waited
 * for), aborting (those that run are stopped too). Each of the two steps makes an event descriptor readable, once and for good, so that
 * whoever waits for descriptors sees it.
 */
#ifndef WEFT_TOOLS_RUN_STOP_H
#define WEFT_TOOLS_RUN_STOP_H

#include <stdbool.h>
#include <stdint.h>

#include <weft.h>

enum run_state { RUN_GOING = 0, RUN_DRAINING = 1, RUN_ABORTING = 2 };

struct run_stop {
    uint32_t state;         /* enum run_state; atomic, never less than before */
    uint32_t broken;        /* atomic: something failed that keeps the whole from succeeding; a line was said of it */
    uint32_t closed;        /* atomic: stdout was closed by who reads it */
    uint32_t cut;           /* atomic: a job was stopped or not tried again on the way to the end */
    int draining, aborting; /* event descriptors */
    weft_rwlock starts;     /* read by who starts a job, until that is among those which a pause reaches */
};

int run_stop_begin(struct run_stop *stop);
void run_stop_end(struct run_stop *stop);
/* Moves on to `state`; nothing when it is there already. Any task. */
void run_stop_move(struct run_stop *stop, enum run_state state);
enum run_state run_stop_state(const struct run_stop *stop);
/* Something failed and a line was said: aborts. */
void run_stop_break(struct run_stop *stop);

#endif
