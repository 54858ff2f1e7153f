/* SPDX-License-Identifier: MIT */
/*
 * The table of a map: its slots, the index over them, and their repair.
 *
 * Slots are links, and so the truth; the index, `used` and `count` follow from them. `changing` says that those may be wrong: it is set
 * before a link is changed and cleared when they are right again. Who comes after a death and finds it set makes them anew
 * (wefti_map_repair), and as that changes nothing else, who dies in it leaves them wrong and marked. So each change here is one change of a
 * link, whose steps map_link.c has, between two stores of `changing`; what is whole after each of its steps is whole here.
 *
 * The index has a power of two places, at least twice as many as there are slots, so there is always a free one and each search ends. A
 * place whose entry has gone says GONE, for those that went past it; it is free again in the next table.
 *
 * Replacing a record in its slot changes nothing that is derived: the key is the same, and so its hash.
 */

#include "data/map.h"

#include <string.h>

#include "shared/block.h"

#ifdef WEFTI_SMALL
enum { ROOM_FIRST = 2 };
#else
enum { ROOM_FIRST = 8 };
#endif

static const uint32_t GONE = UINT32_MAX; /* no number of a slot */

/* The index. */

static uint64_t *table_index(struct wefti_map_table *table)
{
    return (uint64_t *)(table->slots + table->room);
}

static size_t table_size(uint32_t room, uint32_t mask)
{
    return sizeof(struct wefti_map_table) + room * sizeof(struct wefti_map_linked *) + ((size_t)mask + 1) * sizeof(uint64_t);
}

/* There is always a free place. */
static void index_add(struct wefti_map_table *table, uint32_t hash, uint32_t number)
{
    uint64_t *index = table_index(table);
    uint32_t at = hash & table->mask;
    while (index[at] != 0)
        at = (at + 1) & table->mask;
    index[at] = (uint64_t)hash << 32 | (number + 1);
}

/* The place in the index where the key's slot stands, or NULL. */
static uint64_t *index_find(const weft_map *map, const struct wefti_map_key *key)
{
    struct wefti_map_table *table = wefti_map_table(map);
    uint64_t *index = table ? table_index(table) : NULL;
    for (uint32_t at = key->hash; index && index[at & table->mask] != 0; at++) {
        uint64_t place = index[at & table->mask];
        if (place >> 32 != key->hash || (uint32_t)place == GONE)
            continue;
        const struct wefti_map_record *record = wefti_map_record(map, (uint32_t)place - 1);
        if (record->head.key_length == key->length && memcmp(record->octets, key->text, key->length) == 0)
            return &index[at & table->mask];
    }
    return NULL;
}

uint32_t wefti_map_find(const weft_map *map, const struct wefti_map_key *key)
{
    const uint64_t *place = index_find(map, key);
    return place ? (uint32_t)*place - 1 : WEFTI_MAP_NOWHERE;
}

/* What is derived. */

/* What is derived is wrong for a while. */
static void derived_begin(weft_map *map)
{
    __atomic_store_n(&map->changing, 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void derived_end(weft_map *map)
{
    __atomic_store_n(&map->changing, 0, __ATOMIC_RELEASE);
}

void wefti_map_repair(weft_map *map)
{
    struct wefti_map_table *table = wefti_map_table(map);
    map->used = map->count = 0;
    if (table)
        memset(table_index(table), 0, ((size_t)table->mask + 1) * sizeof(uint64_t));
    for (uint32_t number = 0; table && number < table->room; number++)
        if (table->slots[number]) {
            index_add(table, wefti_map_record(map, number)->hash, number);
            map->used = number + 1;
            map->count++;
        }
    derived_end(map);
}

/* Room. */

/* A table in hand with what the present one has, and room for so many entries. NULL with ENOMEM. */
static struct wefti_map_table *table_make(const weft_map *map, uint64_t entries)
{
    uint64_t room = ROOM_FIRST;
    while (room < entries + entries / 2)
        room *= 2;
    if (room > UINT32_MAX / 4) {
        errno = ENOMEM;
        return NULL;
    }
    uint32_t mask = (uint32_t)room * 2 - 1, filled = 0;
    struct wefti_map_table *table = wefti_block_take(table_size((uint32_t)room, mask));
    if (!table)
        return NULL;
    memset(table, 0, table_size((uint32_t)room, mask));
    table->room = (uint32_t)room;
    table->mask = mask;
    for (uint32_t number = 0; number < map->used; number++)
        if (wefti_map_table(map)->slots[number]) {
            index_add(table, wefti_map_record(map, number)->hash, filled);
            table->slots[filled++] = wefti_map_table(map)->slots[number];
        }
    return table;
}

int wefti_map_reserve(struct wefti_holding *holding, weft_map *map, uint64_t more)
{
    if (map->table && map->used + more <= wefti_map_table(map)->room)
        return 0;
    struct wefti_map_table *table = table_make(map, map->count + more);
    if (!table)
        return -1;
    derived_begin(map);
    wefti_map_link_in(holding, map, WEFTI_MAP_TABLE, &table->head, table_size(table->room, table->mask));
    map->used = map->count;
    derived_end(map);
    return 0;
}

/* Changes. The holding is the map's. */

static void record_link(struct wefti_holding *holding, weft_map *map, uint32_t number, struct wefti_map_record *record)
{
    wefti_map_link_in(holding, map, number, &record->head, wefti_map_record_size(record));
}

void wefti_map_entry_add(struct wefti_holding *holding, weft_map *map, struct wefti_map_record *record)
{
    record->sequence = map->sequence++;
    derived_begin(map);
    record_link(holding, map, map->used, record);
    index_add(wefti_map_table(map), record->hash, map->used++);
    map->count++;
    derived_end(map);
}

void wefti_map_entry_take_out(struct wefti_holding *holding, weft_map *map, const struct wefti_map_key *key)
{
    uint64_t *place = index_find(map, key);
    uint32_t number = (uint32_t)*place - 1;
    derived_begin(map);
    wefti_map_link_out(holding, map, number);
    *place = (*place & ~(uint64_t)UINT32_MAX) | GONE;
    map->count--;
    derived_end(map);
}

void wefti_map_entry_replace(struct wefti_holding *holding, weft_map *map, uint32_t number, struct wefti_map_record *record)
{
    record->sequence = wefti_map_record(map, number)->sequence;
    record_link(holding, map, number, record);
}

int wefti_map_record_put(weft_map *map, uint32_t number, struct wefti_map_record *record)
{
    struct wefti_holding *holding = wefti_map_changes_begin(map);
    int failed = number == WEFTI_MAP_NOWHERE ? wefti_map_reserve(holding, map, 1) : 0;
    if (number != WEFTI_MAP_NOWHERE)
        wefti_map_entry_replace(holding, map, number, record);
    else if (failed == 0)
        wefti_map_entry_add(holding, map, record);
    wefti_map_changes_end(holding, map);
    return failed;
}

void wefti_map_empty(weft_map *map)
{
    struct wefti_holding *holding = wefti_map_changes_begin(map);
    derived_begin(map);
    for (uint32_t number = 0; number < map->used; number++)
        if (wefti_map_table(map)->slots[number])
            wefti_map_link_out(holding, map, number);
    if (map->table)
        wefti_map_link_out(holding, map, WEFTI_MAP_TABLE);
    map->used = map->count = 0;
    derived_end(map);
    wefti_map_changes_end(holding, map);
}
