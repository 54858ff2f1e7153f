/* SPDX-License-Identifier: MIT */
#ifndef WEFTI_HUGE_PAGES_H
#define WEFTI_HUGE_PAGES_H

/* Puts two more megabytes of the calling process's own memory into one huge page, if there are any that it pays for. Of the supervisor. */
void wefti_huge_pages_more(void);

#endif
