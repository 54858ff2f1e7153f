/* SPDX-License-Identifier: MIT */
/* See run_bar.h. No terminal mode is changed, so there is none to put back. */
#include "run_bar.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_NARROWEST = 10, BAR_COLUMNS = 80 };
static const double bar_redraw = 0.1, bar_relate = 2; /* seconds between pictures, and between lines */

void run_bar_begin(struct run_bar *bar, enum run_bar_style style, uint64_t total, uint64_t before)
{
    *bar = (struct run_bar){
        .wanted = true, .style = style, .terminal = isatty(STDERR_FILENO), .total = total, .before = before, .started = weft_clock()};
    bar->next = bar->terminal ? 0 : weft_in(bar_relate);
}

static void add_time(struct text *out, double seconds)
{
    uint64_t whole = (uint64_t)(seconds + 0.5);
    if (whole >= 3600)
        text_format(out, "%" PRIu64 ":%02u:%02u", whole / 3600, (unsigned)(whole / 60 % 60), (unsigned)(whole % 60));
    else
        text_format(out, "%u:%02u", (unsigned)(whole / 60), (unsigned)(whole % 60));
}

/* Without a total there is nothing to be left. */
static void add_progress(const struct run_bar *bar, uint64_t done, uint64_t failed, double seconds, struct text *out)
{
    double rate = seconds > 0 ? (double)(done - bar->before) / seconds : 0;
    text_format(out, "%" PRIu64 " running  %" PRIu64 " done  %.*f/s  ", bar->running, done, rate < 10 ? 1 : 0, rate);
    add_time(out, seconds);
    text_format(out, "  %" PRIu64 " failed", failed);
}

static void add_figures(const struct run_bar *bar, uint64_t done, uint64_t failed, double seconds, struct text *out)
{
    if (bar->style == RUN_BAR_PROGRESS) {
        add_progress(bar, done, failed, seconds, out);
        return;
    }
    if (bar->style == RUN_BAR_ETA)
        text_format(out, "%" PRIu64 " running  ", bar->running);
    uint64_t here = done - bar->before;
    double rate = seconds > 0 ? (double)here / seconds : 0;
    unsigned percent = bar->total ? (unsigned)(done * 100 / bar->total) : 100;
    text_format(out, "%" PRIu64 "/%" PRIu64 " %3u%%  %.*f/s  ", done, bar->total, percent, rate < 10 ? 1 : 0, rate);
    if (done >= bar->total)
        add_time(out, seconds);
    else if (here > 0)
        add_time(out, (double)(bar->total - done) / rate);
    else
        text_add_string(out, "-:--");
    text_format(out, " %s  %" PRIu64 " failed", done >= bar->total ? "in all" : "left", failed);
}

void run_bar_text(const struct run_bar *bar, uint64_t done, uint64_t failed, double seconds, size_t width, struct text *out)
{
    struct text figures = {0};
    add_figures(bar, done, failed, seconds, &figures);
    size_t room = width > figures.length + 3 ? width - figures.length - 3 : 0;
    if (room >= BAR_NARROWEST && bar->style != RUN_BAR_PROGRESS && bar->style != RUN_BAR_ETA) {
        size_t filled = bar->total ? (size_t)((double)done / (double)bar->total * (double)room) : room;
        text_add_char(out, '[');
        for (size_t i = 0; i < room; i++)
            text_add_char(out, i < filled ? '#' : '.');
        text_add_string(out, "] ");
    }
    text_add_span(out, text_span(&figures));
    if (width && out->length > width)
        out->at[out->length = width] = '\0';
    text_free(&figures);
}

static void bar_write(const struct text *line)
{
    ssize_t written = write(STDERR_FILENO, line->at, line->length);
    (void)written; /* a bar that cannot be seen is no failure */
}

static size_t terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : BAR_COLUMNS;
}

void run_bar_draw(struct run_bar *bar, uint64_t done, uint64_t failed, bool last)
{
    weft_time now = weft_clock();
    if (!bar->wanted || (now < bar->next && !last) || (!bar->terminal && !last && done == bar->shown))
        return;
    struct text line = {0};
    text_add_string(&line, bar->terminal ? "\r" : "weft run: ");
    double seconds = (double)(now - bar->started) / 1e9;
    struct text picture = {0};
    run_bar_text(bar, done, failed, seconds, bar->terminal ? terminal_columns() - 1 : 0, &picture);
    text_add_span(&line, text_span(&picture));
    text_add_string(&line, bar->terminal ? "\033[K" : "\n");
    if (bar->terminal && last)
        text_add_string(&line, "\n");
    bar_write(&line);
    text_free(&picture);
    text_free(&line);
    bar->drawn = bar->terminal && !last;
    bar->shown = done;
    bar->next = weft_in(bar->terminal ? bar_redraw : bar_relate);
}

void run_bar_clear(struct run_bar *bar)
{
    if (!bar->drawn)
        return;
    struct text line = {0};
    text_add_string(&line, "\r\033[K");
    bar_write(&line);
    text_free(&line);
    bar->drawn = false;
    bar->next = 0;
}
