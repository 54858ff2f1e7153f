/* SPDX-License-Identifier: MIT */
/*
 * Who has asked for whom: `maker` of the seats, each of which leads up to the root.
 *
 * A seat's maker is written before the seat is TAKEN, and changed only when that maker has died, to who stands above him: so whoever stands
 * below a member stays there, whoever of those between them dies. That is done before the dead member's seat gets another generation, and
 * his own maker is there until then; who walks upwards looks at the generation after he has read what stands there, and so never comes from
 * one member to the next of his seat. If it is another, he begins again: what led him there has been changed, unless the seat that he came
 * from is that of a process which is refused (below).
 *
 * Stopping. A request may be under way while its maker is stopped, and become a process after the stopper's last look; the mark `stopped`
 * of the maker's seat keeps it from that. It has two parties:
 *   a stopper   marks whom he finds below the one that he stops, and looks again, until he finds no other
 *   a new one   writes its maker into its seat, then looks at the maker's mark; if there is one, it is refused and ends
 * All these stores and loads are sequentially consistent. When a stopper's last look over the seats began, all whom it found were marked,
 * and the one at the top. If a new one of theirs had written its maker before that look came to its seat, it was found, and so is frozen
 * and killed with the others, whether it has come to run or not; if later, it sees the mark. Whom the look did not find because he was a
 * new one himself, is refused, and has asked for nobody. The mark holds the generation, and so is not the next one's who has the seat; a
 * new one that finds another generation there is refused too: it would have been withdrawn with its maker, had he died a moment earlier.
 *
 * A maker's death is the same with the supervisor as the other party: he says GONE before he looks for whom the dead had asked for, and who
 * finds that of his maker ends. So no seat keeps a maker that is no more, and hides from who looks for those above.
 */

#include "family/below.h"

#include <sys/prctl.h>

#include "shared/block.h"
#include "shared/seat.h"

enum { SEAT_BITS = 16, SEAT_MASK = (1 << SEAT_BITS) - 1 };

static uint64_t maker_of(const struct wefti_family *family, uint32_t number)
{
    return (uint64_t)__atomic_load_n(&family->seats[number].generation, __ATOMIC_SEQ_CST) << SEAT_BITS | number;
}

static uint64_t maker_read(const struct wefti_family *family, uint32_t number)
{
    return __atomic_load_n(&family->seats[number].maker, __ATOMIC_SEQ_CST);
}

static bool marked(const struct wefti_seat *seat, uint64_t member)
{
    return __atomic_load_n(&seat->stopped, __ATOMIC_SEQ_CST) == (uint32_t)(member >> SEAT_BITS) + 1;
}

uint64_t wefti_maker_here(struct wefti_family *family)
{
    __atomic_store_n(&family->seats[wefti_member].asks, 1, __ATOMIC_RELAXED);
    return maker_of(family, wefti_member);
}

void wefti_below_inherit(struct wefti_family *family, uint32_t number)
{
    if (!__atomic_load_n(&family->seats[number].asks, __ATOMIC_RELAXED))
        return;
    uint64_t dead = maker_of(family, number), heir = __atomic_load_n(&family->seats[number].maker, __ATOMIC_RELAXED);
    for (uint32_t i = WEFTI_SEAT_FIRST; i < WEFTI_SEATS; i++)
        if (maker_read(family, i) == dead)
            __atomic_store_n(&family->seats[i].maker, heir, __ATOMIC_SEQ_CST);
}

bool wefti_below_enter(struct wefti_family *family, uint32_t number, uint64_t maker)
{
    struct wefti_seat *seat = &family->seats[number];
    const struct wefti_seat *makers = &family->seats[maker & SEAT_MASK];
    __atomic_store_n(&seat->reaps, __atomic_load_n(&makers->reaps, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
    __atomic_store_n(&seat->maker, maker, __ATOMIC_SEQ_CST);
    return !marked(makers, maker) && __atomic_load_n(&makers->state, __ATOMIC_SEQ_CST) != WEFTI_SEAT_GONE &&
           maker_of(family, maker & SEAT_MASK) == maker; /* the generation last: what was read before was his */
}

bool wefti_below_reap(struct wefti_family *family)
{
    __atomic_store_n(&family->seats[wefti_member].reaps, 1, __ATOMIC_RELAXED);
    return prctl(PR_SET_CHILD_SUBREAPER, 1) == 0;
}

void wefti_below_begin(struct wefti_family *family)
{
    if (__atomic_load_n(&family->seats[wefti_member].reaps, __ATOMIC_RELAXED))
        wefti_below_reap(family);
}

/* One walk upwards. */
enum walk { BELOW, ELSEWHERE, LOST };

static enum walk walk_up(const struct wefti_family *family, uint64_t maker, uint64_t above)
{
    while (maker != above) {
        uint32_t next = maker & SEAT_MASK;
        if (next < WEFTI_SEAT_FIRST || next >= WEFTI_SEATS)
            return ELSEWHERE;
        uint64_t higher = maker_read(family, next);
        if (maker_of(family, next) != maker)
            return LOST;
        maker = higher;
    }
    return BELOW;
}

static bool stands_below(const struct wefti_family *family, uint32_t number, uint64_t above)
{
    enum walk walk;
    uint64_t maker = 0, before;
    do {
        before = maker;
        maker = maker_read(family, number);
        walk = walk_up(family, maker, above);
    } while (walk == LOST && (maker != before || maker_of(family, maker & SEAT_MASK) == maker));
    return walk == BELOW;
}

uint64_t wefti_below_member(int32_t pid)
{
    const struct wefti_family *family = wefti_family_now();
    for (uint32_t i = WEFTI_SEAT_FIRST; family && pid > 0 && i < WEFTI_SEATS; i++) {
        uint64_t member = maker_of(family, i);
        if (__atomic_load_n(&family->seats[i].pid, __ATOMIC_ACQUIRE) == pid && wefti_below_pid(member) == pid)
            return member;
    }
    return 0;
}

int32_t wefti_below_pid(uint64_t member)
{
    const struct wefti_family *family = wefti_family_now();
    if (!family)
        return 0;
    const struct wefti_seat *seat = &family->seats[member & SEAT_MASK];
    int32_t pid = __atomic_load_n(&seat->pid, __ATOMIC_ACQUIRE);
    bool taken = __atomic_load_n(&seat->state, __ATOMIC_ACQUIRE) == WEFTI_SEAT_TAKEN;
    return taken && maker_of(family, member & SEAT_MASK) == member ? pid : 0;
}

/* Whether he was not marked before. Who has got another generation meanwhile is dead. */
static bool mark(struct wefti_family *family, uint64_t member)
{
    struct wefti_seat *seat = &family->seats[member & SEAT_MASK];
    uint32_t before = __atomic_load_n(&seat->stopped, __ATOMIC_SEQ_CST), mark = (uint32_t)(member >> SEAT_BITS) + 1;
    return before != mark && __atomic_compare_exchange_n(&seat->stopped, &before, mark, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* One look. Whether anybody was not marked before. */
static bool below_look(struct wefti_family *family, uint64_t above, void (*found)(int32_t pid, void *data), void *data)
{
    bool more = false;
    for (uint32_t i = WEFTI_SEAT_FIRST; i < WEFTI_SEATS; i++) {
        uint64_t member = maker_of(family, i);
        if (!stands_below(family, i, above))
            continue;
        int32_t pid = __atomic_load_n(&family->seats[i].pid, __ATOMIC_ACQUIRE);
        if (maker_of(family, i) != member)
            continue; /* he is dead, and this may be the next one's */
        more |= mark(family, member);
        if (pid > 0)
            found(pid, data);
    }
    return more;
}

void wefti_below_stop(uint64_t member, void (*found)(int32_t pid, void *data), void *data)
{
    struct wefti_family *family = wefti_family_now();
    mark(family, member);
    while (below_look(family, member, found, data))
        ;
}
