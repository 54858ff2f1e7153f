/* SPDX-License-Identifier: MIT */
/* What is made of octets and never changes: str, bytes and their kin, and errors, whose code stands in the value itself. */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "value/object.h"

static struct wefti_text *text_new(enum weft_value_kind kind, size_t length, weft_value *value)
{
    struct wefti_text *text = NULL;
    if (length < PTRDIFF_MAX)
        text = wefti_object_new(kind, sizeof *text, length + 1, value);
    else
        *value = wefti_value_failed(ENOMEM);
    if (text) {
        text->length = length;
        text->octets[length] = 0;
    }
    return text;
}

weft_value wefti_text_new(enum weft_value_kind kind, uint8_t more, const void *octets, size_t length)
{
    weft_value value;
    struct wefti_text *text = text_new(kind, length, &value);
    if (text)
        text->head.more = more;
    if (text && length)
        memcpy(text->octets, octets, length);
    return value;
}

static weft_value text_copy(enum weft_value_kind kind, const void *octets, size_t length)
{
    return octets || !length ? wefti_text_new(kind, 0, octets, length) : wefti_value_failed(EINVAL);
}

/* Gives an error value with vsnprintf's errno when it refuses. */
static weft_value text_format(enum weft_value_kind kind, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0)
        return wefti_value_failed(errno);
    weft_value value;
    struct wefti_text *text = text_new(kind, (size_t)length, &value);
    if (text)
        vsnprintf(text->octets, (size_t)length + 1, format, arguments);
    return value;
}

weft_value weft_str(const char *text)
{
    return text ? text_copy(WEFT_STR, text, strlen(text)) : wefti_value_failed(EINVAL);
}

weft_value weft_str_n(const char *text, size_t length)
{
    return text_copy(WEFT_STR, text, length);
}

weft_value weft_str_f(const char *format, ...)
{
    if (!format)
        return wefti_value_failed(EINVAL);
    va_list arguments;
    va_start(arguments, format);
    weft_value value = text_format(WEFT_STR, format, arguments);
    va_end(arguments);
    return value;
}

weft_value weft_bytes(const void *data, size_t length)
{
    return text_copy(WEFT_BYTES, data, length);
}

weft_value weft_bytearray(const void *data, size_t length)
{
    return text_copy(WEFT_BYTEARRAY, data, length);
}

weft_value wefti_bytes_of_block(void *block, size_t length)
{
    struct wefti_text *text = block;
    weft_value value = {.kind = WEFT_BYTES};
    if (!wefti_handle_open(&value, text))
        return wefti_value_failed(ENOMEM);
    *text = (struct wefti_text){.head = {.count = 1, .kind = WEFT_BYTES}, .length = length};
    text->octets[length] = 0;
    return value;
}

static struct wefti_text *bytes_begin(weft_value *value, size_t length)
{
    weft_value made;
    struct wefti_text *text = text_new(WEFT_BYTES, length, &made);
    if (text)
        *value = made;
    return text;
}

static struct wefti_text *bytes_move(weft_value *value, size_t length)
{
    struct wefti_text *text = NULL;
    if (length < PTRDIFF_MAX - sizeof *text)
        text = wefti_realloc(wefti_handle_object(*value), sizeof *text + length + 1);
    else
        errno = ENOMEM;
    if (text)
        wefti_handle_move(value, text);
    return text;
}

char *wefti_bytes_resize(weft_value *value, size_t length)
{
    struct wefti_text *text = weft_is_none(*value) ? bytes_begin(value, length) : bytes_move(value, length);
    if (!text)
        return NULL;
    text->length = length;
    text->octets[length] = 0;
    return text->octets;
}

weft_value wefti_error_new(int32_t code, const char *text, size_t length, const char *type, size_t type_length)
{
    weft_value value = {.kind = WEFT_ERROR};
    if (text || type) {
        struct wefti_text *made = NULL;
        if (length + type_length < PTRDIFF_MAX - 2)
            made = wefti_object_new(WEFT_ERROR, sizeof *made, length + type_length + 2, &value);
        else
            value = wefti_value_failed(ENOMEM);
        if (!made)
            return value;
        made->length = length;
        made->head.more = type != NULL;
        memset(made->octets + length, 0, type_length + 2);
        if (length)
            memcpy(made->octets, text, length);
        if (type_length)
            memcpy(made->octets + length + 1, type, type_length);
    }
    value.code = code ? code : EINVAL;
    return value;
}

/* The error with a type: of the text that it was made with. Takes it. */
static weft_value error_typed(weft_value error, const char *type)
{
    const struct wefti_text *text = wefti_object_of(error, WEFT_ERROR);
    weft_value typed = wefti_error_new(error.code, text ? text->octets : NULL, text ? text->length : 0, type, strlen(type));
    if (!wefti_value_counted(typed))
        return error;
    weft_drop(error);
    return typed;
}

static weft_value error_format(int code, const char *format, va_list arguments)
{
    weft_value value = {.kind = WEFT_ERROR};
    if (format)
        value = text_format(WEFT_ERROR, format, arguments);
    value.code = code ? code : EINVAL;
    return value;
}

weft_value weft_error(int code, const char *format, ...)
{
    int before = errno;
    va_list arguments;
    va_start(arguments, format);
    weft_value value = error_format(code, format, arguments);
    va_end(arguments);
    errno = before;
    return value;
}

weft_value weft_error_of_type(int code, const char *type, const char *format, ...)
{
    int before = errno;
    va_list arguments;
    va_start(arguments, format);
    weft_value value = error_format(code, format, arguments);
    va_end(arguments);
    if (type)
        value = error_typed(value, type);
    errno = before;
    return value;
}

const char *weft_as_str(weft_value value)
{
    struct wefti_text *text = wefti_object_of(value, WEFT_STR);
    if (text)
        return text->octets;
    errno = EINVAL;
    return NULL;
}

const void *weft_as_bytes(weft_value value)
{
    struct wefti_text *text = wefti_text_of(value);
    if (text)
        return text->octets;
    errno = EINVAL;
    return NULL;
}

int weft_error_code(weft_value value)
{
    return value.kind == WEFT_ERROR ? value.code : 0;
}

const char *weft_error_text(weft_value value)
{
    if (value.kind != WEFT_ERROR) {
        errno = EINVAL;
        return NULL;
    }
    struct wefti_text *text = wefti_object_of(value, WEFT_ERROR);
    if (text)
        return text->octets;
    const char *words = strerrordesc_np(value.code);
    return words ? words : "Unknown error";
}

const char *weft_error_type(weft_value value)
{
    if (value.kind != WEFT_ERROR)
        errno = EINVAL;
    const struct wefti_text *text = wefti_object_of(value, WEFT_ERROR);
    return text && text->head.more ? text->octets + text->length + 1 : NULL;
}
