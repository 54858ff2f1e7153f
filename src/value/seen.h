/* SPDX-License-Identifier: MIT */
/* Objects that a writer has met, by address, with a number for each: open addressing, at most half full. All-zero is empty. */
#ifndef WEFTI_SEEN_H
#define WEFTI_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wefti_seen_place {
    const void *object; /* NULL: none yet. Who fills it in raises `count` */
    uint64_t number;
};

struct wefti_seen {
    struct wefti_seen_place *places;
    size_t mask, count;
};

/* Where an object's number stands, or is to stand, until the next call; NULL with ENOMEM. */
struct wefti_seen_place *wefti_seen_place(struct wefti_seen *seen, const void *object);
/*
 * The record of `each` octets that an object has in *records, an array of *room, which grows by this alone: the object's number is its
 * place there. A new one is zeroed, *fresh then. Until the next call; NULL with ENOMEM. The array is the caller's, to wefti_release.
 */
void *wefti_seen_record(struct wefti_seen *seen, const void *object, void **records, size_t *room, size_t each, bool *fresh);
/* Gives its memory back. */
void wefti_seen_end(struct wefti_seen *seen);

#endif
