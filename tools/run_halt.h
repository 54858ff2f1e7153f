/* SPDX-License-Identifier: MIT */
/* When `weft run` stops early (--halt), and the exit status it ends with: GNU parallel's rules. */
#ifndef WEFT_TOOLS_RUN_HALT_H
#define WEFT_TOOLS_RUN_HALT_H

#include <stdbool.h>
#include <stdint.h>

enum run_halt_when { RUN_HALT_NEVER, RUN_HALT_SOON, RUN_HALT_NOW };
enum run_halt_what { RUN_HALT_FAIL, RUN_HALT_SUCCESS, RUN_HALT_DONE };

struct run_halt {
    enum run_halt_when when;
    enum run_halt_what what;
    bool percent;   /* of all jobs */
    unsigned limit; /* that many, or that many in a hundred */
};

/* What became of the jobs so far. */
struct run_tally {
    uint64_t total; /* jobs there are; needed for a halt by percent */
    uint64_t started, completed, failed;
    bool halted;
    int halt_status; /* once halted */
};

/* Reads "now,fail=1", "soon,success=20%", "never", and the older 0, 1, 2, -1, -2, N%. False when it is none. */
bool run_halt_read(struct run_halt *halt, const char *text);
/* Counts a job that ended (`status`: its exit status, or 128 and its signal; 0 is success) and says what to do now. */
enum run_halt_when run_halt_count(const struct run_halt *halt, struct run_tally *tally, int status);
/* The exit status of the whole. */
int run_halt_status(const struct run_halt *halt, const struct run_tally *tally);

#endif
