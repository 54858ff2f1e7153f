/* SPDX-License-Identifier: MIT */
/*
 * Reading pickles. A pickle is a program for a small machine with a stack and a memo; this machine has the operations that make data, and no others. What a
 * name leads to is an entry of a table; "calling" one makes a value of the arguments, by code that stands here.
 *
 * The stack holds finished values, containers that are still being filled, and names (of the kind NAME, which never leaves this file). Marks are kept beside
 * it. The memo has a hold of its own on what it knows.
 *
 * No cycles. Values have none, and a pickle can make one only by putting something into a container that lies in another already; Python's pickles do that for
 * recursive data and for nothing else. So a container that lies anywhere is closed for good, and whoever would still change it is refused. That also makes
 * depth known when it arises: a container's items are complete when they come.
 *
 * Bounds. Each value is charged to the budget before it is made; what a pickle can refer to again and again is shared, not copied. Hashing and comparing keys
 * is work that sharing can multiply (forty tuples, each holding the next twice, are a key of 2^40 items), so a container's `weight`
 * is what it would be in full: 10 bits of depth, 22 bits of items (octets of texts count a sixteenth), which stop at their end. Keys are charged by it.
 * Freeing is weft_drop's, which does not recurse.
 */

#include "value/pickle.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "value/object.h"
#include "value/utf8.h"

enum { NAME = 250 }; /* kind of a name on the stack: the pointer is its entry */
enum { DEPTH_BITS = 10, DEPTH_MOST = 1000 };
static const uint32_t WEIGHT_MOST = (1U << (32 - DEPTH_BITS)) - 1;

struct stack {
    void *items;
    size_t count, room;
};

struct reader {
    const unsigned char *begin, *at, *end;
    struct stack done;  /* of weft_value, held */
    struct stack marks; /* of size_t: how many values were on the stack then */
    struct stack memo;  /* of weft_value, held */
    size_t budget;      /* octets that are left for values */
    size_t steps;       /* weight that is left for keys */
    size_t unfinished;  /* tokens without a state, classes of proxies without a proxy */
    unsigned protocol;  /* 0: not told */
    struct wefti_pickle_limits limits;
    struct wefti_pickle_reason *reason;
};

typedef int operation(struct reader *reader);

/* Why not, and -1. Names from the pickle come in here. */
__attribute__((format(printf, 3, 4))) static int refuse(struct reader *reader, int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reader->reason->text, sizeof(reader->reason->text), format, arguments);
    va_end(arguments);
    for (char *at = reader->reason->text; *at; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
    errno = code;
    return -1;
}

static int refuse_cut(struct reader *reader)
{
    return refuse(reader, EBADMSG, "the pickle ends too soon");
}

static int refuse_memory(struct reader *reader)
{
    return refuse(reader, ENOMEM, "out of memory");
}

static size_t octets_left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* A number of so many octets, the lowest first. */
static int take_number(struct reader *reader, unsigned octets, uint64_t *number)
{
    *number = 0;
    if (octets_left(reader) < octets)
        return refuse_cut(reader);
    for (unsigned i = octets; i-- > 0;)
        *number = *number << 8 | reader->at[i];
    reader->at += octets;
    return 0;
}

/* A length of so many octets, and where what has that length lies. */
static int take_octets(struct reader *reader, unsigned octets, const char **text, size_t *length)
{
    uint64_t number;
    *text = NULL;
    *length = 0;
    if (take_number(reader, octets, &number) != 0)
        return -1;
    if (number > octets_left(reader))
        return refuse_cut(reader);
    *text = (const char *)reader->at;
    *length = number;
    reader->at += number;
    return 0;
}

static int charge(struct reader *reader, size_t octets)
{
    if (octets > reader->budget)
        return refuse(reader, EMSGSIZE, "the values of a pickle of %zu octets need too much memory", (size_t)(reader->end - reader->begin));
    reader->budget -= octets;
    return 0;
}

/* Room for more, `most` at most; NULL, having said so, where there is none. */
static void *stack_grow(struct reader *reader, struct stack *stack, size_t each, size_t most, const char *what)
{
    if (stack->count >= most) {
        refuse(reader, EMSGSIZE, "the pickle has more than %zu %s", most, what);
        return NULL;
    }
    size_t room = stack->room ? 2 * stack->room : 16;
    room = room < most ? room : most;
    void *items = wefti_realloc(stack->items, room * each);
    if (!items) {
        refuse_memory(reader);
        return NULL;
    }
    stack->items = items;
    stack->room = room;
    return items;
}

/* A place on top; NULL, having said so, where there are `most` or no memory. */
static inline void *stack_push(struct reader *reader, struct stack *stack, size_t each, size_t most, const char *what)
{
    if (stack->count == stack->room && !stack_grow(reader, stack, each, most, what))
        return NULL;
    return (char *)stack->items + each * stack->count++;
}

static size_t mark_top(const struct reader *reader)
{
    return reader->marks.count ? ((size_t *)reader->marks.items)[reader->marks.count - 1] : 0;
}

/* A value that is held, onto the stack; it is dropped when there is no place. */
static int push(struct reader *reader, weft_value value)
{
    weft_value *place = stack_push(reader, &reader->done, sizeof(*place), reader->limits.stack, "values on its stack");
    if (place)
        *place = value;
    else
        weft_drop(value);
    return place ? 0 : -1;
}

/* What a constructor made, onto the stack. */
static int push_made(struct reader *reader, weft_value value)
{
    return value.kind == WEFT_ERROR ? refuse_memory(reader) : push(reader, value);
}

/* The topmost `count` values that lie above the last mark, still held by the stack; NULL when there are not so many. */
static weft_value *top(struct reader *reader, size_t count)
{
    static weft_value nothing; /* the address of no values */
    if (reader->done.count - mark_top(reader) >= count)
        return reader->done.items ? (weft_value *)reader->done.items + reader->done.count - count : &nothing;
    refuse(reader, EBADMSG, "the pickle's stack is empty at offset %zu", (size_t)(reader->at - reader->begin) - 1);
    return NULL;
}

/* What lies above the last mark, which goes; `below` values must lie under it. NULL without a mark. */
static weft_value *top_mark(struct reader *reader, size_t below, size_t *count)
{
    if (reader->marks.count == 0) {
        refuse(reader, EBADMSG, "the pickle has no mark at offset %zu", (size_t)(reader->at - reader->begin) - 1);
        return NULL;
    }
    size_t mark = mark_top(reader);
    reader->marks.count--;
    *count = reader->done.count - mark;
    weft_value *lowest = top(reader, *count + below);
    return lowest ? lowest + below : NULL;
}

/* The topmost values are dropped. */
static void pop(struct reader *reader, size_t count)
{
    while (count-- > 0)
        weft_drop(((weft_value *)reader->done.items)[--reader->done.count]);
}

/* The topmost values have been given away. */
static void popped(struct reader *reader, size_t count)
{
    reader->done.count -= count;
}

static int refuse_name(struct reader *reader, const struct wefti_pickle_name *name, const char *why)
{
    return refuse(reader, EBADMSG, "refusing pickle global %s.%s %s", name->module, name->name, why);
}

static struct wefti_container *container_of(weft_value value)
{
    return wefti_kind_contains(value.kind) ? wefti_handle_object(value) : NULL;
}

static unsigned value_depth(weft_value value)
{
    const struct wefti_container *container = container_of(value);
    return container ? container->weight & ((1U << DEPTH_BITS) - 1) : 0;
}

static uint32_t value_weight(weft_value value)
{
    const struct wefti_container *container = container_of(value);
    if (container)
        return container->weight >> DEPTH_BITS;
    const struct wefti_text *text = wefti_text_of(value);
    size_t words = text ? text->length / 16 : 0;
    return words < WEIGHT_MOST ? (uint32_t)words + 1 : WEIGHT_MOST;
}

/* Adds an item to the weight of what it will lie in. */
static int weigh(struct reader *reader, uint32_t *outer, weft_value item)
{
    if (item.kind == NAME)
        return refuse_name(reader, item.as.pointer, "as a value");
    unsigned depth = *outer & ((1U << DEPTH_BITS) - 1), inner = value_depth(item) + 1;
    uint32_t weight = *outer >> DEPTH_BITS, more = value_weight(item);
    if (inner > reader->limits.depth)
        return refuse(reader, EMSGSIZE, "the pickle's values lie more than %u within each other", reader->limits.depth);
    weight = more < WEIGHT_MOST - weight ? weight + more : WEIGHT_MOST;
    *outer = weight << DEPTH_BITS | (inner > depth ? inner : depth);
    return 0;
}

static int weigh_all(struct reader *reader, uint32_t *outer, const weft_value *items, size_t count)
{
    *outer = 1U << DEPTH_BITS | 1;
    for (size_t i = 0; i < count; i++)
        if (weigh(reader, outer, items[i]) != 0)
            return -1;
    return 0;
}

/* Before a value is hashed or compared as a key. */
static int charge_key(struct reader *reader, weft_value key)
{
    uint32_t weight = value_weight(key);
    if (weight > reader->steps)
        return refuse(reader, EMSGSIZE, "the keys of a pickle of %zu octets are too large", (size_t)(reader->end - reader->begin));
    reader->steps -= weight;
    return 0;
}

/* The container of this kind below `count` values; NULL when there is none, or it lies in another. */
static void *filled(struct reader *reader, weft_value value, enum weft_value_kind kind)
{
    struct wefti_container *container = wefti_object_of(value, kind);
    if (!container)
        refuse(reader, EBADMSG, "the pickle has no %s at offset %zu", weft_kind_name(kind), (size_t)(reader->at - reader->begin) - 1);
    else if (container->inside == 0)
        return container;
    else
        refuse(reader, EBADMSG, "refusing a value that lies in itself (a %s)", weft_kind_name(kind));
    return NULL;
}

static int refuse_key(struct reader *reader)
{
    return errno == ENOMEM ? refuse_memory(reader)
                           : refuse(reader, EBADMSG, "the pickle has a key or a member of a set that cannot be one");
}

/* Scalars. */

static int do_none(struct reader *reader)
{
    return push(reader, weft_none);
}

static int do_true(struct reader *reader)
{
    return push(reader, weft_bool(true));
}

static int do_false(struct reader *reader)
{
    return push(reader, weft_bool(false));
}

static int do_int1(struct reader *reader)
{
    uint64_t number;
    return take_number(reader, 1, &number) == 0 ? push(reader, weft_int((int64_t)number)) : -1;
}

static int do_int2(struct reader *reader)
{
    uint64_t number;
    return take_number(reader, 2, &number) == 0 ? push(reader, weft_int((int64_t)number)) : -1;
}

static int do_int4(struct reader *reader)
{
    uint64_t number;
    return take_number(reader, 4, &number) == 0 ? push(reader, weft_int((int32_t)(uint32_t)number)) : -1;
}

static int do_float(struct reader *reader)
{
    uint64_t number;
    double real;
    if (take_number(reader, 8, &number) != 0)
        return -1;
    number = __builtin_bswap64(number);
    memcpy(&real, &number, sizeof(real));
    return push(reader, weft_float(real));
}

static int take_integer(struct reader *reader, unsigned octets)
{
    const char *text;
    size_t length;
    if (take_octets(reader, octets, &text, &length) != 0 || charge(reader, length > 8 ? sizeof(struct wefti_text) + length : 0) != 0)
        return -1;
    weft_value value = weft_int_n(text, length);
    if (value.kind == WEFT_ERROR && value.code == EOVERFLOW)
        return refuse(reader, EMSGSIZE, "the pickle has an integer of more than %d octets", WEFT_BIGINT_MOST);
    return push_made(reader, value);
}

static int do_long1(struct reader *reader)
{
    return take_integer(reader, 1);
}

static int do_long4(struct reader *reader)
{
    return take_integer(reader, 4);
}

/* Texts. */

static int take_text(struct reader *reader, enum weft_value_kind kind, unsigned octets)
{
    const char *text;
    size_t length;
    if (take_octets(reader, octets, &text, &length) != 0 || charge(reader, sizeof(struct wefti_text) + length + 1) != 0)
        return -1;
    if (kind == WEFT_STR && !wefti_utf8_is(text, length))
        return refuse(reader, EBADMSG, "the pickle has a str that is no UTF-8");
    return push_made(reader, wefti_text_new(kind, 0, text, length));
}

static int do_str1(struct reader *reader)
{
    return take_text(reader, WEFT_STR, 1);
}

static int do_str4(struct reader *reader)
{
    return take_text(reader, WEFT_STR, 4);
}

static int do_str8(struct reader *reader)
{
    return take_text(reader, WEFT_STR, 8);
}

static int do_bytes1(struct reader *reader)
{
    return take_text(reader, WEFT_BYTES, 1);
}

static int do_bytes4(struct reader *reader)
{
    return take_text(reader, WEFT_BYTES, 4);
}

static int do_bytes8(struct reader *reader)
{
    return take_text(reader, WEFT_BYTES, 8);
}

static int do_bytearray8(struct reader *reader)
{
    return take_text(reader, WEFT_BYTEARRAY, 8);
}

/* Containers. */

static int begin_container(struct reader *reader, size_t size, weft_value (*make)(void))
{
    if (charge(reader, size) != 0)
        return -1;
    weft_value made = make();
    if (made.kind != WEFT_ERROR)
        container_of(made)->weight = 1U << DEPTH_BITS | 1;
    return push_made(reader, made);
}

static int do_list(struct reader *reader)
{
    return begin_container(reader, sizeof(struct wefti_array), weft_list);
}

static int do_dict(struct reader *reader)
{
    return begin_container(reader, sizeof(struct wefti_dict), weft_dict);
}

static int do_set(struct reader *reader)
{
    return begin_container(reader, sizeof(struct wefti_dict), weft_set);
}

/* Values that are held, into a list; how many were taken is told even when it fails. */
static int list_fill(struct reader *reader, weft_value list, const weft_value *items, size_t count, size_t *taken)
{
    *taken = 0;
    struct wefti_array *array = filled(reader, list, WEFT_LIST);
    if (!array || charge(reader, count * sizeof(*items)) != 0)
        return -1;
    for (; *taken < count; ++*taken) {
        weft_value item = items[*taken];
        if (container_of(item) == &array->container)
            return refuse(reader, EBADMSG, "refusing a value that lies in itself (a list)");
        if (weigh(reader, &array->container.weight, item) != 0)
            return -1;
        if (wefti_list_add(array, item) != 0)
            return refuse_memory(reader);
    }
    return 0;
}

/* Into a dict, keys and items in turn, or into a set. */
static int hashed_fill(struct reader *reader, weft_value value, const weft_value *items, size_t count, size_t *taken)
{
    bool pairs = value.kind == WEFT_DICT;
    *taken = 0;
    struct wefti_dict *dict = filled(reader, value, pairs ? WEFT_DICT : WEFT_SET);
    if (!dict || charge(reader, count / (pairs ? 2 : 1) * (sizeof(struct wefti_entry) + sizeof(uint32_t) * 3 / 2)) != 0)
        return -1;
    for (; *taken < count; *taken += pairs ? 2 : 1) {
        weft_value key = items[*taken], item = pairs ? items[*taken + 1] : weft_none;
        uint32_t *weight = &dict->container.weight;
        if (container_of(item) == &dict->container)
            return refuse(reader, EBADMSG, "refusing a value that lies in itself (a dict)");
        if (weigh(reader, weight, key) != 0 || (pairs && weigh(reader, weight, item) != 0) || charge_key(reader, key) != 0)
            return -1;
        if (wefti_dict_add(dict, key, item) < 0)
            return refuse_key(reader);
    }
    return 0;
}

/* What a fill left of the items is dropped. */
static int fill_end(struct reader *reader, weft_value *items, size_t count, size_t taken, int result)
{
    for (size_t i = taken; i < count; i++)
        weft_drop(items[i]);
    popped(reader, count);
    return result;
}

static int do_append(struct reader *reader)
{
    size_t taken;
    weft_value *items = top(reader, 2);
    if (!items)
        return -1;
    int result = list_fill(reader, items[0], items + 1, 1, &taken);
    return fill_end(reader, items + 1, 1, taken, result);
}

static int do_appends(struct reader *reader)
{
    size_t count, taken;
    weft_value *items = top_mark(reader, 1, &count);
    if (!items)
        return -1;
    int result = list_fill(reader, items[-1], items, count, &taken);
    return fill_end(reader, items, count, taken, result);
}

static int do_setitem(struct reader *reader)
{
    size_t taken;
    weft_value *items = top(reader, 3);
    if (!items)
        return -1;
    if (items[0].kind != WEFT_DICT)
        return refuse(reader, EBADMSG, "the pickle has no dict at offset %zu", (size_t)(reader->at - reader->begin) - 1);
    int result = hashed_fill(reader, items[0], items + 1, 2, &taken);
    return fill_end(reader, items + 1, 2, taken, result);
}

static int fill_marked(struct reader *reader, enum weft_value_kind kind)
{
    size_t count, taken = 0;
    weft_value *items = top_mark(reader, 1, &count);
    if (!items)
        return -1;
    int result = -1;
    if (items[-1].kind != kind || (kind == WEFT_DICT && count % 2 != 0))
        refuse(reader, EBADMSG, "the pickle has no %s at offset %zu", weft_kind_name(kind), (size_t)(reader->at - reader->begin) - 1);
    else
        result = hashed_fill(reader, items[-1], items, count, &taken);
    return fill_end(reader, items, count, taken, result);
}

static int do_setitems(struct reader *reader)
{
    return fill_marked(reader, WEFT_DICT);
}

static int do_additems(struct reader *reader)
{
    return fill_marked(reader, WEFT_SET);
}

/* A tuple of the topmost values. */
static int tuple_of(struct reader *reader, weft_value *items, size_t count)
{
    uint32_t weight;
    if (weigh_all(reader, &weight, items, count) != 0 || charge(reader, sizeof(struct wefti_array) + count * sizeof(*items)) != 0)
        return -1;
    weft_value tuple = wefti_tuple_of_unseen(items, count);
    if (tuple.kind == WEFT_ERROR)
        return refuse_memory(reader);
    popped(reader, count);
    container_of(tuple)->weight = weight;
    return push(reader, tuple);
}

static int do_tuple0(struct reader *reader)
{
    return tuple_of(reader, NULL, 0);
}

static int tuple_top(struct reader *reader, size_t count)
{
    weft_value *items = top(reader, count);
    return items ? tuple_of(reader, items, count) : -1;
}

static int do_tuple1(struct reader *reader)
{
    return tuple_top(reader, 1);
}

static int do_tuple2(struct reader *reader)
{
    return tuple_top(reader, 2);
}

static int do_tuple3(struct reader *reader)
{
    return tuple_top(reader, 3);
}

static int do_tuple(struct reader *reader)
{
    size_t count;
    weft_value *items = top_mark(reader, 0, &count);
    return items ? tuple_of(reader, items, count) : -1;
}

/* Of items that stay whose they are: kept. */
static weft_value frozenset_of(struct reader *reader, const weft_value *items, size_t count)
{
    uint32_t weight;
    weft_value failed = {.kind = WEFT_ERROR};
    if (weigh_all(reader, &weight, items, count) != 0 ||
        charge(reader, sizeof(struct wefti_dict) + count * (sizeof(struct wefti_entry) + sizeof(uint32_t) * 3 / 2)) != 0)
        return failed;
    for (size_t i = 0; i < count; i++)
        if (charge_key(reader, items[i]) != 0)
            return failed;
    weft_value set = weft_frozenset(count ? items : NULL, count);
    if (set.kind == WEFT_ERROR)
        refuse_key(reader);
    else
        container_of(set)->weight = weight;
    return set;
}

static int do_frozenset(struct reader *reader)
{
    size_t count;
    weft_value *items = top_mark(reader, 0, &count);
    weft_value set = items ? frozenset_of(reader, items, count) : weft_error(EBADMSG, NULL);
    if (set.kind == WEFT_ERROR)
        return -1;
    popped(reader, count);
    return push(reader, set);
}

/* Stack and memo. */

static int do_mark(struct reader *reader)
{
    size_t *mark = stack_push(reader, &reader->marks, sizeof(*mark), reader->limits.stack, "marks");
    if (!mark)
        return -1;
    *mark = reader->done.count;
    return 0;
}

static int do_pop(struct reader *reader)
{
    if (reader->marks.count && mark_top(reader) == reader->done.count) {
        reader->marks.count--;
        return 0;
    }
    if (!top(reader, 1))
        return -1;
    pop(reader, 1);
    return 0;
}

static int do_pop_mark(struct reader *reader)
{
    size_t count = 0;
    if (!top_mark(reader, 0, &count))
        return -1;
    pop(reader, count);
    return 0;
}

static int do_memoize(struct reader *reader)
{
    weft_value *known = top(reader, 1);
    if (!known)
        return -1;
    weft_value *place = stack_push(reader, &reader->memo, sizeof(*place), reader->limits.memo, "values in its memo");
    if (!place)
        return -1;
    *place = wefti_value_keep_unseen(*known);
    return 0;
}

static int refuse_memo(struct reader *reader, uint64_t number)
{
    return refuse(reader, EBADMSG, "the pickle's memo has no value %llu", (unsigned long long)number);
}

static int get(struct reader *reader, unsigned octets)
{
    uint64_t number;
    if (take_number(reader, octets, &number) != 0)
        return -1;
    if (number >= reader->memo.count)
        return refuse_memo(reader, number);
    return push(reader, wefti_value_keep_unseen(((weft_value *)reader->memo.items)[number]));
}

static int do_get1(struct reader *reader)
{
    return get(reader, 1);
}

static int do_get4(struct reader *reader)
{
    return get(reader, 4);
}

/* What protocols 2 and 3 have, and later ones no more. */
static int old(struct reader *reader, unsigned char opcode)
{
    if (reader->protocol == 2 || reader->protocol == 3)
        return 0;
    return refuse(reader, EBADMSG, "refusing pickle opcode 0x%02x at offset %zu%s", opcode, (size_t)(reader->at - reader->begin) - 1,
        reader->protocol ? "" : ": protocols 0 and 1 are not read");
}

static int put(struct reader *reader, unsigned octets)
{
    uint64_t number;
    if (old(reader, reader->at[-1]) != 0 || take_number(reader, octets, &number) != 0)
        return -1;
    if (number > reader->memo.count)
        return refuse_memo(reader, number);
    if (number == reader->memo.count)
        return do_memoize(reader);
    weft_value *known = top(reader, 1), *place = (weft_value *)reader->memo.items + number;
    if (!known)
        return -1;
    weft_value before = *place;
    *place = wefti_value_keep_unseen(*known);
    wefti_value_drop_unseen(before);
    return 0;
}

static int do_put1(struct reader *reader)
{
    return put(reader, 1);
}

static int do_put4(struct reader *reader)
{
    return put(reader, 4);
}

static int do_proto(struct reader *reader)
{
    uint64_t protocol;
    if (take_number(reader, 1, &protocol) != 0)
        return -1;
    if (protocol < 2 || protocol > 5)
        return refuse(reader, EBADMSG, "refusing pickle protocol %u: 2 to 5 are read", (unsigned)protocol);
    reader->protocol = (unsigned)protocol;
    return 0;
}

static int do_frame(struct reader *reader)
{
    uint64_t length;
    if (take_number(reader, 8, &length) != 0)
        return -1;
    return length <= octets_left(reader) ? 0 : refuse_cut(reader);
}

/* Names, and what is done with them. */

/* An object of the name's class; takes neither. An error value, having said why. */
static weft_value object_of(struct reader *reader, const struct wefti_pickle_name *name, weft_value arguments)
{
    char full[WEFTI_PICKLE_FULL];
    wefti_pickle_full(name, full);
    uint32_t weight;
    weft_value failed = {.kind = WEFT_ERROR};
    if (weigh_all(reader, &weight, &arguments, 1) != 0 ||
        charge(reader, sizeof(struct wefti_array) + 3 * sizeof(arguments) + sizeof(struct wefti_text) + strlen(full) + 1) != 0)
        return failed;
    weft_value kept = weft_keep(arguments), object = weft_object(full, kept, weft_none);
    if (object.kind != WEFT_ERROR) {
        container_of(object)->weight = weight;
        return object;
    }
    weft_drop(kept);
    refuse_memory(reader);
    return failed;
}

static int push_name(struct reader *reader, const char *module, size_t module_length, const char *name, size_t length)
{
    const struct wefti_pickle_name *known = wefti_pickle_find(module, module_length, name, length);
    if (!known)
        return refuse(reader, EBADMSG, "refusing pickle global %.*s.%.*s", module_length < 80 ? (int)module_length : 80, module,
            length < 80 ? (int)length : 80, name);
    if (known->use != WEFTI_PICKLE_CONSTANT && known->use != WEFTI_PICKLE_PROXY_CLASS)
        return push(reader, (weft_value){.kind = NAME, .as.pointer = (void *)(uintptr_t)known});
    weft_value object = object_of(reader, known, weft_none);
    if (object.kind == WEFT_ERROR)
        return -1;
    if (known->use == WEFTI_PICKLE_PROXY_CLASS) {
        container_of(object)->head.more = 1; /* no proxy has it yet */
        reader->unfinished++;
    }
    return push(reader, object);
}

static int do_stack_global(struct reader *reader)
{
    weft_value *both = top(reader, 2);
    if (!both)
        return -1;
    weft_value module = both[0], name = both[1];
    if (!wefti_object_of(module, WEFT_STR) || !wefti_object_of(name, WEFT_STR))
        return refuse(reader, EBADMSG, "the pickle has a global without a name");
    popped(reader, 2);
    int result = push_name(reader, weft_as_str(module), weft_length(module), weft_as_str(name), weft_length(name));
    weft_drop(module), weft_drop(name);
    return result;
}

/* Up to the end of the line, which goes. */
static int take_line(struct reader *reader, const char **line, size_t *length)
{
    const unsigned char *end = memchr(reader->at, '\n', octets_left(reader));
    *line = NULL;
    *length = 0;
    if (!end)
        return refuse_cut(reader);
    *line = (const char *)reader->at;
    *length = (size_t)(end - reader->at);
    reader->at = end + 1;
    return 0;
}

static int do_global(struct reader *reader)
{
    const char *module, *name;
    size_t module_length, length;
    if (old(reader, reader->at[-1]) != 0 || take_line(reader, &module, &module_length) != 0 || take_line(reader, &name, &length) != 0)
        return -1;
    return push_name(reader, module, module_length, name, length);
}

/* Arguments as a call wants them: so many, each of the kind that stands in `kinds` (numbers of enum weft_value_kind), UINT8_MAX being any. */
static bool arguments_are(weft_value arguments, size_t count, const uint8_t *kinds)
{
    bool fit = weft_length(arguments) == count;
    for (size_t i = 0; fit && i < count; i++)
        fit = kinds[i] == UINT8_MAX || weft_list_at(arguments, (ptrdiff_t)i).kind == kinds[i];
    return fit;
}

#define ARE(arguments_, ...) arguments_are((arguments_), sizeof((uint8_t[]){__VA_ARGS__}), (const uint8_t[]){__VA_ARGS__})

static bool is_latin(weft_value encoding)
{
    const char *name = weft_as_str(encoding);
    return strcmp(name, "latin1") == 0 || strcmp(name, "latin-1") == 0;
}

/* Octets of a str whose characters they are; protocol 2 has no other way. */
static weft_value bytes_of_str(struct reader *reader, enum weft_value_kind kind, weft_value text)
{
    size_t length = weft_length(text), count = 0;
    const char *from = weft_as_str(text);
    char *octets = wefti_alloc_raw(length + 1);
    weft_value made = {.kind = WEFT_ERROR};
    uint32_t character;
    if (!octets) {
        refuse_memory(reader);
        return made;
    }
    for (size_t at = 0; at < length; count++) {
        at += wefti_utf8_character(from + at, length - at, &character);
        if (character > 0xff)
            break;
        octets[count] = (char)character;
    }
    if (length && character > 0xff)
        refuse(reader, EBADMSG, "the pickle has bytes that are none");
    else
        made = wefti_text_new(kind, 0, octets, count);
    wefti_release(octets);
    return made;
}

static weft_value call_encode(struct reader *reader, enum weft_value_kind kind, weft_value arguments)
{
    weft_value text = weft_list_at(arguments, 0);
    if (charge(reader, sizeof(struct wefti_text) + weft_length(text) + 1) != 0)
        return weft_error(EMSGSIZE, NULL);
    return bytes_of_str(reader, kind, text);
}

static weft_value call_bytearray(struct reader *reader, const struct wefti_pickle_name *name, weft_value arguments)
{
    weft_value failed = {.kind = WEFT_ERROR}, octets = weft_length(arguments) ? weft_list_at(arguments, 0) : weft_none;
    if (ARE(arguments, WEFT_STR, WEFT_STR) && is_latin(weft_list_at(arguments, 1)))
        return call_encode(reader, WEFT_BYTEARRAY, arguments);
    if (weft_length(arguments) != 0 && !ARE(arguments, WEFT_BYTES)) {
        refuse_name(reader, name, "with these arguments");
        return failed;
    }
    size_t length = weft_is_none(octets) ? 0 : weft_length(octets);
    if (charge(reader, sizeof(struct wefti_text) + length + 1) != 0)
        return failed;
    weft_value made = weft_bytearray(length ? weft_as_bytes(octets) : NULL, length);
    if (made.kind == WEFT_ERROR)
        refuse_memory(reader);
    return made;
}

/* A number of an array that came as a list: false when it is none of the letter's. */
static bool number_put(char letter, weft_value number, char *to)
{
    double real = weft_as_float(number);
    float single = (float)real;
    size_t size = wefti_numbers_size(letter);
    if (letter == 'd' || letter == 'f') {
        memcpy(to, letter == 'd' ? (const void *)&real : &single, size);
        return number.kind == WEFT_FLOAT;
    }
    uint64_t octets = 0;
    if (number.kind == WEFT_BIGINT && letter < 'a' && weft_length(number) == 9 && ((const char *)weft_as_bytes(number))[8] == 0)
        memcpy(&octets, weft_as_bytes(number), 8);
    else if (number.kind == WEFT_INT)
        octets = (uint64_t)number.as.integer;
    else
        return false;
    memcpy(to, &octets, size);
    unsigned unused = 64 - 8 * (unsigned)size;
    return number.kind == WEFT_BIGINT ? size == 8
           : letter < 'a'             ? number.as.integer >= 0 && octets << unused >> unused == octets
                                      : (int64_t)(octets << unused) >> unused == number.as.integer;
}

static weft_value array_of_list(struct reader *reader, const struct wefti_pickle_name *name, char letter, weft_value list)
{
    size_t size = wefti_numbers_size(letter), count = weft_length(list), good = 0;
    char *octets = wefti_alloc_raw(count * size + 1);
    weft_value made = {.kind = WEFT_ERROR};
    if (!octets) {
        refuse_memory(reader);
        return made;
    }
    while (good < count && number_put(letter, weft_list_at(list, (ptrdiff_t)good), octets + good * size))
        good++;
    if (good < count)
        refuse_name(reader, name, "with a number that does not fit");
    else
        made = wefti_text_new(WEFT_NUMBERS, (uint8_t)letter, octets, count * size);
    wefti_release(octets);
    return made;
}

static weft_value call_array(struct reader *reader, const struct wefti_pickle_name *name, weft_value arguments)
{
    weft_value failed = {.kind = WEFT_ERROR};
    bool octets = ARE(arguments, WEFT_STR, WEFT_BYTES);
    if (!octets && !ARE(arguments, WEFT_STR, WEFT_LIST)) {
        refuse_name(reader, name, "with these arguments");
        return failed;
    }
    weft_value letters = weft_list_at(arguments, 0), items = weft_list_at(arguments, 1);
    char letter = *weft_as_str(letters);
    size_t size = weft_length(letters) == 1 ? wefti_numbers_size(letter) : 0, length = weft_length(items);
    if (size == 0 || (octets && length % size != 0)) {
        refuse_name(reader, name, "with these arguments");
        return failed;
    }
    if (charge(reader, sizeof(struct wefti_text) + (octets ? length : length * size) + 1) != 0)
        return failed;
    return octets ? wefti_text_new(WEFT_NUMBERS, (uint8_t)letter, weft_as_bytes(items), length)
                  : array_of_list(reader, name, letter, items);
}

/* A set of items that are held; how many were taken. */
static weft_value set_of(struct reader *reader, const weft_value *items, size_t count, size_t *taken)
{
    weft_value failed = {.kind = WEFT_ERROR}, set = charge(reader, sizeof(struct wefti_dict)) == 0 ? weft_set() : failed;
    *taken = 0;
    if (set.kind == WEFT_ERROR)
        return failed;
    container_of(set)->weight = 1U << DEPTH_BITS | 1;
    if (hashed_fill(reader, set, items, count, taken) == 0)
        return set;
    weft_drop(set);
    return failed;
}

/* A set or frozenset of a list's items, which is how protocols 2 and 3 have them. */
static weft_value call_set(struct reader *reader, const struct wefti_pickle_name *name, weft_value arguments)
{
    weft_value set = {.kind = WEFT_ERROR};
    const struct wefti_array *list = ARE(arguments, WEFT_LIST) ? wefti_handle_object(weft_list_at(arguments, 0)) : NULL;
    weft_value *items = list ? wefti_alloc_raw((list->length + 1) * sizeof(*items)) : NULL;
    size_t taken = 0;
    if (!list)
        refuse_name(reader, name, "with these arguments");
    if (!items)
        return set;
    for (size_t i = 0; i < list->length; i++)
        items[i] = weft_keep(list->items[i]);
    if (name->use == WEFTI_PICKLE_SET) {
        set = set_of(reader, items, list->length, &taken);
    } else {
        set = frozenset_of(reader, items, list->length);
        taken = set.kind == WEFT_ERROR ? 0 : list->length;
    }
    while (taken < list->length)
        weft_drop(items[taken++]);
    wefti_release(items);
    return set;
}

static bool is_system_error(const struct wefti_pickle_name *name)
{
    static const char *const system[] = {"OSError", "BlockingIOError", "BrokenPipeError", "ChildProcessError", "ConnectionAbortedError",
        "ConnectionError", "ConnectionRefusedError", "ConnectionResetError", "FileExistsError", "FileNotFoundError", "InterruptedError",
        "IsADirectoryError", "NotADirectoryError", "PermissionError", "ProcessLookupError", "TimeoutError"};
    for (size_t i = 0; strcmp(name->module, "builtins") == 0 && i < sizeof(system) / sizeof(*system); i++)
        if (strcmp(name->name, system[i]) == 0)
            return true;
    return false;
}

/* An exception as an error: its type, the text that str() of it has (1000 octets of it at most, unless it is a str itself), and a code. */
static weft_value error_of(struct reader *reader, const struct wefti_pickle_name *name, weft_value arguments)
{
    char full[WEFTI_PICKLE_FULL], room[1000];
    const char *text = room;
    size_t length = 0, count = weft_length(arguments);
    weft_value first = count ? weft_list_at(arguments, 0) : weft_none, second = count > 1 ? weft_list_at(arguments, 1) : weft_none;
    bool system = count > 1 && is_system_error(name) && first.kind == WEFT_INT && second.kind == WEFT_STR;
    if (system) {
        length = (size_t)snprintf(room, sizeof(room), "[Errno %d] %s", (int)first.as.integer, weft_as_str(second));
        length = length < sizeof(room) ? length : sizeof(room) - 1;
    } else if (count == 1 && first.kind == WEFT_STR && strcmp(name->name, "KeyError") != 0) {
        text = weft_as_str(first);
        length = weft_length(first);
    } else if (count > 0) {
        length = wefti_repr_begin(count == 1 ? first : arguments, room, sizeof(room));
    }
    wefti_pickle_full(name, full);
    if (charge(reader, sizeof(struct wefti_text) + length + strlen(full) + 2) != 0)
        return weft_error(EMSGSIZE, NULL);
    bool told = system && first.as.integer > 0 && first.as.integer < 4096;
    return wefti_error_new(told ? (int32_t)first.as.integer : name->code, text, length, full, strlen(full));
}

static bool is_object_of(weft_value value, enum wefti_pickle_use use)
{
    if (!wefti_object_of(value, WEFT_OBJECT))
        return false;
    const struct wefti_pickle_name *name = wefti_pickle_find_full(weft_object_name(value));
    return name && name->use == use;
}

static bool is_identifier(weft_value value)
{
    if (!wefti_object_of(value, WEFT_STR) || weft_length(value) == 0)
        return false;
    const char *text = weft_as_str(value);
    for (size_t i = 0; i < weft_length(value); i++) {
        bool letter = (text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z', digit = text[i] >= '0' && text[i] <= '9';
        if (!letter && text[i] != '_' && !(digit && i > 0))
            return false;
    }
    return true;
}

/* A proxy's keywords: none, or the names that are exposed. */
static bool is_keywords(weft_value keywords)
{
    weft_value names;
    if (weft_length(keywords) == 0)
        return true;
    if (weft_length(keywords) != 1 || weft_dict_get_str(keywords, "exposed", &names) != 0 || names.kind != WEFT_TUPLE)
        return false;
    for (size_t i = 0; i < weft_length(names); i++)
        if (!is_identifier(weft_list_at(names, (ptrdiff_t)i)))
            return false;
    return true;
}

static bool is_proxy(struct reader *reader, weft_value arguments)
{
    if (!ARE(arguments, WEFT_OBJECT, WEFT_OBJECT, WEFT_STR, WEFT_DICT))
        return false;
    weft_value class = weft_list_at(arguments, 0), token = weft_list_at(arguments, 1);
    if (!is_object_of(class, WEFTI_PICKLE_PROXY_CLASS) || strcmp(weft_object_name(token), "multiprocessing.managers.Token") != 0 ||
        !is_keywords(weft_list_at(arguments, 3)))
        return false;
    reader->unfinished -= container_of(class)->head.more;
    container_of(class)->head.more = 0;
    return true;
}

static bool is_call(struct reader *reader, enum wefti_pickle_use use, weft_value arguments)
{
    switch (use) {
    case WEFTI_PICKLE_EXCEPTION:
        return true;
    case WEFTI_PICKLE_SLICE:
        return weft_length(arguments) == 3;
    case WEFTI_PICKLE_RANGE:
        return ARE(arguments, WEFT_INT, WEFT_INT, WEFT_INT);
    case WEFTI_PICKLE_COMPLEX:
        return ARE(arguments, WEFT_FLOAT, WEFT_FLOAT);
    case WEFTI_PICKLE_ITER:
    case WEFTI_PICKLE_REVERSED:
        return ARE(arguments, WEFT_LIST) || ARE(arguments, WEFT_TUPLE);
    case WEFTI_PICKLE_LIST:
        return ARE(arguments, WEFT_LIST);
    case WEFTI_PICKLE_BYTES:
        return weft_length(arguments) == 0;
    case WEFTI_PICKLE_ENCODE:
        return ARE(arguments, WEFT_STR, WEFT_STR) && is_latin(weft_list_at(arguments, 1));
    case WEFTI_PICKLE_PROXY:
        return is_proxy(reader, arguments);
    default:
        return false;
    }
}

/* What a call of the name with these arguments, which stay whose they are, gives; *made is false when it is refused, which has been said. */
static weft_value call(struct reader *reader, const struct wefti_pickle_name *name, weft_value arguments, bool *made)
{
    weft_value value;
    if (name->use == WEFTI_PICKLE_BYTEARRAY) {
        value = call_bytearray(reader, name, arguments);
    } else if (name->use == WEFTI_PICKLE_ARRAY) {
        value = call_array(reader, name, arguments);
    } else if (name->use == WEFTI_PICKLE_SET || name->use == WEFTI_PICKLE_FROZENSET) {
        value = call_set(reader, name, arguments);
    } else if (!is_call(reader, name->use, arguments)) {
        refuse_name(reader, name, "with these arguments");
        value = weft_error(EBADMSG, NULL);
    } else if (name->use == WEFTI_PICKLE_LIST) {
        value = weft_keep(weft_list_at(arguments, 0));
    } else if (name->use == WEFTI_PICKLE_BYTES) {
        value = weft_bytes(NULL, 0);
    } else if (name->use == WEFTI_PICKLE_ENCODE) {
        value = call_encode(reader, WEFT_BYTES, arguments);
    } else if (name->use == WEFTI_PICKLE_EXCEPTION && !reader->limits.exceptions_stay) {
        value = error_of(reader, name, arguments);
        *made = wefti_value_counted(value);
        return value;
    } else {
        value = object_of(reader, name, arguments);
    }
    *made = value.kind != WEFT_ERROR;
    return value;
}

static int do_reduce(struct reader *reader)
{
    weft_value *both = top(reader, 2);
    bool made;
    if (!both)
        return -1;
    if (both[0].kind != NAME || !wefti_object_of(both[1], WEFT_TUPLE))
        return refuse(reader, EBADMSG, "the pickle calls what cannot be called, at offset %zu", (size_t)(reader->at - reader->begin) - 1);
    reader->reason->text[0] = 0;
    weft_value value = call(reader, both[0].as.pointer, both[1], &made);
    if (!made)
        return reader->reason->text[0] ? -1 : refuse_memory(reader);
    pop(reader, 2);
    return push(reader, value);
}

static int do_newobj(struct reader *reader)
{
    weft_value *both = top(reader, 2);
    if (!both)
        return -1;
    const struct wefti_pickle_name *name = both[0].kind == NAME ? both[0].as.pointer : NULL;
    if (!name || !wefti_object_of(both[1], WEFT_TUPLE))
        return refuse(reader, EBADMSG, "the pickle makes an object of no class, at offset %zu", (size_t)(reader->at - reader->begin) - 1);
    if (name->use != WEFTI_PICKLE_NEW || weft_length(both[1]) != 0)
        return refuse_name(reader, name, "as a class");
    weft_value object = object_of(reader, name, both[1]);
    if (object.kind == WEFT_ERROR)
        return -1;
    reader->unfinished += strcmp(name->name, "Token") == 0;
    pop(reader, 2);
    return push(reader, object);
}

/* typeid, address, ident */
static bool is_token_state(weft_value state)
{
    if (state.kind != WEFT_TUPLE || weft_length(state) != 3)
        return false;
    weft_value address = weft_list_at(state, 1);
    return weft_list_at(state, 0).kind == WEFT_STR && weft_list_at(state, 2).kind == WEFT_STR &&
           (address.kind == WEFT_STR || address.kind == WEFT_BYTES || address.kind == WEFT_TUPLE);
}

static bool is_attributes(weft_value state)
{
    size_t at = 0;
    weft_value key;
    if (state.kind != WEFT_DICT)
        return false;
    while (weft_dict_next(state, &at, &key, NULL))
        if (key.kind != WEFT_STR)
            return false;
    return true;
}

/* How far an iterator has come: it becomes one of a list of what is left. */
static int iterator_advance(struct reader *reader, struct wefti_array *object, bool back, int64_t at)
{
    const struct wefti_array *all = wefti_handle_object(weft_list_at(object->items[WEFTI_OBJECT_ARGUMENTS], 0));
    int64_t length = (int64_t)all->length, step = back ? -1 : 1;
    at = at < (back ? -1 : 0) ? (back ? -1 : 0) : at > (back ? length - 1 : length) ? (back ? length - 1 : length) : at;
    size_t count = (size_t)(back ? at + 1 : length - at);
    if (charge(reader, 2 * sizeof(*all) + (count + 1) * sizeof(weft_value)) != 0)
        return -1;
    weft_value list = weft_list(), name = weft_str("iter");
    struct wefti_array *left = wefti_object_of(list, WEFT_LIST);
    bool made = left && name.kind == WEFT_STR;
    for (size_t i = 0; made && i < count; i++, at += step) {
        weft_value item = weft_keep(all->items[at]);
        made = wefti_list_add(left, item) == 0;
        if (!made)
            weft_drop(item);
    }
    weft_value arguments = made ? weft_tuple(&list, 1) : weft_error(ENOMEM, NULL);
    if (arguments.kind == WEFT_ERROR) {
        weft_drop(list), weft_drop(name);
        return refuse_memory(reader);
    }
    left->container.weight = all->container.weight;
    container_of(arguments)->weight = object->container.weight;
    weft_value before = wefti_container_release(&object->container, object->items[WEFTI_OBJECT_ARGUMENTS]);
    weft_drop(before), weft_drop(object->items[WEFTI_OBJECT_NAME]);
    object->items[WEFTI_OBJECT_NAME] = wefti_value_take(name);
    object->items[WEFTI_OBJECT_ARGUMENTS] = wefti_container_adopt(&object->container, wefti_value_take(arguments));
    return 0;
}

/* Takes the state when it gives 1; 0: it is of no further use. */
static int build(struct reader *reader, weft_value value, weft_value state)
{
    if (value.kind == WEFT_ERROR && is_attributes(state))
        return 0;
    const struct wefti_pickle_name *name = value.kind == WEFT_OBJECT ? wefti_pickle_find_full(weft_object_name(value)) : NULL;
    struct wefti_array *object = name ? filled(reader, value, WEFT_OBJECT) : NULL;
    if (name && !object)
        return -1;
    bool iterates = name && (name->use == WEFTI_PICKLE_ITER || name->use == WEFTI_PICKLE_REVERSED);
    if (iterates && state.kind == WEFT_INT)
        return iterator_advance(reader, object, name->use == WEFTI_PICKLE_REVERSED, state.as.integer);
    bool token = name && name->use == WEFTI_PICKLE_NEW && strcmp(name->name, "Token") == 0;
    bool attributes = name && (name->use == WEFTI_PICKLE_NEW || name->use == WEFTI_PICKLE_EXCEPTION) && !token;
    if (!(token && is_token_state(state)) && !(attributes && is_attributes(state)))
        return refuse(
            reader, EBADMSG, "the pickle sets the state of what has none, at offset %zu", (size_t)(reader->at - reader->begin) - 1);
    if (!weft_is_none(object->items[WEFTI_OBJECT_STATE]) || weigh(reader, &object->container.weight, state) != 0)
        return refuse(reader, EBADMSG, "the pickle sets a state twice, or one too deep");
    object->items[WEFTI_OBJECT_STATE] = wefti_container_adopt(&object->container, wefti_value_take(state));
    reader->unfinished -= token;
    return 1;
}

static int do_build(struct reader *reader)
{
    weft_value *both = top(reader, 2);
    if (!both)
        return -1;
    if (both[1].kind == NAME)
        return refuse_name(reader, both[1].as.pointer, "as a state");
    int taken = build(reader, both[0], both[1]);
    if (taken < 0)
        return -1;
    if (taken)
        popped(reader, 1);
    else
        pop(reader, 1);
    return 0;
}

/* By opcode; NULL: refused. */
static operation *const operations[256] = {
    ['('] = do_mark,
    ['0'] = do_pop,
    ['1'] = do_pop_mark,
    ['N'] = do_none,
    ['J'] = do_int4,
    ['K'] = do_int1,
    ['M'] = do_int2,
    ['G'] = do_float,
    ['X'] = do_str4,
    ['B'] = do_bytes4,
    ['C'] = do_bytes1,
    [')'] = do_tuple0,
    ['t'] = do_tuple,
    [']'] = do_list,
    ['a'] = do_append,
    ['e'] = do_appends,
    ['}'] = do_dict,
    ['s'] = do_setitem,
    ['u'] = do_setitems,
    ['h'] = do_get1,
    ['j'] = do_get4,
    ['q'] = do_put1,
    ['r'] = do_put4,
    ['c'] = do_global,
    ['R'] = do_reduce,
    ['b'] = do_build,
    [0x80] = do_proto,
    [0x81] = do_newobj,
    [0x85] = do_tuple1,
    [0x86] = do_tuple2,
    [0x87] = do_tuple3,
    [0x88] = do_true,
    [0x89] = do_false,
    [0x8a] = do_long1,
    [0x8b] = do_long4,
    [0x8c] = do_str1,
    [0x8d] = do_str8,
    [0x8e] = do_bytes8,
    [0x8f] = do_set,
    [0x90] = do_additems,
    [0x91] = do_frozenset,
    [0x93] = do_stack_global,
    [0x94] = do_memoize,
    [0x95] = do_frame,
    [0x96] = do_bytearray8,
};

/* To the end; the value is the one on the stack. */
static int run(struct reader *reader)
{
    while (reader->at < reader->end) {
        unsigned char opcode = *reader->at++;
        if (opcode == '.')
            return 0;
        if (!operations[opcode])
            return refuse(reader, EBADMSG, "refusing pickle opcode 0x%02x at offset %zu%s", opcode,
                (size_t)(reader->at - reader->begin) - 1, reader->protocol ? "" : ": protocols 0 and 1 are not read");
        if (operations[opcode](reader) != 0)
            return -1;
    }
    return refuse_cut(reader);
}

static int finish(struct reader *reader)
{
    if (reader->at != reader->end)
        return refuse(reader, EBADMSG, "the pickle ends before its octets do");
    if (reader->done.count != 1 || reader->marks.count != 0)
        return refuse(reader, EBADMSG, "the pickle ends with %zu values", reader->done.count);
    weft_value value = *(weft_value *)reader->done.items;
    if (value.kind == NAME)
        return refuse_name(reader, value.as.pointer, "as a value");
    return reader->unfinished == 0 ? 0 : refuse(reader, EBADMSG, "the pickle has a token or a class that belongs to nothing");
}

static void limits_complete(struct wefti_pickle_limits *limits)
{
    limits->length = limits->length ? limits->length : (size_t)64 << 20;
    limits->stack = limits->stack ? limits->stack : (size_t)1 << 20;
    limits->memo = limits->memo ? limits->memo : (size_t)1 << 22;
    limits->depth = limits->depth && limits->depth < DEPTH_MOST ? limits->depth : DEPTH_MOST;
    limits->base = limits->base ? limits->base : (size_t)1 << 20;
    limits->factor = limits->factor ? limits->factor : 16;
}

static void values_drop(const struct stack *stack)
{
    for (size_t i = 0; i < stack->count; i++)
        wefti_value_drop_unseen(((weft_value *)stack->items)[i]);
    wefti_release(stack->items);
}

int wefti_pickle_read(
    const void *octets, size_t length, const struct wefti_pickle_limits *limits, weft_value *value, struct wefti_pickle_reason *reason)
{
    struct reader reader = {.begin = octets, .at = octets, .end = (const unsigned char *)octets + length, .reason = reason};
    if (limits)
        reader.limits = *limits;
    limits_complete(&reader.limits);
    if (length > reader.limits.length)
        return refuse(&reader, EMSGSIZE, "a pickle of %zu octets, more than %zu", length, reader.limits.length);
    size_t most = (SIZE_MAX - reader.limits.base) / reader.limits.factor;
    reader.budget = reader.limits.base + reader.limits.factor * (length < most ? length : most);
    reader.steps = ((size_t)1 << 20) + 16 * length;
    int result = run(&reader) == 0 ? finish(&reader) : -1;
    int error = errno;
    if (result == 0)
        *value = ((weft_value *)reader.done.items)[--reader.done.count];
    values_drop(&reader.memo);
    values_drop(&reader.done);
    wefti_release(reader.marks.items);
    errno = error;
    return result;
}
