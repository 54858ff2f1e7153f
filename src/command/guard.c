/* SPDX-License-Identifier: MIT */
/*
 * The host's side of the guardian: the table of commands that end with this process.
 *
 * A place in the table is taken by compare-and-swap on its state, and the child writes itself in: all that a command pays. The guardian's
 * life is looked at under a latch; while it is held nothing waits but the start of a guardian.
 *
 * The table belongs to the process that made it. A forked child of the host finds that it is another process, and makes its own; handles
 * that it inherited keep their places in the old one, which it no longer touches.
 */

#include "command/guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/latch.h"
#include "base/memory.h"
#include "command/guardian.h"

enum { STACK = 32768 };

static struct wefti_latch latch;         /* for the two below */
static struct wefti_guard *present;      /* this process's, or that of a process it was forked from */
static struct wefti_guardian *guardians; /* the first is the latest */

static void *pages_map(size_t size, bool shared)
{
    void *place = MAP_FAILED;
    if (!wefti_fails())
        place = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);
    if (place != MAP_FAILED)
        return place;
    errno = ENOMEM;
    return NULL;
}

/* This process's table. NULL with ENOMEM. */
static struct wefti_guard *guard_present(bool copies)
{
    pid_t self = getpid();
    if (present && present->host == self)
        return present;
    struct wefti_guard *guard = pages_map(sizeof(*guard), copies);
    if (!guard)
        return NULL;
    guard->host = self;
    guard->count = WEFTI_GUARDIAN_GONE;
    guardians = NULL;
    present = guard;
    return guard;
}

/* One that is not in use: a guardian that leaves may still be at it when the next is started. */
static struct wefti_guardian *guardian_new(struct wefti_guard *guard, bool copies)
{
    struct wefti_guardian **link = &guardians;
    for (; *link; link = &(*link)->next)
        if (!__atomic_load_n(&(*link)->alive, __ATOMIC_ACQUIRE)) {
            struct wefti_guardian *found = *link;
            *link = found->next;
            return found;
        }
    char *place = pages_map(STACK, copies);
    if (!place)
        return NULL;
    struct wefti_guardian *guardian = (struct wefti_guardian *)(void *)(place + STACK - (sizeof(*guardian) + 63) / 64 * 64);
    guardian->guard = guard;
    guardian->copies = copies;
    guardian->stack = guardian;
    return guardian;
}

/* Starts a guardian. -1 with EAGAIN, ENOMEM. */
static int guard_start(struct wefti_guard *guard, bool copies)
{
    sigset_t all, old;
    struct wefti_guardian *guardian = guardian_new(guard, copies);
    if (!guardian)
        return -1;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = wefti_guardian_start(guardian);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    guardian->next = guardians;
    guardians = guardian;
    errno = error;
    return error ? -1 : 0;
}

/* One more command, and somebody who looks after it. Called with the latch held. */
static int guard_join(struct wefti_guard *guard, bool copies)
{
    bool living = guardians && __atomic_load_n(&guardians->alive, __ATOMIC_ACQUIRE);
    uint32_t count = __atomic_load_n(&guard->count, __ATOMIC_ACQUIRE);
    while (living && count != WEFTI_GUARDIAN_GONE)
        if (__atomic_compare_exchange_n(&guard->count, &count, count + 1, true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return 0;
    __atomic_store_n(&guard->count, count == WEFTI_GUARDIAN_GONE ? 1 : count + 1, __ATOMIC_RELEASE);
    if (guard_start(guard, copies) == 0)
        return 0;
    __atomic_store_n(&guard->count, count, __ATOMIC_RELEASE);
    return -1;
}

static struct wefti_slot *slots_take(struct wefti_slots *slots)
{
    for (int i = 0; i < WEFTI_SLOTS; i++) {
        uint32_t free = 0;
        if (__atomic_compare_exchange_n(&slots->slots[i].state, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return &slots->slots[i];
    }
    return NULL;
}

/* A free place, in a new piece if need be. Called with the latch held. */
static struct wefti_slot *guard_place(struct wefti_guard *guard, bool copies)
{
    struct wefti_slots *slots = &guard->first;
    struct wefti_slot *slot;
    while (!(slot = slots_take(slots))) {
        if (!slots->next) {
            struct wefti_slots *more = pages_map(sizeof(*more), copies);
            if (!more)
                return NULL;
            __atomic_store_n(&slots->next, more, __ATOMIC_RELEASE); /* pairs with the acquire in mark_commands */
        }
        slots = slots->next;
    }
    return slot;
}

static struct wefti_slot *guard_take(bool copies)
{
    struct wefti_guard *guard = guard_present(copies);
    struct wefti_slot *slot = guard ? guard_place(guard, copies) : NULL;
    if (!slot)
        return NULL;
    slot->guard = guard;
    if (guard_join(guard, copies) == 0)
        return slot;
    __atomic_store_n(&slot->state, 0, __ATOMIC_RELEASE);
    return NULL;
}

struct wefti_slot *wefti_guard_enter(bool own_group, bool copies)
{
    wefti_latch_close(&latch);
    struct wefti_slot *slot = guard_take(copies);
    wefti_latch_open(&latch);
    if (!slot)
        return NULL;
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    slot->pid = 0;
    slot->since = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    slot->own_group = own_group;
    __atomic_add_fetch(&slot->guard->entered, 1, __ATOMIC_RELAXED);
    return slot;
}

void wefti_guard_leave(struct wefti_slot *slot)
{
    if (!slot || slot->guard->host != getpid())
        return;
    struct wefti_guard *guard = slot->guard;
    __atomic_store_n(&slot->pid, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->state, 0, __ATOMIC_RELEASE);
    __atomic_sub_fetch(&guard->count, 1, __ATOMIC_ACQ_REL);
}
