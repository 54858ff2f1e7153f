/* SPDX-License-Identifier: MIT */
/* The frame that wefti_switch finds on a stack that has not run yet. */
#ifndef WEFTI_FRAME_H
#define WEFTI_FRAME_H

#include <stdint.h>
#include <string.h>

void wefti_switch_begin(void);

/* Below `top`, a multiple of 16: the stack pointer for wefti_switch, with which `entry` is called with the message of the first switch. It
 * must not return. */
static inline void *wefti_frame_make(void *top, void (*entry)(void *message))
{
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    void **frame = (void **)top - 22; /* x19 to x30, d8 to d15, FPCR, nothing */
    memset(frame, 0, 22 * sizeof(*frame));
    frame[0] = (void *)(uintptr_t)entry;
    frame[11] = (void *)(uintptr_t)wefti_switch_begin;
    memcpy(&frame[20], &control, sizeof(control));
    return frame;
}

#endif
