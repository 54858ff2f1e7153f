/* SPDX-License-Identifier: MIT */
/* From the supervisor's side of this floor to the members'. */
#ifndef WEFTI_JOINED_H
#define WEFTI_JOINED_H

#include "family/family.h"

enum { WEFTI_HANDED = 4 }; /* the descriptors of a request */

/* In a process that the supervisor has made: the socket by which it asks for others. */
void wefti_family_joined(int socket);

/* Ends the maker's or the supervisor's hold of a record. */
void wefti_process_release(struct wefti_process *process, uint32_t hold);

#endif
