/* SPDX-License-Identifier: MIT */
/*
 * The flat form: items one after the other, each a kind (an octet) and what that kind has:
 *   none; bool, an octet; int, float, ptr, a reference upwards, eight octets; str, bytes, bytearray, bigint, a length and octets; numbers,
 *   their letter, a length and octets; an error without a text, its code; ERROR_TEXT, the code, a length and the text; ERROR_TYPE, the
 *   same, a length and the type; list, tuple, set, frozenset, a count and so many items; an object, 3, its name, arguments and state; dict,
 *   a count and so many keys and items in turn; AGAIN, the number of an object that is complete.
 * Lengths, counts and numbers are eight octets, a code four, in this machine's order, unaligned.
 *
 * Objects are numbered from 0 in the order in which they begin. Only what is held more than once can come again, so only that is looked for
 * when writing. Values have no cycles: what comes again is complete.
 *
 * Neither way recurses. Writing walks; reading keeps finished values on a stack, and makes a container of the topmost ones when its last is
 * there.
 */

#include "value/flat.h"

#include <string.h>

#include "value/object.h"
#include "value/seen.h"

enum { AGAIN = 64, ERROR_TEXT = 65, ERROR_TYPE = 66 };

/* Writing. */

struct writer {
    char *to;
    size_t size, written;
    uint64_t objects;
    wefti_flat_pointer *may;
    struct wefti_seen seen; /* what is held more than once, with its number */
    struct wefti_walk walk;
};

static void put(struct writer *writer, const void *octets, size_t length)
{
    if (writer->written < writer->size && length > 0) {
        size_t room = writer->size - writer->written;
        memcpy(writer->to + writer->written, octets, length < room ? length : room);
    }
    writer->written += length;
}

static void put_kind(struct writer *writer, uint8_t kind)
{
    put(writer, &kind, sizeof(kind));
}

static void put_number(struct writer *writer, uint64_t number)
{
    put(writer, &number, sizeof(number));
}

static void put_text(struct writer *writer, const struct wefti_text *text)
{
    put_number(writer, text->length);
    put(writer, text->octets, text->length);
}

static void put_error(struct writer *writer, weft_value value)
{
    const struct wefti_text *text = wefti_object_of(value, WEFT_ERROR);
    const char *type = weft_error_type(value);
    put_kind(writer, type ? ERROR_TYPE : text ? ERROR_TEXT : WEFT_ERROR);
    put(writer, &value.code, sizeof(value.code));
    if (text)
        put_text(writer, text);
    if (type) {
        put_number(writer, strlen(type));
        put(writer, type, strlen(type));
    }
}

/* 1: it was written before, and says so; 0: it is to be written; -1 with ENOMEM. An error's code is its holder's, so it is written each
 * time. */
static int put_again(struct writer *writer, weft_value value)
{
    if (!wefti_value_counted(value) || value.kind == WEFT_ERROR)
        return 0;
    const struct wefti_object *object = wefti_handle_object(value);
    uint64_t number = writer->objects++;
    if (__atomic_load_n(&object->count, __ATOMIC_RELAXED) == 1)
        return 0;
    struct wefti_seen_place *place = wefti_seen_place(&writer->seen, object);
    if (!place)
        return -1;
    if (!place->object) {
        *place = (struct wefti_seen_place){object, number};
        writer->seen.count++;
        return 0;
    }
    writer->objects--;
    put_kind(writer, AGAIN);
    put_number(writer, place->number);
    return 1;
}

static int put_pointer(struct writer *writer, weft_value value)
{
    if (value.as.pointer && !writer->may(value.as.pointer)) {
        errno = EFAULT;
        return -1;
    }
    put_kind(writer, WEFT_PTR);
    put_number(writer, (uint64_t)(uintptr_t)value.as.pointer);
    return 0;
}

static int put_container(struct writer *writer, weft_value value)
{
    put_kind(writer, value.kind);
    put_number(writer, value.kind == WEFT_OBJECT ? WEFTI_OBJECT_PARTS : weft_length(value));
    return wefti_walk_enter(&writer->walk, value, weft_none);
}

static int put_value(struct writer *writer, weft_value value)
{
    int again = put_again(writer, value);
    if (again != 0)
        return again < 0 ? -1 : 0;
    switch ((enum weft_value_kind)value.kind) {
    case WEFT_PTR:
        return put_pointer(writer, value);
    case WEFT_LIST:
    case WEFT_TUPLE:
    case WEFT_DICT:
    case WEFT_SET:
    case WEFT_FROZENSET:
    case WEFT_OBJECT:
        return put_container(writer, value);
    case WEFT_ERROR:
        put_error(writer, value);
        return 0;
    case WEFT_STR:
    case WEFT_BYTES:
    case WEFT_BIGINT:
    case WEFT_BYTEARRAY:
    case WEFT_NUMBERS:
        put_kind(writer, value.kind);
        if (value.kind == WEFT_NUMBERS)
            put_kind(writer, (uint8_t)weft_numbers_type(value));
        put_text(writer, wefti_text_of(value));
        return 0;
    case WEFT_NONE:
    case WEFT_BOOL:
    case WEFT_INT:
    case WEFT_FLOAT:
    case WEFT_ABOVE:
        break;
    }
    put_kind(writer, value.kind);
    if (value.kind == WEFT_BOOL)
        put_kind(writer, value.as.integer != 0);
    else if (value.kind != WEFT_NONE)
        put_number(writer, (uint64_t)value.as.integer); /* a float's octets, too */
    return 0;
}

ssize_t wefti_flat_write(weft_value value, void *to, size_t size, wefti_flat_pointer *may)
{
    struct writer writer = {.to = to, .size = to ? size : 0, .may = may};
    wefti_walk_begin(&writer.walk);
    int failed = put_value(&writer, value);
    for (struct wefti_frame *frame; !failed && (frame = wefti_walk_top(&writer.walk));) {
        weft_value item;
        if (wefti_container_next(frame->container, &frame->at, &item))
            failed = put_value(&writer, item);
        else
            wefti_walk_leave(&writer.walk);
    }
    int error = errno;
    wefti_walk_end(&writer.walk);
    wefti_seen_end(&writer.seen);
    errno = error;
    return failed ? -1 : (ssize_t)writer.written;
}

/* Reading. */

/* A container whose items are not all there. */
struct open {
    uint64_t left;   /* items, keys counted too */
    uint64_t number; /* its own */
    size_t base;     /* its first item on the stack */
    uint8_t kind;
};

struct stack {
    void *items;
    size_t count, room;
};

struct reader {
    const char *at, *end;
    struct stack done;    /* of weft_value: finished, held */
    struct stack opened;  /* of struct open */
    struct stack objects; /* of weft_value: by number, held; none while not complete */
};

/* A place for one more on top; NULL with ENOMEM. */
static void *stack_push(struct stack *stack, size_t each)
{
    if (stack->count == stack->room) {
        size_t room = stack->room ? 2 * stack->room : 16;
        void *items = wefti_realloc(stack->items, room * each);
        if (!items)
            return NULL;
        stack->items = items;
        stack->room = room;
    }
    return (char *)stack->items + each * stack->count++;
}

static int refuse(void)
{
    errno = EBADMSG;
    return -1;
}

static bool take(struct reader *reader, void *to, size_t length)
{
    if ((size_t)(reader->end - reader->at) < length)
        return false;
    memcpy(to, reader->at, length);
    reader->at += length;
    return true;
}

/* A length or count of what takes at least so many octets each: no more than there can be. */
static bool take_count(struct reader *reader, uint64_t *count, size_t each)
{
    return take(reader, count, sizeof(*count)) && *count <= (size_t)(reader->end - reader->at) / each;
}

/* A finished value, held: onto the stack. */
static int done_push(struct reader *reader, weft_value value)
{
    weft_value *top = stack_push(&reader->done, sizeof(*top));
    if (!top) {
        weft_drop(value);
        return -1;
    }
    *top = value;
    return 0;
}

/* An object begins. */
static weft_value *objects_push(struct reader *reader)
{
    weft_value *object = stack_push(&reader->objects, sizeof(*object));
    if (object)
        *object = weft_none;
    return object;
}

/* The octets that a kind's text cannot have. */
static bool text_wrong(const struct reader *reader, uint8_t kind, uint8_t letter, uint64_t length)
{
    if (kind == WEFT_NUMBERS)
        return wefti_numbers_size((char)letter) == 0 || length % wefti_numbers_size((char)letter) != 0;
    return kind == WEFT_BIGINT && (length <= sizeof(int64_t) || length > WEFT_BIGINT_MOST ||
                                      wefti_bigint_trim((const unsigned char *)reader->at, length) != length);
}

static int take_text(struct reader *reader, uint8_t kind)
{
    uint64_t length;
    uint8_t letter = 0;
    if ((kind == WEFT_NUMBERS && !take(reader, &letter, 1)) || !take_count(reader, &length, 1) || text_wrong(reader, kind, letter, length))
        return refuse();
    weft_value *object = objects_push(reader);
    if (!object)
        return -1;
    weft_value text = wefti_text_new((enum weft_value_kind)kind, letter, reader->at, length);
    if (weft_is_error(text))
        return -1;
    reader->at += length;
    *object = weft_keep(text);
    return done_push(reader, text);
}

static int take_error(struct reader *reader, uint8_t kind)
{
    int32_t code;
    uint64_t length = 0, type_length = 0;
    if (!take(reader, &code, sizeof(code)) || (kind != WEFT_ERROR && !take_count(reader, &length, 1)))
        return refuse();
    const char *text = reader->at;
    reader->at += length;
    if (kind == ERROR_TYPE && !take_count(reader, &type_length, 1))
        return refuse();
    const char *type = kind == ERROR_TYPE ? reader->at : NULL;
    reader->at += type_length;
    weft_value error = wefti_error_new(code, kind == WEFT_ERROR ? NULL : text, length, type, type_length);
    if (kind != WEFT_ERROR && !wefti_value_counted(error))
        return -1;
    return done_push(reader, error);
}

static int take_container(struct reader *reader, uint8_t kind)
{
    uint64_t count;
    if (!take_count(reader, &count, kind == WEFT_DICT ? 2 : 1) || (kind == WEFT_OBJECT && count != WEFTI_OBJECT_PARTS))
        return refuse();
    struct open *opened = stack_push(&reader->opened, sizeof(*opened));
    if (!opened)
        return -1;
    *opened = (struct open){
        .left = kind == WEFT_DICT ? 2 * count : count, .number = reader->objects.count, .base = reader->done.count, .kind = kind};
    return objects_push(reader) ? 0 : -1;
}

static int take_again(struct reader *reader)
{
    uint64_t number;
    if (!take(reader, &number, sizeof(number)) || number >= reader->objects.count)
        return refuse();
    weft_value object = ((weft_value *)reader->objects.items)[number];
    return weft_is_none(object) ? refuse() : done_push(reader, weft_keep(object));
}

static bool kind_scalar(uint8_t kind)
{
    return kind <= WEFT_PTR || kind == WEFT_ABOVE;
}

static bool scalar_read(struct reader *reader, uint8_t kind, weft_value *value)
{
    uint8_t truth = 0;
    *value = (weft_value){.kind = kind};
    bool there =
        kind == WEFT_NONE || (kind == WEFT_BOOL ? take(reader, &truth, 1) && truth < 2 : take(reader, &value->as, sizeof(value->as)));
    if (kind == WEFT_BOOL)
        value->as.integer = truth;
    return there;
}

static int take_scalar(struct reader *reader, uint8_t kind)
{
    weft_value value;
    return scalar_read(reader, kind, &value) ? done_push(reader, value) : refuse();
}

static int take_item(struct reader *reader)
{
    uint8_t kind;
    if (!take(reader, &kind, 1))
        return refuse();
    if (kind_scalar(kind))
        return take_scalar(reader, kind);
    if (wefti_kind_text(kind))
        return take_text(reader, kind);
    if (wefti_kind_contains(kind))
        return take_container(reader, kind);
    if (kind == WEFT_ERROR || kind == ERROR_TEXT || kind == ERROR_TYPE)
        return take_error(reader, kind);
    return kind == AGAIN ? take_again(reader) : refuse();
}

static int changeable_add(weft_value made, const weft_value *item)
{
    if (made.kind == WEFT_LIST)
        return weft_list_append(made, item[0]);
    return made.kind == WEFT_DICT ? weft_dict_set(made, item[0], item[1]) : weft_set_add(made, item[0]);
}

/* A list, dict or set of the items, which it takes; *taken says how many. A key that comes twice has its last item. */
static weft_value changeable_make(uint8_t kind, const weft_value *items, size_t count, size_t *taken)
{
    weft_value made = kind == WEFT_LIST ? weft_list() : kind == WEFT_DICT ? weft_dict() : weft_set();
    size_t step = kind == WEFT_DICT ? 2 : 1;
    for (*taken = 0; !weft_is_error(made) && *taken < count; *taken += step) {
        const weft_value *item = items + *taken;
        if (changeable_add(made, item) >= 0)
            continue;
        int error = errno == ENOMEM ? ENOMEM : EBADMSG; /* what may not be a key */
        weft_drop(made);
        return weft_error(error, NULL);
    }
    return made;
}

/* A container that never changes, of all the items. */
static weft_value constant_make(uint8_t kind, const weft_value *items, size_t count)
{
    weft_value made;
    if (kind == WEFT_TUPLE)
        return weft_tuple(items, count);
    if (kind == WEFT_FROZENSET) {
        made = weft_frozenset(items, count);
    } else {
        const char *name = wefti_object_of(items[0], WEFT_STR) ? weft_as_str(items[0]) : NULL;
        made = weft_object(name, items[1], items[2]);
        if (!weft_is_error(made))
            weft_drop(items[0]);
    }
    return weft_error_code(made) == EINVAL ? weft_error(EBADMSG, NULL) : made;
}

/* The innermost container has all its items: it is made of them. */
static int container_close(struct reader *reader)
{
    struct open closing = ((struct open *)reader->opened.items)[--reader->opened.count];
    weft_value *items = reader->done.items; /* NULL while nothing has been finished */
    items = items ? items + closing.base : NULL;
    size_t count = reader->done.count - closing.base, taken = 0;
    weft_value made;
    if (closing.kind == WEFT_TUPLE || closing.kind == WEFT_FROZENSET || closing.kind == WEFT_OBJECT) {
        made = constant_make(closing.kind, count ? items : NULL, count);
        taken = weft_is_error(made) ? 0 : count;
    } else {
        made = changeable_make(closing.kind, items, count, &taken);
    }
    while (taken < count)
        weft_drop(items[taken++]);
    reader->done.count = closing.base;
    if (weft_is_error(made)) {
        errno = weft_error_code(made);
        return -1;
    }
    ((weft_value *)reader->objects.items)[closing.number] = weft_keep(made);
    return done_push(reader, made);
}

/* One step: 1 when there is nothing left to do. */
static int read_step(struct reader *reader)
{
    struct open *innermost = reader->opened.count ? (struct open *)reader->opened.items + reader->opened.count - 1 : NULL;
    if (innermost && innermost->left == 0)
        return container_close(reader);
    if (!innermost && reader->done.count == 1)
        return 1;
    if (innermost)
        innermost->left--;
    return take_item(reader);
}

static void values_drop(const struct stack *stack)
{
    for (size_t i = 0; i < stack->count; i++)
        weft_drop(((weft_value *)stack->items)[i]);
}

/* A scalar alone, for which nothing has to be allocated. */
static bool read_alone(const void *octets, size_t length, weft_value *value)
{
    struct reader reader = {.at = octets, .end = (const char *)octets + length};
    uint8_t kind;
    weft_value alone;
    if (!take(&reader, &kind, 1) || !kind_scalar(kind) || !scalar_read(&reader, kind, &alone) || reader.at != reader.end)
        return false;
    *value = alone;
    return true;
}

int wefti_flat_read(const void *octets, size_t length, weft_value *value)
{
    struct reader reader = {.at = octets, .end = (const char *)octets + length};
    int step;
    if (read_alone(octets, length, value))
        return 0;
    while ((step = read_step(&reader)) == 0)
        ;
    if (step == 1 && reader.at != reader.end)
        step = refuse();
    if (step == 1)
        *value = *(weft_value *)reader.done.items;
    int error = errno;
    if (step < 0)
        values_drop(&reader.done);
    values_drop(&reader.objects);
    wefti_release(reader.done.items);
    wefti_release(reader.opened.items);
    wefti_release(reader.objects.items);
    errno = error;
    return step == 1 ? 0 : -1;
}
