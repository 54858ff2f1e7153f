/* SPDX-License-Identifier: MIT */
/* The coroutines of a process, seen from outside; see outside.c. */
#ifndef WEFTI_OUTSIDE_H
#define WEFTI_OUTSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wait/wait.h"

enum { WEFTI_OUTSIDE_NAME = 256, WEFTI_OUTSIDE_THINGS = 32, WEFTI_OUTSIDE_PLACE = 128 };

enum wefti_outside_state {
    WEFTI_OUTSIDE_NEW,   /* it has not had its first turn */
    WEFTI_OUTSIDE_READY, /* it can go on when its turn comes */
    WEFTI_OUTSIDE_RUNS,  /* it is its thread's present flow */
    WEFTI_OUTSIDE_WAITS
};

/* What was seen of one coroutine. */
struct wefti_outside {
    char name[WEFTI_OUTSIDE_NAME];
    uint64_t ident;
    int thread;
    enum wefti_outside_state state;
    /* While it waits: */
    weft_time since;                                /* by the machine's clock */
    weft_time deadline;                             /* likewise; WEFT_FOREVER: none, or that cannot be told */
    size_t count;                                   /* of the things that it waits for; more than fit are left out */
    struct wefti_item things[WEFTI_OUTSIDE_THINGS]; /* kind, and descriptor and events or word; none of their pointers is of use here */
    char call[WEFTI_OUTSIDE_PLACE];                 /* the public function that it waits in, or empty */
    char place[WEFTI_OUTSIDE_PLACE]; /* from where that was called: a file's name and an offset in it, as addr2line takes it; or empty */
};

/*
 * Calls the function with what is seen of each coroutine of that process, oldest first. 0; -1 with ESRCH (no such process, or it does not
 * use this library), EPROTO (it uses another build of it), EACCES or EPERM (its memory is not this process's to read), ENOMEM, ECHILD (the
 * function has returned false), EAGAIN: they came and went so fast that not all were seen.
 */
int wefti_outside_each(pid_t pid, bool (*visit)(const struct wefti_outside *seen, void *data), void *data);

/* Whether the process uses this very library. */
bool wefti_outside_is(pid_t pid);

#endif
