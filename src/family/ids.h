/* SPDX-License-Identifier: MIT */
/* Whom this process acts as: users, groups, capabilities. What the supervisor makes has those that the family began with. */
#ifndef WEFTI_IDS_H
#define WEFTI_IDS_H

#include <stdbool.h>

/* Notes them; before the supervisor is made, or in a process that has joined in another way. */
void wefti_ids_note(void);
/* Whether they are still what was noted. */
bool wefti_ids_same(void);

#endif
