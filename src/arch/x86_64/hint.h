/* SPDX-License-Identifier: MIT */
/* Hints to the processor. */
#ifndef WEFTI_HINT_H
#define WEFTI_HINT_H

/* Says that this is a loop that looks at memory until somebody else changes it. */
static inline void wefti_pause(void)
{
    __builtin_ia32_pause();
}

/* Asks for the line of memory, to write to it. */
static inline void wefti_fetch_to_write(const void *at)
{
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)at));
}

#endif
