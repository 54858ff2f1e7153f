/* SPDX-License-Identifier: MIT */
/*
 * A queue without room in the arena: who puts and who gets meet, in whatever process, and the value goes from one to the other.
 *
 * Who comes looks, inside the gate, for the first bid of the other line whose owner still waits, and does what both want. If there is none, and he may wait, he leaves a bid
 * of his own inside the same gate; so of two that fit the later sees the earlier. He sleeps on the word in his life (shared/meeting.h): whoever does his bid makes that
 * DONE, and that store decides: of several partners, of a partner and a deadline, of the cases of one select, one comes first.
 *
 * Bids are the entries of a table, which grows and never shrinks. bid.word: state (bits 0 to 2), the owner's life (3 to 31), his turn (32 to 61).
 *   FREE    nobody's
 *   GIVES   the value in its cell waits for a getter. Owner 0: its putter has gone, having put it; it is the next to be taken
 *   TAKES   its owner waits for a value
 *   FILLED  the value in its cell is the owner's, who is about to take it out
 *   ORPHAN  its owner died before it was taken: nobody's, and to be freed with its value
 * Moves: inside the gate; but who mends, outside, makes of a dead one's GIVES an ORPHAN, of his TAKES one FREE, and of his FILLED one GIVES of owner 0, by
 * compare-and-swap; so those inside move what is another's by compare-and-swap too. Lines and the list of free bids are derived from the words, and `broken` says that
 * they are to be made anew, by who enters next; it is taken back before the words are looked at, so that what is moved meanwhile is said again.
 *
 * gate.pending: the bid and what is being done to it.
 *   LAY    its owner lays a value with a block into a FREE bid. The word says whether he has
 *   FILL   a putter lays his value into another's TAKES and makes the other's meeting DONE, then the bid FILLED. If he dies in between the sweep does that last store
 *   TAKE   a getter makes a putter's meeting DONE, then the bid FILLED and his own, or FREE. If he dies in between it becomes GIVES of owner 0: its put has returned
 *   CLEAR  the value's block leaves the bid, whose word says FREE first
 *   GROW   a part of the table
 * A turn cannot be over while somebody dead owns the gate of one of its bids, as its owner takes each back inside that, unless it was DONE. So the meeting
 * tells whether it was done: it is another turn, or DONE with this bid's number.
 *
 * So a put returns when its value is a living getter's, or a getter's who died before he had it: then the value comes back, and the next takes it. A getter loses what he had
 * taken out of the bid when he dies. Nothing else is lost, nothing is given twice.
 *
 * Two selects, each with bids in several queues, could find each other at the same moment and both step back to look. Of two selects that of the lower life steps
 * back, and the other is told to look again; who has one bid only stays, and the select steps back. The highest of those that fit each other stays where it is.
 *
 * Who waits looks again (AGAIN) after every death in here, after close, and when a value has come back. A plain put or get keeps its place then.
 *
 * The end of it: a putter whose meeting is DONE touches the queue no more; a partner's last touch is leaving the gate, which the getter enters after that. So who has got the
 * value may free the queue.
 *
 * Memory ordering: cells and lines are written and read inside the gate. A bid's word is stored before `closed` and `broken` are looked at for the last time
 * (sequentially consistent); who stores one of those looks at the bids afterwards. Each of the two sees the other.
 *
 * Fork: as all queues in the arena.
 */
#include <errno.h>
#include <string.h>

#include "queue/queue_shared_nodes.h"
#include "shared/meeting.h"
#include "value/value.h"
#include "wait/wait.h"

enum bid_state { BID_FREE, BID_GIVES, BID_TAKES, BID_FILLED, BID_ORPHAN };
enum bid_pending { LAY = 1, FILL, TAKE, CLEAR, GROW, WHAT = 15 };
enum { SEGMENTS = 26 };
#ifdef WEFTI_SMALL
enum { FIRST_BIDS = 2 };
#else
enum { FIRST_BIDS = 32 };
#endif

struct bid {
    uint64_t word;
    uint64_t sequence;       /* of those that wait, the least comes first; constant while it is not FREE, as the next three */
    struct wefti_life *life; /* the owner's; read outside, too */
    uint32_t which;          /* of the cases of his select */
    uint32_t stays;          /* he has no other, and does not step back */
    uint32_t number;         /* constant; its place in the table, from 1 */
    uint32_t next, previous; /* numbers of others, or 0; derived */
    uint32_t reserved[5];
    struct wefti_cell cell;
};

struct bid_line {
    uint32_t first, last;
};

/* Written inside the gate but for `broken`. */
struct shared_rendezvous {
    struct wefti_shared_queue shared;
    struct wefti_gate gate;
    uint64_t sequence;
    uint32_t broken;
    uint32_t free;
    struct bid_line lines[2];    /* by side; looked at outside, too */
    uint64_t segments[SEGMENTS]; /* addresses, or 0; each twice as long as the one before */
};

enum bid_side { GIVERS, TAKERS };

/* One who comes with something to give or to take. */
struct barter {
    struct shared_rendezvous *meets;
    enum bid_side side;
    struct wefti_life *life;
    weft_value *value; /* where it comes from or goes to */
    struct wefti_parcel parcel;
    bool withdrawn;      /* the parcel's block has been in a bid */
    struct bid *own;     /* his bid, in a line */
    struct bid *filled;  /* what he has got and not taken out yet */
    uint64_t sequence;   /* of his bids */
    uint32_t turn;       /* of his meeting, when he has a bid */
    bool missed;         /* the bid may have been overlooked */
    const uint32_t *met; /* whom to wake, or NULL */
};

/* Words. */

static uint64_t bid_word(enum bid_state state, uint32_t owner, uint32_t turn)
{
    return (uint64_t)state | (uint64_t)owner << 3 | (uint64_t)turn << 32;
}

static enum bid_state bid_state(uint64_t word)
{
    return (enum bid_state)(word & 7);
}

static uint32_t bid_owner(uint64_t word)
{
    return (uint32_t)word >> 3;
}

static uint32_t bid_turn(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

static uint64_t bid_look(const struct bid *bid)
{
    return __atomic_load_n(&bid->word, __ATOMIC_ACQUIRE);
}

static void bid_put(struct bid *bid, uint64_t word)
{
    __atomic_store_n(&bid->word, word, __ATOMIC_SEQ_CST);
}

static bool bid_move(struct bid *bid, uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(&bid->word, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static bool bid_waits(uint64_t word)
{
    return bid_state(word) == BID_GIVES || bid_state(word) == BID_TAKES;
}

/* The table. */

static struct bid *segment_bids(const struct shared_rendezvous *meets, unsigned segment)
{
    return (struct bid *)(uintptr_t)__atomic_load_n(&meets->segments[segment], __ATOMIC_ACQUIRE); /* NOLINT: it was a pointer */
}

static uint32_t segment_bids_count(unsigned segment)
{
    return (uint32_t)FIRST_BIDS << segment;
}

/* Segment k begins with number FIRST_BIDS * (2^k - 1) + 1. */
static struct bid *bid_at(const struct shared_rendezvous *meets, uint32_t number)
{
    if (number == 0)
        return NULL;
    unsigned segment = 31U - (unsigned)__builtin_clz((number - 1) / FIRST_BIDS + 1);
    return segment_bids(meets, segment) + (number - 1 - (segment_bids_count(segment) - FIRST_BIDS));
}

/* All bids, one after another: that after number `number`, from 0; NULL at the end. */
static struct bid *bid_after(const struct shared_rendezvous *meets, uint32_t number)
{
    unsigned segment = 31U - (unsigned)__builtin_clz(number / FIRST_BIDS + 1);
    return segment < SEGMENTS && segment_bids(meets, segment) ? bid_at(meets, number + 1) : NULL;
}

static void bid_release(struct shared_rendezvous *meets, struct bid *bid)
{
    bid->next = meets->free;
    meets->free = bid->number;
}

static int bids_grow(struct shared_rendezvous *meets)
{
    unsigned segment = 0;
    while (segment < SEGMENTS && segment_bids(meets, segment))
        segment++;
    size_t size = segment < SEGMENTS ? segment_bids_count(segment) * sizeof(struct bid) : 0;
    struct bid *made = size ? wefti_block_take(size) : NULL;
    if (!made)
        return ENOMEM;
    memset(made, 0, size);
    for (uint32_t i = 0; i < segment_bids_count(segment); i++)
        made[i].number = segment_bids_count(segment) - FIRST_BIDS + i + 1;
    wefti_gate_begin(&meets->gate, made, GROW, segment);
    wefti_block_commit(made, size);
    __atomic_store_n(&meets->segments[segment], (uintptr_t)made, __ATOMIC_RELEASE);
    wefti_gate_done(&meets->gate);
    for (uint32_t i = segment_bids_count(segment); i-- > 0;)
        bid_release(meets, made + i);
    return 0;
}

/* A FREE bid, on no list any more; NULL: no memory. */
static struct bid *bid_new(struct shared_rendezvous *meets)
{
    if (!meets->free && bids_grow(meets) != 0)
        return NULL;
    struct bid *bid = bid_at(meets, meets->free);
    meets->free = bid->next;
    return bid;
}

/* Lines. */

/* By sequence. Who comes back to his place walks past those who came later. */
static void line_enter(struct shared_rendezvous *meets, struct bid_line *line, struct bid *bid)
{
    struct bid *before = bid_at(meets, line->last);
    while (before && before->sequence > bid->sequence)
        before = bid_at(meets, before->previous);
    bid->previous = before ? before->number : 0;
    bid->next = before ? before->next : line->first;
    struct bid *after = bid_at(meets, bid->next);
    *(after ? &after->previous : &line->last) = bid->number;
    __atomic_store_n(before ? &before->next : &line->first, bid->number, __ATOMIC_RELAXED);
}

static void line_leave(struct shared_rendezvous *meets, struct bid_line *line, struct bid *bid)
{
    struct bid *before = bid_at(meets, bid->previous), *after = bid_at(meets, bid->next);
    __atomic_store_n(before ? &before->next : &line->first, bid->next, __ATOMIC_RELAXED);
    *(after ? &after->previous : &line->last) = bid->previous;
}

static struct bid_line *bid_line(struct shared_rendezvous *meets, uint64_t word)
{
    return &meets->lines[bid_state(word) == BID_GIVES ? GIVERS : TAKERS];
}

/* The bid, which is in no line, becomes FREE. The block of its value, in the caller's hands, or NULL. */
static struct wefti_cargo *bid_clear(struct shared_rendezvous *meets, struct bid *bid)
{
    struct wefti_cargo *cargo = wefti_cell_cargo(&bid->cell);
    if (cargo)
        wefti_gate_begin(&meets->gate, bid, CLEAR, 0);
    bid_put(bid, bid_word(BID_FREE, 0, 0));
    if (cargo) {
        wefti_block_withdraw(cargo, wefti_member);
        wefti_gate_done(&meets->gate);
    }
    bid_release(meets, bid);
    return cargo;
}

static void cargo_discard(struct wefti_cargo *cargo)
{
    if (cargo)
        wefti_block_discard(cargo);
}

/* Two lines in order become one, linked forward alone. */
static uint32_t line_merge(const struct shared_rendezvous *meets, uint32_t a, uint32_t b)
{
    uint32_t first = 0, *end = &first;
    while (a && b) {
        struct bid *one = bid_at(meets, a), *other = bid_at(meets, b);
        struct bid *next = one->sequence <= other->sequence ? one : other;
        *(next == one ? &a : &b) = next->next;
        *end = next->number;
        end = &next->next;
    }
    *end = a ? a : b;
    return first;
}

/* `sorted[i]` is a line in order of 2^i bids, or none: as a binary number counts. */
static void line_sort(const struct shared_rendezvous *meets, struct bid_line *line)
{
    uint32_t sorted[32] = {0}, all = 0;
    for (struct bid *bid = bid_at(meets, line->first), *next; bid; bid = next) {
        uint32_t carry = bid->number;
        unsigned i = 0;
        next = bid_at(meets, bid->next);
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
    for (struct bid *bid = bid_at(meets, all); bid; bid = bid_at(meets, bid->next)) {
        bid->previous = line->last;
        line->last = bid->number;
    }
}

static void bid_sort_in(struct shared_rendezvous *meets, struct bid *bid)
{
    uint64_t word = bid_look(bid);
    if (bid_state(word) == BID_FREE)
        bid_release(meets, bid);
    else if (bid_state(word) == BID_ORPHAN)
        cargo_discard(bid_clear(meets, bid));
    else if (bid_waits(word)) {
        struct bid_line *line = bid_line(meets, word);
        bid->next = line->first;
        __atomic_store_n(&line->first, bid->number, __ATOMIC_RELAXED);
    }
}

/* Inside, first of all: the lists are whole after it. */
static void bids_whole(struct shared_rendezvous *meets)
{
    if (__builtin_expect(__atomic_load_n(&meets->broken, __ATOMIC_ACQUIRE) == 0, 1))
        return;
    __atomic_exchange_n(&meets->broken, 0, __ATOMIC_SEQ_CST); /* before a word is looked at: pairs with that of rendezvous_break */
    meets->free = 0;
    __atomic_store_n(&meets->lines[GIVERS].first, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&meets->lines[TAKERS].first, 0, __ATOMIC_RELAXED);
    for (struct bid *bid = bid_after(meets, 0); bid; bid = bid_after(meets, bid->number))
        bid_sort_in(meets, bid);
    line_sort(meets, &meets->lines[GIVERS]);
    line_sort(meets, &meets->lines[TAKERS]);
}

/* Lets all who wait look again. By anybody, outside too: a bid may be another's by now, and looking once more does no harm. */
static void bids_again(const struct shared_rendezvous *meets)
{
    for (struct bid *bid = bid_after(meets, 0); bid; bid = bid_after(meets, bid->number)) {
        uint64_t word = bid_look(bid);
        struct wefti_life *life = __atomic_load_n(&bid->life, __ATOMIC_RELAXED);
        if (bid_waits(word) && bid_owner(word) && wefti_meet_end(life, bid_turn(word), WEFTI_MEET_AGAIN, 0))
            weft_wake(&life->meeting_word, UINT32_MAX);
    }
}

/* The lists are of no account any more, and whoever waits may have been brought something. */
static void rendezvous_break(struct shared_rendezvous *meets)
{
    __atomic_exchange_n(&meets->broken, 1, __ATOMIC_SEQ_CST);
    bids_again(meets);
}

/* Inside. Whether somebody who comes with this life can do the bid. Nobody meets himself; when it is closed only what was put already can be had. */
static bool bid_may(const struct shared_rendezvous *meets, const struct bid *bid, const struct wefti_life *life)
{
    uint64_t word = bid_look(bid);
    if (!bid_waits(word))
        return false;
    if (bid_owner(word) == 0)
        return true;
    uint64_t open = wefti_meet_word(bid_turn(word));
    return !wefti_queue_is_closed(&meets->shared.queue) && bid->life != life && wefti_meet_look(bid->life) == open;
}

static struct bid *bid_next_open(const struct barter *barter, struct bid *bid)
{
    const struct shared_rendezvous *meets = barter->meets;
    bid = bid_at(meets, bid ? bid->next : meets->lines[!barter->side].first);
    while (bid && !bid_may(meets, bid, barter->life))
        bid = bid_at(meets, bid->next);
    return bid;
}

/* Inside: the value goes into the bid of one who waits for it. False: he waits no more. */
static bool bid_fill(struct barter *barter, struct bid *bid)
{
    struct shared_rendezvous *meets = barter->meets;
    struct wefti_parcel *parcel = &barter->parcel;
    uint64_t word = bid_look(bid);
    uint32_t owner = bid_owner(word), turn = bid_turn(word);
    wefti_parcel_lay(parcel, &bid->cell);
    wefti_gate_begin(&meets->gate, bid, FILL, 0);
    if (parcel->cargo)
        wefti_block_commit(parcel->cargo, parcel->cargo_size);
    bool met = wefti_meet_end(bid->life, turn, WEFTI_MEET_DONE, bid->which) && bid_move(bid, word, bid_word(BID_FILLED, owner, turn));
    if (!met && parcel->cargo) {
        wefti_block_withdraw(parcel->cargo, wefti_member);
        barter->withdrawn = true;
    }
    if (!met)
        bid->cell.form = WEFT_NONE;
    wefti_gate_done(&meets->gate);
    if (met)
        line_leave(meets, &meets->lines[TAKERS], bid);
    return met;
}

/* Inside: the value of the bid is the caller's. 0, EAGAIN (its putter waits no more), ENOMEM. A block is read outside. */
static int bid_take(struct barter *barter, struct bid *bid)
{
    struct shared_rendezvous *meets = barter->meets;
    weft_value value = weft_none;
    uint64_t word = bid_look(bid);
    bool cargo = wefti_cell_cargo(&bid->cell) != NULL;
    if (!cargo && wefti_cell_read(&bid->cell, &value) != 0)
        return ENOMEM;
    wefti_gate_begin(&meets->gate, bid, TAKE, 0);
    bool met = bid_owner(word) == 0 || wefti_meet_end(bid->life, bid_turn(word), WEFTI_MEET_DONE, bid->which);
    met = met && bid_move(bid, word, cargo ? bid_word(BID_FILLED, barter->life->ident, 0) : bid_word(BID_FREE, 0, 0));
    wefti_gate_done(&meets->gate);
    if (!met) {
        weft_drop(value);
        return EAGAIN;
    }
    line_leave(meets, &meets->lines[GIVERS], bid);
    if (cargo) {
        barter->filled = bid;
        return 0;
    }
    bid_release(meets, bid);
    *barter->value = value;
    return 0;
}

/* Inside: with the first partner there is. 0, EAGAIN, EPIPE, ENOMEM. */
static int barter_meet(struct barter *barter)
{
    bool closed = wefti_queue_is_closed(&barter->meets->shared.queue);
    int error = EAGAIN;
    for (struct bid *bid = bid_next_open(barter, NULL), *next; bid && error == EAGAIN; bid = next) {
        struct wefti_life *partner = bid_owner(bid_look(bid)) ? bid->life : NULL;
        next = bid_next_open(barter, bid);
        error = barter->side == TAKERS ? bid_take(barter, bid) : bid_fill(barter, bid) ? 0 : EAGAIN;
        barter->met = error == 0 && partner ? &partner->meeting_word : NULL;
    }
    return error == EAGAIN && closed ? EPIPE : error;
}

/* Inside: a bid of his own joins its line, its meeting being open. 0, ENOMEM. */
static int barter_post(struct barter *barter, uint32_t which, bool stays)
{
    struct shared_rendezvous *meets = barter->meets;
    struct wefti_cargo *cargo = barter->side == GIVERS ? barter->parcel.cargo : NULL;
    struct bid *bid = bid_new(meets);
    if (!bid)
        return ENOMEM;
    if (!barter->sequence)
        barter->sequence = ++meets->sequence;
    bid->sequence = barter->sequence;
    bid->which = which;
    bid->stays = stays;
    __atomic_store_n(&bid->life, barter->life, __ATOMIC_RELAXED);
    bid->cell.form = WEFT_NONE;
    if (barter->side == GIVERS)
        wefti_parcel_lay(&barter->parcel, &bid->cell);
    if (cargo) {
        wefti_gate_begin(&meets->gate, bid, LAY, 0);
        wefti_block_commit(cargo, barter->parcel.cargo_size);
    }
    bid_put(bid, bid_word(barter->side == GIVERS ? BID_GIVES : BID_TAKES, barter->life->ident, barter->turn));
    if (cargo)
        wefti_gate_done(&meets->gate);
    line_enter(meets, &meets->lines[barter->side], bid);
    barter->own = bid;
    return 0;
}

/* Inside: takes his bid back, his meeting being shut. Its block is the parcel's again. */
static void barter_withdraw(struct barter *barter)
{
    if (!barter->own)
        return;
    line_leave(barter->meets, &barter->meets->lines[barter->side], barter->own);
    barter->withdrawn |= bid_clear(barter->meets, barter->own) != NULL;
    barter->own = NULL;
}

/* Inside, after a bid was left: whether it may have been overlooked. Outside: whether a look inside is due. */
static bool rendezvous_missed(const struct shared_rendezvous *meets)
{
    return __atomic_load_n(&meets->broken, __ATOMIC_SEQ_CST) || __atomic_load_n(&meets->shared.queue.closed, __ATOMIC_SEQ_CST);
}

/* Tries once, and leaves a bid if it may. 0, EAGAIN, EPIPE, ENOMEM, ESTALE. */
static int barter_try(struct barter *barter, bool may_wait)
{
    struct shared_rendezvous *meets = barter->meets;
    struct wefti_visit visit;
    if (wefti_gate_enter(&meets->gate, &visit) != 0)
        return errno;
    bids_whole(meets);
    barter_withdraw(barter);
    int error = barter_meet(barter);
    if (error == EAGAIN && may_wait) {
        barter->turn = wefti_meet_open(barter->life);
        int posted = barter_post(barter, 0, true);
        error = posted ? posted : error;
        barter->missed = rendezvous_missed(meets);
        if (posted)
            wefti_meet_shut(barter->life);
    }
    wefti_gate_leave(&meets->gate, &visit, 0);
    if (barter->met)
        weft_wake(barter->met, 1);
    wefti_visit_end(&visit);
    return error;
}

/* Out of his bid, or what he has taken over: what he got. 0, ENOMEM: then the next gets it. */
static int barter_fetch(struct barter *barter)
{
    struct shared_rendezvous *meets = barter->meets;
    struct bid *bid = barter->filled;
    struct wefti_cargo *cargo = wefti_cell_cargo(&bid->cell);
    weft_value value;
    int error = (cargo ? wefti_cargo_read(bid->cell.form, cargo, &value) : wefti_cell_read(&bid->cell, &value)) == 0 ? 0 : ENOMEM;
    struct wefti_visit visit;
    barter->filled = NULL;
    if (wefti_gate_enter(&meets->gate, &visit) != 0)
        return errno; /* it could be entered before, so it can now */
    bids_whole(meets);
    if (error)
        bid_put(bid, bid_word(BID_GIVES, 0, 0));
    else
        cargo = bid_clear(meets, bid);
    wefti_gate_leave(&meets->gate, &visit, 0);
    if (error)
        rendezvous_break(meets);
    wefti_visit_end(&visit);
    if (error)
        return error;
    cargo_discard(cargo);
    *barter->value = value;
    return 0;
}

/* Until his meeting is over. 0: it is DONE; EAGAIN: he is to look again; or why he is to look for the last time. */
static int barter_sleep(struct barter *barter, weft_time deadline)
{
    struct wefti_life *life = barter->life;
    uint32_t open = wefti_meet_word(barter->turn);
    int slept = 0;
    while (slept == 0 && __atomic_load_n(&life->meeting_word, __ATOMIC_ACQUIRE) == open && !barter->missed)
        slept = weft_wait(&life->meeting_word, open, deadline);
    int error = slept == 0 ? EAGAIN : errno;
    if (wefti_meet_state(wefti_meet_shut(life)) != WEFTI_MEET_DONE)
        return error;
    barter->filled = barter->side == TAKERS ? barter->own : NULL;
    barter->own = NULL;
    return 0;
}

static int barter_wait(struct barter *barter, weft_time deadline)
{
    bool may_wait = deadline > WEFT_NOW;
    int why = EAGAIN, error;
    while ((error = barter_try(barter, may_wait)) == EAGAIN && may_wait) {
        why = barter_sleep(barter, deadline);
        if (why == 0)
            return 0;
        may_wait = why == EAGAIN;
    }
    return error == EAGAIN ? why : error;
}

/* He gives his parcel up: it was not put. */
static void barter_cancel(struct barter *barter)
{
    if (!barter->withdrawn)
        wefti_parcel_cancel(&barter->parcel);
    else
        cargo_discard(barter->parcel.cargo);
}

/* Prepares one who comes: a life, his parcel, a holding for his bid and what he takes over. -1 with errno. */
static int barter_begin(struct barter *barter, void *queue, enum bid_side side, weft_value *value)
{
    barter->meets = queue;
    barter->side = side;
    barter->value = value;
    barter->life = wefti_context_life(wefti_context_current());
    barter->withdrawn = false;
    barter->own = barter->filled = NULL;
    barter->sequence = 0;
    barter->met = NULL;
    barter->parcel.cargo = NULL;
    if (!barter->life || (side == GIVERS && wefti_parcel_pack(&barter->parcel, *value) != 0))
        return -1;
    if (wefti_lease_hold(&barter->meets->shared) == 0)
        return 0;
    barter_cancel(barter);
    return -1;
}

/* 0; -1 with errno. */
static int barter_end(struct barter *barter, int error)
{
    if (error == 0 && barter->filled)
        error = barter_fetch(barter);
    wefti_lease_unhold(&barter->meets->shared);
    if (barter->side == GIVERS && error)
        barter_cancel(barter);
    if (barter->side == GIVERS && !error)
        weft_drop(wefti_value_take(*barter->value));
    errno = error ? error : errno;
    return error ? -1 : 0;
}

static int shared_rendezvous_go(weft_queue *queue, enum bid_side side, weft_value *value, weft_time deadline)
{
    struct barter barter;
    if (barter_begin(&barter, queue, side, value) != 0)
        return -1;
    return barter_end(&barter, barter_wait(&barter, deadline));
}

static int shared_rendezvous_put(weft_queue *queue, weft_value value, weft_time deadline)
{
    return shared_rendezvous_go(queue, GIVERS, &value, deadline);
}

static int shared_rendezvous_get(weft_queue *queue, weft_value *value, weft_time deadline)
{
    return shared_rendezvous_go(queue, TAKERS, value, deadline);
}

static size_t shared_rendezvous_put_some(weft_queue *queue, const weft_value *values, size_t count, int *error)
{
    size_t put = 0;
    while (put < count && shared_rendezvous_put(queue, values[put], WEFT_NOW) == 0)
        put++;
    *error = errno;
    return put;
}

static size_t shared_rendezvous_get_some(weft_queue *queue, weft_value *values, size_t count, int *error)
{
    size_t got = 0;
    while (got < count && shared_rendezvous_get(queue, &values[got], WEFT_NOW) == 0)
        got++;
    *error = errno;
    return got;
}

static size_t shared_rendezvous_size(const weft_queue *queue)
{
    (void)queue;
    return 0;
}

/* Who dies in between has closed it, and the sweep lets the others know. */
static void shared_rendezvous_close(weft_queue *queue)
{
    struct shared_rendezvous *meets = (struct shared_rendezvous *)queue;
    struct wefti_visit visit;
    bool inside = wefti_gate_enter(&meets->gate, &visit) == 0; /* who is no member closes it all the same */
    __atomic_store_n(&queue->closed, 1, __ATOMIC_SEQ_CST);
    bids_again(meets);
    if (!inside)
        return;
    wefti_gate_leave(&meets->gate, &visit, 0);
    wefti_visit_end(&visit);
}

/* What was put, and whose getter died or had no memory for it. */
static size_t rendezvous_drop_all(struct wefti_shared_queue *queue)
{
    struct shared_rendezvous *meets = (struct shared_rendezvous *)queue;
    struct wefti_visit visit;
    size_t dropped = 0;
    if (wefti_gate_enter(&meets->gate, &visit) != 0)
        return 0;
    bids_whole(meets);
    for (struct bid *bid = bid_at(meets, meets->lines[GIVERS].first), *next; bid; bid = next) {
        next = bid_at(meets, bid->next);
        if (bid_look(bid) != bid_word(BID_GIVES, 0, 0))
            continue;
        line_leave(meets, &meets->lines[GIVERS], bid);
        cargo_discard(bid_clear(meets, bid));
        dropped++;
    }
    wefti_gate_leave(&meets->gate, &visit, 0);
    wefti_visit_end(&visit);
    return dropped;
}

static void shared_rendezvous_free(weft_queue *queue)
{
    struct shared_rendezvous *meets = (struct shared_rendezvous *)queue;
    for (struct bid *bid = bid_after(meets, 0); bid; bid = bid_after(meets, bid->number))
        if (bid_state(bid_look(bid)) != BID_FREE)
            weft_shared_free(wefti_cell_cargo(&bid->cell));
    for (unsigned segment = SEGMENTS; segment-- > 0;)
        weft_shared_free(segment_bids(meets, segment));
    meets->shared.magic = 0;
    weft_shared_free(meets);
}

/* Deaths. */

/* Whether the partner of the bid's owner, who died over it, had told him that it is done. */
static bool bid_was_met(const struct bid *bid, uint64_t word)
{
    uint64_t meeting = wefti_meet_look(bid->life);
    if (bid_owner(word) == 0 || wefti_meet_turn(meeting) != bid_turn(word))
        return true;
    return wefti_meet_state(meeting) == WEFTI_MEET_DONE && wefti_meet_which(meeting) == bid->which;
}

static void fill_settle(struct bid *bid, uint16_t dead)
{
    uint64_t word = bid_look(bid);
    struct wefti_cargo *cargo = wefti_cell_cargo(&bid->cell);
    bool owned = bid_state(word) != BID_FREE && bid_state(word) != BID_TAKES; /* another has mended what his getter left */
    if (bid_state(word) == BID_TAKES && bid_was_met(bid, word))
        owned = bid_move(bid, word, bid_word(BID_FILLED, bid_owner(word), bid_turn(word)));
    if (owned)
        return;
    if (cargo)
        wefti_block_withdraw(cargo, dead);
    bid->cell.form = WEFT_NONE;
}

static void take_settle(struct bid *bid)
{
    uint64_t word = bid_look(bid);
    if (bid_state(word) == BID_GIVES && bid_was_met(bid, word))
        bid_move(bid, word, bid_word(BID_GIVES, 0, 0));
}

static void bid_settle(struct bid *bid, unsigned what, uint16_t dead)
{
    struct wefti_cargo *cargo = wefti_cell_cargo(&bid->cell);
    if (what == FILL)
        fill_settle(bid, dead);
    else if (what == TAKE)
        take_settle(bid);
    else if (cargo && bid_state(bid_look(bid)) == BID_FREE) /* LAY, CLEAR */
        wefti_block_withdraw(cargo, dead);
}

static void rendezvous_settle(struct wefti_shared_queue *queue, struct wefti_gate *gate, uint16_t dead)
{
    struct shared_rendezvous *meets = (struct shared_rendezvous *)queue;
    unsigned what = gate->pending & WHAT;
    uintptr_t block = (uintptr_t)(gate->pending & ~(uint64_t)WHAT);
    if (block && what == GROW && meets->segments[gate->at] != block)
        wefti_block_withdraw((void *)block, dead); /* NOLINT: it was a pointer. His blocks in hand are given back after this */
    if (block && what != GROW)
        bid_settle((struct bid *)block, what, dead); /* NOLINT: it was a pointer */
    wefti_gate_done(gate);
    rendezvous_break(meets);
}

/* What a dead one's bid becomes. */
static uint64_t word_mended(uint64_t word)
{
    if (bid_state(word) == BID_FILLED)
        return bid_word(BID_GIVES, 0, 0);
    return bid_word(bid_state(word) == BID_TAKES ? BID_FREE : BID_ORPHAN, 0, 0);
}

static void rendezvous_mend(struct wefti_shared_queue *queue, uint32_t dead)
{
    struct shared_rendezvous *meets = (struct shared_rendezvous *)queue;
    for (struct bid *bid = bid_after(meets, 0); bid; bid = bid_after(meets, bid->number)) {
        uint64_t word = bid_look(bid);
        while (bid_owner(word) == dead && !bid_move(bid, word, word_mended(word)))
            word = bid_look(bid);
    }
    rendezvous_break(meets);
}

/* Select. */

/* Whether a look inside can be spared. Who is no member is told so there. */
static bool rendezvous_looks_empty(const weft_case *one, enum bid_side side)
{
    const struct shared_rendezvous *meets = one->object;
    return __atomic_load_n(&meets->lines[!side].first, __ATOMIC_RELAXED) == 0 && !rendezvous_missed(meets) &&
           wefti_context_life(wefti_context_current());
}

static int give_case_ready(weft_case *one)
{
    if (rendezvous_looks_empty(one, GIVERS))
        return 0;
    return wefti_queue_outcome(shared_rendezvous_go(one->object, GIVERS, one->operation, WEFT_NOW) == 0 ? 0 : errno);
}

static int take_case_ready(weft_case *one)
{
    if (rendezvous_looks_empty(one, TAKERS))
        return 0;
    return wefti_queue_outcome(shared_rendezvous_go(one->object, TAKERS, one->operation, WEFT_NOW) == 0 ? 0 : errno);
}

/*
 * Inside, the bid being left: whether to step back and look, as a partner is there who stays. All others that fit are told to do so: should one of them find something else, none
 * is left that neither looks again.
 */
static bool barter_steps_back(const struct barter *barter)
{
    for (struct bid *bid = bid_next_open(barter, NULL); bid; bid = bid_next_open(barter, bid)) {
        uint64_t word = bid_look(bid);
        if (bid_owner(word) == 0 || bid->stays || barter->life->ident < bid_owner(word))
            return true;
        if (wefti_meet_end(bid->life, bid_turn(word), WEFTI_MEET_AGAIN, 0))
            weft_wake(&bid->life->meeting_word, UINT32_MAX);
    }
    return false;
}

/* Leaves the bid of a case. True: look again. */
static bool barter_enlist(struct barter *barter, struct wefti_place *place)
{
    struct shared_rendezvous *meets = barter->meets;
    struct wefti_visit visit;
    if (wefti_gate_enter(&meets->gate, &visit) != 0)
        return true;
    bids_whole(meets);
    barter->turn = wefti_meet_turn(wefti_meet_look(barter->life)); /* which select has opened */
    bool again = barter_post(barter, place->number, false) != 0 || barter_steps_back(barter) || rendezvous_missed(meets);
    wefti_gate_leave(&meets->gate, &visit, 0);
    wefti_visit_end(&visit);
    return again;
}

static bool rendezvous_case_enlist(weft_case *one, enum bid_side side, struct wefti_item *item)
{
    struct barter barter;
    if (barter_begin(&barter, one->object, side, one->operation) != 0)
        return true; /* the look says why */
    bool again = barter_enlist(&barter, wefti_case_place(one));
    item->kind = WEFTI_WORD;
    item->word = &barter.life->meeting_word;
    item->expected = wefti_meet_word(barter.turn);
    wefti_case_place(one)->post = barter.own;
    if (!barter.own) {
        wefti_lease_unhold(&barter.meets->shared);
        barter_cancel(&barter);
    }
    return again;
}

static bool give_case_enlist(weft_case *one, struct wefti_item *item)
{
    return rendezvous_case_enlist(one, GIVERS, item);
}

static bool take_case_enlist(weft_case *one, struct wefti_item *item)
{
    return rendezvous_case_enlist(one, TAKERS, item);
}

/* The bid of a case that was not met is taken back. */
static void rendezvous_case_withdraw(weft_case *one, enum bid_side side)
{
    struct barter barter = {.meets = one->object, .side = side, .own = wefti_case_place(one)->post};
    struct wefti_cargo *cargo = wefti_cell_cargo(&barter.own->cell);
    struct wefti_visit visit;
    if (wefti_gate_enter(&barter.meets->gate, &visit) == 0) {
        bids_whole(barter.meets);
        barter_withdraw(&barter);
        wefti_gate_leave(&barter.meets->gate, &visit, 0);
        wefti_visit_end(&visit);
        cargo_discard(cargo);
    }
    wefti_lease_unhold(&barter.meets->shared);
}

static void rendezvous_case_delist(weft_case *one, enum bid_side side)
{
    struct wefti_place *place = wefti_case_place(one);
    struct barter barter = {.meets = one->object, .side = side, .value = one->operation, .filled = side == TAKERS ? place->post : NULL};
    if (!place->post)
        return;
    if (place->met)
        one->error = barter_end(&barter, 0) == 0 ? 0 : errno;
    else
        rendezvous_case_withdraw(one, side);
    place->post = NULL;
}

static void give_case_delist(weft_case *one)
{
    rendezvous_case_delist(one, GIVERS);
}

static void take_case_delist(weft_case *one)
{
    rendezvous_case_delist(one, TAKERS);
}

static const struct weft_waitable shared_give_waitable = {
    .ready = give_case_ready, .enqueue = give_case_enlist, .dequeue = give_case_delist, .meets_afar = true};
static const struct weft_waitable shared_take_waitable = {
    .ready = take_case_ready, .enqueue = take_case_enlist, .dequeue = take_case_delist, .meets_afar = true};

const struct wefti_shared_kind wefti_queue_shared_rendezvous = {
    .calls =
        {
            .put = shared_rendezvous_put,
            .get = shared_rendezvous_get,
            .put_some = shared_rendezvous_put_some,
            .get_some = shared_rendezvous_get_some,
            .size = shared_rendezvous_size,
            .close = shared_rendezvous_close,
            .free = shared_rendezvous_free,
            .get_case = &shared_take_waitable,
            .put_case = &shared_give_waitable,
        },
    .settle = rendezvous_settle,
    .mend = rendezvous_mend,
    .drop_all = rendezvous_drop_all,
};

struct weft_queue *wefti_queue_shared_rendezvous_new(void)
{
    struct shared_rendezvous *meets = wefti_block_take(sizeof(*meets));
    if (!meets)
        return NULL;
    memset(meets, 0, sizeof(*meets));
    wefti_queue_shared_prepare(&meets->shared, WEFTI_QUEUE_SHARED_RENDEZVOUS, WEFT_RENDEZVOUS);
    meets->gate.queue = &meets->shared;
    wefti_block_commit(meets, sizeof(*meets));
    return &meets->shared.queue;
}
