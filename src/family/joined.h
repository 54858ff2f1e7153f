/* SPDX-License-Identifier: MIT */
/* From the supervisor's side of this floor to the members'. */
#ifndef WEFTI_JOINED_H
#define WEFTI_JOINED_H

enum { WEFTI_HANDED = 4 }; /* the descriptors of a request */

/* In a process that the supervisor has made: the socket by which it asks for others. */
void wefti_family_joined(int socket);

#endif
