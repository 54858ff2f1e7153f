/* SPDX-License-Identifier: MIT */
/*
 * A command's handle, and what the files of this floor share.
 */
#ifndef WEFTI_COMMAND_H
#define WEFTI_COMMAND_H

#include <weft/command.h>

#include "command/launch.h"
#include "command/tree.h"

struct wefti_job;

enum wefti_command_state {
    WEFTI_RUNNING = 0,
    WEFTI_COLLECTING = 1, /* somebody is taking the status */
    WEFTI_ENDED = 2       /* `status` stands */
};

/* What has been read of a stream: bytes that are longer than what is in them yet. */
struct wefti_capture {
    weft_value bytes; /* none before the first read */
    char *data;       /* of the bytes */
    size_t used, room;
};

/*
 * Any number of tasks may wait for a command, signal and stop it at once. Its streams, and communicate, are one task's at a time.
 *
 * state leaves WEFTI_RUNNING by compare-and-swap: who moves it takes the status from the kernel (it can be had once), writes `status`,
 * stores WEFTI_ENDED with release and wakes. Who reads WEFTI_ENDED with acquire sees `status`.
 */
struct weft_command {
    uint32_t state;
    pid_t pid;
    int end;        /* a pidfd: readable when it has ended; of its stopper where it has one. Open until the handle is freed */
    int streams[3]; /* this process's ends; -1: none */
    unsigned piped; /* bit i: stream i was made a pipe */
    weft_time started;
    struct weft_command_status status;
    struct wefti_job *job;   /* with a stopper */
    struct wefti_slot *slot; /* when the guardian knows it */
    int stop_signal;
    weft_time stop_grace;
    bool own_group;
    uint32_t stopping;      /* 1 while a task stops the command from here; guards the two below */
    weft_time asked;        /* not 0: it got the stop signal, and has until then */
    struct wefti_tree tree; /* what belongs to it, once somebody has begun to stop it */
    size_t capture_limit;
    size_t fed; /* how much of its input communicate has written */
    struct wefti_capture captures[2];
    struct weft_command *next; /* among those freed while running */
};

struct rusage;

/* Writes what the kernel counted. */
void wefti_status_usage(struct weft_command_status *status, const struct rusage *usage);
/* Takes the status if the command has ended. True when it has, whoever took it. Keeps errno. */
bool wefti_command_collect(struct weft_command *command);
/* Waits for the end, and nothing else. 0, or -1 as weft_command_wait. */
int wefti_command_join(struct weft_command *command, weft_time deadline);
/* Frees what is left of a command that has ended. */
void wefti_command_destroy(struct weft_command *command);
/* Keeps a command that still runs until it has ended. */
void wefti_command_abandon(struct weft_command *command);
/* Destroys those of the abandoned that have ended. Keeps errno. */
void wefti_command_sweep(void);
/* Frees what was read, and closes the streams. */
void wefti_command_hush(struct weft_command *command);

#endif
