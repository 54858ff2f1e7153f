/* SPDX-License-Identifier: MIT */
/* The switch between stacks (arch/, switch.S). */
#ifndef WEFTI_SWITCH_H
#define WEFTI_SWITCH_H

#include "frame.h"

/*
 * Writes the stack pointer to *from, with what a called function has to keep below it, goes on where `to` was written, and gives `message` there: as what this
 * returns, or to the entry of a stack that has not run yet. Whoever switches back to *from gives what this returns here.
 */
void *wefti_switch(void **from, void *to, void *message);

#endif
