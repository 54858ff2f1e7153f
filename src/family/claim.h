/* SPDX-License-Identifier: MIT */
/*
 * Whose seat a request is met in. Several may be at it: the supervisor, processes that stand by, and for a moment those of two supervisors;
 * and a request may come twice. Who claims the record meets it.
 */
#ifndef WEFTI_CLAIM_H
#define WEFTI_CLAIM_H

#include "family/family.h"

/* Instead of a seat: nobody will meet it. It was given up, or its maker died; or it is refused, which a supervisor is to say. */
enum { WEFTI_CLAIM_NOBODY = 0xffff, WEFTI_CLAIM_REFUSED = 0xfffe };

/* What a record's `claim` is while nobody has claimed it. */
uint64_t wefti_claim_none(uint64_t ticket);
/* Claims the record of a request, if it is still asked for. `seat` may be WEFTI_CLAIM_NOBODY. The record may be gone by now. */
bool wefti_claim(struct wefti_process *process, uint64_t ticket, uint32_t seat);
/* The same in the name of a seat, where it is written down before. False: the seat has none. */
bool wefti_claim_for_seat(struct wefti_family *family, uint32_t seat, struct wefti_process *process, uint64_t ticket);
/* Whether the record of the request is there, and claimed so. */
bool wefti_claimed_for(const struct wefti_process *process, uint64_t ticket, uint32_t seat);
/* The record that was claimed for this seat, held for the supervisor yet; or NULL: none was, or all has been said of it. */
struct wefti_process *wefti_claimed(const struct wefti_family *family, uint32_t seat);

/*
 * A process runs in the seat: says so, to whoever asked for it, too. By the process itself, or the supervisor. False: who asked is dead, or
 * being stopped with all he has asked for (below.h); it is to be refused.
 */
bool wefti_claim_begin(struct wefti_family *family, uint32_t seat, pid_t pid);

/* The seat's process is dead: what it held from the beginning, if that is to be put right with what else it left; NULL: it is its maker's
 * to see to. */
struct wefti_holding *wefti_claim_born(const struct wefti_family *family, uint32_t seat);
/*
 * The seat's process has ended, and what it left has been put right. True when a request may have been lost with it: it had not come to
 * claim it, or not to say that it runs; then whoever waits for an answer has to ask again.
 */
bool wefti_claim_end(struct wefti_family *family, uint32_t seat, int status);

/* Stores the state and wakes who waits for it. */
void wefti_process_say(struct wefti_process *process, enum wefti_process_state state);
/* That a record which was claimed for a seat is refused; wefti_claim_end has to come yet. */
void wefti_process_refuse(struct wefti_process *process, int error);
/* A request is, unless somebody else has claimed it. By the supervisor; also if the one before was about to, and died. */
void wefti_claim_refuse(struct wefti_process *process, uint64_t ticket, int error);
/* Whether a supervisor was about to refuse it, and died before it could say so: the next one is to say it. */
bool wefti_claim_unsaid(const struct wefti_process *process, uint64_t ticket);
/* By its maker, who has seen that it is refused: whoever said so may have died before he let go of the record. */
void wefti_claim_refused(struct wefti_process *process, uint64_t ticket);

#endif
