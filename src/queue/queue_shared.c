/* SPDX-License-Identifier: MIT */
/*
 * What all queues in the arena have in common: gates and what the sweep does about them, doors, how a value becomes octets and a value
 * again.
 *
 * A death inside a gate: the sweep finds the holding, sees that the dead owns the gate, lets the kind settle the pending block in his name,
 * rings both doors, as he may have brought something, and opens the gate. What blocks are in the dead's hands then it gives back after
 * that. Each step looks before it changes, and may be done again by another when who mends dies. A death outside: between the leave and the
 * wake that he owed the bell has changed already, and the sweep wakes all who sleep.
 *
 * A wait at a gate takes the call's deadline, and may be cancelled, but not in its first moments (PATIENCE), so that what takes a moment is
 * no reason to fail. Who gives up had not entered: nothing of the queue is his but what he had left there before, and the rendezvous says
 * how that is left to others. What has no deadline, and what must not be left half done, waits as long as it takes.
 *
 * A holding that is there still when the gate is no longer his says nothing about the queue, which may have been freed: nothing is done
 * then.
 *
 * The value is packed by the putter before he enters, so that what cannot be sent fails there, and unpacked by the getter: before the item
 * is removed if it lies in its cell (making a short text takes a few hundred instructions, and if there is no memory the item stays), after
 * that if it has a block.
 *
 * Freeing. Who frees a queue says so (a holding, then `freer`), withdraws all its blocks, takes `magic` away, and discards them. While the
 * queue has its magic nothing of it has been discarded, so all that leads from block to block is there; if he dies, whoever sweeps walks
 * the same way, withdraws what is left in the name of the dead, and takes the magic away. Without it all is in the dead's hands. In either
 * case the sweep gives his blocks back after that. `freer` keeps the holding from meaning another queue that has the place by now.
 *
 * Fork: a child of the host's own is no member: every call that enters a gate fails with ESTALE there, and a free does nothing.
 */

#include "queue/queue_shared.h"

#include <errno.h>
#include <string.h>

#include "base/opening.h"
#include "hint.h"
#include "value/flat.h"

#ifdef WEFTI_SMALL
enum { SPINS = 1 };
#else
enum { SPINS = 200 /* looks */ };
#endif
enum { PATIENCE = 10000000 /* ns: who is preempted seldom stays away longer, and the dead are swept by then */ };

static const struct wefti_shared_kind *const kinds[WEFTI_QUEUE_SHARED_KINDS] = {
    [WEFTI_QUEUE_SHARED_FIFO] = &wefti_queue_shared_fifo,
    [WEFTI_QUEUE_SHARED_ORDERED] = &wefti_queue_shared_ordered,
    [WEFTI_QUEUE_SHARED_RENDEZVOUS] = &wefti_queue_shared_rendezvous,
};

const struct wefti_shared_kind *wefti_queue_shared_kind(const struct wefti_shared_queue *queue)
{
    uintptr_t number = (uintptr_t)queue->queue.kind;
    return number < WEFTI_QUEUE_SHARED_KINDS ? kinds[number] : NULL;
}

const struct wefti_queue_kind *wefti_queue_shared_calls(const struct weft_queue *queue)
{
    return &kinds[(uintptr_t)queue->kind]->calls;
}

/* Gates. */

static bool gate_try(struct wefti_gate *gate, uint32_t me, uint32_t flags)
{
    uint32_t word = __atomic_load_n(&gate->word, __ATOMIC_RELAXED);
    while (!(word & ~(uint32_t)WEFTI_GATE_FLAGS))
        if (__atomic_compare_exchange_n(&gate->word, &word, me | word | flags, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
    return false;
}

static bool gate_spin(struct wefti_gate *gate, uint32_t me)
{
    for (int i = 0; i < SPINS && wefti_may_spin(); i++) {
        if (gate_try(gate, me, 0))
            return true;
        wefti_pause();
    }
    return false;
}

/* Sees to SLEEPERS. False when the gate may be had instead; else *word is what may be slept on. */
static bool gate_announce(struct wefti_gate *gate, uint32_t *word)
{
    *word = __atomic_load_n(&gate->word, __ATOMIC_RELAXED);
    while (*word & ~(uint32_t)WEFTI_GATE_FLAGS) {
        if (*word & WEFTI_GATE_SLEEPERS)
            return true;
        if (__atomic_compare_exchange_n(&gate->word, word, *word | WEFTI_GATE_SLEEPERS, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            *word |= WEFTI_GATE_SLEEPERS;
            return true;
        }
    }
    return false;
}

/* 0: inside; -1 as weft_wait. Who gives up leaves SLEEPERS behind: a wake that he may have had goes on to another then. */
static int gate_sleep(struct wefti_gate *gate, uint32_t me, weft_time deadline)
{
    uint32_t word;
    int slept = 0;
    while (!gate_try(gate, me, WEFTI_GATE_SLEEPERS)) {
        if (!gate_announce(gate, &word))
            continue;
        if (slept < 0)
            return -1;
        slept = wefti_wait_quiet(&gate->word, word, deadline);
    }
    return 0;
}

static int gate_sleep_shielded(struct wefti_gate *gate, uint32_t me, weft_time deadline)
{
    wefti_shield_raise();
    int slept = gate_sleep(gate, me, deadline);
    wefti_shield_lower();
    return slept;
}

void wefti_gate_wait(struct wefti_gate *gate, const struct wefti_visit *visit)
{
    if (gate_try(gate, visit->me, 0) || gate_spin(gate, visit->me))
        return;
    while (gate_sleep_shielded(gate, visit->me, WEFT_FOREVER) < 0)
        ;
}

/* 0; -1 with errno, and no visit any more. */
int wefti_gate_wait_by(struct wefti_gate *gate, struct wefti_visit *visit, weft_time deadline)
{
    if (gate_try(gate, visit->me, 0) || gate_spin(gate, visit->me))
        return 0;
    int slept = gate_sleep_shielded(gate, visit->me, weft_clock() + PATIENCE);
    if (slept < 0 && deadline > WEFT_NOW)
        slept = gate_sleep(gate, visit->me, deadline);
    if (slept == 0)
        return 0;
    int error = deadline > WEFT_NOW ? errno : EAGAIN;
    wefti_visit_end(visit);
    errno = error;
    return -1;
}

/* The doors that one who leaves with this has to ring. */
static void gate_ring(struct wefti_gate *gate, uint32_t flags)
{
    if (flags & WEFTI_GATE_VALUES)
        __atomic_add_fetch(&gate->queue->filled.bell, 1, __ATOMIC_RELAXED);
    if (flags & WEFTI_GATE_ROOM)
        __atomic_add_fetch(&gate->queue->emptied.bell, 1, __ATOMIC_RELAXED);
}

/* The bell changes before the gate opens: who dies in between has told those who are about to sleep, and the sweep wakes those who do. */
void wefti_gate_leave_slow(struct wefti_gate *gate, struct wefti_visit *visit, uint32_t brought)
{
    struct wefti_shared_queue *queue = gate->queue;
    uint32_t word = __atomic_load_n(&gate->word, __ATOMIC_RELAXED), rung;
    do {
        rung = word & brought;
        gate_ring(gate, rung);
    } while (!__atomic_compare_exchange_n(
        &gate->word, &word, word & WEFTI_GATE_FLAGS & ~(rung | WEFTI_GATE_SLEEPERS), false, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    if (word & WEFTI_GATE_SLEEPERS)
        weft_wake(&gate->word, 1);
    if (rung & WEFTI_GATE_VALUES)
        weft_wake(&queue->filled.bell, 1);
    if (rung & WEFTI_GATE_ROOM)
        weft_wake(&queue->emptied.bell, 1);
    (void)visit;
}

/* Doors. */

uint32_t wefti_shared_door_watch(struct wefti_shared_door *door, struct wefti_gate *gate, uint32_t flag)
{
    __atomic_add_fetch(&door->waiting, 1, __ATOMIC_RELAXED);
    uint32_t bell = __atomic_load_n(&door->bell, __ATOMIC_RELAXED);
    __atomic_fetch_or(
        &gate->word, flag, __ATOMIC_ACQ_REL); /* pairs with the release of a leave: what was brought before is seen after this */
    return bell;
}

void wefti_shared_door_leave(struct wefti_shared_door *door, struct wefti_gate *gate, uint32_t flag, bool some)
{
    if (__atomic_sub_fetch(&door->waiting, 1, __ATOMIC_RELAXED) == 0)
        return;
    if (!some)
        __atomic_fetch_or(&gate->word, flag, __ATOMIC_ACQ_REL);
    else {
        __atomic_add_fetch(&door->bell, 1, __ATOMIC_RELAXED);
        weft_wake(&door->bell, 1);
    }
}

void wefti_shared_door_ring(struct wefti_shared_door *door)
{
    __atomic_add_fetch(&door->bell, 1, __ATOMIC_RELEASE);
    weft_wake(&door->bell, UINT32_MAX);
}

/* Deaths. */

/* Whether it is a queue yet: what a holding says may be long past. */
static bool queue_is_whole(const struct wefti_shared_queue *queue)
{
    bool whole = wefti_is_shared(queue) && wefti_is_shared(queue + 1) && queue->magic == WEFTI_QUEUE_MAGIC;
    return whole && wefti_queue_shared_kind(queue);
}

static void gate_mend(struct wefti_gate *gate, uint32_t dead)
{
    uint32_t word = __atomic_load_n(&gate->word, __ATOMIC_ACQUIRE);
    if ((word & ~(uint32_t)WEFTI_GATE_FLAGS) != dead << WEFTI_GATE_OWNER_SHIFT)
        return;
    struct wefti_shared_queue *queue = gate->queue;
    if (!queue_is_whole(queue))
        return;
    wefti_queue_shared_kind(queue)->settle(queue, gate, (uint16_t)wefti_life_seat(dead));
    gate_ring(gate, WEFTI_GATE_FLAGS);
    while ((word & ~(uint32_t)WEFTI_GATE_FLAGS) == dead << WEFTI_GATE_OWNER_SHIFT)
        if (__atomic_compare_exchange_n(&gate->word, &word, 0, false, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
            break;
    weft_wake(&gate->word, UINT32_MAX);
    weft_wake(&queue->filled.bell, UINT32_MAX);
    weft_wake(&queue->emptied.bell, UINT32_MAX);
}

static void queue_block_withdraw(void *block, uint16_t member)
{
    wefti_block_withdraw(block, member); /* fails for what has been withdrawn before */
}

/* All of the queue is in the member's hands after it, and it is no queue any more. */
static void queue_withdraw(struct wefti_shared_queue *queue, uint16_t member)
{
    wefti_queue_shared_kind(queue)->blocks(queue, queue_block_withdraw, member);
    __atomic_store_n(&queue->magic, 0, __ATOMIC_RELEASE);
}

static void free_mend(struct wefti_shared_queue *queue, uint32_t dead)
{
    if (queue_is_whole(queue) && __atomic_load_n(&queue->freer, __ATOMIC_ACQUIRE) == dead)
        queue_withdraw(queue, (uint16_t)wefti_life_seat(dead));
}

static void queue_mend(uint32_t dead, void *object, uint64_t detail)
{
    struct wefti_shared_queue *queue = object;
    if ((detail & WEFTI_DETAIL_KINDS) == WEFTI_DETAIL_GATE)
        gate_mend(object, dead);
    else if ((detail & WEFTI_DETAIL_KINDS) == WEFTI_DETAIL_FREE)
        free_mend(queue, dead);
    else if (queue_is_whole(queue) && wefti_queue_shared_kind(queue)->mend)
        wefti_queue_shared_kind(queue)->mend(queue, dead);
}

/* Values in. */

static bool pointer_may(const void *pointer)
{
    return wefti_is_shared(pointer);
}

static int parcel_cargo(struct wefti_parcel *parcel, size_t length)
{
    parcel->cargo_size = sizeof(struct wefti_cargo) + length;
    parcel->cargo = wefti_block_take(parcel->cargo_size);
    if (!parcel->cargo)
        return -1;
    parcel->form |= WEFTI_FORM_BLOCK;
    parcel->number = (uintptr_t)parcel->cargo;
    parcel->cargo->next = 0;
    parcel->cargo->length = length;
    return 0;
}

static int parcel_pack_text(struct wefti_parcel *parcel, weft_value value)
{
    size_t length = weft_length(value);
    const void *octets = weft_as_bytes(value);
    if (length <= WEFTI_CELL_INLINE) {
        parcel->length = (uint8_t)length;
        parcel->octets = octets;
        return 0;
    }
    if (parcel_cargo(parcel, length) != 0)
        return -1;
    memcpy(parcel->cargo->octets, octets, length);
    return 0;
}

static int parcel_pack_flat(struct wefti_parcel *parcel, weft_value value)
{
    ssize_t length = wefti_flat_write(value, parcel->flat, sizeof(parcel->flat), pointer_may);
    parcel->form = WEFTI_FORM_FLAT;
    parcel->octets = parcel->flat;
    if (length >= 0 && (size_t)length <= sizeof(parcel->flat)) {
        parcel->length = (uint8_t)length;
        return 0;
    }
    if (length < 0 || parcel_cargo(parcel, (size_t)length) != 0)
        return -1;
    if (wefti_flat_write(value, parcel->cargo->octets, (size_t)length, pointer_may) == length)
        return 0;
    wefti_parcel_cancel(parcel);
    return -1;
}

int wefti_parcel_pack(struct wefti_parcel *parcel, weft_value value)
{
    parcel->form = value.kind;
    parcel->length = 0;
    parcel->cargo = NULL;
    parcel->number = (uint64_t)value.as.integer;
    if (__builtin_expect(value.kind < WEFT_PTR, 1))
        return 0;
    if (value.kind == WEFT_PTR) {
        if (!value.as.pointer || wefti_is_shared(value.as.pointer))
            return 0;
        errno = EFAULT;
        return -1;
    }
    return value.kind == WEFT_STR || value.kind == WEFT_BYTES ? parcel_pack_text(parcel, value) : parcel_pack_flat(parcel, value);
}

void wefti_parcel_cancel(struct wefti_parcel *parcel)
{
    if (parcel->cargo)
        wefti_block_cancel(parcel->cargo, parcel->cargo_size);
    parcel->cargo = NULL;
}

/* As memcpy, for few octets, of which the compiler knows that they are few, and would copy them word by word. */
static void octets_copy(char *to, const char *from, size_t length)
{
    enum { AT_ONCE = 16 };
    if (length < AT_ONCE) {
        memcpy(to, from, length);
        return;
    }
    for (size_t i = 0; i + AT_ONCE <= length; i += AT_ONCE)
        memcpy(to + i, from + i, AT_ONCE);
    memcpy(to + length - AT_ONCE, from + length - AT_ONCE, AT_ONCE); /* the rest, and some of it again */
}

void wefti_parcel_lay_octets(const struct wefti_parcel *parcel, struct wefti_cell *cell)
{
    cell->form = parcel->form;
    cell->length = parcel->length;
    if (parcel->cargo)
        cell->as.block = (uintptr_t)parcel->cargo;
    else if (parcel->length)
        octets_copy(cell->as.octets, parcel->octets, parcel->length);
}

/* Values out. */

static int octets_read(uint8_t form, const char *octets, size_t length, weft_value *value)
{
    if (form == WEFTI_FORM_FLAT)
        return wefti_flat_read(octets, length, value);
    weft_value text = form == WEFT_STR ? weft_str_n(octets, length) : weft_bytes(octets, length);
    if (weft_is_error(text))
        return -1;
    *value = text;
    return 0;
}

int wefti_cell_read_octets(const struct wefti_cell *cell, weft_value *value)
{
    return octets_read(cell->form, cell->as.octets, cell->length, value);
}

int wefti_cargo_read(uint8_t form, const struct wefti_cargo *cargo, weft_value *value)
{
    return octets_read((uint8_t)(form & ~WEFTI_FORM_BLOCK), cargo->octets, cargo->length, value);
}

/* Making one. */

void wefti_queue_shared_prepare(struct wefti_shared_queue *queue, unsigned kind, size_t capacity)
{
    memset(queue, 0, sizeof(*queue));
    queue->queue.kind = (const struct wefti_queue_kind *)(uintptr_t)kind; /* NOLINT: a number, where private queues have their table */
    queue->queue.capacity = capacity;
    queue->magic = WEFTI_QUEUE_MAGIC;
}

struct weft_queue *wefti_queue_shared_new(const struct weft_queue_options *options)
{
    if (options->capacity == WEFT_RENDEZVOUS && options->joinable) {
        errno = ENOTSUP;
        return NULL;
    }
    if (options->capacity == WEFT_RENDEZVOUS)
        return wefti_queue_shared_rendezvous_new();
    return options->order == WEFT_FIFO ? wefti_queue_shared_fifo_new(options) : wefti_queue_shared_ordered_new(options);
}

/* Freeing one. */

/* Whoever let the caller know that it can be freed may be about to leave yet. */
static void gates_pass(struct wefti_shared_queue *queue, const struct wefti_shared_kind *kind)
{
    struct wefti_visit visit;
    struct wefti_gate *gate;
    for (unsigned i = 0; (gate = kind->gate(queue, i)); i++)
        if (wefti_gate_enter(gate, &visit) == 0) {
            wefti_gate_leave(gate, &visit, 0);
            wefti_visit_end(&visit);
        }
}

static void queue_block_discard(void *block, uint16_t member)
{
    (void)member;
    wefti_block_discard(block);
}

void wefti_queue_shared_free(struct weft_queue *queue)
{
    struct wefti_shared_queue *shared = (struct wefti_shared_queue *)queue;
    const struct wefti_shared_kind *kind = wefti_queue_shared_kind(shared);
    struct wefti_life *life = wefti_context_life(wefti_context_current());
    if (!wefti_member)
        return;
    gates_pass(shared, kind);
    struct wefti_holding *holding = life ? wefti_holding_find(life) : NULL; /* without memory for one it is freed all the same */
    if (holding) {
        wefti_hold(holding, WEFTI_HOLD_QUEUE, shared, WEFTI_DETAIL_FREE);
        __atomic_store_n(&shared->freer, life->ident, __ATOMIC_RELEASE);
    }
    queue_withdraw(shared, wefti_member);
    kind->blocks(shared, queue_block_discard, wefti_member);
    if (holding)
        wefti_unhold(holding);
}

/* What queue.c does itself for private ones. */

int wefti_queue_shared_task_done(struct weft_queue *queue)
{
    struct wefti_shared_queue *shared = (struct wefti_shared_queue *)queue;
    const struct wefti_shared_kind *kind = wefti_queue_shared_kind(shared);
    if (kind->task_done)
        return kind->task_done(shared);
    errno = ENOTSUP;
    return -1;
}

int wefti_queue_shared_join(struct weft_queue *queue, weft_time deadline)
{
    struct wefti_shared_queue *shared = (struct wefti_shared_queue *)queue;
    const struct wefti_shared_kind *kind = wefti_queue_shared_kind(shared);
    if (kind->join)
        return kind->join(shared, deadline);
    errno = ENOTSUP;
    return -1;
}

long weft_queue_deliveries(weft_queue *queue)
{
    struct wefti_shared_queue *shared = (struct wefti_shared_queue *)queue;
    if (queue && wefti_queue_is_shared(queue) && wefti_queue_shared_kind(shared)->deliveries)
        return wefti_queue_shared_kind(shared)->deliveries(shared);
    errno = queue ? ENOTSUP : EINVAL;
    return -1;
}

int weft_queue_dead_letter(weft_queue *queue, weft_value *value, weft_time deadline)
{
    struct wefti_shared_queue *shared = (struct wefti_shared_queue *)queue;
    if (queue && wefti_queue_is_shared(queue) && wefti_queue_shared_kind(shared)->letter)
        return wefti_queue_shared_kind(shared)->letter(shared, value, deadline);
    errno = queue ? ENOTSUP : EINVAL;
    return -1;
}

size_t wefti_queue_shared_drop_all(struct weft_queue *queue)
{
    struct wefti_shared_queue *shared = (struct wefti_shared_queue *)queue;
    return wefti_queue_shared_kind(shared)->drop_all(shared);
}

WEFTI_OPENING_SYNC static void queue_shared_open(void)
{
    wefti_menders[WEFTI_HOLD_QUEUE] = queue_mend;
}
