/* SPDX-License-Identifier: MIT */
/* Reports of hubs that are kept busy; see blocked.c. */
#ifndef WEFTI_BLOCKED_H
#define WEFTI_BLOCKED_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base.h>

struct wefti_hub;

/* What the watcher knows of a hub; the list's, in every hub, whether one watches or not. */
struct wefti_stall {
    struct wefti_hub *next, *previous;
    uint64_t progress; /* as it was last seen */
    weft_time since;   /* when it was first seen like that */
    unsigned times;    /* that it was seen like that */
    bool counted;      /* among those that were left out so far */
    bool told;
};

/* A hub begins; starts the watcher, if it is wanted and does not run. */
void wefti_blocked_add(struct wefti_hub *hub);
/* It is about to end. */
void wefti_blocked_remove(struct wefti_hub *hub);
/* In a forked child, whose only hub that is, or NULL. There is no watcher. */
void wefti_blocked_forked(struct wefti_hub *hub);

#endif
