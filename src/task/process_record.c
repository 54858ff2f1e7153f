/* SPDX-License-Identifier: MIT */
/*
 * The record of a process task: made by its maker, with the argument in it; held by maker and runner; freed when both have let go.
 *
 * A block with a result is linked before it is committed, and the sweep after a death commits what it finds linked (record_mend, which
 * comes before blocks in hand are taken back). So a death between any two stores leaves nothing that the record's end does not free.
 *
 * The hold of its maker stands among what its process holds (life.h) under the record's ticket, and is ended by that process or by the
 * sweep after its death (held.h). That of its runner stands in the record of the process that is asked for (family.h, `born`), so that it
 * is ended also if that never comes to run: by its maker (wefti_task_record_leave), or the sweep after the death of whichever of the two is
 * the last to die.
 *
 * fork: a child of the host's own keeps away from records, which are not its to let go (process.c).
 */

#include "task/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/opening.h"
#include "shared/block.h"
#include "shared/life.h"
#include "value/flat.h"

/* In a block of its own, or NULL. */
static char *result_block(const struct wefti_task_record *record)
{
    char *result = __atomic_load_n(&record->result, __ATOMIC_ACQUIRE);
    return result == record->small ? NULL : result;
}

/* On behalf of `member`: this process, or a dead one whose blocks in hand are not taken back yet. */
static void record_free(struct wefti_task_record *record, uint16_t member)
{
    char *result = result_block(record);
    bool withdrawn = result && wefti_block_withdraw(result, member) == 0;
    __atomic_store_n(&record->result, NULL, __ATOMIC_RELEASE);
    if (withdrawn)
        wefti_block_discard(result);
    wefti_block_free(record);
}

static void record_release(struct wefti_task_record *record, uint64_t ticket, uint32_t holder, uint16_t member)
{
    if (wefti_held_leave(&record->held, ticket, holder))
        record_free(record, member);
}

void wefti_task_record_give(struct wefti_task_record *record, struct wefti_process *process)
{
    wefti_hold(&process->born, WEFTI_HOLD_TASK, record, wefti_task_record_detail(record, WEFTI_TASK_RUNNERS));
    __atomic_fetch_or(&record->held, WEFTI_TASK_RUNNERS, __ATOMIC_RELEASE);
}

/* The sweep after its maker's or its runner's death. */
static void record_mend(uint32_t dead, void *object, uint64_t detail)
{
    struct wefti_task_record *record = object;
    uint64_t ticket = wefti_held_ticket(&detail);
    uint32_t holder = (uint32_t)detail & WEFTI_HELD_MASK;
    if (!wefti_held_there(record, sizeof(*record)) || !wefti_held_by(&record->held, ticket, holder))
        return;
    char *result = result_block(record);
    if (holder == WEFTI_TASK_RUNNERS && result)
        wefti_block_commit(result, record->length);
    record_release(record, ticket, holder, (uint16_t)wefti_life_seat(dead));
}

void wefti_task_record_leave(struct wefti_task_record *record, bool alone)
{
    uint64_t ticket = wefti_held_ticket(&record->held);
    if (alone)
        record_release(record, ticket, WEFTI_TASK_RUNNERS, wefti_member);
    record_release(record, ticket, WEFTI_TASK_MAKERS, wefti_member);
    wefti_unhold_process(WEFTI_HOLD_TASK, record);
}

static void record_fill(struct wefti_task_record *record, const weft_task *task)
{
    record->daemon = task->daemon;
    record->ident = task->ident;
    record->nice = task->placement.nice;
    record->loosened = wefti_signals_held() | UINT64_C(1) << (SIGTERM - 1);
    snprintf(record->lineage, sizeof(record->lineage), "%s", wefti_task_process.lineage ? wefti_task_process.lineage : "");
    memcpy(record->octets, task->name, record->name_size);
    if (task->placement.set)
        memcpy(record->octets + record->name_size, task->placement.set, record->set_size);
}

struct wefti_task_record *wefti_task_record_make(const weft_task *task)
{
    struct wefti_function function;
    struct wefti_family *family = wefti_family_get();
    ssize_t argument = wefti_flat_write(task->argument, NULL, 0, weft_is_shared);
    if (!family || argument < 0 || wefti_function_pack(task->function, &function) != 0)
        return NULL;
    size_t name = strlen(task->name) + 1, set = task->placement.set ? task->placement.size : 0;
    size_t size = sizeof(struct wefti_task_record) + name + set + (size_t)argument;
    struct wefti_task_record *record = wefti_block_take(size);
    if (!record)
        return NULL;
    memset(record, 0, sizeof(*record));
    uint64_t ticket = __atomic_add_fetch(&family->tickets, 1, __ATOMIC_RELAXED);
    *record = (struct wefti_task_record){.held = wefti_held_word(ticket, WEFTI_TASK_MAKERS),
        .function = function,
        .name_size = name,
        .set_size = set,
        .argument_size = (size_t)argument};
    record_fill(record, task);
    if (wefti_flat_write(task->argument, record->octets + name + set, (size_t)argument, weft_is_shared) != argument ||
        wefti_hold_process(WEFTI_HOLD_TASK, record, wefti_task_record_detail(record, WEFTI_TASK_MAKERS)) != 0) {
        wefti_block_cancel(record, size);
        return NULL;
    }
    wefti_block_commit(record, size);
    return record;
}

WEFTI_OPENING_TASK static void records_open(void)
{
    wefti_menders[WEFTI_HOLD_TASK] = record_mend;
}
