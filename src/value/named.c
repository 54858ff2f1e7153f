/* SPDX-License-Identifier: MIT */
/*
 * What is kept for programs in other languages: numbers of one type side by side, and objects, known here by the name of their class only.
 * An object is a tuple of three values to all who walk.
 */

#include <string.h>

#include "value/object.h"

size_t wefti_numbers_size(char type)
{
    switch (type) {
    case 'b':
    case 'B':
        return 1;
    case 'h':
    case 'H':
        return 2;
    case 'i':
    case 'I':
    case 'f':
        return 4;
    case 'l':
    case 'L':
    case 'q':
    case 'Q':
    case 'd':
        return 8;
    default:
        return 0;
    }
}

weft_value weft_numbers(char type, const void *numbers, size_t count)
{
    size_t size = wefti_numbers_size(type);
    if (size == 0 || (!numbers && count))
        return wefti_value_failed(EINVAL);
    if (count > PTRDIFF_MAX / size)
        return wefti_value_failed(ENOMEM);
    return wefti_text_new(WEFT_NUMBERS, (uint8_t)type, numbers, count * size);
}

char weft_numbers_type(weft_value value)
{
    const struct wefti_text *text = wefti_object_of(value, WEFT_NUMBERS);
    if (text)
        return (char)text->head.more;
    errno = EINVAL;
    return 0;
}

weft_value weft_object(const char *name, weft_value arguments, weft_value state)
{
    bool fits = weft_is_none(arguments) || wefti_object_of(arguments, WEFT_TUPLE);
    if (!name || !*name || !fits || weft_is_error(state))
        return wefti_value_failed(EINVAL);
    weft_value text = weft_str(name), value;
    if (weft_is_error(text))
        return text;
    struct wefti_array *object = wefti_object_new(WEFT_OBJECT, sizeof(*object), WEFTI_OBJECT_PARTS * sizeof(text), &value);
    if (!object) {
        weft_drop(text);
        return value;
    }
    object->items = object->fixed;
    object->length = WEFTI_OBJECT_PARTS;
    object->items[WEFTI_OBJECT_NAME] = wefti_value_take(text);
    object->items[WEFTI_OBJECT_ARGUMENTS] = wefti_container_adopt(&object->container, wefti_value_take(arguments));
    object->items[WEFTI_OBJECT_STATE] = wefti_container_adopt(&object->container, wefti_value_take(state));
    return value;
}

static weft_value object_part(weft_value value, int part)
{
    const struct wefti_array *object = wefti_object_of(value, WEFT_OBJECT);
    if (object)
        return object->items[part];
    errno = EINVAL;
    return weft_none;
}

const char *weft_object_name(weft_value value)
{
    weft_value name = object_part(value, WEFTI_OBJECT_NAME);
    return weft_is_none(name) ? NULL : weft_as_str(name);
}

weft_value weft_object_arguments(weft_value value)
{
    return object_part(value, WEFTI_OBJECT_ARGUMENTS);
}

weft_value weft_object_state(weft_value value)
{
    return object_part(value, WEFTI_OBJECT_STATE);
}

bool wefti_object_inert(weft_value value)
{
    const char *name = value.kind == WEFT_OBJECT ? weft_object_name(value) : NULL;
    return name && strncmp(name, "python.", 7) == 0;
}
