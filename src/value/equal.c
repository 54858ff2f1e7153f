/* SPDX-License-Identifier: MIT */
/*
 * Equality, as Python has it but for one thing: a NaN has no identity here, so a list that holds one equals itself, but no copy of it.
 * Two containers are walked side by side, without recursion; only a dict that is searched compares keys once more, and keys hold no dicts.
 */

#include <string.h>

#include "value/object.h"

enum { DIFFERENT = 0, SAME = 1 }; /* -1: ENOMEM */

static bool kind_is_number(unsigned kind)
{
    return kind >= WEFT_BOOL && kind <= WEFT_FLOAT;
}

static bool number_same(weft_value a, weft_value b)
{
    int64_t integer;
    if (a.kind == WEFT_FLOAT && b.kind == WEFT_FLOAT)
        return a.as.real == b.as.real;
    if (a.kind == WEFT_FLOAT)
        return wefti_float_integer(a.as.real, &integer) && integer == b.as.integer;
    if (b.kind == WEFT_FLOAT)
        return wefti_float_integer(b.as.real, &integer) && integer == a.as.integer;
    return a.as.integer == b.as.integer;
}

static bool text_same(const struct wefti_text *a, const struct wefti_text *b)
{
    return a->length == b->length && memcmp(a->octets, b->octets, a->length) == 0;
}

/* Of two of one kind, neither of which has an object: null pointers are what is left of broken values. */
static bool plain_same(weft_value a, weft_value b)
{
    if (a.kind == WEFT_PTR)
        return a.as.pointer == b.as.pointer;
    return a.code == b.code && !wefti_value_counted(a) && !wefti_value_counted(b);
}

static int pair_begin(struct wefti_walk *walk, weft_value a, weft_value b)
{
    if (kind_is_number(a.kind) && kind_is_number(b.kind))
        return number_same(a, b);
    if (a.kind != b.kind)
        return DIFFERENT;
    if (!wefti_value_counted(a) || !wefti_value_counted(b))
        return plain_same(a, b);
    if (a.code != b.code)
        return DIFFERENT;
    const void *first = wefti_handle_object(a), *second = wefti_handle_object(b);
    if (first == second)
        return SAME;
    if (!wefti_kind_contains(a.kind))
        return text_same(first, second);
    if (weft_length(a) != weft_length(b))
        return DIFFERENT;
    return wefti_walk_enter(walk, a, b) == 0 ? SAME : -1;
}

/* The next two items of the innermost two containers, or out of them. */
static int pair_step(struct wefti_walk *walk)
{
    struct wefti_frame *top = wefti_walk_top(walk);
    size_t place = top->at;
    weft_value key, item, other;
    if (!wefti_container_next(top->container, &top->at, &key)) {
        wefti_walk_leave(walk);
        return SAME;
    }
    if (top->container.kind != WEFT_DICT)
        return pair_begin(walk, key, weft_list_at(top->partner, (ptrdiff_t)place));
    int found = wefti_dict_find(top->partner, key, &other);
    wefti_container_next(top->container, &top->at, &item);
    return found == 1 ? pair_begin(walk, item, other) : found;
}

int wefti_value_compare(weft_value a, weft_value b)
{
    struct wefti_walk walk;
    wefti_walk_begin(&walk);
    int same = pair_begin(&walk, a, b);
    while (same == SAME && wefti_walk_top(&walk))
        same = pair_step(&walk);
    wefti_walk_end(&walk);
    return same;
}

bool weft_equal(weft_value a, weft_value b)
{
    return wefti_value_compare(a, b) == SAME;
}
