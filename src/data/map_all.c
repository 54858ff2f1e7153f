/* SPDX-License-Identifier: MIT */
/*
 * Shared maps: the calls for many keys at once.
 *
 * Those that look at all have the lock while they make copies, so what they give is the map at one moment. weft_map_next has it for one
 * entry at a time: `at` is a number of those that records get in the order in which their keys came, so what is added, replaced or taken
 * out meanwhile moves nothing that is still to come.
 *
 * weft_map_update_from has all its records in hand and room for all keys before it changes the first, so it fails before it has changed
 * anything; a death in it may leave some of them put, each whole.
 */

#include "data/map.h"

#include <string.h>

#include "base/memory.h"

/* Many at once. */

struct batch {
    struct wefti_map_record **records;
    size_t count;
};

/* The records of all entries of the dict, in hand. -1 with errno. */
static int batch_fill(const weft_map *map, weft_value dict, struct batch *batch)
{
    size_t at = 0;
    weft_value text, value;
    while (weft_dict_next(dict, &at, &text, &value)) {
        struct wefti_map_key key;
        struct wefti_map_form form;
        if (weft_kind(text) != WEFT_STR || strlen(weft_as_str(text)) != weft_length(text))
            return wefti_map_fails(EINVAL);
        if (wefti_map_key_of(map, weft_as_str(text), &key) != 0 || wefti_map_form_of(value, &form) != 0)
            return -1;
        struct wefti_map_record *record = wefti_map_record_make(&key, &form);
        if (!record)
            return -1;
        batch->records[batch->count++] = record;
    }
    return 0;
}

/* All of them, or none. 0; -1 with ENOMEM. */
static int batch_put(weft_map *map, struct batch *batch)
{
    struct wefti_holding *holding = wefti_map_changes_begin(map);
    int failed = wefti_map_reserve(holding, map, batch->count);
    for (size_t i = 0; !failed && i < batch->count; i++) {
        struct wefti_map_record *record = batch->records[i];
        struct wefti_map_key key = {record->octets, record->head.key_length, record->hash};
        uint32_t number = wefti_map_find(map, &key);
        if (number == WEFTI_MAP_NOWHERE)
            wefti_map_entry_add(holding, map, record);
        else
            wefti_map_entry_replace(holding, map, number, record);
    }
    wefti_map_changes_end(holding, map);
    if (!failed)
        batch->count = 0;
    return failed;
}

static void batch_end(struct batch *batch)
{
    while (batch->count > 0)
        wefti_map_record_cancel(batch->records[--batch->count]);
    wefti_release(batch->records);
}

int weft_map_update_from(weft_map *map, weft_value dict)
{
    if (!wefti_map_is(map))
        return -1;
    if (weft_kind(dict) != WEFT_DICT)
        return wefti_map_fails(EINVAL);
    if (weft_length(dict) == 0)
        return 0;
    struct batch batch = {.records = wefti_alloc(weft_length(dict) * sizeof(struct wefti_map_record *))};
    int failed = !batch.records || batch_fill(map, dict, &batch) != 0 || wefti_map_enter(map) != 0 ? -1 : 0;
    if (!failed) {
        failed = batch_put(map, &batch);
        wefti_map_leave(map);
    }
    int error = errno;
    batch_end(&batch);
    errno = error;
    return failed;
}

/* Looking at all. */

size_t weft_map_size(weft_map *map)
{
    if (wefti_map_enter(map) != 0)
        return 0;
    size_t count = map->count;
    wefti_map_leave(map);
    return count;
}

static weft_value record_key(const struct wefti_map_record *record)
{
    return weft_str_n(record->octets, record->head.key_length);
}

static int record_see_key(const struct wefti_map_record *record, weft_value *seen)
{
    *seen = record_key(record);
    return weft_is_error(*seen) ? -1 : 0;
}

static int record_see_both(const struct wefti_map_record *record, weft_value *seen)
{
    weft_value both[2];
    if (record_see_key(record, &both[0]) != 0)
        return -1;
    if (wefti_map_record_value(record, &both[1]) != 0) {
        weft_drop(both[0]);
        return -1;
    }
    *seen = weft_tuple(both, 2);
    if (!weft_is_error(*seen))
        return 0;
    weft_drop(both[0]);
    weft_drop(both[1]);
    return -1;
}

typedef int record_seer(const struct wefti_map_record *record, weft_value *seen);

/* Appends what `see` makes of each record. 0; -1 with ENOMEM. */
static int records_list(const weft_map *map, record_seer *see, weft_value list)
{
    weft_value seen;
    for (uint32_t number = 0; number < map->used; number++) {
        if (!wefti_map_table(map)->slots[number])
            continue;
        if (see(wefti_map_record(map, number), &seen) != 0)
            return -1;
        if (weft_list_append(list, seen) != 0) {
            weft_drop(seen);
            return -1;
        }
    }
    return 0;
}

static weft_value map_list(weft_map *map, record_seer *see)
{
    weft_value list = weft_list();
    if (weft_is_error(list))
        return list;
    int failed = wefti_map_enter(map);
    if (!failed) {
        failed = records_list(map, see, list);
        wefti_map_leave(map);
    }
    if (!failed)
        return list;
    int error = errno;
    weft_drop(list);
    return weft_error(error, NULL);
}

weft_value weft_map_keys(weft_map *map)
{
    return map_list(map, record_see_key);
}

weft_value weft_map_values(weft_map *map)
{
    return map_list(map, wefti_map_record_value);
}

weft_value weft_map_items(weft_map *map)
{
    return map_list(map, record_see_both);
}

/* The first slot in use from this one on, below `end`; else `end`. */
static uint32_t slot_next(const weft_map *map, uint32_t number, uint32_t end)
{
    while (number < end && !wefti_map_table(map)->slots[number])
        number++;
    return number;
}

/* The first slot whose record came with this sequence or later; `used` when there is none. Slots are in that order. */
static uint32_t slot_from(const weft_map *map, uint64_t sequence)
{
    uint32_t low = 0, high = map->used;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2, number = slot_next(map, middle, high);
        if (number < high && wefti_map_record(map, number)->sequence < sequence)
            low = number + 1;
        else
            high = middle;
    }
    return slot_next(map, low, map->used);
}

/* What is wanted of a record. 0; -1 with ENOMEM. */
static int record_see(const struct wefti_map_record *record, weft_value *key, weft_value *value)
{
    weft_value seen = weft_none;
    if (key && record_see_key(record, &seen) != 0)
        return -1;
    if (value && wefti_map_record_value(record, value) != 0) {
        weft_drop(seen);
        return -1;
    }
    if (key)
        *key = seen;
    return 0;
}

int weft_map_next(weft_map *map, uint64_t *at, weft_value *key, weft_value *value)
{
    if (wefti_map_enter(map) != 0)
        return -1;
    uint32_t number = slot_from(map, *at);
    int found = number < map->used;
    if (found && record_see(wefti_map_record(map, number), key, value) == 0)
        *at = wefti_map_record(map, number)->sequence + 1;
    else if (found)
        found = -1;
    wefti_map_leave(map);
    return found;
}
