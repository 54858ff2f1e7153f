/* SPDX-License-Identifier: MIT */
/* The switch from one stack to another: switch.S. */
#ifndef WEFTI_ARCH_SWITCH_H
#define WEFTI_ARCH_SWITCH_H

void *wefti_switch(void **from, void *to, void *message);

#endif
