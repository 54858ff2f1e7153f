/* SPDX-License-Identifier: MIT */
/* The clock that deadlines are told by: CLOCK_MONOTONIC, in nanoseconds. */

#include <time.h>

#include <weft/base.h>

enum { SECOND = 1000000000 };

weft_time weft_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (weft_time)now.tv_sec * SECOND + now.tv_nsec;
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
