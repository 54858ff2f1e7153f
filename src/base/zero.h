/* SPDX-License-Identifier: MIT */
/* Makes a struct of known size zero by plain stores, without a loop: for those that are made anew each few nanoseconds. */
#ifndef WEFTI_ZERO_H
#define WEFTI_ZERO_H

#include <stddef.h>

typedef long long wefti_pair __attribute__((vector_size(16), aligned(8), may_alias));

/* `size` is a constant, a multiple of 8; `at` a multiple of 8. */
static inline __attribute__((always_inline)) void wefti_zero(void *at, size_t size)
{
#pragma GCC unroll 32
    for (size_t i = 0; i + 16 <= size; i += 16)
        *(wefti_pair *)((char *)at + i) = (wefti_pair){0, 0};
    if (size % 16)
        *(long long *)((char *)at + size - 8) = 0;
}

#endif
