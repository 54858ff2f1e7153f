/* SPDX-License-Identifier: MIT */
/*
 * What stands in a map: keys and values, as records have them.
 *
 * A record is made in hand (block.h) from a key and a form, which says what a value will be there, and does not change any more once it is
 * linked but for a scalar's `word` (map.h). So values are copied out of it under the lock and into it before; scalars are a word, strs and
 * bytes their octets, everything else its flat form (value/flat.h).
 *
 * A key's hash has two numbers of the map's in it, which nobody outside knows: keys cannot be chosen to meet in the index.
 */

#include "data/map.h"

#include <string.h>

#include "shared/block.h"
#include "value/flat.h"

/* Values. */

int wefti_map_form_of(weft_value value, struct wefti_map_form *form)
{
    *form = (struct wefti_map_form){.kind = value.kind, .value = value};
    if (value.kind == WEFT_PTR && value.as.pointer && !wefti_is_shared(value.as.pointer))
        return wefti_map_fails(EFAULT);
    if (wefti_map_form_scalar(value.kind)) {
        form->word = (uint64_t)value.as.integer; /* a float's or pointer's octets, too */
        return 0;
    }
    if (value.kind == WEFT_STR || value.kind == WEFT_BYTES) {
        form->octets = weft_as_bytes(value);
        form->word = weft_length(value);
        return 0;
    }
    ssize_t size = wefti_flat_write(value, NULL, 0, weft_is_shared);
    form->kind = WEFTI_MAP_FLAT;
    form->word = (uint64_t)size;
    return size < 0 ? -1 : 0;
}

static const char *record_octets(const struct wefti_map_record *record)
{
    return record->octets + record->head.key_length + 1;
}

int wefti_map_record_value(const struct wefti_map_record *record, weft_value *value)
{
    uint64_t word = wefti_map_record_word(record);
    if (record->kind == WEFTI_MAP_FLAT)
        return wefti_flat_read(record_octets(record), word, value);
    weft_value made = {.kind = record->kind, .as.integer = (int64_t)word};
    if (!wefti_map_form_scalar(record->kind))
        made = record->kind == WEFT_STR ? weft_str_n(record_octets(record), word) : weft_bytes(record_octets(record), word);
    if (weft_is_error(made))
        return wefti_map_fails(weft_error_code(made));
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

int wefti_map_key_of(const weft_map *map, const char *text, struct wefti_map_key *key)
{
    if (!text)
        return wefti_map_fails(EINVAL);
    size_t length = strnlen(text, WEFT_MAP_KEY_MOST + 1);
    if (length > WEFT_MAP_KEY_MOST)
        return wefti_map_fails(ENAMETOOLONG);
    *key = (struct wefti_map_key){text, (uint32_t)length, key_hash(map, text, length)};
    return 0;
}

/* Records. */

size_t wefti_map_record_size(const struct wefti_map_record *record)
{
    return sizeof(*record) + record->head.key_length + 1 + (wefti_map_form_scalar(record->kind) ? 0 : record->word);
}

struct wefti_map_record *wefti_map_record_make(const struct wefti_map_key *key, const struct wefti_map_form *form)
{
    struct wefti_map_record head = {.word = form->word, .hash = key->hash, .kind = form->kind, .head.key_length = key->length};
    struct wefti_map_record *record = wefti_block_take(wefti_map_record_size(&head));
    if (!record)
        return NULL;
    *record = head;
    memcpy(record->octets, key->text, key->length + 1);
    char *octets = record->octets + key->length + 1;
    if (form->kind != WEFTI_MAP_FLAT) {
        if (form->octets)
            memcpy(octets, form->octets, form->word);
    } else if (wefti_flat_write(form->value, octets, form->word, weft_is_shared) < 0) {
        wefti_block_cancel(record, wefti_map_record_size(&head));
        return NULL;
    }
    return record;
}

void wefti_map_record_cancel(struct wefti_map_record *record)
{
    if (record)
        wefti_block_cancel(record, wefti_map_record_size(record));
}
