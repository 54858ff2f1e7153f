/* SPDX-License-Identifier: MIT */
#ifndef WEFTI_HUGE_PAGES_H
#define WEFTI_HUGE_PAGES_H

/* By the supervisor, after each fork: now and then puts two more megabytes of its own memory into one huge page, if it pays for any. */
void wefti_huge_pages_forked(void);

#endif
