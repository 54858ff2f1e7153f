/* SPDX-License-Identifier: MIT */
/* How long a job may run (--timeout): so many seconds, or a share of the median run time of the jobs that succeeded. */
#ifndef WEFT_TOOLS_RUN_LIMIT_H
#define WEFT_TOOLS_RUN_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <weft.h>

enum { RUN_LIMIT_LAST = 999 }; /* how many run times the median is of: the last ones */

struct run_limit {
    double seconds; /* fixed; 0: none */
    double share;   /* of the median; 0: none */
    weft_lock lock; /* over the rest */
    double times[RUN_LIMIT_LAST];
    size_t count;  /* run times that came so far */
    double median; /* 0 while there is none */
};

/* Whether jobs are limited at all. */
bool run_limit_is_set(const struct run_limit *limit);
/* The limit as it stands, in seconds; 0: none (yet). */
double run_limit_now(struct run_limit *limit);
/* A job succeeded after `seconds`. True: the limit is another now. */
bool run_limit_learn(struct run_limit *limit, double seconds);

#endif
