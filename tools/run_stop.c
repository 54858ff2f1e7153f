/* SPDX-License-Identifier: MIT */
/* See run_stop.h. The state is written before the descriptor, so that who finds the descriptor readable finds the state. */
#include "run_stop.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "complain.h"

int run_stop_begin(struct run_stop *stop)
{
    *stop = (struct run_stop){.draining = eventfd(0, EFD_CLOEXEC), .aborting = eventfd(0, EFD_CLOEXEC)};
    if (stop->draining >= 0 && stop->aborting >= 0)
        return 0;
    complain("cannot make an event descriptor: %s", strerror(errno));
    return -1;
}

void run_stop_end(struct run_stop *stop)
{
    close(stop->draining);
    close(stop->aborting);
}

static void event_ring(int event)
{
    uint64_t one = 1;
    ssize_t written = write(event, &one, sizeof one);
    (void)written; /* a few ones never fill it */
}

void run_stop_move(struct run_stop *stop, enum run_state state)
{
    uint32_t old = __atomic_load_n(&stop->state, __ATOMIC_RELAXED);
    while (old < (uint32_t)state)
        if (__atomic_compare_exchange_n(&stop->state, &old, (uint32_t)state, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
            event_ring(stop->draining);
            if (state == RUN_ABORTING)
                event_ring(stop->aborting);
            return;
        }
}

enum run_state run_stop_state(const struct run_stop *stop)
{
    return (enum run_state)__atomic_load_n(&stop->state, __ATOMIC_ACQUIRE);
}

void run_stop_break(struct run_stop *stop)
{
    __atomic_store_n(&stop->broken, 1, __ATOMIC_RELAXED);
    run_stop_move(stop, RUN_ABORTING);
}
