/* SPDX-License-Identifier: MIT */
/*
 * A queue without room in the arena: who puts and who gets meet, in whatever process, and the value goes from one to the other.
 *
 * Who comes looks, inside the gate, for the first bid of the other line whose owner still waits, and does what both want. If there is none,
 * and he may wait, he leaves a bid of his own inside the same gate; so of two that fit the later sees the earlier. He sleeps on the word in
 * his life (shared/meeting.h): whoever does his bid makes that DONE, and that store decides: of several partners, of a partner and a
 * deadline, of the cases of one select, one comes first. queue_shared_bids.h says what a bid is, and what its states are.
 *
 * So a put returns when its value is a living getter's, or a getter's who died before he had it: then the value comes back, and the next
 * takes it. A getter loses what he had taken out of the bid when he dies. Nothing else is lost, nothing is given twice.
 *
 * Two selects, each with bids in several queues, could find each other at the same moment and both step back to look. Of two selects that
 * of the lower life steps back, and the other is told to look again; who has one bid only stays, and the select steps back. The highest of
 * those that fit each other stays where it is.
 *
 * Who waits looks again (AGAIN) after every death in here, after close, and when a value has come back. A plain put or get keeps its place
 * then.
 *
 * Who comes back for his bid when somebody is stopped inside waits for a moment, as all do at a gate, and then leaves it to whoever enters
 * next (bid_forsake): his meeting is over, so nobody can do it any more, and its word says that it is nobody's.
 *
 * The end of it: a putter whose meeting is DONE touches the queue no more; a partner's last touch is leaving the gate, which the getter
 * enters after that. So who has got the value may free the queue.
 *
 * Fork: as all queues in the arena.
 */
#include <errno.h>
#include <string.h>

#include "queue/queue_shared_bids.h"
#include "queue/queue_shared_nodes.h"
#include "value/value.h"
#include "wait/wait.h"

/* One who comes with something to give or to take. */
struct barter {
    struct wefti_rendezvous *meets;
    enum wefti_bid_side side;
    struct wefti_life *life;
    weft_value *value; /* where it comes from or goes to */
    struct wefti_parcel parcel;
    bool withdrawn;           /* the parcel's block has been in a bid */
    struct wefti_bid *own;    /* his bid, in a line */
    struct wefti_bid *filled; /* what he has got and not taken out yet */
    uint64_t sequence;        /* of his bids */
    uint32_t turn;            /* of his meeting, when he has a bid */
    bool missed;              /* the bid may have been overlooked */
    const uint32_t *met;      /* whom to wake, or NULL */
};

/* Inside. Whether somebody who comes with this life can do the bid. Nobody meets himself; when it is closed only what was put already can
 * be had. */
static bool bid_may(const struct wefti_rendezvous *meets, const struct wefti_bid *bid, const struct wefti_life *life)
{
    uint64_t word = wefti_bid_look(bid);
    if (!wefti_bid_waits(word))
        return false;
    if (wefti_bid_owner(word) == 0)
        return true;
    uint64_t open = wefti_meet_word(wefti_bid_turn(word));
    return !wefti_queue_is_closed(&meets->shared.queue) && bid->life != life && wefti_meet_look(bid->life) == open;
}

static struct wefti_bid *bid_next_open(const struct barter *barter, struct wefti_bid *bid)
{
    const struct wefti_rendezvous *meets = barter->meets;
    bid = wefti_bid_at(meets, bid ? bid->next : meets->lines[!barter->side].first);
    while (bid && !bid_may(meets, bid, barter->life))
        bid = wefti_bid_at(meets, bid->next);
    return bid;
}

/* Inside, its meeting being DONE: the bid is its owner's. False: he is dead. Who has not come in by now may have taken the value out
 * already, and left the bid as it was left by him: bid_forsake. */
static bool bid_hand_over(struct wefti_bid *bid, uint64_t word)
{
    return wefti_bid_move(bid, word, wefti_bid_word(WEFTI_BID_FILLED, wefti_bid_owner(word), wefti_bid_turn(word))) ||
           wefti_bid_state(wefti_bid_look(bid)) != WEFTI_BID_FREE;
}

/* Inside: the value goes into the bid of one who waits for it. False: he waits no more. */
static bool bid_fill(struct barter *barter, struct wefti_bid *bid)
{
    struct wefti_rendezvous *meets = barter->meets;
    struct wefti_parcel *parcel = &barter->parcel;
    uint64_t word = wefti_bid_look(bid);
    wefti_parcel_lay(parcel, &bid->cell);
    wefti_gate_begin(&meets->gate, bid, WEFTI_BID_FILL, 0);
    if (parcel->cargo)
        wefti_block_commit(parcel->cargo, parcel->cargo_size);
    bool met = wefti_meet_end(bid->life, wefti_bid_turn(word), WEFTI_MEET_DONE, bid->which) && bid_hand_over(bid, word);
    if (!met && parcel->cargo) {
        wefti_block_withdraw(parcel->cargo, wefti_member);
        barter->withdrawn = true;
    }
    if (!met)
        bid->cell.form = WEFT_NONE;
    wefti_gate_done(&meets->gate);
    if (met)
        wefti_bid_leave(meets, &meets->lines[WEFTI_TAKERS], bid);
    return met;
}

/* Inside: the value of the bid is the caller's. 0, EAGAIN (its putter waits no more), ENOMEM. A block is read outside. */
static int bid_take(struct barter *barter, struct wefti_bid *bid)
{
    struct wefti_rendezvous *meets = barter->meets;
    weft_value value = weft_none;
    uint64_t word = wefti_bid_look(bid);
    bool cargo = wefti_cell_cargo(&bid->cell) != NULL;
    if (!cargo && wefti_cell_read(&bid->cell, &value) != 0)
        return ENOMEM;
    wefti_gate_begin(&meets->gate, bid, WEFTI_BID_TAKE, 0);
    bool met = wefti_bid_owner(word) == 0 || wefti_meet_end(bid->life, wefti_bid_turn(word), WEFTI_MEET_DONE, bid->which);
    met = met && wefti_bid_move(
                     bid, word, cargo ? wefti_bid_word(WEFTI_BID_FILLED, barter->life->ident, 0) : wefti_bid_word(WEFTI_BID_FREE, 0, 0));
    wefti_gate_done(&meets->gate);
    if (!met) {
        weft_drop(value);
        return EAGAIN;
    }
    wefti_bid_leave(meets, &meets->lines[WEFTI_GIVERS], bid);
    if (cargo) {
        barter->filled = bid;
        return 0;
    }
    wefti_bid_release(meets, bid);
    *barter->value = value;
    return 0;
}

/* Inside: with the first partner there is. 0, EAGAIN, EPIPE, ENOMEM. */
static int barter_meet(struct barter *barter)
{
    bool closed = wefti_queue_is_closed(&barter->meets->shared.queue);
    int error = EAGAIN;
    for (struct wefti_bid *bid = bid_next_open(barter, NULL), *next; bid && error == EAGAIN; bid = next) {
        struct wefti_life *partner = wefti_bid_owner(wefti_bid_look(bid)) ? bid->life : NULL;
        next = bid_next_open(barter, bid);
        error = barter->side == WEFTI_TAKERS ? bid_take(barter, bid) : bid_fill(barter, bid) ? 0 : EAGAIN;
        barter->met = error == 0 && partner ? &partner->meeting_word : NULL;
    }
    return error == EAGAIN && closed ? EPIPE : error;
}

/* Inside: a bid of his own joins its line, its meeting being open. 0, ENOMEM. */
static int barter_post(struct barter *barter, uint32_t which, bool stays)
{
    struct wefti_rendezvous *meets = barter->meets;
    struct wefti_cargo *cargo = barter->side == WEFTI_GIVERS ? barter->parcel.cargo : NULL;
    struct wefti_bid *bid = wefti_bid_new(meets);
    if (!bid)
        return ENOMEM;
    if (!barter->sequence)
        barter->sequence = ++meets->sequence;
    bid->sequence = barter->sequence;
    bid->which = which;
    bid->stays = stays;
    __atomic_store_n(&bid->life, barter->life, __ATOMIC_RELAXED);
    bid->cell.form = WEFT_NONE;
    if (barter->side == WEFTI_GIVERS)
        wefti_parcel_lay(&barter->parcel, &bid->cell);
    if (cargo) {
        wefti_gate_begin(&meets->gate, bid, WEFTI_BID_LAY, 0);
        wefti_block_commit(cargo, barter->parcel.cargo_size);
    }
    wefti_bid_put(bid, wefti_bid_word(barter->side == WEFTI_GIVERS ? WEFTI_BID_GIVES : WEFTI_BID_TAKES, barter->life->ident, barter->turn));
    if (cargo)
        wefti_gate_done(&meets->gate);
    wefti_bid_enter(meets, &meets->lines[barter->side], bid);
    barter->own = bid;
    return 0;
}

/* Inside: takes his bid back, his meeting being shut. Its block, which is the parcel's again, or NULL. */
static struct wefti_cargo *barter_withdraw(struct barter *barter)
{
    if (!barter->own)
        return NULL;
    wefti_bid_leave(barter->meets, &barter->meets->lines[barter->side], barter->own);
    struct wefti_cargo *cargo = wefti_bid_clear(barter->meets, barter->own);
    barter->withdrawn |= cargo != NULL;
    barter->own = NULL;
    return cargo;
}

/*
 * Outside, by its owner, who cannot come in: nobody can do the bid any more, as his meeting is shut, or it has been done. It becomes an
 * ORPHAN, which who enters next frees with its block; or, the value in it not being wanted after all, a GIVES of owner 0.
 */
static void bid_forsake(struct wefti_rendezvous *meets, struct wefti_bid *bid, enum wefti_bid_state state)
{
    uint64_t word = wefti_bid_look(bid);
    while (!wefti_bid_move(bid, word, wefti_bid_word(state, 0, 0))) /* its putter may be about to hand it over */
        word = wefti_bid_look(bid);
    __atomic_store_n(&meets->broken, 1, __ATOMIC_SEQ_CST);
}

/* Outside: the same of his own that waits, if there is one. Its block goes with it. */
static void barter_forsake(struct barter *barter)
{
    if (!barter->own)
        return;
    if (wefti_cell_cargo(&barter->own->cell))
        barter->parcel.cargo = NULL;
    bid_forsake(barter->meets, barter->own, WEFTI_BID_ORPHAN);
    barter->own = NULL;
}

/* Inside, after a bid was left: whether it may have been overlooked. Outside: whether a look inside is due. */
static bool rendezvous_missed(const struct wefti_rendezvous *meets)
{
    return __atomic_load_n(&meets->broken, __ATOMIC_SEQ_CST) || __atomic_load_n(&meets->shared.queue.closed, __ATOMIC_SEQ_CST);
}

/* Tries once, and leaves a bid if it may wait. 0, EAGAIN, EPIPE, ENOMEM, or why it could not enter: ESTALE, ETIMEDOUT, ECANCELED. */
static int barter_try(struct barter *barter, weft_time deadline)
{
    struct wefti_rendezvous *meets = barter->meets;
    struct wefti_visit visit;
    if (wefti_gate_enter_by(&meets->gate, &visit, deadline) != 0) {
        int error = errno;
        barter_forsake(barter);
        return error;
    }
    wefti_bids_whole(meets);
    barter_withdraw(barter);
    int error = barter_meet(barter);
    if (error == EAGAIN && deadline > WEFT_NOW) {
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

/* The bid whose value he has read, or had no memory for, is done with: its block, in his hands, or NULL. */
static struct wefti_cargo *barter_release(struct wefti_rendezvous *meets, struct wefti_bid *bid, int error)
{
    struct wefti_visit visit;
    struct wefti_cargo *cargo = NULL;
    if (wefti_gate_enter_by(&meets->gate, &visit, WEFT_NOW) != 0) {
        bid_forsake(meets, bid, error ? WEFTI_BID_GIVES : WEFTI_BID_ORPHAN);
        return NULL;
    }
    wefti_bids_whole(meets);
    if (error)
        wefti_bid_put(bid, wefti_bid_word(WEFTI_BID_GIVES, 0, 0));
    else
        cargo = wefti_bid_clear(meets, bid);
    wefti_gate_leave(&meets->gate, &visit, 0);
    wefti_visit_end(&visit);
    return cargo;
}

/* Out of his bid, or what he has taken over: what he got. 0, ENOMEM: then the next gets it. */
static int barter_fetch(struct barter *barter)
{
    struct wefti_rendezvous *meets = barter->meets;
    struct wefti_bid *bid = barter->filled;
    struct wefti_cargo *cargo = wefti_cell_cargo(&bid->cell);
    weft_value value;
    int error = (cargo ? wefti_cargo_read(bid->cell.form, cargo, &value) : wefti_cell_read(&bid->cell, &value)) == 0 ? 0 : ENOMEM;
    barter->filled = NULL;
    wefti_cargo_discard(barter_release(meets, bid, error));
    if (error) {
        wefti_bids_break(meets);
        return error;
    }
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
    barter->filled = barter->side == WEFTI_TAKERS ? barter->own : NULL;
    barter->own = NULL;
    return 0;
}

static int barter_wait(struct barter *barter, weft_time deadline)
{
    int why = EAGAIN, error;
    while ((error = barter_try(barter, why == EAGAIN ? deadline : WEFT_NOW)) == EAGAIN && why == EAGAIN && deadline > WEFT_NOW) {
        why = barter_sleep(barter, deadline);
        if (why == 0)
            return 0;
    }
    return error == EAGAIN ? why : error;
}

/* He gives his parcel up: it was not put. */
static void barter_cancel(struct barter *barter)
{
    if (!barter->withdrawn)
        wefti_parcel_cancel(&barter->parcel);
    else
        wefti_cargo_discard(barter->parcel.cargo);
}

/* Prepares one who comes: a life, his parcel, a holding for his bid and what he takes over. -1 with errno. */
static int barter_begin(struct barter *barter, void *queue, enum wefti_bid_side side, weft_value *value)
{
    barter->meets = queue;
    barter->side = side;
    barter->value = value;
    barter->life = wefti_context_life(wefti_context_current());
    barter->withdrawn = false;
    barter->own = barter->filled = NULL;
    barter->sequence = 0;
    barter->met = NULL;
    barter->turn = 0;
    barter->parcel.cargo = NULL;
    if (!barter->life || (side == WEFTI_GIVERS && wefti_parcel_pack(&barter->parcel, *value) != 0))
        return -1;
    if (wefti_lease_hold(&barter->meets->shared))
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
    if (barter->side == WEFTI_GIVERS && error)
        barter_cancel(barter);
    if (barter->side == WEFTI_GIVERS && !error)
        weft_drop(wefti_value_take(*barter->value));
    errno = error ? error : errno;
    return error ? -1 : 0;
}

static int shared_rendezvous_go(weft_queue *queue, enum wefti_bid_side side, weft_value *value, weft_time deadline)
{
    struct barter barter;
    if (barter_begin(&barter, queue, side, value) != 0)
        return -1;
    return barter_end(&barter, barter_wait(&barter, deadline));
}

static int shared_rendezvous_put(weft_queue *queue, weft_value value, weft_time deadline)
{
    return shared_rendezvous_go(queue, WEFTI_GIVERS, &value, deadline);
}

static int shared_rendezvous_get(weft_queue *queue, weft_value *value, weft_time deadline)
{
    return shared_rendezvous_go(queue, WEFTI_TAKERS, value, deadline);
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
    struct wefti_rendezvous *meets = (struct wefti_rendezvous *)queue;
    struct wefti_visit visit;
    bool inside = wefti_gate_enter(&meets->gate, &visit) == 0; /* who is no member closes it all the same */
    __atomic_store_n(&queue->closed, 1, __ATOMIC_SEQ_CST);
    wefti_bids_again(meets);
    if (!inside)
        return;
    wefti_gate_leave(&meets->gate, &visit, 0);
    wefti_visit_end(&visit);
}

/* What was put, and whose getter died or had no memory for it. */
static size_t rendezvous_drop_all(struct wefti_shared_queue *queue)
{
    struct wefti_rendezvous *meets = (struct wefti_rendezvous *)queue;
    struct wefti_visit visit;
    size_t dropped = 0;
    if (wefti_gate_enter(&meets->gate, &visit) != 0)
        return 0;
    wefti_bids_whole(meets);
    for (struct wefti_bid *bid = wefti_bid_at(meets, meets->lines[WEFTI_GIVERS].first), *next; bid; bid = next) {
        next = wefti_bid_at(meets, bid->next);
        if (wefti_bid_look(bid) != wefti_bid_word(WEFTI_BID_GIVES, 0, 0))
            continue;
        wefti_bid_leave(meets, &meets->lines[WEFTI_GIVERS], bid);
        wefti_cargo_discard(wefti_bid_clear(meets, bid));
        dropped++;
    }
    wefti_gate_leave(&meets->gate, &visit, 0);
    wefti_visit_end(&visit);
    return dropped;
}

static struct wefti_gate *rendezvous_gate(struct wefti_shared_queue *queue, unsigned number)
{
    return number ? NULL : &((struct wefti_rendezvous *)queue)->gate;
}

static void rendezvous_blocks(struct wefti_shared_queue *queue, wefti_queue_step *step, uint16_t member)
{
    wefti_bids_blocks((struct wefti_rendezvous *)queue, step, member);
    step(queue, member);
}

/* Select. */

/* Whether a look inside can be spared. Who is no member is told so there. */
static bool rendezvous_looks_empty(const weft_case *one, enum wefti_bid_side side)
{
    const struct wefti_rendezvous *meets = one->object;
    return __atomic_load_n(&meets->lines[!side].first, __ATOMIC_RELAXED) == 0 && !rendezvous_missed(meets) &&
           wefti_context_life(wefti_context_current());
}

static int give_case_ready(weft_case *one)
{
    if (rendezvous_looks_empty(one, WEFTI_GIVERS))
        return 0;
    return wefti_queue_outcome(shared_rendezvous_go(one->object, WEFTI_GIVERS, one->operation, WEFT_NOW) == 0 ? 0 : errno);
}

static int take_case_ready(weft_case *one)
{
    if (rendezvous_looks_empty(one, WEFTI_TAKERS))
        return 0;
    return wefti_queue_outcome(shared_rendezvous_go(one->object, WEFTI_TAKERS, one->operation, WEFT_NOW) == 0 ? 0 : errno);
}

/*
 * Inside, the bid being left: whether to step back and look, as a partner is there who stays. All others that fit are told to do so: should
 * one of them find something else, none is left that neither looks again.
 */
static bool barter_steps_back(const struct barter *barter)
{
    for (struct wefti_bid *bid = bid_next_open(barter, NULL); bid; bid = bid_next_open(barter, bid)) {
        uint64_t word = wefti_bid_look(bid);
        if (wefti_bid_owner(word) == 0 || bid->stays || barter->life->ident < wefti_bid_owner(word))
            return true;
        if (wefti_meet_end(bid->life, wefti_bid_turn(word), WEFTI_MEET_AGAIN, 0))
            weft_wake(&bid->life->meeting_word, UINT32_MAX);
    }
    return false;
}

/* Leaves the bid of a case. True: look again. */
static bool barter_enlist(struct barter *barter, struct wefti_place *place)
{
    struct wefti_rendezvous *meets = barter->meets;
    struct wefti_visit visit;
    if (wefti_gate_enter_by(&meets->gate, &visit, WEFT_NOW) != 0)
        return true;
    wefti_bids_whole(meets);
    barter->turn = wefti_meet_turn(wefti_meet_look(barter->life)); /* which select has opened */
    bool again = barter_post(barter, place->number, false) != 0 || barter_steps_back(barter) || rendezvous_missed(meets);
    wefti_gate_leave(&meets->gate, &visit, 0);
    wefti_visit_end(&visit);
    return again;
}

static bool rendezvous_case_enlist(weft_case *one, enum wefti_bid_side side, struct wefti_item *item)
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
    return rendezvous_case_enlist(one, WEFTI_GIVERS, item);
}

static bool take_case_enlist(weft_case *one, struct wefti_item *item)
{
    return rendezvous_case_enlist(one, WEFTI_TAKERS, item);
}

/* The bid of a case that was not met is taken back. */
static void rendezvous_case_withdraw(weft_case *one, enum wefti_bid_side side)
{
    struct barter barter = {.meets = one->object, .side = side, .own = wefti_case_place(one)->post};
    struct wefti_visit visit;
    if (wefti_gate_enter_by(&barter.meets->gate, &visit, WEFT_NOW) != 0)
        barter_forsake(&barter);
    else {
        wefti_bids_whole(barter.meets);
        struct wefti_cargo *cargo = barter_withdraw(&barter); /* inside: a putter may have laid one there that he takes away again */
        wefti_gate_leave(&barter.meets->gate, &visit, 0);
        wefti_visit_end(&visit);
        wefti_cargo_discard(cargo);
    }
    wefti_lease_unhold(&barter.meets->shared);
}

static void rendezvous_case_delist(weft_case *one, enum wefti_bid_side side)
{
    struct wefti_place *place = wefti_case_place(one);
    struct barter barter = {
        .meets = one->object, .side = side, .value = one->operation, .filled = side == WEFTI_TAKERS ? place->post : NULL};
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
    rendezvous_case_delist(one, WEFTI_GIVERS);
}

static void take_case_delist(weft_case *one)
{
    rendezvous_case_delist(one, WEFTI_TAKERS);
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
            .free = wefti_queue_shared_free,
            .get_case = &shared_take_waitable,
            .put_case = &shared_give_waitable,
        },
    .gate = rendezvous_gate,
    .blocks = rendezvous_blocks,
    .settle = wefti_rendezvous_settle,
    .mend = wefti_rendezvous_mend,
    .drop_all = rendezvous_drop_all,
};

struct weft_queue *wefti_queue_shared_rendezvous_new(void)
{
    struct wefti_rendezvous *meets = wefti_block_take(sizeof(*meets));
    if (!meets)
        return NULL;
    memset(meets, 0, sizeof(*meets));
    wefti_queue_shared_prepare(&meets->shared, WEFTI_QUEUE_SHARED_RENDEZVOUS, WEFT_RENDEZVOUS);
    meets->gate.queue = &meets->shared;
    wefti_block_commit(meets, sizeof(*meets));
    return &meets->shared.queue;
}
