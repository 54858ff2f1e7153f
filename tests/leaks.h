/* SPDX-License-Identifier: MIT */
/* What a test may not leave behind: see leaks.c. */
#ifndef LEAKS_H
#define LEAKS_H

/* For how many seconds leaks_after gives what is still ending time to be gone. */
extern double leaks_patience;

/* Notes what this process has now. */
void leaks_before(void);
/* Fails the test, by name of the thing, if the process now has more than that. */
void leaks_after(void);

#endif
