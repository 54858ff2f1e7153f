/* SPDX-License-Identifier: MIT */
/*
 * An event: a flag that tasks wait for. Set, it stays set (and lets everybody through) until it is cleared. All-zero is ready, and not
 * set. In shared memory it is for the tasks of all processes of the family; nobody's death changes it.
 */
#ifndef WEFT_EVENT_H
#define WEFT_EVENT_H

#include <weft/base.h>
#include <weft/select.h>

typedef struct weft_event {
    uint32_t word; /* the library's, both */
    uint32_t reserved;
} weft_event;

WEFT_BEGIN

/*
 * Waits until it is set; one that is cleared again at once lets through who waited. 0; -1 with EAGAIN, ETIMEDOUT, ECANCELED. From any
 * kind of task.
 */
WEFT_API int weft_event_wait(weft_event *event, weft_time deadline);
/* Sets it and wakes all who wait; the memory may be freed by a waiter as soon as it returns. Any task, and signal
 * handlers (it is async-signal-safe, and keeps errno); never waits; cannot fail. */
WEFT_API void weft_event_set(weft_event *event);
/* Who waits from now on waits for the next weft_event_set. Any task, as the next; cannot fail. */
WEFT_API void weft_event_clear(weft_event *event);
WEFT_API bool weft_event_is_set(const weft_event *event);
/* For weft_select: ready when it is set, or was since that weft_select began. It stays set. */
WEFT_API weft_case weft_case_event(weft_event *event);

WEFT_END

#endif
