/* SPDX-License-Identifier: MIT */
/*
 * A value is what one task hands to another: 16 bytes, passed by value.
 *
 * Ownership. Readers borrow (weft_as_*, weft_list_at, weft_dict_get, weft_repr; a task's argument): nothing to drop, weft_keep to hold
 * on. Takers own on success (put, append, set, submit, spawn, return) and leave the value yours when they fail. What a call returns as
 * a value is yours; weft_drop ends it (scalars need no drop, and dropping them is harmless).
 * Sharing. A list, dict or set may be changed only while nobody else holds it, nor any container that it lies in: EBUSY otherwise. All else
 * never changes. So a value that two tasks hold is safe to read in both, with all that is in it; and a list that one has
 * borrowed from inside a dict of one's own may be changed in place. (Deeper than 64 containers it may not, and one that has lain in
 * several containers at once may not either until it is in none: EBUSY too; weft_copy gives one that can be changed.)
 * No container ever lies in itself: what would bring that about is refused (EINVAL). Python's lists, tuples and dicts that do come as ones
 * with a WEFT_ABOVE in that place, and go out as what they were.
 * Any kind of task may call everything here at any time; nothing waits.
 */
#ifndef WEFT_VALUE_H
#define WEFT_VALUE_H

#include <weft/base.h>

enum weft_value_kind {
    WEFT_NONE = 0,
    WEFT_BOOL = 1,
    WEFT_INT = 2,
    WEFT_FLOAT = 3,
    WEFT_PTR = 4,
    WEFT_STR = 5,
    WEFT_BYTES = 6,
    WEFT_LIST = 7,
    WEFT_TUPLE = 8,
    WEFT_DICT = 9,
    WEFT_ERROR = 10,
    WEFT_BIGINT = 11,    /* an integer that 64 bits cannot hold */
    WEFT_SET = 12,       /* changeable */
    WEFT_FROZENSET = 13, /* a set that never changes, and may be a key */
    WEFT_BYTEARRAY = 14, /* octets that Python may change, and Weft does not */
    WEFT_NUMBERS = 15,   /* numbers of one C type, side by side: Python's array.array */
    WEFT_OBJECT = 16,    /* what another language has a class for, kept by name: Python's complex, slice, range ... */
    WEFT_ABOVE = 17      /* a container that this lies in: so many levels up */
    /* Up to 31 are kept. */
};

typedef struct weft_value {
    uint8_t kind;      /* enum weft_value_kind */
    uint8_t flags;     /* kept for the library: 0 */
    uint16_t reserved; /* 0 */
    int32_t code;      /* of an error; else 0 */
    union {
        int64_t integer; /* also bool: 0 or 1 */
        double real;
        void *pointer; /* WEFT_PTR: yours; else: the library's object */
    } as;
} weft_value;

/* A function that a task runs. The argument is borrowed: the runtime drops it afterwards. What is returned belongs to the task. */
typedef weft_value weft_function(weft_value argument);

WEFT_BEGIN

/* Nothing: all-zero. weft_value v = weft_none; */
#ifdef __cplusplus
#define weft_none (weft_value())
#else
#define weft_none ((weft_value){0, 0, 0, 0, {0}})
#endif
/* Scalars: never allocate, cannot fail, need no drop. */
WEFT_API inline weft_value weft_bool(bool value)
{
    weft_value made = {WEFT_BOOL, 0, 0, 0, {value}};
    return made;
}
WEFT_API inline weft_value weft_int(int64_t value)
{
    weft_value made = {WEFT_INT, 0, 0, 0, {value}};
    return made;
}
WEFT_API inline weft_value weft_float(double value)
{
    weft_value made = {WEFT_FLOAT, 0, 0, 0, {0}};
    made.as.real = value;
    return made;
}
/* A pointer of yours, carried as it is; meaningful inside this process (or in shared memory) only. */
WEFT_API inline weft_value weft_ptr(void *pointer)
{
    weft_value made = {WEFT_PTR, 0, 0, 0, {0}};
    made.as.pointer = pointer;
    return made;
}

/*
 * The container so many levels up from where this is put: 1 is the one that it lies in itself (what list.append(list) makes in Python), 2
 * what that lies in. It means something only there: what is taken out of such a container still says so many levels, see weft_unfold.
 * Nothing here follows it; where there are fewer levels it means nothing, and is refused when it is to be sent to Python (EINVAL).
 * weft_as_int gives the levels. Equal to another of as many; never a key.
 */
WEFT_API inline weft_value weft_above(size_t levels)
{
    weft_value made = {WEFT_ABOVE, 0, 0, 0, {0}};
    made.as.integer = (int64_t)levels;
    return made;
}

/*
 * Made by copying what is given; yours. When memory is out they give the error value weft_error(ENOMEM, NULL), which needs no memory, and
 * set errno; for NULL where there should be something, the same with EINVAL (NULL with a length of 0 is empty). A str is UTF-8 (not checked
 * here) and may contain zeros when made with its length; it is always followed by a zero. A lone surrogate, which Python's str may have,
 * lies in it as the three octets that UTF-8 would make of it (ED A0 80 is U+D800).
 */
WEFT_API weft_value weft_str(const char *text);
WEFT_API weft_value weft_str_n(const char *text, size_t length);
/* As printf makes it; what printf refuses gives an error value with its errno. */
WEFT_API weft_value weft_str_f(const char *format, ...) WEFT_PRINTF(1, 2);
WEFT_API weft_value weft_bytes(const void *data, size_t length);
WEFT_API weft_value weft_bytearray(const void *data, size_t length);
/*
 * An integer of any size: two's complement, the lowest octet first, no octets being 0. A WEFT_INT where it fits, else a WEFT_BIGINT, whose
 * octets (the fewest that it needs, at most WEFT_BIGINT_MOST: else EOVERFLOW) weft_as_bytes and weft_length give.
 */
#define WEFT_BIGINT_MOST 4096
WEFT_API weft_value weft_int_n(const void *octets, size_t length);
/*
 * `count` numbers of one type, as they lie in memory: 'b' int8_t, 'B' uint8_t, 'h' int16_t, 'H', 'i' int32_t, 'I', 'l' and 'q' int64_t, 'L'
 * and 'Q', 'f' float, 'd' double (the letters of Python's array; EINVAL for others). weft_as_bytes gives where they lie, weft_length how
 * many there are.
 */
WEFT_API weft_value weft_numbers(char type, const void *numbers, size_t count);
/* Empty, changeable. */
WEFT_API weft_value weft_list(void);
WEFT_API weft_value weft_dict(void);
WEFT_API weft_value weft_set(void);
/* A tuple of `count` values, which are given away on success (and stay yours otherwise). weft_tuple(NULL, 0) is the empty one. */
WEFT_API weft_value weft_tuple(const weft_value *items, size_t count);
/* A frozenset of what may be keys (EINVAL for others), given away in the same way; what comes twice is in it once. At most 8 within each
 * other: EINVAL. */
WEFT_API weft_value weft_frozenset(const weft_value *items, size_t count);
/*
 * What another language has a class for: the class by name ("complex", "slice"; with its module unless that is Python's builtins), what it
 * was called with (a tuple; none: the name itself is meant, as in Ellipsis), and what was set on it afterwards (none: nothing). Both are
 * given away on success. EINVAL: no name, an error instead of either, `arguments` is neither a tuple nor none.
 */
WEFT_API weft_value weft_object(const char *name, weft_value arguments, weft_value state);
/*
 * An error: an errno number and a text as printf makes it (NULL: none, and then nothing is allocated). What a failing task returns.
 * A code of 0 becomes EINVAL. When memory for the text is out the error comes without it. Keeps errno.
 */
WEFT_API weft_value weft_error(int code, const char *format, ...) WEFT_PRINTF(2, 3);
/* The same with the name of what it is where it comes from: "KeyError", "queue.Empty" (NULL: none). Needs memory for that, too. */
WEFT_API weft_value weft_error_of_type(int code, const char *type, const char *format, ...) WEFT_PRINTF(3, 4);

/* What it is: enum weft_value_kind. */
static inline enum weft_value_kind weft_kind(weft_value value)
{
    return (enum weft_value_kind)value.kind;
}
/*
 * "none", "bool", "int", "float", "ptr", "str", "bytes", "list", "tuple", "dict", "error", "bigint", "set", "frozenset", "bytearray",
 * "numbers", "object", or "unknown". Static.
 */
WEFT_API const char *weft_kind_name(enum weft_value_kind kind);
static inline bool weft_is_error(weft_value value)
{
    return value.kind == WEFT_ERROR;
}
static inline bool weft_is_none(weft_value value)
{
    return value.kind == WEFT_NONE;
}

/* What weft_as_int and weft_as_float do with a value of another kind: call those. */
WEFT_API int64_t weft_as_int_converted(weft_value value);
WEFT_API double weft_as_float_converted(weft_value value);

/*
 * Readers. Of a value of another kind they give zero or NULL and set errno to EINVAL; they leave errno alone otherwise.
 * weft_as_int: an int, a bool as 0 or 1, a float without its fraction (ERANGE and the nearest limit where it does not fit, as of a bigint;
 * ERANGE and 0 of NaN), the levels of a WEFT_ABOVE.
 * weft_as_float: a float, an int, a bool as 0 or 1, a bigint (ERANGE and infinity where it does not fit). weft_as_bool: is it true, as
 * Python has it: not none, false, zero, NULL, empty; of every kind.
 */
WEFT_API inline int64_t weft_as_int(weft_value value)
{
    return value.kind == WEFT_INT ? value.as.integer : weft_as_int_converted(value);
}
WEFT_API inline double weft_as_float(weft_value value)
{
    return value.kind == WEFT_FLOAT ? value.as.real : weft_as_float_converted(value);
}
WEFT_API bool weft_as_bool(weft_value value);
WEFT_API void *weft_as_ptr(weft_value value);
/* The text, followed by a zero; borrowed. */
WEFT_API const char *weft_as_str(weft_value value);
/* The octets of bytes, a str, a bytearray or a bigint, or the numbers that lie side by side; borrowed. */
WEFT_API const void *weft_as_bytes(weft_value value);
/*
 * An error's errno number (0 of anything else, errno untouched), and its text: the one it was made with (borrowed), else what strerror says
 * in English (static).
 */
WEFT_API int weft_error_code(weft_value value);
WEFT_API const char *weft_error_text(weft_value value);
/* The name of its type, borrowed; NULL when it has none, and (EINVAL) of anything else. */
WEFT_API const char *weft_error_type(weft_value value);
/* The letter of numbers; 0 (and EINVAL) of anything else. */
WEFT_API char weft_numbers_type(weft_value value);
/* The three things that an object was made of, borrowed; NULL or none (and EINVAL) of anything else. */
WEFT_API const char *weft_object_name(weft_value value);
WEFT_API weft_value weft_object_arguments(weft_value value);
WEFT_API weft_value weft_object_state(weft_value value);

/* Octets of a str, bytes, bytearray or bigint, items of a list, tuple, dict, set or frozenset, numbers of numbers; 0 (and EINVAL) of
 * anything else. */
WEFT_API size_t weft_length(weft_value value);

/* The item of a list or tuple, borrowed; negative counts from the end. NONE with errno ERANGE outside, EINVAL for another kind. */
WEFT_API weft_value weft_list_at(weft_value list, ptrdiff_t index);
/*
 * Changes to a list: `item` is given away on success. -1 with EINVAL (not a list; `item` is the list itself, or holds it), EBUSY (somebody
 * else holds the list, or something it lies in), ERANGE (no such place), ENOMEM. Negative places count from the end.
 */
WEFT_API int weft_list_append(weft_value list, weft_value item);
/* Before the item that is at `index` now; at the end where that is the length. */
WEFT_API int weft_list_insert(weft_value list, ptrdiff_t index, weft_value item);
/* Instead of the item at `index`, which is dropped. */
WEFT_API int weft_list_set(weft_value list, ptrdiff_t index, weft_value item);
/* Takes an item out: yours; NULL drops it. -1 with EINVAL, EBUSY, ERANGE. */
WEFT_API int weft_list_pop(weft_value list, ptrdiff_t index, weft_value *item);

/*
 * Dicts keep the order in which keys first came. Keys are none, bool, int, bigint, float, str, bytes, and tuples, frozensets and objects of
 * these; equal as in Python (1, 1.0 and true are one key; a NaN is never found again). set: key and item are given away on success; a
 * second set of a key replaces the item, the first key stays. -1 with EINVAL (not a dict; a key of another kind; `item` is the dict itself,
 * or holds it), EBUSY (somebody else holds the dict, or something it lies in), ENOMEM. Hashes are keyed at random in each process, so that
 * keys from strangers do no harm.
 */
WEFT_API int weft_dict_set(weft_value dict, weft_value key, weft_value item);
/*
 * The item, borrowed, through *item (NULL is allowed). -1 with ENOENT, EINVAL, ENOMEM (only for tuples nested deep). The key is only looked
 * at.
 */
WEFT_API int weft_dict_get(weft_value dict, weft_value key, weft_value *item);
/* Takes it out: yours; NULL drops it. -1 with ENOENT, EINVAL, EBUSY, ENOMEM (as get). The key is only looked at. */
WEFT_API int weft_dict_pop(weft_value dict, weft_value key, weft_value *item);
/* The same with a str as key, given as text (NULL: EINVAL). */
WEFT_API int weft_dict_set_str(weft_value dict, const char *key, weft_value item);
WEFT_API int weft_dict_get_str(weft_value dict, const char *key, weft_value *item);
WEFT_API int weft_dict_pop_str(weft_value dict, const char *key, weft_value *item);
/*
 * Walks a dict: size_t at = 0; while (weft_dict_next(dict, &at, &key, &item)) ...; key and item are borrowed, either may be NULL. The dict
 * may not be changed meanwhile, but for setting keys that it has. False at the end, and (EINVAL) for what is no dict.
 */
WEFT_API bool weft_dict_next(weft_value dict, size_t *at, weft_value *key, weft_value *item);

/*
 * Sets are dicts without items. add: `item` is given away on success; 1 when it is new, 0 when an equal one was there (that stays); -1 as
 * weft_dict_set. has: 1 or 0, of a frozenset too; -1 with EINVAL, ENOMEM; the item is only looked at. take: takes the one out that equals
 * `item`: -1 as weft_dict_pop.
 */
WEFT_API int weft_set_add(weft_value set, weft_value item);
WEFT_API int weft_set_has(weft_value set, weft_value item);
WEFT_API int weft_set_take(weft_value set, weft_value item);
/* Walks a set or frozenset as weft_dict_next does a dict; the item is borrowed. */
WEFT_API bool weft_set_next(weft_value set, size_t *at, weft_value *item);

/*
 * Equal as in Python: 1 == 1.0 == true; containers item by item; bytes and bytearrays, sets and frozensets alike; errors by code, type and
 * the text they were made with; numbers of the same type (floats as numbers, others by their octets); objects by their three parts;
 * pointers by address. NaN equals nothing, and a container with one equals only itself. Any depth: two that are nested deep need memory,
 * and without it they are unequal with errno ENOMEM (errno is untouched otherwise). What lies in many places (sixty lists, each of which
 * holds the next twice) is not looked at again in each.
 */
WEFT_API bool weft_equal(weft_value a, weft_value b);
/* What weft_keep and weft_drop do where there may be something to count: call those. */
WEFT_API weft_value weft_keep_counted(weft_value value);
WEFT_API void weft_drop_counted(weft_value value);
/* One more owner; drop it like any other. Cannot fail. */
WEFT_API inline weft_value weft_keep(weft_value value)
{
    return value.kind < WEFT_STR ? value : weft_keep_counted(value);
}
/* Ends one owner's hold; the last frees it, however deep, without recursion. Keeps errno. Cannot fail. */
WEFT_API inline void weft_drop(weft_value value)
{
    if (value.kind >= WEFT_STR)
        weft_drop_counted(value);
}
/*
 * What lies in the container, as it is outside of it; yours. An item that refers upwards to the container (WEFT_ABOVE, at any depth) is
 * copied, with the container in that place; any other is kept. References to what is further up stay what they are: so go from the outside
 * inwards. An error with ENOMEM, EMSGSIZE (there is too much to look at).
 */
WEFT_API weft_value weft_unfold(weft_value container, weft_value item) WEFT_WARN_UNUSED;
/* A list, dict or set of your own with the same items (kept, not copied, unless they refer to it: weft_unfold); of any other value one more
 * hold. ENOMEM as the constructors, EMSGSIZE as weft_unfold. */
WEFT_API weft_value weft_copy(weft_value value);
/*
 * As Python would print it: None, True, 12, 1.5, 'text', b'\x00', [1, 2], (1,), {'a': 1}; besides <error ENOENT: no such page>, <ptr
 * 0x7f00>, <error ENOENT: KeyError: 'k'>.
 * Written as snprintf does: returns the length it has or would have had, and writes at most `size` octets with the zero (NULL with 0
 * measures). What is no UTF-8 in a str is printed as \x..; containers in more than 100 others are [...], (...), {...}. What lies in many
 * places is printed in each, and measured there, whatever the size: sixty lists, each of which holds the next twice, take for ever. Keeps
 * errno. Cannot fail.
 */
WEFT_API size_t weft_repr(weft_value value, char *buffer, size_t size);

WEFT_END

#endif
