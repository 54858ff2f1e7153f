/* SPDX-License-Identifier: MIT */
/*
 * Which members a member has asked for, and these, and so on. They are children of the supervisor's, so the kernel does not know.
 */
#ifndef WEFTI_BELOW_H
#define WEFTI_BELOW_H

#include <stdint.h>

struct wefti_family;

/* The calling member, who is about to ask for a process, as `maker` names him: bits 0 to 15 the seat, above these its generation. */
uint64_t wefti_maker_here(struct wefti_family *family);
/* This seat's member is dead: those that he asked for are from now on as if asked for by who had asked for him. By the supervisor, before
 * the seat is another's; done again it does no harm. */
void wefti_below_inherit(struct wefti_family *family, uint32_t number);
/* Calls `found` for each living member that stands below the one with this pid, himself not among them. */
void wefti_below(int32_t pid, void (*found)(int32_t pid, void *data), void *data);

#endif
