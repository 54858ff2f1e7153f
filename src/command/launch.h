/* SPDX-License-Identifier: MIT */
/*
 * Starting a program without copying this process's memory.
 */
#ifndef WEFTI_LAUNCH_H
#define WEFTI_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct wefti_guard;

/*
 * Where a job that ends with this process is written down, for the guardian. `state` is moved by compare-and-swap from free to taken by the
 * host, which writes `since` before the child exists and frees the slot when it has reaped it; the child writes `pid`, last, before it
 * executes anything.
 */
struct wefti_slot {
    uint32_t state;            /* 0 free, 1 taken */
    pid_t pid;                 /* 0 until the child has written it */
    int64_t since;             /* CLOCK_BOOTTIME, nanoseconds: not after the child's start */
    int64_t until;             /* by the child: not before its start */
    struct wefti_guard *guard; /* whose table it is in; not changed any more */
    bool own_group;            /* its group and session are its own: whoever is in them belongs to it */
};

/* All that the child needs, made by the parent: the child only makes system calls. */
struct wefti_launch {
    const char *const *paths; /* NULL-ended: tried in turn */
    const char *const *argv;
    const char **script; /* room for argv with one more in front: what /bin/sh is given for a file that is no program */
    const char *const *environment;
    const char *directory; /* NULL: as it is */
    int streams[3];        /* the descriptor that becomes 0, 1, 2; -1: as it is */
    bool merge;            /* 2 becomes what 1 is */
    bool new_session, new_group;
    bool with_parent; /* killed when the thread that launches ends */
    pid_t group;      /* not 0: the group to be in */
    int nice;
    struct wefti_slot *slot; /* or NULL */
    pid_t host;              /* with a slot: the process that must live */
    bool copies;             /* the child gets a copy of memory (Valgrind, qemu): it reports through a pipe */
};

struct wefti_launched {
    pid_t pid;
    int pidfd;
};

/* Starts it. 0 once the program runs, else the error number of what failed; nothing is left behind then. Keeps errno. */
int wefti_launch(const struct wefti_launch *launch, struct wefti_launched *launched);

/* Whether a child that should share memory gets a copy instead: 1, 0; -1 when no child could be made to ask. Costs a process; ask once. */
int wefti_launch_copies(void);

#endif
