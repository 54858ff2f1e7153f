/* SPDX-License-Identifier: MIT */
/* Words of other processes and of the kernel, for threads that sleep in ppoll, which can only wait for descriptors. */
#ifndef WEFTI_WATCHER_H
#define WEFTI_WATCHER_H

#include <stdint.h>

/* A word that is watched; on the stack of who sleeps. */
struct wefti_watch {
    const uint32_t *word;
    uint32_t expected;
    int doorbell;    /* rung, as an eventfd, when the word was woken or has changed */
    uint32_t fired;  /* 0, or WEFTI_SEEN_WOKEN or _CHANGED: then it is watched no more. Known once the watch has ended */
    uint64_t serial; /* the watcher's, as the next two */
    void *watcher;
    unsigned place;
};

/* From here on the words are watched. -1 with ENOMEM (also when no thread could be started); nothing is watched then. */
int wefti_watch_begin(struct wefti_watch *watches, unsigned count);
/* No more, and the doorbell will not be rung again. What has fired stands in each. */
void wefti_watch_end(struct wefti_watch *watches, unsigned count);

#endif
