/* SPDX-License-Identifier: MIT */
/*
 * Keys that are heeded while jobs run. The terminal gives each key at once and does not show it, as long as this process is in its
 * foreground; Ctrl-C and Ctrl-Z work as ever. Its modes are put back at the end, while this process is paused, and, by a small process that
 * waits for nothing else, when this one dies in whatever way.
 */
#ifndef WEFT_TOOLS_RUN_KEYS_H
#define WEFT_TOOLS_RUN_KEYS_H

#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

struct run_keys {
    int terminal; /* -1: no keys */
    bool taken;   /* its modes are changed */
    struct termios before;
    pid_t warden; /* who puts the modes back if this process dies */
    int lifeline; /* the warden reads its other end */
};

/* Begins, where there is a terminal. Before any other task exists. */
void run_keys_begin(struct run_keys *keys);
/* Takes the terminal, if it is in the foreground and not taken. */
void run_keys_take(struct run_keys *keys);
/* Gives it back as it was. */
void run_keys_give_back(struct run_keys *keys);
/* A key that was pressed; 0: none now. */
char run_keys_read(struct run_keys *keys);
void run_keys_end(struct run_keys *keys);

#endif
