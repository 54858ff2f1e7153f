/* SPDX-License-Identifier: MIT */
/* Objects that a writer has met, by address, with a number for each: open addressing, at most half full. All-zero is empty. */
#ifndef WEFTI_SEEN_H
#define WEFTI_SEEN_H

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
/* Gives its memory back. */
void wefti_seen_end(struct wefti_seen *seen);

#endif
