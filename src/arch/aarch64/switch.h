/* SPDX-License-Identifier: MIT */
/* The switch from one stack to another: switch.S. */
#ifndef WEFTI_ARCH_SWITCH_H
#define WEFTI_ARCH_SWITCH_H

void *wefti_switch(void **from, void *to, void *message);

/* The same by one who does not come back. */
static inline __attribute__((noreturn)) void wefti_jump(void *to, void *message)
{
    void *nowhere;
    wefti_switch(&nowhere, to, message);
    __builtin_unreachable();
}

#endif
