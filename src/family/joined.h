/* SPDX-License-Identifier: MIT */
/* From the supervisor's side of this floor to the members'. */
#ifndef WEFTI_JOINED_H
#define WEFTI_JOINED_H

#include "family/family.h"

#include <stdint.h>

enum { WEFTI_HANDED = 4, WEFTI_HANDED_MOST = 5 }; /* the descriptors of a request, without and with one that is given */

/* In a process that the supervisor has made: the socket by which it asks for others. */
void wefti_family_joined(int socket);
/*
 * In a fresh image of the program, where the library lies elsewhere: what an address in it is more by in the supervisor, which is told what
 * its processes are to call.
 */
extern uintptr_t wefti_family_shift __attribute__((visibility("hidden")));
/* That socket, for a process that hands it on to its next image. */
int wefti_family_socket(void);

/* Sends a request with descriptors (WEFTI_HANDED_MOST at most); waits while the socket is full. -1 with errno. */
int wefti_request_send(const struct wefti_request *request, const int *descriptors, size_t count);

/* Ends the maker's or the supervisor's hold of a record, if it is the record yet that has this ticket. */
void wefti_process_release(struct wefti_process *process, uint64_t ticket, uint32_t holder);

#endif
