/* SPDX-License-Identifier: MIT */
/* JSON to values and back, with jansson. */
#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "managers.h"

static weft_value of_array(const json_t *array);
static weft_value of_object(json_t *object);

static weft_value value_of(json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return of_object(json);
    case JSON_ARRAY:
        return of_array(json);
    case JSON_STRING:
        return weft_str_n(json_string_value(json), json_string_length(json));
    case JSON_INTEGER:
        return weft_int(json_integer_value(json));
    case JSON_REAL:
        return weft_float(json_real_value(json));
    case JSON_TRUE:
    case JSON_FALSE:
        return weft_bool(json_is_true(json));
    default:
        return weft_none;
    }
}

static weft_value of_array(const json_t *array)
{
    weft_value list = weft_list();
    for (size_t i = 0; i < json_array_size(array); i++)
        weft_list_append(list, value_of(json_array_get(array, i)));
    return list;
}

static weft_value of_object(json_t *object)
{
    weft_value dict = weft_dict();
    const char *key;
    json_t *item;
    json_object_foreach(object, key, item) weft_dict_set_str(dict, key, value_of(item));
    return dict;
}

weft_value json_value(const char *text)
{
    json_error_t error;
    json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    if (!json)
        return weft_error(EINVAL, "%s", error.text);
    weft_value value = value_of(json);
    json_decref(json);
    return value;
}

/* As Python prints it, for what JSON has not. */
static json_t *json_of_text(weft_value value)
{
    size_t length = weft_repr(value, NULL, 0);
    char *room = memory_get(length + 1);
    weft_repr(value, room, length + 1);
    json_t *json = json_string(room);
    free(room);
    return json ? json : json_null();
}

static json_t *json_of(weft_value value);

/* A key as a str; one with a NUL or half a character in it, which JSON has not, as Python prints it. */
static json_t *name_of(weft_value key)
{
    if (weft_kind(key) != WEFT_STR || strlen(weft_as_str(key)) != weft_length(key))
        return json_of_text(key);
    json_t *name = json_string(weft_as_str(key));
    return name ? name : json_of_text(key);
}

static json_t *json_of_dict(weft_value dict)
{
    json_t *object = json_object();
    weft_value key, item;
    size_t at = 0;
    while (weft_dict_next(dict, &at, &key, &item)) {
        json_t *name = name_of(key);
        json_object_set_new(object, json_string_value(name), json_of(item));
        json_decref(name);
    }
    return object;
}

static json_t *json_of_items(weft_value items)
{
    json_t *array = json_array();
    weft_value item;
    size_t at = 0;
    if (items.kind == WEFT_SET || items.kind == WEFT_FROZENSET)
        while (weft_set_next(items, &at, &item))
            json_array_append_new(array, json_of(item));
    else
        for (size_t i = 0; i < weft_length(items); i++)
            json_array_append_new(array, json_of(weft_list_at(items, (ptrdiff_t)i)));
    return array;
}

static json_t *json_of(weft_value value)
{
    json_t *made = NULL;
    switch (weft_kind(value)) {
    case WEFT_NONE:
        return json_null();
    case WEFT_BOOL:
        return json_boolean(weft_as_bool(value));
    case WEFT_INT:
        return json_integer(weft_as_int(value));
    case WEFT_FLOAT:
        made = json_real(weft_as_float(value)); /* NULL for what is not finite */
        break;
    case WEFT_STR:
        made = json_stringn(weft_as_str(value), weft_length(value));
        break;
    case WEFT_DICT:
        return json_of_dict(value);
    case WEFT_LIST:
    case WEFT_TUPLE:
    case WEFT_SET:
    case WEFT_FROZENSET:
        return json_of_items(value);
    default:
        break;
    }
    return made ? made : json_of_text(value);
}

bool json_line(struct text *line, weft_value value)
{
    if (!json_fits(value))
        return false;
    json_t *json = json_of(value);
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    text_add_string(line, text ? text : "null");
    free(text);
    json_decref(json);
    return true;
}
