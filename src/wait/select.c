/* SPDX-License-Identifier: MIT */
/*
 * Select: waiting for the first of several operations that can be done.
 *
 * It goes in rounds: look at all cases, become a waiter of all, sleep, be a waiter no more. An operation is done while it looks, when it
 * is nobody's waiter; so two cases are never done, and what is done may let somebody free the object at once. No wake is lost: who
 * becomes a waiter is told whether the operation is possible by then, and whoever makes it possible later changes the word first and
 * wakes then. A wake that reaches a select which does something else is handed on by dequeue.
 *
 * Only a partner of a rendezvous does an operation of a select that sleeps; waitable.h tells how they meet. Before it looks again, select
 * shuts its meeting: then nobody does. Partners in other processes see another word than those in this one, and no store changes both: so a
 * select over rendezvous of both kinds does not wait.
 *
 * Where a look begins moves on by the golden ratio of the number of cases from call to call. That is even over any stretch of calls, and,
 * unlike a step of one, for every second, third ... call of a thread that has several selects in a loop.
 */

#include <errno.h>
#include <poll.h>

#include "shared/meeting.h"
#include "wait/context.h"
#include "wait/waitable.h"

enum { NONE = -2 };
enum { MEETS_HERE = 1, MEETS_AFAR = 2 };

_Static_assert(
    sizeof(struct wefti_place) <= sizeof(((weft_case *)NULL)->scratch), "the scratch of a case has room for what select keeps there");
_Static_assert(_Alignof(struct wefti_place) <= _Alignof(uint64_t), "and is aligned for it");

/* False with EINVAL when a case is of nothing. Prepares the first look. *calls: some look by a call. */
static bool cases_begin(weft_case *cases, size_t count, bool *calls)
{
    bool valid = cases && count > 0 && count <= INT32_MAX - WEFTI_MEETING_DONE;
    *calls = false;
    for (size_t i = 0; valid && i < count; i++) {
        valid = !cases[i].waitable || cases[i].object;
        *calls |= cases[i].waitable && cases[i].waitable->calls;
        wefti_case_place(&cases[i])->noted = false;
    }
    if (!valid)
        errno = EINVAL;
    return valid;
}

/* The case is done, or never can be: its number. */
static int case_end(weft_case *cases, size_t number, int ready)
{
    cases[number].error = ready < 0 ? errno : 0;
    return (int)number;
}

/* The number of a case that has ended, or NONE. */
static int cases_look(weft_case *cases, size_t count, size_t first)
{
    for (size_t i = 0, at = first; i < count; i++, at = at + 1 < count ? at + 1 : 0) {
        int ready = cases[at].waitable ? cases[at].waitable->ready(&cases[at]) : 0;
        if (ready != 0)
            return case_end(cases, at, ready);
    }
    return NONE;
}

/* Becomes a waiter of the cases, until one may be possible already: of how many. */
static size_t cases_enqueue(weft_case *cases, size_t count, bool *possible)
{
    *possible = false;
    for (size_t i = 0; i < count; i++) {
        struct wefti_item *item = &wefti_case_place(&cases[i])->item;
        *item = (struct wefti_item){.kind = WEFTI_NOTHING};
        if (cases[i].waitable && cases[i].waitable->enqueue(&cases[i], item)) {
            *possible = true;
            return i + 1;
        }
    }
    return count;
}

static void cases_dequeue(weft_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (cases[i].waitable)
            cases[i].waitable->dequeue(&cases[i]);
}

/* Before partners come: they look at the offers of all cases. */
static void meeting_open(struct wefti_meeting *meeting, weft_case *cases, size_t count)
{
    *meeting = (struct wefti_meeting){.done = WEFTI_MEETING_OPEN, .cases = cases, .count = count};
    for (size_t i = 0; i < count; i++)
        wefti_case_place(&cases[i])->offer = (struct wefti_offer){.meeting = meeting, .one = &cases[i]};
}

/* From here on no partner comes. The number of the case that one has done, or NONE. */
static int meeting_shut(struct wefti_meeting *meeting)
{
    wefti_latch_close(&meeting->latch);
    uint32_t done = meeting->done;
    if (done == WEFTI_MEETING_OPEN)
        meeting->done = WEFTI_MEETING_SHUT;
    wefti_latch_open(&meeting->latch);
    return done >= WEFTI_MEETING_DONE ? (int)(done - WEFTI_MEETING_DONE) : NONE;
}

/* The same of partners in other processes. */
static int afar_shut(struct wefti_life *life, weft_case *cases)
{
    uint64_t word = wefti_meet_shut(life);
    if (wefti_meet_state(word) != WEFTI_MEET_DONE)
        return NONE;
    wefti_case_place(&cases[wefti_meet_which(word)])->met = true;
    return (int)wefti_meet_which(word);
}

static void afar_open(struct wefti_life *life, weft_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct wefti_place *place = wefti_case_place(&cases[i]);
        place->met = false;
        place->number = (uint32_t)i;
        place->post = NULL;
    }
    wefti_meet_open(life);
}

static int time_ready(weft_case *one)
{
    return one->number != WEFT_FOREVER && weft_clock() >= one->number;
}

static bool time_enqueue(weft_case *one, struct wefti_item *item)
{
    (void)one, (void)item; /* the wait itself ends then: see cases_deadline */
    return false;
}

static void nothing_dequeue(weft_case *one)
{
    (void)one;
}

static const struct weft_waitable time_waitable = {.ready = time_ready, .enqueue = time_enqueue, .dequeue = nothing_dequeue};

/* The deadline, or the first moment that is a case, whichever comes first. */
static weft_time cases_deadline(const weft_case *cases, size_t count, weft_time deadline)
{
    for (size_t i = 0; i < count; i++)
        if (cases[i].waitable == &time_waitable && cases[i].number < deadline)
            deadline = cases[i].number;
    return deadline;
}

/* Those who call are told how long they have. */
static void cases_tell(weft_case *cases, size_t count, weft_time deadline)
{
    weft_time until = cases_deadline(cases, count, wefti_deadline(deadline));
    for (size_t i = 0; i < count; i++)
        wefti_case_place(&cases[i])->until = until;
}

static unsigned cases_meet(const weft_case *cases, size_t count)
{
    unsigned meet = 0;
    for (size_t i = 0; i < count; i++)
        if (cases[i].waitable)
            meet |= (cases[i].waitable->meets ? MEETS_HERE : 0U) | (cases[i].waitable->meets_afar ? MEETS_AFAR : 0U);
    return meet;
}

/* The first that meets afar cannot wait with the others. */
static int afar_refuse(weft_case *cases)
{
    size_t i = 0;
    while (!cases[i].waitable || !cases[i].waitable->meets_afar)
        i++;
    errno = ENOTSUP;
    return case_end(cases, i, -1);
}

/* Sleeps until it is worth another look: 0; -1 with errno: that will be the last. */
static int cases_sleep(weft_case *cases, size_t count, weft_time deadline)
{
    weft_time until = cases_deadline(cases, count, deadline);
    if (wefti_wait_strided(&wefti_case_place(cases)->item, (unsigned)count, sizeof(*cases), until) >= 0)
        return 0;
    return (errno == ETIMEDOUT || errno == EAGAIN) && until < deadline ? 0 : -1;
}

/* As cases_sleep, where there may be something to look at: it may be so for long, and never come of it. */
static int cases_overdue(weft_time deadline)
{
    const struct wefti_context *context = wefti_context_current();
    if (!context->shield && wefti_context_cancelled(context)) {
        errno = ECANCELED;
        return -1;
    }
    if (deadline == WEFT_FOREVER || weft_clock() < deadline)
        return 0;
    errno = ETIMEDOUT;
    return -1;
}

/* One round without the look. NONE; the number of a case that a partner has done; -1 with errno: the wait is over. */
static int cases_round(weft_case *cases, size_t count, unsigned meet, weft_time deadline)
{
    struct wefti_meeting meeting;
    struct wefti_life *life = meet & MEETS_AFAR ? wefti_context_life(wefti_context_current()) : NULL; /* a look has failed without one */
    if (meet & MEETS_HERE)
        meeting_open(&meeting, cases, count);
    if (life)
        afar_open(life, cases, count);
    bool possible;
    size_t enqueued = cases_enqueue(cases, count, &possible);
    int slept = possible ? cases_overdue(deadline) : cases_sleep(cases, count, deadline);
    int error = errno;
    int done = meet & MEETS_HERE ? meeting_shut(&meeting) : life ? afar_shut(life, cases) : NONE;
    cases_dequeue(cases, enqueued);
    errno = error;
    return done == NONE && slept < 0 ? -1 : done;
}

static int cases_wait(weft_case *cases, size_t count, size_t first, weft_time deadline)
{
    unsigned meet = cases_meet(cases, count);
    if (meet == (MEETS_HERE | MEETS_AFAR))
        return afar_refuse(cases);
    for (;;) {
        int done = cases_round(cases, count, meet, deadline);
        int error = errno;
        if (done >= 0)
            return done;
        int last = cases_look(cases, count, first); /* a deadline is no reason to leave what is there */
        if (last != NONE)
            return last;
        if (done == -1) {
            errno = error;
            return -1;
        }
    }
}

/* Out of line: after a switch of coroutines nobody may use the address of a thread's own that he took before it. */
__attribute__((noinline)) static size_t turn_next(size_t count)
{
    static __thread uint32_t turn;
    turn += 0x9e3779b9; /* 2^32 / golden ratio */
    return (size_t)((turn * (uint64_t)count) >> 32);
}

int weft_select(weft_case *cases, size_t count, weft_time deadline)
{
    bool calls;
    if (!cases_begin(cases, count, &calls))
        return -1;
    if (__builtin_expect(calls, 0))
        cases_tell(cases, count, deadline);
    size_t first = turn_next(count);
    int done = cases_look(cases, count, first);
    if (done != NONE)
        return done;
    if (deadline <= WEFT_NOW) {
        errno = EAGAIN;
        return -1;
    }
    return cases_wait(cases, count, first, wefti_deadline(deadline));
}

/* A descriptor's case: object is never NULL for one that can be; number holds it and the events; operation is where they go. */

static struct pollfd case_pollfd(const weft_case *one)
{
    return (struct pollfd){.fd = (int)(one->number >> 16), .events = (short)(one->number & 0xffff)};
}

static int descriptor_ready(weft_case *one)
{
    struct pollfd asked = case_pollfd(one);
    int error = errno;
    int ready;
    while ((ready = poll(&asked, 1, 0)) < 0 && errno == EINTR)
        ;
    if (ready < 0)
        return errno == ENOMEM ? -1 : 0;
    if (asked.revents & POLLNVAL) {
        errno = EBADF;
        return -1;
    }
    errno = error;
    if (ready > 0 && one->operation)
        *(short *)one->operation = asked.revents;
    return ready;
}

static bool descriptor_enqueue(weft_case *one, struct wefti_item *item)
{
    struct pollfd asked = case_pollfd(one);
    item->kind = WEFTI_DESCRIPTOR;
    item->transfer = NULL;
    item->descriptor = asked.fd;
    item->events = asked.events;
    return false; /* the wait begins with a look */
}

static const struct weft_waitable descriptor_waitable = {
    .ready = descriptor_ready, .enqueue = descriptor_enqueue, .dequeue = nothing_dequeue};

weft_case weft_case_descriptor(int fd, short events, short *seen)
{
    return (weft_case){.waitable = &descriptor_waitable,
        .object = fd < 0 ? NULL : (void *)&descriptor_waitable,
        .operation = seen,
        .number = (int64_t)fd * 65536 + (unsigned short)events};
}

weft_case weft_case_time(weft_time moment)
{
    return (weft_case){.waitable = &time_waitable, .object = (void *)&time_waitable, .number = moment};
}
