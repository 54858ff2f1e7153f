/* SPDX-License-Identifier: MIT */
/* Another family's arena, mapped to be read. */
#ifndef WEFTI_VIEW_H
#define WEFTI_VIEW_H

#include <sys/types.h>

#include "shared/life.h"

struct wefti_view {
    const struct wefti_arena *arena; /* where it lies here */
    size_t size;
    uint64_t base;  /* where it lies there */
    uint64_t inode; /* which memory it is */
};

/*
 * The arena of the family that a process belongs to. 0; -1 with ESRCH (it has none, or there is no such process), EACCES, EPROTO, ENOMEM.
 */
int wefti_view_open(struct wefti_view *view, pid_t pid);
void wefti_view_close(struct wefti_view *view);

/* Where `size` octets that lie at this address there lie here; NULL when that is not inside. */
const void *wefti_view_at(const struct wefti_view *view, const void *address, size_t size);

/* The family, or NULL. */
const struct wefti_family *wefti_view_family(const struct wefti_view *view);

/* Calls the function with the number of each process in /proc, until it gives other than 0: that; or -1 with errno. */
int wefti_processes_each(int (*visit)(pid_t pid, void *data), void *data);

#endif
