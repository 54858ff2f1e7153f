/* SPDX-License-Identifier: MIT */
/*
 * Queue, JoinableQueue, LifoQueue, PriorityQueue: a weft_queue each, the program's own or made for a client.
 *
 * Called without the manager's lock: queues have latches. What can be done at once is; else a select waits for the queue and for the
 * client's end, of which exactly one comes about. What was got for a client that has died goes back to the head (session.c).
 */

#include <errno.h>
#include <poll.h>

#include "manager/manager.h"
#include "queue/queue.h"
#include "wait/wait.h"
#include <weft/deadline.h>

static weft_queue *queue_of(const struct wefti_call *call)
{
    return call->object->state;
}

static weft_value queue_make(struct wefti_call *call, enum weft_queue_order order)
{
    int64_t most;
    weft_value error;
    if (!wefti_integer(call, call->bound[0], 0, &most, &error))
        return error;
    call->object->state = weft_queue_new(.capacity = most > 0 ? (size_t)most : WEFT_UNBOUNDED, .order = order);
    return call->object->state ? weft_none : wefti_raise_memory(call);
}

static weft_value queue_construct(struct wefti_call *call)
{
    return queue_make(call, WEFT_FIFO);
}

static weft_value queue_construct_lifo(struct wefti_call *call)
{
    return queue_make(call, WEFT_LIFO);
}

static weft_value queue_construct_priority(struct wefti_call *call)
{
    return queue_make(call, WEFT_PRIORITY);
}

static void queue_destroy(struct wefti_managed *object)
{
    weft_queue_free(object->state);
}

/* What a put or get that failed is to the client. */
static weft_value queue_failed(struct wefti_call *call, const char *why)
{
    switch (errno) {
    case EAGAIN:
    case ETIMEDOUT:
        return wefti_raise(call, why, NULL, 0);
    case ENOMEM:
        return wefti_raise_memory(call);
    case EINVAL:
        return wefti_raise_text(call, "TypeError", "the item cannot be compared with others");
    case EPIPE:
        return wefti_raise_text(call, "ValueError", "the queue is closed");
    case ECANCELED:
    case ECONNRESET:
        return wefti_abandoned(call);
    default:
        return wefti_raise_text(call, "RuntimeError", "the queue cannot take or give this item here");
    }
}

/* Until the case can be done: 0; -1 with errno, ECONNRESET when the client has gone. */
static int queue_select(struct wefti_call *call, weft_case one, weft_time deadline)
{
    short seen = 0;
    weft_case cases[] = {one, weft_case_descriptor(call->session->connection->descriptor, POLLRDHUP, &seen)};
    int done = weft_select(cases, 2, deadline);
    if (done < 0)
        return -1;
    errno = done == 1 ? ECONNRESET : cases[0].error;
    return done == 1 || cases[0].error ? -1 : 0;
}

static bool queue_deadline(struct wefti_call *call, bool checked, weft_time *deadline, weft_value *error)
{
    bool last = call->bound[2].kind != WEFTI_ABSENT; /* of put, whose item comes first */
    bool put = call->method->parameters[2] != NULL;
    weft_value block = call->bound[put ? 1 : 0], timeout = put ? (last ? call->bound[2] : weft_none) : call->bound[1];
    *deadline = WEFT_NOW;
    if (!wefti_flag(block, true))
        return true;
    return wefti_timeout(call, timeout, checked ? "'timeout' must be a non-negative number" : NULL, deadline, error);
}

static weft_value queue_put_until(struct wefti_call *call, weft_time deadline)
{
    weft_value item = weft_keep(call->bound[0]);
    int result = weft_queue_put(queue_of(call), item, WEFT_NOW);
    if (result != 0 && errno == EAGAIN && deadline > WEFT_NOW)
        result = queue_select(call, weft_case_put(queue_of(call), &item), deadline);
    if (result == 0)
        return weft_none;
    int error = errno;
    weft_drop(item);
    errno = error;
    return queue_failed(call, "queue.Full");
}

static weft_value queue_put(struct wefti_call *call)
{
    weft_time deadline;
    weft_value error;
    if (!queue_deadline(call, weft_queue_capacity(queue_of(call)) != WEFT_UNBOUNDED, &deadline, &error))
        return error;
    return queue_put_until(call, deadline);
}

static weft_value queue_put_nowait(struct wefti_call *call)
{
    return queue_put_until(call, WEFT_NOW);
}

static void queue_undo_get(struct wefti_call *call, weft_value item)
{
    if (wefti_queue_back(queue_of(call), item) != 0)
        weft_drop(item);
}

static weft_value queue_get_until(struct wefti_call *call, weft_time deadline)
{
    weft_value item;
    int result = weft_queue_get(queue_of(call), &item, WEFT_NOW);
    call->undo = queue_undo_get;
    if (result != 0 && errno == EAGAIN && deadline > WEFT_NOW)
        result = queue_select(call, weft_case_get(queue_of(call), &item), deadline);
    return result == 0 ? item : queue_failed(call, "queue.Empty");
}

static weft_value queue_get(struct wefti_call *call)
{
    weft_time deadline;
    weft_value error;
    if (!queue_deadline(call, true, &deadline, &error))
        return error;
    return queue_get_until(call, deadline);
}

static weft_value queue_get_nowait(struct wefti_call *call)
{
    return queue_get_until(call, WEFT_NOW);
}

/*
 * Weft's own: waits until there is something to get, or room, and takes nothing. True; False at the time's end. A client's select stands on
 * it, which takes as a local one does: by a try, so that nothing is under way to somebody who may no longer want it.
 */
static weft_value queue_wait(struct wefti_call *call, bool put)
{
    weft_time deadline;
    weft_value error;
    weft_case one;
    if (!wefti_timeout(call, call->bound[0], "'timeout' must be a non-negative number", &deadline, &error))
        return error;
    if (!wefti_case_look(queue_of(call), put, &one))
        return wefti_raise_text(call, "NotImplementedError", "this queue cannot be waited for");
    if (queue_select(call, one, deadline) == 0)
        return weft_bool(true);
    return errno == EAGAIN || errno == ETIMEDOUT ? weft_bool(false) : queue_failed(call, "queue.Empty");
}

static weft_value queue_wait_get(struct wefti_call *call)
{
    return queue_wait(call, false);
}

static weft_value queue_wait_put(struct wefti_call *call)
{
    return queue_wait(call, true);
}

static weft_value queue_qsize(struct wefti_call *call)
{
    return weft_int((int64_t)weft_queue_size(queue_of(call)));
}

static weft_value queue_empty(struct wefti_call *call)
{
    return weft_bool(weft_queue_empty(queue_of(call)));
}

static weft_value queue_full(struct wefti_call *call)
{
    return weft_bool(weft_queue_full(queue_of(call)));
}

static weft_value queue_task_done(struct wefti_call *call)
{
    if (weft_queue_task_done(queue_of(call)) == 0)
        return weft_none;
    return wefti_raise_text(call, "ValueError", "task_done() called too many times");
}

static weft_value queue_join(struct wefti_call *call)
{
    struct wefti_item items[2] = {
        {.kind = WEFTI_WORD}, {.kind = WEFTI_DESCRIPTOR, .descriptor = call->session->connection->descriptor, .events = POLLRDHUP}};
    while (!wefti_queue_joined(queue_of(call), &items[0].word, &items[0].expected)) {
        if (!items[0].word)
            return wefti_raise_text(call, "RuntimeError", "this queue cannot be joined");
        int ended = wefti_wait_items(items, 2, WEFT_FOREVER);
        if ((ended < 0 && errno == ECANCELED) || (ended == 1 && wefti_session_gone(call->session)))
            return wefti_abandoned(call);
    }
    return weft_none;
}

/* As Python prints them; a JoinableQueue is a Queue there. */
static weft_value queue_repr(struct wefti_managed *object)
{
    const char *name = object->type == &wefti_type_joinable_queue ? "Queue" : object->type->name;
    return weft_str_f("<queue.%s object at 0x%lx>", name, object->ident);
}

static const struct wefti_method queue_methods[] = {
    {.name = "empty", .function = queue_empty, .unlocked = true},
    {.name = "full", .function = queue_full, .unlocked = true},
    {.name = "get", .function = queue_get, .parameters = {"block", "timeout"}, .unlocked = true},
    {.name = "get_nowait", .function = queue_get_nowait, .unlocked = true},
    {.name = "join", .function = queue_join, .unlocked = true},
    {.name = "put", .function = queue_put, .parameters = {"item", "block", "timeout"}, .required = 1, .unlocked = true},
    {.name = "put_nowait", .function = queue_put_nowait, .parameters = {"item"}, .required = 1, .unlocked = true},
    {.name = "qsize", .function = queue_qsize, .unlocked = true},
    {.name = "task_done", .function = queue_task_done, .unlocked = true},
    {.name = "wait_get", .function = queue_wait_get, .parameters = {"timeout"}, .unlocked = true},
    {.name = "wait_put", .function = queue_wait_put, .parameters = {"timeout"}, .unlocked = true},
};
enum { QUEUE_METHODS = sizeof(queue_methods) / sizeof(*queue_methods) };

const struct wefti_managed_type wefti_type_queue = {
    "Queue", queue_methods, QUEUE_METHODS, queue_construct, {"maxsize"}, .destroy = queue_destroy, .repr = queue_repr};
const struct wefti_managed_type wefti_type_joinable_queue = {
    "JoinableQueue", queue_methods, QUEUE_METHODS, queue_construct, {"maxsize"}, .destroy = queue_destroy, .repr = queue_repr};
const struct wefti_managed_type wefti_type_lifo_queue = {
    "LifoQueue", queue_methods, QUEUE_METHODS, queue_construct_lifo, {"maxsize"}, .destroy = queue_destroy, .repr = queue_repr};
const struct wefti_managed_type wefti_type_priority_queue = {
    "PriorityQueue", queue_methods, QUEUE_METHODS, queue_construct_priority, {"maxsize"}, .destroy = queue_destroy, .repr = queue_repr};
/* The program's own. */
const struct wefti_managed_type wefti_type_given_queue = {"Queue", queue_methods, QUEUE_METHODS, .construct = NULL, .repr = queue_repr};
