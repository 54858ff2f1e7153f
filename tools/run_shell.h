/* SPDX-License-Identifier: MIT */
/*
 * Which command lines need no shell. A line that is nothing but words, quoted or plain, whose first is no builtin, keyword or function of
 * the shell, means the same to every Bourne shell as executing it does, and is executed directly: a process less per job.
 */
#ifndef WEFT_TOOLS_RUN_SHELL_H
#define WEFT_TOOLS_RUN_SHELL_H

#include "text.h"

struct run_shell {
    const char *path;   /* $SHELL, else /bin/sh */
    bool may_go_direct; /* false where the shell reads a file of its own first, has functions from the environment, or is no Bourne shell */
};

/* A line taken apart: `count` words, each ended by a zero, one after the other in `text`; argv points to them and ends with NULL. */
struct run_words {
    struct text text;
    const char **argv;
    size_t count, room;
};

/*
 * What is known of the last program that was looked at: whether its file says itself how it is executed (a binary, or a script with #!). A
 * shell reads any other executable file as a script of its own, so that is left to it, as are programs that cannot be found.
 */
struct run_program {
    struct text name;
    bool plain;
};

/* Looks at the environment. */
void run_shell_find(struct run_shell *shell);
/* Whether `line` can be executed without `shell`; then its words are in `words`, whose memory is used again and again. */
bool run_shell_split(const struct run_shell *shell, const char *line, struct run_words *words);
/* The words of executing `line` by `shell`. */
void run_shell_wrap(const struct run_shell *shell, const char *line, struct run_words *words);
/* Whether the program that a shell would find under this name is plain. Remembers the last one. */
bool run_program_is_plain(struct run_program *program, const char *name);
void run_words_free(struct run_words *words);

#endif
