/* SPDX-License-Identifier: MIT */
/*
 * Taking from a joinable queue of the arena: what is taken stays its taker's until it is done, and comes back when he dies.
 *
 * A taker moves the value from its cell to a node of the table (queue_shared_nodes.h), inside the gate of `out`; those who put never meet
 * him. The node is filled, `pending` says LEASE and which count this is, the node's word says whose it is, and the count moves: that store
 * commits. If the taker dies before it, the sweep finds the count where it was and frees the node; after it, the value is a dead taker's,
 * and comes back. A block goes with its value, and is the table's until the value is done: pending (DONE), the word FREE, the block
 * withdrawn, pending 0. The word tells which half was done.
 *
 * What came back is taken before what lies in the cells: from RETURNED to LEASED in one store. Who died while he unpacked counts as a
 * delivery, too.
 *
 * Done: the word says FREE. A value without a block that is its taker's only one is done by one compare-and-swap of the word, without the
 * gate; the node is found again by who takes next, or wants to know whether all is done. That is the taker's last touch of the queue: who
 * comes back from join may free it. If he dies after it nothing comes back; before it the value does.
 *
 * Join looks inside the gate, at a time at which nobody takes: it waits while something lies in cells or is held. Puts are not kept out,
 * and one that comes at that moment may or may not be waited for. A taker has to tell joiners when he has done the last, and to enter for
 * that: his word says so (TELL), which fails his compare-and-swap. While somebody joins and nothing is left to be taken, one of those who
 * have something out has TELL, or a block, or is dead: who takes the last value gets it, and who finds, inside, that he was not the last to
 * be done gives it to all others.
 */

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "queue/queue_shared_fifo.h"
#include "wait/wait.h"

enum { CELL_LINE = 64, DELIVERIES_MOST = 0xffff };

/* By lines: the second is not fetched for what lies in the first. */
static void cell_copy(const struct wefti_cell *from, struct wefti_cell *to)
{
    memcpy(to, from, CELL_LINE);
    if (from->form > WEFT_PTR && from->length > CELL_LINE - offsetof(struct wefti_cell, as))
        memcpy((char *)to + CELL_LINE, (const char *)from + CELL_LINE, sizeof(*to) - CELL_LINE);
}

/* Whether a value waits to be taken, `out_count` having been. */
static bool fifo_has_some(const struct shared_fifo *fifo, uint64_t out_count)
{
    const struct wefti_nodes *nodes = &fifo->nodes;
    return count_look(&fifo->in) != out_count || nodes->ready_count > 0 || (nodes->returned_count > 0 && !fifo->dropped);
}

/* The word of a node that is taken once more; after it so many have been taken from the cells. */
static uint64_t word_taken(const struct shared_fifo *fifo, const struct wefti_node *node, uint64_t deliveries, uint64_t out_count)
{
    uint32_t me = wefti_context_current()->life->ident;
    enum wefti_node_state state = wefti_cell_cargo(&node->cell) ? WEFTI_NODE_READING : WEFTI_NODE_LEASED;
    uint64_t word = wefti_node_word(state, me, deliveries < DELIVERIES_MOST ? deliveries : DELIVERIES_MOST);
    return fifo->shared.queue.done.joiners && !fifo_has_some(fifo, out_count) ? word | WEFTI_NODE_TELL : word;
}

/* -1 with ENOMEM. A block is read outside. */
static int node_read_cell(const struct wefti_node *node, weft_value *value)
{
    return wefti_cell_cargo(&node->cell) ? 0 : wefti_cell_read(&node->cell, value);
}

/* Inside: what came back. 0, ENOMEM. */
static int lease_returned(struct shared_fifo *fifo, struct wefti_node *node, weft_value *value)
{
    if (node_read_cell(node, value) != 0) {
        wefti_node_back(&fifo->nodes, node);
        return ENOMEM;
    }
    node->lease = ++fifo->nodes.leases;
    wefti_node_put(node, word_taken(fifo, node, wefti_node_deliveries(wefti_node_look(node)) + 1, fifo->out.count));
    wefti_node_lease(&fifo->nodes, node);
    return 0;
}

/* Inside: the next value of the cells, of which there is one. NULL with ENOMEM. */
static struct wefti_node *lease_next(struct shared_fifo *fifo, weft_value *value)
{
    struct shared_end *out = &fifo->out;
    const struct wefti_cell *cell = wefti_fifo_cell_out(fifo);
    struct wefti_node *again = wefti_node_again(&fifo->nodes), *node = again ? again : wefti_node_new(&fifo->nodes, &out->gate, GROW);
    if (!node)
        return NULL;
    cell_copy(cell, &node->cell);
    if (node_read_cell(node, value) != 0) {
        if (!again)
            wefti_node_free(&fifo->nodes, node);
        return NULL;
    }
    node->sequence = out->count;
    node->lease = ++fifo->nodes.leases;
    wefti_gate_begin(&out->gate, node, LEASE, out->count);
    wefti_node_put(node, word_taken(fifo, node, 1, out->count + 1));
    count_move(out, out->count + 1);
    wefti_gate_done(&out->gate);
    if (again)
        return node;
    wefti_node_lease(&fifo->nodes, node);
    fifo->nodes.held++;
    return node;
}

/* Whether there is one in the cells: 0, EPIPE, EAGAIN. */
static int cells_look(struct shared_fifo *fifo)
{
    if (shared_may_pass(fifo, &fifo->out))
        return 0;
    if (!wefti_queue_is_closed(&fifo->shared.queue))
        return EAGAIN;
    return shared_may_pass(fifo, &fifo->out) ? 0 : EPIPE; /* looked at again: a put may have come before the close */
}

/* Inside: the first of those that lie in nodes. 0, EPIPE, EAGAIN, ENOMEM. */
static int lease_first(struct shared_fifo *fifo, weft_value *value, struct wefti_node **node, uint32_t *brought)
{
    *node = wefti_ready_first(&fifo->nodes);
    if (!*node)
        return wefti_queue_is_closed(&fifo->shared.queue) ? EPIPE : EAGAIN;
    if (node_read_cell(*node, value) != 0) {
        wefti_ready_add(&fifo->nodes, *node);
        return ENOMEM;
    }
    (*node)->lease = ++fifo->nodes.leases;
    wefti_node_put(*node, word_taken(fifo, *node, 1, fifo->out.count));
    wefti_node_lease(&fifo->nodes, *node);
    *brought = WEFTI_GATE_ROOM;
    return 0;
}

/* Inside: 0, EPIPE, EAGAIN, ENOMEM. *brought: ROOM when there is more now. */
static int lease_some(struct shared_fifo *fifo, weft_value *value, struct wefti_node **node, uint32_t *brought)
{
    if (fifo->dropped)
        return EPIPE;
    *node = fifo->nodes.returned ? wefti_node_returned(&fifo->nodes) : NULL;
    if (*node)
        return lease_returned(fifo, *node, value);
    if (fifo->ordered)
        return lease_first(fifo, value, node, brought);
    int error = cells_look(fifo);
    if (error)
        return error;
    *node = lease_next(fifo, value);
    *brought = *node ? WEFTI_GATE_ROOM : 0;
    return *node ? 0 : ENOMEM;
}

static bool nodes_are_done(const struct shared_fifo *fifo)
{
    return fifo->nodes.held == (fifo->dropped ? fifo->nodes.returned_count : 0);
}

/* Inside: whether nothing is left to be done. If something is, and nothing to be taken, whoever does the last tells joiners. */
static bool fifo_is_finished(struct shared_fifo *fifo)
{
    if (fifo_has_some(fifo, fifo->out.count))
        return false;
    if (!nodes_are_done(fifo))
        wefti_nodes_reap(&fifo->nodes);
    return nodes_are_done(fifo);
}

/* Inside, after something was finished: whether joiners are to be woken. The bell first: who dies in between has told them. */
static bool fifo_tell_joiners(struct shared_fifo *fifo)
{
    struct weft_queue *queue = &fifo->shared.queue;
    if (!queue->done.joiners || !fifo_is_finished(fifo))
        return false;
    __atomic_add_fetch(&queue->done.bell, 1, __ATOMIC_RELEASE);
    queue->done.joiners = false;
    return true;
}

/* There is no memory for what is in the block: it goes back, not delivered. */
static void lease_give_back(struct shared_fifo *fifo, struct wefti_node *node)
{
    struct wefti_visit visit;
    uint64_t deliveries = wefti_node_deliveries(wefti_node_look(node));
    if (wefti_gate_enter(&fifo->out.gate, &visit) != 0)
        return; /* it could be entered before, so it can now */
    wefti_nodes_whole(&fifo->nodes);
    wefti_node_unlease(&fifo->nodes, node);
    wefti_node_put(node, wefti_node_word(WEFTI_NODE_RETURNED, 0, deliveries - 1));
    wefti_node_back(&fifo->nodes, node);
    wefti_gate_leave(&fifo->out.gate, &visit, 0);
    wefti_visit_end(&visit);
    wefti_shared_door_ring(&fifo->shared.filled);
}

/* Outside: unpacks the block. */
static int lease_read(struct shared_fifo *fifo, struct wefti_node *node, weft_value *value)
{
    if (wefti_cargo_read(node->cell.form, wefti_cell_cargo(&node->cell), value) != 0) {
        lease_give_back(fifo, node);
        wefti_lease_unhold(&fifo->shared);
        return ENOMEM;
    }
    uint64_t word = wefti_node_look(node);
    wefti_node_put(node, wefti_node_word(WEFTI_NODE_LEASED, wefti_node_taker(word), wefti_node_deliveries(word)));
    return 0;
}

struct wefti_cargo *wefti_node_finish(struct shared_fifo *fifo, struct wefti_node *node)
{
    struct wefti_cargo *cargo = wefti_cell_cargo(&node->cell);
    if (cargo)
        wefti_gate_begin(&fifo->out.gate, cargo, DONE, node->number);
    wefti_node_put(node, wefti_node_word(WEFTI_NODE_FREE, 0, 0));
    if (cargo) {
        wefti_block_withdraw(cargo, wefti_member);
        wefti_gate_done(&fifo->out.gate);
    }
    wefti_node_free(&fifo->nodes, node);
    return cargo;
}

static void visit_finish(struct shared_fifo *fifo, struct wefti_visit *visit, uint32_t brought, struct wefti_cargo *cargo)
{
    bool tell = fifo_tell_joiners(fifo);
    wefti_gate_leave(&fifo->out.gate, visit, brought);
    if (tell)
        weft_wake(&fifo->shared.queue.done.bell, UINT32_MAX);
    wefti_visit_end(visit);
    if (cargo)
        wefti_block_discard(cargo);
}

int wefti_joinable_try_get(struct shared_fifo *fifo, weft_value *value, weft_time deadline)
{
    struct wefti_visit visit;
    struct wefti_node *node = NULL;
    uint32_t brought = 0;
    struct wefti_holding *holding = wefti_lease_hold(&fifo->shared);
    if (!holding)
        return errno;
    int error = wefti_gate_enter_by(&fifo->out.gate, &visit, deadline) == 0 ? 0 : errno;
    if (error == 0) {
        wefti_nodes_whole(&fifo->nodes);
        error = lease_some(fifo, value, &node, &brought);
        wefti_gate_leave(&fifo->out.gate, &visit, brought);
        wefti_visit_end(&visit);
    }
    if (error)
        wefti_lease_unhold(&fifo->shared);
    else if (wefti_cell_cargo(&node->cell))
        error = lease_read(fifo, node, value);
    else
        wefti_lease_is(holding, node);
    return error;
}

/* Outside: the caller's only lease is done. False: it has to be looked for. */
static bool lease_end(struct shared_fifo *fifo)
{
    struct wefti_life *life = wefti_context_current()->life;
    struct wefti_holding *holding = life ? wefti_lease_only(life, &fifo->shared) : NULL;
    if (!holding)
        return false;
    struct wefti_node *node = wefti_node_at(&fifo->nodes, (uint32_t)(holding->detail >> WEFTI_LEASE_NODE_SHIFT));
    uint64_t word = wefti_node_look(node);
    if (wefti_node_state(word) != WEFTI_NODE_LEASED || wefti_node_taker(word) != life->ident || word & WEFTI_NODE_TELL)
        return false;
    if (!wefti_node_move(node, word, wefti_node_word(WEFTI_NODE_FREE, 0, 0)))
        return false;
    wefti_lease_none(life, holding);
    return true;
}

/* Inside: nobody else ends this lease. False: another has. */
static bool lease_claim(struct wefti_node *node, uint64_t *word)
{
    *word = wefti_node_look(node);
    if (wefti_node_state(*word) != WEFTI_NODE_LEASED)
        return false;
    return wefti_cell_cargo(&node->cell) || wefti_node_move(node, *word, wefti_node_word(WEFTI_NODE_FREE, 0, 0));
}

int wefti_joinable_task_done(struct wefti_shared_queue *queue)
{
    struct shared_fifo *fifo = (struct shared_fifo *)queue;
    struct wefti_visit visit;
    if (!fifo->joinable) {
        errno = ENOTSUP;
        return -1;
    }
    if (lease_end(fifo))
        return 0;
    if (wefti_gate_enter(&fifo->out.gate, &visit) != 0)
        return -1;
    wefti_nodes_whole(&fifo->nodes);
    uint32_t me = wefti_context_current()->life->ident;
    struct wefti_node *node;
    struct wefti_cargo *cargo = NULL;
    uint64_t word = 0;
    do
        node = wefti_node_oldest(&fifo->nodes, me, true);
    while (node && !lease_claim(node, &word));
    bool mine = node && wefti_node_taker(word) == me;
    if (node) {
        wefti_node_unlease(&fifo->nodes, node);
        fifo->nodes.held--;
        cargo = wefti_node_finish(fifo, node);
    }
    visit_finish(fifo, &visit, 0, cargo);
    if (mine)
        wefti_lease_unhold(queue);
    errno = node ? errno : EINVAL;
    return node ? 0 : -1;
}

int wefti_joinable_join(struct wefti_shared_queue *queue, weft_time deadline)
{
    struct shared_fifo *fifo = (struct shared_fifo *)queue;
    struct wefti_visit visit;
    while (fifo->joinable) {
        if (wefti_gate_enter_by(&fifo->out.gate, &visit, deadline) != 0)
            return -1;
        wefti_nodes_whole(&fifo->nodes);
        uint32_t bell = __atomic_load_n(&queue->queue.done.bell, __ATOMIC_RELAXED);
        bool finished = fifo_is_finished(fifo);
        queue->queue.done.joiners |= !finished;
        wefti_gate_leave(&fifo->out.gate, &visit, 0);
        wefti_visit_end(&visit);
        if (finished || weft_wait(&queue->queue.done.bell, bell, deadline) < 0)
            return finished ? 0 : -1;
    }
    errno = ENOTSUP;
    return -1;
}

long wefti_joinable_deliveries(struct wefti_shared_queue *queue)
{
    struct shared_fifo *fifo = (struct shared_fifo *)queue;
    struct wefti_visit visit;
    if (!fifo->joinable) {
        errno = ENOTSUP;
        return -1;
    }
    if (wefti_gate_enter(&fifo->out.gate, &visit) != 0)
        return -1;
    wefti_nodes_whole(&fifo->nodes);
    struct wefti_node *node = wefti_node_oldest(&fifo->nodes, wefti_context_current()->life->ident, true);
    long deliveries = node ? (long)wefti_node_deliveries(wefti_node_look(node)) : -1;
    wefti_gate_leave(&fifo->out.gate, &visit, 0);
    wefti_visit_end(&visit);
    errno = node ? errno : EINVAL;
    return deliveries;
}

/* Inside: 0, EAGAIN, EPIPE, ENOMEM. Read in here: who gives up values has no hurry. */
static int letter_take(struct shared_fifo *fifo, weft_value *value, struct wefti_cargo **cargo, bool finished)
{
    struct wefti_node *node = wefti_node_letter(&fifo->nodes);
    if (!node)
        return wefti_queue_is_closed(&fifo->shared.queue) && finished ? EPIPE : EAGAIN;
    *cargo = wefti_cell_cargo(&node->cell);
    int read = *cargo ? wefti_cargo_read(node->cell.form, *cargo, value) : wefti_cell_read(&node->cell, value);
    if (read != 0) {
        *cargo = NULL;
        wefti_node_back(&fifo->nodes, node);
        return ENOMEM;
    }
    *cargo = wefti_node_finish(fifo, node);
    return 0;
}

int wefti_joinable_letter(struct wefti_shared_queue *queue, weft_value *value, weft_time deadline)
{
    struct shared_fifo *fifo = (struct shared_fifo *)queue;
    int error = fifo->joinable ? EAGAIN : ENOTSUP;
    while (error == EAGAIN) {
        struct wefti_visit visit;
        struct wefti_cargo *cargo = NULL;
        if (wefti_gate_enter_by(&fifo->out.gate, &visit, deadline) != 0)
            return -1;
        wefti_nodes_whole(&fifo->nodes);
        uint32_t bell = __atomic_load_n(&queue->queue.done.bell, __ATOMIC_RELAXED);
        bool finished = fifo_is_finished(fifo);
        error = letter_take(fifo, value, &cargo, finished);
        queue->queue.done.joiners |= error == EAGAIN && !finished; /* so that the end of it all is told here, too */
        visit_finish(fifo, &visit, 0, cargo);
        if (error == EAGAIN && weft_wait(&queue->queue.done.bell, bell, deadline) < 0)
            return -1;
    }
    errno = error ? error : errno;
    return error ? -1 : 0;
}

/* Takes one that came back, or lies in a node, and forgets it. */
static bool returned_discard(struct shared_fifo *fifo)
{
    struct wefti_visit visit;
    struct wefti_cargo *cargo = NULL;
    if (wefti_gate_enter(&fifo->out.gate, &visit) != 0)
        return false;
    wefti_nodes_whole(&fifo->nodes);
    __atomic_store_n(&fifo->dropped, 1, __ATOMIC_RELAXED);
    struct wefti_node *node = wefti_node_returned(&fifo->nodes);
    node = node ? node : wefti_ready_first(&fifo->nodes);
    if (node) {
        fifo->nodes.held--;
        cargo = wefti_node_finish(fifo, node);
    } else if (fifo->out.back)
        cargo = wefti_catch_back(&fifo->out).cargo;
    visit_finish(fifo, &visit, 0, cargo);
    return node || cargo;
}

size_t wefti_joinable_drop_all(struct wefti_shared_queue *queue)
{
    struct shared_fifo *fifo = (struct shared_fifo *)queue;
    size_t dropped = 0;
    while (!fifo->ordered && wefti_fifo_discard(fifo))
        dropped++;
    while (returned_discard(fifo)) /* also tells joiners, when there is none */
        dropped++;
    wefti_shared_door_ring(&queue->filled);
    return dropped;
}

void wefti_joinable_mend(struct wefti_shared_queue *queue, uint32_t dead)
{
    struct shared_fifo *fifo = (struct shared_fifo *)queue;
    wefti_nodes_mend(&fifo->nodes, dead);
    wefti_shared_door_ring(&queue->filled);
    __atomic_add_fetch(&queue->queue.done.bell, 1, __ATOMIC_RELEASE);
    weft_wake(&queue->queue.done.bell, UINT32_MAX);
}

bool wefti_joinable_settle(struct shared_fifo *fifo, unsigned what, uintptr_t block)
{
    const struct shared_end *out = &fifo->out;
    if (what == LEASE && out->count == out->gate.at)
        wefti_node_put((struct wefti_node *)block, wefti_node_word(WEFTI_NODE_FREE, 0, 0)); /* NOLINT: it was a pointer */
    if (what == GROW)
        return fifo->nodes.segments[out->gate.at] == block;
    /* DONE, also of a value that was being put into a node */
    return what != DONE || wefti_node_state(wefti_node_look(wefti_node_at(&fifo->nodes, (uint32_t)out->gate.at))) != WEFTI_NODE_FREE;
}
