/* SPDX-License-Identifier: MIT */
/*
 * GNU make's jobserver: a pipe of tokens, one for each job that may run besides the first, shared by all who know of it.
 *
 * As a client (MAKEFLAGS names a jobserver: this runs in a rule of `make -j`) one job at a time needs no token, which is make's gift to
 * this process, and each other one takes a token and gives the same octet back. As a server (--jobserver) the pipe is ours and holds a
 * token for each job that may run; each of our jobs takes one, and a make among them, which finds the pipe in its MAKEFLAGS, takes what we
 * do not use.
 *
 * Tokens are given back when a job's process has ended, before its output is printed, and whatever ends us, short of kill -9.
 */
#ifndef WEFT_TOOLS_RUN_TOKENS_H
#define WEFT_TOOLS_RUN_TOKENS_H

#include <weft.h>

#include "run_pace.h"
#include "run_wrap.h"
#include "text.h"

enum { RUN_TOKEN_NONE = -1, RUN_TOKEN_GIFT = 256 };

/* How a server's jobs are told: by two descriptors, which every make understands, or by a name, which make does from 4.4 on. */
enum run_tokens_style { RUN_TOKENS_NO_SERVER, RUN_TOKENS_PIPE, RUN_TOKENS_FIFO };

struct run_tokens {
    int in, out;                    /* descriptions of our own, non-blocking; -1: there is no jobserver */
    bool gift;                      /* one job needs no token */
    uint32_t given;                 /* atomic: a job has the gift */
    int returned;                   /* an event descriptor: the gift came back */
    weft_lock lock;                 /* over `held` */
    struct text held;               /* tokens that our jobs have */
    char in_path[40], out_path[40]; /* by which other processes open the pipe */
    struct text flags;              /* for the jobs' environment: MAKEFLAGS=...; empty: theirs is ours */
    enum run_tokens_style style;
};

/*
 * Where `flags` (of MAKEFLAGS) say the jobserver is: the text after the last --jobserver-auth= or --jobserver-fds=, and its length; NULL:
 * nowhere.
 */
const char *run_tokens_find(const char *flags, size_t *length);
/* Adds MAKEFLAGS for jobs: `flags` (may be NULL) without another jobserver and number of jobs, and with this one. */
void run_tokens_flags(const char *flags, unsigned jobs, const char *where, struct text *out);

/* Looks for a jobserver; makes one where there is none and `style` wants it. Before other descriptors are opened. -1, having complained. */
int run_tokens_begin(struct run_tokens *tokens, enum run_tokens_style style, unsigned jobs);
/* What the jobs' shell has to do; the wrap borrows from tokens. */
void run_tokens_wrap(const struct run_tokens *tokens, struct run_wrap *wrap);
/* Waits for a token, or the gift. False: it is time to stop. */
bool run_tokens_take(struct run_tokens *tokens, struct run_pace *pace, int *token);
/* Gives one back; RUN_TOKEN_NONE is nothing. */
void run_tokens_give(struct run_tokens *tokens, int token);
/* One more job may run at once: a server has one more token. */
void run_tokens_add(struct run_tokens *tokens);
void run_tokens_end(struct run_tokens *tokens);

#endif
