/* SPDX-License-Identifier: MIT */
/*
 * Names in pickles, and what is done with them. A name is looked up in a fixed table (pickle_names.c); one that stands for a value becomes
 * that, any other lies on the stack as a name until it is called, or made an object of. What a call gives is made here of its arguments,
 * whose number and kinds have to be right; nothing is run. Classes without a kind of value of their own become objects by name.
 *
 * Tokens without a state and classes of proxies that no proxy has yet are counted: a pickle that ends with some is refused.
 */

#include "value/pickle_reader.h"

#include <stdio.h>
#include <string.h>

#include "value/utf8.h"

/* An object of the name's class; takes neither. An error value, having said why. */
static weft_value object_of(struct wefti_reader *reader, const struct wefti_pickle_name *name, weft_value arguments)
{
    char full[WEFTI_PICKLE_FULL];
    wefti_pickle_full(name, full);
    uint32_t weight;
    weft_value failed = {.kind = WEFT_ERROR};
    if (wefti_reader_weigh_all(reader, &weight, &arguments, 1) != 0 ||
        wefti_reader_charge(reader, sizeof(struct wefti_array) + 3 * sizeof(arguments) + sizeof(struct wefti_text) + strlen(full) + 1) != 0)
        return failed;
    weft_value kept = weft_keep(arguments), object = weft_object(full, kept, weft_none);
    if (object.kind != WEFT_ERROR) {
        wefti_container_of(object)->weight = weight;
        return object;
    }
    weft_drop(kept);
    wefti_reader_refuse_memory(reader);
    return failed;
}

int wefti_reader_push_name(struct wefti_reader *reader, const char *module, size_t module_length, const char *name, size_t length)
{
    const struct wefti_pickle_name *known = wefti_pickle_find(module, module_length, name, length);
    if (!known)
        return wefti_reader_stranger(reader, module, module_length, name, length);
    if (known->use != WEFTI_PICKLE_CONSTANT && known->use != WEFTI_PICKLE_PROXY_CLASS)
        return wefti_reader_push(reader, (weft_value){.kind = WEFTI_NAME, .as.pointer = (void *)(uintptr_t)known});
    weft_value object = object_of(reader, known, weft_none);
    if (object.kind == WEFT_ERROR)
        return -1;
    if (known->use == WEFTI_PICKLE_PROXY_CLASS) {
        wefti_container_of(object)->head.more = 1; /* no proxy has it yet */
        reader->unfinished++;
    }
    return wefti_reader_push(reader, object);
}

/* Arguments as a call wants them: so many, each of the kind that stands in `kinds` (numbers of enum weft_value_kind), UINT8_MAX being
 * any. */
static bool arguments_are(weft_value arguments, size_t count, const uint8_t *kinds)
{
    bool fit = weft_length(arguments) == count;
    for (size_t i = 0; fit && i < count; i++)
        fit = kinds[i] == UINT8_MAX || weft_list_at(arguments, (ptrdiff_t)i).kind == kinds[i];
    return fit;
}

#define ARE(arguments_, ...) arguments_are((arguments_), sizeof((uint8_t[]){__VA_ARGS__}), (const uint8_t[]){__VA_ARGS__})

static bool is_latin(weft_value encoding)
{
    const char *name = weft_as_str(encoding);
    return strcmp(name, "latin1") == 0 || strcmp(name, "latin-1") == 0;
}

/* Octets of a str whose characters they are; protocol 2 has no other way. */
static weft_value bytes_of_str(struct wefti_reader *reader, enum weft_value_kind kind, weft_value text)
{
    size_t length = weft_length(text), count = 0;
    const char *from = weft_as_str(text);
    char *octets = wefti_alloc_raw(length + 1);
    weft_value made = {.kind = WEFT_ERROR};
    uint32_t character;
    if (!octets) {
        wefti_reader_refuse_memory(reader);
        return made;
    }
    for (size_t at = 0; at < length; count++) {
        at += wefti_utf8_character(from + at, length - at, &character);
        if (character > 0xff)
            break;
        octets[count] = (char)character;
    }
    if (length && character > 0xff)
        wefti_reader_refuse(reader, EBADMSG, "the pickle has bytes that are none");
    else
        made = wefti_text_new(kind, 0, octets, count);
    wefti_release(octets);
    return made;
}

static weft_value call_encode(struct wefti_reader *reader, enum weft_value_kind kind, weft_value arguments)
{
    weft_value text = weft_list_at(arguments, 0);
    if (wefti_reader_charge(reader, sizeof(struct wefti_text) + weft_length(text) + 1) != 0)
        return weft_error(EMSGSIZE, NULL);
    return bytes_of_str(reader, kind, text);
}

static weft_value call_bytearray(struct wefti_reader *reader, const struct wefti_pickle_name *name, weft_value arguments)
{
    weft_value failed = {.kind = WEFT_ERROR}, octets = weft_length(arguments) ? weft_list_at(arguments, 0) : weft_none;
    if (ARE(arguments, WEFT_STR, WEFT_STR) && is_latin(weft_list_at(arguments, 1)))
        return call_encode(reader, WEFT_BYTEARRAY, arguments);
    if (weft_length(arguments) != 0 && !ARE(arguments, WEFT_BYTES)) {
        wefti_reader_refuse_name(reader, name, "with these arguments");
        return failed;
    }
    size_t length = weft_is_none(octets) ? 0 : weft_length(octets);
    if (wefti_reader_charge(reader, sizeof(struct wefti_text) + length + 1) != 0)
        return failed;
    weft_value made = weft_bytearray(length ? weft_as_bytes(octets) : NULL, length);
    if (made.kind == WEFT_ERROR)
        wefti_reader_refuse_memory(reader);
    return made;
}

/* A number of an array that came as a list: false when it is none of the letter's. */
static bool number_put(char letter, weft_value number, char *to)
{
    double real = weft_as_float(number);
    float single = (float)real;
    size_t size = wefti_numbers_size(letter);
    if (letter == 'd' || letter == 'f') {
        memcpy(to, letter == 'd' ? (const void *)&real : &single, size);
        return number.kind == WEFT_FLOAT;
    }
    uint64_t octets = 0;
    if (number.kind == WEFT_BIGINT && letter < 'a' && weft_length(number) == 9 && ((const char *)weft_as_bytes(number))[8] == 0)
        memcpy(&octets, weft_as_bytes(number), 8);
    else if (number.kind == WEFT_INT)
        octets = (uint64_t)number.as.integer;
    else
        return false;
    memcpy(to, &octets, size);
    unsigned unused = 64 - 8 * (unsigned)size;
    return number.kind == WEFT_BIGINT ? size == 8
           : letter < 'a'             ? number.as.integer >= 0 && octets << unused >> unused == octets
                                      : (int64_t)(octets << unused) >> unused == number.as.integer;
}

static weft_value array_of_list(struct wefti_reader *reader, const struct wefti_pickle_name *name, char letter, weft_value list)
{
    size_t size = wefti_numbers_size(letter), count = weft_length(list), good = 0;
    char *octets = wefti_alloc_raw(count * size + 1);
    weft_value made = {.kind = WEFT_ERROR};
    if (!octets) {
        wefti_reader_refuse_memory(reader);
        return made;
    }
    while (good < count && number_put(letter, weft_list_at(list, (ptrdiff_t)good), octets + good * size))
        good++;
    if (good < count)
        wefti_reader_refuse_name(reader, name, "with a number that does not fit");
    else
        made = wefti_text_new(WEFT_NUMBERS, (uint8_t)letter, octets, count * size);
    wefti_release(octets);
    return made;
}

static weft_value call_array(struct wefti_reader *reader, const struct wefti_pickle_name *name, weft_value arguments)
{
    weft_value failed = {.kind = WEFT_ERROR};
    bool octets = ARE(arguments, WEFT_STR, WEFT_BYTES);
    if (!octets && !ARE(arguments, WEFT_STR, WEFT_LIST)) {
        wefti_reader_refuse_name(reader, name, "with these arguments");
        return failed;
    }
    weft_value letters = weft_list_at(arguments, 0), items = weft_list_at(arguments, 1);
    char letter = *weft_as_str(letters);
    size_t size = weft_length(letters) == 1 ? wefti_numbers_size(letter) : 0, length = weft_length(items);
    if (size == 0 || (octets && length % size != 0)) {
        wefti_reader_refuse_name(reader, name, "with these arguments");
        return failed;
    }
    if (wefti_reader_charge(reader, sizeof(struct wefti_text) + (octets ? length : length * size) + 1) != 0)
        return failed;
    return octets ? wefti_text_new(WEFT_NUMBERS, (uint8_t)letter, weft_as_bytes(items), length)
                  : array_of_list(reader, name, letter, items);
}

/* A set of items that are held; how many were taken. */
static weft_value set_of(struct wefti_reader *reader, const weft_value *items, size_t count, size_t *taken)
{
    weft_value failed = {.kind = WEFT_ERROR}, set = wefti_reader_charge(reader, sizeof(struct wefti_dict)) == 0 ? weft_set() : failed;
    *taken = 0;
    if (set.kind == WEFT_ERROR)
        return failed;
    wefti_container_of(set)->weight = 1U << WEFTI_DEPTH_BITS | 1;
    if (wefti_reader_fill_hashed(reader, set, items, count, taken) == 0)
        return set;
    weft_drop(set);
    return failed;
}

/* A set or frozenset of a list's items, which is how protocols 2 and 3 have them. */
static weft_value call_set(struct wefti_reader *reader, const struct wefti_pickle_name *name, weft_value arguments)
{
    weft_value set = {.kind = WEFT_ERROR};
    const struct wefti_array *list = ARE(arguments, WEFT_LIST) ? wefti_handle_object(weft_list_at(arguments, 0)) : NULL;
    weft_value *items = list ? wefti_alloc_raw((list->length + 1) * sizeof(*items)) : NULL;
    size_t taken = 0;
    if (!list)
        wefti_reader_refuse_name(reader, name, "with these arguments");
    if (!items)
        return set;
    for (size_t i = 0; i < list->length; i++)
        items[i] = weft_keep(list->items[i]);
    if (name->use == WEFTI_PICKLE_SET) {
        set = set_of(reader, items, list->length, &taken);
    } else {
        set = wefti_reader_frozenset(reader, items, list->length);
        taken = set.kind == WEFT_ERROR ? 0 : list->length;
    }
    while (taken < list->length)
        weft_drop(items[taken++]);
    wefti_release(items);
    return set;
}

static bool is_system_error(const struct wefti_pickle_name *name)
{
    static const char *const system[] = {"OSError", "BlockingIOError", "BrokenPipeError", "ChildProcessError", "ConnectionAbortedError",
        "ConnectionError", "ConnectionRefusedError", "ConnectionResetError", "FileExistsError", "FileNotFoundError", "InterruptedError",
        "IsADirectoryError", "NotADirectoryError", "PermissionError", "ProcessLookupError", "TimeoutError"};
    for (size_t i = 0; strcmp(name->module, "builtins") == 0 && i < sizeof(system) / sizeof(*system); i++)
        if (strcmp(name->name, system[i]) == 0)
            return true;
    return false;
}

/* An exception as an error: its type, the text that str() of it has (1000 octets of it at most, unless it is a str itself), and a code. */
static weft_value error_of(struct wefti_reader *reader, const struct wefti_pickle_name *name, weft_value arguments)
{
    char full[WEFTI_PICKLE_FULL], room[1000];
    const char *text = room;
    size_t length = 0, count = weft_length(arguments);
    weft_value first = count ? weft_list_at(arguments, 0) : weft_none, second = count > 1 ? weft_list_at(arguments, 1) : weft_none;
    bool system = count > 1 && is_system_error(name) && first.kind == WEFT_INT && second.kind == WEFT_STR;
    if (system) {
        length = (size_t)snprintf(room, sizeof(room), "[Errno %d] %s", (int)first.as.integer, weft_as_str(second));
        length = length < sizeof(room) ? length : wefti_utf8_whole(room);
    } else if (count == 1 && first.kind == WEFT_STR && strcmp(name->name, "KeyError") != 0) {
        text = weft_as_str(first);
        length = weft_length(first);
    } else if (count > 0) {
        length = wefti_repr_begin(count == 1 ? first : arguments, room, sizeof(room));
    }
    wefti_pickle_full(name, full);
    if (wefti_reader_charge(reader, sizeof(struct wefti_text) + length + strlen(full) + 2) != 0)
        return weft_error(EMSGSIZE, NULL);
    bool told = system && first.as.integer > 0 && first.as.integer < 4096;
    return wefti_error_new(told ? (int32_t)first.as.integer : name->code, text, length, full, strlen(full));
}

static bool is_object_of(weft_value value, enum wefti_pickle_use use)
{
    if (!wefti_object_of(value, WEFT_OBJECT))
        return false;
    const struct wefti_pickle_name *name = wefti_pickle_find_full(weft_object_name(value));
    return name && name->use == use;
}

static bool is_identifier(weft_value value)
{
    if (!wefti_object_of(value, WEFT_STR) || weft_length(value) == 0)
        return false;
    const char *text = weft_as_str(value);
    for (size_t i = 0; i < weft_length(value); i++) {
        bool letter = (text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z', digit = text[i] >= '0' && text[i] <= '9';
        if (!letter && text[i] != '_' && !(digit && i > 0))
            return false;
    }
    return true;
}

/* A proxy's keywords: none, or the names that are exposed. */
static bool is_keywords(weft_value keywords)
{
    weft_value names;
    if (weft_length(keywords) == 0)
        return true;
    if (weft_length(keywords) != 1 || weft_dict_get_str(keywords, "exposed", &names) != 0 || names.kind != WEFT_TUPLE)
        return false;
    for (size_t i = 0; i < weft_length(names); i++)
        if (!is_identifier(weft_list_at(names, (ptrdiff_t)i)))
            return false;
    return true;
}

static bool is_proxy(struct wefti_reader *reader, weft_value arguments)
{
    if (!ARE(arguments, WEFT_OBJECT, WEFT_OBJECT, WEFT_STR, WEFT_DICT))
        return false;
    weft_value class = weft_list_at(arguments, 0), token = weft_list_at(arguments, 1);
    if (!is_object_of(class, WEFTI_PICKLE_PROXY_CLASS) || strcmp(weft_object_name(token), "multiprocessing.managers.Token") != 0 ||
        !is_keywords(weft_list_at(arguments, 3)))
        return false;
    reader->unfinished -= wefti_container_of(class)->head.more;
    wefti_container_of(class)->head.more = 0;
    return true;
}

static bool is_call(struct wefti_reader *reader, enum wefti_pickle_use use, weft_value arguments)
{
    switch (use) {
    case WEFTI_PICKLE_EXCEPTION:
        return true;
    case WEFTI_PICKLE_SLICE:
        return weft_length(arguments) == 3;
    case WEFTI_PICKLE_RANGE:
        return ARE(arguments, WEFT_INT, WEFT_INT, WEFT_INT);
    case WEFTI_PICKLE_COMPLEX:
        return ARE(arguments, WEFT_FLOAT, WEFT_FLOAT);
    case WEFTI_PICKLE_ITER:
    case WEFTI_PICKLE_REVERSED:
        return ARE(arguments, WEFT_LIST) || ARE(arguments, WEFT_TUPLE);
    case WEFTI_PICKLE_LIST:
        return ARE(arguments, WEFT_LIST);
    case WEFTI_PICKLE_BYTES:
        return weft_length(arguments) == 0;
    case WEFTI_PICKLE_ENCODE:
        return ARE(arguments, WEFT_STR, WEFT_STR) && is_latin(weft_list_at(arguments, 1));
    case WEFTI_PICKLE_PROXY:
        return is_proxy(reader, arguments);
    default:
        return false;
    }
}

/* What a call of the name with these arguments, which stay whose they are, gives; *made is false when it is refused, which has been
 * said. */
static weft_value call(struct wefti_reader *reader, const struct wefti_pickle_name *name, weft_value arguments, bool *made)
{
    weft_value value;
    if (name->use == WEFTI_PICKLE_BYTEARRAY) {
        value = call_bytearray(reader, name, arguments);
    } else if (name->use == WEFTI_PICKLE_ARRAY) {
        value = call_array(reader, name, arguments);
    } else if (name->use == WEFTI_PICKLE_SET || name->use == WEFTI_PICKLE_FROZENSET) {
        value = call_set(reader, name, arguments);
    } else if (!is_call(reader, name->use, arguments)) {
        wefti_reader_refuse_name(reader, name, "with these arguments");
        value = weft_error(EBADMSG, NULL);
    } else if (name->use == WEFTI_PICKLE_LIST) {
        value = weft_keep(weft_list_at(arguments, 0));
    } else if (name->use == WEFTI_PICKLE_BYTES) {
        value = weft_bytes(NULL, 0);
    } else if (name->use == WEFTI_PICKLE_ENCODE) {
        value = call_encode(reader, WEFT_BYTES, arguments);
    } else if (name->use == WEFTI_PICKLE_EXCEPTION && !reader->limits.exceptions_stay) {
        value = error_of(reader, name, arguments);
        *made = wefti_value_counted(value);
        return value;
    } else {
        value = object_of(reader, name, arguments);
    }
    *made = value.kind != WEFT_ERROR;
    return value;
}

int wefti_reader_reduce(struct wefti_reader *reader)
{
    weft_value *both = wefti_reader_top(reader, 2);
    bool made;
    if (!both)
        return -1;
    if (wefti_object_inert(both[0]) && wefti_object_of(both[1], WEFT_TUPLE))
        return wefti_reader_inert(reader, "python.call", both, 2);
    if (both[0].kind != WEFTI_NAME || !wefti_object_of(both[1], WEFT_TUPLE))
        return wefti_reader_refuse(
            reader, EBADMSG, "the pickle calls what cannot be called, at offset %zu", (size_t)(reader->at - reader->begin) - 1);
    reader->reason->text[0] = 0;
    weft_value value = call(reader, both[0].as.pointer, both[1], &made);
    if (!made)
        return reader->reason->text[0] ? -1 : wefti_reader_refuse_memory(reader);
    wefti_reader_pop(reader, 2);
    return wefti_reader_push(reader, value);
}

int wefti_reader_newobj(struct wefti_reader *reader)
{
    weft_value *both = wefti_reader_top(reader, 2);
    if (!both)
        return -1;
    if (wefti_object_inert(both[0]) && wefti_object_of(both[1], WEFT_TUPLE))
        return wefti_reader_inert(reader, "python.new", both, 2);
    const struct wefti_pickle_name *name = both[0].kind == WEFTI_NAME ? both[0].as.pointer : NULL;
    if (!name || !wefti_object_of(both[1], WEFT_TUPLE))
        return wefti_reader_refuse(
            reader, EBADMSG, "the pickle makes an object of no class, at offset %zu", (size_t)(reader->at - reader->begin) - 1);
    if (name->use != WEFTI_PICKLE_NEW || weft_length(both[1]) != 0)
        return wefti_reader_refuse_name(reader, name, "as a class");
    weft_value object = object_of(reader, name, both[1]);
    if (object.kind == WEFT_ERROR)
        return -1;
    reader->unfinished += strcmp(name->name, "Token") == 0;
    wefti_reader_pop(reader, 2);
    return wefti_reader_push(reader, object);
}

/* typeid, address, ident */
static bool is_token_state(weft_value state)
{
    if (state.kind != WEFT_TUPLE || weft_length(state) != 3)
        return false;
    weft_value address = weft_list_at(state, 1);
    return weft_list_at(state, 0).kind == WEFT_STR && weft_list_at(state, 2).kind == WEFT_STR &&
           (address.kind == WEFT_STR || address.kind == WEFT_BYTES || address.kind == WEFT_TUPLE);
}

static bool is_attributes(weft_value state)
{
    size_t at = 0;
    weft_value key;
    if (state.kind != WEFT_DICT)
        return false;
    while (weft_dict_next(state, &at, &key, NULL))
        if (key.kind != WEFT_STR)
            return false;
    return true;
}

/* How far an iterator has come: it becomes one of a list of what is left. */
static int iterator_advance(struct wefti_reader *reader, struct wefti_array *object, bool back, int64_t at)
{
    const struct wefti_array *all = wefti_handle_object(weft_list_at(object->items[WEFTI_OBJECT_ARGUMENTS], 0));
    int64_t length = (int64_t)all->length, step = back ? -1 : 1;
    at = at < (back ? -1 : 0) ? (back ? -1 : 0) : at > (back ? length - 1 : length) ? (back ? length - 1 : length) : at;
    size_t count = (size_t)(back ? at + 1 : length - at);
    if (wefti_reader_charge(reader, 2 * sizeof(*all) + (count + 1) * sizeof(weft_value)) != 0)
        return -1;
    weft_value list = weft_list(), name = weft_str("iter");
    struct wefti_array *left = wefti_object_of(list, WEFT_LIST);
    bool made = left && name.kind == WEFT_STR;
    for (size_t i = 0; made && i < count; i++, at += step) {
        weft_value item = weft_keep(all->items[at]);
        made = wefti_list_add(left, item) == 0;
        if (!made)
            weft_drop(item);
    }
    weft_value arguments = made ? weft_tuple(&list, 1) : weft_error(ENOMEM, NULL);
    if (arguments.kind == WEFT_ERROR) {
        weft_drop(list), weft_drop(name);
        return wefti_reader_refuse_memory(reader);
    }
    left->container.weight = all->container.weight;
    wefti_container_of(arguments)->weight = object->container.weight;
    weft_value before = wefti_container_release(&object->container, object->items[WEFTI_OBJECT_ARGUMENTS]);
    weft_drop(before), weft_drop(object->items[WEFTI_OBJECT_NAME]);
    object->items[WEFTI_OBJECT_NAME] = wefti_value_take(name);
    object->items[WEFTI_OBJECT_ARGUMENTS] = wefti_container_adopt(&object->container, wefti_value_take(arguments));
    return 0;
}

/* Takes the state when it gives 1; 0: it is of no further use. */
static int build(struct wefti_reader *reader, weft_value value, weft_value state)
{
    if (value.kind == WEFT_ERROR && is_attributes(state))
        return 0;
    const struct wefti_pickle_name *name = value.kind == WEFT_OBJECT ? wefti_pickle_find_full(weft_object_name(value)) : NULL;
    struct wefti_array *object = name ? wefti_reader_filled(reader, value, WEFT_OBJECT) : NULL;
    if (name && !object)
        return -1;
    bool iterates = name && (name->use == WEFTI_PICKLE_ITER || name->use == WEFTI_PICKLE_REVERSED);
    if (iterates && state.kind == WEFT_INT)
        return iterator_advance(reader, object, name->use == WEFTI_PICKLE_REVERSED, state.as.integer);
    bool token = name && name->use == WEFTI_PICKLE_NEW && strcmp(name->name, "Token") == 0;
    bool attributes = name && (name->use == WEFTI_PICKLE_NEW || name->use == WEFTI_PICKLE_EXCEPTION) && !token;
    if (!(token && is_token_state(state)) && !(attributes && is_attributes(state)))
        return wefti_reader_refuse(
            reader, EBADMSG, "the pickle sets the state of what has none, at offset %zu", (size_t)(reader->at - reader->begin) - 1);
    if (!weft_is_none(object->items[WEFTI_OBJECT_STATE]) || wefti_reader_weigh(reader, &object->container.weight, state) != 0)
        return wefti_reader_refuse(reader, EBADMSG, "the pickle sets a state twice, or one too deep");
    object->items[WEFTI_OBJECT_STATE] = wefti_container_adopt(&object->container, wefti_value_take(state));
    reader->unfinished -= token;
    return 1;
}

int wefti_reader_build(struct wefti_reader *reader)
{
    weft_value *both = wefti_reader_top(reader, 2);
    if (!both)
        return -1;
    if (wefti_object_inert(both[0])) {
        size_t noted;
        int result = wefti_reader_note(reader, both[0], "b", both + 1, 1, &noted);
        return wefti_reader_filled_with(reader, both + 1, 1, noted, result);
    }
    if (both[1].kind == WEFTI_NAME)
        return wefti_reader_refuse_name(reader, both[1].as.pointer, "as a state");
    int taken = build(reader, both[0], both[1]);
    if (taken < 0)
        return -1;
    if (taken)
        wefti_reader_popped(reader, 1);
    else
        wefti_reader_pop(reader, 1);
    return 0;
}
