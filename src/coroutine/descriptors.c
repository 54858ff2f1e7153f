/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that coroutines wait for, by epoll.
 *
 * Of each descriptor the table has a list of the items (of waits) that wait for it, linked through their fields for the parking lot, which
 * does not queue descriptors. epoll is asked for what any of them wants, once (EPOLLONESHOT): whoever begins to wait asks anew, and epoll
 * then reports what is there already; so no look before the wait is needed, and none is lost. One that waits no more leaves its question
 * standing; the answer finds nobody, and costs no more than that.
 *
 * A closed descriptor has left epoll by itself, and its number may be another's by now: asking finds that out (ENOENT), and adds it. A
 * number whose description lives on elsewhere may still bring a last report of the old one: a spurious return, which every wait allows.
 *
 * One that Weft has opened (wait/opened.h) stays with epoll as long as it is open, and epoll reports its changes (EPOLLET): who waits asks
 * nothing. A change is reported into `ready`, and comes to whoever waits; who finds the descriptor dry takes it out of there before he
 * waits, and nothing is polled between the two, so what comes after that is a change, and is reported. He says so in his item (tried); a
 * wait that has not tried asks anew, as epoll then reports what is there. What was reported of another opening of the number is told by its
 * number, that is in the report, and left alone. Output is asked for with the first wait for it, as a local socket has a change with each
 * message that its peer reads.
 *
 * What epoll refuses, regular files, is always ready, as poll(2) has it; a number that is no descriptor is POLLNVAL.
 *
 * All of it is used by the hub's thread alone. fork: the child closes the two, and begins anew.
 */

#include "coroutine/descriptors.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/streams.h"
#include "coroutine/told.h"
#include "wait/opened.h"
#include "wait/parked.h"

#ifdef WEFTI_SMALL
enum { EVENTS_A_LOOK = 3 };
#else
enum { EVENTS_A_LOOK = 64 }; /* who is found ready runs while what was touched for that is still in a cache */
#endif
enum { ALWAYS = POLLERR | POLLHUP | POLLNVAL, TABLE_LEAST = 64 };
/* Always asked of an opening, beside output. */
#define CHANGES (EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET)
_Static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT && POLLPRI == EPOLLPRI && POLLERR == EPOLLERR && POLLHUP == EPOLLHUP &&
                   POLLRDHUP == EPOLLRDHUP,
    "poll's events are epoll's");

/* What epoll reports for the two that are ours */
#define BELL UINT64_MAX
#define CLOCK (UINT64_MAX - 1)

void wefti_descriptors_end(struct wefti_descriptors *descriptors)
{
    descriptors->backend->close(descriptors);
    if (descriptors->epoll >= 0)
        close(descriptors->epoll);
    if (descriptors->bell >= 0)
        close(descriptors->bell);
    if (descriptors->clock >= 0)
        close(descriptors->clock);
    wefti_release(descriptors->table);
    wefti_release(descriptors->events);
    wefti_descriptors_begin(descriptors, descriptors->backend, descriptors->ready);
}

int wefti_descriptors_open(struct wefti_descriptors *descriptors)
{
    if (descriptors->epoll >= 0)
        return 0;
    if (!descriptors->events && !(descriptors->events = wefti_alloc_raw(EVENTS_A_LOOK * sizeof(struct epoll_event))))
        return -1;
    if (wefti_fails_with(EMFILE))
        return -1;
    int epoll = wefti_beside_streams(epoll_create1(EPOLL_CLOEXEC));
    int bell = wefti_beside_streams(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = BELL};
    if (epoll >= 0 && bell >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, bell, &event) == 0) {
        descriptors->epoll = epoll;
        descriptors->bell = bell;
        return 0;
    }
    if (epoll >= 0)
        close(epoll);
    if (bell >= 0)
        close(bell);
    errno = EMFILE;
    return -1;
}

/* Makes the clock. -1 with EMFILE. */
static int clock_open(struct wefti_descriptors *descriptors)
{
    if (descriptors->clock >= 0)
        return 0;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = CLOCK};
    int clock = wefti_fails() ? -1 : wefti_beside_streams(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (clock >= 0 && epoll_ctl(descriptors->epoll, EPOLL_CTL_ADD, clock, &event) == 0) {
        descriptors->clock = clock;
        return 0;
    }
    if (clock >= 0)
        close(clock);
    errno = EMFILE;
    return -1;
}

int wefti_descriptors_lend(struct wefti_descriptors *descriptors)
{
    if (wefti_descriptors_open(descriptors) != 0 || clock_open(descriptors) != 0)
        return -1;
    if (!descriptors->lent && descriptors->backend->lend(descriptors) != 0)
        return -1;
    descriptors->lent = true;
    return 0;
}

void wefti_descriptors_alarm(struct wefti_descriptors *descriptors, weft_time moment)
{
    struct itimerspec when = {0}; /* none */
    if (moment == descriptors->alarm)
        return;
    descriptors->alarm = moment;
    if (moment != WEFT_FOREVER) {
        moment = moment < 1 ? 1 : moment;
        when.it_value = (struct timespec){.tv_sec = moment / 1000000000, .tv_nsec = moment % 1000000000};
    }
    timerfd_settime(descriptors->clock, TFD_TIMER_ABSTIME, &when, NULL);
}

/* The table's entry for the number; NULL with ENOMEM. */
static struct wefti_descriptor *descriptor_of(struct wefti_descriptors *descriptors, int number)
{
    if ((size_t)number < descriptors->room)
        return &descriptors->table[number];
    size_t room = descriptors->room ? descriptors->room : TABLE_LEAST;
    while (room <= (size_t)number)
        room *= 2;
    struct wefti_descriptor *table = wefti_realloc(descriptors->table, room * sizeof(*table));
    if (!table)
        return NULL;
    memset(table + descriptors->room, 0, (room - descriptors->room) * sizeof(*table));
    descriptors->table = table;
    descriptors->room = room;
    return &table[number];
}

/* What those who wait for it want. */
static uint32_t descriptor_wanted(const struct wefti_descriptor *descriptor)
{
    uint32_t events = 0;
    for (const struct wefti_item *item = descriptor->first; item; item = item->next)
        events |= (uint16_t)item->events;
    return events;
}

/* Asks epoll for the events of an opening, or for them once (0). 0, or an errno number. */
static int descriptor_arm(
    struct wefti_descriptors *descriptors, int number, struct wefti_descriptor *descriptor, uint32_t opening, uint32_t events)
{
    struct epoll_event event = {.events = opening ? events : events | EPOLLONESHOT, .data.u64 = (uint64_t)opening << 32 | (uint32_t)number};
    int change = descriptor->known && descriptor->opening == opening ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    descriptor->opening = opening;
    descriptor->ready = 0;
    int failed = epoll_ctl(descriptors->epoll, change, number, &event);
    if (failed && errno == (change == EPOLL_CTL_MOD ? ENOENT : EEXIST))
        failed = epoll_ctl(descriptors->epoll, change == EPOLL_CTL_MOD ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, number, &event);
    descriptor->known = !failed;
    descriptor->armed = failed ? 0 : events;
    if (failed)
        descriptor->opening = 0;
    return failed ? errno : 0;
}

/* Sees to it that epoll reports what the item wants. 0, or an errno number. */
static int descriptor_ask(struct wefti_descriptors *descriptors, struct wefti_descriptor *descriptor, const struct wefti_item *item)
{
    uint32_t opening = wefti_opened(item->descriptor), wanted = (uint16_t)item->events;
    if (opening == 0)
        return descriptor_arm(descriptors, item->descriptor, descriptor, 0, descriptor_wanted(descriptor));
    bool asked = descriptor->opening == opening && (wanted & ~descriptor->armed & ~(uint32_t)ALWAYS) == 0;
    if (asked && item->tried)
        return 0;
    uint32_t before = descriptor->opening == opening ? descriptor->armed : 0;
    return descriptor_arm(descriptors, item->descriptor, descriptor, opening, before | wanted | CHANGES);
}

static void item_unlink(struct wefti_descriptors *descriptors, struct wefti_item *item)
{
    struct wefti_descriptor *descriptor = &descriptors->table[item->descriptor];
    *(item->previous ? &item->previous->next : &descriptor->first) = item->next;
    if (item->next)
        item->next->previous = item->previous;
    item->queued = false;
    descriptors->waiting--;
}

/* Adds one. 0; 1: it is ready; -1 with errno. */
static int item_add(struct wefti_descriptors *descriptors, struct wefti_item *item, struct wefti_wait *wait)
{
    if (item->descriptor < 0)
        return 0; /* as poll(2): never */
    if (wefti_descriptors_open(descriptors) != 0)
        return -1;
    struct wefti_descriptor *descriptor = descriptor_of(descriptors, item->descriptor);
    if (!descriptor)
        return -1;
    item->wait = wait;
    item->previous = NULL;
    item->next = descriptor->first;
    if (descriptor->first)
        descriptor->first->previous = item;
    descriptor->first = item;
    item->queued = true;
    descriptors->waiting++;
    if (item->transfer && descriptors->backend->begin(descriptors, item))
        return 0;
    int error = descriptor_ask(descriptors, descriptor, item);
    if (error == 0)
        return 0;
    item_unlink(descriptors, item);
    if (error == EPERM)
        item->seen = (short)(item->events & (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM));
    else if (error == EBADF)
        item->seen = POLLNVAL;
    errno = error == ENOSPC ? ENOMEM : error;
    return item->seen ? 1 : error == EPERM ? 0 : -1;
}

int wefti_descriptors_add(struct wefti_descriptors *descriptors, const struct wefti_wait *wait)
{
    for (unsigned i = 0; i < wait->count; i++) {
        struct wefti_item *item = wefti_wait_item(wait, i);
        int added = item->kind == WEFTI_DESCRIPTOR ? item_add(descriptors, item, (struct wefti_wait *)wait) : 0;
        if (added == 0)
            continue;
        int error = errno;
        wefti_descriptors_remove(descriptors, wait);
        errno = error;
        return added;
    }
    return 0;
}

void wefti_descriptors_ring(struct wefti_descriptors *descriptors)
{
    eventfd_write(descriptors->bell, 1);
}

static bool item_is_transferred(const struct wefti_item *item)
{
    return item->transfer && item->transfer->begun;
}

void wefti_descriptors_remove(struct wefti_descriptors *descriptors, const struct wefti_wait *wait)
{
    for (unsigned i = 0; i < wait->count; i++) {
        struct wefti_item *item = wefti_wait_item(wait, i);
        if (item->kind != WEFTI_DESCRIPTOR || !item->queued)
            continue;
        if (item_is_transferred(item))
            descriptors->backend->end(descriptors, item);
        else
            item_unlink(descriptors, item);
    }
}

/* What says nothing of the descriptor: the kernel was kept from it. */
static bool transfer_is_void(long result)
{
    return result == -ECANCELED || result == -EINTR || result == -EAGAIN;
}

void wefti_descriptors_transferred(struct wefti_descriptors *descriptors, struct wefti_item *item, long result)
{
    struct wefti_transfer *transfer = item->transfer;
    item_unlink(descriptors, item);
    transfer->begun = false;
    transfer->done = !transfer_is_void(result);
    transfer->result = result;
    if (result > 0)
        wefti_told_written(transfer->octets, (size_t)result);
    if (transfer->done && result == (long)transfer->size)
        descriptors->table[item->descriptor].emptied = 0;
    if (transfer->done || !transfer->left)
        item->seen = item->events;
    if (!transfer->left)
        descriptors->ready(item->wait);
}

/* Waits for epoll so long: to the nanosecond where the kernel can (Linux 5.11). */
static int epoll_for(int epoll, struct epoll_event *events, weft_time left)
{
    static uint32_t coarse; /* 1: it cannot */
    struct timespec rest = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    weft_time milliseconds = left / 1000000 + 1;
    if (!__atomic_load_n(&coarse, __ATOMIC_RELAXED)) {
        int count = (int)syscall(SYS_epoll_pwait2, epoll, events, EVENTS_A_LOOK, &rest, NULL, (size_t)0);
        if (count >= 0 || errno != ENOSYS)
            return count;
        __atomic_store_n(&coarse, 1, __ATOMIC_RELAXED);
    }
    return epoll_wait(epoll, events, EVENTS_A_LOOK, milliseconds < INT32_MAX ? (int)milliseconds : INT32_MAX);
}

static int epoll_until(int epoll, struct epoll_event *events, weft_time until)
{
    if (until == WEFT_FOREVER)
        return epoll_wait(epoll, events, EVENTS_A_LOOK, -1);
    weft_time left = until <= WEFT_NOW ? 0 : until - weft_clock();
    return left <= 0 ? epoll_wait(epoll, events, EVENTS_A_LOOK, 0) : epoll_for(epoll, events, left);
}

/* Ends the waits that want one of the events. */
static void descriptor_deal(struct wefti_descriptors *descriptors, struct wefti_descriptor *descriptor, uint32_t events)
{
    for (struct wefti_item *item = descriptor->first, *next; item; item = next) {
        next = item->next;
        short seen = (short)(events & ((uint16_t)item->events | ALWAYS));
        if (!seen || item_is_transferred(item))
            continue;
        item->seen = seen;
        item_unlink(descriptors, item);
        descriptors->ready(item->wait);
    }
}

/* Deals out what epoll reported of one descriptor; of one that is not Weft's it asks for what the others want. */
static void descriptor_report(struct wefti_descriptors *descriptors, const struct epoll_event *event)
{
    int number = (int)(uint32_t)event->data.u64;
    uint32_t opening = (uint32_t)(event->data.u64 >> 32);
    struct wefti_descriptor *descriptor = &descriptors->table[number];
    if (descriptor->opening != opening)
        return;
    descriptor->ready |= event->events;
    if (opening == 0)
        descriptor->armed = 0;
    descriptor_deal(descriptors, descriptor, event->events);
    if (opening == 0 && descriptor->first) /* it was there a moment ago; if it is closed, so is the wait's subject */
        descriptor_arm(descriptors, number, descriptor, 0, descriptor_wanted(descriptor));
}

/* An item with a transfer that is on its way, or NULL. */
static struct wefti_item *descriptor_transfer(const struct wefti_descriptor *descriptor)
{
    struct wefti_item *item = descriptor->first;
    while (item && !item_is_transferred(item))
        item = item->next;
    return item;
}

void wefti_descriptors_close(struct wefti_descriptors *descriptors, int number)
{
    if ((size_t)(unsigned)number >= descriptors->room)
        return;
    struct wefti_item *item;
    while ((item = descriptor_transfer(&descriptors->table[number]))) {
        descriptors->backend->end(descriptors, item);
        if (!item->transfer->done)
            item->seen = POLLNVAL;
        descriptors->ready(item->wait);
    }
    descriptor_deal(descriptors, &descriptors->table[number], POLLNVAL);
}

void wefti_descriptors_leave(struct wefti_descriptors *descriptors, int number)
{
    if ((size_t)(unsigned)number >= descriptors->room || !descriptors->table[number].known)
        return;
    epoll_ctl(descriptors->epoll, EPOLL_CTL_DEL, number, NULL);
    descriptors->table[number] = (struct wefti_descriptor){.first = descriptors->table[number].first};
}

/* The clock has rung. The moment may have come since the hub looked at the time: so it is to be set again, if the hub does not look before
 * it leaves. */
static void clock_look(struct wefti_descriptors *descriptors)
{
    uint64_t rung;
    (void)!read(descriptors->clock, &rung, sizeof(rung));
    descriptors->alarm = WEFT_FOREVER;
}

bool wefti_epoll_look(struct wefti_descriptors *descriptors, weft_time until)
{
    struct epoll_event *events = descriptors->events;
    int count = epoll_until(descriptors->epoll, events, until);
    for (int i = 0; i < count; i++) {
        uint64_t number = events[i].data.u64, rung;
        if (number == BELL)
            (void)!read(descriptors->bell, &rung, sizeof(rung));
        else if (number == CLOCK)
            clock_look(descriptors);
        else
            descriptor_report(descriptors, &events[i]);
    }
    return count == EVENTS_A_LOOK;
}
