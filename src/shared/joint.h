/* SPDX-License-Identifier: MIT */
/*
 * Two words changed as one: a word of a shared object, and what a task's life says of that task's part in it (the detail of a holding).
 * Whatever instruction the task dies at, whoever puts right what it left finds both changed or neither. So what many share by number
 * (permits, readers) is never lost nor doubled.
 *
 * The object's word has 64 bits. Bits 32 to 60 are the MARK: the life (its ident) whose change is the last one and is not finished; 0:
 * none. The others are the object's, of which the lower 32 may be slept on. Whoever changes the word alone (and no detail) leaves the mark
 * as it is.
 */
#ifndef WEFTI_JOINT_H
#define WEFTI_JOINT_H

#include "shared/life.h"

enum { WEFTI_MARK_SHIFT = 32 };
#define WEFTI_MARK (UINT64_C(0x1fffffff) << WEFTI_MARK_SHIFT)

/*
 * If *word is *seen, makes it `value` (its mark does not count) and the detail of the holding `detail`; else, or if the mark of another had
 * to be dealt with, false, and *seen is what is there: look and try again. By the life's task, not in a signal handler; or by whoever mends
 * that life. Never waits, allocates nothing.
 */
bool wefti_joint_move(
    struct wefti_life *life, uint64_t *word, uint64_t *seen, uint64_t value, struct wefti_holding *holding, uint64_t detail);

/* Finishes, or takes back, what a dead task had begun: before its holdings are mended. May be repeated. */
void wefti_joint_recover(struct wefti_life *life);

/*
 * The name of an object that is known by its address in holdings that outlive what they are of: so that a dead task's holding of what lay
 * there before is not taken for one of what lies there now. Given with the first call; never 0.
 */
uint32_t wefti_name(uint32_t *name);

#endif
