/* SPDX-License-Identifier: MIT */
/* What a thread's hub knows of descriptors that Weft opened, for who tries to read or write them. A thread without coroutines knows
 * nothing. */

#include "coroutine/readiness.h"

#include <poll.h>

#include "coroutine/hub.h"

/* So many calls of one flow that did not have to wait, and the others get a turn. */
enum { EAGER = 64 };

bool wefti_readiness_may(int descriptor, uint32_t opening, short events)
{
    const struct wefti_hub *hub = wefti_hub_now();
    return !hub ||
           wefti_descriptor_may(&hub->descriptors, descriptor, opening, (uint16_t)events | (POLLRDHUP | POLLHUP | POLLERR | POLLPRI));
}

void wefti_readiness_dry(int descriptor, uint32_t opening, short events)
{
    struct wefti_hub *hub = wefti_hub_now();
    if (hub)
        wefti_descriptor_dry(&hub->descriptors, descriptor, opening, (uint16_t)events);
}

void wefti_readiness_close(int descriptor)
{
    struct wefti_hub *hub = wefti_hub_now();
    if (hub)
        wefti_hub_close(hub, descriptor);
}

void wefti_readiness_leave(int descriptor)
{
    struct wefti_hub *hub = wefti_hub_now();
    if (hub)
        wefti_hub_leave(hub, descriptor);
}

void wefti_readiness_soon(void)
{
    struct wefti_hub *hub = wefti_hub_now();
    if (hub)
        hub->expects = true;
}

/*
 * Calls are counted anew after each switch: a flow that waits now and then lets others run as it is. (When all calls of a hub were counted
 * together, each 32nd answer of a server stood behind all that came meanwhile, though its coroutine had waited just before: with a thousand
 * connections that was the 99th percentile.)
 */
void wefti_readiness_turn(void)
{
    struct wefti_hub *hub = wefti_hub_now();
    if (!hub || hub->alive == 0)
        return;
    uint64_t turn = (uint64_t)hub->looks << 32 | hub->turns;
    if (turn != hub->eager_since) {
        hub->eager_since = turn;
        hub->eager = 0;
    }
    if (++hub->eager < EAGER)
        return;
    hub->eager = 0;
    wefti_yield();
}
