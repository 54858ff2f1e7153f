/* SPDX-License-Identifier: MIT */
/*
 * A flag that tasks wait for.
 *
 * word: bit 0 SET. Bit 1 WAITERS: somebody may sleep on `word`; set by who waits, while it is not SET; cleared by the set, which wakes
 *       them all. Bits 2 to 31 count how often it was set, so that a waiter notices a set that was cleared again before he looked.
 *
 * A set is one compare-and-swap; after it the memory may be gone, and the wake uses its address alone. It is a release, and pairs with
 * the acquire of who finds SET or another count.
 */

#include <weft/event.h>

#include <errno.h>

#include "sync/inside.h"
#include "sync/word.h"
#include "wait/waitable.h"

enum { SET = 1, WAITERS = 2, ONCE = 4, COUNT = ~3 };

int weft_event_wait(weft_event *event, weft_time deadline)
{
    uint32_t word = wefti_word_look(&event->word), began = word & (uint32_t)COUNT;
    while (!(word & SET) && (word & (uint32_t)COUNT) == began) {
        if (deadline <= WEFT_NOW) {
            errno = EAGAIN;
            return -1;
        }
        if (!(word & WAITERS) && !wefti_word_move(&event->word, &word, word | WAITERS))
            continue;
        struct wefti_life *life = wefti_sleep_begin(event, WEFTI_SLEEP_EVENT);
        int waited = weft_wait(&event->word, word | WAITERS, deadline);
        wefti_sleep_end(life);
        if (waited < 0)
            return -1;
        word = wefti_word_look(&event->word);
    }
    return 0;
}

void weft_event_set(weft_event *event)
{
    uint32_t word = wefti_word_look(&event->word);
    do {
        if (word & SET)
            return;
    } while (!wefti_word_give(&event->word, &word, ((word & (uint32_t)COUNT) + ONCE) | SET));
    if (word & WAITERS)
        weft_wake(&event->word, UINT32_MAX);
}

void weft_event_clear(weft_event *event)
{
    uint32_t word = wefti_word_look(&event->word);
    while ((word & SET) && !wefti_word_move(&event->word, &word, word & ~(uint32_t)SET))
        ;
}

bool weft_event_is_set(const weft_event *event)
{
    return wefti_word_look(&event->word) & SET;
}

static int event_case_ready(weft_case *one)
{
    struct wefti_place *place = wefti_case_place(one);
    const weft_event *event = one->object;
    uint32_t word = wefti_word_look(&event->word), count = word & (uint32_t)COUNT;
    if (!place->noted) {
        place->noted = true;
        place->note = count;
    }
    return (word & SET) || count != place->note;
}

static bool event_case_enqueue(weft_case *one, struct wefti_item *item)
{
    weft_event *event = one->object;
    uint32_t word = wefti_word_look(&event->word);
    do {
        if ((word & SET) || (word & (uint32_t)COUNT) != wefti_case_place(one)->note)
            return true;
    } while (!(word & WAITERS) && !wefti_word_move(&event->word, &word, word | WAITERS));
    item->kind = WEFTI_WORD;
    item->word = &event->word;
    item->expected = word | WAITERS;
    return false;
}

static void event_case_dequeue(weft_case *one)
{
    (void)one; /* a set wakes all */
}

static const struct weft_waitable event_waitable = {
    .ready = event_case_ready, .enqueue = event_case_enqueue, .dequeue = event_case_dequeue};

weft_case weft_case_event(weft_event *event)
{
    return (weft_case){.waitable = &event_waitable, .object = event};
}
