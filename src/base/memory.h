/* SPDX-License-Identifier: MIT */
/*
 * Memory. Everything the library allocates goes through here, so that a build with -Dsmall=true can make the n-th allocation fail, and
 * tests can walk through every such failure. The calls into the system that fail for want of something (pthread_create, clone, pipe2,
 * eventfd, mmap, open ...) ask wefti_fails too, and are walked through in the same way.
 */
#ifndef WEFTI_MEMORY_H
#define WEFTI_MEMORY_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#ifdef WEFTI_SMALL
#include <weft/base.h>
/* The n-th call from now that asks fails, in whichever thread; later ones succeed again. 0: none does. For tests. */
WEFT_API void weft_small_fail_after(long n);
/* How many calls have asked since the last weft_small_fail_after. For tests. */
WEFT_API long weft_small_asked(void);
/* Whether the present call is to fail. */
bool wefti_fails(void);
#else
static inline bool wefti_fails(void)
{
    return false;
}
#endif

/* For a call that fails with errno: `if (wefti_fails_with(EMFILE) || pipe2(ends, 0) != 0)`. */
static inline bool wefti_fails_with(int error)
{
    if (!wefti_fails())
        return false;
    errno = error;
    return true;
}

/* `size` zeroed octets; NULL with ENOMEM. */
static inline void *wefti_alloc(size_t size)
{
    if (wefti_fails_with(ENOMEM))
        return NULL;
    return calloc(1, size);
}

/* `size` octets of any content; NULL with ENOMEM. */
static inline void *wefti_alloc_raw(size_t size)
{
    if (wefti_fails_with(ENOMEM))
        return NULL;
    return malloc(size);
}

/* `size` octets of any content at a multiple of `alignment` (a power of two); NULL with ENOMEM. */
static inline void *wefti_alloc_aligned(size_t alignment, size_t size)
{
    if (wefti_fails_with(ENOMEM))
        return NULL;
    return aligned_alloc(alignment, (size + alignment - 1) & ~(alignment - 1));
}

/* As realloc; NULL with ENOMEM, the old block being untouched. */
static inline void *wefti_realloc(void *block, size_t size)
{
    if (wefti_fails_with(ENOMEM))
        return NULL;
    return realloc(block, size);
}

/* Frees what the others gave; NULL is allowed; keeps errno. */
static inline void wefti_release(void *block)
{
    if (block) /* NULL is common: no call then */
        free(block);
}

#endif
