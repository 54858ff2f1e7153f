/* SPDX-License-Identifier: MIT */
/* For commands that have many connections at once. */
#ifndef WEFT_TOOLS_DESCRIPTORS_H
#define WEFT_TOOLS_DESCRIPTORS_H

/* Lets this process have as many descriptors as it may: what it starts with is often 1024. */
void descriptors_allow(void);

#endif
