/* SPDX-License-Identifier: MIT */
/* The parts of a first in, first out queue in the arena, for its files: queue_shared_fifo.c, which explains them, queue_shared_fifo_mend.c,
 * queue_shared_catch.c and queue_shared_joinable.c; and for queue_shared_ordered.c. */
#ifndef WEFTI_QUEUE_SHARED_FIFO_H
#define WEFTI_QUEUE_SHARED_FIFO_H

#include "queue/queue_shared_nodes.h"

/* What is being done to the pending block. */
enum wefti_fifo_pending { PUT = 1, TAKE, PUSH, POP, CHAIN, UNCHAIN, LEASE, GROW, DONE, WHAT = 15 };

struct shared_segment {
    struct shared_segment *next; /* a putter's, once; a bounded queue's is itself */
    uint64_t first;              /* the count at its first cell, of a chain; constant */
    uint64_t reserved[6];
    struct wefti_cell cells[];
};

/* All is written inside the gate; count is read outside of it. */
struct shared_end {
    struct wefti_gate gate;
    uint64_t count;                 /* values that have passed. The truth */
    uint64_t limit;                 /* how far count may go, by what was last seen of the other end */
    uint64_t first;                 /* the count at the first cell of the segment; derived */
    struct shared_segment *segment; /* of the next cell, if that is not beyond its end; derived, but for `out` of a chain */
    uint64_t back;                  /* of `out`: the address of the cargo that was given back last, or 0 */
    uint64_t backs;                 /* how many there are; derived */
    uint64_t lead;                  /* constant: how far this end's count may be ahead of the other's */
    uint64_t reserved[5];
} __attribute__((aligned(64)));

struct shared_fifo {
    struct wefti_shared_queue shared;
    uint64_t cells;    /* of a segment; constant */
    uint32_t joinable; /* constant */
    uint32_t dropped;  /* what comes back is dropped: close_now's, once */
    uint32_t ordered;  /* constant: in another order; all values lie in nodes, under the gate of `out`, and nothing in cells */
    uint32_t reserved_too;
    uint64_t key;   /* constant, as the next two: the address of the function that says a priority, or 0; */
    uint64_t data;  /* its data, */
    uint64_t entry; /* and where the program began in the process that made the queue */
    uint64_t reserved[2];
    struct shared_end in, out;
    struct wefti_nodes nodes __attribute__((aligned(64))); /* of a joinable one: under the gate of `out` */
};

/* Whether something has come back, or may have. */
static inline bool nodes_some(const struct wefti_nodes *nodes)
{
    return (__atomic_load_n(&nodes->returned_count, __ATOMIC_RELAXED) | __atomic_load_n(&nodes->broken, __ATOMIC_ACQUIRE)) != 0;
}

static inline struct shared_end *end_other(struct shared_fifo *fifo, struct shared_end *end)
{
    return end == &fifo->in ? &fifo->out : &fifo->in;
}

static inline bool fifo_chains(const struct shared_fifo *fifo)
{
    return fifo->shared.queue.capacity == WEFT_UNBOUNDED;
}

static inline uint64_t count_look(const struct shared_end *end)
{
    return __atomic_load_n(&end->count, __ATOMIC_ACQUIRE);
}

/* Commits. */
static inline void count_move(struct shared_end *end, uint64_t count)
{
    __atomic_store_n(&end->count, count, __ATOMIC_RELEASE);
}

/* Whether one more may pass. Inside. */
static inline bool shared_may_pass(struct shared_fifo *fifo, struct shared_end *end)
{
    if (__builtin_expect(end->count != end->limit, 1))
        return true;
    __atomic_store_n(&end->limit, count_look(end_other(fifo, end)) + end->lead, __ATOMIC_RELAXED);
    return end->count != end->limit;
}

static inline bool shared_looks_shut(struct shared_fifo *fifo, struct shared_end *end)
{
    uint64_t count = count_look(end);
    return count == __atomic_load_n(&end->limit, __ATOMIC_RELAXED) && count == count_look(end_other(fifo, end)) + end->lead &&
           __atomic_load_n(&end->back, __ATOMIC_RELAXED) == 0 && (end == &fifo->in || !nodes_some(&fifo->nodes));
}

/* What those who cannot pass `end` wait for. */
static inline struct wefti_shared_door *end_door(struct shared_fifo *fifo, const struct shared_end *end)
{
    return end == &fifo->out ? &fifo->shared.filled : &fifo->shared.emptied;
}

static inline uint32_t end_flag(struct shared_fifo *fifo, const struct shared_end *end)
{
    return end == &fifo->out ? WEFTI_GATE_VALUES : WEFTI_GATE_ROOM;
}

/* The cell of the next value. Inside the gate of `out`, and there is one. */
const struct wefti_cell *wefti_fifo_cell_out(struct shared_fifo *fifo);
/* Takes the next value that lies in a cell, and forgets it: false when there is none. */
bool wefti_fifo_discard(struct shared_fifo *fifo);

/* What a getter has taken. */
struct wefti_catch {
    weft_value value;          /* what lay in a cell, */
    struct wefti_cargo *cargo; /* or else the block, in his hands */
    uint8_t form;
};

/* The block that was given back last, of which there is one. Inside the gate of `out`. */
struct wefti_catch wefti_catch_back(struct shared_end *out);
/* Outside: the value, which is the caller's. 0; ENOMEM: then the block has been given back. */
int wefti_catch_read(struct shared_fifo *fifo, const struct wefti_catch *caught, weft_value *value);
/* After a death: how many have been given back. */
void wefti_backs_count(struct shared_end *out);
/* Inside: the value of a node, which is on no list any more, is done with. Its block, in the caller's hands, or NULL. */
struct wefti_cargo *wefti_node_finish(struct shared_fifo *fifo, struct wefti_node *node);

/* Of a joinable one. As the public calls; the try gives 0, EPIPE, EAGAIN, ENOMEM, or why it could not enter: the deadline is for the gate
 * alone. */
int wefti_joinable_try_get(struct shared_fifo *fifo, weft_value *value, weft_time deadline);
int wefti_joinable_task_done(struct wefti_shared_queue *queue);
int wefti_joinable_join(struct wefti_shared_queue *queue, weft_time deadline);
long wefti_joinable_deliveries(struct wefti_shared_queue *queue);
int wefti_joinable_letter(struct wefti_shared_queue *queue, weft_value *value, weft_time deadline);
size_t wefti_joinable_drop_all(struct wefti_shared_queue *queue);
void wefti_joinable_mend(struct wefti_shared_queue *queue, uint32_t dead);
/* For who frees it: wefti_shared_kind. */
struct wefti_gate *wefti_fifo_gate(struct wefti_shared_queue *queue, unsigned number);
void wefti_fifo_blocks(struct wefti_shared_queue *queue, wefti_queue_step *step, uint16_t member);
/* What the sweep does about a gate of these kinds. */
void wefti_fifo_settle(struct wefti_shared_queue *queue, struct wefti_gate *gate, uint16_t dead);
/* Counts what has come back from the dead. */
void wefti_fifo_rebuild(struct shared_fifo *fifo);
void wefti_fifo_close(struct weft_queue *queue);
/* Settles what the gate's dead owner had begun with a lease. Whether the pending block is the structure's. */
bool wefti_joinable_settle(struct shared_fifo *fifo, unsigned what, uintptr_t block);

#endif
