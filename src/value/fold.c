/* SPDX-License-Identifier: MIT */
/*
 * Cycles become references upwards. The graph is walked from the outermost container on; what is met again while one is inside of it is a
 * reference to that level, all else is gone into. So a part that several lead to, and that refers upwards, may have to look different from
 * each. It is made once for all of them where it looks the same: where it lies as deep, and the levels that it refers to are those that
 * they were. To tell that without comparing paths, each moment of the walk has a number: a level that one has been inside of since before
 * a part was made is one that the part was made in.
 *
 * A value that has references upwards already is a graph, too, whose parts may have been put into several places, where the references mean
 * different things: then there are as many parts in what comes of it.
 *
 * How much comes of a graph in which everything leads to everything grows as fast as the ways through it. The caller bounds it.
 */

#include "value/recursive.h"

#include <string.h>

#include "value/seen.h"

enum { LEVELS_MOST = 1024, WORDS = LEVELS_MOST / 64 };

/* Levels, the outermost being 0. */
struct levels {
    uint64_t words[WORDS];
};

/* A container of the graph. */
struct node {
    weft_value made; /* when it was left last, or none */
    uint64_t begun;  /* when it was gone into then */
    /* The levels that it refers to: one more than the innermost (0: it refers to none), and of the 64 up to that, a bit each. */
    uint64_t window;
    uint32_t end;
    uint32_t level : 30; /* that it was at then, or is at */
    uint32_t wide : 1;   /* it refers to others, too */
    uint32_t inside : 1; /* the walk is inside of it */
};
enum { NODE_COSTS = sizeof(struct node) + 4 * sizeof(struct wefti_seen_place) };

struct frame {
    weft_value container;
    size_t tuples;   /* so many levels, this one and those outside of it, are tuples */
    weft_value copy; /* or none */
    size_t at;
    size_t node;
    uint64_t begun;
    struct levels above;
};

struct folding {
    wefti_recursive_spend *spend;
    void *data;
    uint64_t moment;
    struct wefti_seen seen;
    void *nodes; /* of struct node, by number */
    size_t room; /* of them */
    struct frame *frames;
    size_t depth, most, frames_room;
};

static bool levels_has(const struct levels *levels, size_t level)
{
    return levels->words[level / 64] >> level % 64 & 1;
}

static void levels_set(struct levels *levels, size_t level)
{
    levels->words[level / 64] |= UINT64_C(1) << level % 64;
}

/* One more than the innermost of them; 0: there are none. */
static size_t levels_end(const struct levels *levels)
{
    for (unsigned i = WORDS; i-- > 0;)
        if (levels->words[i])
            return 64 * i + 64 - (size_t)__builtin_clzll(levels->words[i]);
    return 0;
}

/* What has been left refers to: noted, and added to what lies around it. */
static void node_note(struct node *node, const struct levels *above)
{
    node->end = (uint32_t)levels_end(above);
    node->window = 0;
    node->wide = 0;
    for (size_t level = 0; level < node->end; level++)
        if (levels_has(above, level) && node->end - level <= 64)
            node->window |= UINT64_C(1) << (node->end - 1 - level);
        else
            node->wide |= levels_has(above, level);
}

static void levels_add_node(struct levels *levels, const struct node *node)
{
    for (uint64_t left = node->window; left; left &= left - 1)
        levels_set(levels, node->end - 1 - (size_t)__builtin_ctzll(left));
}

static struct node *node_find(struct folding *folding, weft_value value)
{
    bool fresh;
    struct node *node =
        wefti_seen_record(&folding->seen, wefti_handle_object(value), &folding->nodes, &folding->room, sizeof(*node), &fresh);
    return fresh && folding->spend(folding->data, NODE_COSTS, 0) != 0 ? NULL : node;
}

/* The nodes, in the order in which they were met. */
static struct node *node_at(const struct folding *folding, size_t number)
{
    return (struct node *)folding->nodes + number;
}

static int fold_fail(int error)
{
    errno = error;
    return -1;
}

/* Copies. */

static int copy_have(struct folding *folding, struct frame *frame)
{
    if (!weft_is_none(frame->copy))
        return 0;
    if (folding->spend(folding->data, wefti_recursive_octets(frame->container), 0) != 0)
        return -1;
    weft_value copy = wefti_recursive_copy(frame->container);
    if (weft_is_error(copy))
        return -1;
    frame->copy = copy;
    return 0;
}

/* In the place that the innermost frame came to last. The item is given away. */
static int fold_put(struct folding *folding, weft_value item)
{
    struct frame *top = &folding->frames[folding->depth - 1];
    if (copy_have(folding, top) == 0)
        return wefti_recursive_put(top->container, top->copy, top->at, item);
    weft_drop(item);
    return -1;
}

/* The walk. */

/* Whether the node, as it was made last, is what would be made of it here. */
static bool looks_the_same(const struct folding *folding, const struct node *node)
{
    if (weft_is_none(node->made) || node->end == 0)
        return node->end == 0 && !weft_is_none(node->made);
    return !node->wide && node->level == folding->depth && folding->frames[node->end - 1].begun < node->begun;
}

static int fold_enter(struct folding *folding, weft_value value, struct node *node)
{
    if (folding->depth == folding->most)
        return fold_fail(E2BIG);
    if (folding->depth == folding->frames_room) {
        size_t room = folding->frames_room ? 2 * folding->frames_room : 16;
        struct frame *grown = wefti_realloc(folding->frames, room * sizeof(*grown));
        if (!grown)
            return -1;
        folding->frames = grown;
        folding->frames_room = room;
    }
    struct frame *frame = &folding->frames[folding->depth++];
    *frame = (struct frame){.container = value, .node = (size_t)(node - node_at(folding, 0)), .begun = ++folding->moment};
    frame->tuples = value.kind == WEFT_TUPLE ? 1 + (folding->depth > 1 ? frame[-1].tuples : 0) : 0;
    node->level = (uint32_t)(folding->depth - 1) & (LEVELS_MOST - 1);
    node->inside = 1;
    const struct wefti_container *container = wefti_handle_object(value);
    return container->head.more & WEFTI_LOOPING ? copy_have(folding, frame) : 0;
}

/* What the innermost frame, whose place it is in, has instead of the item. */
static int fold_come_to(struct folding *folding, weft_value item)
{
    struct frame *top = &folding->frames[folding->depth - 1];
    if (item.kind == WEFT_ABOVE) {
        if (item.as.integer < 1 || item.as.integer > (int64_t)folding->depth)
            return fold_fail(EDOM);
        if (item.as.integer <= (int64_t)top->tuples) /* nothing of these can be there before all of it is */
            return fold_fail(ELOOP);
        levels_set(&top->above, folding->depth - (size_t)item.as.integer);
        return 0;
    }
    if (!wefti_recursive_kind(item))
        return 0;
    struct node *node = node_find(folding, item);
    if (!node || folding->spend(folding->data, 0, 1) != 0)
        return -1;
    if (node->inside) {
        levels_set(&top->above, node->level);
        return fold_put(folding, weft_above(folding->depth - node->level));
    }
    if (!looks_the_same(folding, node))
        return fold_enter(folding, item, node);
    levels_add_node(&top->above, node);
    bool kept = wefti_handle_object(node->made) == wefti_handle_object(item);
    return kept ? 0 : fold_put(folding, weft_keep(node->made));
}

/* Out of the innermost frame. */
static int fold_leave(struct folding *folding)
{
    struct frame frame = folding->frames[--folding->depth];
    struct node *node = node_at(folding, frame.node);
    bool refers = levels_has(&frame.above, folding->depth);
    frame.above.words[folding->depth / 64] &= ~(UINT64_C(1) << folding->depth % 64);
    bool open = levels_end(&frame.above) > 0;
    if (open && !weft_is_none(node->made) && copy_have(folding, &frame) != 0) /* another than where it meant something else */
        return -1;
    bool copied = !weft_is_none(frame.copy);
    weft_drop(node->made);
    node->made = copied ? frame.copy : weft_keep(frame.container);
    node->begun = frame.begun;
    node->inside = 0;
    node_note(node, &frame.above);
    /* how inert objects are written leaves no room for references through them */
    if ((refers || open) && wefti_object_inert(frame.container))
        return fold_fail(EINVAL);
    if (folding->depth == 0)
        return 0;
    for (unsigned i = 0; i < WORDS; i++)
        folding->frames[folding->depth - 1].above.words[i] |= frame.above.words[i];
    return copied ? fold_put(folding, weft_keep(node->made)) : 0;
}

static int graph_fold(struct folding *folding, weft_value value)
{
    struct node *node = node_find(folding, value);
    int result = node ? fold_enter(folding, value, node) : -1;
    while (result == 0 && folding->depth) {
        struct frame *top = &folding->frames[folding->depth - 1];
        weft_value item;
        if (!wefti_container_next(top->container, &top->at, &item))
            result = fold_leave(folding);
        else if (top->container.kind != WEFT_DICT || top->at % 2 == 0) /* a key holds nothing of the kind */
            result = fold_come_to(folding, item);
    }
    return result;
}

weft_value wefti_fold(weft_value value, size_t depth, wefti_recursive_spend *spend, void *data)
{
    struct folding folding = {.spend = spend, .data = data, .most = depth < LEVELS_MOST ? depth : LEVELS_MOST};
    if (!wefti_recursive_kind(value))
        return weft_keep(value);
    int result = graph_fold(&folding, value), error = errno;
    weft_value made = result == 0 ? weft_keep(node_at(&folding, 0)->made) : wefti_value_failed(error);
    while (folding.depth)
        weft_drop(folding.frames[--folding.depth].copy);
    for (size_t i = 0; i < folding.seen.count; i++)
        weft_drop(node_at(&folding, i)->made);
    wefti_release(folding.frames);
    wefti_release(folding.nodes);
    wefti_seen_end(&folding.seen);
    errno = error;
    return made;
}

void wefti_unloop(weft_value value)
{
    struct wefti_container *container = wefti_handle_object(value);
    struct wefti_array *list = value.kind == WEFT_LIST ? wefti_handle_object(value) : NULL;
    struct wefti_dict *dict = list ? NULL : wefti_handle_object(value);
    for (size_t i = 0; i < (list ? list->length : dict->used); i++) {
        weft_value *place = list ? &list->items[i] : &dict->entries[i].item, item = wefti_container_release(container, *place);
        *place = weft_none;
        weft_drop(item);
    }
}
