/* SPDX-License-Identifier: MIT */
/*
 * The inbox of a hub: a list of notes, of which a flow has two, one for its unpark, one for its kernel words. Each is there at most once: a
 * claim brings one unpark, and a wait for words one note, and the park does not return before it has come.
 *
 * inbox:
 *   NULL      empty
 *   SLEEPS    empty, and the thread sleeps, or is about to, on the lower half of this word
 *   POLLS     empty, and it sleeps in epoll
 *   RINGING   empty; somebody is ringing epoll's bell, and puts his note here afterwards
 *   else      the note that was put in last; each has that before it
 * Who puts in a note does it by compare-and-swap. If he replaces SLEEPS he wakes the word's address, and touches nothing but that address:
 * from the moment when the note was there the flow may go on and end, and the thread and its hub with it. POLLS he replaces by RINGING,
 * rings, and puts in his note last, as the bell has to be open that long. The thread takes all notes at once, but not while it finds
 * RINGING, and moves NULL to SLEEPS or POLLS; both by compare-and-swap, so no note is overlooked. Release of the note's writer, acquire of
 * the thread's taking: what happened before an unpark is seen after the park.
 */

#include "coroutine/inbox.h"

#include <errno.h>
#include <sched.h>

#include "base/futex.h"

void wefti_note_post(struct wefti_note *note)
{
    struct wefti_hub *hub = note->flow->hub;
    const uint32_t *word = wefti_inbox_word(hub);
    for (;;) {
        struct wefti_note *head = __atomic_load_n(&hub->inbox, __ATOMIC_RELAXED);
        if (head == WEFTI_INBOX_POLLS) {
            int error = errno;
            if (wefti_inbox_move(hub, WEFTI_INBOX_POLLS, WEFTI_INBOX_RINGING))
                wefti_descriptors_ring(&hub->descriptors);
            errno = error;
            continue;
        }
        note->next = head == WEFTI_INBOX_SLEEPS || head == WEFTI_INBOX_RINGING ? NULL : head;
        if (!wefti_inbox_move(hub, head, note))
            continue;
        if (head == WEFTI_INBOX_SLEEPS)
            wefti_futex_wake(word, 1);
        return;
    }
}

/* What a note says to its flow; inside. */
static void note_deliver(struct wefti_note *note)
{
    struct wefti_flow *flow = note->flow;
    *(note == &flow->unparked ? &flow->given : &flow->words_got) = true;
    if (flow->parked)
        wefti_flow_ready(flow);
}

/* All notes, the last first; NULL: there are none. Not by a plain exchange: a thread that has just slept may find WEFTI_INBOX_POLLS become
 * WEFTI_INBOX_RINGING. */
static struct wefti_note *inbox_take(struct wefti_hub *hub)
{
    struct wefti_note *note = __atomic_load_n(&hub->inbox, __ATOMIC_RELAXED);
    while (note == WEFTI_INBOX_RINGING || !__atomic_compare_exchange_n(&hub->inbox, &note, NULL, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        if (note == WEFTI_INBOX_RINGING) { /* the ringer is between a system call and his note */
            sched_yield();
            note = __atomic_load_n(&hub->inbox, __ATOMIC_RELAXED);
        }
    return note == WEFTI_INBOX_SLEEPS || note == WEFTI_INBOX_POLLS ? NULL : note;
}

void wefti_inbox_empty(struct wefti_hub *hub)
{
    struct wefti_note *ordered = NULL, *note = inbox_take(hub);
    while (note) {
        struct wefti_note *before = note->next;
        note->next = ordered;
        ordered = note;
        note = before;
    }
    while (ordered) {
        note = ordered;
        ordered = note->next;
        note_deliver(note);
    }
}
