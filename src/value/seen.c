/* SPDX-License-Identifier: MIT */
#include "value/seen.h"

#include <string.h>

#include "base/memory.h"

static struct wefti_seen_place *seen_find(const struct wefti_seen *seen, const void *object)
{
    size_t at = (size_t)(((uintptr_t)object >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & seen->mask;
    while (seen->places[at].object && seen->places[at].object != object)
        at = (at + 1) & seen->mask;
    return &seen->places[at];
}

static int seen_grow(struct wefti_seen *seen)
{
    struct wefti_seen old = *seen;
    size_t places = old.places ? 2 * (old.mask + 1) : 16;
    seen->places = wefti_alloc(places * sizeof(*seen->places));
    if (!seen->places) {
        *seen = old;
        return -1;
    }
    seen->mask = places - 1;
    for (size_t i = 0; old.places && i <= old.mask; i++)
        if (old.places[i].object)
            *seen_find(seen, old.places[i].object) = old.places[i];
    wefti_release(old.places);
    return 0;
}

struct wefti_seen_place *wefti_seen_place(struct wefti_seen *seen, const void *object)
{
    if ((!seen->places || 2 * seen->count > seen->mask) && seen_grow(seen) != 0)
        return NULL;
    return seen_find(seen, object);
}

void *wefti_seen_record(struct wefti_seen *seen, const void *object, void **records, size_t *room, size_t each, bool *fresh)
{
    struct wefti_seen_place *place = wefti_seen_place(seen, object);
    *fresh = place && !place->object;
    if (!place || !*fresh)
        return place ? (char *)*records + each * place->number : NULL;
    if (seen->count == *room) {
        size_t more = *room ? 2 * *room : 16;
        void *grown = wefti_realloc(*records, more * each);
        if (!grown)
            return NULL;
        *records = grown;
        *room = more;
    }
    *place = (struct wefti_seen_place){object, seen->count};
    return memset((char *)*records + each * seen->count++, 0, each);
}

void wefti_seen_end(struct wefti_seen *seen)
{
    wefti_release(seen->places);
    *seen = (struct wefti_seen){0};
}
