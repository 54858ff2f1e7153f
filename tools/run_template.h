/* SPDX-License-Identifier: MIT */
/*
 * The command of `weft run` with its replacement strings, and the making of command lines from it.
 *
 *   {}   the argument              {#}  the job's number         {2}, {-1}     one of several arguments, from the front or the end
 *   {.}  without its extension     {%}  the job slot's number    {2.} {-1/} .. the same, changed as {.} {/} {//} {/.} change it
 *   {/}  without its folders       {//} its folder               {/.}          without folders and extension
 *
 * With several arguments, {} and its kin stand for all of them with blanks between, unless the word that they are part of is repeated. What
 * is put in is quoted for a Bourne shell exactly as GNU parallel quotes it, unless it is a part of the command's name ({} x, or no COMMAND
 * at all): then it is for the shell.
 */
#ifndef WEFT_TOOLS_RUN_TEMPLATE_H
#define WEFT_TOOLS_RUN_TEMPLATE_H

#include <stdint.h>

#include "text.h"

enum run_quoting {
    RUN_QUOTE_ARGUMENTS, /* each argument is quoted, the rest of the command is the shell's */
    RUN_QUOTE_WORDS,     /* each word of the command is quoted as a whole, with what was put into it (-q) */
    RUN_QUOTE_NOTHING    /* for tags, and where the arguments are the command */
};

/* A name that stands for an argument by its place (--header). */
struct run_template_name {
    struct span name;
    int position; /* from 1 */
};

struct run_template_options {
    enum run_quoting quoting;
    bool append;         /* where no replacement string stands, " {}" is added */
    bool context;        /* a blank-separated word with {} or its kin in it is repeated for each argument (-X) */
    const char *replace; /* what stands for the arguments instead of {} (-I); NULL: {} */
    const struct run_template_name *names;
    size_t name_count;
};

struct run_template {
    struct run_template_word *words;
    size_t count;
    enum run_quoting quoting;
    bool context;   /* as in the options */
    bool uses_slot; /* {%} occurs: the line depends on more than the arguments */
    bool replaces;  /* a replacement string occurs */
};

/* What one command line is made from; borrowed. */
struct run_template_values {
    const struct span *arguments;
    size_t count;
    uint64_t sequence;
    unsigned slot;
};

/*
 * Reads the words of a command. With RUN_QUOTE_WORDS each stays a word of its own; else they are joined with blanks and replacement strings
 * may stand anywhere.
 */
void run_template_read(struct run_template *out, char *const *words, size_t count, const struct run_template_options *options);
/* Adds the line for these values to `out`. */
void run_template_expand(const struct run_template *template, const struct run_template_values *values, struct text *out);
void run_template_free(struct run_template *template);

/* Adds `argument` to `out`, quoted where a shell would see more in it than letters. */
void run_quote(struct span argument, struct text *out);

#endif
