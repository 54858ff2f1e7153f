/* SPDX-License-Identifier: MIT */
/*
 * What the floors above `value` may use besides <weft/value.h>: taking a value over, and walking what containers hold.
 *
 * Checked builds (-Dvalue_checks=enabled, which debug builds have by default) catch a value that is used, dropped or given away after its
 * holder gave it away or dropped it. There, and only there, the library ends the process for a caller's mistake: one line on standard
 * error names the misuse, the kind and the call that had closed the hold, and abort() follows. Release builds carry none of it.
 */
#ifndef WEFTI_VALUE_H
#define WEFTI_VALUE_H

#include <weft/value.h>

/*
 * weft_value wefti_value_take(weft_value value): the moment at which a taker (put, append, submit ...) has succeeded and the value is its
 * own. The taker goes on with what this returns, and no longer uses what it was given. Never fails. For a value that is held, never for a
 * borrowed one.
 */
#ifdef WEFTI_VALUE_CHECKS
weft_value wefti_value_take_by(weft_value value, const char *taker);
#define wefti_value_take(value_) wefti_value_take_by((value_), __func__)
#else
static inline weft_value wefti_value_take(weft_value value)
{
    return value;
}
#endif

/*
 * Bytes that are still being filled, and that nobody else holds: makes *value, which is none or what an earlier call made of it, hold
 * `length` octets, those that were there being kept as far as they fit, and gives where they lie. NULL with ENOMEM, *value being as it was.
 */
char *wefti_bytes_resize(weft_value *value, size_t length);

/*
 * As weft_repr, but no more work than filling `size` octets (one at least): a value of forty lists, each of which holds the next twice,
 * would be printed for years. Gives how many there are before the zero.
 */
size_t wefti_repr_begin(weft_value value, char *buffer, size_t size);

/*
 * The next thing that a container holds, borrowed, through *item; a dict gives its keys and items in turn: key, item, key, item; an object
 * its name, arguments and state.
 * `*at` begins as 0 and is this function's. False at the end, and for what is no container.
 */
bool wefti_container_next(weft_value container, size_t *at, weft_value *item);

/*
 * A walk into nested containers without recursion: a stack of the containers that one is in. Nothing is allocated for the first few
 * levels. `partner` is for those who walk two alike at once.
 */
#ifdef WEFTI_SMALL
enum { WEFTI_WALK_FIRST = 2 };
#else
enum { WEFTI_WALK_FIRST = 16 };
#endif

struct wefti_frame {
    weft_value container;
    weft_value partner;
    size_t at; /* for wefti_container_next, or of the walker's own meaning */
};

struct wefti_walk {
    size_t depth;
    size_t room;
    struct wefti_frame *frames; /* first, or allocated */
    struct wefti_frame first[WEFTI_WALK_FIRST];
};

void wefti_walk_begin(struct wefti_walk *walk);
/* Goes into a container. 0; -1 with ENOMEM, and the walk is where it was. */
int wefti_walk_enter(struct wefti_walk *walk, weft_value container, weft_value partner);
/* The innermost frame, until the next enter; NULL when the walk is outside of everything. */
struct wefti_frame *wefti_walk_top(struct wefti_walk *walk);
void wefti_walk_leave(struct wefti_walk *walk);
/* Gives its memory back; the walk may be anywhere. */
void wefti_walk_end(struct wefti_walk *walk);

#endif
