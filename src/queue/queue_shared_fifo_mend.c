/* SPDX-License-Identifier: MIT */
/*
 * What leads to what in a queue of the arena that has two ends, for who frees it, and what becomes of that which the dead owner of a gate
 * had half done. queue_shared_fifo.c says in which order things are done, and so what can be half done.
 */
#include "queue/queue_shared_fifo.h"

struct wefti_gate *wefti_fifo_gate(struct wefti_shared_queue *queue, unsigned number)
{
    struct shared_fifo *fifo = (struct shared_fifo *)queue;
    return number > 1 ? NULL : number ? &fifo->out.gate : &fifo->in.gate;
}

/* Those of the values in cells, and of what was given back. */
static void cargos_step(const struct shared_fifo *fifo, wefti_queue_step *step, uint16_t member)
{
    uint64_t next;
    for (uint64_t at = fifo->out.back; at; at = next) {
        struct wefti_cargo *cargo = (struct wefti_cargo *)(uintptr_t)at; /* NOLINT: it was a pointer */
        next = cargo->next;
        step(cargo, member);
    }
    const struct shared_segment *segment = fifo->out.segment;
    for (uint64_t at = fifo->out.count; at != fifo->in.count; at++) {
        if (fifo_chains(fifo) && at - segment->first == fifo->cells)
            segment = segment->next;
        struct wefti_cargo *cargo = wefti_cell_cargo(&segment->cells[fifo_chains(fifo) ? at - segment->first : at % fifo->cells]);
        if (cargo)
            step(cargo, member);
    }
}

/* A chain's: at least one, and perhaps one more that a putter had linked before he died. */
static void segments_step(const struct shared_fifo *fifo, wefti_queue_step *step, uint16_t member)
{
    struct shared_segment *next;
    for (struct shared_segment *segment = fifo_chains(fifo) ? fifo->out.segment : NULL; segment; segment = next) {
        next = segment->next;
        step(segment, member);
    }
}

void wefti_fifo_blocks(struct wefti_shared_queue *queue, wefti_queue_step *step, uint16_t member)
{
    struct shared_fifo *fifo = (struct shared_fifo *)queue;
    cargos_step(fifo, step, member);
    segments_step(fifo, step, member);
    wefti_nodes_blocks(&fifo->nodes, step, member);
    step(fifo, member);
}

/* Whether the pending block has become, or is still, the structure's. */
static bool pending_is_ours(struct shared_fifo *fifo, const struct wefti_gate *gate, uintptr_t block, unsigned what)
{
    const struct shared_end *in = &fifo->in, *out = &fifo->out;
    switch (what) {
    case PUT:
        return in->count != gate->at;
    case TAKE:
        return out->count == gate->at;
    case PUSH:
    case POP:
        return out->back == block;
    case CHAIN:
        return (uintptr_t)in->segment->next == block;
    case UNCHAIN:
        return (uintptr_t)out->segment == block;
    default:
        return wefti_joinable_settle(fifo, what, block);
    }
}

/* Where the end is, from what is true: its count, and of a chain's `out` the segment. */
static void end_place(const struct shared_fifo *fifo, struct shared_end *end)
{
    end->first = fifo_chains(fifo) ? end->segment->first : end->count - end->count % fifo->cells;
}

void wefti_fifo_settle(struct wefti_shared_queue *queue, struct wefti_gate *gate, uint16_t dead)
{
    struct shared_fifo *fifo = (struct shared_fifo *)queue;
    unsigned what = gate->pending & WHAT;
    uintptr_t block = (uintptr_t)(gate->pending & ~(uint64_t)WHAT);
    if (block && !pending_is_ours(fifo, gate, block, what))
        wefti_block_withdraw((void *)block, dead); /* NOLINT: it was a pointer. His blocks in hand are given back after this */
    wefti_gate_done(gate);
    if (!fifo->ordered)
        end_place(fifo, gate == &fifo->in.gate ? &fifo->in : &fifo->out);
    if (gate == &fifo->out.gate) {
        wefti_backs_count(&fifo->out);
        __atomic_store_n(&fifo->nodes.broken, fifo->joinable | fifo->ordered, __ATOMIC_SEQ_CST);
    }
}
