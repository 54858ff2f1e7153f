/* SPDX-License-Identifier: MIT */
/*
 * Dicts, and sets, which are dicts without items: entries in the order in which their keys came, and an index that leads from a hash to an
 * entry (see object.h).
 *
 * A place of the index is EMPTY, or GONE (its entry was popped; searches go on past it), or the number of an entry. Each entry that came
 * since the block was made took one place of the index, and there are fewer entries than places: so there is always an EMPTY one.
 */

#include <string.h>

#include "value/object.h"

static const uint32_t EMPTY = UINT32_MAX, GONE = UINT32_MAX - 1;

#ifdef WEFTI_SMALL
enum { PLACES_FIRST = 2 };
#else
enum { PLACES_FIRST = 8 };
#endif

/*
 * So many frozensets may lie within each other: to compare two is to search one for what the other holds, and that is to compare again. The
 * only recursion there is, a kilobyte of stack a time.
 */
enum { FROZEN_MOST = 8 };

/* A key as searches need it. Of a text only the octets need be there: `value` is none until an entry is made of it. */
struct key {
    uint64_t hash;
    weft_value value;
    const char *text; /* NULL: no str or bytes */
    size_t length;
    uint8_t kind;
    uint8_t frozen; /* frozensets within each other in it */
};

static int key_of_value(weft_value value, struct key *key)
{
    struct wefti_text *text = wefti_object_of(value, value.kind == WEFT_STR ? WEFT_STR : WEFT_BYTES);
    *key = (struct key){.value = value, .kind = value.kind};
    if (text) {
        key->text = text->octets;
        key->length = text->length;
    }
    return wefti_value_hash(value, &key->hash, &key->frozen);
}

static int key_of_text(const char *text, struct key *key)
{
    if (!text) {
        errno = EINVAL;
        return -1;
    }
    size_t length = strlen(text);
    *key = (struct key){.kind = WEFT_STR, .text = text, .length = length, .hash = wefti_text_hash(WEFT_STR, text, length)};
    return 0;
}

/* Whether an entry of the same hash has this key: 1, 0, or -1 with ENOMEM. */
static int key_fits(const struct key *key, const struct wefti_entry *entry)
{
    if (!key->text)
        return wefti_value_compare(key->value, entry->key);
    struct wefti_text *text = wefti_object_of(entry->key, (enum weft_value_kind)key->kind);
    return text && text->length == key->length && memcmp(text->octets, key->text, key->length) == 0;
}

/* Sets *place to where in the index the key's entry is: 1; 0 when there is none; -1 with ENOMEM. */
static int dict_search(const struct wefti_dict *dict, const struct key *key, size_t *place)
{
    if (!dict->entries)
        return 0;
    for (size_t at = key->hash & dict->mask; dict->index[at] != EMPTY; at = (at + 1) & dict->mask) {
        if (dict->index[at] == GONE || dict->entries[dict->index[at]].hash != key->hash)
            continue;
        int fits = key_fits(key, &dict->entries[dict->index[at]]);
        *place = at;
        if (fits != 0)
            return fits;
    }
    return 0;
}

static void dict_index(struct wefti_dict *dict, uint32_t entry)
{
    size_t at = dict->entries[entry].hash & dict->mask;
    while (dict->index[at] != EMPTY)
        at = (at + 1) & dict->mask;
    dict->index[at] = entry;
}

/* Makes an empty block of so many places (a power of two) for the dict. -1 with ENOMEM. */
static int dict_block(struct wefti_dict *dict, size_t places)
{
    size_t room = places - (places + 2) / 3;
    size_t each = sizeof *dict->index + sizeof *dict->entries;
    if (room >= GONE || places > PTRDIFF_MAX / each) {
        errno = ENOMEM;
        return -1;
    }
    struct wefti_entry *entries = wefti_alloc_raw(room * sizeof *entries + places * sizeof *dict->index);
    if (!entries)
        return -1;
    dict->entries = entries;
    dict->index = (uint32_t *)(entries + room);
    memset(dict->index, 0xff, places * sizeof *dict->index); /* EMPTY */
    dict->room = (uint32_t)room;
    dict->mask = places - 1;
    dict->used = 0;
    return 0;
}

/* Moves the entries into a block with room for half as many more at least. -1 with ENOMEM, the dict being as it was. */
static int dict_grow(struct wefti_dict *dict)
{
    struct wefti_dict old = *dict;
    size_t places = PLACES_FIRST;
    while (places - (places + 2) / 3 <= old.length + old.length / 2)
        places *= 2;
    if (dict_block(dict, places) != 0)
        return -1;
    for (uint32_t i = 0; i < old.used; i++) {
        if (old.entries[i].key.kind == WEFTI_ENTRY_GONE)
            continue;
        dict->entries[dict->used] = old.entries[i];
        dict_index(dict, dict->used++);
    }
    wefti_release(old.entries);
    return 0;
}

static void dict_add(struct wefti_dict *dict, const struct key *key, weft_value item)
{
    struct wefti_entry *entry = &dict->entries[dict->used];
    entry->hash = key->hash;
    entry->key = wefti_container_adopt(&dict->container, wefti_value_take(key->value));
    entry->item = wefti_container_adopt(&dict->container, wefti_value_take(item));
    dict_index(dict, dict->used++);
    dict->length++;
}

/* An entry for a key that has none. A key that is only text becomes a str, when all else is sure. */
static int dict_insert(struct wefti_dict *dict, struct key *key, weft_value item)
{
    if (dict->used == dict->room && dict_grow(dict) != 0)
        return -1;
    if (key->text && key->value.kind == WEFT_NONE) {
        key->value = weft_str_n(key->text, key->length);
        if (weft_is_error(key->value))
            return -1;
    }
    dict_add(dict, key, item);
    return 0;
}

static void dict_replace(struct wefti_dict *dict, size_t place, const struct key *key, weft_value item)
{
    struct wefti_entry *entry = &dict->entries[dict->index[place]];
    weft_value old = wefti_container_release(&dict->container, entry->item);
    entry->item = wefti_container_adopt(&dict->container, wefti_value_take(item));
    weft_drop(key->value);
    weft_drop(old);
}

static int dict_put(struct wefti_dict *dict, struct key *key, weft_value item)
{
    size_t place;
    int found = dict_search(dict, key, &place);
    if (found < 0)
        return -1;
    if (found == 0)
        return dict_insert(dict, key, item);
    dict_replace(dict, place, key, item);
    return 0;
}

/* The entry that a place of the index leads to, out of it: its key and item are the caller's. */
static void dict_remove(struct wefti_dict *dict, size_t place, weft_value *key, weft_value *item)
{
    struct wefti_entry *entry = &dict->entries[dict->index[place]];
    *item = wefti_container_release(&dict->container, entry->item);
    *key = wefti_container_release(&dict->container, entry->key);
    *entry = (struct wefti_entry){.key = {.kind = WEFTI_ENTRY_GONE}};
    dict->index[place] = GONE;
    dict->length--;
}

static int dict_take(struct wefti_dict *dict, const struct key *key, weft_value *item)
{
    size_t place;
    weft_value old, out;
    int found = dict_search(dict, key, &place);
    if (found == 0)
        errno = ENOENT;
    if (found != 1)
        return -1;
    dict_remove(dict, place, &old, &out);
    weft_drop(old);
    if (item)
        *item = out;
    else
        weft_drop(out);
    return 0;
}

static int dict_look(const struct wefti_dict *dict, const struct key *key, weft_value *item)
{
    size_t place;
    int found = dict_search(dict, key, &place);
    if (found == 1 && item)
        *item = dict->entries[dict->index[place]].item;
    if (found == 0)
        errno = ENOENT;
    return found == 1 ? 0 : -1;
}

static struct wefti_dict *dict_to_read(weft_value dict)
{
    struct wefti_dict *object = wefti_object_of(dict, WEFT_DICT);
    if (!object)
        errno = EINVAL;
    return object;
}

static struct wefti_dict *set_to_read(weft_value set)
{
    struct wefti_dict *object = wefti_object_of(set, set.kind == WEFT_SET ? WEFT_SET : WEFT_FROZENSET);
    if (!object)
        errno = EINVAL;
    return object;
}

/* For a change by which `item` comes into a dict or set, as `kind` says; NULL with EINVAL, EBUSY. */
static struct wefti_dict *hashed_to_change(weft_value value, enum weft_value_kind kind, weft_value item)
{
    struct wefti_dict *object = wefti_object_of(value, kind);
    int error = object ? wefti_container_changeable(&object->container, item) : EINVAL;
    if (!error)
        return object;
    errno = error;
    return NULL;
}

static struct wefti_dict *dict_to_change(weft_value dict, weft_value item)
{
    return hashed_to_change(dict, WEFT_DICT, item);
}

weft_value weft_dict(void)
{
    weft_value value;
    wefti_object_new(WEFT_DICT, sizeof(struct wefti_dict), 0, &value);
    return value;
}

weft_value weft_set(void)
{
    weft_value value;
    wefti_object_new(WEFT_SET, sizeof(struct wefti_dict), 0, &value);
    return value;
}

weft_value wefti_dict_copy(weft_value dict)
{
    const struct wefti_dict *old = wefti_handle_object(dict);
    weft_value value;
    struct wefti_dict *new = wefti_object_new((enum weft_value_kind)dict.kind, sizeof *new, 0, &value);
    if (!new || !old->length)
        return value;
    if (dict_block(new, old->mask + 1) != 0) {
        weft_drop(value);
        return wefti_value_failed(ENOMEM);
    }
    for (uint32_t i = 0; i < old->used; i++) {
        const struct wefti_entry *entry = &old->entries[i];
        if (entry->key.kind != WEFTI_ENTRY_GONE)
            dict_add(new, &(struct key){.hash = entry->hash, .value = weft_keep(entry->key)}, weft_keep(entry->item));
    }
    return value;
}

/* The entries behind it stay: as many of the index's places are gone as of them, and those are counted by `used`. */
int wefti_dict_find(weft_value dict, weft_value key, weft_value *item)
{
    struct key sought;
    size_t place;
    if (key_of_value(key, &sought) != 0)
        return -1;
    const struct wefti_dict *object = wefti_handle_object(dict);
    int found = dict_search(object, &sought, &place);
    if (found == 1)
        *item = object->entries[object->index[place]].item;
    return found;
}

/* 1: it is new. 0: an equal one was there, and stays. */
static int set_put(struct wefti_dict *set, struct key *key)
{
    size_t place;
    int found = dict_search(set, key, &place);
    if (found < 0 || (found == 0 && dict_insert(set, key, weft_none) != 0))
        return -1;
    if (found == 0)
        return 1;
    weft_drop(key->value);
    return 0;
}

int wefti_dict_add(struct wefti_dict *dict, weft_value key, weft_value item)
{
    struct key sought;
    if (key_of_value(key, &sought) != 0)
        return -1;
    return dict->container.head.kind == WEFT_DICT ? dict_put(dict, &sought, item) : set_put(dict, &sought);
}

int weft_dict_set(weft_value dict, weft_value key, weft_value item)
{
    struct key sought;
    struct wefti_dict *object = dict_to_change(dict, item);
    return object && key_of_value(key, &sought) == 0 ? dict_put(object, &sought, item) : -1;
}

int weft_dict_get(weft_value dict, weft_value key, weft_value *item)
{
    struct key sought;
    struct wefti_dict *object = dict_to_read(dict);
    return object && key_of_value(key, &sought) == 0 ? dict_look(object, &sought, item) : -1;
}

int weft_dict_pop(weft_value dict, weft_value key, weft_value *item)
{
    struct key sought;
    struct wefti_dict *object = dict_to_change(dict, weft_none);
    return object && key_of_value(key, &sought) == 0 ? dict_take(object, &sought, item) : -1;
}

/*
 * How many entries there are up to the last that is not gone. Of a row of gone ones the last remembers where the row begins, so that who
 * pops from the end again and again does not walk over it each time: in `hash`, one more than the number of its first.
 */
static uint32_t dict_end(struct wefti_dict *dict)
{
    uint32_t at = dict->used;
    while (at > 0 && dict->entries[at - 1].key.kind == WEFTI_ENTRY_GONE)
        at = dict->entries[at - 1].hash ? (uint32_t)dict->entries[at - 1].hash - 1 : at - 1;
    if (at < dict->used)
        dict->entries[dict->used - 1].hash = at + 1;
    return at;
}

int wefti_dict_pop_last(weft_value dict, weft_value *key, weft_value *item)
{
    struct wefti_dict *object = hashed_to_change(dict, dict.kind == WEFT_SET ? WEFT_SET : WEFT_DICT, weft_none);
    uint32_t end = object ? dict_end(object) : 0;
    if (end == 0) {
        errno = object ? ENOENT : errno;
        return -1;
    }
    size_t place = object->entries[end - 1].hash & object->mask;
    while (object->index[place] != end - 1)
        place = (place + 1) & object->mask;
    dict_remove(object, place, key, item);
    return 0;
}

int weft_dict_set_str(weft_value dict, const char *key, weft_value item)
{
    struct key sought;
    struct wefti_dict *object = dict_to_change(dict, item);
    return object && key_of_text(key, &sought) == 0 ? dict_put(object, &sought, item) : -1;
}

int weft_dict_get_str(weft_value dict, const char *key, weft_value *item)
{
    struct key sought;
    struct wefti_dict *object = dict_to_read(dict);
    return object && key_of_text(key, &sought) == 0 ? dict_look(object, &sought, item) : -1;
}

int weft_dict_pop_str(weft_value dict, const char *key, weft_value *item)
{
    struct key sought;
    struct wefti_dict *object = dict_to_change(dict, weft_none);
    return object && key_of_text(key, &sought) == 0 ? dict_take(object, &sought, item) : -1;
}

bool weft_dict_next(weft_value dict, size_t *at, weft_value *key, weft_value *item)
{
    const struct wefti_dict *object = dict_to_read(dict);
    if (!object || !at)
        return false;
    while (*at < object->used && object->entries[*at].key.kind == WEFTI_ENTRY_GONE)
        ++*at;
    if (*at >= object->used)
        return false;
    const struct wefti_entry *entry = &object->entries[(*at)++];
    if (key)
        *key = entry->key;
    if (item)
        *item = entry->item;
    return true;
}

int weft_set_add(weft_value set, weft_value item)
{
    struct key sought;
    struct wefti_dict *object = hashed_to_change(set, WEFT_SET, item);
    return object && key_of_value(item, &sought) == 0 ? set_put(object, &sought) : -1;
}

int weft_set_has(weft_value set, weft_value item)
{
    struct key sought;
    size_t place;
    struct wefti_dict *object = set_to_read(set);
    return object && key_of_value(item, &sought) == 0 ? dict_search(object, &sought, &place) : -1;
}

int weft_set_take(weft_value set, weft_value item)
{
    struct key sought;
    struct wefti_dict *object = hashed_to_change(set, WEFT_SET, weft_none);
    return object && key_of_value(item, &sought) == 0 ? dict_take(object, &sought, NULL) : -1;
}

bool weft_set_next(weft_value set, size_t *at, weft_value *item)
{
    weft_value unused;
    return set_to_read(set) && at && wefti_container_next(set, at, item ? item : &unused);
}

/* Takes nothing: the frozenset has holds of its own on the items until all are in it. */
static int frozenset_fill(struct wefti_dict *set, const weft_value *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct key sought;
        if (key_of_value(items[i], &sought) != 0)
            return -1;
        if (sought.frozen >= FROZEN_MOST) {
            errno = EINVAL;
            return -1;
        }
        if (sought.frozen >= set->container.head.more)
            set->container.head.more = (uint8_t)(sought.frozen + 1);
        sought.value = weft_keep(items[i]);
        if (set_put(set, &sought) < 0) {
            weft_drop(sought.value);
            return -1;
        }
    }
    return 0;
}

weft_value weft_frozenset(const weft_value *items, size_t count)
{
    if (!items && count)
        return wefti_value_failed(EINVAL);
    weft_value value;
    struct wefti_dict *set = wefti_object_new(WEFT_FROZENSET, sizeof *set, 0, &value);
    if (!set)
        return value;
    set->container.head.more = 1;
    if (frozenset_fill(set, items, count) != 0) {
        int error = errno;
        weft_drop(value);
        return wefti_value_failed(error);
    }
    for (size_t i = 0; i < count; i++)
        weft_drop(wefti_value_take(items[i]));
    return value;
}
