/* SPDX-License-Identifier: MIT */
/*
 * Shared maps. Any process may die in any of these calls at any instruction.
 *
 * A map is a block of the arena: a lock, and a link to the table, which is a block too. The table has a slot for each entry, in the order
 * in which keys came, and an index over the slots by hash. A slot is a link to the entry's record: a block with key and value. Links are
 * the truth. All else is derived from them: `count`, `used`, the index. `changing` says that those may be wrong; the repair makes them
 * anew, and as it changes nothing else, who dies in it leaves them wrong and marked.
 *
 * All is done under the lock. Whoever gets it from a dead owner (1) repairs before he does anything else, and says so (weft_lock_repaired)
 * when it is done.
 *
 * A record is never changed but for `word` of a scalar, which one store replaces by that of another scalar of the same kind; everything
 * else is a new record instead of the old one. A table that is full is replaced by a new one, in which the slots stand close, in the same
 * way.
 *
 * Blocks. What a link leads to is committed, and what is committed is linked, or freed: that has to be true after any death. The allocator
 * takes back what a dead process has in hand; so between its steps and those on the links stands `detail` of the owner's holding of the
 * map, the block that is coming or going, and the mender, who runs in the sweep: before the lock is handed on, so that nobody else changes
 * the map, and before the blocks of the dead are taken back, so that a block that is not committed is one that was in hand of the dead. He
 * knows the block's link by its `number`.
 *
 *   Coming (N instead of O or nothing): N is in hand and says replaces = O.
 *     1 detail = N            Death before: N is taken back.
 *     2 link = N              Death before: N is not linked: the mender does nothing, N is taken back.
 *     3 commit N              Death before: N is linked and not committed: the mender puts O back. N is taken back. This is the step that
 *     counts.
 *     4 withdraw O            Death before: N is committed and replaces O: the mender withdraws O in the name of the dead, then forgets it
 *     (5).
 *     5 N replaces nothing    Death before: the same; O is withdrawn already and nobody's who lives. It is taken back.
 *     6 detail = 0            Death before: N is whole: nothing is to be done. O is taken back.
 *     7 discard O             Death before or in it: O is taken back, or free.
 *   Going (O): O replaces nothing, as all that came whole.
 *     1 detail = O            Death before: nothing has happened.
 *     2 withdraw O            Death before: O is linked and committed and replaces nothing: nothing is to be done. This is the step that
 *     counts.
 *     3 link = 0              Death before: O is linked and not committed: the mender takes the link away, as O replaces nothing. O is
 *     taken back.
 *     4 detail = 0            Death before: O is not linked: the mender does nothing. O is taken back.
 *     5 discard O             As above. It comes after 4, so that `detail` never leads to a block that may be another's by now.
 * The mender can be repeated after each of his stores. He knows that the map is still there by the lock's being the dead's. `number` is
 * written while the map is whole, before 1.
 *
 * The holding is the lock's own, whose kind is changed by one store while the map is changed (a map begins with its lock, so the address is
 * the same); the mender of maps ends with that of locks. So there is no moment at which both, or none, would be called.
 *
 * Freeing the map withdraws it while its lock is held; from then on it goes with its owner's death.
 *
 * Memory ordering. Between live tasks the lock orders everything. For those who come after a death the order of the stores in the program
 * is what counts: each store that this depends on is a release, or has a fence of the compiler beside it.
 *
 * Fork: a child of the host's own is no member and gets no lock, so every call fails there with ESTALE.
 */

#include <weft/map.h>

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/memory.h"
#include "base/opening.h"
#include "shared/block.h"
#include "shared/life.h"
#include "sync/inside.h"
#include "value/flat.h"
#include "value/object.h"
#include "wait/context.h"

#define MAP_MAGIC UINT32_C(0x70616d77) /* "wmap" */

#ifdef WEFTI_SMALL
enum { ROOM_FIRST = 2 };
#else
enum { ROOM_FIRST = 8 };
#endif

/* No numbers of slots. */
static const uint32_t TABLE = UINT32_MAX, NOWHERE = UINT32_MAX, GONE = UINT32_MAX;
enum { FORM_FLAT = 32 }; /* a record's kind: value/flat.h says what it is */

/* What a link can lead to. */
struct linked {
    struct linked *replaces; /* while it comes: what was linked before */
    uint32_t number;         /* of its link: a slot, or TABLE; written when it comes or goes */
    uint32_t key_length;     /* a record's */
};

/* Constant once it is linked, but for `word` of a scalar. */
struct record {
    struct linked head;
    uint64_t word;     /* of a scalar: it; else how many octets the value has */
    uint64_t sequence; /* greater than that of all that came before */
    uint32_t hash;
    uint8_t kind; /* of a scalar, str or bytes: the value's; FORM_FLAT */
    uint8_t reserved[3];
    char octets[]; /* the key, a zero, the value's */
};

/* Slots, then the index: a power of two places, at least twice as many; hash in the upper half, in the lower one 0 (free), GONE, or the
 * slot's number + 1. */
struct table {
    struct linked head;
    uint32_t room; /* slots; constant, as `mask` */
    uint32_t mask;
    struct linked *slots[];
};

/* Written by the lock's owner. */
struct weft_map {
    weft_lock lock;        /* first, so that it has the map's address */
    uint32_t magic;        /* MAP_MAGIC; 0 once it is being freed */
    uint32_t changing;     /* 1: what is derived may be wrong */
    struct linked *table;  /* a link; NULL while nothing has come */
    uint64_t hash_keys[2]; /* constant */
    uint64_t sequence;     /* the next; raised before it is used */
    uint32_t used;         /* derived: no slot from here on has an entry */
    uint32_t count;        /* derived */
};

/* What a value will be in a record. */
struct form {
    uint8_t kind;
    uint64_t word;
    const void *octets; /* of a str or bytes */
    weft_value value;   /* of FORM_FLAT */
};

struct key {
    const char *text;
    uint32_t length;
    uint32_t hash;
};

/* Values. */

static int map_fails(int error)
{
    errno = error;
    return -1;
}

static bool form_scalar(unsigned kind)
{
    return kind <= WEFT_PTR;
}

/* 0; -1 with EFAULT, ENOMEM. */
static int form_of(weft_value value, struct form *form)
{
    *form = (struct form){.kind = value.kind, .value = value};
    if (value.kind == WEFT_PTR && value.as.pointer && !wefti_is_shared(value.as.pointer))
        return map_fails(EFAULT);
    if (form_scalar(value.kind)) {
        form->word = (uint64_t)value.as.integer; /* a float's or pointer's octets, too */
        return 0;
    }
    if (value.kind == WEFT_STR || value.kind == WEFT_BYTES) {
        form->octets = weft_as_bytes(value);
        form->word = weft_length(value);
        return 0;
    }
    ssize_t size = wefti_flat_write(value, NULL, 0, weft_is_shared);
    form->kind = FORM_FLAT;
    form->word = (uint64_t)size;
    return size < 0 ? -1 : 0;
}

static const char *record_octets(const struct record *record)
{
    return record->octets + record->head.key_length + 1;
}

static uint64_t record_word(const struct record *record)
{
    return __atomic_load_n(&record->word, __ATOMIC_RELAXED);
}

/* A copy of its value. 0; -1 with ENOMEM. */
static int record_value(const struct record *record, weft_value *value)
{
    uint64_t word = record_word(record);
    if (record->kind == FORM_FLAT)
        return wefti_flat_read(record_octets(record), word, value);
    weft_value made = {.kind = record->kind, .as.integer = (int64_t)word};
    if (!form_scalar(record->kind))
        made = record->kind == WEFT_STR ? weft_str_n(record_octets(record), word) : weft_bytes(record_octets(record), word);
    if (weft_is_error(made))
        return map_fails(weft_error_code(made));
    *value = made;
    return 0;
}

/* Keys. */

enum { HASH_WORDS = 16 };

static uint32_t key_hash(const weft_map *map, const char *text, size_t length)
{
    uint64_t words[HASH_WORDS + 1], hash = map->hash_keys[0];
    do {
        size_t part = length < sizeof(uint64_t) * HASH_WORDS ? length : sizeof(uint64_t) * HASH_WORDS;
        size_t count = (part + sizeof(uint64_t) - 1) / sizeof(uint64_t);
        words[0] = length;
        words[count] = 0; /* the octets of the last that the key does not have */
        memcpy(words + 1, text, part);
        hash = wefti_hash_words(hash, map->hash_keys[1], words, count + 1);
        text += part;
        length -= part;
    } while (length > 0);
    return (uint32_t)(hash ^ hash >> 32);
}

/* 0; -1 with EINVAL, ENAMETOOLONG. */
static int key_of(const weft_map *map, const char *text, struct key *key)
{
    if (!text)
        return map_fails(EINVAL);
    size_t length = strnlen(text, WEFT_MAP_KEY_MOST + 1);
    if (length > WEFT_MAP_KEY_MOST)
        return map_fails(ENAMETOOLONG);
    *key = (struct key){text, (uint32_t)length, key_hash(map, text, length)};
    return 0;
}

/* Records. */

static size_t record_size(const struct record *record)
{
    return sizeof(*record) + record->head.key_length + 1 + (form_scalar(record->kind) ? 0 : record->word);
}

/* In hand. NULL with ENOMEM. */
static struct record *record_make(const struct key *key, const struct form *form)
{
    struct record head = {.word = form->word, .hash = key->hash, .kind = form->kind, .head.key_length = key->length};
    struct record *record = wefti_block_take(record_size(&head));
    if (!record)
        return NULL;
    *record = head;
    memcpy(record->octets, key->text, key->length + 1);
    char *octets = record->octets + key->length + 1;
    if (form->kind != FORM_FLAT) {
        if (form->octets)
            memcpy(octets, form->octets, form->word);
    } else if (wefti_flat_write(form->value, octets, form->word, weft_is_shared) < 0) {
        wefti_block_cancel(record, record_size(&head));
        return NULL;
    }
    return record;
}

static void record_cancel(struct record *record)
{
    if (record)
        wefti_block_cancel(record, record_size(record));
}

/* The table. */

static struct table *map_table(const weft_map *map)
{
    return (struct table *)map->table;
}

static struct record *map_record(const weft_map *map, uint32_t number)
{
    return (struct record *)map_table(map)->slots[number];
}

static uint64_t *table_index(struct table *table)
{
    return (uint64_t *)(table->slots + table->room);
}

static size_t table_size(uint32_t room, uint32_t mask)
{
    return sizeof(struct table) + room * sizeof(struct linked *) + ((size_t)mask + 1) * sizeof(uint64_t);
}

/* There is always a free place. */
static void index_add(struct table *table, uint32_t hash, uint32_t number)
{
    uint64_t *index = table_index(table);
    uint32_t at = hash & table->mask;
    while (index[at] != 0)
        at = (at + 1) & table->mask;
    index[at] = (uint64_t)hash << 32 | (number + 1);
}

/* The place in the index where the key's slot stands, or NULL. */
static uint64_t *index_find(const weft_map *map, const struct key *key)
{
    struct table *table = map_table(map);
    uint64_t *index = table ? table_index(table) : NULL;
    for (uint32_t at = key->hash; index && index[at & table->mask] != 0; at++) {
        uint64_t place = index[at & table->mask];
        if (place >> 32 != key->hash || (uint32_t)place == GONE)
            continue;
        const struct record *record = map_record(map, (uint32_t)place - 1);
        if (record->head.key_length == key->length && memcmp(record->octets, key->text, key->length) == 0)
            return &index[at & table->mask];
    }
    return NULL;
}

/* The key's slot, or NOWHERE. */
static uint32_t map_find(const weft_map *map, const struct key *key)
{
    const uint64_t *place = index_find(map, key);
    return place ? (uint32_t)*place - 1 : NOWHERE;
}

/* The repair: all that is derived, made anew. */
static void map_repair(weft_map *map)
{
    struct table *table = map_table(map);
    map->used = map->count = 0;
    if (table)
        memset(table_index(table), 0, ((size_t)table->mask + 1) * sizeof(uint64_t));
    for (uint32_t number = 0; table && number < table->room; number++)
        if (table->slots[number]) {
            index_add(table, map_record(map, number)->hash, number);
            map->used = number + 1;
            map->count++;
        }
    __atomic_store_n(&map->changing, 0, __ATOMIC_RELEASE);
}

/* Having the map. */

/* The lock is held from here to map_leave. -1 with errno. */
static int map_enter(weft_map *map)
{
    if (!map || !wefti_is_shared(map) || __atomic_load_n(&map->magic, __ATOMIC_RELAXED) != MAP_MAGIC)
        return map_fails(EINVAL);
    int taken = wefti_lock_insist(&map->lock);
    if (taken > 0) {
        if (map->changing)
            map_repair(map);
        weft_lock_repaired(&map->lock);
    }
    return taken < 0 ? -1 : 0;
}

/* Keeps errno. */
static void map_leave(weft_map *map)
{
    int error = errno;
    weft_lock_release(&map->lock);
    errno = error;
}

/* From here to changes_end blocks come and go, and the holding is the map's. */
static struct wefti_holding *changes_begin(weft_map *map)
{
    struct wefti_holding *holding = wefti_holding_of(wefti_context_current()->life, WEFTI_HOLD_LOCK, map);
    wefti_hold(holding, WEFTI_HOLD_MAP, map, 0);
    return holding;
}

static void changes_end(struct wefti_holding *holding, weft_map *map)
{
    wefti_hold(holding, WEFTI_HOLD_LOCK, map, 0);
}

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

/* Links. */

static struct linked **link_of(weft_map *map, uint32_t number)
{
    return number == TABLE ? &map->table : &map_table(map)->slots[number];
}

static void link_put(struct linked **link, struct linked *block)
{
    __atomic_store_n(link, block, __ATOMIC_RELEASE);
}

static void going_put(struct wefti_holding *holding, const struct linked *block)
{
    __atomic_store_n(&holding->detail, (uint64_t)(uintptr_t)block, __ATOMIC_RELEASE);
}

/* Coming: the steps above. `block`, of `size` octets, is in hand. */
static void link_in(struct wefti_holding *holding, weft_map *map, uint32_t number, struct linked *block, size_t size)
{
    struct linked **link = link_of(map, number), *old = *link;
    block->number = number;
    block->replaces = old;
    going_put(holding, block);
    link_put(link, block);
    wefti_block_commit(block, size);
    if (old) {
        wefti_block_withdraw(old, wefti_member);
        link_put(&block->replaces, NULL);
    }
    going_put(holding, NULL);
    if (old)
        wefti_block_discard(old);
}

/* Going: the steps above. */
static void link_out(struct wefti_holding *holding, weft_map *map, uint32_t number)
{
    struct linked **link = link_of(map, number), *old = *link;
    old->number = number;
    link_put(&old->replaces, NULL);
    going_put(holding, old);
    wefti_block_withdraw(old, wefti_member);
    link_put(link, NULL);
    going_put(holding, NULL);
    wefti_block_discard(old);
}

/* For a dead owner: see above. */
static void coming_mend(weft_map *map, struct linked *block, uint16_t dead)
{
    struct linked **link = link_of(map, block->number);
    if (*link != block)
        return;
    if (!wefti_block_committed(block)) {
        link_put(link, block->replaces);
    } else if (block->replaces) {
        wefti_block_withdraw(block->replaces, dead);
        link_put(&block->replaces, NULL);
    }
}

static void map_mend(uint32_t dead, void *object, uint64_t detail)
{
    if (detail && wefti_lock_shared_owned(object, dead))
        coming_mend(object, (struct linked *)(uintptr_t)detail, (uint16_t)wefti_life_seat(dead)); /* NOLINT: it was a pointer */
    wefti_menders[WEFTI_HOLD_LOCK](dead, object, 0);
}

/* Room. */

/* A table in hand with what the present one has, and room for so many entries. NULL with ENOMEM. */
static struct table *table_make(const weft_map *map, uint64_t entries)
{
    uint64_t room = ROOM_FIRST;
    while (room < entries + entries / 2)
        room *= 2;
    if (room > UINT32_MAX / 4) {
        errno = ENOMEM;
        return NULL;
    }
    uint32_t mask = (uint32_t)room * 2 - 1, filled = 0;
    struct table *table = wefti_block_take(table_size((uint32_t)room, mask));
    if (!table)
        return NULL;
    memset(table, 0, table_size((uint32_t)room, mask));
    table->room = (uint32_t)room;
    table->mask = mask;
    for (uint32_t number = 0; number < map->used; number++)
        if (map_table(map)->slots[number]) {
            index_add(table, map_record(map, number)->hash, filled);
            table->slots[filled++] = map_table(map)->slots[number];
        }
    return table;
}

/* Sees to slots for so many more. 0; -1 with ENOMEM. */
static int map_reserve(struct wefti_holding *holding, weft_map *map, uint64_t more)
{
    if (map->table && map->used + more <= map_table(map)->room)
        return 0;
    struct table *table = table_make(map, map->count + more);
    if (!table)
        return -1;
    derived_begin(map);
    link_in(holding, map, TABLE, &table->head, table_size(table->room, table->mask));
    map->used = map->count;
    derived_end(map);
    return 0;
}

/* Changes. The holding is the map's. */

static void record_link(struct wefti_holding *holding, weft_map *map, uint32_t number, struct record *record)
{
    link_in(holding, map, number, &record->head, record_size(record));
}

/* A new key; there is a slot. */
static void entry_add(struct wefti_holding *holding, weft_map *map, struct record *record)
{
    record->sequence = map->sequence++;
    derived_begin(map);
    record_link(holding, map, map->used, record);
    index_add(map_table(map), record->hash, map->used++);
    map->count++;
    derived_end(map);
}

static void entry_take_out(struct wefti_holding *holding, weft_map *map, const struct key *key)
{
    uint64_t *place = index_find(map, key);
    uint32_t number = (uint32_t)*place - 1;
    derived_begin(map);
    link_out(holding, map, number);
    *place = (*place & ~(uint64_t)UINT32_MAX) | GONE;
    map->count--;
    derived_end(map);
}

/* Instead of the record in this slot; it keeps its place in the order. */
static void entry_replace(struct wefti_holding *holding, weft_map *map, uint32_t number, struct record *record)
{
    record->sequence = map_record(map, number)->sequence;
    record_link(holding, map, number, record);
}

/* Puts a record that is in hand in the place of its key, whose slot is `number` or NOWHERE. 0; -1 with ENOMEM, and it is still in hand. */
static int record_put(weft_map *map, uint32_t number, struct record *record)
{
    struct wefti_holding *holding = changes_begin(map);
    int failed = number == NOWHERE ? map_reserve(holding, map, 1) : 0;
    if (number != NOWHERE)
        entry_replace(holding, map, number, record);
    else if (failed == 0)
        entry_add(holding, map, record);
    changes_end(holding, map);
    return failed;
}

/* A scalar where one of its kind is already: one store. */
static bool scalar_put(const weft_map *map, uint32_t number, const struct form *form)
{
    struct record *record = number == NOWHERE ? NULL : map_record(map, number);
    if (!record || record->kind != form->kind || !form_scalar(form->kind))
        return false;
    __atomic_store_n(&record->word, form->word, __ATOMIC_RELEASE);
    return true;
}

/* Makes the key, whose slot is `number` or NOWHERE, have what is in the form. `made`: its record in hand, or NULL; it is used up, whatever
 * happens. */
static int form_put(weft_map *map, uint32_t number, const struct key *key, const struct form *form, struct record *made)
{
    if (scalar_put(map, number, form))
        return 0;
    struct record *record = made ? made : record_make(key, form);
    if (!record)
        return -1;
    if (record_put(map, number, record) == 0)
        return 0;
    record_cancel(record);
    return -1;
}

/* A value that was given away on success; outside of the lock, as its end may take long. */
static void value_end(weft_value value)
{
    weft_drop(wefti_value_take(value));
}

/* The public face. */

weft_map *weft_map_new(void)
{
    struct weft_map *map = wefti_block_take(sizeof(*map));
    if (!map)
        return NULL;
    memset(map, 0, sizeof(*map));
    if (getrandom(map->hash_keys, sizeof(map->hash_keys), GRND_NONBLOCK) != sizeof(map->hash_keys))
        map->hash_keys[0] = (uint64_t)weft_clock() * 0x9e3779b97f4a7c15 ^ (uint64_t)(uintptr_t)map;
    map->magic = MAP_MAGIC;
    wefti_block_commit(map, sizeof(*map));
    return map;
}

static void map_empty(weft_map *map)
{
    struct wefti_holding *holding = changes_begin(map);
    derived_begin(map);
    for (uint32_t number = 0; number < map->used; number++)
        if (map_table(map)->slots[number])
            link_out(holding, map, number);
    if (map->table)
        link_out(holding, map, TABLE);
    map->used = map->count = 0;
    derived_end(map);
    changes_end(holding, map);
}

int weft_map_free(weft_map *map)
{
    if (!map)
        return 0;
    if (map_enter(map) != 0)
        return -1;
    map_empty(map);
    wefti_block_withdraw(map, wefti_member);
    __atomic_store_n(&map->magic, 0, __ATOMIC_RELAXED);
    map_leave(map);
    wefti_block_discard(map);
    return 0;
}

int weft_map_clear(weft_map *map)
{
    if (map_enter(map) != 0)
        return -1;
    map_empty(map);
    map_leave(map);
    return 0;
}

/* The key, the form and, if that takes long, the record of a value are made before the lock is taken. */
struct entry {
    struct key key;
    struct form form;
    struct record *made;
};

static bool map_is(const weft_map *map)
{
    if (map && wefti_is_shared(map) && __atomic_load_n(&map->magic, __ATOMIC_RELAXED) == MAP_MAGIC)
        return true;
    errno = EINVAL;
    return false;
}

static int entry_prepare(const weft_map *map, const char *text, weft_value value, struct entry *entry)
{
    entry->made = NULL;
    if (!map_is(map) || key_of(map, text, &entry->key) != 0 || form_of(value, &entry->form) != 0)
        return -1;
    if (!form_scalar(entry->form.kind))
        entry->made = record_make(&entry->key, &entry->form);
    return form_scalar(entry->form.kind) || entry->made ? 0 : -1;
}

int weft_map_set(weft_map *map, const char *key, weft_value value)
{
    struct entry entry;
    if (entry_prepare(map, key, value, &entry) != 0)
        return -1;
    if (map_enter(map) != 0) {
        record_cancel(entry.made);
        return -1;
    }
    int failed = form_put(map, map_find(map, &entry.key), &entry.key, &entry.form, entry.made);
    map_leave(map);
    if (!failed)
        value_end(value);
    return failed;
}

/* Enters, and finds the key's slot, which may be NOWHERE. -1 with errno. */
static int map_enter_at(weft_map *map, const char *text, struct key *key, uint32_t *number)
{
    if (!map_is(map) || key_of(map, text, key) != 0 || map_enter(map) != 0)
        return -1;
    *number = map_find(map, key);
    return 0;
}

int weft_map_get(weft_map *map, const char *text, weft_value *value)
{
    struct key key;
    uint32_t number;
    if (map_enter_at(map, text, &key, &number) != 0)
        return -1;
    int failed = number == NOWHERE ? map_fails(ENOENT) : record_value(map_record(map, number), value);
    map_leave(map);
    return failed;
}

int weft_map_pop(weft_map *map, const char *text, weft_value *value)
{
    struct key key;
    uint32_t number;
    if (map_enter_at(map, text, &key, &number) != 0)
        return -1;
    int failed = number == NOWHERE ? map_fails(ENOENT) : 0;
    if (!failed && value)
        failed = record_value(map_record(map, number), value);
    if (!failed) {
        struct wefti_holding *holding = changes_begin(map);
        entry_take_out(holding, map, &key);
        changes_end(holding, map);
    }
    map_leave(map);
    return failed;
}

int weft_map_contains(weft_map *map, const char *text)
{
    struct key key;
    uint32_t number;
    if (map_enter_at(map, text, &key, &number) != 0)
        return -1;
    map_leave(map);
    return number != NOWHERE;
}

static int record_add(weft_map *map, uint32_t number, int64_t amount, int64_t *sum)
{
    struct record *record = map_record(map, number);
    if (record->kind != WEFT_INT)
        return map_fails(EINVAL);
    if (__builtin_add_overflow((int64_t)record_word(record), amount, sum))
        return map_fails(EOVERFLOW);
    __atomic_store_n(&record->word, (uint64_t)*sum, __ATOMIC_RELEASE);
    return 0;
}

int weft_map_add(weft_map *map, const char *text, int64_t amount, int64_t *sum)
{
    struct key key;
    uint32_t number;
    int64_t made = amount;
    if (map_enter_at(map, text, &key, &number) != 0)
        return -1;
    struct form form = {.kind = WEFT_INT, .word = (uint64_t)amount};
    int failed = number == NOWHERE ? form_put(map, number, &key, &form, NULL) : record_add(map, number, amount, &made);
    map_leave(map);
    if (!failed && sum)
        *sum = made;
    return failed;
}

/* Whether the record has what equals it: 1 or 0; -1 with ENOMEM. */
static int record_equals(const struct record *record, weft_value expected)
{
    weft_value value;
    if (record_value(record, &value) != 0)
        return -1;
    int error = errno;
    errno = 0;
    bool equal = weft_equal(value, expected);
    bool failed = !equal && errno == ENOMEM;
    errno = failed ? ENOMEM : error;
    weft_drop(value);
    return failed ? -1 : equal;
}

int weft_map_compare_and_set(weft_map *map, const char *text, weft_value expected, weft_value value)
{
    struct entry entry;
    if (entry_prepare(map, text, value, &entry) != 0)
        return -1;
    if (map_enter(map) != 0) {
        record_cancel(entry.made);
        return -1;
    }
    uint32_t number = map_find(map, &entry.key);
    int done = number == NOWHERE ? map_fails(ENOENT) : record_equals(map_record(map, number), expected);
    if (done == 1)
        done = form_put(map, number, &entry.key, &entry.form, entry.made) == 0 ? 1 : -1;
    else
        record_cancel(entry.made);
    map_leave(map);
    if (done == 1)
        value_end(value);
    return done;
}

int weft_map_setdefault(weft_map *map, const char *text, weft_value value, weft_value *there)
{
    struct entry entry;
    if (entry_prepare(map, text, value, &entry) != 0)
        return -1;
    if (map_enter(map) != 0) {
        record_cancel(entry.made);
        return -1;
    }
    uint32_t number = map_find(map, &entry.key);
    int done = 0;
    if (number == NOWHERE) {
        done = form_put(map, number, &entry.key, &entry.form, entry.made) == 0 ? 1 : -1;
    } else {
        record_cancel(entry.made);
        done = there ? record_value(map_record(map, number), there) : 0;
    }
    map_leave(map);
    if (done == 1)
        value_end(value);
    return done;
}

/* Puts what the function returned. */
static int result_put(weft_map *map, uint32_t number, const struct key *key, weft_value result)
{
    struct form form;
    if (weft_is_error(result))
        return map_fails(weft_error_code(result));
    return form_of(result, &form) != 0 ? -1 : form_put(map, number, key, &form, NULL);
}

int weft_map_update(weft_map *map, const char *text, weft_map_function *function, void *data, weft_value *value)
{
    struct key key;
    uint32_t number;
    weft_value old = weft_none;
    if (!function)
        return map_fails(EINVAL);
    if (map_enter_at(map, text, &key, &number) != 0)
        return -1;
    if (number != NOWHERE && record_value(map_record(map, number), &old) != 0) {
        map_leave(map);
        return -1;
    }
    weft_value result = function(old, data);
    int failed = result_put(map, number, &key, result);
    map_leave(map);
    weft_drop(old);
    if (!failed && value)
        *value = result;
    else
        weft_drop(result);
    return failed;
}

/* Many at once. */

struct batch {
    struct record **records;
    size_t count;
};

/* The records of all entries of the dict, in hand. -1 with errno. */
static int batch_fill(const weft_map *map, weft_value dict, struct batch *batch)
{
    size_t at = 0;
    weft_value text, value;
    while (weft_dict_next(dict, &at, &text, &value)) {
        struct key key;
        struct form form;
        if (weft_kind(text) != WEFT_STR || strlen(weft_as_str(text)) != weft_length(text))
            return map_fails(EINVAL);
        if (key_of(map, weft_as_str(text), &key) != 0 || form_of(value, &form) != 0)
            return -1;
        struct record *record = record_make(&key, &form);
        if (!record)
            return -1;
        batch->records[batch->count++] = record;
    }
    return 0;
}

/* All of them, or none. 0; -1 with ENOMEM. */
static int batch_put(weft_map *map, struct batch *batch)
{
    struct wefti_holding *holding = changes_begin(map);
    int failed = map_reserve(holding, map, batch->count);
    for (size_t i = 0; !failed && i < batch->count; i++) {
        struct record *record = batch->records[i];
        struct key key = {record->octets, record->head.key_length, record->hash};
        uint32_t number = map_find(map, &key);
        if (number == NOWHERE)
            entry_add(holding, map, record);
        else
            entry_replace(holding, map, number, record);
    }
    changes_end(holding, map);
    if (!failed)
        batch->count = 0;
    return failed;
}

static void batch_end(struct batch *batch)
{
    while (batch->count > 0)
        record_cancel(batch->records[--batch->count]);
    wefti_release(batch->records);
}

int weft_map_update_from(weft_map *map, weft_value dict)
{
    if (!map_is(map))
        return -1;
    if (weft_kind(dict) != WEFT_DICT)
        return map_fails(EINVAL);
    if (weft_length(dict) == 0)
        return 0;
    struct batch batch = {.records = wefti_alloc(weft_length(dict) * sizeof(struct record *))};
    int failed = !batch.records || batch_fill(map, dict, &batch) != 0 || map_enter(map) != 0 ? -1 : 0;
    if (!failed) {
        failed = batch_put(map, &batch);
        map_leave(map);
    }
    int error = errno;
    batch_end(&batch);
    errno = error;
    return failed;
}

/* Looking at all. */

size_t weft_map_size(weft_map *map)
{
    if (map_enter(map) != 0)
        return 0;
    size_t count = map->count;
    map_leave(map);
    return count;
}

static weft_value record_key(const struct record *record)
{
    return weft_str_n(record->octets, record->head.key_length);
}

static int record_see_key(const struct record *record, weft_value *seen)
{
    *seen = record_key(record);
    return weft_is_error(*seen) ? -1 : 0;
}

static int record_see_both(const struct record *record, weft_value *seen)
{
    weft_value both[2];
    if (record_see_key(record, &both[0]) != 0)
        return -1;
    if (record_value(record, &both[1]) != 0) {
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

typedef int record_seer(const struct record *record, weft_value *seen);

/* Appends what `see` makes of each record. 0; -1 with ENOMEM. */
static int records_list(const weft_map *map, record_seer *see, weft_value list)
{
    weft_value seen;
    for (uint32_t number = 0; number < map->used; number++) {
        if (!map_table(map)->slots[number])
            continue;
        if (see(map_record(map, number), &seen) != 0)
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
    int failed = map_enter(map);
    if (!failed) {
        failed = records_list(map, see, list);
        map_leave(map);
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
    return map_list(map, record_value);
}

weft_value weft_map_items(weft_map *map)
{
    return map_list(map, record_see_both);
}

/* The first slot in use from this one on, below `end`; else `end`. */
static uint32_t slot_next(const weft_map *map, uint32_t number, uint32_t end)
{
    while (number < end && !map_table(map)->slots[number])
        number++;
    return number;
}

/* The first slot whose record came with this sequence or later; `used` when there is none. Slots are in that order. */
static uint32_t slot_from(const weft_map *map, uint64_t sequence)
{
    uint32_t low = 0, high = map->used;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2, number = slot_next(map, middle, high);
        if (number < high && map_record(map, number)->sequence < sequence)
            low = number + 1;
        else
            high = middle;
    }
    return slot_next(map, low, map->used);
}

/* What is wanted of a record. 0; -1 with ENOMEM. */
static int record_see(const struct record *record, weft_value *key, weft_value *value)
{
    weft_value seen = weft_none;
    if (key && record_see_key(record, &seen) != 0)
        return -1;
    if (value && record_value(record, value) != 0) {
        weft_drop(seen);
        return -1;
    }
    if (key)
        *key = seen;
    return 0;
}

int weft_map_next(weft_map *map, uint64_t *at, weft_value *key, weft_value *value)
{
    if (map_enter(map) != 0)
        return -1;
    uint32_t number = slot_from(map, *at);
    int found = number < map->used;
    if (found && record_see(map_record(map, number), key, value) == 0)
        *at = map_record(map, number)->sequence + 1;
    else if (found)
        found = -1;
    map_leave(map);
    return found;
}

WEFTI_OPENING_SYNC static void map_open(void)
{
    wefti_menders[WEFTI_HOLD_MAP] = map_mend;
}
