/* SPDX-License-Identifier: MIT */
/*
 * The deadlines of a hub's flows, as a pairing heap: it allocates nothing, adds in two steps, and most that are added are taken out again
 * before they are first (Fredman and others, "The pairing heap", 1986). Equal moments come in the order in which they were added.
 */
#ifndef WEFTI_MOMENTS_H
#define WEFTI_MOMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include <weft/base.h>

struct wefti_moment {
    weft_time at;
    uint64_t number; /* in the order of additions */
    struct wefti_moment *child;
    struct wefti_moment *next;     /* sibling */
    struct wefti_moment *previous; /* sibling, or the parent of a first child; the root's is itself; NULL: in no heap */
};

struct wefti_moments {
    struct wefti_moment *first;
    uint64_t added;
};

static inline bool moment_before(const struct wefti_moment *one, const struct wefti_moment *other)
{
    return one->at != other->at ? one->at < other->at : one->number < other->number;
}

/* Makes the later of two roots the first child of the other, which is returned. */
static inline struct wefti_moment *moment_join(struct wefti_moment *one, struct wefti_moment *other)
{
    if (!one || !other)
        return one ? one : other;
    struct wefti_moment *root = moment_before(other, one) ? other : one;
    struct wefti_moment *child = root == one ? other : one;
    child->next = root->child;
    child->previous = root;
    if (root->child)
        root->child->previous = child;
    root->child = child;
    return root;
}

/* One root of the children of one that goes: in pairs from the left, then these together from the right. */
static inline struct wefti_moment *moment_gather(struct wefti_moment *children)
{
    struct wefti_moment *pairs = NULL, *root = NULL;
    while (children) {
        struct wefti_moment *one = children, *other = one->next;
        children = other ? other->next : NULL;
        one->next = NULL;
        if (other)
            other->next = NULL;
        one = moment_join(one, other);
        one->next = pairs;
        pairs = one;
    }
    while (pairs) {
        struct wefti_moment *one = pairs;
        pairs = one->next;
        one->next = NULL;
        root = moment_join(root, one);
    }
    return root;
}

static inline void moments_root(struct wefti_moments *moments, struct wefti_moment *root)
{
    moments->first = root;
    if (root) {
        root->next = NULL;
        root->previous = root;
    }
}

static inline void wefti_moments_add(struct wefti_moments *moments, struct wefti_moment *moment, weft_time at)
{
    *moment = (struct wefti_moment){.at = at, .number = moments->added++};
    moments_root(moments, moment_join(moments->first, moment));
}

static inline bool wefti_moment_added(const struct wefti_moment *moment)
{
    return moment->previous != NULL;
}

static inline void wefti_moments_remove(struct wefti_moments *moments, struct wefti_moment *moment)
{
    struct wefti_moment *rest = moment_gather(moment->child);
    if (moments->first == moment) {
        moments_root(moments, rest);
    } else {
        bool eldest = moment->previous->child == moment;
        *(eldest ? &moment->previous->child : &moment->previous->next) = moment->next;
        if (moment->next)
            moment->next->previous = moment->previous;
        moments_root(moments, moment_join(moments->first, rest));
    }
    moment->child = moment->next = moment->previous = NULL;
}

#endif
