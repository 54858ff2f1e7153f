/* SPDX-License-Identifier: MIT */
/*
 * Commands that end with this process, however it dies.
 */
#ifndef WEFTI_GUARD_H
#define WEFTI_GUARD_H

#include <stdbool.h>

#include "command/launch.h"

/*
 * Makes sure that a guardian lives, and gives a place in its table for one command about to be launched. NULL with EAGAIN (no room for a
 * process) or ENOMEM. The place is given back with wefti_guard_leave.
 */
struct wefti_slot *wefti_guard_enter(bool own_group, bool copies);
/* The command has ended, or never began. NULL is allowed. Keeps errno. */
void wefti_guard_leave(struct wefti_slot *slot);

#endif
