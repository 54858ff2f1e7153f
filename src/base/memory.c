/* SPDX-License-Identifier: MIT */
/* The counter behind failing allocations; empty but in a build with -Dsmall=true. */

#include "base/memory.h"

#ifdef WEFTI_SMALL

static long memory_left; /* calls until the one that fails; 0: none does */
static long memory_asked;

void weft_small_fail_after(long n)
{
    __atomic_store_n(&memory_asked, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&memory_left, n, __ATOMIC_RELAXED);
}

long weft_small_asked(void)
{
    return __atomic_load_n(&memory_asked, __ATOMIC_RELAXED);
}

bool wefti_fails(void)
{
    __atomic_fetch_add(&memory_asked, 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&memory_left, __ATOMIC_RELAXED) <= 0)
        return false;
    return __atomic_sub_fetch(&memory_left, 1, __ATOMIC_RELAXED) == 0;
}

#else

typedef int wefti_memory_unused; /* a file must not be empty */

#endif
