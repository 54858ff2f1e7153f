/* SPDX-License-Identifier: MIT */
/*
 * What a hub sleeps in when its flows wait for descriptors: a back end, chosen when the hub is made. All by the hub's thread.
 *
 * Which descriptors are ready epoll tells with both. It holds no file open for that, whereas io_uring's poll does: a descriptor that
 * somebody closes with close(2) while a coroutine waits for it would stay open, and its peer would hear nothing. What io_uring adds are
 * transfers: what is to be done with a descriptor once it is ready, which the kernel then does in the same step; and sleeps on words that
 * other processes change, for which it needs no thread (words.c).
 */
#ifndef WEFTI_BACKEND_H
#define WEFTI_BACKEND_H

#include <stdbool.h>

#include <weft/base.h>

struct wefti_descriptors;
struct wefti_item;

struct wefti_backend {
    const char *name; /* as WEFT_IO has it */
    /* Loads what it needs beside this library: when a hub is made, on its thread's own stack, as that of a coroutine may be short. */
    void (*load)(void);
    /* Looks what has come, and waits for something until `until` (WEFT_NOW: not at all) or until the bell rings; reports it. */
    void (*look)(struct wefti_descriptors *descriptors, weft_time until);
    /* Begins the item's transfer. False: it cannot, and its descriptor is to be waited for. */
    bool (*begin)(struct wefti_descriptors *descriptors, struct wefti_item *item);
    /* Has the kernel watch the item's word, of a wait that is the item's. False: it cannot. What comes of it, wefti_word_watched is
     * told. */
    bool (*watch)(struct wefti_descriptors *descriptors, struct wefti_item *item);
    /* Comes back when the kernel is done with the item's transfer or word, which may have ended well. The item's wait is not reported. */
    void (*end)(struct wefti_descriptors *descriptors, struct wefti_item *item);
    /* From here on epoll's descriptor becomes readable for all that comes. -1 with errno. */
    int (*lend)(struct wefti_descriptors *descriptors);
    /* What was begun is handed to the kernel now, not with the next look. */
    void (*flush)(struct wefti_descriptors *descriptors);
    /* Gives up what it has, also in a forked child, where the kernel's side of it is the parent's. */
    void (*close)(struct wefti_descriptors *descriptors);
};

extern const struct wefti_backend wefti_backend_epoll __attribute__((visibility("hidden")));
/* NULL where it was not built. */
extern const struct wefti_backend *const wefti_backend_uring __attribute__((visibility("hidden")));

/* The one that WEFT_IO in the environment names; NULL with EINVAL: it names none. One that is not to be had is epoll in its stead. */
const struct wefti_backend *wefti_backend_chosen(void);

/* For back ends (descriptors.c). */

/* Waits for epoll, and reports what it tells. True: there may be more. */
bool wefti_epoll_look(struct wefti_descriptors *descriptors, weft_time until);
/* The kernel is done with a transfer; `result` is an errno number below 0. */
void wefti_descriptors_transferred(struct wefti_descriptors *descriptors, struct wefti_item *item, long result);
/* The kernel watches a word no more: 0 when it was woken, or an errno number below 0 (words.c). */
void wefti_word_watched(struct wefti_descriptors *descriptors, struct wefti_item *item, long result);

#endif
