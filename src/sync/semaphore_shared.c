/* SPDX-License-Identifier: MIT */
/*
 * A semaphore that lies in the arena: for the tasks of all processes of a family, any of which may die at any instruction.
 *
 * A permit that a task has taken stands in its life, as a holding of the semaphore whose detail counts the permits, and comes back when the
 * task dies with it. That is right for permits that are lent, and wrong for a semaphore that counts things, which one task makes and
 * another uses up. The two are told apart by what is done: a release by a task that does not hold so many permits is a hand-off, and from
 * the first of these on the semaphore is HANDED: takers write nothing down and deaths return nothing.
 *
 * state: bits 0 to 30 the permits.
 *   WAITERS  (31) somebody may sleep on the lower half, which he does while that is WAITERS alone. Set by who is about to sleep, and by one
 *   who has slept and takes a
 *            permit, as there may be more; a release takes it away and wakes as many as it gives. It may be set with nobody asleep.
 *   MARK     (32 to 60) of the change that is being made together with a holding: shared/joint.h
 *   HANDED   (61) never goes again
 * name: see wefti_name. The upper half of a holding's detail; the lower one is the count. A holding of count 0 is not kept.
 * `waiting` is not used here.
 *
 * Exact. While it is not HANDED, permits and count of the holding change as one (wefti_joint_move), so the permits that there are and those
 * that living tasks hold are always the same number in all. The sweep gives back what the dead held by the same step, made in the name of
 * the dead; whoever repeats that finds what is left to give. When it is HANDED each change is one compare-and-swap of `state`. The two
 * cannot mix: a change that was looked at before HANDED was set fails.
 *
 * No wake is lost. Sleeping is only begun on WAITERS without a permit, as the kernel compares. A release that finds WAITERS wakes as many
 * as it gives; whom it wakes takes a permit and wakes another if there are more, because a release in between, which has found no WAITERS,
 * has woken nobody; or he finds none, and sets WAITERS again before he sleeps or leaves. A death between any of these is followed by the
 * sweep's wakes.
 *
 * Signal handlers may release: they allocate nothing and begin no life. One that has interrupted its own task in here (life->inside) cannot
 * change the holding that is being changed: its release is a hand-off. So is one by a child of the host's own fork, which is no member.
 */

#include <errno.h>

#include "base/opening.h"
#include "shared/joint.h"
#include "sync/inside.h"
#include "sync/word.h"
#include "wait/context.h"

#define PERMITS UINT64_C(0x7fffffff)
#define WAITERS UINT64_C(0x80000000)
#define HANDED (UINT64_C(1) << 61)

static uint64_t state_look(const weft_semaphore *semaphore)
{
    return __atomic_load_n(&semaphore->state, __ATOMIC_SEQ_CST);
}

static bool state_move(weft_semaphore *semaphore, uint64_t *state, uint64_t value)
{
    return __atomic_compare_exchange_n(&semaphore->state, state, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static uint64_t permits_detail(const struct wefti_holding *holding)
{
    return __atomic_load_n(&holding->detail, __ATOMIC_RELAXED);
}

static uint32_t permits_count(const struct wefti_holding *holding)
{
    return (uint32_t)permits_detail(holding);
}

/* The life's holding of the semaphore as it is now; one that it had of another at this place ends. NULL: none. */
static struct wefti_holding *permits_held(struct wefti_life *life, const weft_semaphore *semaphore)
{
    struct wefti_holding *holding = wefti_holding_of(life, WEFTI_HOLD_PERMITS, semaphore);
    if (!holding || permits_detail(holding) >> 32 == wefti_word_look(&semaphore->name))
        return holding;
    wefti_unhold(holding);
    return NULL;
}

/* A side of a handler's that interrupts what stands between these two: see above. */
static void inside_begin(struct wefti_life *life)
{
    __atomic_store_n(&life->inside, 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void inside_end(struct wefti_life *life)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&life->inside, 0, __ATOMIC_RELAXED);
}

/* Takes a permit and writes it down, if the state is still this. 1; 0: it was another, *state is what it is; -1 with errno. */
static int permit_note(weft_semaphore *semaphore, struct wefti_life *life, uint64_t *state, uint64_t value)
{
    struct wefti_holding *holding = permits_held(life, semaphore);
    if (!holding) {
        holding = wefti_holding_find(life);
        if (!holding)
            return -1;
        wefti_hold(holding, WEFTI_HOLD_PERMITS, semaphore, (uint64_t)wefti_name(&semaphore->name) << 32);
    }
    if (wefti_joint_move(life, &semaphore->state, state, value, holding, permits_detail(holding) + 1))
        return 1;
    if (permits_count(holding) == 0)
        wefti_unhold(holding);
    return 0;
}

/* Takes a permit if there is one; `waiters`: WAITERS or 0, what is said besides. 1; 0: there is none; -1 with errno. */
static int permit_take(weft_semaphore *semaphore, struct wefti_life *life, uint64_t waiters)
{
    int taken = 0;
    uint64_t state = state_look(semaphore);
    inside_begin(life);
    while (taken == 0 && (state & PERMITS)) {
        uint64_t value = (state - 1) | waiters;
        taken = state & HANDED ? state_move(semaphore, &state, value) : permit_note(semaphore, life, &state, value);
    }
    inside_end(life);
    if (taken > 0 && waiters && (state & PERMITS) > 1)
        weft_wake(&semaphore->word, 1);
    return taken;
}

/* Makes the lower half WAITERS alone. False when a permit can be taken instead. */
static bool permits_announce(weft_semaphore *semaphore)
{
    uint64_t state = state_look(semaphore);
    while (!(state & PERMITS))
        if ((state & WAITERS) || state_move(semaphore, &state, state | WAITERS))
            return true;
    return false;
}

int wefti_semaphore_shared_acquire(weft_semaphore *semaphore, weft_time deadline)
{
    struct wefti_life *life = wefti_context_life(wefti_context_current());
    if (!life)
        return -1;
    uint64_t slept = 0;
    for (;;) {
        int taken = permit_take(semaphore, life, slept);
        if (taken != 0)
            return taken > 0 ? 0 : -1;
        if (deadline <= WEFT_NOW) {
            errno = EAGAIN;
            return -1;
        }
        if (!permits_announce(semaphore))
            continue;
        slept = WAITERS;
        wefti_sleep_begin(semaphore, WEFTI_SLEEP_PERMITS);
        int waited = weft_wait(&semaphore->word, (uint32_t)WAITERS, deadline);
        wefti_sleep_end(life);
        if (waited < 0)
            return -1;
    }
}

/* What the state is after so many are given; 0: they are too many. */
static uint64_t state_given(const weft_semaphore *semaphore, uint64_t state, uint32_t permits)
{
    uint64_t limit = semaphore->bound ? semaphore->bound : PERMITS;
    if ((state & PERMITS) + permits > limit)
        return 0;
    return (state & ~WAITERS) + permits;
}

/* Gives permits that this life holds. 1; 0: it does not hold so many; -1: too many. */
static int permits_return(weft_semaphore *semaphore, struct wefti_life *life, uint32_t permits, uint64_t *state)
{
    int given = 0;
    inside_begin(life);
    struct wefti_holding *holding = permits_held(life, semaphore);
    while (given == 0 && holding && permits_count(holding) >= permits && !(*state & HANDED)) {
        uint64_t value = state_given(semaphore, *state, permits);
        given = !value ? -1 : wefti_joint_move(life, &semaphore->state, state, value, holding, permits_detail(holding) - permits);
    }
    if (holding && (permits_count(holding) == 0 || (*state & HANDED))) /* which is of no account any more */
        wefti_unhold(holding);
    inside_end(life);
    return given;
}

/* Gives permits that nobody is known to hold. 1; -1: too many. */
static int permits_hand(weft_semaphore *semaphore, uint32_t permits, uint64_t *state)
{
    for (;;) {
        uint64_t value = state_given(semaphore, *state, permits);
        if (!value)
            return -1;
        if (state_move(semaphore, state, value | HANDED))
            return 1;
    }
}

int wefti_semaphore_shared_release(weft_semaphore *semaphore, uint32_t permits)
{
    struct wefti_life *life = wefti_context_now ? wefti_context_now->life : NULL;
    uint64_t state = state_look(semaphore);
    int given = permits == 0 ? -1 : 0;
    if (given == 0 && life && !life->inside)
        given = permits_return(semaphore, life, permits, &state);
    if (given == 0)
        given = permits_hand(semaphore, permits, &state);
    if (given < 0) {
        errno = permits == 0 ? EINVAL : EOVERFLOW;
        return -1;
    }
    if (state & WAITERS)
        weft_wake(&semaphore->word, permits);
    return 0;
}

/* The dead's holding, as recovery has left it: its permits go back in the dead's own name. */
static void permits_mend(uint32_t dead, void *object, uint64_t detail)
{
    (void)detail; /* as it was before recovery */
    weft_semaphore *semaphore = object;
    struct wefti_life *life = wefti_life_of(dead);
    const uint32_t name = wefti_word_look(&semaphore->name);
    struct wefti_holding *holding = life ? wefti_holding_of(life, WEFTI_HOLD_PERMITS, object) : NULL;
    uint64_t state = state_look(semaphore);
    while (holding && name && permits_detail(holding) >> 32 == name && permits_count(holding) > 0 && !(state & HANDED))
        wefti_joint_move(life, &semaphore->state, &state, state + permits_count(holding), holding, (uint64_t)name << 32);
    weft_wake(&semaphore->word, UINT32_MAX);
}

WEFTI_OPENING_SYNC static void semaphore_shared_open(void)
{
    wefti_menders[WEFTI_HOLD_PERMITS] = permits_mend;
}
