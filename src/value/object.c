/* SPDX-License-Identifier: MIT */
/*
 * Objects: their making, their holds, their end; and what containers know of where they lie. See object.h for the orderings.
 *
 * The end is never recursive. A container that dies goes onto a list of dead ones, linked through the dead themselves, and is emptied when
 * its turn comes; so a drop needs neither stack nor memory, however deep the nesting.
 */

#include <string.h>

#include "value/object.h"

/*
 * How deep below a container that lies in no other a change is still allowed. The owners up to there are read in one go, and a walk without
 * a bound could be made slow by whoever nests containers.
 */
enum { CHANGE_DEPTH = 64 };

weft_value wefti_value_failed(int code)
{
    errno = code;
    return (weft_value){.kind = WEFT_ERROR, .code = code};
}

/* Ends a hold; whether it was the last. Alone, nobody can join: then the count need not be written. */
static bool hold_end(struct wefti_object *object)
{
    uint32_t count = __atomic_load_n(&object->count, __ATOMIC_ACQUIRE);
    if (count == 1)
        return true;
    return count < WEFTI_COUNT_STUCK && __atomic_fetch_sub(&object->count, 1, __ATOMIC_ACQ_REL) == 1;
}

static void container_enter(struct wefti_container *inner, struct wefti_container *outer)
{
    struct wefti_container *none = NULL;
    __atomic_fetch_add(&inner->inside, 1, __ATOMIC_RELAXED);
    __atomic_compare_exchange_n(&inner->owner, &none, outer, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

/* Before the container's hold ends or passes to a caller, so that `owner` is never one that has let go. */
static void container_leave(struct wefti_container *inner, struct wefti_container *outer)
{
    struct wefti_container *owner = outer;
    __atomic_compare_exchange_n(&inner->owner, &owner, NULL, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&inner->inside, 1, __ATOMIC_RELAXED);
}

weft_value wefti_container_release(struct wefti_container *container, weft_value item)
{
    if (wefti_kind_contains(item.kind) && item.as.pointer)
        container_leave(wefti_handle_object(item), container);
    return item;
}

static bool container_alone(const struct wefti_container *container)
{
    return __atomic_load_n(&container->head.count, __ATOMIC_ACQUIRE) == 1;
}

/*
 * Where the one hold on a container comes from: sets *owner to the container it belongs to, or to NULL when it is a caller's. False when
 * that cannot be told. `owner` may be followed: it is where the caller, who has no hold of his own, has borrowed from.
 */
static bool container_owner(struct wefti_container *container, struct wefti_container **owner)
{
    *owner = NULL;
    uint32_t inside = __atomic_load_n(&container->inside, __ATOMIC_RELAXED);
    if (inside == 0)
        return true;
    *owner = __atomic_load_n(&container->owner, __ATOMIC_ACQUIRE);
    return inside == 1 && *owner;
}

/* The container says that it refers upwards, and so does all that it lies in: when it is changed there, nobody else holds any of that. */
static void container_recurs(struct wefti_container *container)
{
    for (struct wefti_container *outer; !(container->head.more & WEFTI_RECURSIVE); container = outer) {
        container->head.more |= WEFTI_RECURSIVE;
        if (!container_owner(container, &outer) || !outer)
            break;
    }
}

weft_value wefti_container_adopt(struct wefti_container *container, weft_value item)
{
    if (!wefti_kind_noted(item.kind) || !item.as.pointer)
        return item;
    if (wefti_item_recursive(item))
        container_recurs(container);
    if (item.kind != WEFT_ABOVE)
        container_enter(wefti_handle_object(item), container);
    return item;
}

/*
 * Up to the outermost container first, then down again: only when an outer one was seen to be held once can nobody reach into it any
 * more, and only from then on does a count of one further in mean that nobody else holds that.
 */
static int container_changeable_inside(struct wefti_container *container, const void *coming)
{
    struct wefti_container *path[CHANGE_DEPTH];
    unsigned depth = 0;
    for (struct wefti_container *outer = container; outer; container = outer) {
        if (depth == CHANGE_DEPTH)
            return EBUSY;
        if (outer == coming)
            return EINVAL;
        path[depth++] = container;
        if (!container_alone(container) || !container_owner(container, &outer))
            return EBUSY;
    }
    while (depth-- > 1)
        if (!container_alone(path[depth - 1]))
            return EBUSY;
    return 0;
}

int wefti_container_changeable(struct wefti_container *container, weft_value item)
{
    const void *coming = wefti_kind_contains(item.kind) && item.as.pointer ? wefti_handle_object(item) : NULL;
    if (coming == container)
        return EINVAL;
    if (container_alone(container) && __atomic_load_n(&container->inside, __ATOMIC_RELAXED) == 0)
        return 0;
    return container_changeable_inside(container, coming);
}

weft_value weft_keep_counted(weft_value value)
{
    if (!wefti_value_counted(value))
        return value;
    struct wefti_object *object = wefti_handle_object(value);
    if (__atomic_fetch_add(&object->count, 1, __ATOMIC_RELAXED) >= WEFTI_COUNT_STUCK)
        __atomic_store_n(&object->count, WEFTI_COUNT_STUCK, __ATOMIC_RELAXED);
    return wefti_handle_again(value);
}

static void dead_push(struct wefti_container **dead, struct wefti_container *container)
{
    container->owner = *dead;
    *dead = container;
}

/* Ends what a dead container held. Whoever may live on is told first that he no longer lies in it. */
static void dead_scatter(struct wefti_container *outer, weft_value item, struct wefti_container **dead)
{
    if (!wefti_value_counted(item))
        return;
    struct wefti_object *object = wefti_handle_close(item, "weft_drop");
    bool contains = wefti_kind_contains(object->kind), alone = __atomic_load_n(&object->count, __ATOMIC_ACQUIRE) == 1;
    if (contains && !alone)
        container_leave((struct wefti_container *)object, outer);
    if (!alone && !hold_end(object))
        return;
    if (contains)
        dead_push(dead, (struct wefti_container *)object);
    else
        wefti_release(object);
}

static void array_bury(struct wefti_array *array, struct wefti_container **dead)
{
    for (size_t i = 0; i < array->length; i++)
        dead_scatter(&array->container, array->items[i], dead);
    if (array->items != array->fixed)
        wefti_release(array->items);
}

static void dict_bury(struct wefti_dict *dict, struct wefti_container **dead)
{
    for (uint32_t i = 0; i < dict->used; i++) {
        dead_scatter(&dict->container, dict->entries[i].key, dead);
        dead_scatter(&dict->container, dict->entries[i].item, dead);
    }
    wefti_release(dict->entries);
}

static void container_bury(struct wefti_container *container)
{
    struct wefti_container *dead = NULL;
    dead_push(&dead, container);
    while (dead) {
        container = dead;
        dead = container->owner;
        if (wefti_kind_hashed(container->head.kind))
            dict_bury((struct wefti_dict *)container, &dead);
        else
            array_bury((struct wefti_array *)container, &dead);
        wefti_release(container);
    }
}

void weft_drop_counted(weft_value value)
{
    if (!wefti_value_counted(value))
        return;
    struct wefti_object *object = wefti_handle_close(value, "weft_drop");
    if (!hold_end(object))
        return;
    if (wefti_kind_contains(object->kind))
        container_bury((struct wefti_container *)object);
    else
        wefti_release(object);
}
