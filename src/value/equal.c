/* SPDX-License-Identifier: MIT */
/*
 * Equality, as Python has it but for one thing: a NaN has no identity here, so a list that holds one equals itself, but no copy of it.
 * Two containers are walked side by side, without recursion; only a dict or a set that is searched compares keys once more, and keys hold
 * no dicts, and frozensets only so many within each other.
 *
 * Sixty lists that each hold the next one twice are few, and ways through them there are 2^60. So once many containers were gone into, it
 * is noted which were: the first difference ends it all, so two that a walk has gone into are equal, or what that says makes no difference.
 * Equality being transitive, they are put into one class, and two of one class are not gone into again: there are no more pairs than
 * containers. Only what several hold can be come to more often than what holds it, and looking at one side is enough: the ways to what has
 * one holder are those to the holder.
 */

#include <string.h>

#include "value/object.h"
#include "value/seen.h"

enum { DIFFERENT = 0, SAME = 1 }; /* -1: ENOMEM */
/* Pairs that are gone into before they are noted. */
#ifdef WEFTI_SMALL
enum { UNNOTED = 4 };
#else
enum { UNNOTED = 4096 };
#endif

struct comparison {
    struct wefti_walk walk;
    size_t entered;
    struct wefti_seen seen;
    void *classes; /* by number, a size_t: 0, or another of its class and one more */
    size_t room;   /* of them */
};

static bool kind_is_number(unsigned kind)
{
    return (kind >= WEFT_BOOL && kind <= WEFT_FLOAT) || kind == WEFT_BIGINT;
}

/* Kinds that Python compares with each other are one. */
static unsigned kind_compared(unsigned kind)
{
    return kind == WEFT_BYTEARRAY ? WEFT_BYTES : kind == WEFT_FROZENSET ? WEFT_SET : kind;
}

static bool text_same(const struct wefti_text *a, const struct wefti_text *b)
{
    return a->length == b->length && memcmp(a->octets, b->octets, a->length) == 0;
}

/* Of an integer and another number. One that has 64 bits is never a bigint's equal. */
static bool bigint_same(const struct wefti_text *bigint, weft_value other)
{
    unsigned char octets[WEFTI_FLOAT_OCTETS];
    const struct wefti_text *text = wefti_object_of(other, WEFT_BIGINT);
    if (text)
        return text_same(bigint, text);
    size_t length = other.kind == WEFT_FLOAT ? wefti_bigint_of_float(other.as.real, octets) : 0;
    return length == bigint->length && memcmp(octets, bigint->octets, length) == 0;
}

static bool number_same(weft_value a, weft_value b)
{
    int64_t integer;
    if (wefti_object_of(a, WEFT_BIGINT))
        return bigint_same(wefti_handle_object(a), b);
    if (wefti_object_of(b, WEFT_BIGINT))
        return bigint_same(wefti_handle_object(b), a);
    if (a.kind == WEFT_FLOAT && b.kind == WEFT_FLOAT)
        return a.as.real == b.as.real;
    if (a.kind == WEFT_FLOAT)
        return wefti_float_integer(a.as.real, &integer) && integer == b.as.integer;
    if (b.kind == WEFT_FLOAT)
        return wefti_float_integer(b.as.real, &integer) && integer == a.as.integer;
    return a.as.integer == b.as.integer;
}

static double numbers_float(const struct wefti_text *numbers, size_t at)
{
    double real;
    float single;
    if (numbers->head.more == 'd') {
        memcpy(&real, numbers->octets + at * sizeof(real), sizeof(real));
        return real;
    }
    memcpy(&single, numbers->octets + at * sizeof(single), sizeof(single));
    return (double)single;
}

static bool numbers_same(const struct wefti_text *a, const struct wefti_text *b)
{
    if (a->head.more != b->head.more || (a->head.more != 'f' && a->head.more != 'd'))
        return a->head.more == b->head.more && text_same(a, b);
    size_t count = a->length / wefti_numbers_size((char)a->head.more);
    bool same = a->length == b->length;
    for (size_t i = 0; same && i < count; i++)
        same = numbers_float(a, i) == numbers_float(b, i);
    return same;
}

static bool error_same(const struct wefti_text *a, const struct wefti_text *b)
{
    return text_same(a, b) && a->head.more == b->head.more &&
           (!a->head.more || strcmp(a->octets + a->length + 1, b->octets + b->length + 1) == 0);
}

/* Of two of one kind that hold no values. */
static bool octets_same(unsigned kind, const struct wefti_text *a, const struct wefti_text *b)
{
    if (kind == WEFT_NUMBERS)
        return numbers_same(a, b);
    return kind == WEFT_ERROR ? error_same(a, b) : text_same(a, b);
}

/* Of two of one kind, neither of which has an object: null pointers are what is left of broken values. */
static bool plain_same(weft_value a, weft_value b)
{
    if (a.kind == WEFT_PTR || a.kind == WEFT_ABOVE)
        return a.as.integer == b.as.integer;
    return a.kind == b.kind && a.code == b.code && !wefti_value_counted(a) && !wefti_value_counted(b);
}

/* Who speaks for the class that an object is in: its number there. False: no memory. */
static bool class_of(struct comparison *comparison, const void *object, size_t *number)
{
    bool fresh;
    const size_t *next = wefti_seen_record(&comparison->seen, object, &comparison->classes, &comparison->room, sizeof(size_t), &fresh);
    if (!next)
        return false;
    size_t *classes = comparison->classes, at = (size_t)(next - classes);
    for (; classes[at]; at = classes[at] - 1)
        if (classes[classes[at] - 1])
            classes[at] = classes[classes[at] - 1]; /* half the way, for the next */
    *number = at;
    return true;
}

/* Whether these two were gone into, or others that say the same of them; from now on they were. Without memory they are once more. */
static bool pair_noted(struct comparison *comparison, const void *first, const void *second)
{
    size_t a, b;
    int before = errno;
    bool known = class_of(comparison, first, &a) && class_of(comparison, second, &b);
    errno = before;
    if (!known || a == b)
        return known;
    ((size_t *)comparison->classes)[a] = b + 1;
    return false;
}

static int pair_enter(struct comparison *comparison, weft_value a, weft_value b)
{
    const struct wefti_object *first = wefti_handle_object(a);
    if (comparison->entered < UNNOTED)
        comparison->entered++;
    else if (__atomic_load_n(&first->count, __ATOMIC_RELAXED) > 1 && pair_noted(comparison, first, wefti_handle_object(b)))
        return SAME;
    return wefti_walk_enter(&comparison->walk, a, b) == 0 ? SAME : -1;
}

static int pair_begin(struct comparison *comparison, weft_value a, weft_value b)
{
    if (kind_is_number(a.kind) && kind_is_number(b.kind))
        return number_same(a, b);
    if (kind_compared(a.kind) != kind_compared(b.kind))
        return DIFFERENT;
    if (!wefti_value_counted(a) || !wefti_value_counted(b))
        return plain_same(a, b);
    if (a.code != b.code)
        return DIFFERENT;
    const void *first = wefti_handle_object(a), *second = wefti_handle_object(b);
    if (first == second)
        return SAME;
    if (!wefti_kind_contains(a.kind))
        return octets_same(a.kind, first, second);
    if (a.kind != WEFT_OBJECT && weft_length(a) != weft_length(b))
        return DIFFERENT;
    return pair_enter(comparison, a, b);
}

/* The next two items of the innermost two containers, or out of them. */
static int pair_step(struct comparison *comparison)
{
    struct wefti_frame *top = wefti_walk_top(&comparison->walk);
    size_t place = top->at;
    weft_value key, item, other;
    if (!wefti_container_next(top->container, &top->at, &key)) {
        wefti_walk_leave(&comparison->walk);
        return SAME;
    }
    if (!wefti_kind_hashed(top->container.kind))
        return pair_begin(comparison, key, ((struct wefti_array *)wefti_handle_object(top->partner))->items[place]);
    int found = wefti_dict_find(top->partner, key, &other);
    if (wefti_kind_set(top->container.kind))
        return found;
    wefti_container_next(top->container, &top->at, &item);
    return found == 1 ? pair_begin(comparison, item, other) : found;
}

int wefti_value_compare(weft_value a, weft_value b)
{
    struct comparison comparison;
    wefti_walk_begin(&comparison.walk);
    comparison.entered = 0;
    comparison.seen = (struct wefti_seen){0};
    comparison.classes = NULL;
    comparison.room = 0;
    int same = pair_begin(&comparison, a, b);
    while (same == SAME && wefti_walk_top(&comparison.walk))
        same = pair_step(&comparison);
    wefti_walk_end(&comparison.walk);
    wefti_seen_end(&comparison.seen);
    wefti_release(comparison.classes);
    return same;
}

bool weft_equal(weft_value a, weft_value b)
{
    return wefti_value_compare(a, b) == SAME;
}
