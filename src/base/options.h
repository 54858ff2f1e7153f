/* SPDX-License-Identifier: MIT */
/* How an options struct of a caller, compiled against headers older or newer than this library, is read. */
#ifndef WEFTI_OPTIONS_H
#define WEFTI_OPTIONS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/*
 * Copies the options at `from`, whose first field says how large the caller's struct is, into `to` of `size` octets; what the caller's does
 * not have is zero. False with EINVAL: there are none, they end before `least`, or they set something that this library does not know.
 */
static inline bool wefti_options_read(void *to, size_t size, const void *from, size_t least)
{
    size_t theirs = from ? *(const size_t *)from : 0;
    bool known = theirs >= least;
    for (size_t i = size; known && i < theirs; i++)
        known = ((const unsigned char *)from)[i] == 0;
    if (!known) {
        errno = EINVAL;
        return false;
    }
    memset(to, 0, size);
    memcpy(to, from, theirs < size ? theirs : size);
    return true;
}

#endif
