/* SPDX-License-Identifier: MIT */
/* Value and Array: numbers of a C type. Those of an Array lie side by side as in memory; a Value holds whatever it is given, as
 * Python's. */

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "manager/manager.h"
#include "value/object.h"

struct value {
    weft_value typecode, value;
};

static weft_value value_construct(struct wefti_call *call)
{
    struct value *state = wefti_alloc(sizeof(*state));
    if (!state)
        return wefti_raise_memory(call);
    *state = (struct value){weft_keep(call->bound[0]), weft_keep(call->bound[1])};
    call->object->state = state;
    return weft_none;
}

static void value_destroy(struct wefti_managed *object)
{
    struct value *state = object->state;
    if (!state)
        return;
    weft_drop(state->typecode);
    weft_drop(state->value);
    wefti_release(state);
}

static weft_value value_get(struct wefti_call *call)
{
    return weft_keep(((struct value *)call->object->state)->value);
}

static weft_value value_set(struct wefti_call *call)
{
    struct value *state = call->object->state;
    weft_drop(state->value);
    state->value = weft_keep(call->bound[0]);
    return weft_none;
}

/* As what Python pickles: Value(), and its attributes. */
static weft_value value_value(struct wefti_managed *object)
{
    const struct value *state = object->state;
    weft_value attributes = weft_dict(), none = weft_tuple(NULL, 0), made = weft_error(ENOMEM, NULL);
    if (!weft_is_error(attributes) && weft_dict_set_str(attributes, "_typecode", weft_keep(state->typecode)) == 0 &&
        weft_dict_set_str(attributes, "_value", weft_keep(state->value)) == 0)
        made = weft_object("multiprocessing.managers.Value", none, attributes);
    if (weft_is_error(made)) {
        weft_drop(attributes);
        weft_drop(none);
    }
    return made;
}

static weft_value value_repr(struct wefti_managed *object)
{
    const struct value *state = object->state;
    char letter[40], text[1000];
    wefti_repr_begin(state->typecode, letter, sizeof(letter));
    wefti_repr_begin(state->value, text, sizeof(text));
    return weft_str_f("Value(%s, %s)", letter, text);
}

struct numbers {
    char letter;
    size_t size; /* of one */
    int64_t length;
    char octets[];
};

static bool number_fits(char letter, int64_t integer, bool above)
{
    switch (letter) {
    case 'b':
        return !above && integer >= INT8_MIN && integer <= INT8_MAX;
    case 'B':
        return !above && integer >= 0 && integer <= UINT8_MAX;
    case 'h':
        return !above && integer >= INT16_MIN && integer <= INT16_MAX;
    case 'H':
        return !above && integer >= 0 && integer <= UINT16_MAX;
    case 'i':
        return !above && integer >= INT32_MIN && integer <= INT32_MAX;
    case 'I':
        return !above && integer >= 0 && integer <= UINT32_MAX;
    case 'L':
    case 'Q':
        return above || integer >= 0;
    default:
        return !above;
    }
}

/* A number as its octets. False, having raised. */
static bool number_octets(struct wefti_call *call, char letter, weft_value value, char octets[8], weft_value *error)
{
    bool real = letter == 'f' || letter == 'd', integer = value.kind == WEFT_INT || value.kind == WEFT_BOOL || value.kind == WEFT_BIGINT;
    float single = (float)weft_as_float(value);
    double both = weft_as_float(value);
    if (!integer && !(real && value.kind == WEFT_FLOAT)) {
        *error = wefti_raise_text(call, "TypeError",
            real ? "must be real number, not %s" : "'%s' object cannot be interpreted as an integer", wefti_type_name(value));
        return false;
    }
    if (real)
        return memcpy(octets, letter == 'f' ? (void *)&single : (void *)&both, letter == 'f' ? sizeof(single) : sizeof(both)), true;
    const unsigned char *big = value.kind == WEFT_BIGINT ? weft_as_bytes(value) : NULL;
    bool above = big && weft_length(value) == 9 && big[8] == 0;
    int64_t number = value.kind == WEFT_BIGINT ? 0 : value.as.integer;
    if ((big && !above) || !number_fits(letter, number, above)) {
        *error = wefti_raise_text(call, "OverflowError", "the number does not fit into an item of type '%c'", letter);
        return false;
    }
    memcpy(octets, big ? (const void *)big : (const void *)&number, 8);
    return true;
}

static struct numbers *numbers_of(const struct wefti_call *call)
{
    return call->object->state;
}

static struct numbers *numbers_new(char letter, size_t length)
{
    size_t size = wefti_numbers_size(letter);
    struct numbers *made = wefti_alloc(sizeof(*made) + length * size);
    if (made)
        *made = (struct numbers){.letter = letter, .size = size, .length = (int64_t)length};
    return made;
}

/* Numbers as they lie in octets. NULL, having raised. */
static struct numbers *numbers_of_octets(struct wefti_call *call, char letter, weft_value octets, weft_value *error)
{
    size_t size = wefti_numbers_size(letter), length = weft_length(octets);
    if (length % size != 0)
        return *error = wefti_raise_text(call, "ValueError", "bytes length not a multiple of item size"), NULL;
    struct numbers *made = numbers_new(letter, length / size);
    if (!made)
        return *error = wefti_raise_memory(call), NULL;
    if (length > 0)
        memcpy(made->octets, weft_as_bytes(octets), length);
    return made;
}

/* Numbers of a value's items. NULL, having raised. */
static struct numbers *numbers_make(struct wefti_call *call, char letter, weft_value source, weft_value *error)
{
    size_t size = wefti_numbers_size(letter);
    weft_value items = wefti_items_of(call, source);
    if (wefti_raised(call))
        return *error = items, NULL;
    struct numbers *made = numbers_new(letter, weft_length(items));
    bool good = true;
    char octets[8];
    if (!made)
        *error = wefti_raise_memory(call);
    for (size_t i = 0; made && good && i < weft_length(items); i++) {
        good = number_octets(call, letter, weft_list_at(items, (ptrdiff_t)i), octets, error);
        memcpy(made->octets + i * size, octets, good ? size : 0);
    }
    weft_drop(items);
    if (good)
        return made;
    wefti_release(made);
    return NULL;
}

static weft_value array_construct(struct wefti_call *call)
{
    weft_value error, letter = call->bound[0];
    if (letter.kind != WEFT_STR || weft_length(letter) != 1 || !wefti_numbers_size(weft_as_str(letter)[0]))
        return wefti_raise_text(call, "ValueError", "bad typecode (must be b, B, h, H, i, I, l, L, q, Q, f or d)");
    char type = weft_as_str(letter)[0];
    weft_value from = call->bound[1];
    if (from.kind == WEFT_STR)
        return wefti_raise_text(call, "TypeError", "cannot use a str to initialize an array with typecode '%c'", type);
    if (from.kind == WEFT_BYTES || from.kind == WEFT_BYTEARRAY)
        call->object->state = numbers_of_octets(call, type, from, &error);
    else
        call->object->state = numbers_make(call, type, from, &error);
    return call->object->state ? weft_none : error;
}

static void array_destroy(struct wefti_managed *object)
{
    wefti_release(object->state);
}

static weft_value array_value(struct wefti_managed *object)
{
    const struct numbers *numbers = object->state;
    return weft_numbers(numbers->letter, numbers->octets, (size_t)numbers->length);
}

static weft_value array_len(struct wefti_call *call)
{
    return weft_int(numbers_of(call)->length);
}

static weft_value array_get_slice(struct wefti_call *call)
{
    const struct numbers *numbers = numbers_of(call);
    int64_t start, step, count;
    weft_value error;
    if (!wefti_slice(call, call->bound[0], numbers->length, &start, &step, &count, &error))
        return error;
    char *octets = wefti_alloc_raw((size_t)count * numbers->size + 1);
    for (int64_t i = 0; octets && i < count; i++)
        memcpy(octets + (size_t)i * numbers->size, numbers->octets + (size_t)(start + i * step) * numbers->size, numbers->size);
    weft_value made = octets ? weft_numbers(numbers->letter, octets, (size_t)count) : weft_error(ENOMEM, NULL);
    wefti_release(octets);
    return weft_is_error(made) ? wefti_raise_memory(call) : made;
}

static weft_value array_getitem(struct wefti_call *call)
{
    const struct numbers *numbers = numbers_of(call);
    int64_t index;
    weft_value error, items;
    if (wefti_is_slice(call->bound[0]))
        return array_get_slice(call);
    if (!wefti_index(call, call->bound[0], numbers->length, "array index out of range", &index, &error))
        return error;
    weft_value one = weft_numbers(numbers->letter, numbers->octets + (size_t)index * numbers->size, 1);
    if (weft_is_error(one))
        return wefti_raise_memory(call);
    items = wefti_items_of(call, one);
    weft_drop(one);
    if (wefti_raised(call))
        return items;
    one = weft_keep(weft_list_at(items, 0));
    weft_drop(items);
    return one;
}

/* Other numbers in place of `count` of its own, more or fewer. */
static weft_value array_splice(struct wefti_call *call, const struct numbers *from, int64_t start, int64_t count)
{
    struct numbers *old = numbers_of(call), *made = numbers_new(old->letter, (size_t)(old->length - count + from->length));
    if (!made)
        return wefti_raise_memory(call);
    size_t size = old->size, before = (size_t)start * size, put = (size_t)from->length * size, gone = (size_t)count * size;
    memcpy(made->octets, old->octets, before);
    memcpy(made->octets + before, from->octets, put);
    memcpy(made->octets + before + put, old->octets + before + gone, (size_t)old->length * size - before - gone);
    call->object->state = made;
    wefti_release(old);
    return weft_none;
}

/* Of an array a slice may grow and shrink, as in Python; it also takes other items, as many as it has, which Python does not. */
static weft_value array_set_slice(struct wefti_call *call)
{
    struct numbers *numbers = numbers_of(call), *from;
    int64_t start, step, count;
    weft_value error;
    if (!wefti_slice(call, call->bound[0], numbers->length, &start, &step, &count, &error))
        return error;
    from = numbers_make(call, numbers->letter, call->bound[1], &error);
    if (!from)
        return error;
    weft_value result = weft_none;
    if (from->length == count)
        for (int64_t i = 0; i < count; i++)
            memcpy(numbers->octets + (size_t)(start + i * step) * numbers->size, from->octets + (size_t)i * numbers->size, numbers->size);
    else if (step == 1 && call->bound[1].kind == WEFT_NUMBERS)
        result = array_splice(call, from, start, count);
    else
        result = wefti_raise_text(call, "ValueError", "attempt to assign array of size %ld to slice of size %ld", from->length, count);
    wefti_release(from);
    return result;
}

static weft_value array_setitem(struct wefti_call *call)
{
    struct numbers *numbers = numbers_of(call);
    int64_t index;
    weft_value error;
    char octets[8];
    if (wefti_is_slice(call->bound[0]))
        return array_set_slice(call);
    if (!wefti_index(call, call->bound[0], numbers->length, "array assignment index out of range", &index, &error) ||
        !number_octets(call, numbers->letter, call->bound[1], octets, &error))
        return error;
    memcpy(numbers->octets + (size_t)index * numbers->size, octets, numbers->size);
    return weft_none;
}

static const struct wefti_method value_methods[] = {
    {.name = "get", .function = value_get},
    {.name = "set", .function = value_set, .parameters = {"value"}, .required = 1},
};
static const struct wefti_method array_methods[] = {
    {.name = "__getitem__", .function = array_getitem, .parameters = {"index"}, .required = 1},
    {.name = "__len__", .function = array_len},
    {.name = "__setitem__", .function = array_setitem, .parameters = {"index", "value"}, .required = 2},
};

const struct wefti_managed_type wefti_type_value = {"Value", value_methods, 2, value_construct, {"typecode", "value", "lock"}, 2,
    .destroy = value_destroy, .value = value_value, .repr = value_repr};
const struct wefti_managed_type wefti_type_array = {"Array", array_methods, 3, array_construct, {"typecode", "sequence", "lock"}, 2,
    .destroy = array_destroy, .value = array_value, .repr = array_value};
