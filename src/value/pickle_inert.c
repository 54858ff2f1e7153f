/* SPDX-License-Identifier: MIT */
/*
 * Inert objects (pickle.h): what a relay reads of names that are not known here. Each is an object of parts, and of a list of what was done
 * to it; all of it is charged and weighed as other values are. Nothing else of the reader changes: what is known is read as ever, so
 * proxies in such objects are seen by whoever walks. A name that is known, but stands where only a value can (defaultdict(list)), becomes
 * an inert one, too.
 */

#include "value/pickle_reader.h"

#include <stdio.h>
#include <string.h>

#include "value/utf8.h"

/* Of parts that stay whose they are. An error value, having said why. */
static weft_value inert_of(struct wefti_reader *reader, const char *kind, const weft_value *parts, size_t count)
{
    weft_value kept[3], failed = {.kind = WEFT_ERROR};
    uint32_t inner, outer;
    if (wefti_reader_weigh_all(reader, &inner, parts, count) != 0 ||
        wefti_reader_charge(reader, 2 * sizeof(struct wefti_array) + (count + 3) * sizeof(*parts) + sizeof(struct wefti_text) + 16) != 0)
        return failed;
    for (size_t i = 0; i < count; i++)
        kept[i] = weft_keep(parts[i]);
    weft_value tuple = weft_tuple(kept, count);
    if (weft_is_error(tuple)) {
        for (size_t i = 0; i < count; i++)
            weft_drop(kept[i]);
        wefti_reader_refuse_memory(reader);
        return failed;
    }
    wefti_container_of(tuple)->weight = inner;
    bool fits = wefti_reader_weigh_all(reader, &outer, &tuple, 1) == 0;
    weft_value object = fits ? weft_object(kind, tuple, weft_none) : failed;
    if (object.kind != WEFT_ERROR) {
        wefti_container_of(object)->weight = outer;
        return object;
    }
    weft_drop(tuple);
    if (fits)
        wefti_reader_refuse_memory(reader);
    return failed;
}

static weft_value inert_global(struct wefti_reader *reader, const char *module, size_t module_length, const char *name, size_t length)
{
    weft_value failed = {.kind = WEFT_ERROR};
    if (!wefti_utf8_is(module, module_length) || !wefti_utf8_is(name, length)) {
        wefti_reader_refuse(reader, EBADMSG, "the pickle has a global whose name is no UTF-8");
        return failed;
    }
    if (wefti_reader_charge(reader, 2 * sizeof(struct wefti_text) + module_length + length + 2) != 0)
        return failed;
    weft_value names[] = {weft_str_n(module, module_length), weft_str_n(name, length)};
    bool made = !weft_is_error(names[0]) && !weft_is_error(names[1]);
    weft_value object = made ? inert_of(reader, "python.global", names, 2) : failed;
    weft_drop(names[0]), weft_drop(names[1]);
    if (!made)
        wefti_reader_refuse_memory(reader);
    return object;
}

/* Known names among values that are about to be put into something: where all is relayed, they are values, too. */
int wefti_reader_settle(struct wefti_reader *reader, weft_value *items, size_t count)
{
    for (size_t i = 0; reader->limits.relay && i < count; i++) {
        const struct wefti_pickle_name *name = items[i].kind == WEFTI_NAME ? items[i].as.pointer : NULL;
        if (!name)
            continue;
        weft_value object = inert_global(reader, name->module, strlen(name->module), name->name, strlen(name->name));
        if (object.kind == WEFT_ERROR)
            return -1;
        items[i] = object;
    }
    return 0;
}

static int inert_note(struct wefti_reader *reader, struct wefti_array *object, const char *does, weft_value with)
{
    weft_value list = object->items[WEFTI_OBJECT_STATE], text = weft_str(does);
    if (weft_is_none(list)) {
        list = weft_list();
        if (!weft_is_error(list)) {
            wefti_container_of(list)->weight = 1U << WEFTI_DEPTH_BITS | 1;
            object->items[WEFTI_OBJECT_STATE] = wefti_container_adopt(&object->container, wefti_value_take(list));
        }
    }
    struct wefti_array *done = wefti_object_of(object->items[WEFTI_OBJECT_STATE], WEFT_LIST);
    if (!done || weft_is_error(text) || wefti_list_add(done, text) != 0) {
        weft_drop(text);
        return wefti_reader_refuse_memory(reader);
    }
    if (wefti_list_add(done, with) == 0)
        return 0;
    return wefti_reader_refuse_memory(reader);
}

/* Notes what is done to an inert object, and with what: of "b" a state, else items. *taken as list_fill. */
int wefti_reader_note(struct wefti_reader *reader, weft_value value, const char *does, weft_value *items, size_t count, size_t *taken)
{
    *taken = 0;
    struct wefti_array *object = wefti_reader_filled(reader, value, WEFT_OBJECT);
    if (!object || wefti_reader_settle(reader, items, count) != 0)
        return -1;
    uint32_t inner;
    size_t octets = 2 * sizeof(struct wefti_array) + sizeof(struct wefti_text) + (count + 8) * sizeof(*items);
    for (size_t i = 0; i < count; i++)
        if (wefti_container_of(items[i]) == &object->container)
            return wefti_reader_refuse(reader, EBADMSG, "refusing a value that lies in itself (an object)");
    if (wefti_reader_weigh_all(reader, &inner, items, count) != 0 || wefti_reader_charge(reader, octets) != 0)
        return -1;
    weft_value with = *does == 'b' ? items[0] : weft_tuple(items, count);
    if (weft_is_error(with) && *does != 'b')
        return wefti_reader_refuse_memory(reader);
    if (*does != 'b')
        wefti_container_of(with)->weight = inner;
    *taken = count;
    if (wefti_reader_weigh(reader, &object->container.weight, with) == 0 && inert_note(reader, object, does, with) == 0)
        return 0;
    weft_drop(with);
    return -1;
}

static int refuse_stranger(struct wefti_reader *reader, const char *module, size_t module_length, const char *name, size_t length)
{
    return wefti_reader_refuse(reader, EBADMSG, "refusing pickle global %.*s.%.*s", module_length < 80 ? (int)module_length : 80, module,
        length < 80 ? (int)length : 80, name);
}

/* A name that is not known here. */
int wefti_reader_stranger(struct wefti_reader *reader, const char *module, size_t module_length, const char *name, size_t length)
{
    refuse_stranger(reader, module, module_length, name, length);
    if (!reader->limits.relay)
        return -1;
    if (!*reader->stranger)
        snprintf(reader->stranger, sizeof(reader->stranger), "%.*s", (int)sizeof(reader->stranger) - 1, reader->reason->text);
    weft_value object = inert_global(reader, module, module_length, name, length);
    return object.kind == WEFT_ERROR ? -1 : wefti_reader_push(reader, object);
}

/* In place of the topmost values that it is made of. */
int wefti_reader_inert(struct wefti_reader *reader, const char *kind, const weft_value *parts, size_t count)
{
    weft_value object = inert_of(reader, kind, parts, count);
    if (object.kind == WEFT_ERROR)
        return -1;
    wefti_reader_pop(reader, count);
    return wefti_reader_push(reader, object);
}

int wefti_reader_newobj_ex(struct wefti_reader *reader)
{
    if (!reader->limits.relay)
        return wefti_reader_refuse_opcode(reader, 0x92);
    weft_value *all = wefti_reader_top(reader, 3);
    if (!all)
        return -1;
    if (!wefti_object_inert(all[0]) || !wefti_object_of(all[1], WEFT_TUPLE) || !wefti_object_of(all[2], WEFT_DICT))
        return wefti_reader_refuse(
            reader, EBADMSG, "the pickle makes an object of no class, at offset %zu", (size_t)(reader->at - reader->begin) - 1);
    return wefti_reader_inert(reader, "python.new_ex", all, 3);
}
