/* SPDX-License-Identifier: MIT */
/*
 * The watcher: a thread, started when it is first needed, that sleeps on words of other processes for those threads of this one that sleep
 * in ppoll, and rings their doorbells. It ends when it has had nothing to watch for a while.
 *
 * The kernel sleeps on at most 128 words at once: one of them is the watcher's own bell, changed whenever a watch comes. When all places of
 * a watcher are taken, another is made; watchers are never freed.
 *
 * The latch guards the places. Whoever ends a watch takes it out under the latch, and the watcher rings under it, so a doorbell is there as
 * long as it can be rung. A wake of the kernel's is one waiter's: when the watch that it was for has ended meanwhile (found out by its
 * serial number, as another may lie at its address), it is handed on. The kernel tells of one word though several may have been woken; so
 * all are looked at.
 *
 * No wake is lost: the kernel compares each word with what the sleeper expected, at each new sleep. A watch that comes changes the bell,
 * which the kernel compares as well.
 *
 * fork: the child has no watchers, and whoever forks does not sleep.
 */

#include "wait/watcher.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

#include "base/futex.h"
#include "base/latch.h"
#include "base/memory.h"
#include "base/opening.h"
#include "base/servant.h"
#include "wait/wait.h"

#ifdef WEFTI_SMALL
enum { PLACES = 2 };
#else
enum { PLACES = 127 };
#endif
enum { LINGER = 200000000 /* ns */, LOOK_AGAIN = 5000000 };

struct watcher {
    struct wefti_latch latch; /* of all but `next` and `bell` */
    uint32_t bell;
    bool runs;
    unsigned count;
    uint64_t serials;
    struct wefti_watch *places[PLACES];
    struct watcher *next; /* constant once it is linked */
};

/* What the thread sleeps on: a copy, as watches end meanwhile. */
struct sleep {
    unsigned count;
    struct futex_waitv words[PLACES + 1]; /* the bell first */
    unsigned places[PLACES + 1];
    uint64_t serials[PLACES + 1];
};

static struct watcher first_watcher;

static void sleep_gather(struct watcher *watcher, struct sleep *sleep)
{
    uint32_t bell = __atomic_load_n(&watcher->bell, __ATOMIC_ACQUIRE);
    sleep->words[0] = (struct futex_waitv){.val = bell, .uaddr = (uintptr_t)&watcher->bell, .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG};
    sleep->count = 1;
    for (unsigned i = 0; i < PLACES; i++) {
        const struct wefti_watch *watch = watcher->places[i];
        if (!watch || watch->fired)
            continue;
        sleep->words[sleep->count] = (struct futex_waitv){.val = watch->expected, .uaddr = (uintptr_t)watch->word, .flags = FUTEX_32};
        sleep->places[sleep->count] = i;
        sleep->serials[sleep->count++] = watch->serial;
    }
}

static void watch_fire(struct wefti_watch *watch, uint32_t seen)
{
    watch->fired = seen;
    eventfd_write(watch->doorbell, 1);
}

/* The word of that number was woken; others may have changed. */
static void watches_fire(struct watcher *watcher, const struct sleep *sleep, long woken)
{
    if (woken > 0) {
        struct wefti_watch *watch = watcher->places[sleep->places[woken]];
        if (watch && watch->serial == sleep->serials[woken])
            watch_fire(watch, WEFTI_SEEN_WOKEN);
        else
            wefti_futex_wake_shared((const uint32_t *)(uintptr_t)sleep->words[woken].uaddr, 1); /* NOLINT: it was a pointer */
    }
    for (unsigned i = 0; i < PLACES; i++) {
        struct wefti_watch *watch = watcher->places[i];
        if (watch && !watch->fired && __atomic_load_n(watch->word, __ATOMIC_ACQUIRE) != watch->expected)
            watch_fire(watch, WEFTI_SEEN_CHANGED);
    }
}

/* Where the kernel does not know how to sleep on several, the words are looked at now and then. */
static long words_await(const struct sleep *sleep, weft_time deadline)
{
    long woken = wefti_futex_wait_any(sleep->words, sleep->count, deadline);
    if (woken != -ENOSYS && woken != -EPERM)
        return woken;
    weft_time soon = weft_clock() + LOOK_AGAIN;
    int error = wefti_futex_wait((const uint32_t *)(uintptr_t)sleep->words[0].uaddr, (uint32_t)sleep->words[0].val, soon); /* NOLINT */
    return error == ETIMEDOUT && soon >= deadline ? -ETIMEDOUT : -EAGAIN;
}

static void *watcher_main(void *data)
{
    struct watcher *watcher = data;
    struct sleep sleep;
    weft_time late = 0; /* when it ends, while it has nothing to watch */
    prctl(PR_SET_NAME, "weft-watcher");
    wefti_latch_close(&watcher->latch);
    for (;;) {
        sleep_gather(watcher, &sleep);
        bool idle = watcher->count == 0;
        late = !idle ? 0 : late ? late : weft_clock() + LINGER;
        wefti_latch_open(&watcher->latch);
        long woken = words_await(&sleep, idle ? late : WEFT_FOREVER);
        wefti_latch_close(&watcher->latch);
        watches_fire(watcher, &sleep, woken);
        if (idle && watcher->count == 0 && woken == -ETIMEDOUT)
            break;
    }
    watcher->runs = false;
    wefti_latch_open(&watcher->latch);
    return NULL;
}

/* True when there was room; *starts: the caller has to start the thread. */
static bool watcher_take(struct watcher *watcher, struct wefti_watch *watch, bool *starts)
{
    wefti_latch_close(&watcher->latch);
    bool room = watcher->count < PLACES;
    for (unsigned i = 0; room && i < PLACES; i++) {
        if (watcher->places[i])
            continue;
        watch->watcher = watcher;
        watch->place = i;
        watch->serial = ++watcher->serials;
        watch->fired = 0;
        watcher->places[i] = watch;
        watcher->count++;
        break;
    }
    *starts = room && !watcher->runs;
    watcher->runs |= room;
    if (room)
        __atomic_add_fetch(&watcher->bell, 1, __ATOMIC_RELEASE);
    wefti_latch_open(&watcher->latch);
    if (room && !*starts)
        wefti_futex_wake(&watcher->bell, 1);
    return room;
}

/* There is no thread: those who came meanwhile, counting on it, look again, and try for themselves. */
static void watcher_fail(struct watcher *watcher)
{
    wefti_latch_close(&watcher->latch);
    watcher->runs = false;
    for (unsigned i = 0; i < PLACES; i++)
        if (watcher->places[i] && !watcher->places[i]->fired)
            watch_fire(watcher->places[i], WEFTI_SEEN_CHANGED);
    wefti_latch_open(&watcher->latch);
}

static void watcher_leave(struct wefti_watch *watch)
{
    struct watcher *watcher = watch->watcher;
    wefti_latch_close(&watcher->latch);
    watcher->places[watch->place] = NULL;
    bool last = --watcher->count == 0;
    if (last)
        __atomic_add_fetch(&watcher->bell, 1, __ATOMIC_RELEASE);
    wefti_latch_open(&watcher->latch);
    if (last) /* it may go now */
        wefti_futex_wake(&watcher->bell, 1);
}

/* The one after this, made if there is none. */
static struct watcher *watcher_next(struct watcher *watcher)
{
    struct watcher *next = __atomic_load_n(&watcher->next, __ATOMIC_ACQUIRE);
    struct watcher *fresh = next ? NULL : wefti_alloc(sizeof(*fresh));
    if (next || !fresh)
        return next;
    if (__atomic_compare_exchange_n(&watcher->next, &next, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return fresh;
    wefti_release(fresh);
    return next;
}

static int watch_begin(struct wefti_watch *watch)
{
    bool starts = false;
    struct watcher *watcher = &first_watcher;
    while (watcher && !watcher_take(watcher, watch, &starts))
        watcher = watcher_next(watcher);
    if (!watcher)
        return -1;
    if (!starts || wefti_servant_start(watcher_main, watcher) == 0)
        return 0;
    watcher_leave(watch);
    watcher_fail(watcher);
    errno = ENOMEM; /* whatever the system says: EAGAIN would be taken for that of WEFT_NOW */
    return -1;
}

int wefti_watch_begin(struct wefti_watch *watches, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (watch_begin(&watches[i]) != 0) {
            int error = errno;
            wefti_watch_end(watches, i);
            errno = error;
            return -1;
        }
    return 0;
}

void wefti_watch_end(struct wefti_watch *watches, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        watcher_leave(&watches[i]);
}

static WEFTI_FORKED void watchers_forked(void)
{
    for (struct watcher *watcher = first_watcher.next, *next; watcher; watcher = next) {
        next = watcher->next;
        wefti_release(watcher);
    }
    if (first_watcher.next || first_watcher.serials || first_watcher.runs || __atomic_load_n(&first_watcher.latch.word, __ATOMIC_RELAXED))
        memset(&first_watcher, 0, sizeof(first_watcher)); /* to write is to copy its page */
}

WEFTI_OPENING_WAIT static void watchers_open(void)
{
    pthread_atfork(NULL, NULL, watchers_forked);
}
