/* SPDX-License-Identifier: MIT */
/*
 * Timers: a heap ordered by moment, and one thread that sleeps until the first of them.
 *
 * The heap, its thread and what a timer is doing are guarded by one lock; functions are called, and arguments dropped, without it.
 *
 * A timer's word, on which its waiters sleep:
 *   OVER     no call begins any more. Set under the lock: when the call of weft_after begins, or by the one cancel that comes first.
 *   RUNNING  its function is being called. Set and cleared by the thread, under the lock. the rest, in steps of TICK: ticks that nobody has
 *   taken; added by the thread (it stays at the largest), taken by whoever waits, without the lock.
 * Every change is a read-modify-write, and a release: who sees a tick, or OVER without RUNNING, with acquire, has the call behind him.
 *
 * References: the handle's, and one of the clock's, which it gives up when the timer is OVER and not RUNNING: then the argument is dropped,
 * by who made it so (the canceller, or the thread after the call).
 *
 * The thread is a task like others, so that its functions can call everything. It is started under the lock with the first timer, and ends,
 * under the lock, when the heap has been empty for LINGER. A wait of its own cannot be cancelled.
 *
 * Fork. The lock is taken across it: the child finds the heap whole, and forgets it. The handlers are registered with the first timer,
 * later than all others of the library, so that this lock is taken before the latches that its holders may want.
 */

#include <weft/timer.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/memory.h"
#include "task/task.h"
#include "value/value.h"
#include "wait/waitable.h"
#include <weft/once.h>
#include <weft/with.h>

enum { OVER = 1, RUNNING = 2, TICK = 4, WAYS = 4 /* children of a place in the heap */ };
#define TICKS (~UINT32_C(3))

#ifdef WEFTI_SMALL
enum { ROOM_FIRST = 1, LINGER = 1000000 /* ns */ };
#else
enum { ROOM_FIRST = 64, LINGER = 200000000 };
#endif

struct weft_timer {
    uint32_t references;
    uint32_t word;
    uint64_t count;   /* calls begun; written under the lock, read by anybody */
    weft_time period; /* constant; 0: once */
    size_t place;     /* in the heap; NOWHERE; guarded by the lock */
    weft_function *function;
    weft_value argument;
};
#define NOWHERE SIZE_MAX

struct entry {
    weft_time due;
    uint64_t order; /* among those of the same moment */
    weft_timer *timer;
};

static weft_once timers_once;
static weft_lock timers_lock; /* of all that follows */
static struct entry *heap;
static size_t heap_count, heap_room;
static uint64_t heap_orders;
static weft_timer *timers_running; /* whose function is being called */
static bool timers_thread;         /* it is there */
static uint32_t timers_ident;      /* of its context; read without the lock, too */
static uint32_t timers_bell;       /* what it sleeps on: one more for each new first of the heap, and when there is none */

static bool entry_before(const struct entry *a, const struct entry *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void heap_put(size_t place, struct entry entry)
{
    heap[place] = entry;
    entry.timer->place = place;
}

/* Puts the entry there or nearer to the first. */
static void heap_rise(size_t place, struct entry entry)
{
    for (; place > 0 && entry_before(&entry, &heap[(place - 1) / WAYS]); place = (place - 1) / WAYS)
        heap_put(place, heap[(place - 1) / WAYS]);
    heap_put(place, entry);
}

/* The first of the children of a place; 0: it has none. */
static size_t heap_child(size_t place)
{
    size_t first = place * WAYS + 1, best = first;
    for (size_t i = first + 1; i < first + WAYS && i < heap_count; i++)
        if (entry_before(&heap[i], &heap[best]))
            best = i;
    return first < heap_count ? best : 0;
}

/* Puts the entry there or further from the first. */
static void heap_sink(size_t place, struct entry entry)
{
    for (size_t child; (child = heap_child(place)) && entry_before(&heap[child], &entry); place = child)
        heap_put(place, heap[child]);
    heap_put(place, entry);
}

static void heap_settle(size_t place, struct entry entry)
{
    if (place > 0 && entry_before(&entry, &heap[(place - 1) / WAYS]))
        heap_rise(place, entry);
    else
        heap_sink(place, entry);
}

static bool heap_add(weft_timer *timer, weft_time due)
{
    if (heap_count == heap_room) {
        size_t room = heap_room ? heap_room * 2 : ROOM_FIRST;
        struct entry *grown = wefti_realloc(heap, room * sizeof(*heap));
        if (!grown)
            return false;
        heap = grown;
        heap_room = room;
    }
    heap_rise(heap_count++, (struct entry){.due = due, .order = heap_orders++, .timer = timer});
    return true;
}

static void heap_remove(weft_timer *timer)
{
    size_t place = timer->place;
    timer->place = NOWHERE;
    if (place != --heap_count)
        heap_settle(place, heap[heap_count]);
    if (heap_count > 0)
        return;
    wefti_release(heap);
    heap = NULL;
    heap_room = 0;
}

static uint32_t timer_look(const weft_timer *timer)
{
    return __atomic_load_n(&timer->word, __ATOMIC_ACQUIRE);
}

static void timer_set(weft_timer *timer, uint32_t bits)
{
    __atomic_fetch_or(&timer->word, bits, __ATOMIC_RELEASE);
}

void weft_timer_free(weft_timer *timer)
{
    /* Release: what this owner did comes before the end; acquire: the last sees what all did. */
    if (timer && __atomic_sub_fetch(&timer->references, 1, __ATOMIC_ACQ_REL) == 0)
        wefti_release(timer);
}

/* It is OVER and not RUNNING, the caller having made it so. Without the lock. */
static void timer_end(weft_timer *timer)
{
    weft_wake(&timer->word, UINT32_MAX);
    weft_drop(timer->argument);
    weft_timer_free(timer);
}

/* The moment after `now` at which a timer that was due is due again. */
static weft_time timer_next(weft_time due, weft_time period, weft_time now)
{
    weft_time missed = (now - due) / period;
    if (due > WEFT_FOREVER - period || missed * period > WEFT_FOREVER - period - due)
        return WEFT_FOREVER;
    return due + (missed + 1) * period;
}

/* The timer whose turn has come, taken out or put to its next moment; NULL: none. Under the lock. */
static weft_timer *timers_due(void)
{
    weft_time now = weft_clock();
    if (heap_count == 0 || heap[0].due > now)
        return NULL;
    struct entry first = heap[0];
    weft_timer *timer = first.timer;
    if (timer->period) {
        first.due = timer_next(first.due, timer->period, now);
        first.order = heap_orders++;
        heap_sink(0, first);
    } else {
        heap_remove(timer);
    }
    timer_set(timer, timer->period ? RUNNING : RUNNING | OVER);
    __atomic_store_n(&timer->count, timer->count + 1, __ATOMIC_RELAXED);
    return timer;
}

/* Calls the function as one of the thread's, which can be cancelled. Without the lock. */
static void timer_call(weft_timer *timer)
{
    if (!timer->function)
        return;
    wefti_shield_lower();
    weft_value result = wefti_value_take(timer->function(timer->argument));
    wefti_shield_raise();
    if (weft_is_error(result))
        wefti_uncollected("timer", result);
    weft_drop(result);
}

/* The call has returned. True when it was the last. Under the lock. */
static bool timer_called(weft_timer *timer)
{
    uint32_t word = timer_look(timer), next;
    do
        next = (word & ~(uint32_t)RUNNING) + ((word & TICKS) == TICKS ? 0 : TICK);
    while (!__atomic_compare_exchange_n(&timer->word, &word, next, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    return word & OVER;
}

/* Has the lock before and after, not while the function runs. */
static void timers_turn(weft_timer *timer)
{
    __atomic_add_fetch(&timer->references, 1, __ATOMIC_RELAXED); /* so that it is there when it has been cancelled */
    timers_running = timer;
    weft_lock_release(&timers_lock);
    timer_call(timer);
    weft_lock_acquire(&timers_lock, WEFT_FOREVER);
    timers_running = NULL;
    bool last = timer_called(timer);
    weft_lock_release(&timers_lock);
    if (last)
        timer_end(timer);
    else
        weft_wake(&timer->word, UINT32_MAX);
    weft_timer_free(timer);
    weft_lock_acquire(&timers_lock, WEFT_FOREVER);
}

/* Sleeps until there is something to do. False when there is nothing to come. Has the lock before and after. */
static bool timers_sleep(void)
{
    bool idle = heap_count == 0;
    uint32_t bell = timers_bell;
    weft_time until = idle ? weft_clock() + LINGER : heap[0].due;
    weft_lock_release(&timers_lock);
    weft_wait(&timers_bell, bell, until);
    weft_lock_acquire(&timers_lock, WEFT_FOREVER);
    return !idle || heap_count > 0 || bell != timers_bell;
}

static weft_value timers_main(weft_value none)
{
    (void)none;
    wefti_shield_raise();
    weft_lock_acquire(&timers_lock, WEFT_FOREVER);
    __atomic_store_n(&timers_ident, wefti_ident(), __ATOMIC_RELAXED);
    do
        for (weft_timer *timer; (timer = timers_due());)
            timers_turn(timer);
    while (timers_sleep());
    timers_thread = false;
    __atomic_store_n(&timers_ident, 0, __ATOMIC_RELAXED);
    weft_lock_release(&timers_lock);
    wefti_shield_lower();
    return weft_none;
}

/* Under the lock. */
static bool timers_start(void)
{
    sigset_t all, old;
    if (timers_thread)
        return true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    weft_task *task = weft_spawn(WEFT_THREAD, timers_main, weft_none, .name = "Timers", .daemon = true);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = error;
    timers_thread = task;
    weft_task_free(task);
    return timers_thread;
}

/* The thread has to look again; it is woken without the lock. */
static void timers_ring(void)
{
    __atomic_store_n(&timers_bell, timers_bell + 1, __ATOMIC_RELEASE); /* pairs with the acquire of weft_wait */
}

/* Into the heap, with a thread that sees to it. Under the lock. */
static bool timers_add(weft_timer *timer, weft_time due)
{
    if (!heap_add(timer, due))
        return false;
    if (!timers_start()) {
        int error = errno;
        heap_remove(timer);
        errno = error;
        return false;
    }
    if (timer->place == 0)
        timers_ring();
    return true;
}

static void timers_fork_prepare(void)
{
    wefti_shield_raise();
    weft_lock_acquire(&timers_lock, WEFT_FOREVER);
}

static void timers_fork_parent(void)
{
    weft_lock_release(&timers_lock);
    wefti_shield_lower();
}

/* The arguments are left as they are: other tasks, which the child has not, may have been changing them. */
static void timers_fork_child(void)
{
    bool inside = timers_ident == wefti_ident(); /* a timer's function forked: its thread is the child's only one, and goes on */
    for (size_t i = 0; i < heap_count; i++) {
        heap[i].timer->place = NOWHERE;
        timer_set(heap[i].timer, OVER);
        if (!inside || heap[i].timer != timers_running) /* whose call ends it */
            weft_timer_free(heap[i].timer);
    }
    wefti_release(heap);
    heap = NULL;
    heap_count = heap_room = 0;
    if (!inside) {
        if (timers_running)
            __atomic_fetch_and(&timers_running->word, ~(uint32_t)RUNNING, __ATOMIC_RELAXED);
        timers_running = NULL;
        timers_thread = false;
        timers_ident = 0;
    }
    timers_fork_parent();
}

static int timers_open(void *data)
{
    (void)data;
    int error = wefti_fails() ? ENOMEM : pthread_atfork(timers_fork_prepare, timers_fork_parent, timers_fork_child);
    errno = error;
    return error ? -1 : 0;
}

/* Takes the argument on success. */
static weft_timer *timer_new(weft_time due, weft_time period, weft_function *function, weft_value argument)
{
    weft_timer *timer = wefti_alloc(sizeof(*timer));
    bool added = false;
    if (!timer)
        return NULL;
    *timer = (weft_timer){.references = 2, .period = period, .place = NOWHERE, .function = function, .argument = argument};
    wefti_shield_raise();
    int opened = weft_once_call(&timers_once, timers_open, NULL, WEFT_FOREVER);
    wefti_shield_lower();
    if (opened == 0)
        weft_with (&timers_lock) {
            added = timers_add(timer, due);
            if (added)
                timer->argument = wefti_value_take(argument);
        }
    if (!added) {
        int error = errno;
        wefti_release(timer);
        errno = error;
        return NULL;
    }
    weft_wake(&timers_bell, 1);
    return timer;
}

weft_timer *weft_after(double seconds, weft_function *function, weft_value argument)
{
    return timer_new(weft_in(seconds), 0, function, argument);
}

weft_timer *weft_every(double seconds, weft_function *function, weft_value argument)
{
    const double longest = 9.2e9;
    if (!(seconds * 1e9 >= 1 && seconds <= longest)) {
        errno = EINVAL;
        return NULL;
    }
    return timer_new(weft_in(seconds), (weft_time)(seconds * 1e9), function, argument);
}

int weft_timer_cancel(weft_timer *timer)
{
    bool over = false, running = false, none_left = false;
    weft_with (&timers_lock) {
        uint32_t word = timer_look(timer);
        over = word & OVER;
        running = word & RUNNING;
        if (!over) {
            heap_remove(timer);
            timer_set(timer, OVER);
            none_left = heap_count == 0;
        }
        if (none_left) /* what the thread sleeps for will not come: it may end */
            timers_ring();
    }
    if (none_left)
        weft_wake(&timers_bell, 1);
    if (over) {
        errno = EALREADY;
        return -1;
    }
    if (!running)
        timer_end(timer);
    return 0;
}

int weft_timer_join(weft_timer *timer, weft_time deadline)
{
    if (__atomic_load_n(&timers_ident, __ATOMIC_RELAXED) == wefti_ident()) {
        errno = EDEADLK;
        return -1;
    }
    for (uint32_t word; ((word = timer_look(timer)) & (OVER | RUNNING)) != OVER;)
        if (weft_wait(&timer->word, word, deadline) < 0)
            return -1;
    return 0;
}

static int timer_case_ready(weft_case *one)
{
    weft_timer *timer = one->object;
    uint32_t word = timer_look(timer);
    while (word & TICKS)
        if (__atomic_compare_exchange_n(&timer->word, &word, word & ~TICKS, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            if (one->operation)
                *(uint64_t *)one->operation = word / TICK;
            return 1;
        }
    if ((word & (OVER | RUNNING)) != OVER)
        return 0;
    errno = EPIPE;
    return -1;
}

static bool timer_case_enqueue(weft_case *one, struct wefti_item *item)
{
    weft_timer *timer = one->object;
    item->kind = WEFTI_WORD;
    item->word = &timer->word;
    item->expected = timer_look(timer);
    return (item->expected & TICKS) || (item->expected & (OVER | RUNNING)) == OVER;
}

static void timer_case_dequeue(weft_case *one)
{
    (void)one; /* every change that matters wakes all */
}

static const struct weft_waitable timer_waitable = {
    .ready = timer_case_ready, .enqueue = timer_case_enqueue, .dequeue = timer_case_dequeue};

weft_case weft_case_timer(weft_timer *timer, uint64_t *ticks)
{
    return (weft_case){.waitable = &timer_waitable, .object = timer, .operation = ticks};
}

int weft_timer_wait(weft_timer *timer, uint64_t *ticks, weft_time deadline)
{
    weft_case one = weft_case_timer(timer, ticks);
    if (weft_select(&one, 1, deadline) < 0)
        return -1;
    errno = one.error ? one.error : errno;
    return one.error ? -1 : 0;
}

uint64_t weft_timer_count(const weft_timer *timer)
{
    return __atomic_load_n(&timer->count, __ATOMIC_RELAXED);
}
