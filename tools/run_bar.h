/* SPDX-License-Identifier: MIT */
/*
 * How far it is, on stderr: a bar that is drawn over itself on a terminal, a line now and then elsewhere. The caller sees to it that nobody
 * else draws or prints meanwhile.
 */
#ifndef WEFT_TOOLS_RUN_BAR_H
#define WEFT_TOOLS_RUN_BAR_H

#include <stdint.h>
#include <weft.h>

#include "text.h"

/* What is shown. */
enum run_bar_style {
    RUN_BAR_PROGRESS = 1, /* --progress: how many run and are done */
    RUN_BAR_ETA = 2,      /* --eta: the same, of how many, and how long the rest takes */
    RUN_BAR_BAR = 3       /* --bar: the same as a bar, without those that run */
};

struct run_bar {
    bool wanted;
    enum run_bar_style style;
    bool terminal;
    bool drawn; /* it stands in the terminal's last line */
    uint64_t total;
    uint64_t before; /* done in an earlier run */
    uint64_t shown;  /* what the last line said was done */
    uint64_t running;
    weft_time started;
    weft_time next; /* when it is time to draw again */
};

void run_bar_begin(struct run_bar *bar, enum run_bar_style style, uint64_t total, uint64_t before);
/* The text for so many jobs done and failed after so many seconds, `width` columns wide with a bar in it; 0: no bar. */
void run_bar_text(const struct run_bar *bar, uint64_t done, uint64_t failed, double seconds, size_t width, struct text *out);
/* Draws it when it is time to, or `last`ly. */
void run_bar_draw(struct run_bar *bar, uint64_t done, uint64_t failed, bool last);
/* Takes it off the terminal, for something else to be printed. */
void run_bar_clear(struct run_bar *bar);

#endif
