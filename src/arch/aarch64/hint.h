/* SPDX-License-Identifier: MIT */
/* Hints to the processor. */
#ifndef WEFTI_HINT_H
#define WEFTI_HINT_H

/* Says that this is a loop that looks at memory until somebody else changes it. */
static inline void wefti_pause(void)
{
    __asm__ volatile("isb" ::: "memory"); /* yield does nothing on most cores; isb waits about as long as x86 pauses */
}

/* Asks for the line of memory, to write to it. */
static inline void wefti_fetch_to_write(const void *at)
{
    __builtin_prefetch(at, 1);
}

#endif
