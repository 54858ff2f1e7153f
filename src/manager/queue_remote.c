/* SPDX-License-Identifier: MIT */
/*
 * A queue of a manager elsewhere as a weft_queue: one more kind. Each call is one of the proxy's; a deadline goes along as the server's own
 * time limit, so that a call is seldom given up in the middle, which costs a Python server an item. The connection is given a while longer
 * than that.
 */

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "manager/remote.h"
#include "queue/queue.h"
#include "wait/wait.h"

static const double LONGER = 10; /* seconds after the server's time that the answer may take */

/* `block` and `timeout` for a deadline. False: no memory. */
static bool keywords_for(weft_time deadline, weft_value *keywords)
{
    *keywords = weft_dict();
    if (weft_is_error(*keywords))
        return false;
    if (deadline == WEFT_FOREVER)
        return true;
    double left = (double)(deadline - weft_clock()) / 1e9;
    bool now = deadline <= WEFT_NOW || left <= 0;
    return weft_dict_set_str(*keywords, now ? "block" : "timeout", now ? weft_bool(false) : weft_float(left)) == 0;
}

int wefti_remote_raised(weft_value error, weft_time deadline)
{
    const char *type = weft_error_type(error);
    bool late = type && (strcmp(type, "queue.Empty") == 0 || strcmp(type, "queue.Full") == 0);
    int why = late ? (deadline <= WEFT_NOW ? EAGAIN : ETIMEDOUT) : type && strcmp(type, "ValueError") == 0 ? EINVAL : EREMOTEIO;
    weft_drop(error);
    errno = why;
    return -1;
}

weft_time wefti_answer_deadline(weft_time deadline)
{
    weft_time now = weft_clock(), longest = weft_in(LONGER);
    if (deadline == WEFT_FOREVER)
        return WEFT_FOREVER;
    return longest + (deadline > now ? deadline - now : 0);
}

/* 0, with *result unless that is NULL. `late`: for the answer. */
static int queue_call(const struct wefti_remote_queue *remote, const char *method, weft_value arguments, weft_value *result,
    weft_time deadline, weft_time late)
{
    weft_value keywords, value;
    bool raised;
    int called =
        keywords_for(deadline, &keywords) ? wefti_proxy_ask(remote->proxy, method, arguments, keywords, &value, &raised, late) : -1;
    weft_drop(keywords);
    if (called != 0)
        return -1;
    if (raised)
        return wefti_remote_raised(value, deadline);
    if (result)
        *result = value;
    else
        weft_drop(value);
    return 0;
}

int wefti_remote_put(weft_queue *queue, weft_value value, weft_time deadline, weft_time late)
{
    weft_value kept = weft_keep(value), arguments = weft_tuple(&kept, 1);
    if (weft_is_error(arguments)) {
        weft_drop(kept);
        errno = ENOMEM;
        return -1;
    }
    int result = wefti_queue_is_closed(queue) ? -1 : queue_call((struct wefti_remote_queue *)queue, "put", arguments, NULL, deadline, late);
    int error = wefti_queue_is_closed(queue) ? EPIPE : errno;
    weft_drop(arguments);
    if (result == 0)
        weft_drop(wefti_value_take(value));
    errno = error;
    return result;
}

int wefti_remote_get(weft_queue *queue, weft_value *value, weft_time deadline, weft_time late)
{
    if (!wefti_queue_is_closed(queue))
        return queue_call((struct wefti_remote_queue *)queue, "get", weft_none, value, deadline, late);
    errno = EPIPE;
    return -1;
}

static int remote_put(weft_queue *queue, weft_value value, weft_time deadline)
{
    deadline = wefti_deadline(deadline);
    return wefti_remote_put(queue, value, deadline, wefti_answer_deadline(deadline));
}

static int remote_get(weft_queue *queue, weft_value *value, weft_time deadline)
{
    deadline = wefti_deadline(deadline);
    return wefti_remote_get(queue, value, deadline, wefti_answer_deadline(deadline));
}

static size_t remote_put_some(weft_queue *queue, const weft_value *values, size_t count, int *error)
{
    size_t put = 0;
    while (put < count && remote_put(queue, values[put], WEFT_NOW) == 0)
        put++;
    *error = put < count ? errno : 0;
    return put;
}

static size_t remote_get_some(weft_queue *queue, weft_value *values, size_t count, int *error)
{
    size_t got = 0;
    while (got < count && remote_get(queue, &values[got], WEFT_NOW) == 0)
        got++;
    *error = got < count ? errno : 0;
    return got;
}

/* A call of no arguments whose answer is a number, or true or false; 0 where there is no answer. */
static int64_t remote_number(const weft_queue *queue, const char *method)
{
    weft_value value;
    int64_t number = 0;
    if (weft_proxy_call(((const struct wefti_remote_queue *)queue)->proxy, method, &value, weft_in(LONGER)) != 0)
        return 0;
    if (value.kind == WEFT_INT || value.kind == WEFT_BOOL)
        number = weft_as_int(value);
    weft_drop(value);
    return number;
}

static size_t remote_size(const weft_queue *queue)
{
    int64_t size = remote_number(queue, "qsize");
    return size > 0 ? (size_t)size : 0;
}

static bool remote_full(const weft_queue *queue)
{
    return remote_number(queue, "full") != 0;
}

static int remote_plain(weft_queue *queue, const char *method, weft_time deadline)
{
    weft_value value;
    if (weft_proxy_call(((struct wefti_remote_queue *)queue)->proxy, method, &value, deadline) != 0)
        return -1;
    if (weft_is_error(value))
        return wefti_remote_raised(value, WEFT_FOREVER);
    weft_drop(value);
    return 0;
}

static int remote_task_done(weft_queue *queue)
{
    return remote_plain(queue, "task_done", WEFT_FOREVER);
}

static int remote_join(weft_queue *queue, weft_time deadline)
{
    return remote_plain(queue, "join", deadline);
}

static void remote_close(weft_queue *queue)
{
    __atomic_store_n(&queue->closed, 1, __ATOMIC_RELEASE);
}

static void remote_free(weft_queue *queue)
{
    const weft_proxy *proxy = ((struct wefti_remote_queue *)queue)->proxy;
    wefti_seats_leave(proxy->remote, weft_proxy_ident(proxy));
    wefti_release(queue);
}

static const struct wefti_queue_kind remote_kind = {
    .put = remote_put,
    .get = remote_get,
    .put_some = remote_put_some,
    .get_some = remote_get_some,
    .size = remote_size,
    .full = remote_full,
    .task_done = remote_task_done,
    .join = remote_join,
    .close = remote_close,
    .free = remote_free,
    .get_case = &wefti_remote_get_case,
    .put_case = &wefti_remote_put_case,
    .far = true,
};

weft_queue *weft_queue_of_proxy(weft_proxy *proxy)
{
    if (!proxy) {
        errno = EINVAL;
        return NULL;
    }
    struct wefti_remote_queue *remote = wefti_alloc_aligned(_Alignof(struct wefti_remote_queue), sizeof(*remote));
    if (!remote)
        return NULL;
    memset(remote, 0, sizeof(*remote));
    remote->queue.kind = &remote_kind;
    remote->queue.capacity = WEFT_UNBOUNDED;
    remote->queue.puts = &remote->puts;
    remote->proxy = proxy;
    return &remote->queue;
}
