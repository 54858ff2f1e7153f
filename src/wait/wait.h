/* SPDX-License-Identifier: MIT */
/*
 * What the floors above may use besides weft_wait and weft_wake: waiting without a spin or for several things at once, the number that
 * locks know their owner by, shields.
 */
#ifndef WEFTI_WAIT_H
#define WEFTI_WAIT_H

#include <weft/wait.h>

struct wefti_wait;

enum wefti_item_kind {
    WEFTI_WORD,        /* ends when woken by weft_wake(word), or when *word != expected; a word of the arena becomes a WEFTI_KERNEL_WORD */
    WEFTI_DESCRIPTOR,  /* ends when poll(2) would report something of `events`, or an error */
    WEFTI_KERNEL_WORD, /* as WEFTI_WORD, but who wakes it is the kernel or another process, by a futex that is not private */
    WEFTI_NOTHING      /* never ends a wait */
};

enum { WEFTI_SEEN_WOKEN = 1, WEFTI_SEEN_CHANGED = 2 };

/*
 * What is to be done with a descriptor as soon as it has what is waited for: octets are received. Some carriers have the kernel do that in
 * the same step, and `done` says so, whatever ended the wait; others only wait. Lives on the waiter's stack.
 */
struct wefti_transfer {
    void *octets;
    size_t size;
    long result; /* out: as recv(2) returns it, or an errno number below 0 */
    bool done;   /* out */
    bool begun;  /* the kernel has it; the carrier's, as the next */
    bool left;   /* the waiter goes on by itself */
};

/* One thing of several that are waited for; lives on the waiter's stack. */
struct wefti_item {
    enum wefti_item_kind kind;
    int descriptor;
    union {
        const uint32_t *word;
        struct wefti_transfer *transfer; /* of a descriptor that Weft opened (opened.h), or NULL */
    };
    uint32_t expected;
    short events;
    /* out: the poll events that came; of a kernel word one of the two below; 0 of a WEFTI_WORD, and of what did not end the wait */
    short seen;
    /* The parking lot's while the wait lasts. */
    struct wefti_wait *wait;
    struct wefti_item *next, *previous;
    uint32_t number; /* among the items of the wait */
    bool queued;     /* guarded by the bucket's latch */
    bool rings;      /* a kernel word that the waiter's own hub has the kernel watch (coroutine/backend.h) */
    bool tried;      /* of a descriptor that Weft opened (opened.h): what is waited for has just been tried, and would have blocked */
};

/*
 * Waits until one of the items ends, or the deadline. Returns the index of an item that ended (every descriptor that is ready has its
 * `seen`), or -1 with EAGAIN (WEFT_NOW), ETIMEDOUT, ECANCELED, and with descriptors ENOMEM (more than 16 of them) or EMFILE (no doorbell
 * could be made for this thread). Kernel words: at most 32, else EINVAL; beside descriptors also ENOMEM when no thread could be started
 * that watches them. Spurious returns happen: look again. No items is a sleep.
 */
int wefti_wait_items(struct wefti_item *items, unsigned count, weft_time deadline);
/* The same for items that lie `stride` octets apart; without descriptors it spins before it sleeps, as weft_wait does. */
int wefti_wait_strided(struct wefti_item *items, unsigned count, size_t stride, weft_time deadline);

/*
 * weft_wait for a caller that has spun already: it sleeps at once. Tells two of its returns apart: 0 when a weft_wake counted this waiter,
 * 1 when the word had changed before it slept.
 */
int wefti_wait_quiet(const uint32_t *word, uint32_t expected, weft_time deadline);

/* What weft_wait does before it sleeps: looks at the word for a moment, if that has paid lately. True when it is no longer `expected`. So
 * who changes the word need be told that he is to wake somebody only by those who will sleep. */
bool wefti_wait_spin(const uint32_t *word, uint32_t expected, weft_time deadline);

/* Whether this process may use more than one processor, so that a spin can pay at all; as it was when the library was loaded. */
bool wefti_many_processors(void);

/* Whether the caller may spin for what another processor does: not where it holds up coroutines that it may be waiting for. */
bool wefti_may_spin(void);

/* The number by which locks know their owner: of the current context, never 0, below 2^29; it stays while the context lives. */
uint32_t wefti_ident(void);

/*
 * The earlier of a deadline and that of the block of weft_deadline that the caller is in; WEFT_NOW stays what it is. A wait finds that out
 * by itself: this is for who compares deadlines, or tells from ETIMEDOUT that his own has come.
 */
weft_time wefti_deadline(weft_time deadline);

/* While raised (they nest), waits of the current context are not ended by cancellation, nor by weft_deadline around it. */
void wefti_shield_raise(void);
void wefti_shield_lower(void);

/* Lets others run. */
void wefti_yield(void);

/* How many forks lie between the first process and this one: what was made under another number is a parent's. Written in forked children,
 * before their forks return. */
extern uint32_t wefti_forks;

#endif
