/* SPDX-License-Identifier: MIT */
/* Exceptions: what a method returns instead of its result, as the object that a pickle of Python's exception is. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "manager/manager.h"
#include "value/object.h"
#include "value/utf8.h"

weft_value wefti_raise(struct wefti_call *call, const char *type, const weft_value *arguments, size_t count)
{
    weft_value kept[2] = {{0}};
    for (size_t i = 0; i < count; i++)
        kept[i] = weft_keep(arguments[i]);
    weft_value tuple = weft_tuple(kept, count), made = weft_is_error(tuple) ? tuple : weft_object(type, tuple, weft_none);
    if (weft_is_error(tuple))
        for (size_t i = 0; i < count; i++)
            weft_drop(kept[i]);
    else if (weft_is_error(made))
        weft_drop(tuple);
    call->kind = "#ERROR";
    return made;
}

weft_value wefti_raise_text(struct wefti_call *call, const char *type, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    wefti_utf8_whole(text);
    weft_value told = weft_str(text), made = wefti_raise(call, type, &told, 1);
    weft_drop(told);
    return made;
}

weft_value wefti_raise_memory(struct wefti_call *call)
{
    return wefti_raise(call, "MemoryError", NULL, 0);
}

weft_value wefti_traceback(struct wefti_call *call, const char *format, ...)
{
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    wefti_utf8_whole(text);
    call->kind = "#TRACEBACK";
    return weft_str(text);
}

/* The class of what only others know; NULL: not told. */
static const char *inert_name(weft_value value)
{
    weft_value names = weft_object_arguments(weft_list_at(weft_object_arguments(value), 0)), name = weft_list_at(names, 1);
    return name.kind == WEFT_STR ? weft_as_str(name) : NULL;
}

/* Leaves errno alone: it may be asked why. */
const char *wefti_type_name(weft_value value)
{
    static const char *const names[] = {[WEFT_NONE] = "NoneType",
        [WEFT_BOOL] = "bool",
        [WEFT_INT] = "int",
        [WEFT_FLOAT] = "float",
        [WEFT_STR] = "str",
        [WEFT_BYTES] = "bytes",
        [WEFT_LIST] = "list",
        [WEFT_TUPLE] = "tuple",
        [WEFT_DICT] = "dict",
        [WEFT_BIGINT] = "int",
        [WEFT_SET] = "set",
        [WEFT_FROZENSET] = "frozenset",
        [WEFT_BYTEARRAY] = "bytearray",
        [WEFT_NUMBERS] = "array.array"};
    if (wefti_object_inert(value) && inert_name(value))
        return inert_name(value);
    if (value.kind == WEFT_OBJECT)
        return weft_object_name(value);
    return value.kind < sizeof(names) / sizeof(*names) && names[value.kind] ? names[value.kind] : "object";
}

/* A key that holds what may be none names that: a tuple with a list in it. */
weft_value wefti_raise_unhashable(struct wefti_call *call, weft_value key)
{
    const char *name = wefti_type_name(key);
    if (errno == EMSGSIZE)
        return wefti_raise_text(call, "ValueError", "too much to compare");
    for (size_t at = 0; key.kind == WEFT_TUPLE && at < weft_length(key); at++) {
        weft_value item = weft_list_at(key, (ptrdiff_t)at);
        if (item.kind == WEFT_LIST || item.kind == WEFT_DICT || item.kind == WEFT_SET || item.kind == WEFT_BYTEARRAY)
            name = wefti_type_name(item);
    }
    return errno == ENOMEM ? wefti_raise_memory(call) : wefti_raise_text(call, "TypeError", "unhashable type: '%s'", name);
}
