/* SPDX-License-Identifier: MIT */
/*
 * What the files that read pickles share: the machine's state, its stack and its bounds. pickle_read.c has the operations on data,
 * pickle_call.c names and what is done with them, pickle_inert.c what is made of those that are not known, pickle_loops.c what lies in
 * itself; see the first.
 */
#ifndef WEFTI_PICKLE_READER_H
#define WEFTI_PICKLE_READER_H

#include "value/pickle.h"

#include "value/object.h"

enum { WEFTI_NAME = 250 }; /* kind of a name on the stack: the pointer is its entry */

struct wefti_reader_stack {
    void *items;
    size_t count, room;
};

struct wefti_reader {
    const unsigned char *begin, *at, *end;
    struct wefti_reader_stack done;    /* of weft_value, held */
    struct wefti_reader_stack marks;   /* of size_t: how many values were on the stack then */
    struct wefti_reader_stack memo;    /* of weft_value, held */
    struct wefti_reader_stack looping; /* of weft_value, held: lists and dicts that may lie in themselves */
    size_t budget;                     /* octets that are left for values */
    size_t steps;                      /* weight that is left for keys, and things to be looked at for recursion */
    size_t unfinished;                 /* tokens without a state, classes of proxies without a proxy */
    unsigned protocol;                 /* 0: not told */
    char stranger[160];                /* the first name that is not known; "": none yet */
    struct wefti_pickle_limits limits;
    struct wefti_pickle_reason *reason;
};

/* Why not, and -1. Names from the pickle come in here. */
int wefti_reader_refuse(struct wefti_reader *reader, int code, const char *format, ...) WEFT_PRINTF(3, 4);
int wefti_reader_refuse_memory(struct wefti_reader *reader);
int wefti_reader_refuse_opcode(struct wefti_reader *reader, unsigned char opcode);
int wefti_reader_refuse_name(struct wefti_reader *reader, const struct wefti_pickle_name *name, const char *why);

int wefti_reader_refuse_depth(struct wefti_reader *reader);
/* What may not lie in itself does. */
int wefti_reader_refuse_recursive(struct wefti_reader *reader, enum weft_value_kind kind);

/* Before so many octets are made of what the pickle says. */
static inline int wefti_reader_charge(struct wefti_reader *reader, size_t octets)
{
    if (octets > reader->budget)
        return wefti_reader_refuse(
            reader, EMSGSIZE, "the values of a pickle of %zu octets need too much memory", (size_t)(reader->end - reader->begin));
    reader->budget -= octets;
    return 0;
}

/* Room for more, `most` at most; NULL, having said so, where there is none. */
void *wefti_reader_grow(struct wefti_reader *reader, struct wefti_reader_stack *stack, size_t each, size_t most, const char *what);

/* A place on top; NULL, having said so, where there are `most` or no memory. */
static inline void *wefti_reader_place(
    struct wefti_reader *reader, struct wefti_reader_stack *stack, size_t each, size_t most, const char *what)
{
    if (stack->count == stack->room && !wefti_reader_grow(reader, stack, each, most, what))
        return NULL;
    return (char *)stack->items + each * stack->count++;
}

/* A value that is held, onto the stack; it is dropped when there is no place. */
static inline int wefti_reader_push(struct wefti_reader *reader, weft_value value)
{
    weft_value *place = wefti_reader_place(reader, &reader->done, sizeof(*place), reader->limits.stack, "values on its stack");
    if (place)
        *place = value;
    else
        weft_drop(value);
    return place ? 0 : -1;
}

static inline size_t wefti_reader_mark(const struct wefti_reader *reader)
{
    return reader->marks.count ? ((size_t *)reader->marks.items)[reader->marks.count - 1] : 0;
}

/* The topmost `count` values that lie above the last mark, still held by the stack; NULL when there are not so many. */
weft_value *wefti_reader_top(struct wefti_reader *reader, size_t count);
/* The topmost values are dropped. */
static inline void wefti_reader_pop(struct wefti_reader *reader, size_t count)
{
    while (count-- > 0)
        weft_drop(((weft_value *)reader->done.items)[--reader->done.count]);
}

/* The topmost values have been given away. */
static inline void wefti_reader_popped(struct wefti_reader *reader, size_t count)
{
    reader->done.count -= count;
}

static inline struct wefti_container *wefti_container_of(weft_value value)
{
    return wefti_kind_contains(value.kind) ? wefti_handle_object(value) : NULL;
}

/* Adds an item to the weight of what it will lie in. */
int wefti_reader_weigh(struct wefti_reader *reader, uint32_t *outer, weft_value item);
/* The weight of what all these will lie in. */
int wefti_reader_weigh_all(struct wefti_reader *reader, uint32_t *outer, const weft_value *items, size_t count);
/* The container of this kind, to be filled; NULL when it is of another, or may not be changed as it lies in something already. */
void *wefti_reader_filled(struct wefti_reader *reader, weft_value value, enum weft_value_kind kind);
/* Keys and items in turn into a dict, or items into a set; how many were taken is told even when it fails. */
int wefti_reader_fill_hashed(struct wefti_reader *reader, weft_value value, const weft_value *items, size_t count, size_t *taken);
/* Of items that stay whose they are: kept. */
weft_value wefti_reader_frozenset(struct wefti_reader *reader, const weft_value *items, size_t count);

/* pickle_loops.c */
/* Notes that a list or dict may come to lie in itself. 1; -1: no memory. */
int wefti_reader_loop(struct wefti_reader *reader, weft_value value);
/* Replaces a value, which is held, by the same without cycles. What there was goes, so the budget for that is a new one; twice as large, as
 * something is noted of each container, too. -1, having said why. */
int wefti_reader_unloop(struct wefti_reader *reader, weft_value *value);
/* At the end, whatever came of it. */
void wefti_reader_loops_end(struct wefti_reader *reader);
/* Octets that values may have. */
size_t wefti_reader_budget(const struct wefti_reader *reader);

/* pickle_call.c */
/* A name onto the stack, or the value that it stands for. */
int wefti_reader_push_name(struct wefti_reader *reader, const char *module, size_t module_length, const char *name, size_t length);
/* The operations that call what a name leads to, make an object of its class, set an object's state. */
int wefti_reader_reduce(struct wefti_reader *reader);
int wefti_reader_newobj(struct wefti_reader *reader);
int wefti_reader_build(struct wefti_reader *reader);
/* What a fill left of the topmost items is dropped. */
int wefti_reader_filled_with(struct wefti_reader *reader, weft_value *items, size_t count, size_t taken, int result);

/* pickle_inert.c */
/* A name that is not known, onto the stack; -1, having said so, where that is refused. */
int wefti_reader_stranger(struct wefti_reader *reader, const char *module, size_t module_length, const char *name, size_t length);
/* Known names among values that are about to be put into something: a relay has them as values. -1, having said why. */
int wefti_reader_settle(struct wefti_reader *reader, weft_value *items, size_t count);
/* An inert object of this name, in place of the topmost values that it is made of. */
int wefti_reader_inert(struct wefti_reader *reader, const char *kind, const weft_value *parts, size_t count);
/* Notes what is done to an inert object, and with what: of "b" a state, else items; how many were taken is told even when it fails. */
int wefti_reader_note(struct wefti_reader *reader, weft_value value, const char *does, weft_value *items, size_t count, size_t *taken);
int wefti_reader_newobj_ex(struct wefti_reader *reader);

#endif
