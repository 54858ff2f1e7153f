/* SPDX-License-Identifier: MIT */
/*
 * Bids: what those have left who wait at a queue without room in the arena. They are the entries of a table, which grows and never shrinks.
 *
 * bid.word: state (bits 0 to 2), the owner's life (3 to 31), his turn (32 to 61).
 *   FREE    nobody's
 *   GIVES   the value in its cell waits for a getter. Owner 0: its putter has gone, having put it; it is the next to be taken
 *   TAKES   its owner waits for a value
 *   FILLED  the value in its cell is the owner's, who is about to take it out
 *   ORPHAN  nobody's, and to be freed with its value: its owner died before that was taken, or left it because he could not come in
 * Moves: inside the gate; but who mends, outside, makes of a dead one's GIVES an ORPHAN, of his TAKES one FREE, and of his FILLED one GIVES
 * of owner 0, and an owner who cannot come in makes his own an ORPHAN, or his FILLED one GIVES of owner 0, all by compare-and-swap; so
 * those inside move what is another's by compare-and-swap too. Lines and the list of free bids are
 * derived from the words, and `broken` says that they are to be made anew, by who enters next; it is taken back before the words are looked
 * at, so that what is moved meanwhile is said again.
 *
 * gate.pending: the bid and what is being done to it.
 *   LAY    its owner lays a value with a block into a FREE bid. The word says whether he has
 *   FILL   a putter lays his value into another's TAKES and makes the other's meeting DONE, then the bid FILLED. If he dies in between the
 *          sweep does that last store. An ORPHAN's owner has gone, with the value or without: its block is the dead one's
 *   TAKE   a getter makes a putter's meeting DONE, then the bid FILLED and his own, or FREE. If he dies in between it becomes GIVES of
 *   owner
 *          0: its put has returned
 *   CLEAR  the value's block leaves the bid, whose word says FREE first
 *   GROW   a part of the table
 * A turn cannot be over while somebody dead owns the gate of one of its bids, as its owner takes each back inside that, unless it was DONE.
 * So the meeting tells whether it was done: it is another turn, or DONE with this bid's number.
 *
 * Memory ordering: cells and lines are written and read inside the gate. A bid's word is stored before `closed` and `broken` are looked at
 * for the last time (sequentially consistent); who stores one of those looks at the bids afterwards. Each of the two sees the other.
 */
#ifndef WEFTI_QUEUE_SHARED_BIDS_H
#define WEFTI_QUEUE_SHARED_BIDS_H

#include "queue/queue_shared.h"
#include "shared/meeting.h"

enum wefti_bid_state { WEFTI_BID_FREE, WEFTI_BID_GIVES, WEFTI_BID_TAKES, WEFTI_BID_FILLED, WEFTI_BID_ORPHAN };
enum wefti_bid_pending { WEFTI_BID_LAY = 1, WEFTI_BID_FILL, WEFTI_BID_TAKE, WEFTI_BID_CLEAR, WEFTI_BID_GROW, WEFTI_BID_WHAT = 15 };
enum { WEFTI_BID_SEGMENTS = 26 };
#ifdef WEFTI_SMALL
enum { WEFTI_FIRST_BIDS = 2 };
#else
enum { WEFTI_FIRST_BIDS = 32 };
#endif

struct wefti_bid {
    uint64_t word;
    uint64_t sequence;       /* of those that wait, the least comes first; constant while it is not FREE, as the next three */
    struct wefti_life *life; /* the owner's; read outside, too */
    uint32_t which;          /* of the cases of his select */
    uint32_t stays;          /* he has no other, and does not step back */
    uint32_t number;         /* constant; its place in the table, from 1 */
    uint32_t next, previous; /* numbers of others, or 0; derived */
    uint32_t reserved[5];
    struct wefti_cell cell;
};

struct wefti_bid_line {
    uint32_t first, last;
};

/* Written inside the gate but for `broken`. */
struct wefti_rendezvous {
    struct wefti_shared_queue shared;
    struct wefti_gate gate;
    uint64_t sequence;
    uint32_t broken;
    uint32_t free;
    struct wefti_bid_line lines[2];        /* by side; looked at outside, too */
    uint64_t segments[WEFTI_BID_SEGMENTS]; /* addresses, or 0; each twice as long as the one before */
};

enum wefti_bid_side { WEFTI_GIVERS, WEFTI_TAKERS };

static inline uint64_t wefti_bid_word(enum wefti_bid_state state, uint32_t owner, uint32_t turn)
{
    return (uint64_t)state | (uint64_t)owner << 3 | (uint64_t)turn << 32;
}

static inline enum wefti_bid_state wefti_bid_state(uint64_t word)
{
    return (enum wefti_bid_state)(word & 7);
}

static inline uint32_t wefti_bid_owner(uint64_t word)
{
    return (uint32_t)word >> 3;
}

static inline uint32_t wefti_bid_turn(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

static inline uint64_t wefti_bid_look(const struct wefti_bid *bid)
{
    return __atomic_load_n(&bid->word, __ATOMIC_ACQUIRE);
}

static inline void wefti_bid_put(struct wefti_bid *bid, uint64_t word)
{
    __atomic_store_n(&bid->word, word, __ATOMIC_SEQ_CST);
}

static inline bool wefti_bid_move(struct wefti_bid *bid, uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(&bid->word, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static inline bool wefti_bid_waits(uint64_t word)
{
    return wefti_bid_state(word) == WEFTI_BID_GIVES || wefti_bid_state(word) == WEFTI_BID_TAKES;
}

static inline void wefti_cargo_discard(struct wefti_cargo *cargo)
{
    if (cargo)
        wefti_block_discard(cargo);
}

struct wefti_bid *wefti_bid_at(const struct wefti_rendezvous *meets, uint32_t number);
/* All bids, one after another: that after number `number`, from 0; NULL at the end. */
struct wefti_bid *wefti_bid_after(const struct wefti_rendezvous *meets, uint32_t number);

/* Inside, first of all: the lists are whole after it. */
void wefti_bids_rebuild(struct wefti_rendezvous *meets);
static inline void wefti_bids_whole(struct wefti_rendezvous *meets)
{
    if (__builtin_expect(__atomic_load_n(&meets->broken, __ATOMIC_ACQUIRE) != 0, 0))
        wefti_bids_rebuild(meets);
}

/* A FREE bid, on no list any more; NULL: no memory. Inside, as the four that follow. */
struct wefti_bid *wefti_bid_new(struct wefti_rendezvous *meets);
/* It joins a line, at its sequence, or leaves it. */
void wefti_bid_enter(struct wefti_rendezvous *meets, struct wefti_bid_line *line, struct wefti_bid *bid);
void wefti_bid_leave(struct wefti_rendezvous *meets, struct wefti_bid_line *line, struct wefti_bid *bid);
/* The bid, which is in no line, becomes FREE. The block of its value, in the caller's hands, or NULL. */
struct wefti_cargo *wefti_bid_clear(struct wefti_rendezvous *meets, struct wefti_bid *bid);
/* A FREE one goes onto the list of those. */
void wefti_bid_release(struct wefti_rendezvous *meets, struct wefti_bid *bid);

/* Lets all who wait look again. By anybody, outside too. */
void wefti_bids_again(const struct wefti_rendezvous *meets);
/* The lists are of no account any more, and whoever waits may have been brought something. By anybody. */
void wefti_bids_break(struct wefti_rendezvous *meets);
/* Does this with the blocks of the table and of its values. Nobody uses the queue any more. */
void wefti_bids_blocks(const struct wefti_rendezvous *meets, wefti_queue_step *step, uint16_t member);

/* What the kind of queue has to do at a death: wefti_shared_kind. */
void wefti_rendezvous_settle(struct wefti_shared_queue *queue, struct wefti_gate *gate, uint16_t dead);
void wefti_rendezvous_mend(struct wefti_shared_queue *queue, uint32_t dead);

#endif
