/* SPDX-License-Identifier: MIT */
/* The clock that deadlines are told by: CLOCK_MONOTONIC, in nanoseconds; in a thread whose hub has a seed, one that hub moves (clock.h). */

#include "base/clock.h"

#include <time.h>

enum { SECOND = 1000000000, LOOK = 1000 };

__thread weft_time wefti_clock_own;

weft_time wefti_clock_real(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (weft_time)now.tv_sec * SECOND + now.tv_nsec;
}

weft_time wefti_clock_coarse(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* cannot fail for this clock */
    return (weft_time)now.tv_sec * SECOND + now.tv_nsec;
}

weft_time weft_clock(void)
{
    return __builtin_expect(wefti_clock_own != 0, 0) ? wefti_clock_own += LOOK : wefti_clock_real();
}

weft_time weft_in(double seconds)
{
    if (!(seconds > 0)) /* NaN too */
        return weft_clock();
    weft_time now = weft_clock();
    double nanoseconds = seconds * SECOND;
    if (nanoseconds >= (double)(WEFT_FOREVER - now))
        return WEFT_FOREVER;
    return now + (weft_time)nanoseconds;
}
