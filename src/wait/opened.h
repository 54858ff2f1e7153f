/* SPDX-License-Identifier: MIT */
/*
 * The descriptors that Weft has opened and will close: what else may be known of a number only for them, as whoever closes it says so here.
 * Of all others nothing is, since their numbers change hands unseen.
 */
#ifndef WEFTI_OPENED_H
#define WEFTI_OPENED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WEFTI_OPENED_SHIFT = 10, WEFTI_OPENED_ROW = 1 << WEFTI_OPENED_SHIFT, WEFTI_OPENED_ROWS = 1024 };

/* By number, in rows that are made as they are needed and stay; see opened.c. */
extern uint32_t *wefti_opened_rows[WEFTI_OPENED_ROWS] __attribute__((visibility("hidden")));

/* Which opening of this number lives now, a number that no other has had for very long; 0: it is not Weft's, or not known. By anybody. */
static inline uint32_t wefti_opened(int descriptor)
{
    unsigned number = (unsigned)descriptor;
    if (number >= (unsigned)WEFTI_OPENED_ROW * WEFTI_OPENED_ROWS)
        return 0;
    const uint32_t *row = __atomic_load_n(&wefti_opened_rows[number >> WEFTI_OPENED_SHIFT], __ATOMIC_ACQUIRE);
    return row ? __atomic_load_n(&row[number & (WEFTI_OPENED_ROW - 1)], __ATOMIC_RELAXED) : 0;
}

/*
 * Whether that is a TCP socket, of which a read that gets less than it asks for has got all that there was. (A local socket keeps apart
 * what comes with descriptors, or from another process.)
 */
static inline bool wefti_opened_tcp(uint32_t opening)
{
    return opening & 1;
}

/* The descriptor has just been opened: it is Weft's from now on. Where there is no memory it is as if it were not. */
void wefti_opened_begin(int descriptor, bool tcp);
/* It is about to be closed, or given away. Harmless where it is not Weft's. */
void wefti_opened_end(int descriptor);
/* All of these are. */
void wefti_opened_end_all(int first, int last);

#endif
