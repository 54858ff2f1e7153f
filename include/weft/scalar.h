/* SPDX-License-Identifier: MIT */
/*
 * A shared number: eight octets that any number of tasks may change at once, each change being one atomic step. Usable inside a struct of
 * yours, all-zero is 0 and ready; in shared memory (weft_shared_new(weft_scalar)) it is for the tasks of all processes. A process that dies
 * leaves the number as it was before its call or after it.
 *
 * It holds an integer or a float, whichever calls it is used with; 0 is 0.0. Whoever sees what a change made sees what the changing task
 * did before it. Any task may call everything here at any time; nothing waits or fails.
 */
#ifndef WEFT_SCALAR_H
#define WEFT_SCALAR_H

#include <weft/base.h>

typedef struct weft_scalar {
    uint64_t word; /* the library's */
} weft_scalar;

WEFT_BEGIN

WEFT_API int64_t weft_scalar_get(const weft_scalar *scalar);
WEFT_API void weft_scalar_set(weft_scalar *scalar, int64_t value);
/* Instead of what is there, which it returns, as the next three do. */
WEFT_API int64_t weft_scalar_swap(weft_scalar *scalar, int64_t value);
/* Adds; beyond the limits of an int64_t it wraps around. */
WEFT_API int64_t weft_scalar_add(weft_scalar *scalar, int64_t amount);
/* Makes it `value` if that is greater (less). */
WEFT_API int64_t weft_scalar_max(weft_scalar *scalar, int64_t value);
WEFT_API int64_t weft_scalar_min(weft_scalar *scalar, int64_t value);
/* Makes it `value` if it is `*expected`. Whether it did; if not, *expected becomes what is there. */
WEFT_API bool weft_scalar_compare_and_set(weft_scalar *scalar, int64_t *expected, int64_t value);

/* The same for floats. Numbers compare as in C: 0.0 is -0.0, a NaN is nothing's equal, neither greater nor less. */
WEFT_API double weft_scalar_get_float(const weft_scalar *scalar);
WEFT_API void weft_scalar_set_float(weft_scalar *scalar, double value);
WEFT_API double weft_scalar_swap_float(weft_scalar *scalar, double value);
WEFT_API double weft_scalar_add_float(weft_scalar *scalar, double amount);
WEFT_API double weft_scalar_max_float(weft_scalar *scalar, double value);
WEFT_API double weft_scalar_min_float(weft_scalar *scalar, double value);
WEFT_API bool weft_scalar_compare_and_set_float(weft_scalar *scalar, double *expected, double value);

WEFT_END

#endif
