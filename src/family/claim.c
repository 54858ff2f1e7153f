/* SPDX-License-Identifier: MIT */
/*
 * Claims of requests.
 *
 * claim, of a record: bits 16 to 63 its ticket, bits 0 to 15 the seat in which it is met; 0: nobody's yet; WEFTI_CLAIM_NOBODY: nobody will;
 * WEFTI_CLAIM_REFUSED: nobody will, and its state says so, or is about to.
 * It leaves 0 by compare-and-swap, which is what makes one of several the one who meets it, and comes back to 0 when that one died before
 * the record said RUNS. The ticket in it makes a record that is gone, or another by now, not to be claimed.
 *
 * The order of stores, each of which may be the last, is: ticket and process of the seat; the claim; pid and seat of the record; pid and
 * maker of the seat; TAKEN; RUNS. So whoever finds a dead process in a seat knows by the claim whether its request is the seat's (else
 * another has met it, or it is still asked for), and by the record's state whether the asker has been told.
 *
 * What a process holds from the beginning stands in its record (`born`), not in its life, in which it might not come to write it down. It
 * is put right with what the process left, if that has run; else when its maker dies, who so long is the one to see to it.
 *
 * A record is held for the supervisor (WEFTI_PROCESS_SUPERVISORS) from when it is first asked for until it has ended or was refused: so a
 * record that is claimed and held so is there, and stays there for who looks after the seat. One that is claimed only may be gone the next
 * moment: its maker has been told.
 */

#include "family/claim.h"

#include <time.h>

#include <weft/wait.h>

#include "family/below.h"
#include "family/joined.h"
#include "shared/block.h"

enum { TICKET_SHIFT = 16 };

static uint64_t claim_of(uint64_t ticket, uint32_t seat)
{
    return ticket << TICKET_SHIFT | seat;
}

uint64_t wefti_claim_none(uint64_t ticket)
{
    return claim_of(ticket, 0);
}

bool wefti_claim(struct wefti_process *process, uint64_t ticket, uint32_t seat)
{
    uint64_t none = wefti_claim_none(ticket);
    return wefti_held_there(process, sizeof(*process)) &&
           __atomic_compare_exchange_n(&process->claim, &none, claim_of(ticket, seat), false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

bool wefti_claim_for_seat(struct wefti_family *family, uint32_t number, struct wefti_process *process, uint64_t ticket)
{
    struct wefti_seat *seat = &family->seats[number];
    __atomic_store_n(&seat->ticket, ticket, __ATOMIC_RELAXED);
    __atomic_store_n(&seat->process, process, __ATOMIC_RELEASE);
    if (wefti_claim(process, ticket, number)) {
        process->pid = 0; /* it may have been begun before, in another seat */
        process->seat = number;
        return true;
    }
    __atomic_store_n(&seat->process, NULL, __ATOMIC_RELEASE);
    return false;
}

bool wefti_claimed_for(const struct wefti_process *process, uint64_t ticket, uint32_t seat)
{
    return wefti_held_there(process, sizeof(*process)) && __atomic_load_n(&process->claim, __ATOMIC_ACQUIRE) == claim_of(ticket, seat);
}

struct wefti_process *wefti_claimed(const struct wefti_family *family, uint32_t number)
{
    const struct wefti_seat *seat = &family->seats[number];
    struct wefti_process *process = __atomic_load_n(&seat->process, __ATOMIC_ACQUIRE);
    uint64_t ticket = __atomic_load_n(&seat->ticket, __ATOMIC_RELAXED);
    bool his = process && wefti_claimed_for(process, ticket, number) && wefti_held_by(&process->held, ticket, WEFTI_PROCESS_SUPERVISORS);
    return his ? process : NULL;
}

void wefti_process_say(struct wefti_process *process, enum wefti_process_state state)
{
    __atomic_store_n(&process->state, state, __ATOMIC_RELEASE);
    weft_wake(&process->state, UINT32_MAX);
}

void wefti_process_refuse(struct wefti_process *process, int error)
{
    process->error = error;
    wefti_process_say(process, WEFTI_PROCESS_REFUSED);
}

/* The state is looked at first: if the record is there after that, it was its state. Once that is another, the maker may let it go. */
bool wefti_claim_unsaid(const struct wefti_process *process, uint64_t ticket)
{
    return __atomic_load_n(&process->state, __ATOMIC_ACQUIRE) == WEFTI_PROCESS_NEW &&
           wefti_claimed_for(process, ticket, WEFTI_CLAIM_REFUSED) && wefti_held_by(&process->held, ticket, WEFTI_PROCESS_SUPERVISORS);
}

void wefti_claim_refuse(struct wefti_process *process, uint64_t ticket, int error)
{
    if (!wefti_claim(process, ticket, WEFTI_CLAIM_REFUSED) && !wefti_claim_unsaid(process, ticket))
        return;
    wefti_process_refuse(process, error);
    wefti_process_release(process, ticket, WEFTI_PROCESS_SUPERVISORS);
}

void wefti_claim_refused(struct wefti_process *process, uint64_t ticket)
{
    if (wefti_claimed_for(process, ticket, WEFTI_CLAIM_REFUSED))
        wefti_process_release(process, ticket, WEFTI_PROCESS_SUPERVISORS);
}

bool wefti_claim_begin(struct wefti_family *family, uint32_t number, pid_t pid)
{
    struct timespec now;
    struct wefti_seat *seat = &family->seats[number];
    struct wefti_process *process = seat->process;
    clock_gettime(CLOCK_BOOTTIME, &now);
    process->pid = pid;
    process->seat = number;
    seat->started = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    __atomic_store_n(&seat->pid, pid, __ATOMIC_RELEASE);
    if (!wefti_below_enter(family, number, process->maker))
        return false;
    __atomic_store_n(&seat->state, WEFTI_SEAT_TAKEN, __ATOMIC_RELEASE);
    wefti_process_say(process, WEFTI_PROCESS_RUNS);
    return true;
}

/* Whether it is to be asked for again: it did not come to run, and its maker lives. */
static bool claim_again(const struct wefti_process *process, uint64_t ticket)
{
    return __atomic_load_n(&process->state, __ATOMIC_ACQUIRE) == WEFTI_PROCESS_NEW &&
           wefti_held_by(&process->held, ticket, WEFTI_PROCESS_MAKERS);
}

struct wefti_holding *wefti_claim_born(const struct wefti_family *family, uint32_t number)
{
    struct wefti_process *process = wefti_claimed(family, number);
    uint32_t state = process ? __atomic_load_n(&process->state, __ATOMIC_ACQUIRE) : WEFTI_PROCESS_NEW;
    bool ran = state == WEFTI_PROCESS_RUNS || state == WEFTI_PROCESS_ENDED;
    bool makers = process && wefti_held_by(&process->held, family->seats[number].ticket, WEFTI_PROCESS_MAKERS);
    return process && (ran || !makers) ? &process->born : NULL;
}

bool wefti_claim_end(struct wefti_family *family, uint32_t number, int status)
{
    struct wefti_process *process = wefti_claimed(family, number);
    if (!process)
        return true; /* or all this was done before, by one that died: to ask again does no harm */
    uint64_t ticket = family->seats[number].ticket;
    if (claim_again(process, ticket)) {
        __atomic_store_n(&process->claim, wefti_claim_none(ticket), __ATOMIC_RELEASE);
        return true;
    }
    if (__atomic_load_n(&process->state, __ATOMIC_ACQUIRE) == WEFTI_PROCESS_RUNS) {
        process->status = status;
        wefti_process_say(process, WEFTI_PROCESS_ENDED);
    }
    wefti_process_release(process, ticket, WEFTI_PROCESS_SUPERVISORS);
    return false;
}
