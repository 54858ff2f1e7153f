/* SPDX-License-Identifier: MIT */
/* Scalars, the names of kinds, and the readers that look at more than one kind. */

#include <assert.h>
#include <errno.h>

#include "value/recursive.h"

static_assert(
    sizeof(weft_value) == 16 && offsetof(weft_value, code) == 4 && offsetof(weft_value, as) == 8, "the layout is part of the ABI");

/* The definitions behind the header's inline ones: for compilers that do not inline, and for other languages. */
extern inline weft_value weft_bool(bool value);
extern inline weft_value weft_int(int64_t value);
extern inline weft_value weft_float(double value);
extern inline weft_value weft_ptr(void *pointer);
extern inline weft_value weft_above(size_t levels);
extern inline int64_t weft_as_int(weft_value value);
extern inline double weft_as_float(weft_value value);
extern inline weft_value weft_keep(weft_value value);
extern inline void weft_drop(weft_value value);

const char *weft_kind_name(enum weft_value_kind kind)
{
    static const char *const names[] = {"none", "bool", "int", "float", "ptr", "str", "bytes", "list", "tuple", "dict", "error", "bigint",
        "set", "frozenset", "bytearray", "numbers", "object", "above"};
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "unknown";
}

/* -2^63 and 2^63 are floats, and the first is in range. */
static const double INTEGERS_BEGIN = -9223372036854775808.0, INTEGERS_END = 9223372036854775808.0;

bool wefti_float_integer(double real, int64_t *integer)
{
    if (!(real >= INTEGERS_BEGIN && real < INTEGERS_END))
        return false;
    *integer = (int64_t)real;
    return (double)*integer == real;
}

static int64_t float_cut(double real)
{
    if (real >= INTEGERS_BEGIN && real < INTEGERS_END)
        return (int64_t)real;
    errno = ERANGE;
    if (real >= INTEGERS_END)
        return INT64_MAX;
    return real < 0 ? INT64_MIN : 0; /* 0: NaN */
}

int64_t weft_as_int_converted(weft_value value)
{
    if (value.kind == WEFT_FLOAT)
        return float_cut(value.as.real);
    if (value.kind == WEFT_BOOL || value.kind == WEFT_INT || value.kind == WEFT_ABOVE)
        return value.as.integer;
    const struct wefti_text *bigint = wefti_object_of(value, WEFT_BIGINT);
    errno = bigint ? ERANGE : EINVAL;
    if (!bigint)
        return 0;
    return bigint->octets[bigint->length - 1] & 0x80 ? INT64_MIN : INT64_MAX;
}

double weft_as_float_converted(weft_value value)
{
    if (value.kind == WEFT_FLOAT)
        return value.as.real;
    if (value.kind == WEFT_BOOL || value.kind == WEFT_INT)
        return (double)value.as.integer;
    const struct wefti_text *bigint = wefti_object_of(value, WEFT_BIGINT);
    if (bigint)
        return wefti_bigint_float(bigint);
    errno = EINVAL;
    return 0;
}

bool weft_as_bool(weft_value value)
{
    switch ((enum weft_value_kind)value.kind) {
    case WEFT_NONE:
        return false;
    case WEFT_BOOL:
    case WEFT_INT:
        return value.as.integer != 0;
    case WEFT_FLOAT:
        return value.as.real != 0;
    case WEFT_PTR:
        return value.as.pointer;
    case WEFT_ERROR:
    case WEFT_ABOVE:
        return true;
    case WEFT_BIGINT:
    case WEFT_OBJECT:
        if (wefti_value_counted(value))
            return true;
        break;
    case WEFT_STR:
    case WEFT_BYTES:
    case WEFT_LIST:
    case WEFT_TUPLE:
    case WEFT_DICT:
    case WEFT_SET:
    case WEFT_FROZENSET:
    case WEFT_BYTEARRAY:
    case WEFT_NUMBERS:
        break;
    }
    return weft_length(value) != 0;
}

void *weft_as_ptr(weft_value value)
{
    if (value.kind == WEFT_PTR)
        return value.as.pointer;
    errno = EINVAL;
    return NULL;
}

static size_t numbers_count(const struct wefti_text *numbers)
{
    return numbers->length / wefti_numbers_size((char)numbers->head.more);
}

size_t weft_length(weft_value value)
{
    bool counted = wefti_value_counted(value);
    if (counted && value.kind == WEFT_NUMBERS)
        return numbers_count(wefti_handle_object(value));
    if (counted && wefti_kind_text(value.kind))
        return ((struct wefti_text *)wefti_handle_object(value))->length;
    if (counted && (value.kind == WEFT_LIST || value.kind == WEFT_TUPLE))
        return ((struct wefti_array *)wefti_handle_object(value))->length;
    if (counted && wefti_kind_hashed(value.kind))
        return ((struct wefti_dict *)wefti_handle_object(value))->length;
    errno = EINVAL;
    return 0;
}

weft_value weft_copy(weft_value value)
{
    weft_value copy;
    if (wefti_object_of(value, WEFT_LIST))
        copy = wefti_list_copy(value);
    else if (wefti_object_of(value, WEFT_DICT) || wefti_object_of(value, WEFT_SET))
        copy = wefti_dict_copy(value);
    else
        return weft_keep(value);
    if (weft_is_error(copy) || wefti_recursive_unfold(value, copy) == 0)
        return copy;
    int error = errno;
    weft_drop(copy);
    return wefti_value_failed(error);
}
