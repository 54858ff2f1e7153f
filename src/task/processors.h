/* SPDX-License-Identifier: MIT */
/* Behind weft_cpu_count. */
#ifndef WEFTI_PROCESSORS_H
#define WEFTI_PROCESSORS_H

/*
 * The fewest of `processors` and of what the limits of this process's cgroups come to, at least 1. `root` stands before the path of every
 * file that is read: "" but in tests.
 */
unsigned wefti_processors_limited(const char *root, unsigned processors);

#endif
