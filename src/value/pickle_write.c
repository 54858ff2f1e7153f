/* SPDX-License-Identifier: MIT */
/*
 * Writing pickles: protocol 4, without frames. Each container is memoized where it is complete enough to be referred to (a list when it
 * begins, a tuple when it ends); one that is held more than once is looked up, and its second time is a reference. Strings are written each
 * time.
 *
 * A walk without recursion. The frame of a list, dict or set counts in `partner` what has been written of it, for batches of a thousand as
 * Python's own; that of an object, which of its parts comes next; that of a tuple which is the arguments of a call, that it is not
 * memoized, or what only its items are written of.
 *
 * A value with references upwards (WEFT_ABOVE) is folded first, so that what is held twice means the same twice. Such a reference is to
 * what has a frame. Of a list or dict the number is known, and is what is written. A tuple has none
 * yet: as in Python's own pickles it is written within itself then, its lists and dicts, which have begun, being referred to; that gives it
 * a number, and where it would have ended what was written of it is popped, and the number put in its place. The frame of such a second
 * time says where the first one lies: references count from there.
 */

#include "value/pickle.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "value/recursive.h"
#include "value/seen.h"
#include "value/utf8.h"

enum { BATCH = 1000, FOLDED_MOST = 1 << 24 };
/* Of a frame's partner, of a tuple: code. Of others code is 1 + their number; 0: they have none. */
enum { ARGUMENTS = 1, MEMOIZED = 2, ITEMS = 3 };

struct writer {
    struct wefti_octets *out;
    size_t most;   /* length that `out` may come to */
    uint64_t memo; /* how many are memoized */
    size_t folded; /* what folding has looked at and copied */
    bool repeats;  /* tuples are being written within themselves, or have been */
    struct wefti_seen seen;
    struct wefti_walk walk;
    struct wefti_pickle_reason *reason;
};

char *wefti_octets_reserve(struct wefti_octets *octets, size_t more)
{
    if (octets->room - octets->length >= more)
        return octets->octets + octets->length;
    size_t least = octets->length + more, room = octets->room + octets->room / 2;
    if (least < more || least > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    room = room > least ? room : least < 256 ? 256 : least;
    char *grown = wefti_realloc(octets->octets, room);
    if (!grown)
        return NULL;
    octets->octets = grown;
    octets->room = room;
    return octets->octets + octets->length;
}

__attribute__((format(printf, 3, 4))) static int refuse(struct writer *writer, int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(writer->reason->text, sizeof(writer->reason->text), format, arguments);
    va_end(arguments);
    errno = code;
    return -1;
}

/*
 * What is written is short mostly: room for eight octets more than were asked for is there always, and is written to without a look. And
 * what is long comes last mostly: there is room for the few octets that end a pickle, which would else make it all grow once more.
 */
enum { SLACK = 8, REST = 64 };

static __attribute__((noinline)) char *room_make(struct writer *writer, size_t length)
{
    if (length > writer->most - writer->out->length) {
        refuse(writer, EMSGSIZE, "the value has a pickle of more than %zu octets", writer->most);
        return NULL;
    }
    char *to = length < PTRDIFF_MAX ? wefti_octets_reserve(writer->out, length + SLACK + REST) : NULL;
    if (!to)
        refuse(writer, ENOMEM, "out of memory");
    return to;
}

/* Room for so many octets, which the caller counts; NULL, having said why. */
static inline char *room_for(struct writer *writer, size_t length)
{
    const struct wefti_octets *out = writer->out;
    size_t room = out->room - out->length;
    if (__builtin_expect(room >= SLACK && length <= room - SLACK && length <= writer->most - out->length, 1))
        return out->octets + out->length;
    return room_make(writer, length);
}

static int put(struct writer *writer, const void *octets, size_t length)
{
    char *to = room_for(writer, length);
    if (!to)
        return -1;
    if (length)
        memcpy(to, octets, length);
    writer->out->length += length;
    return 0;
}

static inline int put_opcode(struct writer *writer, unsigned char opcode)
{
    char *to = room_for(writer, 1);
    if (!to)
        return -1;
    *to = (char)opcode;
    writer->out->length++;
    return 0;
}

/* An opcode and a number of so many octets, eight at most, the lowest first. */
static inline int put_number(struct writer *writer, unsigned char opcode, unsigned octets, uint64_t number)
{
    char *to = room_for(writer, 1 + octets);
    if (!to)
        return -1;
    number = htole64(number);
    *to = (char)opcode;
    memcpy(to + 1, &number, sizeof(number));
    writer->out->length += 1 + octets;
    return 0;
}

static int put_int(struct writer *writer, int64_t integer)
{
    if (integer >= 0 && integer <= UINT8_MAX)
        return put_number(writer, 'K', 1, (uint64_t)integer);
    if (integer >= 0 && integer <= UINT16_MAX)
        return put_number(writer, 'M', 2, (uint64_t)integer);
    if (integer >= INT32_MIN && integer <= INT32_MAX)
        return put_number(writer, 'J', 4, (uint64_t)integer);
    uint64_t octets = (uint64_t)integer;
    unsigned char room[8];
    for (unsigned i = 0; i < sizeof(room); i++)
        room[i] = (unsigned char)(octets >> 8 * i);
    size_t length = wefti_bigint_trim(room, sizeof(room));
    return put_number(writer, 0x8a, 1, length) == 0 ? put(writer, room, length) : -1;
}

static int put_float(struct writer *writer, double real)
{
    uint64_t octets;
    memcpy(&octets, &real, sizeof(octets));
    return put_number(writer, 'G', 8, __builtin_bswap64(octets));
}

/* Octets behind the shortest form of their length; `opcodes` are for 1, 4 and 8 octets of it. */
static int put_octets(struct writer *writer, const unsigned char opcodes[3], const char *octets, size_t length)
{
    unsigned form = length <= UINT8_MAX && opcodes[0] ? 0 : length <= UINT32_MAX ? 1 : 2;
    if (put_number(writer, opcodes[form], 1U << (form ? form + 1 : 0), length) != 0)
        return -1;
    return put(writer, octets, length);
}

static const unsigned char str_opcodes[] = {0x8c, 'X', 0x8d}, bytes_opcodes[] = {'C', 'B', 0x8e};

static int put_str(struct writer *writer, const char *text, size_t length)
{
    if (!wefti_utf8_is(text, length))
        return refuse(writer, EILSEQ, "a str that is no UTF-8");
    return put_octets(writer, str_opcodes, text, length);
}

static int put_plain_text(struct writer *writer, const char *text)
{
    return put_str(writer, text, strlen(text));
}

static int put_global(struct writer *writer, const char *module, const char *name)
{
    if (put_plain_text(writer, module) != 0 || put_plain_text(writer, name) != 0)
        return -1;
    return put_opcode(writer, 0x93);
}

static int put_bigint(struct writer *writer, const struct wefti_text *bigint)
{
    bool small = bigint->length <= UINT8_MAX;
    if (put_number(writer, small ? 0x8a : 0x8b, small ? 1 : 4, bigint->length) != 0)
        return -1;
    return put(writer, bigint->octets, bigint->length);
}

/* Whether the walk may come to it again: it is held more than once, or lies in a tuple that is written within itself. */
static bool comes_again(const struct writer *writer, const struct wefti_object *object)
{
    return __atomic_load_n(&object->count, __ATOMIC_RELAXED) > 1 || writer->repeats || object->more & WEFTI_RECURSIVE;
}

/* The next object that is complete enough may be referred to by this number. */
static int memoize(struct writer *writer, weft_value value)
{
    const struct wefti_object *object = wefti_handle_object(value);
    if (comes_again(writer, object)) {
        struct wefti_seen_place *place = wefti_seen_place(&writer->seen, object);
        if (!place)
            return refuse(writer, ENOMEM, "out of memory");
        writer->seen.count += !place->object;
        *place = (struct wefti_seen_place){object, writer->memo};
    }
    writer->memo++;
    return put_opcode(writer, 0x94);
}

static int put_get(struct writer *writer, uint64_t number)
{
    bool small = number <= UINT8_MAX;
    if (number > UINT32_MAX)
        return refuse(writer, EMSGSIZE, "the value has more than 2^32 containers");
    return put_number(writer, small ? 'h' : 'j', small ? 1 : 4, number);
}

/* 1: it was written before, as *number; 0: it was not, or is not complete enough yet; -1. */
static int find_number(struct writer *writer, weft_value value, uint64_t *number)
{
    const struct wefti_object *object = wefti_handle_object(value);
    if (!writer->seen.places || !comes_again(writer, object))
        return 0;
    const struct wefti_seen_place *place = wefti_seen_place(&writer->seen, object);
    if (!place)
        return refuse(writer, ENOMEM, "out of memory");
    *number = place->number;
    return place->object ? 1 : 0;
}

/* 1: it was written before, and is referred to; 0: it is to be written; -1. */
static int put_again(struct writer *writer, weft_value value)
{
    uint64_t number = 0;
    int found = find_number(writer, value, &number);
    return found == 1 && put_get(writer, number) != 0 ? -1 : found;
}

static int put_bytearray(struct writer *writer, weft_value value)
{
    const struct wefti_text *text = wefti_text_of(value);
    if (put_global(writer, "builtins", "bytearray") != 0 || put_octets(writer, bytes_opcodes, text->octets, text->length) != 0 ||
        put(writer, "\x85R", 2) != 0)
        return -1;
    return memoize(writer, value);
}

static int put_numbers(struct writer *writer, weft_value value)
{
    const struct wefti_text *text = wefti_text_of(value);
    char letter = (char)text->head.more;
    if (put_global(writer, "array", "array") != 0 || put_str(writer, &letter, 1) != 0 ||
        put_octets(writer, bytes_opcodes, text->octets, text->length) != 0 || put(writer, "\x86R", 2) != 0)
        return -1;
    return memoize(writer, value);
}

/* The exception that an error is: called with its text, if it has one. */
static int put_exception(struct writer *writer, const struct wefti_pickle_name *name, const char *text, size_t length)
{
    if (put_global(writer, name->module, name->name) != 0)
        return -1;
    if (length == 0)
        return put(writer, ")R", 2);
    return put_str(writer, text, length) == 0 ? put(writer, "\x85R", 2) : -1;
}

/* An error of a type that Python may not know: RuntimeError("type: text"). */
static int put_stranger(struct writer *writer, const char *type, const struct wefti_text *error)
{
    weft_value text = weft_str_f("%s: %s", type, error->octets);
    if (text.kind == WEFT_ERROR)
        return refuse(writer, ENOMEM, "out of memory");
    int result = put_exception(writer, wefti_pickle_find_full("RuntimeError"), weft_as_str(text), weft_length(text));
    weft_drop(text);
    return result;
}

static int put_error(struct writer *writer, weft_value error)
{
    const char *type = weft_error_type(error), *text = weft_error_text(error);
    const struct wefti_pickle_name *name = type ? wefti_pickle_find_full(type) : NULL;
    if (name && name->use == WEFTI_PICKLE_EXCEPTION)
        return put_exception(writer, name, text, ((const struct wefti_text *)wefti_handle_object(error))->length);
    if (type)
        return put_stranger(writer, type, wefti_handle_object(error));
    if (put_global(writer, "builtins", "OSError") != 0 || put_int(writer, error.code) != 0 || put_plain_text(writer, text) != 0)
        return -1;
    return put(writer, "\x86R", 2);
}

/* `at` of what it holds has been written. */
static int enter_at(struct writer *writer, weft_value container, int32_t role, size_t at)
{
    weft_value partner = {.code = role};
    if (wefti_walk_enter(&writer->walk, container, partner) != 0)
        return refuse(writer, ENOMEM, "out of memory");
    wefti_walk_top(&writer->walk)->at = at;
    return 0;
}

static int enter(struct writer *writer, weft_value container, int32_t role)
{
    return enter_at(writer, container, role, 0);
}

/* What a frame's code is of one that is memoized next. */
static int32_t next_number(const struct writer *writer)
{
    return writer->memo < INT32_MAX ? (int32_t)writer->memo + 1 : 0;
}

static int begin_changeable(struct writer *writer, weft_value value, unsigned char opcode)
{
    int32_t number = next_number(writer);
    if (put_opcode(writer, opcode) != 0 || memoize(writer, value) != 0)
        return -1;
    return weft_length(value) ? enter(writer, value, number) : 0;
}

/* What is written in one go: it is never memoized, and nothing lies in it. */
static inline bool is_leaf(weft_value value)
{
    enum {
        LEAVES = 1 << WEFT_NONE | 1 << WEFT_BOOL | 1 << WEFT_INT | 1 << WEFT_FLOAT | 1 << WEFT_PTR | 1 << WEFT_STR | 1 << WEFT_BYTES |
                 1 << WEFT_ERROR | 1 << WEFT_BIGINT
    };
    return wefti_kind_among(value.kind, LEAVES);
}

static int put_leaf(struct writer *writer, weft_value value)
{
    const struct wefti_text *text = wefti_text_of(value);
    switch ((enum weft_value_kind)value.kind) {
    case WEFT_NONE:
        return put_opcode(writer, 'N');
    case WEFT_BOOL:
        return put_opcode(writer, value.as.integer ? 0x88 : 0x89);
    case WEFT_INT:
        return put_int(writer, value.as.integer);
    case WEFT_FLOAT:
        return put_float(writer, value.as.real);
    case WEFT_PTR:
        return refuse(writer, EFAULT, "a pointer means nothing elsewhere");
    case WEFT_ERROR:
        return put_error(writer, value);
    default:
        if (!text)
            return refuse(writer, EINVAL, "a broken value");
        if (value.kind == WEFT_STR)
            return put_str(writer, text->octets, text->length);
        if (value.kind == WEFT_BYTES)
            return put_octets(writer, bytes_opcodes, text->octets, text->length);
        return put_bigint(writer, text);
    }
}

/* Recursion. */

/* Of a tuple's frame, in its partner's number: 1 + the frame of its first time; 0: it is that. */
static size_t frame_first(const struct wefti_frame *frame)
{
    return (size_t)frame->partner.as.integer;
}

static bool frame_is_of(const struct wefti_frame *frame, weft_value value)
{
    return frame->container.kind == value.kind && wefti_handle_object(frame->container) == wefti_handle_object(value);
}

/* So many levels up from what lies in the innermost frame; NULL: there are fewer. */
static struct wefti_frame *frame_above(const struct writer *writer, int64_t levels)
{
    size_t at = writer->walk.depth;
    for (; at > 0 && levels > 1; levels--) {
        const struct wefti_frame *frame = &writer->walk.frames[at - 1];
        bool again = frame->container.kind == WEFT_TUPLE && frame_first(frame);
        at = again ? frame_first(frame) - 1 : at - 1;
    }
    return at > 0 && levels == 1 ? &writer->walk.frames[at - 1] : NULL;
}

static int refuse_recursive(struct writer *writer, weft_value value)
{
    return refuse(writer, EINVAL, "a value that lies in itself (%s %s)", value.kind == WEFT_OBJECT ? "an" : "a",
        weft_kind_name((enum weft_value_kind)value.kind));
}

static int put_above(struct writer *writer, weft_value value)
{
    const struct wefti_frame *frame = frame_above(writer, value.as.integer);
    if (!frame || wefti_object_inert(frame->container))
        return refuse(writer, EINVAL, "a reference upwards, out of what is sent");
    if (frame->container.kind != WEFT_TUPLE)
        return frame->partner.code ? put_get(writer, (uint64_t)frame->partner.code - 1) : refuse_recursive(writer, frame->container);
    int again = put_again(writer, frame->container);
    if (again != 0)
        return again < 0 ? -1 : 0;
    size_t first = frame_first(frame) ? frame_first(frame) : (size_t)(frame - writer->walk.frames) + 1;
    weft_value tuple = frame->container;
    writer->repeats = true;
    if (weft_length(tuple) > 3 && put_opcode(writer, '(') != 0)
        return -1;
    if (enter(writer, tuple, MEMOIZED) != 0)
        return -1;
    wefti_walk_top(&writer->walk)->partner.as.integer = (int64_t)first;
    return 0;
}

/* While tuples are written within themselves: an object that has begun, and has no number before all its arguments are written. */
static int refuse_begun(struct writer *writer, weft_value value)
{
    size_t at = value.kind == WEFT_OBJECT && wefti_item_recursive(value) ? writer->walk.depth : 0;
    while (at > 0 && !frame_is_of(&writer->walk.frames[at - 1], value))
        at--;
    return at > 0 ? refuse_recursive(writer, value) : 0;
}

/* A tuple that was written within itself: as much of it as has been written once more goes, and the number comes. */
static int end_made(struct writer *writer, const struct wefti_frame *frame, uint64_t number)
{
    bool marked = weft_length(frame->container) > 3;
    size_t written = frame->at;
    wefti_walk_leave(&writer->walk);
    if (marked && put_opcode(writer, '1') != 0)
        return -1;
    for (size_t i = 0; i < written && !marked; i++)
        if (put_opcode(writer, '0') != 0)
            return -1;
    return put_get(writer, number);
}

/* Tuples. */

static int end_tuple(struct writer *writer, weft_value tuple, int32_t role)
{
    size_t length = weft_length(tuple);
    if (put_opcode(writer, length > 3 ? 't' : (unsigned char)(0x84 + length)) != 0)
        return -1;
    return role == MEMOIZED ? memoize(writer, tuple) : 0;
}

/* One that has leaves only, as most have, needs no frame. */
static int begin_tuple(struct writer *writer, weft_value value, int32_t role)
{
    const struct wefti_array *tuple = wefti_handle_object(value);
    size_t at = 0;
    if (tuple->length == 0)
        return put_opcode(writer, ')');
    if (tuple->length > 3 && put_opcode(writer, '(') != 0)
        return -1;
    for (; at < tuple->length && is_leaf(tuple->items[at]); at++)
        if (put_leaf(writer, tuple->items[at]) != 0)
            return -1;
    return at < tuple->length ? enter_at(writer, value, role, at) : end_tuple(writer, value, role);
}

static int begin_frozenset(struct writer *writer, weft_value value)
{
    return put_opcode(writer, '(') == 0 ? enter(writer, value, 0) : -1;
}

static const struct wefti_pickle_name *object_name(weft_value object)
{
    const struct wefti_pickle_name *name = wefti_pickle_find_full(weft_object_name(object));
    return name && name->use < WEFTI_PICKLE_BYTEARRAY ? name : NULL;
}

/* What is done to an inert object: a str and what belongs to it, in turn. */
static bool is_done(weft_value does, weft_value with)
{
    if (does.kind != WEFT_STR || weft_length(does) != 1 || !strchr("beua", *weft_as_str(does)))
        return false;
    char what = *weft_as_str(does);
    return what == 'b' || (with.kind == WEFT_TUPLE && (what != 'u' || weft_length(with) % 2 == 0));
}

bool wefti_pickle_inert(weft_value value)
{
    if (!wefti_object_inert(value))
        return false;
    const char *name = weft_object_name(value);
    weft_value parts = weft_object_arguments(value), state = weft_object_state(value);
    size_t count = strcmp(name, "python.new_ex") == 0 ? 3 : 2;
    if (parts.kind != WEFT_TUPLE || weft_length(parts) != count)
        return false;
    if (strcmp(name, "python.global") == 0)
        return weft_list_at(parts, 0).kind == WEFT_STR && weft_list_at(parts, 1).kind == WEFT_STR && weft_is_none(state);
    if (strcmp(name, "python.call") != 0 && strcmp(name, "python.new") != 0 && count != 3)
        return false;
    if (!wefti_object_inert(weft_list_at(parts, 0)) || weft_list_at(parts, 1).kind != WEFT_TUPLE ||
        (count == 3 && weft_list_at(parts, 2).kind != WEFT_DICT))
        return false;
    bool good = weft_is_none(state) || (state.kind == WEFT_LIST && weft_length(state) % 2 == 0);
    for (size_t i = 0; good && state.kind == WEFT_LIST && i < weft_length(state); i += 2)
        good = is_done(weft_list_at(state, (ptrdiff_t)i), weft_list_at(state, (ptrdiff_t)i + 1));
    return good;
}

static int begin_inert(struct writer *writer, weft_value object)
{
    weft_value parts = weft_object_arguments(object);
    if (!wefti_pickle_inert(object))
        return refuse(writer, EINVAL, "an object of the class %.100s cannot be sent so", weft_object_name(object));
    if (strcmp(weft_object_name(object), "python.global") == 0)
        return put_global(writer, weft_as_str(weft_list_at(parts, 0)), weft_as_str(weft_list_at(parts, 1)));
    return enter(writer, object, 0);
}

/* An object of a name that stands by itself has no frame. */
static int begin_object(struct writer *writer, weft_value object)
{
    if (wefti_object_inert(object))
        return begin_inert(writer, object);
    const struct wefti_pickle_name *name = object_name(object);
    bool called = weft_object_arguments(object).kind == WEFT_TUPLE;
    if (!name || called != (name->use != WEFTI_PICKLE_CONSTANT && name->use != WEFTI_PICKLE_PROXY_CLASS))
        return refuse(writer, EINVAL, "an object of the class %.100s cannot be sent", weft_object_name(object));
    if (put_global(writer, name->module, name->name) != 0)
        return -1;
    return called ? enter(writer, object, 0) : 0;
}

static int put_container(struct writer *writer, weft_value value)
{
    int again = put_again(writer, value);
    if (again == 0 && writer->repeats)
        again = refuse_begun(writer, value);
    if (again != 0)
        return again < 0 ? -1 : 0;
    switch ((enum weft_value_kind)value.kind) {
    case WEFT_LIST:
        return begin_changeable(writer, value, ']');
    case WEFT_DICT:
        return begin_changeable(writer, value, '}');
    case WEFT_SET:
        return begin_changeable(writer, value, 0x8f);
    case WEFT_TUPLE:
        return begin_tuple(writer, value, MEMOIZED);
    case WEFT_FROZENSET:
        return begin_frozenset(writer, value);
    case WEFT_BYTEARRAY:
        return put_bytearray(writer, value);
    case WEFT_NUMBERS:
        return put_numbers(writer, value);
    default:
        return begin_object(writer, value);
    }
}

static int put_value(struct writer *writer, weft_value value)
{
    if (is_leaf(value))
        return put_leaf(writer, value);
    if (value.kind == WEFT_ABOVE)
        return put_above(writer, value);
    return wefti_value_counted(value) ? put_container(writer, value) : refuse(writer, EINVAL, "a broken value");
}

/* Between the items of a list, dict or set: ends a batch, begins the next. `written` counts items; keys and items are one. */
static int put_batch(struct writer *writer, weft_value container, size_t written)
{
    static const unsigned char one[] = {'a', 's', 0x90}, many[] = {'e', 'u', 0x90};
    unsigned which = container.kind == WEFT_LIST ? 0 : container.kind == WEFT_DICT ? 1 : 2;
    size_t length = weft_length(container), batch = written % BATCH ? written % BATCH : BATCH;
    bool ends = written > 0 && (batch == BATCH || written == length);
    if (ends && put_opcode(writer, batch == 1 ? one[which] : many[which]) != 0)
        return -1;
    bool begins = written < length && written % BATCH == 0;
    return begins && (length - written > 1 || which == 2) ? put_opcode(writer, '(') : 0;
}

/* The next things of a list, dict or set: leaves, and one that is none. */
static int step_changeable(struct writer *writer, struct wefti_frame *frame)
{
    bool pairs = frame->container.kind == WEFT_DICT;
    weft_value item;
    for (;;) {
        int64_t things = frame->partner.as.integer++;
        if ((!pairs || things % 2 == 0) && put_batch(writer, frame->container, (size_t)(pairs ? things / 2 : things)) != 0)
            return -1;
        if (!wefti_container_next(frame->container, &frame->at, &item))
            break;
        if (!is_leaf(item))
            return put_value(writer, item);
        if (put_leaf(writer, item) != 0)
            return -1;
    }
    wefti_walk_leave(&writer->walk);
    return 0;
}

static int step_tuple(struct writer *writer, struct wefti_frame *frame)
{
    weft_value item, tuple = frame->container;
    int32_t role = frame->partner.code;
    uint64_t number = 0;
    int made = writer->repeats && frame->at && role != ITEMS ? find_number(writer, tuple, &number) : 0;
    if (made != 0)
        return made < 0 ? -1 : end_made(writer, frame, number);
    if (wefti_container_next(tuple, &frame->at, &item))
        return put_value(writer, item);
    wefti_walk_leave(&writer->walk);
    return role == ITEMS ? 0 : end_tuple(writer, tuple, role);
}

static int step_frozenset(struct writer *writer, struct wefti_frame *frame)
{
    weft_value item, set = frame->container;
    if (wefti_container_next(set, &frame->at, &item))
        return put_value(writer, item);
    wefti_walk_leave(&writer->walk);
    return put_opcode(writer, 0x91) == 0 ? memoize(writer, set) : -1;
}

/* What is only a value to Python needs no number, unless it comes again. */
static bool object_memoized(weft_value object, enum wefti_pickle_use use)
{
    const struct wefti_object *counted = wefti_handle_object(object);
    if (counted->more & WEFTI_RECURSIVE)
        return true;
    return use == WEFTI_PICKLE_NEW || use == WEFTI_PICKLE_PROXY || __atomic_load_n(&counted->count, __ATOMIC_RELAXED) > 1;
}

/* The next step of what is done to an inert object: what it is done with, then the doing. */
static int step_done(struct writer *writer, weft_value state, size_t at)
{
    char does = *weft_as_str(weft_list_at(state, (ptrdiff_t)(at / 2 * 2)));
    weft_value with = weft_list_at(state, (ptrdiff_t)(at / 2 * 2 + 1));
    if (at % 2)
        return put_opcode(writer, does == 'a' ? 0x90 : (unsigned char)does);
    if (does == 'b')
        return put_value(writer, with);
    return put_opcode(writer, '(') == 0 ? enter(writer, with, ITEMS) : -1;
}

/* After all that it is made of: the making; then what is done to it. */
static int step_inert(struct writer *writer, struct wefti_frame *frame)
{
    weft_value object = frame->container, parts = weft_object_arguments(object), state = weft_object_state(object);
    const char *name = weft_object_name(object);
    size_t at = frame->at++, count = weft_length(parts);
    if (at < count)
        return at == 1 ? begin_tuple(writer, weft_list_at(parts, 1), ARGUMENTS) : put_value(writer, weft_list_at(parts, (ptrdiff_t)at));
    if (at == count) {
        bool called = strcmp(name, "python.call") == 0;
        if (put_opcode(writer, called ? 'R' : count == 3 ? 0x92 : 0x81) != 0)
            return -1;
        return object_memoized(object, WEFTI_PICKLE_CONSTANT) ? memoize(writer, object) : 0;
    }
    if (state.kind == WEFT_LIST && at - count - 1 < weft_length(state))
        return step_done(writer, state, at - count - 1);
    wefti_walk_leave(&writer->walk);
    return 0;
}

/* After an object's class: its arguments; then the call, and its state; then that. Those of exceptions are tuples like others. */
static int step_object(struct writer *writer, struct wefti_frame *frame)
{
    weft_value object = frame->container, arguments = weft_object_arguments(object), state = weft_object_state(object);
    enum wefti_pickle_use use = object_name(object)->use;
    switch (frame->at++) {
    case 0:
        return use == WEFTI_PICKLE_EXCEPTION ? put_value(writer, arguments) : begin_tuple(writer, arguments, ARGUMENTS);
    case 1:
        if (put_opcode(writer, use == WEFTI_PICKLE_NEW ? 0x81 : 'R') != 0)
            return -1;
        frame->partner.code = object_memoized(object, use) ? next_number(writer) : 0;
        if (object_memoized(object, use) && memoize(writer, object) != 0)
            return -1;
        if (weft_is_none(state))
            break;
        return state.kind == WEFT_TUPLE ? begin_tuple(writer, state, ARGUMENTS) : put_value(writer, state);
    default:
        if (put_opcode(writer, 'b') != 0)
            return -1;
    }
    wefti_walk_leave(&writer->walk);
    return 0;
}

static int step(struct writer *writer, struct wefti_frame *frame)
{
    switch ((enum weft_value_kind)frame->container.kind) {
    case WEFT_TUPLE:
        return step_tuple(writer, frame);
    case WEFT_FROZENSET:
        return step_frozenset(writer, frame);
    case WEFT_OBJECT:
        return wefti_object_inert(frame->container) ? step_inert(writer, frame) : step_object(writer, frame);
    default:
        return step_changeable(writer, frame);
    }
}

static int spend(void *data, size_t octets, size_t things)
{
    struct writer *writer = data;
    writer->folded += octets / sizeof(weft_value) + things;
    if (writer->folded < FOLDED_MOST)
        return 0;
    return refuse(writer, EMSGSIZE, "the value lies in itself too often");
}

static int write_value(struct writer *writer, weft_value value)
{
    wefti_walk_begin(&writer->walk);
    int result = put(writer, "\x80\x04", 2) == 0 ? put_value(writer, value) : -1;
    for (struct wefti_frame *frame; result == 0 && (frame = wefti_walk_top(&writer->walk));)
        result = step(writer, frame);
    if (result == 0)
        result = put_opcode(writer, '.');
    int error = errno;
    wefti_walk_end(&writer->walk);
    wefti_seen_end(&writer->seen);
    errno = error;
    return result;
}

/* Of one that has references upwards. */
static int write_recursive(struct writer *writer, weft_value value)
{
    weft_value folded = wefti_fold(value, SIZE_MAX, spend, writer);
    int result = -1;
    if (!weft_is_error(folded))
        result = write_value(writer, folded);
    else if (errno == EDOM)
        refuse(writer, EINVAL, "a reference upwards, out of what is sent");
    else if (errno == E2BIG)
        refuse(writer, EMSGSIZE, "a value that lies in itself, and too deep");
    else if (errno == EINVAL || errno == ELOOP)
        refuse_recursive(writer, (weft_value){.kind = errno == ELOOP ? WEFT_TUPLE : WEFT_OBJECT});
    else if (errno != EMSGSIZE)
        refuse(writer, ENOMEM, "out of memory");
    int error = errno;
    weft_drop(folded);
    errno = error;
    return result;
}

int wefti_pickle_write(weft_value value, struct wefti_octets *out, size_t most, struct wefti_pickle_reason *reason)
{
    struct writer writer = {.out = out, .reason = reason};
    size_t before = out->length;
    writer.most = most < SIZE_MAX - before ? before + most : SIZE_MAX;
    bool recursive = wefti_kind_contains(value.kind) && wefti_item_recursive(value);
    int result = recursive ? write_recursive(&writer, value) : write_value(&writer, value), error = errno;
    if (result != 0)
        out->length = before;
    errno = error;
    return result;
}
