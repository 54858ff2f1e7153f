/* SPDX-License-Identifier: MIT */
/* The core file that a dead worker of a pool of processes has left: where it is, and the stack in it. Nothing here writes to one. */
#ifndef WEFTI_POOL_CORE_H
#define WEFTI_POOL_CORE_H

#include <stdint.h>
#include <sys/types.h>

/* Whose it is. */
struct wefti_core_dead {
    pid_t pid;
    int signal;          /* that killed it */
    pid_t neighbour;     /* a process that is where it was: a core with no folder in its name lies there */
    int64_t since, died; /* when it began and was dead, at the latest: seconds of CLOCK_REALTIME */
};

/*
 * Opens it: a descriptor; *path is yours (wefti_release), *thread the number of the thread that died of the signal. -1 with ENOENT (the
 * kernel hands cores to a program, or what lies there is not this process's), ENOMEM, EMFILE. It reads files: not for a hub's thread.
 */
int wefti_core_open(const struct wefti_core_dead *dead, char **path, pid_t *thread);

/*
 * The stack of that thread, a line each frame, the innermost first: yours (wefti_release). NULL with EBADMSG (the core is cut short, or
 * none that can be read), ENOTSUP (there is no libdw), ENOMEM. It takes its time. core_libdw.c, or core_none.c in builds without.
 */
char *wefti_core_backtrace(int core, pid_t thread);

#endif
