/* SPDX-License-Identifier: MIT */
/*
 * dict and Namespace: a weft dict each, which nobody else holds; what is in it never changes. Results are copies, or what is in it, kept.
 *
 * Beside Python's methods, which a client cannot put together to change a value by what it was: incr, cas.
 */

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "manager/manager.h"
#include "value/object.h"
#include "value/utf8.h"

struct holder {
    weft_value dict;
};

static weft_value dict_of(const struct wefti_call *call)
{
    return ((const struct holder *)call->object->state)->dict;
}

/* A key that is shared within itself again and again takes for ever to hash. */
static bool key_usable(weft_value key)
{
    if (wefti_comparable(key))
        return true;
    errno = EMSGSIZE;
    return false;
}

/* What the dict has for the first parameter. -1 as weft_dict_get, and EMSGSIZE. */
static int key_get(struct wefti_call *call, weft_value *item)
{
    return key_usable(call->bound[0]) ? weft_dict_get(dict_of(call), call->bound[0], item) : -1;
}

static int key_pop(struct wefti_call *call, weft_value *item)
{
    return key_usable(call->bound[0]) ? weft_dict_pop(dict_of(call), call->bound[0], item) : -1;
}

/* Why a get, set or pop failed that found no key of this kind. */
static weft_value key_refused(struct wefti_call *call, weft_value key)
{
    return errno == ENOENT ? wefti_raise(call, "KeyError", &key, 1) : wefti_raise_unhashable(call, key);
}

/* Both stay the caller's. */
static bool dict_store(struct wefti_call *call, weft_value dict, weft_value key, weft_value item, weft_value *error)
{
    weft_value kept_key = weft_keep(key), kept = weft_keep(item);
    if (key_usable(key) && weft_dict_set(dict, kept_key, kept) == 0)
        return true;
    int why = errno;
    weft_drop(kept_key);
    weft_drop(kept);
    errno = why;
    *error = wefti_raise_unhashable(call, key);
    return false;
}

static bool dict_store_all(struct wefti_call *call, weft_value dict, weft_value from, weft_value *error)
{
    weft_value key, item, outside = wefti_item_recursive(from) ? weft_copy(from) : weft_keep(from);
    size_t at = 0;
    if (weft_is_error(outside))
        return *error = wefti_raise_memory(call), false;
    bool good = true;
    while (good && weft_dict_next(outside, &at, &key, &item))
        good = dict_store(call, dict, key, item, error);
    weft_drop(outside);
    return good;
}

static bool dict_store_pair(struct wefti_call *call, weft_value dict, weft_value pair, size_t number, weft_value *error)
{
    weft_value both = wefti_items_of(call, pair);
    bool good = !wefti_raised(call);
    if (good && weft_length(both) != 2) {
        *error = wefti_raise_text(
            call, "ValueError", "dictionary update sequence element #%zu has length %zu; 2 is required", number, weft_length(both));
        good = false;
    } else if (good)
        good = dict_store(call, dict, weft_list_at(both, 0), weft_list_at(both, 1), error);
    else
        return *error = both, false;
    weft_drop(both);
    return good;
}

static bool dict_store_pairs(struct wefti_call *call, weft_value dict, weft_value source, weft_value *error)
{
    weft_value pairs = wefti_items_of(call, source);
    if (wefti_raised(call))
        return *error = pairs, false;
    bool good = true;
    for (size_t i = 0; good && i < weft_length(pairs); i++)
        good = dict_store_pair(call, dict, weft_list_at(pairs, (ptrdiff_t)i), i, error);
    weft_drop(pairs);
    return good;
}

/* What update and the constructor take: a mapping or pairs, and keywords. */
static bool dict_update_from(struct wefti_call *call, weft_value dict, weft_value *error)
{
    size_t given = weft_length(call->arguments);
    if (given > 1) {
        *error = wefti_raise_text(call, "TypeError", "%s expected at most 1 argument, got %zu", call->name, given);
        return false;
    }
    bool good = true;
    if (given == 1) {
        weft_value made, source = wefti_dereferenced(call, weft_list_at(call->arguments, 0), &made);
        if (source.kind == WEFT_DICT)
            good = dict_store_all(call, dict, source, error);
        else
            good = dict_store_pairs(call, dict, source, error);
        weft_drop(made);
    }
    return good && dict_store_all(call, dict, call->keywords, error);
}

static weft_value holder_make(struct wefti_call *call)
{
    struct holder *holder = wefti_alloc(sizeof(*holder));
    weft_value dict = weft_dict();
    if (!holder || weft_is_error(dict)) {
        wefti_release(holder);
        weft_drop(dict);
        return wefti_raise_memory(call);
    }
    holder->dict = dict;
    call->object->state = holder;
    return weft_none;
}

static weft_value dict_construct(struct wefti_call *call)
{
    weft_value error = holder_make(call);
    if (wefti_raised(call))
        return error;
    return dict_update_from(call, dict_of(call), &error) ? weft_none : error;
}

static void holder_destroy(struct wefti_managed *object)
{
    struct holder *holder = object->state;
    if (!holder)
        return;
    weft_drop(holder->dict);
    wefti_release(holder);
}

static weft_value dict_value(struct wefti_managed *object)
{
    return weft_copy(((const struct holder *)object->state)->dict);
}

static weft_value dict_getitem(struct wefti_call *call)
{
    weft_value item;
    if (key_get(call, &item) == 0)
        return weft_keep(item);
    return key_refused(call, call->bound[0]);
}

static weft_value dict_setitem(struct wefti_call *call)
{
    weft_value error;
    return dict_store(call, dict_of(call), call->bound[0], call->bound[1], &error) ? weft_none : error;
}

static weft_value dict_delitem(struct wefti_call *call)
{
    return key_pop(call, NULL) == 0 ? weft_none : key_refused(call, call->bound[0]);
}

static weft_value dict_contains(struct wefti_call *call)
{
    if (key_get(call, NULL) == 0)
        return weft_bool(true);
    return errno == ENOENT ? weft_bool(false) : key_refused(call, call->bound[0]);
}

static weft_value dict_len(struct wefti_call *call)
{
    return weft_int((int64_t)weft_length(dict_of(call)));
}

static weft_value dict_get(struct wefti_call *call)
{
    weft_value item;
    if (key_get(call, &item) == 0)
        return weft_keep(item);
    if (errno != ENOENT)
        return key_refused(call, call->bound[0]);
    return wefti_given(call->bound[1]) ? weft_keep(call->bound[1]) : weft_none;
}

static weft_value dict_pop(struct wefti_call *call)
{
    weft_value item;
    if (key_pop(call, &item) == 0)
        return item;
    if (errno != ENOENT || call->bound[1].kind == WEFTI_ABSENT)
        return key_refused(call, call->bound[0]);
    return weft_keep(call->bound[1]);
}

static weft_value dict_popitem(struct wefti_call *call)
{
    weft_value key, item;
    if (wefti_dict_pop_last(dict_of(call), &key, &item) != 0)
        return errno == ENOENT ? wefti_raise_text(call, "KeyError", "popitem(): dictionary is empty") : wefti_raise_memory(call);
    weft_value pair = weft_tuple((weft_value[]){key, item}, 2);
    if (!weft_is_error(pair))
        return pair;
    weft_drop(key);
    weft_drop(item);
    return wefti_raise_memory(call);
}

static weft_value dict_setdefault(struct wefti_call *call)
{
    weft_value item, error, otherwise = wefti_given(call->bound[1]) ? call->bound[1] : weft_none;
    if (key_get(call, &item) == 0)
        return weft_keep(item);
    return dict_store(call, dict_of(call), call->bound[0], otherwise, &error) ? weft_keep(otherwise) : error;
}

static weft_value dict_update(struct wefti_call *call)
{
    weft_value error;
    return dict_update_from(call, dict_of(call), &error) ? weft_none : error;
}

enum part { KEYS, VALUES, ITEMS };

static weft_value dict_part(weft_value key, weft_value item, enum part part)
{
    weft_value pair[] = {weft_keep(key), weft_keep(item)};
    if (part == ITEMS) {
        weft_value made = weft_tuple(pair, 2);
        if (!weft_is_error(made))
            return made;
    }
    weft_drop(pair[part == KEYS]);
    return part == ITEMS ? weft_drop(pair[0]), weft_error(ENOMEM, NULL) : pair[part == VALUES];
}

static weft_value dict_list(struct wefti_call *call, enum part part)
{
    weft_value list = weft_list(), key, item;
    size_t at = 0;
    while (!weft_is_error(list) && weft_dict_next(dict_of(call), &at, &key, &item)) {
        weft_value one = dict_part(key, item, part);
        if (!weft_is_error(one) && weft_list_append(list, one) == 0)
            continue;
        weft_drop(one);
        weft_drop(list);
        list = weft_error(ENOMEM, NULL);
    }
    return weft_is_error(list) ? wefti_raise_memory(call) : list;
}

static weft_value dict_keys(struct wefti_call *call)
{
    return dict_list(call, KEYS);
}

static weft_value dict_values(struct wefti_call *call)
{
    return dict_list(call, VALUES);
}

static weft_value dict_items(struct wefti_call *call)
{
    return dict_list(call, ITEMS);
}

static weft_value dict_reversed(struct wefti_call *call)
{
    weft_value keys = dict_keys(call), turned = weft_list(), key;
    while (!wefti_raised(call) && weft_length(keys) > 0 && weft_list_pop(keys, -1, &key) == 0)
        weft_list_append(turned, key);
    weft_drop(keys);
    weft_value tuple = weft_tuple(&turned, 1);
    return weft_object("iter", tuple, weft_none);
}

static weft_value iterator_repr(struct wefti_managed *object)
{
    return weft_str_f("<dict_keyiterator object at 0x%lx>", object->ident);
}

/* Over a copy of the keys: a dict that changes meanwhile ends nobody's loop. */
static weft_value dict_iter(struct wefti_call *call)
{
    struct holder *state = wefti_alloc(sizeof(*state));
    weft_value keys = dict_keys(call);
    if (state && !wefti_raised(call)) {
        state->dict = keys;
        return wefti_reply_proxy(call, &wefti_type_iterator, state);
    }
    wefti_release(state);
    return state ? keys : (weft_drop(keys), wefti_raise_memory(call));
}

static weft_value copy_of(struct wefti_call *call, weft_value value)
{
    weft_value copy = weft_copy(value);
    return weft_is_error(copy) ? wefti_raise_memory(call) : copy;
}

static weft_value dict_copy(struct wefti_call *call)
{
    return copy_of(call, dict_of(call));
}

static weft_value dict_clear(struct wefti_call *call)
{
    weft_value fresh = weft_dict();
    if (weft_is_error(fresh))
        return wefti_raise_memory(call);
    struct holder *holder = call->object->state;
    weft_drop(holder->dict);
    holder->dict = fresh;
    return weft_none;
}

static weft_value dict_fromkeys(struct wefti_call *call)
{
    weft_value keys = wefti_items_of(call, call->bound[0]), made = weft_dict(), error;
    if (wefti_raised(call))
        return weft_drop(made), keys;
    bool good = true;
    for (size_t i = 0; good && i < weft_length(keys); i++)
        good = dict_store(call, made, weft_list_at(keys, (ptrdiff_t)i), wefti_given(call->bound[1]) ? call->bound[1] : weft_none, &error);
    weft_drop(keys);
    return good ? made : (weft_drop(made), error);
}

/* A copy of one with another stored into it; `other` may be a proxy. */
static weft_value dict_merged(struct wefti_call *call, weft_value first, weft_value second)
{
    weft_value merged = copy_of(call, first), error;
    if (wefti_raised(call) || dict_store_all(call, merged, second, &error))
        return merged;
    weft_drop(merged);
    return error;
}

static weft_value dict_operator(struct wefti_call *call, bool mine_first, const char *sign)
{
    weft_value made, other = wefti_dereferenced(call, call->bound[0], &made), result;
    if (other.kind != WEFT_DICT)
        result = wefti_raise_text(call, "TypeError", "unsupported operand type(s) for %s: 'dict' and '%s'", sign, wefti_type_name(other));
    else
        result = mine_first ? dict_merged(call, dict_of(call), other) : dict_merged(call, other, dict_of(call));
    weft_drop(made);
    return result;
}

static weft_value dict_or(struct wefti_call *call)
{
    return dict_operator(call, true, "|");
}

static weft_value dict_ror(struct wefti_call *call)
{
    return dict_operator(call, false, "|");
}

static weft_value dict_ior(struct wefti_call *call)
{
    weft_value error;
    if (weft_length(call->keywords) > 0)
        return wefti_raise_text(call, "TypeError", "__ior__() takes no keyword arguments");
    if (weft_length(call->arguments) != 1)
        return wefti_raise_text(call, "TypeError", "expected 1 argument, got %zu", weft_length(call->arguments));
    return dict_update_from(call, dict_of(call), &error) ? dict_copy(call) : error;
}

static bool is_number(weft_value value)
{
    return value.kind == WEFT_INT || value.kind == WEFT_BOOL || value.kind == WEFT_FLOAT;
}

/* incr(key, by=1): what is there, or 0, and so much more; what comes of it. */
static weft_value dict_incr(struct wefti_call *call)
{
    weft_value item = weft_int(0), by = call->bound[1].kind == WEFTI_ABSENT ? weft_int(1) : call->bound[1], error;
    int64_t sum;
    if (key_get(call, &item) != 0 && errno != ENOENT)
        return key_refused(call, call->bound[0]);
    if (!is_number(item) || !is_number(by))
        return wefti_raise_text(
            call, "TypeError", "unsupported operand type(s) for +: '%s' and '%s'", wefti_type_name(item), wefti_type_name(by));
    if (item.kind == WEFT_FLOAT || by.kind == WEFT_FLOAT)
        item = weft_float(weft_as_float(item) + weft_as_float(by));
    else if (__builtin_add_overflow(weft_as_int(item), weft_as_int(by), &sum))
        return wefti_raise_text(call, "OverflowError", "the sum has more than 64 bits");
    else
        item = weft_int(sum);
    return dict_store(call, dict_of(call), call->bound[0], item, &error) ? item : error;
}

/* cas(key, expected, item): stores it if what is there, none when nothing is, equals what is expected; whether it did. */
static weft_value dict_cas(struct wefti_call *call)
{
    weft_value item = weft_none, error;
    if (key_get(call, &item) != 0 && errno != ENOENT)
        return key_refused(call, call->bound[0]);
    if (wefti_relays(call, call->bound[1]))
        return wefti_raise_text(call, "TypeError", "objects of classes that the manager does not know cannot be compared");
    if (!wefti_comparable(item) && !wefti_comparable(call->bound[1]))
        return wefti_raise_text(call, "ValueError", "too much to compare");
    if (!weft_equal(item, call->bound[1]))
        return weft_bool(false);
    return dict_store(call, dict_of(call), call->bound[0], call->bound[2], &error) ? weft_bool(true) : error;
}

/* Iterators: a list, and how much of it was given. */

static weft_value iterator_next(struct wefti_call *call)
{
    struct holder *holder = call->object->state;
    int64_t at = holder->dict.code;
    if ((size_t)at >= weft_length(holder->dict))
        return wefti_raise(call, "StopIteration", NULL, 0);
    holder->dict.code++;
    return weft_keep(weft_list_at(holder->dict, (ptrdiff_t)at));
}

static weft_value iterator_close(struct wefti_call *call)
{
    ((struct holder *)call->object->state)->dict.code = INT32_MAX;
    return weft_none;
}

static weft_value iterator_throw(struct wefti_call *call)
{
    return wefti_raise_text(call, "AttributeError", "'dict_keyiterator' object has no attribute '%s'", call->name);
}

/* Namespaces. */

static weft_value namespace_construct(struct wefti_call *call)
{
    weft_value error;
    if (weft_length(call->arguments) > 0)
        return wefti_raise_text(call, "TypeError", "Namespace takes keywords only");
    error = holder_make(call);
    if (wefti_raised(call))
        return error;
    return dict_store_all(call, dict_of(call), call->keywords, &error) ? weft_none : error;
}

static bool attribute_named(struct wefti_call *call, weft_value *error)
{
    if (call->bound[0].kind == WEFT_STR)
        return true;
    *error = wefti_raise_text(call, "TypeError", "attribute name must be string, not '%s'", wefti_type_name(call->bound[0]));
    return false;
}

static weft_value attribute_missing(struct wefti_call *call)
{
    if (errno != ENOENT)
        return wefti_raise_memory(call);
    return wefti_raise_text(call, "AttributeError", "'Namespace' object has no attribute '%.200s'", weft_as_str(call->bound[0]));
}

static weft_value namespace_get(struct wefti_call *call)
{
    weft_value item, error;
    if (!attribute_named(call, &error))
        return error;
    return key_get(call, &item) == 0 ? weft_keep(item) : attribute_missing(call);
}

static weft_value namespace_set(struct wefti_call *call)
{
    weft_value error;
    if (!attribute_named(call, &error))
        return error;
    return dict_store(call, dict_of(call), call->bound[0], call->bound[1], &error) ? weft_none : error;
}

static weft_value namespace_delete(struct wefti_call *call)
{
    weft_value error;
    if (!attribute_named(call, &error))
        return error;
    return key_pop(call, NULL) == 0 ? weft_none : attribute_missing(call);
}

/* As what Python pickles: Namespace(), and its attributes. */
static weft_value namespace_value(struct wefti_managed *object)
{
    weft_value state = weft_copy(((const struct holder *)object->state)->dict), none = weft_tuple(NULL, 0);
    weft_value made = weft_is_error(state) || weft_is_error(none) ? weft_error(ENOMEM, NULL)
                                                                  : weft_object("multiprocessing.managers.Namespace", none, state);
    if (weft_is_error(made)) {
        weft_drop(state);
        weft_drop(none);
    }
    return made;
}

struct text {
    char octets[4096];
    size_t length;
};

static void text_add(struct text *text, const char *more)
{
    size_t length = strlen(more), room = sizeof(text->octets) - 1 - text->length;
    length = length < room ? length : room;
    memcpy(text->octets + text->length, more, length);
    text->length += length;
    text->octets[text->length] = 0;
}

/* The next of the attributes in the order of their names; NULL: there are no more. */
static const char *attribute_after(weft_value dict, const char *before, weft_value *item)
{
    const char *next = NULL;
    weft_value key, one;
    size_t at = 0;
    while (weft_dict_next(dict, &at, &key, &one)) {
        const char *name = weft_as_str(key);
        if (name[0] == '_' || (before && strcmp(name, before) <= 0) || (next && strcmp(name, next) >= 0))
            continue;
        next = name;
        *item = one;
    }
    return next;
}

static weft_value namespace_repr(struct wefti_managed *object)
{
    weft_value dict = ((const struct holder *)object->state)->dict, item;
    struct text text = {.length = 0};
    const char *name = NULL;
    char one[512];
    text_add(&text, "Namespace(");
    while ((name = attribute_after(dict, name, &item)) && text.length < sizeof(text.octets) - 600) {
        if (text.length > strlen("Namespace("))
            text_add(&text, ", ");
        text_add(&text, name);
        text_add(&text, "=");
        wefti_repr_begin(item, one, sizeof(one));
        text_add(&text, one);
    }
    text_add(&text, ")");
    wefti_utf8_whole(text.octets);
    return weft_str(text.octets);
}

static const struct wefti_method dict_methods[] = {
    {.name = "__contains__", .function = dict_contains, .parameters = {"key"}, .required = 1},
    {.name = "__delitem__", .function = dict_delitem, .parameters = {"key"}, .required = 1},
    {.name = "__getitem__", .function = dict_getitem, .parameters = {"key"}, .required = 1},
    {.name = "__ior__", .function = dict_ior, .raw = true},
    {.name = "__iter__", .function = dict_iter},
    {.name = "__len__", .function = dict_len},
    {.name = "__or__", .function = dict_or, .parameters = {"value"}, .required = 1},
    {.name = "__reversed__", .function = dict_reversed},
    {.name = "__ror__", .function = dict_ror, .parameters = {"value"}, .required = 1},
    {.name = "__setitem__", .function = dict_setitem, .parameters = {"key", "value"}, .required = 2},
    {.name = "cas", .function = dict_cas, .parameters = {"key", "expected", "value"}, .required = 3},
    {.name = "clear", .function = dict_clear},
    {.name = "copy", .function = dict_copy},
    {.name = "fromkeys", .function = dict_fromkeys, .parameters = {"iterable", "value"}, .required = 1},
    {.name = "get", .function = dict_get, .parameters = {"key", "default"}, .required = 1},
    {.name = "incr", .function = dict_incr, .parameters = {"key", "by"}, .required = 1},
    {.name = "items", .function = dict_items},
    {.name = "keys", .function = dict_keys},
    {.name = "pop", .function = dict_pop, .parameters = {"key", "default"}, .required = 1},
    {.name = "popitem", .function = dict_popitem},
    {.name = "setdefault", .function = dict_setdefault, .parameters = {"key", "default"}, .required = 1},
    {.name = "update", .function = dict_update, .raw = true},
    {.name = "values", .function = dict_values},
};
static const struct wefti_method iterator_methods[] = {
    {.name = "__next__", .function = iterator_next},
    {.name = "close", .function = iterator_close},
    {.name = "send", .function = iterator_throw, .parameters = {"value"}},
    {.name = "throw", .function = iterator_throw, .parameters = {"type", "value", "traceback"}},
};
static const struct wefti_method namespace_methods[] = {
    {.name = "__delattr__", .function = namespace_delete, .parameters = {"name"}, .required = 1},
    {.name = "__getattribute__", .function = namespace_get, .parameters = {"name"}, .required = 1},
    {.name = "__setattr__", .function = namespace_set, .parameters = {"name", "value"}, .required = 2},
};
#define COUNT(rows_) (sizeof(rows_) / sizeof(*(rows_)))

const struct wefti_managed_type wefti_type_dict = {"dict", dict_methods, COUNT(dict_methods), dict_construct, .raw = true,
    .destroy = holder_destroy, .value = dict_value, .repr = dict_value};
const struct wefti_managed_type wefti_type_iterator = {
    "Iterator", iterator_methods, COUNT(iterator_methods), NULL, .destroy = holder_destroy, .repr = iterator_repr};
const struct wefti_managed_type wefti_type_namespace = {"Namespace", namespace_methods, COUNT(namespace_methods), namespace_construct,
    .raw = true, .destroy = holder_destroy, .value = namespace_value, .repr = namespace_repr};
