/* SPDX-License-Identifier: MIT */
/*
 * Reading pickles. A pickle is a program for a small machine with a stack and a memo; this machine has the operations that make data, and
 * no others. What a name leads to is an entry of a table; "calling" one makes a value of the arguments, by code of ours (pickle_call.c).
 *
 * The stack holds finished values, containers that are still being filled, and names (of the kind WEFTI_NAME, which never leaves the
 * reader). Marks are kept beside it. The memo has a hold of its own on what it knows.
 *
 * No cycles. Values have none, and a pickle can make one only by putting something into a list or dict that lies in another already, or
 * into itself; Python's pickles do that for recursive data and for nothing else. Such a list or dict is noted, and there may be cycles
 * until the end; then what was made is folded (fold.c), and what was noted is emptied. Other containers that lie anywhere may not be
 * changed. A container's items are complete when they come, so depth is known when it arises; only of what was noted it is not, and then
 * all is weighed once more in the end.
 *
 * Bounds. Each value is charged to the budget before it is made; what a pickle can refer to again and again is shared, not copied. Hashing
 * and comparing keys is work that sharing can multiply (forty tuples, each holding the next twice, are a key of 2^40 items), so a
 * container's `weight` is what it would be in full: 10 bits of depth, 22 bits of items (octets of texts count a sixteenth), which stop at
 * their end. Keys are charged by it. Freeing is weft_drop's, which does not recurse.
 */

#include "value/pickle_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "value/utf8.h"

enum { DEPTH_MOST = 1000 };

typedef int operation(struct wefti_reader *reader);

int wefti_reader_refuse(struct wefti_reader *reader, int code, const char *format, ...)
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

static int refuse_cut(struct wefti_reader *reader)
{
    return wefti_reader_refuse(reader, EBADMSG, "the pickle ends too soon");
}

int wefti_reader_refuse_memory(struct wefti_reader *reader)
{
    return wefti_reader_refuse(reader, ENOMEM, "out of memory");
}

int wefti_reader_refuse_opcode(struct wefti_reader *reader, unsigned char opcode)
{
    return wefti_reader_refuse(reader, EBADMSG, "refusing pickle opcode 0x%02x at offset %zu%s", opcode,
        (size_t)(reader->at - reader->begin) - 1, reader->protocol ? "" : ": protocols 0 and 1 are not read");
}

static size_t octets_left(const struct wefti_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* A number of so many octets, the lowest first. */
static int take_number(struct wefti_reader *reader, unsigned octets, uint64_t *number)
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
static int take_octets(struct wefti_reader *reader, unsigned octets, const char **text, size_t *length)
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

void *wefti_reader_grow(struct wefti_reader *reader, struct wefti_reader_stack *stack, size_t each, size_t most, const char *what)
{
    if (stack->count >= most) {
        wefti_reader_refuse(reader, EMSGSIZE, "the pickle has more than %zu %s", most, what);
        return NULL;
    }
    size_t room = stack->room ? 2 * stack->room : 16;
    room = room < most ? room : most;
    void *items = wefti_realloc(stack->items, room * each);
    if (!items) {
        wefti_reader_refuse_memory(reader);
        return NULL;
    }
    stack->items = items;
    stack->room = room;
    return items;
}

/* What a constructor made, onto the stack. */
static int push_made(struct wefti_reader *reader, weft_value value)
{
    return value.kind == WEFT_ERROR ? wefti_reader_refuse_memory(reader) : wefti_reader_push(reader, value);
}

weft_value *wefti_reader_top(struct wefti_reader *reader, size_t count)
{
    static weft_value nothing; /* the address of no values */
    if (reader->done.count - wefti_reader_mark(reader) >= count)
        return reader->done.items ? (weft_value *)reader->done.items + reader->done.count - count : &nothing;
    wefti_reader_refuse(reader, EBADMSG, "the pickle's stack is empty at offset %zu", (size_t)(reader->at - reader->begin) - 1);
    return NULL;
}

/* What lies above the last mark, which goes; `below` values must lie under it. NULL without a mark. */
static weft_value *top_mark(struct wefti_reader *reader, size_t below, size_t *count)
{
    if (reader->marks.count == 0) {
        wefti_reader_refuse(reader, EBADMSG, "the pickle has no mark at offset %zu", (size_t)(reader->at - reader->begin) - 1);
        return NULL;
    }
    size_t mark = wefti_reader_mark(reader);
    reader->marks.count--;
    *count = reader->done.count - mark;
    weft_value *lowest = wefti_reader_top(reader, *count + below);
    return lowest ? lowest + below : NULL;
}

int wefti_reader_refuse_name(struct wefti_reader *reader, const struct wefti_pickle_name *name, const char *why)
{
    return wefti_reader_refuse(reader, EBADMSG, "refusing pickle global %s.%s %s", name->module, name->name, why);
}

int wefti_reader_refuse_depth(struct wefti_reader *reader)
{
    return wefti_reader_refuse(reader, EMSGSIZE, "the pickle's values lie more than %u within each other", reader->limits.depth);
}

int wefti_reader_weigh(struct wefti_reader *reader, uint32_t *outer, weft_value item)
{
    if (item.kind == WEFTI_NAME)
        return wefti_reader_refuse_name(reader, item.as.pointer, "as a value");
    if (wefti_value_depth(item) + 1 > reader->limits.depth)
        return wefti_reader_refuse_depth(reader);
    *outer = wefti_weight_add(*outer, item);
    return 0;
}

int wefti_reader_weigh_all(struct wefti_reader *reader, uint32_t *outer, const weft_value *items, size_t count)
{
    *outer = 1U << WEFTI_DEPTH_BITS | 1;
    for (size_t i = 0; i < count; i++)
        if (wefti_reader_weigh(reader, outer, items[i]) != 0)
            return -1;
    return 0;
}

/* Before a value is hashed or compared as a key. */
static int charge_key(struct wefti_reader *reader, weft_value key)
{
    uint32_t weight = wefti_value_weight(key);
    if (weight > reader->steps)
        return wefti_reader_refuse(
            reader, EMSGSIZE, "the keys of a pickle of %zu octets are too large", (size_t)(reader->end - reader->begin));
    reader->steps -= weight;
    return 0;
}

int wefti_reader_refuse_recursive(struct wefti_reader *reader, enum weft_value_kind kind)
{
    return wefti_reader_refuse(
        reader, EBADMSG, "refusing a value that lies in itself (%s %s)", kind == WEFT_OBJECT ? "an" : "a", weft_kind_name(kind));
}

void *wefti_reader_filled(struct wefti_reader *reader, weft_value value, enum weft_value_kind kind)
{
    struct wefti_container *container = wefti_object_of(value, kind);
    if (!container)
        wefti_reader_refuse(
            reader, EBADMSG, "the pickle has no %s at offset %zu", weft_kind_name(kind), (size_t)(reader->at - reader->begin) - 1);
    else if (container->inside == 0 || kind == WEFT_LIST || kind == WEFT_DICT)
        return container;
    else
        wefti_reader_refuse_recursive(reader, kind);
    return NULL;
}

/* Before an item, or none yet, comes into a list or dict: whether that may come to lie in itself, which is noted then; `looping` is what
 * was said before. As wefti_reader_loop, or 0. */
static inline int loops(struct wefti_reader *reader, struct wefti_container *container, weft_value value, weft_value item, int looping)
{
    if (looping)
        return looping;
    bool itself = wefti_kind_contains(item.kind) && wefti_handle_object(item) == container;
    return __builtin_expect(itself || container->inside > 0, 0) ? wefti_reader_loop(reader, value) : 0;
}

/* Adds to the weight of a container, if that is known at all. */
static inline int weigh_unless(struct wefti_reader *reader, int looping, struct wefti_container *container, weft_value item)
{
    if (looping && item.kind != WEFTI_NAME)
        return 0;
    return wefti_reader_weigh(reader, &container->weight, item);
}

static int refuse_key(struct wefti_reader *reader)
{
    return errno == ENOMEM ? wefti_reader_refuse_memory(reader)
                           : wefti_reader_refuse(reader, EBADMSG, "the pickle has a key or a member of a set that cannot be one");
}

/* Scalars. */

static int do_none(struct wefti_reader *reader)
{
    return wefti_reader_push(reader, weft_none);
}

static int do_true(struct wefti_reader *reader)
{
    return wefti_reader_push(reader, weft_bool(true));
}

static int do_false(struct wefti_reader *reader)
{
    return wefti_reader_push(reader, weft_bool(false));
}

static int do_int1(struct wefti_reader *reader)
{
    uint64_t number;
    return take_number(reader, 1, &number) == 0 ? wefti_reader_push(reader, weft_int((int64_t)number)) : -1;
}

static int do_int2(struct wefti_reader *reader)
{
    uint64_t number;
    return take_number(reader, 2, &number) == 0 ? wefti_reader_push(reader, weft_int((int64_t)number)) : -1;
}

static int do_int4(struct wefti_reader *reader)
{
    uint64_t number;
    return take_number(reader, 4, &number) == 0 ? wefti_reader_push(reader, weft_int((int32_t)(uint32_t)number)) : -1;
}

static int do_float(struct wefti_reader *reader)
{
    uint64_t number;
    double real;
    if (take_number(reader, 8, &number) != 0)
        return -1;
    number = __builtin_bswap64(number);
    memcpy(&real, &number, sizeof(real));
    return wefti_reader_push(reader, weft_float(real));
}

static int take_integer(struct wefti_reader *reader, unsigned octets)
{
    const char *text;
    size_t length;
    if (take_octets(reader, octets, &text, &length) != 0 ||
        wefti_reader_charge(reader, length > 8 ? sizeof(struct wefti_text) + length : 0) != 0)
        return -1;
    weft_value value = weft_int_n(text, length);
    if (value.kind == WEFT_ERROR && value.code == EOVERFLOW)
        return wefti_reader_refuse(reader, EMSGSIZE, "the pickle has an integer of more than %d octets", WEFT_BIGINT_MOST);
    return push_made(reader, value);
}

static int do_long1(struct wefti_reader *reader)
{
    return take_integer(reader, 1);
}

static int do_long4(struct wefti_reader *reader)
{
    return take_integer(reader, 4);
}

/* Texts. */

static int take_text(struct wefti_reader *reader, enum weft_value_kind kind, unsigned octets)
{
    const char *text;
    size_t length;
    if (take_octets(reader, octets, &text, &length) != 0 || wefti_reader_charge(reader, sizeof(struct wefti_text) + length + 1) != 0)
        return -1;
    if (kind == WEFT_STR && !wefti_utf8_is(text, length))
        return wefti_reader_refuse(reader, EBADMSG, "the pickle has a str that is no UTF-8");
    return push_made(reader, wefti_text_new(kind, 0, text, length));
}

static int do_str1(struct wefti_reader *reader)
{
    return take_text(reader, WEFT_STR, 1);
}

static int do_str4(struct wefti_reader *reader)
{
    return take_text(reader, WEFT_STR, 4);
}

static int do_str8(struct wefti_reader *reader)
{
    return take_text(reader, WEFT_STR, 8);
}

static int do_bytes1(struct wefti_reader *reader)
{
    return take_text(reader, WEFT_BYTES, 1);
}

static int do_bytes4(struct wefti_reader *reader)
{
    return take_text(reader, WEFT_BYTES, 4);
}

static int do_bytes8(struct wefti_reader *reader)
{
    return take_text(reader, WEFT_BYTES, 8);
}

static int do_bytearray8(struct wefti_reader *reader)
{
    return take_text(reader, WEFT_BYTEARRAY, 8);
}

/* Containers. */

static int begin_container(struct wefti_reader *reader, size_t size, weft_value (*make)(void))
{
    if (wefti_reader_charge(reader, size) != 0)
        return -1;
    weft_value made = make();
    if (made.kind != WEFT_ERROR)
        wefti_container_of(made)->weight = 1U << WEFTI_DEPTH_BITS | 1;
    return push_made(reader, made);
}

static int do_list(struct wefti_reader *reader)
{
    return begin_container(reader, sizeof(struct wefti_array), weft_list);
}

static int do_dict(struct wefti_reader *reader)
{
    return begin_container(reader, sizeof(struct wefti_dict), weft_dict);
}

static int do_set(struct wefti_reader *reader)
{
    return begin_container(reader, sizeof(struct wefti_dict), weft_set);
}

/* Values that are held, into a list; how many were taken is told even when it fails. */
static int list_fill(struct wefti_reader *reader, weft_value list, weft_value *items, size_t count, size_t *taken)
{
    *taken = 0;
    struct wefti_array *array = wefti_reader_filled(reader, list, WEFT_LIST);
    if (!array || wefti_reader_settle(reader, items, count) != 0 || wefti_reader_charge(reader, count * sizeof(*items)) != 0)
        return -1;
    int looping = 0;
    for (; *taken < count; ++*taken) {
        looping = loops(reader, &array->container, list, items[*taken], looping);
        if (looping < 0 || weigh_unless(reader, looping, &array->container, items[*taken]) != 0)
            return -1;
        if (wefti_list_add(array, items[*taken]) != 0)
            return wefti_reader_refuse_memory(reader);
    }
    return 0;
}

/* Into a dict, keys and items in turn, or into a set. */
int wefti_reader_fill_hashed(struct wefti_reader *reader, weft_value value, const weft_value *items, size_t count, size_t *taken)
{
    bool pairs = value.kind == WEFT_DICT;
    *taken = 0;
    struct wefti_dict *dict = wefti_reader_filled(reader, value, pairs ? WEFT_DICT : WEFT_SET);
    if (!dict || wefti_reader_charge(reader, count / (pairs ? 2 : 1) * (sizeof(struct wefti_entry) + sizeof(uint32_t) * 3 / 2)) != 0)
        return -1;
    int looping = 0;
    for (; *taken < count; *taken += pairs ? 2 : 1) {
        weft_value key = items[*taken], item = pairs ? items[*taken + 1] : weft_none;
        looping = loops(reader, &dict->container, value, item, looping);
        if (looping < 0 || weigh_unless(reader, looping, &dict->container, key) != 0 ||
            (pairs && weigh_unless(reader, looping, &dict->container, item) != 0) || charge_key(reader, key) != 0)
            return -1;
        if (wefti_dict_add(dict, key, item) < 0)
            return refuse_key(reader);
    }
    return 0;
}

/* What a fill left of the items is dropped. */
int wefti_reader_filled_with(struct wefti_reader *reader, weft_value *items, size_t count, size_t taken, int result)
{
    for (size_t i = taken; i < count; i++)
        weft_drop(items[i]);
    wefti_reader_popped(reader, count);
    return result;
}

static int do_append(struct wefti_reader *reader)
{
    size_t taken;
    weft_value *items = wefti_reader_top(reader, 2);
    if (!items)
        return -1;
    int result = wefti_object_inert(items[0]) ? wefti_reader_note(reader, items[0], "e", items + 1, 1, &taken)
                                              : list_fill(reader, items[0], items + 1, 1, &taken);
    return wefti_reader_filled_with(reader, items + 1, 1, taken, result);
}

static int do_appends(struct wefti_reader *reader)
{
    size_t count, taken;
    weft_value *items = top_mark(reader, 1, &count);
    if (!items)
        return -1;
    int result = wefti_object_inert(items[-1]) ? wefti_reader_note(reader, items[-1], "e", items, count, &taken)
                                               : list_fill(reader, items[-1], items, count, &taken);
    return wefti_reader_filled_with(reader, items, count, taken, result);
}

static int do_setitem(struct wefti_reader *reader)
{
    size_t taken;
    weft_value *items = wefti_reader_top(reader, 3);
    if (!items || wefti_reader_settle(reader, items + 1, 2) != 0)
        return -1;
    bool inert = wefti_object_inert(items[0]);
    if (!inert && items[0].kind != WEFT_DICT)
        return wefti_reader_refuse(reader, EBADMSG, "the pickle has no dict at offset %zu", (size_t)(reader->at - reader->begin) - 1);
    int result = inert ? wefti_reader_note(reader, items[0], "u", items + 1, 2, &taken)
                       : wefti_reader_fill_hashed(reader, items[0], items + 1, 2, &taken);
    return wefti_reader_filled_with(reader, items + 1, 2, taken, result);
}

static int fill_marked(struct wefti_reader *reader, enum weft_value_kind kind)
{
    size_t count, taken = 0;
    weft_value *items = top_mark(reader, 1, &count);
    if (!items || wefti_reader_settle(reader, items, count) != 0)
        return -1;
    int result = -1;
    if (wefti_object_inert(items[-1]) && (kind == WEFT_SET || count % 2 == 0))
        result = wefti_reader_note(reader, items[-1], kind == WEFT_DICT ? "u" : "a", items, count, &taken);
    else if (items[-1].kind != kind || (kind == WEFT_DICT && count % 2 != 0))
        wefti_reader_refuse(
            reader, EBADMSG, "the pickle has no %s at offset %zu", weft_kind_name(kind), (size_t)(reader->at - reader->begin) - 1);
    else
        result = wefti_reader_fill_hashed(reader, items[-1], items, count, &taken);
    return wefti_reader_filled_with(reader, items, count, taken, result);
}

static int do_setitems(struct wefti_reader *reader)
{
    return fill_marked(reader, WEFT_DICT);
}

static int do_additems(struct wefti_reader *reader)
{
    return fill_marked(reader, WEFT_SET);
}

/* A tuple of the topmost values. */
static int tuple_of(struct wefti_reader *reader, weft_value *items, size_t count)
{
    uint32_t weight;
    if (wefti_reader_settle(reader, items, count) != 0 || wefti_reader_weigh_all(reader, &weight, items, count) != 0 ||
        wefti_reader_charge(reader, sizeof(struct wefti_array) + count * sizeof(*items)) != 0)
        return -1;
    weft_value tuple = wefti_tuple_of_unseen(items, count);
    if (tuple.kind == WEFT_ERROR)
        return wefti_reader_refuse_memory(reader);
    wefti_reader_popped(reader, count);
    wefti_container_of(tuple)->weight = weight;
    return wefti_reader_push(reader, tuple);
}

static int do_tuple0(struct wefti_reader *reader)
{
    return tuple_of(reader, NULL, 0);
}

static int tuple_top(struct wefti_reader *reader, size_t count)
{
    weft_value *items = wefti_reader_top(reader, count);
    return items ? tuple_of(reader, items, count) : -1;
}

static int do_tuple1(struct wefti_reader *reader)
{
    return tuple_top(reader, 1);
}

static int do_tuple2(struct wefti_reader *reader)
{
    return tuple_top(reader, 2);
}

static int do_tuple3(struct wefti_reader *reader)
{
    return tuple_top(reader, 3);
}

static int do_tuple(struct wefti_reader *reader)
{
    size_t count;
    weft_value *items = top_mark(reader, 0, &count);
    return items ? tuple_of(reader, items, count) : -1;
}

weft_value wefti_reader_frozenset(struct wefti_reader *reader, const weft_value *items, size_t count)
{
    uint32_t weight;
    weft_value failed = {.kind = WEFT_ERROR};
    if (wefti_reader_weigh_all(reader, &weight, items, count) != 0 ||
        wefti_reader_charge(reader, sizeof(struct wefti_dict) + count * (sizeof(struct wefti_entry) + sizeof(uint32_t) * 3 / 2)) != 0)
        return failed;
    for (size_t i = 0; i < count; i++)
        if (charge_key(reader, items[i]) != 0)
            return failed;
    weft_value set = weft_frozenset(count ? items : NULL, count);
    if (set.kind == WEFT_ERROR)
        refuse_key(reader);
    else
        wefti_container_of(set)->weight = weight;
    return set;
}

static int do_frozenset(struct wefti_reader *reader)
{
    size_t count = 0;
    weft_value *items = top_mark(reader, 0, &count);
    weft_value set = items ? wefti_reader_frozenset(reader, items, count) : weft_error(EBADMSG, NULL);
    if (set.kind == WEFT_ERROR)
        return -1;
    wefti_reader_popped(reader, count);
    return wefti_reader_push(reader, set);
}

/* Stack and memo. */

static int do_mark(struct wefti_reader *reader)
{
    size_t *mark = wefti_reader_place(reader, &reader->marks, sizeof(*mark), reader->limits.stack, "marks");
    if (!mark)
        return -1;
    *mark = reader->done.count;
    return 0;
}

static int do_pop(struct wefti_reader *reader)
{
    if (reader->marks.count && wefti_reader_mark(reader) == reader->done.count) {
        reader->marks.count--;
        return 0;
    }
    if (!wefti_reader_top(reader, 1))
        return -1;
    wefti_reader_pop(reader, 1);
    return 0;
}

static int do_pop_mark(struct wefti_reader *reader)
{
    size_t count = 0;
    if (!top_mark(reader, 0, &count))
        return -1;
    wefti_reader_pop(reader, count);
    return 0;
}

static int do_memoize(struct wefti_reader *reader)
{
    weft_value *known = wefti_reader_top(reader, 1);
    if (!known)
        return -1;
    weft_value *place = wefti_reader_place(reader, &reader->memo, sizeof(*place), reader->limits.memo, "values in its memo");
    if (!place)
        return -1;
    *place = wefti_value_keep_unseen(*known);
    return 0;
}

static int refuse_memo(struct wefti_reader *reader, uint64_t number)
{
    return wefti_reader_refuse(reader, EBADMSG, "the pickle's memo has no value %llu", (unsigned long long)number);
}

static int get(struct wefti_reader *reader, unsigned octets)
{
    uint64_t number;
    if (take_number(reader, octets, &number) != 0)
        return -1;
    if (number >= reader->memo.count)
        return refuse_memo(reader, number);
    return wefti_reader_push(reader, wefti_value_keep_unseen(((weft_value *)reader->memo.items)[number]));
}

static int do_get1(struct wefti_reader *reader)
{
    return get(reader, 1);
}

static int do_get4(struct wefti_reader *reader)
{
    return get(reader, 4);
}

/* What protocols 2 and 3 have, and later ones no more. */
static int old(struct wefti_reader *reader, unsigned char opcode)
{
    if (reader->protocol == 2 || reader->protocol == 3)
        return 0;
    return wefti_reader_refuse(reader, EBADMSG, "refusing pickle opcode 0x%02x at offset %zu%s", opcode,
        (size_t)(reader->at - reader->begin) - 1, reader->protocol ? "" : ": protocols 0 and 1 are not read");
}

static int put(struct wefti_reader *reader, unsigned octets)
{
    uint64_t number;
    if (old(reader, reader->at[-1]) != 0 || take_number(reader, octets, &number) != 0)
        return -1;
    if (number > reader->memo.count)
        return refuse_memo(reader, number);
    if (number == reader->memo.count)
        return do_memoize(reader);
    weft_value *known = wefti_reader_top(reader, 1), *place = (weft_value *)reader->memo.items + number;
    if (!known)
        return -1;
    weft_value before = *place;
    *place = wefti_value_keep_unseen(*known);
    wefti_value_drop_unseen(before);
    return 0;
}

static int do_put1(struct wefti_reader *reader)
{
    return put(reader, 1);
}

static int do_put4(struct wefti_reader *reader)
{
    return put(reader, 4);
}

static int do_proto(struct wefti_reader *reader)
{
    uint64_t protocol;
    if (take_number(reader, 1, &protocol) != 0)
        return -1;
    if (protocol < 2 || protocol > 5)
        return wefti_reader_refuse(reader, EBADMSG, "refusing pickle protocol %u: 2 to 5 are read", (unsigned)protocol);
    reader->protocol = (unsigned)protocol;
    return 0;
}

static int do_frame(struct wefti_reader *reader)
{
    uint64_t length;
    if (take_number(reader, 8, &length) != 0)
        return -1;
    return length <= octets_left(reader) ? 0 : refuse_cut(reader);
}

/* Names. */

static int do_stack_global(struct wefti_reader *reader)
{
    weft_value *both = wefti_reader_top(reader, 2);
    if (!both)
        return -1;
    weft_value module = both[0], name = both[1];
    if (!wefti_object_of(module, WEFT_STR) || !wefti_object_of(name, WEFT_STR))
        return wefti_reader_refuse(reader, EBADMSG, "the pickle has a global without a name");
    wefti_reader_popped(reader, 2);
    int result = wefti_reader_push_name(reader, weft_as_str(module), weft_length(module), weft_as_str(name), weft_length(name));
    weft_drop(module), weft_drop(name);
    return result;
}

/* Up to the end of the line, which goes. */
static int take_line(struct wefti_reader *reader, const char **line, size_t *length)
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

static int do_global(struct wefti_reader *reader)
{
    const char *module, *name;
    size_t module_length, length;
    if (old(reader, reader->at[-1]) != 0 || take_line(reader, &module, &module_length) != 0 || take_line(reader, &name, &length) != 0)
        return -1;
    return wefti_reader_push_name(reader, module, module_length, name, length);
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
    ['R'] = wefti_reader_reduce,
    ['b'] = wefti_reader_build,
    [0x80] = do_proto,
    [0x81] = wefti_reader_newobj,
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
    [0x92] = wefti_reader_newobj_ex,
    [0x93] = do_stack_global,
    [0x94] = do_memoize,
    [0x95] = do_frame,
    [0x96] = do_bytearray8,
};

/* To the end; the value is the one on the stack. The commonest operations are named, so that the compiler puts them here. */
static int run(struct wefti_reader *reader)
{
    int result = 0;
    while (result == 0 && reader->at < reader->end) {
        unsigned char opcode = *reader->at++;
        switch (opcode) {
        case '.':
            return 0;
        case 'K':
            result = do_int1(reader);
            break;
        case 'M':
            result = do_int2(reader);
            break;
        case 'J':
            result = do_int4(reader);
            break;
        case 'G':
            result = do_float(reader);
            break;
        case 0x8c:
            result = do_str1(reader);
            break;
        case 0x87:
            result = do_tuple3(reader);
            break;
        case 0x94:
            result = do_memoize(reader);
            break;
        default:
            result = operations[opcode] ? operations[opcode](reader) : wefti_reader_refuse_opcode(reader, opcode);
        }
    }
    return result == 0 ? refuse_cut(reader) : -1;
}

static int finish(struct wefti_reader *reader)
{
    if (reader->at != reader->end)
        return wefti_reader_refuse(reader, EBADMSG, "the pickle ends before its octets do");
    if (reader->done.count != 1 || reader->marks.count != 0)
        return wefti_reader_refuse(reader, EBADMSG, "the pickle ends with %zu values", reader->done.count);
    if (wefti_reader_settle(reader, reader->done.items, 1) != 0)
        return -1;
    weft_value value = *(weft_value *)reader->done.items;
    if (value.kind == WEFTI_NAME)
        return wefti_reader_refuse_name(reader, value.as.pointer, "as a value");
    if (reader->looping.count && wefti_reader_unloop(reader, reader->done.items) != 0)
        return -1;
    return reader->unfinished == 0 ? 0 : wefti_reader_refuse(reader, EBADMSG, "the pickle has a token or a class that belongs to nothing");
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

static void values_drop(const struct wefti_reader_stack *stack)
{
    for (size_t i = 0; i < stack->count; i++)
        wefti_value_drop_unseen(((weft_value *)stack->items)[i]);
    wefti_release(stack->items);
}

int wefti_pickle_read(
    const void *octets, size_t length, const struct wefti_pickle_limits *limits, weft_value *value, struct wefti_pickle_reason *reason)
{
    struct wefti_reader reader = {.begin = octets, .at = octets, .end = (const unsigned char *)octets + length, .reason = reason};
    if (limits)
        reader.limits = *limits;
    limits_complete(&reader.limits);
    if (length > reader.limits.length)
        return wefti_reader_refuse(&reader, EMSGSIZE, "a pickle of %zu octets, more than %zu", length, reader.limits.length);
    reader.budget = wefti_reader_budget(&reader);
    reader.steps = ((size_t)1 << 20) + 16 * length;
    int result = run(&reader) == 0 ? finish(&reader) : -1;
    int error = errno;
    if (result == 0)
        *value = ((weft_value *)reader.done.items)[--reader.done.count];
    reason->inert = result == 0 && *reader.stranger;
    if (reason->inert)
        snprintf(reason->text, sizeof(reason->text), "%s", reader.stranger);
    wefti_reader_loops_end(&reader);
    values_drop(&reader.memo);
    values_drop(&reader.done);
    wefti_release(reader.marks.items);
    errno = error;
    return result;
}
