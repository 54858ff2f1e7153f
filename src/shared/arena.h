/* SPDX-License-Identifier: MIT */
/*
 * The arena: what all processes of a family have in common, and how it is divided (chunk.h says how blocks are made of chunks).
 *
 * It begins with struct wefti_arena, whose table has an entry for each chunk of it, the header's own included.
 */
#ifndef WEFTI_ARENA_H
#define WEFTI_ARENA_H

#include <weft/shared.h>

enum { WEFTI_CHUNK_BITS = 16, WEFTI_CHUNK = 1 << WEFTI_CHUNK_BITS };

/* 16 octets, so that a chunk's entry is one cache access. */
struct wefti_chunk {
    uint64_t word;  /* the truth about the chunk: chunk.h */
    uint32_t freed; /* a hint for its owner: so many of its blocks were freed since he last looked */
    /* of a slab: 1 once a block of it was withdrawn by another member than its owner; it stays until the slab is made anew */
    uint32_t withdrawn;
};

struct wefti_arena {
    uint64_t magic;   /* constant, as the next four: written before anybody else can see them */
    uint64_t base;    /* its address in every process */
    uint64_t size;    /* octets */
    uint64_t chunks;  /* how many */
    uint64_t first;   /* the first that blocks are made of */
    uint64_t used;    /* no chunk from this one on has ever been used; it only grows, before the chunk's word changes */
    uint64_t hint;    /* where a search for free chunks begins; any value will do */
    uint64_t kept;    /* about how many chunks are KEPT; any value will do */
    uint64_t orphans; /* about how many slabs have no owner; any value will do */
    uint64_t family;  /* the address of the struct wefti_family (seat.h), or 0 */
    uint64_t layout;  /* constant: WEFTI_ARENA_LAYOUT (life.h) of the library that made it, without which none of this can be read */
    uint64_t reserved[5];
    struct wefti_chunk table[];
};

#define WEFTI_ARENA_MAGIC UINT64_C(0x32616e6572617477) /* "wtarena2" */

/* This process's view. The base and size are constant once set, and set before anybody can have a pointer into the arena. */
extern uintptr_t wefti_arena_base __attribute__((visibility("hidden")));
extern size_t wefti_arena_size __attribute__((visibility("hidden")));

static inline bool wefti_is_shared(const void *address)
{
    size_t size = __atomic_load_n(&wefti_arena_size, __ATOMIC_ACQUIRE); /* first: another thread may be making it, and stores it last */
    return (uintptr_t)address - __atomic_load_n(&wefti_arena_base, __ATOMIC_RELAXED) < size;
}

/* The arena, made if there is none: NULL with the errno of weft_shared_alloc. */
struct wefti_arena *wefti_arena_get(void);
/* The arena that is there, or NULL. */
struct wefti_arena *wefti_arena_now(void);

/* In a fresh image of the program: maps the family's arena where the others have it. -1 with ENOMEM: the place is not free, or this is no
 * arena. */
int wefti_arena_adopt(int descriptor, uintptr_t base, size_t size);

/* The arena's file: for a process that is to keep nothing else. -1: the program has closed it here. */
int wefti_arena_descriptor(void);

/* The memory of so many chunks: had before they are used (-1 with ENOMEM), and given back. */
int wefti_arena_back(uint64_t chunk, uint64_t count);
void wefti_arena_unback(uint64_t chunk, uint64_t count);
/* Lets the table, and `used`, reach up to this chunk. -1 with ENOMEM. */
int wefti_arena_reach(struct wefti_arena *arena, uint64_t end);

#endif
