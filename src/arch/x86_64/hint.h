/* SPDX-License-Identifier: MIT */
/* Hints to the processor. */
#ifndef WEFTI_HINT_H
#define WEFTI_HINT_H

/* Says that this is a loop that looks at memory until somebody else changes it. */
static inline void wefti_pause(void)
{
    __builtin_ia32_pause();
}

#endif
