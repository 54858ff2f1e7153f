/* SPDX-License-Identifier: MIT */
/*
 * Cases of select for queues of a manager elsewhere, where that is Weft's: it has wait_get and wait_put, which wait and take nothing
 * (type_queue.c). Python's has not, and loses what somebody asked for who has gone; there they fail with ENOTSUP.
 *
 * As everywhere, select looks, waits, and looks again. A look is a call, a get or put that does not wait; it is shielded, because an item
 * of a call that was given up half way may be lost. It has until the end of the select, and LEAST seconds in any case, as a manager that
 * lives may be far away; LOOK are the most. One whose manager kept silent so long is over, and in a select that has come to its end,
 * nobody looks again: the server finds our connection closed when it goes on, and takes back what it did. Waiting is a request on a
 * connection for that (a seat of the task's own), whose descriptor becomes readable with the answer. The first look asks for nothing: a
 * select that does not wait costs no connection. The second is the one that asks. The answer says only that something is likely to be had:
 * the next look may find that others were quicker, and asks again.
 *
 * A select that ends otherwise leaves its question there. It is still good for the next one, and if it was answered meanwhile, that costs
 * the next one a look in vain. The server tells each who waits: an item wakes the first, who hands on to the next for as long as it is
 * there. So nobody who has gone away in silence stands between an item and who would take it.
 *
 * A fork's child has copies of the connections, which it closes unused (wefti_seat_open).
 */

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "manager/remote.h"
#include <weft/task.h>

static const double LEAST = 0.5, LOOK = 10; /* seconds that a look, or asking, may take */

/* Of a place's `note`, once it is noted: SILENT, when the select is at its end. */
enum { LOOKED = 0, ASKED = 1, SILENT = 2 };

/* When a look that begins now has to have its answer. */
static weft_time look_deadline(weft_case *one)
{
    weft_time until = wefti_case_place(one)->until, least = weft_in(LEAST), most = weft_in(LOOK);
    return until < least ? least : until < most ? until : most;
}

/* A look had no answer. 0: the select is at its end, and says so itself; -1. */
static int look_failed(weft_case *one)
{
    struct wefti_place *place = wefti_case_place(one);
    if (errno != ETIMEDOUT || weft_clock() < place->until)
        return -1;
    place->note = SILENT;
    return 0;
}

static struct wefti_seat *case_seat(const weft_case *one, bool put)
{
    const weft_proxy *proxy = ((const struct wefti_remote_queue *)one->object)->proxy;
    return wefti_seat_of(proxy->remote, weft_proxy_ident(proxy), put);
}

/* Makes sure that the server has been asked. -1 with errno. */
static int case_ask(const weft_case *one, bool put, weft_time late)
{
    struct wefti_seat *seat = case_seat(one, put);
    if (!seat || wefti_seat_open(seat, late) != 0)
        return -1;
    if (seat->asked)
        return 0;
    seat->connection->eager = false; /* so that its descriptor tells of all there is */
    seat->asked = wefti_seat_ask(seat, put ? "wait_put" : "wait_get", weft_none, late) == 0;
    if (!seat->asked)
        wefti_seat_close(seat);
    return seat->asked ? 0 : -1;
}

static bool answer_is_come(const struct wefti_seat *seat)
{
    struct pollfd asked = {.fd = seat->connection->descriptor, .events = POLLIN};
    return poll(&asked, 1, 0) > 0;
}

/* 1: it is worth a look; 0: the answer has not come; -1 with errno. */
static int case_told(const weft_case *one, bool put, weft_time late)
{
    struct wefti_seat *seat = case_seat(one, put);
    weft_value reply, value;
    if (!seat || !seat->asked || !seat->connection)
        return seat ? 1 : -1;
    if (!answer_is_come(seat))
        return 0;
    if (wefti_seat_answer(seat, &reply, late) != 0) {
        wefti_seat_close(seat);
        return -1;
    }
    seat->asked = false;
    wefti_reply_read(reply, &value);
    if (!weft_is_error(value))
        return weft_drop(value), 1;
    const char *type = weft_error_type(value);
    int error = type && strcmp(type, "NotImplementedError") == 0 ? ENOTSUP : EREMOTEIO;
    weft_drop(value);
    errno = error;
    return -1;
}

static int case_try(const weft_case *one, bool put, weft_time late)
{
    int result = put ? wefti_remote_put(one->object, *(weft_value *)one->operation, WEFT_NOW, late)
                     : wefti_remote_get(one->object, one->operation, WEFT_NOW, late);
    return result == 0 ? 1 : errno == EAGAIN ? 0 : -1;
}

static int case_look(weft_case *one, bool put, weft_time late)
{
    struct wefti_place *place = wefti_case_place(one);
    bool first = !place->noted;
    if (first) {
        place->noted = true;
        place->note = LOOKED;
        return case_try(one, put, late);
    }
    int worth = place->note == ASKED ? case_told(one, put, late) : 0;
    int done = worth > 0 ? case_try(one, put, late) : worth;
    if (done != 0 || (place->note == ASKED && worth == 0))
        return done;
    place->note = ASKED;
    return case_ask(one, put, late);
}

static int remote_ready(weft_case *one, bool put)
{
    const struct wefti_remote_queue *remote = one->object;
    const struct wefti_place *place = wefti_case_place(one);
    int done = -1;
    if (place->noted && place->note == SILENT)
        return 0;
    if (!wefti_proxy_offers(remote->proxy, put ? "wait_put" : "wait_get")) {
        errno = ENOTSUP;
        return -1;
    }
    weft_shield done = case_look(one, put, look_deadline(one));
    return done < 0 ? look_failed(one) : done;
}

static int remote_get_ready(weft_case *one)
{
    return remote_ready(one, false);
}

static int remote_put_ready(weft_case *one)
{
    return remote_ready(one, true);
}

/* Whoever has not asked yet does so by another look; who was met with silence, and has no time left, waits for nothing. */
static bool remote_enqueue(weft_case *one, struct wefti_item *item, bool put)
{
    if (wefti_case_place(one)->note == SILENT)
        return false;
    const struct wefti_seat *seat = wefti_case_place(one)->note == ASKED ? case_seat(one, put) : NULL;
    if (!seat || !seat->asked || !seat->connection)
        return true;
    *item = (struct wefti_item){.kind = WEFTI_DESCRIPTOR, .descriptor = seat->connection->descriptor, .events = POLLIN};
    return false;
}

static bool remote_get_enqueue(weft_case *one, struct wefti_item *item)
{
    return remote_enqueue(one, item, false);
}

static bool remote_put_enqueue(weft_case *one, struct wefti_item *item)
{
    return remote_enqueue(one, item, true);
}

static void remote_dequeue(weft_case *one)
{
    (void)one; /* the question stays: see above */
}

const struct weft_waitable wefti_remote_get_case = {
    .ready = remote_get_ready, .enqueue = remote_get_enqueue, .dequeue = remote_dequeue, .calls = true};
const struct weft_waitable wefti_remote_put_case = {
    .ready = remote_put_ready, .enqueue = remote_put_enqueue, .dequeue = remote_dequeue, .calls = true};
