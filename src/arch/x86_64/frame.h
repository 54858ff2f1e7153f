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
    void **frame = (void **)top - 8; /* control words, r15, r14, r13, r12, rbx, rbp, where to */
    memset(frame, 0, 8 * sizeof(*frame));
    __asm__ volatile("stmxcsr %0" : "=m"(*(uint32_t *)frame)); /* right where it is to be: it takes long to be there to be read */
    __asm__ volatile("fnstcw %0" : "=m"(((uint16_t *)frame)[2]));
    frame[5] = (void *)(uintptr_t)entry;
    frame[7] = (void *)(uintptr_t)wefti_switch_begin;
    return frame;
}

#endif
