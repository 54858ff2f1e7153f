/* SPDX-License-Identifier: MIT */
/*
 * The table of leases: queue_shared_nodes.h says what it is and why any process may die.
 *
 * The table grows by segments, each twice as long as the one before, and never shrinks: it is as long as the most values that were out at
 * once. A segment is the table's when its address stands there, which is one store; before that it is the gate's pending block.
 */

#include "queue/queue_shared_nodes.h"

#include <errno.h>
#include <string.h>

enum { REAPED_LEAST = 8 /* of how many that are leased one should be done, for a walk to be worth it */ };
#define LEASE_COUNTS ((UINT64_C(1) << WEFTI_LEASE_NODE_SHIFT) - 1)

/* Nodes by number. */

static struct wefti_node *segment_nodes(const struct wefti_nodes *nodes, unsigned segment)
{
    return (struct wefti_node *)(uintptr_t)__atomic_load_n(&nodes->segments[segment], __ATOMIC_ACQUIRE); /* NOLINT: it was a pointer */
}

static uint32_t segment_length(unsigned segment)
{
    return (uint32_t)WEFTI_FIRST_NODES << segment;
}

/* Segment k begins with number WEFTI_FIRST_NODES * (2^k - 1) + 1. */
struct wefti_node *wefti_node_beyond(const struct wefti_nodes *nodes, uint32_t number)
{
    unsigned segment = 31U - (unsigned)__builtin_clz((number - 1) / WEFTI_FIRST_NODES + 1);
    return segment_nodes(nodes, segment) + (number - 1 - (segment_length(segment) - WEFTI_FIRST_NODES));
}

static unsigned segments_count(const struct wefti_nodes *nodes)
{
    unsigned count = 0;
    while (count < WEFTI_NODE_SEGMENTS && segment_nodes(nodes, count))
        count++;
    return count;
}

/* Lists. */

static void list_push(const struct wefti_nodes *nodes, uint32_t *list, struct wefti_node *node)
{
    (void)nodes;
    node->next = *list;
    *list = node->number;
}

static struct wefti_node *list_pop(const struct wefti_nodes *nodes, uint32_t *list)
{
    struct wefti_node *node = wefti_node_at(nodes, *list);
    if (node)
        *list = node->next;
    return node;
}

static uint64_t node_order(const struct wefti_node *node, bool leases)
{
    return leases ? node->lease : node->sequence;
}

/* Two lists that are in order become one. */
static uint32_t list_merge(const struct wefti_nodes *nodes, uint32_t a, uint32_t b, bool leases)
{
    uint32_t first = 0, *end = &first;
    while (a && b) {
        struct wefti_node *one = wefti_node_at(nodes, a), *other = wefti_node_at(nodes, b);
        bool before = node_order(one, leases) <= node_order(other, leases);
        struct wefti_node *next = before ? one : other;
        *(before ? &a : &b) = next->next;
        *end = next->number;
        end = &next->next;
    }
    *end = a ? a : b;
    return first;
}

/* `sorted[i]` is a list in order of 2^i nodes, or none: as a binary number counts. */
static uint32_t list_sort(const struct wefti_nodes *nodes, uint32_t list, bool leases)
{
    uint32_t sorted[32] = {0}, all = 0;
    while (list) {
        struct wefti_node *node = list_pop(nodes, &list);
        uint32_t carry = node->number;
        unsigned i = 0;
        node->next = 0;
        for (; sorted[i]; i++) {
            carry = list_merge(nodes, sorted[i], carry, leases);
            sorted[i] = 0;
        }
        sorted[i] = carry;
    }
    for (unsigned i = 0; i < 32; i++)
        all = list_merge(nodes, sorted[i], all, leases);
    return all;
}

static void leased_link_back(struct wefti_nodes *nodes)
{
    uint32_t previous = 0;
    for (struct wefti_node *node = wefti_node_at(nodes, nodes->leased); node; node = wefti_node_at(nodes, node->next)) {
        node->previous = previous;
        previous = node->number;
    }
    nodes->leased_last = previous;
}

static void node_sort_in(struct wefti_nodes *nodes, struct wefti_node *node)
{
    enum wefti_node_state state = wefti_node_state(wefti_node_look(node));
    nodes->held += state != WEFTI_NODE_FREE && state != WEFTI_NODE_LETTER;
    if (state == WEFTI_NODE_FREE)
        list_push(nodes, &nodes->free, node);
    else if (state == WEFTI_NODE_RETURNED) {
        list_push(nodes, &nodes->returned, node);
        nodes->returned_count++;
    } else if (state == WEFTI_NODE_READY) {
        nodes->puts = node->sequence > nodes->puts ? node->sequence : nodes->puts;
        wefti_ready_add(nodes, node);
    } else if (state == WEFTI_NODE_LETTER)
        list_push(nodes, &nodes->letters, node);
    else {
        list_push(nodes, &nodes->leased, node);
        nodes->leases = node->lease > nodes->leases ? node->lease : nodes->leases;
    }
}

void wefti_nodes_rebuild(struct wefti_nodes *nodes)
{
    __atomic_exchange_n(&nodes->broken, 0, __ATOMIC_SEQ_CST); /* before a word is looked at: pairs with that of wefti_nodes_mend */
    nodes->free = nodes->returned = nodes->letters = nodes->leased = nodes->leased_last = 0;
    nodes->held = 0;
    nodes->ready = 0;
    __atomic_store_n(&nodes->ready_count, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&nodes->returned_count, 0, __ATOMIC_RELAXED);
    for (unsigned segment = segments_count(nodes); segment-- > 0;)
        for (uint32_t i = segment_length(segment); i-- > 0;)
            node_sort_in(nodes, segment_nodes(nodes, segment) + i);
    nodes->returned = list_sort(nodes, nodes->returned, nodes->ordered);
    nodes->letters = list_sort(nodes, nodes->letters, false);
    nodes->leased = list_sort(nodes, nodes->leased, true);
    leased_link_back(nodes);
}

static int nodes_grow(struct wefti_nodes *nodes, struct wefti_gate *gate, unsigned what)
{
    unsigned segment = segments_count(nodes);
    size_t size = segment < WEFTI_NODE_SEGMENTS ? segment_length(segment) * sizeof(struct wefti_node) : 0;
    struct wefti_node *made = size ? wefti_block_take(size) : NULL;
    if (!made) {
        errno = ENOMEM;
        return -1;
    }
    memset(made, 0, size);
    for (uint32_t i = 0; i < segment_length(segment); i++)
        made[i].number = segment_length(segment) - WEFTI_FIRST_NODES + i + 1;
    wefti_gate_begin(gate, made, what, segment);
    wefti_block_commit(made, size);
    __atomic_store_n(&nodes->segments[segment], (uintptr_t)made, __ATOMIC_RELEASE);
    wefti_gate_done(gate);
    for (uint32_t i = segment_length(segment); i-- > 0;)
        list_push(nodes, &nodes->free, made + i);
    return 0;
}

void wefti_node_lease(struct wefti_nodes *nodes, struct wefti_node *node)
{
    struct wefti_node *last = wefti_node_at(nodes, nodes->leased_last);
    node->next = 0;
    node->previous = nodes->leased_last;
    *(last ? &last->next : &nodes->leased) = node->number;
    nodes->leased_last = node->number;
}

void wefti_node_unlease(struct wefti_nodes *nodes, struct wefti_node *node)
{
    struct wefti_node *previous = wefti_node_at(nodes, node->previous), *next = wefti_node_at(nodes, node->next);
    *(previous ? &previous->next : &nodes->leased) = node->next;
    *(next ? &next->previous : &nodes->leased_last) = node->previous;
}

/* One that was leased is done. */
static void node_retire(struct wefti_nodes *nodes, struct wefti_node *node)
{
    wefti_node_unlease(nodes, node);
    list_push(nodes, &nodes->free, node);
    nodes->held--;
}

/* Those that were leased and are done are free, and how many; the others have the bits of `with` after it, if they are LEASED. *leased: how
 * many there were. */
static uint32_t nodes_reap(struct wefti_nodes *nodes, uint64_t with, uint32_t *leased)
{
    uint32_t reaped = 0;
    *leased = 0;
    for (struct wefti_node *node = wefti_node_at(nodes, nodes->leased), *next; node; node = next, ++*leased) {
        uint64_t word = wefti_node_look(node);
        next = wefti_node_at(nodes, node->next);
        if (wefti_node_state(word) == WEFTI_NODE_LEASED && (word & with) != with && !wefti_node_move(node, word, word | with))
            word = wefti_node_look(node); /* its taker was faster, or who mends */
        if (wefti_node_state(word) != WEFTI_NODE_FREE)
            continue;
        node_retire(nodes, node);
        reaped++;
    }
    return reaped;
}

void wefti_nodes_reap(struct wefti_nodes *nodes)
{
    uint32_t leased;
    nodes_reap(nodes, WEFTI_NODE_TELL, &leased);
}

/* No node is on the list of the free ones: a walk that brings few would be due again soon. */
static int nodes_find(struct wefti_nodes *nodes, struct wefti_gate *gate, unsigned what)
{
    uint32_t leased, reaped = nodes_reap(nodes, 0, &leased);
    if (reaped > leased / REAPED_LEAST)
        return 0;
    return nodes_grow(nodes, gate, what) == 0 || reaped > 0 ? 0 : -1;
}

struct wefti_node *wefti_node_new(struct wefti_nodes *nodes, struct wefti_gate *gate, unsigned what)
{
    struct wefti_node *first = wefti_node_at(nodes, nodes->leased);
    if (first && wefti_node_state(wefti_node_look(first)) == WEFTI_NODE_FREE)
        node_retire(nodes, first);
    if (!nodes->free && nodes_find(nodes, gate, what) != 0)
        return NULL;
    return list_pop(nodes, &nodes->free);
}

void wefti_node_free(struct wefti_nodes *nodes, struct wefti_node *node)
{
    list_push(nodes, &nodes->free, node);
}

struct wefti_node *wefti_node_returned(struct wefti_nodes *nodes)
{
    struct wefti_node *node = list_pop(nodes, &nodes->returned);
    if (node)
        __atomic_store_n(&nodes->returned_count, nodes->returned_count - 1, __ATOMIC_RELAXED);
    return node;
}

struct wefti_node *wefti_node_letter(struct wefti_nodes *nodes)
{
    return list_pop(nodes, &nodes->letters);
}

void wefti_node_back(struct wefti_nodes *nodes, struct wefti_node *node)
{
    if (wefti_node_state(wefti_node_look(node)) == WEFTI_NODE_LETTER) {
        list_push(nodes, &nodes->letters, node);
        return;
    }
    list_push(nodes, &nodes->returned, node);
    __atomic_store_n(&nodes->returned_count, nodes->returned_count + 1, __ATOMIC_RELAXED);
}

struct wefti_node *wefti_node_oldest(const struct wefti_nodes *nodes, uint32_t life, bool process)
{
    struct wefti_node *of_process = NULL;
    for (struct wefti_node *node = wefti_node_at(nodes, nodes->leased); node; node = wefti_node_at(nodes, node->next)) {
        uint64_t word = wefti_node_look(node);
        if (wefti_node_state(word) != WEFTI_NODE_LEASED)
            continue;
        if (wefti_node_taker(word) == life)
            return node;
        if (!of_process && process && wefti_life_seat(wefti_node_taker(word)) == wefti_life_seat(life))
            of_process = node;
    }
    return of_process;
}

/* Deaths. */

static void node_mend(const struct wefti_nodes *nodes, struct wefti_node *node, uint32_t dead)
{
    uint64_t word = wefti_node_look(node);
    enum wefti_node_state state = wefti_node_state(word);
    if ((state != WEFTI_NODE_LEASED && state != WEFTI_NODE_READING) || wefti_node_taker(word) != dead)
        return;
    uint64_t deliveries = wefti_node_deliveries(word);
    uint64_t next = wefti_node_word(deliveries >= nodes->deaths ? WEFTI_NODE_LETTER : WEFTI_NODE_RETURNED, 0, deliveries);
    __atomic_compare_exchange_n(&node->word, &word, next, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

void wefti_nodes_mend(struct wefti_nodes *nodes, uint32_t dead)
{
    for (unsigned segment = segments_count(nodes); segment-- > 0;)
        for (uint32_t i = segment_length(segment); i-- > 0;)
            node_mend(nodes, segment_nodes(nodes, segment) + i, dead);
    __atomic_store_n(&nodes->broken, 1, __ATOMIC_SEQ_CST);
}

void wefti_nodes_blocks(const struct wefti_nodes *nodes, wefti_queue_step *step, uint16_t member)
{
    for (unsigned segment = segments_count(nodes); segment-- > 0;) {
        struct wefti_node *first = segment_nodes(nodes, segment);
        for (uint32_t i = segment_length(segment); i-- > 0;)
            if (wefti_node_state(first[i].word) != WEFTI_NODE_FREE && wefti_cell_cargo(&first[i].cell))
                step(wefti_cell_cargo(&first[i].cell), member);
        step(first, member);
    }
}

/* Holdings. */

static struct wefti_holding *lease_holding(struct wefti_life *life, const struct wefti_shared_queue *queue)
{
    if (wefti_holding_is(&life->holdings[1], WEFTI_HOLD_QUEUE, queue))
        return &life->holdings[1];
    return life->leases > 0 ? wefti_holding_of(life, WEFTI_HOLD_QUEUE, queue) : NULL;
}

struct wefti_holding *wefti_lease_hold_slow(struct wefti_life *life, struct wefti_shared_queue *queue)
{
    struct wefti_holding *holding = lease_holding(life, queue);
    if (holding) {
        __atomic_store_n(&holding->detail, (holding->detail & LEASE_COUNTS) + WEFTI_LEASE_ONE, __ATOMIC_RELAXED);
        return holding;
    }
    holding = life->holdings[1].object == 0 ? &life->holdings[1] : wefti_holding_find(life);
    if (!holding)
        return NULL;
    life->leases++;
    wefti_hold(holding, WEFTI_HOLD_QUEUE, queue, WEFTI_LEASE_ONE | WEFTI_DETAIL_LEASES);
    return holding;
}

void wefti_lease_unhold(struct wefti_shared_queue *queue)
{
    struct wefti_life *life = wefti_context_current()->life;
    struct wefti_holding *holding = life ? lease_holding(life, queue) : NULL;
    if (!holding)
        return;
    uint64_t left = (holding->detail & LEASE_COUNTS) - WEFTI_LEASE_ONE;
    if (left < WEFTI_LEASE_ONE)
        wefti_lease_none(life, holding);
    else
        __atomic_store_n(&holding->detail, left, __ATOMIC_RELAXED);
}
