/* SPDX-License-Identifier: MIT */
/* See queue_shared_bids.h: the table of bids, its lines, and what becomes of them when somebody dies. */
#include <errno.h>
#include <string.h>

#include "queue/queue_shared_bids.h"
#include "wait/wait.h"

/* The table. */

static struct wefti_bid *segment_bids(const struct wefti_rendezvous *meets, unsigned segment)
{
    return (struct wefti_bid *)(uintptr_t)__atomic_load_n(&meets->segments[segment], __ATOMIC_ACQUIRE); /* NOLINT: it was a pointer */
}

static uint32_t segment_bids_count(unsigned segment)
{
    return (uint32_t)WEFTI_FIRST_BIDS << segment;
}

/* Segment k begins with number FIRST_BIDS * (2^k - 1) + 1. */
struct wefti_bid *wefti_bid_at(const struct wefti_rendezvous *meets, uint32_t number)
{
    if (number == 0)
        return NULL;
    unsigned segment = 31U - (unsigned)__builtin_clz((number - 1) / WEFTI_FIRST_BIDS + 1);
    return segment_bids(meets, segment) + (number - 1 - (segment_bids_count(segment) - WEFTI_FIRST_BIDS));
}

struct wefti_bid *wefti_bid_after(const struct wefti_rendezvous *meets, uint32_t number)
{
    unsigned segment = 31U - (unsigned)__builtin_clz(number / WEFTI_FIRST_BIDS + 1);
    return segment < WEFTI_BID_SEGMENTS && segment_bids(meets, segment) ? wefti_bid_at(meets, number + 1) : NULL;
}

void wefti_bid_release(struct wefti_rendezvous *meets, struct wefti_bid *bid)
{
    bid->next = meets->free;
    meets->free = bid->number;
}

static int bids_grow(struct wefti_rendezvous *meets)
{
    unsigned segment = 0;
    while (segment < WEFTI_BID_SEGMENTS && segment_bids(meets, segment))
        segment++;
    size_t size = segment < WEFTI_BID_SEGMENTS ? segment_bids_count(segment) * sizeof(struct wefti_bid) : 0;
    struct wefti_bid *made = size ? wefti_block_take(size) : NULL;
    if (!made)
        return ENOMEM;
    memset(made, 0, size);
    for (uint32_t i = 0; i < segment_bids_count(segment); i++)
        made[i].number = segment_bids_count(segment) - WEFTI_FIRST_BIDS + i + 1;
    wefti_gate_begin(&meets->gate, made, WEFTI_BID_GROW, segment);
    wefti_block_commit(made, size);
    __atomic_store_n(&meets->segments[segment], (uintptr_t)made, __ATOMIC_RELEASE);
    wefti_gate_done(&meets->gate);
    for (uint32_t i = segment_bids_count(segment); i-- > 0;)
        wefti_bid_release(meets, made + i);
    return 0;
}

struct wefti_bid *wefti_bid_new(struct wefti_rendezvous *meets)
{
    if (!meets->free && bids_grow(meets) != 0)
        return NULL;
    struct wefti_bid *bid = wefti_bid_at(meets, meets->free);
    meets->free = bid->next;
    return bid;
}

/* Lines. */

/* Who comes back to his place walks past those who came later. */
void wefti_bid_enter(struct wefti_rendezvous *meets, struct wefti_bid_line *line, struct wefti_bid *bid)
{
    struct wefti_bid *before = wefti_bid_at(meets, line->last);
    while (before && before->sequence > bid->sequence)
        before = wefti_bid_at(meets, before->previous);
    bid->previous = before ? before->number : 0;
    bid->next = before ? before->next : line->first;
    struct wefti_bid *after = wefti_bid_at(meets, bid->next);
    *(after ? &after->previous : &line->last) = bid->number;
    __atomic_store_n(before ? &before->next : &line->first, bid->number, __ATOMIC_RELAXED);
}

void wefti_bid_leave(struct wefti_rendezvous *meets, struct wefti_bid_line *line, struct wefti_bid *bid)
{
    struct wefti_bid *before = wefti_bid_at(meets, bid->previous), *after = wefti_bid_at(meets, bid->next);
    __atomic_store_n(before ? &before->next : &line->first, bid->next, __ATOMIC_RELAXED);
    *(after ? &after->previous : &line->last) = bid->previous;
}

static struct wefti_bid_line *wefti_bid_line(struct wefti_rendezvous *meets, uint64_t word)
{
    return &meets->lines[wefti_bid_state(word) == WEFTI_BID_GIVES ? WEFTI_GIVERS : WEFTI_TAKERS];
}

struct wefti_cargo *wefti_bid_clear(struct wefti_rendezvous *meets, struct wefti_bid *bid)
{
    struct wefti_cargo *cargo = wefti_cell_cargo(&bid->cell);
    if (cargo)
        wefti_gate_begin(&meets->gate, bid, WEFTI_BID_CLEAR, 0);
    wefti_bid_put(bid, wefti_bid_word(WEFTI_BID_FREE, 0, 0));
    if (cargo) {
        wefti_block_withdraw(cargo, wefti_member);
        wefti_gate_done(&meets->gate);
    }
    wefti_bid_release(meets, bid);
    return cargo;
}

/* Two lines in order become one, linked forward alone. */
static uint32_t line_merge(const struct wefti_rendezvous *meets, uint32_t a, uint32_t b)
{
    uint32_t first = 0, *end = &first;
    while (a && b) {
        struct wefti_bid *one = wefti_bid_at(meets, a), *other = wefti_bid_at(meets, b);
        struct wefti_bid *next = one->sequence <= other->sequence ? one : other;
        *(next == one ? &a : &b) = next->next;
        *end = next->number;
        end = &next->next;
    }
    *end = a ? a : b;
    return first;
}

/* `sorted[i]` is a line in order of 2^i bids, or none: as a binary number counts. */
static void line_sort(const struct wefti_rendezvous *meets, struct wefti_bid_line *line)
{
    uint32_t sorted[32] = {0}, all = 0;
    for (struct wefti_bid *bid = wefti_bid_at(meets, line->first), *next; bid; bid = next) {
        uint32_t carry = bid->number;
        unsigned i = 0;
        next = wefti_bid_at(meets, bid->next);
        bid->next = 0;
        for (; sorted[i]; i++) {
            carry = line_merge(meets, sorted[i], carry);
            sorted[i] = 0;
        }
        sorted[i] = carry;
    }
    for (unsigned i = 0; i < 32; i++)
        all = line_merge(meets, sorted[i], all);
    __atomic_store_n(&line->first, all, __ATOMIC_RELAXED);
    line->last = 0;
    for (struct wefti_bid *bid = wefti_bid_at(meets, all); bid; bid = wefti_bid_at(meets, bid->next)) {
        bid->previous = line->last;
        line->last = bid->number;
    }
}

static void bid_sort_in(struct wefti_rendezvous *meets, struct wefti_bid *bid)
{
    uint64_t word = wefti_bid_look(bid);
    if (wefti_bid_state(word) == WEFTI_BID_FREE)
        wefti_bid_release(meets, bid);
    else if (wefti_bid_state(word) == WEFTI_BID_ORPHAN)
        wefti_cargo_discard(wefti_bid_clear(meets, bid));
    else if (wefti_bid_waits(word)) {
        struct wefti_bid_line *line = wefti_bid_line(meets, word);
        bid->next = line->first;
        __atomic_store_n(&line->first, bid->number, __ATOMIC_RELAXED);
    }
}

void wefti_bids_rebuild(struct wefti_rendezvous *meets)
{
    __atomic_exchange_n(&meets->broken, 0, __ATOMIC_SEQ_CST); /* before a word is looked at: pairs with that of wefti_bids_break */
    meets->free = 0;
    __atomic_store_n(&meets->lines[WEFTI_GIVERS].first, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&meets->lines[WEFTI_TAKERS].first, 0, __ATOMIC_RELAXED);
    for (struct wefti_bid *bid = wefti_bid_after(meets, 0); bid; bid = wefti_bid_after(meets, bid->number))
        bid_sort_in(meets, bid);
    line_sort(meets, &meets->lines[WEFTI_GIVERS]);
    line_sort(meets, &meets->lines[WEFTI_TAKERS]);
}

/* A bid may be another's by now, and looking once more does no harm. */
void wefti_bids_again(const struct wefti_rendezvous *meets)
{
    for (struct wefti_bid *bid = wefti_bid_after(meets, 0); bid; bid = wefti_bid_after(meets, bid->number)) {
        uint64_t word = wefti_bid_look(bid);
        struct wefti_life *life = __atomic_load_n(&bid->life, __ATOMIC_RELAXED);
        if (wefti_bid_waits(word) && wefti_bid_owner(word) && wefti_meet_end(life, wefti_bid_turn(word), WEFTI_MEET_AGAIN, 0))
            weft_wake(&life->meeting_word, UINT32_MAX);
    }
}

void wefti_bids_break(struct wefti_rendezvous *meets)
{
    __atomic_exchange_n(&meets->broken, 1, __ATOMIC_SEQ_CST);
    wefti_bids_again(meets);
}

void wefti_bids_blocks(const struct wefti_rendezvous *meets, wefti_queue_step *step, uint16_t member)
{
    for (struct wefti_bid *bid = wefti_bid_after(meets, 0); bid; bid = wefti_bid_after(meets, bid->number))
        if (wefti_bid_state(wefti_bid_look(bid)) != WEFTI_BID_FREE && wefti_cell_cargo(&bid->cell))
            step(wefti_cell_cargo(&bid->cell), member);
    for (unsigned segment = WEFTI_BID_SEGMENTS; segment-- > 0;)
        if (segment_bids(meets, segment))
            step(segment_bids(meets, segment), member);
}

/* Deaths. */

/* Whether the partner of the bid's owner, who died over it, had told him that it is done. */
static bool bid_was_met(const struct wefti_bid *bid, uint64_t word)
{
    uint64_t meeting = wefti_meet_look(bid->life);
    if (wefti_bid_owner(word) == 0 || wefti_meet_turn(meeting) != wefti_bid_turn(word))
        return true;
    return wefti_meet_state(meeting) == WEFTI_MEET_DONE && wefti_meet_which(meeting) == bid->which;
}

static void fill_settle(struct wefti_bid *bid, uint16_t dead)
{
    uint64_t word = wefti_bid_look(bid);
    struct wefti_cargo *cargo = wefti_cell_cargo(&bid->cell);
    if (wefti_bid_state(word) == WEFTI_BID_TAKES && bid_was_met(bid, word))
        wefti_bid_move(bid, word, wefti_bid_word(WEFTI_BID_FILLED, wefti_bid_owner(word), wefti_bid_turn(word)));
    enum wefti_bid_state state = wefti_bid_state(wefti_bid_look(bid));
    if (state == WEFTI_BID_FILLED || state == WEFTI_BID_GIVES) /* GIVES: another has mended what his getter left */
        return;
    if (cargo)
        wefti_block_withdraw(cargo, dead);
    bid->cell.form = WEFT_NONE;
}

static void take_settle(struct wefti_bid *bid)
{
    uint64_t word = wefti_bid_look(bid);
    if (wefti_bid_state(word) == WEFTI_BID_GIVES && bid_was_met(bid, word))
        wefti_bid_move(bid, word, wefti_bid_word(WEFTI_BID_GIVES, 0, 0));
}

static void bid_settle(struct wefti_bid *bid, unsigned what, uint16_t dead)
{
    struct wefti_cargo *cargo = wefti_cell_cargo(&bid->cell);
    if (what == WEFTI_BID_FILL)
        fill_settle(bid, dead);
    else if (what == WEFTI_BID_TAKE)
        take_settle(bid);
    else if (cargo && wefti_bid_state(wefti_bid_look(bid)) == WEFTI_BID_FREE) /* LAY, CLEAR */
        wefti_block_withdraw(cargo, dead);
}

void wefti_rendezvous_settle(struct wefti_shared_queue *queue, struct wefti_gate *gate, uint16_t dead)
{
    struct wefti_rendezvous *meets = (struct wefti_rendezvous *)queue;
    unsigned what = gate->pending & WEFTI_BID_WHAT;
    uintptr_t block = (uintptr_t)(gate->pending & ~(uint64_t)WEFTI_BID_WHAT);
    if (block && what == WEFTI_BID_GROW && meets->segments[gate->at] != block)
        wefti_block_withdraw((void *)block, dead); /* NOLINT: it was a pointer. His blocks in hand are given back after this */
    if (block && what != WEFTI_BID_GROW)
        bid_settle((struct wefti_bid *)block, what, dead); /* NOLINT: it was a pointer */
    wefti_gate_done(gate);
    wefti_bids_break(meets);
}

/* What a dead one's bid becomes. */
static uint64_t word_mended(uint64_t word)
{
    if (wefti_bid_state(word) == WEFTI_BID_FILLED)
        return wefti_bid_word(WEFTI_BID_GIVES, 0, 0);
    return wefti_bid_word(wefti_bid_state(word) == WEFTI_BID_TAKES ? WEFTI_BID_FREE : WEFTI_BID_ORPHAN, 0, 0);
}

void wefti_rendezvous_mend(struct wefti_shared_queue *queue, uint32_t dead)
{
    struct wefti_rendezvous *meets = (struct wefti_rendezvous *)queue;
    for (struct wefti_bid *bid = wefti_bid_after(meets, 0); bid; bid = wefti_bid_after(meets, bid->number)) {
        uint64_t word = wefti_bid_look(bid);
        while (wefti_bid_owner(word) == dead && !wefti_bid_move(bid, word, word_mended(word)))
            word = wefti_bid_look(bid);
    }
    wefti_bids_break(meets);
}
