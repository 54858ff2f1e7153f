/* SPDX-License-Identifier: MIT */
/*
 * The line of a pool of processes: a ring of hints, which are the numbers and generations of records.
 *
 * A cell is one word: bits 0-31 the record's number + 1, 0 for an empty cell; 32-42 its generation; 43-63 the lap: how often the ring had
 * been gone round when the cell's turn came (the low bits). A put is one compare-and-swap of the cell at `tail`, from empty with that lap
 * to a hint with that lap. A take is one compare-and-swap of the state of the record that the cell at `head` names, from WAITING to
 * RUNNING; after that the cell is emptied (with the next lap) and head moved on. Nobody waits for anybody: head and tail are themselves
 * hints, which whoever finds them behind moves on; and a cell whose record does not wait (it was cancelled, or its taker died before he
 * emptied the cell) is emptied by whoever finds it. So a process may die between any two steps.
 *
 * A put is a release (the record was written before), a take an acquire: by the record's state, whose compare-and-swap pairs with the store
 * of WAITING. All steps on cells are sequentially consistent, as those who look for work rely on it (process_call.c).
 *
 * head may be beyond tail for a moment: when a putter has stopped between cell and tail.
 */

#include "hint.h"
#include "pool/process.h"

enum { NUMBER_BITS = 32, LAP_SHIFT = 43 };

static uint64_t ring_lap(const struct wefti_process_ring *ring, uint64_t at)
{
    return at / (ring->mask + 1) << LAP_SHIFT;
}

static uint64_t ring_next_lap(const struct wefti_process_ring *ring, uint64_t at)
{
    return (at / (ring->mask + 1) + 1) << LAP_SHIFT;
}

static uint64_t cell_lap(uint64_t cell)
{
    return cell >> LAP_SHIFT << LAP_SHIFT;
}

static uint64_t cell_hint(uint64_t cell)
{
    return cell & ((UINT64_C(1) << LAP_SHIFT) - 1);
}

static uint64_t cell_look(const struct wefti_process_ring *ring, uint64_t at)
{
    return __atomic_load_n(&ring->cells[at & ring->mask], __ATOMIC_SEQ_CST);
}

static bool cell_move(struct wefti_process_ring *ring, uint64_t at, uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(&ring->cells[at & ring->mask], &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static void end_move(uint64_t *end, uint64_t from)
{
    __atomic_compare_exchange_n(end, &from, from + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

uint64_t wefti_process_hint(const struct wefti_process_task *task, uint32_t state)
{
    return (uint64_t)wefti_task_age(state) << NUMBER_BITS | (task->number + 1);
}

static struct wefti_process_task *hint_task(const struct wefti_process_pool *pool, uint64_t hint)
{
    return wefti_process_task_at(pool, (uint32_t)hint - 1);
}

static bool hint_holds(const struct wefti_process_pool *pool, uint64_t hint)
{
    struct wefti_process_task *task = hint_task(pool, hint);
    uint32_t state = __atomic_load_n(&task->state, __ATOMIC_ACQUIRE);
    return wefti_task_phase(state) == WEFTI_TASK_WAITING && wefti_process_hint(task, state) == hint;
}

uint64_t wefti_ring_length(const struct wefti_process_ring *ring)
{
    int64_t length = (int64_t)(__atomic_load_n(&ring->tail, __ATOMIC_RELAXED) - __atomic_load_n(&ring->head, __ATOMIC_RELAXED));
    return length > 0 ? (uint64_t)length : 0;
}

/* Whether a put at `at` would be beyond the bound. */
static bool ring_full(struct wefti_process_ring *ring, uint64_t at, uint64_t bound)
{
    if ((int64_t)(at - __atomic_load_n(&ring->head_seen, __ATOMIC_RELAXED)) < (int64_t)bound)
        return false;
    uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_SEQ_CST);
    __atomic_store_n(&ring->head_seen, head, __ATOMIC_RELAXED);
    return (int64_t)(at - head) >= (int64_t)bound;
}

bool wefti_ring_put(struct wefti_process_pool *pool, struct wefti_process_ring *ring, const struct wefti_process_task *task, uint64_t bound)
{
    uint64_t hint = wefti_process_hint(task, __atomic_load_n(&task->state, __ATOMIC_RELAXED));
    bound = bound <= ring->mask ? bound : ring->mask + 1;
    (void)pool;
    for (;;) {
        uint64_t at = __atomic_load_n(&ring->tail, __ATOMIC_SEQ_CST);
        if (ring_full(ring, at, bound))
            return false;
        uint64_t cell = cell_look(ring, at);
        bool put = cell == ring_lap(ring, at) && cell_move(ring, at, cell, cell | hint);
        if (put || cell != ring_lap(ring,
                               at)) /* what stands there is of this lap or the next: tail is behind; or head is, and this does nothing */
            if (put || cell_lap(cell) == cell_lap(ring_lap(ring, at)) || cell == ring_next_lap(ring, at))
                end_move(&ring->tail, at);
        if (put)
            return true;
    }
}

bool wefti_ring_reuse(struct wefti_process_pool *pool, struct wefti_process_ring *ring, const struct wefti_process_task *task)
{
    uint64_t hint = wefti_process_hint(task, __atomic_load_n(&task->state, __ATOMIC_RELAXED));
    uint64_t at = __atomic_load_n(&ring->head, __ATOMIC_SEQ_CST), end = __atomic_load_n(&ring->tail, __ATOMIC_SEQ_CST);
    for (; (int64_t)(end - at) > 0; at++) {
        uint64_t cell = cell_look(ring, at);
        bool wrong = cell_hint(cell) && cell_lap(cell) == ring_lap(ring, at) && !hint_holds(pool, cell_hint(cell));
        if (wrong && cell_move(ring, at, cell, cell_lap(cell) | hint)) {
            __atomic_add_fetch(&pool->reused, 1, __ATOMIC_RELAXED);
            return true;
        }
    }
    return false;
}

/* Begins the task that the hint names, if it waits. */
static struct wefti_process_task *hint_take(struct wefti_process_pool *pool, uint64_t hint, uint32_t place)
{
    struct wefti_process_task *task = hint_task(pool, hint);
    uint32_t state = __atomic_load_n(&task->state, __ATOMIC_RELAXED);
    while (wefti_task_phase(state) == WEFTI_TASK_WAITING && wefti_process_hint(task, state) == hint)
        if (__atomic_compare_exchange_n(
                &task->state, &state, wefti_task_turn(state, WEFTI_TASK_RUNNING, place), true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return task;
    return NULL;
}

struct wefti_process_task *wefti_ring_take(struct wefti_process_pool *pool, struct wefti_process_ring *ring, uint32_t place)
{
    struct wefti_process_task *task = NULL;
    while (!task) {
        uint64_t at = __atomic_load_n(&ring->head, __ATOMIC_SEQ_CST), cell = cell_look(ring, at);
        if (cell == ring_lap(ring, at))
            return NULL;
        if (cell_hint(cell) && cell_lap(cell) == ring_lap(ring, at)) {
            wefti_fetch_to_write(&ring->cells[at & ring->mask]); /* comes while the record does */
            task = hint_take(pool, cell_hint(cell), place);
            cell_move(ring, at, cell, ring_next_lap(ring, at));
        }
        end_move(&ring->head, at); /* it is empty by now, or head was behind */
    }
    return task;
}

bool wefti_ring_any(const struct wefti_process_ring *ring)
{
    uint64_t at = __atomic_load_n(&ring->head, __ATOMIC_SEQ_CST);
    return cell_look(ring, at) != ring_lap(ring, at);
}

uint64_t wefti_ring_living(const struct wefti_process_pool *pool, const struct wefti_process_ring *ring)
{
    uint64_t living = 0, at = __atomic_load_n(&ring->head, __ATOMIC_SEQ_CST), end = __atomic_load_n(&ring->tail, __ATOMIC_SEQ_CST);
    for (; (int64_t)(end - at) > 0; at++) {
        uint64_t cell = cell_look(ring, at);
        living += cell_hint(cell) && cell_lap(cell) == ring_lap(ring, at) && hint_holds(pool, cell_hint(cell));
    }
    return living;
}

void wefti_ring_list(const struct wefti_process_pool *pool, const struct wefti_process_ring *ring)
{
    uint64_t at = __atomic_load_n(&ring->head, __ATOMIC_SEQ_CST), end = __atomic_load_n(&ring->tail, __ATOMIC_SEQ_CST) + 1;
    for (; ring->cells && (int64_t)(end - at) > 0; at++) { /* one more: whoever put in the last may not have moved tail on */
        uint64_t hint = cell_hint(cell_look(ring, at));
        if (hint && hint_holds(pool, hint))
            hint_task(pool, hint)->listed = 1;
    }
}
