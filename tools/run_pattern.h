/* SPDX-License-Identifier: MIT */
/*
 * Regular expressions as GNU parallel's users write them, which are Perl's, matched by the C library's. What both have is understood, with
 * Perl's names for characters (\t \n \x2c \d \s \w \b ...), (?:...) and a leading (?i); lazy and possessive repetition and looking around
 * are refused. Of several ways to match, the longest is taken, where Perl takes the first.
 */
#ifndef WEFT_TOOLS_RUN_PATTERN_H
#define WEFT_TOOLS_RUN_PATTERN_H

#include <regex.h>

#include "text.h"

enum { RUN_PATTERN_GROUPS = 9 };

struct run_pattern {
    regex_t regex;
    bool ready;
    size_t groups;                         /* how many there are, up to RUN_PATTERN_GROUPS */
    bool captures[RUN_PATTERN_GROUPS + 1]; /* by number: it is no (?:...) */
    const char *literal;                   /* the pattern is no more than this text; NULL: it is more */
};

/* A match: [0] is all of it, the others are its groups; a group that took no part is without an address. */
struct run_match {
    struct span at[RUN_PATTERN_GROUPS + 1];
};

/* 0; -1, having complained of the option that has this text. */
int run_pattern_read(struct run_pattern *pattern, const char *option, const char *text);
/* Looks for the first match from `from` on; ^ matches at the beginning of the text alone. */
bool run_pattern_find(const struct run_pattern *pattern, struct span text, size_t from, struct run_match *match);
void run_pattern_free(struct run_pattern *pattern);

#endif
