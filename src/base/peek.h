/* SPDX-License-Identifier: MIT */
/*
 * Memory that may not be there: another process's, or this one's where somebody else may free it meanwhile. What is read may be torn or
 * stale, and nothing that stands in it is to be believed.
 */
#ifndef WEFTI_PEEK_H
#define WEFTI_PEEK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Copies from that process; false with errno: not all of it could be read (EFAULT), or not by this process (EPERM, ESRCH, ENOSYS). */
bool wefti_peek(pid_t pid, const void *address, void *to, size_t size);
/* Copies a string, cut to fit, empty when it cannot be read; false then. */
bool wefti_peek_string(pid_t pid, const char *address, char *to, size_t size);

#endif
