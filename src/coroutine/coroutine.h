/* SPDX-License-Identifier: MIT */
/* Coroutines, for the floors above: what runs in one is a function; waiting, cancellation and the like are its context's, as everywhere. */
#ifndef WEFTI_COROUTINE_H
#define WEFTI_COROUTINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "wait/context.h"

/*
 * Makes a coroutine of the calling thread, which calls function(data) when its turn comes; it ends when that returns. `stack_size` as
 * weft_spawn has it. From any task. Gives the kernel's number of the thread; -1 with EINVAL (no stack is that large), ENOMEM.
 */
int wefti_coroutine_start(size_t stack_size, void (*function)(void *data), void *data);

/* Whether the context is a coroutine's, and not a thread's own. */
bool wefti_context_is_coroutine(const struct wefti_context *context);

/* How many coroutines the calling thread has that have not ended. */
size_t wefti_coroutines_alive(void);

/* The kernel's number of the calling thread; 0: it has had no coroutines. */
int wefti_hub_thread(void);

/*
 * What the thread does before it ends: runs its coroutines to their end. Cancellation does not end it. By the thread's own flow of control.
 */
void wefti_hub_finish(void);

/* Names the coroutine of a context, for the report of an overflow; in a signal handler. Set by a floor above when the library is loaded. */
extern const char *(*wefti_coroutine_name)(const struct wefti_context *context) __attribute__((visibility("hidden")));
/* Writes the name of the task of a context, both of which may be gone: by reads that may fail (base/peek.h), then empty. Set likewise. */
extern void (*wefti_coroutine_name_at)(pid_t pid, const void *task, char *name, size_t size) __attribute__((visibility("hidden")));

#endif
