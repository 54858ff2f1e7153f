/* SPDX-License-Identifier: MIT */
/* The objects of a manager by their numbers: a table of chains that doubles. All with the manager's lock held. */

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "manager/manager.h"

enum { BUCKETS_LEAST = 16 };

static struct wefti_managed **bucket_of(const weft_manager *manager, uint64_t ident)
{
    return &manager->buckets[ident & manager->bucket_mask];
}

struct wefti_managed *wefti_managed_find(weft_manager *manager, uint64_t ident)
{
    struct wefti_managed *object = manager->buckets ? *bucket_of(manager, ident) : NULL;
    while (object && object->ident != ident)
        object = object->next;
    return object;
}

void wefti_ident_text(uint64_t ident, char text[WEFTI_IDENT])
{
    snprintf(text, WEFTI_IDENT, "%lx", ident);
}

/* Only what wefti_ident_text writes: no sign, no zeros in front. */
struct wefti_managed *wefti_managed_named(weft_manager *manager, weft_value ident)
{
    if (ident.kind != WEFT_STR || weft_length(ident) == 0 || weft_length(ident) >= WEFTI_IDENT)
        return NULL;
    uint64_t number = 0;
    for (const char *at = weft_as_str(ident), *end = at + weft_length(ident); at < end; at++) {
        bool digit = *at >= '0' && *at <= '9', letter = *at >= 'a' && *at <= 'f';
        if ((!digit && !letter) || (*at == '0' && number == 0))
            return NULL;
        number = number << 4 | (uint64_t)(digit ? *at - '0' : *at - 'a' + 10);
    }
    return wefti_managed_find(manager, number);
}

static bool table_grow(weft_manager *manager)
{
    size_t count = manager->buckets ? 2 * (manager->bucket_mask + 1) : BUCKETS_LEAST;
    struct wefti_managed **old = manager->buckets, **made = wefti_alloc(count * sizeof(*made)), *next;
    size_t before = old ? manager->bucket_mask + 1 : 0;
    if (!made)
        return before > 0;
    manager->buckets = made;
    manager->bucket_mask = count - 1;
    for (size_t i = 0; i < before; i++)
        for (struct wefti_managed *object = old[i]; object; object = next) {
            next = object->next;
            object->next = *bucket_of(manager, object->ident);
            *bucket_of(manager, object->ident) = object;
        }
    wefti_release(old);
    return true;
}

struct wefti_managed *wefti_managed_new(weft_manager *manager, const struct wefti_managed_type *type, const struct wefti_offer_entry *offer)
{
    bool full = !manager->buckets || manager->objects > manager->bucket_mask;
    struct wefti_managed *object = full && !table_grow(manager) ? NULL : wefti_alloc(sizeof(*object));
    if (!object)
        return NULL;
    *object = (struct wefti_managed){.ident = manager->next_ident++, .type = type, .offer = offer, .users = 1};
    object->next = *bucket_of(manager, object->ident);
    *bucket_of(manager, object->ident) = object;
    manager->objects++;
    return object;
}

static void managed_end(weft_manager *manager, struct wefti_managed *object)
{
    struct wefti_managed **at = bucket_of(manager, object->ident);
    while (*at != object)
        at = &(*at)->next;
    *at = object->next;
    manager->objects--;
    if (object->state && object->type->destroy)
        object->type->destroy(object);
    wefti_release(object);
}

void wefti_managed_settle(weft_manager *manager, struct wefti_managed *object)
{
    if (object->references <= 0 && object->users == 0 && !object->pinned)
        managed_end(manager, object);
}

void wefti_managed_end_all(weft_manager *manager)
{
    for (size_t i = 0; manager->buckets && i <= manager->bucket_mask; i++)
        while (manager->buckets[i])
            managed_end(manager, manager->buckets[i]);
    wefti_release(manager->buckets);
    manager->buckets = NULL;
}
