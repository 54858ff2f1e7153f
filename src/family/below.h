/* SPDX-License-Identifier: MIT */
/*
 * Which members a member has asked for, and these, and so on. They are children of the supervisor's, so the kernel does not know.
 */
#ifndef WEFTI_BELOW_H
#define WEFTI_BELOW_H

#include <stdbool.h>
#include <stdint.h>

struct wefti_family;

/* The calling member, who is about to ask for a process, as `maker` names him: bits 0 to 15 the seat, above these its generation. */
uint64_t wefti_maker_here(struct wefti_family *family);
/* This seat's member is dead: those that he asked for are from now on as if asked for by who had asked for him. By the supervisor, before
 * the seat is another's; done again it does no harm. */
void wefti_below_inherit(struct wefti_family *family, uint32_t number);
/* The member with this pid, named as above; 0: there is none. */
uint64_t wefti_below_member(int32_t pid);
/* His pid; 0: he is dead. */
int32_t wefti_below_pid(uint64_t member);
/*
 * Marks the member, and all who stand below him, as being stopped: whoever these have asked for and who does not run yet never will. Calls
 * `found` for each who stands below him, perhaps more than once.
 */
void wefti_below_stop(uint64_t member, void (*found)(int32_t pid, void *data), void *data);
/* In the name of a seat, before it is TAKEN: writes down who has asked for whom it will have. False: nobody is to have it, that one being
 * dead, or stopped. */
bool wefti_below_enter(struct wefti_family *family, uint32_t number, uint64_t maker);
/* The calling member takes in what his descendants leave behind, from now on; and so will those he asks for. False: he could not. */
bool wefti_below_reap(struct wefti_family *family);
/* By a member, before he does anything: he does so if who has asked for him does. */
void wefti_below_begin(struct wefti_family *family);

#endif
