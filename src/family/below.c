/* SPDX-License-Identifier: MIT */
/*
 * Who has asked for whom: `maker` of the seats, each of which leads up to the root.
 *
 * A seat's maker is written before the seat is TAKEN, and changed only when that maker has died, to who stands above him: so whoever stands
 * below a member stays there, whoever of those between them dies. That is done before the dead member's seat gets another generation; who
 * walks upwards looks at the generation after he has read what stands there, and so never comes from one member to the next of his seat.
 */

#include "family/below.h"

#include <stdbool.h>

#include "shared/block.h"
#include "shared/seat.h"

enum { SEAT_BITS = 16, SEAT_MASK = (1 << SEAT_BITS) - 1 };

static uint64_t maker_of(const struct wefti_family *family, uint32_t number)
{
    return (uint64_t)__atomic_load_n(&family->seats[number].generation, __ATOMIC_ACQUIRE) << SEAT_BITS | number;
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
        if (__atomic_load_n(&family->seats[i].maker, __ATOMIC_RELAXED) == dead)
            __atomic_store_n(&family->seats[i].maker, heir, __ATOMIC_RELEASE);
}

static bool stands_below(const struct wefti_family *family, uint32_t number, uint64_t above)
{
    uint64_t maker = __atomic_load_n(&family->seats[number].maker, __ATOMIC_ACQUIRE);
    for (uint32_t steps = 0; steps < WEFTI_SEATS && maker != above; steps++) {
        uint32_t next = maker & SEAT_MASK;
        if (next < WEFTI_SEAT_FIRST || next >= WEFTI_SEATS)
            return false;
        uint64_t higher = __atomic_load_n(&family->seats[next].maker, __ATOMIC_ACQUIRE);
        if (maker_of(family, next) != maker)
            return false;
        maker = higher;
    }
    return maker == above;
}

static bool taken(const struct wefti_seat *seat)
{
    return __atomic_load_n(&seat->state, __ATOMIC_ACQUIRE) == WEFTI_SEAT_TAKEN;
}

void wefti_below(int32_t pid, void (*found)(int32_t pid, void *data), void *data)
{
    const struct wefti_family *family = wefti_family_now();
    uint64_t above = 0;
    for (uint32_t i = WEFTI_SEAT_FIRST; family && !above && i < WEFTI_SEATS; i++)
        if (taken(&family->seats[i]) && __atomic_load_n(&family->seats[i].pid, __ATOMIC_RELAXED) == pid)
            above = maker_of(family, i);
    for (uint32_t i = WEFTI_SEAT_FIRST; above && i < WEFTI_SEATS; i++)
        if (taken(&family->seats[i]) && stands_below(family, i, above))
            found(__atomic_load_n(&family->seats[i].pid, __ATOMIC_RELAXED), data);
}
