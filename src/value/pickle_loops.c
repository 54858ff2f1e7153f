/* SPDX-License-Identifier: MIT */
/*
 * What a pickle makes that lies in itself. Lists and dicts that may are noted when something comes into them; there may be cycles from then
 * on, of ordinary holds, which only the reader has. At the end all is folded (fold.c) and weighed once more, as the weights of what grew
 * where it lay were not known, and what was noted is emptied, whatever came of the rest: that ends the cycles.
 */

#include "value/pickle_reader.h"

#include "value/recursive.h"
#include "value/seen.h"

int wefti_reader_loop(struct wefti_reader *reader, weft_value value)
{
    struct wefti_container *container = wefti_container_of(value);
    if (container->head.more & WEFTI_LOOPING)
        return 1;
    weft_value *place = wefti_reader_place(reader, &reader->looping, sizeof(*place), SIZE_MAX, "");
    if (!place)
        return -1;
    *place = wefti_value_keep_unseen(value);
    container->head.more |= WEFTI_LOOPING;
    return 1;
}

/* The weight of a container whose items have theirs, once more. */
static int weigh_again(struct wefti_reader *reader, weft_value value)
{
    uint32_t *weight = &wefti_container_of(value)->weight;
    size_t at = 0;
    weft_value item;
    *weight = 1U << WEFTI_DEPTH_BITS | 1;
    while (wefti_container_next(value, &at, &item))
        if (wefti_reader_weigh(reader, weight, item) != 0)
            return -1;
    return 0;
}

/* All weights once more: those of the innermost first, of each container once. */
static int weigh_finished(struct wefti_reader *reader, weft_value value)
{
    struct wefti_walk walk;
    struct wefti_seen seen = {0};
    wefti_walk_begin(&walk);
    int result = wefti_container_of(value) ? wefti_walk_enter(&walk, value, weft_none) : 0;
    for (struct wefti_frame *top; result == 0 && (top = wefti_walk_top(&walk));) {
        weft_value item;
        if (!wefti_container_next(top->container, &top->at, &item)) {
            result = weigh_again(reader, top->container);
            wefti_walk_leave(&walk);
            continue;
        }
        struct wefti_container *container = wefti_container_of(item);
        struct wefti_seen_place *place = container ? wefti_seen_place(&seen, container) : NULL;
        if (!container || (place && place->object))
            continue;
        if (!place || wefti_walk_enter(&walk, item, weft_none) != 0) {
            result = wefti_reader_refuse_memory(reader);
            break;
        }
        place->object = container;
        seen.count++;
    }
    wefti_walk_end(&walk);
    wefti_seen_end(&seen);
    return result;
}

size_t wefti_reader_budget(const struct wefti_reader *reader)
{
    size_t length = (size_t)(reader->end - reader->begin), most = (SIZE_MAX - reader->limits.base) / reader->limits.factor;
    return reader->limits.base + reader->limits.factor * (length < most ? length : most);
}

static int spend(void *data, size_t octets, size_t things)
{
    struct wefti_reader *reader = data;
    if (things > reader->steps)
        return wefti_reader_refuse(
            reader, EMSGSIZE, "the values of a pickle of %zu octets lie in themselves too often", (size_t)(reader->end - reader->begin));
    reader->steps -= things;
    return wefti_reader_charge(reader, octets);
}

int wefti_reader_unloop(struct wefti_reader *reader, weft_value *value)
{
    *reader->reason->text = 0;
    reader->budget = 2 * wefti_reader_budget(reader);
    weft_value folded = wefti_fold(*value, reader->limits.depth, spend, reader);
    if (weft_is_error(folded) && !weft_is_error(*value)) {
        if (errno == EINVAL)
            wefti_reader_refuse_recursive(reader, WEFT_OBJECT);
        else if (errno == E2BIG)
            wefti_reader_refuse_depth(reader);
        else if (!*reader->reason->text)
            wefti_reader_refuse_memory(reader);
        return -1;
    }
    wefti_value_drop_unseen(*value);
    *value = folded;
    return weigh_finished(reader, folded);
}

void wefti_reader_loops_end(struct wefti_reader *reader)
{
    const weft_value *looping = reader->looping.items;
    for (size_t i = 0; i < reader->looping.count; i++)
        wefti_unloop(looping[i]);
    for (size_t i = 0; i < reader->looping.count; i++)
        wefti_value_drop_unseen(looping[i]);
    wefti_release(reader->looping.items);
}
