/* SPDX-License-Identifier: MIT */
/*
 * The change from one stack to another, by processor (arch/): void *wefti_switch(void **from, void *to, void *message).
 *
 * Writes the stack pointer to *from, with what a called function has to keep below it, goes on where `to` was written, and gives `message`
 * there: as what this returns, or to the entry of a stack that has not run yet (wefti_frame_make). Whoever switches back to *from gives
 * what this returns here. By a function that calls others.
 *
 * void wefti_jump(void *to, void *message): the same for one to whom nobody comes back.
 */
#ifndef WEFTI_CHANGE_H
#define WEFTI_CHANGE_H

#include "frame.h"
#include "switch.h"

#endif
