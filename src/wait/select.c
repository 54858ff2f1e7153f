/* SPDX-License-Identifier: MIT */
/*
 * Select: waiting for the first of several operations that can be done.
 *
 * No wake is lost: a case is looked at again after its enqueue, and enqueue has told which value of the word belongs to "not ready"; whoever makes it
 * ready after that changes the word first and wakes then. A wake that reaches select for a case which it does not do is passed on by dequeue.
 */

#include <errno.h>

#include "base/memory.h"
#include "wait/context.h"
#include "wait/waitable.h"

enum { FEW = 16, NONE = -2 };

/* The index of a case that is done; -1 with errno when one fails; NONE. */
static int cases_look(const struct wefti_case *cases, unsigned count, unsigned first, unsigned *failed)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned at = (first + i) % count;
        int ready = cases[at].waitable->ready(cases[at].object, cases[at].operation);
        if (ready == 0)
            continue;
        if (ready < 0 && failed)
            *failed = at;
        return ready > 0 ? (int)at : -1;
    }
    return NONE;
}

/* One round: become a waiter of all, look again, sleep, be a waiter no more. */
static int cases_round(
    const struct wefti_case *cases, unsigned count, unsigned first, unsigned *failed, struct wefti_item *items, weft_time deadline)
{
    for (unsigned i = 0; i < count; i++) {
        items[i] = (struct wefti_item){.kind = WEFTI_WORD};
        cases[i].waitable->enqueue(cases[i].object, cases[i].operation, &items[i]);
    }
    int woken = NONE, error = 0;
    int done = cases_look(cases, count, first, failed);
    if (done == NONE) {
        woken = wefti_wait_items(items, count, deadline);
        error = errno;
        /* The case that the wake was meant for comes first, so that wakes are passed on rarely; a deadline is no reason to leave what is there. */
        done = cases_look(cases, count, woken >= 0 ? (unsigned)woken : first, failed);
    }
    if (done == -1)
        error = errno;
    for (unsigned i = 0; i < count; i++)
        cases[i].waitable->dequeue(cases[i].object, cases[i].operation, (int)i == woken && done != woken);
    errno = error;
    return done == NONE && woken == -1 ? -1 : done;
}

int wefti_select(const struct wefti_case *cases, unsigned count, unsigned *failed, weft_time deadline)
{
    if (count == 0) {
        errno = EINVAL;
        return -1;
    }
    static __thread unsigned turn;
    unsigned first = turn++ % count;
    int done = cases_look(cases, count, first, failed);
    if (done != NONE)
        return done;
    if (deadline <= WEFT_NOW) {
        errno = EAGAIN;
        return -1;
    }
    struct wefti_item few[FEW];
    struct wefti_item *items = count <= FEW ? few : wefti_alloc_raw(count * sizeof(*items));
    if (!items)
        return -1;
    while (done == NONE)
        done = cases_round(cases, count, first, failed, items, deadline);
    if (items != few)
        wefti_release(items);
    return done;
}
