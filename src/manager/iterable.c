/* SPDX-License-Identifier: MIT */
/*
 * What values are to the methods that take others: things to iterate over, proxies of other objects of the manager, slices and indices.
 *
 * A proxy stays what it is in what is stored, and goes out again unchanged; only where Python would iterate over it, or copy it, is it
 * taken for what it refers to.
 */

#include <errno.h>
#include <string.h>

#include "manager/manager.h"
#include "value/recursive.h"
#include "value/seen.h"

enum { RANGE_MOST = 1 << 24, COMPARED_MOST = 1 << 20, WORK_MOST = 1 << 26 };

static bool object_is(weft_value value, const char *name)
{
    return value.kind == WEFT_OBJECT && strcmp(weft_object_name(value), name) == 0;
}

static bool is_proxy(weft_value value)
{
    return object_is(value, "multiprocessing.managers.RebuildProxy");
}

/* The ident of a proxy's token: the third of its state. */
static weft_value proxy_ident(weft_value proxy)
{
    weft_value token = weft_list_at(weft_object_arguments(proxy), 1);
    return weft_list_at(weft_object_state(token), 2);
}

struct wefti_managed *wefti_proxy_object(weft_manager *manager, weft_value proxy)
{
    return is_proxy(proxy) ? wefti_managed_named(manager, proxy_ident(proxy)) : NULL;
}

static bool proxy_pin(struct wefti_call *call, weft_value proxy, weft_value *error)
{
    struct wefti_managed *object = wefti_proxy_object(call->manager, proxy);
    if (object)
        object->pinned = true;
    else
        *error = wefti_traceback(call, "KeyError: '%.40s'\n", weft_as_str(proxy_ident(proxy)));
    return object != NULL;
}

/* Into a container, once: what is shared a thousand times is walked through once. -1: no memory. */
static int pin_enter(struct wefti_walk *walk, struct wefti_seen *seen, weft_value item)
{
    struct wefti_seen_place *place = wefti_seen_place(seen, wefti_handle_object(item));
    if (!place || place->object)
        return place ? 0 : -1;
    place->object = wefti_handle_object(item);
    seen->count++;
    return wefti_walk_enter(walk, item, weft_none);
}

bool wefti_proxies_pin(struct wefti_call *call, weft_value value, weft_value *error)
{
    struct wefti_walk walk;
    struct wefti_seen seen = {0};
    bool good = true;
    wefti_walk_begin(&walk);
    weft_value item = value;
    for (struct wefti_frame *frame = NULL; good;) {
        if (is_proxy(item))
            good = proxy_pin(call, item, error);
        else if (wefti_kind_contains(item.kind) && pin_enter(&walk, &seen, item) != 0) {
            *error = wefti_traceback(call, "MemoryError\n");
            good = false;
        }
        while (good && (frame = wefti_walk_top(&walk)) && !wefti_container_next(frame->container, &frame->at, &item))
            wefti_walk_leave(&walk);
        if (!frame || !wefti_walk_top(&walk))
            break;
    }
    wefti_walk_end(&walk);
    wefti_seen_end(&seen);
    return good;
}

weft_value wefti_dereferenced(struct wefti_call *call, weft_value value, weft_value *made)
{
    struct wefti_managed *object = wefti_proxy_object(call->manager, value);
    *made = weft_none;
    if (object && object->type->value)
        *made = object->type->value(object);
    return object && object->type->value ? *made : value;
}

static size_t weight_of(weft_value value)
{
    const struct wefti_container *container = wefti_kind_contains(value.kind) ? wefti_handle_object(value) : NULL;
    return container ? container->weight >> WEFTI_DEPTH_BITS : 1;
}

bool wefti_comparable(weft_value value)
{
    return weight_of(value) < COMPARED_MOST;
}

bool wefti_compares(size_t *work, weft_value a, weft_value b)
{
    size_t first = weight_of(a), second = weight_of(b);
    *work += first < second ? first : second;
    return *work < WORK_MOST;
}

bool wefti_relays(const struct wefti_call *call, weft_value value)
{
    struct wefti_walk walk;
    bool found = false, good = true;
    if (!call->manager->options.relay)
        return false;
    wefti_walk_begin(&walk);
    weft_value item = value;
    for (struct wefti_frame *frame = NULL; good && !found;) {
        found = wefti_object_inert(item);
        good = found || !wefti_kind_contains(item.kind) || wefti_walk_enter(&walk, item, weft_none) == 0;
        while (good && !found && (frame = wefti_walk_top(&walk)) && !wefti_container_next(frame->container, &frame->at, &item))
            wefti_walk_leave(&walk);
        if (!frame || !wefti_walk_top(&walk))
            break;
    }
    wefti_walk_end(&walk);
    return found || !good;
}

static bool items_add(weft_value list, weft_value item)
{
    if (weft_is_error(item) || weft_list_append(list, item) == 0)
        return !weft_is_error(item);
    weft_drop(item);
    return false;
}

/* The letters of a str, by their first octets. */
static bool items_of_str(weft_value list, weft_value text)
{
    const char *at = weft_as_str(text), *end = at + weft_length(text);
    bool good = true;
    while (good && at < end) {
        size_t length = 1;
        while (at + length < end && ((unsigned char)at[length] & 0xc0) == 0x80)
            length++;
        good = items_add(list, weft_str_n(at, length));
        at += length;
    }
    return good;
}

static weft_value number_at(weft_value numbers, size_t at)
{
    char letter = weft_numbers_type(numbers);
    const char *from = (const char *)weft_as_bytes(numbers) + at * wefti_numbers_size(letter);
    double real;
    float single;
    int64_t integer = 0;
    uint64_t natural = 0;
    size_t size = wefti_numbers_size(letter);
    if (letter == 'd')
        return memcpy(&real, from, sizeof(real)), weft_float(real);
    if (letter == 'f')
        return memcpy(&single, from, sizeof(single)), weft_float((double)single);
    memcpy(&natural, from, size);
    if (letter == 'L' || letter == 'Q') {
        unsigned char octets[9] = {0};
        memcpy(octets, &natural, 8);
        return weft_int_n(octets, 9);
    }
    unsigned shift = (unsigned)(64 - 8 * size);
    bool has_sign = letter >= 'a';
    integer = (int64_t)(natural << shift);
    return weft_int(has_sign ? integer >> shift : (int64_t)natural);
}

static bool items_of_octets(weft_value list, weft_value octets)
{
    const unsigned char *at = weft_as_bytes(octets);
    bool good = true;
    for (size_t i = 0; good && i < weft_length(octets); i++)
        good = items_add(list, octets.kind == WEFT_NUMBERS ? number_at(octets, i) : weft_int(at[i]));
    return good;
}

static bool items_of_range(weft_value list, weft_value range)
{
    weft_value arguments = weft_object_arguments(range);
    int64_t start = weft_as_int(weft_list_at(arguments, 0)), stop = weft_as_int(weft_list_at(arguments, 1)),
            step = weft_as_int(weft_list_at(arguments, 2));
    bool good = step != 0;
    for (int64_t count = 0; good && (step > 0 ? start < stop : start > stop); count++) {
        good = count < RANGE_MOST && items_add(list, weft_int(start)) && !__builtin_add_overflow(start, step, &start);
        errno = count < RANGE_MOST ? errno : EMSGSIZE;
    }
    return good;
}

/* Into a list that is empty yet: of a list or tuple also as they are outside of it. */
static bool items_of_container(weft_value list, weft_value container)
{
    weft_value item;
    size_t at = 0;
    bool good = true;
    if (container.kind == WEFT_DICT)
        while (good && weft_dict_next(container, &at, &item, NULL))
            good = items_add(list, weft_keep(item));
    else if (wefti_kind_set(container.kind))
        while (good && weft_set_next(container, &at, &item))
            good = items_add(list, weft_keep(item));
    else
        for (size_t i = 0; good && i < weft_length(container); i++)
            good = items_add(list, weft_keep(weft_list_at(container, (ptrdiff_t)i)));
    return good && wefti_recursive_unfold(container, list) == 0;
}

static bool items_of(weft_value list, weft_value source)
{
    if (source.kind == WEFT_STR)
        return items_of_str(list, source);
    if (source.kind == WEFT_BYTES || source.kind == WEFT_BYTEARRAY || source.kind == WEFT_NUMBERS)
        return items_of_octets(list, source);
    if (object_is(source, "range"))
        return items_of_range(list, source);
    if (object_is(source, "iter"))
        return items_of_container(list, weft_list_at(weft_object_arguments(source), 0));
    return items_of_container(list, source);
}

static bool is_iterable(weft_value value)
{
    return object_is(value, "range") || object_is(value, "iter") || (value.kind != WEFT_OBJECT && wefti_kind_contains(value.kind)) ||
           value.kind == WEFT_STR || value.kind == WEFT_BYTES || value.kind == WEFT_BYTEARRAY || value.kind == WEFT_NUMBERS;
}

weft_value wefti_items_of(struct wefti_call *call, weft_value source)
{
    weft_value made, items, value = wefti_dereferenced(call, source, &made);
    if (!is_iterable(value))
        items = wefti_raise_text(call, "TypeError", "'%s' object is not iterable", wefti_type_name(value));
    else {
        items = weft_list();
        if (weft_is_error(items) || !items_of(items, value)) {
            weft_drop(items);
            items = wefti_raise_memory(call);
        }
    }
    weft_drop(made);
    return items;
}

bool wefti_is_slice(weft_value value)
{
    return object_is(value, "slice");
}

static bool slice_part(struct wefti_call *call, weft_value part, int64_t otherwise, int64_t *integer, weft_value *error)
{
    *integer = otherwise;
    if (part.kind == WEFT_NONE)
        return true;
    if (part.kind == WEFT_BIGINT)
        *integer = weft_as_float(part) < 0 ? INT64_MIN / 2 : INT64_MAX / 2;
    else if (part.kind == WEFT_INT || part.kind == WEFT_BOOL)
        *integer = weft_as_int(part);
    else {
        *error = wefti_raise_text(call, "TypeError", "slice indices must be integers or None or have an __index__ method");
        return false;
    }
    return true;
}

/* An end of a slice, from the end where negative, and no further than the first and last there can be. */
static int64_t slice_clip(int64_t at, int64_t length, int64_t step)
{
    if (at < 0)
        at = at < -length ? -1 - length : at;
    if (at < 0)
        at += length;
    if (at < 0)
        return step < 0 ? -1 : 0;
    return at >= length ? (step < 0 ? length - 1 : length) : at;
}

bool wefti_slice(
    struct wefti_call *call, weft_value slice, int64_t length, int64_t *start, int64_t *step, int64_t *count, weft_value *error)
{
    weft_value parts = weft_object_arguments(slice);
    int64_t stop;
    if (!slice_part(call, weft_list_at(parts, 2), 1, step, error))
        return false;
    if (*step == 0) {
        *error = wefti_raise_text(call, "ValueError", "slice step cannot be zero");
        return false;
    }
    if (*step < -INT64_MAX / 2)
        *step = -INT64_MAX / 2;
    if (!slice_part(call, weft_list_at(parts, 0), *step < 0 ? INT64_MAX / 2 : 0, start, error) ||
        !slice_part(call, weft_list_at(parts, 1), *step < 0 ? INT64_MIN / 2 : INT64_MAX / 2, &stop, error))
        return false;
    *start = slice_clip(*start, length, *step);
    stop = slice_clip(stop, length, *step);
    if (*step < 0)
        *count = stop < *start ? (*start - stop - 1) / -*step + 1 : 0;
    else
        *count = *start < stop ? (stop - *start - 1) / *step + 1 : 0;
    return true;
}

bool wefti_index(struct wefti_call *call, weft_value value, int64_t length, const char *text, int64_t *index, weft_value *error)
{
    if (value.kind == WEFT_BIGINT) {
        *error = wefti_raise_text(call, "IndexError", "cannot fit 'int' into an index-sized integer");
        return false;
    }
    if (!wefti_integer(call, value, 0, index, error))
        return false;
    if (*index < 0)
        *index += length;
    if (*index >= 0 && *index < length)
        return true;
    *error = wefti_raise_text(call, "IndexError", "%s", text);
    return false;
}
