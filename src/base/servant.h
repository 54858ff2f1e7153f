/* SPDX-License-Identifier: MIT */
/* Threads that the library has for itself: nobody joins them, and no signal of the program's is handled by one. */
#ifndef WEFTI_SERVANT_H
#define WEFTI_SERVANT_H

/* Starts one. 0, or an errno number. */
int wefti_servant_start(void *(*main)(void *data), void *data);

#endif
