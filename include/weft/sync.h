/* SPDX-License-Identifier: MIT */
/* All locks and their kin. */
#ifndef WEFT_SYNC_H
#define WEFT_SYNC_H

#include <weft/barrier.h>
#include <weft/condition.h>
#include <weft/event.h>
#include <weft/lock.h>
#include <weft/once.h>
#include <weft/rlock.h>
#include <weft/rwlock.h>
#include <weft/semaphore.h>
#include <weft/with.h>

#endif
