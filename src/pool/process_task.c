/* SPDX-License-Identifier: MIT */
/*
 * The records of a pool's tasks: made, ended, freed. What their state says is in process.h.
 *
 * FREE -> RESERVED (a submitter) -> WAITING -> RUNNING (a worker) -> ENDED -> FREEING (whoever lets go last) -> FREE with the next
 * generation. A task that is cancelled in the line goes from WAITING to ENDED; one that begins again after its worker's death from RUNNING
 * to WAITING.
 *
 * Which records are free nobody keeps: a submitter goes round them from where he last was. They become free in about the order in which
 * they were taken, so the first look finds one; when LOOKS in a row are not free there are more made.
 *
 * The maker's stash. Who submits one task after another, and lets go of each when it has ended, would free a record and reserve the next,
 * whose line of the cache is elsewhere by then. So in the pool's maker one that is let go of stays as it is, ENDED and held, and is the
 * next one's at once, with the next generation. It is held in the maker's name: if that dies, it is freed like all that it held.
 *
 * Who frees: a record that has ended, without CALLS, is freed when nobody holds it. Whoever makes that true, by ending it, by his last
 * hold, or by his last callback, looks at the two other conditions after that (all sequentially consistent, so one of them sees it), and
 * the compare-and-swap to FREEING chooses one.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "hint.h"
#include "pool/process.h"
#include "value/value.h"

static uint32_t slab_count(uint32_t slab)
{
    return slab ? (uint32_t)WEFTI_PROCESS_FIRST << (slab - 1) : WEFTI_PROCESS_FIRST;
}

static size_t slab_size(uint32_t slab)
{
    return slab_count(slab) * sizeof(struct wefti_process_task) +
           slab_count(slab) / 64 * sizeof(uint64_t); /* the records, and their bits */
}

uint64_t *wefti_process_task_bits(const struct wefti_process_pool *pool, uint32_t number)
{
    uint32_t slab = number < WEFTI_PROCESS_FIRST ? 0 : 32 - (uint32_t)__builtin_clz(number / WEFTI_PROCESS_FIRST);
    uint32_t first = slab ? wefti_process_records(slab) : 0;
    struct wefti_process_task *records = __atomic_load_n(&pool->slab[slab], __ATOMIC_ACQUIRE); /* as in wefti_process_task_at */
    return (uint64_t *)(void *)(records + slab_count(slab)) + (number - first) / 64;
}

static struct wefti_process_task *slab_make(struct wefti_process_pool *pool, uint32_t slab)
{
    struct wefti_process_task *records = wefti_block_take(slab_size(slab));
    if (!records)
        return NULL;
    memset(records, 0, slab_size(slab));
    for (uint32_t i = 0; i < slab_count(slab); i++) {
        records[i].number = (slab ? wefti_process_records(slab) : 0) + i;
        records[i].pool = pool;
    }
    return records;
}

/* One more slab. It is linked first, then counted, then committed: who dies in between leaves that to the mender. */
static int slab_add(struct wefti_process_pool *pool, uint32_t slab)
{
    struct wefti_process_task *none = NULL, *records = NULL;
    if (slab >= WEFTI_PROCESS_SLABS) {
        errno = ENOMEM;
        return -1;
    }
    if (!__atomic_load_n(&pool->slab[slab], __ATOMIC_ACQUIRE) && !(records = slab_make(pool, slab)))
        return -1;
    bool mine = records && __atomic_compare_exchange_n(&pool->slab[slab], &none, records, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    __atomic_compare_exchange_n(&pool->slabs, &slab, slab + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    if (mine)
        wefti_block_commit(records, slab_size(slab));
    else if (records)
        wefti_block_cancel(records, slab_size(slab));
    return 0;
}

void wefti_process_slabs_mend(struct wefti_process_pool *pool)
{
    for (uint32_t slab = 0; slab < WEFTI_PROCESS_SLABS && pool->slab[slab]; slab++) {
        uint32_t before = slab;
        wefti_block_commit(pool->slab[slab], slab_size(slab));
        __atomic_compare_exchange_n(&pool->slabs, &before, slab + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    }
}

/* Takes this record if it is free. */
static bool task_reserve(struct wefti_process_task *task)
{
    uint32_t state = __atomic_load_n(&task->state, __ATOMIC_RELAXED);
    if (wefti_task_phase(state) != WEFTI_TASK_FREE)
        return false;
    uint32_t mine = state | WEFTI_TASK_RESERVED | (uint32_t)wefti_member << WEFTI_TASK_WHO_SHIFT;
    return __atomic_compare_exchange_n(&task->state, &state, mine, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

bool wefti_process_task_stash(struct wefti_process_task *task, uint32_t state, uint64_t holds)
{
    struct wefti_process_task *none = NULL, **stash = &task->pool->handle->stash;
    bool only = (holds & WEFTI_TASK_HOLDS) == 1 && holds >> WEFTI_TASK_OTHERS_SHIFT == 0;
    bool done = wefti_task_ended(state) && !(state & WEFTI_TASK_CALLS);
    bool bare = task->argument.form != WEFTI_PACKED_BLOCK && task->result.form != WEFTI_PACKED_BLOCK;
    if (!only || !done || !bare || __atomic_load_n(stash, __ATOMIC_RELAXED))
        return false;
    wefti_fetch_to_write(task);
    return __atomic_compare_exchange_n(stash, &none, task, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

/* What is in the stash, RESERVED; or NULL. */
static struct wefti_process_task *stash_take(struct wefti_process_handle *handle)
{
    if (!__atomic_load_n(&handle->stash, __ATOMIC_RELAXED))
        return NULL;
    struct wefti_process_task *task = __atomic_exchange_n(&handle->stash, NULL, __ATOMIC_ACQUIRE); /* pairs with the stash's release */
    if (!task)
        return NULL;
    uint32_t state = __atomic_load_n(&task->state, __ATOMIC_RELAXED), next;
    do
        next = (wefti_task_age(state) + 1) << WEFTI_TASK_AGE_SHIFT | WEFTI_TASK_RESERVED | (uint32_t)wefti_member << WEFTI_TASK_WHO_SHIFT;
    while (!__atomic_compare_exchange_n(&task->state, &state, next, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return task;
}

struct wefti_process_task *wefti_process_task_new(struct wefti_process_pool *pool)
{
    struct wefti_process_task *stashed = pool->maker == wefti_member ? stash_take(pool->handle) : NULL;
    if (stashed)
        return stashed;
    for (;;) {
        uint32_t slabs = __atomic_load_n(&pool->slabs, __ATOMIC_ACQUIRE), records = wefti_process_records(slabs);
        uint32_t at = __atomic_load_n(&pool->cursor, __ATOMIC_RELAXED);
        for (uint32_t looks = 0; looks < WEFTI_PROCESS_LOOKS && looks < records; looks++) {
            struct wefti_process_task *task = wefti_process_task_at(pool, at & (records - 1));
            at++;
            if (!task_reserve(task))
                continue;
            __atomic_store_n(&pool->cursor, at, __ATOMIC_RELAXED);
            __builtin_prefetch(wefti_process_task_at(pool, at & (records - 1)), 1);
            return task;
        }
        __atomic_store_n(&pool->cursor, at, __ATOMIC_RELAXED);
        if (slab_add(pool, slabs) != 0)
            return NULL;
        __atomic_store_n(&pool->cursor, records, __ATOMIC_RELAXED); /* where the new ones are */
    }
}

bool wefti_process_task_move(struct wefti_process_task *task, uint32_t seen, uint32_t phase, uint32_t who, uint32_t flags, uint32_t *left)
{
    const uint32_t same = WEFTI_TASK_PHASE | (uint32_t)WEFTI_TASK_WHO << WEFTI_TASK_WHO_SHIFT | ~(uint32_t)0 << WEFTI_TASK_AGE_SHIFT;
    uint32_t state = __atomic_load_n(&task->state, __ATOMIC_RELAXED);
    while (((state ^ seen) & same) == 0 && !(state & ~seen & WEFTI_TASK_STOPPED)) {
        *left = state | flags;
        uint32_t next = wefti_task_turn(state, phase, who) | flags;
        if (__atomic_compare_exchange_n(&task->state, &state, next, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

void wefti_process_task_clear(struct wefti_process_task *task, uint32_t state, uint16_t member)
{
    wefti_packed_free(&task->argument, member);
    wefti_packed_free(&task->result, member);
    uint32_t free = (wefti_task_age(state) + 1) << WEFTI_TASK_AGE_SHIFT;
    __atomic_store_n(&task->state, free, __ATOMIC_RELEASE);
}

void wefti_process_task_release(struct wefti_process_task *task)
{
    uint32_t state = __atomic_load_n(&task->state, __ATOMIC_SEQ_CST), left;
    if (!wefti_task_ended(state) || (state & WEFTI_TASK_CALLS) || wefti_task_held(&task->holds))
        return;
    uint32_t freeing = WEFTI_TASK_FREEING;
    if (wefti_process_task_move(task, state, freeing, wefti_member, 0, &left))
        wefti_process_task_clear(task, left, wefti_member);
}

void wefti_process_ring_bell(struct wefti_process_pool *pool)
{
    __atomic_add_fetch(&pool->bell, 1, __ATOMIC_SEQ_CST);
    weft_wake(&pool->bell, UINT32_MAX);
}

void wefti_process_ring_chime(struct wefti_process_pool *pool)
{
    __atomic_add_fetch(&pool->chime, 1, __ATOMIC_SEQ_CST);
    weft_wake(&pool->chime, UINT32_MAX);
    if (!__atomic_load_n(&pool->called_by, __ATOMIC_SEQ_CST))
        wefti_process_ring_bell(pool);
}

void wefti_process_task_told(struct wefti_process_pool *pool, struct wefti_process_task *task, uint32_t left)
{
    if (left & WEFTI_TASK_WAITED)
        weft_wake(&task->state, UINT32_MAX);
    if (left & WEFTI_TASK_CALLS) {
        __atomic_or_fetch(wefti_process_task_bits(pool, task->number), UINT64_C(1) << task->number % 64, __ATOMIC_SEQ_CST);
        wefti_process_ring_chime(pool);
        return;
    }
    wefti_process_task_release(task);
}

bool wefti_process_task_end(struct wefti_process_task *task, uint32_t seen, enum weft_outcome outcome)
{
    uint32_t left;
    struct wefti_process_pool *pool = task->pool;
    __atomic_add_fetch(&pool->tally[outcome], 1, __ATOMIC_RELAXED);
    if (!wefti_process_task_move(task, seen, WEFTI_TASK_ENDED + outcome, 0, 0, &left)) {
        __atomic_sub_fetch(&pool->tally[outcome], 1, __ATOMIC_RELAXED);
        return false;
    }
    wefti_process_task_told(pool, task, left);
    return true;
}

static void status_text(const struct wefti_process_task *task, char *text, size_t size)
{
    int status = task->status;
    char peak[48] = "";
    if (task->peak)
        snprintf(peak, sizeof(peak), ", peak memory %llu KiB", (unsigned long long)(task->peak >> 10));
    if (WIFSIGNALED(status))
        snprintf(text, size, "process %d was killed by signal %d (%s)%s%s", task->pid, WTERMSIG(status), strsignal(WTERMSIG(status)),
            WCOREDUMP(status) ? ", core dumped" : "", peak);
    else
        snprintf(text, size, "process %d ended with status %d%s", task->pid, WEXITSTATUS(status), peak);
}

weft_value wefti_process_task_reason(const struct wefti_process_task *task, uint32_t state)
{
    char how[160], name[48] = "task";
    enum weft_outcome outcome = (enum weft_outcome)(wefti_task_phase(state) - WEFTI_TASK_ENDED);
    if (task->name[0])
        snprintf(name, sizeof(name), "task %s", task->name);
    if (outcome == WEFT_CANCELLED)
        return weft_error(ECANCELED, NULL);
    status_text(task, how, sizeof(how));
    if (outcome == WEFT_TIMED_OUT)
        return weft_error(ETIMEDOUT, "%s of %s: stopped after %.3f s; %s", name, task->pool->name, (double)task->limit * 1e-9, how);
    if (task->pid && task->stop == wefti_task_stop(state, WEFT_LOST))
        return weft_error(ENOMEM, "%s of %s: stopped, as its worker had more memory than it may; %s", name, task->pool->name, how);
    if (!task->pid && task->pool->failure.form != WEFT_NONE && __atomic_load_n(&task->pool->broken, __ATOMIC_SEQ_CST) == 3) {
        weft_value failure = wefti_unpack(&task->pool->failure, task->pool->failure_room);
        weft_value error =
            weft_error(EOWNERDEAD, "the initializer of %s-%u failed: %s", task->pool->name, task->pool->breaker, weft_error_text(failure));
        weft_drop(failure);
        return error;
    }
    if (task->pid)
        return weft_error(EOWNERDEAD, "%s of %s: its worker died; %s", name, task->pool->name, how);
    return weft_error(EOWNERDEAD, "%s of %s: nobody was left to run it", name, task->pool->name);
}
