/* SPDX-License-Identifier: MIT */
/*
 * What the pointer of a counted value leads to. Private to this floor.
 *
 * An object lives while its count is above zero. The count is the number of holds: a hold belongs to a caller, or to the container (or, on
 * higher floors, the queue, task or future) that a caller gave it to. Whoever borrows does so under somebody else's hold.
 *
 * Orderings on `count`. A new hold is made under another one: relaxed. A hold ends with release, so that what its holder read or wrote of
 * the object comes before; whoever then finds himself alone (the last drop, a change to a list) reads the count with acquire, and so
 * sees all of it. Reading 1 under a hold of one's own says: alone, and nobody can join.
 *
 * Containers know where they lie. `inside` counts the holds that are containers', and `owner` is one of the containers that hold it or NULL
 * (it may have forgotten, but is never wrong: a container that lets go takes its name out before its hold ends). With them a change to a
 * list that was borrowed from within others is allowed exactly when none of those is shared, and a container never comes to lie
 * inside itself: values have no cycles, counting frees all, and every walk ends.
 */
#ifndef WEFTI_OBJECT_H
#define WEFTI_OBJECT_H

#include <string.h>

#include "base/memory.h"
#include "value/value.h"

/*
 * A count that came so far stays there, and the object lives for ever: whoever keeps and never drops loses memory, but nobody's value. As
 * many threads as there can be may still be about to add or take one when it gets there.
 */
#define WEFTI_COUNT_STUCK (UINT32_MAX / 2)

struct wefti_object {
    uint32_t count;
    uint8_t kind; /* enum weft_value_kind */
    /* of numbers: their letter; of an error: 1 when it has a type; of a frozenset: how many lie within each other, it being the first; of
     * other containers: the bits below */
    uint8_t more;
};

/* Of a list, tuple, dict or object: there is a WEFT_ABOVE in it, at any depth, or has been. Of a list or dict that a pickle's reader is
 * making: it may have come to lie in itself. */
enum { WEFTI_RECURSIVE = 1 << 7, WEFTI_LOOPING = 1 << 6 };

/*
 * A str, bytes, bytearray, bigint, numbers, or the text of an error. What comes after the zero of an error's text is the name of its type,
 * and another zero.
 */
struct wefti_text {
    struct wefti_object head;
    size_t length; /* of an error: without its type */
    char octets[]; /* and a zero */
};

enum { WEFTI_DEPTH_BITS = 10 }; /* of a weight: depth, below what would be in it in full */

struct wefti_container {
    struct wefti_object head;
    uint32_t inside;
    uint32_t weight;               /* of one that a pickle made: see pickle_read.c */
    struct wefti_container *owner; /* of a dead one: the next dead */
};

/* A list or a tuple; or an object, which is a tuple of three: its name, its arguments, its state. */
struct wefti_array {
    struct wefti_container container;
    size_t length;
    size_t room;       /* of a list */
    weft_value *items; /* a tuple's are its own `fixed` */
    weft_value fixed[];
};

struct wefti_entry {
    uint64_t hash;
    weft_value key; /* of kind WEFTI_ENTRY_GONE: was popped */
    weft_value item;
};
enum { WEFTI_ENTRY_GONE = 255 };
enum { WEFTI_OBJECT_NAME, WEFTI_OBJECT_ARGUMENTS, WEFTI_OBJECT_STATE, WEFTI_OBJECT_PARTS };

/*
 * A dict, or a set, whose items are none: entries in the order in which they came, and an index of them by hash, with open addressing.
 * Entries and index are one block, made anew when the entries run out.
 */
struct wefti_dict {
    struct wefti_container container;
    size_t length;               /* entries that are not gone */
    uint32_t used;               /* entries, the gone ones too */
    uint32_t room;               /* for entries; two thirds of the index, so that a search always comes to an empty place */
    size_t mask;                 /* places in the index, less one */
    struct wefti_entry *entries; /* NULL while there is no room at all */
    uint32_t *index;
};

/* Whether the value's pointer leads to an object. */
static inline bool wefti_value_counted(weft_value value)
{
    return value.kind >= WEFT_STR && value.kind <= WEFT_OBJECT && value.as.pointer;
}

static inline bool wefti_kind_among(unsigned kind, uint32_t kinds)
{
    return kind < 32 && (kinds >> kind & 1);
}

enum { WEFTI_CONTAIN = 1 << WEFT_LIST | 1 << WEFT_TUPLE | 1 << WEFT_DICT | 1 << WEFT_SET | 1 << WEFT_FROZENSET | 1 << WEFT_OBJECT };

static inline bool wefti_kind_contains(unsigned kind)
{
    return wefti_kind_among(kind, WEFTI_CONTAIN);
}

/* Whether the container that it comes into has to know: it is a container, or refers to one. */
static inline bool wefti_kind_noted(unsigned kind)
{
    return wefti_kind_among(kind, WEFTI_CONTAIN | 1U << WEFT_ABOVE);
}

/* Whether its object is a struct wefti_dict. */
static inline bool wefti_kind_hashed(unsigned kind)
{
    return wefti_kind_among(kind, 1U << WEFT_DICT | 1U << WEFT_SET | 1U << WEFT_FROZENSET);
}

static inline bool wefti_kind_set(unsigned kind)
{
    return kind == WEFT_SET || kind == WEFT_FROZENSET;
}

/* Whether its object is a struct wefti_text that a value has for its own sake: not an error's. */
static inline bool wefti_kind_text(unsigned kind)
{
    return wefti_kind_among(kind, 1U << WEFT_STR | 1U << WEFT_BYTES | 1U << WEFT_BIGINT | 1U << WEFT_BYTEARRAY | 1U << WEFT_NUMBERS);
}

#ifdef WEFTI_VALUE_CHECKS
#include "value/handle_checked.h"
#else
#include "value/handle_plain.h"
#endif

/* The object of a value of this kind; NULL of any other. */
static inline void *wefti_object_of(weft_value value, enum weft_value_kind kind)
{
    return value.kind == kind && value.as.pointer ? wefti_handle_object(value) : NULL;
}

/* The object of a text's kinds; NULL of any other. */
static inline struct wefti_text *wefti_text_of(weft_value value)
{
    return wefti_kind_text(value.kind) && value.as.pointer ? wefti_handle_object(value) : NULL;
}

/* Of a weight (pickle_read.c): how deep what is in a value lies, what the value would be in full, and what it lies in with it. */
enum { WEFTI_DEPTH_MOST = (1 << WEFTI_DEPTH_BITS) - 1, WEFTI_WEIGHT_MOST = (1 << (32 - WEFTI_DEPTH_BITS)) - 1 };

static inline uint32_t wefti_value_depth(weft_value value)
{
    if (!wefti_kind_contains(value.kind) || !value.as.pointer)
        return 0;
    return ((const struct wefti_container *)wefti_handle_object(value))->weight & WEFTI_DEPTH_MOST;
}

static inline uint32_t wefti_value_weight(weft_value value)
{
    if (wefti_kind_contains(value.kind) && value.as.pointer)
        return ((const struct wefti_container *)wefti_handle_object(value))->weight >> WEFTI_DEPTH_BITS;
    const struct wefti_text *text = wefti_text_of(value);
    size_t words = text ? text->length / 16 : 0;
    return words < WEFTI_WEIGHT_MOST ? (uint32_t)words + 1 : WEFTI_WEIGHT_MOST;
}

static inline uint32_t wefti_weight_add(uint32_t outer, weft_value item)
{
    uint32_t depth = outer & WEFTI_DEPTH_MOST, inner = wefti_value_depth(item) + 1;
    uint32_t weight = outer >> WEFTI_DEPTH_BITS, more = wefti_value_weight(item);
    weight = more < WEFTI_WEIGHT_MOST - weight ? weight + more : WEFTI_WEIGHT_MOST;
    inner = inner < WEFTI_DEPTH_MOST ? inner : WEFTI_DEPTH_MOST;
    return weight << WEFTI_DEPTH_BITS | (inner > depth ? inner : depth);
}

/* Whether a value is an object of Python's that only its makers know (pickle.h): never a key. */
bool wefti_object_inert(weft_value value);

/* What a constructor gives that failed: an error value that needs no memory; sets errno. */
weft_value wefti_value_failed(int code);
/*
 * An object of `size` zeroed octets and `extra` more of any content, with its first hold, through *value. NULL with ENOMEM, *value then
 * being what the constructor is to return.
 */
static inline void *wefti_object_new(enum weft_value_kind kind, size_t size, size_t extra, weft_value *value)
{
    struct wefti_object *object = extra < PTRDIFF_MAX - size ? wefti_alloc_raw(size + extra) : NULL;
    *value = (weft_value){.kind = (uint8_t)kind};
    if (object && wefti_handle_open(value, object)) {
        memset(object, 0, size);
        object->count = 1;
        object->kind = (uint8_t)kind;
        return object;
    }
    wefti_release(object);
    *value = wefti_value_failed(ENOMEM);
    return NULL;
}

/*
 * Whether a container may be changed and `item` may come into it: 0, or EBUSY (somebody else holds it, or something it lies in; or it lies
 * deeper than can be told), EINVAL (the item is the container, or holds it).
 */
int wefti_container_changeable(struct wefti_container *container, weft_value item);
/* WEFTI_RECURSIVE, if what holds the item has to say so. */
static inline uint8_t wefti_item_recursive(weft_value item)
{
    if (!wefti_kind_contains(item.kind) || !item.as.pointer)
        return item.kind == WEFT_ABOVE ? WEFTI_RECURSIVE : 0;
    return ((const struct wefti_object *)wefti_handle_object(item))->more & WEFTI_RECURSIVE;
}

/* Notes that a hold, taken over from a caller, is the container's from now on. */
weft_value wefti_container_adopt(struct wefti_container *container, weft_value item);
/*
 * The same of an item that nobody but its maker can reach yet, through whatever hold: who reads a pickle has all holds on what it is
 * making, none of which has a WEFT_ABOVE. So nothing here need be atomic; whoever is handed the value later comes after it.
 */
static inline weft_value wefti_container_adopt_unseen(struct wefti_container *container, weft_value item)
{
    if (wefti_kind_contains(item.kind) && item.as.pointer) {
        struct wefti_container *inner = wefti_handle_object(item);
        inner->inside++;
        inner->owner = inner->owner ? inner->owner : container;
    }
    return item;
}
/* As weft_keep and weft_drop, of a value that nobody but its maker can reach yet. */
static inline weft_value wefti_value_keep_unseen(weft_value value)
{
    if (!wefti_value_counted(value))
        return value;
    struct wefti_object *object = wefti_handle_object(value);
    object->count += object->count < WEFTI_COUNT_STUCK;
    return wefti_handle_again(value);
}
static inline void wefti_value_drop_unseen(weft_value value)
{
    struct wefti_object *object = wefti_value_counted(value) ? wefti_handle_object(value) : NULL;
    if (!object || object->count == 1 || object->count >= WEFTI_COUNT_STUCK) {
        weft_drop(value);
        return;
    }
    wefti_handle_close(value, "weft_drop");
    object->count--;
}
/* A tuple of items that nobody but their maker can reach yet, which are given away; as weft_tuple. */
weft_value wefti_tuple_of_unseen(const weft_value *items, size_t count);
/* Notes that it no longer is: it is handed to a caller, or about to be dropped. */
weft_value wefti_container_release(struct wefti_container *container, weft_value item);

/* Copies with the same items; `failed` as constructors. The last is for sets, too. */
weft_value wefti_list_copy(weft_value list);
weft_value wefti_tuple_copy(weft_value tuple);
weft_value wefti_dict_copy(weft_value dict);
/* Takes out the pair that came last, both yours: 0; -1 with ENOENT (there is none), and as weft_dict_pop. */
int wefti_dict_pop_last(weft_value dict, weft_value *key, weft_value *item);
/* The item of a key, of a dict or a set: 1 found, 0 not, -1 with ENOMEM or EINVAL. */
int wefti_dict_find(weft_value dict, weft_value key, weft_value *item);
/*
 * Changes by who builds a list, dict or set and knows that nobody else can reach it or what comes into it, however many holds there are: 0
 * (of a set 1 when it was new), and the item and the key are given away; -1 with EINVAL (no key), ENOMEM.
 */
int wefti_list_add(struct wefti_array *list, weft_value item);
int wefti_dict_add(struct wefti_dict *dict, weft_value key, weft_value item);

/* Octets of a number of this letter, 0 of others. */
size_t wefti_numbers_size(char type);
/* Numbers, or any text but an error's, of octets that are checked already. */
weft_value wefti_text_new(enum weft_value_kind kind, uint8_t more, const void *octets, size_t length);
/* Bytes of a block (of wefti_alloc_raw and its like), which they take: `length` octets, behind room for a struct wefti_text, and before
 * room for a zero. An error, and the block stays the caller's. */
weft_value wefti_bytes_of_block(void *block, size_t length);
/* An error of text and type (NULL: none) that need no zero; of no text and no type a plain one. ENOMEM as the constructors. */
weft_value wefti_error_new(int32_t code, const char *text, size_t length, const char *type, size_t type_length);

/*
 * Bigints. The octets, without those that say nothing: how many. A float that is an integer which does not fit into 64 bits, in octets: how
 * many, 0 for any other.
 */
size_t wefti_bigint_trim(const unsigned char *octets, size_t length);
enum { WEFTI_FLOAT_OCTETS = 130 };
size_t wefti_bigint_of_float(double real, unsigned char octets[WEFTI_FLOAT_OCTETS]);
/* The nearest float; ERANGE and infinity where there is none. */
double wefti_bigint_float(const struct wefti_text *bigint);
/* Its magnitude in groups of nine decimal digits, the highest first: at groups[first], up to the end. */
enum { WEFTI_BIGINT_GROUPS = WEFT_BIGINT_MOST * 8 / 29 };
struct wefti_bigint_groups {
    uint32_t groups[WEFTI_BIGINT_GROUPS];
    size_t first;
};
void wefti_bigint_decimal(const struct wefti_text *bigint, struct wefti_bigint_groups *decimal);

/* Equal: 1, not: 0, -1 with ENOMEM. */
int wefti_value_compare(weft_value a, weft_value b);
/*
 * Hashes of what may be a key: equal keys have equal ones. -1 with EINVAL (may not be a key), ENOMEM. *frozen: how many frozensets lie
 * within each other in it.
 */
int wefti_value_hash(weft_value key, uint64_t *hash, uint8_t *frozen);
/* SipHash-1-3 of so many words under a key. */
uint64_t wefti_hash_words(uint64_t key0, uint64_t key1, const uint64_t *words, size_t count);
uint64_t wefti_text_hash(enum weft_value_kind kind, const void *octets, size_t length);
/* Whether the float is an integer of 64 bits, and which. */
bool wefti_float_integer(double real, int64_t *integer);

#endif
