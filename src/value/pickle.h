/* SPDX-License-Identifier: MIT */
/*
 * Python's pickles, as data: values to and from the octets that Python's processes send each other. Reading never runs, imports or looks up
 * anything: what is allowed is a fixed set of operations and names (pickle_names.c), all else is refused. Nothing waits; any task.
 *
 * What comes back: None, bool, int, float, str, bytes, list, tuple, dict, set, frozenset and bytearray as the values of those names, an
 * array.array as numbers. Other classes as objects by name (weft_object): complex, slice, range, Ellipsis, NotImplemented, iter and
 * reversed; a manager's Token, proxies (RebuildProxy), Namespace and Value. Exceptions as error values with the type's name and the text
 * that Python would print, or as objects. Lists and dicts that lie in themselves have references upwards there (fold.c).
 *
 * Inert objects are what a pickle does with names that mean nothing here, kept as it was said, and said again when they are written;
 * nothing is looked up or called. "python.global" (module, name): the name itself. "python.call" (what, arguments), "python.new" (class,
 * arguments), "python.new_ex" (class, arguments, keywords): what is made of it; as their state a list of what is done to that then, in turn
 * "b" and a state, "e", "u" or "a" and a tuple: items that are appended, keys and items that are set, members that are added. They are no
 * keys. Only who wants to relay them reads them; anybody may write them.
 */
#ifndef WEFTI_PICKLE_H
#define WEFTI_PICKLE_H

#include "value/value.h"

/* Zero is each one's default. */
struct wefti_pickle_limits {
    size_t length;        /* octets of the pickle: 64 MiB */
    size_t stack;         /* values that are not in a container yet: 2^20 */
    size_t memo;          /* values that may be referred to again: 2^22 */
    unsigned depth;       /* containers within each other: 1000, and no more */
    size_t base;          /* memory for values, which have this much, 1 MiB, */
    size_t factor;        /* and this much for each octet of the pickle, 16; memo and stack have 16 each per entry besides */
    bool exceptions_stay; /* exceptions become objects, arguments and all, which are written as what they were */
    bool relay;           /* what is made of names that are not known becomes inert objects (below), instead of being refused */
};

/* Why not: a sentence without a full stop, with names and offsets from the pickle (any octets but printable ASCII as '?'). */
struct wefti_pickle_reason {
    char text[200];
    bool inert; /* a pickle was read, by `relay`, that has inert objects; then the text says what would have been refused without */
};

/* Octets that grow at their end; all-zero is empty. */
struct wefti_octets {
    char *octets;
    size_t length, room;
};

/* Room for so many more at the end, which the caller counts in `length`; NULL with ENOMEM. */
char *wefti_octets_reserve(struct wefti_octets *octets, size_t more);

/*
 * Appends the pickle of a value, in protocol 4, which every Python 3 reads; what is held more than once is written once. -1 with EFAULT (a
 * pointer), EILSEQ (a str that is no UTF-8), EINVAL (an object of a name that is not known, a reference out of the value), EMSGSIZE (more
 * than `most` octets; it lies in itself too often, or more than 1024 deep), ENOMEM;
 * `out` is as long as it was then. An error value is written as the exception of its type; one without a type as OSError(code, text); one
 * of a type that is not known as RuntimeError.
 */
int wefti_pickle_write(weft_value value, struct wefti_octets *out, size_t most, struct wefti_pickle_reason *reason);

/*
 * The value of a pickle of protocol 2, 3, 4 or 5: yours. -1 with EBADMSG (it is none, or one that is refused), EMSGSIZE (a limit), ENOMEM;
 * *value is untouched then. `limits` may be NULL.
 */
int wefti_pickle_read(
    const void *octets, size_t length, const struct wefti_pickle_limits *limits, weft_value *value, struct wefti_pickle_reason *reason);

/* Whether the value is an inert object, of a shape that can be written. */
bool wefti_pickle_inert(weft_value value);

/* What a name in a pickle may be used for. */
enum wefti_pickle_use {
    WEFTI_PICKLE_CONSTANT,    /* the value itself */
    WEFTI_PICKLE_EXCEPTION,   /* called with any arguments, then perhaps given a state */
    WEFTI_PICKLE_NEW,         /* made without arguments, then given a state */
    WEFTI_PICKLE_PROXY_CLASS, /* what the next is called with first */
    WEFTI_PICKLE_PROXY,
    WEFTI_PICKLE_SLICE,
    WEFTI_PICKLE_RANGE,
    WEFTI_PICKLE_COMPLEX,
    WEFTI_PICKLE_ITER,
    WEFTI_PICKLE_REVERSED,
    /* From here on their calls give values of other kinds than objects. */
    WEFTI_PICKLE_BYTEARRAY,
    WEFTI_PICKLE_LIST,
    WEFTI_PICKLE_ARRAY,
    WEFTI_PICKLE_SET,
    WEFTI_PICKLE_FROZENSET,
    WEFTI_PICKLE_ENCODE, /* bytes, in protocol 2 */
    WEFTI_PICKLE_BYTES   /* of nothing, in protocol 2 */
};

struct wefti_pickle_name {
    const char *module, *name;
    enum wefti_pickle_use use;
    int code; /* of an exception: as an error */
};

/* The entry of a name in a module, which need not end in zeros; NULL: not known. Names of Python 2, which protocol 2 has, lead to those of
 * Python 3. */
const struct wefti_pickle_name *wefti_pickle_find(const char *module, size_t module_length, const char *name, size_t length);
/* The same for the name of an object or the type of an error: "KeyError", "queue.Empty". */
const struct wefti_pickle_name *wefti_pickle_find_full(const char *full);
/* That name, written to `full`. */
enum { WEFTI_PICKLE_FULL = 64 };
void wefti_pickle_full(const struct wefti_pickle_name *name, char full[WEFTI_PICKLE_FULL]);

#endif
