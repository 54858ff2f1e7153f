/* SPDX-License-Identifier: MIT */
/* Where what has ended is put by who ends it, and taken, in that order, by the one who waits for it. */
#ifndef WEFTI_ARRIVALS_H
#define WEFTI_ARRIVALS_H

#include "base/latch.h"
#include <weft/wait.h>

struct wefti_arrival {
    struct wefti_arrival *next;
};

/* All-zero is empty. */
struct wefti_arrivals {
    struct wefti_latch latch; /* of the next two */
    struct wefti_arrival *first, *last;
    uint32_t word; /* changes with each arrival; a word that is waited for */
};

static inline void wefti_arrivals_put(struct wefti_arrivals *arrivals, struct wefti_arrival *arrival)
{
    arrival->next = NULL;
    wefti_latch_close(&arrivals->latch);
    if (arrivals->first)
        arrivals->last->next = arrival;
    else
        arrivals->first = arrival;
    arrivals->last = arrival;
    __atomic_add_fetch(&arrivals->word, 1, __ATOMIC_RELAXED);
    wefti_latch_open(&arrivals->latch);
    weft_wake(&arrivals->word, 1);
}

/* NULL: there is none yet, and none comes before `word` is something else than *seen. */
static inline struct wefti_arrival *wefti_arrivals_take(struct wefti_arrivals *arrivals, uint32_t *seen)
{
    wefti_latch_close(&arrivals->latch);
    *seen = __atomic_load_n(&arrivals->word, __ATOMIC_RELAXED);
    struct wefti_arrival *arrival = arrivals->first;
    if (arrival)
        arrivals->first = arrival->next;
    wefti_latch_open(&arrivals->latch);
    return arrival;
}

#endif
