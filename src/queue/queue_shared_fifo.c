/* SPDX-License-Identifier: MIT */
/*
 * A queue in the arena: first in, first out, bounded or not, for the tasks of all processes of a family, any of which may die at any
 * instruction.
 *
 * It is built as the private one (queue_fifo.c): two ends, `in` and `out`, each with a gate and cache lines of its own; what lies between
 * them is in.count - out.count, and
 *
 *     in.count  < out.count + capacity     (the bound, exact)
 *     out.count < in.count
 *
 * with the right-hand sides kept in `limit` as they were when last looked at.
 *
 * The truth is the two counts, each moved by one store inside its gate. That store commits: an item whose putter died before it was never
 * there, and what lies in its cell is written over; one whose getter died before it is still there. Where an end is (segment, first)
 * follows from the count, and is put right from it when an owner has died. A get is at most once: who dies after the store took the item
 * along.
 *
 * An item too long for its cell has a block. The putter's moves: pending (PUT), the block committed, count, pending 0. The getter's:
 * pending (TAKE), count, the block withdrawn, pending 0; he reads and frees it outside. `at` is the count before: if it has not moved, the
 * move was not made, and a putter's block is his again; if it has, it was, and a getter's block is his. So no block is lost or freed twice
 * whatever comes between two stores.
 *
 * If a getter finds no memory for what is in a block he gives it back (queue_shared_catch.c); that is taken from before the cells.
 *
 * Cells lie in segments, a bounded queue's in one that is its own successor. An unbounded queue's chain is lengthened by who puts (pending:
 * CHAIN) and shortened by who gets (UNCHAIN); the block is the chain's when the link leads to it, or `out` stands on it.
 *
 * Memory ordering: a putter writes the cell, then in.count (release), which the getter reads (acquire) before the cell; he writes out.count
 * (release) after he has read it, which the putter reads (acquire) before he writes over it. One getter's reads and the next one's are
 * ordered by the gate, as puts are among themselves.
 *
 * Waiting: who cannot pass an end looks at the other's count for a while, then watches at the door there (queue_shared.h), whose flag is in
 * the gate of that other end: so who moves it sees the flag. Close sets `closed` inside the gate of `in`, then rings both doors.
 */

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "hint.h"
#include "queue/queue_shared_fifo.h"
#include "value/value.h"
#include "wait/wait.h"

#ifdef WEFTI_SMALL
enum { CHAIN_CELLS = 3, LINGER = 2000 /* ns */ };
#else
enum { CHAIN_CELLS = 254 /* two segments are a slab */, LINGER = 20000 /* ns */ };
#endif
enum { DEATHS = 3, GLANCE_MOST = 64, GATHER_LEAST = 8, GATHER_MOST = 128, GATHER_ENOUGH = 256 /* values */, LOOKS = 16 };
enum { AHEAD = 8 /* cells */, CELL_LINE = 64 };

/* Segments. */

/* The segment that follows, made if there is none: NULL with ENOMEM. */
static struct shared_segment *segment_after(struct shared_fifo *fifo, struct shared_end *in)
{
    struct shared_segment *next = in->segment->next;
    size_t size = sizeof(*next) + fifo->cells * sizeof(struct wefti_cell);
    if (next)
        return next;
    next = wefti_block_take(size);
    if (!next)
        return NULL;
    next->next = NULL;
    next->first = in->first + fifo->cells;
    wefti_gate_begin(&in->gate, next, CHAIN, 0);
    wefti_block_commit(next, size);
    __atomic_store_n(&in->segment->next, next, __ATOMIC_RELEASE);
    wefti_gate_done(&in->gate);
    return next;
}

/* A cell further on: while those before it are filled it comes here from the processor where it was read. Else each put waits for its own,
 * as leaving the gate waits for all stores. */
static inline void cell_fetch(const struct wefti_cell *cell, uint64_t left, uint8_t length)
{
    if (left <= AHEAD)
        return;
    wefti_fetch_to_write(cell + AHEAD);
    if (length > CELL_LINE - offsetof(struct wefti_cell, as))
        wefti_fetch_to_write((const char *)(cell + AHEAD) + CELL_LINE);
}

/* The cell where the next value goes, of so many octets in it; NULL with ENOMEM. Inside. */
static inline struct wefti_cell *cell_in(struct shared_fifo *fifo, uint8_t length)
{
    struct shared_end *in = &fifo->in;
    if (__builtin_expect(in->count - in->first == fifo->cells, 0)) {
        struct shared_segment *next = segment_after(fifo, in);
        if (!next)
            return NULL;
        __atomic_store_n(&in->segment, next, __ATOMIC_RELEASE);
        __atomic_store_n(&in->first, in->first + fifo->cells, __ATOMIC_RELEASE);
    }
    uint64_t place = in->count - in->first;
    cell_fetch(&in->segment->cells[place], fifo->cells - place, length);
    return &in->segment->cells[place];
}

/* `out` goes on to the next segment, and frees an emptied one. */
static void shared_out_next(struct shared_fifo *fifo)
{
    struct shared_end *out = &fifo->out;
    struct shared_segment *old = out->segment;
    if (!fifo_chains(fifo)) {
        __atomic_store_n(&out->first, out->first + fifo->cells, __ATOMIC_RELEASE);
        return;
    }
    wefti_gate_begin(&out->gate, old, UNCHAIN, 0);
    __atomic_store_n(&out->segment, __atomic_load_n(&old->next, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
    wefti_block_withdraw(old, wefti_member);
    wefti_gate_done(&out->gate);
    __atomic_store_n(&out->first, out->segment->first, __ATOMIC_RELEASE);
    wefti_block_discard(old);
}

const struct wefti_cell *wefti_fifo_cell_out(struct shared_fifo *fifo)
{
    struct shared_end *out = &fifo->out;
    if (__builtin_expect(out->count - out->first == fifo->cells, 0))
        shared_out_next(fifo);
    return &out->segment->cells[out->count - out->first];
}

/* Moves of one value, inside the gate of its end. */

/* 0, EPIPE, EAGAIN (full), ENOMEM. */
static inline int fifo_add(struct shared_fifo *fifo, struct wefti_parcel *parcel)
{
    struct shared_end *in = &fifo->in;
    if (__builtin_expect(wefti_queue_is_closed(&fifo->shared.queue), 0))
        return EPIPE;
    if (!shared_may_pass(fifo, in))
        return EAGAIN;
    struct wefti_cell *cell = cell_in(fifo, parcel->length);
    if (!cell)
        return ENOMEM;
    wefti_parcel_lay(parcel, cell);
    if (__builtin_expect(parcel->cargo != NULL, 0)) {
        wefti_gate_begin(&in->gate, parcel->cargo, PUT, in->count);
        wefti_block_commit(parcel->cargo, parcel->cargo_size);
    }
    count_move(in, in->count + 1);
    if (__builtin_expect(parcel->cargo != NULL, 0))
        wefti_gate_done(&in->gate);
    return 0;
}

static void fifo_take_cargo(struct shared_end *out, const struct wefti_cell *cell, struct wefti_catch *caught)
{
    struct wefti_cargo *cargo = wefti_cell_cargo(cell);
    caught->form = cell->form;
    caught->cargo = cargo;
    wefti_gate_begin(&out->gate, cargo, TAKE, out->count);
    count_move(out, out->count + 1);
    wefti_block_withdraw(cargo, wefti_member);
    wefti_gate_done(&out->gate);
}

/* 0, EPIPE (closed and empty), EAGAIN (empty), ENOMEM: then nothing was taken. */
static inline int fifo_remove(struct shared_fifo *fifo, struct wefti_catch *caught)
{
    struct shared_end *out = &fifo->out;
    caught->cargo = NULL;
    if (__builtin_expect(out->back != 0, 0)) {
        *caught = wefti_catch_back(out);
        return 0;
    }
    if (!shared_may_pass(fifo, out)) {
        if (!wefti_queue_is_closed(&fifo->shared.queue))
            return EAGAIN;
        if (!shared_may_pass(fifo, out)) /* looked at again: a put may have come before the close */
            return EPIPE;
    }
    const struct wefti_cell *cell = wefti_fifo_cell_out(fifo);
    if (__builtin_expect(cell->form & WEFTI_FORM_BLOCK, 0)) {
        fifo_take_cargo(out, cell, caught);
        return 0;
    }
    if (wefti_cell_read(cell, &caught->value) != 0)
        return ENOMEM;
    count_move(out, out->count + 1);
    return 0;
}

/* Tries. */

/* 0, EPIPE, EAGAIN (full), ENOMEM, or why it could not enter: ESTALE, ETIMEDOUT, ECANCELED. `deadline` is for the gate alone. */
static inline int shared_try_put(struct shared_fifo *fifo, struct wefti_parcel *parcel, weft_time deadline)
{
    struct wefti_visit visit;
    if (wefti_gate_enter_by(&fifo->in.gate, &visit, deadline) != 0)
        return errno;
    int error = fifo_add(fifo, parcel);
    wefti_gate_leave(&fifo->in.gate, &visit, error ? 0 : WEFTI_GATE_VALUES);
    wefti_visit_end(&visit);
    return error;
}

/* 0, EPIPE (closed and empty), EAGAIN (empty), ENOMEM; else as a put. */
static inline int shared_try_get(struct shared_fifo *fifo, weft_value *value, weft_time deadline)
{
    if (fifo->joinable)
        return wefti_joinable_try_get(fifo, value, deadline);
    struct wefti_visit visit;
    struct wefti_catch caught;
    if (wefti_gate_enter_by(&fifo->out.gate, &visit, deadline) != 0)
        return errno;
    int error = fifo_remove(fifo, &caught);
    wefti_gate_leave(&fifo->out.gate, &visit, error ? 0 : WEFTI_GATE_ROOM);
    wefti_visit_end(&visit);
    return error ? error : wefti_catch_read(fifo, &caught, value);
}

/* Waiting. */

static uint64_t count_after(const struct shared_end *end, int pauses)
{
    while (pauses-- > 0)
        wefti_pause();
    return count_look(end);
}

/* While the end keeps moving, gives it time to move far: who goes on after each value fights with the other side for the line of the
 * count. */
static void shared_gather(const struct shared_end *end, uint64_t seen)
{
    uint64_t now = count_look(end), before = seen;
    for (int pauses = GATHER_LEAST; pauses <= GATHER_MOST && now != before && now - seen < GATHER_ENOUGH; pauses *= 2) {
        before = now;
        now = count_after(end, pauses);
    }
}

/* Gives the end a moment to move on from `seen`. True when it has. */
static bool shared_linger(const struct shared_end *end, uint64_t seen, weft_time deadline)
{
    struct wefti_spin *spin = &wefti_context_current()->spin;
    for (int pauses = 1; pauses <= GLANCE_MOST && wefti_many_processors();
         pauses *= 2) /* whatever came of longer spins: a burst is on its way */
        if (count_after(end, pauses) != seen) {
            shared_gather(end, seen);
            return true;
        }
    if (!wefti_spin_pays(spin))
        return false;
    weft_time now = weft_clock(), until = deadline - now < LINGER ? deadline : now + LINGER;
    bool moved;
    do {
        moved = false;
        for (int i = 0; i < LOOKS && !moved; i++)
            moved = count_after(end, 4) != seen;
    } while (!moved && weft_clock() < until);
    if (moved)
        shared_gather(end, seen);
    return wefti_spin_told(spin, moved);
}

/* One cannot pass `end` until the other end has moved on: waits for that, or for a close. 0: worth another look; -1 as weft_wait. */
static int shared_wait(struct shared_fifo *fifo, struct shared_end *end, weft_time deadline)
{
    struct shared_end *other = end_other(fifo, end);
    struct wefti_shared_door *door = end_door(fifo, end);
    uint64_t seen = count_look(end) - end->lead;
    if (count_look(other) != seen || shared_linger(other, seen, deadline))
        return 0;
    uint32_t flag = end_flag(fifo, end), bell = wefti_shared_door_watch(door, &other->gate, flag);
    int result = 0;
    if (shared_looks_shut(fifo, end) && !wefti_queue_is_closed(&fifo->shared.queue))
        result = wefti_wait_quiet(&door->bell, bell, deadline) < 0 ? -1 : 0;
    int error = errno;
    wefti_shared_door_leave(door, &other->gate, flag, !shared_looks_shut(fifo, end));
    errno = error;
    return result;
}

/* What a try that found `error` does next: 0 to try again, -1 with errno. */
static int shared_retry(struct shared_fifo *fifo, struct shared_end *end, int error, weft_time deadline)
{
    if (error == EAGAIN && deadline > WEFT_NOW)
        return shared_wait(fifo, end, deadline);
    errno = error;
    return -1;
}

/* The calls. */

static int shared_put(weft_queue *queue, weft_value value, weft_time deadline)
{
    struct shared_fifo *fifo = (struct shared_fifo *)queue;
    struct wefti_parcel parcel;
    if (wefti_parcel_pack(&parcel, value) != 0)
        return -1;
    for (;;) {
        int error = shared_try_put(fifo, &parcel, deadline);
        if (__builtin_expect(error == 0, 1)) {
            weft_drop(wefti_value_take(value));
            return 0;
        }
        if (shared_retry(fifo, &fifo->in, error, deadline) < 0)
            break;
    }
    int error = errno;
    wefti_parcel_cancel(&parcel);
    errno = error;
    return -1;
}

static int shared_get(weft_queue *queue, weft_value *value, weft_time deadline)
{
    struct shared_fifo *fifo = (struct shared_fifo *)queue;
    for (;;) {
        int error = shared_try_get(fifo, value, deadline);
        if (__builtin_expect(error == 0, 1))
            return 0;
        if (shared_retry(fifo, &fifo->out, error, deadline) < 0)
            return -1;
    }
}

/* Inside: as many as there is room for. */
static size_t fifo_add_some(struct shared_fifo *fifo, const weft_value *values, size_t count, int *error)
{
    size_t put = 0;
    *error = 0;
    while (put < count && !*error) {
        struct wefti_parcel parcel;
        *error = wefti_parcel_pack(&parcel, values[put]) == 0 ? fifo_add(fifo, &parcel) : errno;
        if (*error == 0)
            weft_drop(wefti_value_take(values[put++]));
        else if (*error != EFAULT)
            wefti_parcel_cancel(&parcel);
    }
    return put;
}

static size_t shared_put_some(weft_queue *queue, const weft_value *values, size_t count, int *error)
{
    struct shared_fifo *fifo = (struct shared_fifo *)queue;
    struct wefti_visit visit;
    if (wefti_gate_enter_by(&fifo->in.gate, &visit, WEFT_NOW) != 0) {
        *error = errno;
        return 0;
    }
    size_t put = fifo_add_some(fifo, values, count, error);
    wefti_gate_leave(&fifo->in.gate, &visit, put ? WEFTI_GATE_VALUES : 0);
    wefti_visit_end(&visit);
    return put;
}

/* Of the next value; false when there is none. Inside. */
static bool next_has_cargo(struct shared_fifo *fifo)
{
    return fifo->out.back || (shared_may_pass(fifo, &fifo->out) && (wefti_fifo_cell_out(fifo)->form & WEFTI_FORM_BLOCK));
}

/* Up to one with a block, which is read outside. */
static size_t fifo_remove_some(struct shared_fifo *fifo, weft_value *values, size_t count, int *error)
{
    struct wefti_catch caught;
    size_t got = 0;
    while (got < count && !next_has_cargo(fifo) && (*error = fifo_remove(fifo, &caught)) == 0)
        values[got++] = caught.value;
    return got;
}

static size_t shared_get_some(weft_queue *queue, weft_value *values, size_t count, int *error)
{
    struct shared_fifo *fifo = (struct shared_fifo *)queue;
    struct wefti_visit visit;
    size_t got = 0, some;
    while (fifo->joinable && got < count && (*error = shared_try_get(fifo, &values[got], WEFT_NOW)) == 0)
        got++;
    while (!fifo->joinable && got < count) {
        *error = 0;
        if (wefti_gate_enter_by(&fifo->out.gate, &visit, WEFT_NOW) != 0) {
            *error = errno;
            return got;
        }
        some = fifo_remove_some(fifo, values + got, count - got, error);
        wefti_gate_leave(&fifo->out.gate, &visit, some ? WEFTI_GATE_ROOM : 0);
        wefti_visit_end(&visit);
        got += some;
        if (got == count || *error)
            return got;
        *error = shared_try_get(fifo, &values[got], WEFT_NOW); /* the one with a block */
        if (*error)
            return got;
        got++;
    }
    return got;
}

void wefti_fifo_rebuild(struct shared_fifo *fifo)
{
    struct wefti_visit visit;
    if (wefti_gate_enter_by(&fifo->out.gate, &visit, WEFT_NOW) != 0)
        return; /* somebody is stopped inside: what is known must do */
    wefti_nodes_whole(&fifo->nodes);
    wefti_gate_leave(&fifo->out.gate, &visit, 0);
    wefti_visit_end(&visit);
}

/* Exact at the moment at which in.count was read, but for what was given back. */
static size_t shared_size(const weft_queue *queue)
{
    const struct shared_fifo *fifo = (const struct shared_fifo *)queue;
    if (__builtin_expect(__atomic_load_n(&fifo->nodes.broken, __ATOMIC_ACQUIRE), 0))
        wefti_fifo_rebuild((struct shared_fifo *)(uintptr_t)queue); /* NOLINT: none of what it says of itself changes */
    uint64_t in, out, again = count_look(&fifo->out);
    do {
        out = again;
        in = count_look(&fifo->in);
        again = count_look(&fifo->out);
    } while (again != out);
    return (size_t)(in - out + __atomic_load_n(&fifo->out.backs, __ATOMIC_RELAXED) +
                    __atomic_load_n(&fifo->nodes.returned_count, __ATOMIC_RELAXED));
}

void wefti_fifo_close(weft_queue *queue)
{
    struct shared_fifo *fifo = (struct shared_fifo *)queue;
    struct wefti_visit visit;
    bool inside = wefti_gate_enter(&fifo->in.gate, &visit) == 0; /* who is no member closes it all the same */
    __atomic_store_n(&queue->closed, 1, __ATOMIC_RELEASE);
    wefti_shared_door_ring(&fifo->shared.filled);
    wefti_shared_door_ring(&fifo->shared.emptied);
    __atomic_add_fetch(&queue->done.bell, 1, __ATOMIC_RELEASE); /* who waits for what may be given up */
    weft_wake(&queue->done.bell, UINT32_MAX);
    if (!inside)
        return;
    wefti_gate_leave(&fifo->in.gate, &visit, 0);
    wefti_visit_end(&visit);
}

/* Takes the next value and forgets it. */
bool wefti_fifo_discard(struct shared_fifo *fifo)
{
    struct wefti_visit visit;
    struct wefti_catch caught = {.value = weft_none};
    if (wefti_gate_enter(&fifo->out.gate, &visit) != 0)
        return false;
    bool cargo = next_has_cargo(fifo);
    bool some = cargo ? fifo_remove(fifo, &caught) == 0 : shared_may_pass(fifo, &fifo->out);
    if (some && !cargo)
        count_move(&fifo->out, fifo->out.count + 1);
    wefti_gate_leave(&fifo->out.gate, &visit, some ? WEFTI_GATE_ROOM : 0);
    if (some && cargo)
        wefti_block_discard(caught.cargo);
    wefti_visit_end(&visit);
    return some;
}

static size_t shared_drop_all(struct wefti_shared_queue *queue)
{
    size_t dropped = 0;
    if (((struct shared_fifo *)queue)->joinable)
        return wefti_joinable_drop_all(queue);
    while (wefti_fifo_discard((struct shared_fifo *)queue))
        dropped++;
    return dropped;
}

/* Select. */

static int shared_case_get(weft_case *one)
{
    struct shared_fifo *fifo = one->object;
    bool shut = shared_looks_shut(fifo, &fifo->out) && !wefti_queue_is_closed(&fifo->shared.queue);
    return shut ? 0 : wefti_queue_outcome(shared_try_get(fifo, one->operation, WEFT_NOW));
}

static int shared_case_put(weft_case *one)
{
    struct shared_fifo *fifo = one->object;
    if (shared_looks_shut(fifo, &fifo->in) && !wefti_queue_is_closed(&fifo->shared.queue))
        return 0;
    weft_value *value = one->operation;
    struct wefti_parcel parcel;
    if (wefti_parcel_pack(&parcel, *value) != 0)
        return -1;
    int error = shared_try_put(fifo, &parcel, WEFT_NOW);
    if (error == 0)
        weft_drop(wefti_value_take(*value));
    else
        wefti_parcel_cancel(&parcel);
    return wefti_queue_outcome(error);
}

/* Becomes a waiter of the end. True when it need not wait. */
static bool shared_case_watch(struct shared_fifo *fifo, struct shared_end *end, struct wefti_item *item)
{
    struct wefti_shared_door *door = end_door(fifo, end);
    item->kind = WEFTI_WORD;
    item->word = &door->bell;
    item->expected = wefti_shared_door_watch(door, &end_other(fifo, end)->gate, end_flag(fifo, end));
    return !shared_looks_shut(fifo, end) || wefti_queue_is_closed(&fifo->shared.queue);
}

static void shared_case_unwatch(struct shared_fifo *fifo, struct shared_end *end)
{
    wefti_shared_door_leave(end_door(fifo, end), &end_other(fifo, end)->gate, end_flag(fifo, end), !shared_looks_shut(fifo, end));
}

static bool shared_case_get_enqueue(weft_case *one, struct wefti_item *item)
{
    struct shared_fifo *fifo = one->object;
    return shared_case_watch(fifo, &fifo->out, item);
}

static bool shared_case_put_enqueue(weft_case *one, struct wefti_item *item)
{
    struct shared_fifo *fifo = one->object;
    return shared_case_watch(fifo, &fifo->in, item);
}

static void shared_case_get_dequeue(weft_case *one)
{
    shared_case_unwatch(one->object, &((struct shared_fifo *)one->object)->out);
}

static void shared_case_put_dequeue(weft_case *one)
{
    shared_case_unwatch(one->object, &((struct shared_fifo *)one->object)->in);
}

static const struct weft_waitable shared_get_waitable = {
    .ready = shared_case_get, .enqueue = shared_case_get_enqueue, .dequeue = shared_case_get_dequeue};
static const struct weft_waitable shared_put_waitable = {
    .ready = shared_case_put, .enqueue = shared_case_put_enqueue, .dequeue = shared_case_put_dequeue};

const struct wefti_shared_kind wefti_queue_shared_fifo = {
    .calls =
        {
            .put = shared_put,
            .get = shared_get,
            .put_some = shared_put_some,
            .get_some = shared_get_some,
            .size = shared_size,
            .close = wefti_fifo_close,
            .free = wefti_queue_shared_free,
            .get_case = &shared_get_waitable,
            .put_case = &shared_put_waitable,
        },
    .gate = wefti_fifo_gate,
    .blocks = wefti_fifo_blocks,
    .settle = wefti_fifo_settle,
    .mend = wefti_joinable_mend,
    .drop_all = shared_drop_all,
    .task_done = wefti_joinable_task_done,
    .join = wefti_joinable_join,
    .deliveries = wefti_joinable_deliveries,
    .letter = wefti_joinable_letter,
};

/* Making one. A bounded queue is one block, with its segment behind it. */

static size_t segment_size(uint64_t cells)
{
    return sizeof(struct shared_segment) + cells * sizeof(struct wefti_cell);
}

static void shared_fill(struct shared_fifo *fifo, struct shared_segment *segment, size_t capacity, uint64_t cells)
{
    memset(fifo, 0, sizeof(*fifo));
    wefti_queue_shared_prepare(&fifo->shared, WEFTI_QUEUE_SHARED_FIFO, capacity);
    memset(segment, 0, sizeof(*segment));
    segment->next = capacity == WEFT_UNBOUNDED ? NULL : segment;
    fifo->cells = cells;
    fifo->in.lead = fifo->in.limit = capacity == WEFT_UNBOUNDED ? UINT64_MAX / 2 : capacity;
    fifo->in.segment = fifo->out.segment = segment;
    fifo->in.gate.queue = fifo->out.gate.queue = &fifo->shared;
}

static struct shared_fifo *shared_bounded_new(size_t capacity)
{
    if (capacity > (PTRDIFF_MAX - sizeof(struct shared_fifo)) / sizeof(struct wefti_cell) - 1) {
        errno = EINVAL;
        return NULL;
    }
    size_t size = sizeof(struct shared_fifo) + segment_size(capacity);
    struct shared_fifo *fifo = wefti_block_take(size);
    if (!fifo)
        return NULL;
    shared_fill(fifo, (struct shared_segment *)(fifo + 1), capacity, capacity);
    wefti_block_commit(fifo, size);
    return fifo;
}

static struct shared_fifo *shared_unbounded_new(void)
{
    struct shared_fifo *fifo = wefti_block_take(sizeof(*fifo));
    struct shared_segment *segment = fifo ? wefti_block_take(segment_size(CHAIN_CELLS)) : NULL;
    if (!segment) {
        if (fifo)
            wefti_block_cancel(fifo, sizeof(*fifo));
        return NULL;
    }
    shared_fill(fifo, segment, WEFT_UNBOUNDED, CHAIN_CELLS);
    wefti_block_commit(segment, segment_size(CHAIN_CELLS));
    wefti_block_commit(fifo, sizeof(*fifo));
    return fifo;
}

struct weft_queue *wefti_queue_shared_fifo_new(const struct weft_queue_options *options)
{
    struct shared_fifo *fifo = options->capacity == WEFT_UNBOUNDED ? shared_unbounded_new() : shared_bounded_new(options->capacity);
    if (!fifo)
        return NULL;
    fifo->joinable = options->joinable;
    fifo->nodes.deaths = options->deaths ? options->deaths : DEATHS;
    return &fifo->shared.queue;
}
