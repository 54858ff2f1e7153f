/* SPDX-License-Identifier: MIT */
/*
 * How blocks come into a map and leave it, so that a death between any two stores does no harm.
 *
 * What a link leads to is committed, and what is committed is linked, or freed: that has to be true after any death. The allocator takes
 * back what a dead process has in hand; so between its steps and those on the links stands `detail` of the owner's holding of the map, the
 * block that is coming or going, and the mender, who runs in the sweep: before the lock is handed on, so that nobody else changes the map,
 * and before the blocks of the dead are taken back, so that a block that is not committed is one that was in hand of the dead. He knows the
 * block's link by its `number`.
 *
 *   Coming (N instead of O or nothing): N is in hand and says replaces = O.
 *     1 detail = N            Death before: N is taken back.
 *     2 link = N              Death before: N is not linked: the mender does nothing, N is taken back.
 *     3 commit N              Death before: N is linked and not committed: the mender puts O back. N is taken back. This is the step that
 *     counts.
 *     4 withdraw O            Death before: N is committed and replaces O: the mender withdraws O in the name of the dead, then forgets it
 *     (5).
 *     5 N replaces nothing    Death before: the same; O is withdrawn already and nobody's who lives. It is taken back.
 *     6 detail = 0            Death before: N is whole: nothing is to be done. O is taken back.
 *     7 discard O             Death before or in it: O is taken back, or free.
 *   Going (O): O replaces nothing, as all that came whole.
 *     1 detail = O            Death before: nothing has happened.
 *     2 withdraw O            Death before: O is linked and committed and replaces nothing: nothing is to be done. This is the step that
 *     counts.
 *     3 link = 0              Death before: O is linked and not committed: the mender takes the link away, as O replaces nothing. O is
 *     taken back.
 *     4 detail = 0            Death before: O is not linked: the mender does nothing. O is taken back.
 *     5 discard O             As above. It comes after 4, so that `detail` never leads to a block that may be another's by now.
 * The mender can be repeated after each of his stores. He knows that the map is still there by the lock's being the dead's. `number` is
 * written while the map is whole, before 1.
 *
 * The holding is the lock's own, whose kind is changed by one store while the map is changed (a map begins with its lock, so the address is
 * the same); the mender of maps ends with that of locks. So there is no moment at which both, or none, would be called.
 */

#include "data/map.h"

#include "base/opening.h"
#include "shared/block.h"
#include "sync/inside.h"
#include "wait/context.h"

struct wefti_holding *wefti_map_changes_begin(weft_map *map)
{
    struct wefti_holding *holding = wefti_holding_of(wefti_context_current()->life, WEFTI_HOLD_LOCK, map);
    wefti_hold(holding, WEFTI_HOLD_MAP, map, 0);
    return holding;
}

void wefti_map_changes_end(struct wefti_holding *holding, weft_map *map)
{
    wefti_hold(holding, WEFTI_HOLD_LOCK, map, 0);
}

static struct wefti_map_linked **link_of(weft_map *map, uint32_t number)
{
    return number == WEFTI_MAP_TABLE ? &map->table : &wefti_map_table(map)->slots[number];
}

static void link_put(struct wefti_map_linked **link, struct wefti_map_linked *block)
{
    __atomic_store_n(link, block, __ATOMIC_RELEASE);
}

static void going_put(struct wefti_holding *holding, const struct wefti_map_linked *block)
{
    __atomic_store_n(&holding->detail, (uint64_t)(uintptr_t)block, __ATOMIC_RELEASE);
}

/* Coming: the steps above. `block`, of `size` octets, is in hand. */
void wefti_map_link_in(struct wefti_holding *holding, weft_map *map, uint32_t number, struct wefti_map_linked *block, size_t size)
{
    struct wefti_map_linked **link = link_of(map, number), *old = *link;
    block->number = number;
    block->replaces = old;
    going_put(holding, block);
    link_put(link, block);
    wefti_block_commit(block, size);
    if (old) {
        wefti_block_withdraw(old, wefti_member);
        link_put(&block->replaces, NULL);
    }
    going_put(holding, NULL);
    if (old)
        wefti_block_discard(old);
}

/* Going: the steps above. */
void wefti_map_link_out(struct wefti_holding *holding, weft_map *map, uint32_t number)
{
    struct wefti_map_linked **link = link_of(map, number), *old = *link;
    old->number = number;
    link_put(&old->replaces, NULL);
    going_put(holding, old);
    wefti_block_withdraw(old, wefti_member);
    link_put(link, NULL);
    going_put(holding, NULL);
    wefti_block_discard(old);
}

/* For a dead owner: see above. */
static void coming_mend(weft_map *map, struct wefti_map_linked *block, uint16_t dead)
{
    struct wefti_map_linked **link = link_of(map, block->number);
    if (*link != block)
        return;
    if (!wefti_block_committed(block)) {
        link_put(link, block->replaces);
    } else if (block->replaces) {
        wefti_block_withdraw(block->replaces, dead);
        link_put(&block->replaces, NULL);
    }
}

static void map_mend(uint32_t dead, void *object, uint64_t detail)
{
    if (detail && wefti_lock_shared_owned(object, dead))
        coming_mend(object, (struct wefti_map_linked *)(uintptr_t)detail, (uint16_t)wefti_life_seat(dead)); /* NOLINT: it was a pointer */
    wefti_menders[WEFTI_HOLD_LOCK](dead, object, 0);
}

WEFTI_OPENING_SYNC static void map_open(void)
{
    wefti_menders[WEFTI_HOLD_MAP] = map_mend;
}
