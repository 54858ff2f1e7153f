/* SPDX-License-Identifier: MIT */
/*
 * Shared maps: having the lock, and the calls for one key. What a map is made of, and why any process may die in any of these calls, stands
 * in map.h.
 *
 * Each call is one visit: the key, what the value will be and, if that takes long, its record are made before the lock is taken; under it
 * the key is found and its slot read or changed; a value that was given away is dropped after the lock, as its end may take long.
 *
 * Freeing the map withdraws it while its lock is held; from then on it goes with its owner's death.
 */

#include "data/map.h"

#include <string.h>
#include <sys/random.h>

#include "shared/block.h"
#include "sync/inside.h"

#define MAP_MAGIC UINT32_C(0x70616d77) /* "wmap" */

/* Having the map. */

bool wefti_map_is(const weft_map *map)
{
    if (map && wefti_is_shared(map) && __atomic_load_n(&map->magic, __ATOMIC_RELAXED) == MAP_MAGIC)
        return true;
    errno = EINVAL;
    return false;
}

int wefti_map_enter(weft_map *map)
{
    if (!wefti_map_is(map))
        return -1;
    int taken = wefti_lock_insist(&map->lock);
    if (taken > 0) {
        if (map->changing)
            wefti_map_repair(map);
        weft_lock_repaired(&map->lock);
    }
    return taken < 0 ? -1 : 0;
}

void wefti_map_leave(weft_map *map)
{
    int error = errno;
    weft_lock_release(&map->lock);
    errno = error;
}

/* Changes. */

/* A scalar where one of its kind is already: one store. */
static bool scalar_put(const weft_map *map, uint32_t number, const struct wefti_map_form *form)
{
    struct wefti_map_record *record = number == WEFTI_MAP_NOWHERE ? NULL : wefti_map_record(map, number);
    if (!record || record->kind != form->kind || !wefti_map_form_scalar(form->kind))
        return false;
    __atomic_store_n(&record->word, form->word, __ATOMIC_RELEASE);
    return true;
}

/* Makes the key, whose slot is `number` or WEFTI_MAP_NOWHERE, have what is in the form. `made`: its record in hand, or NULL; it is used up,
 * whatever happens. */
static int form_put(
    weft_map *map, uint32_t number, const struct wefti_map_key *key, const struct wefti_map_form *form, struct wefti_map_record *made)
{
    if (scalar_put(map, number, form))
        return 0;
    struct wefti_map_record *record = made ? made : wefti_map_record_make(key, form);
    if (!record)
        return -1;
    if (wefti_map_record_put(map, number, record) == 0)
        return 0;
    wefti_map_record_cancel(record);
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

int weft_map_free(weft_map *map)
{
    if (!map)
        return 0;
    if (wefti_map_enter(map) != 0)
        return -1;
    wefti_map_empty(map);
    wefti_block_withdraw(map, wefti_member);
    __atomic_store_n(&map->magic, 0, __ATOMIC_RELAXED);
    wefti_map_leave(map);
    wefti_block_discard(map);
    return 0;
}

int weft_map_clear(weft_map *map)
{
    if (wefti_map_enter(map) != 0)
        return -1;
    wefti_map_empty(map);
    wefti_map_leave(map);
    return 0;
}

/* The key, the form and, if that takes long, the record of a value are made before the lock is taken. */
struct entry {
    struct wefti_map_key key;
    struct wefti_map_form form;
    struct wefti_map_record *made;
};

static int entry_prepare(const weft_map *map, const char *text, weft_value value, struct entry *entry)
{
    entry->made = NULL;
    if (!wefti_map_is(map) || wefti_map_key_of(map, text, &entry->key) != 0 || wefti_map_form_of(value, &entry->form) != 0)
        return -1;
    if (!wefti_map_form_scalar(entry->form.kind))
        entry->made = wefti_map_record_make(&entry->key, &entry->form);
    return wefti_map_form_scalar(entry->form.kind) || entry->made ? 0 : -1;
}

/* The same, and enters, and finds the key's slot, which may be NOWHERE. -1 with errno. */
static int entry_begin(weft_map *map, const char *text, weft_value value, struct entry *entry, uint32_t *number)
{
    if (entry_prepare(map, text, value, entry) != 0)
        return -1;
    if (wefti_map_enter(map) != 0) {
        wefti_map_record_cancel(entry->made);
        return -1;
    }
    *number = wefti_map_find(map, &entry->key);
    return 0;
}

/* Puts it in there: 1; -1 with errno. Its record is used up. */
static int entry_put(weft_map *map, uint32_t number, const struct entry *entry)
{
    return form_put(map, number, &entry->key, &entry->form, entry->made) == 0 ? 1 : -1;
}

/* Leaves. `done`: whether the value was put; -1 with errno. */
static int entry_end(weft_map *map, int done, weft_value value)
{
    wefti_map_leave(map);
    if (done == 1)
        value_end(value);
    return done;
}

int weft_map_set(weft_map *map, const char *key, weft_value value)
{
    struct entry entry;
    uint32_t number;
    if (entry_begin(map, key, value, &entry, &number) != 0)
        return -1;
    return entry_end(map, entry_put(map, number, &entry), value) == 1 ? 0 : -1;
}

/* Enters, and finds the key's slot, which may be WEFTI_MAP_NOWHERE. -1 with errno. */
static int map_enter_at(weft_map *map, const char *text, struct wefti_map_key *key, uint32_t *number)
{
    if (!wefti_map_is(map) || wefti_map_key_of(map, text, key) != 0 || wefti_map_enter(map) != 0)
        return -1;
    *number = wefti_map_find(map, key);
    return 0;
}

int weft_map_get(weft_map *map, const char *text, weft_value *value)
{
    struct wefti_map_key key;
    uint32_t number;
    if (map_enter_at(map, text, &key, &number) != 0)
        return -1;
    int failed = number == WEFTI_MAP_NOWHERE ? wefti_map_fails(ENOENT) : wefti_map_record_value(wefti_map_record(map, number), value);
    wefti_map_leave(map);
    return failed;
}

int weft_map_pop(weft_map *map, const char *text, weft_value *value)
{
    struct wefti_map_key key;
    uint32_t number;
    if (map_enter_at(map, text, &key, &number) != 0)
        return -1;
    int failed = number == WEFTI_MAP_NOWHERE ? wefti_map_fails(ENOENT) : 0;
    if (!failed && value)
        failed = wefti_map_record_value(wefti_map_record(map, number), value);
    if (!failed) {
        struct wefti_holding *holding = wefti_map_changes_begin(map);
        wefti_map_entry_take_out(holding, map, &key);
        wefti_map_changes_end(holding, map);
    }
    wefti_map_leave(map);
    return failed;
}

int weft_map_contains(weft_map *map, const char *text)
{
    struct wefti_map_key key;
    uint32_t number;
    if (map_enter_at(map, text, &key, &number) != 0)
        return -1;
    wefti_map_leave(map);
    return number != WEFTI_MAP_NOWHERE;
}

static int record_add(weft_map *map, uint32_t number, int64_t amount, int64_t *sum)
{
    struct wefti_map_record *record = wefti_map_record(map, number);
    if (record->kind != WEFT_INT)
        return wefti_map_fails(EINVAL);
    if (__builtin_add_overflow((int64_t)wefti_map_record_word(record), amount, sum))
        return wefti_map_fails(EOVERFLOW);
    __atomic_store_n(&record->word, (uint64_t)*sum, __ATOMIC_RELEASE);
    return 0;
}

int weft_map_add(weft_map *map, const char *text, int64_t amount, int64_t *sum)
{
    struct wefti_map_key key;
    uint32_t number;
    int64_t made = amount;
    if (map_enter_at(map, text, &key, &number) != 0)
        return -1;
    struct wefti_map_form form = {.kind = WEFT_INT, .word = (uint64_t)amount};
    int failed = number == WEFTI_MAP_NOWHERE ? form_put(map, number, &key, &form, NULL) : record_add(map, number, amount, &made);
    wefti_map_leave(map);
    if (!failed && sum)
        *sum = made;
    return failed;
}

/* Whether the record has what equals it: 1 or 0; -1 with ENOMEM. */
static int record_equals(const struct wefti_map_record *record, weft_value expected)
{
    weft_value value;
    if (wefti_map_record_value(record, &value) != 0)
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
    uint32_t number;
    if (entry_begin(map, text, value, &entry, &number) != 0)
        return -1;
    int done = number == WEFTI_MAP_NOWHERE ? wefti_map_fails(ENOENT) : record_equals(wefti_map_record(map, number), expected);
    if (done == 1)
        done = entry_put(map, number, &entry);
    else
        wefti_map_record_cancel(entry.made);
    return entry_end(map, done, value);
}

int weft_map_setdefault(weft_map *map, const char *text, weft_value value, weft_value *there)
{
    struct entry entry;
    uint32_t number;
    if (entry_begin(map, text, value, &entry, &number) != 0)
        return -1;
    int done = 0;
    if (number == WEFTI_MAP_NOWHERE) {
        done = entry_put(map, number, &entry);
    } else {
        wefti_map_record_cancel(entry.made);
        done = there ? wefti_map_record_value(wefti_map_record(map, number), there) : 0;
    }
    return entry_end(map, done, value);
}

/* Puts what the function returned. */
static int result_put(weft_map *map, uint32_t number, const struct wefti_map_key *key, weft_value result)
{
    struct wefti_map_form form;
    if (weft_is_error(result))
        return wefti_map_fails(weft_error_code(result));
    return wefti_map_form_of(result, &form) != 0 ? -1 : form_put(map, number, key, &form, NULL);
}

int weft_map_update(weft_map *map, const char *text, weft_map_function *function, void *data, weft_value *value)
{
    struct wefti_map_key key;
    uint32_t number;
    weft_value old = weft_none;
    if (!function)
        return wefti_map_fails(EINVAL);
    if (map_enter_at(map, text, &key, &number) != 0)
        return -1;
    if (number != WEFTI_MAP_NOWHERE && wefti_map_record_value(wefti_map_record(map, number), &old) != 0) {
        wefti_map_leave(map);
        return -1;
    }
    weft_value result = function(old, data);
    int failed = result_put(map, number, &key, result);
    wefti_map_leave(map);
    weft_drop(old);
    if (!failed && value)
        *value = result;
    else
        weft_drop(result);
    return failed;
}
