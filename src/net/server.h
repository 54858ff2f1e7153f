/* SPDX-License-Identifier: MIT */
/* A server, between its files: server.c accepts and gives each connection a task, server_process.c has processes do the work. */
#ifndef WEFTI_SERVER_H
#define WEFTI_SERVER_H

#include <sys/types.h>

#include <weft/serve.h>
#include <weft/lock.h>

#include "net/io.h"

struct weft_server;

/* One that is being served; its task's, and the list's. */
struct wefti_served {
    struct wefti_served *next, *previous; /* under the server's lock */
    struct weft_server *server;
    weft_task *task;
    int descriptor;  /* -1: it has gone to a process, or this is a worker */
    unsigned number; /* of a worker */
};

/* What worker processes and those who keep them have in common, in the arena. */
struct wefti_workers {
    uint32_t stopping; /* 1: no more connections; a word that is waited for */
    uint32_t busy[];   /* of each: 1 while it serves one. Its own; cleared by its keeper when it has ended */
};

struct weft_server {
    struct weft_serve_options options;
    int listener;
    weft_time idle;
    pid_t maker;
    struct wefti_path path; /* of a local socket */
    uint32_t stopping;      /* 1: no more connections; a word that is waited for */
    uint32_t running;       /* places that are taken; waited for. Who makes it 0 touches the server no more */
    uint32_t accepting;     /* tasks that may still accept; waited for */
    uint32_t ended;         /* grows with each connection that has ended; waited for */
    uint32_t connections;   /* in the list; written under the lock */
    void (*serve)(struct wefti_served *served);
    weft_lock lock; /* of the list */
    struct wefti_served *first;
    struct wefti_workers *common; /* of worker processes */
    unsigned acceptors_count;
    weft_task *acceptors[];
};

/* What a connection's task calls where a process serves it, and what a worker's keeper does. Both come back when that has ended. */
void wefti_serve_by_process(struct wefti_served *served);
void wefti_keep_worker(struct wefti_served *served);

/* Calls a handler with the limits of the options. */
void wefti_handler_call(weft_handler *handler, int descriptor, weft_value argument, weft_time idle, double time_limit);

/* Waits for a connection; `stopping` ends that, with ESHUTDOWN. -1 with the errors of weft_accept. */
int wefti_server_accept(int listener, const uint32_t *stopping);

#endif
