/* SPDX-License-Identifier: MIT */
/*
 * Leases: what has been taken from a joinable queue of the arena and is not done yet. Each is a node of a table; the node's word is the
 * truth.
 *
 * node.word: state (bits 0 to 2), life of the taker (3 to 31), how often it was delivered (32 to 47), TELL (48, of a LEASED one): who ends
 * it has to enter the gate.
 *   FREE      nobody's
 *   READING   the taker unpacks its block, outside the gate
 *   LEASED    the taker's, until he or another task of his process says that it is done
 *   RETURNED  its taker died: it is the next to be delivered
 *   LETTER    so many takers died that it was given up
 *   READY     not taken yet: of queues in another order, whose values all lie here
 * Moves: by who is inside the gate, but for three: the taker moves READING to LEASED; he moves his only lease, if it has no block nor TELL,
 * from LEASED to FREE, by compare-and-swap, so who is inside sets TELL by compare-and-swap too; and who mends moves what is a dead taker's,
 * by compare-and-swap, to RETURNED or LETTER, and then says that the lists are `broken`. Who enters next makes them anew from the words. He
 * takes `broken` back first: so what is moved while he looks is said again. What a taker has moved to FREE stays on the list of those that
 * are leased until somebody inside comes across it.
 *
 * A taker has a holding of the queue in his life, from before he takes until nothing is his any more. Its detail counts, and names the node
 * of an only lease without a block.
 */
#ifndef WEFTI_QUEUE_SHARED_NODES_H
#define WEFTI_QUEUE_SHARED_NODES_H

#include "queue/queue_shared.h"

enum wefti_node_state { WEFTI_NODE_FREE, WEFTI_NODE_READING, WEFTI_NODE_LEASED, WEFTI_NODE_RETURNED, WEFTI_NODE_LETTER, WEFTI_NODE_READY };

#define WEFTI_NODE_TELL (UINT64_C(1) << 48)
enum { WEFTI_NODE_SEGMENTS = 26 };
/* Of a taker's holding: the count begins at bit 8 of its detail, the number of his only node at bit 40. */
enum { WEFTI_LEASE_ONE = 256, WEFTI_LEASE_NODE_SHIFT = 40, WEFTI_LEASE_NODES = 1 << 24 };
#ifdef WEFTI_SMALL
enum { WEFTI_FIRST_NODES = 2 };
#else
enum { WEFTI_FIRST_NODES = 64 };
#endif

struct wefti_node {
    uint64_t word;
    uint64_t sequence; /* of the put; constant while it is not FREE */
    uint64_t lease;    /* the order of takings */
    int64_t key;       /* of a READY one */
    uint32_t number;   /* constant; its place in the table, from 1 */
    uint32_t next;     /* number of another, or 0; derived, as the next */
    uint32_t previous;
    uint32_t child;
    uint32_t reserved[4];
    struct wefti_cell cell;
};

/* Written inside the gate but for `broken`. All but `segments` and `broken` is derived from the words of the nodes. */
struct wefti_nodes {
    uint32_t broken;
    uint32_t stack;    /* constant: of READY nodes the last comes first, else the least key, */
    uint32_t natural;  /* constant: then what the values say */
    uint32_t ordered;  /* constant: there are READY ones; what comes back does so in the order in which it was taken */
    uint32_t deaths;   /* constant: a value is given up when so many takers have died */
    uint32_t free;     /* lists, by the number of the first: in no order; */
    uint32_t returned; /* by sequence; */
    uint32_t letters;
    uint32_t leased, leased_last;           /* by lease, linked both ways */
    uint32_t returned_count;                /* read outside, too */
    uint32_t ready;                         /* whatever the kind makes of those: the first */
    uint32_t ready_count;                   /* read outside, too */
    uint64_t held;                          /* nodes that are leased, returned, ready */
    uint64_t leases;                        /* the number of the last */
    uint64_t puts;                          /* the sequence of the last READY one */
    uint64_t segments[WEFTI_NODE_SEGMENTS]; /* addresses, or 0; each twice as long as the one before */
};

static inline uint64_t wefti_node_word(enum wefti_node_state state, uint32_t taker, uint64_t deliveries)
{
    return (uint64_t)state | (uint64_t)taker << 3 | deliveries << 32;
}

static inline enum wefti_node_state wefti_node_state(uint64_t word)
{
    return (enum wefti_node_state)(word & 7);
}

static inline uint32_t wefti_node_taker(uint64_t word)
{
    return (uint32_t)word >> 3;
}

static inline uint64_t wefti_node_deliveries(uint64_t word)
{
    return word >> 32 & 0xffff;
}

static inline uint64_t wefti_node_look(const struct wefti_node *node)
{
    return __atomic_load_n(&node->word, __ATOMIC_ACQUIRE);
}

static inline void wefti_node_put(struct wefti_node *node, uint64_t word)
{
    __atomic_store_n(&node->word, word, __ATOMIC_RELEASE);
}

static inline bool wefti_node_move(struct wefti_node *node, uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(&node->word, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

struct wefti_node *wefti_node_beyond(const struct wefti_nodes *nodes, uint32_t number);
/* By its number; NULL for 0. */
static inline struct wefti_node *wefti_node_at(const struct wefti_nodes *nodes, uint32_t number)
{
    if (number - 1 < WEFTI_FIRST_NODES)
        return (struct wefti_node *)(uintptr_t)__atomic_load_n(&nodes->segments[0], __ATOMIC_ACQUIRE) + number -
               1; /* NOLINT: it was a pointer */
    return number ? wefti_node_beyond(nodes, number) : NULL;
}

/* A READY node joins those; the first leaves them (NULL: there is none). queue_shared_ordered.c; inside. */
void wefti_ready_add(struct wefti_nodes *nodes, struct wefti_node *node);
struct wefti_node *wefti_ready_first(struct wefti_nodes *nodes);

/* Inside, first of all: the lists are whole after it. */
void wefti_nodes_rebuild(struct wefti_nodes *nodes);
static inline void wefti_nodes_whole(struct wefti_nodes *nodes)
{
    if (__builtin_expect(__atomic_load_n(&nodes->broken, __ATOMIC_ACQUIRE) != 0, 0))
        wefti_nodes_rebuild(nodes);
}

/* A FREE node, on no list any more; NULL with ENOMEM. `what` is how the kind calls a pending segment, whose number is then gate.at. Inside,
 * as all that follow. */
struct wefti_node *wefti_node_new(struct wefti_nodes *nodes, struct wefti_gate *gate, unsigned what);
/* The node that was leased last, if it has been done: it need not be moved to be leased again. Else NULL. */
static inline struct wefti_node *wefti_node_again(const struct wefti_nodes *nodes)
{
    struct wefti_node *last = wefti_node_at(nodes, nodes->leased_last);
    return last && wefti_node_state(wefti_node_look(last)) == WEFTI_NODE_FREE ? last : NULL;
}
/* What is done leaves the list of those that are leased; what is not has TELL after this. */
void wefti_nodes_reap(struct wefti_nodes *nodes);
/* A FREE node goes onto the list of those. */
void wefti_node_free(struct wefti_nodes *nodes, struct wefti_node *node);
/* The first of the list of those that came back, or were given up, leaves it; NULL: there is none. */
struct wefti_node *wefti_node_returned(struct wefti_nodes *nodes);
struct wefti_node *wefti_node_letter(struct wefti_nodes *nodes);
/* Puts such a node back where it was. */
void wefti_node_back(struct wefti_nodes *nodes, struct wefti_node *node);
/* It joins those that are leased, or leaves them. */
void wefti_node_lease(struct wefti_nodes *nodes, struct wefti_node *node);
void wefti_node_unlease(struct wefti_nodes *nodes, struct wefti_node *node);
/* What the life has had longest, else what its process has; NULL: nothing. `process`: whether that counts too. */
struct wefti_node *wefti_node_oldest(const struct wefti_nodes *nodes, uint32_t life, bool process);

/* What a dead taker had comes back. By anybody, outside. */
void wefti_nodes_mend(struct wefti_nodes *nodes, uint32_t dead);
/* Does this with the blocks of the table and of its values. Nobody uses the queue any more. */
void wefti_nodes_blocks(const struct wefti_nodes *nodes, wefti_queue_step *step, uint16_t member);

/* The calling life has one more of the queue's values: before it takes it. NULL with ENOMEM. */
struct wefti_holding *wefti_lease_hold_slow(struct wefti_life *life, struct wefti_shared_queue *queue);
static inline struct wefti_holding *wefti_lease_hold(struct wefti_shared_queue *queue)
{
    struct wefti_life *life = wefti_context_life(wefti_context_current());
    if (__builtin_expect(!life, 0))
        return NULL;
    struct wefti_holding *holding = &life->holdings[1]; /* the first is left to gates, which come and go */
    if (life->leases > 0 || holding->object != 0)
        return wefti_lease_hold_slow(life, queue);
    life->leases = 1;
    wefti_hold(holding, WEFTI_HOLD_QUEUE, queue, WEFTI_LEASE_ONE | WEFTI_DETAIL_LEASES);
    return holding;
}

/* Which it is: after it was taken, if it has no block. */
static inline void wefti_lease_is(struct wefti_holding *holding, const struct wefti_node *node)
{
    if (holding->detail < 2 * WEFTI_LEASE_ONE && node->number < WEFTI_LEASE_NODES)
        __atomic_store_n(&holding->detail, holding->detail | (uint64_t)node->number << WEFTI_LEASE_NODE_SHIFT, __ATOMIC_RELAXED);
}

/* Where that was said of the life's only lease: NULL, it has others, or none, or one with a block. */
static inline struct wefti_holding *wefti_lease_only(struct wefti_life *life, const struct wefti_shared_queue *queue)
{
    struct wefti_holding *holding = &life->holdings[1];
    return wefti_holding_is(holding, WEFTI_HOLD_QUEUE, queue) && holding->detail >> WEFTI_LEASE_NODE_SHIFT != 0 ? holding : NULL;
}

/* It has none any more: the last was done. */
static inline void wefti_lease_none(struct wefti_life *life, struct wefti_holding *holding)
{
    wefti_unhold(holding);
    life->leases--;
}

/* One less: after it is done. */
void wefti_lease_unhold(struct wefti_shared_queue *queue);

#endif
