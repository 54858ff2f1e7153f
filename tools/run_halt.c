/* SPDX-License-Identifier: MIT */
/* See run_halt.h. */
#include "run_halt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FAILED = 101 }; /* the exit status that says "more than a hundred" */

static const struct {
    const char *old, *meaning;
} halt_shorthands[] = {{"0", "never"}, {"1", "soon,fail=1"}, {"2", "now,fail=1"}, {"-1", "soon,success=1"}, {"-2", "now,success=1"}};

/* The index of the word among three at the beginning of *text, which is moved past it; -1 when none is there. */
static int halt_word(const char **text, const char *const words[3])
{
    for (int i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if (strncmp(*text, words[i], length) == 0) {
            *text += length;
            return i;
        }
    }
    return -1;
}

static bool halt_read_limit(struct run_halt *halt, const char *text)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    unsigned long limit = strtoul(text, &end, 10);
    halt->percent = *end == '%';
    halt->limit = limit > UINT32_MAX ? UINT32_MAX : (unsigned)limit;
    return end[halt->percent] == '\0';
}

bool run_halt_read(struct run_halt *halt, const char *text)
{
    static const char *const whens[3] = {"never", "soon,", "now,"};
    static const char *const whats[3] = {"fail=", "success=", "done="};
    for (size_t i = 0; i < sizeof halt_shorthands / sizeof *halt_shorthands; i++)
        if (strcmp(text, halt_shorthands[i].old) == 0)
            text = halt_shorthands[i].meaning;
    struct run_halt read = {.when = RUN_HALT_SOON, .what = RUN_HALT_FAIL};
    if (halt_read_limit(&read, text) && read.percent) {
        *halt = read;
        return true;
    }
    int when = halt_word(&text, whens);
    if (when < 0)
        return false;
    read = (struct run_halt){.when = (enum run_halt_when)when};
    if (when != RUN_HALT_NEVER) {
        int what = halt_word(&text, whats);
        if (what < 0 || !halt_read_limit(&read, text))
            return false;
        read.what = (enum run_halt_what)what;
    }
    *halt = read;
    return when != RUN_HALT_NEVER || *text == '\0';
}

static int percent_of(uint64_t part, uint64_t whole)
{
    return whole ? (int)((part * 100 + whole - 1) / whole) : 0;
}

static int failed_status(uint64_t failed)
{
    return failed > MOST_FAILED ? MOST_FAILED : (int)failed;
}

static void halt_now(const struct run_halt *halt, struct run_tally *tally, int status)
{
    tally->halted = true;
    if (halt->what == RUN_HALT_SUCCESS)
        tally->halt_status = 0;
    else if (halt->percent ? (uint64_t)halt->limit * tally->total == 100 : halt->limit == 1)
        tally->halt_status = status;
    else if (halt->percent)
        tally->halt_status = percent_of(tally->failed, tally->total);
    else
        tally->halt_status = failed_status(tally->failed);
}

enum run_halt_when run_halt_count(const struct run_halt *halt, struct run_tally *tally, int status)
{
    tally->completed++;
    tally->failed += status != 0;
    if (halt->when == RUN_HALT_NEVER || tally->halted)
        return tally->halted ? halt->when : RUN_HALT_NEVER;
    bool concerned = halt->what == RUN_HALT_DONE || (halt->what == RUN_HALT_FAIL) == (status != 0);
    if (!concerned)
        return RUN_HALT_NEVER;
    uint64_t so_far = halt->what == RUN_HALT_DONE   ? tally->completed
                      : halt->what == RUN_HALT_FAIL ? tally->failed
                                                    : tally->completed - tally->failed;
    bool reached = halt->percent ? so_far * 100 >= (uint64_t)halt->limit * tally->total : so_far >= halt->limit;
    if (!reached)
        return RUN_HALT_NEVER;
    halt_now(halt, tally, status);
    return halt->when;
}

int run_halt_status(const struct run_halt *halt, const struct run_tally *tally)
{
    if (tally->halted)
        return tally->halt_status;
    if (halt->when != RUN_HALT_NEVER && halt->percent)
        return percent_of(tally->failed, tally->started);
    return failed_status(tally->failed);
}
