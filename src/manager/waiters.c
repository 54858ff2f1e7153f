/* SPDX-License-Identifier: MIT */
/*
 * Waiting in a method: for something that another call gives, and at the same time for the end of the client.
 *
 * A waiter stands in the list of what it waits at until it is given something or leaves; all under the manager's lock. Giving is exact: who
 * is given something has it, even if his deadline or his client's end comes before he runs; he then deals with it. So nothing that was
 * given is lost, and who comes first is served first.
 *
 * The word is changed (release) under the lock and its waiter woken; the waiter takes the lock before he looks, and leaves the list under
 * it, so that the wake, which uses the address only, is the last that is known of him.
 *
 * Holdings are what a session gives back when it ends: mutexes, whose holder it is.
 */

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "manager/manager.h"
#include "wait/wait.h"

static void waiter_take_out(struct wefti_waiters *waiters, struct wefti_waiter *waiter)
{
    if (waiter->previous)
        waiter->previous->next = waiter->next;
    else
        waiters->first = waiter->next;
    if (waiter->next)
        waiter->next->previous = waiter->previous;
    else
        waiters->last = waiter->previous;
}

static void waiter_put_in(struct wefti_waiters *waiters, struct wefti_waiter *waiter)
{
    waiter->previous = waiters->last;
    waiter->next = NULL;
    if (waiters->last)
        waiters->last->next = waiter;
    else
        waiters->first = waiter;
    waiters->last = waiter;
}

bool wefti_session_gone(const struct wefti_session *session)
{
    char octet;
    ssize_t got = recv(session->connection->descriptor, &octet, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

/* 0: worth a look; else an errno number. */
static int waiter_sleep(struct wefti_waiter *waiter, weft_time deadline)
{
    struct wefti_item items[] = {
        {.kind = WEFTI_WORD, .word = &waiter->word, .expected = 0},
        {.kind = WEFTI_DESCRIPTOR, .descriptor = waiter->session->connection->descriptor, .events = POLLRDHUP},
    };
    int ended = wefti_wait_items(items, 2, deadline);
    if (ended < 0)
        return errno;
    return ended == 1 && items[1].seen & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL) ? EPIPE : 0;
}

uint32_t wefti_waiters_wait(struct wefti_waiters *waiters, struct wefti_waiter *waiter, struct wefti_call *call, weft_time deadline)
{
    int error = deadline == WEFT_NOW ? EAGAIN : 0;
    *waiter = (struct wefti_waiter){.session = call->session, .note = waiter->note};
    waiter_put_in(waiters, waiter);
    while (waiter->word == 0 && error == 0) {
        wefti_manager_leave(call->manager);
        error = waiter_sleep(waiter, deadline);
        wefti_manager_enter(call->manager);
    }
    if (waiter->word == 0)
        waiter_take_out(waiters, waiter);
    errno = error;
    return waiter->word;
}

struct wefti_waiter *wefti_waiters_give(struct wefti_waiters *waiters, uint32_t what)
{
    struct wefti_waiter *first = waiters->first;
    if (!first)
        return NULL;
    waiter_take_out(waiters, first);
    __atomic_store_n(&first->word, what, __ATOMIC_RELEASE);
    weft_wake(&first->word, 1);
    return first;
}

void wefti_waiters_give_all(struct wefti_waiters *waiters, uint32_t what)
{
    while (wefti_waiters_give(waiters, what))
        ;
}

weft_value wefti_abandoned(struct wefti_call *call)
{
    call->kind = "#GONE";
    return weft_none;
}

void wefti_hold(struct wefti_holding *holding, struct wefti_session *session)
{
    holding->session = session;
    holding->previous = NULL;
    holding->next = session->holdings;
    if (holding->next)
        holding->next->previous = holding;
    session->holdings = holding;
}

void wefti_unhold(struct wefti_holding *holding)
{
    if (!holding->session)
        return;
    if (holding->previous)
        holding->previous->next = holding->next;
    else
        holding->session->holdings = holding->next;
    if (holding->next)
        holding->next->previous = holding->previous;
    holding->session = NULL;
}

void wefti_holdings_end(struct wefti_session *session)
{
    while (session->holdings) {
        struct wefti_holding *holding = session->holdings;
        wefti_unhold(holding);
        holding->give_back(holding);
    }
}
