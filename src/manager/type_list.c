/* SPDX-License-Identifier: MIT */
/* list: a weft list, which nobody else holds; what is in it never changes. Results are copies, or what is in it, kept. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "manager/manager.h"

enum { ITEMS_MOST = 1 << 26, ORDER_STEPS = 1 << 22 };

static weft_value list_of(const struct wefti_call *call)
{
    return *(const weft_value *)call->object->state;
}

static int64_t list_length(const struct wefti_call *call)
{
    return (int64_t)weft_length(list_of(call));
}

/* Takes the other's place; the old one is dropped. */
static void list_replace(struct wefti_call *call, weft_value list)
{
    weft_value *state = call->object->state;
    weft_drop(*state);
    *state = list;
}

static weft_value list_construct(struct wefti_call *call)
{
    weft_value items = call->bound[0].kind == WEFTI_ABSENT ? weft_list() : wefti_items_of(call, call->bound[0]);
    if (wefti_raised(call))
        return items;
    weft_value *state = wefti_alloc(sizeof(*state));
    if (!state || weft_is_error(items)) {
        wefti_release(state);
        weft_drop(items);
        return wefti_raise_memory(call);
    }
    *state = items;
    call->object->state = state;
    return weft_none;
}

static void list_destroy(struct wefti_managed *object)
{
    weft_value *state = object->state;
    if (!state)
        return;
    weft_drop(*state);
    wefti_release(state);
}

static weft_value list_value(struct wefti_managed *object)
{
    return weft_copy(*(weft_value *)object->state);
}

/* Appends what another holds from so far on, in steps; false: no memory. */
static bool list_take_from(weft_value list, weft_value from, int64_t start, int64_t step, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        weft_value item = weft_keep(weft_list_at(from, (ptrdiff_t)(start + i * step)));
        if (weft_list_append(list, item) != 0)
            return weft_drop(item), false;
    }
    return true;
}

/* A list of parts of others, each a source, where it begins and how many. */
static weft_value list_joined(struct wefti_call *call, const weft_value *sources, int64_t (*parts)[2], size_t count)
{
    weft_value made = weft_list();
    for (size_t i = 0; i < count && !weft_is_error(made); i++)
        if (!list_take_from(made, sources[i], parts[i][0], 1, parts[i][1])) {
            weft_drop(made);
            made = weft_error(ENOMEM, NULL);
        }
    return weft_is_error(made) ? wefti_raise_memory(call) : made;
}

static weft_value list_get_slice(struct wefti_call *call)
{
    int64_t start, step, count;
    weft_value error, made;
    if (!wefti_slice(call, call->bound[0], list_length(call), &start, &step, &count, &error))
        return error;
    made = weft_list();
    if (!weft_is_error(made) && list_take_from(made, list_of(call), start, step, count))
        return made;
    weft_drop(made);
    return wefti_raise_memory(call);
}

static weft_value list_getitem(struct wefti_call *call)
{
    int64_t index;
    weft_value error;
    if (wefti_is_slice(call->bound[0]))
        return list_get_slice(call);
    if (!wefti_index(call, call->bound[0], list_length(call), "list index out of range", &index, &error))
        return error;
    return weft_keep(weft_list_at(list_of(call), (ptrdiff_t)index));
}

/* The list with other items in place of `count` of its own. */
static weft_value list_spliced(struct wefti_call *call, int64_t start, int64_t count, weft_value items)
{
    weft_value list = list_of(call), sources[] = {list, items, list};
    int64_t parts[][2] = {{0, start}, {0, (int64_t)weft_length(items)}, {start + count, list_length(call) - start - count}};
    return list_joined(call, sources, parts, 3);
}

static weft_value list_store_steps(struct wefti_call *call, int64_t start, int64_t step, int64_t count, weft_value items)
{
    if ((int64_t)weft_length(items) != count)
        return wefti_raise_text(
            call, "ValueError", "attempt to assign sequence of size %zu to extended slice of size %ld", weft_length(items), count);
    for (int64_t i = 0; i < count; i++)
        weft_list_set(list_of(call), (ptrdiff_t)(start + i * step), weft_keep(weft_list_at(items, (ptrdiff_t)i)));
    return weft_none;
}

static weft_value list_set_slice(struct wefti_call *call)
{
    int64_t start, step, count;
    weft_value result;
    if (!wefti_slice(call, call->bound[0], list_length(call), &start, &step, &count, &result))
        return result;
    weft_value items = wefti_items_of(call, call->bound[1]);
    if (wefti_raised(call))
        return items;
    if (step != 1)
        result = list_store_steps(call, start, step, count, items);
    else {
        result = list_spliced(call, start, count, items);
        if (!wefti_raised(call)) {
            list_replace(call, result);
            result = weft_none;
        }
    }
    weft_drop(items);
    return result;
}

static weft_value list_setitem(struct wefti_call *call)
{
    int64_t index;
    weft_value error;
    if (wefti_is_slice(call->bound[0]))
        return list_set_slice(call);
    if (!wefti_index(call, call->bound[0], list_length(call), "list assignment index out of range", &index, &error))
        return error;
    weft_list_set(list_of(call), (ptrdiff_t)index, weft_keep(call->bound[1]));
    return weft_none;
}

static weft_value list_delete_slice(struct wefti_call *call)
{
    int64_t start, step, count, length = list_length(call);
    weft_value error, made = weft_none;
    if (!wefti_slice(call, call->bound[0], length, &start, &step, &count, &error))
        return error;
    if (step < 0) {
        start += (count - 1) * step;
        step = -step;
    }
    made = weft_list();
    for (int64_t i = 0; i < length; i++) {
        bool goes = count > 0 && i >= start && i <= start + (count - 1) * step && (i - start) % step == 0;
        if (!goes && (weft_is_error(made) || !list_take_from(made, list_of(call), i, 1, 1))) {
            weft_drop(made);
            return wefti_raise_memory(call);
        }
    }
    if (weft_is_error(made))
        return wefti_raise_memory(call);
    list_replace(call, made);
    return weft_none;
}

static weft_value list_delitem(struct wefti_call *call)
{
    int64_t index;
    weft_value error;
    if (wefti_is_slice(call->bound[0]))
        return list_delete_slice(call);
    if (!wefti_index(call, call->bound[0], list_length(call), "list assignment index out of range", &index, &error))
        return error;
    weft_list_pop(list_of(call), (ptrdiff_t)index, NULL);
    return weft_none;
}

static weft_value list_len(struct wefti_call *call)
{
    return weft_int(list_length(call));
}

/* Where the value is between two places; -1: nowhere; -2: having raised. `work` is what the call has compared so far. */
static int64_t list_find_on(struct wefti_call *call, weft_value value, int64_t from, int64_t to, size_t *work, weft_value *error)
{
    if (*work == 0 && wefti_relays(call, value)) {
        *error = wefti_raise_text(call, "TypeError", "objects of classes that the manager does not know cannot be compared");
        return -2;
    }
    for (int64_t i = from; i < to; i++) {
        weft_value item = weft_list_at(list_of(call), (ptrdiff_t)i);
        if (!wefti_compares(work, item, value)) {
            *error = wefti_raise_text(call, "ValueError", "too much to compare");
            return -2;
        }
        if (weft_equal(item, value))
            return i;
    }
    return -1;
}

static int64_t list_find(struct wefti_call *call, weft_value value, int64_t from, int64_t to, weft_value *error)
{
    size_t work = 0;
    return list_find_on(call, value, from, to, &work, error);
}

static weft_value list_contains(struct wefti_call *call)
{
    weft_value error;
    int64_t at = list_find(call, call->bound[0], 0, list_length(call), &error);
    return at == -2 ? error : weft_bool(at >= 0);
}

static weft_value list_add(struct wefti_call *call)
{
    weft_value made, other = wefti_dereferenced(call, call->bound[0], &made), result;
    if (other.kind != WEFT_LIST)
        result = wefti_raise_text(call, "TypeError", "can only concatenate list (not \"%s\") to list", wefti_type_name(other));
    else {
        weft_value sources[] = {list_of(call), other};
        int64_t parts[][2] = {{0, list_length(call)}, {0, (int64_t)weft_length(other)}};
        result = list_joined(call, sources, parts, 2);
    }
    weft_drop(made);
    return result;
}

static weft_value list_times(struct wefti_call *call)
{
    int64_t times, length = list_length(call);
    weft_value error, made;
    if (!wefti_integer(call, call->bound[0], 0, &times, &error))
        return error;
    times = times > 0 && length > 0 ? times : 0;
    if (times > 0 && times > ITEMS_MOST / length)
        return wefti_raise_memory(call);
    made = weft_list();
    while (times-- > 0 && !weft_is_error(made))
        if (!list_take_from(made, list_of(call), 0, 1, length)) {
            weft_drop(made);
            made = weft_error(ENOMEM, NULL);
        }
    return weft_is_error(made) ? wefti_raise_memory(call) : made;
}

static weft_value copy_of(struct wefti_call *call)
{
    weft_value copy = weft_copy(list_of(call));
    return weft_is_error(copy) ? wefti_raise_memory(call) : copy;
}

static weft_value list_imul(struct wefti_call *call)
{
    weft_value made = list_times(call);
    if (wefti_raised(call))
        return made;
    list_replace(call, made);
    return copy_of(call);
}

static weft_value list_extend(struct wefti_call *call)
{
    weft_value items = wefti_items_of(call, call->bound[0]);
    if (wefti_raised(call))
        return items;
    bool good = list_take_from(list_of(call), items, 0, 1, (int64_t)weft_length(items));
    weft_drop(items);
    return good ? weft_none : wefti_raise_memory(call);
}

static weft_value list_iadd(struct wefti_call *call)
{
    weft_value result = list_extend(call);
    return wefti_raised(call) ? result : copy_of(call);
}

static weft_value list_append(struct wefti_call *call)
{
    weft_value item = weft_keep(call->bound[0]);
    if (weft_list_append(list_of(call), item) == 0)
        return weft_none;
    weft_drop(item);
    return wefti_raise_memory(call);
}

static weft_value list_insert(struct wefti_call *call)
{
    int64_t index, length = list_length(call);
    weft_value error, item;
    if (!wefti_integer(call, call->bound[0], 0, &index, &error))
        return error;
    index = index < 0 ? (index < -length ? 0 : index + length) : index > length ? length : index;
    item = weft_keep(call->bound[1]);
    if (weft_list_insert(list_of(call), (ptrdiff_t)index, item) == 0)
        return weft_none;
    weft_drop(item);
    return wefti_raise_memory(call);
}

static weft_value list_pop(struct wefti_call *call)
{
    int64_t index;
    weft_value error, item, at = call->bound[0].kind == WEFTI_ABSENT ? weft_int(-1) : call->bound[0];
    if (!wefti_integer(call, at, 0, &index, &error))
        return error;
    if (list_length(call) == 0)
        return wefti_raise_text(call, "IndexError", "pop from empty list");
    if (!wefti_index(call, weft_int(index), list_length(call), "pop index out of range", &index, &error))
        return error;
    weft_list_pop(list_of(call), (ptrdiff_t)index, &item);
    return item;
}

static weft_value list_remove(struct wefti_call *call)
{
    weft_value error;
    int64_t at = list_find(call, call->bound[0], 0, list_length(call), &error);
    if (at == -2)
        return error;
    if (at < 0)
        return wefti_raise_text(call, "ValueError", "list.remove(x): x not in list");
    weft_list_pop(list_of(call), (ptrdiff_t)at, NULL);
    return weft_none;
}

static int64_t index_clip(int64_t index, int64_t length)
{
    index = index < 0 ? index + length : index;
    return index < 0 ? 0 : index > length ? length : index;
}

/* Where a search begins or ends: any whole number, beyond the ends too. */
static bool search_end(struct wefti_call *call, weft_value value, int64_t otherwise, int64_t *end, weft_value *error)
{
    if (value.kind != WEFT_BIGINT)
        return wefti_integer(call, value, otherwise, end, error);
    *end = weft_as_float(value) < 0 ? INT64_MIN / 2 : INT64_MAX / 2;
    return true;
}

static weft_value list_index(struct wefti_call *call)
{
    int64_t from, to, length = list_length(call);
    weft_value error;
    char text[200];
    if (!search_end(call, call->bound[1], 0, &from, &error) || !search_end(call, call->bound[2], length, &to, &error))
        return error;
    int64_t at = list_find(call, call->bound[0], index_clip(from, length), index_clip(to, length), &error);
    if (at == -2)
        return error;
    if (at >= 0)
        return weft_int(at);
    wefti_repr_begin(call->bound[0], text, sizeof(text));
    return wefti_raise_text(call, "ValueError", "%s is not in list", text);
}

static weft_value list_count(struct wefti_call *call)
{
    int64_t count = 0, at = -1, length = list_length(call);
    size_t work = 0;
    weft_value error;
    while ((at = list_find_on(call, call->bound[0], at + 1, length, &work, &error)) >= 0)
        count++;
    return at == -2 ? error : weft_int(count);
}

static weft_value list_turned(struct wefti_call *call)
{
    weft_value made = weft_list();
    int64_t length = list_length(call);
    if (!weft_is_error(made) && list_take_from(made, list_of(call), length - 1, -1, length))
        return made;
    weft_drop(made);
    return wefti_raise_memory(call);
}

static weft_value list_reverse(struct wefti_call *call)
{
    weft_value made = list_turned(call);
    if (wefti_raised(call))
        return made;
    list_replace(call, made);
    return weft_none;
}

static weft_value list_reversed(struct wefti_call *call)
{
    weft_value made = list_turned(call);
    if (wefti_raised(call))
        return made;
    weft_value arguments = weft_tuple(&made, 1), object = weft_is_error(arguments) ? arguments : weft_object("iter", arguments, weft_none);
    if (!weft_is_error(object))
        return object;
    weft_drop(weft_is_error(arguments) ? made : arguments);
    return wefti_raise_memory(call);
}

/* Sorting: a merge sort, stable as Python's. What has no order ends it; so does what would take for ever to compare. */

struct order {
    weft_value a, b; /* that have none */
    bool failed;
    long steps;
};

static bool is_number(weft_value value)
{
    return value.kind == WEFT_INT || value.kind == WEFT_BOOL || value.kind == WEFT_FLOAT || value.kind == WEFT_BIGINT;
}

static int text_order(weft_value a, weft_value b)
{
    size_t first = weft_length(a), second = weft_length(b);
    int order = memcmp(weft_as_bytes(a), weft_as_bytes(b), first < second ? first : second);
    return order != 0 ? order : (first > second) - (first < second);
}

static int number_order(weft_value a, weft_value b)
{
    if (a.kind != WEFT_FLOAT && b.kind != WEFT_FLOAT && a.kind != WEFT_BIGINT && b.kind != WEFT_BIGINT)
        return (a.as.integer > b.as.integer) - (a.as.integer < b.as.integer);
    long double first = a.kind == WEFT_INT ? (long double)a.as.integer : (long double)weft_as_float(a);
    long double second = b.kind == WEFT_INT ? (long double)b.as.integer : (long double)weft_as_float(b);
    return (first > second) - (first < second);
}

/* Below, at or above 0. Sequences are compared by their first items that differ; nested deep they count as without order. */
static int value_order(struct order *order, weft_value a, weft_value b, unsigned depth)
{
    bool texts = a.kind == b.kind && (a.kind == WEFT_STR || a.kind == WEFT_BYTES || a.kind == WEFT_BYTEARRAY);
    bool sequences = a.kind == b.kind && (a.kind == WEFT_LIST || a.kind == WEFT_TUPLE) && depth < 50;
    if (is_number(a) && is_number(b))
        return number_order(a, b);
    if (texts)
        return text_order(a, b);
    if (!sequences || ++order->steps > ORDER_STEPS) {
        order->failed = true;
        order->a = a;
        order->b = b;
        return 0;
    }
    size_t first = weft_length(a), second = weft_length(b), least = first < second ? first : second;
    for (size_t i = 0; i < least && !order->failed; i++) {
        weft_value left = weft_list_at(a, (ptrdiff_t)i), right = weft_list_at(b, (ptrdiff_t)i);
        bool same = left.kind == right.kind && left.kind < WEFT_STR && left.as.integer == right.as.integer;
        int result = same ? 0 : value_order(order, left, right, depth + 1);
        if (result != 0)
            return result;
    }
    return (first > second) - (first < second);
}

static void merge(struct order *order, weft_value *items, weft_value *room, size_t count, int sign)
{
    if (count < 2 || order->failed)
        return;
    size_t half = count / 2, a = 0, b = half, at = 0;
    merge(order, items, room, half, sign);
    merge(order, items + half, room, count - half, sign);
    while (a < half && b < count)
        room[at++] = sign * value_order(order, items[b], items[a], 0) < 0 ? items[b++] : items[a++];
    while (a < half)
        room[at++] = items[a++];
    while (b < count)
        room[at++] = items[b++];
    memcpy(items, room, count * sizeof(*items));
}

static weft_value list_sort(struct wefti_call *call)
{
    size_t count = weft_length(list_of(call));
    struct order order = {.failed = false};
    if (wefti_given(call->bound[0]))
        return wefti_raise_text(call, "TypeError", "the key of a sort is a program, which is not run here");
    weft_value *items = wefti_alloc_raw((2 * count + 1) * sizeof(*items)), made = weft_list();
    bool good = items && !weft_is_error(made);
    for (size_t i = 0; good && i < count; i++)
        items[i] = weft_list_at(list_of(call), (ptrdiff_t)i);
    if (good)
        merge(&order, items, items + count, count, wefti_flag(call->bound[1], false) ? -1 : 1);
    for (size_t i = 0; good && !order.failed && i < count; i++)
        good = weft_list_append(made, weft_keep(items[i])) == 0;
    wefti_release(items);
    if (good && !order.failed) {
        list_replace(call, made);
        return weft_none;
    }
    weft_drop(made);
    if (!good)
        return wefti_raise_memory(call);
    return wefti_raise_text(
        call, "TypeError", "'<' not supported between instances of '%s' and '%s'", wefti_type_name(order.a), wefti_type_name(order.b));
}

static weft_value list_clear(struct wefti_call *call)
{
    weft_value fresh = weft_list();
    if (weft_is_error(fresh))
        return wefti_raise_memory(call);
    list_replace(call, fresh);
    return weft_none;
}

static const struct wefti_method list_methods[] = {
    {.name = "__add__", .function = list_add, .parameters = {"value"}, .required = 1},
    {.name = "__contains__", .function = list_contains, .parameters = {"value"}, .required = 1},
    {.name = "__delitem__", .function = list_delitem, .parameters = {"index"}, .required = 1},
    {.name = "__getitem__", .function = list_getitem, .parameters = {"index"}, .required = 1},
    {.name = "__iadd__", .function = list_iadd, .parameters = {"iterable"}, .required = 1},
    {.name = "__imul__", .function = list_imul, .parameters = {"value"}, .required = 1},
    {.name = "__len__", .function = list_len},
    {.name = "__mul__", .function = list_times, .parameters = {"value"}, .required = 1},
    {.name = "__reversed__", .function = list_reversed},
    {.name = "__rmul__", .function = list_times, .parameters = {"value"}, .required = 1},
    {.name = "__setitem__", .function = list_setitem, .parameters = {"index", "value"}, .required = 2},
    {.name = "append", .function = list_append, .parameters = {"object"}, .required = 1},
    {.name = "clear", .function = list_clear},
    {.name = "copy", .function = copy_of},
    {.name = "count", .function = list_count, .parameters = {"value"}, .required = 1},
    {.name = "extend", .function = list_extend, .parameters = {"iterable"}, .required = 1},
    {.name = "index", .function = list_index, .parameters = {"value", "start", "stop"}, .required = 1},
    {.name = "insert", .function = list_insert, .parameters = {"index", "object"}, .required = 2},
    {.name = "pop", .function = list_pop, .parameters = {"index"}},
    {.name = "remove", .function = list_remove, .parameters = {"value"}, .required = 1},
    {.name = "reverse", .function = list_reverse},
    {.name = "sort", .function = list_sort, .parameters = {"key", "reverse"}},
};

const struct wefti_managed_type wefti_type_list = {"list", list_methods, sizeof(list_methods) / sizeof(*list_methods), list_construct,
    {"iterable"}, .destroy = list_destroy, .value = list_value, .repr = list_value};
