/* SPDX-License-Identifier: MIT */
/*
 * Two words changed as one.
 *
 * Task P writes what it is about to do into its life (struct wefti_joint) and makes that BEGUN. Then it changes the word, with its mark, by
 * one compare-and-swap: that is the moment at which both count as changed. Then it changes the detail, takes its mark away, and ends what
 * it had begun. Who finds P dead with something BEGUN knows by the mark whether the word was changed: then he makes the rest; else he drops
 * it.
 *
 * Another who wants to change the word puts his own mark there and takes P's away. Before he does so he vouches for P: he writes VOUCHED
 * into P's life, which says as much as the mark. He must not do so for another change than that of the mark. So he reads the state of P's
 * joint, sees that the mark is there after that, and changes the state only from what he read: states are counted, none comes twice.
 *   If he read the state of the change that the mark is of: right.
 *   If he read that of an earlier one, it is another by now, as it changes before the mark is set: his compare-and-swap fails.
 *   If he read that of a later one, he has seen (acquire, pairs with the release of BEGUN) the earlier mark taken away, and the mark that
 *   he finds after that is of the change that he read, or of a later one still, whose state his compare-and-swap does not find.
 * A change has no other outcome than these: it is the life's only one at a time.
 *
 * P dies ...                                       the word    mark  VOUCHED  what recovery does
 *   before the compare-and-swap of the word        unchanged no    no       drops it; the detail is unchanged
 *   after it                                       changed   yes   no       detail, takes the mark away
 *   the same, and another has moved on             changed   no    yes      detail
 *   after the detail, with or without the mark     changed   any   any      the same detail once more, or (mark gone, not vouched) nothing
 * The last line is why the detail is stored before the mark goes. Recovery makes the same stores in the same order, and may die between any
 * two.
 */

#include "shared/joint.h"

enum { BEGUN = 1, VOUCHED = 2, COUNTED = 4 };

static uint64_t joint_mark(const struct wefti_life *life)
{
    return (uint64_t)life->ident << WEFTI_MARK_SHIFT;
}

/* Lets the change whose mark is there be known as made. False when the mark is not there any more. */
static bool joint_vouch(uint64_t *word, uint64_t mark)
{
    struct wefti_life *life = wefti_life_of((uint32_t)(mark >> WEFTI_MARK_SHIFT));
    if (!life)
        return true; /* nobody's mark */
    uint64_t state = __atomic_load_n(&life->joint.state, __ATOMIC_ACQUIRE);
    if ((__atomic_load_n(word, __ATOMIC_SEQ_CST) & WEFTI_MARK) != mark)
        return false;
    return (state & VOUCHED) ||
           __atomic_compare_exchange_n(&life->joint.state, &state, state | VOUCHED, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void joint_unmark(const struct wefti_life *life, uint64_t *word)
{
    uint64_t now = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    while ((now & WEFTI_MARK) == joint_mark(life) &&
           !__atomic_compare_exchange_n(word, &now, now & ~WEFTI_MARK, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
}

bool wefti_joint_move(
    struct wefti_life *life, uint64_t *word, uint64_t *seen, uint64_t value, struct wefti_holding *holding, uint64_t detail)
{
    struct wefti_joint *joint = &life->joint;
    if ((*seen & WEFTI_MARK) && !joint_vouch(word, *seen & WEFTI_MARK)) {
        *seen = __atomic_load_n(word, __ATOMIC_SEQ_CST);
        return false;
    }
    uint32_t inside = life->inside;
    __atomic_store_n(&life->inside, 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    uint64_t state = (joint->state & ~(uint64_t)(BEGUN | VOUCHED)) + COUNTED;
    __atomic_store_n(&joint->word, word, __ATOMIC_RELAXED);
    __atomic_store_n(&joint->holding, holding, __ATOMIC_RELAXED);
    __atomic_store_n(&joint->detail, detail, __ATOMIC_RELAXED);
    __atomic_store_n(&joint->state, state | BEGUN, __ATOMIC_RELEASE);
    bool moved =
        __atomic_compare_exchange_n(word, seen, (value & ~WEFTI_MARK) | joint_mark(life), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    if (moved) {
        __atomic_store_n(&holding->detail, detail, __ATOMIC_RELEASE);
        joint_unmark(life, word);
    }
    __atomic_store_n(&joint->state, state, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&life->inside, inside, __ATOMIC_RELAXED);
    return moved;
}

void wefti_joint_recover(struct wefti_life *life)
{
    struct wefti_joint *joint = &life->joint;
    uint64_t state = __atomic_load_n(&joint->state, __ATOMIC_SEQ_CST);
    if (state & BEGUN) {
        bool marked = (__atomic_load_n(joint->word, __ATOMIC_SEQ_CST) & WEFTI_MARK) == joint_mark(life);
        state = __atomic_load_n(&joint->state, __ATOMIC_SEQ_CST); /* vouched for before the mark went */
        if (marked || (state & VOUCHED))
            __atomic_store_n(&joint->holding->detail, joint->detail, __ATOMIC_RELEASE);
        joint_unmark(life, joint->word);
    }
    __atomic_store_n(&joint->state, state & ~(uint64_t)(BEGUN | VOUCHED), __ATOMIC_RELEASE);
    __atomic_store_n(&life->inside, 0, __ATOMIC_RELAXED);
}

uint32_t wefti_name(uint32_t *name)
{
    uint32_t there = __atomic_load_n(name, __ATOMIC_ACQUIRE);
    if (there)
        return there;
    uint32_t fresh = (uint32_t)((uint64_t)weft_clock() * UINT64_C(0x9e3779b97f4a7c15) >> 32) | 1; /* 2^64 / golden ratio */
    return __atomic_compare_exchange_n(name, &there, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) ? fresh : there;
}
