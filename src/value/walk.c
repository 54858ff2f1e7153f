/* SPDX-License-Identifier: MIT */
/* Walking containers: item by item, and down into them without recursion. */

#include <string.h>

#include "value/object.h"

static bool array_next(const struct wefti_array *array, size_t *at, weft_value *item)
{
    if (*at >= array->length)
        return false;
    *item = array->items[(*at)++];
    return true;
}

static bool set_next(const struct wefti_dict *set, size_t *at, weft_value *item)
{
    while (*at < set->used && set->entries[*at].key.kind == WEFTI_ENTRY_GONE)
        ++*at;
    if (*at >= set->used)
        return false;
    *item = set->entries[(*at)++].key;
    return true;
}

/* `at` is twice the entry, and one more when its key has been given. */
static bool dict_next(const struct wefti_dict *dict, size_t *at, weft_value *item)
{
    while (*at / 2 < dict->used && dict->entries[*at / 2].key.kind == WEFTI_ENTRY_GONE)
        *at += 2;
    if (*at / 2 >= dict->used)
        return false;
    const struct wefti_entry *entry = &dict->entries[*at / 2];
    *item = *at % 2 ? entry->item : entry->key;
    ++*at;
    return true;
}

bool wefti_container_next(weft_value container, size_t *at, weft_value *item)
{
    if (!wefti_kind_contains(container.kind) || !container.as.pointer)
        return false;
    const void *object = wefti_handle_object(container);
    if (wefti_kind_set(container.kind))
        return set_next(object, at, item);
    return container.kind == WEFT_DICT ? dict_next(object, at, item) : array_next(object, at, item);
}

void wefti_walk_begin(struct wefti_walk *walk)
{
    walk->depth = 0;
    walk->room = WEFTI_WALK_FIRST;
    walk->frames = walk->first;
}

static int walk_grow(struct wefti_walk *walk)
{
    bool first = walk->frames == walk->first;
    struct wefti_frame *frames = wefti_realloc(first ? NULL : walk->frames, 2 * walk->room * sizeof *frames);
    if (!frames)
        return -1;
    if (first)
        memcpy(frames, walk->first, sizeof walk->first);
    walk->frames = frames;
    walk->room *= 2;
    return 0;
}

int wefti_walk_enter(struct wefti_walk *walk, weft_value container, weft_value partner)
{
    if (walk->depth == walk->room && walk_grow(walk) != 0)
        return -1;
    walk->frames[walk->depth++] = (struct wefti_frame){.container = container, .partner = partner};
    return 0;
}

struct wefti_frame *wefti_walk_top(struct wefti_walk *walk)
{
    return walk->depth ? &walk->frames[walk->depth - 1] : NULL;
}

void wefti_walk_leave(struct wefti_walk *walk)
{
    walk->depth--;
}

void wefti_walk_end(struct wefti_walk *walk)
{
    if (walk->frames != walk->first)
        wefti_release(walk->frames);
    wefti_walk_begin(walk);
}
