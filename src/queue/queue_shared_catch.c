/* SPDX-License-Identifier: MIT */
/*
 * What a getter of a plain queue in the arena has taken out of it: a value, or a block, which is in his hands until he has read it, outside
 * the gate.
 *
 * If there is no memory for what is in a block he gives it back: it goes onto a list (`back`) that is taken from before all else. PUSH and
 * POP are pending while the list changes: whether it begins with the block tells which half was done.
 */
#include <errno.h>

#include "queue/queue_shared_fifo.h"

struct wefti_catch wefti_catch_back(struct shared_end *out)
{
    struct wefti_cargo *cargo = (struct wefti_cargo *)(uintptr_t)out->back; /* NOLINT: it was a pointer */
    wefti_gate_begin(&out->gate, cargo, POP, 0);
    __atomic_store_n(&out->back, cargo->next, __ATOMIC_RELEASE);
    wefti_block_withdraw(cargo, wefti_member);
    wefti_gate_done(&out->gate);
    __atomic_store_n(&out->backs, out->backs - 1, __ATOMIC_RELAXED);
    return (struct wefti_catch){.cargo = cargo, .form = (uint8_t)cargo->reserved[0]};
}

static void catch_give_back(struct shared_fifo *fifo, const struct wefti_catch *caught)
{
    struct shared_end *out = &fifo->out;
    struct wefti_visit visit;
    int error = errno;
    if (wefti_gate_enter(&out->gate, &visit) != 0)
        return; /* it could be entered before, so it can now */
    caught->cargo->next = out->back;
    caught->cargo->reserved[0] = caught->form;
    wefti_gate_begin(&out->gate, caught->cargo, PUSH, 0);
    wefti_block_commit(caught->cargo, sizeof(*caught->cargo) + caught->cargo->length);
    __atomic_store_n(&out->back, (uintptr_t)caught->cargo, __ATOMIC_RELEASE);
    wefti_gate_done(&out->gate);
    __atomic_store_n(&out->backs, out->backs + 1, __ATOMIC_RELAXED);
    wefti_gate_leave(&out->gate, &visit, 0);
    wefti_visit_end(&visit);
    wefti_shared_door_ring(&fifo->shared.filled);
    errno = error;
}

int wefti_catch_read(struct shared_fifo *fifo, const struct wefti_catch *caught, weft_value *value)
{
    if (!caught->cargo) {
        *value = caught->value;
        return 0;
    }
    if (wefti_cargo_read(caught->form, caught->cargo, value) == 0) {
        wefti_block_discard(caught->cargo);
        return 0;
    }
    catch_give_back(fifo, caught);
    return ENOMEM;
}

void wefti_backs_count(struct shared_end *out)
{
    uint64_t backs = 0;
    for (uint64_t at = out->back; at; at = ((const struct wefti_cargo *)(uintptr_t)at)->next) /* NOLINT: it was a pointer */
        backs++;
    out->backs = backs;
}
