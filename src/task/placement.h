/* SPDX-License-Identifier: MIT */
/* Where and how eagerly a task's thread runs: the set of processors and the niceness that its options ask for. */
#ifndef WEFTI_PLACEMENT_H
#define WEFTI_PLACEMENT_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

struct wefti_placement {
    cpu_set_t *set; /* NULL: wherever the starter may run; the placement's own */
    size_t size;    /* of it, in octets */
    int nice;       /* added to the starter's */
};

/* Of options: false with EINVAL (`cpus` is no list, `nice` is out of range) or ENOMEM. */
bool wefti_placement_make(struct wefti_placement *placement, const char *cpus, int nice);
void wefti_placement_clear(struct wefti_placement *placement);
/* The calling thread's niceness. */
int wefti_placement_niceness(void);
/* Whether it asks for anything. */
bool wefti_placement_any(const struct wefti_placement *placement);
/* Places the calling thread: 0, or the kernel's errno number. */
int wefti_placement_take(const struct wefti_placement *placement);

/*
 * Cuts a copy of the name to what the kernel keeps of one: 15 octets and a zero, and no character of UTF-8 in halves.
 */
void wefti_placement_name(const char *name, char cut[16]);

#endif
