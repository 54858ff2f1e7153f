/* SPDX-License-Identifier: MIT */
/* Binding: the arguments and keywords of a request to the parameters of a method, as Python binds them. */

#include <math.h>
#include <string.h>

#include "manager/manager.h"

static size_t parameters_count(const char *const *parameters)
{
    size_t count = 0;
    while (count < WEFTI_PARAMETERS && parameters[count])
        count++;
    return count;
}

static bool refuse(weft_value *error, weft_value raised)
{
    *error = raised;
    return false;
}

static bool bind_keyword(
    struct wefti_call *call, const char *const *parameters, size_t count, weft_value key, weft_value item, weft_value *error)
{
    const char *name = weft_as_str(key);
    char text[120];
    for (size_t i = 0; i < count && wefti_is_name(key); i++) {
        if (strcmp(parameters[i], name) != 0)
            continue;
        if (call->bound[i].kind != WEFTI_ABSENT)
            return refuse(error, wefti_raise_text(call, "TypeError", "%s() got multiple values for argument '%s'", call->name, name));
        call->bound[i] = item;
        return true;
    }
    wefti_repr_begin(key, text, sizeof(text));
    return refuse(error, wefti_raise_text(call, "TypeError", "%s() got an unexpected keyword argument %s", call->name, text));
}

bool wefti_bind(struct wefti_call *call, const char *const *parameters, uint8_t required, weft_value *error)
{
    size_t count = parameters_count(parameters), given = weft_length(call->arguments), at = 0;
    weft_value key, item;
    for (size_t i = 0; i < WEFTI_PARAMETERS; i++)
        call->bound[i] = i < given && i < count ? weft_list_at(call->arguments, (ptrdiff_t)i) : (weft_value){.kind = WEFTI_ABSENT};
    if (given > count)
        return refuse(error, wefti_raise_text(call, "TypeError", "%s() takes at most %zu argument%s (%zu given)", call->name, count,
                                 count == 1 ? "" : "s", given));
    while (weft_dict_next(call->keywords, &at, &key, &item))
        if (!bind_keyword(call, parameters, count, key, item, error))
            return false;
    for (size_t i = 0; i < required; i++)
        if (call->bound[i].kind == WEFTI_ABSENT)
            return refuse(
                error, wefti_raise_text(call, "TypeError", "%s() missing 1 required positional argument: '%s'", call->name, parameters[i]));
    return true;
}

bool wefti_integer(struct wefti_call *call, weft_value bound, int64_t otherwise, int64_t *integer, weft_value *error)
{
    *integer = otherwise;
    if (bound.kind == WEFTI_ABSENT)
        return true;
    if (bound.kind == WEFT_BIGINT)
        return refuse(error, wefti_raise_text(call, "OverflowError", "Python int too large to convert to C ssize_t"));
    if (bound.kind != WEFT_INT && bound.kind != WEFT_BOOL)
        return refuse(
            error, wefti_raise_text(call, "TypeError", "'%s' object cannot be interpreted as an integer", wefti_type_name(bound)));
    *integer = weft_as_int(bound);
    return true;
}

bool wefti_timeout(struct wefti_call *call, weft_value bound, const char *negative, weft_time *deadline, weft_value *error)
{
    *deadline = WEFT_FOREVER;
    if (!wefti_given(bound))
        return true;
    if (bound.kind != WEFT_INT && bound.kind != WEFT_FLOAT && bound.kind != WEFT_BOOL && bound.kind != WEFT_BIGINT)
        return refuse(error, wefti_raise_text(call, "TypeError", "'%s' object cannot be interpreted as a timeout", wefti_type_name(bound)));
    double seconds = weft_as_float(bound);
    if (isnan(seconds))
        return refuse(error, wefti_raise_text(call, "ValueError", "Invalid value NaN (not a number)"));
    if (seconds < 0 && negative)
        return refuse(error, wefti_raise_text(call, "ValueError", "%s", negative));
    if (seconds > 9.2e9)
        return refuse(error, wefti_raise_text(call, "OverflowError", "timeout value is too large"));
    *deadline = seconds > 0 ? weft_in(seconds) : WEFT_NOW;
    return true;
}
