/* SPDX-License-Identifier: MIT */
/*
 * Copies of parts of recursive data, and weft_unfold: a walk through what lies in the item, to each reference that leads to the container;
 * it is replaced in copies of the containers that lie between, which are made when the first such place is found, and put into each other
 * as the walk leaves them. What was walked through is noted with the level that it was at, as references count from there: so what is
 * shared is walked through, and copied, once for each level.
 */

#include "value/recursive.h"

#include "value/seen.h"

/* Items that are looked at; to go into a container costs as much as a number of them. */
enum { THINGS_MOST = 1 << 26, CONTAINER_THINGS = 16 };

bool wefti_recursive_kind(weft_value value)
{
    return wefti_kind_contains(value.kind) && !wefti_kind_set(value.kind) && value.as.pointer;
}

/* Copies. */

size_t wefti_recursive_octets(weft_value value)
{
    if (value.kind == WEFT_DICT)
        return sizeof(struct wefti_dict) + weft_length(value) * (sizeof(struct wefti_entry) + sizeof(uint32_t) * 3 / 2);
    return sizeof(struct wefti_array) + ((const struct wefti_array *)wefti_handle_object(value))->length * sizeof(weft_value);
}

weft_value wefti_recursive_copy(weft_value value)
{
    if (value.kind == WEFT_LIST)
        return wefti_list_copy(value);
    if (value.kind == WEFT_TUPLE)
        return wefti_tuple_copy(value);
    if (value.kind == WEFT_DICT)
        return wefti_dict_copy(value);
    weft_value arguments = weft_keep(weft_object_arguments(value)), state = weft_keep(weft_object_state(value));
    weft_value copy = weft_object(weft_object_name(value), arguments, state);
    if (weft_is_error(copy))
        weft_drop(arguments), weft_drop(state);
    return copy;
}

static int dict_put(weft_value copied, weft_value copy, size_t entry, weft_value item)
{
    const struct wefti_dict *dict = wefti_handle_object(copied);
    weft_value key = weft_keep(dict->entries[entry].key);
    if (weft_dict_set(copy, key, item) == 0)
        return 0;
    int error = errno;
    weft_drop(key), weft_drop(item);
    errno = error;
    return -1;
}

int wefti_recursive_put(weft_value copied, weft_value copy, size_t at, weft_value item)
{
    if (copied.kind == WEFT_DICT)
        return dict_put(copied, copy, (at - 1) / 2, item);
    struct wefti_array *array = wefti_handle_object(copy);
    weft_value before = wefti_container_release(&array->container, array->items[at - 1]);
    array->items[at - 1] = wefti_container_adopt(&array->container, wefti_value_take(item));
    weft_drop(before);
    return 0;
}

/* Unfolding. */

/* What became of a container at a level. */
struct done {
    size_t level;    /* 0: of none yet */
    weft_value copy; /* or none: nothing was to be replaced */
};

struct unfolding {
    weft_value container;
    size_t things;
    struct wefti_walk walk; /* a frame's partner is the copy, or none */
    struct wefti_seen seen;
    void *done;  /* of struct done, by number */
    size_t room; /* of them */
};

/* Of what lies in the innermost frame: how many levels up the container is from there. */
static size_t level_inside(const struct unfolding *unfolding)
{
    return unfolding->walk.depth + 1;
}

static struct done *done_find(struct unfolding *unfolding, weft_value value)
{
    bool fresh;
    return wefti_seen_record(&unfolding->seen, wefti_handle_object(value), &unfolding->done, &unfolding->room, sizeof(struct done), &fresh);
}

/* What lies in the innermost frame, or is the item: 1 when *put is to replace it; or it is gone into, or nothing. */
static int unfold_come_to(struct unfolding *unfolding, weft_value item, weft_value *put)
{
    size_t level = level_inside(unfolding);
    unfolding->things++;
    if (item.kind == WEFT_ABOVE && item.as.integer == (int64_t)level) {
        *put = weft_keep(unfolding->container);
        return 1;
    }
    if (!wefti_recursive_kind(item) || !wefti_item_recursive(item))
        return 0;
    struct done *done = done_find(unfolding, item);
    unfolding->things += CONTAINER_THINGS;
    if (!done || unfolding->things >= THINGS_MOST) {
        errno = done ? EMSGSIZE : ENOMEM;
        return -1;
    }
    if (done->level != level)
        return wefti_walk_enter(&unfolding->walk, item, weft_none);
    *put = weft_keep(done->copy);
    return !weft_is_none(done->copy);
}

/* What the copy weighs once all is in it: managers compare by that. */
static void copy_weigh(weft_value copy)
{
    weft_value item;
    uint32_t weight = 1U << WEFTI_DEPTH_BITS | 1;
    for (size_t at = 0; wefti_container_next(copy, &at, &item);)
        weight = wefti_weight_add(weight, item);
    ((struct wefti_container *)wefti_handle_object(copy))->weight = weight;
}

/* Out of the innermost frame. 1 when there is a copy of it, through *put. */
static int unfold_leave(struct unfolding *unfolding, weft_value *put)
{
    struct wefti_frame frame = *wefti_walk_top(&unfolding->walk);
    struct done *done = done_find(unfolding, frame.container);
    wefti_walk_leave(&unfolding->walk);
    if (!done) {
        weft_drop(frame.partner);
        return -1;
    }
    if (!weft_is_none(frame.partner))
        copy_weigh(frame.partner);
    weft_drop(done->copy);
    *done = (struct done){.level = level_inside(unfolding), .copy = weft_keep(frame.partner)};
    *put = frame.partner;
    return !weft_is_none(frame.partner);
}

/* Into the frame's copy, which is made if there is none yet; the value is given away. */
static int frame_put(struct wefti_frame *frame, weft_value value)
{
    if (weft_is_none(frame->partner)) {
        weft_value copy = wefti_recursive_copy(frame->container);
        if (weft_is_error(copy)) {
            weft_drop(value);
            return -1;
        }
        frame->partner = copy;
    }
    return wefti_recursive_put(frame->container, frame->partner, frame->at, value);
}

static int item_unfold(struct unfolding *unfolding, weft_value item, weft_value *unfolded)
{
    int result = unfold_come_to(unfolding, item, unfolded);
    for (struct wefti_frame *top; result >= 0 && (top = wefti_walk_top(&unfolding->walk));) {
        if (!wefti_container_next(top->container, &top->at, &item)) {
            result = unfold_leave(unfolding, unfolded);
            top = wefti_walk_top(&unfolding->walk);
        } else {
            result = unfold_come_to(unfolding, item, unfolded);
        }
        if (result == 1 && top)
            result = frame_put(top, *unfolded);
    }
    return result;
}

static void unfolding_begin(struct unfolding *unfolding, weft_value container)
{
    *unfolding = (struct unfolding){.container = container};
    wefti_walk_begin(&unfolding->walk);
}

/* Keeps errno. */
static void unfolding_end(struct unfolding *unfolding)
{
    int error = errno;
    for (struct wefti_frame *frame; (frame = wefti_walk_top(&unfolding->walk)); wefti_walk_leave(&unfolding->walk))
        weft_drop(frame->partner);
    for (size_t i = 0; i < unfolding->seen.count; i++)
        weft_drop(((struct done *)unfolding->done)[i].copy);
    wefti_release(unfolding->done);
    wefti_walk_end(&unfolding->walk);
    wefti_seen_end(&unfolding->seen);
    errno = error;
}

weft_value weft_unfold(weft_value container, weft_value item)
{
    weft_value unfolded;
    struct unfolding unfolding;
    if (!wefti_recursive_kind(container) || !wefti_item_recursive(item))
        return weft_keep(item);
    unfolding_begin(&unfolding, container);
    int result = item_unfold(&unfolding, item, &unfolded);
    unfolding_end(&unfolding);
    return result < 0 ? wefti_value_failed(errno) : result ? unfolded : weft_keep(item);
}

/* What several items lead to is gone through once for all of them. */
int wefti_recursive_unfold(weft_value value, weft_value copy)
{
    size_t at = 0;
    weft_value item, unfolded;
    struct unfolding unfolding;
    if (!wefti_recursive_kind(value) || !wefti_item_recursive(value))
        return 0;
    unfolding_begin(&unfolding, value);
    int result = 0;
    while (result >= 0 && wefti_container_next(value, &at, &item)) {
        result = item_unfold(&unfolding, item, &unfolded);
        if (result == 1)
            result = wefti_recursive_put(value, copy, at, unfolded);
    }
    unfolding_end(&unfolding);
    return result < 0 ? -1 : 0;
}

weft_value wefti_recursive_items(weft_value value)
{
    weft_value list = weft_list(), item;
    for (size_t at = 0; !weft_is_error(list) && wefti_container_next(value, &at, &item);) {
        item = weft_keep(item);
        if (weft_list_append(list, item) == 0)
            continue;
        weft_drop(item), weft_drop(list);
        return wefti_value_failed(ENOMEM);
    }
    if (weft_is_error(list) || wefti_recursive_unfold(value, list) == 0)
        return list;
    int error = errno;
    weft_drop(list);
    return wefti_value_failed(error);
}
