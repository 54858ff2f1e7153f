/* SPDX-License-Identifier: MIT */
/*
 * A shared map, between its files. Any process may die in any of its calls at any instruction. Reading order: this, then map_link.c (how
 * blocks come and go), map_table.c (the table, its index and their repair), map_record.c (keys and values), map.c (the calls for one key),
 * map_all.c (the calls for many).
 *
 * A map is a block of the arena: a lock, and a link to the table, which is a block too. The table has a slot for each entry, in the order
 * in which keys came, and an index over the slots by hash. A slot is a link to the entry's record: a block with key and value. Links are
 * the truth. All else is derived from them: `count`, `used`, the index.
 *
 * All is done under the lock. Whoever gets it from a dead owner (1) repairs before he does anything else, and says so (weft_lock_repaired)
 * when it is done.
 *
 * A record is never changed but for `word` of a scalar, which one store replaces by that of another scalar of the same kind; everything
 * else is a new record instead of the old one. A table that is full is replaced by a new one, in which the slots stand close, in the same
 * way.
 *
 * Memory ordering. Between live tasks the lock orders everything. For those who come after a death the order of the stores in the program
 * is what counts: each store that this depends on is a release, or has a fence of the compiler beside it.
 *
 * Fork: a child of the host's own is no member and gets no lock, so every call fails there with ESTALE.
 */
#ifndef WEFTI_MAP_H
#define WEFTI_MAP_H

#include <errno.h>

#include "shared/life.h"
#include "value/object.h"
#include <weft/lock.h>
#include <weft/map.h>

/* No numbers of slots. */
#define WEFTI_MAP_TABLE UINT32_MAX
#define WEFTI_MAP_NOWHERE UINT32_MAX

enum { WEFTI_MAP_FLAT = 32 }; /* a record's kind: value/flat.h says what it is */

/* What a link can lead to. */
struct wefti_map_linked {
    struct wefti_map_linked *replaces; /* while it comes: what was linked before */
    uint32_t number;                   /* of its link: a slot, or WEFTI_MAP_TABLE; written when it comes or goes */
    uint32_t key_length;               /* a record's */
};

/* Constant once it is linked, but for `word` of a scalar. */
struct wefti_map_record {
    struct wefti_map_linked head;
    uint64_t word;     /* of a scalar: it; else how many octets the value has */
    uint64_t sequence; /* greater than that of all that came before */
    uint32_t hash;
    uint8_t kind; /* of a scalar, str or bytes: the value's; WEFTI_MAP_FLAT */
    uint8_t reserved[3];
    char octets[]; /* the key, a zero, the value's */
};

/* Slots, then the index: a power of two places, at least twice as many; hash in the upper half, in the lower one 0 (free), GONE, or the
 * slot's number + 1. */
struct wefti_map_table {
    struct wefti_map_linked head;
    uint32_t room; /* slots; constant, as `mask` */
    uint32_t mask;
    struct wefti_map_linked *slots[];
};

/* Written by the lock's owner. */
struct weft_map {
    weft_lock lock;                 /* first, so that it has the map's address */
    uint32_t magic;                 /* MAP_MAGIC; 0 once it is being freed */
    uint32_t changing;              /* 1: what is derived may be wrong */
    struct wefti_map_linked *table; /* a link; NULL while nothing has come */
    uint64_t hash_keys[2];          /* constant */
    uint64_t sequence;              /* the next; raised before it is used */
    uint32_t used;                  /* derived: no slot from here on has an entry */
    uint32_t count;                 /* derived */
};

/* What a value will be in a record. */
struct wefti_map_form {
    uint8_t kind;
    uint64_t word;
    const void *octets; /* of a str or bytes */
    weft_value value;   /* of WEFTI_MAP_FLAT */
};

struct wefti_map_key {
    const char *text;
    uint32_t length;
    uint32_t hash;
};

/* Sets errno: -1. */
static inline int wefti_map_fails(int error)
{
    errno = error;
    return -1;
}

static inline bool wefti_map_form_scalar(unsigned kind)
{
    return kind <= WEFT_PTR;
}

static inline uint64_t wefti_map_record_word(const struct wefti_map_record *record)
{
    return __atomic_load_n(&record->word, __ATOMIC_RELAXED);
}

static inline struct wefti_map_table *wefti_map_table(const weft_map *map)
{
    return (struct wefti_map_table *)map->table;
}

static inline struct wefti_map_record *wefti_map_record(const weft_map *map, uint32_t number)
{
    return (struct wefti_map_record *)wefti_map_table(map)->slots[number];
}

/* map_link.c */

/* From here to the end blocks come and go, and the holding is the map's. */
struct wefti_holding *wefti_map_changes_begin(weft_map *map);
void wefti_map_changes_end(struct wefti_holding *holding, weft_map *map);
/* `block`, of `size` octets, is in hand: it comes instead of what the link leads to. `number`: a slot's, or WEFTI_MAP_TABLE. */
void wefti_map_link_in(struct wefti_holding *holding, weft_map *map, uint32_t number, struct wefti_map_linked *block, size_t size);
/* What the link leads to goes. */
void wefti_map_link_out(struct wefti_holding *holding, weft_map *map, uint32_t number);

/* map_table.c: the lock is held; where a holding is asked for, it is the map's (wefti_map_changes_begin). */

/* The key's slot, or WEFTI_MAP_NOWHERE. */
uint32_t wefti_map_find(const weft_map *map, const struct wefti_map_key *key);
/* All that is derived, made anew. */
void wefti_map_repair(weft_map *map);
/* Sees to slots for so many more. 0; -1 with ENOMEM. */
int wefti_map_reserve(struct wefti_holding *holding, weft_map *map, uint64_t more);
/* A new key; there is a slot. */
void wefti_map_entry_add(struct wefti_holding *holding, weft_map *map, struct wefti_map_record *record);
/* Instead of the record in this slot; it keeps its place in the order. */
void wefti_map_entry_replace(struct wefti_holding *holding, weft_map *map, uint32_t number, struct wefti_map_record *record);
/* The key is there. */
void wefti_map_entry_take_out(struct wefti_holding *holding, weft_map *map, const struct wefti_map_key *key);
/* Puts a record that is in hand in the place of its key, whose slot is `number` or WEFTI_MAP_NOWHERE. 0; -1 with ENOMEM, and it is still in
 * hand. */
int wefti_map_record_put(weft_map *map, uint32_t number, struct wefti_map_record *record);
void wefti_map_empty(weft_map *map);

/* map_record.c */

/* 0; -1 with EFAULT, ENOMEM. */
int wefti_map_form_of(weft_value value, struct wefti_map_form *form);
/* 0; -1 with EINVAL, ENAMETOOLONG. */
int wefti_map_key_of(const weft_map *map, const char *text, struct wefti_map_key *key);
/* In hand. NULL with ENOMEM. */
struct wefti_map_record *wefti_map_record_make(const struct wefti_map_key *key, const struct wefti_map_form *form);
/* Gives back one that is in hand; NULL is allowed. */
void wefti_map_record_cancel(struct wefti_map_record *record);
/* Of the block. */
size_t wefti_map_record_size(const struct wefti_map_record *record);
/* A copy of its value. 0; -1 with ENOMEM. */
int wefti_map_record_value(const struct wefti_map_record *record, weft_value *value);

/* map.c */

/* Whether that is a map, as far as can be seen without its lock: else EINVAL. */
bool wefti_map_is(const weft_map *map);
/* The lock is held from here to wefti_map_leave. -1 with errno. */
int wefti_map_enter(weft_map *map);
/* Keeps errno. */
void wefti_map_leave(weft_map *map);

#endif
