/* SPDX-License-Identifier: MIT */
/* Lists, which grow, and tuples, which are made once: arrays of values. */

#include <string.h>

#include "value/object.h"

#ifdef WEFTI_SMALL
enum { ROOM_FIRST = 1 };
#else
enum { ROOM_FIRST = 4 };
#endif

static const size_t ROOM_MOST = PTRDIFF_MAX / sizeof(weft_value);

weft_value weft_list(void)
{
    weft_value value;
    wefti_object_new(WEFT_LIST, sizeof(struct wefti_array), 0, &value);
    return value;
}

/* A tuple with room for `count` items and none yet. */
static struct wefti_array *tuple_new(size_t count, weft_value *value)
{
    struct wefti_array *tuple = NULL;
    if (count < ROOM_MOST)
        tuple = wefti_object_new(WEFT_TUPLE, sizeof *tuple, count * sizeof(weft_value), value);
    else
        *value = wefti_value_failed(ENOMEM);
    if (tuple)
        tuple->items = tuple->fixed;
    return tuple;
}

weft_value weft_tuple(const weft_value *items, size_t count)
{
    if (!items && count)
        return wefti_value_failed(EINVAL);
    weft_value value;
    struct wefti_array *tuple = tuple_new(count, &value);
    if (!tuple)
        return value;
    for (size_t i = 0; i < count; i++)
        tuple->items[i] = wefti_container_adopt(&tuple->container, wefti_value_take(items[i]));
    tuple->length = count;
    return value;
}

weft_value wefti_tuple_of_unseen(const weft_value *items, size_t count)
{
    weft_value value;
    struct wefti_array *tuple = tuple_new(count, &value);
    if (!tuple)
        return value;
    for (size_t i = 0; i < count; i++)
        tuple->items[i] = wefti_container_adopt_unseen(&tuple->container, wefti_value_take(items[i]));
    tuple->length = count;
    return value;
}

static bool list_reserve(struct wefti_array *list, size_t room)
{
    if (room <= list->room)
        return true;
    if (room > ROOM_MOST) {
        errno = ENOMEM;
        return false;
    }
    weft_value *items = wefti_realloc(list->items, room * sizeof *items);
    if (!items)
        return false;
    list->items = items;
    list->room = room;
    return true;
}

static bool list_grow(struct wefti_array *list)
{
    if (list->length < list->room)
        return true;
    return list_reserve(list, list->room + list->room / 2 + ROOM_FIRST);
}

weft_value wefti_list_copy(weft_value list)
{
    struct wefti_array *old = wefti_object_of(list, WEFT_LIST);
    weft_value value;
    struct wefti_array *new = wefti_object_new(WEFT_LIST, sizeof *new, 0, &value);
    if (!new)
        return value;
    if (!list_reserve(new, old->length)) {
        weft_drop(value);
        return wefti_value_failed(ENOMEM);
    }
    for (size_t i = 0; i < old->length; i++)
        new->items[i] = wefti_container_adopt(&new->container, weft_keep(old->items[i]));
    new->length = old->length;
    return value;
}

weft_value wefti_tuple_copy(weft_value tuple)
{
    const struct wefti_array *old = wefti_object_of(tuple, WEFT_TUPLE);
    weft_value value;
    struct wefti_array *new = tuple_new(old->length, &value);
    if (!new)
        return value;
    for (size_t i = 0; i < old->length; i++)
        new->items[i] = wefti_container_adopt(&new->container, weft_keep(old->items[i]));
    new->length = old->length;
    return value;
}

/* Sets *place to where an index lies in `length` items; false with ERANGE when nowhere. */
static bool index_place(ptrdiff_t index, size_t length, size_t *place)
{
    size_t from_begin = index < 0 ? length + (size_t)index : (size_t)index; /* of a negative one too small: huge */
    if (from_begin >= length) {
        errno = ERANGE;
        return false;
    }
    *place = from_begin;
    return true;
}

weft_value weft_list_at(weft_value list, ptrdiff_t index)
{
    struct wefti_array *array = wefti_object_of(list, list.kind == WEFT_TUPLE ? WEFT_TUPLE : WEFT_LIST);
    size_t place;
    if (!array)
        errno = EINVAL;
    else if (index_place(index, array->length, &place))
        return array->items[place];
    return weft_none;
}

/* The list, for a change by which `item` comes into it; NULL with EINVAL, EBUSY. */
static struct wefti_array *list_to_change(weft_value list, weft_value item)
{
    struct wefti_array *array = wefti_object_of(list, WEFT_LIST);
    int error = array ? wefti_container_changeable(&array->container, item) : EINVAL;
    if (!error)
        return array;
    errno = error;
    return NULL;
}

int wefti_list_add(struct wefti_array *list, weft_value item)
{
    if (!list_grow(list))
        return -1;
    list->items[list->length++] = wefti_container_adopt_unseen(&list->container, wefti_value_take(item));
    return 0;
}

int weft_list_append(weft_value list, weft_value item)
{
    struct wefti_array *array = list_to_change(list, item);
    if (!array || !list_grow(array))
        return -1;
    array->items[array->length++] = wefti_container_adopt(&array->container, wefti_value_take(item));
    return 0;
}

int weft_list_insert(weft_value list, ptrdiff_t index, weft_value item)
{
    struct wefti_array *array = list_to_change(list, item);
    if (!array)
        return -1;
    size_t place = array->length;
    if (index != (ptrdiff_t)array->length && !index_place(index, array->length, &place))
        return -1;
    if (!list_grow(array))
        return -1;
    memmove(&array->items[place + 1], &array->items[place], (array->length - place) * sizeof item);
    array->items[place] = wefti_container_adopt(&array->container, wefti_value_take(item));
    array->length++;
    return 0;
}

int weft_list_set(weft_value list, ptrdiff_t index, weft_value item)
{
    struct wefti_array *array = list_to_change(list, item);
    size_t place;
    if (!array || !index_place(index, array->length, &place))
        return -1;
    weft_value old = wefti_container_release(&array->container, array->items[place]);
    array->items[place] = wefti_container_adopt(&array->container, wefti_value_take(item));
    weft_drop(old);
    return 0;
}

int weft_list_pop(weft_value list, ptrdiff_t index, weft_value *item)
{
    struct wefti_array *array = list_to_change(list, weft_none);
    size_t place;
    if (!array || !index_place(index, array->length, &place))
        return -1;
    weft_value out = wefti_container_release(&array->container, array->items[place]);
    array->length--;
    memmove(&array->items[place], &array->items[place + 1], (array->length - place) * sizeof out);
    if (item)
        *item = out;
    else
        weft_drop(out);
    return 0;
}
