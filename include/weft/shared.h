/* SPDX-License-Identifier: MIT */
/*
 * Shared memory: all of a program's processes have one arena, at the same address in each. A pointer into it means the same everywhere.
 *
 * The arena is made at the first use, and takes memory as blocks are handed out, not before. It ends with the last process that has it; it
 * has no name in the file system, so nothing can be left behind. Memory that the program maps itself is not the arena's.
 */
#ifndef WEFT_SHARED_H
#define WEFT_SHARED_H

#include <weft/base.h>

WEFT_BEGIN

/*
 * How large the arena may grow, in octets (rounded up to 64 KiB, at least 1 MiB, at most 64 GiB): to be said before its first use. Not
 * said, it is 64 GiB, or what the limits of the process leave room for.
 * From any task. -1 with EBUSY (the arena is there already), EINVAL (0, or more than 64 GiB).
 */
WEFT_API int weft_shared_limit(size_t octets);

/*
 * A block of `size` octets, zeroed, in the arena; aligned to 64 octets from 64 octets on, to 16 below. It belongs to no process: it stays
 * until weft_shared_free, whichever process calls that. A process that dies inside this call leaves nothing behind.
 * From any task. NULL with EINVAL (0), ENOMEM (the arena is full, or the system has no memory for it; or the first use found no room in the
 * address space), EFBIG (the first use: the limit on file sizes is below what weft_shared_limit said), EMFILE, ENFILE (the first use),
 * ESTALE (in a child that was forked when the arena was there: it may read and write, not allocate).
 */
WEFT_API void *weft_shared_alloc(size_t size) WEFT_WARN_UNUSED;
/* weft_shared_new(struct counter): a zeroed object of that type, as weft_shared_alloc gives it. */
#define weft_shared_new(type_) ((type_ *)weft_shared_alloc(sizeof(type_)))
/* Gives a block back; NULL is allowed. From any task of any process. 0; -1 with EINVAL: no block begins there (it was freed already, for
 * one); ESTALE as weft_shared_alloc. */
WEFT_API int weft_shared_free(void *block);
/* Whether an address lies in the arena. Any task; cannot fail. */
WEFT_API bool weft_is_shared(const void *address);

WEFT_END

#endif
