/* SPDX-License-Identifier: MIT */
/* What others tell a hub: see inbox.c. */
#ifndef WEFTI_INBOX_H
#define WEFTI_INBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "coroutine/hub.h"

/* The states of the word that are no note. */
#define WEFTI_INBOX_SLEEPS ((struct wefti_note *)1)
#define WEFTI_INBOX_POLLS ((struct wefti_note *)3)
#define WEFTI_INBOX_RINGING ((struct wefti_note *)5)

static inline bool wefti_inbox_move(struct wefti_hub *hub, struct wefti_note *from, struct wefti_note *to)
{
    return __atomic_compare_exchange_n(&hub->inbox, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static inline bool wefti_inbox_has_notes(const struct wefti_hub *hub)
{
    return ((uintptr_t)__atomic_load_n(&hub->inbox, __ATOMIC_RELAXED) & ~(uintptr_t)7) != 0;
}

/* The half of the word that the kernel compares. */
static inline const uint32_t *wefti_inbox_word(struct wefti_hub *hub)
{
    return (const uint32_t *)(const void *)&hub->inbox + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

/* Delivers all notes, in the order in which they came. By the hub's thread, inside. */
void wefti_inbox_empty(struct wefti_hub *hub);

#endif
