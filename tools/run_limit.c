/* SPDX-License-Identifier: MIT */
/* See run_limit.h. */
#include "run_limit.h"

#include <stdlib.h>
#include <string.h>

bool run_limit_is_set(const struct run_limit *limit)
{
    return limit->seconds > 0 || limit->share > 0;
}

double run_limit_now(struct run_limit *limit)
{
    if (limit->share <= 0)
        return limit->seconds;
    double now = 0;
    weft_with (&limit->lock)
        now = limit->share * limit->median;
    return now;
}

static int compare_times(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(const double *times, size_t count)
{
    double sorted[RUN_LIMIT_LAST];
    memcpy(sorted, times, count * sizeof *times);
    qsort(sorted, count, sizeof *sorted, compare_times);
    return sorted[(count - 1) / 2];
}

bool run_limit_learn(struct run_limit *limit, double seconds)
{
    if (limit->share <= 0)
        return false;
    bool changed = false;
    weft_with (&limit->lock) {
        limit->times[limit->count++ % RUN_LIMIT_LAST] = seconds;
        double median = median_of(limit->times, limit->count < RUN_LIMIT_LAST ? limit->count : RUN_LIMIT_LAST);
        changed = median < limit->median || limit->median <= 0;
        limit->median = median > 0 ? median : 1e-3;
    }
    return changed;
}
